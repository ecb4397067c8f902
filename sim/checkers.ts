/**
 * What must hold in every run, whatever the faults: the promises of GUARANTEES.md as far as their dialogues exist. The
 * checkers know the world only by what leaves the nodes and by what is on their disks, and keep their own books.
 */
import { equal, text, toHex } from '../crypto/bytes.ts'
import { formatCheckpoint, parseCheckpoint, verifyCosignature } from '../crypto/checkpoint.ts'
import { appendLeaf, type CompactRange, emptyRange, leafHash, rootOf } from '../crypto/merkle.ts'
import { parseLines, parseNote } from '../crypto/note.ts'
import { agreement } from '../protocol/agreement.ts'
import { packet } from '../protocol/asset.ts'
import { decodeRoot } from '../protocol/content.ts'
import type { Event } from '../protocol/event.ts'
import { cosignerName, keyOf } from '../protocol/identity.ts'
import { keptRecord, readEntries } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { originOf } from '../protocol/log.ts'
import type { Message, MessageOf } from '../protocol/message.ts'
import { mirrorGet } from '../protocol/mirror.ts'
import type { Write } from '../protocol/output.ts'
import { received, release } from '../protocol/receipt.ts'
import { isStored, type KeyResolver, readRecord, verifySignatures } from '../protocol/record.ts'
import type { Checker, Cluster, Leaving } from './cluster.ts'
import type { SimNode } from './node.ts'

/** Organisations whose store was put back to an earlier state, as they become so. */
export interface PutBack {
  /** All of them. */
  known: Set<string>
  /** Those whose store then knew no members: their log may fork, and its witnesses must not follow. */
  alone: Set<string>
}

/** Puts all checkers into a cluster. */
export function watchOver(cluster: Cluster, { known, alone }: PutBack): void {
  cluster.checkers.push(
    new ReleaseChecker(cluster),
    new DurabilityChecker(cluster),
    new HistoryChecker(cluster, alone),
    new CourtesyChecker(cluster, known),
    new MirrorChecker(cluster, known),
    { broke: (node, why) => cluster.report('a sound node', node.name, why) },
  )
}

/** Among nodes that keep to the protocol nobody finds a breach of it, whatever the weather; but clocks may be wrong. */
class CourtesyChecker implements Checker {
  readonly #cluster: Cluster
  readonly #putBack: ReadonlySet<string>

  constructor(cluster: Cluster, putBack: ReadonlySet<string>) {
    this.#cluster = cluster
    this.#putBack = putBack
  }

