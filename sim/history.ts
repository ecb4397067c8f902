/**
 * Promise 3: of a log whose members lie no more than the rule bears, no two heads that contradict each other are ever
 * signed, whichever copy of the home signs them; what a head covers never changes; what q members have cosigned stays so.
 */
import { equal, text } from '../crypto/bytes.ts'
import { formatCheckpoint, parseCheckpoint, verifyCosignature } from '../crypto/checkpoint.ts'
import { appendLeaf, type CompactRange, emptyRange, leafHash, rootOf } from '../crypto/merkle.ts'
import { parseLines, parseNote } from '../crypto/note.ts'
import { cosignerName, keyOf } from '../protocol/identity.ts'
import { readEntries } from '../protocol/kept.ts'
import { originOf } from '../protocol/log.ts'
import { closedLog, logNumber } from '../protocol/log-number.ts'
import type { Message, MessageOf } from '../protocol/message.ts'
import type { Write } from '../protocol/output.ts'
import type { Checker, Cluster, Leaving } from './cluster.ts'
import type { SimNode } from './node.ts'
import { rulesOf, type Suspects } from './suspects.ts'

/** One history of a log, as its heads showed it: leaves, and the root at each size. */
interface Branch {
  origin: string
  /** Number of the log. */
  number: number
  leaves: Uint8Array[]
  range: CompactRange
  roots: Uint8Array[]
  /** Who cosigned it at which size, and the largest that was final. */
  cosigned: Map<number, Set<string>>
  final: number
}

interface Cosigned {
  size: number
  branch: Branch
}

