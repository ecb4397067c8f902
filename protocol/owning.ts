/** Ownership as the peer runs it: which message, tick, command or connection goes to which of its dialogues. */
import { fromHex, toHex } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import type { Mode } from './asset-committee.ts'
import { over } from './context.ts'
import * as drafting from './drafting.ts'
import { ProtocolError } from './error.ts'
import type { Event } from './event.ts'
import { KEY } from './layout.ts'
import { type Context, type Step, stay } from './machine.ts'
import type { Message, MessageOf, MessageType } from './message.ts'
import * as offering from './offering.ts'
import * as ordering from './ordering.ts'
import { type Ordering, orderIn } from './ordering-state.ts'
import { join } from './output.ts'
import { usualCommittees } from './ownership-trust.ts'
import * as seats from './seats.ts'
import * as title from './title.ts'
import * as voting from './voting.ts'

export type OwnershipCommand =
  /** Asks these partners for seats in a committee of assets; `rule` where it is not the usual one for so many, `prev` where it takes the place of another. */
  | { type: 'assemble'; seats: CID[]; rule?: { f: number; q: number }; prev?: CID }
  /** Takes the seat that a partner asks for, where a person decides. */
  | { type: 'sit'; org: string; id: string }
  | ({ type: 'register' } & drafting.Register)
  | ({ type: 'hand-over' } & drafting.HandOver)
  /** Lets another committee vote on an own asset from here on; without one, names the newest own keys under the same. */
  | { type: 'reseat'; asset: CID; next?: CID }
  | { type: 'take-back'; order: CID }
  /** `mode` where the committee is weaker than the rule; `certified` and `control` are what this home says of seats. */
  | { type: 'take-over'; order: CID; mode?: Mode; certified: CID[]; control?: CID[][] }
  | { type: 'leave'; order: CID; reason: string }
  /** Asks the seats whether the version that is known here is the last. */
  | { type: 'fresh'; asset: CID }
  /** Tells these partners that an owner signed two orders. */
  | { type: 'tell-frozen'; asset: CID; orgs: string[] }

const COMMANDS = new Set<string>([
  'assemble',
  'sit',
  'register',
  'hand-over',
  'reseat',
  'take-back',
  'take-over',
  'leave',
  'fresh',
  'tell-frozen',
] satisfies OwnershipCommand['type'][])
export const isCommand = (input: { type: string }): input is OwnershipCommand => COMMANDS.has(input.type)

type OwnershipType = Extract<MessageType, `${'seat' | 'handover' | 'vote' | 'owner'}/${string}`>
const isOf = (type: string): type is OwnershipType => /^(seat|handover|vote|owner)\//.test(type)
export const isMessage = (message: Message): message is MessageOf<OwnershipType> => isOf(message.t)

/** Throws ProtocolError for what cannot be done. */
export function command(
  input: OwnershipCommand,
  context: Context,
): { step: Step<unknown>; machine?: string } {
  switch (input.type) {
    case 'assemble': {
      const { id, ...step } = seats.assemble(input, context)
      return { step, machine: KEY.assembling(id) }
    }
    case 'sit':
      return { step: seats.give(input.org, fromHex(input.id) ?? new Uint8Array(0), context) }
    case 'register':
      return ordered(drafting.register(input, context))
    case 'hand-over':
      return ordered(drafting.offer(input, context))
    case 'reseat':
      return ordered(drafting.reseat(input, context))
    case 'take-back':
      return ordered(offering.withdraw(input.order, context))
    case 'take-over': {
      const rule = usualCommittees(input.certified, input.control)
      return ordered(offering.accept({ ...input, rule }, context))
    }
    case 'leave':
      return ordered(offering.refuse(input.order, input.reason, context))
    case 'fresh':
      return askFresh(input.asset, context)
    case 'tell-frozen': {
      const step = stay<unknown>()
      const frozen = title.frozenOf(context.get, input.asset)
      if (frozen) step.output.sends.push(...input.orgs.map(to => ({ to, message: title.tellFrozen(frozen) })))
      return { step }
    }
  }
}

