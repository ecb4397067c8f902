/**
 * The table of protocol/README.md, section 14: what is forged, replayed, expired, by the wrong key or role, or out of order
 * gets the code that stands there. Every row has its case here, and every case its row.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { type CID, cidOf } from '../../crypto/cid.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { decodeSigned, encodeSigned, signRecord } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import { nameOf, type Seating } from '../../protocol/committee.ts'
import type { Delivery } from '../../protocol/delivery.ts'
import { forksKnown } from '../../protocol/fork.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { eventsOf, makeDelegate } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { DELEGATION_MS, MAX_LOGS, MAX_MIRRORED, SIGN_BY_MS } from '../../protocol/limits.ts'
import { type Entry, encodeEntry, originOf, readEntry } from '../../protocol/log.ts'
import { decodeState } from '../../protocol/machine.ts'
import {
  type HelloMessage,
  MESSAGES,
  type Message,
  type MessageOf,
  type MessageType,
} from '../../protocol/message.ts'
import { parseTicket } from '../../protocol/pairing.ts'
import { suite } from '../harness.ts'
import { OWNERSHIP_CASES } from './ownership-codes.ts'
import { alter, DAY_MS, forgedHead, resign, Story } from './story.ts'
import { type Member, START_MS } from './world.ts'

const test = suite('protocol/codes')
const ID = new Uint8Array(16).fill(9)
const HASH = new Uint8Array(32).fill(7)

/** What a case did: a story in which the answer was sent, or the answer itself. */
type Case = () => string | undefined

// What is answered.

/** The first code that this member answers a message with: an error, a refusal, or the status of a witness. */
function firstAnswer(story: Story, by: Member, from = 0): string | undefined {
  for (const { message, from: sender } of story.world.wire.slice(from)) {
    if (sender !== by) continue
    if (message.t === 'error') return message.code
    if (message.t === 'witness/refused' || message.t === 'promise/refused') return String(message.status)
    if ('refusal' in message) return message.refusal.code
  }
  return undefined
}

/** Sends one message and says how it is answered. */
function send(story: Story, from: Member, to: Member, message: Message): string | undefined {
  const { world } = story
  const before = world.wire.length
  world.send(from, to.org, message)
  world.run(10)
  return firstAnswer(story, to, before)
}

/** Plays on with each message of a type changed, and says how the first is answered by `by`. */
function altered<T extends MessageType>(
  story: Story,
  type: T,
  by: (story: Story) => Member,
  change: (message: MessageOf<T>, story: Story) => object,
  play: (story: Story) => void,
): string | undefined {
  const before = story.world.wire.length
  alter(story, type, message => ({ ...message, ...change(message, story) }) as MessageOf<T>)
  play(story)
  return firstAnswer(story, by(story), before)
}
/** Cole's store is an old one; its own log goes on with a successor. */
function putBack({ cole }: Story): void {
  cole.input({ type: 'restored', why: 'older', tickets: [], seats: [], redactions: [] })
  cole.succeed()
}
/** Every key has expired but Acme's log key, which it has just replaced. */
function expireOf({ acme, world }: Story): void {
  world.wallMs += DELEGATION_MS
  acme.delegate(['log'])
  world.run(10)
}
/** Three years pass while a message is on its way: the others have new keys by then, who sent it has not. */
const outdate = (by: (story: Story) => Member) => (_: object, story: Story) => {
  const { world, acme, bolt } = story
  world.wallMs += DELEGATION_MS
  for (const member of [acme, bolt]) if (member !== by(story)) member.delegate(['operation'])
  return {}
}
/** A head under the log key that stands. */
function signedAnew(note: Uint8Array, owner: Member): Uint8Array {
  const { body } = parseNote(text(note))
  return utf8(formatNote({ body, lines: [signNote(body, originOf(owner.chain), owner.key('log'))] }))
}
const acmeOf = ({ acme }: Story) => acme
const boltOf = ({ bolt }: Story) => bolt
const operation = (member: Member) => member.env.keys.operation

// How far a story has come.

