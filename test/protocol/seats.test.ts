/** Seats of a store that is not known to be as new as its votes (RULES E3): which of them end or abstain, and the way back. */
import * as assert from 'uvu/assert'
import { isBehind } from '../../protocol/behind.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_IDENTITY_EVENTS } from '../../protocol/limits.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Message } from '../../protocol/message.ts'
import { type Sitting, seatsMade } from '../../protocol/seats.ts'
import { suite } from '../harness.ts'
import { assemblies, juries, Ownership } from './ownership-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/seats')

/** What a seat answers to a message of Acme. */
const answer = (story: Ownership, seat: Member, message: Message): Message[] =>
  told(story, seat, message).filter(({ t }) => t.startsWith('vote/'))

/** All that it says then. */
function told(story: Ownership, seat: Member, message: Message): Message[] {
  const { wire } = story.world
  const before = wire.length
  seat.input({ type: 'message', from: story.acme.org, message })
  story.world.run()
  return wire.slice(before).flatMap(each => (each.from === seat ? [each.message] : []))
}

/** A seat with a member of its log, put back to before its last vote, until that member says so; the vote that it was asked for. */
function setBack() {
  const story = new Ownership().register()
  const { world, acme } = story
  story.offer()
  // Of those that are asked for this version.
  const seat = story.seats.find(each =>
    world.wire.some(({ message, to }) => message.t === 'vote/ask' && to === each),
  )!
  seat.witnesses = [acme.env.self.id]
  seat.input({ type: 'start', machine: 'log' })
  world.run()
  const old = new Map(seat.store)
  const secrets = new Map(seat.secrets)
  story.accept()
  world.run(60_000)
  const asked = world.wire.findLast(({ message, to }) => message.t === 'vote/ask' && to === seat)!.message
  seat.store.clear()
  for (const [key, value] of old) seat.store.set(key, value)
  for (const [handle, secret] of secrets) seat.secrets.set(handle, secret)
  seat.restart()
  seat.input({ type: 'publish', title: 'another', domain: 'x', level: 'general', packets: [] })
  world.run(600_000)
  assert.ok(isBehind(seat.env.get), 'its member says so')
  return { story, seat, asked }
}

