/**
 * How orders begin: an owner registers its asset, or offers to hand it over. The buyer signs first, because a buyer's word
 * binds nobody before the owner's: until then the owner may take its offer back, and afterwards nobody (RULES E5).
 *
 *     owner                                            buyer, or another owner
 *                -- handover/offer {order, asset?, committee?, bought?, identities} -->   a person decides
 *                <-- handover/accept {order: signed by who takes it} --   who gives it says yes, and waits with its signature
 *                <-- handover/decline {order, refusal} --
 *                -- handover/withdraw {order} -->         while the owner has not signed
 *                -- handover/signed {order} -->   durable, like every vote that follows from it
 *                <-- handover/accept {order} --   signed by another owner as well
 *
 * Of several owners one writes an order. It signs when enough of the others have said yes, and each of them holds to one
 * order of a version: so no two of one version get half of the owners each, and none ever enough. One that holds to two can
 * hold up both.
 */
import { type CID, parseCid } from '../crypto/cid.ts'
import type { Payload } from '../crypto/statement.ts'
import type { Mode } from './asset-committee.ts'
import { over } from './context.ts'
import { ProtocolError } from './error.ts'
import { isOrder, type Order, type Owner, readOrder, type Side } from './handover.ts'
import { KEY } from './layout.ts'
import { MAX_TITLES } from './limits.ts'
import { type Context, decodeState, encodeState, type Step, say, stay, tidy, violation } from './machine.ts'
import type { MessageOf, Refusal } from './message.ts'
import { ask, begin } from './ordering.ts'
import {
  type Dealt,
  dealt,
  isOver,
  isWriter,
  type Ordering,
  orderIn,
  readOrdering,
  save,
} from './ordering-state.ts'
import { join } from './output.ts'
import {
  canDecide,
  checkCommittee,
  count,
  isRefused,
  misplaced,
  notBought,
  notTheirs,
  type Signer,
  sidesOf,
  signedBy,
  signersOf,
  unfitNext,
} from './ownership.ts'
import type { CommitteeRule } from './ownership-trust.ts'
import { among, keysOf } from './parties.ts'
import type { Stored } from './record.ts'
import {
  askSteps,
  askWhole,
  committeeKnown,
  lacks,
  learned,
  openCommittee,
  showSince,
  soldBy,
  titleOf,
  wanting,
} from './title.ts'
import { silent, weakness } from './weakness.ts'

