/** Seats that lost their votes count among those that may lie, for everybody who heard it, until others take their place (RULES E3). */
import * as assert from 'uvu/assert'
import { cidFromDigest } from '../../crypto/cid.ts'
import { modeOf } from '../../protocol/asset-committee.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_SITTINGS } from '../../protocol/limits.ts'
import { usualCommittees } from '../../protocol/ownership-trust.ts'
import { committeeKnown } from '../../protocol/title.ts'
import { lostIn, weakness } from '../../protocol/weakness.ts'
import { suite, throwsCode } from '../harness.ts'
import { Ownership } from './ownership-story.ts'
import { resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/lost seats')

/** Its store was put back; with a member its log goes on, and it signs. */
function lose(story: Ownership, ...seats: Member[]): void {
  for (const seat of seats) {
    seat.witnesses = [story.acme.env.self.id]
    seat.input({ type: 'start', machine: 'log' })
    story.world.run()
    const keys = [...seat.store.keys()].filter(key => /^(sitting|given)\//.test(key))
    seat.input({ type: 'restored', why: 'restored', tickets: [], seats: keys, redactions: [] })
    seat.restart()
    tell(story, seat)
  }
}

function tell(story: Ownership, seat: Member): void {
  for (const { org } of [story.acme, story.bolt]) seat.input({ type: 'connected', org })
  story.world.run()
}

const lostAt = ({ env }: Member, { jury }: Ownership): number =>
  lostIn(committeeKnown(env.get, jury)!, env.get).length

test('what a committee is worth says how many of its seats lost their votes', () => {
  const four = { n: 4, f: 1, q: 3 }
  const seven = { n: 7, f: 2, q: 5 }
  assert.equal(
    [0, 1, 2].map(lost => modeOf(four, lost).mode),
    ['byzantine', 'majority', 'none'],
  )
  assert.equal(
    [0, 1, 2, 3].map(lost => modeOf(seven, lost).mode),
    ['byzantine', 'byzantine', 'majority', 'none'],
  )
  assert.is(modeOf({ n: 3, f: 2, q: 3 }, 1).mode, 'none')
  assert.match(
    modeOf(seven, 1).words,
    '1 of 7 seats lost their votes, 5 of the 6 others vote: safe while at most 1',
  )
  assert.match(modeOf(seven, 1).words, 'if more than 1 of the 6 others disappear')
  assert.match(modeOf(four, 2).words, 'can never be handed over again')
  assert.match(modeOf({ n: 7, f: 1, q: 5 }, 2).words, 'two may be certified')
})

test('a buyer that heard of a lost seat names the weaker mode, or does not buy', () => {
  const story = new Ownership().register()
  const { acme, bolt, seats } = story
  const [cole] = seats as [Member]
  lose(story, cole)
  story.offer()
  assert.equal(
    [acme, bolt, cole].map(each => lostAt(each, story)),
    [1, 1, 1],
  )
  const rule = usualCommittees(seats.map(({ env }) => env.self.id))
  const weak = weakness(story.at(bolt)!, rule, bolt.env.get)!
  assert.is(weak.mode, 'majority')
  assert.match(weak.text, 'it stands 0 of at least 1 liars: 1 of 4 seats lost their votes')
  throwsCode(() => story.accept(), 'MODE_WEAKER')
  story.accept(bolt, 'majority')
  assert.is(story.owner(bolt), '1 Bolt GmbH')
  // Another committee in its place is what it was.
  story.jury = story.assemble(seats, bolt)
  bolt.input({ type: 'reseat', asset: story.asset, next: story.jury })
  story.world.run()
  assert.is(story.owner(bolt), '2 Bolt GmbH')
  assert.is(lostAt(bolt, story), 0)
  story.offer(acme, bolt).accept(acme)
  assert.is(story.owner(acme), '3 Acme Steel', 'the one that was replaced makes nothing weaker any more')
  story.check()
})

test('nobody signs what too few seats are left to certify', () => {
  const story = new Ownership().register()
  const [cole, dunn] = story.seats as [Member, Member]
  const { acme } = story
  lose(story, cole)
  // Heard of between the offer and the yes of who buys.
  story.offer()
  lose(story, dunn)
  throwsCode(() => story.accept(), 'SEAT_LOST')
  acme.input({ type: 'take-back', order: story.order })
  const offered = throwsCode(() => story.offer(), 'SEAT_LOST')
  assert.match(
    offered.message,
    '2 of 4 seats lost their votes, and 2 others are fewer than the 3 that must vote',
  )
  throwsCode(() => acme.input({ type: 'reseat', asset: story.asset }), 'SEAT_LOST')
  story.asset = story.publish('press 5')
  throwsCode(() => story.register('press 5'), 'SEAT_LOST')
  story.check()
})

test('an owner that hears of it after the buyer has signed takes the offer back', () => {
  const story = new Ownership().register()
  const [cole, dunn] = story.seats as [Member, Member]
  const { acme, bolt, world } = story
  lose(story, cole)
  story.offer()
  world.intercept = ({ message, to }) =>
    message.t === 'handover/accept' && to === acme ? () => {} : undefined
  story.accept(bolt, 'majority', 100)
  lose(story, dunn)
  world.intercept = () => undefined
  world.run(600_000)
  assert.equal(
    [acme, bolt].map(each => story.state(each)),
    ['WITHDRAWN', 'WITHDRAWN'],
  )
  assert.is(story.at(acme)!.refusal?.code, 'SEAT_LOST')
  story.check()
})

test('a seat that changed its keys since says so by the new one', () => {
  const story = new Ownership().register().offer()
  const [cole] = story.seats as [Member]
  const { acme, bolt } = story
  lose(story, cole)
  for (const { store } of [acme, bolt]) store.delete(KEY.lostSeat(story.jury, cole.org))
  cole.delegate(['operation'], ['operation'])
  story.world.run()
  tell(story, cole)
  assert.equal(
    [acme, bolt].map(each => lostAt(each, story)),
    [1, 1],
  )
  story.check()
})

test('a seat without a key to say it by is silent, and connects', () => {
  const story = new Ownership().register()
  const [cole] = story.seats as [Member]
  lose(story, cole)
  story.acme.store.delete(KEY.lostSeat(story.jury, cole.org))
  cole.delegate([], ['operation'])
  story.world.run()
  tell(story, cole)
  assert.is(lostAt(story.acme, story), 0)
  story.check()
})

test('a word about a committee that is not known yet counts once it is; of each partner so many are kept', () => {
  const story = new Ownership().begin()
  const [cole] = story.seats as [Member]
  const { bolt, jury } = story
  lose(story, cole)
  assert.not.ok(committeeKnown(bolt.env.get, jury))
  const { lost } = story.sent('seat/lost')[0]!
  const key = cole.env.keys.operation
  for (let i = 0; i < MAX_SITTINGS + 9; i++) {
    const made = resign(lost, { committee: cidFromDigest(new Uint8Array(32).fill(i), 'dag-cbor') }, [
      'member',
      key,
    ])
    bolt.input({ type: 'message', from: cole.org, message: { t: 'seat/lost', lost: made } })
  }
  const kept = [...bolt.store.keys()].filter(each => each.startsWith('lost-seat/'))
  assert.is(kept.length, MAX_SITTINGS)
  story.register()
  assert.is(story.state(story.acme), 'CERTIFIED')
  story.offer()
  assert.is(lostAt(bolt, story), 1)
  throwsCode(() => story.accept(), 'MODE_WEAKER')
  story.check()
})

test.run()
