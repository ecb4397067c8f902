/**
 * The committee of a log, both roles, in message order: its owner proposes, each seat signs with its witness key, and the
 * record that every seat has signed is named by an entry of the log (RULES D2).
 *
 *     log's owner                                     seat
 *                -- ask {committee, identities} -->    checks, remembers, signs; or waits for a person
 *                <-- signed {committee} --
 *                <-- refused {committee, refusal} --
 *
 * The first committee counts when all its seats have cosigned a head over the entry that names it, a later one when q of
 * the old and q of the new have. Until then, and from then on, no head is signed without their promises (promise.ts).
 */
import { equal, readU64, text, u64 } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { type Note, parseNote } from '../crypto/note.ts'
import { encodeSigned, type Signature } from '../crypto/statement.ts'
import { type Committee, committee } from './committee-record.ts'
import { ProtocolError } from './error.ts'
import { isClosed } from './fork.ts'
import { identityGenesis, verifyIdentity } from './identity.ts'
import { type Chain, cosignatureOf, eventsOf, isExpired, isRefused, readChain } from './identity-chain.ts'
import { indexOf } from './kept.ts'
import { KEY } from './layout.ts'
import { MAX_WITNESSES } from './limits.ts'
import { ZERO_HASH } from './log.ts'
import {
  type Context,
  decodeState,
  encodeState,
  type Partner,
  resendAt,
  type Step,
  say,
  signed,
  stay,
  violation,
} from './machine.ts'
import type { MessageOf, Refusal } from './message.ts'
import { nothing, type Write } from './output.ts'
import { isLost, LOST_TEXT } from './put-back.ts'
import { isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import { committeeOf } from './trust.ts'

/** What the owner of a log knows of its committee. */
export interface Seating {
  /** The record in force. */
  now?: Uint8Array
  /** The first one that came into force: partners pin it (RULES D2). */
  first?: CID
  /** All that came into force: the entry that names each, and the size of the head that its seats cosigned for it. */
  past?: { id: CID; index: number; size: number }[]
  /** Named by the entry at `index`, and not in force yet. */
  next?: { record: Uint8Array; index: number }
  asked?: Proposal
}

/** A log and its first committee. */
export type First = Partner['firsts'][number]

/** A committee whose seats are being asked. */
export interface Proposal {
  record: Uint8Array
  signed: { org: string; signature: Signature }[]
  refused: { org: string; text: string }[]
  sent: number
}

/** What a seat remembers of one log: the committees that it has signed, newest last, and the one that it has promised under. */
export interface Seat {
  committees: Signable[]
  pinned?: { number: number; id: CID }
  /** Those before that one under which it gave a promise that it still holds, each with the size of the last of these. */
  under?: { id: CID; size: number }[]
  /** Asked for and not signed: a person decides here. */
  waiting?: Signable
}
interface Signable {
  record: Uint8Array
  /** Identities of the other seats, whose cosignatures make a head final. */
  identities: SeatIdentity[]
}
interface SeatIdentity {
  identity: Uint8Array
  events: Uint8Array[]
}
/** Committees that a seat keeps beside the one that it has promised under: the next is one of those asked for last. */
const KEPT = 4

type Get = (key: string) => Uint8Array | undefined

/** What was read of bytes that a store holds, as long as it holds them: every step of a log looks at its committee. */
const seatings = new WeakMap<Uint8Array, Seating>()
const opened = new WeakMap<Uint8Array, Stored<Committee>>()

export const readSeating = (get: Get): Seating => {
  const stored = get(KEY.seating)
  return stored ? once(seatings, stored, decodeState<Seating>) : {}
}

/** A committee as it was stored: it was checked when it came. */
const open = (record: Uint8Array): Stored<Committee> =>
  once(opened, record, bytes => readRecord(committee, bytes) as Stored<Committee>)

function once<T>(known: WeakMap<Uint8Array, T>, bytes: Uint8Array, read: (bytes: Uint8Array) => T): T {
  const held = known.get(bytes)
  if (held !== undefined) return held
  const found = read(bytes)
  known.set(bytes, found)
  return found
}

export function nameOf(record: Uint8Array): { number: number; id: CID } {
  const { id, payload } = open(record)
  return { number: payload.number, id }
}

export const inForce = (get: Get): Stored<Committee> | undefined => {
  const { now } = readSeating(get)
  return now && open(now)
}

/** Digest of the id of the committee in force, as a state entry names it; zeros while there is none. */
export const committeeDigest = (get: Get): Uint8Array => {
  const current = inForce(get)
  return current ? digestOf(current.id) : ZERO_HASH
}

/** The first committee of the own log, as partners are told of it. */
export function firstCommittee({ self, get }: Pick<Context, 'self' | 'get'>): First | undefined {
  const { first } = readSeating(get)
  return first && { log: self.chain.logs.at(-1)!, committee: first }
}

/** Entries below this size were there before the log had a committee: none of its members answers for them (RULES D2). */
export function unwitnessedBefore(get: Get): number {
  const { first } = readSeating(get)
  return (first && indexOf(get, first)) ?? 0
}

/** The first committee of a partner's log, as it was pinned. */
export const firstOf = ({ firsts }: Pick<Partner, 'firsts'>, log: CID): CID | undefined =>
  firsts.find(each => each.log.equals(log))?.committee

/** Who cosigns the own heads: the seats of the committee, also of one that is to follow; before the first, who is configured. */
export function cosigners(context: Pick<Context, 'get' | 'witnesses'>): string[] {
  const { now, next } = readSeating(context.get)
  const records = [now, next?.record].flatMap(record => (record ? [open(record)] : []))
  const ids = records.length > 0 ? records.flatMap(({ payload }) => payload.seats) : context.witnesses
  return [...new Set(ids.map(String))]
}

/** Whether an organisation has a seat in the own committee, in force or named. */
export const isMember = (org: string, get: Get): boolean =>
  quorums(get, Number.MAX_SAFE_INTEGER).some(({ seats }) => seats.includes(org))

/** So many of these must have promised a head before it is signed (RULES D1). */
export interface Quorum {
  /** The committee that they have signed. */
  id: CID
  seats: string[]
  need: number
  f: number
}

/** Whose promises a head of `size` needs; nobody's before the first committee is named. The committee to follow comes last. */
export function quorums(get: Get, size: number): Quorum[] {
  const { now, next } = readSeating(get)
  const current = now && open(now)
  const coming = next && size > next.index ? open(next.record) : undefined
  const group = ({ id, payload }: Stored<Committee>, need = payload.q): Quorum => ({
    id,
    seats: payload.seats.map(String),
    need,
    f: payload.f,
  })
  const due = current ? [group(current)] : []
  return coming ? [...due, group(coming, current ? coming.payload.q : coming.payload.n)] : due
}

export const isReached = (groups: Quorum[], by: string[]): boolean =>
  groups.every(({ seats, need }) => seats.filter(seat => by.includes(seat)).length >= need)

// Owner.

/** The wish for a committee; `rule` where it is not the usual one for so many seats. */
export interface Wish {
  seats: CID[]
  rule?: { f: number; q: number }
}

/** Asks the seats of the next committee. Throws ProtocolError when there can be none. */
export function propose(s: Seating, { seats, rule }: Wish, context: Context): Step<Seating> {
  if (s.next) throw new ProtocolError('OUT_OF_ORDER', 'a committee that was named is not in force yet')
  const stranger = seats.find(seat => !context.partner(seat.toString()))
  if (stranger) throw new ProtocolError('NOT_FOUND', `${stranger} is not a partner of this home`)
  const before = s.now && open(s.now)
  const sorted = [...new Map(seats.map(seat => [seat.toString(), seat])).entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, seat]) => seat)
  const { n, f, q } = { ...committeeOf(sorted.length), ...rule }
  const payload: Committee = {
    t: 'committee/1',
    org: context.self.id,
    log: context.self.chain.logs.at(-1)!,
    number: before ? before.payload.number + 1 : 0,
    ...(before ? { prev: before.id } : {}),
    n,
    f,
    q,
    seats: sorted,
    made: context.now.wallMs,
  }
  const record = encodeSigned({ p: payload, s: [] })
  const read = readRecord(committee, record)
  if (!isStored(read)) throw new ProtocolError('RECORD_INVALID', read.reason)
  return ask({ ...s, asked: { record, signed: [], refused: [], sent: 0 } }, context)
}

