/**
 * How orders begin: an owner registers its asset, or offers to hand it over. The buyer signs first, because a buyer's word
 * binds nobody before the owner's: until then the owner may take its offer back, and afterwards nobody (RULES E5).
 *
 *     owner                                            buyer
 *                -- handover/offer {order, committee?, identities} -->   a person decides
 *                <-- handover/accept {order: signed by `to`} --
 *                <-- handover/decline {order, refusal} --
 *                -- handover/withdraw {order} -->         while the owner has not signed
 *                -- handover/signed {order: signed by both} -->   durable, like every vote that follows from it
 */
import type { CID } from '../crypto/cid.ts'
import { encodeSigned, type Payload } from '../crypto/statement.ts'
import { asset } from './asset.ts'
import type { Mode } from './asset-committee.ts'
import { modeOf } from './asset-committee.ts'
import { over } from './context.ts'
import { ProtocolError } from './error.ts'
import {
  type CommitteeChange,
  committeeChange,
  type Handover,
  handover,
  type Order,
  orderOf,
  type Registration,
  registration,
} from './handover.ts'
import { keptRecord } from './kept.ts'
import { KEY } from './layout.ts'
import {
  type Context,
  decodeState,
  encodeState,
  type Step,
  say,
  signed,
  stay,
  tidy,
  violation,
} from './machine.ts'
import type { MessageOf, Refusal } from './message.ts'
import {
  ask,
  begin,
  type Dealt,
  dealt,
  isOver,
  type Ordering,
  orderIn,
  readOrdering,
  save,
} from './ordering.ts'
import { join } from './output.ts'
import {
  canDecide,
  checkCommittee,
  isRefused,
  keysThen,
  misplaced,
  type Owned,
  unfitNext,
} from './ownership.ts'
import { type CommitteeRule, whyUntrusted } from './ownership-trust.ts'
import { among, keysOf } from './parties.ts'
import { checkPayload, isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import {
  askSteps,
  askWhole,
  committeeKnown,
  lacks,
  learned,
  linksOf,
  openCommittee,
  titleOf,
} from './title.ts'

type Got<P> = Stored<P>

/** What an owner says of an asset that it registers. */
export interface Register {
  asset: CID
  committee: CID
  ref: string
  content: Uint8Array
  title: Registration['title']
  bought?: CID
}

/** Registers an own asset: version 0. Throws ProtocolError when it cannot be. */
export function register(about: Register, context: Context): Step<Ordering> {
  const stored = keptRecord(context, about.asset)
  const described = stored && readRecord(asset, stored)
  if (!described || !isStored(described) || !described.payload.org.equals(context.self.id))
    throw new ProtocolError('NOT_FOUND', `there is no asset ${about.asset} of this home`)
  if (titleOf(context.get, about.asset) || dealt(context.get, about.asset, 0))
    throw new ProtocolError('OUT_OF_ORDER', 'this asset is registered, or on its way to it')
  if (!described.payload.committee?.equals(about.committee))
    throw new ProtocolError(
      'COMMITTEE_INVALID',
      'the asset does not name this committee: publish one that does',
    )
  const committee = known(about.committee, context)
  const payload: Registration = {
    t: 'registration/1',
    asset: about.asset,
    owner: context.self.id,
    ownerState: context.self.chain.last,
    committee: about.committee,
    ref: about.ref,
    content: about.content,
    title: about.title,
    ...(about.bought ? { bought: about.bought } : {}),
    warranty: true,
    made: context.now.wallMs,
    nonce: context.random('registration', 16),
  }
  const verdict = checkPayload(registration, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const record = signed(payload, [context.sign(payload, 'owner', 'operation')]) as Got<Registration>
  const order = orderOf(record)
  const unfit = canDecide(committee, order)
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  const o = begun('owner', order, record.bytes, context)
  return dealing(order, true, begin(o, [record as unknown as Stored], context), context)
}

function known(id: CID, { get }: Context) {
  const committee = committeeKnown(get, id)
  if (!committee)
    throw new ProtocolError('NOT_FOUND', `there is no committee ${id} here that all have signed`)
  return committee
}

const begun = (role: Ordering['role'], order: Order, bytes: Uint8Array, context: Context): Ordering => ({
  role,
  state: 'OFFERED',
  asset: order.asset,
  version: order.version,
  order: bytes,
  committee: order.committee,
  identities: [],
  votes: [],
  refused: [],
  told: [],
  sent: 0,
  madeMs: context.now.wallMs,
})

/** Which order of this version this node deals with. */
function dealing<S>(order: Order, isSigned: boolean, step: Step<S>, { get }: Context): Step<S> {
  const key = KEY.signedOrder(order.asset, order.version)
  const before = get(key)
  const value = encodeState({ order: order.id, signed: isSigned } satisfies Dealt)
  step.output.writes.push({ key, value, if: before ? { equals: before } : 'absent' })
  return step
}

// Owner.

export interface HandOver {
  asset: CID
  to: CID
  /** The committee that follows, where it is to be another. */
  next?: CID
  passes: Handover['passes']
}

/** What this home owns, with nothing of its next version signed or offered. Throws ProtocolError when it is not so. */
function free(id: CID, { self, get }: Context): Owned {
  const owned = titleOf(get, id)
  if (!owned) throw new ProtocolError('NOT_FOUND', `the ownership of ${id} is not registered`)
  if (!owned.owner.equals(self.id))
    throw new ProtocolError('NOT_OWNER', `${owned.owner} owns it since version ${owned.since}`)
  const before = dealt(get, id, owned.version + 1)
  const state = before && readOrdering(get, before.order)?.state
  if (before?.signed || state === 'OFFERED')
    throw new ProtocolError(
      'OUT_OF_ORDER',
      `version ${owned.version + 1} is ${state === 'OFFERED' ? 'offered already; withdraw that first' : 'signed: a second order would freeze the asset'}`,
    )
  return owned
}

/** What would be offered: checked, and not signed by anybody. Throws ProtocolError when it cannot be. */
function draft({ asset: id, to, next, passes }: HandOver, context: Context): Order {
  const { self, now } = context
  const owned = free(id, context)
  const partner = context.partner(to.toString())
  if (!partner) throw new ProtocolError('NOT_FOUND', `${to} is not a partner of this home`)
  const payload: Handover = {
    t: 'handover/1',
    asset: id,
    version: owned.version + 1,
    prev: owned.order,
    from: self.id,
    fromState: self.chain.last,
    to,
    toState: partner.chain.last,
    committee: owned.committee.id,
    ...(next ? { next } : {}),
    passes,
    made: now.wallMs,
  }
  const verdict = checkPayload(handover, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const order = orderOf(signed(payload, []) as Got<Handover>)
  const after = next ? known(next, context) : owned.committee
  const unfit = canDecide(owned.committee, order) ?? unfitNext(after, order)
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  return order
}

/** Lets another committee vote from here on, by the votes of the one in force. Throws ProtocolError when it cannot be. */
export function reseat({ asset: id, next }: { asset: CID; next: CID }, context: Context): Step<Ordering> {
  const { self, now, get } = context
  const owned = free(id, context)
  const payload: CommitteeChange = {
    t: 'committee-change/1',
    asset: id,
    version: owned.version + 1,
    prev: owned.order,
    owner: self.id,
    ownerState: self.chain.last,
    committee: owned.committee.id,
    next,
    made: now.wallMs,
  }
  const verdict = checkPayload(committeeChange, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const record = signed(payload, [context.sign(payload, 'owner', 'operation')]) as Got<CommitteeChange>
  const order = orderOf(record)
  const unfit = canDecide(owned.committee, order) ?? unfitNext(known(next, context), order)
  if (unfit) throw new ProtocolError(unfit.code, unfit.text)
  const o = { ...begun('owner', order, record.bytes, context), next: get(KEY.jury(next))! }
  return dealing(order, true, begin(o, [record as unknown as Stored], context), context)
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
  return dealing(order, false, ask(o, context), context)
}

/** Takes an offer back that this owner has not signed. */
export function withdraw(id: CID, context: Context): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (o?.role !== 'seller') throw new ProtocolError('NOT_FOUND', 'there is no such offer of this home')
  if (o.state !== 'OFFERED')
    throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}: nobody can take it back any more`)
  return takenBack(o, context)
}

function takenBack(o: Ordering, context: Context): Step<Ordering> {
  const step = say<unknown>(undefined, o.org!, { t: 'handover/withdraw', order: orderIn(o).id })
  return save({ ...o, state: 'WITHDRAWN' }, step, context)
}

/** The buyer has signed: so does the owner, once for each version, and asks for votes. */
export function accepted(
  from: string,
  message: MessageOf<'handover/accept'>,
  context: Context,
): Step<Ordering> {
  const read = readRecord(handover, message.order)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  const o = readOrdering(context.get, read.id)
  if (o?.role !== 'seller' || o.org !== from)
    return violation(from, message.t, 'UNKNOWN_DIALOGUE', 'this was not offered')
  if (o.state === 'WITHDRAWN')
    return say<Ordering>(undefined, from, { t: 'handover/withdraw', order: read.id })
  if (o.state === 'VOTING') return say<Ordering>(undefined, from, { t: 'handover/signed', order: o.order })
  if (o.state !== 'OFFERED') return stay()
  const keys = keysThen(orderOf(read), keysOf(context, []))
  const verdict = verifySignatures(handover, read, keys, ['to'])
  if (verdict.ok !== true) return violation(from, message.t, 'SIGNATURE_INVALID', verdict.reason)
  const { payload } = read
  const [to] = read.signatures
  const record = signed(payload, [context.sign(payload, 'from', 'operation'), to!])
  const order = orderOf(record as Got<Handover>)
  const passed = misplaced(titleOf(context.get, order.asset), order)
  if (passed) return stay()
  // Signed by a key that is newer than the offer it would hold for nobody, and no other could follow it.
  if (verifySignatures(handover, record as Got<Handover>, keys).ok !== true)
    return takenBack(
      { ...o, refusal: { code: 'OUT_OF_ORDER', text: 'the own keys have changed since' } },
      context,
    )
  const voting = begin({ ...o, order: record.bytes }, [record as unknown as Stored], context)
  return dealing(order, true, voting, context)
}

/** The buyer does not want it. */
export function declined(
  from: string,
  { order, refusal }: MessageOf<'handover/decline'>,
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, order)
  if (o?.role !== 'seller' || o.org !== from || o.state !== 'OFFERED') return stay()
  return save({ ...o, state: 'DECLINED', refusal }, stay(), context)
}

// Buyer.

const decline = (to: string, order: CID, refusal: Refusal): Step<Ordering> =>
  say<Ordering>(undefined, to, { t: 'handover/decline', order, refusal: tidy(refusal) })

/** An owner offers an asset: a person decides, once its steps are known here and the offer is the next of them. */
export function offered(from: string, message: MessageOf<'handover/offer'>, context: Context): Step<unknown> {
  const read = readRecord(handover, message.order)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  const { payload, id } = read
  if (payload.from.toString() !== from || !payload.to.equals(context.self.id) || read.signatures.length > 0)
    return violation(from, message.t, 'RECORD_INVALID', 'it is no offer of this partner to this node')
  const before = readOrdering(context.get, id)
  if (before) return repeat(before, from, id, context)
  return learned(from, message, context, then => consider(from, read, message, then))
}

function consider(
  from: string,
  read: Got<Handover>,
  message: MessageOf<'handover/offer'>,
  context: Context,
): Step<unknown> {
  const { payload, id } = read
  const owned = titleOf(context.get, payload.asset)
  if (!owned || owned.version < payload.version - 1) return askSteps(from, payload.asset, context)
  const order = orderOf(read)
  if (lacks(order, message, context)) return askWhole(from, payload.asset, owned.version)
  const found = whyNot(order, message, context)
  if (found) return decline(from, id, found)
  const next = order.next && (context.get(KEY.jury(order.next)) ?? message.committee)
  const seats = next ? openCommittee(next).payload.seats.map(({ org }) => org) : []
  const o: Ordering = {
    ...begun('buyer', order, message.order, context),
    org: from,
    identities: among([...order.parties, ...seats], message.identities, context),
    ...(next ? { next } : {}),
  }
  const step = inPlace(o, id, save(o, stay(), context), context)
  step.output.events.push({ type: 'order', machine: KEY.order(id), state: o.state, waitsFor: 'person' })
  return step
}

/** Of each version one offer is kept: an owner makes one at a time, and what it took back makes room (RULES H4). */
function inPlace(
  { asset: of, version }: Ordering,
  id: CID,
  step: Step<Ordering>,
  { get }: Context,
): Step<Ordering> {
  const key = KEY.offered(of, version)
  const stored = get(key)
  const earlier = stored && decodeState<{ order: CID }>(stored).order
  const before = earlier && readOrdering(get, earlier)
  if (earlier && before && (before.state === 'OFFERED' || isOver(before)))
    step.output.writes.push({ key: KEY.order(earlier) })
  step.output.writes.push({ key, value: encodeState({ order: id }) })
  return step
}

/** Why a buyer need not look at this offer. */
function whyNot(order: Order, message: MessageOf<'handover/offer'>, context: Context): Refusal | undefined {
  const owned = titleOf(context.get, order.asset)
  const wrong = misplaced(owned, order)
  if (wrong) return wrong
  const keys = keysOf(context, message.identities)
  const after = order.next
    ? (committeeKnown(context.get, order.next) ?? checkCommittee(message.committee, keys))
    : owned!.committee
  if (isRefused(after)) return after
  if (!after.id.equals(order.next ?? order.committee))
    return { code: 'COMMITTEE_INVALID', text: 'the committee shown is not the one named' }
  return canDecide(owned!.committee, order) ?? unfitNext(after, order)
}

function repeat(o: Ordering, from: string, id: CID, context: Context): Step<unknown> {
  if (o.state === 'ACCEPTED') return say(undefined, from, { t: 'handover/accept', order: o.order })
  if (o.state === 'DECLINED') return decline(from, id, o.refusal!)
  if (o.state === 'WITHDRAWN') return save({ ...o, state: 'OFFERED' }, stay(), context)
  return stay()
}

/** The committees of an asset, from its registration to after this order. */
function committeesOf(o: Ordering, get: Context['get']) {
  const links = linksOf(get, o.asset, 0, o.version)
  const shown = links.flatMap(({ committee }) => (committee ? [openCommittee(committee)] : []))
  return o.next ? [...shown, openCommittee(o.next)] : shown
}

const MODES: Mode[] = ['none', 'majority', 'all', 'byzantine']

/** The weakest mode in which an asset was voted on, and why the rule of this node does not take it. */
export function weakness(
  o: Ordering,
  rule: CommitteeRule,
  get: Context['get'],
): { mode: Mode; text: string } | undefined {
  const parties = new Set(
    linksOf(get, o.asset, 0, o.version).flatMap(({ order }) => orderIn({ order }).parties),
  )
  const all = [...parties, ...orderIn(o).parties]
  const weak = committeesOf(o, get).flatMap(({ payload }) => {
    const text = whyUntrusted(payload, all, rule)
    return text === undefined ? [] : [{ mode: modeOf(payload).mode, text }]
  })
  return weak.sort((a, b) => MODES.indexOf(a.mode) - MODES.indexOf(b.mode))[0]
}

/** A person takes the offer; `mode` where the committee is weaker than the rule, and it is taken all the same (RULES E1). */
export function accept(
  { order: id, mode, rule }: { order: CID; mode?: Mode; rule: CommitteeRule },
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (o?.role !== 'buyer') throw new ProtocolError('NOT_FOUND', 'nobody offers this')
  if (o.state !== 'OFFERED') throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}`)
  const weak = weakness(o, rule, context.get)
  if (weak && weak.mode !== mode)
    throw new ProtocolError('MODE_WEAKER', `the committee is not trusted: ${weak.text}`)
  const order = orderIn(o)
  const wrong = misplaced(titleOf(context.get, o.asset), order)
  if (wrong) throw new ProtocolError(wrong.code, wrong.text)
  if (!(order.record.payload as Handover).toState.equals(context.self.chain.last))
    throw new ProtocolError('OUT_OF_ORDER', 'the own keys have changed since; let it be offered again')
  const { payload } = order.record
  const bytes = encodeSigned({
    p: payload as unknown as Payload,
    s: [context.sign(payload as unknown as Payload, 'to', 'operation')],
  })
  return dealing(order, true, ask({ ...o, order: bytes, state: 'ACCEPTED', sent: 0 }, context), context)
}

/** A person does not. */
export function refuse(id: CID, reason: string, context: Context): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (o?.role !== 'buyer') throw new ProtocolError('NOT_FOUND', 'nobody offers this')
  if (o.state !== 'OFFERED') throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}`)
  const refusal = { code: 'DENIED_BY_PERSON', text: reason }
  const step = save({ ...o, state: 'DECLINED', refusal }, stay(), context)
  return { ...step, output: join(step.output, decline(o.org!, id, refusal).output) }
}

/** The owner takes its offer back. One who has signed cannot, whatever it says. */
export function withdrawn(
  from: string,
  { order }: MessageOf<'handover/withdraw'>,
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, order)
  if (o?.role !== 'buyer' || o.org !== from) return stay()
  if (o.state !== 'OFFERED' && o.state !== 'ACCEPTED') return stay()
  return save({ ...o, state: 'WITHDRAWN' }, stay(), context)
}

/** Both have signed. */
export function complete(
  from: string,
  message: MessageOf<'handover/signed'>,
  context: Context,
): Step<Ordering> {
  const read = readRecord(handover, message.order)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  const o = readOrdering(context.get, read.id)
  if (o?.role !== 'buyer' || o.org !== from)
    return violation(from, message.t, 'UNKNOWN_DIALOGUE', 'this was not offered')
  if (o.state === 'VOTING' || o.state === 'CERTIFIED' || o.state === 'FROZEN') return stay()
  const verdict = verifySignatures(handover, read, keysThen(orderOf(read), keysOf(context, o.identities)))
  if (verdict.ok !== true) return violation(from, message.t, 'SIGNATURE_INVALID', verdict.reason)
  return begin({ ...o, order: message.order }, [read as unknown as Stored], over(context, stay().output))
}
