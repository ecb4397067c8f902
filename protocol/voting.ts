/**
 * A seat at work: it is asked for its vote, and whether a version is still the last (RULES E3, E6). How many votes a store has
 * cast goes into the own log on a beat, so that a store which is put back is behind it.
 */
import type { CID } from '../crypto/cid.ts'
import { seatOf } from './asset-committee.ts'
import { saved } from './fold.ts'
import { makeFresh } from './freshness.ts'
import { isOrder, type Order, readOrder } from './handover.ts'
import { KEY } from './layout.ts'
import { COUNT_BEAT_MS } from './limits.ts'
import { type Context, decodeState, type Step, say, signed, stay, tidy, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import { among, keysOf, knows, strangers } from './parties.ts'
import { recordType, type Stored } from './record.ts'
import { type Sitting, timesEnded } from './seats.ts'
import { link, object, text, uint } from './shape.ts'
import {
  askSteps,
  askWhole,
  committeeKnown,
  lacks,
  learned,
  openCommittee,
  orderAt,
  showSince,
  titleOf,
} from './title.ts'
import { ask } from './voter.ts'

const countShape = object({ t: text(32), org: link, votes: uint, made: uint })
export const voteCount = recordType({
  t: 'vote-count/1',
  shape: countShape,
  signers: { voter: { org: 'org', key: 'operation' } },
})

/** Votes that this store has cast, and how many of them its log says. */
interface Count {
  cast: number
  logged: number
}
const readCount = (get: Context['get']): Count => {
  const stored = get(KEY.votes)
  return stored ? decodeState(stored) : { cast: 0, logged: 0 }
}
export const votesCast = (get: Context['get']): number => readCount(get).cast
/** What the mark outside of the home says of votes: in which life of its seats, and how many. */
export const votesCounted = (get: Context['get']): { ended: number; votes: number } => ({
  ended: timesEnded(get),
  votes: votesCast(get),
})

const sittingIn = (committee: CID, { get }: Context): Sitting | undefined => {
  const stored = get(KEY.sitting(committee))
  return stored && decodeState(stored)
}

/** Whether nothing says that this seat has voted what this store does not know; one that is lost votes on nothing anyhow. */
export function isProven(
  { committee, lost }: Sitting,
  { provenFrom, self }: Pick<Context, 'provenFrom' | 'self'>,
): boolean {
  if (lost || provenFrom === 0) return true
  return seatOf(openCommittee(committee).payload, self.id)!.epoch >= provenFrom
}
const UNPROVEN_TEXT =
  'nothing shows that this store is as new as its votes: its seat abstains, and one of it in another committee would vote'

/** Asked for a vote. */
export function asked(from: string, message: MessageOf<'vote/ask'>, context: Context): Step<unknown> {
  const read = readOrder(message.order)
  if (!isOrder(read)) return violation(from, message.t, 'RECORD_INVALID', read.reason)
  if (read.version > 0 && !sittingIn(read.committee, context))
    return refuse(from, read.id, 'SEAT_UNKNOWN', 'this node has no seat in the committee')
  return learned(from, message, context, then => vote(from, read, message, then))
}

function vote(from: string, read: Order, message: MessageOf<'vote/ask'>, context: Context): Step<unknown> {
  const before = titleOf(context.get, read.asset)
  if (read.version > 0 && (before?.version ?? -1) < read.version - 1)
    return askSteps(from, read.asset, context)
  // Each partner has a quota of its own, and only of its own (RULES E2, H4).
  if (read.version === 0 && read.to.toString() !== from)
    return refuse(from, read.id, 'NOT_OWNER', 'a registration is asked for by its owner')
  const sitting = sittingIn(read.committee, context)
  if (sitting && !isProven(sitting, context)) return refuse(from, read.id, 'STORE_UNPROVEN', UNPROVEN_TEXT)
  // A registration is voted on by a seat of the committee that it names, or not at all: no other need see the committee.
  const isBlind =
    read.version > 0 || sitting
      ? lacks(read, message, context)
      : message.identities.length === 0 && !knows(read.states, context)
  if (isBlind) return askWhole(from, read.asset, before?.version)
  const { writes, reply } = ask(
    {
      order: message.order,
      before,
      identities: strangers(read.parties, message.identities, context),
      ...(message.asset ? { asset: message.asset } : {}),
      ...(message.committee ? { committee: message.committee } : {}),
      ...(message.bought ? { bought: message.bought } : {}),
    },
    {
      self: context.self.id,
      get: context.get,
      committee: id => committeeKnown(context.get, id),
      voteKey: id => {
        const sitting = sittingIn(id, context)
        return sitting && !sitting.lost ? context.seatKey(sitting.handle) : undefined
      },
      keys: keysOf(context, message.identities),
    },
  )
  if (reply.t === 'vote') {
    const step = say<unknown>(undefined, from, { t: 'vote/cast', vote: reply.vote })
    step.output.writes.push(...writes)
    return writes.length > 0 ? counted(step, context) : step
  }
  // Whoever has not heard of its certificate may have lost who made it: any seat that holds it will do.
  if (reply.code === 'VERSION_PASSED' && orderAt(context.get, read.asset, read.version)?.equals(read.id))
    return showSince(from, read.asset, read.version, context)
  const { code, text: why, held, identities = [] } = reply
  const shown = [...identities, ...message.identities]
  return refuse(from, read.id, code, why, held && shownWith(held, { ...message, identities: shown }, context))
}

type Held = Pick<MessageOf<'vote/refused'>, 'held' | 'asset' | 'identities'>

/** The order that was voted for, with what shows that its owner signed it. */
function shownWith(
  held: Uint8Array,
  { order, asset, identities }: MessageOf<'vote/ask'>,
  context: Context,
): Held {
  const parties = [held, order].flatMap(each => {
    const read = readOrder(each)
    return isOrder(read) ? read.parties : []
  })
  return { held, identities: among(parties, identities, context), ...(asset ? { asset } : {}) }
}

const refuse = (
  to: string,
  order: CID,
  code: string,
  why: string,
  held: Held = { identities: [] },
): Step<unknown> =>
  say<unknown>(undefined, to, { t: 'vote/refused', order, refusal: tidy({ code, text: why }), ...held })

/** One more vote: counted with it, durably, and in the log on the beat. */
function counted(step: Step<unknown>, context: Context): Step<unknown> {
  const stored = context.get(KEY.votes)
  const count = readCount(context.get)
  const next = { ...count, cast: count.cast + 1 }
  if (count.cast === count.logged)
    step.output.deadlines.push({ machine: KEY.votes, atMs: context.now.monoMs + COUNT_BEAT_MS })
  step.output.events.push({ type: 'votes', count: next.cast })
  return saved(KEY.votes, stored, { ...step, state: next } as Step<Count>, isLogged)
}
const isLogged = ({ cast, logged }: Count): boolean => cast === logged

/** The beat, or a start before it. */
export function count(context: Context): Step<unknown> {
  const before = readCount(context.get)
  if (isLogged(before)) return stay()
  const { id: org } = context.self
  const payload = { t: voteCount.t, org, votes: before.cast, made: context.now.wallMs }
  const record = signed(payload, [context.sign(payload, 'voter', 'operation')])
  const step = stay<Count>({ ...before, logged: before.cast })
  step.records.push(record as unknown as Stored)
  return saved(KEY.votes, context.get(KEY.votes), step, isLogged)
}

// Whether a version is still the last.

/** Asked whether it has voted for the next version. */
export function askedFresh(from: string, message: MessageOf<'owner/ask'>, context: Context): Step<unknown> {
  const { id } = message
  const word = freshWord(message, context)
  return say<unknown>(
    undefined,
    from,
    'fresh' in word ? { t: 'owner/fresh', id, ...word } : { t: 'owner/fresh', id, refusal: word },
  )
}

/** The word of an own seat that it has not voted for the next version, or why it does not say so. */
export function freshWord(
  { committee, asset, version }: Pick<MessageOf<'owner/ask'>, 'committee' | 'asset' | 'version'>,
  context: Context,
): { fresh: Uint8Array } | { code: string; text: string } {
  const sitting = sittingIn(committee, context)
  if (!sitting || !committeeKnown(context.get, committee))
    return { code: 'SEAT_UNKNOWN', text: 'this node has no seat in the committee' }
  const key = sitting.lost ? undefined : context.seatKey(sitting.handle)
  if (!key) return { code: 'SEAT_LOST', text: 'this seat lost its votes and abstains for ever' }
  if (!isProven(sitting, context)) return { code: 'STORE_UNPROVEN', text: UNPROVEN_TEXT }
  if (context.get(KEY.vote(committee, asset, version + 1)))
    return { code: 'VERSION_PASSED', text: `this seat has voted for version ${version + 1}` }
  const known = titleOf(context.get, asset)?.version ?? version
  if (known > version) return { code: 'VERSION_PASSED', text: `version ${known} is certified` }
  const seat = seatOf(openCommittee(sitting.committee).payload, context.self.id)!
  return { fresh: makeFresh(seat, key, { committee, asset, version }, context.now.wallMs) }
}