/** Asks for the committee that the configuration names, unless it is there or asked for already. */
export function follow(s: Seating, context: Context, met?: string): Step<Seating> {
  const waits = s.asked && met && !s.asked.signed.some(({ org }) => org === met)
  if (waits) return ask(s, context)
  const wanted = context.witnesses.filter(id => context.partner(id.toString())).slice(0, MAX_WITNESSES)
  const latest = s.next?.record ?? s.asked?.record ?? s.now
  const isThere = latest && sameSeats(open(latest).payload.seats, wanted)
  if (wanted.length === 0 || s.next || isThere) return stay()
  return propose(s, { seats: wanted }, context)
}

const sameSeats = (a: CID[], b: CID[]): boolean =>
  a.length === b.length && a.every(id => b.some(other => other.equals(id)))

/** Asks those who have not signed. */
function ask(s: Seating, context: Context): Step<Seating> {
  const proposal = s.asked
  if (!proposal) return rest(s)
  const { seats } = open(proposal.record).payload
  const output = nothing()
  for (const seat of seats) {
    const to = seat.toString()
    if (proposal.signed.some(({ org }) => org === to)) continue
    const others = seats.filter(each => !each.equals(seat))
    const identities = others.flatMap(each => {
      const partner = context.partner(each.toString())
      return partner ? [{ identity: partner.identityBytes, events: eventsOf(partner.chain) }] : []
    })
    output.sends.push({ to, message: { t: 'committee/ask', committee: proposal.record, identities } })
  }
  output.deadlines.push({ machine: KEY.seating, atMs: resendAt(context.now, proposal.sent) })
  return { state: { ...s, asked: { ...proposal, sent: proposal.sent + 1 } }, output, records: [] }
}

