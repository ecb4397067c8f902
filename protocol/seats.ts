/**
 * The committee of assets, both roles, in message order: whoever proposes it asks each seat for a vote key, puts the record
 * together and has it signed by all (RULES E1). It then stands for any number of assets.
 *
 *     who proposes                                    seat
 *                -- ask {id, n, f, q} -->             makes a vote key; or waits for a person
 *                <-- given {id, seat} --
 *                -- sign {id, committee} -->          its own key under its own name: signs
 *                <-- signed {id, committee} --
 *                -- done {id, committee, identities} -->   signed by every seat: keeps it
 *                <-- kept {id} --
 *                <-- refused {id, refusal} --         at any time before it signed
 *                <-- lost {lost} --                   the seat lost its votes and never votes again (RULES E3)
 */
import { equal, fromHex, readU64, toHex, u64 } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { keyFromSeed, type PrivateKey } from '../crypto/key.ts'
import { encodeSigned, type Payload, type Signature } from '../crypto/statement.ts'
import {
  type AssetCommittee,
  assetCommittee,
  committeeOfSeats,
  readAssetCommittee,
  type Seat,
  sealCommittee,
  seatOf,
  signedSeat,
  signSeat,
  usualRule,
} from './asset-committee.ts'
import { ProtocolError } from './error.ts'
import { saved } from './fold.ts'
import { standingOf } from './identity-chain.ts'
import { HANDLE, KEY } from './layout.ts'
import { MAX_SEATS_BYTES, MAX_SITTINGS, MAX_TOLD } from './limits.ts'
import {
  type Context,
  decodeState,
  encodeState,
  resendAt,
  type Step,
  say,
  signed,
  stay,
  violation,
} from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import { nothing } from './output.ts'
import { bytesOf, keep, keysOf, knows, show, shownOf } from './parties.ts'
import { isStored, readRecord, recordType, type Stored, verifySignatures } from './record.ts'
import { type Infer, link, object, text, uint } from './shape.ts'

const lostShape = object({ t: text(32), org: link, committee: link, epoch: uint, made: uint })
/** The word of a seat that it lost its votes: from here on it counts as one that may lie. */
export const seatLost = recordType({
  t: 'seat-lost/1',
  shape: lostShape,
  signers: { member: { org: 'org', key: 'operation' } },
})
export type SeatLost = Infer<typeof lostShape>

// Who proposes.

/** A committee that is being put together. */
export interface Assembly {
  id: Uint8Array
  seats: string[]
  f: number
  q: number
  /** The committee whose place it takes. */
  prev?: CID
  given: Seat[]
  /** What is to be signed, once every seat has given its key. */
  payload?: Uint8Array
  signed: { org: string; voter: Signature; member: Signature }[]
  refused: { org: string; text: string }[]
  /** With every signature. */
  record?: Uint8Array
  kept: string[]
  sent: number
}
export const isOver = ({ record, kept, seats, sent }: Assembly): boolean =>
  record !== undefined && (kept.length === seats.length || sent > MAX_TOLD)

/** Asks these partners for a seat; `rule` where it is not the usual one for so many. Throws ProtocolError when there can be none. */
export function assemble(
  { seats, rule, prev }: { seats: CID[]; rule?: { f: number; q: number }; prev?: CID },
  context: Context,
): Step<Assembly> & { id: Uint8Array } {
  if (prev && !context.get(KEY.jury(prev)))
    throw new ProtocolError('NOT_FOUND', `there is no committee ${prev} here that all have signed`)
  const stranger = seats.find(seat => !context.partner(seat.toString()))
  if (stranger) throw new ProtocolError('NOT_FOUND', `${stranger} is not a partner of this home`)
  const orgs = [...new Set(seats.map(String))].sort()
  const { f, q } = rule ?? usualRule(orgs.length)
  const id = context.random('committee', 16)
  const of = { id, seats: orgs, f, q, ...(prev ? { prev } : {}) }
  const begun: Assembly = { ...of, given: [], signed: [], refused: [], kept: [], sent: 0 }
  const n = orgs.length
  if (n === 0 ? q + f > 0 : q > n || 2 * q <= n + f)
    throw new ProtocolError('RECORD_INVALID', `${q} of ${n} votes are no quorum while ${f} may lie`)
  const done = orgs.length === 0 ? whole({ ...begun, payload: payloadOf(begun, context) }) : begun
  return { ...save(undefined, ask(done, context)), id }
}

