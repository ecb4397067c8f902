/** What is wrong with a message of an exchange, and the code that it gets: rows of protocol/README.md, section 14. */
import { cidOf } from '../../crypto/cid.ts'
import { decodeSigned, encodeSigned, signRecord } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import type { Delivery } from '../../protocol/delivery.ts'
import { eventsOf, makeDelegate } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { SIGN_BY_MS } from '../../protocol/limits.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { HelloMessage, MessageOf } from '../../protocol/message.ts'
import { parseTicket } from '../../protocol/pairing.ts'
import {
  acmeOf,
  agreed,
  altered,
  ask,
  asked,
  boltOf,
  type Case,
  HASH,
  ID,
  offered,
  operation,
  outdate,
  paired,
  send,
  signed,
} from './code-story.ts'
import { DAY_MS, resign, Story } from './story.ts'
import { type Member, START_MS } from './world.ts'

const deliveryOf = ({ bolt }: Story) =>
  [...bolt.store]
    .filter(([key]) => key.startsWith(KEY.deliveries))
    .map(([, value]) => decodeState<Delivery>(value))[0]!
const idOf = (story: Story) => story.asked()!.id

/** A receipt or release signed again, changed. */
const again = (record: Uint8Array, role: string, by: Member, change: object = {}) =>
  resign(record, change, [role, operation(by)])

/** How a hello is answered, by an inviter that made a ticket. */
function hello(
  change: (hello: HelloMessage, story: Story) => HelloMessage,
  more: { by?: 'cole'; late?: true } = {},
) {
  const story = new Story()
  const { acme, bolt, cole, world } = story
  const node = acme.env.keys.node.public
  const made = acme.input({ type: 'invite', forWhom: '', expiresMs: world.wallMs + 3_600_000, node })
  const ticket = parseTicket((made as Extract<Answer, { type: 'ticket' }>).ticket)
  const joining = (bolt.input({ type: 'join', ticket }) as Extract<Answer, { type: 'hello' }>).hello
  if (more.late) world.run(2 * 3_600_000)
  const by = more.by ? cole : bolt
  const answer = acme.input({ type: 'hello', node: by.env.keys.node.public, hello: change(joining, story) })
  const said = (answer as Extract<Answer, { type: 'hello' }>).hello
  return said.t === 'hello/refused' ? said.code : undefined
}
type Join = Extract<HelloMessage, { t: 'hello/join' }>

/** How an identity event of Acme is answered by Bolt. */
function event(make: (story: Story, next: Uint8Array) => Uint8Array[]): string | undefined {
  const story = paired()
  const { acme, bolt, world } = story
  acme.delegate(['log'])
  world.run(60_000)
  const about = { keys: { node: { key: acme.draw(), untilMs: 1 } } }
  const next = makeDelegate(acme.chain, acme.key('admin'), about, world.wallMs)
  return send(story, acme, bolt, { t: 'identity/events', events: make(story, next) })
}
const changed = (next: Uint8Array, change: object): Uint8Array => {
  const { p, s } = decodeSigned(next)
  return encodeSigned({ p: { ...p, ...change } as typeof p, s })
}
const known = ({ acme }: Story) => eventsOf(acme.chain)[0]!

/** How Acme takes what Bolt says to be known of Acme's identity. */
function recalls(of: (story: Story) => Member): string | undefined {
  const story = paired()
  const { acme, bolt } = story
  const make = (by: Member) =>
    makeDelegate(by.chain, by.key('admin'), { keys: { node: { key: by.draw(), untilMs: 1 } } }, 1)
  const events = [make(of(story))]
  acme.delegate(['log'])
  story.world.run()
  return send(story, bolt, acme, { t: 'identity/known', events })
}

