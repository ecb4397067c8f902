/**
 * One participant: takes one input, runs the machine that it is for, and returns one output. Everything durable is in the
 * store behind `env.get`; the state kept between steps is what would be slow to read again. A state that was handed in
 * is not used again.
 */
import { equal, fromHex } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import type { Packet } from './asset.ts'
import * as beat from './beat.ts'
import { isBehind } from './behind.ts'
import * as catalog from './catalog.ts'
import { type Answer, type Command, command } from './command.ts'
import * as committees from './committee.ts'
import { contextOf, type Env, type KnownPartners, over } from './context.ts'
import * as delivery from './delivery.ts'
import * as erasure from './erasure.ts'
import { ProtocolError } from './error.ts'
import { told } from './fork.ts'
import * as heads from './heads.ts'
import type { Chain } from './identity-chain.ts'
import * as introduction from './introduction.ts'
import { keepSeen } from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, loadLedger, record } from './ledger.ts'
import { CLOCK_SKEW_MS, CLOCK_STORE_MS, FRESH_MS, HEAD_DELAY_MS, HEAD_DEMAND_MS } from './limits.ts'
import { KIND } from './log.ts'
import { type Context, decodeState, encodeState, type Step, violation } from './machine.ts'
import type { HelloMessage, Message, MessageOf, MessageType, Refusal } from './message.ts'
import * as mirror from './mirror.ts'
import * as negotiation from './negotiation.ts'
import { join, type Now, nothing, type Output } from './output.ts'
import * as pairing from './pairing.ts'
import * as promises from './promise.ts'
import { makeStaple } from './staple.ts'
import * as stock from './stock.ts'
import * as succession from './succession.ts'
import * as transfer from './transfer.ts'
import * as witnessing from './witness.ts'

export interface PeerState {
  ledger: Ledger
  catalogs: Map<string, catalog.Reading>
  partners: KnownPartners
  /** The highest wall time seen, and when it was last put into the store (RULES A5). */
  clock: { highMs: number; storedMs: number }
  /** By how much each witness's clock was ahead of ours when it cosigned, ms, and when that was (monotonic ms). */
  offsets: Map<string, { aheadMs: number; atMs: number }>
}

/** Everything that can happen to a participant. `seed` is 32 fresh bytes from the driver (RULES A3). */
export type Input = { seed: Uint8Array } & (
  | { type: 'message'; from: string; message: Message }
  | { type: 'hello'; node: Uint8Array; hello: HelloMessage }
  | { type: 'connected'; org: string }
  | { type: 'tick'; machine: string }
  | { type: 'start'; machine: string }
  | { type: 'leaves'; from: number; entries: Uint8Array[] }
  /** Somebody at this node waits for a head over what the log holds. */
  | { type: 'head' }
  | { type: 'page'; machine: string; after?: string; rows: [string, Uint8Array][]; more: boolean }
  | ({ type: 'posted'; machine: string } & stock.Posted)
  | ({ machine: string } & Extract<delivery.DeliveryInput, { type: 'fetched' | 'opened' | 'judged' }>)
  | Command
)

export interface PeerStep {
  state: PeerState
  output: Output
  /** For the caller of a command; leaves with the output. */
  answer?: Answer
  /** The store contradicts itself: nothing may be signed any more, the driver stops. */
  damaged?: string
}

/** The state of a participant whose store is open. */
export function open(env: Pick<Env, 'get'>): PeerState {
  const clock = env.get(KEY.clock)
  const highMs = clock ? (decode(clock) as number) : 0
  return {
    ledger: loadLedger(env.get),
    catalogs: new Map(),
    partners: new Map(),
    clock: { highMs, storedMs: highMs },
    offsets: new Map(),
  }
}

/** One input, one output. Throws ProtocolError only for an operator's command, before anything is changed. */
export function step(state: PeerState, input: Input, now: Now, env: Env): PeerStep {
  const context = contextOf(state.partners, input.seed, now, env)
  context.staple = () => makeStaple(state.ledger, context)
  const behind = isClockOff(state, now)
  if (behind && isDecision(input)) return refuse(state, input, 'CLOCK_BEHIND', CLOCK_TEXT)
  if (isBehind(env.get) && input.type !== 'identity' && !isRead(input))
    return refuse(state, input, 'RESTORED_BEHIND', BEHIND_TEXT)
  const next = route(state, input, context)
  for (const event of next.output.events)
    if (event.type === 'cosigned')
      state.offsets.set(event.org, { aheadMs: event.timeS * 1_000 - now.wallMs, atMs: now.monoMs })
  return { ...next, ...keepClock(next.state, next.output, now) }
}

