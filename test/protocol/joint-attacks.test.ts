/** What one of several owners tries, alone or with a friend: none of it may bind or harm those who did not sign. */
import * as assert from 'uvu/assert'
import { equal, u64 } from '../../crypto/bytes.ts'
import {
  decodeSigned,
  encodeSigned,
  type Payload,
  type Signature,
  signRecord,
} from '../../crypto/statement.ts'
import { freshBy, makeFresh } from '../../protocol/freshness.ts'
import { makeVote, type Order, readOrder } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_TITLES } from '../../protocol/limits.ts'
import {
  advance,
  checkOrder,
  isRefused,
  makeCertificate,
  type Owned,
  signedBoth,
} from '../../protocol/ownership.ts'
import { keysOf } from '../../protocol/parties.ts'
import { contentCommitment, isRegisteredTwice } from '../../protocol/registered.ts'
import { bothRegistered, encodeRegistered, verifyRegistered } from '../../protocol/registered-twice.ts'
import { committeeKnown, frozenOf, shownLinks, titleOf } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Joint } from './joint-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/joint owners, attacks')
const operation = (member: Member) => member.env.keys.operation
const id = ({ env }: Member) => env.self.id

/** The same order, changed, with the signatures of these. */
function signed(order: Uint8Array, change: object, by: [role: string, Member][]): Uint8Array {
  const p = { ...decodeSigned(order).p, ...change } as Payload
  return encodeSigned({ p, s: by.map(([role, member]) => signRecord(p, role, operation(member))) })
}

/** These in the order of their ids, as orders name them. */
const inOrder = (members: Member[]) => members.toSorted((a, b) => (a.org < b.org ? -1 : 1))

test('several owners open what they registered, and one who registers it again is convicted', () => {
  const story = new Joint().joint()
  const { acme, world } = story
  const { links, identities } = shownLinks(acme.knowing, story.asset, 0, 1)
  const plain = new Uint8Array(32).fill(3)
  const opened = (i: number, by: Member[]) => {
    const salt = new Uint8Array(32).fill(i)
    const change = { asset: [story.asset, story.jury][i]!, content: contentCommitment(salt, plain) }
    const registration = signed(
      links[0]!.order,
      change,
      by.map(each => ['owner', each]),
    )
    return { registration, salt, plain }
  }
  const all = inOrder(story.all)
  const keys = keysOf(acme.knowing, identities)
  assert.ok(isRegisteredTwice(opened(0, all), opened(1, all), keys))
  assert.not(isRegisteredTwice(opened(0, all), opened(1, all.slice(1)), keys), 'not all have signed')
  const file = (...of: ReturnType<typeof opened>[]) => encodeRegistered({ opened: of, identities })
  const trust = readTrust({
    schema: 'waybill.trust/1',
    identities: world.members.map(({ org }) => ({ id: org })),
    committees: [],
  })
  const verdict = (bytes: Uint8Array) => verifyRegistered(bytes, trust, world.wallMs).verdict
  assert.is(verdict(file(opened(0, all))), 'verified')
  assert.is(verdict(file(opened(0, all.slice(1)))), 'failed')
  const proof = bothRegistered(file(opened(0, all)), file(opened(1, all))) as Uint8Array
  assert.is(verdict(proof), 'verified')
})

test('an owner that said yes still signs when its keys are others by then', () => {
  for (const k of [2, 3]) {
    const story = new Joint().joint(k)
    const { acme, jost, kern, bolt, world } = story
    story.sell(acme).yes(acme, bolt)
    if (k === 3) story.yes(acme, kern)
    world.bend = ({ t }) => (t === 'handover/signed' ? 0 : 1)
    story.yes(acme, jost, 2_000)
    assert.is(story.stateAt(acme), 'ACCEPTED', 'the writer has signed, and is bound')
    jost.delegate(['operation'], ['operation'])
    world.bend = () => 1
    world.run(600_000)
    assert.is(story.owner(bolt), '1 Bolt GmbH')
    story.check()
  }
})

test('an owner that goes back on its yes, changes its keys and thinks again signs after all', () => {
  const story = new Joint().joint(3)
  const { acme, jost, kern, bolt, world } = story
  story.sell(acme).yes(acme, bolt).yes(acme, kern)
  world.bend = ({ t }) => (t === 'handover/signed' ? 0 : 1)
  story.yes(acme, jost, 2_000).no(acme, jost)
  jost.delegate(['operation'], ['operation'])
  world.bend = () => 1
  world.run(60_000)
  assert.is(story.owner(bolt), '0 Acme Steel', 'not without its yes')
  story.yes(acme, jost)
  world.run(600_000)
  assert.is(story.owner(bolt), '1 Bolt GmbH')
})

test('a signature as who takes is none as who gives, nor one of another order', () => {
  const story = new Joint().joint()
  const { acme, jost, bolt } = story
  story
    .sell(jost, acme, { others: [id(bolt)], k: 2 })
    .yes(jost, acme)
    .yes(jost, bolt)
  const kept = shownLinks(jost.knowing, story.asset, 1, 1).links[0]!.order
  const { p, s } = decodeSigned(kept)
  const keys = keysOf(jost.knowing, [])
  const code = (signatures: Signature[], payload: Payload = p) => {
    const checked = checkOrder({ order: encodeSigned({ p: payload, s: signatures }) }, keys)
    return isRefused(checked) ? checked.code : 'ok'
  }
  assert.is(code(s), 'ok')
  const of = (role: string, member: Member) => signRecord(p, role, operation(member))
  const [first, second] = inOrder([acme, jost]) as [Member, Member]
  const takers = inOrder([acme, bolt]).map(each => of('to', each))
  assert.is(code([of('from', first), of('from', second), ...takers]), 'ok')
  // What Acme signed as who takes it, as if it gave it as well.
  const acmes = { ...of('to', acme), r: 'from' }
  const givers = inOrder([acme, jost]).map(each => (each === acme ? acmes : of('from', each)))
  assert.is(code([...givers, ...takers]), 'SIGNATURE_INVALID')
  // What two signed of another order of that version.
  assert.is(code(s, { ...p, made: 7 } as Payload), 'SIGNATURE_INVALID')
})

