/** Another committee takes over without a hand-over: by the votes of the one in force, and only by them. */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { isOrder, readOrder } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { frozenOf, openCommittee, titleOf } from '../../protocol/title.ts'
import { suite, throwsCode } from '../harness.ts'
import { juries, Ownership, ordered } from './ownership-story.ts'
import { resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/committee change')

/** Registered under the first four of five; `next` is of the last four, and takes the place of the first. */
class Changing extends Ownership {
  readonly next: CID

  constructor() {
    super(5)
    this.jury = this.assemble(this.seats.slice(0, 4))
    this.register()
    this.next = this.follower(this.jury)
  }

  follower(prev: CID, of = this.seats.slice(1), by: Member = this.acme): CID {
    const before = juries(by)
    by.input({ type: 'assemble', seats: of.map(({ env }) => env.self.id), prev })
    this.world.run()
    return juries(by).find(each => !before.some(old => old.equals(each)))!
  }

  change(by: Member = this.acme, next = this.next): this {
    this.order = ordered(by.input({ type: 'reseat', asset: this.asset, next }))
    this.world.run()
    return this
  }

  inForce(at: Member): string | undefined {
    return titleOf(at.env.get, this.asset)?.committee.id.toString()
  }
}

test('the committee in force certifies the one that follows, which decides from then on', () => {
  const story = new Changing().change()
  const { acme, bolt, seats } = story
  assert.is(story.state(acme), 'CERTIFIED')
  for (const member of [acme, ...seats]) assert.is(story.inForce(member), story.next.toString())
  const owned = titleOf(acme.env.get, story.asset)!
  assert.equal([owned.version, owned.since], [1, 0])
  assert.is(
    openCommittee(acme.store.get(KEY.jury(story.next))!).payload.prev?.toString(),
    story.jury.toString(),
  )
  story.offer().accept()
  assert.is(story.owner(bolt), '2 Bolt GmbH')
  const voters = story.at(acme)!.votes.map(({ org }) => org)
  assert.not.ok(voters.includes(seats[0]!.org), 'the seat that was replaced votes no more')
  assert.equal(story.steps(bolt).slice(0, 7), [
    'bundle ok',
    'registration ok',
    'committee change 1 ok',
    'hand-over 2 ok',
    'owners ok',
    'committee from version 0 ok',
    'committee from version 1 ok',
  ])
  story.check()
})

test('who is away learns of it, and a lost seat is replaced for good', () => {
  const story = new Changing()
  const [cole, dunn] = story.seats as [Member, Member]
  cole.up = false
  dunn.up = false
  story.change()
  assert.is(story.state(story.acme), 'VOTING', 'two of four do not decide')
  dunn.restart()
  story.world.run(600_000)
  assert.is(story.inForce(dunn), story.next.toString())
  story.offer().accept()
  assert.is(story.owner(story.bolt), '2 Bolt GmbH')
})

test('a committee that takes the place of another one, or that nobody knows, does not follow', () => {
  const story = new Changing()
  const { acme, world } = story
  const stranger = story.follower(story.next)
  throwsCode(() => story.change(acme, stranger), 'COMMITTEE_INVALID')
  throwsCode(() => story.change(acme, story.asset), 'NOT_FOUND')
  throwsCode(() => story.change(story.seats[0]), 'NOT_OWNER')
  throwsCode(() => story.follower(story.asset), 'NOT_FOUND')
  // A seat judges by itself, whatever the owner's node let pass.
  world.bend = ({ t }) => (t === 'vote/ask' ? 0 : 1)
  story.change()
  world.bend = () => 1
  const asked = story.sent('vote/ask').at(-1)!
  const order = resign(asked.order, { next: stranger }, ['owner', acme.env.keys.operation])
  const before = world.wire.length
  const committee = acme.store.get(KEY.jury(stranger))!
  world.send(acme, story.seats[0]!.org, { ...asked, order, committee })
  world.run(10)
  const answers = world.wire.slice(before).map(({ message }) => message)
  const codes = answers.flatMap(each => (each.t === 'vote/refused' ? [each.refusal.code] : []))
  assert.is(codes[0], 'COMMITTEE_INVALID')
})

test('the committee that was replaced decides nothing any more', () => {
  const story = new Changing()
  const { acme, bolt, seats } = story
  // Its votes for a hand-over under the old committee, as if nothing had followed.
  story.change()
  story.offer()
  const [offer] = story.sent('handover/offer')
  const signers = [
    ['from', acme.env.keys.operation],
    ['to', bolt.env.keys.operation],
  ] as const
  const order = resign(offer!.order, { committee: story.jury }, ...signers.map(each => [...each] as never))
  for (const seat of seats.slice(0, 4)) {
    const before = story.world.wire.length
    story.world.send(acme, seat.org, { t: 'vote/ask', order, identities: [] })
    story.world.run(10)
    const said = story.world.wire
      .slice(before)
      .flatMap(({ message }) => (message.t === 'vote/refused' ? [message.refusal.code] : []))
    assert.equal(said, ['COMMITTEE_INVALID'])
  }
})

test('a change and a hand-over of one version freeze the asset like two sales', () => {
  const story = new Changing()
  const { acme, bolt, world } = story
  const before = new Map(acme.store)
  const half = story.seats.slice(0, 2)
  world.bend = (message, _from, to) => (message.t === 'vote/ask' && !half.includes(to) ? 0 : 1)
  story.change()
  acme.store.clear()
  for (const [key, value] of before) acme.store.set(key, value)
  acme.restart()
  world.bend = (message, _from, to) => (message.t === 'vote/ask' && half.includes(to) ? 0 : 1)
  story.offer().accept(bolt, undefined, 1_000)
  world.bend = () => 1
  world.run(600_000)
  const frozen = frozenOf(acme.env.get, story.asset)
  assert.ok(frozen)
  const kinds = frozen!.orders.map(each => {
    const read = readOrder(each)
    return isOrder(read) ? read.record.payload.t : ''
  })
  assert.equal(kinds.sort(), ['committee-change/1', 'handover/1'])
})

test.run()
