/**
 * The content of a packet: ciphertext blocks under one root (RULES F2).
 *
 *     plain bytes -> blocks of `block` bytes -> AES-256-GCM, tag appended -> SHA-256 of each = its digest
 *     root = CID of dagcbor { v, size, block, count, tree, key }
 *
 * `tree` is the RFC 6962 root over the blocks' CIDs, so one block's place is provable to a third party; `key` commits to the
 * content key, because GCM does not: one root has one key.
 */
import { concat, equal } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { PLAIN_DIGEST } from '../crypto/domain.ts'
import { type Hasher, hasher } from '../crypto/hash.ts'
import { appendLeaf, emptyRange, leafHash, rootOf } from '../crypto/merkle.ts'
import { TAG_BYTES } from '../crypto/sealing.ts'
import { ProtocolError } from './error.ts'
import { BLOCK_SIZES, MAX_BLOCKS, MAX_ROOT_BYTES } from './limits.ts'

export const DIGEST_BYTES = 32
export const SALT_BYTES = 32
/** CIDv1, raw, SHA-256 of 32 bytes: what stands before the digest of a block. */
const RAW_CID_PREFIX: Uint8Array = Uint8Array.of(0x01, 0x55, 0x12, 0x20)
const FIELDS = ['v', 'size', 'block', 'count', 'tree', 'key']

/** What the root of a packet is the CID of. */
export interface Root {
  v: 1
  /** Plain bytes. */
  size: number
  /** Plain bytes of each block but the last. */
  block: number
  /** Blocks. */
  count: number
  /** RFC 6962 root over the blocks' CIDs (36 bytes each), 32 bytes. */
  tree: Uint8Array
  /** Commitment to the content key, 32 bytes. */
  key: Uint8Array
}

/** The block size for content of `size` bytes: the smallest that stays within MAX_BLOCKS. Throws CONTENT_TOO_LARGE. */
export function blockSizeFor(size: number): number {
  const block = BLOCK_SIZES.find(block => size <= block * MAX_BLOCKS)
  if (block === undefined)
    throw new ProtocolError('CONTENT_TOO_LARGE', `${size} bytes are too many for a packet`)
  return block
}

/** The header of content with these digests (32 bytes of each block in order) under this key commitment. */
export function makeRoot(size: number, digests: Uint8Array, key: Uint8Array): Root {
  const block = blockSizeFor(size)
  return { v: 1, size, block, count: Math.ceil(size / block), tree: treeOfDigests(digests), key }
}

/** The header's bytes. Throws MALFORMED for a header that `decodeRoot` would refuse. */
export function encodeRoot(root: Root): Uint8Array {
  checkRoot({ ...root })
  return encode({ ...root })
}

/** The header in these bytes. Throws UNKNOWN_VERSION for a later version, MALFORMED for anything else that is wrong. */
export function decodeRoot(bytes: Uint8Array): Root {
  const value = decodeMap(bytes)
  if (value.v !== 1 && Number.isSafeInteger(value.v))
    throw new ProtocolError('UNKNOWN_VERSION', `a root header of version ${value.v}`)
  checkRoot(value)
  return value
}

/** The content root: the CID of the header. */
export function rootCid(root: Root): CID {
  return cidOf(encodeRoot(root), 'dag-cbor')
}

/** Bytes of block `index` as it is stored and sent. Throws RangeError where there is no such block. */
export function cipherBlockSize(root: Root, index: number): number {
  if (!Number.isSafeInteger(index) || index < 0 || index >= root.count)
    throw new RangeError(`there is no block ${index} of ${root.count}`)
  return Math.min(root.block, root.size - index * root.block) + TAG_BYTES
}

/** Where block `index` starts in the ciphertext, and for `count` where it ends. Bytes. */
export function cipherOffset(root: Root, index: number): number {
  return index * TAG_BYTES + Math.min(index * root.block, root.size)
}

/** A copy of the digest of block `index`, among digests that stand one behind the other. */
export function digestAt(digests: Uint8Array, index: number): Uint8Array {
  return Uint8Array.from(digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES))
}

/** The tree's root over digests that stand one behind the other, 32 bytes each. */
export function treeOfDigests(digests: Uint8Array): Uint8Array {
  let range = emptyRange
  for (let at = 0; at < digests.length; at += DIGEST_BYTES) {
    const cid = concat(RAW_CID_PREFIX, digests.subarray(at, at + DIGEST_BYTES))
    range = appendLeaf(range, leafHash(cid))
  }
  return rootOf(range)
}

/** Whether these are the digests of the root's blocks, all and in order. */
export function checkDigests(root: Root, digests: Uint8Array): boolean {
  return digests.length === root.count * DIGEST_BYTES && equal(treeOfDigests(digests), root.tree)
}

/** SHA-256(tag ‖ salt ‖ content), for content that comes piece by piece. The salt, 32 bytes, goes with the key. */
export function plainDigest(salt: Uint8Array): Hasher {
  if (salt.length !== SALT_BYTES) throw new RangeError(`a salt of ${salt.length} bytes`)
  return hasher().update(PLAIN_DIGEST).update(salt)
}

function decodeMap(bytes: Uint8Array): Record<string, unknown> {
  try {
    const value = decode(bytes, MAX_ROOT_BYTES)
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return value as Record<string, unknown>
  } catch (error) {
    throw malformed(`it does not decode: ${(error as Error).message}`)
  }
  throw malformed('it is not a map')
}

function checkRoot(value: Record<string, unknown>): asserts value is Record<string, unknown> & Root {
  for (const name of Object.keys(value))
    if (!FIELDS.includes(name)) throw malformed(`field '${name}' is not known`)
  const { v, size, block, count, tree, key } = value
  if (v !== 1) throw malformed('it has no version')
  if (!isCount(size) || !isCount(count) || !isCount(block)) throw malformed('a size is no count')
  if (!BLOCK_SIZES.some(allowed => allowed === block)) throw malformed(`blocks of ${block} bytes`)
  if (count > MAX_BLOCKS || count !== Math.ceil(size / block))
    throw malformed(`${size} bytes are not ${count} blocks of ${block}`)
  if (!isDigest(tree) || !isDigest(key)) throw malformed('a hash has not 32 bytes')
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isDigest(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.length === DIGEST_BYTES
}

function malformed(why: string): ProtocolError {
  return new ProtocolError('MALFORMED', `not a root header: ${why}`)
}
