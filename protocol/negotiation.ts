/**
 * Negotiation, both roles, in message order. States are those of the Dataspace Protocol.
 *
 *     consumer                                          provider
 *     REQUESTED  -- request {offer, action, purpose} -->  decides: permit | deny | ask a person
 *                <-- pending --                           REQUESTED   (a person is asked)
 *                <-- agree {agreement, 1 signature} --    AGREED
 *                … of an asset that is registered: seats say that the provider owns it (entitled.ts) …
 *     VERIFIED   -- verify {agreement, 2 signatures} -->
 *     FINALIZED  <-- finalize --                          FINALIZED
 *     TERMINATED <-- terminate {code, clause, asked, allowed, next} --> TERMINATED
 *
 * Every message may be repeated: the answer is the stored one. The agreement binds once it carries both signatures,
 * whichever side holds it; a lost `finalize` changes nothing but the consumer's word for the state.
 */
import { equal } from '../crypto/bytes.ts'
import { encode, type Value } from '../crypto/cbor.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { decodeSigned, payloadPart } from '../crypto/statement.ts'
import { type Agreement, agreement, draft, withdraw } from './agreement.ts'
import { decideOffer } from './decision.ts'
import { askedSteps, wordsOf } from './entitled.ts'
import type { ProtocolCode } from './error.ts'
import { chainAt, isExpired } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { CLOCK_SKEW_MS, MAX_RECORD_BYTES, REQUEST_MS, SIGN_BY_MS, SIGNATURE_ROOM_BYTES } from './limits.ts'
import { type Context, sentence, signed, stay, tidy, violation } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import {
  at,
  decideBy,
  move,
  type Negotiation,
  type NegotiationStep,
  news,
  repeat,
  signByOf,
  transmit,
} from './negotiation-state.ts'
import { level, ownOffer, seenOffer, sees } from './offered.ts'
import { hear, hold, ownerOf } from './owner-question.ts'
import { isStored, readRecord, type Stored, type Verdict, verifySignatures } from './record.ts'
import { isStapleOf, type Staple } from './staple.ts'
import { handedOver } from './title.ts'

export type NegotiationInput =
  | { type: 'message'; from: string; message: Message }
  | { type: 'request'; id: Uint8Array; org: string; offer: CID; action: string; purpose: string }
  /** A seat answered whether the version of the asset is the last. */
  | { type: 'fresh'; from: string; fresh?: Uint8Array }
  | { type: 'decide'; approve: boolean; reason?: string }
  | { type: 'withdraw'; reason: string }
  | { type: 'tick' }
  | { type: 'start' }

export function step(
  state: Negotiation | undefined,
  input: NegotiationInput,
  context: Context,
): NegotiationStep {
  const next = run(state, input, context)
  if (state?.held && next.state && !next.state.held) next.output.writes.push({ key: KEY.freshFor(state.id) })
  return next
}

function run(state: Negotiation | undefined, input: NegotiationInput, context: Context): NegotiationStep {
  switch (input.type) {
    case 'request':
      return request(input, context)
    case 'message':
      return receive(state, input.from, input.message, context)
    case 'fresh':
      return state ? answered(state, input, context) : stay()
    case 'decide':
      return state ? decide(state, input, context) : stay()
    case 'withdraw':
      return state ? takeBack(state, input.reason, context) : stay()
    case 'tick':
    case 'start':
      return state ? again(state, input.type === 'start', context) : stay()
  }
}

