/** Offers as a node holds them: its own, those that partners have shown it, and the assets that they are of. */
import type { CID } from '../crypto/cid.ts'
import { type Offer, offer } from './agreement.ts'
import { type Asset, asset } from './asset.ts'
import { keptRecord } from './kept.ts'
import { KEY } from './layout.ts'
import type { Context } from './machine.ts'
import { isStored, readRecord } from './record.ts'

/** An offer that this node made itself. */
export function ownOffer(id: CID, context: Context): Offer | undefined {
  const found = keptRecord(context, id)
  const read = found && readRecord(offer, found)
  const own = read && isStored(read) && read.id.equals(id) && read.payload.org.equals(context.self.id)
  return own ? read.payload : undefined
}

/** An offer of a partner, as its catalog showed it. */
export function seenOffer(
  { org, offer: id }: { org: string; offer: CID },
  context: Context,
): Offer | undefined {
  const seen = context.get(KEY.seenOffer(org, id))
  const known = seen && readRecord(offer, seen)
  return known && isStored(known) ? known.payload : undefined
}

/** The level of the asset that is offered; the highest where it is not known. */
export const level = (offered: Offer, context: Context): string =>
  described(offered.asset, context)?.classification.level ?? 'core'

/** What was said of an asset. */
export function described(id: CID, context: Context): Asset | undefined {
  const found = keptRecord(context, id)
  const read = found && readRecord(asset, found)
  return read && isStored(read) ? read.payload : undefined
}

/** Whether an offer is shown to an organisation. */
export const sees = (offered: Offer, org: string): boolean =>
  offered.audience.length === 0 || offered.audience.some(each => each.toString() === org)
