/**
 * Transfer of the packets of an agreement's asset, both roles, in message order; each packet is then a delivery of its own
 * (protocol/delivery.ts). States are those of the Dataspace Protocol.
 *
 *     consumer                                    provider
 *     REQUESTED  -- request {agreement, after} -->  checks the agreement and that it is in force
 *     STARTED    <-- start {packets, next} --       STARTED
 *                -- request {after: next} -->       … page by page
 *                -- complete -->                    COMPLETED
 *     COMPLETED  <-- complete --
 *     TERMINATED <-- terminate {code, …} -->        TERMINATED
 */
import { toHex } from '../crypto/bytes.ts'
import { type CID, cidFromDigest, cidOf } from '../crypto/cid.ts'
import type { Agreement } from './agreement.ts'
import { type Packet, packet } from './asset.ts'
import { decodeRoot } from './content.ts'
import type { Role } from './event.ts'
import { readGrant } from './grant.ts'
import { type Handover, handover } from './handover.ts'
import { keptRecord, redactedOf } from './kept.ts'
import { KEY } from './layout.ts'
import { MAX_PAGE, PAGE_BYTES } from './limits.ts'
import { type Context, decodeState, resendAt, type Step, say, stay, tidy, violation } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import { type Ordering, orderIn, readOrdering } from './ordering-state.ts'
import { nothing } from './output.ts'
import { keysSince } from './parties.ts'
import { evaluate } from './policy.ts'
import { isStored, type KeyResolver, readRecord, type Stored, verifySignatures } from './record.ts'
import { endedWith, linksOf } from './title.ts'

export type TransferState = 'REQUESTED' | 'STARTED' | 'COMPLETED' | 'TERMINATED'

export interface Transfer {
  role: Role
  state: TransferState
  id: Uint8Array
  org: string
  agreement: CID
  /** The page that is due next; absent for the first. */
  after?: string
  /** What the consumer waits for: a page, the packets that are open, or the other side's `complete`. */
  waits: 'page' | 'packets' | 'complete' | 'nothing'
  /** Packets begun and not over, over, and over without success. */
  open: number
  done: number
  failed: number
  bytes: number
  refusal?: Refusal
  sent: number
}

export type TransferInput =
  | { type: 'message'; from: string; message: Message }
  | { type: 'begin'; id: Uint8Array; org: string; agreement: CID }
  | { type: 'page'; after?: string; rows: [string, Uint8Array][]; more: boolean }
  | { type: 'delivered'; ok: boolean }
  | { type: 'tick' }
  | { type: 'start' }

/** A packet that a page brought and that passed its checks: a delivery begins. */
export interface Begun {
  stored: Stored<Packet>
  rootBytes: Uint8Array
}
export type TransferStep = Step<Transfer> & { begun?: Begun[] }

/** Pages are asked for ahead while at most this many packets are open. */
const OPEN_LOW = 16

export function step(state: Transfer | undefined, input: TransferInput, context: Context): TransferStep {
  switch (input.type) {
    case 'begin':
      return begin(input, context)
    case 'message':
      return receive(state, input.from, input.message, context)
    case 'page':
      return state ? page(state, input, context) : stay()
    case 'delivered':
      return state ? delivered(state, input.ok, context) : stay()
    case 'tick':
    case 'start':
      return state ? again(state, input.type === 'start', context) : stay()
  }
}