function route(state: PeerState, input: Input, context: Context): PeerStep {
  switch (input.type) {
    case 'message':
      return receive(state, input.from, input.message, context)
    case 'hello': {
      const { hello, node } = input
      const { output, answer } =
        hello.t === 'hello/again'
          ? introduction.met(hello, node, context)
          : pairing.welcome(hello, node, context)
      return { state, output, answer: { type: 'hello', hello: answer } }
    }
    case 'connected':
      return met(state, input.org, context)
    case 'tick':
    case 'start':
      return wake(state, input.machine, input.type, context)
    case 'leaves':
      return headOf(state, input, context)
    case 'head':
      return demanded(state, HEAD_DELAY_MS, context)
    case 'page':
      return pageOf(state, input, context)
    case 'posted':
      return { state, output: stock.posted(input.machine, input, state.ledger, context) }
    case 'fetched':
    case 'opened':
    case 'judged':
      return deliver(state, input.machine, input, context)
    case 'committee':
      return seating(state, s => committees.propose(s, input, context), context)
    case 'seat':
      return { state, output: seated(input.org, seat => committees.agree(seat, input.org, context), context) }
    default: {
      const { machines, answer, reading, entry, chain, ...step } = command(input, context)
      if (reading) state.catalogs.set(reading.org, reading.step.state!)
      let done: PeerStep = logged(state, step, context, entry)
      if (chain) done = then(done, context, (next, seen) => stated(next, chain, seen))
      for (const { key, input: inner } of machines ?? [])
        done = then(done, context, (next, seen) => runMachine(next, key, inner, seen))
      return { ...done, ...(answer ? { answer } : {}) }
    }
  }
}

// Messages.

function receive(state: PeerState, from: string, message: Message, context: Context): PeerStep {
  if (!context.partner(from)) return { state, output: nothing() }
  const [dialogue] = message.t.split('/')
  switch (dialogue) {
    case 'hello':
      return { state, output: introduction.introduced(from, message as MessageOf<'hello'>, context) }
    case 'identity':
      return goesOn(state, from, message as MessageOf<'identity/events'>, context)
    case 'error': {
      const { re, code, text } = message as MessageOf<'error'>
      const said = `answered ${re} with ${code}: ${text}`
      return { state, output: violation(from, 'error', 'OUT_OF_ORDER', said).output }
    }
    case 'catalog':
      return catalogOf(state, from, message as MessageOf<'catalog/request' | 'catalog/page'>, context)
    case 'negotiation':
    case 'transfer': {
      const { id } = message as MessageOf<'negotiation/request'>
      const key = dialogue === 'transfer' ? KEY.transfer(from, id) : KEY.negotiation(from, id)
      return runMachine(state, key, { type: 'message', from, message }, context)
    }
    case 'delivery':
      return deliver(state, deliveryKey(message), { type: 'message', from, message }, context)
    case 'redaction':
      return redactionOf(state, from, message as MessageOf<'redaction/ask' | 'redaction/answer'>, context)
    case 'committee':
      return committeeOf(state, from, message as CommitteeMessage, context)
    case 'promise':
      return promiseOf(state, from, message as PromiseMessage, context)
    case 'witness':
      return witnessOf(state, from, message, context)
    case 'mirror':
      return {
        state,
        output: mirror.receive(from, message as Parameters<typeof mirror.receive>[1], state.ledger, context)
          .output,
      }
    case 'gossip':
      return { state, output: gossiped(from, message as MessageOf<'gossip/head' | 'gossip/fork'>, context) }
    default: {
      const step = heads.receive(from, message, state.ledger, context)
      const isPending = step.output.sends.some(
        each => each.message.t === 'proof/reply' && each.message.pending,
      )
      const done: PeerStep = { state, output: watched(from, step, context) }
      return isPending ? then(done, context, (next, seen) => demanded(next, HEAD_DEMAND_MS, seen)) : done
    }
  }
}

