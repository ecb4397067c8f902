/** What an owner writes, alone or for several: a registration, a hand-over, a change of the committee; offering.ts has it signed. */
import { type CID, cidFromBytes } from '../crypto/cid.ts'
import { asset } from './asset.ts'
import type { AssetCommittee } from './asset-committee.ts'
import { ProtocolError } from './error.ts'
import {
  type CommitteeChange,
  committeeChange,
  type Handover,
  handover,
  type Joint,
  type Order,
  type Owner,
  orderOf,
  type Registration,
  registration,
} from './handover.ts'
import { keptRecord } from './kept.ts'
import { KEY } from './layout.ts'
import { MAX_SEATS_BYTES } from './limits.ts'
import { originHash } from './log.ts'
import { type Context, type Step, signed } from './machine.ts'
import { begun, held, written } from './offering.ts'
import { type Ordering, orderIn, readOrdering } from './ordering-state.ts'
import { canDecide, notBought, notTheirs, type Owned, type Purchase, unfitNext } from './ownership.ts'
import { bytesOf, keysOf, knows, lastOf, show } from './parties.ts'
import { checkPayload, isStored, readRecord, type Stored } from './record.ts'
import { committeeKnown, linksOf, soldBy, titleOf } from './title.ts'
import { silent } from './weakness.ts'

type Got<P> = Stored<P>

/** What an owner says of an asset that it registers. */
export interface Register {
  asset: CID
  committee: CID
  ref: string
  content: Uint8Array
  title: Registration['title']
  /** The hand-over to this home by which it came by it. */
  bought?: CID
  /** Others who own it too, and of how many owners the next step needs the signatures. */
  joint?: Shared
}

/** Several owners: those beside the one who is named by itself, and how many of all sign what follows. */
export interface Shared {
  others: CID[]
  k: number
}