function rest(s: Seating): Step<Seating> {
  const step = stay(s)
  step.output.deadlines.push({ machine: KEY.seating, atMs: Number.POSITIVE_INFINITY })
  return step
}

/** A tick or a start of the owner's part. */
export const again = (s: Seating, type: 'tick' | 'start', context: Context): Step<Seating> =>
  ask(s.asked && type === 'start' ? { ...s, asked: { ...s.asked, sent: 0 } } : s, context)

/** A seat's answer. The record that all have signed goes into the log, at `index`. */
export function answered(
  s: Seating,
  from: string,
  message: MessageOf<'committee/signed' | 'committee/refused'>,
  index: number,
  context: Context,
): Step<Seating> {
  const asked = s.asked && open(s.asked.record)
  if (!s.asked || !asked) return stay(s) // a late one
  const seat = asked.payload.seats.find(id => id.toString() === from)
  if (message.t === 'committee/refused') {
    if (!seat || !message.committee.equals(asked.id)) return stay(s)
    const others = s.asked.refused.filter(({ org }) => org !== from)
    const refused = [...others, { org: from, text: message.refusal.text }]
    return stay({ ...s, asked: { ...s.asked, refused } })
  }
  const read = readRecord(committee, message.committee)
  if (!isStored(read) || !read.id.equals(asked.id) || !seat) return stay(s)
  const [signature] = read.signatures
  const alone: Stored<Committee> = { ...read, payload: { ...read.payload, seats: [seat] } }
  if (!signature || verifySignatures(committee, alone, context.keys).ok !== true)
    return violation(from, message.t, 'SIGNATURE_INVALID', 'the seat has not signed this committee')
  if (isExpired(context.partner(from)!.chain, 'witness', context.now.wallMs))
    return violation(from, message.t, 'KEY_EXPIRED', 'the witness key of the seat is past its date')
  const others = s.asked.signed.filter(({ org }) => org !== from)
  const refused = s.asked.refused.filter(({ org }) => org !== from)
  const proposal = { ...s.asked, signed: [...others, { org: from, signature }], refused }
  if (proposal.signed.length < asked.payload.n) return stay({ ...s, asked: proposal })
  return named(s, asked.payload, proposal, index, context)
}

/** Every seat has signed: an entry names the record, and it counts when it is cosigned. */
function named(
  s: Seating,
  payload: Committee,
  { signed: by }: Proposal,
  index: number,
  { get }: Context,
): Step<Seating> {
  const signatures = payload.seats.map(seat => by.find(({ org }) => org === seat.toString())!.signature)
  const record = signed(payload, signatures)
  const { asked: _, ...others } = s
  const step = rest({ ...others, next: { record: record.bytes, index } })
  // What was shown of a log without members stays to be seen, and nothing else before it is final.
  if (!s.now) step.output.writes.push({ key: KEY.publicHead, value: get(KEY.newestHead) ?? u64(0) })
  return { ...step, records: [record] }
}

