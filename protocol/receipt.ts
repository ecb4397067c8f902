/**
 * The delivery records: `received` (the consumer verified the ciphertext), `key-release` (the content key, sealed to the
 * one-time key that the receipt names), then `opened` or `rejected` (RULES F3). Each links to the one before, so that a
 * third party can walk from the last to the agreement.
 */
import { concat } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { HPKE_INFO } from '../crypto/domain.ts'
import { recordType } from './record.ts'
import { bytes, type Infer, link, object, oneOf, optional, text, uint } from './shape.ts'

const consumer = { consumer: { org: 'consumer', key: 'operation' } } as const
const common = { t: text(32), consumer: link, provider: link, agreement: link, packet: link, made: uint }

const receivedShape = object({ ...common, oneTime: bytes(32) })
export type Received = Infer<typeof receivedShape>
export const received = recordType({ t: 'received/1', shape: receivedShape, signers: consumer })

/** HPKE output: `enc` 32 bytes; `ct` seals key ‖ salt (64 bytes) with a tag of 16. */
const releaseShape = object({ ...common, receipt: link, oneTime: bytes(32), enc: bytes(32), ct: bytes(80) })
export type Release = Infer<typeof releaseShape>
export const release = recordType({
  t: 'key-release/1',
  shape: releaseShape,
  signers: { provider: { org: 'provider', key: 'operation' } },
})

const openedShape = object({ ...common, release: link })
export type Opened = Infer<typeof openedShape>
export const opened = recordType({ t: 'opened/1', shape: openedShape, signers: consumer })

/** What failed: the seal, the key commitment, one block, or the whole content's digest. */
export const REJECTIONS = ['seal', 'key', 'block', 'digest'] as const
const rejectedShape = object({
  ...common,
  release: link,
  reason: oneOf(...REJECTIONS),
  /** The one-time private key: anybody can now open the release and see what it holds. */
  oneTimePrivate: bytes(32),
  /** Index of the failing block, for reason `block`. */
  block: optional(uint),
})
export type Rejected = Infer<typeof rejectedShape>
export const rejected = recordType({
  t: 'rejected/1',
  shape: rejectedShape,
  signers: consumer,
  rule: payload =>
    (payload.reason === 'block') === (payload.block !== undefined)
      ? undefined
      : 'rejected/1.block goes with reason block',
})

/** HPKE info of a key release: bound to one agreement and one packet. */
export const releaseInfo = (agreementId: CID, packetId: CID): Uint8Array =>
  concat(HPKE_INFO, digestOf(agreementId), digestOf(packetId))
