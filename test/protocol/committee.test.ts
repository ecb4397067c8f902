/** Who sits in the committee of a log, from when it counts, and how it changes. */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { encodeSigned, signRecord } from '../../crypto/statement.ts'
import { committeeDigest, inForce, quorums, readSeat, readSeating } from '../../protocol/committee.ts'
import { type Committee, committee } from '../../protocol/committee-record.ts'
import { bestShown, newestHead, publicHead } from '../../protocol/heads.ts'
import { readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_WITNESSES } from '../../protocol/limits.ts'
import { type Entry, KIND, readEntry, ZERO_HASH } from '../../protocol/log.ts'
import type { Message, MessageOf } from '../../protocol/message.ts'
import { checkPayload, isStored, readRecord, verifySignatures } from '../../protocol/record.ts'
import { suite, throwsCode } from '../harness.ts'
import { forgedHead } from './story.ts'
import { type Member, mesh, World } from './world.ts'

const test = suite('protocol/committee')

const ids = (members: Member[]): CID[] => members.map(({ env }) => env.self.id)
const grow = (owner: Member, world: World, ms = 60_000) => {
  owner.input({ type: 'publish', title: `at ${world.monoMs}`, domain: 'x', level: 'general', packets: [] })
  world.run(ms)
}
const seatsOf = (member: Member) => inForce(member.env.get)?.payload.seats.map(String).sort()
const sorted = (members: Member[]) => members.map(({ org }) => org).sort()

const payloadOf = (owner: Member, seats: Member[], change: Partial<Committee> = {}): Committee => ({
  t: 'committee/1',
  org: owner.env.self.id,
  log: owner.chain.logs.at(-1)!,
  number: 0,
  n: seats.length,
  f: 0,
  q: Math.min(2, seats.length),
  seats: ids([...seats].sort((a, b) => (a.org < b.org ? -1 : 1))),
  made: 1,
  ...change,
})

test('a committee is valid only with a quorum that two histories cannot both have', () => {
  const { owner, seats } = mesh(5)
  const sound = (n: number, f: number, q: number) =>
    checkPayload(committee, payloadOf(owner, seats.slice(0, n), { f, q })).ok
  for (let n = 1; n <= 5; n++)
    for (let f = 0; f <= n; f++)
      for (let q = 0; q <= n + 1; q++) assert.is(sound(n, f, q), q <= n && 2 * q > n + f, `${n} ${f} ${q}`)
  const five = payloadOf(owner, seats, { f: 1, q: 4 })
  const wrong: Partial<Committee>[] = [
    { n: 4 },
    { n: 0, q: 0, seats: [] },
    { seats: [...five.seats].reverse() },
    { seats: [five.seats[0]!, ...five.seats.slice(0, 4)] },
    { seats: ids([owner, ...seats.slice(1)]).sort((a, b) => (a.toString() < b.toString() ? -1 : 1)) },
    { number: 1 },
    { prev: owner.env.self.id },
  ]
  for (const change of wrong) assert.is(checkPayload(committee, { ...five, ...change }).ok, false)
  assert.is(checkPayload(committee, { ...five, number: 1, prev: owner.env.self.id }).ok, true)
})

test('witnesses that are named sit by themselves: signed by each, named by an entry of kind 10, in force when all cosigned', () => {
  const { world, owner, seats } = mesh(3)
  assert.equal(committeeDigest(owner.env.get), ZERO_HASH)
  owner.witnesses = ids(seats)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  assert.equal(seatsOf(owner), sorted(seats))
  const current = inForce(owner.env.get)!
  const { n, f, q, number } = current.payload
  assert.equal([number, n, f, q], [0, 3, 0, 2])
  const keys: Parameters<typeof verifySignatures>[2] = org =>
    seats.find(({ env }) => env.self.id.equals(org))?.env.keys.witness.public
  assert.is(verifySignatures(committee, current, keys).ok, true)
  const swapped = readRecord(
    committee,
    encodeSigned({ p: current.payload, s: [...current.signatures].reverse() }),
  )
  assert.ok(isStored(swapped))
  assert.is(verifySignatures(committee, swapped, keys).ok, false, 'each in its place')
  const size = owner.state.ledger.tail.range.size
  const kinds = Array.from(
    { length: size },
    (_, i) => readEntry(readEntryAt(owner.env.get, i)!.entry) as Entry,
  )
  const naming = kinds.find(({ k }) => k === KIND.committee)!
  assert.equal(naming.x, [committeeDigest(owner.env.get)])
})

