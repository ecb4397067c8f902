/** Agreements that have both signatures, by the partner that each is with. */
import type { CID } from '../crypto/cid.ts'
import { type Agreement, agreement } from './agreement.ts'
import { KEY } from './layout.ts'
import type { Context } from './machine.ts'
import { isStored, readRecord, type Stored } from './record.ts'

/** A complete agreement with an organisation, as stored when its second signature came. */
export function readGrant(org: string, id: CID, context: Context): Stored<Agreement> | undefined {
  const found = context.get(KEY.grant(org, id))
  const read = found && readRecord(agreement, found)
  return read && isStored(read) && read.id.equals(id) ? read : undefined
}
