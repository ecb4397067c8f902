/**
 * Who a partner is, now: what each side says of itself first on a connection and whenever it changes.
 *
 *     one side                                       its partner
 *                -- hello {versions, addresses, witnesses} -->
 *                -- identity/events {events} -->     checks each new one, keeps them
 *                <-- identity/ask {last} --          of who was told a last event of its own that it does not have
 *                -- identity/known {events} -->      what is known of it: its store was put back
 *
 * A node whose key was rotated while its partner was away is a stranger to it, and says who it is over the stranger's stream:
 *
 *                -- hello/again {versions, org, events} -->   a partner whose events name the key of this connection
 *                <-- hello/known {version, events} --         and the same of the other side
 *                <-- hello/refused {code} --
 */
import { equal } from '../crypto/bytes.ts'
import { encode } from '../crypto/cbor.ts'
import { digestOf } from '../crypto/cid.ts'
import { isBehind } from './behind.ts'
import { firstCommittee } from './committee.ts'
import { knownTo } from './erasure.ts'
import { ProtocolError } from './error.ts'
import * as heads from './heads.ts'
import {
  type Chain,
  chainAt,
  eventsOf,
  extendChain,
  further,
  isNodeKey,
  isRefused,
  type Refused,
} from './identity-chain.ts'
import { convict } from './identity-fork.ts'
import { KEY } from './layout.ts'
import { type Context, type Partner, say, sentence, violation } from './machine.ts'
import type { HelloMessage, Message, MessageOf } from './message.ts'
import { eventsTold, identityBehind, knownElsewhere, stillMissed } from './missed-events.ts'
import { join, nothing, type Output } from './output.ts'
import * as pairing from './pairing.ts'
import { isRetired } from './restored.ts'
import * as succession from './succession.ts'

type HelloOf<T extends HelloMessage['t']> = Extract<HelloMessage, { t: T }>

/** First on each connection. */
export function introduce(org: string, context: Context): Output {
  const output = nothing()
  const { addresses, witnesses } = context
  const first = firstCommittee(context)
  const told = first ? { first } : {}
  const known = context.partner(org)?.chain.last
  const hello: Message = {
    t: 'hello',
    versions: pairing.VERSIONS,
    addresses,
    witnesses,
    ...told,
    ...(known ? { known } : {}),
  }
  const all = [
    hello,
    ...tell(context.self.chain),
    ...heads.show(context),
    ...heads.tellForks(context),
    ...knownTo(org, context),
  ]
  output.sends.push(...all.map(message => ({ to: org, message })))
  return output
}

export function introduced(from: string, message: MessageOf<'hello'>, context: Context): Output {
  const { t, addresses, known } = message
  const partner = context.partner(from)!
  const witnesses = pairing.namedBy(message.witnesses, partner.chain, partner)
  const firsts = pairing.pinned(partner, message.first)
  if (firsts === 'other')
    return violation(from, t, 'COMMITTEE_PINNED', 'another first committee of this log is known here').output
  const output = changed(partner, { addresses, witnesses, firsts }, context)
  // The partner goes by an event of this home's identity that this store does not have.
  if (known && !chainAt(context.self.chain, digestOf(known)))
    output.sends.push({ to: from, message: { t: 'identity/ask', last: context.self.chain.last } })
  return output
}

/** What is known here of the asker's own identity. */
export const recall = (from: string, context: Context): Output =>
  say(undefined, from, { t: 'identity/known', events: eventsOf(context.partner(from)!.chain) }).output

/**
 * What a partner knows of this home's identity. With more events than stand here, this store was put back to before them: it
 * signs none, for the next would be the second of its number (RULES C1).
 */
export function recalled(from: string, { t, events }: MessageOf<'identity/known'>, context: Context): Output {
  const { chain } = context.self
  const told = further(chain, events)
  if (isRefused(told))
    return join(violation(from, t, told.code, told.reason).output, convict(chain, events, context))
  const writes = eventsTold(told, context)
  return writes.length === 0
    ? nothing()
    : { ...nothing(), writes, events: [{ type: 'identity-behind', org: from, events: told.events.length }] }
}

const tell = (chain: Chain): Message[] =>
  chain.events.length > 0 ? [{ t: 'identity/events', events: eventsOf(chain) }] : []

/** A partner tells its identity events: as many as are known, or more. */
export function told(from: string, { t, events }: MessageOf<'identity/events'>, context: Context): Output {
  const partner = context.partner(from)!
  const chain = further(partner.chain, events)
  if (isRefused(chain))
    return join(violation(from, t, chain.code, chain.reason).output, convict(partner.chain, events, context))
  return changed(partner, { chain }, context)
}

/** A partner of whom more is known now, or something else. */
export function changed(partner: Partner, change: Partial<Partner>, context: Context): Output {
  const value = pairing.encodePartner({ ...partner, ...change })
  return equal(value, pairing.encodePartner(partner))
    ? nothing()
    : {
        ...nothing(),
        writes: [
          { key: KEY.partner(partner.org), value },
          ...(change.chain ? succession.followed(partner, change.chain, context) : []),
        ],
        events: [{ type: 'partner', org: partner.org }],
      }
}