test('a first committee is not in force while one of its seats has not cosigned, and no head over its entry is signed without all promises', () => {
  const { world, owner, seats } = mesh(3)
  const [late] = seats
  world.bend = ({ t }, from) => (from === late && /^(promise|witness)/.test(t) ? 0 : 1)
  owner.witnesses = ids(seats)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const { index } = readSeating(owner.env.get).next!
  grow(owner, world)
  assert.is(inForce(owner.env.get), undefined)
  assert.is(owner.state.ledger.signed.range.size, index, 'up to the entry heads need nobody')
  assert.equal(quorums(owner.env.get, index), [])
  assert.is(quorums(owner.env.get, index + 1)[0]!.need, 3)
  world.bend = () => 1
  world.run(600_000)
  assert.equal(seatsOf(owner), sorted(seats))
  assert.is(owner.state.ledger.signed.range.size, owner.state.ledger.tail.range.size)
})

test('a first committee whose seats have all promised is not in force before the last of them has cosigned', () => {
  const { world, owner, seats } = mesh(4)
  const [late] = seats
  world.bend = ({ t }, from) => (from === late && t === 'witness/cosigned' ? 0 : 1)
  owner.witnesses = ids(seats)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  grow(owner, world)
  const { next, now } = readSeating(owner.env.get)
  assert.ok(next && owner.state.ledger.signed.range.size > next.index, 'signed: all have promised')
  assert.is(now, undefined, 'three of four would make it final')
  world.bend = () => 1
  world.run(600_000)
  assert.equal(seatsOf(owner), sorted(seats))
})

test('a head is shown to others when q members have cosigned it, and not one before', () => {
  const { world, owner, seats } = mesh(4)
  owner.witnesses = ids(seats)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  assert.is(inForce(owner.env.get)!.payload.q, 3)
  const shown = publicHead(owner.env.get)!.size
  const late = new Set(seats.slice(0, 2))
  world.bend = ({ t }, from) => (late.has(from) && t === 'witness/cosigned' ? 0 : 1)
  grow(owner, world)
  const { size } = owner.state.ledger.signed.range
  assert.ok(size > shown, 'all have promised, and two have cosigned')
  assert.is(publicHead(owner.env.get)!.size, shown)
  late.delete(seats[0]!)
  world.run(600_000)
  assert.is(publicHead(owner.env.get)!.size, size)
})

test('a committee that is named before there is a head: what is not final is shown to nobody else', () => {
  const world = new World()
  const owner = world.add('Acme Steel')
  const [seat, late, partner] = ['Bolt', 'Cole', 'Dunn'].map(name => world.add(name)) as [
    Member,
    Member,
    Member,
  ]
  for (const other of [seat, late, partner]) world.pair(owner, other)
  world.bend = ({ t }, from) => (from === late && t === 'witness/cosigned' ? 0 : 1)
  owner.input({ type: 'committee', seats: ids([seat, late]) })
  world.run(0)
  assert.ok(readSeating(owner.env.get).next)
  assert.is(newestHead(owner.env.get), undefined)
  grow(owner, world)
  assert.ok(newestHead(owner.env.get), 'promised by both, and signed')
  const served = () => bestShown({ ...owner.knowing, witnesses: owner.witnesses })?.size
  assert.is(served(), undefined)
  owner.input({ type: 'connected', org: partner.org })
  owner.input({ type: 'gossip', orgs: [partner.org], about: [] })
  world.run(0)
  const shown = () =>
    world.wire.filter(({ to, message }) => to === partner && message.t === 'head/show').length
  assert.is(shown(), 0)
  world.bend = () => 1
  grow(owner, world)
  owner.input({ type: 'gossip', orgs: [partner.org], about: [] })
  world.run(0)
  assert.is(shown(), 1)
  assert.is(served(), newestHead(owner.env.get)!.size)
})