const save = (before: Uint8Array | undefined, step: Step<Assembly>): Step<Assembly> =>
  saved(KEY.assembling(step.state!.id), before, step, isOver)

function payloadOf({ given, f, q, id, prev }: Assembly, { now }: Context): Uint8Array {
  const about = { madeMs: now.wallMs, nonce: id, ...(prev ? { prev } : {}) }
  return encodeSigned({ p: committeeOfSeats(given, { f, q }, about) as unknown as Payload, s: [] })
}

const opened = (payload: Uint8Array): Stored<AssetCommittee> =>
  readRecord(assetCommittee, payload) as Stored<AssetCommittee>

/** Sends what each seat has not answered yet. */
function ask(a: Assembly, context: Context): Step<Assembly> {
  const output = nothing()
  for (const to of a.seats) {
    const message = dueTo(to, a, context)
    if (message) output.sends.push({ to, message })
  }
  const machine = KEY.assembling(a.id)
  const next = { ...a, sent: a.sent + 1 }
  const atMs = isOver(next) ? Number.POSITIVE_INFINITY : resendAt(context.now, a.sent)
  output.deadlines.push({ machine, atMs })
  output.events.push({ type: 'jury', id: toHex(a.id) })
  output.writes.push(...(a.record ? [{ key: KEY.jury(opened(a.record).id), value: a.record }] : []))
  return { state: next, output, records: [] }
}

function dueTo(to: string, a: Assembly, context: Context): Message | undefined {
  const { id, f, q } = a
  if (a.record) {
    if (a.kept.includes(to)) return undefined
    const others = a.given.filter(({ org }) => org.toString() !== to)
    return { t: 'seat/done', id, committee: a.record, identities: show([], context, others) }
  }
  if (a.payload)
    return a.signed.some(({ org }) => org === to) ? undefined : { t: 'seat/sign', id, committee: a.payload }
  const has = a.given.some(({ org }) => org.toString() === to)
  return has ? undefined : { t: 'seat/ask', id, n: a.seats.length, f, q }
}

type Reply = MessageOf<'seat/given' | 'seat/signed' | 'seat/refused' | 'seat/kept'>

/** A seat's answer. Answers to what is not asked any more are ignored. */
export function answered(from: string, message: Reply, context: Context): Step<Assembly> {
  const stored = context.get(KEY.assembling(message.id))
  const a = stored && decodeState<Assembly>(stored)
  if (!a?.seats.includes(from)) return stay()
  const moved = move(a, from, message, context)
  if ('output' in moved) return moved
  if (moved === a) return stay()
  // The next message goes at once when everybody has answered this one.
  const advanced = phase(moved) > phase(a)
  return save(stored, advanced ? ask({ ...moved, sent: 0 }, context) : noted(moved))
}

const phase = ({ payload, record, ...rest }: Assembly): number =>
  record ? (isOver({ record, ...rest }) ? 3 : 2) : payload ? 1 : 0

function noted(a: Assembly): Step<Assembly> {
  const step = stay(a)
  step.output.events.push({ type: 'jury', id: toHex(a.id) })
  return step
}