function receive(t: Transfer | undefined, from: string, message: Message, context: Context): TransferStep {
  switch (`${t?.role ?? 'nobody'}/${t?.state ?? 'none'}/${message.t}`) {
    case 'nobody/none/transfer/request':
    case 'provider/STARTED/transfer/request':
      return asked(t, from, message as MessageOf<'transfer/request'>, context)
    case 'consumer/REQUESTED/transfer/start':
    case 'consumer/STARTED/transfer/start':
      return started(t!, message as MessageOf<'transfer/start'>, context)
    case 'provider/STARTED/transfer/complete':
      return move(t!, 'COMPLETED', { t: 'transfer/complete', id: t!.id })
    case 'provider/COMPLETED/transfer/complete':
      return say(t!, from, { t: 'transfer/complete', id: t!.id })
    case 'consumer/STARTED/transfer/complete':
      return t!.waits === 'complete'
        ? move(t!, 'COMPLETED')
        : violation(from, message.t, 'OUT_OF_ORDER', 'packets of this transfer are still open')
    case 'provider/TERMINATED/transfer/request':
    case 'provider/TERMINATED/transfer/complete':
      return say(t!, from, { t: 'transfer/terminate', id: t!.id, refusal: t!.refusal! })
    case 'consumer/REQUESTED/transfer/terminate':
    case 'consumer/STARTED/transfer/terminate':
    case 'provider/STARTED/transfer/terminate':
      return move({ ...t!, refusal: (message as MessageOf<'transfer/terminate'>).refusal }, 'TERMINATED')
    case 'nobody/none/transfer/terminate': // of a request that never came
    case 'consumer/COMPLETED/transfer/start':
    case 'consumer/COMPLETED/transfer/complete':
    case 'consumer/TERMINATED/transfer/start':
    case 'consumer/TERMINATED/transfer/complete':
    case 'consumer/TERMINATED/transfer/terminate':
    case 'provider/COMPLETED/transfer/request':
    case 'provider/TERMINATED/transfer/terminate':
      return stay()
    default:
      return t
        ? violation(
            from,
            message.t,
            'OUT_OF_ORDER',
            `${message.t} does not fit ${t.role} in state ${t.state}`,
          )
        : violation(from, message.t, 'UNKNOWN_DIALOGUE', `${message.t} for a transfer that nobody began here`)
  }
}

// Consumer asks for the first page.

function begin(input: Extract<TransferInput, { type: 'begin' }>, context: Context): TransferStep {
  const { id, org, agreement: agreementId } = input
  const counts = { open: 0, done: 0, failed: 0, bytes: 0 }
  const t: Transfer = {
    role: 'consumer',
    state: 'REQUESTED',
    id,
    org,
    agreement: agreementId,
    waits: 'page',
    ...counts,
    sent: 0,
  }
  return transmit(t, context)
}

// Provider checks and reads the page.

function asked(
  t: Transfer | undefined,
  from: string,
  message: MessageOf<'transfer/request'>,
  context: Context,
): TransferStep {
  if (t && !message.agreement.equals(t.agreement))
    return violation(from, message.t, 'AGREEMENT_MISMATCH', 'the transfer was begun under another agreement')
  if (message.after !== undefined && !AFTER.test(message.after))
    return violation(from, message.t, 'MALFORMED', 'this is not a page of a transfer')
  const granted = inForce(from, message.agreement, context)
  // The buyer may know before the seller that their hand-over is certified: it asks again.
  if ('code' in granted && isOnItsWay(from, message.agreement, context)) return stay(t)
  const counts = { open: 0, done: 0, failed: 0, bytes: 0 }
  const next: Transfer = t ?? {
    role: 'provider',
    state: 'STARTED',
    id: message.id,
    org: from,
    agreement: message.agreement,
    waits: 'nothing',
    ...counts,
    sent: 0,
  }
  if ('code' in granted) {
    const refused = { ...next, refusal: granted }
    return move(refused, 'TERMINATED', { t: 'transfer/terminate', id: next.id, refusal: granted })
  }
  const prefix = KEY.packetsOf(granted.asset)
  const output = t ? nothing() : news(next)
  output.events.push({
    type: 'ask-page',
    machine: KEY.transfer(from, message.id),
    prefix,
    limit: MAX_PAGE,
    ...(message.after ? { after: `${prefix}${message.after}` } : {}),
  })
  return { state: next, output, records: [] }
}

