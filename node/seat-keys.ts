/** The vote keys of own seats, as the core asks for them. They lie with the other secrets of the store, and go with it. */
import { equal } from '../crypto/bytes.ts'
import { keyFromSeed, type PrivateKey } from '../crypto/key.ts'
import type { Env } from '../protocol/context.ts'

/**
 * Vote keys by handle: opening and deriving one costs more than a vote. One that was taken away is asked for in vain, and
 * what is `stored` under its handle is looked at each time.
 */
export function seatKeys(
  stored: (handle: string) => Uint8Array | undefined,
  open: (handle: string, sealed: Uint8Array) => Uint8Array,
): Env['seatKey'] {
  const known = new Map<string, { sealed: Uint8Array; key: PrivateKey }>()
  return handle => {
    const sealed = stored(handle)
    if (!sealed) return undefined
    const held = known.get(handle)
    if (held && equal(held.sealed, sealed)) return held.key
    const key = keyFromSeed(open(handle, sealed))
    known.set(handle, { sealed, key })
    return key
  }
}
