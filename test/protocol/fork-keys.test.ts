/** Forks and log keys: who holds one that has ended closes no log, and one that only half of the partners know hides no history. */
import * as assert from 'uvu/assert'
import { decode } from '../../crypto/cbor.ts'
import { isClosed, proveFork, readFork } from '../../protocol/fork.ts'
import { readWatch } from '../../protocol/heads.ts'
import { KEY } from '../../protocol/layout.ts'
import { suite } from '../harness.ts'
import { rekeyed } from './rekeyed.ts'
import { codes, forgedHead } from './story.ts'
import { type Member, mesh } from './world.ts'

const test = suite('protocol/fork-keys')

const publish = (member: Member, title: string) =>
  member.input({ type: 'publish', title, domain: 'x', level: 'general', packets: [] })
const seenBy = (member: Member, of: Member) => readWatch(member.store.get(KEY.watch(of.org)))!
const forkAt = (member: Member, of: Member) => {
  const stored = member.store.get(KEY.fork(of.org))
  return stored && (decode(stored) as { proof: Uint8Array }).proof
}

test('an owner that changes its log key between two histories is found out by who saw both, and by nobody else', () => {
  const { world, owner, bolt, cole } = rekeyed()
  assert.ok(isClosed(owner.org, bolt.env))
  assert.is(bolt.events.filter(({ type }) => type === 'forked').length, 1)
  assert.ok('reason' in readFork(forkAt(bolt, owner)!, owner.chain), 'it shows nothing to others')
  bolt.input({ type: 'gossip', orgs: [cole.org], about: [], forks: true })
  world.run()
  assert.not.ok(isClosed(owner.org, cole.env))
  assert.equal(codes(cole), [])
})

test('who has a log key that was replaced closes no log with it', () => {
  const { world, owner, seats } = mesh(2)
  const [bolt, thief] = seats as [Member, Member]
  publish(owner, 'one')
  world.run(10_000)
  owner.input({ type: 'gossip', orgs: [bolt.org, thief.org], about: [] })
  world.run(10_000)
  const { size } = seenBy(bolt, owner)
  const forged = forgedHead(owner, size)
  owner.delegate(['log'])
  world.run(10_000)
  world.send(thief, bolt.org, { t: 'gossip/head', note: forged })
  publish(owner, 'two')
  world.run(10_000)
  owner.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run(10_000)
  assert.not.ok(isClosed(owner.org, bolt.env))
  assert.ok(seenBy(bolt, owner).size > size)
})

test('a proof that leaves out the event by which the key ended closes no log at who knows of it', () => {
  const { world, owner, seats } = mesh(2)
  const [bolt, thief] = seats as [Member, Member]
  world.pair(bolt, thief)
  const partner = bolt.knowing.partner(owner.org)!
  const proof = proveFork(partner, forgedHead(owner, 9), forgedHead(owner, 9, new Uint8Array(32)), {
    root: new Uint8Array(32),
    path: [],
  })!
  assert.ok(!('reason' in readFork(proof)), 'by what it shows of the identity')
  owner.delegate(['log'])
  world.run(10_000)
  for (const each of [bolt, owner]) {
    world.send(thief, each.org, { t: 'gossip/fork', proof })
    world.run(10_000)
    assert.is(codes(each).at(-1), 'FORK_UNPROVEN')
    assert.not.ok(isClosed(owner.org, each.env))
  }
})

/**
 * Acme changes its log key and tells only Cole, who sees the log grow under the new key; Bolt sees it grow under the old one.
 * `branches` of them: with one, Bolt sees nothing.
 */
function hidden(branches: 1 | 2) {
  const { world, owner: acme, seats } = mesh(2)
  const [bolt, cole] = seats as [Member, Member]
  world.pair(bolt, cole)
  publish(acme, 'one')
  world.run(10_000)
  const shows = (to: Member) => {
    acme.input({ type: 'gossip', orgs: [to.org], about: [] })
    world.run(10_000)
  }
  for (const each of seats) shows(each)
  const before = new Map(acme.store)
  if (branches === 2) {
    publish(acme, 'for Bolt')
    publish(acme, 'and more')
    world.run(10_000)
    shows(bolt)
    acme.store.clear()
    for (const [key, value] of before) acme.store.set(key, value)
    acme.restart()
  }
  world.bend = ({ t }, from, to) => (from === acme && to === bolt && !t.startsWith('head/') ? 0 : 1)
  acme.delegate(['log'])
  world.run(10_000)
  publish(acme, 'for Cole')
  publish(acme, 'and another')
  world.run(10_000)
  shows(cole)
  const gossip = () => {
    cole.input({ type: 'gossip', orgs: [bolt.org], about: [acme.org] })
    bolt.input({ type: 'gossip', orgs: [cole.org], about: [acme.org] })
    world.run(60_000)
  }
  return { world, acme, bolt, cole, gossip }
}
const violationsAt = ({ events }: Member) =>
  events.flatMap(each => (each.type === 'violation' ? [`${each.code} ${each.text}`] : []))

test('a head by a key that its owner told to others only is no breach of who shows it: it brings the key', () => {
  const { world, acme, bolt, cole, gossip } = hidden(1)
  assert.is(bolt.knowing.partner(acme.org)!.chain.events.length, 0)
  gossip()
  assert.equal([...violationsAt(bolt), ...violationsAt(cole)], [])
  assert.is(bolt.knowing.partner(acme.org)!.chain.events.length, 1)
  assert.is(seenBy(bolt, acme).size, seenBy(cole, acme).size, 'and its owner proved it')
  assert.is(world.wire.filter(({ message }) => message.t === 'identity/ask').length, 1)
})

test('a second history under a key that only half of the partners were told of is found by the others', () => {
  const { acme, bolt, gossip } = hidden(2)
  assert.not.ok(isClosed(acme.org, bolt.env))
  gossip()
  assert.ok(isClosed(acme.org, bolt.env))
})

test('what a partner knows of a third closes nothing and tells nothing where it is not so', () => {
  const { world, acme, bolt, cole } = hidden(1)
  const of = acme.env.self.id
  const [stranger, forger] = [world.add('Nobody'), world.add('Forger')]
  world.pair(bolt, stranger)
  const asks = (from: Member, about: object) => {
    const before = world.wire.length
    world.send(from, cole.org, { t: 'identity/ask', of, last: of, ...about } as never)
    world.run(10)
    return world.wire.slice(before).filter(({ message }) => message.t === 'identity/known').length
  }
  assert.is(asks(bolt, {}), 1)
  assert.is(
    asks(bolt, { last: forger.env.self.id }),
    0,
    'who does not know the identity learns nothing of it',
  )
  assert.is(asks(bolt, { of: forger.env.self.id, last: forger.env.self.id }), 0)
  assert.is(asks(acme, {}), 0, 'of itself it asks without a name')
  // Heads by no key, again and again: one question each, and no answer goes round.
  const env = { ...acme.env, keys: { ...acme.env.keys, log: forger.env.keys.log } }
  const note = forgedHead({ ...acme, env } as unknown as Member, 5)
  const before = world.wire.length
  for (let i = 0; i < 3; i++) world.send(stranger, bolt.org, { t: 'gossip/head', note })
  world.run(60_000)
  assert.is(world.wire.length - before, 6)
})

test.run()