/**
 * What a head with its cosignatures settles: whether it is final, which makes it the newest that anybody may see, and whether
 * the committee that it names comes into force.
 */
export function settle(s: Seating, size: number, note: Uint8Array, get: Get): Step<Seating> {
  const names = new Set(parseNote(text(note)).lines.map(line => line.name.split('/')[0]))
  const current = s.now && open(s.now)
  const coming = s.next && size > s.next.index ? open(s.next.record) : undefined
  const count = ({ payload }: Stored<Committee>) =>
    payload.seats.filter(seat => names.has(seat.toString())).length
  const isFinal = !current || count(current) >= current.payload.q
  const counts = coming && count(coming) >= (current ? coming.payload.q : coming.payload.n)
  if (!isFinal || (coming ? !counts : !current)) return stay()
  const first = s.first ?? coming?.id
  const past = coming ? [...(s.past ?? []), { id: coming.id, index: s.next!.index, size }] : []
  const step = stay<Seating>(coming ? { now: s.next!.record, ...(first ? { first } : {}), past } : s)
  const known = get(KEY.publicHead)
  if (!known || readU64(known)! < size) step.output.writes.push({ key: KEY.publicHead, value: u64(size) })
  if (coming) step.output.events.push({ type: 'committee', number: coming.payload.number })
  return step
}

// Seat.

const EXPIRED_TEXT = 'the witness key of this seat has expired: it signs again under another one'

const refuse = (to: string, id: CID, code: Refusal['code'], why: string): Step<Seat> =>
  say<Seat>(undefined, to, { t: 'committee/refused', committee: id, refusal: { code, text: why } })

/** Asked to sit: signs at once, or leaves it to a person where the configuration says so. */
export function asked(
  state: Seat | undefined,
  from: string,
  message: MessageOf<'committee/ask'>,
  context: Context,
): Step<Seat> {
  const read = readRecord(committee, message.committee)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  const wrong = unfit(state, from, read, message.identities, context)
  if (wrong) return refuse(from, read.id, wrong.code, wrong.text)
  const signable = { record: message.committee, identities: message.identities }
  const isSigned = state?.committees.some(({ record }) => equal(record, message.committee))
  if (isSigned || context.sits) return sign(state, from, signable, context)
  const step = stay<Seat>({ ...(state ?? { committees: [] }), waiting: signable })
  step.output.events.push({ type: 'seat', org: from })
  return step
}

/** A person says yes. Throws ProtocolError when nothing waits. */
export function agree(state: Seat | undefined, org: string, context: Context): Step<Seat> {
  if (!state?.waiting)
    throw new ProtocolError('NOT_FOUND', 'this partner asks for no seat that is not signed')
  if (isExpired(context.self.chain, 'witness', context.now.wallMs))
    throw new ProtocolError('KEY_EXPIRED', EXPIRED_TEXT)
  return sign(state, org, state.waiting, context)
}

function sign(state: Seat | undefined, to: string, signable: Signable, context: Context): Step<Seat> {
  const { payload } = open(signable.record)
  const bytes = encodeSigned({ p: payload, s: [context.sign(payload, 'seat', 'witness')] })
  const { waiting: _, committees = [], ...rest } = state ?? {}
  const others = committees.filter(({ record }) => !equal(record, signable.record))
  const next: Seat = { ...rest, committees: keep([...others, signable], state ?? {}) }
  return say(next, to, { t: 'committee/signed', committee: bytes })
}

/** What a promise was given under stays while that is held, however many are asked for after it and never come into force. */
function keep(committees: Signable[], { pinned, under = [] }: Pick<Seat, 'pinned' | 'under'>): Signable[] {
  if (!pinned) return committees.slice(-KEPT)
  const numbered = committees.map(each => ({ each, ...nameOf(each.record) }))
  const inUse = numbered.filter(({ id }) => [...under, pinned].some(used => used.id.equals(id)))
  const later = numbered.filter(({ number }) => number > pinned.number).slice(-KEPT)
  return [...inUse, ...later].map(({ each }) => each)
}

