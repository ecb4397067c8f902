/**
 * Values of the store that were read or written of late: a way into level and back costs ten times a look into a map, and
 * each input reads the same few keys, and what the one before it wrote. Two generations: what is asked for again moves into
 * the young one, and when that is full, what stayed behind in the old one goes.
 */

/** Bytes of one generation, with what an entry costs besides its value. */
const MAX_BYTES = 4 * 2 ** 20
const ENTRY_BYTES = 256
/** Larger values are read once and for all: pieces of the log, indexes of content. */
const MAX_VALUE_BYTES = 16_384

type Values = Map<string, Uint8Array | undefined>

export class ReadCache {
  readonly #read: (key: string) => Uint8Array | undefined
  #young: Values = new Map()
  #old: Values = new Map()
  #bytes = 0

  constructor(read: (key: string) => Uint8Array | undefined) {
    this.#read = read
  }

  get(key: string): Uint8Array | undefined {
    const value = this.#young.get(key)
    if (value !== undefined || this.#young.has(key)) return value
    const found = this.#old.has(key) ? this.#old.get(key) : this.#read(key)
    this.#keep(key, found)
    return found
  }

  /**
   * What is read from now on. Records, and what else is written by the hundred as parts of one large array, are kept only
   * where they were read before.
   */
  changed(key: string, value: Uint8Array | undefined): void {
    const isAlone = value !== undefined && value.length === value.buffer.byteLength
    if (!isAlone && !this.#young.has(key) && !this.#old.has(key)) return
    this.#young.delete(key)
    this.#old.delete(key)
    this.#keep(key, value)
  }

  #keep(key: string, value: Uint8Array | undefined): void {
    const length = value?.length ?? 0
    if (length > MAX_VALUE_BYTES) return
    // A part of a larger buffer would keep all of it alive.
    this.#young.set(key, value && length < value.buffer.byteLength ? value.slice() : value)
    this.#bytes += length + ENTRY_BYTES
    if (this.#bytes < MAX_BYTES) return
    this.#old = this.#young
    this.#young = new Map()
    this.#bytes = 0
  }
}
