/** The dialogues that live in the store: loads one, steps it, stores what it became, and logs what it recorded. */
import * as delivery from './delivery.ts'
import * as erasure from './erasure.ts'
import { logged, type PeerState, type PeerStep, saved, then } from './fold.ts'
import { keepSeen } from './kept.ts'
import { KEY } from './layout.ts'
import { type Context, decodeState, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import * as negotiation from './negotiation.ts'
import { isOver, type Negotiation } from './negotiation-state.ts'
import { join, nothing } from './output.ts'
import * as transfer from './transfer.ts'

type DialogueInput = negotiation.NegotiationInput | transfer.TransferInput | erasure.AskingInput
/** Runs a negotiation or a transfer: loads its state, steps, stores what it became, and logs what it recorded. */
export function runMachine(state: PeerState, key: string, input: DialogueInput, context: Context): PeerStep {
  const stored = context.get(key)
  if (key.startsWith('negotiation/')) {
    const before = stored && decodeState<Negotiation>(stored)
    const step = negotiation.step(before, input as negotiation.NegotiationInput, context)
    return logged(state, saved(key, stored, step, isOver), context)
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

export function deliver(
  state: PeerState,
  key: string,
  input: delivery.DeliveryInput,
  context: Context,
): PeerStep {
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

/** Deliveries are found by agreement and packet; a receipt that cannot be read finds none and is refused by the machine. */
export function deliveryKey(message: Message): string {
  if (message.t === 'delivery/done' || message.t === 'delivery/refused')
    return KEY.delivery(message.agreement, message.packet)
  const bytes =
    message.t === 'delivery/release' ? message.release : (message as MessageOf<'delivery/received'>).receipt
  const ids = delivery.idsOf(bytes)
  return ids ? KEY.delivery(ids.agreement, ids.packet) : 'delivery/none'
}

export function redactionOf(
  state: PeerState,
  from: string,
  message: MessageOf<'redaction/ask' | 'redaction/answer' | 'redaction/known'>,
  context: Context,
): PeerStep {
  if (message.t === 'redaction/known') return { state, output: erasure.known(from, message, context).output }
  if (message.t === 'redaction/ask') return logged(state, erasure.asked(from, message, context), context)
  const key = KEY.redaction(from, message.record)
  const stored = context.get(key)
  const step = erasure.answered(stored && decodeState(stored), from, message)
  return logged(state, saved(key, stored, step, erasure.isAnswered), context)
}