function move(a: Assembly, from: string, message: Reply, context: Context): Assembly | Step<Assembly> {
  const others = a.refused.filter(({ org }) => org !== from)
  switch (message.t) {
    case 'seat/refused':
      return a.record ? a : { ...a, refused: [...others, { org: from, text: message.refusal.text }] }
    case 'seat/given': {
      if (a.payload || a.given.some(({ org }) => org.toString() === from)) return a
      if (message.seat.org.toString() !== from)
        return violation(from, message.t, 'RECORD_INVALID', 'the seat is of another organisation')
      // Who reads the committee judges by this state: one that nobody has would be a seat that has not signed.
      if (!knows([message.seat], context))
        return { ...a, refused: [...others, { org: from, text: 'the state of its keys is not known here' }] }
      const given = [...a.given, message.seat]
      const shown = show([], context, given)
      if (bytesOf(shown) > MAX_SEATS_BYTES) {
        const [most] = shown.toSorted((one, two) => bytesOf([two]) - bytesOf([one]))
        const text = `the identities of all seats are too long to be shown, that of ${shownOf(most!)} before all`
        return { ...a, refused: [...others, { org: from, text }] }
      }
      const next = { ...a, refused: others, given }
      return next.given.length < a.seats.length ? next : { ...next, payload: payloadOf(next, context) }
    }
    case 'seat/signed': {
      if (!a.payload || a.record || a.signed.some(({ org }) => org === from)) return a
      const read = readRecord(assetCommittee, message.committee)
      const [voter, member] = isStored(read) ? read.signatures : []
      const seat = seatOf(opened(a.payload).payload, context.partner(from)!.id)
      const isSame = isStored(read) && read.id.equals(opened(a.payload).id)
      if (!isSame || !seat || !voter || !member) return a
      const verdict = signedSeat(seat, message.committee, [voter, member], keysOf(context, []))
      if (verdict.ok !== true) return violation(from, message.t, 'SIGNATURE_INVALID', verdict.reason)
      const next = { ...a, refused: others, signed: [...a.signed, { org: from, voter, member }] }
      return next.signed.length < a.seats.length ? next : whole(next)
    }
    case 'seat/kept':
      return a.kept.includes(from) || !a.record ? a : { ...a, kept: [...a.kept, from] }
  }
}

function whole(a: Assembly): Assembly {
  const { payload } = opened(a.payload!)
  const record = sealCommittee(payload, org => {
    const { voter, member } = a.signed.find(each => each.org === org)!
    return [voter, member]
  })
  return { ...a, record }
}

/** A tick or start of who proposes. */
export function again(machine: string, type: 'tick' | 'start', context: Context): Step<Assembly> {
  const stored = context.get(machine)
  if (!stored) return stay()
  const a = decodeState<Assembly>(stored)
  return save(stored, ask(type === 'start' ? { ...a, sent: 0 } : a, context))
}

// Seat.

/** What was given to a partner that asked for a seat. */
export interface Given {
  n: number
  f: number
  q: number
  /** Absent while a person decides. */
  seat?: Seat
  /** The one committee that was signed with it. */
  committee?: CID
}

/** An own seat, with the committee as this node alone has signed it. */
export interface Sitting {
  handle: string
  committee: Uint8Array
  /** The word by which it was given up. */
  lost?: Uint8Array
}

const refuse = (to: string, id: Uint8Array, code: Refusal['code'], why: string): Step<never> =>
  say<never>(undefined, to, { t: 'seat/refused', id, refusal: { code, text: why } })

/** Asked for a seat: gives a key at once, or leaves it to a person where the configuration says so. */
export function asked(from: string, message: MessageOf<'seat/ask'>, context: Context): Step<never> {
  const { id, n, f, q } = message
  const stored = context.get(KEY.given(from, id))
  const given = stored && decodeState<Given>(stored)
  if (given?.seat) return say<never>(undefined, from, { t: 'seat/given', id, seat: given.seat })
  if (given) return context.sits ? give(from, id, context) : stay()
  const count = context.get(KEY.seatsGiven(from))
  const many = count ? readU64(count)! : 0
  if (many >= MAX_SITTINGS)
    return refuse(from, id, 'QUOTA_EXCEEDED', `a partner has at most ${MAX_SITTINGS} seats of this node`)
  const numbers = { n, f, q }
  const step = context.sits ? seatFor(from, id, numbers, context) : wait(from, id, numbers)
  step.output.writes.push({ key: KEY.seatsGiven(from), value: u64(many + 1) })
  return step
}

function wait(from: string, id: Uint8Array, numbers: Given): Step<never> {
  const step = stay<never>()
  step.output.writes.push({ key: KEY.given(from, id), value: encodeState(numbers), if: 'absent' })
  step.output.events.push({ type: 'jury', id: toHex(id), waitsFor: 'person' })
  return step
}

/** A person takes the seat. Throws ProtocolError when nothing waits. */
export function give(from: string, id: Uint8Array, context: Context): Step<never> {
  const stored = context.get(KEY.given(from, id))
  const given = stored && decodeState<Given>(stored)
  if (!given || given.seat) throw new ProtocolError('NOT_FOUND', 'this partner asks for no seat that is free')
  return seatFor(from, id, given, context)
}