test('another committee counts with q of the old and q of the new', () => {
  const { world, owner, seats } = mesh(6)
  const [old, fresh] = [seats.slice(0, 3), seats.slice(3)]
  owner.input({ type: 'committee', seats: ids(old) })
  world.run()
  assert.equal(seatsOf(owner), sorted(old))
  // Two of the old are away: the new ones alone put nothing in force.
  for (const member of old.slice(1)) member.up = false
  owner.input({ type: 'committee', seats: ids(fresh) })
  world.run(600_000)
  const { size } = owner.state.ledger.signed.range
  grow(owner, world, 600_000)
  assert.is(owner.state.ledger.signed.range.size, size, 'no head is signed')
  assert.equal(seatsOf(owner), sorted(old))
  throwsCode(() => owner.input({ type: 'committee', seats: ids(fresh) }), 'OUT_OF_ORDER')
  old[1]!.up = true
  world.run(600_000)
  assert.equal(seatsOf(owner), sorted(fresh))
  assert.is(inForce(owner.env.get)!.payload.number, 1)
  for (const member of old) member.up = false
  grow(owner, world, 600_000)
  assert.is(
    owner.state.ledger.signed.range.size,
    owner.state.ledger.tail.range.size,
    'the old are not needed',
  )
})

test('a seat keeps the committee that it promised under, whatever is asked for after it and never comes into force', () => {
  const { world, owner, seats } = mesh(8)
  const [one, ...others] = seats as [Member, ...Member[]]
  owner.witnesses = ids([one])
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  for (const other of others) {
    other.sits = false
    owner.input({ type: 'committee', seats: ids([one, other]) })
    world.run(10_000)
  }
  assert.equal(seatsOf(owner), sorted([one]))
  assert.is(readSeat(one.env.get, owner.org)!.committees.length, 5)
  const before = owner.state.ledger.signed.range.size
  grow(owner, world)
  assert.ok(owner.state.ledger.signed.range.size > before)
})

test('a stated rule is held to, and strangers are no seats', () => {
  const { world, owner, seats } = mesh(4)
  throwsCode(
    () => owner.input({ type: 'committee', seats: ids(seats), rule: { f: 1, q: 2 } }),
    'RECORD_INVALID',
  )
  const stranger = world.add('Nobody')
  throwsCode(() => owner.input({ type: 'committee', seats: ids([stranger]) }), 'NOT_FOUND')
  owner.input({ type: 'committee', seats: ids(seats), rule: { f: 0, q: 4 } })
  world.run()
  assert.is(inForce(owner.env.get)!.payload.q, 4)
})

test('where a person decides, a seat is taken when that person says so', () => {
  const { world, owner, seats } = mesh(1)
  const [seat] = seats as [Member]
  seat.sits = false
  owner.input({ type: 'committee', seats: ids(seats) })
  world.run()
  assert.is(inForce(owner.env.get), undefined)
  assert.ok(seat.events.some(({ type }) => type === 'seat'))
  throwsCode(() => seat.input({ type: 'seat', org: 'nobody' }), 'NOT_FOUND')
  seat.input({ type: 'seat', org: owner.org })
  world.run()
  assert.equal(seatsOf(owner), sorted(seats))
  throwsCode(() => seat.input({ type: 'seat', org: owner.org }), 'NOT_FOUND')
})

// What a seat refuses.

function answer(world: World, from: Member, seat: Member, message: Message): Message | undefined {
  const before = world.wire.length
  world.send(from, seat.org, message)
  world.run(1)
  return world.wire.slice(before).find(each => each.from === seat)?.message
}
const codeOf = (message: Message | undefined) =>
  message?.t === 'committee/refused'
    ? message.refusal.code
    : ((message as { code?: string })?.code ?? message?.t)