export const EXCHANGE_CASES: Record<string, Case> = {
  'hello/join · a secret that was not made here': () => hello(each => ({ ...each, secret: ID }) as Join),
  'hello/join · a ticket after its time': () => hello(each => each, { late: true }),
  'hello/join · over the connection of another': () => hello(each => each, { by: 'cole' }),
  'hello/join · an identity that is not signed': () =>
    hello((each, { bolt }) => {
      const { p, s } = decodeSigned(bolt.env.self.identityBytes)
      return { ...each, identity: encodeSigned({ p, s: s.slice(1) }) } as Join
    }),
  'hello/join · no version in common': () => hello(each => ({ ...each, versions: [2] }) as Join),
  'hello/join · another message in its place': () =>
    hello(() => ({ t: 'hello/refused', code: 'X', text: 'x' })),

  'hello · another first committee than was pinned': () => {
    const story = paired()
    const { acme, bolt } = story
    acme.input({ type: 'connected', org: bolt.org })
    story.world.run(10)
    const [said] = story.world.wire.filter(({ message }) => message.t === 'hello' && message.first).slice(-1)
    const hello = said!.message as MessageOf<'hello'>
    const first = { ...hello.first!, committee: cidOf(ID, 'dag-cbor') }
    return send(story, acme, bolt, { ...hello, first })
  },
  'identity/events · a signature that is missing': () =>
    event((story, next) => {
      const { p, s } = decodeSigned(next)
      return [known(story), encodeSigned({ p, s: s.slice(1) })]
    }),
  'identity/events · of another organisation': () =>
    event((story, next) => [known(story), changed(next, { org: story.cole.env.self.id })]),
  'identity/events · a number that is skipped': () =>
    event((story, next) => [known(story), changed(next, { n: 7 })]),
  'identity/events · not linked to the one before': () =>
    event((story, next) => [known(story), changed(next, { prev: story.acme.env.self.id })]),
  'identity/events · a second one of a number': () =>
    event(({ acme, world }) => {
      const about = { keys: { node: { key: acme.draw(), untilMs: 1 } } }
      return [makeDelegate(acme.env.self.chain, acme.key('admin'), about, world.wallMs)]
    }),

  'identity/known · a second one of a number': () => recalls(({ acme }) => acme),
  'identity/known · of a third, by another admin key': () => {
    const story = paired()
    const { acme, bolt, cole } = story
    const about = { keys: { node: { key: acme.draw(), untilMs: 1 } } }
    const events = [makeDelegate(acme.chain, cole.key('admin'), about, 1)]
    return send(story, cole, bolt, { t: 'identity/known', of: acme.env.self.id, events })
  },
  'identity/known · of another organisation': () => recalls(({ bolt }) => bolt),

  'catalog/request · a place that no page has': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'catalog/request', id: ID, after: '../x' })
  },
  'catalog/page · an offer that another signed': () => {
    const story = new Story().pair().publish()
    const forge = ({ items }: MessageOf<'catalog/page'>, { cole }: Story) => ({
      items: items.map(each => ({ ...each, offer: resign(each.offer, {}, ['provider', operation(cole)]) })),
    })
    return altered(story, 'catalog/page', boltOf, forge, each => each.read())
  },

  'negotiation/request · another key state': () => {
    const state = ({ cole }: Story) => ({ state: cole.env.self.id })
    return altered(offered(), 'negotiation/request', acmeOf, (_, story) => state(story), ask)
  },
  'negotiation/request · an offer that is not for the asker': () => {
    const story = offered()
    const { acme, cole, offer } = story
    const about = { id: ID, offer: offer!, action: 'analyse', purpose: 'benchmark', state: acme.env.self.id }
    const unknown = { ...about, offer: story.asset!, state: cole.env.self.id }
    return send(story, cole, acme, { t: 'negotiation/request', ...unknown })
  },
  'negotiation/request · an offer that has ended': () => {
    const story = offered({ untilMs: START_MS + DAY_MS })
    story.world.delay = message => (message.t === 'negotiation/request' ? 2 * DAY_MS : 0)
    return altered(
      story,
      'negotiation/request',
      acmeOf,
      () => ({}),
      each => each.request().world.run(3 * DAY_MS),
    )
  },
  'negotiation/request · a purpose that the policy denies': () =>
    altered(offered(), 'negotiation/request', acmeOf, () => ({ purpose: 'marketing' }), ask),
  'negotiation/agree · no record': () =>
    altered(offered(), 'negotiation/agree', boltOf, () => ({ agreement: ID }), ask),
  'negotiation/agree · signed by another': () =>
    altered(
      offered(),
      'negotiation/agree',
      boltOf,
      ({ agreement }, { cole }) => ({ agreement: again(agreement, 'assigner', cole) }),
      ask,
    ),
  'negotiation/agree · other terms than offered': () =>
    altered(
      offered(),
      'negotiation/agree',
      boltOf,
      ({ agreement }, { acme }) => ({
        agreement: again(agreement, 'assigner', acme, { purpose: 'marketing' }),
      }),
      ask,
    ),
  'negotiation/agree · after its time for signing': () => {
    const story = offered()
    story.world.delay = message => (message.t === 'negotiation/agree' ? SIGN_BY_MS + 1 : 0)
    return altered(
      story,
      'negotiation/agree',
      boltOf,
      () => ({}),
      each => each.request().world.run(2 * SIGN_BY_MS),
    )
  },
  'negotiation/agree · by an operation key that has expired': () =>
    altered(offered(), 'negotiation/agree', boltOf, outdate(acmeOf), ask),
  'negotiation/agree · for a request that nobody made': () => {
    const story = offered()
    return send(story, story.acme, story.bolt, { t: 'negotiation/agree', id: ID, agreement: ID })
  },
  'negotiation/verify · no record': () =>
    altered(offered(), 'negotiation/verify', acmeOf, () => ({ agreement: ID }), ask),
  'negotiation/verify · another agreement than was signed': () =>
    altered(
      offered(),
      'negotiation/verify',
      acmeOf,
      ({ agreement }, { acme, bolt }) => ({
        agreement: resign(
          agreement,
          { purpose: 'x' },
          ['assigner', operation(acme)],
          ['assignee', operation(bolt)],
        ),
      }),
      ask,
    ),
  'negotiation/verify · signed by another': () =>
    altered(
      offered(),
      'negotiation/verify',
      acmeOf,
      ({ agreement }, { acme, cole }) => ({
        agreement: resign(agreement, {}, ['assigner', operation(acme)], ['assignee', operation(cole)]),
      }),
      ask,
    ),
  'negotiation/verify · by an operation key that has expired': () =>
    altered(offered(), 'negotiation/verify', acmeOf, outdate(boltOf), ask),
  'negotiation/verify · before there is an agreement': () => {
    const story = asked()
    return send(story, story.bolt, story.acme, { t: 'negotiation/verify', id: idOf(story), agreement: ID })
  },
  'negotiation/verify · by the provider': () => {
    const story = asked()
    return send(story, story.acme, story.bolt, { t: 'negotiation/verify', id: idOf(story), agreement: ID })
  },
  'negotiation/verify · of another partner': () => {
    const story = asked()
    return send(story, story.cole, story.acme, { t: 'negotiation/verify', id: idOf(story), agreement: ID })
  },
  'negotiation/pending · for a request that nobody made': () => {
    const story = offered()
    return send(story, story.acme, story.bolt, { t: 'negotiation/pending', id: ID })
  },
  'negotiation/finalize · before both have signed': () => {
    const story = asked()
    return send(story, story.acme, story.bolt, { t: 'negotiation/finalize', id: idOf(story) })
  },
  'negotiation/finalize · for a request that nobody made': () => {
    const story = offered()
    return send(story, story.acme, story.bolt, { t: 'negotiation/finalize', id: ID })
  },
  'negotiation/terminate · after the consumer signed, without a withdrawal': () => {
    const story = signed()
    const refusal = { code: 'WITHDRAWN', text: 'x' }
    return send(story, story.acme, story.bolt, { t: 'negotiation/terminate', id: idOf(story), refusal })
  },
  'negotiation/terminate · too late, said too early': () => {
    const story = signed()
    const refusal = { code: 'SIGNED_TOO_LATE', text: 'x' }
    return send(story, story.acme, story.bolt, { t: 'negotiation/terminate', id: idOf(story), refusal })
  },

  'transfer/request · under an agreement of another': () => {
    const story = agreed()
    return send(story, story.cole, story.acme, { t: 'transfer/request', id: ID, agreement: story.agreement! })
  },
  'transfer/request · by the provider': () => {
    const story = agreed()
    return send(story, story.acme, story.bolt, { t: 'transfer/request', id: ID, agreement: story.agreement! })
  },
  'transfer/request · under an agreement that has ended': () => {
    const story = agreed({ untilMs: START_MS + DAY_MS })
    story.world.run(2 * DAY_MS)
    return send(story, story.bolt, story.acme, { t: 'transfer/request', id: ID, agreement: story.agreement! })
  },
  'transfer/request · a place that no page has': () => {
    const story = agreed()
    const { agreement } = story
    return send(story, story.bolt, story.acme, {
      t: 'transfer/request',
      id: ID,
      agreement: agreement!,
      after: '../x',
    })
  },
  'transfer/start · a packet that another signed': () =>
    altered(
      agreed(),
      'transfer/start',
      boltOf,
      ({ packets }, { cole }) => ({
        packets: packets.map(each => ({ ...each, packet: again(each.packet, 'publisher', cole) })),
      }),
      each => each.transfer(),
    ),
  'transfer/start · a packet of another asset': () =>
    altered(
      agreed(),
      'transfer/start',
      boltOf,
      ({ packets }, { acme, offer }) => ({
        packets: packets.map(each => ({
          ...each,
          packet: again(each.packet, 'publisher', acme, { asset: offer }),
        })),
      }),
      each => each.transfer(),
    ),
  'transfer/start · no record': () =>
    altered(
      agreed(),
      'transfer/start',
      boltOf,
      ({ packets }) => ({ packets: packets.map(each => ({ ...each, packet: ID })) }),
      each => each.transfer(),
    ),
  'transfer/start · for a transfer that nobody began': () => {
    const story = agreed()
    return send(story, story.acme, story.bolt, { t: 'transfer/start', id: ID, packets: [] })
  },
  'transfer/complete · for a transfer that nobody began': () => {
    const story = agreed()
    return send(story, story.bolt, story.acme, { t: 'transfer/complete', id: ID })
  },

  'delivery/received · no record': () => {
    const story = agreed()
    return send(story, story.bolt, story.acme, { t: 'delivery/received', receipt: ID })
  },
  'delivery/received · signed by another': () =>
    altered(
      agreed(),
      'delivery/received',
      acmeOf,
      ({ receipt }, { cole }) => ({ receipt: again(receipt, 'consumer', cole) }),
      each => each.transfer(),
    ),
  'delivery/received · another receipt for the same packet': () => {
    const story = agreed().transfer()
    const receipt = again(deliveryOf(story).receipt!, 'consumer', story.bolt, { oneTime: HASH })
    return send(story, story.bolt, story.acme, { t: 'delivery/received', receipt })
  },
  'delivery/received · of the delivery of another': () => {
    const story = agreed().transfer()
    return send(story, story.cole, story.acme, {
      t: 'delivery/received',
      receipt: deliveryOf(story).receipt!,
    })
  },
  'delivery/received · by the provider': () => {
    const story = agreed().transfer()
    return send(story, story.acme, story.bolt, {
      t: 'delivery/received',
      receipt: deliveryOf(story).receipt!,
    })
  },
  'delivery/received · after the agreement has ended': () => {
    const story = agreed({ untilMs: START_MS + DAY_MS })
    story.world.delay = message => (message.t === 'delivery/received' ? DAY_MS : 0)
    return altered(
      story,
      'delivery/received',
      acmeOf,
      () => ({}),
      each => {
        each.transfer()
        each.world.run(2 * DAY_MS)
      },
    )
  },
  'delivery/release · for another receipt': () =>
    altered(
      agreed(),
      'delivery/release',
      boltOf,
      ({ release }, { acme, offer }) => ({ release: again(release, 'provider', acme, { receipt: offer }) }),
      each => each.transfer(),
    ),
  'delivery/release · signed by another': () =>
    altered(
      agreed(),
      'delivery/release',
      boltOf,
      ({ release }, { cole }) => ({ release: again(release, 'provider', cole) }),
      each => each.transfer(),
    ),
  'delivery/release · for a delivery that nobody began': () =>
    altered(
      agreed(),
      'delivery/release',
      boltOf,
      ({ release }, { acme, offer }) => ({ release: again(release, 'provider', acme, { packet: offer }) }),
      each => each.transfer(),
    ),
  'delivery/opened · of another release': () =>
    altered(
      agreed(),
      'delivery/opened',
      acmeOf,
      ({ receipt }, { bolt, offer }) => ({ receipt: again(receipt, 'consumer', bolt, { release: offer }) }),
      each => each.transfer(),
    ),
  'delivery/opened · signed by another': () =>
    altered(
      agreed(),
      'delivery/opened',
      acmeOf,
      ({ receipt }, { cole }) => ({ receipt: again(receipt, 'consumer', cole) }),
      each => each.transfer(),
    ),
  'delivery/rejected · that the release refutes': () =>
    altered(
      agreed(),
      'delivery/opened',
      acmeOf,
      ({ receipt }, { bolt }) => {
        const { p } = decodeSigned(receipt)
        const oneTimePrivate = [...bolt.secrets].find(([handle]) => handle.startsWith('one-time/'))![1]
        const lie = { ...p, t: 'rejected/1', reason: 'key', oneTimePrivate }
        return { t: 'delivery/rejected', receipt: again(receipt, 'consumer', bolt, lie) }
      },
      each => each.transfer(),
    ),
  'delivery/done · before the receipt': () => {
    const story = agreed()
    story.world.bend = message => (message.t === 'delivery/release' ? 0 : 1)
    story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
    story.world.run(100)
    const { agreement, packet } = deliveryOf(story)
    return send(story, story.acme, story.bolt, { t: 'delivery/done', agreement, packet })
  },

  'redaction/ask · no record': () => {
    const story = agreed()
    return send(story, story.acme, story.bolt, { t: 'redaction/ask', redaction: ID })
  },
  'redaction/ask · signed by another': () => {
    const story = agreed()
    const { acme, cole, world } = story
    const { id: org } = acme.env.self
    const about = { record: story.asset!, type: 'asset/1', reason: 'x', made: world.wallMs, nonce: ID }
    const payload = { t: 'redaction/1', org, ...about }
    const redaction = encodeSigned({ p: payload, s: [signRecord(payload, 'keeper', operation(cole))] })
    return send(story, acme, story.bolt, { t: 'redaction/ask', redaction })
  },
  'redaction/known · no record': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'redaction/known', redactions: [ID] })
  },
  'redaction/known · signed by another': () => {
    const story = agreed()
    const { acme, bolt, world } = story
    const { id: org } = acme.env.self
    const about = { record: story.asset!, type: 'asset/1', reason: 'x', made: world.wallMs, nonce: ID }
    const payload = { t: 'redaction/1', org, ...about }
    const word = encodeSigned({ p: payload, s: [signRecord(payload, 'keeper', operation(bolt))] })
    return send(story, bolt, acme, { t: 'redaction/known', redactions: [word] })
  },
  'redaction/answer · to no question': () => {
    const story = agreed()
    const about = { record: story.asset!, outcome: 'erased', text: 'x' } as const
    return send(story, story.bolt, story.acme, { t: 'redaction/answer', ...about })
  },
}