export const begun = (
  role: Ordering['role'],
  order: Order,
  bytes: Uint8Array,
  context: Context,
): Ordering => ({
  role,
  state: 'OFFERED',
  asset: order.asset,
  version: order.version,
  order: bytes,
  committee: order.committee,
  identities: [],
  signers: [],
  agreed: [],
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

/** The order of this version that this node holds to: it has signed it, or said that it would. */
export function held(asset: CID, version: number, get: Context['get']): Dealt | undefined {
  const before = dealt(get, asset, version)
  const o = before && readOrdering(get, before.order)
  const isOpen = o && (o.state === 'ACCEPTED' || (o.state === 'OFFERED' && isWriter(o)))
  return before && (before.signed || isOpen) ? before : undefined
}

/** An order that this owner wrote: it asks the others, and signs at once where there are none. */
export function written(o: Ordering, context: Context): Step<Ordering> {
  const order = orderIn(o)
  return isAgreed(o, order, context) ? goOn(o, [], context) : dealing(order, false, ask(o, context), context)
}

/** Whether everybody has said yes whose yes the writer needs before it signs: those who take it have signed. */
function isAgreed({ agreed }: Ordering, { givers, takers }: Order, { self }: Context): boolean {
  const yes = (owners: Owner[]) =>
    owners.filter(({ org }) => org.equals(self.id) || agreed.includes(org.toString())).length
  return (
    (!takers || yes(takers.owners) === takers.owners.length) && (!givers || yes(givers.owners) >= givers.k)
  )
}

/** Takes an offer back that this owner has not signed. */
export function withdraw(id: CID, context: Context): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (!o || !isWriter(o)) throw new ProtocolError('NOT_FOUND', 'there is no such offer of this home')
  if (o.state !== 'OFFERED')
    throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}: nobody can take it back any more`)
  return takenBack(o, 'WITHDRAWN', context)
}

/** It ends unsigned: whoever was asked hears of it. */
function takenBack(o: Ordering, state: 'WITHDRAWN' | 'DECLINED', context: Context): Step<Ordering> {
  const { id, parties } = orderIn(o)
  const step = stay<unknown>()
  for (const org of parties.map(String))
    if (org !== context.self.org && !o.refused.some(each => each.org === org))
      step.output.sends.push({ to: org, message: { t: 'handover/withdraw', order: id } })
  return save({ ...o, state }, step, context)
}

/** Another party has signed, or said yes: its signatures come with it. */
export function accepted(
  from: string,
  message: MessageOf<'handover/accept'>,
  context: Context,
): Step<Ordering> {
  const order = readOrder(message.order)
  if (!isOrder(order)) return violation(from, message.t, 'RECORD_INVALID', order.reason)
  const o = readOrdering(context.get, order.id)
  const isParty = order.parties.some(org => org.toString() === from)
  // Owners tell each other what they signed; what this one has not agreed to is none of its business.
  if (!order.lead.equals(context.self.id) && !(o && isParty && givesIt(o, order, context))) return stay()
  if (o && isParty && (o.state === 'WITHDRAWN' || (o.state === 'DECLINED' && isWriter(o))))
    return say<Ordering>(undefined, from, { t: 'handover/withdraw', order: order.id })
  // It was away for longer than anybody tells it.
  if (isParty && isPassed(order, context)) return showSince(from, order.asset, order.version, context)
  if (!o || !isParty) return violation(from, message.t, 'UNKNOWN_DIALOGUE', 'this was not offered')
  if (o.state === 'VOTING' || o.state === 'FROZEN') {
    const t = isWriter(o) ? 'handover/signed' : 'handover/accept' // signed by its writer, or by enough
    const isAnswered = o.version > 0 && (isWriter(o) || isShort(order))
    return isAnswered ? say<Ordering>(undefined, from, { t, order: o.order }) : stay()
  }
  if (o.state !== 'OFFERED' && o.state !== 'ACCEPTED') return stay()
  const signers = signersOf(order, keysOf(context, o.identities))
  if (isRefused(signers)) return violation(from, message.t, 'SIGNATURE_INVALID', signers.text)
  const takes = order.takers?.owners.some(({ org }) => org.toString() === from)
  const has = signers.some(({ role, org }) => role === order.takers?.role && org.toString() === from)
  if (takes && !has) return violation(from, message.t, 'SIGNATURE_INVALID', `${from} has not signed`)
  const agreed = o.agreed.includes(from) ? o.agreed : [...o.agreed, from]
  const refused = o.refused.filter(({ org }) => org !== from)
  if (misplaced(titleOf(context.get, order.asset), order, keysOf(context, o.identities))) return stay()
  return goOn({ ...o, agreed, refused }, signers, context)
}

/** Whether this node has signed it as one who gives it, or said that it will. */
const givesIt = (o: Ordering, { givers }: Order, context: Context): boolean =>
  hasGiven(o, context.self.org) || (o.state === 'ACCEPTED' && givers !== undefined && isIn(givers, context))

const hasGiven = (o: Ordering, org: string): boolean =>
  o.signers.some(each => each.org === org && each.role === orderIn(o).givers?.role)

/** Whether signatures are still missing. */
const isShort = (order: Order): boolean =>
  order.record.signatures.length < sidesOf(order).reduce((sum, { k }) => sum + k, 0)

/** With these signatures: the writer signs once it may, other owners once it has, and with enough the seats are asked. */
function goOn(o: Ordering, more: Signer[], context: Context): Step<Ordering> {
  const order = orderIn(o)
  const known = [...signersIn(o), ...more]
  const mayWrite = isWriter(o) && o.state === 'OFFERED' && isAgreed(o, order, context)
  const mayGive =
    !isWriter(o) && known.some(({ role, org }) => role === order.givers?.role && org.equals(order.lead))
  const mute = mayWrite && silent(committeeKnown(context.get, o.committee)!, order, context.get)
  if (mute) return takenBack({ ...o, refusal: mute }, 'WITHDRAWN', context)
  const own = mayWrite ? ownSigners(order, known, context) : mayGive ? readySigner(o, order, context) : []
  const bytes = signedBy(order, [...known, ...own])
  const record = readOrder(bytes) as Order
  const signers = signersOf(record, keysOf(context, o.identities))
  // Signed by a key that is newer than the offer it would hold for nobody, and no other could follow it.
  if (isRefused(signers)) {
    const refusal = { code: 'OUT_OF_ORDER', text: 'the own keys have changed since' }
    return isWriter(o) ? takenBack({ ...o, refusal }, 'WITHDRAWN', context) : stay()
  }
  const names = signers.map(({ role, org }) => ({ role, org: org.toString() }))
  const next: Ordering = { ...o, order: bytes, signers: names }
  const isSigned = mayWrite || hasGiven(next, context.self.org)
  const isWhole = sidesOf(order).every(side => count(signers, side) >= side.k)
  const step = isWhole
    ? begin(next, [record.record as unknown as Stored], context)
    : mayWrite || own.length > 0
      ? ask({ ...next, state: 'ACCEPTED', sent: 0 }, context)
      : save(next, stay(), context)
  // Whoever wrote it asks for the votes: it gets the last signature at once.
  if (isWhole && !isWriter(o) && own.length > 0)
    step.output.sends.push({ to: o.org!, message: { t: 'handover/accept', order: bytes } })
  return dealing(order, isSigned, step, context)
}

/** The signatures that an order has by now, and whose each is. */
const signersIn = (o: Ordering): Signer[] =>
  orderIn(o).record.signatures.map((signature, i) => {
    const { role, org } = o.signers[i]!
    return { role, org: parseCid(org), signature }
  })

/** The signatures of this node that an order has not yet: as one who gives it, as one who takes it, or both. */
function ownSigners(order: Order, known: Signer[], { self, sign }: Context): Signer[] {
  const { payload } = order.record
  return sidesOf(order).flatMap(({ role, owners }) => {
    const isDue = owners.some(({ org }) => org.equals(self.id))
    const has = known.some(each => each.role === role && each.org.equals(self.id))
    if (!isDue || has) return []
    return [{ role, org: self.id, signature: sign(payload as unknown as Payload, role, 'operation') }]
  })
}

/** The signature that waited for the writer's. */
const readySigner = (o: Ordering, { givers }: Order, { self }: Context): Signer[] =>
  givers && o.ready && !hasGiven(o, self.org) ? [{ role: givers.role, org: self.id, signature: o.ready }] : []

/** The other side does not want it, or too few owners do. */
export function declined(
  from: string,
  { order: id, refusal }: MessageOf<'handover/decline'>,
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, id)
  const order = o && orderIn(o)
  if (!order?.parties.some(org => org.toString() === from) || !isWriter(o!)) return stay()
  if (isPassed(order, context)) return showSince(from, order.asset, order.version, context)
  if (o!.state !== 'OFFERED' && o!.state !== 'ACCEPTED') return stay()
  const others = o!.refused.filter(({ org }) => org !== from)
  const next: Ordering = {
    ...o!,
    agreed: o!.agreed.filter(org => org !== from),
    refused: [...others, { org: from, ...refusal }],
  }
  const no = (owners: Owner[]) =>
    owners.filter(({ org }) => next.refused.some(each => each.org === org.toString())).length
  const { givers, takers } = order
  const isOff =
    (takers && no(takers.owners) > 0) || (givers && givers.owners.length - no(givers.owners) < givers.k)
  return isOff && o!.state === 'OFFERED'
    ? takenBack({ ...next, refusal }, 'DECLINED', context)
    : save(next, stay(), context)
}

// Buyer.

const decline = (to: string, order: CID, refusal: Refusal): Step<Ordering> =>
  say<Ordering>(undefined, to, { t: 'handover/decline', order, refusal: tidy(refusal) })

/** An owner offers an asset, or asks another one to sign: a person decides, once its steps are known here and the order is the next of them. */
export function offered(from: string, message: MessageOf<'handover/offer'>, context: Context): Step<unknown> {
  const order = readOrder(message.order)
  if (!isOrder(order)) return violation(from, message.t, 'RECORD_INVALID', order.reason)
  const isOurs = order.lead.toString() === from && order.parties.some(org => org.equals(context.self.id))
  if (!isOurs || order.record.signatures.length > 0)
    return violation(from, message.t, 'RECORD_INVALID', 'it is no offer of this partner to this node')
  const before = readOrdering(context.get, order.id)
  const step = before
    ? repeat(before, from, order.id)
    : learned(from, message, context, then => consider(from, order, message, then))
  return isPassed(order, context) ? withSince(step, from, order, context) : step
}

const isPassed = ({ asset, version }: Order, { get }: Context): boolean =>
  (titleOf(get, asset)?.version ?? -1) >= version

/** Whoever still asks for what is certified has missed what it was told of it: it is told again. */
function withSince(
  step: Step<unknown>,
  to: string,
  { asset, version }: Order,
  context: Context,
): Step<unknown> {
  const since = showSince(to, asset, version, context)
  return { ...step, output: join(step.output, since.output) }
}

function consider(
  from: string,
  order: Order,
  message: MessageOf<'handover/offer'>,
  context: Context,
): Step<unknown> {
  const { id, asset, version } = order
  const owned = titleOf(context.get, asset)
  if (version > 0 && (!owned || owned.version < version - 1)) return askSteps(from, asset, context)
  if (lacks(order, message, context)) return askWhole(from, asset, owned?.version)
  const found = whyNot(order, message, context)
  if (found) return decline(from, id, found)
  const counted = wanting(from, asset, context)
  if (!counted)
    return decline(from, id, {
      code: 'QUOTA_EXCEEDED',
      text: `a partner brings up at most ${MAX_TITLES} assets`,
    })
  const named = order.next ?? (version === 0 ? order.committee : undefined)
  const next = named && (context.get(KEY.jury(named)) ?? message.committee)
  const seats = next ? openCommittee(next).payload.seats.map(({ org }) => org) : []
  const others = soldBy(message.bought).map(({ org }) => org)
  const isJoint = version === 0 || order.givers!.owners.some(({ org }) => org.equals(context.self.id))
  const o: Ordering = {
    ...begun(isJoint ? 'joint' : 'buyer', order, message.order, context),
    org: from,
    identities: among([...order.parties, ...seats, ...others], message.identities, context),
    ...(next ? { next } : {}),
    ...(message.asset ? { described: message.asset } : {}),
    ...(message.bought ? { bought: message.bought } : {}),
  }
  const step = inPlace(o, id, save(o, stay(), context), context)
  step.output.writes.push(...counted)
  step.output.events.push({ type: 'order', machine: KEY.order(id), state: o.state, waitsFor: 'person' })
  return step
}

/** Of each version one offer of each owner is kept: it makes one at a time, and what it took back makes room (RULES H4). */
function inPlace(
  { asset: of, version, org }: Ordering,
  id: CID,
  step: Step<Ordering>,
  context: Context,
): Step<Ordering> {
  const { get } = context
  const key = KEY.offered(of, version, org!)
  const stored = get(key)
  const earlier = stored && decodeState<{ order: CID }>(stored).order
  const before = earlier && readOrdering(get, earlier)
  const isKept = before && hasGiven(before, context.self.org)
  if (earlier && before && !isKept && (before.state === 'OFFERED' || isOver(before)))
    step.output.writes.push({ key: KEY.order(earlier) })
  step.output.writes.push({ key, value: encodeState({ order: id }) })
  return step
}

/** Why a buyer need not look at this offer. */
function whyNot(order: Order, message: MessageOf<'handover/offer'>, context: Context): Refusal | undefined {
  const owned = titleOf(context.get, order.asset)
  const keys = keysOf(context, message.identities)
  const wrong =
    misplaced(owned, order, keys) ??
    (owned ? undefined : notTheirs(order, message.asset, keys)) ??
    notBought(order, message.bought, keys)
  if (wrong) return wrong
  const named = order.next ?? order.committee
  const after =
    owned && !order.next
      ? owned.committee
      : (committeeKnown(context.get, named) ?? checkCommittee(message.committee, keys))
  if (isRefused(after)) return after
  if (!after.id.equals(named))
    return { code: 'COMMITTEE_INVALID', text: 'the committee shown is not the one named' }
  return canDecide(owned?.committee ?? after, order) ?? unfitNext(after, order)
}

function repeat(o: Ordering, from: string, id: CID): Step<unknown> {
  if (o.state === 'ACCEPTED') return say(undefined, from, { t: 'handover/accept', order: o.order })
  return o.state === 'DECLINED' ? decline(from, id, o.refusal!) : stay()
}

/** A person takes the offer; `mode` where the committee is weaker than the rule, and it is taken all the same (RULES E1). */
export function accept(
  { order: id, mode, rule }: { order: CID; mode?: Mode; rule: CommitteeRule },
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (!o || isWriter(o)) throw new ProtocolError('NOT_FOUND', 'nobody offers this')
  // An owner may change its mind: whoever wrote it may have signed it meanwhile, and can sign no other.
  const isOpen = o.state === 'OFFERED' || (o.state === 'DECLINED' && o.role === 'joint')
  if (!isOpen) throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}`)
  const order = orderIn(o)
  const voters = committeeKnown(context.get, o.committee) ?? openCommittee(o.next!)
  const wrong =
    misplaced(titleOf(context.get, o.asset), order, keysOf(context, o.identities)) ??
    silent(voters, order, context.get)
  if (wrong) throw new ProtocolError(wrong.code, wrong.text)
  const takes = order.takers !== undefined && isIn(order.takers, context)
  const weak = isOwnerAfter(order, context) ? weakness(o, rule, context.get) : undefined
  if (weak && weak.mode !== mode)
    throw new ProtocolError('MODE_WEAKER', `the committee is not trusted: ${weak.text}`)
  const gives = order.givers !== undefined && isIn(order.givers, context)
  const state = order.states.find(({ org }) => org.equals(context.self.id))!
  if (!(o.ready && !takes) && !state.state.equals(context.self.chain.last))
    throw new ProtocolError('OUT_OF_ORDER', 'the own keys have changed since; let it be offered again')
  const other = gives ? held(o.asset, o.version, context.get) : undefined
  if (other && !other.order.equals(id))
    throw new ProtocolError('OUT_OF_ORDER', `this owner holds to another order of version ${o.version}`)
  const all = ownSigners(order, [], context)
  const own = all.filter(({ role }) => role === order.takers?.role)
  const ready = o.ready ?? all.find(({ role }) => role === order.givers?.role)?.signature
  const signers = own.map(({ role, org }) => ({ role, org: org.toString() }))
  const taken: Ordering = {
    ...o,
    order: signedBy(order, own),
    signers,
    ...(ready ? { ready } : {}),
    state: 'ACCEPTED',
    sent: 0,
  }
  return dealing(order, !gives, ask(taken, context), context)
}

