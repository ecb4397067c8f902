/**
 * Every message between admitted nodes, with its shape. A message is one DAG-CBOR map in one frame; it is bounded before
 * it is decoded, and an unknown field or type refuses it (protocol/README.md has the dialogues).
 */
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { CryptoError } from '../crypto/error.ts'
import { seatShape } from './asset-committee.ts'
import { committeesShape } from './committee-record.ts'
import { Unknown } from './error.ts'
import { wordsShape } from './freshness.ts'
import { BUNDLE_ENTRIES } from './kept.ts'
import {
  MAX_ADDRESSES,
  MAX_CERTIFICATE_BYTES,
  MAX_ENTRY_BYTES,
  MAX_EVENT_BYTES,
  MAX_EVIDENCE_EVENTS,
  MAX_FORK_BYTES,
  MAX_HELLO_BYTES,
  MAX_IDENTITY_EVENTS,
  MAX_LINKS,
  MAX_LOGS_TOLD,
  MAX_MESSAGE_BYTES,
  MAX_NAME_LENGTH,
  MAX_NOTE_BYTES,
  MAX_PAGE,
  MAX_PATH,
  MAX_PROOFS,
  MAX_RECORD_BYTES,
  MAX_SHOWN,
  MAX_SUCCESSORS,
  MAX_TOLD_REDACTIONS,
  MAX_WITNESSES,
  MAX_WORD_LENGTH,
} from './limits.ts'
import {
  blob,
  bytes,
  flag,
  type Infer,
  link,
  list,
  object,
  oneOf,
  optional,
  type Shape,
  text,
  uint,
} from './shape.ts'
import { stapleShape } from './staple.ts'

const id = bytes(16)
const record = blob(MAX_RECORD_BYTES)
const word = text(MAX_WORD_LENGTH)
const sentence = text(MAX_NAME_LENGTH)
const note = blob(MAX_NOTE_BYTES)
const path = list(bytes(32), MAX_PATH)
const tag = text(64)
/** The first committee of the sender's log. */
const first = optional(object({ log: link, committee: link }))
const events = list(blob(MAX_EVENT_BYTES), MAX_IDENTITY_EVENTS)

const identities = list(object({ identity: record, events }), MAX_SHOWN)
/** A hand-over by which what is registered was bought. */
const purchase = object({ order: record, certificate: blob(MAX_CERTIFICATE_BYTES), committee: record })
/** Certified steps of who owns an asset, in their order. */
const links = list(
  object({
    asset: optional(record),
    order: record,
    certificate: blob(MAX_CERTIFICATE_BYTES),
    committee: optional(record),
    bought: optional(purchase),
  }),
  MAX_LINKS,
)

/** Why a dialogue ended: the clause, what was asked, what is allowed, what to do next. */
const refusal = object({
  code: word,
  text: sentence,
  clause: optional(sentence),
  asked: optional(sentence),
  allowed: optional(sentence),
  next: optional(sentence),
})
export type Refusal = Infer<typeof refusal>

/** What a member or witness holds instead, and why it neither promises nor cosigns. */
const unwilling = {
  t: tag,
  log: optional(link),
  size: uint,
  root: optional(bytes(32)),
  status: uint,
  text: sentence,
}

