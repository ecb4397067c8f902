/**
 * What was bought is registered with the certificate of its purchase (RULES E2): seats look for it before they vote, whoever
 * keeps or shows the chain has it, and `verify` judges who certified it by the same trust file.
 */
import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { decode, encode } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import type { Answer } from '../../protocol/command.ts'
import type { ProtocolError } from '../../protocol/error.ts'
import { type Order, readOrder } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { encodeMessage, type MessageOf } from '../../protocol/message.ts'
import {
  advance,
  type Purchase as Bought,
  isRefused,
  type Link,
  notBought,
  type Refused,
} from '../../protocol/ownership.ts'
import {
  encodeOwnership,
  type OwnershipEvidence,
  verifyOwnership,
} from '../../protocol/ownership-evidence.ts'
import { usualCommittees } from '../../protocol/ownership-trust.ts'
import { keysIn, show } from '../../protocol/parties.ts'
import { shownLinks } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { ownersDoubted, weakest } from '../../protocol/weakness.ts'
import { suite, throwsCode } from '../harness.ts'
import { Joint } from './joint-story.ts'
import { Purchase } from './purchase-story.ts'
import { resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/purchase')

const evidence = (story: Purchase, by: Member = story.bolt): OwnershipEvidence => {
  const { links, identities } = shownLinks(by.knowing, story.asset, 0, 100)
  return { asset: story.asset, links, identities, fresh: [], asOf: story.world.wallMs }
}

function judged(
  story: Purchase,
  file: OwnershipEvidence,
  certified: Member[] = [...story.seats, ...story.others],
  known: Member[] = story.world.members,
): string[] {
  const trust = readTrust({
    schema: 'waybill.trust/1',
    identities: known.map(({ org }) => ({ id: org })),
    committees: [],
    certified: certified.map(({ org }) => org),
  })
  const { steps } = verifyOwnership(encodeOwnership(file), trust, story.world.wallMs)
  return steps.map(({ id, status }) => `${id} ${status}`)
}

const keysOfAll = ({ world }: Purchase) =>
  keysIn(world.members.flatMap(({ env, knowing }) => show([env.self.id], knowing)))

/** The step that a story ended with, and why it is none when its purchase is another. */
function refusedWith(story: Purchase, bought: Bought | undefined, order?: Uint8Array): string {
  const [{ bought: _, ...link }] = evidence(story).links as [Link]
  const changed = { ...link, ...(order ? { order } : {}), ...(bought ? { bought } : {}) }
  const step = advance(undefined, changed, keysOfAll(story))
  return isRefused(step) ? step.code : 'none'
}

test('what was bought is registered before seats that know nobody of before, and handed on with the proof', () => {
  const story = new Purchase().registerBought()
  const { bolt, others, world } = story
  assert.is(story.state(bolt), 'CERTIFIED')
  for (const seat of others) assert.is(story.owner(seat), '0 Bolt GmbH')
  const all = [
    'bundle ok',
    'registration ok',
    'owners ok',
    'committee of the purchase ok',
    'committee from version 0 ok',
    'freshness inconclusive',
  ]
  assert.equal(judged(story, evidence(story)), all)
  // A seat shows the same as the owner; and a buyer that knows neither Acme nor its seats.
  assert.equal(judged(story, evidence(story, others[0]!)), all)
  const nord = world.add('Nord Steel')
  for (const each of [bolt, ...others]) world.pair(nord, each)
  story.offer(nord, bolt)
  const certified = [...story.seats, ...others].map(({ env }) => env.self.id)
  nord.input({ type: 'take-over', order: story.order, certified })
  world.run()
  assert.is(story.owner(nord), '1 Nord Steel')
  assert.ok(judged(story, evidence(story, nord)).includes('committee of the purchase ok'))
  story.check()
})

test('its words name the hand-over, and who sold it', () => {
  const story = new Purchase().registerBought()
  const trust = readTrust({ schema: 'waybill.trust/1', identities: [], committees: [] })
  const { steps } = verifyOwnership(encodeOwnership(evidence(story)), trust, story.world.wallMs)
  const { detail } = steps.find(({ id }) => id === 'registration')!
  const { acme, bolt, bought, sale } = story
  assert.is(detail, `to ${bolt.org}; bought of ${acme.org} by hand-over 1 of ${bought}: ${sale}`)
})

test('who certified a purchase is judged by the trust file, and who sold it', () => {
  const story = new Purchase().registerBought()
  const file = evidence(story)
  const { acme, others, seats, world } = story
  const of = (steps: string[]) => steps.filter(step => !step.endsWith(' ok'))
  assert.equal(of(judged(story, file, others)), [
    'committee of the purchase inconclusive',
    'freshness inconclusive',
  ])
  assert.equal(of(judged(story, file, seats)), [
    'committee from version 0 inconclusive',
    'freshness inconclusive',
  ])
  const strangers = world.members.filter(each => each !== acme)
  assert.equal(of(judged(story, file, undefined, strangers)), [
    'owners inconclusive',
    'freshness inconclusive',
  ])
})

test('before anything is taken it is said what verify would hold against the purchase', () => {
  const story = new Purchase().registerBought()
  const { acme, bolt, others, seats, asset } = story
  const all = [...seats, ...others].map(({ env }) => env.self.id)
  const about = { asset, version: 1 }
  const nord = story.world.add('Nord Steel').env.self.id
  assert.is(weakest(about, [nord], usualCommittees(all), bolt.env.get), undefined)
  const weak = weakest(about, [nord], usualCommittees(all.slice(4)), bolt.env.get)
  assert.match(weak?.text ?? '', /sits in it, and is not certified/)
  // A seat of the asset never met who sold it.
  const rule = usualCommittees(all)
  assert.is(ownersDoubted(about, [], rule, { self: bolt.env.self, get: bolt.env.get }), undefined)
  const { get, self } = others[0]!.env
  assert.is(ownersDoubted(about, [], rule, { self, get }), `${acme.org} is no partner of this home`)
})

test('a purchase that is another one, half certified, of another committee or not shown registers nothing', () => {
  const story = new Purchase().registerBought()
  const [{ bought, order }] = evidence(story).links as [Link]
  const whole = bought!
  const certificate = (change: (votes: Uint8Array[]) => Uint8Array[]) => {
    const read = decode(whole.certificate, 65_536) as { votes: Uint8Array[] }
    return encode({ ...read, votes: change(read.votes) } as never)
  }
  const [own] = evidence(story).links as [Link]
  const [made] = shownLinks(story.bolt.knowing, story.bought, 0, 1).links as [Link]
  const cases: [string, Bought | undefined][] = [
    ['none', whole],
    ['CERTIFICATE_INVALID', undefined],
    ['CERTIFICATE_INVALID', { ...whole, certificate: certificate(votes => votes.slice(1)) }],
    ['CERTIFICATE_INVALID', { ...whole, certificate: certificate(([one, two]) => [one!, two!, two!]) }],
    ['CERTIFICATE_INVALID', { ...whole, certificate: own.certificate }],
    ['UNKNOWN_VERSION', { ...whole, certificate: encode({ t: 'certificate/2', votes: [] }) }],
    ['CERTIFICATE_INVALID', { ...whole, order: made.order, certificate: made.certificate }],
    ['COMMITTEE_INVALID', { ...whole, committee: own.committee! }],
    ['COMMITTEE_INVALID', { ...whole, committee: own.order }],
    ['CERTIFICATE_INVALID', { ...whole, order: own.committee! }],
  ]
  for (const [code, shown] of cases) assert.is(refusedWith(story, shown), code)
  // Named by the registration, and still no purchase of its owner: a registration, and what another bought.
  const named = (id: CID) => resign(order, { bought: id }, ['owner', story.bolt.env.keys.operation])
  const { id } = readOrder(made.order) as { id: CID }
  assert.is(refusedWith(story, { ...whole, order: made.order }, named(id)), 'CERTIFICATE_INVALID')
  const nord = story.world.add('Nord Steel').env.keys.operation
  const forged = resign(whole.order, { made: 7 }, ['from', nord], ['to', nord])
  const other = readOrder(forged) as { id: CID }
  assert.is(refusedWith(story, { ...whole, order: forged }, named(other.id)), 'SIGNATURE_INVALID')
  const step = advance(undefined, { ...made, bought: whole }, keysOfAll(story))
  assert.is((step as Refused).code, 'RECORD_INVALID', 'a purchase that nothing names')
})

test('nobody registers what another bought, what is on its way, or what it made itself', () => {
  const story = new Purchase()
  const { acme, bolt, sale, jury } = story
  const [made] = shownLinks(bolt.knowing, story.bought, 0, 1).links as [Link]
  const { id } = readOrder(made.order) as { id: CID }
  throwsCode(() => story.registerBought(sale, { committee: jury }, acme), 'CERTIFICATE_INVALID')
  throwsCode(() => story.registerBought(id), 'NOT_FOUND')
  throwsCode(() => story.registerBought(story.bought), 'NOT_FOUND')
  throwsCode(() => story.registerBought(sale, { title: 'made' }), 'RECORD_INVALID')
})

test('seats refuse a registration of what its owner never bought, and vote for nothing', () => {
  const story = new Purchase()
  const { bolt, world, others } = story
  world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.registerBought()
  world.bend = () => 1
  const [seat] = others as [Member]
  const { message } = world.wire.findLast(each => each.message.t === 'vote/ask' && each.to === seat)!
  const asked = message as MessageOf<'vote/ask'>
  const [made] = shownLinks(bolt.knowing, story.bought, 0, 1).links as [Link]
  const { id } = readOrder(made.order) as { id: CID }
  const order = resign(asked.order, { bought: id }, ['owner', bolt.env.keys.operation])
  const before = world.wire.length
  world.send(bolt, seat.org, { ...asked, order, bought: { ...asked.bought!, order: made.order } })
  world.run(10)
  const answers = world.wire.slice(before).flatMap(each => (each.from === seat ? [each.message] : []))
  const codes = answers.flatMap(each => (each.t === 'vote/refused' ? [each.refusal.code] : []))
  assert.equal(codes, ['CERTIFICATE_INVALID'])
  assert.not(
    [...seat.store.keys()].some(key => key.startsWith('vote/')),
    'it has voted for nothing',
  )
})

/** What Acme made is handed over to these, of whom all sign what follows. */
function soldTo(story: Joint, one: Member, other: Member): CID {
  story.register().sell(story.acme, one, { others: [other.env.self.id], k: 2 })
  for (const each of [one, other]) if (each !== story.acme) story.yes(story.acme, each)
  assert.is(story.stateAt(story.acme), 'CERTIFIED')
  return story.wrote.get(story.acme)!
}

/** What a registration as bought is refused with. */
function refusal(story: Joint, by: Member, bought: CID): string | undefined {
  const committee = story.assemble(story.seats, by)
  const what = {
    title: 'again',
    domain: 'production',
    level: 'general',
    committee,
    packets: [] as never[],
  } as const
  const { asset } = by.input({ type: 'publish', ...what }) as Extract<Answer, { type: 'published' }>
  const about = { ref: 'again', content: new Uint8Array(32), title: 'bought', bought } as const
  try {
    by.input({ type: 'register', asset, committee, ...about })
    return undefined
  } catch (error) {
    return (error as ProtocolError).message
  }
}

test('who owned it before bought nothing, and who bought together registers together', () => {
  const stays = new Joint()
  const kept = soldTo(stays, stays.bolt, stays.acme)
  assert.match(refusal(stays, stays.acme, kept) ?? '', /owned it before/)
  assert.is(
    refusal(stays, stays.bolt, kept),
    `${stays.acme.org} bought it too, and is no owner by the registration`,
  )
  const two = new Joint()
  const shared = soldTo(two, two.bolt, two.jost)
  assert.is(
    refusal(two, two.bolt, shared),
    `${two.jost.org} bought it too, and is no owner by the registration`,
  )
  // Nor is a hand-over of an asset how its first owner came by it.
  const story = new Purchase().registerBought()
  const [{ order, bought }] = evidence(story).links as [Link]
  const own = resign(order, { asset: story.bought }, ['owner', story.bolt.env.keys.operation])
  const none = notBought(readOrder(own) as Order, bought, keysOfAll(story)) as Refused
  assert.equal(
    [none.code, none.text],
    ['CERTIFICATE_INVALID', 'it is a hand-over of the asset that is registered'],
  )
})

test('a seat of the purchase that becomes an owner is a party: nothing of it is trusted', () => {
  const story = new Purchase()
  const { others, seats, world, sale } = story
  const [seat] = seats as [Member]
  for (const each of others) world.pair(seat, each)
  story.registerBought(sale, { joint: { others: [seat.env.self.id], k: 2 } })
  const certified = [...seats, ...others].map(({ env }) => env.self.id)
  const { order } = story
  throwsCode(() => seat.input({ type: 'take-over', order, certified }), 'MODE_WEAKER')
  seat.input({ type: 'take-over', order, certified, mode: 'byzantine' })
  world.run()
  assert.ok(judged(story, evidence(story)).includes('committee of the purchase inconclusive'))
})

test('what is shown of a purchase does not grow with the keys of who sold and certified it', () => {
  const story = new Purchase().registerBought()
  const { acme, bolt, seats, world } = story
  const size = () => encodeMessage({ t: 'owner/told', ...shownLinks(bolt.knowing, story.asset, 0, 1) }).length
  const before = size()
  for (const each of [acme, seats[0]!]) each.delegate(['operation', 'witness'], ['operation'])
  world.run(60_000)
  assert.is(bolt.knowing.partner(acme.org)!.chain.events.length, 1)
  assert.is(size(), before)
})

test('seats that changed their keys unseen by who bought are shown on as their committee showed them', () => {
  const story = new Purchase()
  const { acme, bolt, seats, world } = story
  const [seat] = seats as [Member]
  world.bend = (_, from, to) => ([from, to].includes(seat) && [from, to].includes(bolt) ? 0 : 1)
  seat.delegate(['operation'], ['operation'])
  world.run(60_000)
  story.jury = story.assemble(seats, acme)
  story.asset = story.publish('second')
  story.register('second').offer().accept()
  assert.is(bolt.knowing.partner(seat.org)!.chain.events.length, 0)
  assert.ok(judged(story, evidence(story)).includes('registration ok'))
  story.registerBought(story.order)
  assert.is(story.state(bolt), 'CERTIFIED')
  assert.ok(judged(story, evidence(story)).includes('committee of the purchase ok'))
})

test('a committee of a purchase is kept once, however much is registered by it', () => {
  const story = new Purchase().registerBought()
  const step = story.others[0]!.store.get(KEY.step(story.asset, 0))!
  const [{ bought }] = evidence(story, story.others[0]!).links as [Link]
  const text = toHex(step)
  assert.ok(text.includes(toHex(bought!.certificate)))
  assert.not(text.includes(toHex(bought!.committee)))
})

test('one of several owners signs what another bought when it is shown, and not what nobody sold', () => {
  const story = new Purchase()
  const { bolt, world, sale } = story
  const nord = world.add('Nord Steel')
  for (const each of [bolt, ...story.others]) world.pair(nord, each)
  const joint = { others: [nord.env.self.id], k: 2 }
  story.registerBought(sale, { joint })
  const certified = [...story.seats, ...story.others].map(({ env }) => env.self.id)
  assert.is(story.state(nord), 'OFFERED')
  nord.input({ type: 'take-over', order: story.order, certified })
  world.run()
  assert.equal([story.state(bolt), story.state(nord)], ['CERTIFIED', 'CERTIFIED'])
  assert.ok(judged(story, evidence(story, nord)).includes('committee of the purchase ok'))
  // The same, with another hand-over shown than the one that is named.
  const [{ bought }] = evidence(story).links as [Link]
  world.bend = ({ t }) => (t === 'handover/offer' ? 0 : 1)
  story.registerBought(sale, { joint, ref: 'once more' })
  world.bend = () => 1
  const { message } = world.wire.findLast(each => each.message.t === 'handover/offer' && each.to === nord)!
  const before = world.wire.length
  const other = resign(
    bought!.order,
    { made: 7 },
    ['from', bolt.env.keys.operation],
    ['to', bolt.env.keys.operation],
  )
  world.send(bolt, nord.org, {
    ...(message as MessageOf<'handover/offer'>),
    bought: { ...bought!, order: other },
  })
  world.run(10)
  const answers = world.wire.slice(before).flatMap(each => (each.from === nord ? [each.message] : []))
  const codes = answers.flatMap(each => (each.t === 'handover/decline' ? [each.refusal.code] : []))
  assert.equal(codes, ['CERTIFICATE_INVALID'])
  story.check()
})

test('a step of a registration that was told without its purchase is not kept', () => {
  const story = new Purchase().registerBought()
  const { bolt, others, world, asset } = story
  const [seat] = others as [Member]
  const { links, identities } = shownLinks(bolt.knowing, asset, 0, 1)
  for (const key of [...seat.store.keys()]) if (/^(title|step)\//.test(key)) seat.store.delete(key)
  const [{ bought: _, ...bare }] = links as [Link]
  world.send(bolt, seat.org, { t: 'owner/told', links: [bare], identities })
  world.run(10)
  assert.is(story.owner(seat), 'unknown')
  const refused = seat.events.flatMap(event => (event.type === 'violation' ? [event.code] : []))
  assert.equal(refused, ['CERTIFICATE_INVALID'])
  world.send(bolt, seat.org, { t: 'owner/told', links, identities })
  world.run(10)
  assert.is(story.owner(seat), '0 Bolt GmbH')
  assert.ok(seat.store.get(KEY.shown(story.acme.env.self.id)), 'who sold it is shown on')
})

test('identities in a file that neither chain nor purchase needs make it fail', () => {
  const story = new Purchase().registerBought()
  const file = evidence(story)
  const nord = story.world.add('Nord Steel')
  const more = show([nord.env.self.id], nord.knowing)
  assert.ok(
    judged(story, { ...file, identities: [...file.identities, ...more] }).includes('identities failed'),
  )
  const few = file.identities.filter((_, i) => i !== file.identities.length - 1)
  assert.ok(
    judged(story, { ...file, identities: few }).some(
      step => step.startsWith('registration ') && !step.endsWith(' ok'),
    ),
  )
})

test.run()