const ordered = (step: Step<Ordering>): { step: Step<unknown>; machine: string } => ({
  step,
  machine: KEY.order(orderIn(step.state!).id),
})

function askFresh(asset: CID, context: Context): { step: Step<unknown>; machine: string } {
  const owned = title.titleOf(context.get, asset)
  if (!owned) throw new ProtocolError('NOT_FOUND', `the ownership of ${asset} is not known here`)
  const id = context.random('fresh', 16)
  const step = stay<unknown>()
  const { id: committee, payload } = owned.committee
  const ask = { committee, asset, version: owned.version }
  for (const { org } of payload.seats) {
    const to = org.toString()
    if (to === context.self.org) step.output.events.push(heard(to, id, voting.freshWord(ask, context)))
    else if (context.partner(to)) step.output.sends.push({ to, message: { t: 'owner/ask', id, ...ask } })
    else step.output.events.push(heard(to, id, { text: 'it is no partner of this home' }))
  }
  return { step, machine: `fresh/${toHex(id)}` }
}

/** What a seat says, or why it says nothing. */
const heard = (org: string, id: Uint8Array, said: { fresh: Uint8Array } | { text: string }): Event => ({
  type: 'fresh',
  org,
  id: toHex(id),
  ...('fresh' in said ? { fresh: said.fresh } : { text: said.text }),
})

export function receive(from: string, message: MessageOf<OwnershipType>, context: Context): Step<unknown> {
  switch (message.t) {
    case 'seat/ask':
      return seats.asked(from, message, context)
    case 'seat/sign':
      return seats.sign(from, message, context)
    case 'seat/done':
      return seats.done(from, message, context)
    case 'seat/lost':
      return seats.lost(from, message, context)
    case 'seat/given':
    case 'seat/signed':
    case 'seat/refused':
    case 'seat/kept':
      return seats.answered(from, message, context)
    case 'handover/offer':
      return settling(offering.offered(from, message, context), context)
    case 'handover/accept':
      return settling(offering.accepted(from, message, context), context)
    case 'handover/decline':
      return offering.declined(from, message, context)
    case 'handover/withdraw':
      return offering.withdrawn(from, message, context)
    case 'handover/signed':
      return settling(offering.complete(from, message, context), context)
    case 'vote/ask':
      return settling(voting.asked(from, message, context), context)
    case 'vote/cast':
      return settling(ordering.cast(from, message, context), context)
    case 'vote/refused':
      return ordering.refused(from, message, context)
    case 'owner/told':
      return settling(title.told(from, message, context), context)
    case 'owner/known':
      return ordering.known(from, message, context)
    case 'owner/ask':
      return voting.askedFresh(from, message, context)
    case 'owner/fresh': {
      const { id, fresh, refusal } = message
      const step = stay<unknown>()
      step.output.events.push(heard(from, id, fresh ? { fresh } : { text: refusal?.text ?? '' }))
      return step
    }
    case 'owner/frozen':
      return title.shownFrozen(from, message, context)
  }
}

/** Steps that come from elsewhere may end orders of this node. */
function settling(step: Step<unknown>, context: Context): Step<unknown> {
  let all = step
  for (const event of step.output.events) {
    if (event.type !== 'owner') continue
    const more = ordering.settled(event.asset, event.version, over(context, all.output))
    all = { output: join(all.output, more.output), records: [...all.records, ...more.records] }
  }
  return all
}

/** Machines of ownership, by the first word of their key. */
export function wake(machine: string, type: 'tick' | 'start', context: Context): Step<unknown> | undefined {
  if (machine.startsWith(KEY.assemblies)) return seats.again(machine, type, context)
  if (machine.startsWith(KEY.orders)) return ordering.again(machine, type, context)
  return machine === KEY.votes ? voting.count(context) : undefined
}

/** What a partner is told first on a connection. */
export const tellLost = (context: Context): Message[] => seats.tellLost(context)
