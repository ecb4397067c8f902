/** Readings that are asked for again and again: an order is looked at in every step of its way, a committee in every order. */
import { equal } from '../crypto/bytes.ts'

/**
 * `read`, which has one result for one byte string, with its last `most` results; the oldest go first, and of more than
 * `maxBytes` none is kept. A result is shared by all who ask, and not to be changed. It is found by a sum, which anybody can
 * bend, and then by the array that it was read from or by a copy of its bytes: of two byte strings with one sum the newer is kept.
 */
export function remembering<T>(
  { most, maxBytes }: { most: number; maxBytes: number },
  read: (bytes: Uint8Array) => T,
): (bytes: Uint8Array) => T {
  const known = new Map<number, { from: Uint8Array; bytes: Uint8Array; found: T }>()
  return bytes => {
    if (bytes.length > maxBytes) return read(bytes)
    const sum = sumOf(bytes)
    const held = known.get(sum)
    if (held && (held.from === bytes || equal(held.bytes, bytes))) {
      held.from = bytes
      return held.found
    }
    const found = read(bytes)
    if (held) known.delete(sum)
    else if (known.size >= most) known.delete(known.keys().next().value!)
    known.set(sum, { from: bytes, bytes: new Uint8Array(bytes), found })
    return found
  }
}

/** So many bytes are summed up, evenly spread: of every digest within a record some. */
const SUMMED = 128

/** FNV-1a of some of the bytes; the whole, or a SHA-256 of it, costs five times as much. */
function sumOf(bytes: Uint8Array): number {
  let sum = 0x811c9dc5 ^ bytes.length
  const stride = Math.ceil(bytes.length / SUMMED)
  for (let i = 0; i < bytes.length; i += stride) sum = Math.imul(sum ^ bytes[i]!, 0x01000193)
  return sum
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
