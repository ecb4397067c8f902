/** What is shared: an asset (data described for sharing) and its packets (published payloads, each with a content root). */
import { CLASSIFICATION_LEVELS, MAX_NAME_LENGTH, MAX_PARENTS, MAX_WORD_LENGTH } from './limits.ts'
import { recordType } from './record.ts'
import { bytes, type Infer, link, list, object, oneOf, optional, text, uint } from './shape.ts'

const publisher = { publisher: { org: 'org', key: 'operation' } } as const
const word = text(MAX_WORD_LENGTH)

const assetShape = object({
  t: text(32),
  org: link,
  title: text(MAX_NAME_LENGTH),
  /** `set`: packets that belong together and do not grow; series come with their own issue. */
  kind: oneOf('set'),
  classification: object({ domain: word, level: oneOf(...CLASSIFICATION_LEVELS) }),
  /** Version of ownership of the asset record, 0 until it is handed over (RULES E6). */
  ownerVersion: uint,
  /** The committee that alone can register it: with two of them it could be sold twice (RULES E2). */
  committee: optional(link),
  made: uint,
  nonce: bytes(16),
})
export type Asset = Infer<typeof assetShape>
export const asset = recordType({ t: 'asset/1', shape: assetShape, signers: publisher })

/** Figures about the content, in integers; ratios in parts per million (RULES B5). */
const quality = object({
  rows: optional(uint),
  completenessPpm: optional(uint),
  validityPpm: optional(uint),
  fromMs: optional(uint),
  untilMs: optional(uint),
})

const packetShape = object({
  t: text(32),
  org: link,
  asset: link,
  /** Position among the asset's packets, from 0. */
  packetSeq: uint,
  prev: optional(link),
  /** File name as the publisher knows it, without a folder outside the published one. */
  name: text(MAX_NAME_LENGTH),
  mediaType: text(MAX_NAME_LENGTH),
  /** Bytes of the plain content. */
  size: uint,
  /** CID of the content root (protocol/content.ts). */
  root: link,
  /** Salted digest of the plain bytes; the salt is released with the key (RULES F2). */
  digest: bytes(32),
  schema: optional(text(MAX_NAME_LENGTH)),
  quality: optional(quality),
  parents: list(link, MAX_PARENTS),
  /** Who made the content, as the publisher says. */
  maker: optional(text(MAX_NAME_LENGTH)),
  made: uint,
})
export type Packet = Infer<typeof packetShape>
export const packet = recordType({ t: 'packet/1', shape: packetShape, signers: publisher })