/** The transition table: one line per arrow, and one per repeat. */
function receive(
  n: Negotiation | undefined,
  from: string,
  message: Message,
  context: Context,
): NegotiationStep {
  switch (`${n?.role ?? 'nobody'}/${n?.state ?? 'none'}/${message.t}`) {
    case 'nobody/none/negotiation/request':
      return asked(from, message as MessageOf<'negotiation/request'>, context)
    case 'provider/REQUESTED/negotiation/request':
    case 'provider/AGREED/negotiation/request':
    case 'provider/FINALIZED/negotiation/request':
    case 'provider/TERMINATED/negotiation/request':
    case 'provider/FINALIZED/negotiation/verify':
    case 'provider/TERMINATED/negotiation/verify':
    case 'consumer/VERIFIED/negotiation/agree':
    case 'consumer/FINALIZED/negotiation/agree':
    case 'consumer/TERMINATED/negotiation/agree':
      return repeat(n!)
    case 'consumer/REQUESTED/negotiation/pending':
      return pending(n!)
    case 'consumer/REQUESTED/negotiation/agree':
      return verify(n!, message as MessageOf<'negotiation/agree'>, context)
    case 'provider/AGREED/negotiation/verify':
      return finalize(n!, message as MessageOf<'negotiation/verify'>, context)
    case 'consumer/VERIFIED/negotiation/finalize':
      return move(n!, 'FINALIZED', context)
    case 'consumer/REQUESTED/negotiation/terminate':
    case 'consumer/VERIFIED/negotiation/terminate':
    case 'provider/REQUESTED/negotiation/terminate':
    case 'provider/AGREED/negotiation/terminate':
      return ended(n!, message as MessageOf<'negotiation/terminate'>, context)
    case 'nobody/none/negotiation/terminate': // of a request that never came
    case 'consumer/VERIFIED/negotiation/pending':
    case 'consumer/FINALIZED/negotiation/pending':
    case 'consumer/FINALIZED/negotiation/finalize':
    case 'consumer/TERMINATED/negotiation/pending':
    case 'consumer/TERMINATED/negotiation/finalize':
    case 'consumer/TERMINATED/negotiation/terminate':
    case 'provider/TERMINATED/negotiation/terminate':
      return stay()
    default:
      return n
        ? violation(
            from,
            message.t,
            'OUT_OF_ORDER',
            `${message.t} does not fit ${n.role} in state ${n.state}`,
          )
        : violation(
            from,
            message.t,
            'UNKNOWN_DIALOGUE',
            `${message.t} for a negotiation that nobody began here`,
          )
  }
}

// Consumer asks.

function request(input: Extract<NegotiationInput, { type: 'request' }>, context: Context): NegotiationStep {
  const { id, org, offer: offerId, action, purpose } = input
  const n: Negotiation = {
    role: 'consumer',
    state: 'REQUESTED',
    id,
    org,
    offer: offerId,
    action,
    purpose,
    askedMs: context.now.wallMs,
    consumerState: context.self.chain.last,
    sent: 0,
    history: [{ state: 'REQUESTED', at: context.now.wallMs }],
  }
  const step = transmit(n, context)
  const offered = seenOffer(n, context)
  if (!offered) return step
  // They are here before the agreement: messages keep their order.
  const { sends, writes } = askedSteps(offered, org, context)
  step.output.sends.unshift(...sends)
  step.output.writes.push(...writes)
  return step
}

// Provider decides.

function asked(from: string, message: MessageOf<'negotiation/request'>, context: Context): NegotiationStep {
  const n: Negotiation = {
    role: 'provider',
    state: 'REQUESTED',
    id: message.id,
    org: from,
    offer: message.offer,
    action: message.action,
    purpose: message.purpose,
    askedMs: context.now.wallMs,
    consumerState: message.state,
    sent: 0,
    history: [{ state: 'REQUESTED', at: context.now.wallMs }],
  }
  const consumer = context.partner(from)!
  if (!chainAt(consumer.chain, digestOf(message.state)))
    return refuse(
      n,
      { code: 'RECORD_INVALID', text: 'the key state named is not the one known here' },
      context,
    )
  const decision = judge(n, context)
  if (decision === 'permit') return agree(n, context)
  if (decision === 'ask') return transmit(n, context, 'person')
  return refuse(n, decision, context)
}