  event(node: SimNode, event: Event): void {
    if (event.type === 'forked' && !this.#putBack.has(event.org))
      this.#cluster.report('the protocol', node.name, `a sound log was closed: ${event.org}`)
    if (event.type === 'behind' && !this.#putBack.has(node.org))
      this.#cluster.report('the protocol', node.name, 'a sound store was held to be behind')
    if (event.type !== 'violation') return
    const { code, org, text: said } = event
    const isClock =
      code === 'CLOCK_BEHIND' || (code === 'OUT_OF_ORDER' && said.includes(' with CLOCK_BEHIND: '))
    if (isClock || this.#putBack.has(org) || this.#putBack.has(node.org)) return
    this.#cluster.report('the protocol', node.name, `found in breach of it: ${code}, ${said}`)
  }
}

/** A mirror holds, on its disk, exactly the entries that its owner's disk has. */
class MirrorChecker implements Checker {
  readonly #cluster: Cluster
  readonly #putBack: ReadonlySet<string>

  constructor(cluster: Cluster, putBack: ReadonlySet<string>) {
    this.#cluster = cluster
    this.#putBack = putBack
  }

  event(node: SimNode, event: Event): void {
    if (event.type !== 'mirrored' || this.#putBack.has(event.org) || this.#putBack.has(node.org)) return
    const { org, size } = event
    const held = readEntries(mirrorGet(onDisk(node), org), 0, size)
    let at = 0
    for (const { entry } of readEntries(onDisk(this.#cluster.node(org)!), 0, size)) {
      const copy = held.next().value
      if (!copy || !equal(copy.entry, entry))
        this.#cluster.report('a mirror', node.name, `entry ${at} of ${org} is not what its owner has`)
      at++
    }
    if (at !== size || !held.next().done)
      this.#cluster.report('a mirror', node.name, `${at} entries of ${size}`)
  }
}

const onDisk = (node: SimNode) => (key: string) => node.disk.get(key)
const keptBy = (node: SimNode) => ({ get: onDisk(node), slots: node.env.slots })

/** Promise 1: no content key leaves before both signatures, and the receipt for the ciphertext, are on the provider's disk. */
class ReleaseChecker implements Checker {
  readonly #cluster: Cluster
  readonly #signed = new Set<string>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  sent({ from, to, message }: Leaving): void {
    if (message.t !== 'delivery/release') return
    const read = readRecord(release, message.release)
    if (!isStored(read)) {
      this.#cluster.report('promise 1', from.name, 'a release that cannot be read')
      return
    }
    const { agreement: id, receipt } = read.payload
    if (!keptRecord(keptBy(from), receipt))
      this.#cluster.report('promise 1', from.name, 'a key left before the receipt was durable')
    const grant = from.disk.get(KEY.grant(to, id))
    if (!grant || !this.#isWhole(grant, id.toString(), to))
      this.#cluster.report('promise 1', from.name, `a key left without both signatures under ${id}`)
  }

  #isWhole(grant: Uint8Array, id: string, assignee: string): boolean {
    const name = `${id} ${toHex(grant.subarray(-8))}`
    if (this.#signed.has(name)) return true
    const read = readRecord(agreement, grant)
    const keys: KeyResolver = (org, role) => {
      const node = this.#cluster.node(org.toString())
      return node && keyOf(node.env.self.identity, role)
    }
    const whole =
      isStored(read) &&
      read.id.toString() === id &&
      read.payload.assignee.toString() === assignee &&
      verifySignatures(agreement, read, keys).ok === true
    if (whole) this.#signed.add(name)
    return whole
  }
}

/** The writes of one key: the last that was acknowledged, and those that were queued after it. */
interface Versions {
  acknowledged: Uint8Array | undefined
  queued: { seq: number; value: Uint8Array | undefined }[]
}

/** Promise 2: nothing leaves before what it rests on is on the disk, and what left is on the disk after a crash. */
class DurabilityChecker implements Checker {
  readonly #cluster: Cluster
  readonly #books = new Map<SimNode, Map<string, Versions>>()
  readonly #outputs = new Map<SimNode, Map<number, string[]>>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  queued(node: SimNode, seq: number, writes: Write[]): void {
    const book = this.#book(node)
    for (const { key, value } of writes) {
      const versions = book.get(key)
      if (versions) versions.queued.push({ seq, value })
      else book.set(key, { acknowledged: node.disk.get(key), queued: [{ seq, value }] })
    }
    this.#outputs.get(node)!.set(
      seq,
      writes.map(({ key }) => key),
    )
  }

  released(node: SimNode, seq: number): void {
    const [book, outputs] = [this.#book(node), this.#outputs.get(node)!]
    for (const key of outputs.get(seq) ?? []) {
      const versions = book.get(key)!
      for (let next = versions.queued[0]; next && next.seq <= seq; next = versions.queued[0]) {
        versions.acknowledged = next.value
        versions.queued.shift()
      }
      this.#compare(node, key, versions, 'was acknowledged before it was on the disk')
    }
    outputs.delete(seq)
    for (const earlier of outputs.keys())
      if (earlier < seq) this.#cluster.report('promise 2', node.name, `output ${seq} overtook ${earlier}`)
  }

  opened(node: SimNode): void {
    for (const [key, versions] of this.#book(node)) this.#compare(node, key, versions, 'did not survive')
    this.restored(node)
  }

  restored(node: SimNode): void {
    this.#books.delete(node)
    this.#outputs.delete(node)
  }

  /** A receipt says that the ciphertext is here. */
  sent({ from, message }: Leaving): void {
    if (message.t !== 'delivery/received') return
    const receipt = readRecord(received, message.receipt)
    const stored = isStored(receipt) && keptRecord(keptBy(from), receipt.payload.packet)
    const described = stored && readRecord(packet, stored)
    const root = described && isStored(described) && from.disk.get(KEY.root(described.payload.root))
    const whole =
      root &&
      this.#cluster.exchange(from).isWhole(described.payload.root, decodeRoot(root as Uint8Array).count)
    if (!whole) this.#cluster.report('promise 2', from.name, 'a receipt left before its content was durable')
  }

  #book(node: SimNode): Map<string, Versions> {
    const known = this.#books.get(node)
    if (known) return known
    const book = new Map<string, Versions>()
    this.#books.set(node, book)
    this.#outputs.set(node, new Map())
    return book
  }

  #compare(node: SimNode, key: string, { acknowledged, queued }: Versions, what: string): void {
    const value = node.disk.get(key)
    if (same(value, acknowledged) || queued.some(each => same(value, each.value))) return
    this.#cluster.report('promise 2', node.name, `${key} ${what}`)
  }
}

const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : equal(a, b)

/** One history of a log, as its heads showed it: leaves, and the root at each size. */
interface Branch {
  leaves: Uint8Array[]
  range: CompactRange
  roots: Uint8Array[]
}

interface Cosigned {
  size: number
  branch: Branch
}

/** Promise 3: no two heads of a log contradict each other, what a head covers never changes, and witnesses keep to one branch. */
class HistoryChecker implements Checker {
  readonly #cluster: Cluster
  readonly #liars: ReadonlySet<string>
  readonly #putBack = new Set<SimNode>()
  readonly #branches = new Map<string, Branch[]>()
  /** By witness and log. */
  readonly #cosigned = new Map<string, Cosigned>()

  constructor(cluster: Cluster, liars: ReadonlySet<string>) {
    this.#cluster = cluster
    this.#liars = liars
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
    if (this.#putBack.has(node)) return
    const [branch] = this.#branches.get(node.org) ?? []
    const leaves = branch?.leaves ?? []
    const kept = [...readEntries(onDisk(node), 0, leaves.length)]
    const changed = leaves.findIndex((leaf, i) => !kept[i] || !equal(leafHash(kept[i].entry), leaf))
    if (changed >= 0) this.#cluster.report('promise 3', node.name, `entry ${changed} under a head changed`)
  }

  #head(node: SimNode, note: Uint8Array): void {
    const { size, root } = parseCheckpoint(parseNote(text(note)).body)
    const branches = this.#branches.get(node.org) ?? []
    this.#branches.set(node.org, branches)
    if (branches.some(branch => has(branch, size, root))) return
    const longest = branches.at(-1)
    if (longest && longest.roots.length < size && extend(longest, node, size, root)) return
    const branch: Branch = { leaves: [], range: emptyRange, roots: [] }
    if (!extend(branch, node, size, root)) {
      this.#cluster.report('promise 3', node.name, `a head of ${size} that is not of its entries`)
      return
    }
    branches.push(branch)
    if (branches.length > 1 && !this.#liars.has(node.org))
      this.#cluster.report('promise 3', node.name, `a head of ${size} contradicts one that left before`)
  }

  #cosignature(witness: SimNode, log: string, message: MessageOf<'witness/cosigned'>): void {
    const branch = this.#branchOf(witness, log, message)
    const { size } = message
    if (!branch) {
      this.#cluster.report('promise 3', witness.name, `cosigned a head of ${size} that never left`)
      return
    }
    const name = `${witness.org} ${log}`
    const before = this.#cosigned.get(name)
    this.#cosigned.set(name, { size, branch })
    if (!before) return
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

  /** The branch whose head was cosigned; where a log has only one, nothing needs to be verified to know it. */
  #branchOf(
    witness: SimNode,
    log: string,
    { size, line }: MessageOf<'witness/cosigned'>,
  ): Branch | undefined {
    const branches = (this.#branches.get(log) ?? []).filter(({ roots }) => roots.length >= size)
    if (branches.length <= 1) return branches[0]
    const { chain } = this.#cluster.node(log)!.env.self
    const [parsed] = parseLines(text(line))
    const name = cosignerName(witness.org)
    const key = keyOf(witness.env.self.identity, 'witness')
    return branches.find(({ roots }) => {
      const body = formatCheckpoint({ origin: originOf(chain), size, root: roots[size - 1]! })
      return parsed && verifyCosignature(body, parsed, name, key)
    })
  }
}

const has = ({ roots }: Branch, size: number, root: Uint8Array): boolean =>
  roots.length >= size && equal(roots[size - 1]!, root)

/** Reads on in the store of the log's owner, and keeps what it read if it comes to this root. */
function extend(branch: Branch, node: SimNode, size: number, root: Uint8Array): boolean {
  const leaves: Uint8Array[] = []
  const roots: Uint8Array[] = []
  let { range } = branch
  for (const { entry } of readEntries(node.env.get, branch.leaves.length, size)) {
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