function gossiped(from: string, message: MessageOf<'gossip/head' | 'gossip/fork'>, context: Context): Output {
  if (message.t === 'gossip/fork') return told(from, message, context)
  const about = heads.rumoured(from, message, context)
  return about ? watched(about.org, about.step, context) : nothing()
}

/** What was seen of a partner's log, stored when it changed. */
function watched(org: string, step: Step<heads.Watch>, context: Context): Output {
  const value = step.state && encodeState(step.state)
  const stored = context.get(KEY.watch(org))
  const changed = value && !(stored && equal(stored, value))
  const writes = changed ? [{ key: KEY.watch(org), value }] : []
  return { ...step.output, writes: [...step.output.writes, ...writes] }
}

/** Deliveries are found by agreement and packet; a receipt that cannot be read finds none and is refused by the machine. */
function deliveryKey(message: Message): string {
  if (message.t === 'delivery/done' || message.t === 'delivery/refused')
    return KEY.delivery(message.agreement, message.packet)
  const bytes =
    message.t === 'delivery/release' ? message.release : (message as MessageOf<'delivery/received'>).receipt
  const ids = delivery.idsOf(bytes)
  return ids ? KEY.delivery(ids.agreement, ids.packet) : 'delivery/none'
}

function catalogOf(
  state: PeerState,
  from: string,
  message: MessageOf<'catalog/request' | 'catalog/page'>,
  context: Context,
): PeerStep {
  if (message.t === 'catalog/request') return { state, output: catalog.asked(from, message).output }
  const step = catalog.received(state.catalogs.get(from), from, message, context)
  if (step.state) state.catalogs.set(from, step.state)
  return { state, output: step.output }
}

function redactionOf(
  state: PeerState,
  from: string,
  message: MessageOf<'redaction/ask' | 'redaction/answer'>,
  context: Context,
): PeerStep {
  if (message.t === 'redaction/ask') return logged(state, erasure.asked(from, message, context), context)
  const key = KEY.redaction(from, message.record)
  const stored = context.get(key)
  const step = erasure.answered(stored && decodeState(stored), from, message)
  return logged(state, saved(key, stored, step, erasure.isAnswered), context)
}

type CommitteeMessage = MessageOf<'committee/ask' | 'committee/signed' | 'committee/refused'>
type PromiseMessage = MessageOf<'promise/ask' | 'promise/given' | 'promise/refused'>

function committeeOf(state: PeerState, from: string, message: CommitteeMessage, context: Context): PeerStep {
  const index = state.ledger.tail.range.size
  if (message.t !== 'committee/ask')
    return seating(state, s => committees.answered(s, from, message, index, context), context)
  return { state, output: seated(from, seat => committees.asked(seat, from, message, context), context) }
}

/** The own committee: its record is named by an entry when every seat has signed. */
function seating(
  state: PeerState,
  run: (s: committees.Seating) => Step<committees.Seating>,
  context: Context,
): PeerStep {
  const stored = context.get(KEY.seating)
  const step = run(stored ? decodeState(stored) : {})
  const [record] = step.records
  const entry = record && { kind: KIND.committee, control: [digestOf(record.id)] }
  return logged(
    state,
    saved(KEY.seating, stored, step, s => s.asked === undefined),
    context,
    entry,
  )
}

/** Our seat in the committee of a partner's log, stored when it changed. */
function seated(
  org: string,
  run: (seat: committees.Seat | undefined) => Step<committees.Seat>,
  context: Context,
): Output {
  const key = KEY.seat(org)
  const stored = context.get(key)
  const { state, output } = run(stored && decodeState(stored))
  // The condition makes check-and-store one act, whatever else is queued (RULES A2).
  const write = state && {
    key,
    value: encodeState(state),
    if: stored ? { equals: stored } : ('absent' as const),
  }
  return write ? { ...output, writes: [...output.writes, write] } : output
}