const paired = () => new Story({ approval: 'policy' }).pair()
function offered(options: ConstructorParameters<typeof Story>[0] = {}): Story {
  const story = new Story({ approval: 'policy', ...options })
  story.pair().publish()
  assert.ok(story.read())
  return story
}
const agreed = (options: ConstructorParameters<typeof Story>[0] = {}) =>
  new Story({ packets: 1, ...options }).agree()
const ask = (story: Story) => story.request().world.run(1_000)
/** A request that a person has not decided yet. */
function asked(): Story {
  const story = offered({ approval: 'person' })
  ask(story)
  return story
}
/** The consumer has signed, and waits for the provider. */
function signed(): Story {
  const story = offered()
  story.world.bend = message => (message.t === 'negotiation/finalize' ? 0 : 1)
  ask(story)
  return story
}
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

/** How Cole, the witness, answers a head of Acme. */
function added(
  make: (story: Story, newest: { size: number; note: Uint8Array }) => Omit<MessageOf<'witness/add'>, 't'>,
) {
  const story = paired()
  const newest = newestHead(story.acme.env.get)!
  return send(story, story.acme, story.cole, { t: 'witness/add', ...make(story, newest) })
}

/** How Acme's log begins, as it told Cole. */
const beginningOf = (story: Story) =>
  story.world.wire.findLast(({ from, message }) => from === story.acme && message.t === 'log/register')!
    .message as MessageOf<'log/register'>

/** How Cole answers another beginning of Acme's log. */
function registers(change: (message: MessageOf<'log/register'>, story: Story) => object): string | undefined {
  const story = paired()
  const message = beginningOf(story)
  return send(story, story.acme, story.cole, { ...message, ...change(message, story) })
}
/** The entry as if it had been made at another time. */
const openedLater = (entry: Uint8Array): Uint8Array => {
  const read = readEntry(entry) as Entry
  return encodeEntry({ ...read, t: read.t + 1 })
}

const seating = ({ acme }: Story) => decodeState<Seating>(acme.store.get(KEY.seating)!)

/** How Cole, the member, answers a question for a promise. */
function promised(
  make: (committee: CID, size: number, story: Story) => Omit<MessageOf<'promise/ask'>, 't' | 'root'>,
): string | undefined {
  const story = paired()
  const about = make(nameOf(seating(story).now!).id, newestOf(story).size, story)
  return send(story, story.acme, story.cole, { t: 'promise/ask', root: HASH, ...about })
}

/** Shows another head of the size that is seen: the log is closed there. */
function fork(story: Story, at: Member): void {
  const { size } = seenBy(story, at)
  send(story, story.acme, at, { t: 'head/show', note: forgedHead(story.acme, size) })
  assert.ok(at.store.has(KEY.fork(story.acme.org)), 'the log is closed')
}
const seenBy = ({ acme }: Story, at: Member) => readWatch(at.store.get(KEY.watch(acme.org)))!

/** Mirrored by Bolt. */
function mirrored(): Story {
  const story = new Story()
  story.acme.mirrors = [story.bolt.env.self.id]
  return story
}

const newestOf = ({ acme }: Story) => newestHead(acme.env.get)!

