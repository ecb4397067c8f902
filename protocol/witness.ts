/**
 * Witnessing in its simple form, both roles, in message order: a partner cosigns a proven extension of the newest head it
 * holds (C2SP tlog-witness, with its status numbers; over the authenticated connection).
 *
 *     log's owner                                   witness
 *                -- register -->                    how the log begins: registration.ts
 *                -- add {old, note, path} -->       checks, stores, cosigns
 *                <-- cosigned {size, line} --
 *                <-- refused {size, root, status} --   403 signature · 404 not registered · 400 old > new · 409 another size · 422 proof
 *
 * A member of the log's committee has promised the head before (promise.ts): it cosigns what it promised, or what extends it.
 */
import { equal, text, utf8 } from '../crypto/bytes.ts'
import { type Checkpoint, cosign, verifyCosignature } from '../crypto/checkpoint.ts'
import { EMPTY_ROOT, verifyConsistency } from '../crypto/merkle.ts'
import { formatLine, formatNote, parseLines, parseNote } from '../crypto/note.ts'
import { claim, isOurs } from './behind.ts'
import { isFinal, isMember, unpinned } from './committee.ts'
import { isClosed } from './fork.ts'
import { newestHead, resigned } from './heads.ts'
import { cosignerOf, isExpired, isPast, standingOf } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type Ledger, proveExtension } from './ledger.ts'
import { type Head, readHead } from './log.ts'
import { type Context, resendAt, type Step, say, sentence, stay, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { nothing } from './output.ts'
import { isLost, LOST_TEXT } from './put-back.ts'
import { register } from './registration.ts'

/** The owner's view of one witness: what it has cosigned, and the head that is under way. */
export interface Submission {
  org: string
  /** Size of the newest head that the witness is known to hold; 0 before the first. */
  size: number
  /** The witness has taken the log in (registration.ts): before that it is sent nothing else. */
  registered?: true
  /** Size of the head that was sent and not answered; absent when nothing is under way. */
  sentSize?: number
  sent: number
  /** What the witness holds beyond that: a head that it promised. */
  held?: number
  /** The witness holds a head that this log never signed, or refuses it: a person must look. */
  stuck?: string
  /** The witness cannot yet, and is asked again: its store was put back. */
  waits?: string
}

/** What a witness holds of one log: the newest head it has cosigned, and those it has promised since, oldest first. */
export interface Cosigned {
  /** Of entry 0 alone before the first head. */
  size: number
  root: Uint8Array
  /** Leaf hash of entry 0, by which the log was registered. */
  first: Uint8Array
  promised?: { size: number; root: Uint8Array }[]
}

/** The status of who cannot sign for now: it cannot tell what it has signed, or its key has expired. */
export const UNABLE = 503
export const EXPIRED_TEXT = 'the witness key of this witness has expired: it signs again under another one'
export const LOG_EXPIRED_TEXT = 'the log key has expired'

/** The tree that everything further must extend: of the last promise, or of the last cosignature. */
export const held = (state: Cosigned | undefined): { size: number; root: Uint8Array | undefined } =>
  state?.promised?.at(-1) ?? { size: state?.size ?? 0, root: state?.root }

export type SubmissionInput =
  | { type: 'message'; from: string; message: Message }
  /** `met`: the witness is here again, so what it refused before is tried once more. */
  | { type: 'head'; org: string; met?: true }
  /** The witness has another key: what its old one cosigned is to be cosigned by the new one too (RULES D6). */
  | { type: 'again' }
  | { type: 'tick' }
  | { type: 'start' }

// Owner.

export function submit(
  state: Submission | undefined,
  input: SubmissionInput,
  ledger: Ledger,
  context: Context,
): Step<Submission> {
  switch (input.type) {
    case 'head':
      return next(begun(state, input), ledger, context)
    case 'again': {
      const isIdle = state && state.size > 0 && state.sentSize === undefined && !state.stuck
      return isIdle ? send({ ...state, sentSize: state.size, sent: 0 }, ledger, context) : stay(state)
    }
    case 'tick':
      return state ? send(newest(state, context), ledger, context) : stay()
    case 'start':
      return state ? send({ ...state, sent: 0 }, ledger, context) : stay()
    case 'message':
      return received(state, input.from, input.message, ledger, context)
  }
}

function received(
  state: Submission | undefined,
  from: string,
  message: Message,
  ledger: Ledger,
  context: Context,
): Step<Submission> {
  // A member is asked for promises before it is sent a head.
  const known = state ?? (isMember(from, context.get) ? { org: from, size: 0, sent: 0 } : undefined)
  if (known && message.t === 'log/registered') return registered(known, message, ledger, context)
  if (known && message.t === 'log/refused') {
    const isActive = message.log.equals(context.self.chain.logs.at(-1)!)
    return isActive
      ? halted(known, sentence(`${message.refusal.code}: ${message.refusal.text}`))
      : stay(known)
  }
  if (!state) return violation(from, message.t, 'UNKNOWN_DIALOGUE', 'no head was sent to you')
  return message.t === 'witness/cosigned'
    ? cosigned(state, message, ledger, context)
    : refused(state, message as MessageOf<'witness/refused'>, ledger, context)
}

/** The witness has taken the log in, and says what it holds of it: it gets the head that waits. */
function registered(
  s: Submission,
  message: MessageOf<'log/registered'>,
  ledger: Ledger,
  context: Context,
): Step<Submission> {
  if (!message.log.equals(context.self.chain.logs.at(-1)!)) return stay(s) // of one that is closed
  if (!isOurs(message, ledger, context.get))
    return isMember(s.org, context.get)
      ? { ...stay(s), output: claim(s.org, message, context) }
      : halted(s, `it holds a head of ${message.size} that is not of this log`)
  const { stuck: _, ...rest } = s
  const now: Submission = { ...rest, registered: true, held: message.size }
  return now.sentSize === undefined ? stay(now) : send({ ...now, sent: 0 }, ledger, context)
}

function begun(state: Submission | undefined, { org, met }: { org: string; met?: true }): Submission {
  if (!state) return { org, size: 0, sent: 0 }
  const { stuck, ...rest } = state
  return met || !stuck ? rest : state
}

/** What was not answered may be behind by now: a final head is taken where an earlier one was not. */
function newest(s: Submission, { get }: Context): Submission {
  const head = newestHead(get)
  return head && s.sentSize !== undefined && head.size > s.sentSize ? { ...s, sentSize: head.size } : s
}

/** Submits the newest head unless one is under way. */
function next(s: Submission, ledger: Ledger, context: Context): Step<Submission> {
  if (s.stuck) return rest(s)
  if (s.sentSize !== undefined) return stay(s)
  const head = newestHead(context.get)
  return head && head.size > s.size ? send({ ...s, sentSize: head.size, sent: 0 }, ledger, context) : rest(s)
}

function send(s: Submission, ledger: Ledger, context: Context): Step<Submission> {
  const note = s.sentSize === undefined ? undefined : context.get(KEY.head(s.sentSize))
  if (!note) return rest(s)
  const old = Math.min(s.held ?? s.size, s.sentSize!)
  const output = nothing()
  const add = (): Message => {
    const path = proveExtension(ledger, context.get, old, s.sentSize!)
    return { t: 'witness/add', old, note: resigned(note, context), path }
  }
  const messages = s.registered ? [add()] : register(context)
  output.sends.push(...messages.map(message => ({ to: s.org, message })))
  output.deadlines.push({ machine: KEY.witness(s.org), atMs: resendAt(context.now, s.sent) })
  return { state: { ...s, sent: s.sent + 1 }, output, records: [] }
}

function cosigned(
  s: Submission,
  message: MessageOf<'witness/cosigned'>,
  ledger: Ledger,
  context: Context,
): Step<Submission> {
  if (message.size !== s.sentSize) return stay(s) // a repeat
  const stored = context.get(KEY.head(message.size))
  const partner = context.partner(s.org)
  if (!stored || !partner) return stay(s)
  const note = parseNote(text(stored))
  const line = lineOf(message.line)
  const cosigner = cosignerOf(partner.chain)
  const valid = line && cosigner && verifyCosignature(note.body, line, cosigner.name, cosigner.key)
  if (!valid) return violation(s.org, message.t, 'SIGNATURE_INVALID', 'the cosignature does not verify')
  const lines = [...note.lines.filter(each => !each.name.startsWith(`${s.org}/`)), line]
  const { held, ...rest } = s
  const more = held !== undefined && held > message.size ? { held } : {}
  const done = idle({ ...rest, ...more, size: message.size })
  const step = next(done, ledger, context)
  step.output.writes.push({
    key: KEY.head(message.size),
    value: utf8(formatNote({ body: note.body, lines })),
  })
  step.output.events.push({ type: 'cosigned', org: s.org, size: message.size, timeS: valid.timeS })
  return step
}

function refused(
  s: Submission,
  message: MessageOf<'witness/refused'>,
  ledger: Ledger,
  context: Context,
): Step<Submission> {
  if (s.sentSize === undefined) return stay(s)
  if (!isOurs(message, ledger, context.get) && isMember(s.org, context.get))
    return { ...stay(s), output: claim(s.org, message, context) }
  const beyond = message.status === 409 && message.size > s.sentSize
  if (beyond && isMember(s.org, context.get))
    return ahead({ ...idle(s), held: message.size }, ledger, context)
  // The size that this side counts on already: the late answer to a copy of an earlier message. The timer sends again.
  if (message.status === 409 && message.size === (s.held ?? s.size)) return stay(s)
  if (message.status === 409 && message.size <= s.sentSize)
    return send({ ...s, held: message.size, sent: 0 }, ledger, context)
  if (message.status === UNABLE || isOfKey(message.status, context))
    return stay({ ...s, waits: sentence(message.text) })
  if (message.status === 404) return stay(forgotten(s)) // the timer registers the log anew
  return halted(s, sentence(`${message.status} at size ${message.size}: ${message.text}`))
}

/** The signature is refused, and it may be for a key that has expired, or for one that the witness has not been told of. */
export function isOfKey(status: number, { self, now }: Context): boolean {
  const standing = standingOf(self.chain, 'log')
  return status === 403 && (standing === undefined || standing.epoch > 0 || isPast(standing, now.wallMs))
}

/** The witness does not know the log any more: its store was put back. */
export function forgotten({ registered: _, ...s }: Submission): Submission {
  return s
}

/** The witness refuses; nothing is sent until it is met again. */
function halted(s: Submission, stuck: string): Step<Submission> {
  const step = rest({ ...idle(s), stuck })
  step.output.events.push({
    type: 'violation',
    org: s.org,
    code: 'HEAD_BEHIND',
    text: `the witness refuses: ${stuck}`,
  })
  return step
}

/** A member has promised more than the head that was sent: it cosigns one that is as large, once that is signed. */
function ahead(s: Submission, ledger: Ledger, context: Context): Step<Submission> {
  const head = newestHead(context.get)
  return head && head.size >= s.held! ? next(s, ledger, context) : rest(s)
}

const idle = ({ sentSize: _, waits: _none, ...s }: Submission): Submission => ({ ...s, sent: 0 })

function rest(s: Submission): Step<Submission> {
  const step = stay(s)
  step.output.deadlines.push({ machine: KEY.witness(s.org), atMs: Number.POSITIVE_INFINITY })
  return step
}

function lineOf(bytes: Uint8Array) {
  try {
    const lines = parseLines(text(bytes))
    return lines.length === 1 ? lines[0] : undefined
  } catch {
    return undefined
  }
}

// Witness.

/** Checks and cosigns, or refuses with the numbers of C2SP tlog-witness. The store's condition makes it atomic (RULES A2). */
export function witness(
  state: Cosigned | undefined,
  from: string,
  message: MessageOf<'witness/add'>,
  context: Context,
): Step<Cosigned> {
  const partner = context.partner(from)!
  const head = readHead(message.note, partner.chain)
  if (isClosed(from, context)) return refuse(state, from, 403, 'this log is closed: it was forked')
  if ('reason' in head) return refuse(state, from, 403, head.reason)
  if (head.signer.ended !== undefined) return refuse(state, from, 403, 'the log key that signed it has ended')
  const { wallMs } = context.now
  if (isPast(head.signer, wallMs)) return refuse(state, from, 403, LOG_EXPIRED_TEXT)
  if (!state) return refuse(state, from, 404, UNREGISTERED)
  const wrong = mayCosign(state, from, message, head, context)
  if (wrong) return refuse(state, from, wrong.status, wrong.why)
  if (isLost(partner, context)) return refuse(state, from, UNABLE, LOST_TEXT)
  if (isExpired(context.self.chain, 'witness', wallMs)) return refuse(state, from, UNABLE, EXPIRED_TEXT)
  const line = cosign(
    head.note.body,
    Math.floor(wallMs / 1000),
    cosignerOf(context.self.chain)!.name,
    context.noteKey('witness'),
  )
  const output = nothing()
  output.sends.push({
    to: from,
    message: { t: 'witness/cosigned', size: head.size, line: utf8(formatLine(line)) },
  })
  output.writes.push(...unpinned(from, head.size, context.get))
  const promised = state.promised?.filter(each => each.size > head.size) ?? []
  const { size, root } = head
  const next = { size, root, first: state.first, ...(promised.length > 0 ? { promised } : {}) }
  return { state: next, output, records: [] }
}

/**
 * A head that was promised, or one that extends what is held. Otherwise only one that is final makes a promise yield, and
 * only if it is not older: then the promise was for a branch that never got its quorum (RULES D1).
 */
function mayCosign(
  state: Cosigned,
  from: string,
  { old, path }: MessageOf<'witness/add'>,
  head: Head,
  context: Context,
): { status: number; why: string } | undefined {
  const isPromised = state.promised?.some(each => each.size === head.size && equal(each.root, head.root))
  if (isPromised && old <= head.size && (old < head.size || path.length === 0)) return undefined
  const isAgain = state.size === head.size
  if (isAgain && !extension(state, old, head, path)) return undefined
  const wrong = extension(held(state), old, head, path)
  if (!wrong || !state.promised || head.size < held(state).size) return wrong
  const yields = !extension(state, old, head, path) && isFinal(from, head.note, context)
  return yields ? undefined : wrong
}

/** Nothing of a log is held before its owner has shown how it begins (RULES D2). */
export const UNREGISTERED = 'this log is not registered here: log/register comes first'

/**
 * Why a head is not shown to extend the one that is held, with the number that C2SP tlog-witness gives it; `undefined` when
 * it does. The same head again is cosigned with a new time. The empty tree has one root, and nothing is proven from it.
 */
export function extension(
  held: { size: number; root?: Uint8Array | undefined },
  old: number,
  head: Pick<Checkpoint, 'size' | 'root'>,
  path: Uint8Array[],
): { status: number; why: string } | undefined {
  if (old > head.size) return { status: 400, why: 'old is greater than the size of the head' }
  if (old !== held.size) return { status: 409, why: 'another size is held here' }
  const wrong = { status: 422, why: 'the head is not shown to extend the one held here' }
  if (head.size === 0 && !equal(head.root, EMPTY_ROOT)) return wrong
  if (old === 0 || old === head.size) {
    const same = old === 0 || equal(head.root, held.root!)
    return same && path.length === 0 ? undefined : wrong
  }
  const proof = { oldSize: old, oldRoot: held.root!, size: head.size, root: head.root, path }
  return verifyConsistency(proof) ? undefined : wrong
}

function refuse(state: Cosigned | undefined, to: string, status: number, why: string): Step<Cosigned> {
  const { size, root } = held(state)
  const here = root ? { size, root } : { size }
  return say(state, to, { t: 'witness/refused', ...here, status, text: sentence(why) })
}