function promiseOf(state: PeerState, from: string, message: PromiseMessage, context: Context): PeerStep {
  if (message.t === 'promise/ask') {
    const stored = context.get(KEY.cosigned(from))
    const step = promises.promise(stored && decodeState(stored), from, message, context)
    return { state, output: held(from, stored, step) }
  }
  const { draft, output } = promises.answered(state.ledger.draft, from, message, state.ledger, context)
  const ledger = draft ? { ...state.ledger, draft } : state.ledger
  return signed({ state: { ...state, ledger }, output }, context)
}

/** What this node holds of a partner's log: the condition makes check-and-store one act (RULES A2). */
function held(
  org: string,
  stored: Uint8Array | undefined,
  { state, output }: Step<witnessing.Cosigned>,
): Output {
  const value = state && encodeState(state)
  if (!value || (stored && equal(stored, value))) return output
  const write = { key: KEY.cosigned(org), value, if: stored ? { equals: stored } : ('absent' as const) }
  return { ...output, writes: [...output.writes, write] }
}

/** A partner's identity goes on; a witness with another key is asked to cosign with it. */
function goesOn(
  state: PeerState,
  from: string,
  message: MessageOf<'identity/events'>,
  context: Context,
): PeerStep {
  const done: PeerStep = { state, output: introduction.told(from, message, context) }
  const isWitness = done.output.writes.length > 0 && committees.cosigners(context).includes(from)
  return isWitness
    ? then(done, context, (next, seen) => submission(next, from, { type: 'again' }, seen))
    : done
}

function witnessOf(state: PeerState, from: string, message: Message, context: Context): PeerStep {
  if (message.t === 'witness/add') {
    const stored = context.get(KEY.cosigned(from))
    const step = witnessing.witness(stored && decodeState(stored), from, message, context)
    const [reply] = step.output.sends
    if (!step.state || reply?.message.t !== 'witness/cosigned') {
      const unproven = reply?.message.t === 'witness/refused' && reply.message.status === 422
      const found = unproven ? watched(from, heads.refused(from, message.note, context), context) : nothing()
      return { state, output: join(step.output, found) }
    }
    return { state, output: held(from, stored, step) }
  }
  const done = submission(state, from, { type: 'message', from, message }, context)
  return message.t === 'witness/cosigned' ? mirroredOn(settled(done, message.size, context), context) : done
}

/** A cosignature may have made a head final, and a committee count: then the next one is wished for. */
function settled(done: PeerStep, size: number, context: Context): PeerStep {
  const seen = over(context, done.output)
  const note = seen.get(KEY.head(size))
  if (!note || !seen.get(KEY.seating)) return done
  const then1 = then(done, context, (next, now) =>
    seating(next, s => committees.settle(s, size, note, now.get), now),
  )
  const then2 = then(then1, context, (next, now) => seating(next, s => committees.follow(s, now), now))
  const shown = then(then2, context, (next, now) => ({
    state: next,
    output: stock.head('head', next.ledger, now),
  }))
  return signed(shown, context)
}

/** A connection: the nodes introduce themselves, and a witness gets the head that it does not hold yet. */
function met(state: PeerState, org: string, context: Context): PeerStep {
  const { draft } = state.ledger
  const asks = draft ? promises.ask(draft, state.ledger, context, org).output : nothing()
  const done: PeerStep = { state, output: join(introduction.introduce(org, context), asks) }
  const isWitness = committees.cosigners(context).includes(org) && context.partner(org)
  const sent = isWitness
    ? then(done, context, (next, seen) => submission(next, org, { type: 'head', org, met: true }, seen))
    : done
  return then(sent, context, (next, seen) => seating(next, s => committees.follow(s, seen, org), seen))
}

// Machines that live in the store.

/** A tick or start for a machine, by the first word of its key. */
function wake(state: PeerState, machine: string, type: 'tick' | 'start', context: Context): PeerStep {
  const [kind, org] = machine.split('/') as [string, string]
  if (kind === 'log') {
    const { ledger, output } = beat.beat(state.ledger, context)
    const done: PeerStep = { state: { ...state, ledger }, output }
    if (type === 'tick') return done
    return then(done, context, (next, seen) => seating(next, s => committees.follow(s, seen), seen))
  }
  if (kind === KEY.seating) return seating(state, s => committees.again(s, type, context), context)
  if (kind === promises.PROMISE) return asking(state, context)
  if (kind === 'witness') return submission(state, org, { type }, context)
  if (kind === 'stock') {
    const { ledger } = state
    const output =
      type === 'start' ? stock.head('start', ledger, context) : stock.tick(machine, ledger, context)
    return { state, output }
  }
  if (kind === 'delivery') return deliver(state, machine, { type }, context)
  return runMachine(state, machine, { type }, context)
}

