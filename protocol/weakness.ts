/** How weak a committee among those of an asset is, for a person who is to own it (RULES E1). */
import type { CID } from '../crypto/cid.ts'
import { type AssetCommittee, type Mode, modeOf } from './asset-committee.ts'
import type { Order } from './handover.ts'
import { KEY } from './layout.ts'
import type { Context } from './machine.ts'
import { type Ordering, orderIn } from './ordering-state.ts'
import { purchaseIn } from './ownership.ts'
import { type CommitteeRule, whyNotOwners, whyUntrusted } from './ownership-trust.ts'
import type { Stored } from './record.ts'
import { linksOf, openCommittee } from './title.ts'

/**
 * The committees of an asset, from its registration to after this order, and how many seats each has lost: what became of one
 * that was replaced says nothing of what it certified before.
 */
function committeesOf(o: Pick<Ordering, 'asset' | 'version' | 'next'>, get: Context['get']) {
  const links = linksOf(get, o.asset, 0, o.version)
  const shown = links.flatMap(({ committee }) => (committee ? [openCommittee(committee)] : []))
  const inForce = [...shown.slice(-1), ...(o.next ? [openCommittee(o.next)] : [])]
  return [
    ...shown.slice(0, -1).map(({ payload }) => ({ payload, lost: 0 })),
    ...inForce.map(each => ({ payload: each.payload, lost: lostIn(each, get).length })),
  ]
}

/** Of what is not known here yet: a registration that is offered. */
type Offered = Partial<Pick<Ordering, 'order' | 'bought'>>

/** How its owners came by what is registered: by the registration that is known here, or the one that is offered. */
function soldIn(o: Pick<Ordering, 'asset'> & Offered, get: Context['get']) {
  const [{ order, bought } = o] = linksOf(get, o.asset, 0, 1)
  const sold = purchaseIn(bought)
  return sold && order && { ...sold, parties: [...sold.sale.parties, ...orderIn({ order }).parties] }
}

/** Seats that say that they lost their votes, as far as it was heard here (RULES E3). */
export const lostIn = ({ id, payload }: Stored<AssetCommittee>, get: Context['get']): CID[] =>
  payload.seats.map(({ org }) => org).filter(org => get(KEY.lostSeat(id, org.toString())))

/** Why no certificate of an order can come any more: too few seats are left that vote. */
export function silent(
  committee: Stored<AssetCommittee>,
  { parties }: Order,
  get: Context['get'],
): { code: 'SEAT_LOST'; text: string } | undefined {
  const { seats, q } = committee.payload
  const lost = lostIn(committee, get)
  const mute = [...lost, ...parties]
  const left = seats.filter(({ org }) => !mute.some(each => each.equals(org))).length
  if (lost.length === 0 || left >= q) return undefined
  const text = `${lost.length} of ${seats.length} seats lost their votes, and ${left} others are fewer than the ${q} that must vote: signed, it would stand still for ever`
  return { code: 'SEAT_LOST', text }
}

const MODES: Mode[] = ['none', 'majority', 'all', 'byzantine']

/** The weakest mode in which an asset was voted on, and why the rule of this node does not take it. */
export const weakness = (o: Ordering, rule: CommitteeRule, get: Context['get']) =>
  weakest(o, orderIn(o).parties, rule, get)

/** The same of what is not written yet; `others` become parties by it. */
export function weakest(
  o: Pick<Ordering, 'asset' | 'version' | 'next'> & Offered,
  others: CID[],
  rule: CommitteeRule,
  get: Context['get'],
): { mode: Mode; text: string } | undefined {
  const owners = new Set(
    linksOf(get, o.asset, 0, o.version).flatMap(({ order }) => orderIn({ order }).parties),
  )
  const all = [...owners, ...others]
  const sold = soldIn(o, get)
  const committees = [
    ...committeesOf(o, get).map(each => ({ ...each, parties: all })),
    ...(sold ? [{ payload: sold.committee.payload, lost: 0, parties: sold.parties }] : []),
  ]
  const weak = committees.flatMap(({ payload, lost, parties }) => {
    const text = whyUntrusted(payload, parties, rule, lost)
    return text === undefined ? [] : [{ mode: modeOf(payload, lost).mode, text }]
  })
  return weak.sort((a, b) => MODES.indexOf(a.mode) - MODES.indexOf(b.mode))[0]
}

/** What `verify` would hold against the owners by the trust of this home, once these have it too: itself and its partners. */
export function ownersDoubted(
  o: Pick<Ordering, 'asset' | 'version'> & Offered,
  others: CID[],
  rule: CommitteeRule,
  { self, get }: Pick<Context, 'self' | 'get'>,
): string | undefined {
  const orders = linksOf(get, o.asset, 0, o.version).map(({ order }) => orderIn({ order }))
  const sellers = soldIn(o, get)?.sale.parties ?? []
  const owners = [...orders.flatMap(({ parties }) => parties), ...others, ...sellers]
  const joints = orders.flatMap(({ takers }) => (takers ? [takers.owners.map(({ org }) => org)] : []))
  const isKnown = (org: CID) => org.equals(self.id) || get(KEY.partner(org.toString())) !== undefined
  const strange = (org: CID) => (isKnown(org) ? undefined : `${org} is no partner of this home`)
  return whyNotOwners(owners, [...joints, others], strange, rule)
}