/** What the provider's rules say of a request: permit, ask a person, or the refusal. */
function judge(n: Negotiation, context: Context): 'permit' | 'ask' | Refusal {
  const offered = ownOffer(n.offer, context)
  if (!offered || !sees(offered, n.org))
    return { code: 'OFFER_UNKNOWN', text: 'there is no such offer for you', next: 'waybill offers' }
  return (
    handedOver(offered, context.get) ??
    decideOffer(offered, level(offered, context), n, n.org, context.now.wallMs)
  )
}

function decide(
  n: Negotiation,
  input: { approve: boolean; reason?: string },
  context: Context,
): NegotiationStep {
  if (n.role !== 'provider' || n.state !== 'REQUESTED') return stay()
  if (!input.approve)
    return refuse(
      n,
      { code: 'DENIED_BY_PERSON', text: input.reason ?? 'a person decided against it' },
      context,
    )
  const decision = judge(n, context)
  return typeof decision === 'object' ? refuse(n, decision, context) : agree(n, context)
}

function agree(n: Negotiation, context: Context): NegotiationStep {
  const offered = ownOffer(n.offer, context)!
  const payload = draft(offered, {
    offerId: n.offer,
    assignee: context.partner(n.org)!.id,
    assignerState: context.self.chain.last,
    assigneeState: n.consumerState,
    action: n.action,
    purpose: n.purpose,
    assignerNonce: context.random('assigner-nonce', 16),
    assigneeNonce: n.id,
    signByMs: context.now.wallMs + SIGN_BY_MS,
    fromMs: Math.max(offered.from, context.now.wallMs),
  })
  const half = signed(payload, [context.sign(payload, 'assigner', 'operation')])
  const signedHalf = { ...n, agreement: half.bytes, agreementId: half.id, ...staples(n, undefined, context) }
  return transmit(at(signedHalf, 'AGREED', context), context)
}

// Consumer verifies and signs.

function pending(n: Negotiation): NegotiationStep {
  const step = stay<Negotiation>({ ...n, pending: true })
  const machine = KEY.negotiation(n.org, n.id)
  step.output.events.push({
    type: 'negotiation',
    machine,
    org: n.org,
    role: n.role,
    state: n.state,
    waitsFor: 'person',
  })
  return step
}

function verify(n: Negotiation, message: MessageOf<'negotiation/agree'>, context: Context): NegotiationStep {
  const half = readRecord(agreement, message.agreement)
  if (!isStored(half)) return refuse(n, { code: 'RECORD_INVALID', text: half.reason }, context)
  if (half.bytes.length > MAX_RECORD_BYTES - SIGNATURE_ROOM_BYTES)
    return refuse(
      n,
      { code: 'RECORD_INVALID', text: 'the agreement leaves no room for a signature' },
      context,
    )
  const wrong = mismatch(n, half, context)
  if (wrong) return refuse(n, { code: 'AGREEMENT_MISMATCH', text: wrong }, context)
  const verdict = verifySignatures(agreement, half, context.keys, ['assigner'])
  if (verdict.ok !== true) return refuse(n, { code: 'SIGNATURE_INVALID', text: verdict.reason }, context)
  if (isPastKey(n, context)) return refuse(n, PAST_KEY, context)
  if (context.now.wallMs > half.payload.signBy)
    return refuse(n, { code: 'SIGNED_TOO_LATE', text: 'the time to countersign has passed' }, context)
  const owner = ownerOf(n, half.payload, context)
  if (owner.is === 'refused') return refuse(n, owner.refusal, context)
  if (owner.is === 'asked') return hold(n, message, owner, context)
  const whole = signed(half.payload, [
    ...half.signatures,
    context.sign(half.payload, 'assignee', 'operation'),
  ])
  const fresh = owner.words ? { fresh: owner.words } : {}
  const agreed = { agreement: whole.bytes, agreementId: whole.id, ...fresh }
  const next = transmit(
    at({ ...n, ...agreed, ...staples(n, message.staple, context) }, 'VERIFIED', context),
    context,
  )
  return complete(next, n.org, whole)
}

