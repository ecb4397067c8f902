/** The slots of a simulated node: keys that follow from its name, durable before they are taken. */
import { writeU64 } from '../crypto/bytes.ts'
import { sha256 } from '../crypto/hash.ts'

export class SimBodyKeys {
  readonly #seed: Uint8Array
  readonly #destroyed = new Set<number>()
  #taken = 0

  constructor(seed: Uint8Array) {
    this.#seed = sha256(seed)
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
    if (this.#destroyed.has(slot)) return undefined
    const key = this.#seed.slice()
    writeU64(key, 0, slot)
    return key
  }
}
