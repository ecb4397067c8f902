/**
 * Re-checking a whole log: every entry chained and hashed anew, every head that is at hand held against the tree, every
 * cosignature verified. Entries are handed in from the first on; nothing of them is kept.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import {
  appendLeaf,
  type CompactRange,
  consistencyPath,
  emptyRange,
  leafHash,
  rootOf,
  treeRoot,
} from '../crypto/merkle.ts'
import type { ProtocolCode } from './error.ts'
import { proveFork } from './fork.ts'
import { type Chain, cosignatureOf, cosignerNames } from './identity-chain.ts'
import { type Entry, type Head, KIND, logDigest, readEntry, readHead, ZERO_HASH } from './log.ts'
import { readState } from './state.ts'

export interface Fault {
  code: Extract<ProtocolCode, 'HEAD_INVALID' | 'HEAD_INCONSISTENT' | 'ENTRIES_INVALID' | 'SIGNATURE_INVALID'>
  /** Entries up to which the log was sound. */
  size: number
  text: string
}

export interface AuditReport {
  /** Entries that were checked, and the root over them. */
  size: number
  root: string
  entries: { genesis: number; record: number; state: number; committee: number; unknown: number }
  /** Heads that fit the tree, and those past the entries that are at hand. */
  heads: { checked: number; beyond: number }
  /** Cosignatures that verify, and the size up to which there are any. */
  cosignatures: number
  cosignedSize: number
  faults: Fault[]
}

interface Known extends Head {
  bytes: Uint8Array
}

export class Audit {
  readonly #chain: Chain
  readonly #heads: Known[] = []
  readonly #faults: Fault[] = []
  readonly #entries = { genesis: 0, record: 0, state: 0, committee: 0, unknown: 0 }
  /** Heads that the tree of the entries contradicts, with the root that it has at their size. */
  readonly #contradicted: { head: Known; root: Uint8Array }[] = []
  #cosignatures = 0
  #cosignedSize = 0
  #range: CompactRange = emptyRange
  #last: Uint8Array = ZERO_HASH
  #next = 0
  #checked = 0
  #stated = 0
  #broken = false

  /** `notes` are heads of the log of `chain`'s organisation, `witnesses` whoever may have cosigned them. */
  constructor(chain: Chain, notes: Uint8Array[], witnesses: Chain[]) {
    this.#chain = chain
    for (const bytes of notes) {
      const head = readHead(bytes, chain)
      if ('reason' in head) this.#fault('HEAD_INVALID', head.reason)
      else this.#heads.push({ ...head, bytes })
    }
    this.#heads.sort((a, b) => a.size - b.size)
    for (const head of this.#heads) for (const witness of witnesses) this.#cosigned(head, witness)
  }

  get size(): number {
    return this.#range.size
  }

  #cosigned(head: Known, witness: Chain): void {
    const names = new Set(cosignerNames(witness))
    if (!head.note.lines.some(({ name }) => names.has(name))) return
    if (!cosignatureOf(witness, head.note)) {
      const { name } = witness.genesis.payload
      this.#fault(
        'SIGNATURE_INVALID',
        `the cosignature of ${name} over the head of ${head.size} does not verify`,
      )
      return
    }
    this.#cosignatures++
    this.#cosignedSize = head.size
  }

  /** The entries that follow those of before. After the first that does not fit nothing is looked at. */
  take(entries: Uint8Array[]): void {
    for (const bytes of entries) {
      if (this.#broken) return
      const wrong = this.#entry(bytes)
      if (wrong) {
        this.#broken = true
        this.#fault('ENTRIES_INVALID', wrong)
        return
      }
      this.#headsHere()
    }
  }

  /** Entries that are missing, or do not come in the form of a bundle. */
  missing(why: string): void {
    this.#broken = true
    this.#fault('ENTRIES_INVALID', why)
  }

  #entry(bytes: Uint8Array): string | undefined {
    const { size } = this.#range
    const entry = readEntry(bytes)
    if ('reason' in entry) return `entry ${size}: ${entry.reason}`
    if (entry.n !== size || !equal(entry.p, this.#last)) return `entry ${size} breaks the chain`
    const wrong = this.#kind(entry)
    if (wrong) return wrong
    this.#last = leafHash(bytes)
    this.#range = appendLeaf(this.#range, this.#last)
    return undefined
  }

  #kind(entry: Entry): string | undefined {
    const { k, n, x } = entry
    if ((n === 0) !== (k === KIND.genesis)) return `entry ${n} is of kind ${k}`
    if (n === 0) {
      this.#entries.genesis++
      // A successor also says where the closed log ended.
      const named =
        x?.length === (this.#chain.logs.length > 1 ? 3 : 1) && equal(x[0]!, logDigest(this.#chain))
      return named ? undefined : 'entry 0 does not open this log'
    }
    if (k === KIND.record) this.#entries.record++
    else if (k === KIND.state) return this.#state(entry)
    else if (k === KIND.committee && x?.length === 1) this.#entries.committee++
    else this.#entries.unknown++
    return undefined
  }

  #state(entry: Entry): string | undefined {
    this.#entries.state++
    const state = readState(entry)
    if ('reason' in state) return state.reason
    if (state.next !== this.#stated) return `state entry ${entry.n} does not name the one before`
    this.#stated = entry.n + 1
    return undefined
  }

  #headsHere(): void {
    const { size } = this.#range
    for (let head = this.#heads[this.#next]; head && head.size <= size; head = this.#heads[++this.#next]) {
      if (head.size < size) continue
      const root = rootOf(this.#range)
      if (equal(root, head.root)) this.#checked++
      else {
        this.#contradicted.push({ head, root })
        this.#fault('HEAD_INCONSISTENT', `the head of ${size} entries has another root than the entries`)
      }
    }
  }

  #fault(code: Fault['code'], text: string): void {
    this.#faults.push({ code, size: this.#range.size, text })
  }

  report(): AuditReport {
    return {
      size: this.#range.size,
      root: toHex(rootOf(this.#range)),
      entries: this.#entries,
      heads: { checked: this.#checked, beyond: this.#heads.length - this.#next },
      cosignatures: this.#cosignatures,
      cosignedSize: this.#cosignedSize,
      faults: this.#faults,
    }
  }

  /** Whether two heads were found that cannot both be of one log: `proof` shows it to anybody. */
  get isForked(): boolean {
    return this.#contradicted.length > 0
  }

  /**
   * The portable proof, from the hashes of all leaves in their order, which takes a second pass. `undefined` when the entries
   * are under no signed head themselves: then they prove nothing against their owner.
   */
  proof(leaves: Uint8Array[]): Uint8Array | undefined {
    const [first] = this.#contradicted
    const { payload, bytes, id } = this.#chain.genesis
    const owner = { id, identity: payload, identityBytes: bytes, chain: this.#chain }
    const newer = this.#heads.findLast(
      ({ size, root }) => size <= leaves.length && equal(treeRoot(leaves.slice(0, size)), root),
    )
    if (!first || !newer) return undefined
    const { head, root } = first
    if (newer.size < head.size) return proveFork(owner, newer.bytes, head.bytes, { root, path: [] })
    const node = (level: number, at: number) => treeRoot(leaves.slice(at * 2 ** level, (at + 1) * 2 ** level))
    const path = newer.size === head.size ? [] : consistencyPath(head.size, newer.size, node)
    return proveFork(owner, head.bytes, newer.bytes, { root, path })
  }
}
