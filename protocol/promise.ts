/**
 * Promise before signature, both roles (RULES D1): the log key signs a head only after q members durably hold a promise for
 * it, so a store that was put back, or a copy of it, cannot sign a second history.
 *
 *     log's owner                                             member
 *                -- register -->                               how the log begins: registration.ts
 *                -- ask {committee, old, size, root, path} -->  strict extension of what it holds: stores, then answers
 *                <-- given {size, root} --
 *                <-- refused {size, root, status, text} --      403 closed · 404 not registered, no seat · 400, 409, 422 as in witnessing
 *
 * A promise yields only to a final head (witness.ts). Every answer says what the member holds; what is not of the own log
 * shows that the own store is behind.
 */
import { equal } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { rootOf } from '../crypto/merkle.ts'
import { claim, isOurs } from './behind.ts'
import { isReached, nameOf, pin, quorums, readSeat } from './committee.ts'
import { over } from './context.ts'
import { isClosed } from './fork.ts'
import { isExpired } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type DraftHead, type Ledger, proveExtension } from './ledger.ts'
import { MAX_COMMITTEES, MAX_PROMISES } from './limits.ts'
import {
  type Context,
  decodeState,
  encodeState,
  resendAt,
  type Step,
  say,
  sentence,
  stay,
} from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { nothing, type Output } from './output.ts'
import { isLost, LOST_TEXT } from './put-back.ts'
import { register } from './registration.ts'
import {
  type Cosigned,
  EXPIRED_TEXT,
  extension,
  forgotten,
  held,
  isOfKey,
  LOG_EXPIRED_TEXT,
  type Submission,
  UNABLE,
  UNREGISTERED,
} from './witness.ts'

// Owner.

/** The timer of the draft. */
export const PROMISE = 'promise'

/** Whether the draft may be signed: as many members as it takes hold it, or the log has none yet. */
export function isPromised({ tail, given }: DraftHead, { get }: Pick<Context, 'get'>): boolean {
  return isReached(quorums(get, tail.range.size), given)
}

/** Asks all members who do not hold the draft yet, and arms the timer; `only` one of them who was just met. */
export function ask(
  draft: DraftHead,
  ledger: Ledger,
  context: Context,
  only?: string,
): { draft: DraftHead; output: Output } {
  const output = nothing()
  const { size } = draft.tail.range
  // Who sits in both is asked as a member of the committee to follow.
  const seats = new Map(
    quorums(context.get, size).flatMap(({ id, seats }) => seats.map(org => [org, id] as const)),
  )
  for (const [to, committee] of seats) {
    const isAsked = only === undefined || only === to
    if (!isAsked || draft.given.includes(to) || !context.partner(to)) continue
    output.sends.push(...question(draft, committee, to, ledger, context).map(message => ({ to, message })))
  }
  if (only !== undefined) return { draft, output }
  output.deadlines.push({ machine: PROMISE, atMs: resendAt(context.now, draft.sent) })
  return { draft: { ...draft, sent: draft.sent + 1, again: [] }, output }
}

/** What a member is asked; one that has not taken the log in yet is shown how it begins. */
function question(
  { tail: { range } }: DraftHead,
  committee: CID,
  to: string,
  ledger: Ledger,
  context: Context,
): Message[] {
  const { registered } = submissionTo(to, context)
  if (!registered) return register(context)
  const old = Math.min(heldBy(to, context), range.size)
  const path = proveExtension(ledger, context.get, old, range.size)
  return [{ t: 'promise/ask', committee, old, size: range.size, root: rootOf(range), path }]
}

/** Whether a member has taken the log in. */
export const isRegistered = (org: string, context: Context): boolean =>
  submissionTo(org, context).registered === true

function submissionTo(org: string, { get }: Context): Submission {
  const stored = get(KEY.witness(org))
  return stored ? decodeState(stored) : { org, size: 0, sent: 0 }
}

/** What a member holds of the own log, as far as it is known here. */
function heldBy(org: string, context: Context): number {
  const { held, size } = submissionTo(org, context)
  return held ?? size
}