export class HistoryChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects
  readonly #putBack = new Set<SimNode>()
  /** By organisation, of all its logs. */
  readonly #branches = new Map<string, Branch[]>()
  /** By witness and log. */
  readonly #cosigned = new Map<string, Cosigned>()

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  /** A head is signed as soon as it is written, whether or not it ever leaves. */
  queued(node: SimNode, _seq: number, writes: Write[]): void {
    for (const { key, value } of writes) if (value && isHead(key)) this.#head(node, value)
  }

  sent({ from, to, message }: Leaving): void {
    const note = ownNote(message)
    if (note) this.#head(from, note)
    else if (message.t === 'witness/cosigned') this.#cosignature(from, to, message)
  }

  restored(node: SimNode): void {
    this.#putBack.add(node)
  }

  /** What heads covered is on the disk as it was, unless the operator put the disk back. */
  opened(node: SimNode): void {
    if (this.#putBack.has(node) || this.#suspects.putBack.has(node.org)) return
    const number = logNumber(node.onDisk)
    const branch = this.#branches.get(node.org)?.find(each => each.number === number)
    const leaves = branch?.leaves ?? []
    const kept = [...readEntries(node.onDisk, 0, leaves.length)]
    const changed = leaves.findIndex((leaf, i) => !kept[i] || !equal(leafHash(kept[i].entry), leaf))
    if (changed >= 0) this.#cluster.report('promise 3', node.name, `entry ${changed} under a head changed`)
  }

  #head(node: SimNode, note: Uint8Array): void {
    const { origin, size, root } = parseCheckpoint(parseNote(text(note)).body)
    const all = this.#branches.get(node.org) ?? []
    this.#branches.set(node.org, all)
    const branches = all.filter(each => each.origin === origin)
    if (branches.some(branch => has(branch, size, root))) return
    const longest = branches.at(-1)
    if (longest && longest.roots.length < size && extend(longest, node, size, root)) return
    const branch = emptyBranch(origin, node)
    if (!extend(branch, node, size, root)) {
      this.#cluster.report('promise 3', node.name, `a head of ${size} that is not of its entries`)
      return
    }
    all.push(branch)
    if (branches.length > 0 && !this.#suspects.mayFork(node.org, this.#cluster))
      this.#cluster.report('promise 3', node.name, `a head of ${size} contradicts one that was signed before`)
  }

  #cosignature(witness: SimNode, log: string, message: MessageOf<'witness/cosigned'>): void {
    const branch = this.#branchOf(witness, log, message)
    const { size } = message
    if (!branch) {
      if (!this.#suspects.robbed.has(log))
        this.#cluster.report('promise 3', witness.name, `cosigned a head of ${size} that never left`)
      return
    }
    this.#count(branch, size, witness.org, log)
    const name = `${witness.org} ${branch.origin}`
    const before = this.#cosigned.get(name)
    this.#cosigned.set(name, { size, branch })
    if (!before || !this.#suspects.isSound(witness.org, log)) return
    if (size < before.size) {
      this.#cluster.report('promise 3', witness.name, `cosigned ${size} after ${before.size}`)
      return
    }
    if (!has(branch, before.size, before.branch.roots[before.size - 1]!))
      this.#cluster.report(
        'promise 3',
        witness.name,
        `cosigned contradicting heads of ${before.size} and ${size}`,
      )
  }

  /** What is final on one branch is not on another. */
  #count(branch: Branch, size: number, witness: string, log: string): void {
    const by = branch.cosigned.get(size) ?? new Set()
    branch.cosigned.set(size, by.add(witness))
    const rules = this.#cluster.copies(log).flatMap(({ onDisk }) => rulesOf(onDisk))
    const isFinal = rules.some(({ seats, q }) => seats.filter(seat => by.has(seat)).length >= q)
    if (!isFinal || size <= branch.final) return
    branch.final = size
    const others = this.#branches
      .get(log)!
      .filter(({ origin, final }) => origin === branch.origin && final > 0)
    for (const other of others) {
      const common = Math.min(other.final, branch.final)
      if (!has(other, common, branch.roots[common - 1]!) && !this.#suspects.mayFork(log, this.#cluster))
        this.#cluster.report('promise 3', 'a committee', `two histories of ${log} are final at ${common}`)
    }
  }

  /** The branch whose head was cosigned; where a log has only one, nothing needs to be verified to know it. */
  #branchOf(
    witness: SimNode,
    log: string,
    { size, line }: MessageOf<'witness/cosigned'>,
  ): Branch | undefined {
    const branches = (this.#branches.get(log) ?? []).filter(({ roots }) => roots.length >= size)
    if (branches.length <= 1 && !this.#suspects.has(log)) return branches[0]
    const [parsed] = parseLines(text(line))
    const name = cosignerName(witness.org)
    const key = keyOf(witness.env.self.identity, 'witness')
    return branches.find(({ origin, roots }) => {
      const body = formatCheckpoint({ origin, size, root: roots[size - 1]! })
      return parsed && verifyCosignature(body, parsed, name, key)
    })
  }
}

/** The key of a head in the store, of whichever log. */
export const isHead = (key: string): boolean => /^(log-\d+\/)?head\/\d+$/.test(key)

const emptyBranch = (origin: string, { chain }: SimNode): Branch => ({
  origin,
  number: chain.logs.findIndex((_, number) => originOf(chain, number) === origin),
  leaves: [],
  range: emptyRange,
  roots: [],
  cosigned: new Map(),
  final: 0,
})

const has = ({ roots }: Branch, size: number, root: Uint8Array): boolean =>
  roots.length >= size && equal(roots[size - 1]!, root)

/** Reads on in the store of the log's owner, and keeps what it read if it comes to this root. */
function extend(branch: Branch, { env }: SimNode, size: number, root: Uint8Array): boolean {
  const leaves: Uint8Array[] = []
  const roots: Uint8Array[] = []
  let { range } = branch
  const get = branch.number === logNumber(env.get) ? env.get : closedLog(env.get, branch.number)
  for (const { entry } of readEntries(get, branch.leaves.length, size)) {
    const leaf = leafHash(entry)
    range = appendLeaf(range, leaf)
    leaves.push(leaf)
    roots.push(rootOf(range))
  }
  if (!equal(rootOf(range), root)) return false
  branch.leaves.push(...leaves)
  branch.roots.push(...roots)
  branch.range = range
  return true
}

/** A head of the sender's own log in a message. */
function ownNote(message: Message): Uint8Array | undefined {
  switch (message.t) {
    case 'head/show':
    case 'head/proof':
    case 'witness/add':
    case 'proof/reply':
      return message.note
    default:
      return undefined
  }
}