/** Registers an own asset: version 0. Throws ProtocolError when it cannot be: once it is signed nobody takes it back. */
export function register(about: Register, context: Context): Step<Ordering> {
  const name = KEY.registered(about.committee, context.self.id, originHash(about.ref))
  const described = toRegister(about, name, context)
  const payload = registrationOf(about, context)
  const verdict = checkPayload(registration, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const order = orderOf(signed(payload, []) as Got<Registration>)
  const bought = about.bought && purchaseOf(about.bought, context)
  const wrong = notTheirs(order, described, context.keys)
  if (wrong)
    throw new ProtocolError(
      wrong.code,
      `no seat votes for this asset: ${wrong.text}; publish it again: waybill publish FILE --committee COMMITTEE`,
    )
  const committee = known(about.committee, context)
  const unfit =
    undecided(committee, order, context) ??
    unfitNext(committee, order) ??
    notBought(order, bought, keysOf(context, []))
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  const o = { ...begun('owner', order, order.record.bytes, context), ...(bought ? { bought } : {}) }
  if (bought && isLong(committee, bought, context))
    throw new ProtocolError('RECORD_INVALID', 'its seats and those of its purchase are too long to be shown')
  const step = written(o, context)
  step.output.writes.push({ key: name, value: about.asset.bytes })
  return step
}

/** The record of an own asset that is not registered, nor any other by its name. */
function toRegister({ asset: id, ref }: Register, name: string, context: Context): Uint8Array {
  const stored = keptRecord(context, id)
  const described = stored && readRecord(asset, stored)
  if (!described || !isStored(described) || !described.payload.org.equals(context.self.id))
    throw new ProtocolError('NOT_FOUND', `there is no asset ${id} of this home`)
  if (isRegistered(id, context))
    throw new ProtocolError('OUT_OF_ORDER', 'this asset is registered, or on its way to it')
  const namesake = context.get(name)
  if (namesake && isRegistered(cidFromBytes(namesake), context))
    throw new ProtocolError(
      'OUT_OF_ORDER',
      `another asset is registered as "${ref}", or on its way to it: choose another name (--ref)`,
    )
  return stored
}

/** A hand-over as it is certified here. Throws ProtocolError when there is none. */
function purchaseOf(id: CID, { get }: Context): Purchase {
  const o = readOrdering(get, id)
  const [link] = o ? linksOf(get, o.asset, o.version, 1) : []
  if (!link || !orderIn(link).id.equals(id))
    throw new ProtocolError('NOT_FOUND', 'that is no hand-over to this home that is certified')
  const { order, certificate } = link
  return { order, certificate, committee: committeeKnown(get, orderIn(link).committee)!.bytes }
}

/** Whether the seats of an asset are too long to be shown with those of its purchase, in one message with who owns it later. */
function isLong({ payload }: Stored<AssetCommittee>, bought: Purchase, context: Context): boolean {
  const shown = show([], context, [...payload.seats, ...soldBy(bought)])
  const { order, certificate, committee } = bought
  return bytesOf(shown) + order.length + certificate.length + committee.length > MAX_SEATS_BYTES
}

const registrationOf = (about: Register, context: Context): Registration => ({
  t: 'registration/1',
  asset: about.asset,
  owner: context.self.id,
  ownerState: context.self.chain.last,
  ...withJoint('joint', jointOf(context.self.id, about.joint, context)),
  committee: about.committee,
  ref: about.ref,
  content: about.content,
  title: about.title,
  ...(about.bought ? { bought: about.bought } : {}),
  warranty: true,
  made: context.now.wallMs,
  nonce: context.random('registration', 16),
})

/** Why the seats cannot decide it, or are too few by now. */
const undecided = (committee: Stored<AssetCommittee>, order: Order, { get }: Context) =>
  canDecide(committee, order) ?? silent(committee, order, get)

/** Whether an asset has an owner by votes, or by an order that this node holds to may get one. */
const isRegistered = (id: CID, { get }: Context): boolean =>
  titleOf(get, id) !== undefined || held(id, 0, get) !== undefined

/** All owners at the states that are known of them, those who give it too at the one by which they do; one alone is not several. */
function jointOf(lead: CID, shared: Shared | undefined, context: Context, givers?: Joint): Joint | undefined {
  if (!shared) return undefined
  const owners = [lead, ...shared.others].map(org => stateAmong(org, context, givers))
  return { k: shared.k, owners: owners.toSorted((a, b) => (a.org.toString() < b.org.toString() ? -1 : 1)) }
}

/** An owner at the state by which it signs: where it gives and takes it that is one. */
function stateAmong(org: CID, context: Context, givers: Joint | undefined): Owner {
  const owner = { org, state: stateOf(org, context) }
  return givers?.owners.find(each => each.org.equals(org)) ?? owner
}

function stateOf(org: CID, context: Context): CID {
  const state = lastOf(org, context)
  if (!state) throw new ProtocolError('NOT_FOUND', `${org} is not a partner of this home`)
  return state
}

const withJoint = <K extends string>(name: K, joint: Joint | undefined) =>
  (joint ? { [name]: joint } : {}) as { [P in K]?: Joint }

/**
 * The owners of a version as they are to sign the next one, at the states that are known of them. Where one has changed its keys
 * and not been met since, that is a state from before the certified one, by which nobody signs any more: that one stands.
 */
function owning({ joint }: Owned, context: Context): Joint | undefined {
  if (joint.owners.length === 1) return undefined
  const now = (owner: Owner): Owner => {
    const { org } = owner
    const isNear = org.equals(context.self.id) || context.partner(org.toString())
    return isNear && knows([owner], context) ? { org, state: stateOf(org, context) } : owner
  }
  return { k: joint.k, owners: joint.owners.map(now) }
}

function known(id: CID, { get }: Context): Stored<AssetCommittee> {
  const committee = committeeKnown(get, id)
  if (!committee)
    throw new ProtocolError('NOT_FOUND', `there is no committee ${id} here that all have signed`)
  return committee
}

/** What an owner hands over, and to whom. */
export interface HandOver {
  asset: CID
  to: CID
  joint?: Shared
  /** The committee that follows, where it is to be another. */
  next?: CID
  passes: Handover['passes']
}

/** What this home owns, alone or with others, with nothing of its next version signed or offered. Throws ProtocolError when it is not so. */
function free(id: CID, { self, get }: Context): Owned {
  const owned = titleOf(get, id)
  if (!owned) throw new ProtocolError('NOT_FOUND', `the ownership of ${id} is not registered`)
  if (!owned.joint.owners.some(({ org }) => org.equals(self.id)))
    throw new ProtocolError('NOT_OWNER', `${owned.owner} owns it since version ${owned.since}`)
  const before = held(id, owned.version + 1, get)
  if (before)
    throw new ProtocolError(
      'OUT_OF_ORDER',
      `version ${owned.version + 1} is ${before.signed ? 'signed: a second order would freeze the asset' : 'offered already; withdraw that first'}`,
    )
  return owned
}

/** What would be offered: checked, and not signed by anybody. Throws ProtocolError when it cannot be. */
function draft({ asset: id, to, joint, next, passes }: HandOver, context: Context): Order {
  const { self, now } = context
  const owned = free(id, context)
  const givers = owning(owned, context)
  const payload: Handover = {
    t: 'handover/1',
    asset: id,
    version: owned.version + 1,
    prev: owned.order,
    from: self.id,
    fromState: self.chain.last,
    ...withJoint('fromJoint', givers),
    to,
    toState: stateAmong(to, context, givers).state,
    ...withJoint('toJoint', jointOf(to, joint, context, givers)),
    committee: owned.committee.id,
    ...(next ? { next } : {}),
    passes,
    made: now.wallMs,
  }
  const verdict = checkPayload(handover, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const order = orderOf(signed(payload, []) as Got<Handover>)
  const after = next ? known(next, context) : owned.committee
  const unfit = undecided(owned.committee, order, context) ?? unfitNext(after, order)
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  return order
}

/**
 * Lets another committee vote from here on, by the votes of the one in force; or names the newest own keys under the same
 * one, so that none from before can sign what follows. Throws ProtocolError when it cannot be.
 */
export function reseat(
  { asset: id, next: wanted }: { asset: CID; next?: CID },
  context: Context,
): Step<Ordering> {
  const { self, now, get } = context
  const owned = free(id, context)
  const next = wanted ?? owned.committee.id
  const payload: CommitteeChange = {
    t: 'committee-change/1',
    asset: id,
    version: owned.version + 1,
    prev: owned.order,
    owner: self.id,
    ownerState: self.chain.last,
    ...withJoint('joint', owning(owned, context)),
    committee: owned.committee.id,
    next,
    made: now.wallMs,
  }
  const verdict = checkPayload(committeeChange, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const order = orderOf(signed(payload, []) as Got<CommitteeChange>)
  const unfit = undecided(owned.committee, order, context) ?? unfitNext(known(next, context), order)
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  return written(
    { ...begun('owner', order, order.record.bytes, context), next: get(KEY.jury(next))! },
    context,
  )
}

/** Offers an asset to a partner. */
export function offer(about: HandOver, context: Context): Step<Ordering> {
  const order = draft(about, context)
  const next = about.next && context.get(KEY.jury(about.next))
  const o: Ordering = {
    ...begun('seller', order, order.record.bytes, context),
    org: about.to.toString(),
    ...(next ? { next } : {}),
  }
  return written(o, context)
}
