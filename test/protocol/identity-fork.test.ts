/** An identity with two events of one number: who finds out, what a stranger can check, and how a store that was put back is kept from it. */
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { readWatch } from '../../protocol/heads.ts'
import { type Chain, eventsOf, makeDelegate, standingOf } from '../../protocol/identity-chain.ts'
import {
  identityForksKnown,
  proveIdentityFork,
  readEitherFork,
  readIdentityFork,
} from '../../protocol/identity-fork.ts'
import { readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import type { Message } from '../../protocol/message.ts'
import { identityBehind } from '../../protocol/missed-events.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import type { Unread } from '../../protocol/record.ts'
import { endIn } from '../../protocol/successor.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'
import { codes, Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/identity-fork')

const proofAt = (member: Member) => identityForksKnown(member.env)[0]
const chainAt = (member: Member, of: Member) => decodePartner(member.store.get(KEY.partner(of.org))!).chain

/** Puts a member's store back to a copy. */
function putBack(member: Member, copy: Map<string, Uint8Array>): void {
  member.store.clear()
  for (const [key, value] of copy) member.store.set(key, value)
  member.restart()
}

/** Acme's home runs twice: one tells Bolt of its event, the other tells Cole of another of that number. */
function twice(act: (acme: Member) => void): Story {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  const copy = new Map(acme.store)
  world.bend = (_message, from, to) => (from === cole || to === cole ? 0 : 1)
  act(acme)
  world.run()
  putBack(acme, copy)
  world.bend = (_message, from, to) => (from === bolt || to === bolt ? 0 : 1)
  act(acme)
  world.run()
  world.bend = () => 1
  return story
}

for (const [what, act, isSuccession] of [
  ['two delegations', (acme: Member) => acme.delegate(['operation']), false],
  ['two successors of one log', (acme: Member) => succeedWithKey(acme), true],
] as const)
  test(`${what} of one number are proven, kept, told once to who is concerned, and change nothing that was known`, () => {
    const story = twice(act)
    const { acme, bolt, cole, world } = story
    const first = eventsOf(chainAt(bolt, acme))
    assert.is(first.length, 1)
    // Acme, as it is now, meets Bolt: its event is not the one that Bolt knows.
    acme.input({ type: 'connected', org: bolt.org })
    world.run(10)
    assert.ok(codes(bolt).includes('IDENTITY_FORKED'))
    const proof = proofAt(bolt)!
    const fork = readIdentityFork(proof)
    assert.ok(!('reason' in fork))
    assert.equal([fork.org.toString(), fork.n, fork.isSuccession], [acme.org, 1, isSuccession])
    sameBytes(eventsOf(chainAt(bolt, acme))[0]!, first[0]!)
    bolt.input({ type: 'gossip', orgs: [cole.org, acme.org], about: [], forks: true })
    world.run(10)
    for (const each of [acme, cole]) {
      sameBytes(proofAt(each)!, proof)
      const told = each.events.filter(({ type }) => type === 'identity-forked')
      assert.equal(told, [{ type: 'identity-forked', org: acme.org, n: 1 }])
    }
    for (let i = 0; i < 2; i++) bolt.input({ type: 'connected', org: cole.org })
    world.run(10)
    assert.is(cole.events.filter(({ type }) => type === 'identity-forked').length, 1, 'news once')
    bolt.restart()
    sameBytes(proofAt(bolt)!, proof)
  })

const id = new Uint8Array(16)
const record = new Uint8Array(1)
for (const [what, message] of [
  ['an ask for a seat', (identities: Shown) => ({ t: 'committee/ask', committee: record, identities })],
  ['an ask for a vote', (identities: Shown) => ({ t: 'vote/ask', order: record, identities })],
  [
    'a reply with proofs',
    (shown: Shown) => {
      const events = shown.flatMap(each => each.events)
      return { t: 'proof/reply', id, entries: [], states: [], witnesses: [], events, pending: false }
    },
  ],
] as [string, (identities: Shown) => Message][])
  test(`${what} that shows another event of a number than is known proves the fork`, () => {
    const { acme, bolt, cole, world } = twice(member => member.delegate(['operation']))
    const [known, other] = [chainAt(bolt, acme), chainAt(cole, acme)].map(eventsOf)
    const forged = other!.map(each => each.with(each.length - 1, each.at(-1)! ^ 1))
    const show = (events: Uint8Array[]) => {
      world.send(cole, bolt.org, message([{ identity: acme.env.self.identityBytes, events }]))
      world.run(10)
    }
    for (const events of [known!, forged]) show(events)
    assert.is(proofAt(bolt), undefined)
    show(other!)
    const fork = readIdentityFork(proofAt(bolt)!)
    assert.ok(!('reason' in fork))
    assert.equal([fork.org.toString(), fork.n], [acme.org, 1])
    assert.equal(eventsOf(chainAt(bolt, acme)), known, 'what was known first stays')
    show(other!)
    assert.is(bolt.events.filter(({ type }) => type === 'identity-forked').length, 1, 'news once')
  })
type Shown = { identity: Uint8Array; events: Uint8Array[] }[]

test('who answers under another key with another event of a number than is known has forked its identity', () => {
  const { acme, bolt, cole } = twice(member => member.delegate(['node']))
  const [known, other] = [chainAt(bolt, acme), chainAt(cole, acme)]
  const node = standingOf(other, 'node')!.key
  const hello = { t: 'hello/known', version: 1, events: eventsOf(other) } as const
  bolt.input({ type: 'known', org: acme.org, node, hello })
  assert.ok(proofAt(bolt))
  assert.ok(codes(bolt).includes('IDENTITY_FORKED'))
  assert.equal(eventsOf(chainAt(bolt, acme)), eventsOf(known))
})

/** Two successors of one log follow from one genesis: what differs is when each was made. */
function succeedWithKey(acme: Member): void {
  acme.world.wallMs += 1
  acme.succeed()
}

test('a proof holds from the file alone, in one form, and everything else proves nothing', () => {
  const { acme, bolt } = new Story()
  const make = (by: Member) =>
    makeDelegate(acme.chain, by.key('admin'), { keys: { node: { key: acme.draw(), untilMs: 1 } } }, 1)
  const [one, other, forged] = [make(acme), make(acme), make(bolt)] as const
  acme.goOn(one)
  const proof = proveIdentityFork(acme.chain, [other])!
  sameBytes(proveIdentityFork(acme.chain, [one, other])!, proof)
  assert.is(proveIdentityFork(acme.chain, [one]), undefined)
  assert.is(proveIdentityFork(acme.chain, [forged]), undefined)
  const value = decode(proof) as { [field: string]: Value }
  const changed = (change: object) => readIdentityFork(encode({ ...value, ...change }))
  assert.ok(!('reason' in readIdentityFork(proof)))
  const wrong: [object, RegExp][] = [
    [{ t: 'identity-fork/2' }, /^unknown: identity-fork\/2 is not known/],
    [{ t: 'fork/1' }, /^false: it is no identity-fork\/1/],
    [{ one: value.other!, other: value.one! }, /not in order/],
    [{ other: value.one! }, /not in order/],
    [{ events: [one] }, /not both of one number/],
    [{ identity: bolt.env.self.identityBytes }, /not both of one number/],
    [{ more: 1 }, /more/],
  ]
  for (const [change, why] of wrong) {
    const { ok, reason } = changed(change) as Unread
    assert.match(`${ok}: ${reason}`, why)
  }
  // Of which kind a proof is says its type alone.
  const { reason } = readEitherFork(encode({ ...value, more: 1 })) as Unread
  assert.match(reason, /more/)
  for (let at = 0; at < proof.length; at += 7)
    assert.ok('reason' in readIdentityFork(proof.with(at, proof[at]! ^ 1)), `byte ${at}`)
})

test('of identities that do not concern this home nothing is kept, and what proves nothing is a violation', () => {
  const story = twice(acme => acme.delegate(['operation']))
  const { acme, bolt, cole, world } = story
  acme.input({ type: 'connected', org: bolt.org })
  world.run(10)
  const proof = proofAt(bolt)!
  const stranger = world.add('Stranger')
  world.pair(stranger, cole)
  world.send(cole, stranger.org, { t: 'gossip/fork', proof })
  const at = Buffer.from(proof).lastIndexOf('delegate/1') + 40
  world.send(bolt, cole.org, { t: 'gossip/fork', proof: proof.with(at, proof[at]! ^ 1) })
  world.run(10)
  assert.is(proofAt(stranger), undefined)
  assert.is(proofAt(cole), undefined)
  throwsCode(() => stranger.input({ type: 'fork', proof }), 'FORK_UNPROVEN')
  cole.input({ type: 'fork', proof })
  sameBytes(proofAt(cole)!, proof)
})

// A store that was put back to before its own events.

test('a store that misses own identity events is told by any partner, and signs none in their place', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  const copy = new Map(acme.store)
  acme.delegate(['operation'])
  world.run()
  putBack(acme, copy)
  assert.is(acme.chain.events.length, 0)
  bolt.input({ type: 'connected', org: acme.org })
  world.run(10)
  assert.is(identityBehind(acme.env.get, acme.chain), 1)
  assert.equal(
    acme.events.filter(({ type }) => type === 'identity-behind'),
    [{ type: 'identity-behind', org: bolt.org, events: 1 }],
  )
  for (const act of [() => acme.delegate(['log']), () => acme.succeed()]) throwsCode(act, 'IDENTITY_BEHIND')
  acme.restart()
  throwsCode(() => acme.delegate(['log']), 'IDENTITY_BEHIND')
  assert.is(acme.chain.events.length, 0)
  for (const each of [bolt, cole]) assert.is(proofAt(each), undefined, 'no fork came of it')
})

/** Acme's store was put back to before these, and Bolt has told it so. */
function missing(act: (acme: Member) => void): Story {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  const copy = new Map(acme.store)
  act(acme)
  world.run()
  putBack(acme, copy)
  bolt.input({ type: 'connected', org: acme.org })
  world.run(10)
  return story
}
const orgsOf = ({ bolt, cole }: Story) => [bolt.org, cole.org]

test('a store takes its events back from who knows them, and goes on where it stood', () => {
  const story = missing(acme => acme.delegate(['operation'], ['operation']))
  const { acme, bolt, cole, world } = story
  acme.input({ type: 'identity', adopts: true, orgs: orgsOf(story) })
  assert.is(identityBehind(acme.env.get, acme.chain), undefined)
  assert.equal(eventsOf(acme.chain), eventsOf(chainAt(bolt, acme)))
  acme.restart()
  acme.delegate(['log'])
  world.run()
  for (const each of [bolt, cole]) {
    assert.equal(eventsOf(chainAt(each, acme)), eventsOf(acme.chain))
    assert.is(proofAt(each), undefined)
  }
  throwsCode(() => acme.input({ type: 'identity', adopts: true, orgs: [] }), 'OUT_OF_ORDER')
})

test('what is taken back and what follows it are one act, and what follows holds behind it only', () => {
  const story = missing(acme => acme.delegate(['operation']))
  const { acme, bolt } = story
  const { chain } = acme
  const make = (from: Chain) =>
    makeDelegate(from, acme.key('admin'), { keys: { node: { key: acme.draw(), untilMs: 1 } } }, 1)
  const stale = { type: 'identity' as const, adopts: true, orgs: orgsOf(story), event: make(chain) }
  throwsCode(() => acme.input(stale), 'IDENTITY_FORKED')
  assert.is(acme.chain.events.length, 0)
  acme.input({ ...stale, event: make(chainAt(bolt, acme)) })
  assert.is(acme.chain.events.length, 2)
})

test('a log that was begun with events that are missing gets a successor, which names no end of it', () => {
  const story = missing(acme => acme.succeed())
  const { acme, bolt, world } = story
  const known = chainAt(bolt, acme)
  const adopt = { type: 'identity' as const, adopts: true, orgs: orgsOf(story) }
  throwsCode(() => acme.input(adopt), 'OUT_OF_ORDER')
  acme.input({ ...adopt, event: makeDelegate(known, acme.key('admin'), { succeeds: true }, world.wallMs) })
  acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run(10_000)
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run(10_000)
  assert.is(acme.chain.logs.length, 3)
  const { entry } = readEntryAt(acme.env.get, 0)!
  assert.is(endIn(entry, acme.chain.logs[2]!), undefined)
  const watch = readWatch(bolt.store.get(KEY.watch(acme.org)))!
  assert.ok(watch && watch.size > 0, 'its heads are taken')
  assert.equal(codes(bolt), [])
})

test('a machine that has seen more events than the store has lets it sign none', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  const copy = new Map(acme.store)
  acme.delegate(['operation'])
  world.run()
  putBack(acme, copy)
  acme.input({ type: 'restored', why: 'older', events: 1, tickets: [], seats: [], redactions: [] })
  throwsCode(() => acme.delegate(['log']), 'IDENTITY_BEHIND')
  throwsCode(() => acme.input({ type: 'identity', adopts: true, orgs: [] }), 'NOT_FOUND')
  bolt.input({ type: 'connected', org: acme.org })
  world.run(10)
  acme.input({ type: 'identity', adopts: true, orgs: [] })
  assert.equal(eventsOf(acme.chain), eventsOf(chainAt(bolt, acme)))
})

test('who has all of its events is asked nothing, and a made-up last event stops nobody', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  acme.delegate(['operation'])
  world.run()
  for (const each of [acme, bolt]) each.input({ type: 'connected', org: (each === acme ? bolt : acme).org })
  world.run()
  assert.equal(story.sent('identity/ask'), [])
  world.send(bolt, acme.org, {
    t: 'hello',
    versions: [1],
    addresses: [],
    witnesses: [],
    known: bolt.env.self.id,
  })
  world.run(10)
  assert.is(story.sent('identity/known').length, 1)
  acme.delegate(['operation'])
  world.run()
  assert.is(acme.chain.events.length, 2)
})

test.run()
