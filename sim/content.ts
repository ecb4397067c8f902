/** Content of simulated nodes, sealed as an import does it and opened as an exchange does it, in memory. */
import { concat, equal, utf8 } from '../crypto/bytes.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { blockKey, keyCommitment, openBlock, sealBlock } from '../crypto/cipher.ts'
import { CryptoError } from '../crypto/error.ts'
import { sha256 } from '../crypto/hash.ts'
import { open } from '../crypto/seal.ts'
import type { PacketDraft } from '../protocol/command.ts'
import { blockSizeFor, encodeRoot, makeRoot, plainDigest, type Root } from '../protocol/content.ts'
import type { Opening } from '../protocol/delivery.ts'

/** What is wrong with content that does not come out as its packet says. */
export type Spoilt = 'key' | 'block' | 'digest'

export interface SealedContent {
  draft: PacketDraft
  blocks: Uint8Array[]
  /** Content key and salt: what a release seals. */
  secret: Uint8Array
}

/** Seals content; its key follows from name and bytes, so that a seed gives the same content always. */
export function sealContent(name: string, bytes: Uint8Array, spoilt?: Spoilt): SealedContent {
  const key = sha256(bytes, utf8(name))
  const salt = sha256(key)
  const [size, block] = [bytes.length, blockSizeFor(bytes.length)]
  const cipher = blockKey(key)
  const blocks = Array.from({ length: Math.ceil(size / block) }, (_, i) =>
    sealBlock(cipher, i, bytes.subarray(i * block, (i + 1) * block)),
  )
  if (spoilt === 'block') blocks[0]![0]! ^= 1
  const rootBytes = encodeRoot(makeRoot(size, digestsOf(blocks), keyCommitment(key)))
  const root = cidOf(rootBytes, 'dag-cbor')
  const digest = plainDigest(spoilt === 'digest' ? key : salt)
    .update(bytes)
    .digest()
  const draft = { name, mediaType: 'text/plain', size, root, rootBytes, digest }
  return { draft, blocks, secret: concat(spoilt === 'key' ? salt : key, salt) }
}

/** Digests of blocks, one behind the other. */
export const digestsOf = (blocks: Uint8Array[]): Uint8Array => concat(...blocks.map(block => sha256(block)))

export interface ReleaseOf {
  enc: Uint8Array
  ct: Uint8Array
  info: Uint8Array
  root: CID
  digest: Uint8Array
}

/** Opens a release and the content under it: what a consumer finds, and what a provider finds of a rejection. */
export function openRelease(
  oneTimePrivate: Uint8Array,
  { enc, ct, info, digest }: ReleaseOf,
  root: Root,
  blocks: Uint8Array[],
): { opening: Opening; secret?: Uint8Array } {
  const reject = (reason: 'seal' | 'key' | 'block' | 'digest', block?: number): { opening: Opening } => ({
    opening: { ok: false, reason, oneTimePrivate, ...(block === undefined ? {} : { block }) },
  })
  const secret = unless(() => open(oneTimePrivate, enc, info, ct))
  if (!secret) return reject('seal')
  const [key, salt] = [secret.slice(0, 32), secret.slice(32)]
  if (!equal(keyCommitment(key), root.key)) return reject('key')
  const [cipher, plain] = [blockKey(key), plainDigest(salt)]
  for (const [i, block] of blocks.entries()) {
    const opened = unless(() => openBlock(cipher, i, block))
    if (!opened) return reject('block', i)
    plain.update(opened)
  }
  return equal(plain.digest(), digest) ? { opening: { ok: true }, secret } : reject('digest')
}

/** What the work gives, or nothing where the cryptography refuses. */
function unless<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof CryptoError) return undefined
    throw error
  }
}
