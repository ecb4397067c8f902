/** How a log is taken in by those who are to hold promises and cosign (RULES D2), and what partners pin of it. */
import * as assert from 'uvu/assert'
import { cidOf } from '../../crypto/cid.ts'
import { leafHash } from '../../crypto/merkle.ts'
import { inForce, readSeating } from '../../protocol/committee.ts'
import { newestHead } from '../../protocol/heads.ts'
import { readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { MessageOf } from '../../protocol/message.ts'
import { decodePartner, parseTicket } from '../../protocol/pairing.ts'
import type { Cosigned, Submission } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { codes, Story } from './story.ts'
import { type Member, mesh, World } from './world.ts'

const test = suite('protocol/registration')

const leafOf = ({ env }: Member) => leafHash(readEntryAt(env.get, 0)!.entry)
const heldOf = (witness: Member, org: string) => {
  const stored = witness.store.get(KEY.cosigned(org))
  return stored && decodeState<Cosigned>(stored)
}
const submission = ({ store }: Member, org: string) => decodeState<Submission>(store.get(KEY.witness(org))!)
const firstAt = (member: Member, org: string) =>
  decodePartner(member.store.get(KEY.partner(org))!).firsts.at(-1)
const reconnect = (world: World, from: Member, to: Member) => {
  from.input({ type: 'connected', org: to.org })
  world.run(60_000)
}

test('a log is registered once, before anything else of it, and everything held extends its entry 0', () => {
  const story = new Story().pair()
  const { acme, cole, world } = story
  const toCole = world.wire.filter(({ from, to }) => from === acme && to === cole).map(each => each.message.t)
  const of = (...types: string[]) => toCole.findIndex(t => types.includes(t))
  assert.ok(of('log/register') >= 0 && of('log/register') < of('promise/ask', 'witness/add'))
  assert.is(toCole.filter(t => t === 'log/register').length, 1)
  assert.equal(heldOf(cole, acme.org)!.first, leafOf(acme))
  assert.ok(submission(acme, cole.org).registered)
  const asked = story.sent('promise/ask').filter(({ old }) => old === 0)
  assert.equal(asked, [], 'what is asked begins at entry 0')
  story.check()
})

test('until it is registered nothing is answered but 404, and nothing is held', () => {
  const story = new Story()
  const { acme, cole, world } = story
  world.bend = message => (message.t === 'log/register' ? 0 : 1)
  story.pair()
  const { note } = newestHead(acme.env.get)!
  world.send(acme, cole.org, { t: 'witness/add', old: 0, note, path: [] })
  world.run(10)
  assert.is(story.sent('witness/refused').at(-1)!.status, 404)
  assert.is(heldOf(cole, acme.org), undefined)
  world.bend = () => 1
  world.run(600_000)
  assert.is(heldOf(cole, acme.org)!.size, newestHead(acme.env.get)!.size, 'it is registered by itself')
  story.check()
})

test('a witness that lost its store gets the log anew, from its entry 0', () => {
  const { world, owner, seats } = mesh(3)
  owner.witnesses = seats.map(({ env }) => env.self.id)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const [lost] = seats as [Member]
  lost.store.delete(KEY.cosigned(owner.org))
  for (let i = 0; i < 2; i++) {
    owner.input({ type: 'publish', title: `${i}`, domain: 'x', level: 'general', packets: [] })
    world.run(900_000)
  }
  assert.equal(heldOf(lost, owner.org)!.first, leafOf(owner))
  assert.is(heldOf(lost, owner.org)!.size, newestHead(owner.env.get)!.size)
  assert.is(submission(owner, lost.org).stuck, undefined)
})

test('an organisation whose log begins otherwise than it was registered is refused, and says so to its operator', () => {
  const story = new Story().pair()
  const { acme, cole, world } = story
  const other = new World()
  other.wallMs += 1
  const twin = other.add('Acme Steel')
  assert.is(twin.org, acme.org)
  const message = story.sent('log/register').find(({ genesis }) => genesis)!
  const { entry, slot } = readEntryAt(twin.env.get, 0)!
  world.send(acme, cole.org, { ...message, entry, salt: twin.env.slots.salt(slot)! })
  world.run(10)
  assert.is(story.sent('log/refused').at(-1)!.refusal.code, 'LOG_REGISTERED')
  assert.match(submission(acme, cole.org).stuck!, /^LOG_REGISTERED: /)
  assert.equal(heldOf(cole, acme.org)!.first, leafOf(acme))
})

test('a successor is registered anew', () => {
  const story = new Story().pair()
  const { acme, cole, world } = story
  acme.succeed()
  world.run(300_000)
  assert.is(heldOf(cole, acme.org)!.size, newestHead(acme.env.get)!.size)
  const logs = story.sent('log/registered').map(({ log }) => log.toString())
  assert.ok(logs.includes(acme.chain.logs[1]!.toString()))
})

// What partners pin.

test('a late question about the closed log is refused as such, and does not stop its successor', () => {
  const { world, owner, seats } = mesh(1)
  const [witness] = seats as [Member]
  owner.witnesses = [witness.env.self.id]
  world.bend = message => (message.t === 'log/register' ? 0 : 1)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const late = world.wire.findLast(({ message }) => message.t === 'log/register')!.message
  const closed = owner.chain.logs.at(-1)!
  owner.succeed()
  world.run(1)
  world.bend = () => 1
  world.send(owner, witness.org, late)
  world.run(600_000)
  const refused = world.wire.find(({ message }) => message.t === 'log/refused')!.message
  assert.ok((refused as MessageOf<'log/refused'>).log.equals(closed))
  assert.ok(decodeState<Submission>(owner.env.get(KEY.witness(witness.org))!).registered)
  assert.is(heldOf(witness, owner.org)!.size, newestHead(owner.env.get)!.size)
})

test('late questions and answers about the closed log, and what they hold, do not stop its successor', () => {
  const { world, owner, seats } = mesh(1)
  const [member] = seats as [Member]
  owner.witnesses = [member.env.self.id]
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const ofClosed = /^(promise|witness)/
  const late = world.wire.filter(({ message }) => ofClosed.test(message.t))
  const closed = owner.chain.logs.at(-1)!
  const refused = { log: closed, size: 640, root: leafOf(owner), status: 409, text: 'another size' }
  owner.succeed()
  world.run(5)
  for (const { from, to, message } of late) world.send(from, to.org, message)
  for (const t of ['promise/refused', 'witness/refused'] as const)
    world.send(member, owner.org, { t, ...refused })
  world.run(600_000)
  assert.is(owner.env.get(KEY.behind), undefined)
  assert.is(inForce(owner.env.get)?.payload.n, 1)
  const { size } = owner.state.ledger.tail.range
  assert.equal([newestHead(owner.env.get)!.size, heldOf(member, owner.org)!.size], [size, size])
})

test('a successor asks for the committee of the witnesses that are named, by itself', () => {
  const { world, owner, seats } = mesh(3)
  owner.witnesses = seats.map(({ env }) => env.self.id)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  owner.succeed()
  world.run(60_000)
  assert.is(owner.state.ledger.number, 1)
  assert.is(inForce(owner.env.get)?.payload.n, 3)
})

test('partners pin the first committee of a log when they meet, and keep it', () => {
  const { world, owner, seats } = mesh(3)
  const [a, b, c] = seats as [Member, Member, Member]
  owner.witnesses = [a, b].map(({ env }) => env.self.id)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  assert.is(firstAt(c, owner.org), undefined, 'it was paired before there was one')
  for (const each of seats) reconnect(world, owner, each)
  const first = { log: owner.chain.logs[0]!, committee: inForce(owner.env.get)!.id }
  for (const each of seats) assert.equal(firstAt(each, owner.org), first)
  const late = world.add('Late')
  world.pair(owner, late)
  assert.equal(firstAt(late, owner.org), first, 'at pairing')

  const hello: MessageOf<'hello'> = { t: 'hello', versions: [1], addresses: [], witnesses: [] }
  world.send(owner, c.org, { ...hello, first: { ...first, committee: cidOf(new Uint8Array(1), 'raw') } })
  world.run(10)
  assert.ok(codes(c).includes('COMMITTEE_PINNED'))
  world.send(owner, c.org, hello)
  world.send(owner, c.org, { ...hello, first: { log: c.env.self.id, committee: c.env.self.id } })
  world.run(10)
  assert.equal(firstAt(c, owner.org), first)

  owner.input({ type: 'committee', seats: seats.map(({ env }) => env.self.id) })
  world.run(600_000)
  assert.ok(inForce(owner.env.get)!.payload.number > 0)
  assert.equal(readSeating(owner.env.get).first, first.committee, 'a later one changes nothing')
})

test('who pairs again cannot bring another first committee, or fewer identity events', () => {
  const { world, owner, seats } = mesh(2)
  const [a, b] = seats as [Member, Member]
  owner.witnesses = [a.env.self.id]
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  reconnect(world, owner, b)
  owner.delegate(['operation'])
  world.run()
  const made = b.input({
    type: 'invite',
    forWhom: '',
    expiresMs: world.wallMs + 60_000,
    node: b.key('node').public,
  }) as { ticket: string }
  const joined = owner.input({ type: 'join', ticket: parseTicket(made.ticket) })
  const { hello } = joined as { hello: Extract<MessageOf<never> | { t: 'hello/join' }, { t: 'hello/join' }> }
  const say = (change: object) =>
    (
      b.input({ type: 'hello', node: owner.key('node').public, hello: { ...hello, ...change } as never }) as {
        hello: { t: string; code?: string }
      }
    ).hello
  const other = { log: owner.chain.logs[0]!, committee: b.env.self.id }
  assert.is(say({ first: other }).code, 'RECORD_INVALID')
  assert.is(say({ events: [] }).t, 'hello/welcome')
  const known = decodePartner(b.store.get(KEY.partner(owner.org))!)
  assert.is(known.chain.events.length, 1)
  assert.equal(known.firsts[0], { log: owner.chain.logs[0]!, committee: inForce(owner.env.get)!.id })
})

test.run()