type DialogueInput = negotiation.NegotiationInput | transfer.TransferInput | erasure.AskingInput

/** Runs a negotiation or a transfer: loads its state, steps, stores what it became, and logs what it recorded. */
function runMachine(state: PeerState, key: string, input: DialogueInput, context: Context): PeerStep {
  const stored = context.get(key)
  if (key.startsWith('negotiation/')) {
    const before = stored && decodeState<negotiation.Negotiation>(stored)
    const step = negotiation.step(before, input as negotiation.NegotiationInput, context)
    return logged(state, saved(key, stored, step, negotiation.isOver), context)
  }
  if (key.startsWith(KEY.redactions)) {
    const before = stored && decodeState<erasure.Asking>(stored)
    const step = erasure.step(before, input as erasure.AskingInput, context)
    return logged(state, saved(key, stored, step, erasure.isAnswered), context)
  }
  const before = stored && decodeState<transfer.Transfer>(stored)
  const step = transfer.step(before, input as transfer.TransferInput, context)
  let done = logged(state, saved(key, stored, step, transfer.isOver), context)
  for (const begun of step.begun ?? [])
    done = then(done, context, (next, seen) => beginDelivery(next, step.state!, begun, seen))
  return done
}

function beginDelivery(
  state: PeerState,
  t: transfer.Transfer,
  begun: transfer.Begun,
  context: Context,
): PeerStep {
  const { stored, rootBytes } = begun
  const { agreement, org, id } = t
  const packet = stored.id
  const { root, asset, packetSeq } = stored.payload
  const input = { type: 'begin', org, agreement, packet, root, rootBytes, transfer: id } as const
  const begin = deliver(state, KEY.delivery(agreement, packet), input, context)
  const writes = [
    ...keepSeen(context, packet, stored.bytes),
    { key: KEY.root(root), value: rootBytes },
    { key: KEY.packetOf(asset, packetSeq), value: packet.multihash.digest },
  ]
  return { ...begin, output: join({ ...nothing(), writes }, begin.output) }
}

function deliver(state: PeerState, key: string, input: delivery.DeliveryInput, context: Context): PeerStep {
  const stored = context.get(key)
  const before = stored && decodeState<delivery.Delivery>(stored)
  // A delivery belongs to one partner; to another it is nobody's.
  if (before && input.type === 'message' && input.from !== before.org) {
    const { from, message } = input
    return {
      state,
      output: violation(from, message.t, 'NOT_ADMITTED', 'this delivery is not with you').output,
    }
  }
  const step = delivery.step(before, input, context)
  const done = logged(state, saved(key, stored, step, delivery.isOver), context)
  if (!step.over) return done
  const transferKey = KEY.transfer(step.state!.org, step.over.transfer)
  const { ok } = step.over
  return then(done, context, (next, seen) => runMachine(next, transferKey, { type: 'delivered', ok }, seen))
}

function submission(
  state: PeerState,
  org: string,
  input: witnessing.SubmissionInput,
  context: Context,
): PeerStep {
  const key = KEY.witness(org)
  const stored = context.get(key)
  const step = witnessing.submit(stored && decodeState(stored), input, state.ledger, context)
  return logged(
    state,
    saved(key, stored, step, s => s.sentSize === undefined),
    context,
  )
}

/** Mirrors follow the newest head that anybody may see, and are told of each cosignature of it. */
function mirroredOn(done: PeerStep, context: Context): PeerStep {
  return then(done, context, (state, seen) => {
    const sends = seen.mirrors.flatMap(each => mirror.announce(each.toString(), seen))
    return { state, output: { ...nothing(), sends } }
  })
}

