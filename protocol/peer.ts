/**
 * One participant: takes one input, runs the machine that it is for, and returns one output. Everything durable is in the
 * store behind `env.get`; the state kept between steps is what would be slow to read again. A state that was handed in
 * is not used again.
 */
import { fromHex, text } from '../crypto/bytes.ts'
import { decode } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import type { Packet } from './asset.ts'
import * as beat from './beat.ts'
import * as catalog from './catalog.ts'
import { command } from './command.ts'
import * as committees from './committee.ts'
import { contextOf, type Env } from './context.ts'
import { deliver, deliveryKey, redactionOf, runMachine } from './dialogue.ts'
import * as proofs from './entry-proofs.ts'
import { type Input, logged, type PeerState, type PeerStep, then } from './fold.ts'
import { told } from './fork.ts'
import * as rounds from './gossip.ts'
import { noGossip } from './gossip.ts'
import * as heads from './heads.ts'
import * as hearsay from './hearsay.ts'
import { contradicted, identityForkTold } from './identity-fork.ts'
import * as introduction from './introduction.ts'
import { KEY } from './layout.ts'
import { loadLedger } from './ledger.ts'
import { HEAD_DELAY_MS, HEAD_DEMAND_MS } from './limits.ts'
import { type Context, violation } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import * as mirror from './mirror.ts'
import * as others from './other-logs.ts'
import { join, type Now, nothing, type Output } from './output.ts'
import * as own from './own-head.ts'
import * as owning from './owning.ts'
import * as pairing from './pairing.ts'
import * as promises from './promise.ts'
import { recover } from './recovery.ts'
import { recall } from './restored.ts'
import { CLOCK_TEXT, isClockOff, keepClock, refuse, standstill } from './standstill.ts'
import { makeStaple } from './staple.ts'
import * as stock from './stock.ts'
import * as transfer from './transfer.ts'

export type { Input, PeerState, PeerStep }

/** The state of a participant whose store is open. */
export function open(env: Pick<Env, 'get'>): PeerState {
  const clock = env.get(KEY.clock)
  const highMs = clock ? (decode(clock) as number) : 0
  return {
    ledger: loadLedger(env.get),
    catalogs: new Map(),
    gossip: noGossip(),
    partners: new Map(),
    late: new Set(),
    clock: { highMs, storedMs: highMs },
    offsets: new Map(),
  }
}

/** One input, one output. Throws ProtocolError only for an operator's command, before anything is changed. */
export function step(state: PeerState, input: Input, now: Now, env: Env): PeerStep {
  const context = contextOf(state.partners, input.seed, now, env)
  context.staple = () => makeStaple(state.ledger, context)
  context.late = state.late
  const wrong = standstill(state, input, now, context)
  if (wrong)
    return input.type === 'connected'
      ? { state, output: losses(input.org, context) }
      : refuse(state, input, wrong)
  const next = route(state, input, context)
  for (const event of next.output.events)
    if (event.type === 'seen') rounds.seen(state.gossip, event.org)
    else if (event.type === 'cosigned')
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
      return own.headOf(state, input, context)
    case 'head':
      return own.demanded(state, HEAD_DELAY_MS, context)
    case 'page':
      return pageOf(state, input, context)
    case 'posted':
      return { state, output: stock.posted(input.machine, input, state.ledger, context) }
    case 'fetched':
    case 'opened':
    case 'judged':
      return deliver(state, input.machine, input, context)
    case 'recover':
      return { state, output: recover(state.ledger, context) }
    case 'gossip':
      return { state, output: rounds.tell(state.gossip, input, state.ledger, context) }
    case 'committee':
      return own.seating(state, s => committees.propose(s, input, context), context)
    case 'seat':
      return {
        state,
        output: others.seated(input.org, seat => committees.agree(seat, input.org, context), context),
      }
    default: {
      if (owning.isCommand(input)) {
        const { step, machine } = owning.command(input, context)
        return {
          ...logged(state, step, context),
          ...(machine ? { answer: { type: 'machine', machine } } : {}),
        }
      }
      const { machines, answer, reading, entry, chain, ...step } = command(input, context)
      if (reading) state.catalogs.set(reading.org, reading.step.state!)
      let done: PeerStep = logged(state, step, context, entry)
      if (chain) done = then(done, context, (next, seen) => own.stated(next, chain, seen))
      for (const { key, input: inner } of machines ?? [])
        done = then(done, context, (next, seen) => runMachine(next, key, inner, seen))
      return { ...done, ...(answer ? { answer } : {}) }
    }
  }
}

const still = (state: PeerState): PeerStep => ({ state, output: nothing() })

// Messages.