/** Takes a member's answer: what it holds, and whether the draft is thereby held or is to be asked for again. */
export function answered(
  draft: DraftHead | undefined,
  from: string,
  message: MessageOf<'promise/given' | 'promise/refused'>,
  ledger: Ledger,
  context: Context,
): { draft?: DraftHead; output: Output } {
  const { size } = message
  if (!isOurs(message, ledger, context.get)) return keepDraft(draft, claim(from, message, context))
  const before = heldBy(from, context)
  const output = holds(from, message, context)
  if (!draft) return { output }
  if (size >= draft.tail.range.size)
    return { draft: { ...draft, given: [...new Set([...draft.given, from])] }, output }
  // The size that was counted on already: a late answer to a copy. The timer asks again.
  const isLate = message.t === 'promise/given' || message.status !== 409 || size === before
  if (isLate || draft.again.includes(from)) return { draft, output }
  const asked = ask(draft, ledger, over(context, output), from)
  return {
    draft: { ...draft, again: [...draft.again, from] },
    output: { ...output, sends: asked.output.sends },
  }
}

const keepDraft = (draft: DraftHead | undefined, output: Output): { draft?: DraftHead; output: Output } =>
  draft ? { draft, output } : { output }

/** Notes what a member holds, and why it does not promise. */
function holds(
  org: string,
  message: MessageOf<'promise/given' | 'promise/refused'>,
  context: Context,
): Output {
  const key = KEY.witness(org)
  const stored = context.get(key)
  const value = encodeState({ ...noted(submissionTo(org, context), message, context), held: message.size })
  return stored && equal(stored, value) ? nothing() : { ...nothing(), writes: [{ key, value }] }
}

/** Who refuses is not asked for a cosignature until a person has looked; who cannot yet, is. */
function noted(
  { stuck: _, waits: _none, ...rest }: Submission,
  message: MessageOf<'promise/given' | 'promise/refused'>,
  context: Context,
): Submission {
  if (message.t === 'promise/given' || message.status === 409) return rest
  const known = message.status === 404 ? forgotten(rest) : rest
  const waits = sentence(message.text)
  // It may have forgotten the log, or speak of a committee that was followed by another since it was asked.
  if (message.status === UNABLE || message.status === 404 || isOfKey(message.status, context))
    return { ...known, waits }
  return { ...known, stuck: sentence(`${message.status}: ${message.text}`) }
}

// Member.

/** Checks and holds the promise, in one act with the check: the answer leaves when it is durable. */
export function promise(
  state: Cosigned | undefined,
  from: string,
  message: MessageOf<'promise/ask'>,
  context: Context,
): Step<Cosigned> {
  const { old, size, root, path, committee } = message
  const { wallMs } = context.now
  const partner = context.partner(from)!
  const seat = readSeat(context.get, from)
  const signed = seat?.committees.map(each => nameOf(each.record)).find(each => each.id.equals(committee))
  if (isClosed(from, context)) return refuse(state, from, 403, 'this log is closed: it was forked')
  if (isExpired(partner.chain, 'log', wallMs)) return refuse(state, from, 403, LOG_EXPIRED_TEXT)
  if (!state) return refuse(state, from, 404, UNREGISTERED)
  if (!seat || !signed) return refuse(state, from, 404, 'no seat in this committee was signed here')
  const isPinned = seat.pinned?.id.equals(signed.id)
  if (seat.pinned && !isPinned && signed.number <= seat.pinned.number)
    return refuse(state, from, 404, `committee ${seat.pinned.number} is in use here`)
  if (!isPinned && (seat.under?.length ?? 0) >= MAX_COMMITTEES)
    return refuse(state, from, 404, `this seat holds promises under ${MAX_COMMITTEES} committees of one log`)
  if (isLost(partner, context)) return refuse(state, from, UNABLE, LOST_TEXT)
  if (isExpired(context.self.chain, 'witness', wallMs)) return refuse(state, from, UNABLE, EXPIRED_TEXT)
  const last = held(state)
  const isHeld = last.size === size && equal(last.root!, root)
  const wrong = isHeld ? undefined : extension(last, old, { size, root }, path)
  if (wrong) return refuse(state, from, wrong.status, wrong.why)
  const output = nothing()
  output.sends.push({ to: from, message: { t: 'promise/given', size, root } })
  if (!isPinned) {
    const value = encodeState(pin(seat, signed, state.promised?.at(-1)?.size))
    const stored = context.get(KEY.seat(from))!
    output.writes.push({ key: KEY.seat(from), value, if: { equals: stored } })
  }
  if (isHeld) return { ...stay(state), output }
  const promised = [...(state.promised ?? []), { size, root }].slice(-MAX_PROMISES)
  return { state: { ...state, promised }, output, records: [] }
}

function refuse(state: Cosigned | undefined, to: string, status: number, why: string): Step<Cosigned> {
  const { size, root } = held(state)
  const here = root ? { size, root } : { size }
  return say(state, to, { t: 'promise/refused', ...here, status, text: sentence(why) })
}
