/**
 * The store of a simulated node: group commit over a disk that forgets what was not durable. The rules of order are those
 * of node/store.ts (RULES A1, A2), and one test holds both to them; time and durability come from the medium.
 */
import { equal } from '../crypto/bytes.ts'
import type { Write } from '../protocol/output.ts'
import type { Archive } from './archive.ts'

export interface Operation {
  key: string
  value: Uint8Array | undefined
}

/** What a store stands on: when a group starts, and how it becomes durable, atomically. */
export interface Medium {
  readonly disk: Disk
  /** After this turn. */
  soon(work: () => void): void
  /** Writes the operations; `done` when they are durable, with the error when they are not and never will be. */
  sync(operations: Operation[], done: (error?: Error) => void): void
}

export interface Listing {
  after?: string
  limit?: number
  reverse?: boolean
}

/** What survives a power cut: what was synced. */
export class Disk {
  /** A number is a place in the archive. */
  #content = new Map<string, Uint8Array | number>()
  readonly #archive: Archive | undefined
  /** Of keys and values. */
  bytes = 0

  constructor(archive?: Archive) {
    this.#archive = archive
  }

  get(key: string): Uint8Array | undefined {
    return this.#value(this.#content.get(key))
  }

  apply(operations: Operation[]): void {
    for (const { key, value } of operations) {
      const before = this.#content.get(key)
      if (before !== undefined) this.bytes -= key.length + this.#length(before)
      if (value === undefined) this.#content.delete(key)
      else {
        this.#content.set(key, this.#kept(key, value))
        this.bytes += key.length + value.length
      }
    }
  }

  #kept(key: string, value: Uint8Array): Uint8Array | number {
    const archive = this.#archive
    return archive && COLD.test(key) && archive.takes(value) ? archive.put(value) : value
  }

  #value(kept: Uint8Array | number | undefined): Uint8Array | undefined {
    return typeof kept === 'number' ? this.#archive!.get(kept) : kept
  }

  #length(kept: Uint8Array | number): number {
    return typeof kept === 'number' ? this.#archive!.lengthOf(kept) : kept.length
  }

  /** Content under a prefix in key order, or backwards. */
  list(prefix: string, { after, limit = Infinity, reverse = false }: Listing = {}): [string, Uint8Array][] {
    const sign = reverse ? -1 : 1
    const found: string[] = []
    for (const key of this.#content.keys())
      if (key.startsWith(prefix) && (after === undefined || sign * order(key, after) > 0)) found.push(key)
    const sorted = found.sort((a, b) => sign * order(a, b)).slice(0, limit)
    return sorted.map(key => [key, this.get(key)!])
  }

  /** A copy, as a backup would be. */
  copy(): Map<string, Uint8Array> {
    return new Map([...this.#content.keys()].map(key => [key, this.get(key)!]))
  }

  /** The disk as it was when the copy was made. */
  restore(copy: ReadonlyMap<string, Uint8Array>): void {
    this.#content = new Map(copy)
    this.bytes = 0
    for (const [key, value] of copy) this.bytes += key.length + value.length
  }
}

/** What is written once or now and then and seldom read again: a log and what proves it, what is published and agreed, and whose seats. */
const COLD = /^(log\/run|tile|record|head|proofs|negotiation|seat|root|packet|asset|secret)\//

/** Order of UTF-8 bytes, which for surrogates is not that of UTF-16 units. */
function order(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)]
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

interface Group {
  operations: Operation[]
  releases: (() => void)[]
}

export class StoreFailed extends Error {
  override readonly name = 'StoreFailed'
  readonly code = 'STORE_FAILED'
}

/** The part that lives in memory: queued writes lie over the disk until their group is durable. */
export class VirtualStore {
  readonly #medium: Medium
  readonly #onFailure: (error: Error) => void
  readonly #overlay = new Map<string, Operation>()
  #open: Group = { operations: [], releases: [] }
  #busy = false
  #failed: StoreFailed | undefined

  constructor(medium: Medium, onFailure: (error: Error) => void) {
    this.#medium = medium
    this.#onFailure = onFailure
  }

  get(key: string): Uint8Array | undefined {
    if (this.#failed) throw this.#failed
    const queued = this.#overlay.get(key)
    return queued ? queued.value : this.#medium.disk.get(key)
  }

  /** Durable content only, like node/store.ts. */
  list(prefix: string, listing?: Listing): [string, Uint8Array][] {
    if (this.#failed) throw this.#failed
    return this.#medium.disk.list(prefix, listing)
  }

  /** Queues the writes unless a condition fails; `release` when this and every earlier commit is durable. */
  commit(writes: Write[], release: () => void): boolean {
    if (this.#failed) throw this.#failed
    for (const { key, if: condition } of writes)
      if (condition !== undefined && !this.#holds(key, condition)) return false
    for (const { key, value } of writes) {
      const operation = { key, value }
      this.#overlay.set(key, operation)
      this.#open.operations.push(operation)
    }
    this.#open.releases.push(release)
    this.#wake()
    return true
  }

  #holds(key: string, condition: 'absent' | { equals: Uint8Array }): boolean {
    const value = this.get(key)
    return condition === 'absent'
      ? value === undefined
      : value !== undefined && equal(value, condition.equals)
  }

  #wake(): void {
    if (this.#busy) return
    this.#busy = true
    this.#medium.soon(() => this.#run())
  }

  #run(): void {
    const group = this.#open
    this.#open = { operations: [], releases: [] }
    if (group.operations.length === 0) this.#settle(group)
    else this.#medium.sync(group.operations, error => (error ? this.#fail(error) : this.#settle(group)))
  }

  /** The group is durable: reads come from the disk again, except for keys that were queued anew since. */
  #settle(group: Group): void {
    for (const operation of group.operations)
      if (this.#overlay.get(operation.key) === operation) this.#overlay.delete(operation.key)
    try {
      for (const release of group.releases) release()
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#busy = false
    if (this.#open.releases.length > 0) this.#wake()
  }

  #fail(error: unknown): void {
    this.#failed = new StoreFailed(`the store cannot be written: ${error}`, { cause: error })
    this.#open = { operations: [], releases: [] }
    this.#onFailure(this.#failed)
  }
}