/** Messages of `/waybill/1`, in the order of the dialogues. */
export const MESSAGES = {
  // Introduction, first on every connection.
  hello: object({
    t: tag,
    versions: list(uint, 16),
    addresses: list(sentence, MAX_ADDRESSES),
    witnesses: list(link, MAX_WITNESSES),
    first,
    /** The last event of the receiver's identity that is known here. */
    known: optional(link),
  }),
  // The sender's identity events, all of them.
  'identity/events': object({ t: tag, events }),
  // The receiver's, as they are known here: asked for by who does not know one of its own. Or those of a third organisation.
  'identity/ask': object({ t: tag, last: link, of: optional(link) }),
  'identity/known': object({ t: tag, events, of: optional(link), note: optional(note) }),
  // A rule was broken; never answered.
  error: object({ t: tag, re: tag, code: word, text: sentence }),
  // Catalog: the consumer asks page by page.
  'catalog/request': object({ t: tag, id, after: optional(word) }),
  'catalog/page': object({
    t: tag,
    id,
    items: list(object({ offer: record, asset: record, packets: uint, bytes: uint }), MAX_PAGE),
    next: optional(word),
  }),
  // Negotiation, consumer and provider.
  'negotiation/request': object({ t: tag, id, offer: link, action: word, purpose: word, state: link }),
  'negotiation/pending': object({ t: tag, id }),
  'negotiation/agree': object({ t: tag, id, agreement: record, staple: optional(stapleShape) }),
  'negotiation/verify': object({
    t: tag,
    id,
    agreement: record,
    staple: optional(stapleShape),
    fresh: optional(wordsShape),
  }),
  'negotiation/finalize': object({ t: tag, id }),
  'negotiation/terminate': object({ t: tag, id, refusal, withdraw: optional(record) }),
  // Transfer of all packets of an agreement's asset, page by page.
  'transfer/request': object({ t: tag, id, agreement: link, after: optional(word) }),
  'transfer/start': object({
    t: tag,
    id,
    after: optional(word),
    packets: list(object({ packet: record, root: blob(1_024) }), MAX_PAGE),
    next: optional(word),
  }),
  'transfer/complete': object({ t: tag, id }),
  'transfer/terminate': object({ t: tag, id, refusal }),
  // Delivery of one packet: ciphertext, receipt, key, second receipt.
  'delivery/received': object({ t: tag, receipt: record }),
  'delivery/release': object({ t: tag, release: record }),
  'delivery/opened': object({ t: tag, receipt: record }),
  'delivery/rejected': object({ t: tag, receipt: record }),
  'delivery/done': object({ t: tag, agreement: link, packet: link }),
  'delivery/refused': object({ t: tag, agreement: link, packet: link, refusal }),
  // Redaction: whoever holds the record is asked to erase it too.
  'redaction/ask': object({ t: tag, redaction: record }),
  'redaction/known': object({ t: tag, redactions: list(record, MAX_TOLD_REDACTIONS) }),
  'redaction/answer': object({
    t: tag,
    record: link,
    outcome: oneOf('erased', 'kept', 'missing'),
    text: sentence,
  }),
  // Heads: what I hold of my own log, and the proof that it extends what you saw.
  'head/show': object({ t: tag, note }),
  'head/ask': object({ t: tag, size: uint }),
  'head/proof': object({ t: tag, size: uint, root: bytes(32), note, path }),
  // Gossip: a head of another log that both may know, and the proof that one was forked.
  'gossip/logs': object({ t: tag, logs: list(bytes(32), MAX_LOGS_TOLD) }),
  'gossip/head': object({ t: tag, note }),
  'gossip/fork': object({ t: tag, proof: blob(MAX_FORK_BYTES) }),
  // A committee: every seat signs the record that names it.
  'committee/ask': object({
    t: tag,
    committee: record,
    identities: list(object({ identity: record, events }), MAX_WITNESSES),
  }),
  'committee/signed': object({ t: tag, committee: record }),
  'committee/refused': object({ t: tag, committee: link, refusal }),
  // Seats of an asset's committee: a vote key of each, then their signatures, then the whole.
  'seat/ask': object({ t: tag, id, n: uint, f: uint, q: uint }),
  'seat/given': object({ t: tag, id, seat: seatShape }),
  'seat/sign': object({ t: tag, id, committee: record }),
  'seat/signed': object({ t: tag, id, committee: record }),
  'seat/refused': object({ t: tag, id, refusal }),
  'seat/done': object({ t: tag, id, committee: record, identities }),
  'seat/kept': object({ t: tag, id }),
  'seat/lost': object({ t: tag, lost: record }),
  // An order that others sign too: a buyer signs before the owner, so that the owner asks for votes at once.
  'handover/offer': object({
    t: tag,
    order: record,
    asset: optional(record),
    committee: optional(record),
    bought: optional(purchase),
    identities,
    links: optional(links),
  }),
  'handover/accept': object({ t: tag, order: record }),
  'handover/decline': object({ t: tag, order: link, refusal }),
  'handover/withdraw': object({ t: tag, order: link }),
  'handover/signed': object({ t: tag, order: record }),
  // Votes on an order.
  'vote/ask': object({
    t: tag,
    order: record,
    asset: optional(record),
    committee: optional(record),
    bought: optional(purchase),
    identities,
    links: optional(links),
  }),
  'vote/cast': object({ t: tag, vote: record }),
  'vote/refused': object({
    t: tag,
    order: link,
    refusal,
    held: optional(record),
    asset: optional(record),
    identities,
  }),
  // Certified steps of who owns an asset, and whether one is still the last.
  'owner/told': object({ t: tag, links, identities }),
  'owner/known': object({ t: tag, asset: link, version: optional(uint), whole: optional(flag) }),
  'owner/ask': object({ t: tag, id, committee: link, asset: link, version: uint }),
  'owner/fresh': object({ t: tag, id, fresh: optional(record), refusal: optional(refusal) }),
  'owner/frozen': object({ t: tag, one: record, other: record, asset: optional(record), identities }),
  // Registration: how a log begins, before anything of it is held or cosigned.
  'log/register': object({
    t: tag,
    genesis: record,
    events,
    entry: blob(MAX_ENTRY_BYTES),
    salt: bytes(32),
  }),
  'log/registered': object({ t: tag, log: link, size: uint, root: bytes(32) }),
  'log/refused': object({ t: tag, log: link, refusal }),
  // Promises: members hold an extension before the log signs it.
  'promise/ask': object({ t: tag, committee: link, old: uint, size: uint, root: bytes(32), path }),
  'promise/given': object({ t: tag, log: optional(link), size: uint, root: bytes(32) }),
  'promise/refused': object(unwilling),
  // Witnessing: a partner cosigns a proven extension.
  'witness/add': object({ t: tag, old: uint, note, path }),
  'witness/cosigned': object({ t: tag, log: optional(link), size: uint, line: blob(1_024) }),
  'witness/refused': object(unwilling),
  // Mirroring: a partner keeps the entries, and gives them back.
  'mirror/head': object({ t: tag, note }),
  'mirror/ask': object({ t: tag, log: link, from: uint }),
  'mirror/entries': object({
    t: tag,
    log: link,
    from: uint,
    entries: list(blob(MAX_ENTRY_BYTES), BUNDLE_ENTRIES),
    note,
    path,
  }),
  // Proofs of entries, for those the records concern.
  'proof/request': object({
    t: tag,
    id,
    records: list(link, MAX_PROOFS),
    head: optional(uint),
    log: optional(link),
  }),
  'proof/reply': object({
    t: tag,
    id,
    note: optional(note),
    /** Without a salt where the record was redacted; the entry of the redaction stands here as well. */
    entries: list(
      object({ record: link, entry: blob(4_096), salt: optional(bytes(32)), path: optional(path) }),
      2 * MAX_PROOFS,
    ),
    redactions: optional(list(record, MAX_PROOFS)),
    /** The first after each of them, and the last under the head. */
    states: list(object({ entry: blob(4_096), path }), MAX_PROOFS + 1),
    committees: committeesShape,
    witnesses: list(record, MAX_WITNESSES),
    events: list(blob(MAX_EVENT_BYTES), MAX_EVIDENCE_EVENTS),
    renewal: optional(
      object({
        note,
        path,
        state: optional(object({ entry: blob(MAX_ENTRY_BYTES), path })),
        through: optional(list(object({ entry: blob(MAX_ENTRY_BYTES), path }), MAX_SUCCESSORS)),
      }),
    ),
    pending: flag,
  }),
} satisfies Record<string, Shape<unknown>>