const isIn = ({ owners }: Side, { self }: Pick<Context, 'self'>): boolean =>
  owners.some(({ org }) => org.equals(self.id))

/** Who only gives it up is not harmed by who votes on it then; owners that change their committee stay. */
export function isOwnerAfter({ takers, givers }: Order, context: Pick<Context, 'self'>): boolean {
  const after = takers ?? givers
  return after !== undefined && isIn(after, context)
}

/** A person does not. An owner that said yes may still say no, while it has not signed. */
export function refuse(id: CID, reason: string, context: Context): Step<Ordering> {
  const o = readOrdering(context.get, id)
  if (!o || isWriter(o)) throw new ProtocolError('NOT_FOUND', 'nobody offers this')
  const isOpen = o.state === 'OFFERED' || (o.state === 'ACCEPTED' && o.signers.length === 0)
  if (!isOpen) throw new ProtocolError('OUT_OF_ORDER', `the hand-over is ${o.state}`)
  const refusal = tidy({ code: 'DENIED_BY_PERSON', text: reason })
  return ask({ ...o, state: 'DECLINED', refusal, sent: 0 }, context)
}

/** The owner takes its offer back. One who has signed cannot, whatever it says. */
export function withdrawn(
  from: string,
  { order }: MessageOf<'handover/withdraw'>,
  context: Context,
): Step<Ordering> {
  const o = readOrdering(context.get, order)
  if (!o || isWriter(o) || o.org !== from || hasGiven(o, context.self.org)) return stay()
  if (o.state !== 'OFFERED' && o.state !== 'ACCEPTED') return stay()
  return save({ ...o, state: 'WITHDRAWN' }, stay(), context)
}

