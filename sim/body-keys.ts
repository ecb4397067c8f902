/** The slots of a simulated node: keys that follow from its name, durable before they are taken. */
import { u64 } from '../crypto/bytes.ts'
import { hmac } from '../crypto/hash.ts'

export class SimBodyKeys {
  readonly #seed: Uint8Array
  readonly #destroyed = new Set<number>()
  #taken = 0

  constructor(seed: Uint8Array) {
    this.#seed = seed
  }

  take(): number {
    this.#taken += 1
    return this.#taken
  }

  /** Goes on from what another copy of the home had taken and destroyed. */
  follow(other: SimBodyKeys): void {
    this.#taken = other.#taken
    for (const slot of other.#destroyed) this.#destroyed.add(slot)
  }

  destroy(slot: number): void {
    this.#destroyed.add(slot)
  }

  key(slot: number): Uint8Array | undefined {
    return this.#destroyed.has(slot) ? undefined : hmac(this.#seed, u64(slot))
  }
}