type Shapes = typeof MESSAGES
export type MessageType = keyof Shapes
export type Message = { [T in MessageType]: Omit<Infer<Shapes[T]>, 't'> & { t: T } }[MessageType]
export type MessageOf<T extends MessageType> = Extract<Message, { t: T }>

/** What `/waybill/hello/1` carries: one request by anybody, one answer. */
export const HELLO = {
  'hello/join': object({
    t: tag,
    versions: list(uint, 16),
    secret: bytes(16),
    identity: record,
    events,
    addresses: list(sentence, MAX_ADDRESSES),
    witnesses: list(link, MAX_WITNESSES),
    first,
  }),
  'hello/welcome': object({
    t: tag,
    version: uint,
    identity: record,
    events,
    addresses: list(sentence, MAX_ADDRESSES),
    witnesses: list(link, MAX_WITNESSES),
    first,
  }),
  // Of a partner under a node key that is not known yet, and the answer.
  'hello/again': object({ t: tag, versions: list(uint, 16), org: link, events }),
  'hello/known': object({ t: tag, version: uint, events }),
  'hello/refused': object({ t: tag, code: word, text: sentence }),
} satisfies Record<string, Shape<unknown>>
type HelloShapes = typeof HELLO
export type HelloMessage = {
  [T in keyof HelloShapes]: Omit<Infer<HelloShapes[T]>, 't'> & { t: T }
}[keyof HelloShapes]

export const encodeMessage = (message: Message | HelloMessage): Uint8Array =>
  encode(message as unknown as Value)

/** Reads a message; a text instead of one says why it was refused. */
export const decodeMessage = (frame: Uint8Array): Message | string =>
  read<Message>(MESSAGES, frame, MAX_MESSAGE_BYTES)
export const decodeHello = (frame: Uint8Array): HelloMessage | string =>
  read<HelloMessage>(HELLO, frame, MAX_HELLO_BYTES)

function read<M>(shapes: Record<string, Shape<unknown>>, frame: Uint8Array, maxBytes: number): M | string {
  try {
    const value = decode(frame, maxBytes)
    const type = (value as { t?: Value } | null)?.t
    if (typeof type !== 'string' || !Object.hasOwn(shapes, type)) return 'a message of no known type'
    return shapes[type]!.check(value, type) ?? (value as unknown as M)
  } catch (error) {
    if (error instanceof CryptoError || error instanceof Unknown) return error.message
    throw error
  }
}
