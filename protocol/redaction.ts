/** The word by which an organisation says that it destroyed what a record said (RULES D7); `erasure.ts` does it. */
import { MAX_NAME_LENGTH, MAX_WORD_LENGTH } from './limits.ts'
import { recordType } from './record.ts'
import { bytes, type Infer, link, object, text, uint } from './shape.ts'

const redactionShape = object({
  t: text(32),
  org: link,
  /** Id of the record, and its type: who meets the gap knows what stood there. */
  record: link,
  type: text(MAX_WORD_LENGTH),
  reason: text(MAX_NAME_LENGTH),
  made: uint,
  nonce: bytes(16),
})
export type Redaction = Infer<typeof redactionShape>
export const redaction = recordType({
  t: 'redaction/1',
  shape: redactionShape,
  signers: { keeper: { org: 'org', key: 'operation' } },
})
