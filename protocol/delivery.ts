/**
 * Delivery of one packet under an agreement, both roles, in message order (RULES F2, F3).
 *
 *     consumer                                             provider
 *     FETCHING   … ciphertext, block by block, each checked …
 *     RECEIVED   -- received {one-time key} -->             checks agreement and policy again, signs and logs the release
 *     OPENING    <-- release {key sealed to it} --          RELEASED
 *     OPENED     -- opened -->                              DONE
 *     REJECTED   -- rejected {one-time private key} -->     opens its own release with it: DISPUTED if it is right
 *     DONE       <-- done --
 *     FAILED     <-- refused {code, …} --
 *
 * The key leaves only after the receipt for the ciphertext is durable at the provider. A wrong key, or content that does
 * not open, is proven by the one-time private key: anybody opens `ct` and looks.
 */
import { equal } from '../crypto/bytes.ts'
import { asCid, type CID } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { oneTimeKey, oneTimePublic } from '../crypto/seal.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { packet } from './asset.ts'
import type { ProtocolCode } from './error.ts'
import type { Role } from './event.ts'
import { keptRecord } from './kept.ts'
import { HANDLE, KEY } from './layout.ts'
import { type Context, resendAt, type Step, say, signed, stay, tidy, violation } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import { nothing } from './output.ts'
import {
  opened,
  type Received,
  type Rejected,
  type Release,
  received,
  rejected,
  release,
  releaseInfo,
} from './receipt.ts'
import { isStored, type RecordType, readRecord, type Stored, verifySignatures } from './record.ts'
import { mayFetch } from './transfer.ts'

export type DeliveryState =
  | 'FETCHING'
  | 'RECEIVED'
  | 'OPENING'
  | 'OPENED'
  | 'REJECTED'
  | 'RELEASED'
  | 'DISPUTED'
  | 'DONE'
  | 'FAILED'

export interface Delivery {
  role: Role
  state: DeliveryState
  org: string
  agreement: CID
  packet: CID
  root: CID
  /** The transfer that began it, at the consumer. */
  transfer?: Uint8Array
  /** The signed records so far: `received`, `key-release`, and `opened` or `rejected`. */
  receipt?: Uint8Array
  release?: Uint8Array
  second?: Uint8Array
  refusal?: Refusal
  sent: number
}

/** What opening a release came to, as the driver found it. */
export type Opening =
  | { ok: true }
  | { ok: false; reason: Rejected['reason']; oneTimePrivate: Uint8Array; block?: number }

export type DeliveryInput =
  | { type: 'message'; from: string; message: Message }
  | {
      type: 'begin'
      org: string
      agreement: CID
      packet: CID
      root: CID
      rootBytes: Uint8Array
      transfer: Uint8Array
    }
  | { type: 'fetched'; ok: true }
  | { type: 'fetched'; ok: false; refusal: Refusal }
  | { type: 'opened'; opening: Opening }
  | { type: 'judged'; proven: boolean; receipt: Uint8Array }
  | { type: 'tick' }
  | { type: 'start' }

export type DeliveryStep = Step<Delivery> & { over?: { transfer: Uint8Array; ok: boolean } }

export function step(state: Delivery | undefined, input: DeliveryInput, context: Context): DeliveryStep {
  if (input.type === 'begin') return begin(state, input, context)
  if (input.type === 'message') return receive(state, input.from, input.message, context)
  if (!state) return stay()
  switch (`${input.type}/${state.role}/${state.state}`) {
    case 'fetched/consumer/FETCHING':
      return fetched(state, input as Extract<DeliveryInput, { type: 'fetched' }>, context)
    case 'opened/consumer/OPENING':
      return settle(state, (input as Extract<DeliveryInput, { type: 'opened' }>).opening, context)
    case 'judged/provider/RELEASED':
      return judged(state, input as Extract<DeliveryInput, { type: 'judged' }>)
    case 'tick/consumer/RECEIVED':
    case 'tick/consumer/OPENED':
    case 'tick/consumer/REJECTED':
      return transmit(state, context)
    case 'start/consumer/RECEIVED':
    case 'start/consumer/OPENED':
    case 'start/consumer/REJECTED':
      return transmit({ ...state, sent: 0 }, context)
    case 'start/consumer/FETCHING':
      return fetch(state, context.get(KEY.root(state.root))!)
    case 'start/consumer/OPENING':
      return open(state, context)
    default:
      return stay(state)
  }
}