/** How many seats were given here: the epoch of the next. */
export function seatsMade(get: Context['get']): number {
  const stored = get(KEY.seatEpoch)
  return stored ? readU64(stored)! : 0
}

/** A vote key of its own for this seat: it goes with it. */
function seatFor(from: string, id: Uint8Array, { n, f, q }: Given, context: Context): Step<never> {
  const seed = context.random('vote key', 32)
  const epoch = seatsMade(context.get)
  const { id: org, chain } = context.self
  const seat: Seat = { org, state: chain.last, key: { a: 1, k: keyFromSeed(seed).public }, epoch }
  const step = say<never>(undefined, from, { t: 'seat/given', id, seat })
  step.output.secrets.push({ handle: HANDLE.vote(from, id), bytes: seed })
  step.output.writes.push(
    { key: KEY.seatEpoch, value: u64(epoch + 1) },
    { key: KEY.given(from, id), value: encodeState({ n, f, q, seat } satisfies Given) },
  )
  return step
}

/** Signs the committee in which it has exactly the seat that it gave. */
export function sign(from: string, message: MessageOf<'seat/sign'>, context: Context): Step<never> {
  const { id } = message
  const read = readRecord(assetCommittee, message.committee)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  const stored = context.get(KEY.given(from, id))
  const given = stored && decodeState<Given>(stored)
  const { n, f, q, seats } = read.payload
  const isGiven = given?.seat && seats.some(seat => isSameSeat(seat, given.seat!))
  if (!isGiven || n !== given.n || f !== given.f || q !== given.q)
    return refuse(from, id, 'RECORD_INVALID', 'this is not the seat that was given')
  if (given.committee && !given.committee.equals(read.id))
    return refuse(from, id, 'RECORD_INVALID', 'this seat is one of another committee')
  const handle = HANDLE.vote(from, id)
  const key = context.seatKey(handle)
  if (!key) return refuse(from, id, 'SEAT_LOST', 'this seat lost its votes and abstains for ever')
  const at = KEY.sitting(read.id)
  const before = context.get(at)
  const committee = before ? decodeState<Sitting>(before).committee : signedBy(read.payload, key, context)
  if (!committee)
    return refuse(from, id, 'KEY_STATE_PASSED', 'its keys changed since it gave this seat: propose it again')
  const step = say<never>(undefined, from, { t: 'seat/signed', id, committee })
  if (before) return step
  const sitting: Sitting = { handle, committee }
  step.output.writes.push(
    { key: at, value: encodeState(sitting), if: 'absent' },
    { key: KEY.given(from, id), value: encodeState({ ...given, committee: read.id } satisfies Given) },
  )
  return step
}

const isSameSeat = (one: Seat, other: Seat): boolean =>
  one.org.equals(other.org) &&
  one.state.equals(other.state) &&
  one.epoch === other.epoch &&
  equal(one.key.k, other.key.k)

/** The committee with both signatures of the own seat, unless its key is not the one of the state that the seat names any more. */
function signedBy(payload: AssetCommittee, key: PrivateKey, context: Context): Uint8Array | undefined {
  const signer = (role: string) => context.sign(payload as unknown as Payload, role, 'operation')
  const s = signSeat(payload, key, signer)
  const committee = encodeSigned({ p: payload as unknown as Payload, s })
  const verdict = signedSeat(seatOf(payload, context.self.id)!, committee, s, keysOf(context, []))
  return verdict.ok === true ? committee : undefined
}

/** Every seat has signed: from here on it votes. */
export function done(from: string, message: MessageOf<'seat/done'>, context: Context): Step<never> {
  const read = readAssetCommittee(message.committee, keysOf(context, message.identities))
  if (!isStored(read)) return violation(from, message.t, 'COMMITTEE_INVALID', read.reason)
  if (!context.get(KEY.sitting(read.id)))
    return violation(from, message.t, 'SEAT_UNKNOWN', 'this node has not signed the committee')
  const step = say<never>(undefined, from, { t: 'seat/kept', id: message.id })
  if (context.get(KEY.jury(read.id))) return step
  step.output.writes.push({ key: KEY.jury(read.id), value: message.committee })
  const orgs = read.payload.seats.map(({ org }) => org)
  step.output.writes.push(...keep(orgs, message.identities, context))
  step.output.events.push({ type: 'jury', id: toHex(digestOf(read.id)) })
  return step
}

