/**
 * Heads: making the own one, showing it, and checking those of partners.
 *
 *     log's owner                                   partner
 *                -- show {note} -->                 newer than what it holds: asks
 *                <-- ask {size it holds} --
 *                -- proof {size, note, path} -->    keeps the newer head, or has seen a contradiction
 */
import { equal, readU64, text, toHex, utf8 } from '../crypto/bytes.ts'
import { verifyConsistency } from '../crypto/merkle.ts'
import { formatNote, parseNote, signNote } from '../crypto/note.ts'
import { cosigners } from './committee.ts'
import {
  close,
  closedLogs,
  type Fork,
  forksKnown,
  isClosed,
  onlyLog,
  proveFork,
  readFork,
  toTell,
} from './fork.ts'
import { cosignerNames, standingOf } from './identity-chain.ts'
import { forkedIdentities, identityForksKnown } from './identity-fork.ts'
import { KEY } from './layout.ts'
import { type Ledger, proveExtension, rootAt } from './ledger.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import { type Head, originHash, originOf, readHead } from './log.ts'
import { type Context, decodeState, type Step, say, stay, violation } from './machine.ts'
import type { Message, MessageOf, MessageType } from './message.ts'

/** The newest head of a partner's log that this node has seen. */
export interface Watch {
  size: number
  root: Uint8Array
  note: Uint8Array
  /** A head of the same log that somebody else was shown, until the log's owner has proven that one extends the other. */
  rumour?: { size: number; root: Uint8Array; note: Uint8Array; atMs: number }
}

// The own head; beat.ts makes it.

/** The newest signed head with the cosignatures that have come. */
export function newestHead(
  get: (key: string) => Uint8Array | undefined,
): { size: number; note: Uint8Array } | undefined {
  const size = get(KEY.newestHead)
  const note = size && get(KEY.head(readU64(size)!))
  return note && { size: readU64(size)!, note }
}

/** The newest head that anybody may see: with a committee one that is final (RULES D1); members get the others to cosign. */
export function publicHead(
  get: (key: string) => Uint8Array | undefined,
): { size: number; note: Uint8Array } | undefined {
  const stored = get(KEY.publicHead)
  if (!stored) return newestHead(get)
  const size = readU64(stored)!
  const note = get(KEY.head(size))
  return note && { size, note }
}

/**
 * The head to prove entries below `size` under: the one with most cosignatures of the own witnesses, the newest of those.
 * The newest of all is rarely cosigned yet in a busy log. `undefined` when no signed head covers the entries.
 */
export function bestHead(
  context: Pick<Context, 'get' | 'witnesses' | 'partner'>,
  size: number,
): { size: number; note: Uint8Array } | undefined {
  const newest = newestHead(context.get)
  if (!newest || newest.size < size) return undefined
  const orgs = cosigners(context)
  const chains = orgs.flatMap(org => context.partner(org)?.chain ?? [])
  const names = new Set(chains.flatMap(cosignerNames))
  const worth = (note: Uint8Array) => parseNote(text(note)).lines.filter(line => names.has(line.name)).length
  let best = { ...newest, worth: worth(newest.note) }
  for (const org of orgs) {
    const stored = context.get(KEY.witness(org))
    const cosigned = stored ? decodeState<{ size: number }>(stored).size : 0
    const note = cosigned >= size ? context.get(KEY.head(cosigned)) : undefined
    if (!note) continue
    const other = { size: cosigned, note, worth: worth(note) }
    if (other.worth > best.worth || (other.worth === best.worth && other.size > best.size)) best = other
  }
  return { size: best.size, note: best.note }
}

/** The same among the heads that anybody may see. */
export function bestShown(
  context: Parameters<typeof bestHead>[0],
): { size: number; note: Uint8Array } | undefined {
  const shown = publicHead(context.get)
  const best = shown && bestHead(context, 0)
  return best && best.size <= shown.size ? best : shown
}

