/**
 * An order on its way to its certificate, at its owner and at the buyer: registrations and hand-overs that both have signed.
 *
 *     owner, or the buyer that hears nothing           seat
 *                -- vote/ask {order, asset?, committee?, bought?, identities} -->   voting.ts
 *                <-- vote/cast {vote} --
 *                <-- vote/refused {order, refusal, held?} --
 *
 *     OFFERED -> ACCEPTED: the writer has signed, and other owners have not yet; of another party: it has said yes
 *     VOTING -> CERTIFIED: told to the other side and to the seats
 *               q seats are asked at first; the others, and the buyer, hear that it is signed where that is not enough
 *            -> FROZEN: so many seats voted for another order that this one never gets its votes
 *
 * Nothing here expires: an order that was signed is asked for until it is certified or never can be (RULES E5).
 */
import { type CID, digestOf } from '../crypto/cid.ts'
import type { AssetCommittee } from './asset-committee.ts'
import { over } from './context.ts'
import { isOrder, type Order, type Owner, readOrder, readVote, voteIn } from './handover.ts'
import { keptRecord } from './kept.ts'
import { KEY } from './layout.ts'
import { BUYER_ASKS_MS, MAX_LINKS, MAX_TOLD, OTHERS_ASKED_MS } from './limits.ts'
import { type Context, decodeState, resendAt, type Step, stay, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { dealt, isOver, isWriter, type Ordering, orderIn, readOrdering, save } from './ordering-state.ts'
import { join, nothing, type Output } from './output.ts'
import { advance, isRefused, type Link, makeCertificate, signedBy } from './ownership.ts'
import { among, eachOnce, keysOf, show } from './parties.ts'
import type { Stored } from './record.ts'
import {
  bareLinks,
  committeeKnown,
  type Frozen,
  fits,
  frozenBy,
  frozenNow,
  keepLink,
  linksOf,
  openCommittee,
  shownLinks,
  soldBy,
  tell,
  titleOf,
} from './title.ts'

/** Begins to collect votes. Nobody's votes are needed where nobody votes. */
export function begin(o: Ordering, records: Stored[], context: Context): Step<Ordering> {
  const step = ask({ ...o, state: 'VOTING', sent: 0 }, context)
  const done = isDecided(step.state!, context) ? certified(step.state!, context) : step
  return { ...done, records: [...records, ...done.records] }
}

/** What is due to be sent, and when again. */
export function ask(o: Ordering, context: Context): Step<Ordering> {
  const output = nothing()
  const machine = KEY.order(orderIn(o).id)
  const waits = o.state === 'VOTING' && !isWriter(o) && o.sent === 0
  const all = waits ? [] : addressees(o, context)
  const others = othersIn(o, context)
  const first = atFirst(o, all, context)
  const due = o.sent === 0 ? first : isSecond(o) ? all.filter(to => !first.includes(to)) : all
  // At first as to who is likely to know the rest: whoever does not asks for the whole. A new committee is news to all.
  const isNews = o.state === 'CERTIFIED' && o.next !== undefined
  const isWhole = isNews || (o.sent > 0 && !isSecond(o))
  // All seats that know as much are sent the same.
  const made = new Map<string, Message[]>()
  for (const to of due) {
    const kind = others.includes(to)
      ? `other ${o.agreed.includes(to)}`
      : `${knowsSteps(to, o, context)} ${hasVoted(to, o)}`
    const messages = made.get(kind) ?? dueTo(to, o, isWhole, context)
    made.set(kind, messages)
    output.sends.push(...messages.map(message => ({ to, message })))
  }
  const told = o.state === 'CERTIFIED' ? [...o.told, ...due.filter(to => !isAwaited(to, o))] : o.told
  const isDone = o.state === 'CERTIFIED' && all.every(to => told.includes(to))
  const next = { ...o, told, sent: isDone ? MAX_TOLD + 1 : o.sent + 1 }
  const isFirst = o.sent === 0 && o.state === 'VOTING' && isWriter(o)
  const later = waits ? BUYER_ASKS_MS : isFirst ? OTHERS_ASKED_MS : undefined
  const atMs = later === undefined ? resendAt(context.now, o.sent) : context.now.monoMs + later
  if (!isOver(next)) output.deadlines.push({ machine, atMs })
  return save(next, { output, records: [] }, context)
}

/** The other parties of an order. */
const othersIn = (o: Ordering, { self }: Context): string[] =>
  orderIn(o)
    .parties.map(String)
    .filter(org => org !== self.org)

const givingRole = (o: Ordering): string | undefined => orderIn(o).givers?.role

/** Owners before it who have not signed. */
const giversLeft = (o: Ordering): string[] => {
  const names = orderIn(o).givers?.owners.map(({ org }) => org.toString()) ?? []
  return names.filter(name => !o.signers.some(({ org, role }) => org === name && role === givingRole(o)))
}

/** Who is told or asked something now. */
function addressees(o: Ordering, context: Context): string[] {
  const seats = (each: Stored<AssetCommittee> | undefined) => each?.payload.seats.map(({ org }) => org) ?? []
  const deciding = seats(committeeKnown(context.get, o.committee)).map(String)
  const others = othersIn(o, context)
  switch (o.state) {
    case 'OFFERED':
      if (!isWriter(o)) return [] // a person decides, and has not yet
      return others.filter(org => !o.agreed.includes(org) && !o.refused.some(each => each.org === org))
    case 'ACCEPTED': {
      const isSigned = o.signers.some(({ org, role }) => org === context.self.org && role === givingRole(o))
      const left = giversLeft(o).filter(org => org !== context.self.org)
      // Its writer passes on what owners cannot give to each other.
      return isWriter(o) ? left : isSigned ? [o.org!, ...left] : [o.org!]
    }
    case 'VOTING': {
      const parties = orderIn(o).parties.map(String)
      const open = deciding.filter(org => !parties.includes(org) && !hasVoted(org, o))
      if (!isWriter(o)) return o.version === 0 ? [o.org!] : open // only who registers may ask seats
      return [...others.filter(org => o.agreed.includes(org)), ...open]
    }
    case 'CERTIFIED': {
      const next = o.next ? seats(openCommittee(o.next)).map(String) : []
      const all = new Set([...others, ...deciding, ...next])
      return [...all].filter(org => org !== context.self.org && !o.told.includes(org))
    }
    case 'DECLINED':
      return isWriter(o) ? [] : [o.org!]
    default:
      return []
  }
}

/** Those who were asked first may still answer: now it is the turn of the others. */
const isSecond = (o: Ordering): boolean => o.state === 'VOTING' && isWriter(o) && o.sent === 1

/**
 * Of these, who is told or asked at first. As many seats are asked as decide, for each version the same; those that did not
 * answer of late come last.
 */
function atFirst(o: Ordering, all: string[], context: Context): string[] {
  if (o.state !== 'VOTING' || !isWriter(o)) return all
  const { q, seats } = committeeKnown(context.get, o.committee)!.payload
  const { parties } = orderIn(o)
  const may = seats
    .filter(({ org }) => !parties.some(party => party.equals(org)))
    .map(({ org }) => org.toString())
  const from = digestOf(o.asset)[0]! % Math.max(1, may.length)
  const inTurn = [...may.slice(from), ...may.slice(0, from)]
  const [late, timely] = [true, false].map(isLate => inTurn.filter(seat => context.late.has(seat) === isLate))
  return [...timely!, ...late!].slice(0, q).filter(seat => all.includes(seat))
}

/** Whoever voted for it is told once and does not answer: it asks for the step with the next order. */
const isAwaited = (to: string, o: Ordering): boolean => !hasVoted(to, o) || o.next !== undefined

const hasVoted = (seat: string, { votes }: Ordering): boolean => votes.some(({ org }) => org === seat)

/** What this one is sent in this state; `whole`: with all that it may not know. */
function dueTo(to: string, o: Ordering, whole: boolean, context: Context): Message[] {
  const { order } = o
  const read = orderIn(o)
  switch (o.state) {
    case 'OFFERED': {
      const brought = broughtBy(o, context)
      const identities = whole ? show(read.parties, context, signersWith(o, brought)) : []
      const shown = whole && brought ? { committee: brought } : {}
      const asset = o.version === 0 ? keptRecord(context, o.asset) : undefined
      const unsigned = o.signers.length > 0 ? signedBy(read, []) : order
      const offer = {
        t: 'handover/offer' as const,
        order: unsigned,
        identities,
        ...shown,
        ...(asset ? { asset } : {}),
        ...(o.bought ? { bought: o.bought } : {}),
      }
      return [withSteps(offer, to, o, 0, whole, context)]
    }
    case 'ACCEPTED':
      // An owner that has not said yes is still asked to; one that has signs what its writer signed.
      if (!isWriter(o)) return [{ t: 'handover/accept', order }]
      return o.agreed.includes(to)
        ? [{ t: 'handover/signed', order }]
        : dueTo(to, { ...o, state: 'OFFERED' }, whole, context)
    case 'DECLINED':
      return [{ t: 'handover/decline', order: read.id, refusal: o.refusal! }]
    case 'VOTING':
      return othersIn(o, context).includes(to)
        ? [{ t: isWriter(o) ? 'handover/signed' : 'handover/accept', order }]
        : [withSteps(voteAsk(o, read, whole, context), to, o, o.version - 1, whole, context)]
    case 'CERTIFIED':
      return tell(
        o.asset,
        knowsBefore(to, o, context) ? o.version : Math.max(0, o.version - 1),
        whole,
        context,
      )
    default:
      return []
  }
}

/** Whoever has signed or voted for it knows the step before. */
const knowsBefore = (to: string, o: Ordering, context: Context): boolean =>
  othersIn(o, context).includes(to) || hasVoted(to, o) || knowsSteps(to, o, context)

/** Whether this one has said that it knows the step before, was told of it, or showed it to this node. */
function knowsSteps(
  to: string,
  { asset, version }: Pick<Ordering, 'asset' | 'version'>,
  { get }: Context,
): boolean {
  const before = version > 0 ? dealt(get, asset, version - 1) : undefined
  const held = before && readOrdering(get, before.order)
  return held !== undefined && (held.org === to || held.told.includes(to))
}

/** With the steps before it from a version on, unless the receiver has them: else it would ask for them first. */
function withSteps<M extends MessageOf<'handover/offer' | 'vote/ask'>>(
  message: M,
  to: string,
  { asset, version }: Ordering,
  from: number,
  isWhole: boolean,
  context: Context,
): M {
  if (version === 0 || version - from > MAX_LINKS || knowsSteps(to, { asset, version }, context))
    return message
  if (!isWhole) {
    const steps = message.t === 'vote/ask' ? bareLinks : linksOf // its seats know the committee
    return { ...message, links: steps(context.get, asset, from, version - from) }
  }
  const { links, identities } = shownLinks(context, asset, from, version - from)
  const whole = { ...message, links, identities: eachOnce([...message.identities, ...identities]) }
  return fits(whole) ? whole : message
}

/** The committee that an order brings: that of a registration, or the one that is to follow. */
const broughtBy = ({ version, committee, next }: Ordering, { get }: Context): Uint8Array | undefined =>
  version === 0 ? get(KEY.jury(committee)) : next

function voteAsk(o: Ordering, read: Order, whole: boolean, context: Context) {
  const { order, identities } = o
  const asset = read.version === 0 ? keptRecord(context, read.asset) : undefined
  const brought = broughtBy(o, context)
  return {
    t: 'vote/ask' as const,
    order,
    identities: whole ? among(read.parties, identities, context, signersWith(o, brought)) : [],
    ...(asset ? { asset } : {}),
    ...(whole && brought ? { committee: brought } : {}),
    ...(o.bought ? { bought: o.bought } : {}),
  }
}

/** By whose keys what is brought with an order is judged. */
const signersWith = ({ bought }: Ordering, brought: Uint8Array | undefined): Owner[] => [
  ...(brought ? openCommittee(brought).payload.seats : []),
  ...soldBy(bought),
]

/** A seat has voted. */
export function cast(from: string, message: MessageOf<'vote/cast'>, context: Context): Step<unknown> {
  const found = askedFor(message.vote, context)
  if (!found) return stay()
  const { o, committee } = found
  context.late.delete(from)
  // It was too late to count, and its seat does not answer what it was told since.
  if (o.state === 'CERTIFIED' && !o.next) return heard(from, o.asset, o.version, context)
  if (o.state !== 'VOTING' || o.votes.some(({ org }) => org === from)) return stay()
  const read = readVote(message.vote, committee)
  if ('reason' in read) return violation(from, message.t, 'SIGNATURE_INVALID', read.reason)
  const order = orderIn(o)
  const { vote } = read
  const isFor = vote.choice.equals(order.id) && vote.asset.equals(o.asset) && vote.version === o.version
  if (vote.org.toString() !== from || !isFor)
    return violation(from, message.t, 'RECORD_INVALID', 'it is no vote of this seat for this order')
  const refused = o.refused.filter(({ org }) => org !== from)
  const next = { ...o, refused, votes: [...o.votes, { org: from, vote: message.vote }] }
  return isDecided(next, context) ? certified(next, context) : save(next, stay(), context)
}

/** The order that a vote names, if this node has asked for it. */
function askedFor(
  vote: Uint8Array,
  context: Context,
): { o: Ordering; committee: Stored<AssetCommittee> } | undefined {
  const choice = voteIn(vote)?.choice
  const o = choice && readOrdering(context.get, choice)
  const committee = o && committeeKnown(context.get, o.committee)
  return o && committee ? { o, committee } : undefined
}

function isDecided(o: Ordering, context: Context): boolean {
  const committee = committeeKnown(context.get, o.committee)
  if (!committee) return false
  const parties = orderIn(o).parties.map(String)
  return o.votes.filter(({ org }) => !parties.includes(org)).length >= committee.payload.q
}

/** q votes: the certificate is kept and told. */
function certified(o: Ordering, context: Context): Step<Ordering> {
  const order = orderIn(o)
  const asset = order.version === 0 ? keptRecord(context, order.asset) : undefined
  const shown = broughtBy(o, context)
  const link: Link = {
    order: o.order,
    certificate: makeCertificate(o.votes.map(({ vote }) => vote!)),
    ...(asset ? { asset } : {}),
    ...(shown ? { committee: shown } : {}),
    ...(o.bought ? { bought: o.bought } : {}),
  }
  const keys = keysOf(context, o.identities)
  const known = (id: CID) => committeeKnown(context.get, id)
  const owned = advance(titleOf(context.get, order.asset), link, keys, known)
  if (isRefused(owned)) return save({ ...o, refusal: owned }, stay(), context)
  const writes = keepLink(link, owned, o.identities, context)
  const kept: Output = {
    ...nothing(),
    writes,
    events: [{ type: 'owner', asset: owned.asset, version: owned.version }],
  }
  const votes = o.votes.map(({ org }) => ({ org }))
  const told = ask({ ...o, votes, state: 'CERTIFIED', sent: 0 }, over(context, kept))
  return { ...told, output: join(kept, told.output, passed(o, context)) }
}

/** The order before is told to nobody any more: seats that lack its certificate asked for it with this one. */
function passed({ asset, version }: Ordering, { get }: Context): Output {
  const before = version > 0 ? dealt(get, asset, version - 1) : undefined
  const machine = before && KEY.order(before.order)
  if (!machine || !get(KEY.open(machine))) return nothing()
  return {
    ...nothing(),
    writes: [{ key: KEY.open(machine) }],
    deadlines: [{ machine, atMs: Number.POSITIVE_INFINITY }],
  }
}

/** A seat does not vote for it; where it voted for another order of the same owner, both are the evidence. */
export function refused(from: string, message: MessageOf<'vote/refused'>, context: Context): Step<unknown> {
  const o = readOrdering(context.get, message.order)
  const committee = o && committeeKnown(context.get, o.committee)
  if (!o || !committee || o.state !== 'VOTING') return stay()
  if (!committee.payload.seats.some(({ org }) => org.toString() === from)) return stay()
  const { code, text } = message.refusal
  const others = o.refused.filter(({ org }) => org !== from)
  const found = message.held && equivocation(o, message, message.held, context)
  const otherwise = found ? { otherwise: true as const } : {}
  const next: Ordering = { ...o, refused: [...others, { org: from, code, text, ...otherwise }] }
  const frozen = found ? frozenNow(found, o.asset, context) : stay()
  const isDead = isHopeless(next, committee.payload)
  const step = isDead
    ? save({ ...next, state: 'FROZEN' }, stay(), context)
    : isSecond(next)
      ? ask(next, context)
      : save(next, stay(), context)
  context.late.add(from)
  return { ...step, output: join(step.output, frozen.output) }
}

function equivocation(
  o: Ordering,
  message: MessageOf<'vote/refused'>,
  held: Uint8Array,
  context: Context,
): Frozen | undefined {
  const asset = o.version === 0 ? keptRecord(context, o.asset) : undefined
  return frozenBy([o.order, held], asset, [...o.identities, ...message.identities], context)
}

/** So many seats show that they voted otherwise that q of the rest are no more. One that only says so may lie. */
function isHopeless(o: Ordering, { seats, q }: AssetCommittee): boolean {
  const parties = orderIn(o).parties
  const may = seats.filter(({ org }) => !parties.some(party => party.equals(org)))
  const never = o.refused.filter(({ otherwise }) => otherwise).map(({ org }) => org)
  return may.filter(({ org }) => !never.includes(org.toString())).length < q
}

/** Certified steps came: an order of this node may be among them, or be passed by them. */
export function settled(asset: CID, version: number, context: Context): Step<unknown> {
  const [link] = linksOf(context.get, asset, version, 1)
  const order = link && readOrder(link.order)
  const none: Step<unknown> = stay()
  if (!order || !isOrder(order)) return none
  const { get } = context
  const mine = dealt(get, asset, version)?.order
  // Each owner before it may have offered one of its own.
  const offered = (order.givers?.owners ?? []).flatMap(({ org }) => {
    const stored = get(KEY.offered(asset, version, org.toString()))
    return stored ? [decodeState<{ order: CID }>(stored).order] : []
  })
  const ids = new Map([order.id, ...(mine ? [mine] : []), ...offered].map(id => [id.toString(), id]))
  return [...ids.values()].reduce((step, id) => {
    const o = readOrdering(get, id)
    if (!o || isOver(o) || o.state === 'CERTIFIED') return step
    const next = settle(o, link, context)
    return { output: join(step.output, next.output), records: [...step.records, ...next.records] }
  }, none)
}

/** What becomes of an order whose version is certified by this step. */
function settle(o: Ordering, link: Link, context: Context): Step<Ordering> {
  const order = orderIn(link)
  return order.id.equals(orderIn(o).id) ? held(o, link, order, context) : passedBy(o, context)
}

/** It is certified. Whoever has not seen it with enough signatures logs it now. */
function held(o: Ordering, link: Link, { record }: Order, context: Context): Step<Ordering> {
  const records = o.state === 'VOTING' ? [] : [record as unknown as Stored]
  return { ...save({ ...o, order: link.order, state: 'CERTIFIED' }, stay(), context), records }
}

/** Another one is: what its owners have signed never gets its votes, and what they have not is over. */
function passedBy(o: Ordering, context: Context): Step<Ordering> {
  const refusal = { code: 'VERSION_PASSED', text: `another order of version ${o.version} is certified` }
  const isGiven = o.signers.some(({ role }) => role === givingRole(o)) || o.state === 'VOTING'
  return save({ ...o, state: isGiven ? 'FROZEN' : 'WITHDRAWN', refusal }, stay(), context)
}

/** Somebody says how far it knows an asset: it is told the rest; or it knows all, and is asked what waits for that. */
export function known(from: string, message: MessageOf<'owner/known'>, context: Context): Step<unknown> {
  const { asset, version = -1, whole = false } = message
  const mine = titleOf(context.get, asset)
  const output = nothing()
  const isBehind = mine !== undefined && version < mine.version
  if (isBehind)
    output.sends.push(...tell(asset, version + 1, whole, context).map(each => ({ to: from, message: each })))
  // Behind what it is told, for a seat that voted for the last of these steps does not answer.
  const following = dealt(context.get, asset, mine ? mine.version + 1 : 0)
  const o = following && readOrdering(context.get, following.order)
  if (o && addressees(o, context).includes(from))
    output.sends.push(...dueTo(from, o, whole, context).map(each => ({ to: from, message: each })))
  if (!mine || isBehind) return { output, records: [] }
  const { output: more, records } = heard(from, asset, mine.version, context)
  return { output: join(output, more), records }
}

/** It holds the certificate. */
function heard(from: string, asset: CID, version: number, context: Context): Step<unknown> {
  const mine = dealt(context.get, asset, version)
  const o = mine && readOrdering(context.get, mine.order)
  if (o?.state !== 'CERTIFIED' || o.told.includes(from) || isOver(o)) return stay()
  const next = { ...o, told: [...o.told, from] }
  const isDone = addressees(next, context).length === 0
  return save(isDone ? { ...next, sent: MAX_TOLD + 1 } : next, stay(), context)
}

/** A tick or start. */
export function again(machine: string, type: 'tick' | 'start', context: Context): Step<Ordering> {
  const stored = context.get(machine)
  const o = stored && decodeState<Ordering>(stored)
  if (!o || isOver(o)) return stay()
  if (!isWriter(o) && o.state === 'OFFERED') return stay()
  // One that this node took instead may have become certified.
  const [link] = o.state === 'CERTIFIED' ? [] : linksOf(context.get, o.asset, o.version, 1)
  if (link) return settle(o, link, context)
  // Who lacks it asks when the order that followed comes.
  if (o.state === 'CERTIFIED' && o.sent > 0 && (titleOf(context.get, o.asset)?.version ?? 0) > o.version)
    return save({ ...o, sent: MAX_TOLD + 1 }, stay(), context)
  if (type === 'start') return ask({ ...o, sent: isWriter(o) ? 0 : 1 }, context)
  const first = isSecond(o) ? atFirst(o, addressees(o, context), context) : []
  const step = ask(o, context)
  for (const seat of first) context.late.add(seat)
  return step
}