function page(t: Transfer, input: Extract<TransferInput, { type: 'page' }>, context: Context): TransferStep {
  if (t.role !== 'provider' || t.state !== 'STARTED') return stay(t)
  const items: { packet: Uint8Array; root: Uint8Array }[] = []
  const after = input.after && pageName(input.after)
  let [size, last] = [0, after]
  let cut = false
  for (const [key, digest] of input.rows) {
    const item = itemOf(cidFromDigest(digest, 'dag-cbor'), context)
    cut = item !== undefined && items.length > 0 && size + item.packet.length + item.root.length > PAGE_BYTES
    if (cut) break
    last = pageName(key)
    if (!item) continue
    size += item.packet.length + item.root.length
    items.push(item)
  }
  const more = cut || input.more
  const message: Message = {
    t: 'transfer/start',
    id: t.id,
    packets: items,
    ...(after ? { after } : {}),
    ...(more && last ? { next: last } : {}),
  }
  return say(t, t.org, message)
}

/** What stands of a packet in a page, while it is here whole. */
function itemOf(id: CID, context: Context): { packet: Uint8Array; root: Uint8Array } | undefined {
  const record = keptRecord(context, id)
  const read = record && readRecord(packet, record)
  const root = read && isStored(read) ? context.get(KEY.root(read.payload.root)) : undefined
  return record && root && { packet: record, root }
}

/** The place of a page as the wire names it: the last part of the key at which the page before ended. */
const pageName = (key: string): string => key.slice(key.lastIndexOf('/') + 1)
const AFTER = /^[0-9]{16}$/

// Consumer checks the page and begins the deliveries.

function started(t: Transfer, message: MessageOf<'transfer/start'>, context: Context): TransferStep {
  if (t.waits !== 'page' || message.after !== t.after) return stay(t) // a repeat of an earlier page
  const granted = grantOf(t.org, t.agreement, context)
  if (!granted) return terminate(t, { code: 'AGREEMENT_UNKNOWN', text: 'the agreement is not known here' })
  const from = publishersOf(granted, context)
  if (message.next !== undefined && message.next <= (t.after ?? ''))
    return terminate(t, { code: 'MALFORMED', text: 'the next page is not after this one' })
  const begun: Begun[] = []
  for (const item of message.packets) {
    const checked = check(item, granted, from)
    if ('code' in checked) return terminate(t, checked)
    const { id } = checked.stored
    const isWanted = isDue(t.agreement, id, context) && !redactedOf(context.get, id)
    if (isWanted && !begun.some(each => each.stored.id.equals(id))) begun.push(checked)
  }
  const sum = begun.reduce((bytes, { stored }) => bytes + stored.payload.size, t.bytes)
  const bytes = Math.min(sum, Number.MAX_SAFE_INTEGER)
  const { after: _, ...rest } = t
  const next: Transfer = {
    ...rest,
    state: 'STARTED',
    open: t.open + begun.length,
    bytes,
    waits: 'nothing',
    sent: 0,
    ...(message.next ? { after: message.next } : {}),
  }
  return { ...proceed(next, context), begun }
}

/** Whether a packet is still to be had: not delivered before and not under way. One that failed is tried again. */
function isDue(agreementId: CID, packetId: CID, context: Context): boolean {
  const stored = context.get(KEY.delivery(agreementId, packetId))
  return !stored || decodeState<{ state: string }>(stored).state === 'FAILED'
}