function receive(d: Delivery | undefined, from: string, message: Message, context: Context): DeliveryStep {
  switch (`${d?.role ?? 'nobody'}/${d?.state ?? 'none'}/${message.t}`) {
    case 'nobody/none/delivery/received':
      return releaseKey(from, message as MessageOf<'delivery/received'>, context)
    case 'provider/RELEASED/delivery/received':
    case 'provider/DONE/delivery/received':
    case 'provider/DISPUTED/delivery/received':
      return equal((message as MessageOf<'delivery/received'>).receipt, d!.receipt!)
        ? say(d!, from, { t: 'delivery/release', release: d!.release! })
        : violation(
            from,
            message.t,
            'OUT_OF_ORDER',
            'the key of this packet was released for another receipt',
          )
    case 'consumer/RECEIVED/delivery/release':
      return accept(d!, message as MessageOf<'delivery/release'>, context)
    case 'provider/RELEASED/delivery/opened':
      return confirm(d!, message as MessageOf<'delivery/opened'>, context)
    case 'provider/RELEASED/delivery/rejected':
      return dispute(d!, message as MessageOf<'delivery/rejected'>, context)
    case 'provider/DONE/delivery/opened':
    case 'provider/DONE/delivery/rejected':
    case 'provider/DISPUTED/delivery/opened':
    case 'provider/DISPUTED/delivery/rejected':
      return say(d!, from, done(d!))
    case 'consumer/OPENED/delivery/done':
    case 'consumer/REJECTED/delivery/done':
      return end(d!, 'DONE', d!.state === 'OPENED')
    case 'consumer/REJECTED/delivery/refused':
      return contradicted(d!, (message as MessageOf<'delivery/refused'>).refusal)
    case 'consumer/RECEIVED/delivery/refused':
      return end({ ...d!, refusal: (message as MessageOf<'delivery/refused'>).refusal }, 'FAILED', false)
    case 'consumer/OPENING/delivery/release':
    case 'consumer/OPENED/delivery/release':
    case 'consumer/REJECTED/delivery/release':
    case 'consumer/DONE/delivery/release':
    case 'consumer/DONE/delivery/done':
    case 'consumer/FAILED/delivery/refused':
    case 'consumer/FETCHING/delivery/refused': // of an attempt before this one, here and below
    case 'consumer/OPENING/delivery/refused':
    case 'consumer/OPENED/delivery/refused':
    case 'consumer/DONE/delivery/refused':
      return stay(d)
    default:
      return d
        ? violation(
            from,
            message.t,
            'OUT_OF_ORDER',
            `${message.t} does not fit ${d.role} in state ${d.state}`,
          )
        : violation(from, message.t, 'UNKNOWN_DIALOGUE', `${message.t} for a delivery that nobody began here`)
  }
}

// Consumer fetches and signs for the ciphertext.

/** A first attempt, or another one: a receipt signed before stands, for its key may have been released already. */
function begin(
  before: Delivery | undefined,
  input: Extract<DeliveryInput, { type: 'begin' }>,
  context: Context,
): DeliveryStep {
  const { org, agreement, packet: packetId, root, transfer } = input
  const ids = { org, agreement, packet: packetId, root, transfer }
  const common = { role: 'consumer', ...ids, sent: 0 } as const
  if (before?.receipt) return transmit({ ...common, state: 'RECEIVED', receipt: before.receipt }, context)
  return fetch({ ...common, state: 'FETCHING' }, input.rootBytes)
}

function fetch(d: Delivery, rootBytes: Uint8Array): DeliveryStep {
  const output = news(d)
  const ids = { agreement: d.agreement.toString(), packet: d.packet.toString() }
  output.events.push({
    type: 'ask-fetch',
    machine: machineOf(d),
    org: d.org,
    ...ids,
    root: d.root,
    rootBytes,
  })
  return { state: d, output, records: [] }
}

