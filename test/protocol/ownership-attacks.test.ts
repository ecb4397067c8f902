/** What somebody tries who wants an asset twice, another's asset stopped, or a node filled: none of it may work. */
import * as assert from 'uvu/assert'
import { decodeSigned, encodeSigned, type Payload, recordId, signRecord } from '../../crypto/statement.ts'
import { eventsOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import type { Message } from '../../protocol/message.ts'
import { isRefused, makeCertificate, readOwnership } from '../../protocol/ownership.ts'
import { usualCommittees } from '../../protocol/ownership-trust.ts'
import { keysIn } from '../../protocol/parties.ts'
import { frozenOf, isStopped, titleOf } from '../../protocol/title.ts'
import { weakness } from '../../protocol/weakness.ts'
import { suite, throwsCode } from '../harness.ts'
import { Joint } from './joint-story.ts'
import { juries, Ownership, ordered } from './ownership-story.ts'
import { resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/ownership attacks')
const operation = (member: Member) => member.env.keys.operation
const events = (member: Member) => ({
  identity: member.env.self.identityBytes,
  events: eventsOf(member.chain),
})
const shown = (member: Member) => ({ identity: member.env.self.identityBytes, events: [] })

/** A hand-over of the story's asset as these two sign it, whoever they are. */
function forged(story: Ownership, from: Member, to: Member, change: object = {}): Uint8Array {
  const owned = titleOf(story.acme.env.get, story.asset)!
  const payload = {
    t: 'handover/1',
    asset: story.asset,
    version: owned.version + 1,
    prev: owned.order,
    from: from.env.self.id,
    fromState: from.chain.last,
    to: to.env.self.id,
    toState: to.chain.last,
    committee: owned.committee.id,
    passes: { agreements: true, duties: true, keys: true, blocks: true },
    made: 1,
    ...change,
  } as unknown as Payload
  return encodeSigned({
    p: payload,
    s: [signRecord(payload, 'from', operation(from)), signRecord(payload, 'to', operation(to))],
  })
}
const frozenBy = (one: Uint8Array, other: Uint8Array, ...by: Member[]): Message => ({
  t: 'owner/frozen',
  one,
  other,
  identities: by.map(shown),
})

test('whoever never owned an asset cannot freeze it by two hand-overs of its own', () => {
  const story = new Ownership().register()
  const [cole, dunn] = story.seats as [Member, Member]
  const [one, other] = [forged(story, cole, dunn), forged(story, cole, story.bolt)]
  story.world.send(cole, story.acme.org, frozenBy(one, other, cole, dunn, story.bolt))
  story.world.run(1_000)
  assert.not.ok(frozenOf(story.acme.env.get, story.asset))
})

test('an owner of before that signs a version again harms nobody who owns it since', () => {
  const story = new Ownership().play()
  const [cole] = story.seats as [Member]
  const first = story.at(story.acme)!.order
  const again = resign(first, { made: 7 }, ['from', operation(story.acme)], ['to', operation(story.bolt)])
  story.world.send(story.acme, cole.org, frozenBy(first, again, story.acme, story.bolt))
  story.world.run(1_000)
  const proof = frozenOf(cole.env.get, story.asset)!
  assert.ok(proof, 'it convicts who signed both')
  assert.not(isStopped(proof, cole.env.get), 'who owns it now is not harmed')
  // Nor does the old proof hide one of a later version, or the later one yield to it.
  story.world.pair(story.bolt, story.world.add('Iris SA'))
  const [one, other] = [cole, story.seats[1]!].map(to => forged(story, story.bolt, to))
  story.world.send(story.bolt, cole.org, frozenBy(one!, other!, story.bolt, cole, story.seats[1]!))
  story.world.send(story.acme, cole.org, frozenBy(first, again, story.acme, story.bolt))
  story.world.run(1_000)
  assert.ok(isStopped(frozenOf(cole.env.get, story.asset)!, cole.env.get), 'version 2 has no certificate')
})

test('an owner that changes its keys between its offer and its signature does not freeze its own asset', () => {
  const story = new Ownership().register().offer()
  story.acme.delegate(['operation'])
  story.world.run()
  story.accept()
  if (story.state(story.acme) !== 'CERTIFIED') story.offer().accept()
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
})

test('a stolen key that was revoked sells nothing after the next certified step, whichever old state it names', () => {
  const story = new Ownership().register()
  const { acme, bolt, world } = story
  const [key, fromState] = [operation(acme), acme.chain.last]
  acme.delegate(['operation'])
  world.run()
  story.order = ordered(acme.input({ type: 'reseat', asset: story.asset }))
  world.run()
  assert.is(story.state(acme), 'CERTIFIED')
  assert.is(story.owner(story.seats[0]!), '1 Acme Steel')
  const payload = decodeSigned(forged(story, acme, bolt, { fromState })).p
  const s = [signRecord(payload, 'from', key), signRecord(payload, 'to', operation(bolt))]
  const order = encodeSigned({ p: payload, s })
  const before = world.wire.length
  for (const seat of story.seats)
    world.send(bolt, seat.org, { t: 'vote/ask', order, identities: [story.acme, bolt].map(events) })
  world.run(1_000)
  const said = world.wire
    .slice(before)
    .flatMap(({ message }) => (message.t === 'vote/refused' ? [message.refusal.code] : []))
  assert.equal(
    said,
    story.seats.map(() => 'KEY_STATE_PASSED'),
  )
  // Nor do two of them convict the owner.
  const more = { ...payload, made: 7 } as Payload
  const other = [signRecord(more, 'from', key), signRecord(more, 'to', operation(bolt))]
  for (const to of [acme, ...story.seats])
    world.send(bolt, to.org, {
      t: 'owner/frozen',
      one: order,
      other: encodeSigned({ p: more, s: other }),
      identities: [acme, bolt].map(events),
    })
  world.run(1_000)
  for (const each of [acme, ...story.seats]) {
    assert.not.ok(frozenOf(each.env.get, story.asset))
    assert.is(each.events.splice(0).filter(({ type }) => type === 'violation').length, 1)
  }
  bolt.events.length = 0
  // Nor does any certificate make it a step, at whoever is shown one.
  story.offer().accept()
  assert.is(story.owner(bolt), '2 Bolt GmbH', 'its owner sells as before')
  story.check()
})

test('the mode that a person accepts is the weakest of the chain', () => {
  const story = new Ownership(4)
  story.register()
  const iris = story.world.add('Iris SA')
  for (const other of [story.acme, story.bolt, ...story.seats]) story.world.pair(other, iris)
  story.world.run()
  const none = story.assemble([], story.acme)
  story.offer(story.bolt, story.acme, none).accept(story.bolt, 'none')
  story.offer(iris, story.bolt)
  const o = story.at(iris)!
  const weak = weakness(o, usualCommittees([]), iris.env.get)
  assert.is(weak?.mode, 'none')
})

test('a committee that cannot decide without the parties is refused before anybody signs', () => {
  const story = new Ownership(3)
  const [cole, dunn, eder] = story.seats as [Member, Member, Member]
  story.register()
  const next = story.assemble([dunn, eder])
  throwsCode(() => story.offer(cole, story.acme, next), 'PARTY_SEATED')
})

test('two seats with one vote key stop no proposer', () => {
  const story = new Ownership()
  const [cole, dunn] = story.seats as [Member, Member]
  story.world.intercept = flight => {
    const { message, from } = flight
    if (message.t !== 'seat/given' || from !== dunn) return undefined
    return () => {
      const key = story.sent('seat/given').find(each => each.seat.org.equals(cole.env.self.id))!.seat.key
      dunn.world.later(() =>
        story.acme.input({
          type: 'message',
          from: dunn.org,
          message: { ...message, seat: { ...message.seat, key } },
        }),
      )
    }
  }
  story.assemble()
  assert.is(juries(story.acme).length, 0)
})

test('a version beyond all numbers is answered', () => {
  const story = new Ownership().register()
  const [cole] = story.seats as [Member]
  const about = { committee: story.jury, asset: story.asset, version: Number.MAX_SAFE_INTEGER }
  story.world.send(story.acme, cole.org, { t: 'owner/ask', id: new Uint8Array(16), ...about })
  story.world.send(story.acme, cole.org, {
    t: 'owner/known',
    asset: story.asset,
    version: Number.MAX_SAFE_INTEGER,
  })
  story.world.run(1_000)
  story.check()
})

test('a seat that is asked with too many identities still answers in a message that fits', () => {
  const story = new Ownership().register().offer()
  story.world.bend = ({ t }) => (t === 'vote/cast' ? 0 : 1)
  story.accept(story.bolt, undefined, 1_000)
  const asked = story.sent('vote/ask').findLast(each => story.order && each.order.length > 0)!
  const order = resign(
    asked.order,
    { made: 7 },
    ['from', operation(story.acme)],
    ['to', operation(story.bolt)],
  )
  const many = Array.from({ length: 62 }, () => shown(story.seats[1]!))
  story.world.send(story.acme, story.seats[0]!.org, {
    ...asked,
    order,
    identities: [...asked.identities, ...many],
  })
  story.world.run(1_000)
  assert.is(story.sent('vote/refused').at(-1)?.refusal.code, 'VOTED_OTHERWISE')
})

test('one asset is not registered with two committees: its record names the one', () => {
  const story = new Ownership(7)
  const other = story.assemble(story.seats.slice(3))
  story.jury = story.assemble(story.seats.slice(0, 4))
  story.register()
  assert.is(story.owner(story.acme), '0 Acme Steel')
  for (const key of [...story.acme.store.keys()])
    if (/^(title|step|order|signed-order)\//.test(key)) story.acme.store.delete(key)
  story.jury = other
  throwsCode(() => story.register(), 'COMMITTEE_INVALID')
  // One that its owner signs all the same gets no vote, and no vote makes it a certificate.
  const [gray] = story.seats.slice(4)
  const asked = story.sent('vote/ask').at(-1)!
  const order = resign(asked.order, { committee: other }, ['owner', operation(story.acme)])
  const committee = story.acme.store.get(KEY.jury(other))!
  story.world.send(story.acme, gray!.org, { ...asked, order, committee })
  story.world.run(1_000)
  assert.is(story.sent('vote/refused').at(-1)!.refusal.code, 'COMMITTEE_INVALID')
  const link = { order, asset: asked.asset!, certificate: makeCertificate([]), committee }
  const read = readOwnership([link], keysIn([...story.seats, story.acme].map(shown)))
  assert.is(isRefused(read) && read.code, 'COMMITTEE_INVALID')
})

test('an asset that a revoked key signed is not registered: nothing is signed that no seat votes for', () => {
  for (const revoked of [[], ['operation' as const]]) {
    const story = new Ownership().begin()
    story.acme.delegate(['operation'], revoked)
    story.world.run()
    if (revoked.length === 0) story.register()
    else {
      throwsCode(() => story.register(), 'SIGNATURE_INVALID')
      assert.equal(story.sent('vote/ask'), [])
      // Published again it is: the name is free, and nothing of before stands in its way.
      story.asset = story.publish()
      story.register()
    }
    assert.is(story.owner(story.acme), '0 Acme Steel')
    story.check()
  }
})

test('an owner that calls a second asset what it called the first is told so before it signs', () => {
  const story = new Ownership().register()
  story.asset = story.publish()
  throwsCode(() => story.register(), 'OUT_OF_ORDER')
  story.register('press 5')
  assert.is(story.owner(story.acme), '0 Acme Steel')
  story.check()
  // One that others did not want leaves its name free.
  const joint = new Joint().ask(2)
  joint.no(joint.acme, joint.jost)
  assert.is(joint.stateAt(joint.acme), 'DECLINED')
  joint.asset = joint.publish()
  joint.register()
  assert.is(joint.owner(joint.acme), '0 Acme Steel')
})

test('a seat is given to one committee', () => {
  const story = new Ownership()
  story.jury = story.assemble()
  const [cole] = story.seats as [Member]
  const { message } = story.world.wire.find(each => each.message.t === 'seat/sign' && each.to === cole)!
  const sign = message as Extract<Message, { t: 'seat/sign' }>
  const sittings = () => [...cole.store.keys()].filter(key => key.startsWith(KEY.sittings)).length
  const before = sittings()
  for (let made = 1; made < 4; made++)
    story.world.send(story.acme, cole.org, { ...sign, committee: resign(sign.committee, { made }) })
  story.world.run(1_000)
  assert.is(sittings(), before)
})

test('one partner has one open offer of an asset', () => {
  const story = new Ownership().register().offer()
  const { order, ...rest } = story.sent('handover/offer').at(-1)!
  for (let made = 1; made < 5; made++)
    story.world.send(story.acme, story.bolt.org, { ...rest, order: resign(order, { made }) })
  story.world.run(1_000)
  const open = [...story.bolt.store.keys()].filter(key => key.startsWith(KEY.orders)).length
  assert.ok(open <= 1, `${open} offers are kept`)
})

test('identities that an offer does not need are not kept, nor sent on to the seats', () => {
  const story = new Ownership().register()
  story.world.intercept = flight => {
    const { message, to } = flight
    if (message.t !== 'handover/offer' || message.identities.length > 62) return undefined
    return () => {
      const many = Array.from({ length: 62 }, () => shown(story.seats[1]!))
      to.input({
        type: 'message',
        from: flight.from.org,
        message: { ...message, identities: [...message.identities, ...many] },
      })
    }
  }
  story.offer()
  story.world.bend = (message, from) => (from === story.acme && message.t === 'vote/ask' ? 0 : 1)
  story.accept()
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  story.check()
})

test('a seat that lies about its vote ends nothing', () => {
  const story = new Ownership(2).register().offer()
  const [cole] = story.seats as [Member]
  story.world.bend = ({ t }, from) => (t === 'vote/cast' && from === cole ? 0 : 1)
  story.accept(story.bolt, 'all', 1_000)
  const refusal = { code: 'VOTED_OTHERWISE', text: 'so I say' }
  for (const each of [story.acme, story.bolt])
    story.world.send(cole, each.org, { t: 'vote/refused', order: story.order, refusal, identities: [] })
  story.world.run(1_000)
  story.world.bend = () => 1
  story.world.run(600_000)
  assert.is(story.owner(story.acme), '1 Bolt GmbH', story.state(story.acme))
})

test('a second buyer sees whom its seller sold to before, though no seat knows that buyer', () => {
  const story = new Ownership(4)
  const { world, acme } = story
  const iris = world.add('Iris SA')
  const jet = world.add('Jet Oy')
  for (const buyer of [iris, jet]) world.pair(acme, buyer)
  for (const seat of story.seats) world.pair(jet, seat)
  world.run()
  story.register()
  const before = new Map(acme.store)
  const isHalf = (member: Member) => story.seats.slice(0, 2).includes(member)
  world.bend = ({ t }, _from, to) => (t === 'vote/ask' && !isHalf(to) ? 0 : 1)
  story.offer(iris).accept(iris, undefined, 3_000)
  acme.store.clear()
  for (const [key, value] of before) acme.store.set(key, value)
  iris.up = false
  acme.restart()
  world.bend = ({ t }, from) => (t === 'vote/ask' && from === acme ? 0 : 1)
  story.offer(jet).accept(jet, undefined, 3_000)
  acme.up = false
  world.run(600_000)
  assert.is(story.state(jet), 'FROZEN')
  assert.ok(frozenOf(jet.env.get, story.asset))
})

test('what a stranger shows to be frozen fills no store', () => {
  const story = new Ownership().register()
  const [cole] = story.seats as [Member]
  // An owner that nobody here knows, of an asset that nobody here knows.
  const mallory = story.world.add('Mallory')
  const payload = {
    t: 'asset/1',
    org: mallory.env.self.id,
    title: 'x',
    kind: 'set',
    classification: { domain: 'd', level: 'general' },
    ownerVersion: 0,
    committee: story.jury,
    made: 1,
    nonce: new Uint8Array(16),
  } as unknown as Payload
  const asset = encodeSigned({ p: payload, s: [signRecord(payload, 'publisher', operation(mallory))] })
  const register = (ref: string) => {
    const p = {
      t: 'registration/1',
      asset: recordId(payload),
      owner: mallory.env.self.id,
      ownerState: mallory.chain.last,
      committee: story.jury,
      ref,
      content: new Uint8Array(32),
      title: 'made',
      warranty: true,
      made: 1,
      nonce: new Uint8Array(16),
    } as unknown as Payload
    return encodeSigned({ p, s: [signRecord(p, 'owner', operation(mallory))] })
  }
  const before = story.acme.store.size
  story.world.send(cole, story.acme.org, {
    ...frozenBy(register('a'), register('b'), mallory),
    asset,
  } as Message)
  story.world.run(1_000)
  assert.is(story.acme.store.size, before)
})

test('a partner has registrations voted for in its own name only', () => {
  const story = new Ownership().register()
  const [cole, dunn] = story.seats as [Member, Member]
  const mallory = story.world.add('Mallory')
  const payload = {
    t: 'asset/1',
    org: mallory.env.self.id,
    title: 'x',
    kind: 'set',
    classification: { domain: 'd', level: 'general' },
    ownerVersion: 0,
    committee: story.jury,
    made: 1,
    nonce: new Uint8Array(16),
  } as unknown as Payload
  const asset = encodeSigned({ p: payload, s: [signRecord(payload, 'publisher', operation(mallory))] })
  const p = {
    t: 'registration/1',
    asset: recordId(payload),
    owner: mallory.env.self.id,
    ownerState: mallory.chain.last,
    committee: story.jury,
    ref: 'a',
    content: new Uint8Array(32),
    title: 'made',
    warranty: true,
    made: 1,
    nonce: new Uint8Array(16),
  } as unknown as Payload
  const order = encodeSigned({ p, s: [signRecord(p, 'owner', operation(mallory))] })
  const before = cole.store.size
  story.world.send(story.acme, cole.org, {
    t: 'vote/ask',
    order,
    asset,
    committee: story.acme.store.get(KEY.jury(story.jury))!,
    identities: [mallory, ...story.seats].map(shown),
  })
  story.world.run(1_000)
  assert.is(cole.store.size, before)
  void dunn
})

test.run()