/** Whoever wrote it has signed, and perhaps others: an owner that has said yes signs as well. */
export function complete(
  from: string,
  message: MessageOf<'handover/signed'>,
  context: Context,
): Step<Ordering> {
  const order = readOrder(message.order)
  if (!isOrder(order)) return violation(from, message.t, 'RECORD_INVALID', order.reason)
  const o = readOrdering(context.get, order.id)
  if (!o || isWriter(o) || o.org !== from)
    return violation(from, message.t, 'UNKNOWN_DIALOGUE', 'this was not offered')
  // Its writer has not enough signatures yet, and this node has.
  if (o.state === 'VOTING' && isShort(order) && o.role === 'joint')
    return say<Ordering>(undefined, from, { t: 'handover/accept', order: o.order })
  if (isPassed(order, context)) return showSince(from, order.asset, order.version, context)
  if (o.state === 'DECLINED') return decline(from, order.id, o.refusal!)
  if (o.state === 'VOTING' || o.state === 'FROZEN') return stay()
  const keys = keysOf(context, o.identities)
  const signers = signersOf(order, keys)
  if (isRefused(signers)) return violation(from, message.t, 'SIGNATURE_INVALID', signers.text)
  const gives = order.givers && isIn(order.givers, context)
  const due = sidesOf(order).find(
    ({ role, k }) => count(signers, { role }) < (gives && role === order.givers!.role ? 1 : k),
  )
  if (due)
    return violation(from, message.t, 'SIGNATURE_INVALID', `signed as ${due.role} by too few of its owners`)
  if (gives && o.state === 'ACCEPTED') return goOn(o, signers, context)
  const names = signers.map(({ role, org }) => ({ role, org: org.toString() }))
  const whole = sidesOf(order).every(side => count(signers, side) >= side.k)
  if (!whole) return stay()
  const next = { ...o, order: message.order, signers: names }
  return begin(next, [order.record as unknown as Stored], over(context, stay().output))
}
