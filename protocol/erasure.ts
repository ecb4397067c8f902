/**
 * Redaction (RULES D7): what a record says is destroyed here, with a logged reason. The entry that commits to it stays and is
 * proven as before; whoever else holds the record is asked to do the same, and answers.
 *
 *     who redacts                                        holder
 *                -- redaction/ask {redaction} -->        erases it too, unless it is in force there
 *                <-- redaction/answer {record, outcome, text} --
 *                <-- redaction/known {redactions} --     at each connect: a store that was put back erases them again
 *
 * Redaction is of records that describe what is shared (assets, packets, offers) and of withdrawals at any time, and of
 * agreements and receipts once the agreement has ended. What a log, an identity, a committee or ownership rests on is not
 * redacted.
 */

import { equal } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { asCid, type CID } from '../crypto/cid.ts'
import { decodeSigned, type Payload } from '../crypto/statement.ts'
import { agreement, offer, withdraw } from './agreement.ts'
import { asset, packet } from './asset.ts'
import { type Delivery, isOver as isDelivered } from './delivery.ts'
import { ProtocolError } from './error.ts'
import type { ProofReply } from './event.ts'
import {
  keepRedacted,
  keepSeen,
  keptRecord,
  placeIn,
  redactedOf,
  type Kept as Shelf,
  slotIn,
} from './kept.ts'
import { HANDLE, KEY } from './layout.ts'
import { MAX_REDACTIONS_BYTES, MAX_TOLD_REDACTIONS } from './limits.ts'
import {
  type Context,
  decodeState,
  resendAt,
  type Step,
  say,
  sentence,
  signed,
  stay,
  violation,
} from './machine.ts'
import type { MessageOf } from './message.ts'
import type { Negotiation } from './negotiation-state.ts'
import { nothing, type Output, type Write } from './output.ts'
import { opened, received, rejected, release } from './receipt.ts'
import { checkPayload, isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import { type Redaction, redaction } from './redaction.ts'
import { titleOf } from './title.ts'

/** Types that may go at any time, and those that bind until their agreement has ended. */
const FREE: ReadonlySet<string> = new Set(['asset/1', 'packet/1', 'offer/1', withdraw.t])
const BINDING: ReadonlySet<string> = new Set([agreement.t, received.t, release.t, opened.t, rejected.t])

/** What is to be redacted. The driver finds what only a search of the store can find. */
export interface Redact {
  record: CID
  reason: string
  /** Agreements about the record's asset, with the organisation that each is with. */
  under: { org: string; agreement: CID }[]
  /** Changes of states that hold a copy of the record or a salt of it. */
  beside: Write[]
  /** Partners who may hold it. */
  holders: string[]
  /** The partner that asked for it. */
  asker?: string
}

export type Outcome = 'erased' | 'kept' | 'missing'

/** A holder that was asked. */
export interface Asking {
  org: string
  record: CID
  redaction: CID
  askedMs: number
  sent: number
  outcome?: Outcome
  text?: string
}
export type AskingInput =
  | { type: 'ask'; org: string; record: CID; redaction: CID }
  | { type: 'tick' | 'start' }
export const isAnswered = (asking: Asking): boolean => asking.outcome !== undefined

interface Redacting extends Step<never> {
  answer?: { type: 'redacted'; redaction?: CID; outcome: Outcome }
  machines: { key: string; input: AskingInput }[]
}

/** Throws NOT_FOUND, OUT_OF_ORDER, IN_FORCE, NOT_REDACTABLE where it is the operator's own wish. */
export function redact(about: Redact, context: Context): Redacting {
  const stored = keptRecord(context, about.record)
  if (!stored) return absent(about, context)
  const { p } = decodeSigned(stored)
  const kept = whyKept(p, about, context)
  if (kept && about.asker === undefined) throw new ProtocolError(kept.code, kept.text)
  if (kept) return told(about, 'kept', kept.text)
  const payload: Redaction = {
    t: 'redaction/1',
    org: context.self.id,
    record: about.record,
    type: p.t,
    reason: about.reason,
    made: context.now.wallMs,
    nonce: context.random('redaction', 16),
  }
  const verdict = checkPayload(redaction, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  const record = signed(payload, [context.sign(payload, 'keeper', 'operation')])
  const done = about.asker === undefined ? { ...stay<never>(), machines: [] } : told(about, 'erased', '')
  done.records.push(record)
  done.output.writes.push(...erase(p, about, record.id, context))
  const root = p.t === packet.t ? asCid(p.root) : undefined
  done.output.events.push({
    type: 'redacted',
    record: about.record,
    word: record.bytes,
    ...(root ? { root } : {}),
  })
  for (const org of about.holders)
    done.machines.push({
      key: KEY.redaction(org, about.record),
      input: { type: 'ask', org, record: about.record, redaction: record.id },
    })
  return { ...done, answer: { type: 'redacted', redaction: record.id, outcome: 'erased' } }
}

function absent(about: Redact, context: Context): Redacting {
  const before = redactedOf(context.get, about.record)
  if (about.asker !== undefined) return told(about, before ? 'erased' : 'missing', '')
  if (before) throw new ProtocolError('OUT_OF_ORDER', `${about.record} is redacted already`)
  throw new ProtocolError('NOT_FOUND', `there is no record ${about.record} here`)
}

/** A partner gets its answer. */
function told(about: Redact, outcome: Outcome, why: string): Redacting {
  const message = { t: 'redaction/answer', record: about.record, outcome, text: sentence(why) } as const
  return {
    ...say<never>(undefined, about.asker!, message),
    machines: [],
    answer: { type: 'redacted', outcome },
  }
}

interface Kept {
  code: 'IN_FORCE' | 'NOT_REDACTABLE' | 'OUT_OF_ORDER'
  text: string
}

function whyKept(p: Payload, about: Redact, context: Context): Kept | undefined {
  const { asker, record, under } = about
  if (!FREE.has(p.t) && !BINDING.has(p.t))
    return { code: 'NOT_REDACTABLE', text: `${p.t} stays as long as the log does` }
  if (asker !== undefined && !partiesOf(p).some(org => org.toString() === asker))
    return { code: 'NOT_REDACTABLE', text: 'the record is not of the organisation that asks' }
  if (isTitled(record, context)) return { code: 'IN_FORCE', text: 'who owns it rests on what it says' }
  if (BINDING.has(p.t)) return inForce(p.t === agreement.t ? record : asCid(p.agreement)!, p, context)
  for (const { agreement: id } of under) {
    const delivery = context.get(KEY.delivery(id, record))
    if (delivery && !isDelivered(decodeState<Delivery>(delivery)))
      return { code: 'OUT_OF_ORDER', text: `a delivery of it under ${id} is under way` }
    const bound = asker !== undefined && p.t !== withdraw.t ? inForce(id, p, context) : undefined
    if (bound) return bound
  }
  return undefined
}

/** An asset whose registration was signed: seats and owners hold its record with every step from there on. */
const isTitled = (id: CID, { get }: Context): boolean =>
  titleOf(get, id) !== undefined || get(KEY.signedOrder(id, 0)) !== undefined

/** An agreement that binds now: what rests on it is kept. */
function inForce(id: CID, p: Payload, context: Context): Kept | undefined {
  const stored = keptRecord(context, id)
  const read = stored && readRecord(agreement, stored)
  if (!read || !isStored(read) || context.now.wallMs >= read.payload.until) return undefined
  const { assigner, assignee, until } = read.payload
  const other = assigner.equals(context.self.id) ? assignee : assigner
  if (!context.get(KEY.grant(other.toString(), id))) return undefined // it was withdrawn
  return {
    code: 'IN_FORCE',
    text: `${p.t} is needed by agreement ${id} until ${new Date(until).toISOString()}`,
  }
}

const partiesOf = (p: Payload): CID[] =>
  (['org', 'assigner', 'assignee', 'consumer', 'provider'] as const).flatMap(role => asCid(p[role]) ?? [])

/** The record gives way to the mark of its redaction, and everything that holds a part of it goes. */
function erase(p: Payload, { record, under, beside }: Redact, by: CID, context: Context): Write[] {
  const about = p.t === asset.t ? record : asCid(p.asset)
  const mark = keepRedacted(placeIn(context.get, record), {
    redaction: by,
    parties: partiesOf(p),
    ...(about ? { asset: about } : {}),
  })
  const slot = slotIn(context.get(KEY.kept(record))!)
  const keys = new Set(besides(p, record, under))
  return [
    { key: KEY.kept(record), value: mark },
    { key: KEY.forget(slot), value: new Uint8Array(0) },
    ...beside,
    ...[...keys].map(key => ({ key })),
  ]
}

/** What of a record stands under keys that follow from it. */
function besides(p: Payload, record: CID, under: Redact['under']): string[] {
  switch (p.t) {
    case 'packet/1': {
      const root = asCid(p.root)!
      const oneTime = under.map(each => KEY.secret(HANDLE.oneTime(each.agreement, record)))
      return [KEY.root(root), KEY.secret(HANDLE.content(root)), ...oneTime]
    }
    case 'asset/1':
      return [KEY.assetTotals(record)]
    case 'offer/1':
      return [KEY.ownOffer(p.made as number, record), KEY.seenOffer(asCid(p.org)!.toString(), record)]
    case 'agreement/1': {
      const [assigner, assignee] = [asCid(p.assigner)!.toString(), asCid(p.assignee)!.toString()]
      return [KEY.grant(assigner, record), KEY.grant(assignee, record), KEY.transferOf(record)]
    }
    case 'withdraw/1':
      return []
    default: {
      const machine = KEY.delivery(asCid(p.agreement)!, asCid(p.packet)!)
      return [machine, KEY.open(machine), KEY.unproven(machine)]
    }
  }
}

/** After a restore: what was redacted after the copy was made is erased again, by the word that was logged then. */
export function restoreErasure(
  { word, under, beside }: { word: Uint8Array } & Pick<Found, 'under' | 'beside'>,
  context: Context,
): Pick<Output, 'writes' | 'events'> {
  const read = readRecord(redaction, word)
  if (!isStored(read) || !read.payload.org.equals(context.self.id)) return { writes: [], events: [] }
  if (verifySignatures(redaction, read, context.keys).ok !== true) return { writes: [], events: [] }
  const { record } = read.payload
  const stored = keptRecord(context, record)
  if (!stored) return { writes: [], events: [] }
  const { p } = decodeSigned(stored)
  const about: Redact = { record, reason: read.payload.reason, under, beside, holders: [] }
  const root = p.t === packet.t ? asCid(p.root) : undefined
  return {
    writes: [...keepSeen(context, read.id, word), ...erase(p, about, read.id, context)],
    events: [{ type: 'redacted', record, word, ...(root ? { root } : {}) }],
  }
}

/** What only a search of the store finds: what rests on a record, where parts of it stand, and who may hold it. */
export type Found = Pick<Redact, 'under' | 'beside' | 'holders'>
type Rows = [key: string, value: Uint8Array][]

export function find(
  record: CID,
  rows: { grants: Rows; proofs: Rows; negotiations: Rows; partners: string[] },
  home: Shelf & Pick<Context, 'self'>,
): Found {
  const stored = keptRecord(home, record)
  if (!stored) return { under: [], beside: [], holders: [] }
  const { p } = decodeSigned(stored)
  const about = p.t === asset.t ? record : asCid(p.asset)
  const under = rows.grants.flatMap(([key, value]) => {
    const read = readRecord(agreement, value)
    const isAbout = isStored(read) && about?.equals(read.payload.asset)
    return isAbout ? [{ org: key.split('/')[1]!, agreement: read.id }] : []
  })
  const shown = p.t === asset.t || p.t === offer.t ? rows.partners : []
  const parties = partiesOf(p).map(org => org.toString())
  const holders = new Set([...parties, ...under.map(each => each.org), ...shown])
  return {
    under,
    beside: [...rows.proofs.flatMap(row => withoutSalt(row, record)), ...endedIn(record, rows.negotiations)],
    holders: rows.partners.filter(org => org !== home.self.org && holders.has(org)),
  }
}

/** Proofs that a partner gave, without the salt of the record. */
function withoutSalt([key, value]: Rows[number], record: CID): Write[] {
  const reply = decode(value, value.length) as unknown as ProofReply
  const stripped = strip(reply, id => id.equals(record))
  return stripped === reply ? [] : [{ key, value: encode(stripped as unknown as Value) }]
}

/** A partner's proofs without the salts of some records. */
export function strip(reply: ProofReply, isGone: (record: CID) => boolean): ProofReply {
  if (!reply.entries.some(each => each.salt && isGone(each.record))) return reply
  const entries = reply.entries.map(({ salt, ...each }) =>
    salt && !isGone(each.record) ? { ...each, salt } : each,
  )
  return { ...reply, entries }
}

const endedIn = (record: CID, negotiations: Rows): Write[] =>
  negotiations.flatMap(([key, value]) =>
    decodeState<Negotiation>(value).agreementId?.equals(record) ? [{ key }, { key: KEY.open(key) }] : [],
  )

// Asking holders.

export function step(state: Asking | undefined, input: AskingInput, context: Context): Step<Asking> {
  if (input.type !== 'ask')
    return !state || isAnswered(state)
      ? stay(state)
      : ask(input.type === 'start' ? { ...state, sent: 0 } : state, context)
  const { org, record, redaction: by } = input
  return ask({ org, record, redaction: by, askedMs: context.now.wallMs, sent: 0 }, context)
}

function ask(asking: Asking, context: Context): Step<Asking> {
  const word = keptRecord(context, asking.redaction)
  if (!word) return stay(asking)
  const step = say({ ...asking, sent: asking.sent + 1 }, asking.org, { t: 'redaction/ask', redaction: word })
  const machine = KEY.redaction(asking.org, asking.record)
  step.output.deadlines.push({ machine, atMs: resendAt(context.now, asking.sent) })
  return step
}

/** Holder: the driver looks for what a redaction needs to know, and hands in the command. */
export function asked(from: string, message: MessageOf<'redaction/ask'>, context: Context): Step<never> {
  const read = wordOf(from, message.redaction, context)
  if ('code' in read) return violation(from, message.t, read.code, read.text)
  const step = stay<never>()
  const { record, reason } = read.payload
  step.output.events.push({ type: 'ask-redact', org: from, record, reason })
  step.output.writes.push(...keepWord(from, message.redaction, context))
  return step
}

/** A valid redaction of an organisation, or what is wrong with it. */
function wordOf(
  org: string,
  word: Uint8Array,
  context: Context,
): Stored<Redaction> | { code: 'RECORD_INVALID' | 'SIGNATURE_INVALID'; text: string } {
  const read = readRecord(redaction, word)
  if (!isStored(read)) return { code: 'RECORD_INVALID', text: read.reason }
  if (read.payload.org.toString() !== org)
    return { code: 'RECORD_INVALID', text: 'the redaction is of another organisation' }
  if (verifySignatures(redaction, read, context.keys).ok !== true)
    return { code: 'SIGNATURE_INVALID', text: 'the redaction does not verify' }
  return read
}

// What others were asked for outlives the store of who asked.

const wordsOf = (org: string, get: Context['get']): Uint8Array[] => {
  const stored = get(KEY.words(org))
  return stored ? (decode(stored, stored.length) as Uint8Array[]) : []
}

function keepWord(org: string, word: Uint8Array, { get }: Context): Write[] {
  const words = wordsOf(org, get)
  const bytes = words.reduce((sum, each) => sum + each.length, word.length)
  if (bytes > MAX_REDACTIONS_BYTES || words.some(each => equal(each, word))) return []
  return [{ key: KEY.words(org), value: encode([...words, word]) }]
}

/** What a partner asked for here, told it at each connect. */
export function knownTo(org: string, { get }: Context): MessageOf<'redaction/known'>[] {
  const words = wordsOf(org, get)
  const parts = Array.from({ length: Math.ceil(words.length / MAX_TOLD_REDACTIONS) }, (_, i) =>
    words.slice(i * MAX_TOLD_REDACTIONS, (i + 1) * MAX_TOLD_REDACTIONS),
  )
  return parts.map(redactions => ({ t: 'redaction/known', redactions }))
}

/** Own redactions that a partner knows of: those that this store does not know are done again. */
export function known(
  from: string,
  { t, redactions }: MessageOf<'redaction/known'>,
  context: Context,
): Step<never> {
  const words: Uint8Array[] = []
  for (const word of redactions) {
    const read = wordOf(context.self.org, word, context)
    if ('code' in read) return violation(from, t, read.code, read.text)
    if (keptRecord(context, read.payload.record)) words.push(word)
  }
  const step = stay<never>()
  if (words.length > 0) step.output.events.push({ type: 'ask-erase', words })
  return step
}

export function answered(
  state: Asking | undefined,
  from: string,
  { t, record, outcome, text: said }: MessageOf<'redaction/answer'>,
): Step<Asking> {
  if (!state) return violation(from, t, 'UNKNOWN_DIALOGUE', 'nobody asked for this record to be erased')
  if (isAnswered(state)) return stay(state)
  const output = nothing()
  output.deadlines.push({ machine: KEY.redaction(from, record), atMs: Number.POSITIVE_INFINITY })
  output.events.push({ type: 'holder', org: from, record, outcome })
  return { state: { ...state, outcome, text: said }, output, records: [] }
}

/** The word by which a record was redacted here. */
export function redactionOf(context: Pick<Context, 'get' | 'slots'>, id: CID): Stored<Redaction> | undefined {
  const by = redactedOf(context.get, id)?.redaction
  const stored = by && keptRecord(context, by)
  const read = stored && readRecord(redaction, stored)
  return read && isStored(read) ? read : undefined
}