function fetched(
  d: Delivery,
  input: Extract<DeliveryInput, { type: 'fetched' }>,
  context: Context,
): DeliveryStep {
  if (!input.ok) return end({ ...d, refusal: input.refusal }, 'FAILED', false)
  const oneTime = oneTimeKey(context.random('one-time', 32))
  const payload: Received = { t: 'received/1', ...parties(d, context), oneTime: oneTime.public }
  const record = signed(payload, [context.sign(payload, 'consumer', 'operation')])
  const next = transmit({ ...d, state: 'RECEIVED', receipt: record.bytes, sent: 0 }, context)
  next.output.secrets.push({ handle: HANDLE.oneTime(d.agreement, d.packet), bytes: oneTime.private })
  next.records.push(record)
  return next
}

// Provider releases the key.

function releaseKey(from: string, message: MessageOf<'delivery/received'>, context: Context): DeliveryStep {
  const receipt = readRecord(received, message.receipt)
  if (!isStored(receipt)) return violation(from, message.t, 'RECORD_INVALID', receipt.reason)
  const { agreement, packet: packetId } = receipt.payload
  const bad = wrong(received, receipt, from, 'consumer', context)
  if (bad) return violation(from, message.t, bad, 'the receipt does not verify for this delivery')
  const refuse = (refusal: Refusal) =>
    say<Delivery>(undefined, from, {
      t: 'delivery/refused',
      agreement,
      packet: packetId,
      refusal: tidy(refusal),
    })
  const granted = mayFetch(from, agreement, packetId, context)
  if ('code' in granted) return refuse(granted)
  const sealed = sealTo(receipt.payload, granted.root, context)
  if (sealed === 'unusable')
    return violation(from, message.t, 'RECORD_INVALID', 'the one-time key is no key to seal to')
  if (!sealed) return refuse({ code: 'NOT_FOUND', text: 'the key of this packet is not here any more' })
  const payload: Release = {
    t: 'key-release/1',
    consumer: context.partner(from)!.id,
    provider: context.self.id,
    agreement,
    packet: packetId,
    made: context.now.wallMs,
    receipt: receipt.id,
    oneTime: receipt.payload.oneTime,
    ...sealed,
  }
  const record = signed(payload, [context.sign(payload, 'provider', 'operation')])
  const d: Delivery = {
    role: 'provider',
    state: 'RELEASED',
    org: from,
    agreement,
    packet: packetId,
    root: granted.root,
    receipt: receipt.bytes,
    release: record.bytes,
    sent: 0,
  }
  const output = news(d)
  output.sends.push({ to: from, message: { t: 'delivery/release', release: record.bytes } })
  return { state: d, output, records: [receipt as unknown as Stored, record] }
}

/** The content key sealed to the one-time key of a receipt; a key of small order is unusable, anybody could open it. */
function sealTo({ agreement, packet: packetId, oneTime }: Received, root: CID, context: Context) {
  try {
    return context.seal(
      HANDLE.content(root),
      oneTime,
      releaseInfo(agreement, packetId),
      context.random('hpke', 32),
    )
  } catch (error) {
    if (error instanceof CryptoError) return 'unusable' as const
    throw error
  }
}

// Consumer opens.

function accept(d: Delivery, message: MessageOf<'delivery/release'>, context: Context): DeliveryStep {
  const record = readRecord(release, message.release)
  if (!isStored(record)) return violation(d.org, message.t, 'RECORD_INVALID', record.reason)
  const mine = readRecord(received, d.receipt!) as Stored<Received>
  const fits =
    record.payload.receipt.equals(mine.id) &&
    equal(record.payload.oneTime, mine.payload.oneTime) &&
    record.payload.agreement.equals(d.agreement) &&
    record.payload.packet.equals(d.packet)
  const bad = fits ? wrong(release, record, d.org, 'provider', context) : 'RELEASE_INVALID'
  if (bad) return violation(d.org, message.t, bad, 'the key release is not for this receipt')
  const next = open({ ...d, state: 'OPENING', release: record.bytes, sent: 0 }, context)
  next.records.push(record as unknown as Stored)
  return next
}

