/** What the disks of a world hold and rarely read again, in a file without a name: of ten thousand logs it is most of the bytes. */
import { openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Written at a time; what came last is read from here. */
const CHUNK_BYTES = 8 * 2 ** 20
/** A place is one number: where the bytes begin, above how many they are. */
const SPAN = 2 ** 17

export class Archive {
  readonly #file: number
  readonly #chunk = Buffer.alloc(CHUNK_BYTES)
  #written = 0
  #at = 0

  constructor() {
    const path = join(tmpdir(), `waybill-sim-${process.pid}-${performance.now()}`)
    this.#file = openSync(path, 'wx+', 0o600)
    unlinkSync(path)
  }

  /** Whether so many bytes can be put. */
  takes(bytes: Uint8Array): boolean {
    return bytes.length < SPAN
  }

  /** The place at which they are from here on. */
  put(bytes: Uint8Array): number {
    if (this.#at + bytes.length > CHUNK_BYTES) this.#flush()
    this.#chunk.set(bytes, this.#at)
    this.#at += bytes.length
    return (this.#written + this.#at - bytes.length) * SPAN + bytes.length
  }

  get(place: number): Uint8Array {
    const [at, length] = [Math.floor(place / SPAN), place % SPAN]
    if (at >= this.#written)
      return new Uint8Array(this.#chunk.subarray(at - this.#written, at - this.#written + length))
    const bytes = new Uint8Array(length)
    if (readSync(this.#file, bytes, 0, length, at) !== length)
      throw new Error('the archive is shorter than it was')
    return bytes
  }

  lengthOf(place: number): number {
    return place % SPAN
  }

  #flush(): void {
    for (let from = 0; from < this.#at; )
      from += writeSync(this.#file, this.#chunk, from, this.#at - from, this.#written + from)
    this.#written += this.#at
    this.#at = 0
  }
}
