/**
 * Mirrors: a partner that keeps the entries of a log, so that they outlive the disk of its owner. Entries are commitments:
 * a mirror has no bodies. It keeps nothing that a signed head does not cover.
 *
 *     log's owner                                   mirror
 *                -- mirror/head {note} -->          holds fewer entries: asks
 *                <-- mirror/ask {log, from} --
 *                -- mirror/entries {log, from, entries, note, path} -->     chained, proven under the head, kept; asks on
 *
 * The same question, of the owner to its mirror, gives entries back.
 */
import { equal, text } from '../crypto/bytes.ts'
import { decode } from '../crypto/cbor.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { rootOf, verifyConsistency } from '../crypto/merkle.ts'
import { parseNote } from '../crypto/note.ts'
import { close, type Fork, isClosed, proveFork, readFork } from './fork.ts'
import { publicHead, resigned } from './heads.ts'
import { BUNDLE_ENTRIES, readEntries } from './kept.ts'
import { KEY } from './layout.ts'
import { adopt, type Ledger, loadLedger, proveExtension } from './ledger.ts'
import { MAX_MIRRORED, PAGE_BYTES } from './limits.ts'
import { type Head, type LogTail, readBack, readHead } from './log.ts'
import { inStore } from './log-number.ts'
import { type Context, encodeState, type Step, say, stay, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import type { Output, Write } from './output.ts'

/** The newest head of a mirrored log whose entries are all here. */
export interface Mirrored {
  size: number
  note: Uint8Array
}

type MirrorMessage = MessageOf<'mirror/head' | 'mirror/ask' | 'mirror/entries'>
type Get = Context['get']
const NONE: Mirrored = { size: 0, note: new Uint8Array(0) }

/** What is held of the log of this number. */
export const mirrored = (get: Get, org: string, log: number): Mirrored | undefined => {
  const stored = get(KEY.mirror(org, log))
  return stored && (decode(stored, stored.length) as unknown as Mirrored)
}

/** The store as the log of a partner lies in it: under a prefix, in the form of an own log of its number. */
export const mirrorGet =
  (get: Get, org: string, log: number): Get =>
  key =>
    get(KEY.mirrored(org) + inStore(key, log))

/** Number of the active log of a partner. */
const numberOf = (org: string, context: Context): number => context.partner(org)!.chain.logs.length - 1

/** What a mirror of the own log is told when it connects, and when the log has grown. */
export function announce(org: string, context: Context): Output['sends'] {
  const head = context.mirrors.some(each => each.toString() === org) && publicHead(context.get)
  return head ? [{ to: org, message: { t: 'mirror/head', note: resigned(head.note, context) } }] : []
}

export function receive(
  from: string,
  message: MirrorMessage,
  ledger: Ledger,
  context: Context,
): Step<Mirrored> {
  switch (message.t) {
    case 'mirror/head':
      return told(from, message, context)
    case 'mirror/ask':
      return asked(from, message, ledger, context)
    case 'mirror/entries':
      return given(from, message, context)
  }
}

// Mirror.

function told(from: string, { t, note }: MessageOf<'mirror/head'>, context: Context): Step<Mirrored> {
  const head = readHead(note, context.partner(from)!.chain)
  if ('reason' in head) return violation(from, t, 'HEAD_INVALID', head.reason)
  if (isClosed(from, context)) return stay()
  const held = mirrored(context.get, from, head.log) ?? NONE
  if (head.size === held.size) return sameSize(from, held, head, note, context)
  if (head.size < held.size) return stay()
  if (head.size > MAX_MIRRORED)
    return violation(from, t, 'QUOTA_EXCEEDED', `at most ${MAX_MIRRORED} entries of one log are kept here`)
  return ask(from, from, context)
}

/** A head of the size that is held: more cosignatures are kept, another root is a fork. */
function sameSize(
  from: string,
  held: Mirrored,
  head: Head,
  note: Uint8Array,
  context: Context,
): Step<Mirrored> {
  const kept = parseNote(text(held.note))
  if (kept.body === head.note.body)
    return kept.lines.length < head.note.lines.length
      ? store(from, head.log, { size: held.size, note })
      : stay()
  const proof = proveFork(context.partner(from)!, held.note, note, { root: head.root, path: [] })
  return proof ? { ...stay(), output: close(readFork(proof) as Fork, proof, context) } : stay()
}

const sizeHere = (org: string, context: Context): number =>
  loadLedger(mirrorGet(context.get, org, numberOf(org, context))).tail.range.size

/** Asks for the entries of a log from where those that are here end. */
export const ask = (to: string, log: string, context: Context): Step<Mirrored> =>
  say<Mirrored>(undefined, to, { t: 'mirror/ask', log: parseCid(log), from: sizeHere(log, context) })

function given(from: string, message: MessageOf<'mirror/entries'>, context: Context): Step<Mirrored> {
  const { t, note, path, entries } = message
  const head = readHead(note, context.partner(from)!.chain)
  if ('reason' in head) return violation(from, t, 'HEAD_INVALID', head.reason)
  const get = mirrorGet(context.get, from, head.log)
  const ledger = loadLedger(get)
  // A repeat, or of a log that is nobody's here.
  if (message.log.toString() !== from || isClosed(from, context) || message.from !== ledger.tail.range.size)
    return stay()
  if (head.size > MAX_MIRRORED)
    return violation(from, t, 'QUOTA_EXCEEDED', `at most ${MAX_MIRRORED} entries of one log are kept here`)
  const tail = readBack(ledger.tail, entries)
  if ('reason' in tail) return violation(from, t, 'ENTRIES_INVALID', tail.reason)
  const { size } = tail.range
  if (entries.length === 0 || !isUnderHead(tail, head, path))
    return violation(
      from,
      t,
      'ENTRIES_INVALID',
      `the entries up to ${size} are not under the head of ${head.size}`,
    )
  const prefix = KEY.mirrored(from)
  const writes: Write[] = adopt(ledger, entries).writes.map(write => ({
    ...write,
    key: prefix + inStore(write.key, head.log),
  }))
  const step = size === head.size ? store(from, head.log, { size, note }) : next(from, size)
  step.output.writes.push(...writes)
  return step
}

/** Whether entries up to here stand under a head. */
export function isUnderHead({ range }: LogTail, head: Head, path: Uint8Array[]): boolean {
  const [size, root] = [range.size, rootOf(range)]
  return size === head.size
    ? equal(root, head.root) && path.length === 0
    : verifyConsistency({ oldSize: size, oldRoot: root, size: head.size, root: head.root, path })
}

const next = (from: string, size: number): Step<Mirrored> =>
  say<Mirrored>(undefined, from, { t: 'mirror/ask', log: parseCid(from), from: size })

function store(org: string, log: number, state: Mirrored): Step<Mirrored> {
  const step = stay<Mirrored>()
  step.output.writes.push({ key: KEY.mirror(org, log), value: encodeState(state) })
  step.output.events.push({ type: 'mirrored', org, size: state.size })
  return step
}

// Owner; and mirror, when the owner asks for its own entries.

function asked(
  from: string,
  { t, log, from: first }: MessageOf<'mirror/ask'>,
  ledger: Ledger,
  context: Context,
): Step<Mirrored> {
  const source = sourceOf(from, log, ledger, context)
  if (!source) return violation(from, t, 'NOT_ADMITTED', `the entries of ${log} are not for you`)
  const { get, head } = source
  // The head that is worth most can be an older one by now: the mirror is told of the next.
  if (!head || first >= head.size) return stay()
  const entries = chunk(get, first, head.size)
  const path = proveExtension(source.ledger, get, first + entries.length, head.size)
  return say<Mirrored>(undefined, from, {
    t: 'mirror/entries',
    log,
    from: first,
    entries,
    note: head.note,
    path,
  })
}

/** Where a log lies here, for one who may have its entries: a mirror of ours, or the owner of a log that we mirror. */
function sourceOf(
  from: string,
  log: CID,
  ledger: Ledger,
  context: Context,
): { get: Get; ledger: Ledger; head: Mirrored | undefined } | undefined {
  const { get, mirrors, self } = context
  if (log.equals(self.id)) {
    if (!mirrors.some(each => each.toString() === from)) return undefined
    const head = publicHead(context.get)
    return { get, ledger, head: head && { ...head, note: resigned(head.note, context) } }
  }
  const number = numberOf(from, context)
  const held = log.toString() === from ? mirrored(get, from, number) : undefined
  if (!held) return undefined
  const inside = mirrorGet(get, from, number)
  return { get: inside, ledger: loadLedger(inside), head: held }
}

/** Entries up to the end of a bundle, and not more than a message carries. */
function chunk(get: Get, from: number, size: number): Uint8Array[] {
  const end = Math.min(size, from - (from % BUNDLE_ENTRIES) + BUNDLE_ENTRIES)
  const entries: Uint8Array[] = []
  let bytes = 0
  for (const { entry } of readEntries(get, from, end)) {
    bytes += entry.length
    if (bytes > PAGE_BYTES) break
    entries.push(entry)
  }
  return entries
}