function open(d: Delivery, context: Context): DeliveryStep {
  const { payload } = readRecord(release, d.release!) as Stored<Release>
  const described = readRecord(packet, keptRecord(context, d.packet)!)
  const output = news(d)
  output.deadlines.push({ machine: machineOf(d), atMs: Number.POSITIVE_INFINITY })
  output.events.push({
    type: 'ask-open',
    machine: machineOf(d),
    oneTime: HANDLE.oneTime(d.agreement, d.packet),
    enc: payload.enc,
    ct: payload.ct,
    info: releaseInfo(d.agreement, d.packet),
    root: d.root,
    digest: isStored(described) ? described.payload.digest : new Uint8Array(32),
  })
  return { state: d, output, records: [] }
}

function settle(d: Delivery, opening: Opening, context: Context): DeliveryStep {
  const { id } = readRecord(release, d.release!) as Stored<Release>
  const common = { ...parties(d, context), release: id }
  const payload = opening.ok
    ? { t: 'opened/1', ...common }
    : {
        t: 'rejected/1',
        ...common,
        reason: opening.reason,
        oneTimePrivate: opening.oneTimePrivate,
        ...(opening.block === undefined ? {} : { block: opening.block }),
      }
  const record = signed(payload, [context.sign(payload, 'consumer', 'operation')])
  const state = opening.ok ? 'OPENED' : 'REJECTED'
  const next = transmit({ ...d, state, second: record.bytes, sent: 0 }, context)
  next.records.push(record)
  return next
}

// Provider takes the second receipt.

function confirm(d: Delivery, message: MessageOf<'delivery/opened'>, context: Context): DeliveryStep {
  const record = readRecord(opened, message.receipt)
  if (!isStored(record)) return violation(d.org, message.t, 'RECORD_INVALID', record.reason)
  const bad = second(d, record) ?? wrong(opened, record, d.org, 'consumer', context)
  if (bad) return violation(d.org, message.t, bad, 'the receipt is not for this delivery')
  const next = end({ ...d, second: record.bytes }, 'DONE', true)
  next.output.sends.push({ to: d.org, message: done(d) })
  next.records.push(record as unknown as Stored)
  return next
}

function dispute(d: Delivery, message: MessageOf<'delivery/rejected'>, context: Context): DeliveryStep {
  const record = readRecord(rejected, message.receipt)
  if (!isStored(record)) return violation(d.org, message.t, 'RECORD_INVALID', record.reason)
  const bad = second(d, record) ?? wrong(rejected, record, d.org, 'consumer', context)
  if (bad) return violation(d.org, message.t, bad, 'the receipt is not for this delivery')
  // Any other key fails to open the release too, and proves nothing.
  if (!equal(oneTimePublic(record.payload.oneTimePrivate), payloadOf(d.receipt!).oneTime))
    return violation(
      d.org,
      message.t,
      'REJECTION_UNPROVEN',
      'the key disclosed is not the one that the receipt names',
    )
  const { payload } = readRecord(release, d.release!) as Stored<Release>
  const described = readRecord(packet, keptRecord(context, d.packet)!)
  const output = nothing()
  output.events.push({
    type: 'ask-judge',
    machine: machineOf(d),
    receipt: record.bytes,
    oneTimePrivate: record.payload.oneTimePrivate,
    enc: payload.enc,
    ct: payload.ct,
    info: releaseInfo(d.agreement, d.packet),
    root: d.root,
    digest: isStored(described) ? described.payload.digest : new Uint8Array(32),
    reason: record.payload.reason,
    ...(record.payload.block === undefined ? {} : { block: record.payload.block }),
  })
  return { state: d, output, records: [] }
}

function judged(d: Delivery, input: Extract<DeliveryInput, { type: 'judged' }>): DeliveryStep {
  if (!input.proven) {
    const [code, text] = ['REJECTION_UNPROVEN', 'the release opens, and to the right content'] as const
    const { agreement, packet: packetId } = d
    const step: DeliveryStep = violation(d.org, 'delivery/rejected', code, text)
    step.output.sends.push({
      to: d.org,
      message: { t: 'delivery/refused', agreement, packet: packetId, refusal: { code, text } },
    })
    return step
  }
  const record = readRecord(rejected, input.receipt) as Stored<Rejected>
  const next = end({ ...d, second: input.receipt }, 'DISPUTED', false)
  next.output.sends.push({ to: d.org, message: done(d) })
  next.records.push(record as unknown as Stored)
  return next
}

