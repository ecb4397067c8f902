/** Several owners of one asset: so many of them sign what becomes of it, and none of them alone (RULES E2 to E5). */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { frozenOf, isStopped, titleOf } from '../../protocol/title.ts'
import { suite, throwsCode } from '../harness.ts'
import { Joint } from './joint-story.ts'
import { ordered } from './ownership-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/joint owners')

test('three register together, each signs, and two of them hand it over while the third is away', () => {
  const story = new Joint().ask(2)
  assert.is(story.stateAt(story.acme), 'OFFERED')
  assert.is(story.votes(), 0, 'nobody votes on what not all have signed')
  story.yes(story.acme, story.jost)
  assert.is(story.votes(), 0)
  story.yes(story.acme, story.kern)
  for (const owner of story.all) assert.is(story.stateAt(owner), 'CERTIFIED', owner.env.self.identity.name)
  const owned = titleOf(story.seats[0]!.env.get, story.asset)!
  assert.equal([owned.joint.k, owned.joint.owners.length], [2, 3])
  story.kern.up = false
  story.sell(story.jost).yes(story.jost, story.bolt)
  assert.is(story.stateAt(story.jost, story.jost), 'OFFERED', 'one of two that must')
  assert.not.ok(story.sent('handover/signed').length > 3, 'nobody has signed for the owners')
  story.yes(story.jost, story.acme)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  assert.is(story.stateAt(story.acme, story.jost), 'CERTIFIED')
  assert.equal(story.verdict(story.bolt), [
    'bundle ok',
    'registration ok',
    'hand-over 1 ok',
    'owners ok',
    'committee from version 0 ok',
  ])
  story.kern.restart()
  story.world.run(600_000)
  story.check()
})

test('one owner of several sells nothing: not alone, nor with the signature of the buyer', () => {
  const story = new Joint().joint()
  story.sell(story.acme).yes(story.acme, story.bolt)
  story.world.run(600_000)
  assert.is(story.stateAt(story.acme), 'OFFERED')
  assert.is(story.owner(story.seats[0]!), '0 Acme Steel')
  story.acme.input({ type: 'take-back', order: story.wrote.get(story.acme)! })
  story.world.run()
  assert.is(story.stateAt(story.jost), 'WITHDRAWN')
  story.sell(story.jost).yes(story.jost, story.bolt).yes(story.jost, story.kern)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH', 'the others may')
  story.check()
})

test('an owner holds to one order of a version, so that two that are written at once freeze nothing', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt } = story
  const certified = story.seats.map(({ env }) => env.self.id)
  story.sell(acme).sell(jost)
  throwsCode(() => story.yes(jost, acme), 'OUT_OF_ORDER')
  story.yes(acme, kern)
  throwsCode(
    () => kern.input({ type: 'take-over', order: story.wrote.get(jost)!, certified }),
    'OUT_OF_ORDER',
  )
  story.yes(jost, bolt).yes(acme, bolt)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  assert.is(story.stateAt(acme), 'CERTIFIED')
  assert.is(frozenOf(bolt.env.get, story.asset), undefined)
  story.check()
})

test('an owner that has not met another since that one changed its keys names the state that is certified', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt, world } = story
  acme.up = false
  jost.delegate(['operation'], ['operation'])
  world.run(60_000)
  story.wrote.set(jost, ordered(jost.input({ type: 'reseat', asset: story.asset })))
  world.run()
  story.yes(jost, kern, 60_000)
  jost.up = false
  acme.restart()
  story.sell(acme)
  world.run(60_000)
  assert.is(story.owner(acme), '1 Acme Steel', 'it is told of the step that it missed')
  assert.is(acme.knowing.partner(jost.org)!.chain.events.length, 0)
  story.sell(acme).yes(acme, kern).yes(acme, bolt)
  assert.is(story.stateAt(acme), 'CERTIFIED')
  assert.is(story.owner(bolt), '2 Bolt GmbH')
  story.check()
})

