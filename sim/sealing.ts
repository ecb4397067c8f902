/** Ciphers for a simulated world: those of crypto/sealing-node.ts, charged to the meter. */

import type { SymmetricKey } from '../crypto/sealing.ts'
import * as real from '../crypto/sealing-node.ts'
import { meter } from './meter.ts'

export const symmetricKey: typeof real.symmetricKey = real.symmetricKey

export function aesGcmSeal(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  meter.charge('seal', plain.length)
  return real.aesGcmSeal(key, nonce, aad, plain)
}

export function aesGcmOpen(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  meter.charge('open', sealed.length)
  return real.aesGcmOpen(key, nonce, aad, sealed)
}

export function x25519Public(privateKey: Uint8Array): Uint8Array {
  meter.charge('x25519')
  return real.x25519Public(privateKey)
}

export function x25519Shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  meter.charge('x25519')
  return real.x25519Shared(privateKey, publicKey)
}
