/**
 * Bodies at rest: a key seals one body and nothing else, and takes it along when it is destroyed. The key stream is
 * SHAKE256(tag ‖ key) (FIPS 202): its first 32 bytes are the salt of the body's log entry, the body is under the rest. There
 * is no tag of integrity: the entry commits to the body, and the record in it is signed.
 *
 * An extendable-output hash, because it stands in every append to the log: one call costs 2 us for 200 bytes, where a cipher
 * object of node:crypto costs 30 us to make under a fresh key, and noble's ChaCha20 3.5 us.
 */
import { shake256 } from '#backend'
import { concat } from './bytes.ts'
import { BODY } from './domain.ts'
import { CryptoError } from './error.ts'

export const BODY_KEY_BYTES = 32
const SALT_BYTES = 32

/** The key stream of most bodies fits here: arrays of more than 64 bytes are dear to make. */
const scratch = new Uint8Array(1024)

/** Puts the sealed body into `out`, from `at` on, and returns the salt of its entry. */
export function sealBody(key: Uint8Array, body: Uint8Array, out: Uint8Array, at: number): Uint8Array {
  const stream = streamOf(key, SALT_BYTES + body.length)
  for (let i = 0; i < body.length; i++) out[at + i] = body[i]! ^ stream[SALT_BYTES + i]!
  return stream.slice(0, SALT_BYTES)
}

/** What was sealed: the key stream comes off as it went on. */
export function openBody(key: Uint8Array, sealed: Uint8Array): Uint8Array {
  const body = new Uint8Array(sealed.length)
  sealBody(key, sealed, body, 0)
  return body
}

/** The salt that `sealBody` gave under this key. */
export const saltOfBody = (key: Uint8Array): Uint8Array => streamOf(key, SALT_BYTES).slice()

/** Holds until the next call. */
function streamOf(key: Uint8Array, length: number): Uint8Array {
  if (key.length !== BODY_KEY_BYTES) throw new CryptoError('KEY_INVALID', 'the key of a body has 32 bytes')
  const stream = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length)
  shake256(concat(BODY, key), stream)
  return stream
}
