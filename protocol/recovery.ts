/**
 * The way back of a store that is behind its own log (RULES D1): a partner that mirrors the log gives the entries that are
 * missing, and exactly these bytes are appended. The operator asks for it, because only he knows that no copy runs.
 *
 *     log's owner                                       mirror
 *                -- mirror/ask {own log, from} -->      from the newest head in this store
 *                <-- mirror/entries --                  chained, under a head that the own log key signed
 *
 * What was logged beyond that head and stands in no other is cut off, and its records are logged anew at the end. What the
 * entries commit to is gone with the store that was lost; the log goes on, as soon as the members find their heads in it.
 */
import { equal, u64, utf8 } from '../crypto/bytes.ts'
import { type CID, cidFromDigest, digestOf } from '../crypto/cid.ts'
import { formatNote } from '../crypto/note.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { behindAfter, isBehind } from './behind.ts'
import { committeeDigest, cosigners, isReached, quorums, readSeating } from './committee.ts'
import { over } from './context.ts'
import { cut } from './cut.ts'
import { ProtocolError } from './error.ts'
import { cosignatureOf } from './identity-chain.ts'
import { isOfRecord, type KeptEntry, keptRecord, placedAt } from './kept.ts'
import { KEY } from './layout.ts'
import { adopt, type Ledger } from './ledger.ts'
import { type Head, KIND, originOf, readBack, readEntry, readHead } from './log.ts'
import { type Context, decodeState, encodeState, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import { isUnderHead } from './mirror.ts'
import { join, nothing, type Output } from './output.ts'
import type { Stored } from './record.ts'
import { readState } from './state.ts'

interface Recovery {
  /** Entries up to here are those of the mirrors, or were under a head before. */
  size: number
  /** What was cut off and has not come back, by its index. */
  cut: { index: number; slot: number; of: Uint8Array; entry: Uint8Array }[]
}

const readRecovery = (get: Context['get']): Recovery | undefined => {
  const stored = get(KEY.recovery)
  return stored && decodeState(stored)
}

/** Asks all mirrors. Throws ProtocolError where nothing can be recovered. */
export function recover(ledger: Ledger, context: Context): Output {
  const { get } = context
  if (!isBehind(get)) throw new ProtocolError('OUT_OF_ORDER', 'this store is not behind its log')
  if (readSeating(get).next)
    throw new ProtocolError(
      'OUT_OF_ORDER',
      'a committee was named that is not in force: the log needs a successor',
    )
  const output = nothing()
  const known = readRecovery(get)
  const state: Recovery = { size: ledger.signed.range.size, cut: [], ...known }
  output.writes.push({ key: KEY.recovery, value: encodeState(state) })
  output.sends.push(...asks(state.size, context))
  if (output.sends.length === 0) throw new ProtocolError('NOT_FOUND', 'no partner mirrors this log')
  return output
}

const asks = (from: number, { self, mirrors, partner }: Context): Output['sends'] =>
  mirrors
    .map(String)
    .filter(org => partner(org))
    .map(to => ({ to, message: { t: 'mirror/ask', log: self.id, from } }))

interface Recovered {
  ledger: Ledger
  output: Output
  /** To be logged anew. */
  records: Stored[]
}

/** Takes entries of the own log from a mirror; `undefined` when they were not asked for. */
export function recovered(
  from: string,
  message: MessageOf<'mirror/entries'>,
  before: Ledger,
  context: Context,
): Recovered | undefined {
  const { t, note, path, entries } = message
  const state = readRecovery(context.get)
  if (!state || message.from !== state.size || entries.length === 0) return undefined
  const wrong = (code: 'HEAD_INVALID' | 'ENTRIES_INVALID', why: string): Recovered => ({
    ledger: before,
    output: violation(from, t, code, why).output,
    records: [],
  })
  const head = readHead(note, context.self.chain)
  if ('reason' in head) return wrong('HEAD_INVALID', head.reason)
  const tail = readBack(state.size === before.tail.range.size ? before.tail : before.signed, entries)
  if ('reason' in tail) return wrong('ENTRIES_INVALID', tail.reason)
  if (!isUnderHead(tail, head, path)) return wrong('ENTRIES_INVALID', `not under the head of ${head.size}`)
  const newer = goneOn(entries, context)
  if (newer) return wrong('ENTRIES_INVALID', newer)
  const here = cutOff(before, state, context)
  const known = new Map(here.off.map(each => [each.index, each]))
  const same = (index: number, entry: Uint8Array) => {
    const each = known.get(index)
    return each && equal(each.entry, entry) ? each : undefined
  }
  const { ledger, writes } = adopt(here.ledger, entries, same)
  const back = entries.flatMap((entry, i) => same(state.size + i, entry) ?? [])
  const size = tail.range.size
  const next: Recovery = { size, cut: here.off.filter(each => !back.includes(each)) }
  const output = join(here.output, {
    ...nothing(),
    writes: [...writes, ...back.flatMap(each => placed(each, ledger, context))],
  })
  if (size < head.size) {
    output.writes.push({ key: KEY.recovery, value: encodeState(next) })
    output.sends.push({ to: from, message: { t: 'mirror/ask', log: context.self.id, from: size } })
    return { ledger, output, records: [] }
  }
  return atHead(head, { ledger, output, records: [] }, next, context)
}

/** The log comes to a head; if enough members find theirs in it, it goes on. */
function atHead(head: Head, { ledger, output }: Recovered, state: Recovery, context: Context): Recovered {
  const { size } = head
  const seen = over(context, output)
  const { note, orgs } = checked(head, context)
  const signed = { ...ledger, signed: ledger.tail, stated: size }
  output.writes.push(
    { key: KEY.head(size), value: note },
    { key: KEY.newestHead, value: u64(size) },
    { key: KEY.stated, value: u64(size) },
  )
  if (isReached(quorums(context.get, size), orgs))
    output.writes.push({ key: KEY.publicHead, value: u64(size) })
  const still = behindAfter(signed, seen)
  output.writes.push(still)
  if (still.value) {
    output.writes.push({ key: KEY.recovery, value: encodeState(state) })
    output.sends.push(...asks(size, context))
    return { ledger: signed, output, records: [] }
  }
  output.writes.push({ key: KEY.recovery })
  output.events.push({ type: 'recovered', size })
  const lost = state.cut.filter(isOfRecord)
  // Logged anew, a record gets another salt: its slot of before has no use (RULES D7).
  output.writes.push(...lost.map(({ slot }) => ({ key: KEY.forget(slot), value: new Uint8Array() })))
  const records = lost.flatMap(({ of }) => stored(cidFromDigest(of, 'dag-cbor'), context) ?? [])
  return { ledger: signed, output, records }
}

function stored(id: CID, context: Context): Stored | undefined {
  const bytes = keptRecord(context, id)
  if (!bytes) return undefined
  const { p, s } = decodeSigned(bytes)
  return { id, payload: p, signatures: s, bytes }
}

/** The note with the log's signature and the cosignatures that verify, and whose they are. */
function checked({ note }: Head, context: Context): { note: Uint8Array; orgs: string[] } {
  const origin = originOf(context.self.chain)
  const valid = cosigners(context).filter(org => {
    const partner = context.partner(org)
    return partner && cosignatureOf(partner.chain, note)
  })
  const lines = note.lines.filter(({ name }) => name === origin || valid.includes(name.split('/')[0]!))
  return { note: utf8(formatNote({ body: note.body, lines })), orgs: valid }
}

/** Why entries are of a log that this store cannot continue: it does not know who holds it now, or who signs for it. */
function goneOn(entries: Uint8Array[], context: Context): string | undefined {
  for (const bytes of entries) {
    const entry = readEntry(bytes)
    if ('reason' in entry) return entry.reason
    if (entry.k === KIND.committee) return 'another committee was named since: the log needs a successor'
    if (entry.k !== KIND.state) continue
    const state = readState(entry)
    if ('reason' in state) return state.reason
    if (!equal(state.identity, digestOf(context.self.chain.last)))
      return 'the identity has gone on since: its keys are not here'
    if (!equal(state.committee, committeeDigest(context.get)))
      return 'another committee was in force: the log needs a successor'
  }
  return undefined
}

/** The first time, the log is cut at its newest head; what stood beyond is remembered, and found nowhere. */
function cutOff(
  ledger: Ledger,
  { size, cut: off }: Recovery,
  context: Context,
): { ledger: Ledger; off: Recovery['cut']; output: Output } {
  if (size === ledger.tail.range.size) return { ledger, off, output: nothing() }
  const done = cut(ledger, context.get)
  const now = done.entries.map((each, i) => ({ ...each, index: size + i }))
  const writes = now.flatMap(each => placed(each, undefined, context))
  return { ledger: done.ledger, off: now, output: { ...nothing(), writes: [...done.writes, ...writes] } }
}

/** Where the record of an entry is found: under its index, or nowhere. */
function placed(
  { of, index }: KeptEntry & { index: number },
  ledger: Ledger | undefined,
  { get }: Context,
): Output['writes'] {
  if (!of.some(byte => byte !== 0)) return []
  const key = KEY.kept(cidFromDigest(of, 'dag-cbor'))
  const value = get(key)
  return value ? [{ key, value: placedAt(value, ledger && { log: ledger.number, index }) }] : []
}
