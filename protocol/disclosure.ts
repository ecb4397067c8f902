/**
 * What a key release holds, for whoever is shown the one-time private key of the receipt that it answers: the proof of a
 * consumer that was sent nothing, or another key than the content's (RULES F3).
 */
import { equal } from '../crypto/bytes.ts'
import { keyCommitment } from '../crypto/cipher.ts'
import { CryptoError } from '../crypto/error.ts'
import { oneTimePublic, open } from '../crypto/seal.ts'
import { decodeRoot } from './content.ts'
import { ProtocolError } from './error.ts'
import { readEvidence } from './evidence.ts'
import { type Rejected, type Release, release, releaseInfo } from './receipt.ts'
import { isStored, readRecord } from './record.ts'

/** The content key and the salt of the digest; or why not, in the words of `rejected/1`. */
export type Disclosure =
  | { opens: true; contentKey: Uint8Array; salt: Uint8Array }
  | { opens: false; reason: Extract<Rejected['reason'], 'seal' | 'key'> }

const KEY_BYTES = 32

/**
 * Opens the release in evidence of a delivery, which is to be verified first: here its parts are taken as they are.
 * Throws EVIDENCE_MALFORMED where there is no release or root, KEY_INVALID for another key than the one it was sealed to:
 * that one opens nothing, and proves nothing.
 */
export function discloseRelease(fileBytes: Uint8Array, oneTimePrivate: Uint8Array): Disclosure {
  const { payload, rootKey } = parts(fileBytes)
  const isItsKey =
    oneTimePrivate.length === KEY_BYTES && equal(oneTimePublic(oneTimePrivate), payload.oneTime)
  if (!isItsKey) throw new CryptoError('KEY_INVALID', 'the key release is sealed to another one-time key')
  const secret = unsealed(payload, oneTimePrivate)
  if (!secret) return { opens: false, reason: 'seal' }
  const [contentKey, salt] = [secret.slice(0, KEY_BYTES), secret.slice(KEY_BYTES)]
  if (!equal(keyCommitment(contentKey), rootKey)) return { opens: false, reason: 'key' }
  return { opens: true, contentKey, salt }
}

function parts(fileBytes: Uint8Array): { payload: Release; rootKey: Uint8Array } {
  const read = readEvidence(fileBytes)
  if (!('claim' in read)) throw malformed('broken' in read ? read.broken : read.unknown)
  const [released, root] = [read.part('release'), read.part('root')]
  if (released.is !== 'here' || root.is !== 'here')
    throw malformed('it holds no key release with its content root')
  const stored = readRecord(release, released.bytes)
  if (!isStored(stored)) throw malformed(stored.reason)
  return { payload: stored.payload, rootKey: decodeRoot(root.bytes).key }
}

function unsealed(
  { agreement, packet, enc, ct }: Release,
  oneTimePrivate: Uint8Array,
): Uint8Array | undefined {
  try {
    return open(oneTimePrivate, enc, releaseInfo(agreement, packet), ct)
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'SEAL_NOT_AUTHENTIC') return undefined
    throw error
  }
}

const malformed = (why: string): ProtocolError => new ProtocolError('EVIDENCE_MALFORMED', why)