// The own identity goes on.

/** The own identity goes on. */
export interface GoingOn {
  /** Signed outside the core. Absent where only what is told is taken. */
  event?: Uint8Array
  /** Who is told. */
  orgs: string[]
  /** First come the own events that partners know and this store lacks: no other copy of it runs. */
  adopts?: boolean
}

/** Throws the code of an event that does not continue the own identity. `chain` is absent where the log says nothing of it. */
export function goOn({ event, orgs, adopts }: GoingOn, context: Context): { output: Output; chain?: Chain } {
  const { get, self } = context
  const known = adopts ? adopted(context) : self.chain
  const chain = event ? extendChain(known, event) : known
  if (isRefused(chain)) throw new ProtocolError(chain.code, chain.reason)
  const behind = identityBehind(get, known)
  if (event && behind !== undefined)
    throw new ProtocolError(
      'IDENTITY_BEHIND',
      `this identity has ${behind} events, and this store has ${known.events.length}`,
    )
  const begins = chain.logs.length > known.logs.length
  if (!begins && known.logs.length > self.chain.logs.length)
    throw new ProtocolError('OUT_OF_ORDER', 'the log that stands was begun elsewhere: it needs a successor')
  // A store that is behind its log may be behind its identity too: it does the one thing that leads out of it.
  const isStill = !begins && (isBehind(get) || isRetired(get))
  if (!adopts && isStill && isBehind(get))
    throw new ProtocolError('RESTORED_BEHIND', 'this store is behind its log: waybill log succeed')
  const before = get(KEY.events)
  const value = encode(eventsOf(chain))
  const output: Output = {
    ...nothing(),
    writes: [
      { key: KEY.events, value, if: before ? { equals: before } : 'absent' },
      ...(adopts ? [stillMissed(chain, get)] : []),
    ],
    sends: orgs.flatMap(to => tell(chain).map(message => ({ to, message }))),
    events: [{ type: 'identity', n: chain.events.length }],
  }
  return { output, ...(adopts && isStill ? {} : { chain }) }
}

function adopted({ get, self }: Context): Chain {
  const chain = knownElsewhere(get, self.chain)
  if (chain) return chain
  throw identityBehind(get, self.chain) === undefined
    ? new ProtocolError(
        'OUT_OF_ORDER',
        'nobody knows an event of this identity that this store does not have',
      )
    : new ProtocolError('NOT_FOUND', 'no partner has told the events that this store lacks yet')
}

// Of partners who met last under other node keys.

export const again = (context: Context): HelloMessage => ({
  t: 'hello/again',
  versions: pairing.VERSIONS,
  org: context.self.id,
  events: eventsOf(context.self.chain),
})

/** A stranger says that it is a partner. `node` is the key that the connection proved. */
export function met(
  hello: HelloOf<'hello/again'>,
  node: Uint8Array,
  context: Context,
): { output: Output; answer: HelloMessage } {
  const refuse = (code: string, why: string) => ({
    output: nothing(),
    answer: { t: 'hello/refused', code, text: sentence(why) } as const,
  })
  const version = pairing.VERSIONS.find(each => hello.versions.includes(each))
  if (version === undefined) return refuse('UNKNOWN_VERSION', `this node speaks version ${pairing.VERSIONS}`)
  const partner = context.partner(hello.org.toString())
  if (!partner) return refuse('NOT_ADMITTED', 'this organisation is no partner here')
  const chain = recognised(partner, hello.events, node)
  if (isRefused(chain))
    return { ...refuse(chain.code, chain.reason), output: convict(partner.chain, hello.events, context) }
  const answer: HelloMessage = { t: 'hello/known', version, events: eventsOf(context.self.chain) }
  return { output: changed(partner, { chain }, context), answer }
}

/** The answer of a partner that was asked whether it knows this node. Throws the code of a refusal. */
export function known(org: string, hello: HelloMessage, node: Uint8Array, context: Context): Output {
  const partner = context.partner(org)
  if (!partner) throw new ProtocolError('NOT_FOUND', `${org} is not a partner of this home`)
  if (hello.t === 'hello/refused') throw new ProtocolError('NOT_ADMITTED', hello.text)
  if (hello.t !== 'hello/known') throw new ProtocolError('OUT_OF_ORDER', 'the answer is no hello/known')
  const chain = recognised(partner, hello.events, node)
  if (!isRefused(chain)) return changed(partner, { chain }, context)
  const proven = convict(partner.chain, hello.events, context)
  if (proven.writes.length > 0) return join(violation(org, hello.t, chain.code, chain.reason).output, proven)
  throw new ProtocolError(chain.code, chain.reason)
}

function recognised(partner: Partner, events: Uint8Array[], node: Uint8Array): Chain | Refused {
  const chain = further(partner.chain, events)
  if (isRefused(chain) || isNodeKey(chain, node)) return chain
  return { code: 'SIGNATURE_INVALID', reason: 'the identity does not delegate the key of this connection' }
}