function receive(state: PeerState, from: string, message: Message, context: Context): PeerStep {
  if (!context.partner(from)) return { state, output: nothing() }
  const done = dialogue(state, from, message, context)
  const told = toldIn(message)
  if (told.length === 0) return done
  return then(done, context, (next, seen) => ({ state: next, output: contradicted(told, seen) }))
}

/** Events of identities that a message shows beside what it is about. */
function toldIn(message: Message): Uint8Array[] {
  if (message.t === 'proof/reply') return message.events
  return 'identities' in message ? message.identities.flatMap(({ events }) => events) : []
}

function dialogue(state: PeerState, from: string, message: Message, context: Context): PeerStep {
  const waiting = message.t === 'owner/fresh' && context.get(KEY.freshFor(message.id))
  if (waiting) {
    const { fresh } = message as MessageOf<'owner/fresh'>
    const heard = { type: 'fresh', from, ...(fresh ? { fresh } : {}) } as const
    return runMachine(state, text(waiting), heard, context)
  }
  if (owning.isMessage(message))
    return bought(logged(state, owning.receive(from, message, context), context), context)
  const [kind] = message.t.split('/')
  switch (kind) {
    case 'hello':
      return { state, output: introduction.introduced(from, message as MessageOf<'hello'>, context) }
    case 'identity':
      return identityOf(
        state,
        from,
        message as MessageOf<'identity/events' | 'identity/ask' | 'identity/known'>,
        context,
      )
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
      const key = kind === 'transfer' ? KEY.transfer(from, id) : KEY.negotiation(from, id)
      return runMachine(state, key, { type: 'message', from, message }, context)
    }
    case 'delivery':
      return deliver(state, deliveryKey(message), { type: 'message', from, message }, context)
    case 'redaction':
      return redactionOf(
        state,
        from,
        message as MessageOf<'redaction/ask' | 'redaction/answer' | 'redaction/known'>,
        context,
      )
    case 'committee': {
      const it = message as MessageOf<'committee/ask' | 'committee/signed' | 'committee/refused'>
      if (it.t === 'committee/ask')
        return {
          state,
          output: others.seated(from, seat => committees.asked(seat, from, it, context), context),
        }
      const index = state.ledger.tail.range.size
      return own.seating(state, s => committees.answered(s, from, it, index, context), context)
    }
    case 'log': {
      const it = message as MessageOf<'log/register' | 'log/registered' | 'log/refused'>
      if (it.t !== 'log/register') return own.registered(state, from, it, context)
      const known = introduction.told(from, { t: 'identity/events', events: it.events }, context)
      const done = goesOn(state, from, known, context)
      return then(done, context, (next, seen) => ({ state: next, output: others.register(from, it, seen) }))
    }
    case 'promise': {
      const it = message as MessageOf<'promise/ask' | 'promise/given' | 'promise/refused'>
      if (it.t === 'promise/ask') return { state, output: others.promise(from, it, context) }
      return others.isOfActive(it, context) ? own.promised(state, from, it, context) : still(state)
    }
    case 'witness': {
      const it = message as MessageOf<'witness/add' | 'witness/cosigned' | 'witness/refused'>
      if (it.t === 'witness/add') return { state, output: others.cosign(from, it, context) }
      return others.isOfActive(it, context) ? own.answered(state, from, it, context) : still(state)
    }
    case 'mirror': {
      const it = message as MessageOf<'mirror/head' | 'mirror/ask' | 'mirror/entries'>
      if (it.t === 'mirror/entries' && it.log.equals(context.self.id))
        return own.recovered(state, from, it, context)
      return { state, output: mirror.receive(from, it, state.ledger, context).output }
    }
    case 'gossip': {
      const it = message as MessageOf<'gossip/logs' | 'gossip/head' | 'gossip/fork'>
      return { state, output: rumoured(state, from, it, context) }
    }
    default: {
      const step =
        message.t === 'proof/request'
          ? proofs.answer(from, message, state.ledger, context)
          : heads.receive(from, message, state.ledger, context)
      const isPending = step.output.sends.some(
        each => each.message.t === 'proof/reply' && each.message.pending,
      )
      const done: PeerStep = { state, output: others.watched(from, step, context) }
      return isPending ? then(done, context, (next, seen) => own.demanded(next, HEAD_DEMAND_MS, seen)) : done
    }
  }
}

/** What passes with a hand-over is asked for as soon as that is certified. */
function bought(done: PeerStep, context: Context): PeerStep {
  let all = done
  for (const event of done.output.events) {
    if (event.type !== 'order' || event.state !== 'CERTIFIED') continue
    all = then(all, context, (next, seen) => {
      const due = transfer.passing(event.machine, seen)
      if (!due) return still(next)
      const { answer: _, ...begun } = route(next, { type: 'transfer', ...due, seed: NO_SEED }, seen)
      return begun
    })
  }
  return all
}
/** The context was made with the seed of the input. */
const NO_SEED = new Uint8Array(32)

