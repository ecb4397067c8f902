import { streamClosed } from './frames.ts'

/** Reads exact lengths from chunks whose boundaries mean nothing. Throws STREAM_CLOSED where they end too early. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Uint8Array>
  #rest: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  async read(length: number): Promise<Uint8Array> {
    const target = new Uint8Array(length)
    await this.fill(target)
    return target
  }

  async fill(target: Uint8Array): Promise<void> {
    for (let at = 0; at < target.length; ) {
      const bytes = await this.#next(target.length - at)
      target.set(bytes, at)
      at += bytes.length
    }
  }

  /** Passes over bytes that are here already. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) left -= (await this.#next(left)).length
  }

  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  /** At least one byte and at most `max`. */
  async #next(max: number): Promise<Uint8Array> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next()
      if (done) throw streamClosed()
      this.#rest = value
    }
    const bytes = this.#rest.subarray(0, max)
    this.#rest = this.#rest.subarray(bytes.length)
    return bytes
  }
}
