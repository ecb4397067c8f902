/**
 * Key release: HPKE (RFC 9180) in base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM, one message per
 * context. The receiver makes a one-time key per release; showing its private half later lets anybody open what was
 * sent (RULES F3). Synchronous and without randomness, so that a step of protocol/ stays a function.
 */
import { aesGcmOpen, aesGcmSeal, symmetricKey, x25519Public, x25519Shared } from '#sealing'
import { concat, utf8 } from './bytes.ts'
import { HPKE_INFO } from './domain.ts'
import { CryptoError } from './error.ts'
import { hkdfExpand, hkdfExtract } from './hash.ts'

export interface OneTimeKey {
  /** 32 bytes. */
  private: Uint8Array
  /** 32 bytes. */
  public: Uint8Array
}

export interface Sealed {
  /** The sender's one-time public key, 32 bytes. */
  enc: Uint8Array
  /** Ciphertext and 16-byte tag. */
  ct: Uint8Array
}

/** RFC 9180 section 7.3. The project uses AES-256-GCM; the RFC's vectors for X25519 are of AES-128-GCM. */
export interface Aead {
  id: number
  keyBytes: 16 | 32
}

export const AES_128_GCM: Aead = { id: 0x0001, keyBytes: 16 }
export const AES_256_GCM: Aead = { id: 0x0002, keyBytes: 32 }

const KEM_ID = 0x0020 // DHKEM(X25519, HKDF-SHA256), RFC 9180 section 7.1
const KDF_ID = 0x0001 // HKDF-SHA256, section 7.2
const MODE_BASE = 0x00
const KEY_BYTES = 32
const NONCE_BYTES = 12
const NO_BYTES = new Uint8Array(0)
const KEM_SUITE = concat(utf8('KEM'), u16(KEM_ID))

/** The key pair of 32 random bytes: DeriveKeyPair of RFC 9180 section 7.1.3. */
export function oneTimeKey(seed: Uint8Array): OneTimeKey {
  if (seed.length !== KEY_BYTES) throw new CryptoError('KEY_INVALID', 'a seed has 32 bytes')
  const prk = labeledExtract(KEM_SUITE, NO_BYTES, 'dkp_prk', seed)
  const secret = labeledExpand(KEM_SUITE, prk, 'sk', NO_BYTES, KEY_BYTES)
  return { private: secret, public: x25519Public(secret) }
}

/** The public half of a one-time key whose private half was disclosed. */
export const oneTimePublic = (privateKey: Uint8Array): Uint8Array => x25519Public(privateKey)

/**
 * Seals `plain` to a one-time public key, bound to `info`. `ephemeralSeed` is 32 bytes that are used for nothing else.
 * Throws KEY_INVALID if `to` is of small order: everybody could open the result.
 */
export function seal(to: Uint8Array, info: Uint8Array, plain: Uint8Array, ephemeralSeed: Uint8Array): Sealed {
  return sealWith(AES_256_GCM, to, concat(HPKE_INFO, info), NO_BYTES, plain, ephemeralSeed)
}

/** The plain bytes. Throws SEAL_NOT_AUTHENTIC for another key, `enc`, `info` or ciphertext than were sealed. */
export function open(privateKey: Uint8Array, enc: Uint8Array, info: Uint8Array, ct: Uint8Array): Uint8Array {
  return openWith(AES_256_GCM, privateKey, enc, concat(HPKE_INFO, info), NO_BYTES, ct)
}

/** SealBase of RFC 9180 section 6.1. */
export function sealWith(
  aead: Aead,
  to: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  plain: Uint8Array,
  ephemeralSeed: Uint8Array,
): Sealed {
  const ephemeral = oneTimeKey(ephemeralSeed)
  const dh = to.length === KEY_BYTES ? x25519Shared(ephemeral.private, to) : undefined
  if (!dh) throw new CryptoError('KEY_INVALID', 'the receiving key is no X25519 key to seal to')
  const { key, nonce } = schedule(aead, sharedSecret(dh, ephemeral.public, to), info)
  return { enc: ephemeral.public, ct: aesGcmSeal(symmetricKey(key), nonce, aad, plain) }
}

/** OpenBase of RFC 9180 section 6.1. */
export function openWith(
  aead: Aead,
  privateKey: Uint8Array,
  enc: Uint8Array,
  info: Uint8Array,
  aad: Uint8Array,
  ct: Uint8Array,
): Uint8Array {
  const fits = enc.length === KEY_BYTES && privateKey.length === KEY_BYTES
  const dh = fits ? x25519Shared(privateKey, enc) : undefined
  if (!dh) throw notAuthentic()
  const { key, nonce } = schedule(aead, sharedSecret(dh, enc, x25519Public(privateKey)), info)
  const plain = aesGcmOpen(symmetricKey(key), nonce, aad, ct)
  if (!plain) throw notAuthentic()
  return plain
}

/** ExtractAndExpand of RFC 9180 section 4.1, with kem_context = enc ‖ receiver's public key. */
function sharedSecret(dh: Uint8Array, enc: Uint8Array, receiver: Uint8Array): Uint8Array {
  const prk = labeledExtract(KEM_SUITE, NO_BYTES, 'eae_prk', dh)
  return labeledExpand(KEM_SUITE, prk, 'shared_secret', concat(enc, receiver), KEY_BYTES)
}

/** KeySchedule of RFC 9180 section 5.1 in base mode. The first message's nonce is the base nonce (section 5.2). */
function schedule(aead: Aead, secret: Uint8Array, info: Uint8Array): { key: Uint8Array; nonce: Uint8Array } {
  const suite = concat(utf8('HPKE'), u16(KEM_ID), u16(KDF_ID), u16(aead.id))
  const pskIdHash = labeledExtract(suite, NO_BYTES, 'psk_id_hash', NO_BYTES)
  const infoHash = labeledExtract(suite, NO_BYTES, 'info_hash', info)
  const context = concat(Uint8Array.of(MODE_BASE), pskIdHash, infoHash)
  const prk = labeledExtract(suite, secret, 'secret', NO_BYTES)
  return {
    key: labeledExpand(suite, prk, 'key', context, aead.keyBytes),
    nonce: labeledExpand(suite, prk, 'base_nonce', context, NONCE_BYTES),
  }
}

/** RFC 9180 section 4. */
function labeledExtract(suite: Uint8Array, salt: Uint8Array, label: string, ikm: Uint8Array): Uint8Array {
  return hkdfExtract(salt, concat(utf8('HPKE-v1'), suite, utf8(label), ikm))
}

/** RFC 9180 section 4. */
function labeledExpand(
  suite: Uint8Array,
  prk: Uint8Array,
  label: string,
  info: Uint8Array,
  length: number,
): Uint8Array {
  return hkdfExpand(prk, concat(u16(length), utf8('HPKE-v1'), suite, utf8(label), info), length)
}

function u16(n: number): Uint8Array {
  return Uint8Array.of(n >> 8, n & 0xff)
}

function notAuthentic(): CryptoError {
  return new CryptoError('SEAL_NOT_AUTHENTIC', 'the sealed bytes do not open with this key and info')
}
