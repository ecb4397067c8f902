/**
 * The own head, from the leaves that were read back to the cosignatures that make it final: promised (promise.ts), signed
 * (beat.ts), cosigned (witness.ts), settled (committee.ts), and shown to who may see it.
 */
import { digestOf } from '../crypto/cid.ts'
import * as beat from './beat.ts'
import * as committees from './committee.ts'
import { having, over } from './context.ts'
import { type Input, logged, type PeerState, type PeerStep, saved, then } from './fold.ts'
import { type Chain, isExpired } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { KIND } from './log.ts'
import { type Context, decodeState, type Step } from './machine.ts'
import type { MessageOf } from './message.ts'
import * as mirror from './mirror.ts'
import { join, nothing } from './output.ts'
import * as promises from './promise.ts'
import * as recovery from './recovery.ts'
import * as stock from './stock.ts'
import * as succession from './succession.ts'
import * as witnessing from './witness.ts'

/** A head that somebody waits for, at most one in `gapMs`. */
export function demanded(state: PeerState, gapMs: number, context: Context): PeerStep {
  const { ledger, output } = beat.demand(state.ledger, gapMs, context.now)
  return { state: { ...state, ledger }, output }
}

export function headOf(
  state: PeerState,
  input: Extract<Input, { type: 'leaves' }>,
  context: Context,
): PeerStep {
  const made = beat.draftHead(state.ledger, input, context)
  if ('damaged' in made) return { state, output: nothing(), damaged: made.damaged }
  const next = { ...state, ledger: made.ledger }
  if (!made.ledger.draft) return { state: next, output: made.output }
  return promises.isPromised(made.ledger.draft, context)
    ? signed({ state: next, output: made.output }, context)
    : asking(next, context)
}

/** Asks the members for their promise; no head is signed before it has come (RULES D1). */
export function asking(state: PeerState, context: Context): PeerStep {
  const { ledger } = state
  if (!ledger.draft) return { state, output: nothing() }
  const { draft, output } = promises.ask(ledger.draft, ledger, context)
  return { state: { ...state, ledger: { ...ledger, draft } }, output }
}

/** Signs the draft once it is promised, and has it cosigned. */
function signed(done: PeerStep, context: Context): PeerStep {
  const { draft } = done.state.ledger
  if (isExpired(context.self.chain, 'log', context.now.wallMs)) return done
  if (!draft || !promises.isPromised(draft, over(context, done.output))) return done
  const { ledger, output } = beat.signHead(done.state.ledger, draft, context)
  output.deadlines.push({ machine: promises.PROMISE, atMs: Number.POSITIVE_INFINITY })
  let next: PeerStep = { ...done, state: { ...done.state, ledger }, output: join(done.output, output) }
  for (const org of committees.cosigners(over(context, next.output)))
    if (context.partner(org))
      next = then(next, context, (state, seen) => submission(state, org, { type: 'head', org }, seen))
  next = then(next, context, (state, seen) => ({ state, output: stock.head('head', state.ledger, seen) }))
  if (committees.cosigners(context).length === 0) next = mirroredOn(next, context)
  const due = beat.due(next.state.ledger, context)
  return { ...next, state: { ...next.state, ledger: due.ledger }, output: join(next.output, due.output) }
}

/**
 * The own state has changed, and the log says so at once: what was logged before gets the state of before, so that a key
 * which is revoked now counts for it.
 */
export function stated(state: PeerState, chain: Chain, before: Context): PeerStep {
  const now = having(before, { self: { ...before.self, chain } })
  const isSuccessor = chain.logs.length > before.self.chain.logs.length
  const { ledger, writes } = isSuccessor
    ? succession.begin(chain, now)
    : beat.state(state.ledger, before, now)
  // A head that could not be signed because its key had expired is made anew under the one that follows.
  const { draft: _, ...rest } = ledger
  const next = beat.due(rest, now)
  const all = isSuccessor ? [...writes, ...stock.afresh(now)] : writes
  return {
    state: { ...state, ledger: next.ledger },
    output: join({ ...nothing(), writes: all }, next.output),
  }
}

