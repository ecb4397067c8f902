/**
 * Heads: making the own one, showing it, and checking those of partners.
 *
 *     log's owner                                   partner
 *                -- show {note} -->                 newer than what it holds: asks
 *                <-- ask {size it holds} --
 *                -- proof {size, note, path} -->    keeps the newer head, or has seen a contradiction
 *
 *     log's owner                                   whom a record concerns
 *                <-- proof/request {records} --
 *                -- proof/reply {note, entries} -->
 */
import { equal, readU64, text, toHex, u64, utf8 } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { asCid, type CID } from '../crypto/cid.ts'
import { rootOf, verifyConsistency } from '../crypto/merkle.ts'
import { formatNote, parseNote, signNote } from '../crypto/note.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { cosignerName } from './identity.ts'
import { indexOf, keptRecord, readEntryAt } from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, proveExtension, provePresence, rootAt } from './ledger.ts'
import { checkpointOf, type Head, originOf, readBack, readHead } from './log.ts'
import { type Context, decodeState, type Step, stay, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import { nothing, type Output } from './output.ts'
import { readGrant } from './transfer.ts'

/** The newest head of a partner's log that this node has seen. */
export interface Watch {
  size: number
  root: Uint8Array
  note: Uint8Array
  /** A head that contradicts it, once one was shown. */
  contradiction?: Uint8Array
}

// The own head.

/**
 * Signs a head over leaves that were read back from the store after their commit (RULES A4): they must continue the last
 * signed head. Returns why not, which is a damaged store.
 */
export function makeHead(
  ledger: Ledger,
  entries: Uint8Array[],
  context: Context,
): { ledger: Ledger; output: Output; size: number; note: string } | { damaged: string } {
  const tail = readBack(ledger.signed, entries)
  if ('reason' in tail) return { damaged: tail.reason }
  const { size } = tail.range
  if (entries.length === 0 || size !== ledger.reading)
    return { damaged: `${size} entries read back of ${ledger.reading}` }
  if (!equal(rootAt(ledger, context.get, size), rootOf(tail.range)))
    return { damaged: 'entries read back give another root' }
  const origin = originOf(context.self.id, context.self.identity)
  const body = checkpointOf(origin, tail)
  const note = formatNote({ body, lines: [signNote(body, origin, context.noteKey('log'))] })
  const { reading: _, ...rest } = ledger
  const output: Output = {
    ...nothing(),
    writes: [
      { key: KEY.head(size), value: utf8(note), if: 'absent' },
      { key: KEY.newestHead, value: u64(size) },
    ],
    events: [{ type: 'head', size }],
  }
  return { ledger: { ...rest, signed: tail }, output, size, note }
}

/** The newest signed head with the cosignatures that have come. */
export function newestHead(
  get: (key: string) => Uint8Array | undefined,
): { size: number; note: Uint8Array } | undefined {
  const size = get(KEY.newestHead)
  const note = size && get(KEY.head(readU64(size)!))
  return note && { size: readU64(size)!, note }
}

/**
 * The head to prove entries below `size` under: the one with most cosignatures of the own witnesses, the newest of those.
 * The newest of all is rarely cosigned yet in a busy log. `undefined` when no signed head covers the entries.
 */
export function bestHead(
  context: Pick<Context, 'get' | 'witnesses'>,
  size: number,
): { size: number; note: Uint8Array } | undefined {
  const newest = newestHead(context.get)
  if (!newest || newest.size < size) return undefined
  const names = new Set(context.witnesses.map(id => cosignerName(id.toString())))
  const worth = (note: Uint8Array) => parseNote(text(note)).lines.filter(line => names.has(line.name)).length
  let best = { ...newest, worth: worth(newest.note) }
  for (const id of context.witnesses) {
    const stored = context.get(KEY.witness(id.toString()))
    const cosigned = stored ? decodeState<{ size: number }>(stored).size : 0
    const note = cosigned >= size ? context.get(KEY.head(cosigned)) : undefined
    if (!note) continue
    const other = { size: cosigned, note, worth: worth(note) }
    if (other.worth > best.worth || (other.worth === best.worth && other.size > best.size)) best = other
  }
  return { size: best.size, note: best.note }
}

// Showing it, and checking a partner's.

export function show(context: Context): Message[] {
  const head = newestHead(context.get)
  return head ? [{ t: 'head/show', note: head.note }] : []
}

export function receive(from: string, message: Message, ledger: Ledger, context: Context): Step<Watch> {
  switch (message.t) {
    case 'head/show':
      return shown(from, message, context)
    case 'head/ask':
      return asked(from, message, ledger, context)
    case 'head/proof':
      return proven(from, message, context)
    case 'proof/request':
      return proofs(from, message, ledger, context)
    case 'proof/reply':
      return reply(from, message, context)
    default:
      return stay()
  }
}

export const readWatch = (stored: Uint8Array | undefined): Watch | undefined =>
  stored && (decode(stored, stored.length) as unknown as Watch)

function headOf(from: string, note: Uint8Array, context: Context): Head | { reason: string } {
  const partner = context.partner(from)!
  return readHead(note, partner.id, partner.identity)
}

function shown(from: string, message: MessageOf<'head/show'>, context: Context): Step<Watch> {
  const head = headOf(from, message.note, context)
  if ('reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  const seen = readWatch(context.get(KEY.watch(from)))
  if (!seen) return keep(from, head, message.note)
  if (head.size === seen.size && !equal(head.root, seen.root)) return contradiction(from, seen, message.note)
  if (head.size <= seen.size) return stay(seen)
  const step = stay(seen)
  step.output.sends.push({ to: from, message: { t: 'head/ask', size: seen.size } })
  return step
}

function asked(from: string, message: MessageOf<'head/ask'>, ledger: Ledger, context: Context): Step<Watch> {
  const head = newestHead(context.get)
  if (!head || message.size > head.size || message.size === 0)
    return violation(from, message.t, 'HEAD_BEHIND', `this log has no head of ${message.size} or more`)
  const step = stay<Watch>()
  const path = proveExtension(ledger, context.get, message.size, head.size)
  step.output.sends.push({
    to: from,
    message: { t: 'head/proof', size: message.size, note: head.note, path },
  })
  return step
}

function proven(from: string, message: MessageOf<'head/proof'>, context: Context): Step<Watch> {
  const head = headOf(from, message.note, context)
  if ('reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  const seen = readWatch(context.get(KEY.watch(from)))
  if (!seen || message.size !== seen.size || head.size < seen.size) return stay(seen)
  const holds =
    head.size === seen.size
      ? equal(head.root, seen.root)
      : verifyConsistency({
          oldSize: seen.size,
          oldRoot: seen.root,
          size: head.size,
          root: head.root,
          path: message.path,
        })
  if (holds) return keep(from, head, message.note, seen)
  // A failing proof alone is no evidence: anybody can send a genuine head with a wrong path (DESIGN 6).
  return violation(
    from,
    message.t,
    'HEAD_INCONSISTENT',
    `the head of ${head.size} is not shown to extend ${seen.size}`,
  )
}

function keep(from: string, head: Head, note: Uint8Array, seen?: Watch): Step<Watch> {
  const state: Watch = {
    size: head.size,
    root: head.root,
    note,
    ...(seen?.contradiction ? { contradiction: seen.contradiction } : {}),
  }
  return {
    state,
    output: { ...nothing(), events: [{ type: 'seen', org: from, size: head.size }] },
    records: [],
  }
}

/** Two signed heads of one size with different roots prove that the log was rewritten: both are kept. */
function contradiction(from: string, seen: Watch, note: Uint8Array): Step<Watch> {
  const state = { ...seen, contradiction: note }
  const [stored, shownText] = [text(seen.note), text(note)]
  return {
    state,
    output: { ...nothing(), events: [{ type: 'inconsistent', org: from, stored, shown: shownText }] },
    records: [],
  }
}

// Proofs of entries.

function proofs(
  from: string,
  message: MessageOf<'proof/request'>,
  ledger: Ledger,
  context: Context,
): Step<Watch> {
  const signedSize = newestHead(context.get)?.size ?? 0
  const found: { record: CID; index: number }[] = []
  let pending = false
  for (const record of message.records.filter(each => concerns(from, each, message.records, context))) {
    const index = indexOf(context.get, record)
    if (index !== undefined && index < signedSize) found.push({ record, index })
    else pending = true
  }
  const head = bestHead(context, Math.max(0, ...found.map(each => each.index + 1)))
  const entries = head ? found.map(each => proveRecord(each, head.size, ledger, context.get)) : []
  const step = stay<Watch>()
  const witnesses = context.witnesses.flatMap(each => context.partner(each.toString())?.identityBytes ?? [])
  step.output.sends.push({
    to: from,
    message: {
      t: 'proof/reply',
      id: message.id,
      entries,
      witnesses,
      pending,
      ...(head ? { note: head.note } : {}),
    },
  })
  return step
}

/** The entry that commits to a record, its salt, and its way to the head of `size`. */
export function proveRecord(
  { record, index }: { record: CID; index: number },
  size: number,
  ledger: Ledger,
  get: Context['get'],
): { record: CID; entry: Uint8Array; salt: Uint8Array; path: Uint8Array[] } {
  const { salt, entry } = readEntryAt(get, index)!
  return { record, entry, salt, path: provePresence(ledger, get, index, size) }
}

/** Whether a record concerns an organisation: it is a party of it, or has an agreement here that covers it. */
function concerns(from: string, id: CID, asked: CID[], context: Context): boolean {
  const stored = keptRecord(context.get, id)
  if (!stored) return false
  const { p } = decodeSigned(stored)
  const party = ['assigner', 'assignee', 'consumer', 'provider'].some(
    role => asCid(p[role])?.toString() === from,
  )
  if (party) return true
  const asset = asCid(p.asset)
  return (
    asset !== undefined && asked.some(each => readGrant(from, each, context)?.payload.asset.equals(asset))
  )
}

function reply(from: string, message: MessageOf<'proof/reply'>, context: Context): Step<Watch> {
  const head = message.note && headOf(from, message.note, context)
  if (head && 'reason' in head) return violation(from, message.t, 'HEAD_INVALID', head.reason)
  const step = stay<Watch>()
  const { entries, witnesses, note, pending } = message
  step.output.events.push({
    type: 'proofs',
    org: from,
    id: toHex(message.id),
    reply: { entries, witnesses, pending, ...(note ? { note: text(note) } : {}) },
  })
  return step
}

export const encodeWatch = (watch: Watch): Uint8Array => encode({ ...watch })
