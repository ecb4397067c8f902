/** Readings that are asked for again and again: an order is looked at in every step of its way, a committee in every order. */
import { sha256 } from '../crypto/hash.ts'

/**
 * `read`, which has one result for one byte string, with its last `most` results by the SHA-256 of exactly these bytes; the
 * oldest go first, and of more than `maxBytes` none is kept. A result is shared by all who ask, and not to be changed.
 */
export function remembering<T>(
  { most, maxBytes }: { most: number; maxBytes: number },
  read: (bytes: Uint8Array) => T,
): (bytes: Uint8Array) => T {
  const known = new Map<string, T>()
  return bytes => {
    if (bytes.length > maxBytes) return read(bytes)
    const name = String.fromCharCode(...sha256(bytes))
    const held = known.get(name)
    if (held !== undefined) return held
    const found = read(bytes)
    if (known.size >= most) known.delete(known.keys().next().value!)
    known.set(name, found)
    return found
  }
}

/**
 * The same by the array itself, which nobody changes, without a hash: for what a store gives again and again. Between `most`
 * and twice as many of the last are kept.
 */
export class Kept<T> {
  readonly #most: number
  readonly #maxBytes: number
  #young = new Map<Uint8Array, T>()
  #old = new Map<Uint8Array, T>()

  constructor({ most, maxBytes }: { most: number; maxBytes: number }) {
    this.#most = most
    this.#maxBytes = maxBytes
  }

  get(bytes: Uint8Array): T | undefined {
    const held = this.#young.get(bytes)
    if (held !== undefined) return held
    const older = this.#old.get(bytes)
    if (older !== undefined) this.set(bytes, older)
    return older
  }

  set(bytes: Uint8Array, value: T): void {
    if (bytes.length > this.#maxBytes) return
    if (this.#young.size >= this.#most) {
      this.#old = this.#young
      this.#young = new Map()
    }
    this.#young.set(bytes, value)
  }
}