/** Entries of the own log that come back from a mirror; at the end, what was logged beside them is logged anew. */
export function recovered(
  state: PeerState,
  from: string,
  message: MessageOf<'mirror/entries'>,
  context: Context,
): PeerStep {
  const found = recovery.recovered(from, message, state.ledger, context)
  if (!found) return { state, output: nothing() }
  const { ledger, output, records } = found
  const done: PeerStep = { state: { ...state, ledger }, output }
  return then(done, context, (next, seen) => logged(next, { output: nothing(), records }, seen))
}

/** A member's answer to the question for its promise. */
export function promised(
  state: PeerState,
  from: string,
  message: MessageOf<'promise/given' | 'promise/refused'>,
  context: Context,
): PeerStep {
  const { draft, output } = promises.answered(state.ledger.draft, from, message, state.ledger, context)
  const ledger = draft ? { ...state.ledger, draft } : state.ledger
  return signed({ state: { ...state, ledger }, output }, context)
}

export function submission(
  state: PeerState,
  org: string,
  input: witnessing.SubmissionInput,
  context: Context,
): PeerStep {
  const key = KEY.witness(org)
  const stored = context.get(key)
  const step = witnessing.submit(stored && decodeState(stored), input, state.ledger, context)
  return logged(
    state,
    saved(key, stored, step, s => s.sentSize === undefined),
    context,
  )
}

/** A witness's answer to how the log begins: it gets what waits for it. */
export function registered(
  state: PeerState,
  from: string,
  message: MessageOf<'log/registered' | 'log/refused'>,
  context: Context,
): PeerStep {
  const done = submission(state, from, { type: 'message', from, message }, context)
  return then(done, context, (next, seen) => {
    const { draft } = next.ledger
    // Who holds another log than this one has claimed so; shown again how this one begins it would only say the same.
    if (!draft || !promises.isRegistered(from, seen)) return { state: next, output: nothing() }
    return { state: next, output: promises.ask(draft, next.ledger, seen, from).output }
  })
}

/** A witness's answer to the head that it was sent. */
export function answered(
  state: PeerState,
  from: string,
  message: MessageOf<'witness/cosigned' | 'witness/refused'>,
  context: Context,
): PeerStep {
  const done = submission(state, from, { type: 'message', from, message }, context)
  return message.t === 'witness/cosigned' ? mirroredOn(settled(done, message.size, context), context) : done
}

/** A cosignature may have made a head final, and a committee count: then the next one is wished for. */
function settled(done: PeerStep, size: number, context: Context): PeerStep {
  const seen = over(context, done.output)
  const note = seen.get(KEY.head(size))
  if (!note || !seen.get(KEY.seating)) return done
  const then1 = then(done, context, (next, now) =>
    seating(next, s => committees.settle(s, size, note, now.get), now),
  )
  const then2 = then(then1, context, (next, now) => seating(next, s => committees.follow(s, now), now))
  const shown = then(then2, context, (next, now) => ({
    state: next,
    output: stock.head('head', next.ledger, now),
  }))
  return signed(shown, context)
}

/** The own committee: its record is named by an entry when every seat has signed. */
export function seating(
  state: PeerState,
  run: (s: committees.Seating) => Step<committees.Seating>,
  context: Context,
): PeerStep {
  const stored = context.get(KEY.seating)
  const step = run(committees.readSeating(context.get))
  const [record] = step.records
  const entry = record && { kind: KIND.committee, control: [digestOf(record.id)] }
  return logged(
    state,
    saved(KEY.seating, stored, step, s => s.asked === undefined),
    context,
    entry,
  )
}

/** Mirrors follow the newest head that anybody may see, and are told of each cosignature of it. */
function mirroredOn(done: PeerStep, context: Context): PeerStep {
  return then(done, context, (state, seen) => {
    const sends = seen.mirrors.flatMap(each => mirror.announce(each.toString(), seen))
    return { state, output: { ...nothing(), sends } }
  })
}
