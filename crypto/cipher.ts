/**
 * Content blocks: AES-256-GCM under one key per packet, nonce = block index. GCM does not commit to its key: a sender
 * could make one ciphertext that opens to different content under two keys. So a packet's root carries a commitment to
 * the content key, and the cipher's key is derived from it (RULES F2).
 */
import { aesGcmOpen, aesGcmSeal, symmetricKey } from '#sealing'
import { u64 } from './bytes.ts'
import { BLOCK_KEY, KEY_COMMITMENT } from './domain.ts'
import { CryptoError } from './error.ts'
import { hkdf, hmac } from './hash.ts'
import type { SymmetricKey } from './sealing.ts'

/** The cipher's key of one packet, ready for use. Make it once per packet. */
export type BlockKey = SymmetricKey

const CONTENT_KEY_BYTES = 32
const NONCE_BYTES = 12
const NO_BYTES = new Uint8Array(0)

/** HMAC(content key, tag): 32 bytes that a packet's root carries; collision-free, so one root has one key. */
export function keyCommitment(contentKey: Uint8Array): Uint8Array {
  checkKey(contentKey)
  return hmac(contentKey, KEY_COMMITMENT)
}

/** The blocks' key of a 32-byte content key, by HKDF: opening blocks tells nothing of other uses of the content key. */
export function blockKey(contentKey: Uint8Array): BlockKey {
  checkKey(contentKey)
  return symmetricKey(hkdf(contentKey, NO_BYTES, BLOCK_KEY, 32))
}

/** The block's ciphertext and 16-byte tag. A content key is fresh per packet, so that no (key, index) comes twice. */
export function sealBlock(key: BlockKey, index: number, plain: Uint8Array): Uint8Array {
  return aesGcmSeal(key, nonceOf(index), NO_BYTES, plain)
}

/** The plain bytes of block `index`. Throws BLOCK_NOT_AUTHENTIC under another key, index or ciphertext. */
export function openBlock(key: BlockKey, index: number, sealed: Uint8Array): Uint8Array {
  const plain = aesGcmOpen(key, nonceOf(index), NO_BYTES, sealed)
  if (!plain) throw new CryptoError('BLOCK_NOT_AUTHENTIC', `block ${index} does not open`)
  return plain
}

/** 12 bytes, most significant first. Throws RangeError unless `index` is an unsigned safe integer. */
function nonceOf(index: number): Uint8Array {
  const nonce = new Uint8Array(NONCE_BYTES)
  nonce.set(u64(index), NONCE_BYTES - 8)
  return nonce
}

/** HMAC pads keys with zeros, so that a shorter key could equal a longer one. */
function checkKey(contentKey: Uint8Array): void {
  if (contentKey.length !== CONTENT_KEY_BYTES)
    throw new CryptoError('KEY_INVALID', 'a content key has 32 bytes')
}