test('an owner that stays is named at one state on both sides, whatever its writer has seen of it', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt, world } = story
  world.bend = (_, from, to) => ([from, to].includes(jost) && [from, to].includes(acme) ? 0 : 1)
  jost.delegate(['operation'], ['operation'])
  world.run(60_000)
  story.wrote.set(jost, ordered(jost.input({ type: 'reseat', asset: story.asset })))
  world.run()
  story.yes(jost, kern, 60_000)
  story.sell(acme)
  world.run(60_000)
  assert.is(story.owner(acme), '1 Acme Steel')
  assert.is(acme.knowing.partner(jost.org)!.chain.events.length, 0)
  story.sell(acme, bolt, { others: [jost.env.self.id], k: 2 })
  // They meet, and Acme sees who Jost is by now.
  world.bend = () => 1
  world.pair(jost, acme)
  world.run(60_000)
  story.yes(acme, kern).yes(acme, jost).yes(acme, bolt)
  assert.is(story.stateAt(acme), 'CERTIFIED')
  assert.is(story.owner(bolt), '2 Bolt GmbH')
  story.check()
})

test('an owner that is to stay and is no partner of the writer cannot be asked, so nothing is written', () => {
  const story = new Joint()
  const { acme, bolt, jost, seats, world } = story
  const lone = world.add('Lone SE')
  for (const each of [acme, ...seats]) world.pair(lone, each)
  story.register().sell(acme, bolt, { others: [lone.env.self.id], k: 2 })
  story.yes(acme, bolt).yes(acme, lone)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  throwsCode(() => story.sell(bolt, jost, { others: [lone.env.self.id], k: 2 }), 'NOT_FOUND')
})

test('who changes its mind before it signed may, and an order that too few want ends and binds nobody', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt } = story
  story.sell(acme).yes(acme, jost).no(acme, jost)
  assert.is(story.stateAt(acme), 'OFFERED', 'Kern may still say yes')
  story.no(acme, kern)
  assert.is(story.stateAt(acme), 'DECLINED')
  story.sell(jost).yes(jost, kern).yes(jost, bolt)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  story.check()
})

test('an owner that said no may say yes once the writer has signed', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt, world } = story
  story.sell(acme).yes(acme, bolt)
  // The writer signs on the word of Jost, which goes back on it before it is asked to sign.
  world.bend = ({ t }) => (t === 'handover/signed' ? 0 : 1)
  story.yes(acme, jost, 2_000)
  assert.is(story.stateAt(acme), 'ACCEPTED')
  story.no(acme, jost)
  world.bend = () => 1
  assert.is(story.stateAt(acme), 'ACCEPTED', 'what it signed nobody takes back')
  throwsCode(() => acme.input({ type: 'take-back', order: story.wrote.get(acme)! }), 'OUT_OF_ORDER')
  story.yes(acme, kern)
  world.run(600_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  story.check()
})

test('what enough owners have signed is certified without the one who wrote it', () => {
  const story = new Joint().joint()
  const { acme, jost, bolt, world } = story
  story.sell(acme).yes(acme, bolt)
  story.yes(acme, jost, 50)
  world.run(200)
  acme.up = false
  world.run(600_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
})

test('an owner that says yes to what was certified long ago without it is told so', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt, world } = story
  story.sell(acme)
  world.bend = (_, __, to) => (to === kern ? 0 : 1)
  story.yes(acme, bolt).yes(acme, jost)
  world.run(86_400_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  story.yes(acme, kern)
  assert.is(story.stateAt(kern), 'ACCEPTED')
  world.bend = () => 1
  world.run(600_000)
  assert.is(story.stateAt(kern), 'CERTIFIED')
  assert.is(story.owner(kern), '1 Bolt GmbH')
  story.check()
})

test('one owner hands over to several, one of them itself, and all of these must sign', () => {
  const story = new Joint().register()
  const { acme, jost } = story
  const own = acme.env.self.id
  story.sell(acme, jost, { others: [own], k: 2 })
  story.yes(acme, jost)
  assert.is(story.owner(jost), '1 Jost AG')
  const owned = titleOf(jost.env.get, story.asset)!
  assert.equal([owned.joint.k, owned.joint.owners.length], [2, 2])
  throwsCode(() => story.sell(story.seats[0]!), 'NOT_OWNER')
  // Both give it to one of them.
  story.sell(acme, acme).yes(acme, jost)
  assert.is(story.owner(jost), '2 Acme Steel')
  story.check()
})

