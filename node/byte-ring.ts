const FIRST_BYTES = 65_536

/**
 * Bytes that came and are not consumed, in one piece of memory that is used again and again. Kept as they came, in many
 * buffers, they would outlive the young generation, and each few megabytes cost a collection of the whole heap.
 */
export class ByteRing {
  readonly #maxBytes: number
  #bytes: Uint8Array = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #start = 0
  #length = 0

  /** Begins with 64 KiB and grows as it is needed, up to `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  get length(): number {
    return this.#length
  }

  /** Throws RangeError where there is no room. */
  push(bytes: Uint8Array): void {
    if (this.#length + bytes.length > this.#bytes.length) this.#grow(this.#length + bytes.length)
    const end = (this.#start + this.#length) % this.#bytes.length
    const first = bytes.subarray(0, this.#bytes.length - end)
    this.#bytes.set(first, end)
    this.#bytes.set(bytes.subarray(first.length), 0)
    this.#length += bytes.length
  }

  /** The oldest bytes, at most `max` and at least one if there is any. They stay as they are until `drop` or `clear`. */
  peek(max: number): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#start + Math.min(max, this.#length))
  }

  /** Makes room of the oldest bytes. */
  drop(length: number): void {
    this.#start = (this.#start + length) % this.#bytes.length
    this.#length -= length
  }

  clear(): void {
    this.#start = 0
    this.#length = 0
  }

  /** Into new memory: what was given out by `peek` stays as it is. */
  #grow(length: number): void {
    if (length > this.#maxBytes) throw new RangeError(`no room for ${length} bytes`)
    let size = this.#bytes.length
    while (size < length) size *= 2
    const grown = Buffer.allocUnsafeSlow(Math.min(size, this.#maxBytes))
    const first = this.#bytes.subarray(this.#start, this.#start + this.#length)
    grown.set(first)
    grown.set(this.#bytes.subarray(0, this.#length - first.length), first.length)
    this.#bytes = grown
    this.#start = 0
  }
}
