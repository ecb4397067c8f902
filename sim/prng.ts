/** Chance as a function of a seed: the same on every machine, and a stream of its own for every purpose. */
import { utf8 } from '../crypto/bytes.ts'
import { sha256 } from '../crypto/hash.ts'

/**
 * sfc32, started from SHA-256 of seed and purpose: a purpose that draws more does not shift what the others draw. Nothing
 * that is not exact in every engine (no logarithms, no sines).
 */
export class Prng {
  #a: number
  #b: number
  #c: number
  #count = 1

  constructor(seed: number, purpose: string) {
    const view = new DataView(sha256(utf8(`${seed}/${purpose}`)).buffer)
    this.#a = view.getInt32(0)
    this.#b = view.getInt32(4)
    this.#c = view.getInt32(8)
  }

  /** 32 bits, unsigned. */
  next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0
    this.#count = (this.#count + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** An integer from 0 to below `n`. */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n)
  }

  /** An integer from `least` to `most`, both of them possible. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** True in so many of a million cases. */
  chance(ppm: number): boolean {
    return this.below(1_000_000) < ppm
  }

  pick<T>(among: readonly T[]): T {
    return among[this.below(among.length)]!
  }

  bytes(n: number): Uint8Array {
    const bytes = new Uint8Array(n)
    for (let i = 0; i < n; ) {
      const word = this.next()
      for (let shift = 0; shift < 32 && i < n; shift += 8) bytes[i++] = word >>> shift
    }
    return bytes
  }
}
