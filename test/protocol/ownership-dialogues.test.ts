/** The dialogues of ownership between participants: who owns what in the end, and what refuses what. */
import * as assert from 'uvu/assert'
import { decode, encode } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import { freshBy } from '../../protocol/freshness.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import { isOver as isCertified } from '../../protocol/ordering-state.ts'
import { isOver, type Sitting } from '../../protocol/seats.ts'
import { frozenOf, shownLinks, titleOf } from '../../protocol/title.ts'
import { votesCast } from '../../protocol/voting.ts'
import { suite, throwsCode } from '../harness.ts'
import { disturbed, restarted } from './ownership.suite.ts'
import { assemblies, juries, Ownership, ordered } from './ownership-story.ts'
import { POLICY } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/ownership dialogues')
const all = (story: Ownership, expected: string) =>
  assert.equal([...new Set(story.owners())], [expected], story.owners().join(', '))
const votesOf = (member: Member) => [...member.store.keys()].filter(key => key.startsWith('vote/')).length

test('an asset whose registration was signed is not redacted: who owns it rests on its record', () => {
  const story = new Ownership().begin()
  story.asset = story.publish('Press shop, energy')
  const free = story.publish('Press shop, noise')
  story.register()
  throwsCode(() => story.acme.redact(story.asset, 'a mistake'), 'IN_FORCE')
  story.acme.redact(free, 'a mistake')
  story.offer().accept()
  throwsCode(() => story.acme.redact(story.asset, 'sold'), 'IN_FORCE')
})

test('a committee is put together by its seats, registers an asset and certifies its hand-over', () => {
  const story = new Ownership().register()
  assert.ok(assemblies(story.acme).every(isOver))
  for (const seat of story.seats) assert.ok(juries(seat).some(each => each.equals(story.jury)))
  assert.is(story.state(story.acme), 'CERTIFIED')
  assert.equal(
    [story.acme, ...story.seats].map(each => story.owner(each)),
    Array(5).fill('0 Acme Steel'),
  )
  story.offer()
  assert.is(story.state(story.bolt), 'OFFERED')
  assert.ok(story.bolt.events.some(event => event.type === 'order' && event.waitsFor === 'person'))
  all(story.accept(), '1 Bolt GmbH')
  assert.is(story.state(story.acme), 'CERTIFIED')
  assert.is(story.state(story.bolt), 'CERTIFIED')
  for (const seat of story.seats) assert.ok(votesCast(seat.env.get) <= 2)
  story.check()
  // And on to a third, who has never heard of it.
  const iris = story.world.add('Iris SA')
  for (const other of [story.bolt, ...story.seats]) story.world.pair(other, iris)
  story.world.run()
  story.offer(iris, story.bolt).accept(iris)
  assert.is(story.owner(iris), '2 Iris SA')
  assert.equal([...new Set(story.owners().slice(1))], ['2 Iris SA'], 'who sold it before has not asked')
  story.check()
})

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

test('a buyer refuses a committee that is weaker than its rule, unless a person names the mode', () => {
  for (const [n, mode] of [
    [0, 'none'],
    [1, 'all'],
    [2, 'all'],
    [3, 'all'],
  ] as const) {
    const story = new Ownership(n).register().offer()
    throwsCode(() => story.accept(), 'MODE_WEAKER')
    throwsCode(() => story.accept(story.bolt, 'byzantine'), 'MODE_WEAKER')
    all(story.accept(story.bolt, mode), '1 Bolt GmbH')
    story.check()
  }
  const story = new Ownership(4).register().offer()
  const strangers = () => story.bolt.input({ type: 'take-over', order: story.order, certified: [] })
  throwsCode(strangers, 'MODE_WEAKER')
})

test('an offer is taken back while the owner has not signed, and never afterwards', () => {
  const story = new Ownership().register().offer()
  const first = story.order
  throwsCode(() => story.offer(), 'OUT_OF_ORDER')
  story.acme.input({ type: 'take-back', order: first })
  story.world.run()
  assert.is(story.state(story.bolt), 'WITHDRAWN')
  story.offer()
  assert.not.ok(story.order.equals(first))
  // What was taken back is not signed, however late the buyer says yes.
  all(story.accept(), '1 Bolt GmbH')
  throwsCode(() => story.acme.input({ type: 'take-back', order: story.order }), 'OUT_OF_ORDER')
  throwsCode(() => story.offer(), 'NOT_OWNER')
  story.check()
})