function rumoured(
  { gossip }: PeerState,
  from: string,
  message: MessageOf<'gossip/logs' | 'gossip/head' | 'gossip/fork'>,
  context: Context,
): Output {
  if (message.t === 'gossip/logs') return rounds.toldLogs(gossip, from, message, context)
  return message.t === 'gossip/fork'
    ? toldFork(from, message, context)
    : hearsay.rumoured(from, message, gossip, context)
}

/** Of a log, or of an identity: what is no proof of one kind is nothing there. */
const toldFork = (from: string, message: MessageOf<'gossip/fork'>, context: Context): Output =>
  join(told(from, message, context), identityForkTold(from, message.proof, context))

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

function identityOf(
  state: PeerState,
  from: string,
  message: MessageOf<'identity/events' | 'identity/ask' | 'identity/known'>,
  context: Context,
): PeerStep {
  if (message.t === 'identity/events')
    return goesOn(state, from, introduction.told(from, message, context), context)
  const { of } = message
  if (message.t === 'identity/ask')
    return {
      state,
      output: of ? hearsay.tell(from, { ...message, of }, context) : introduction.recall(from, context),
    }
  if (!of) return { state, output: introduction.recalled(from, message, context) }
  const { output, chain } = hearsay.learned(from, { ...message, of }, context)
  const done = goesOn(state, of.toString(), output, context)
  return chain
    ? then(done, context, (next, seen) => ({
        state: next,
        output: hearsay.shown(from, { ...message, of }, chain, seen),
      }))
    : done
}

/** A partner's identity goes on; a witness with another key is asked to cosign with it. */
function goesOn(state: PeerState, org: string, output: Output, context: Context): PeerStep {
  const done: PeerStep = { state, output }
  const isWitness = output.writes.length > 0 && committees.cosigners(context).includes(org)
  return isWitness
    ? then(done, context, (next, seen) => own.submission(next, org, { type: 'again' }, seen))
    : done
}

/** The seats that a store that was put back has lost: said even where nothing is signed any more (RULES E3). */
const losses = (org: string, context: Context): Output => ({
  ...nothing(),
  sends: owning.tellLost(context).map(message => ({ to: org, message })),
})

/** A connection: the nodes introduce themselves, and a witness gets the head that it does not hold yet. */
function met(state: PeerState, org: string, context: Context): PeerStep {
  state.late.delete(org)
  const { draft } = state.ledger
  const asks = draft ? promises.ask(draft, state.ledger, context, org).output : nothing()
  const recalls = { ...nothing(), sends: recall(org, context) }
  const introduced = join(introduction.introduce(org, context), losses(org, context), asks, recalls)
  rounds.met(state.gossip, org, state.ledger, context)
  const done: PeerStep = { state, output: introduced }
  const isWitness = committees.cosigners(context).includes(org) && context.partner(org)
  const sent = isWitness
    ? then(done, context, (next, seen) => own.submission(next, org, { type: 'head', org, met: true }, seen))
    : done
  return then(sent, context, (next, seen) => own.seating(next, s => committees.follow(s, seen, org), seen))
}

// Machines that live in the store.

/** A tick or start for a machine, by the first word of its key. */
function wake(state: PeerState, machine: string, type: 'tick' | 'start', context: Context): PeerStep {
  const [kind, org] = machine.split('/') as [string, string]
  if (kind === 'log') {
    const { ledger, output } = beat.beat(state.ledger, context)
    const done: PeerStep = { state: { ...state, ledger }, output }
    // A successor begins without the committee of the log before it.
    const isAlone = ledger.number > 0 && context.get(KEY.seating) === undefined
    if (type === 'tick' && !isAlone) return done
    return then(done, context, (next, seen) => own.seating(next, s => committees.follow(s, seen), seen))
  }
  if (kind === KEY.seating) return own.seating(state, s => committees.again(s, type, context), context)
  if (kind === promises.PROMISE) return own.asking(state, context)
  if (kind === 'witness') return own.submission(state, org, { type }, context)
  if (kind === 'stock') {
    const { ledger } = state
    const output =
      type === 'start' ? stock.head('start', ledger, context) : stock.tick(machine, ledger, context)
    return { state, output }
  }
  if (kind === 'delivery') return deliver(state, machine, { type }, context)
  const owns = owning.wake(machine, type, context)
  return owns ? logged(state, owns, context) : runMachine(state, machine, { type }, context)
}

// What the driver read.

function pageOf(state: PeerState, input: Extract<Input, { type: 'page' }>, context: Context): PeerStep {
  const [kind, org, id] = input.machine.split('/') as [string, string, string]
  if (kind !== 'catalog') return runMachine(state, input.machine, input, context)
  return { state, output: catalog.page(org, fromHex(id)!, input.rows, input.more, context).output }
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
