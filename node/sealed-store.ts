/**
 * The store of a home with everything sealed that a body, a salt or a key stands in besides the records: states of
 * dialogues, proofs of partners' logs, secrets. A database keeps old versions of what was overwritten or deleted in it, so each
 * value has a slot of its own, and the slot is destroyed when the value goes (RULES D7).
 *
 * Records are sealed by the core, because entries take their salts from the slots; it asks for the end of a slot by writing
 * under `forget/`. Such a mark stays until the slot is destroyed, over a crash too.
 */
import { equal, readU64, writeU64 } from '../crypto/bytes.ts'
import { KEY, slotOf } from '../protocol/layout.ts'
import type { Write } from '../protocol/output.ts'
import type { Slots } from '../protocol/slots.ts'
import type { BodyKeys } from './body-keys.ts'
import { type ListOptions, type Store, StoreError } from './store.ts'

const SLOT_BYTES = 8
/** How long slots wait for others, so that one sync serves many. */
const DESTROY_MS = 1_000
/** Slots destroyed before others are looked for, at a start. */
const PAGE = 1_000

const SEALED = [
  KEY.negotiations,
  KEY.transfers,
  KEY.deliveries,
  KEY.grants,
  KEY.seenOffers,
  KEY.allProofs,
  KEY.roots,
  KEY.secrets,
]
const isSealed = (key: string): boolean => SEALED.some(prefix => key.startsWith(prefix))

export class SealedStore implements Store {
  readonly #inner: Store
  readonly #slots: Slots
  readonly #keys: BodyKeys
  /** Slots that are to be destroyed: their marks are durable. */
  #ending: number[] = []
  #timer: NodeJS.Timeout | undefined
  #destroying: Promise<void> = Promise.resolve()

  private constructor(inner: Store, slots: Slots, keys: BodyKeys) {
    this.#inner = inner
    this.#slots = slots
    this.#keys = keys
  }

  /** Before it is used, what an earlier life was asked to destroy is destroyed. */
  static async open(inner: Store, slots: Slots, keys: BodyKeys): Promise<SealedStore> {
    const store = new SealedStore(inner, slots, keys)
    for (;;) {
      const marks = await inner.list(KEY.forgets, { limit: PAGE })
      if (marks.length === 0) return store
      store.#ending.push(...marks.map(([key]) => slotOf(key)))
      await store.destroyNow()
      await inner.idle()
    }
  }

  get(key: string): Uint8Array | undefined {
    return this.#opened(key, this.#inner.get(key))
  }

  getDurable(key: string): Uint8Array | undefined {
    return this.#opened(key, this.#inner.getDurable(key))
  }

  commit(writes: Write[], release: () => void): boolean {
    const ends: number[] = []
    const sealed: Write[] = []
    for (const write of writes) {
      if (write.key.startsWith(KEY.forgets) && write.value) ends.push(slotOf(write.key))
      if (!isSealed(write.key)) sealed.push(write)
      else {
        if (!this.#holds(write)) return false
        const old = this.#inner.get(write.key)
        if (old) {
          const slot = readU64(old)!
          ends.push(slot)
          sealed.push({ key: KEY.forget(slot), value: new Uint8Array(0) })
        }
        sealed.push({ key: write.key, ...(write.value ? { value: this.#seal(write.value) } : {}) })
      }
    }
    return this.#inner.commit(sealed, () => {
      this.#end(ends)
      release()
    })
  }

  async list(prefix: string, options?: ListOptions): Promise<[string, Uint8Array][]> {
    const rows = await this.#inner.list(prefix, options)
    return rows.flatMap(([key, value]) => {
      // What was overwritten since the rows were read may be destroyed by now; what stands in its place is not.
      const opened = isSealed(key) ? (this.#tried(value) ?? this.getDurable(key)) : value
      return opened ? [[key, opened] as [string, Uint8Array]] : []
    })
  }

  /** As it lies there: sealed. */
  raw(): AsyncIterable<[string, Uint8Array]> {
    return this.#inner.raw()
  }

  idle(): Promise<void> {
    return this.#inner.idle()
  }

  /** Destroys now what waits for it; the keys are gone when it settles. */
  destroyNow(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const slots = this.#ending
    this.#ending = []
    if (slots.length > 0)
      this.#destroying = this.#destroying.then(async () => {
        await this.#keys.destroy(slots)
        this.#inner.commit(
          slots.map(slot => ({ key: KEY.forget(slot) })),
          () => {},
        )
      })
    return this.#destroying
  }

  async close(): Promise<void> {
    await this.destroyNow().catch(() => {}) // the marks stay, and the next start destroys
    await this.#inner.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #seal(value: Uint8Array): Uint8Array {
    const slot = this.#slots.take()
    const sealed = new Uint8Array(SLOT_BYTES + value.length)
    writeU64(sealed, 0, slot)
    this.#slots.seal(slot, value, sealed, SLOT_BYTES)
    return sealed
  }

  #opened(key: string, value: Uint8Array | undefined): Uint8Array | undefined {
    if (!value || !isSealed(key)) return value
    const opened = this.#tried(value)
    if (!opened) throw new StoreError('STORE_DAMAGED', `the key of ${key} is not in the file of body keys`)
    return opened
  }

  #tried(value: Uint8Array): Uint8Array | undefined {
    return this.#slots.open(readU64(value)!, value.subarray(SLOT_BYTES))
  }

  #holds({ key, if: condition }: Write): boolean {
    if (condition === undefined) return true
    const value = this.get(key)
    return condition === 'absent'
      ? value === undefined
      : value !== undefined && equal(value, condition.equals)
  }

  #end(slots: number[]): void {
    if (slots.length === 0) return
    this.#ending.push(...slots)
    // A process that ends does not wait for it: marks stay, and the next start destroys.
    this.#timer ??= setTimeout(() => this.destroyNow().catch(() => {}), DESTROY_MS).unref()
  }
}