/** A step with its state as a write, and the marker by which a restart finds what is not over. */
function saved<S extends object>(
  key: string,
  before: Uint8Array | undefined,
  step: Step<S>,
  isOver: (state: S) => boolean,
): Step<S> {
  if (!step.state) return step
  const value = encodeState(step.state)
  if (before && equal(value, before)) return step
  step.output.writes.push({ key, value })
  const wasOpen = before !== undefined && !isOver(decodeState<S>(before))
  if (isOver(step.state)) {
    if (wasOpen) step.output.writes.push({ key: KEY.open(key) })
  } else if (!wasOpen) step.output.writes.push({ key: KEY.open(key), value: new Uint8Array() })
  return step
}

/** Puts the records of a step into the log, and asks for a head when none is due. */
function logged<S>(
  state: PeerState,
  step: Step<S>,
  context: Context,
  entry?: { kind: number; control: Uint8Array[] },
): PeerStep {
  if (step.records.length === 0) return { state, output: step.output }
  const { ledger, writes } = record(state.ledger, step.records, context.now.wallMs, context.slots, entry)
  const next = beat.due(ledger, context)
  return {
    state: { ...state, ledger: next.ledger },
    output: join(step.output, { ...nothing(), writes }, next.output),
  }
}

/**
 * The own state has changed, and the log says so at once: what was logged before gets the state of before, so that a key
 * which is revoked now counts for it.
 */
function stated(state: PeerState, chain: Chain, before: Context): PeerStep {
  const now = Object.create(before, { self: { value: { ...before.self, chain } } }) as Context
  const isSuccessor = chain.logs.length > before.self.chain.logs.length
  const { ledger, writes } = isSuccessor
    ? succession.begin(chain, now)
    : beat.state(state.ledger, before, now)
  const next = beat.due(ledger, now)
  return { state: { ...state, ledger: next.ledger }, output: join({ ...nothing(), writes }, next.output) }
}

// Heads.

/** A head that somebody waits for, at most one in `gapMs`. */
function demanded(state: PeerState, gapMs: number, context: Context): PeerStep {
  const { ledger, output } = beat.demand(state.ledger, gapMs, context.now)
  return { state: { ...state, ledger }, output }
}

function headOf(state: PeerState, input: Extract<Input, { type: 'leaves' }>, context: Context): PeerStep {
  const made = beat.draftHead(state.ledger, input, context)
  if ('damaged' in made) return { state, output: nothing(), damaged: made.damaged }
  const next = { ...state, ledger: made.ledger }
  if (!made.ledger.draft) return { state: next, output: made.output }
  return promises.isPromised(made.ledger.draft, context)
    ? signed({ state: next, output: made.output }, context)
    : asking(next, context)
}

/** Asks the members for their promise; no head is signed before it has come (RULES D1). */
function asking(state: PeerState, context: Context): PeerStep {
  const { ledger } = state
  if (!ledger.draft) return { state, output: nothing() }
  const { draft, output } = promises.ask(ledger.draft, ledger, context)
  return { state: { ...state, ledger: { ...ledger, draft } }, output }
}

/** Signs the draft once it is promised, and has it cosigned. */
function signed(done: PeerStep, context: Context): PeerStep {
  const { draft } = done.state.ledger
  if (!draft || !promises.isPromised(draft, over(context, done.output))) return done
  const { ledger, output } = beat.signHead(done.state.ledger, draft, context)
  output.deadlines.push({ machine: promises.PROMISE, atMs: Number.POSITIVE_INFINITY })
  let next: PeerStep = { ...done, state: { ...done.state, ledger }, output: join(done.output, output) }
  for (const org of committees.cosigners(over(context, next.output)))
    if (context.partner(org))
      next = then(next, context, (state, seen) => submission(state, org, { type: 'head', org }, seen))
  next = then(next, context, (state, seen) => ({ state, output: stock.head('head', state.ledger, seen) }))
  if (committees.cosigners(context).length === 0) next = mirroredOn(next, context)
  const due = beat.due(next.state.ledger, context)
  return { ...next, state: { ...next.state, ledger: due.ledger }, output: join(next.output, due.output) }
}

// What the driver read.

function pageOf(state: PeerState, input: Extract<Input, { type: 'page' }>, context: Context): PeerStep {
  const [kind, org, id] = input.machine.split('/') as [string, string, string]
  if (kind !== 'catalog') return runMachine(state, input.machine, input, context)
  return { state, output: catalog.page(org, fromHex(id)!, input.rows, input.more, context).output }
}

// Time.