/** A seat answered who owns the asset. What one of them said asks nobody else again. */
function answered(
  n: Negotiation,
  { from, fresh }: Extract<NegotiationInput, { type: 'fresh' }>,
  context: Context,
): NegotiationStep {
  const told = hear(n, from, fresh, context)
  if (!told) return stay(n)
  const next = verify(told, told.held, context)
  return next.state?.held ? stay(told) : next
}

/** What in the agreement is not what was offered and asked. */
function mismatch(n: Negotiation, half: Stored<Agreement>, context: Context): string | undefined {
  const got = half.payload
  const known = seenOffer(n, context)
  if (!known) return 'the offer it rests on is not known here'
  if (got.from < known.from || got.from > context.now.wallMs + CLOCK_SKEW_MS)
    return 'the agreement does not begin now'
  if (!chainAt(context.partner(n.org)!.chain, digestOf(got.assignerState)))
    return 'the key state of the provider is not one known here'
  const expected = draft(known, {
    offerId: n.offer,
    assignee: context.self.id,
    assignerState: got.assignerState,
    assigneeState: n.consumerState,
    action: n.action,
    purpose: n.purpose,
    assignerNonce: got.assignerNonce,
    assigneeNonce: n.id,
    signByMs: got.signBy,
    fromMs: got.from,
  })
  const same = equal(encode(expected as unknown as Value), payloadPart(half.bytes))
  return same && got.from >= known.from ? undefined : 'the agreement differs from the offer and the request'
}

/** Whether the key that the other side signs with is past its date: what it signs now, evidence could not rest on (RULES C3). */
const isPastKey = ({ org }: Negotiation, { partner, now }: Context): boolean =>
  isExpired(partner(org)!.chain, 'operation', now.wallMs)
const PAST_KEY = {
  code: 'KEY_EXPIRED',
  text: 'the operation key that signed is past its date: put a new one in its place with waybill keys rotate operation, and ask again',
} as const

// Provider finalizes.

function finalize(
  n: Negotiation,
  message: MessageOf<'negotiation/verify'>,
  context: Context,
): NegotiationStep {
  const whole = readRecord(agreement, message.agreement)
  if (!isStored(whole)) return violation(n.org, message.t, 'RECORD_INVALID', whole.reason)
  if (!whole.id.equals(n.agreementId!))
    return violation(n.org, message.t, 'AGREEMENT_MISMATCH', 'this is not the agreement that was signed here')
  const verdict = bothSigned(n, whole, context)
  if (verdict.ok !== true) return violation(n.org, message.t, 'SIGNATURE_INVALID', verdict.reason)
  if (isPastKey(n, context)) return refuse(n, PAST_KEY, context)
  if (context.now.wallMs > whole.payload.signBy)
    return refuse(n, { code: 'SIGNED_TOO_LATE', text: 'the countersignature came after signBy' }, context)
  const words = wordsOf(message.fresh, whole.payload.asset, context)
  const fresh = words ? { fresh: words } : {}
  const final = { ...n, agreement: whole.bytes, ...fresh, ...staples(n, message.staple, context) }
  return complete(transmit(at(final, 'FINALIZED', context), context), n.org, whole)
}

/** The own staple once this side signs, the other's if it is one: without it the agreement is as good as its logs are. */
function staples(
  n: Negotiation,
  told: Staple | undefined,
  context: Context,
): Required<Pick<Negotiation, 'staples'>> {
  const own = n.staples?.own ?? context.staple()
  const theirs = told && isStapleOf(context.partner(n.org)!.chain, told) ? told : undefined
  return { staples: { ...(own ? { own } : {}), ...(theirs ? { theirs } : {}) } }
}

/** Both signatures hold; the one that was made here is not checked again while it is the same. */
function bothSigned(n: Negotiation, whole: Stored<Agreement>, context: Context): Verdict {
  const [first, ...others] = whole.signatures
  const own = decodeSigned(n.agreement!).s[0]!
  const same =
    first && first.r === own.r && first.a === own.a && equal(first.k, own.k) && equal(first.s, own.s)
  return same
    ? verifySignatures(agreement, { ...whole, signatures: others }, context.keys, ['assignee'])
    : verifySignatures(agreement, whole, context.keys)
}