// Showing it, and checking a partner's.

export function show(context: Context): Message[] {
  const head = publicHead(context.get)
  return head ? [{ t: 'head/show', note: resigned(head.note, context) }] : []
}

/** A head as it is told to who holds the one of size `before`, or none. */
export function tell(
  head: { size: number; note: Uint8Array },
  before: number,
  ledger: Ledger,
  context: Context,
): Message {
  const note = resigned(head.note, context)
  if (before === 0) return { t: 'head/show', note }
  const root = rootAt(ledger, context.get, before)
  return {
    t: 'head/proof',
    size: before,
    root,
    note,
    path: proveExtension(ledger, context.get, before, head.size),
  }
}

/**
 * A head of the own log under the log key that stands: one whose key has ended is signed again. The cosignatures are of the
 * text and stay.
 */
export function resigned(note: Uint8Array, context: Context): Uint8Array {
  const epoch = standingOf(context.self.chain, 'log')?.epoch ?? 0
  if (epoch === 0) return note // the key of the genesis has signed all there is
  const { body, lines } = parseNote(text(note))
  const origin = originOf(context.self.chain)
  const own = signNote(body, origin, context.noteKey('log'))
  return utf8(formatNote({ body, lines: [own, ...lines.filter(line => line.name !== origin)] }))
}

/** The fork proofs known here, as everybody is told them. */
export const tellForks = (context: Context): Message[] =>
  [...forksKnown(context), ...identityForksKnown(context)].map(toFork)

/** What is proven of one organisation, for who still goes by its log: it may not have known it when all were told. */
const proofsAgainst = (org: string, context: Context): Message[] =>
  [closedLogs(context), forkedIdentities(context)]
    .flatMap(kept => toTell(kept.filter(each => each.org === org)))
    .map(toFork)

const toFork = (proof: Uint8Array): Message => ({ t: 'gossip/fork', proof })

function answer(to: string, messages: Message[], seen?: Watch): Step<Watch> {
  const step = stay(seen)
  step.output.sends.push(...messages.map(message => ({ to, message })))
  return step
}

export function receive(from: string, message: Message, ledger: Ledger, context: Context): Step<Watch> {
  switch (message.t) {
    case 'head/show':
      return shown(from, message, context)
    case 'head/ask':
      return asked(from, message, ledger, context)
    case 'head/proof':
      return proven(from, message, context)
    case 'proof/reply':
      return reply(from, message, context)
    default:
      return stay()
  }
}

export const readWatch = (stored: Uint8Array | undefined): Watch | undefined =>
  stored && decodeState<Watch>(stored)

function headOf(from: string, note: Uint8Array, context: Context): Head | { reason: string } {
  const partner = context.partner(from)!
  return readHead(note, partner.chain)
}