/** Inputs whose outcome depends on dates that expire. */
function isDecision(input: Input): boolean {
  return input.type === 'message' ? DATED.has(input.message.t) : COMMANDS.has(input.type)
}

/** A witness dates what it cosigns, so it does not by a time that it knows to be wrong. */
const DATED = new Set<MessageType>([
  'negotiation/request',
  'negotiation/agree',
  'negotiation/verify',
  'transfer/request',
  'delivery/received',
  'witness/add',
])
const COMMANDS = new Set<Input['type']>([
  'request',
  'decide',
  'offer',
  'hello',
  'join',
  'checkpoint',
  'redact',
])

const CLOCK_TEXT =
  'the clock is more than five minutes off the time that was seen before or that witnesses see; set it right'

/** What a node whose store is behind still does: it shows what it has. */
function isRead(input: Input): boolean {
  return input.type === 'message' ? SHOWN.has(input.message.t.split('/')[0]!) : READS.has(input.type)
}
const SHOWN = new Set(['hello', 'error', 'catalog', 'head', 'gossip', 'proof', 'mirror'])
const READS = new Set<Input['type']>(['catalog', 'gossip', 'proofs', 'latest', 'page'])

const BEHIND_TEXT =
  'the members of the committee hold a newer log than this store: it was put back or copied, and nothing is signed with it'

function refuse(
  state: PeerState,
  input: Input,
  code: 'CLOCK_BEHIND' | 'RESTORED_BEHIND',
  text: string,
): PeerStep {
  const done: PeerStep = { state, output: nothing() }
  if (input.type === 'message')
    return { state, output: violation(input.from, input.message.t, code, text).output }
  if (input.type === 'hello')
    return { ...done, answer: { type: 'hello', hello: { t: 'hello/refused', code, text } } }
  if (SILENT.has(input.type)) return done
  throw new ProtocolError(code, text)
}
/** Nobody waits for these to be refused. */
const SILENT = new Set<Input['type']>([
  'connected',
  'head',
  'posted',
  'tick',
  'start',
  'leaves',
  'fetched',
  'opened',
  'judged',
])

/**
 * Whether the clock is behind the highest time seen, or off the median of the witnesses' fresh cosignatures, by more than
 * five minutes: nothing that expires is decided then (RULES A5).
 */
function isClockOff({ clock, offsets }: PeerState, now: Now): boolean {
  if (now.wallMs < clock.highMs - CLOCK_SKEW_MS) return true
  const fresh = [...offsets.values()].filter(({ atMs }) => now.monoMs - atMs < FRESH_MS)
  const ahead = fresh.map(({ aheadMs }) => aheadMs).sort((a, b) => a - b)
  return ahead.length > 0 && Math.abs(ahead[ahead.length >> 1]!) > CLOCK_SKEW_MS
}

/** The highest wall time seen goes into the store with the next commit, at most once a second. */
function keepClock(state: PeerState, output: Output, now: Now): { state: PeerState; output: Output } {
  const highMs = Math.max(state.clock.highMs, now.wallMs)
  if (output.writes.length === 0 || highMs < state.clock.storedMs + CLOCK_STORE_MS)
    return { state: { ...state, clock: { ...state.clock, highMs } }, output }
  const writes = [...output.writes, { key: KEY.clock, value: encode(highMs) }]
  return { state: { ...state, clock: { highMs, storedMs: highMs } }, output: { ...output, writes } }
}

/** One step after another, as one: the second sees the store as the first will leave it. */
function then(
  first: PeerStep,
  context: Context,
  run: (state: PeerState, context: Context) => PeerStep,
): PeerStep {
  const second = run(first.state, over(context, first.output))
  return { ...first, ...second, output: join(first.output, second.output) }
}

/** Which packet `org` may fetch under an agreement now, or why not: asked by the driver before it streams a byte. */
export function permits(
  state: PeerState,
  org: string,
  agreement: CID,
  packet: CID,
  now: Now,
  env: Env,
): Packet | Refusal {
  if (isClockOff(state, now)) return { code: 'CLOCK_BEHIND', text: CLOCK_TEXT }
  return transfer.mayFetch(org, agreement, packet, contextOf(state.partners, new Uint8Array(32), now, env))
}