/** The provider does not find what was rejected: the receipt stands in the own log, and a person has to look. */
function contradicted(d: Delivery, refusal: Refusal): DeliveryStep {
  return refusal.code === 'REJECTION_UNPROVEN' ? end({ ...d, refusal }, 'FAILED', false) : stay(d)
}

// Helpers.

const payloadOf = (receipt: Uint8Array): Received =>
  (readRecord(received, receipt) as Stored<Received>).payload
const machineOf = (d: Delivery): string => KEY.delivery(d.agreement, d.packet)
const done = (d: Delivery): Message => ({ t: 'delivery/done', agreement: d.agreement, packet: d.packet })

const parties = (d: Delivery, context: Context) => ({
  consumer: context.self.id,
  provider: context.partner(d.org)!.id,
  agreement: d.agreement,
  packet: d.packet,
  made: context.now.wallMs,
})

/** Why a record by `from` in the given role is not to be taken; its parties must be the two of us. */
function wrong<P extends { consumer: CID; provider: CID }>(
  type: RecordType<P>,
  record: Stored<P>,
  from: string,
  role: 'consumer' | 'provider',
  context: Context,
): ProtocolCode | undefined {
  const other = role === 'consumer' ? 'provider' : 'consumer'
  if (record.payload[role].toString() !== from || !record.payload[other].equals(context.self.id))
    return 'RECORD_INVALID'
  return verifySignatures(type, record, context.keys).ok === true ? undefined : 'SIGNATURE_INVALID'
}

function second(
  d: Delivery,
  record: Stored<{ agreement: CID; packet: CID; release: CID }>,
): ProtocolCode | undefined {
  const { id } = readRecord(release, d.release!) as Stored<Release>
  const { payload } = record
  const fits =
    payload.release.equals(id) && payload.agreement.equals(d.agreement) && payload.packet.equals(d.packet)
  return fits ? undefined : 'RECORD_INVALID'
}

/** Sends the receipt of the state and arms the timer until it is answered. */
function transmit(d: Delivery, context: Context): DeliveryStep {
  const output = news(d)
  const message: Message =
    d.state === 'RECEIVED'
      ? { t: 'delivery/received', receipt: d.receipt! }
      : { t: d.state === 'OPENED' ? 'delivery/opened' : 'delivery/rejected', receipt: d.second! }
  output.sends.push({ to: d.org, message })
  output.deadlines.push({ machine: machineOf(d), atMs: resendAt(context.now, d.sent) })
  return { state: { ...d, sent: d.sent + 1 }, output, records: [] }
}

function end(d: Delivery, state: DeliveryState, ok: boolean): DeliveryStep {
  const next: Delivery = { ...d, state, sent: 0 }
  const output = news(next)
  output.deadlines.push({ machine: machineOf(d), atMs: Number.POSITIVE_INFINITY })
  return { state: next, output, records: [], ...(d.transfer ? { over: { transfer: d.transfer, ok } } : {}) }
}

function news(d: Delivery) {
  const output = nothing()
  const packetId = d.packet.toString()
  output.events.push({
    type: 'delivery',
    machine: machineOf(d),
    org: d.org,
    state: d.state,
    packet: packetId,
  })
  return output
}

export const isOver = (d: Delivery): boolean =>
  d.state === 'DONE' || d.state === 'DISPUTED' || d.state === 'FAILED'

/** The delivery that a signed receipt or release belongs to, read without checking anything else. */
export function idsOf(bytes: Uint8Array): { agreement: CID; packet: CID } | undefined {
  try {
    const { p } = decodeSigned(bytes)
    const [agreement, packetId] = [asCid(p.agreement), asCid(p.packet)]
    return agreement && packetId && { agreement, packet: packetId }
  } catch {
    return undefined
  }
}