test('who owns together with others is named once, in order, by more than half, and by nobody unasked', () => {
  const story = new Joint().begin()
  const { acme, jost, kern, seats } = story
  const id = ({ env }: Member) => env.self.id
  const what = {
    asset: story.asset,
    committee: story.jury,
    ref: 'x',
    content: new Uint8Array(32),
    title: 'made',
  } as const
  const wrong = (others: CID[], k: number) => () =>
    acme.input({ type: 'register', ...what, joint: { others, k } })
  throwsCode(wrong([id(jost)], 0), 'RECORD_INVALID')
  throwsCode(wrong([id(jost)], 1), 'RECORD_INVALID')
  throwsCode(wrong([id(jost)], 3), 'RECORD_INVALID')
  throwsCode(wrong([id(jost), id(kern)], 1), 'RECORD_INVALID')
  throwsCode(wrong([], 1), 'RECORD_INVALID')
  throwsCode(wrong([id(jost), id(jost)], 2), 'RECORD_INVALID')
  throwsCode(wrong([id(acme)], 2), 'RECORD_INVALID')
  throwsCode(wrong([id(jost), id(seats[0]!)], 2), 'PARTY_SEATED')
  throwsCode(wrong([story.jury], 2), 'NOT_FOUND')
  story.ask(2).no(acme, jost)
  assert.is(story.stateAt(acme), 'DECLINED')
  assert.is(titleOf(acme.env.get, story.asset), undefined)
  story.ask(2, [kern]).yes(acme, kern)
  assert.is(story.owner(kern), '0 Acme Steel')
})

test('owners who sign two orders of one version freeze their asset, and everybody sees which', () => {
  const story = new Joint().joint()
  const { acme, jost, bolt, kern, world, seats } = story
  const before = [acme, jost].map(({ store }) => new Map(store))
  const half = seats.slice(0, 2)
  world.bend = (message, _from, to) => {
    if (to === kern) return 0 // it would have the votes that are missing asked for
    return message.t === 'vote/ask' && !half.includes(to) ? 0 : 1
  }
  story.sell(acme).yes(acme, bolt).yes(acme, jost)
  bolt.up = false
  for (const [i, owner] of [acme, jost].entries()) {
    owner.store.clear()
    for (const [key, value] of before[i]!) owner.store.set(key, value)
    owner.restart()
  }
  world.bend = (message, _from, to) => (message.t === 'vote/ask' && half.includes(to) ? 0 : 1)
  story.sell(jost, kern).yes(jost, kern, 1_000)
  world.bend = () => 1
  bolt.restart()
  world.run(600_000)
  const frozen = frozenOf(kern.env.get, story.asset)
  assert.ok(frozen, 'the proof is there')
  assert.ok(isStopped(frozen!, kern.env.get))
  assert.is(story.owner(bolt), '0 Acme Steel')
})

test('an order that entitles to no content entitles nobody: who asks under it is refused', () => {
  const story = new Joint().joint()
  const { acme, jost, world } = story
  const agreement = story.wrote.get(acme)!
  const before = world.wire.length
  world.send(acme, jost.org, { t: 'transfer/request', id: new Uint8Array(16), agreement })
  world.run(1_000)
  const codes = world.wire
    .slice(before)
    .flatMap(({ message }) => (message.t === 'transfer/terminate' ? [message.refusal.code] : []))
  assert.equal(codes, ['AGREEMENT_UNKNOWN'])
})

test('the committee of several owners is changed by as many of them, and words of seats of owners do not count', () => {
  const story = new Joint().joint()
  const { acme, jost } = story
  story.wrote.set(jost, ordered(jost.input({ type: 'reseat', asset: story.asset })))
  story.world.run()
  assert.is(story.stateAt(jost, jost), 'OFFERED')
  story.yes(jost, acme)
  assert.is(story.owner(acme), '1 Acme Steel')
  const owned = titleOf(acme.env.get, story.asset)!
  assert.equal([owned.since, owned.joint.owners.length, owned.joint.k], [0, 3, 2])
  story.check()
})

