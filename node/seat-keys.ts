/** The vote keys of own seats, as the core asks for them. They lie with the other secrets of the store, and go with it. */
import { equal } from '../crypto/bytes.ts'
import { keyFromSeed, type PrivateKey } from '../crypto/key.ts'
import type { Env } from '../protocol/context.ts'

/** Vote keys by handle: opening and deriving one costs more than a vote. One that was taken away is asked for in vain. */
export function seatKeys(secret: (handle: string) => Uint8Array | undefined): Env['seatKey'] {
  const known = new Map<string, { seed: Uint8Array; key: PrivateKey }>()
  return handle => {
    const seed = secret(handle)
    if (!seed) return undefined
    const held = known.get(handle)
    if (held && equal(held.seed, seed)) return held.key
    const key = keyFromSeed(seed)
    known.set(handle, { seed, key })
    return key
  }
}