test('a seat refuses by its code what it is not to sign', () => {
  const { world, owner, seats } = mesh(3)
  const [seat, other] = seats as [Member, Member, Member]
  const stranger = world.add('Nobody')
  const identities = [other, stranger].map(({ env }) => ({ identity: env.self.identityBytes, events: [] }))
  const ask = (payload: Committee, given = identities) =>
    codeOf(
      answer(world, owner, seat, {
        t: 'committee/ask',
        committee: encodeSigned({ p: payload, s: [] }),
        identities: given,
      }),
    )
  const two = [seat, other]
  assert.is(ask(payloadOf(owner, two, { q: 1 })), 'RECORD_INVALID')
  assert.is(ask(payloadOf(other, [seat])), 'RECORD_INVALID')
  assert.is(ask(payloadOf(owner, two, { log: owner.env.self.id })), 'RECORD_INVALID')
  assert.is(ask(payloadOf(owner, [other])), 'RECORD_INVALID')
  assert.is(ask(payloadOf(owner, two), []), 'RECORD_INVALID')
  const broken = identities.map(({ identity, events }) => ({ identity: identity.slice(1), events }))
  assert.is(ask(payloadOf(owner, two), broken), 'RECORD_INVALID')
  assert.is(readSeat(seat.env.get, owner.org), undefined, 'nothing of that was kept')
  assert.is(ask(payloadOf(owner, two)), 'committee/signed')
  assert.is(ask(payloadOf(owner, [seat])), 'committee/signed', 'as long as it has promised under none')
  for (const root of [1, 2]) {
    const note = forgedHead(owner, 1_000, new Uint8Array(32).fill(root))
    world.send(owner, seat.org, { t: 'head/show', note })
    world.send(owner, seat.org, { t: 'head/proof', size: 1, root: new Uint8Array(32), note, path: [] })
  }
  world.run(1)
  assert.is(ask(payloadOf(owner, two)), 'LOG_CLOSED')
})

test('under a committee that a seat has promised, another of its number is out of order', () => {
  const { world, owner, seats } = mesh(2)
  const [seat] = seats as [Member, Member]
  owner.input({ type: 'committee', seats: ids([seat]) })
  world.run()
  const again = payloadOf(owner, [seat], { made: 2 })
  const ask = (payload: Committee): Message => ({
    t: 'committee/ask',
    committee: encodeSigned({ p: payload, s: [] }),
    identities: [],
  })
  assert.is(codeOf(answer(world, owner, seat, ask(again))), 'OUT_OF_ORDER')
  const next = { ...again, number: 1, prev: inForce(owner.env.get)!.id }
  assert.is(codeOf(answer(world, owner, seat, ask(next))), 'committee/signed')
})

test('a signature of somebody else makes nobody a member', () => {
  const { world, owner, seats } = mesh(2)
  const [seat, other] = seats as [Member, Member]
  world.intercept = flight => {
    const { message } = flight
    if (message.t !== 'committee/signed' || flight.from !== seat) return undefined
    const { payload } = readRecord(committee, message.committee) as { payload: Committee }
    const s = [signRecord(payload, 'seat', other.env.keys.witness)]
    const forged: MessageOf<'committee/signed'> = { ...message, committee: encodeSigned({ p: payload, s }) }
    return () => owner.input({ type: 'message', from: seat.org, message: forged })
  }
  owner.input({ type: 'committee', seats: ids(seats) })
  world.run()
  assert.ok(owner.events.some(each => each.type === 'violation' && each.code === 'SIGNATURE_INVALID'))
  assert.is(readSeating(owner.env.get).next, undefined)
  assert.is(readSeating(owner.env.get).asked!.signed.length, 1)
  assert.ok(owner.store.has(KEY.open(KEY.seating)), 'it is asked for again')
})

test('more witnesses than a committee has seats keep no log from its work: the first of them sit', () => {
  const { world, owner, seats } = mesh(MAX_WITNESSES + 1)
  owner.witnesses = seats.map(({ env }) => env.self.id)
  world.run(1)
  owner.input({ type: 'start', machine: 'log' })
  world.run(10_000)
  assert.is(inForce(owner.env.get)?.payload.n, MAX_WITNESSES)
})

test.run()
