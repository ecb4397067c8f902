/** Who is told of a certificate, when, and what becomes of whoever was not (RULES E5). */
import * as assert from 'uvu/assert'
import { decode, encode } from '../../crypto/cbor.ts'
import { type Order, readOrder } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { encodeState } from '../../protocol/machine.ts'
import { type Dealt, isOver as isCertified } from '../../protocol/ordering-state.ts'
import { shownLinks, titleOf } from '../../protocol/title.ts'
import { suite } from '../harness.ts'
import { Ownership, ordered } from './ownership-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/certificate told')
const all = (story: Ownership, expected: string) =>
  assert.equal([...new Set(story.owners())], [expected], story.owners().join(', '))
const votesOf = (member: Member) => [...member.store.keys()].filter(key => key.startsWith('vote/')).length

test('seats hear of a certificate at once, a buyer with the offer, and nobody is shown again what it has', () => {
  const story = new Ownership().begin()
  const [cole] = story.seats as [Member]
  const types = () => story.world.wire.map(({ message }) => message.t)
  const content = new Uint8Array(32)
  const about = { asset: story.asset, committee: story.jury, ref: 'press 4', content, title: 'made' as const }
  story.acme.input({ type: 'register', ...about })
  story.world.run(1_000)
  assert.is(story.owner(story.acme), '0 Acme Steel')
  assert.is(story.owner(cole), '0 Acme Steel')
  assert.is(types().filter(t => t === 'owner/told').length, 4, 'each seat')
  assert.is(types().filter(t => t === 'owner/known').length, 1, 'the seat that has not voted')
  const offered = story.world.wire.length
  const answer = story.acme.input({
    type: 'hand-over',
    asset: story.asset,
    to: story.bolt.env.self.id,
    passes: { agreements: true, duties: true, keys: true, blocks: true },
  })
  story.order = ordered(answer)
  story.world.run(1_000)
  assert.is(story.owner(story.bolt), '0 Acme Steel')
  story.accept(story.bolt, undefined, 1_000)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  all(story, '1 Bolt GmbH')
  const told = types().slice(offered)
  assert.is(told.filter(t => t === 'owner/told').length, 5, 'the buyer and each seat')
  assert.is(told.filter(t => t === 'owner/known').length, 2, 'the buyer and the seat that has not voted')
  assert.is(told.filter(t => t === 'vote/ask').length, 3, 'as many as decide')
  assert.is(told.filter(t => t === 'handover/signed').length, 0, 'the certificate brings it')
  const shown = story.world.wire.slice(offered).map(({ message }) => message)
  const links = shown.flatMap(message => (message.t === 'owner/told' ? [message.links.length] : []))
  assert.equal(links, [1, 1, 1, 1, 1])
  const asks = shown.filter(message => message.t === 'vote/ask')
  assert.is(asks.filter(message => message.links).length, 0)
  // A new owner does not know who was told.
  const before = story.world.wire.length
  story.offer(story.acme, story.bolt).accept(story.acme)
  all(story, '2 Acme Steel')
  const again = story.world.wire.slice(before).map(({ message }) => message)
  const brought = again.filter(message => message.t === 'vote/ask' || message.t === 'handover/offer')
  assert.is(
    brought.filter(message => message.links).length,
    3,
    'seats that told somebody else that they know',
  )
  story.check()
})