test('owners who must all sign and never meet sign by way of the writer', () => {
  const story = new Joint().joint(3)
  const { acme, bolt, jost, kern, world } = story
  const apart = [jost, kern]
  world.bend = (_, from, to) => (apart.includes(from) && apart.includes(to) ? 0 : 1)
  story.sell(acme).yes(acme, bolt).yes(acme, jost).yes(acme, kern)
  world.run(60_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  for (const owner of story.all) assert.is(story.stateAt(owner), 'CERTIFIED', owner.env.self.identity.name)
  story.check()
})

test('an owner that asks another for what it has signed gets the signatures, and takes nobody for a liar', () => {
  const story = new Joint().joint(3)
  const { acme, bolt, jost, kern, world } = story
  // Acme hears once that Jost has signed, and at first nothing of Kern.
  let heard = 0
  const isDropped = (t: string, from: Member, to: Member): boolean =>
    t === 'vote/ask' || (to === acme && from === jost && t === 'handover/signed' && heard++ > 0)
  world.bend = ({ t }, from, to) => (isDropped(t, from, to) || (to === acme && from === kern) ? 0 : 1)
  story.sell(jost).yes(jost, bolt).yes(jost, kern).yes(jost, acme, 5_000)
  assert.is(story.stateAt(kern, jost), 'VOTING')
  assert.is(story.stateAt(acme, jost), 'ACCEPTED')
  world.bend = ({ t }, from, to) => (isDropped(t, from, to) ? 0 : 1)
  world.run(3_600_000)
  assert.is(story.stateAt(acme, jost), 'VOTING')
  assert.equal(
    acme.events.filter(({ type }) => type === 'violation'),
    [],
  )
})

test('an owner is asked for the mode where the committee of what it goes on owning becomes a weaker one', () => {
  const story = new Joint().joint(2)
  const { acme, jost, world } = story
  const next = story.assemble([])
  story.wrote.set(acme, ordered(acme.input({ type: 'reseat', asset: story.asset, next })))
  world.run()
  const yes = { type: 'take-over' as const, order: story.wrote.get(acme)!, certified: [] }
  throwsCode(() => jost.input(yes), 'MODE_WEAKER')
  jost.input({ ...yes, mode: 'none' })
  world.run()
  assert.is(story.owner(jost), '1 Acme Steel')
})

test('an offer that was taken back and comes once more binds nobody', () => {
  const story = new Joint().joint(2)
  const { acme, jost, kern, world } = story
  story.sell(acme).yes(acme, jost)
  const offer = story.sent('handover/offer').at(-1)!
  acme.input({ type: 'take-back', order: story.wrote.get(acme)! })
  world.run()
  world.send(acme, jost.org, offer)
  world.run(60_000)
  assert.is(story.stateAt(jost), 'WITHDRAWN')
  story.sell(kern).yes(kern, story.bolt).yes(kern, jost)
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
})

for (const who of ['an owner that signed', 'an owner that was never asked'] as const)
  test(`a writer that hears no more of what it signed is told by ${who}`, () => {
    const story = new Joint().joint(2)
    const { acme, jost, kern, world } = story
    story.sell(acme, jost)
    // Jost has said yes, and that is the last that Acme hears.
    let heard = 0
    world.bend = ({ t }, _, to) => (to !== acme || (t === 'handover/accept' && heard++ === 0) ? 1 : 0)
    story.yes(acme, jost, 60_000)
    assert.equal(
      [acme, jost, kern].map(each => story.owner(each)),
      ['0 Acme Steel', '1 Jost AG', '1 Jost AG'],
    )
    assert.is(story.stateAt(acme), 'ACCEPTED')
    world.bend = () => 1
    const away = who === 'an owner that signed' ? kern : jost
    away.up = false
    world.run(600_000)
    assert.is(story.stateAt(acme), 'CERTIFIED')
    assert.is(story.owner(acme), '1 Jost AG')
    story.check()
  })

const DAYS_MS = 48 * 3_600_000

test('owners that heard that their registration is signed, and not of its certificate, ask its writer', () => {
  const story = new Joint().ask(2)
  const { acme, jost, kern, world } = story
  world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.yes(acme, jost).yes(acme, kern, 5_000)
  assert.equal([story.stateAt(jost), story.stateAt(kern)], ['VOTING', 'VOTING'])
  jost.up = kern.up = false
  world.bend = () => 1
  world.run(3_600_000)
  jost.restart()
  kern.restart()
  world.run(DAYS_MS)
  assert.equal([story.stateAt(jost), story.stateAt(kern)], ['CERTIFIED', 'CERTIFIED'])
  story.check()
})

test('an offer of a version that is certified by now stays closed where its writer comes late', () => {
  const story = new Joint().joint(2)
  const { acme, bolt, jost, kern, world } = story
  story.sell(acme)
  acme.up = false
  story.sell(jost).yes(jost, bolt).yes(jost, kern)
  world.run(3_600_000)
  acme.restart()
  world.run(DAYS_MS)
  assert.is(story.owner(acme), '1 Bolt GmbH')
  for (const each of [acme, bolt, jost, kern]) assert.is(story.stateAt(each), 'WITHDRAWN')
})

test('so many as are needed end an order without its writer, also who has not signed yet', () => {
  const story = new Joint().joint(3)
  const { acme, bolt, jost, kern, world } = story
  story.sell(acme).yes(acme, bolt)
  world.bend = ({ t }, _, to) => (t === 'handover/signed' && to === kern ? 0 : 1)
  story.yes(acme, jost).yes(acme, kern, 1_000)
  acme.up = false
  world.bend = () => 1
  world.run(DAYS_MS)
  for (const each of [jost, kern, bolt]) assert.is(story.owner(each), '1 Bolt GmbH')
  story.check()
})

test('a yes that is taken back is taken back although the first word of it is lost: its writer is not bound', () => {
  const story = new Joint().joint(3)
  const { acme, bolt, jost, kern, world } = story
  story.sell(acme).yes(acme, bolt).yes(acme, jost)
  let lost = 0
  world.bend = ({ t }) => (t === 'handover/decline' && lost++ === 0 ? 0 : 1)
  story.no(acme, jost)
  world.run(3_600_000)
  assert.is(story.stateAt(acme), 'DECLINED')
  assert.is(story.stateAt(kern), 'WITHDRAWN')
  const said = story.sent('handover/decline').length
  world.run(DAYS_MS)
  assert.is(story.sent('handover/decline').length, said, 'it is said so often, and no more')
})

test('a writer that has signed hears that an owner went back on its yes', () => {
  const story = new Joint().joint(3)
  const { acme, bolt, jost, kern, world } = story
  story.sell(acme).yes(acme, bolt).yes(acme, jost)
  world.bend = ({ t }) => (t === 'handover/decline' ? 0 : 1)
  story.no(acme, jost)
  world.run(DAYS_MS)
  story.yes(acme, kern)
  assert.is(story.stateAt(acme), 'ACCEPTED')
  world.bend = () => 1
  world.run(3_600_000)
  assert.equal(
    story.at(acme)!.refused.map(({ code }) => code),
    ['DENIED_BY_PERSON'],
  )
  story.yes(acme, jost)
  world.run(3_600_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
})

test('an owner that says no to what was certified while it was away hears so', () => {
  const story = new Joint().joint(2)
  const { acme, bolt, jost, kern, world } = story
  story.sell(acme)
  kern.up = false
  story.yes(acme, bolt).yes(acme, jost)
  world.run(DAYS_MS)
  kern.restart()
  world.run(DAYS_MS)
  assert.is(story.owner(kern), '0 Acme Steel')
  story.no(acme, kern)
  assert.is(story.owner(kern), '1 Bolt GmbH')
})

test.run()
