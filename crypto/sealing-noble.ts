/** Ciphers by noble: the back end for browsers, and the cross-check. `sealing.ts` says what each function promises. */
import { gcm } from '@noble/ciphers/aes.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { keyBits, type SymmetricKey } from './sealing.ts'

export function symmetricKey(raw: Uint8Array): SymmetricKey {
  return { bits: keyBits(raw), handle: new Uint8Array(raw) }
}

export function aesGcmSeal(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  return gcm(key.handle as Uint8Array, nonce, aad).encrypt(plain)
}

export function aesGcmOpen(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  try {
    return gcm(key.handle as Uint8Array, nonce, aad).decrypt(sealed)
  } catch {
    return undefined
  }
}

export function x25519Public(privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(privateKey)
}

export function x25519Shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  try {
    return x25519.getSharedSecret(privateKey, publicKey)
  } catch {
    return undefined // noble refuses the all-zero result itself
  }
}