test('a buyer that declines leaves the owner free to offer it again', () => {
  const story = new Ownership().register().offer()
  story.bolt.input({ type: 'leave', order: story.order, reason: 'too dear' })
  story.world.run()
  assert.is(story.state(story.acme), 'DECLINED')
  all(story.offer().accept(), '1 Bolt GmbH')
})

test('a buyer with a seat gets the asset under a committee without it', () => {
  const story = new Ownership(5)
  const [cole, ...others] = story.seats as [Member, ...Member[]]
  story.jury = story.assemble([cole, ...others.slice(0, 3)])
  story.register()
  throwsCode(() => story.offer(cole), 'PARTY_SEATED')
  const next = story.assemble(others)
  story.offer(cole, story.acme, next)
  throwsCode(() => story.accept(cole), 'MODE_WEAKER') // it sat in the first committee, and is a party now
  story.accept(cole, 'byzantine')
  assert.is(story.owner(cole), '1 Cole Logistics')
  assert.is(votesOf(cole), 1, 'it voted for the registration, and not for itself')
  assert.ok(titleOf(story.acme.env.get, story.asset)!.committee.id.equals(next))
  story.check()
  // The new committee decides what follows.
  story.offer(story.bolt, cole).accept(story.bolt, 'byzantine')
  assert.is(story.owner(story.bolt), '2 Bolt GmbH')
  story.check()
})

test('a party of a small mesh is told how many seats are left to decide', () => {
  const story = new Ownership(2)
  const [cole] = story.seats as [Member, Member]
  story.register()
  throwsCode(() => story.offer(cole), 'PARTY_SEATED')
})

test('with a seat away an order waits, and is certified when q seats are there', () => {
  const story = new Ownership()
  story.register().offer()
  const [a, b] = story.seats as [Member, Member, Member, Member]
  a.up = false
  b.up = false
  story.accept()
  assert.is(story.state(story.acme), 'VOTING')
  assert.is(story.owner(story.acme), '0 Acme Steel')
  story.world.run(3_600_000)
  assert.is(story.state(story.acme), 'VOTING')
  b.restart()
  story.world.run(600_000)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  a.restart()
  story.world.run(600_000)
  story.check()
})

