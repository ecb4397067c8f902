/** The dialogues of ownership between participants: who owns what in the end, and what refuses what. */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { freshBy } from '../../protocol/freshness.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import { isOver, type Sitting } from '../../protocol/seats.ts'
import { frozenOf, titleOf } from '../../protocol/title.ts'
import { votesCast } from '../../protocol/voting.ts'
import { suite, throwsCode } from '../harness.ts'
import { disturbed, restarted } from './ownership.suite.ts'
import { assemblies, juries, Ownership } from './ownership-story.ts'
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

test('a home with a seat hears its own word too, and says at once whom it cannot ask', () => {
  const story = new Ownership(2).register().offer().accept(undefined, 'all')
  const [cole, dunn] = story.seats as [Member, Member]
  const before = cole.events.length
  cole.input({ type: 'fresh', asset: story.asset })
  const heard = () => cole.events.slice(before).flatMap(event => (event.type === 'fresh' ? [event] : []))
  assert.equal(
    heard().map(({ org, text }) => [org, text]),
    [
      [cole.org, undefined],
      [dunn.org, 'it is no partner of this home'],
    ].sort(([a], [b]) => (a! < b! ? -1 : 1)),
  )
  story.world.pair(cole, dunn)
  story.world.run()
  cole.events.length = 0
  cole.input({ type: 'fresh', asset: story.asset })
  story.world.run()
  const words = cole.events.flatMap(event => (event.type === 'fresh' && event.fresh ? [event.fresh] : []))
  assert.is(freshBy(words, titleOf(cole.env.get, story.asset)!)?.orgs.length, 2)
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
