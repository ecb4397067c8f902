/**
 * What this node holds of the logs of others: the newest head that it has seen, what it has promised and cosigned, and its
 * seat in their committees. Each is stored in one act with the check that it passed (RULES A2).
 */
import { equal } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import type * as committees from './committee.ts'
import * as heads from './heads.ts'
import { KEY } from './layout.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import { originOf } from './log.ts'
import { type Context, decodeState, encodeState, type Step } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { join, nothing, type Output } from './output.ts'
import * as promises from './promise.ts'
import { registered } from './registration.ts'
import * as witnessing from './witness.ts'

/** Our seat in the committee of a partner's log, stored when it changed. */
export function seated(
  org: string,
  run: (seat: committees.Seat | undefined) => Step<committees.Seat>,
  context: Context,
): Output {
  const key = KEY.seat(org)
  const stored = context.get(key)
  const { state, output } = run(stored && decodeState(stored))
  // The condition makes check-and-store one act, whatever else is queued (RULES A2).
  const write = state && {
    key,
    value: encodeState(state),
    if: stored ? { equals: stored } : ('absent' as const),
  }
  return write ? { ...output, writes: [...output.writes, write] } : output
}

/** A log's owner shows how it begins. */
export function register(from: string, message: MessageOf<'log/register'>, context: Context): Output {
  const stored = context.get(KEY.cosigned(from))
  return held(from, stored, registered(stored && decodeState(stored), from, message, context))
}

/** A log's owner asks for a promise. */
export function promise(from: string, message: MessageOf<'promise/ask'>, context: Context): Output {
  const stored = context.get(KEY.cosigned(from))
  const step = promises.promise(stored && decodeState(stored), from, message, context)
  return naming(context.partner(from)!.chain.logs.at(-1)!, held(from, stored, step))
}

/** A log's owner asks for a cosignature. */
export function cosign(from: string, message: MessageOf<'witness/add'>, context: Context): Output {
  const { chain } = context.partner(from)!
  const [origin] = new TextDecoder().decode(message.note.subarray(0, MAX_NAME_LENGTH)).split('\n')
  const log = chain.logs.find((_, number) => originOf(chain, number) === origin)
  return naming(log ?? chain.logs.at(-1)!, cosigned(from, message, context))
}

/** A head that is not shown to extend the one held may prove a fork. */
function cosigned(from: string, message: MessageOf<'witness/add'>, context: Context): Output {
  const stored = context.get(KEY.cosigned(from))
  const step = witnessing.witness(stored && decodeState(stored), from, message, context)
  const [reply] = step.output.sends
  if (!step.state || reply?.message.t !== 'witness/cosigned') {
    const unproven = reply?.message.t === 'witness/refused' && reply.message.status === 422
    const found = unproven ? watched(from, heads.refused(from, message.note, context), context) : nothing()
    return join(step.output, found)
  }
  return held(from, stored, step)
}

/** An answer names the log that it is about: a late one is not taken for an answer about the log that follows. */
function naming(log: CID, output: Output): Output {
  const sends = output.sends.map(each => {
    const { to, message } = each
    return isAnswer(message) ? { to, message: { ...message, log } } : each
  })
  return { ...output, sends }
}

type Answer = MessageOf<'promise/given' | 'promise/refused' | 'witness/cosigned' | 'witness/refused'>
const isAnswer = (message: Message): message is Answer => ANSWERS.has(message.t)
const ANSWERS = new Set<string>(['promise/given', 'promise/refused', 'witness/cosigned', 'witness/refused'])

/** Whether an answer is about the log that is the active one of this node; of a log that is closed by now nothing is owed. */
export const isOfActive = ({ log }: Answer, { self }: Context): boolean =>
  log === undefined || log.equals(self.chain.logs.at(-1)!)

/** What this node holds of a partner's log: the condition makes check-and-store one act (RULES A2). */
function held(
  org: string,
  stored: Uint8Array | undefined,
  { state, output }: Step<witnessing.Cosigned>,
): Output {
  const value = state && encodeState(state)
  if (!value || (stored && equal(stored, value))) return output
  const write = { key: KEY.cosigned(org), value, if: stored ? { equals: stored } : ('absent' as const) }
  return { ...output, writes: [...output.writes, write] }
}

/** What was seen of a partner's log, stored when it changed. */
export function watched(org: string, step: Step<heads.Watch>, context: Context): Output {
  const value = step.state && encodeState(step.state)
  const stored = context.get(KEY.watch(org))
  const changed = value && !(stored && equal(stored, value))
  const writes = changed ? [{ key: KEY.watch(org), value }] : []
  return { ...step.output, writes: [...step.output.writes, ...writes] }
}
