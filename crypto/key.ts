/**
 * Ed25519 keys and the one rule by which a signature counts. Stock verifiers disagree: node:crypto accepts public keys
 * of small order, noble multiplies by the cofactor, and both have changed between versions. A signature that half of
 * the mesh accepts is a fork that nobody can prove, so the rule is checked here and the back end only does arithmetic.
 */
import { base58btc } from 'multiformats/bases/base58'
import { equation, publicKey, sign as signWith } from '#backend'
import { concat, equal, fromHex } from './bytes.ts'
import { CryptoError } from './error.ts'
import { sha256 } from './hash.ts'

/** The algorithm number of Ed25519 in keys and signatures; 2 is reserved for ML-DSA-44. */
export const ED25519 = 1

export interface PrivateKey {
  alg: typeof ED25519
  /** 32 bytes. */
  seed: Uint8Array
  /** 32 bytes. */
  public: Uint8Array
}

const KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** The field prime p = 2^255 - 19 and the group order L, little-endian (RFC 8032 section 5.1). */
const P = fromHex(`ed${'ff'.repeat(30)}7f`)!
const L = fromHex('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')!
/** y of the eight points of small order: 0, 1, p - 1 and the two of the points of order 8. */
const SMALL_ORDER_Y = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  `ec${'ff'.repeat(30)}7f`,
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map(hex => fromHex(hex)!)
/** The curve's d in RFC 8032 section 5.1. */
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n
const FIELD = 2n ** 255n - 19n
/** did:key method, section 3.1.1: the multicodec of an Ed25519 public key, as a varint. */
const DID_PREFIX = Uint8Array.of(0xed, 0x01)
const DID_KEY = /^did:key:z[1-9A-HJ-NP-Za-km-z]{40,60}$/

/** The key pair of a 32-byte seed (RFC 8032 section 5.1.5). Throws KEY_INVALID for another length. */
export function keyFromSeed(seed: Uint8Array): PrivateKey {
  if (seed.length !== KEY_BYTES) throw new CryptoError('KEY_INVALID', 'a seed has 32 bytes')
  return { alg: ED25519, seed, public: publicKey(seed) }
}

/** 64 bytes, the same for the same key and message (RFC 8032 section 5.1.6). */
export function sign(key: PrivateKey, message: Uint8Array): Uint8Array {
  return signWith(key.seed, message)
}

/**
 * The one rule: S < L; A and R canonically encoded and not of small order; the cofactorless equation. Never throws.
 * About 0.06 ms in Node, 0.11 ms where that has no libsodium, 2 ms in a browser.
 */
export function verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isWellFormed(publicKey, signature) || isSmallOrderR(signature)) return false
  return equation(signature, message, publicKey)
}

/** The rule's checks of form, without that of a small-order R: see conviction.ts. */
export function isWellFormed(publicKey: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)]
  // S < L before the equation: noble's multiplication throws past L, and S + L would be a second signature.
  return isCanonical(r) && isLess(s, L) && isCanonical(publicKey) && !isSmallOrder(publicKey)
}

/** Whether R, the first half of a signature, is the canonical encoding of a point of small order. */
export function isSmallOrderR(signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && isSmallOrder(signature.subarray(0, 32))
}

/**
 * Whether a public key may be registered: 32 bytes, y < p, not of small order, and on the curve. `verify` needs only
 * the first three, because the equation never holds for an A that is no point. Points of mixed order pass: their
 * signatures still have one verdict. About 0.1 ms.
 */
export function goodPublicKey(bytes: Uint8Array): boolean {
  return isCanonical(bytes) && !isSmallOrder(bytes) && isOnCurve(bytes)
}

/** The name of a public key in records: SHA-256(algorithm number as one byte ‖ key), 32 bytes. */
export function thumbprint(publicKey: Uint8Array): Uint8Array {
  const known = thumbprints.get(publicKey)
  if (known) return known
  const made = sha256(Uint8Array.of(ED25519), publicKey)
  thumbprints.set(publicKey, made)
  return made
}

/** Of keys as they stand in identities and committees, which nobody changes: each is looked for by its name in every signature. */
const thumbprints = new WeakMap<Uint8Array, Uint8Array>()

/** The did:key of an Ed25519 public key: `did:key:z6Mk…`. */
export function didKey(publicKey: Uint8Array): string {
  return `did:key:${base58btc.encode(concat(DID_PREFIX, publicKey))}`
}

/** The 32-byte public key in a did:key. Throws KEY_INVALID unless it is a good Ed25519 key, written as `didKey` does. */
export function parseDidKey(text: string): Uint8Array {
  const bytes = DID_KEY.test(text) ? base58btc.decode(text.slice('did:key:'.length)) : new Uint8Array()
  const key = bytes.slice(DID_PREFIX.length)
  if (!equal(bytes.subarray(0, DID_PREFIX.length), DID_PREFIX) || !goodPublicKey(key) || didKey(key) !== text)
    throw new CryptoError('KEY_INVALID', `'${text.slice(0, 80)}' is no did:key of an Ed25519 key`)
  return key
}

/** Whether 32 bytes encode a y below p (RFC 8032 section 5.1.3, step 1). */
function isCanonical(point: Uint8Array): boolean {
  return point.length === KEY_BYTES && isLess(withoutSign(point), P)
}

/** For canonical encodings. Also true for x = 0 with the sign bit, which RFC 8032 section 5.1.3 step 4 refuses. */
function isSmallOrder(point: Uint8Array): boolean {
  const y = withoutSign(point)
  return SMALL_ORDER_Y.some(small => equal(small, y))
}

/**
 * RFC 8032 section 5.1.3, step 2: x² = (y² - 1) / (d y² + 1) has a root iff numerator times denominator is a square,
 * by Euler's criterion. The denominator is never zero, since -1/d is no square.
 */
function isOnCurve(point: Uint8Array): boolean {
  let y = 0n
  for (const byte of withoutSign(point).reverse()) y = (y << 8n) | BigInt(byte)
  const yy = (y * y) % FIELD
  const product = ((yy + FIELD - 1n) * (D * yy + 1n)) % FIELD
  return power(product, (FIELD - 1n) / 2n) <= 1n
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  let square = base
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % FIELD
    square = (square * square) % FIELD
  }
  return result
}

/** A copy with bit 255, the sign of x, cleared. */
function withoutSign(point: Uint8Array): Uint8Array {
  const y = new Uint8Array(point)
  y[31]! &= 0x7f
  return y
}

/** Whether a < b, 32 bytes each, little-endian. */
function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 31; i >= 0; i--) if (a[i] !== b[i]) return a[i]! < b[i]!
  return false
}
