/**
 * The content files of a home: for each packet its ciphertext and the digests of its blocks, both named by the digest of
 * the content root.
 *
 *     content/<root>.blocks   ciphertext blocks with their tags, one behind the other; there only when complete
 *     content/<root>.index    their SHA-256 digests, 32 bytes each; equals the tree in the root
 *     content/<root>.part     the first blocks of content that is being received
 */
import { join } from 'node:path'
import { toHex } from '../crypto/bytes.ts'
import { digestOf } from '../crypto/cid.ts'
import { type Root, rootCid } from '../protocol/content.ts'

export interface ContentPaths {
  blocks: string
  index: string
  part: string
}

export function contentPaths(dir: string, hex: string): ContentPaths {
  return {
    blocks: join(dir, `${hex}.blocks`),
    index: join(dir, `${hex}.index`),
    part: join(dir, `${hex}.part`),
  }
}

/** The name of a root's files: its digest in hex. */
export function rootHex(root: Root): string {
  return toHex(digestOf(rootCid(root)))
}
