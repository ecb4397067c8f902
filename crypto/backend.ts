/** What a back end for hashes and signatures offers; `#backend` is node:crypto, or noble in a browser. */

/** A SHA-256 in progress, for bytes that do not stand in memory at once. */
export interface Hasher {
  update(bytes: Uint8Array): this
  /** 32 bytes; the hasher cannot be used after it. */
  digest(): Uint8Array
}

export interface Backend {
  /** SHA-256: 32 bytes, in `out` where that is given. */
  sha256(bytes: Uint8Array, out?: Uint8Array): Uint8Array
  /** SHAKE256 (FIPS 202): fills `out`. */
  shake256(bytes: Uint8Array, out: Uint8Array): void
  createHash(): Hasher
  /**
   * Whether encode([S]B - [k]A) equals R bytewise, k = SHA-512(R ‖ A ‖ M) mod L: the cofactorless equation of RFC 8032
   * section 5.1.7. The caller has checked lengths, S < L, the encodings, and that A and R are not of small order; where
   * they are, back ends differ (node:crypto refuses them since 24.19). Never throws.
   */
  equation(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
  /** RFC 8032 section 5.1.6: 64 bytes. `seed` is 32 bytes. */
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array
  /** RFC 8032 section 5.1.5: 32 bytes. `seed` is 32 bytes. */
  publicKey(seed: Uint8Array): Uint8Array
}