test('as many seats are asked as decide; where one of them is away so is the other, and that one last from then on', () => {
  const story = new Ownership().register().offer()
  const { world, acme, bolt } = story
  const asked = (from: number) =>
    world.wire.slice(from).flatMap(({ message, to }) => (message.t === 'vote/ask' ? [to] : []))
  const away = asked(0)[0]!
  assert.is(asked(0).length, 3)
  away.up = false
  let before = world.wire.length
  story.accept(bolt, undefined, 400)
  assert.is(story.state(acme), 'VOTING')
  assert.is(new Set(asked(before)).size, 3, 'the same')
  world.run(3_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  assert.is(new Set(asked(before)).size, 4)
  assert.is(story.sent('handover/signed').length, 1, 'the buyer could ask for itself')
  for (const title of ['press 5', 'press 6', 'press 7']) {
    before = world.wire.length
    story.asset = story.publish(title)
    story.register(title)
    assert.is(story.owner(acme), '0 Acme Steel')
    assert.not.ok(asked(before).includes(away), 'the others have decided')
  }
  away.restart()
  away.input({ type: 'connected', org: acme.org })
  acme.input({ type: 'connected', org: away.org })
  world.run()
  before = world.wire.length
  for (const title of ['press 8', 'press 9', 'press 10', 'press 11', 'press 12']) {
    story.asset = story.publish(title)
    story.register(title)
  }
  assert.ok(asked(before).includes(away), 'it is here again')
  story.check()
})

test('a seat that refuses has the others asked at once', () => {
  const story = new Ownership().register().offer()
  const first = story.world.wire.find(({ message }) => message.t === 'vote/ask')!.to
  first.provenFrom = 1
  story.accept(story.bolt, undefined, 100)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  story.check()
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

test('a store that was put back ends its seats: it says so and never votes there again', () => {
  const story = new Ownership().register()
  const [cole] = story.seats as [Member]
  const seats = [...cole.store.keys()].filter(key => /^(sitting|given)\//.test(key))
  // It has members, so that its log goes on.
  cole.witnesses = [story.acme.env.self.id]
  cole.input({ type: 'start', machine: 'log' })
  story.world.run()
  cole.input({ type: 'restored', why: 'restored', tickets: [], seats, redactions: [] })
  cole.restart()
  cole.input({ type: 'connected', org: story.acme.org })
  story.world.run()
  assert.ok(story.acme.store.has(KEY.lostSeat(story.jury, cole.org)))
  assert.ok(decodeState<Sitting>(cole.store.get(KEY.sitting(story.jury))!).lost)
  assert.not.ok([...cole.secrets.keys()].some(handle => handle.startsWith('vote/')))
  all(story.offer().accept(), '1 Bolt GmbH')
  assert.is(votesOf(cole), 1, 'no vote since')
  assert.ok(story.sent('vote/refused').some(({ refusal }) => refusal.code === 'SEAT_LOST'))
  story.check()
})

test('a node that signs nothing any more still says that its seats are lost (E3)', () => {
  const story = new Ownership().register()
  const [cole] = story.seats as [Member]
  const seats = [...cole.store.keys()].filter(key => /^(sitting|given)\//.test(key))
  cole.input({ type: 'restored', why: 'restored', tickets: [], seats, redactions: [] })
  throwsCode(() => cole.redact(story.asset, 'a mistake'), 'RESTORED_UNWITNESSED')
  cole.input({ type: 'connected', org: story.acme.org })
  story.world.run()
  assert.ok(story.acme.store.has(KEY.lostSeat(story.jury, cole.org)))
})

test('a store that may be old abstains', () => {
  const story = new Ownership().register().offer()
  for (const seat of story.seats.slice(0, 2)) seat.provenFrom = 1
  story.accept()
  assert.is(story.state(story.acme), 'VOTING')
  assert.equal([...new Set(story.at(story.acme)!.refused.map(({ code }) => code))], ['STORE_UNPROVEN'])
  for (const seat of story.seats) seat.provenFrom = 0
  story.world.run(600_000)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
})

test('an owner that signs two orders freezes its own asset, everybody who looks has the evidence, and nobody else is harmed', () => {
  const story = new Ownership(5)
  const holm = story.seats[4]!
  story.seats.pop()
  story.register()
  // Two copies of the owner's store, each of which sells to another.
  const before = new Map(story.acme.store)
  const half = story.seats.slice(0, 2)
  const isHalf = (member: Member) => half.includes(member)
  story.world.bend = (message, _from, to) => (message.t === 'vote/ask' && !isHalf(to) ? 0 : 1)
  story.offer(story.bolt).accept(story.bolt, undefined, 1_000)
  const first = story.order
  assert.is(story.state(story.acme), 'VOTING')
  story.acme.store.clear()
  for (const [key, value] of before) story.acme.store.set(key, value)
  story.bolt.up = false
  story.acme.restart()
  story.world.bend = (message, _from, to) => (message.t === 'vote/ask' && isHalf(to) ? 0 : 1)
  story.offer(holm).accept(holm, undefined, 1_000)
  assert.not.ok(story.order.equals(first))
  story.world.bend = () => 1
  story.world.run(600_000)
  assert.is(story.state(story.acme), 'FROZEN')
  const frozen = frozenOf(story.acme.env.get, story.asset)!
  assert.is(frozen.orders.length, 2)
  // Whoever is told checks it for itself.
  const { acme, bolt } = story
  bolt.restart()
  const orgs = [bolt.org, holm.org, ...story.seats.map(({ org }) => org)]
  acme.input({ type: 'tell-frozen', asset: story.asset, orgs })
  story.world.run(600_000)
  for (const member of [bolt, holm, ...story.seats])
    assert.ok(frozenOf(member.env.get, story.asset), member.env.self.identity.name)
  assert.is(titleOf(bolt.env.get, story.asset)?.version ?? 0, 0, 'nobody owns version 1')
  // Another asset of the same committee is handed over as ever.
  const other = new Set([story.asset.toString()])
  story.asset = story.publish('press 5')
  story.register('press 5').offer(bolt).accept()
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  assert.not.ok(other.has(story.asset.toString()))
})

test('q seats say that a version is the last, and none does once it has voted for the next', () => {
  const story = new Ownership().register()
  const words = (by: Member) => {
    const before = by.events.length
    by.input({ type: 'fresh', asset: story.asset })
    story.world.run()
    return by.events
      .slice(before)
      .flatMap(event => (event.type === 'fresh' && event.fresh ? [event.fresh] : []))
  }
  const owned = titleOf(story.acme.env.get, story.asset)!
  const said = words(story.acme)
  assert.is(said.length, 4)
  assert.is(freshBy(said, owned)!.orgs.length, 4)
  assert.ok(freshBy(said, owned)!.atMs <= story.world.wallMs)
  assert.is(freshBy(said.slice(0, 2), owned), undefined, 'two of three')
  assert.is(freshBy([said[0]!, said[0]!, said[0]!], owned), undefined, 'one seat, however often')
  story.world.bend = ({ t }, from) => (t === 'vote/cast' && from === story.seats[0] ? 0 : 1)
  story.offer().accept()
  const old = { ...titleOf(story.acme.env.get, story.asset)!, version: 0, owner: story.acme.env.self.id }
  assert.is(freshBy(words(story.acme), old), undefined, 'the version before')
  assert.is(freshBy(words(story.acme), titleOf(story.acme.env.get, story.asset)!)!.orgs.length, 4)
})

test('a former owner makes no offer any more, and whoever knows asks for none of its old ones', () => {
  const story = new Ownership().register()
  const { acme, world } = story
  const [cole, ...seats] = story.seats as [Member, ...Member[]]
  for (const seat of seats) world.pair(cole, seat)
  const policy = { ...POLICY, permissions: [{ action: 'use', constraints: [] }] }
  const terms = {
    audience: [] as CID[],
    policy,
    approval: 'policy' as const,
    untilMs: world.wallMs + 86_400_000,
  }
  const made = acme.input({ type: 'offer', asset: story.asset, ...terms }) as { offer: CID }
  cole.input({ type: 'catalog', org: acme.org })
  world.run()
  const ask = { type: 'request', org: acme.org, offer: made.offer, action: 'use', purpose: 'x' } as const
  cole.input(ask)
  world.run()
  assert.ok(
    [...cole.store.keys()].some(key => key.startsWith(KEY.grants)),
    'while Acme owns it',
  )
  story.offer().accept()
  throwsCode(() => cole.input(ask), 'NOT_OWNER')
  throwsCode(() => acme.input({ type: 'offer', asset: story.asset, ...terms }), 'NOT_OWNER')
})

test('with nobody to vote a second sale is noticed when two buyers meet', () => {
  const story = new Ownership(0)
  const iris = story.world.add('Iris SA')
  for (const other of [story.acme, story.bolt]) story.world.pair(other, iris)
  story.register()
  const before = new Map(story.acme.store)
  story.offer(story.bolt).accept(story.bolt, 'none')
  story.acme.store.clear()
  for (const [key, value] of before) story.acme.store.set(key, value)
  story.acme.restart()
  story.offer(iris).accept(iris, 'none')
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  assert.is(story.owner(iris), '1 Iris SA')
  story.bolt.input({ type: 'fresh', asset: story.asset })
  story.world.send(story.bolt, iris.org, {
    t: 'owner/known',
    asset: story.asset,
  })
  story.world.run()
  assert.ok(frozenOf(story.bolt.env.get, story.asset), 'two orders of one version')
})

disturbed(test, ['vote/cast', 'owner/told'])
restarted(test, [40])

test.run()