function check(
  item: { packet: Uint8Array; root: Uint8Array },
  granted: Grant,
  { orgs, keys }: Publishers,
): Begun | Refusal {
  const stored = readRecord(packet, item.packet)
  if (!isStored(stored)) return { code: 'RECORD_INVALID', text: stored.reason }
  const verdict = verifySignatures(packet, stored, keys)
  if (verdict.ok !== true) return { code: 'SIGNATURE_INVALID', text: verdict.reason }
  if (!stored.payload.asset.equals(granted.asset))
    return { code: 'AGREEMENT_MISMATCH', text: 'a packet of another asset' }
  if (!orgs.some(org => stored.payload.org.equals(org)))
    return { code: 'RECORD_INVALID', text: 'a packet that somebody else published' }
  if (!cidOf(item.root, 'dag-cbor').equals(stored.payload.root))
    return { code: 'RECORD_INVALID', text: 'the content root is not the one the packet names' }
  try {
    if (decodeRoot(item.root).size !== stored.payload.size)
      return { code: 'RECORD_INVALID', text: 'content root and packet differ in size' }
  } catch (error) {
    return { code: 'RECORD_INVALID', text: (error as Error).message }
  }
  return { stored, rootBytes: item.root }
}

function delivered(t: Transfer, ok: boolean, context: Context): TransferStep {
  if (t.role !== 'consumer' || t.state !== 'STARTED') return stay(t)
  return proceed({ ...t, open: t.open - 1, done: t.done + 1, failed: t.failed + (ok ? 0 : 1) }, context)
}

/** What a started transfer does next: ask for the next page, wait for packets, or complete. */
function proceed(t: Transfer, context: Context): TransferStep {
  const waits = t.after && t.open <= OPEN_LOW ? 'page' : t.after || t.open > 0 ? 'packets' : 'complete'
  if (waits === t.waits) return stay(t)
  const next = { ...t, waits, sent: 0 } as Transfer
  if (waits !== 'packets') return transmit(next, context)
  const output = news(next)
  output.deadlines.push({ machine: KEY.transfer(t.org, t.id), atMs: Number.POSITIVE_INFINITY })
  return { state: next, output, records: [] }
}

function terminate(t: Transfer, why: Refusal): TransferStep {
  const refusal = tidy(why)
  return move({ ...t, refusal }, 'TERMINATED', { t: 'transfer/terminate', id: t.id, refusal })
}

function again(t: Transfer, start: boolean, context: Context): TransferStep {
  const due = t.role === 'consumer' && !isOver(t) && t.waits !== 'packets'
  return due ? transmit(start ? { ...t, sent: 0 } : t, context) : stay(t)
}

/** Sends what the consumer waits for an answer to, and arms the timer. */
function transmit(t: Transfer, context: Context): TransferStep {
  const output = news(t)
  const message: Message =
    t.waits === 'complete'
      ? { t: 'transfer/complete', id: t.id }
      : { t: 'transfer/request', id: t.id, agreement: t.agreement, ...(t.after ? { after: t.after } : {}) }
  output.sends.push({ to: t.org, message })
  output.deadlines.push({ machine: KEY.transfer(t.org, t.id), atMs: resendAt(context.now, t.sent) })
  return { state: { ...t, sent: t.sent + 1 }, output, records: [] }
}

function move(t: Transfer, state: TransferState, ...messages: Message[]): TransferStep {
  const next: Transfer = { ...t, state, waits: 'nothing', sent: 0 }
  const output = news(next)
  output.sends.push(...messages.map(message => ({ to: t.org, message })))
  output.deadlines.push({ machine: KEY.transfer(t.org, t.id), atMs: Number.POSITIVE_INFINITY })
  return { state: next, output, records: [] }
}

function news(t: Transfer) {
  const output = nothing()
  output.events.push({
    type: 'transfer',
    machine: KEY.transfer(t.org, t.id),
    org: t.org,
    role: t.role,
    state: t.state,
  })
  return output
}

export const isOver = (t: Transfer): boolean => t.state === 'COMPLETED' || t.state === 'TERMINATED'

/** What entitles somebody to content: an agreement, or a hand-over by which keys and blocks pass (RULES E6). */
export interface Grant {
  asset: CID
  assigner: CID
  assignee: CID
  /** Of an agreement. */
  terms?: Agreement
}

