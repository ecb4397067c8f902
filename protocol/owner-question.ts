/**
 * What holds the consumer's signature back: who owns the asset is asked first (RULES E6). The agreement that is to be signed
 * waits with the negotiation until seats have answered; entitled.ts says how many and what is enough.
 */
import { utf8 } from '../crypto/bytes.ts'
import type { Agreement } from './agreement.ts'
import { type Entitled, entitled, heard } from './entitled.ts'
import { KEY } from './layout.ts'
import { type Context, resendAt, stay } from './machine.ts'
import type { MessageOf } from './message.ts'
import type { Negotiation, NegotiationStep } from './negotiation-state.ts'
import { described, seenOffer } from './offered.ts'

const nobodyYet = { words: [], denied: [] }

/** By what seats have said so far: whether to sign an agreement, to ask, or to refuse. */
export function ownerOf(n: Negotiation, agreed: Agreement, context: Context): Entitled {
  const isNamed = described(agreed.asset, context)?.committee !== undefined
  return entitled({ ...agreed, isNamed }, n.heard ?? nobodyYet, n.id, n.org, context)
}

/** Asks who owns the asset, and keeps what is to be signed for when it is known. */
export function hold(
  n: Negotiation,
  held: MessageOf<'negotiation/agree'>,
  { sends, writes }: Extract<Entitled, { is: 'asked' }>,
  context: Context,
): NegotiationStep {
  const machine = KEY.negotiation(n.org, n.id)
  const step = stay<Negotiation>({ ...n, held, heard: n.heard ?? nobodyYet, sent: n.sent + 1 })
  step.output.sends.push(...sends)
  step.output.writes.push(...writes, { key: KEY.freshFor(n.id), value: utf8(machine) })
  step.output.deadlines.push({ machine, atMs: resendAt(context.now, n.sent) })
  return step
}

/** The negotiation with what a seat said, that the version of the asset is the last or that it does not say so, if it waits for that. */
export function hear(
  n: Negotiation,
  from: string,
  fresh: Uint8Array | undefined,
  context: Context,
): (Negotiation & Required<Pick<Negotiation, 'held'>>) | undefined {
  const { held, heard: before } = n
  const asset = held && seenOffer(n, context)?.asset
  if (!held || !before || !asset || n.state !== 'REQUESTED') return undefined
  return { ...n, held, heard: heard(before, from, fresh, asset, context) }
}
