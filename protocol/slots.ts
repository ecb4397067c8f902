/**
 * Keys of bodies (RULES D7). What a record says is stored under a key of its own, which stands in a slot of a file outside
 * of the database; to destroy the key is to erase the body, wherever copies of the database lie, and the salt of its entry
 * with it. The core names slots and never sees a key (RULES A3).
 */
import { openBody, saltOfBody, sealBody } from '../crypto/body.ts'

/** What stands where nothing is sealed. */
export const NO_SLOT = 0

export interface Slots {
  /** A slot that nothing was ever sealed with, and whose key is durable: a commit that names it needs no second sync. */
  take(): number
  /** Puts the sealed body into `out`, from `at` on, and returns the salt of its entry. */
  seal(slot: number, body: Uint8Array, out: Uint8Array, at: number): Uint8Array
  /** Nothing when the key was destroyed. */
  open(slot: number, sealed: Uint8Array): Uint8Array | undefined
  salt(slot: number): Uint8Array | undefined
}

/** Slots over keys that a driver keeps; `key` gives nothing for one that was destroyed. */
export function slotsOver(keys: { take(): number; key(slot: number): Uint8Array | undefined }): Slots {
  const has = <T>(slot: number, use: (key: Uint8Array) => T): T | undefined => {
    const key = slot === NO_SLOT ? undefined : keys.key(slot)
    return key && use(key)
  }
  return {
    take: () => keys.take(),
    seal: (slot, body, out, at) => sealBody(keys.key(slot)!, body, out, at),
    open: (slot, sealed) => has(slot, key => openBody(key, sealed)),
    salt: slot => has(slot, saltOfBody),
  }
}