/** What this id, of an agreement or a hand-over with an organisation, entitles one side to. */
export function grantOf(org: string, id: CID, context: Context): Grant | undefined {
  const agreed = readGrant(org, id, context)?.payload
  if (agreed) return { ...agreed, terms: agreed }
  const o = readOrdering(context.get, id)
  if (o?.state !== 'CERTIFIED' || o.org !== org) return undefined
  const { payload } = orderIn(o).record
  if (payload.t !== handover.t) return undefined
  const { asset, from, to, passes } = payload as Handover
  return passes.keys && passes.blocks ? { asset, assigner: from, assignee: to } : undefined
}

const isOnItsWay = (org: string, order: CID, { get }: Context): boolean => {
  const o = readOrdering(get, order)
  return o?.org === org && o.state === 'VOTING'
}

/** What a certified hand-over, by the key of its machine, brings this node and was not asked for yet. */
export function passing(machine: string, context: Context): { org: string; agreement: CID } | undefined {
  const stored = context.get(machine)
  const { role, org, ...o } = decodeState<Ordering>(stored!)
  if (role !== 'buyer' || org === undefined) return undefined
  const agreement = orderIn(o).id
  const isAsked = context.get(KEY.transferOf(agreement)) !== undefined
  const isOurs = grantOf(org, agreement, context)?.assignee.equals(context.self.id)
  return isAsked || !isOurs ? undefined : { org, agreement }
}

/** Who may have published the packets: under an agreement its assigner, of what was handed over each owner of before. */
interface Publishers {
  orgs: CID[]
  keys: KeyResolver
}

/** Their keys count as they stood when the agreement was signed, or when each became the owner. */
function publishersOf({ asset, assigner, terms }: Grant, context: Context): Publishers {
  if (terms) return { orgs: [assigner], keys: keysSince(() => terms.assignerState, context) }
  const orders = linksOf(context.get, asset, 0, Number.MAX_SAFE_INTEGER).map(orderIn)
  const since = (org: CID) =>
    orders.find(({ to }) => to.equals(org))?.states.find(each => each.org.equals(org))?.state
  return { orgs: orders.map(({ to }) => to), keys: keysSince(since, context) }
}

/** Under what we owe `org` data now; the policy is decided again at each step that gives something. */
export function inForce(org: string, id: CID, context: Context): Grant | Refusal {
  const granted = grantOf(org, id, context)
  if (!granted?.assigner.equals(context.self.id))
    return {
      code: 'AGREEMENT_UNKNOWN',
      text: `no agreement ${toHex(id.multihash.digest).slice(0, 8)} with you is known here`,
    }
  const { terms } = granted
  return (terms && whyNot(terms, org, context)) ?? granted
}

function whyNot(terms: Agreement, org: string, { get, now }: Context): Refusal | undefined {
  const { wallMs } = now
  if (wallMs >= terms.until)
    return {
      code: 'AGREEMENT_ENDED',
      text: `the agreement ended at ${new Date(terms.until).toISOString()}`,
    }
  if (endedWith(terms, get))
    return { code: 'AGREEMENT_ENDED', text: 'the asset was handed over, and its agreements ended with that' }
  const request = { action: terms.action, purpose: terms.purpose, recipient: org, dateTimeMs: wallMs }
  const { decision, denied } = evaluate(terms.policy, request)
  if (decision === 'permit') return undefined
  return { code: 'POLICY_DENIED', text: 'the policy of the agreement denies it now', clause: denied!.clause }
}

/** Which content `org` may fetch for a packet under an agreement: the only way to ciphertext (promise 1 covers the key). */
export function mayFetch(org: string, agreementId: CID, packetId: CID, context: Context): Packet | Refusal {
  const granted = inForce(org, agreementId, context)
  if ('code' in granted) return granted
  const found = keptRecord(context, packetId)
  const read = found && readRecord(packet, found)
  if (!read || !isStored(read) || !read.id.equals(packetId) || !read.payload.asset.equals(granted.asset))
    return { code: 'NOT_FOUND', text: 'there is no such packet under this agreement' }
  return read.payload
}