function shown(from: string, message: MessageOf<'head/show'>, context: Context): Step<Watch> {
  const head = headOf(from, message.note, context)
  if ('reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  return offered(from, head, message.note, readWatch(context.get(KEY.watch(from))), context)
}

/** A head without a proof from the one that was seen. */
function offered(
  from: string,
  head: Head,
  note: Uint8Array,
  seen: Watch | undefined,
  context: Context,
): Step<Watch> {
  if (isClosed(from, context)) return answer(from, proofsAgainst(from, context), seen)
  if (head.signer.ended !== undefined) return stay(seen)
  if (!seen) return keep(from, head, note, context)
  const other = contradicted(seen, head)
  if (other) return forked(from, seen, other.note, note, { root: head.root, path: [] }, context)
  return head.size <= seen.size ? stay(seen) : askProof(from, seen, seen.size)
}

/** What is held of the size of a head and with another root: nobody needs to be asked about these two. */
const contradicted = (seen: Watch, head: Head): { note: Uint8Array } | undefined =>
  [seen, seen.rumour].find(each => each?.size === head.size && !equal(each.root, head.root))

function askProof(org: string, seen: Watch, size: number): Step<Watch> {
  return answer(org, [{ t: 'head/ask', size }], seen)
}

function asked(from: string, message: MessageOf<'head/ask'>, ledger: Ledger, context: Context): Step<Watch> {
  const head = publicHead(context.get)
  if (!head || message.size > head.size || message.size === 0)
    return violation(from, message.t, 'HEAD_BEHIND', `this log has no head of ${message.size} or more`)
  return say<Watch>(undefined, from, tell(head, message.size, ledger, context))
}

function proven(from: string, message: MessageOf<'head/proof'>, context: Context): Step<Watch> {
  const head = headOf(from, message.note, context)
  if ('reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  const seen = readWatch(context.get(KEY.watch(from)))
  const [held] = [seen, seen?.rumour].filter(each => each?.size === message.size)
  // Told unasked, from a head that this side does not hold, or not any more.
  if (!seen || !held || isClosed(from, context)) return offered(from, head, message.note, seen, context)
  if (head.size < held.size) return stay(seen)
  if (head.signer.ended !== undefined) return stay(seen)
  if (!extendsRoot(held, head, message.path)) return unproven(from, seen, held.note, message, head, context)
  if (held === seen)
    return head.size === seen.size ? stay(seen) : keep(from, head, message.note, context, seen.rumour)
  const { rumour: _, ...rest } = seen
  return stay(rest)
}

const extendsRoot = (held: { size: number; root: Uint8Array }, head: Head, path: Uint8Array[]): boolean =>
  head.size === held.size
    ? equal(head.root, held.root)
    : verifyConsistency({ oldSize: held.size, oldRoot: held.root, size: head.size, root: head.root, path })

/** A proof that does not hold: of a fork, if the log itself shows that its tree had another root; else of nothing. */
function unproven(
  from: string,
  seen: Watch,
  older: Uint8Array,
  { t, size, root, note, path }: MessageOf<'head/proof'>,
  head: Head,
  context: Context,
): Step<Watch> {
  const step = forked(from, seen, older, note, { root, path }, context)
  if (step.output.writes.length > 0) return step
  return violation(from, t, 'HEAD_INCONSISTENT', `the head of ${head.size} is not shown to extend ${size}`)
}

/** Keeps a newer head, and holds what others were shown against it. */
function keep(
  from: string,
  head: Head,
  note: Uint8Array,
  context: Context,
  rumour?: Watch['rumour'],
): Step<Watch> {
  const state: Watch = { size: head.size, root: head.root, note }
  const step = rumour ? compared(from, state, rumour, context) : stay(state)
  step.output.events.push({ type: 'seen', org: from, size: head.size })
  return step
}

/** A head that others were shown is of this log or proves a fork; where only the log's owner can tell, it is asked. */
function compared(
  org: string,
  seen: Watch,
  rumour: NonNullable<Watch['rumour']>,
  context: Context,
): Step<Watch> {
  if (rumour.size < seen.size) return askProof(org, { ...seen, rumour }, rumour.size)
  if (rumour.size > seen.size) return askProof(org, { ...seen, rumour }, seen.size)
  if (equal(rumour.root, seen.root)) return stay(seen)
  return forked(org, seen, seen.note, rumour.note, { root: rumour.root, path: [] }, context)
}

function forked(
  org: string,
  seen: Watch,
  older: Uint8Array,
  newer: Uint8Array,
  newerTree: { root: Uint8Array; path: Uint8Array[] },
  context: Context,
): Step<Watch> {
  const partner = context.partner(org)!
  const proof = proveFork(partner, older, newer, newerTree, seen.note)
  const fork = proof && (readFork(proof, partner.chain, seen.note) as Fork)
  const step = stay(seen)
  return fork ? { ...step, output: close(fork, proof, context) } : step
}

// Gossip: heads of a log that others were shown.

/** The newest heads of partners' logs, for those who may have seen others; never to the log's owner. */
export function rumours(about: string[], context: Context): { org: string; message: Message }[] {
  return about.flatMap(org => {
    const seen = readWatch(context.get(KEY.watch(org)))
    const partner = context.partner(org)
    if (!seen || !partner || isClosed(org, context)) return []
    const note = onlyLog(seen.note, originOf(partner.chain))
    return [{ org, message: { t: 'gossip/head', note } as const }]
  })
}

/** A head of a third log that the sender saw; no step where it is signed by no key that is known here. */
export function rumoured(
  from: string,
  t: MessageType,
  note: Uint8Array,
  context: Context,
): { org: string; step?: Step<Watch> } | undefined {
  const org = orgOf(note, context)
  if (org === undefined || org === from) return undefined
  const { chain } = context.partner(org)!
  const head = readHead(note, chain, undefined, { closed: true })
  if ('reason' in head)
    return head.unknown ? { org } : { org, step: violation(from, t, 'HEAD_INVALID', head.reason) }
  // The sender may not have heard of its successor.
  if (head.log < chain.logs.length - 1) return { org, step: stay() }
  const step = against(org, head, note, context)
  step.output.sends.push(...answer(from, proofsAgainst(org, context)).output.sends)
  return { org, step }
}

/** A head that a witness refused: it may still prove something. */
export function refused(from: string, note: Uint8Array, context: Context): Step<Watch> {
  const head = headOf(from, note, context)
  return 'reason' in head ? stay() : against(from, head, note, context)
}

/**
 * Holds a head, whichever way it came, against the one that was seen of this log, or asks the log's owner to prove that both
 * are of one log. While a proof is wanted for one head, no other takes its place: the question could be made to be forgotten.
 */
function against(org: string, head: Head, note: Uint8Array, context: Context): Step<Watch> {
  const seen = readWatch(context.get(KEY.watch(org)))
  if (!seen || isClosed(org, context) || head.signer.ended !== undefined) return stay(seen)
  const other = contradicted(seen, head)
  if (other) return forked(org, seen, other.note, note, { root: head.root, path: [] }, context)
  const { rumour } = seen
  const isAsked = rumour && (rumour.size !== head.size || !equal(rumour.root, head.root))
  if (isAsked && head.size !== seen.size) return stay(seen)
  const atMs = isAsked || !rumour ? context.now.wallMs : rumour.atMs
  return compared(org, seen, { size: head.size, root: head.root, note, atMs }, context)
}

/** Whose log a head is of, as far as it is a partner's. */
function orgOf(note: Uint8Array, context: Context): string | undefined {
  const [origin] = new TextDecoder().decode(note.subarray(0, MAX_NAME_LENGTH)).split('\n')
  const org = context.get(KEY.origin(originHash(origin!)))
  return org && text(org)
}

// The head under which somebody proves entries (entry-proofs.ts).

function reply(from: string, message: MessageOf<'proof/reply'>, context: Context): Step<Watch> {
  // Evidence may be old: of a log that is closed, by a key that was revoked. What it is worth is for a verifier to say.
  const { chain } = context.partner(from)!
  const head = message.note && readHead(message.note, chain, undefined, { closed: true, revoked: true })
  if (head && 'reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  const { entries, states, witnesses, events, note, committees, renewal, pending, redactions } = message
  const isActive = head && head.log === chain.logs.length - 1
  const step = isActive && note ? against(from, head, note, context) : stay<Watch>()
  step.output.events.push({
    type: 'proofs',
    org: from,
    id: toHex(message.id),
    reply: {
      entries,
      states,
      witnesses,
      events,
      pending,
      ...(note ? { note: text(note) } : {}),
      ...(committees ? { committees } : {}),
      ...(renewal ? { renewal } : {}),
      ...(redactions ? { redactions } : {}),
    },
  })
  return step
}
