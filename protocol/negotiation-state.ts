/** Where a negotiation stands, and what each state says: the message that it sent last, when it sends that again, and what is told here. */
import type { CID } from '../crypto/cid.ts'
import { type Agreement, agreement } from './agreement.ts'
import type { Heard } from './entitled.ts'
import type { Role } from './event.ts'
import type { Words } from './freshness.ts'
import { KEY } from './layout.ts'
import { REQUEST_MS } from './limits.ts'
import { type Context, resendAt, type Step, say } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import { nothing } from './output.ts'
import { readRecord, type Stored } from './record.ts'
import type { Staple } from './staple.ts'

export type NegotiationState = 'REQUESTED' | 'AGREED' | 'VERIFIED' | 'FINALIZED' | 'TERMINATED'

export interface Negotiation {
  role: Role
  state: NegotiationState
  /** 16 bytes that the consumer drew; they are also its nonce in the agreement. */
  id: Uint8Array
  org: string
  offer: CID
  action: string
  purpose: string
  /** Wall time of the request as this side saw it, ms since 1970. */
  askedMs: number
  /** The last event of the consumer's identity chain, as it says. */
  consumerState: CID
  /** The newest form of the agreement, encoded with its signatures, and its id. */
  agreement?: Uint8Array
  agreementId?: CID
  /** The provider said that a person is asked. */
  pending?: boolean
  /** The key states of the two sides, as each handed its own over when it signed. */
  staples?: { own?: Staple; theirs?: Staple }
  /** What waits to be signed until seats have said who owns the asset, and what they have said. */
  held?: MessageOf<'negotiation/agree'>
  heard?: Heard
  /** Their words, once it is signed. */
  fresh?: Words
  refusal?: Refusal
  withdraw?: Uint8Array
  /** How often the last message was sent. */
  sent: number
  /** Each change of state with its wall time: what a consent receipt shows as history. */
  history: { state: string; at: number }[]
}

export type NegotiationStep = Step<Negotiation>

/** States in which nothing more is due. */
export const isOver = (n: Negotiation): boolean => n.state === 'FINALIZED' || n.state === 'TERMINATED'

/** Sends the message of the state, and arms the timer while an answer is due. */
export function transmit(n: Negotiation, context: Context, waitsFor?: 'person'): NegotiationStep {
  const asks = n.state === 'REQUESTED' && n.role === 'provider'
  const waits = n.state === 'AGREED' || n.state === 'VERIFIED' || n.state === 'REQUESTED'
  const output = news(n, waitsFor)
  output.sends.push({ to: n.org, message: last(n) })
  const machine = KEY.negotiation(n.org, n.id)
  const atMs = asks ? decideBy(n, context) : resendAt(context.now, n.sent)
  output.deadlines.push({ machine, atMs: waits ? atMs : Number.POSITIVE_INFINITY })
  return { state: { ...n, sent: n.sent + 1 }, output, records: [] }
}

export const repeat = (n: Negotiation): NegotiationStep => say(n, n.org, last(n))

/** Monotonic time at which a request that waits for a person ends. */
export const decideBy = (n: Negotiation, { now }: Context): number =>
  now.monoMs + Math.max(0, n.askedMs + REQUEST_MS - now.wallMs) + 1

/** Wall time until which the second signature of the agreement counts. */
export const signByOf = (n: Negotiation): number =>
  (readRecord(agreement, n.agreement!) as Stored<Agreement>).payload.signBy

const stapled = ({ staples }: Negotiation) => (staples?.own ? { staple: staples.own } : {})

/** The message that each state last sent. */
function last(n: Negotiation): Message {
  const { id } = n
  if (n.state === 'TERMINATED')
    return {
      t: 'negotiation/terminate',
      id,
      refusal: n.refusal!,
      ...(n.withdraw ? { withdraw: n.withdraw } : {}),
    }
  if (n.role === 'consumer')
    return n.state === 'REQUESTED'
      ? {
          t: 'negotiation/request',
          id,
          offer: n.offer,
          action: n.action,
          purpose: n.purpose,
          state: n.consumerState,
        }
      : {
          t: 'negotiation/verify',
          id,
          agreement: n.agreement!,
          ...stapled(n),
          ...(n.fresh ? { fresh: n.fresh } : {}),
        }
  if (n.state === 'REQUESTED') return { t: 'negotiation/pending', id }
  return n.state === 'AGREED'
    ? { t: 'negotiation/agree', id, agreement: n.agreement!, ...stapled(n) }
    : { t: 'negotiation/finalize', id }
}

export const at = ({ held: _, heard: __, ...n }: Negotiation, state: NegotiationState, context: Context) => ({
  ...n,
  state,
  sent: 0,
  history: [...n.history, { state, at: context.now.wallMs }],
})

export function move(n: Negotiation, state: NegotiationState, context: Context): NegotiationStep {
  const next = at(n, state, context)
  const output = news(next)
  output.deadlines.push({ machine: KEY.negotiation(n.org, n.id), atMs: Number.POSITIVE_INFINITY })
  return { state: next, output, records: [] }
}

export function news(n: Negotiation, waitsFor?: 'person') {
  const output = nothing()
  const machine = KEY.negotiation(n.org, n.id)
  const event = { type: 'negotiation', machine, org: n.org, role: n.role, state: n.state } as const
  output.events.push(waitsFor ? { ...event, waitsFor } : event)
  return output
}