test('a store that its members say is behind ends its seats with the write that says so: a cut before the words changes nothing', () => {
  const { story, seat, asked } = setBack()
  // The cut: its driver never came to the words of its seats. And the log goes on, so that nothing else stops it.
  seat.restart()
  seat.succeed()
  story.world.run()
  assert.not.ok(isBehind(seat.env.get))
  const replies = answer(story, seat, asked)
  assert.equal(
    replies.map(each => (each.t === 'vote/refused' ? each.refusal.code : each.t)),
    ['STORE_UNPROVEN'],
  )
  // What its driver does at the next start (node/daemon.ts).
  assert.ok(seat.env.get(KEY.seatsEnding))
  const seats = [...seat.store.keys()].filter(key => /^(sitting|given)\//.test(key))
  seat.input({ type: 'restored', why: 'older', tickets: [], seats, redactions: [] })
  assert.not.ok(seat.env.get(KEY.seatsEnding))
  assert.ok(decodeState<Sitting>(seat.env.get(KEY.sitting(story.jury))!).lost)
  const [refused] = answer(story, seat, asked)
  assert.is(refused?.t === 'vote/refused' && refused.refusal.code, 'SEAT_LOST')
  seat.input({ type: 'connected', org: story.acme.org })
  story.world.run()
  assert.ok(story.acme.store.has(KEY.lostSeat(story.jury, seat.org)), 'and says so')
})

test('a seat that nothing proves to be current abstains for ever, and one that its node is given since votes', () => {
  const story = new Ownership().register()
  const [cole, dunn] = story.seats as [Member, Member]
  // Of all that were given so far, as after a mark that was lost.
  for (const seat of [cole, dunn]) seat.provenFrom = seatsMade(seat.env.get)
  dunn.up = false
  const { jury } = story
  const next = story.assemble([cole, ...story.seats.slice(2)])
  assert.ok(next, 'it takes a new seat')
  dunn.restart()
  dunn.provenFrom = 0
  story.acme.input({ type: 'reseat', asset: story.asset, next })
  story.world.run()
  assert.is(story.owner(story.acme), '1 Acme Steel')
  const asked = { id: new Uint8Array(16), asset: story.asset, version: 0 }
  const [old] = told(story, cole, { t: 'owner/ask', ...asked, committee: jury })
  assert.is(old?.t === 'owner/fresh' && old.refusal?.code, 'STORE_UNPROVEN')
  const [word] = told(story, cole, { t: 'owner/ask', ...asked, version: 1, committee: next })
  assert.ok(word?.t === 'owner/fresh' && word.fresh)
  // All three of the new committee vote.
  story.offer().accept(story.bolt, 'all')
  assert.is(story.owner(story.bolt), '2 Bolt GmbH')
  assert.ok(cole.env.get(KEY.vote(next, story.asset, 2)))
  assert.not.ok(cole.env.get(KEY.vote(jury, story.asset, 1)), 'none in the old one')
  story.check()
})

/** A committee that is asked for, where Cole changes its operation key once it is about to sign, and once it has signed. */
function changing(when: 'before' | 'after') {
  const story = new Ownership()
  const { world, acme } = story
  const [cole] = story.seats as [Member]
  let changed = false
  world.intercept = ({ message, from, to }) => {
    const isThen =
      when === 'before'
        ? message.t === 'seat/sign' && to === cole
        : message.t === 'seat/signed' && from === cole
    if (!isThen || changed) return undefined
    return () => {
      changed = true
      cole.delegate(['operation'])
      // Before, the message comes late; after, it is lost.
      if (when === 'before') world.later(() => cole.input({ type: 'message', from: acme.org, message }))
    }
  }
  acme.input({ type: 'assemble', seats: story.seats.map(({ env }) => env.self.id) })
  world.run(600_000)
  return { story, cole }
}

test('a seat whose keys changed since it was given does not sign: nobody lists a committee that others would not take', () => {
  const { story, cole } = changing('before')
  const [asked] = assemblies(story.acme)
  assert.equal(asked!.refused, [
    { org: cole.org, text: 'its keys changed since it gave this seat: propose it again' },
  ])
  assert.equal([story.acme, ...story.seats].flatMap(juries), [])
  story.jury = story.assemble()
  assert.is(story.register().state(story.acme), 'CERTIFIED')
  story.check()
})

test('a seat that signed and then changed its keys answers again with what it signed', () => {
  const { story } = changing('after')
  assert.equal(
    [story.acme, ...story.seats].map(each => juries(each).length),
    [1, 1, 1, 1, 1],
  )
  ;[story.jury] = juries(story.acme) as [(typeof story)['jury']]
  assert.is(story.register().state(story.acme), 'CERTIFIED')
  story.check()
})

test('a seat that names a state which its identity has not is none', () => {
  const story = new Ownership()
  const { world, acme, bolt } = story
  const [cole] = story.seats as [Member]
  world.intercept = ({ message, from }) => {
    if (message.t !== 'seat/given' || from !== cole) return undefined
    const seat = { ...message.seat, state: bolt.env.self.id }
    return () => acme.input({ type: 'message', from: cole.org, message: { ...message, seat } })
  }
  acme.input({ type: 'assemble', seats: story.seats.map(({ env }) => env.self.id) })
  world.run(600_000)
  const [asked] = assemblies(acme)
  assert.equal(asked!.refused, [{ org: cole.org, text: 'the state of its keys is not known here' }])
  assert.equal([acme, ...story.seats].flatMap(juries), [])
})

/** As many events as an identity may have. */
function lengthen(story: Ownership): void {
  for (const seat of story.seats)
    for (let i = 0; i < MAX_IDENTITY_EVENTS; i++) seat.delegate(['log', 'operation', 'witness'])
  story.world.run(60_000)
}

test('seats are shown as they took their seats: what their keys do later makes no message longer', () => {
  const story = new Ownership(7).register()
  const { world, acme } = story
  const jane = world.add('Jane SE')
  world.pair(acme, jane)
  lengthen(story)
  story.offer(jane).accept(jane)
  assert.is(story.owner(jane), '1 Jane SE')
  const longest = Math.max(
    ...world.wire.flatMap(({ message, frame }) => (message.t === 'handover/offer' ? [frame.length] : [])),
  )
  assert.ok(longest < 32_768, `${longest} bytes`)
  story.check()
})

test('an owner of before that sits in the next committee is shown with what it signed since', () => {
  const story = new Ownership(5)
  const { world, acme, bolt, seats } = story
  const jane = world.add('Jane SE')
  for (const each of [bolt, ...seats]) world.pair(jane, each)
  world.run(5_000)
  story.jury = story.assemble(seats.slice(0, 4))
  story.register()
  const next = story.assemble([acme, ...seats.slice(0, 3)], bolt)
  acme.delegate(['operation'])
  world.run()
  story.offer().accept()
  // Away at first, so that the offer comes again with all that it rests on.
  jane.up = false
  story.offer(jane, bolt, next)
  jane.up = true
  world.run(600_000)
  assert.is(story.state(jane), 'OFFERED')
  story.accept(jane, 'byzantine')
  assert.is(story.owner(jane), '2 Jane SE')
  story.check()
})

test('seats whose identities are too long together are no committee, and who asks hears which', () => {
  const story = new Ownership(7)
  const { world, acme } = story
  for (const name of ['Jane SE', 'Kern AG', 'Lund AB']) {
    const seat = world.add(name)
    world.pair(acme, seat)
    story.seats.push(seat)
  }
  world.run(5_000)
  lengthen(story)
  acme.input({ type: 'assemble', seats: story.seats.map(({ env }) => env.self.id) })
  world.run(600_000)
  const [asked] = assemblies(acme)
  assert.ok(asked!.given.length > 5 && asked!.given.length < 10)
  const texts = [...new Set(asked!.refused.map(({ text }) => text))]
  assert.is(texts.length, 1)
  assert.match(texts[0]!, /^the identities of all seats are too long to be shown, that of .* before all$/)
  assert.is(asked!.given.length + asked!.refused.length, 10)
  story.check()
})

test.run()