/** An agreement with both signatures: stored, logged, and opens the way to the data. */
function complete(next: NegotiationStep, org: string, whole: Stored<Agreement>): NegotiationStep {
  next.records.push(whole as unknown as Stored)
  next.output.writes.push({ key: KEY.grant(org, whole.id), value: whole.bytes })
  return next
}

// Either side ends it.

function refuse(n: Negotiation, refusal: Refusal, context: Context): NegotiationStep {
  return transmit(at({ ...n, refusal: tidy(refusal) }, 'TERMINATED', context), context)
}

function takeBack(n: Negotiation, why: string, context: Context): NegotiationStep {
  if (n.role !== 'provider' || n.state !== 'AGREED') return stay()
  const reason = sentence(why)
  const payload = {
    t: 'withdraw/1',
    org: context.self.id,
    assignee: context.partner(n.org)!.id,
    agreement: n.agreementId!,
    reason,
    made: context.now.wallMs,
  }
  const record = signed(payload, [context.sign(payload, 'assigner', 'operation')])
  const next = refuse({ ...n, withdraw: record.bytes }, { code: 'WITHDRAWN', text: reason }, context)
  next.records.push(record)
  return next
}

function ended(
  n: Negotiation,
  message: MessageOf<'negotiation/terminate'>,
  context: Context,
): NegotiationStep {
  // A consumer that has both signatures holds a binding agreement: only a signed withdrawal ends it.
  if (n.role === 'consumer' && n.state === 'VERIFIED') {
    const taken = message.withdraw && readRecord(withdraw, message.withdraw)
    const holds =
      taken &&
      isStored(taken) &&
      taken.payload.org.toString() === n.org &&
      taken.payload.agreement.equals(n.agreementId!) &&
      verifySignatures(withdraw, taken, context.keys).ok === true
    // Nor does the other side's word that the time is over, before the own clock comes near it.
    const over = context.now.wallMs > signByOf(n) - CLOCK_SKEW_MS
    const late = over && message.refusal.code === ('SIGNED_TOO_LATE' satisfies ProtocolCode)
    if (!holds && !late)
      return violation(n.org, message.t, 'OUT_OF_ORDER', 'the agreement is signed by both already')
    const next = move({ ...n, refusal: message.refusal }, 'TERMINATED', context)
    if (holds) next.records.push(taken as Stored)
    // It opens nothing any more; the record and its log entry stay, for whoever has to judge it.
    next.output.writes.push({ key: KEY.grant(n.org, n.agreementId!) })
    return next
  }
  return move({ ...n, refusal: message.refusal }, 'TERMINATED', context)
}

/** `tick` and `start`: send the last message again, or end what has waited too long. */
function again(n: Negotiation, start: boolean, context: Context): NegotiationStep {
  const { wallMs } = context.now
  if (n.state === 'REQUESTED' && wallMs > n.askedMs + REQUEST_MS)
    return refuse(n, { code: 'TIMED_OUT', text: 'nobody decided in time' }, context)
  if (n.state === 'REQUESTED' && n.role === 'provider') {
    const output = news(n, 'person')
    output.deadlines.push({ machine: KEY.negotiation(n.org, n.id), atMs: decideBy(n, context) })
    return { state: n, output, records: [] }
  }
  if (n.state === 'AGREED' && wallMs > signByOf(n))
    return refuse(n, { code: 'SIGNED_TOO_LATE', text: 'the countersignature did not come in time' }, context)
  if (n.held) return verify(start ? { ...n, sent: 0 } : n, n.held, context)
  const waits = n.state === 'REQUESTED' || n.state === 'AGREED' || n.state === 'VERIFIED'
  return waits ? transmit(start ? { ...n, sent: 0 } : n, context) : stay(n)
}