test('most of the owners may hand it over to themselves, and who is left out knows it', () => {
  const story = new Joint().joint()
  const { acme, jost, kern } = story
  story.sell(jost, jost, { others: [id(acme)], k: 2 }).yes(jost, acme)
  assert.is(story.owner(kern), '1 Jost AG')
  assert.equal(titleOf(kern.env.get, story.asset)!.joint.owners.length, 2)
  throwsCode(() => story.sell(kern), 'NOT_OWNER')
  story.check()
})

test('nobody becomes one of several owners who votes on them', () => {
  const story = new Joint().joint()
  const [cole] = story.seats as [Member]
  throwsCode(() => story.sell(story.acme, story.bolt, { others: [id(cole)], k: 2 }), 'PARTY_SEATED')
})

test('a seat of an owner says nothing of whether a version is the last', () => {
  const story = new Joint().begin()
  const { acme, seats } = story
  const [cole, ...others] = seats as [Member, ...Member[]]
  // Acme and Cole register it together past their own nodes, which would not.
  const offered = story.ask(2, [story.jost]).sent('handover/offer').at(-1)!
  const owners = inOrder([acme, cole])
  const joint = { k: 2, owners: owners.map(each => ({ org: id(each), state: each.chain.last })) }
  const order = signed(
    offered.order,
    { joint },
    owners.map(each => ['owner', each]),
  )
  const read = readOrder(order) as Order
  const jury = committeeKnown(acme.env.get, story.jury)!
  const seatOf = ({ org }: Member) => jury.payload.seats.find(seat => seat.org.toString() === org)!
  const voteKey = ({ env, secrets }: Member) => {
    const keys = [...secrets.keys()].map(handle => env.seatKey(handle)!)
    return keys.find(key => jury.payload.seats.some(seat => equal(seat.key.k, key.public)))!
  }
  const link = (by: Member[]) => ({
    order,
    asset: offered.asset!,
    committee: jury.bytes,
    certificate: makeCertificate(by.map(each => makeVote(seatOf(each), voteKey(each), read))),
  })
  const keys = keysOf(acme.knowing, [])
  const few = advance(undefined, link([cole, ...others.slice(1)]), keys)
  assert.is(isRefused(few) && few.code, 'CERTIFICATE_INVALID')
  const owned = advance(undefined, link(others), keys) as Owned
  assert.not(isRefused(owned))
  const about = { committee: jury.id, asset: story.asset, version: 0 }
  const words = (by: Member[]) => by.map(each => makeFresh(seatOf(each), voteKey(each), about, 1))
  assert.is(freshBy(words([cole, ...others.slice(1)]), owned), undefined)
  assert.ok(freshBy(words(others), owned))
})

test('of two orders of one version those who signed both are named, and no other owner', () => {
  const story = new Joint().joint()
  const { acme, jost, kern, bolt, world, seats } = story
  const before = new Map(jost.store)
  const half = seats.slice(0, 2)
  // Jost sells with Acme, as two seats see, and with Kern, as the other two do.
  world.bend = ({ t }, _from, to) => (to === kern || (t === 'vote/ask' && !half.includes(to)) ? 0 : 1)
  story.sell(jost).yes(jost, bolt).yes(jost, acme, 20_000)
  acme.up = false
  bolt.up = false
  jost.store.clear()
  for (const [key, value] of before) jost.store.set(key, value)
  jost.restart()
  world.bend = ({ t }, _from, to) => (t === 'vote/ask' && half.includes(to) ? 0 : 1)
  story.sell(jost, kern).yes(jost, kern, 20_000)
  world.bend = () => 1
  acme.restart()
  bolt.restart()
  world.run(600_000)
  for (const each of [acme, kern, bolt]) {
    const frozen = frozenOf(each.env.get, story.asset)!
    assert.ok(frozen, each.org)
    const [one, other] = frozen.orders.map(order => readOrder(order) as Order) as [Order, Order]
    assert.equal(signedBoth(one, other, keysOf(each.knowing, frozen.identities)).map(String), [jost.org])
  }
})

test('what a partner asks this node to own with it fills no store', () => {
  const story = new Joint().begin()
  const { acme, jost, world } = story
  jost.store.set(KEY.titlesOf(acme.org), u64(MAX_TITLES - 1))
  story.ask(2)
  assert.is(
    world.wire.filter(({ from, message }) => from === jost && message.t === 'handover/decline').length,
    0,
  )
  story.asset = story.publish('press 5')
  const before = jost.store.size
  story.ask(2, [jost, story.kern], 'press 5')
  const said = story.sent('handover/decline').map(({ refusal }) => refusal.code)
  assert.equal(said, ['QUOTA_EXCEEDED'])
  assert.is(jost.store.size, before)
})

test.run()
