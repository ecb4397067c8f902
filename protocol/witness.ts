/**
 * Witnessing in its simple form, both roles, in message order: a partner cosigns a proven extension of the newest head it
 * holds (C2SP tlog-witness, with its status numbers; over the authenticated connection).
 *
 *     log's owner                                   witness
 *                -- add {old, note, path} -->       checks, stores, cosigns
 *                <-- cosigned {size, line} --
 *                <-- refused {size, status} --      403 signature · 400 old > new · 409 another size · 422 proof
 */
import { equal, text, utf8 } from '../crypto/bytes.ts'
import { type Checkpoint, cosign, verifyCosignature } from '../crypto/checkpoint.ts'
import { EMPTY_ROOT, verifyConsistency } from '../crypto/merkle.ts'
import { formatLine, formatNote, parseLines, parseNote } from '../crypto/note.ts'
import { isClosed } from './fork.ts'
import { newestHead, resigned } from './heads.ts'
import { cosignerOf } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type Ledger, proveExtension } from './ledger.ts'
import { readHead } from './log.ts'
import { type Context, resendAt, type Step, sentence, stay, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { nothing } from './output.ts'

/** The owner's view of one witness: what it has cosigned, and the head that is under way. */
export interface Submission {
  org: string
  /** Size of the newest head that the witness is known to hold; 0 before the first. */
  size: number
  /** Size of the head that was sent and not answered; absent when nothing is under way. */
  sentSize?: number
  sent: number
  /** The witness holds a head that this log never signed, or refuses it: a person must look. */
  stuck?: string
}

/** The witness's promise about one log: the newest head it has cosigned. */
export interface Cosigned {
  size: number
  root: Uint8Array
}

export type SubmissionInput =
  | { type: 'message'; from: string; message: Message }
  | { type: 'head'; org: string }
  /** A connection: whom it did not know before, the witness may know now. */
  | { type: 'met'; org: string }
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
      return next(state ?? { org: input.org, size: 0, sent: 0 }, ledger, context)
    case 'met':
      return next(forgiven(state) ?? { org: input.org, size: 0, sent: 0 }, ledger, context)
    case 'tick':
      return state ? send(state, ledger, context) : stay()
    case 'start':
      return state ? send({ ...state, sent: 0 }, ledger, context) : stay()
    case 'message':
      if (!state) return violation(input.from, input.message.t, 'UNKNOWN_DIALOGUE', 'no head was sent to you')
      return input.message.t === 'witness/cosigned'
        ? cosigned(state, input.message, ledger, context)
        : refused(state, input.message as MessageOf<'witness/refused'>, ledger, context)
  }
}

/** A signature that did not verify may have been by a key that the witness had not been told of. */
function forgiven(s: Submission | undefined): Submission | undefined {
  if (!s?.stuck?.startsWith('403')) return s
  const { stuck: _, ...rest } = s
  return rest
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
  const path = proveExtension(ledger, context.get, s.size, s.sentSize!)
  const output = nothing()
  output.sends.push({
    to: s.org,
    message: { t: 'witness/add', old: s.size, note: resigned(note, context), path },
  })
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
  const done = idle({ ...s, size: message.size })
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
  // The size that this side counts on already: the late answer to a copy of an earlier message. The timer sends again.
  if (message.status === 409 && message.size === s.size) return stay(s)
  if (message.status === 409 && message.size <= s.sentSize)
    return send({ ...s, size: message.size, sent: 0 }, ledger, context)
  const stuck = sentence(`${message.status} at size ${message.size}: ${message.text}`)
  const step = rest({ ...idle(s), stuck })
  step.output.events.push({
    type: 'violation',
    org: s.org,
    code: 'HEAD_BEHIND',
    text: `the witness refuses: ${stuck}`,
  })
  return step
}

const idle = ({ sentSize: _, ...s }: Submission): Submission => ({ ...s, sent: 0 })

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
  const held = state?.size ?? 0
  if (isClosed(from, context)) return refuse(state, from, held, 403, 'this log is closed: it was forked')
  if ('reason' in head) return refuse(state, from, held, 403, head.reason)
  if (head.signer.ended !== undefined)
    return refuse(state, from, held, 403, 'the log key that signed it has ended')
  const wrong = extension({ size: held, root: state?.root }, message.old, head, message.path)
  if (wrong) return refuse(state, from, held, wrong.status, wrong.why)
  const line = cosign(
    head.note.body,
    Math.floor(context.now.wallMs / 1000),
    cosignerOf(context.self.chain)!.name,
    context.noteKey('witness'),
  )
  const output = nothing()
  output.sends.push({
    to: from,
    message: { t: 'witness/cosigned', size: head.size, line: utf8(formatLine(line)) },
  })
  return { state: { size: head.size, root: head.root }, output, records: [] }
}

/**
 * Why a head is not shown to extend the one that is held, with the number that C2SP tlog-witness gives it; `undefined` when
 * it does. The same head again is cosigned with a new time. The empty tree has one root, and nothing is proven from it.
 */
export function extension(
  held: { size: number; root: Uint8Array | undefined },
  old: number,
  head: Checkpoint,
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

function refuse(
  state: Cosigned | undefined,
  to: string,
  size: number,
  status: number,
  why: string,
): Step<Cosigned> {
  const step = stay(state)
  step.output.sends.push({ to, message: { t: 'witness/refused', size, status, text: sentence(why) } })
  return step
}