test('steps that come with an order are checked as if they were told: a forged one gets no vote', () => {
  const story = new Ownership().register()
  story.world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.offer().accept(story.bolt, undefined, 1_000)
  story.world.bend = () => 1
  const [cole] = story.seats as [Member]
  for (const key of [...cole.store.keys()]) if (/^(title|step)\//.test(key)) cole.store.delete(key)
  const ask = story.sent('vote/ask').findLast(({ asset }) => !asset)!
  const { links, identities } = shownLinks(story.acme.knowing, story.asset, 0, 1)
  const { t, votes } = decode(links[0]!.certificate, 65_536) as unknown as { t: string; votes: Uint8Array[] }
  const half = encode({ t, votes: votes.slice(1) } as never)
  const answers = (certificate: Uint8Array) => {
    const before = story.world.wire.length
    const all = [...ask.identities, ...identities]
    story.world.send(story.acme, cole.org, {
      ...ask,
      links: [{ ...links[0]!, certificate }],
      identities: all,
    })
    story.world.run(10)
    return story.world.wire.slice(before).flatMap(({ from, message }) => (from === cole ? [message] : []))
  }
  const [refused] = answers(half)
  assert.equal(refused?.t === 'error' && refused.code, 'CERTIFICATE_INVALID')
  assert.is(votesOf(cole), 1)
  assert.is(story.owner(cole), 'unknown')
  assert.equal(
    answers(links[0]!.certificate).map(({ t: type }) => type),
    ['vote/cast'],
  )
  assert.is(votesOf(cole), 2)
})

test('a seat that voted and misses the certificate asks for it when the next order comes', () => {
  const story = new Ownership().begin()
  story.world.bend = ({ t }) => (t === 'owner/told' ? 0 : 1)
  story.register()
  const voters = story.at(story.acme)!.votes.map(({ org }) => org)
  const seat = story.seats.find(({ org }) => voters.includes(org))!
  assert.is(story.owner(seat), 'unknown')
  story.world.run(120_000)
  const asked = story.world.wire.length
  story.world.bend = () => 1
  story.offer().accept(story.bolt, undefined, 1_000)
  const sent = story.world.wire.slice(asked).map(({ message }) => message.t)
  assert.ok(sent.includes('owner/known'), 'it asks for what it misses')
  assert.is(
    story.owner(seat),
    '1 Bolt GmbH',
    'and votes on what comes behind the answer, before anybody is asked again',
  )
  story.world.run(60_000)
  all(story, '1 Bolt GmbH')
  story.check()
})

test('whoever is asked again what it once said yes to, and no, asks nobody else, whoever says how far it knows the asset', () => {
  const story = new Ownership().register().offer()
  const { world, acme, bolt } = story
  const { order } = story.sent('handover/offer')[0]!
  const { id } = readOrder(order) as Order
  bolt.store.set(KEY.signedOrder(story.asset, 1), encodeState({ order: id, signed: false } satisfies Dealt))
  const before = world.wire.length
  world.send(acme, bolt.org, { t: 'owner/known', asset: story.asset, version: 0 })
  world.run(10)
  const said = world.wire.slice(before).filter(({ from }) => from === bolt)
  assert.equal(
    said.map(({ message }) => message.t),
    [],
  )
  story.accept()
  all(story, '1 Bolt GmbH')
})

test('a buyer whose seller and one voter are gone gets the certificate from a seat that was told', () => {
  const story = new Ownership().register().offer()
  const { world, acme, bolt } = story
  // Slow votes: the buyer hears that the order is signed, and waits for its certificate.
  world.delay = ({ t }) => (t === 'vote/cast' ? 2_500 : 0)
  world.bend = ({ t }, _, to) => (t === 'owner/told' && to === bolt ? 0 : 1)
  story.accept(bolt, undefined, 6_000)
  assert.is(story.state(acme), 'CERTIFIED')
  assert.is(story.state(bolt), 'VOTING')
  const voters = story.at(acme)!.votes.map(({ org }) => org)
  const told = story.seats.find(({ org }) => !voters.includes(org))!
  assert.is(story.owner(told), '1 Bolt GmbH')
  world.delay = () => 0
  world.bend = () => 1
  acme.up = false
  story.seats.find(({ org }) => voters.includes(org))!.up = false
  // It told what it knew and has no vote of its own any more, and three of four are needed.
  told.store.delete(KEY.vote(story.at(bolt)!.committee, story.asset, 1))
  world.run(60_000)
  assert.is(story.state(bolt), 'CERTIFIED')
  assert.is(story.owner(bolt), '1 Bolt GmbH')
})

test('a seat that did not vote for a step and was told of it calls the one before no longer the last', () => {
  const story = new Ownership().register().offer()
  const { world, acme, bolt } = story
  const before = titleOf(acme.env.get, story.asset)!
  story.accept()
  const voters = story.at(acme)!.votes.map(({ org }) => org)
  const told = story.seats.find(({ org }) => !voters.includes(org))!
  const { asset, version, committee } = before
  world.send(bolt, told.org, {
    t: 'owner/ask',
    id: new Uint8Array(16),
    committee: committee.id,
    asset,
    version,
  })
  world.run(100)
  assert.is(story.sent('owner/fresh').at(-1)!.refusal?.code, 'VERSION_PASSED')
})

test('a seat whose vote comes too late is told once', () => {
  const story = new Ownership().register().offer()
  let votes = 0
  story.world.delay = ({ t }) => (t === 'vote/cast' ? (++votes <= 3 ? 2_500 : 1_000) : 0)
  const before = story.world.wire.length
  story.accept()
  story.world.run(3_600_000)
  const told = story.world.wire.slice(before).filter(({ message }) => message.t === 'owner/told')
  assert.is(story.sent('vote/cast').length, 3 + 4, 'three of the registration')
  assert.is(told.length, 5, 'the buyer and each seat')
  all(story, '1 Bolt GmbH')
})

test('the buyer asks for the votes itself when its seller is gone', () => {
  const story = new Ownership().register().offer()
  story.world.bend = (message, from) => (from === story.acme && message.t === 'vote/ask' ? 0 : 1)
  story.accept()
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  assert.is(story.owner(story.acme), '1 Bolt GmbH', 'and tells the seller')
  story.check()
})

test('a buyer that was away for longer than anybody tells it hears what it signed has become', () => {
  const story = new Ownership().register().offer()
  const { acme, bolt, world } = story
  // What it says is heard, and nothing comes back.
  world.bend = (_, __, to) => (to === bolt ? 0 : 1)
  story.accept(bolt, undefined, 86_400_000)
  assert.equal([story.state(acme), story.state(bolt)], ['CERTIFIED', 'ACCEPTED'])
  assert.ok(isCertified(story.at(acme)!), 'nobody tells it any more')
  world.bend = () => 1
  world.run(600_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  assert.is(story.state(bolt), 'CERTIFIED')
  story.check()
})

test('seats that never heard that their committee is whole are shown it with a registration, and vote', () => {
  const story = new Ownership()
  const { world, seats, bolt } = story
  const [cole, dunn] = seats as [Member, Member]
  world.bend = ({ t }, _, to) => (t === 'seat/done' && (to === cole || to === dunn) ? 0 : 1)
  story.begin()
  world.run(48 * 3_600_000)
  world.bend = () => 1
  story.register()
  story.offer().accept()
  all(story, '1 Bolt GmbH')
  const before = world.wire.length
  bolt.input({ type: 'fresh', asset: story.asset })
  world.run(10_000)
  const words = world.wire
    .slice(before)
    .flatMap(({ message }) => (message.t === 'owner/fresh' ? [message.fresh !== undefined] : []))
  assert.equal(words, [true, true, true, true])
  story.check()
})

test('a buyer that took an offer, and another in its place, is done with both when one is certified', () => {
  const story = new Ownership().register().offer()
  const { acme, bolt, world } = story
  const first = story.order
  world.bend = ({ t }) => (t === 'handover/accept' || t === 'handover/withdraw' ? 0 : 1)
  story.accept(bolt, undefined, 1_000)
  acme.input({ type: 'take-back', order: first })
  world.run(1_000)
  world.bend = ({ t }) => (t === 'handover/withdraw' ? 0 : 1)
  story.offer().accept()
  all(story, '1 Bolt GmbH')
  world.run(600_000)
  story.order = first
  assert.equal([story.state(acme), story.state(bolt)], ['WITHDRAWN', 'WITHDRAWN'])
  story.check()
})

test.run()