// Seats that lost their votes.

/** The store was put back or copied: its seats end, and say so (RULES E3). `keys` are those of all seats and of what was given. */
export function lose(keys: string[], isLogged: boolean, context: Context): Step<never> {
  const step = stay<never>()
  step.output.writes.push(
    { key: KEY.seatsEnding },
    { key: KEY.seatsEnded, value: u64(timesEnded(context.get) + 1) },
  )
  const words: Uint8Array[] = []
  for (const key of keys) {
    const stored = context.get(key)
    if (!stored) continue
    if (key.startsWith(KEY.givens)) {
      const [, org, id] = key.split('/') as [string, string, string]
      step.output.writes.push({ key }, { key: KEY.secret(HANDLE.vote(org, fromHex(id)!)) })
      continue
    }
    const sitting = decodeState<Sitting>(stored)
    if (sitting.lost) continue
    const record = lostWord(sitting, context)
    words.push(record.bytes)
    if (isLogged) step.records.push(record as unknown as Stored)
    step.output.writes.push(
      { key, value: encodeState({ ...sitting, lost: record.bytes } satisfies Sitting) },
      { key: KEY.secret(sitting.handle) },
      { key: KEY.lostSeat(opened(sitting.committee).id, context.self.org), value: record.bytes },
    )
  }
  if (words.length > 0)
    step.output.writes.push({ key: KEY.ownLost, value: encodeState([...ownLost(context), ...words]) })
  return step
}

function lostWord({ committee }: Sitting, context: Context): Stored<SeatLost> {
  const { id, payload } = opened(committee)
  const { epoch } = seatOf(payload, context.self.id)!
  const { now, self } = context
  return said({ t: seatLost.t, org: self.id, committee: id, epoch, made: now.wallMs }, context)
}

const said = (word: SeatLost, { sign }: Context): Stored<SeatLost> =>
  signed(word, [sign(word as unknown as Payload, 'member', 'operation')])

/** How often all seats of this store have ended. */
export function timesEnded(get: Context['get']): number {
  const stored = get(KEY.seatsEnded)
  return stored ? readU64(stored)! : 0
}

const ownLost = ({ get }: Context): Uint8Array[] => {
  const stored = get(KEY.ownLost)
  return stored ? decodeState<Uint8Array[]>(stored) : []
}

/** First on each connection, where there is something to say: by the key that stands now, as the one of then may be revoked. */
export const tellLost = (context: Context): Message[] =>
  (standingOf(context.self.chain, 'operation') ? ownLost(context) : [])
    .slice(-MAX_SITTINGS)
    .map(stored => (readRecord(seatLost, stored) as Stored<SeatLost>).payload)
    .map(word => ({ t: 'seat/lost', lost: said(word, context).bytes }))

/** A partner's seat is lost: that is kept, of committees that are not known here yet too, so many of each partner. */
export function lost(from: string, message: MessageOf<'seat/lost'>, context: Context): Step<never> {
  const read = readRecord(seatLost, message.lost)
  if (!isStored(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  if (read.payload.org.toString() !== from)
    return violation(from, message.t, 'RECORD_INVALID', 'it is the seat of another organisation')
  const verdict = verifySignatures(seatLost, read, context.keys)
  if (verdict.ok !== true) return violation(from, message.t, 'SIGNATURE_INVALID', verdict.reason)
  const step = stay<never>()
  const { committee } = read.payload
  const key = KEY.lostSeat(committee, from)
  if (context.get(key)) return step
  if (!context.get(KEY.jury(committee))) {
    const stored = context.get(KEY.lostUnknown(from))
    const many = stored ? readU64(stored)! : 0
    if (many >= MAX_SITTINGS) return step
    step.output.writes.push({ key: KEY.lostUnknown(from), value: u64(many + 1) })
  }
  step.output.writes.push({ key, value: message.lost })
  return step
}