/** The seat promises under another committee from here on; `promised` is the size of the last promise that it holds. */
export function pin(seat: Seat, pinned: { number: number; id: CID }, promised: number | undefined): Seat {
  const { pinned: before, under = [], ...rest } = seat
  if (!before || promised === undefined) return { ...rest, pinned }
  return { ...rest, pinned, under: [...under, { id: before.id, size: promised }] }
}

/** A head of `size` was cosigned, so no promise up to there is held: committees of these alone are asked no more. */
export function unpinned(org: string, size: number, get: Get): Write[] {
  const stored = get(KEY.seat(org))
  const { under, ...seat } = stored ? decodeState<Seat>(stored) : { committees: [] }
  if (!stored || !under) return []
  const held = under.filter(each => each.size > size)
  const value = encodeState(held.length > 0 ? { ...seat, under: held } : seat)
  return [{ key: KEY.seat(org), value, if: { equals: stored } }]
}

/** Why this node does not take the seat. */
function unfit(
  state: Seat | undefined,
  from: string,
  { id, payload }: Stored<Committee>,
  identities: SeatIdentity[],
  context: Context,
): { code: Refusal['code']; text: string } | undefined {
  const partner = context.partner(from)!
  const log = partner.chain.logs.at(-1)!
  if (!payload.org.equals(partner.id) || !payload.log.equals(log))
    return { code: 'RECORD_INVALID', text: 'it is not of the log of who asks' }
  if (isExpired(context.self.chain, 'witness', context.now.wallMs))
    return { code: 'KEY_EXPIRED', text: EXPIRED_TEXT }
  if (!payload.seats.some(seat => seat.equals(context.self.id)))
    return { code: 'RECORD_INVALID', text: 'there is no seat of this organisation in it' }
  if (isClosed(from, context)) return { code: 'LOG_CLOSED', text: 'this log is closed: it was forked' }
  if (isLost(partner, context)) return { code: 'SEAT_LOST', text: LOST_TEXT }
  const pinned = state?.pinned
  if (
    pinned &&
    (payload.number < pinned.number || (payload.number === pinned.number && !id.equals(pinned.id)))
  )
    return { code: 'OUT_OF_ORDER', text: `committee ${pinned.number} is in use here` }
  const first = firstOf(partner, log)
  if (first && payload.number === 0 && !id.equals(first))
    return { code: 'COMMITTEE_PINNED', text: 'another first committee of this log is known here' }
  const missing = payload.seats.some(seat => !chainOf(seat, identities, context))
  return missing ? { code: 'RECORD_INVALID', text: 'the identity of another seat is missing' } : undefined
}

/** The identity of a seat: as it is known here, or as the log's owner told it, if it holds. Looked at only where it must be. */
function chainOf(seat: CID, identities: SeatIdentity[], { self, partner }: Context): Chain | undefined {
  const known = seat.equals(self.id) ? self.chain : partner(seat.toString())?.chain
  if (known) return known
  for (const { identity, events } of identities) {
    const read = readRecord(identityGenesis, identity)
    if (!isStored(read) || !read.id.equals(seat) || verifyIdentity(read).ok !== true) continue
    const chain = readChain(read, events)
    if (!isRefused(chain)) return chain
  }
  return undefined
}

export const readSeat = (get: Get, org: string): Seat | undefined => {
  const stored = get(KEY.seat(org))
  return stored && decodeState<Seat>(stored)
}

/**
 * Whether a head of a partner's log has q cosignatures of each committee under which this node gave a promise that it holds,
 * and of the one that it promises under now. One that was only signed says nothing: its owner chooses who sits there. What
 * it cosigned needs no committee to stand by: it cosigns nothing else but what extends that.
 */
export function isFinal(org: string, note: Note, context: Context): boolean {
  const { pinned, under = [], committees } = readSeat(context.get, org) ?? { committees: [] }
  if (!pinned) return false
  return [...under, pinned].every(({ id }) => {
    const used = committees.find(({ record }) => nameOf(record).id.equals(id))
    return used !== undefined && hasQuorum(used, note, context)
  })
}

function hasQuorum({ record, identities }: Signable, note: Note, context: Context): boolean {
  const { seats, q } = open(record).payload
  const valid = seats.filter(seat => {
    const chain = chainOf(seat, identities, context)
    return chain && cosignatureOf(chain, note)
  })
  return valid.length >= q
}