/** Cases by message and by what is wrong with it, in the words of the table. */
const CASES: Record<string, Case> = {
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

  'head/show · a head of another log': () => {
    const story = paired()
    return send(story, story.acme, story.bolt, { t: 'head/show', note: forgedHead(story.cole, 5) })
  },
  'head/show · signed by another key': () => {
    const story = paired()
    const { acme, cole } = story
    const env = { ...acme.env, keys: { ...acme.env.keys, log: cole.env.keys.log } }
    const note = forgedHead({ ...acme, env } as unknown as Member, 5)
    return send(story, acme, story.bolt, { t: 'head/show', note })
  },
  'head/ask · from size 0': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'head/ask', size: 0 })
  },
  'head/ask · from a size that no head has come to': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'head/ask', size: newestOf(story).size + 1 })
  },
  'head/proof · a head of another log': () => {
    const story = paired()
    const note = forgedHead(story.cole, 5)
    return send(story, story.acme, story.bolt, { t: 'head/proof', size: 1, root: HASH, note, path: [] })
  },
  'head/proof · a path that proves nothing': () => {
    const story = paired()
    const { size } = seenBy(story, story.bolt)
    const note = forgedHead(story.acme, size + 1)
    return send(story, story.acme, story.bolt, { t: 'head/proof', size, root: HASH, note, path: [HASH] })
  },

  'gossip/head · signed by another key': () => {
    const story = paired()
    const { acme, cole } = story
    const env = { ...acme.env, keys: { ...acme.env.keys, log: cole.env.keys.log } }
    const note = forgedHead({ ...acme, env } as unknown as Member, 5)
    return send(story, cole, story.bolt, { t: 'gossip/head', note })
  },
  'gossip/fork · a proof that convicts nobody': () => {
    const story = paired()
    const { bolt, cole } = story
    fork(story, bolt)
    const [proof] = forksKnown(bolt.env)
    return send(story, bolt, cole, { t: 'gossip/fork', proof: spoilt(proof!) })
  },

  'committee/ask · no record': () => {
    const story = paired()
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee: ID, identities: [] })
  },
  'committee/ask · for the log of another': () => {
    const story = paired()
    const { now } = seating(story)
    return send(story, story.bolt, story.cole, { t: 'committee/ask', committee: now!, identities: [] })
  },
  'committee/signed · signed by another key': () =>
    altered(
      new Story(),
      'committee/signed',
      acmeOf,
      ({ committee }, { bolt }) => ({ committee: resign(committee, {}, ['seat', bolt.env.keys.witness]) }),
      each => each.pair(),
    ),
  'committee/ask · another first committee than was pinned': () => {
    const story = paired()
    const { acme, cole } = story
    acme.input({ type: 'connected', org: cole.org })
    story.world.run(10)
    const payload = { ...decodeSigned(seating(story).now!).p, made: 1 }
    const other = encodeSigned({ p: payload, s: [] })
    // As after a store of Cole's that was put back to before it sat.
    cole.store.delete(KEY.seat(acme.org))
    return send(story, acme, cole, { t: 'committee/ask', committee: other, identities: [] })
  },
  'committee/ask · of a member whose store was put back': () => {
    const story = paired()
    putBack(story)
    const committee = seating(story).now!
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee, identities: [] })
  },
  'committee/ask · of a member whose witness key has expired': () => {
    const story = paired()
    const committee = seating(story).now!
    expireOf(story)
    return send(story, story.acme, story.cole, { t: 'committee/ask', committee, identities: [] })
  },
  'committee/signed · by a witness key that has expired': () =>
    altered(
      new Story(),
      'committee/signed',
      acmeOf,
      ({ committee }, story) => {
        expireOf(story)
        return { committee }
      },
      each => each.pair(),
    ),

  'log/register · no record': () => registers(() => ({ genesis: ID })),
  'log/register · of another log': () => {
    const story = paired()
    return send(story, story.bolt, story.cole, beginningOf(story))
  },
  'log/register · signed by another': () =>
    registers(({ genesis }, { bolt }) => ({ genesis: resign(genesis, {}, ['admin', bolt.key('admin')]) })),
  'log/register · an entry that does not commit to it': () => registers(() => ({ salt: HASH })),
  'log/register · another entry 0 than is registered': () =>
    registers(({ entry, salt }) => ({ entry: openedLater(entry), salt })),
  'log/register · one log too many': () => {
    const story = paired()
    for (let i = 0; i < MAX_LOGS; i++) {
      story.acme.succeed()
      story.world.run(120_000)
    }
    return send(story, story.acme, story.cole, beginningOf(story))
  },
  'log/register · of a log that is closed': () => {
    const story = paired()
    fork(story, story.cole)
    return send(story, story.acme, story.cole, beginningOf(story))
  },
  'log/registered · by who was asked nothing': () => {
    const story = paired()
    const log = story.acme.chain.logs[0]!
    return send(story, story.bolt, story.acme, { t: 'log/registered', log, size: 1, root: HASH })
  },
  'log/refused · by who was asked nothing': () => {
    const story = paired()
    const log = story.acme.chain.logs[0]!
    return send(story, story.bolt, story.acme, { t: 'log/refused', log, refusal: { code: 'X', text: 'x' } })
  },

  'promise/ask · of a log that is not registered': () =>
    promised((committee, size, { acme, cole }) => {
      cole.store.delete(KEY.cosigned(acme.org))
      return { committee, old: 0, size, path: [] }
    }),
  'promise/ask · under a committee that is not known': () =>
    promised((_, size) => ({ committee: cidOf(ID, 'dag-cbor'), old: size, size: size + 1, path: [HASH] })),
  'promise/ask · old greater than the head': () =>
    promised((committee, size) => ({ committee, old: size + 2, size: size + 1, path: [] })),
  'promise/ask · old that is not what is held': () =>
    promised((committee, size) => ({ committee, old: size - 1, size: size + 1, path: [HASH] })),
  'promise/ask · a proof that does not hold': () =>
    promised((committee, size) => ({ committee, old: size, size: size + 1, path: [HASH] })),
  'promise/ask · of a log that is closed': () =>
    promised((committee, size, story) => {
      fork(story, story.cole)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · of a member whose store was put back': () =>
    promised((committee, size, story) => {
      putBack(story)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · by a log key that has expired': () =>
    promised((committee, size, { world }) => {
      world.wallMs += DELEGATION_MS
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),
  'promise/ask · of a member whose witness key has expired': () =>
    promised((committee, size, story) => {
      expireOf(story)
      return { committee, old: size, size: size + 1, path: [HASH] }
    }),

  'witness/add · of a log that is not registered': () =>
    added(({ acme, cole }, { note }) => {
      cole.store.delete(KEY.cosigned(acme.org))
      return { old: 0, note, path: [] }
    }),
  'witness/add · signed by another key': () =>
    added(({ cole }) => ({ old: 0, note: forgedHead(cole, 9), path: [] })),
  'witness/add · old greater than the head': () =>
    added((_, { size, note }) => ({ old: size + 1, note, path: [] })),
  'witness/add · old that is not what is held': () => added((_, { note }) => ({ old: 0, note, path: [] })),
  'witness/add · a proof that does not hold': () =>
    added(({ acme }, { size }) => ({ old: size, note: forgedHead(acme, size + 1), path: [HASH] })),
  'witness/add · of a log that is closed': () => {
    const story = paired()
    const { acme, cole } = story
    const { size, note } = newestOf(story)
    fork(story, cole)
    return send(story, acme, cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/add · to a witness whose store was put back': () => {
    const story = paired()
    putBack(story)
    const { size, note } = newestOf(story)
    return send(story, story.acme, story.cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/add · by a log key that has expired': () =>
    added(({ world }, { size, note }) => {
      world.wallMs += DELEGATION_MS
      return { old: size, note, path: [] }
    }),
  'witness/add · to a witness whose key has expired': () =>
    added((story, { size, note }) => {
      expireOf(story)
      return { old: size, note: signedAnew(note, story.acme), path: [] }
    }),
  'witness/add · while the clock of the witness is behind': () => {
    const story = paired()
    story.cole.skewMs = -DAY_MS
    const { size, note } = newestOf(story)
    return send(story, story.acme, story.cole, { t: 'witness/add', old: size, note, path: [] })
  },
  'witness/cosigned · a line that does not verify': () =>
    altered(
      new Story(),
      'witness/cosigned',
      acmeOf,
      ({ line }) => ({ line: line.with(line.length - 9, line.at(-9)! ^ 1) }),
      each => each.pair(),
    ),
  'witness/cosigned · by who was sent no head': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'witness/cosigned', size: 5, line: HASH })
  },
  'witness/refused · by who was sent no head': () => {
    const story = paired()
    return send(story, story.bolt, story.acme, { t: 'witness/refused', size: 5, status: 409, text: 'x' })
  },

  'mirror/head · a head of another log': () => {
    const story = mirrored().pair()
    return send(story, story.acme, story.bolt, { t: 'mirror/head', note: forgedHead(story.cole, 5) })
  },
  'mirror/head · more entries than are kept': () => {
    const story = mirrored().pair()
    return send(story, story.acme, story.bolt, {
      t: 'mirror/head',
      note: forgedHead(story.acme, MAX_MIRRORED + 1),
    })
  },
  'mirror/ask · by who is no mirror': () => {
    const story = mirrored().pair()
    return send(story, story.cole, story.acme, { t: 'mirror/ask', log: story.acme.env.self.id, from: 0 })
  },
  'mirror/entries · a head of another log': () => {
    const story = mirrored().pair()
    const about = { log: story.acme.env.self.id, from: 0, entries: [], path: [] }
    return send(story, story.acme, story.bolt, {
      t: 'mirror/entries',
      ...about,
      note: forgedHead(story.cole, 5),
    })
  },
  'mirror/entries · an entry that was changed': () =>
    altered(
      mirrored(),
      'mirror/entries',
      boltOf,
      ({ entries }) => ({ entries: entries.with(0, entries[0]!.with(10, entries[0]![10]! ^ 1)) }),
      each => each.pair(),
    ),
  'mirror/entries · an entry left out': () =>
    altered(
      mirrored(),
      'mirror/entries',
      boltOf,
      ({ entries }) => ({ entries: entries.slice(1) }),
      each => each.pair(),
    ),

  'proof/reply · a head of another log': () => {
    const story = paired()
    const reply = {
      id: ID,
      note: forgedHead(story.cole, 5),
      entries: [],
      witnesses: [],
      events: [],
      states: [],
      pending: false,
    }
    return send(story, story.acme, story.bolt, { ...reply, t: 'proof/reply' })
  },
}

Object.assign(CASES, OWNERSHIP_CASES)

/** The proof with one bit of a head's signature changed. */
const spoilt = (proof: Uint8Array): Uint8Array => {
  const at = Buffer.from(proof).lastIndexOf('— ') + 120
  return proof.with(at, proof[at] === 65 ? 66 : 65)
}

/** Messages that hold nothing to forge, or whose wrong forms are all ignored: a repeat, or an answer nobody waits for. */
const NEVER = new Set<MessageType>([
  'error',
  'identity/ask',
  'transfer/terminate',
  'delivery/refused',
  'proof/request',
  'committee/refused',
  'promise/given',
  'promise/refused',
  'seat/refused',
  'seat/kept',
  'gossip/logs',
  'handover/decline',
  'handover/withdraw',
  'vote/refused',
  'owner/known',
  'owner/fresh',
])

// The table.

const spec = readFileSync(join(import.meta.dirname, '..', '..', 'protocol', 'README.md'), 'utf8')
const rows = [
  ...spec.matchAll(/^\| `([a-z]+(?:\/[a-z]+)?)` \| (.+) \| ([a-z ]+) \| (?:`([A-Z_]+)`|([0-9]{3})) \|$/gm),
].map(([, type, what, kind, code, status]) => ({
  name: `${type} · ${what}`,
  type: type!,
  kind: kind!,
  code: code ?? status!,
}))

test('every row has its case, every case its row, and every message rows', () => {
  assert.equal(
    rows.map(({ name }) => name).filter(name => !(name in CASES)),
    [],
    'rows without a case',
  )
  const named = new Set(rows.map(({ name }) => name))
  assert.equal(
    Object.keys(CASES).filter(name => !named.has(name)),
    [],
    'cases without a row',
  )
  assert.is(named.size, rows.length, 'each row once')
  const types = new Set(rows.map(({ type }) => type))
  const bare = (Object.keys(MESSAGES) as MessageType[]).filter(type => !types.has(type) && !NEVER.has(type))
  assert.equal(bare, [], 'messages without a row')
  const kinds = ['forged', 'replayed', 'expired', 'wrong key', 'wrong role', 'out of order', 'too much']
  for (const { kind, name } of rows) assert.ok(kinds.includes(kind), `${name}: ${kind}`)
  for (const kind of kinds)
    assert.ok(
      rows.some(each => each.kind === kind),
      kind,
    )
})

for (const { name, code } of rows) test(`${name}: ${code}`, () => assert.is(CASES[name]?.(), code))

test.run()
