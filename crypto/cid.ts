/**
 * Content identifiers: CIDv1, SHA-256 with 32 bytes, codec dag-cbor or raw, written in base32 lower case. Nothing else
 * is a CID here: a hash that a verifier cannot compute is a link that nobody checks.
 */
import { base32 } from 'multiformats/bases/base32'
import { CID } from 'multiformats/cid'
import { concat, equal } from './bytes.ts'
import { CryptoError } from './error.ts'
import { sha256 } from './hash.ts'

export type { CID } from 'multiformats/cid'

export type Codec = 'dag-cbor' | 'raw'

const CODE: Record<Codec, number> = { 'dag-cbor': 0x71, raw: 0x55 }
const SHA2_256 = 0x12
const DIGEST_BYTES = 32
/** version, codec, hash function, digest length. */
const PREFIX_BYTES = 4
const CID_BYTES = PREFIX_BYTES + DIGEST_BYTES
/** `b` and 36 bytes in base32 without padding. */
const TEXT = /^b[a-z2-7]{58}$/

/** The CID of a block. */
export function cidOf(bytes: Uint8Array, codec: Codec): CID {
  return cidFromDigest(sha256(bytes), codec)
}

/** The CID of the block with this SHA-256. Throws CID_UNSUPPORTED unless it has 32 bytes. */
export function cidFromDigest(digest: Uint8Array, codec: Codec): CID {
  if (digest.length !== DIGEST_BYTES) throw unsupported('the digest has not 32 bytes')
  const held = recent[placeOf(digest, 0)]
  if (held && held.code === CODE[codec] && equal(digestOf(held), digest)) return held
  return build(concat(Uint8Array.of(1, CODE[codec], SHA2_256, DIGEST_BYTES), digest))
}

/** The CID in 36 bytes of binary form. Throws CID_UNSUPPORTED. */
export function cidFromBytes(bytes: Uint8Array): CID {
  const [version, codec, hash, length] = bytes
  if (bytes.length !== CID_BYTES || version !== 1 || hash !== SHA2_256 || length !== DIGEST_BYTES)
    throw unsupported('not a CIDv1 with SHA-256')
  if (codec !== CODE['dag-cbor'] && codec !== CODE.raw) throw unsupported('codec neither dag-cbor nor raw')
  const held = recent[placeOf(bytes, PREFIX_BYTES)]
  return held && equal(held.bytes, bytes) ? held : build(new Uint8Array(bytes))
}

/** The CID written as `b…`. Throws CID_UNSUPPORTED on anything that `toString` of such a CID would not write. */
export function parseCid(text: string): CID {
  if (!TEXT.test(text)) throw unsupported('not a CID in base32')
  let bytes: Uint8Array
  try {
    bytes = base32.decode(text)
  } catch {
    throw unsupported('not a CID in base32')
  }
  const cid = cidFromBytes(bytes)
  if (base32.encode(bytes) !== text) throw unsupported('not a CID in base32')
  return cid
}

/** `value` as a CID of the profile above, also from another copy of the library; else `undefined`. Never throws. */
export function asCid(value: unknown): CID | undefined {
  try {
    const cid = CID.asCID(value)
    return cid && inProfile(cid) ? cid : undefined
  } catch {
    return undefined // an object that only looks like a CID
  }
}

/** Whether the fields, which anybody can set, say the same as the bytes, which are hashed and sent. */
function inProfile({ version, code, multihash, bytes }: CID): boolean {
  if (version !== 1 || (code !== CODE['dag-cbor'] && code !== CODE.raw)) return false
  const { digest } = multihash
  if (multihash.code !== SHA2_256 || digest.length !== DIGEST_BYTES || bytes.length !== CID_BYTES)
    return false
  if (bytes[0] !== 1 || bytes[1] !== code || bytes[2] !== SHA2_256 || bytes[3] !== DIGEST_BYTES) return false
  for (let i = 0; i < DIGEST_BYTES; i++) if (bytes[PREFIX_BYTES + i] !== digest[i]) return false
  return true
}

/** The 32-byte SHA-256 that a CID names. */
export function digestOf(cid: CID): Uint8Array {
  return cid.multihash.digest
}

/** CIDs that were made of late, each at the place that its digest gives: the same ones come again and again, and the text of one is made once. */
const recent: (CID | undefined)[] = new Array(4_096).fill(undefined)
const placeOf = (bytes: Uint8Array, at: number): number =>
  (bytes[at]! | (bytes[at + 1]! << 8)) & (recent.length - 1)

/** A CID over 36 checked bytes that nobody else holds. */
function build(bytes: Uint8Array): CID {
  const multihash = {
    code: SHA2_256,
    size: DIGEST_BYTES,
    digest: bytes.subarray(PREFIX_BYTES) as Uint8Array<ArrayBuffer>,
    bytes: bytes.subarray(2) as Uint8Array<ArrayBuffer>,
  }
  const cid: CID = new CID(1, bytes[1]!, multihash, bytes)
  recent[placeOf(bytes, PREFIX_BYTES)] = cid
  return cid
}

function unsupported(why: string): CryptoError {
  return new CryptoError('CID_UNSUPPORTED', why)
}
