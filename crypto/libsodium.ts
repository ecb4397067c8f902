/**
 * Signatures by libsodium, in half the time of OpenSSL, whose field elements have ten limbs here and not five: checked in 55 us
 * for 105, made in 18 for 34. For processes that run the packages which they were installed with: whatever is called
 * `sodium-native` beside a verifier that is a single file must not be run.
 */
import { createRequire } from 'node:module'
import { openssl, signaturesBy } from './backend-node.ts'
import { equal } from './bytes.ts'
import { CryptoError } from './error.ts'
import { selfTest } from './selftest.ts'

export interface Sodium {
  crypto_sign_verify_detached(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  /** Writes both; `secret`, 64 bytes, is the seed and its public key. */
  crypto_sign_seed_keypair(publicKey: Uint8Array, secret: Uint8Array, seed: Uint8Array): void
  /** Writes the signature. */
  crypto_sign_detached(signature: Uint8Array, message: Uint8Array, secret: Uint8Array): void
}

const installed = (): Sodium => createRequire(import.meta.url)('sodium-native')

/** False where there is none for this platform, or where its verdicts or signatures are others: all is as before then. */
export function useLibsodium(load: () => Sodium = installed): boolean {
  try {
    const sodium = load()
    const sign = signer(sodium)
    for (const message of MESSAGES)
      if (!equal(sign(SEED, message), openssl.sign(SEED, message))) throw new Error('other signatures')
    signaturesBy({ equation: sodium.crypto_sign_verify_detached, sign })
    selfTest()
    return true
  } catch {
    signaturesBy(openssl)
    return false
  }
}

const SEED = new Uint8Array(32)
/** With what is hashed before them, of one block of SHA-512 and of two. */
const MESSAGES = [0, 200].map(length => new Uint8Array(length))

function signer(sodium: Sodium): typeof openssl.sign {
  /** By the array of the seed, so that no copy of it outlives it. */
  const secrets = new WeakMap<Uint8Array, Uint8Array>()
  const secretOf = (seed: Uint8Array): Uint8Array => {
    const known = secrets.get(seed)
    if (known) return known
    // It would read 32 bytes from wherever a shorter one lies.
    if (seed.length !== 32) throw new CryptoError('KEY_INVALID', 'a seed has 32 bytes')
    const made = new Uint8Array(64)
    sodium.crypto_sign_seed_keypair(new Uint8Array(32), made, seed)
    secrets.set(seed, made)
    return made
  }
  return (seed, message) => {
    const signature = new Uint8Array(64)
    sodium.crypto_sign_detached(signature, message, secretOf(seed))
    return signature
  }
}
