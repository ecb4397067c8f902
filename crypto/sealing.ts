/** What a back end for ciphers offers; `#sealing` is node:crypto, or noble in a browser. */

/** An AES key in the back end's own form. Made once per key: importing costs three times what 4 KiB cost to cipher. */
export interface SymmetricKey {
  readonly bits: 128 | 256
  readonly handle: unknown
}

export interface Sealing {
  /** Takes 16 or 32 bytes. Throws RangeError for another length. */
  symmetricKey(raw: Uint8Array): SymmetricKey
  /** AES-GCM (NIST SP 800-38D): ciphertext ‖ 16-byte tag. `nonce` is 12 bytes and never used twice under one key. */
  aesGcmSeal(key: SymmetricKey, nonce: Uint8Array, aad: Uint8Array, plain: Uint8Array): Uint8Array
  /** The plain bytes; `undefined` if the tag does not fit. */
  aesGcmOpen(
    key: SymmetricKey,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined
  /** X25519 of a 32-byte private key and the base point (RFC 7748 section 6.1). */
  x25519Public(privateKey: Uint8Array): Uint8Array
  /** X25519: 32 bytes; `undefined` for the all-zero result, which a public key of small order gives. */
  x25519Shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined
}

/** What AES-GCM adds to what it seals. */
export const TAG_BYTES = 16

/** The size of an AES key in bits. Throws RangeError for lengths other than 16 and 32 bytes. */
export function keyBits(raw: Uint8Array): 128 | 256 {
  if (raw.length !== 16 && raw.length !== 32) throw new RangeError(`${raw.length} bytes are no AES key`)
  return raw.length === 16 ? 128 : 256
}
