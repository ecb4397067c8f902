/** A witness whose store was put back: what it promised since is not known, so its seats in the logs of before have ended. */
import * as assert from 'uvu/assert'
import { text, toBase64, utf8 } from '../../crypto/bytes.ts'
import { formatCheckpoint, parseCheckpoint } from '../../crypto/checkpoint.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import { EMPTY_ROOT, leafHash } from '../../crypto/merkle.ts'
import { ED25519_NOTE, formatNote, formatVerifierKey, parseNote, signNote } from '../../crypto/note.ts'
import { inForce } from '../../protocol/committee.ts'
import { newestHead } from '../../protocol/heads.ts'
import { makeDelegate } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Reply } from '../../protocol/tlog.ts'
import { type Cosigned, type Submission, UNABLE } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { type Member, mesh, World } from './world.ts'

const test = suite('protocol/restored')

const held = (seat: Member, owner: Member) => decodeState<Cosigned>(seat.store.get(KEY.cosigned(owner.org))!)
const submission = (owner: Member, seat: Member) =>
  decodeState<Submission>(owner.store.get(KEY.witness(seat.org))!)
const copyOf = ({ store }: Member) => new Map(store)
const idsOf = (members: Member[]) => members.map(({ env }) => env.self.id)
const headOf = (owner: Member) => parseCheckpoint(parseNote(text(newestHead(owner.env.get)!.note)).body)
const publish = (owner: Member, title: string) =>
  owner.input({ type: 'publish', title, domain: 'x', level: 'general', packets: [] })

/** A member goes on from the store that it had, and its driver says what it noticed. */
function putBack(member: Member, old: Map<string, Uint8Array>, why: 'older' | 'copied' = 'older'): void {
  member.store.clear()
  for (const [key, value] of old) member.store.set(key, value)
  member.restart()
  member.input({ type: 'restored', why, tickets: [], seats: [], redactions: [] })
}

/** The same of a witness; its own log, which has no members, goes on with a successor. */
function restored(member: Member, old: Map<string, Uint8Array>): void {
  putBack(member, old)
  member.succeed()
}

/** A log with `n` seats in force, the first of which goes on from the store that it had some heads ago. */
function oneRestored(n: number) {
  const { world, owner, seats } = mesh(n)
  owner.witnesses = idsOf(seats)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const seat = seats[0]!
  const old = copyOf(seat)
  const grow = (ms = 60_000) => {
    publish(owner, `at ${world.monoMs}`)
    world.run(ms)
  }
  grow()
  const signed = held(seat, owner)
  restored(seat, old)
  return { world, owner, seat, seats, grow, signed }
}

/** What a seat answered to the owner since so many messages. */
const answered = (world: World, from: number, seat: Member, owner: Member) =>
  world.wire.slice(from).filter(each => each.from === seat && each.to === owner)

test('it promises and cosigns nothing, whatever extends what it remembers, and says why', () => {
  const { world, owner, seat, grow, signed } = oneRestored(1)
  assert.ok(held(seat, owner).size < signed.size, 'the newest is forgotten')
  const from = world.wire.length
  const { size } = owner.state.ledger.signed.range
  grow(600_000)
  const answers = answered(world, from, seat, owner)
  const refusals = answers.flatMap(({ message }) =>
    message.t === 'promise/refused' || message.t === 'witness/refused' ? [message.status] : [],
  )
  assert.ok(refusals.filter(status => status === UNABLE).length > 1, String(refusals))
  assert.not.ok(answers.some(({ message }) => /given|cosigned/.test(message.t)))
  assert.is(owner.state.ledger.signed.range.size, size, 'no head without its only member')
  assert.match(submission(owner, seat).waits!, 'put back')
  // The owner's way out.
  owner.succeed()
  world.run(600_000)
  grow()
  assert.is(owner.state.ledger.signed.range.size, owner.state.ledger.tail.range.size)
})

test('nothing that others sign gives it its word again in that log; a committee without it takes its place', () => {
  const { world, owner, seat, seats, grow } = oneRestored(4)
  const from = world.wire.length
  grow(600_000)
  owner.input({ type: 'committee', seats: idsOf(seats) })
  world.run(600_000)
  const answers = answered(world, from, seat, owner).map(({ message }) => message)
  assert.not.ok(answers.some(({ t }) => /given|cosigned|committee\/signed/.test(t)))
  assert.ok(answers.some(each => each.t === 'committee/refused' && each.refusal.code === 'SEAT_LOST'))
  assert.match(submission(owner, seat).waits!, 'put back')
  const { size } = owner.state.ledger.signed.range
  assert.is(size, owner.state.ledger.tail.range.size, 'the others go on')
  owner.input({ type: 'committee', seats: idsOf(seats.slice(1)) })
  world.run(600_000)
  grow()
  const { number, n } = inForce(owner.env.get)!.payload
  assert.equal([number, n], [1, 3])
})

test('a mark of before does not end what was begun after it, a later one does', () => {
  const { world, owner, seat, grow } = oneRestored(1)
  world.run(1_000)
  owner.succeed()
  world.run(600_000)
  grow()
  const old = copyOf(seat)
  const from = world.wire.length
  grow()
  assert.ok(answered(world, from, seat, owner).some(({ message }) => message.t === 'promise/given'))
  restored(seat, old)
  const later = world.wire.length
  grow(600_000)
  assert.not.ok(answered(world, later, seat, owner).some(({ message }) => message.t === 'promise/given'))
})

test('a log that is dated ahead is witnessed as any other (A5)', () => {
  const { world, owner, seats } = mesh(1)
  const seat = seats[0]!
  owner.witnesses = idsOf(seats)
  owner.goOn(makeDelegate(owner.chain, owner.key('admin'), { succeeds: true }, world.wallMs + 24 * 3_600_000))
  const from = world.wire.length
  publish(owner, 'one')
  world.run(600_000)
  const words = answered(world, from, seat, owner).map(({ message: { t } }) => t)
  assert.ok(words.includes('promise/given') && words.includes('witness/cosigned'), words.join())
})

// An owner's twin and a member that was put back, each of which noticed it: the one history stays the only one.

/** Whether the twin has signed nothing but what the first had. */
const isOneHistory = (
  first: { size: number; root: Uint8Array },
  twin: { size: number; root: Uint8Array },
): boolean =>
  twin.size < first.size || (twin.size === first.size && toBase64(twin.root) === toBase64(first.root))

for (const [n, f, liars] of [
  [3, 0, 0],
  [4, 1, 1],
] as const)
  test(`of ${n} members one was put back${liars ? ' and one lies' : ''}: an old head shown again makes none promise twice`, () => {
    const { world, owner, seats } = mesh(n)
    const [a, b, w, liar] = seats as [Member, Member, Member, Member | undefined]
    owner.input({ type: 'committee', seats: idsOf(seats) })
    world.run()
    assert.is(inForce(owner.env.get)!.payload.f, f)
    const grow = (title: string, ms: number) => {
      publish(owner, title)
      world.run(ms)
    }
    grow('one', 60_000)
    // A head is signed, and the home is copied before the cosignatures are in it.
    world.bend = ({ t }) => (t === 'witness/cosigned' ? 0 : 1)
    grow('two', 10_000)
    const [twin, backup, before] = [copyOf(owner), copyOf(w), liar && copyOf(liar)]
    const { size } = headOf(owner)
    world.bend = ({ t }, from, to) => (from === b || to === b || t.startsWith('witness/') ? 0 : 1)
    grow('three', 10_000)
    const first = headOf(owner)
    assert.ok(first.size > size)
    world.bend = () => 1
    restored(w, backup)
    if (liar) {
      // It has forgotten its promise, and says nothing.
      liar.store.clear()
      for (const [key, value] of before!) liar.store.set(key, value)
      liar.restart()
    }
    world.run(5_000)
    putBack(owner, twin, 'copied')
    world.run(900_000)
    a.up = false
    grow('three, otherwise', 900_000)
    assert.ok(isOneHistory(first, headOf(owner)), `${first.size}, and of the twin ${headOf(owner).size}`)
  })

test('a member that was put back to before a succession knows it when the successor is told to it as new', () => {
  const { world, owner, seats } = mesh(1)
  const [w] = seats as [Member]
  owner.input({ type: 'committee', seats: idsOf(seats) })
  world.run()
  const backup = copyOf(w)
  owner.succeed()
  owner.witnesses = idsOf(seats)
  world.run(60_000)
  owner.input({ type: 'start', machine: 'log' })
  world.run(60_000)
  publish(owner, 'one')
  world.run(60_000)
  const twin = copyOf(owner)
  publish(owner, 'two')
  world.run(60_000)
  const first = headOf(owner)
  assert.ok(inForce(owner.env.get))
  restored(w, backup)
  putBack(owner, twin, 'copied')
  owner.input({ type: 'connected', org: w.org })
  w.input({ type: 'connected', org: owner.org })
  world.run(600_000)
  owner.input({ type: 'committee', seats: idsOf(seats) })
  world.run(600_000)
  publish(owner, 'two, otherwise')
  world.run(900_000)
  assert.ok(headOf(owner).size < first.size, `${first.size}, and of the twin ${headOf(owner).size}`)
})

// Logs of other kinds.

/** A witness of logs of other kinds, and how its answers to a log's checkpoints are numbered. */
function foreign() {
  const cole = new World().add('Cole Logistics')
  const [origin, key] = ['example.com/log', keyFromSeed(new Uint8Array(32).fill(9))]
  const vkey = formatVerifierKey({ name: origin, type: ED25519_NOTE, publicKey: key.public })
  const accept = () => cole.input({ type: 'accept', origin, key: vkey })
  const add = (old: number, size: number, root = size === 0 ? EMPTY_ROOT : leafHash(utf8('leaf'))) => {
    const body = formatCheckpoint({ origin, size, root })
    const note = formatNote({ body, lines: [signNote(body, origin, key)] })
    const answer = cole.input({ type: 'checkpoint', body: utf8(`old ${old}\n\n${note}`) })
    return (answer as { reply: Reply }).reply.status
  }
  return { cole, accept, add }
}

test('a log of another kind is cosigned again under another key only', () => {
  const { cole, accept, add } = foreign()
  accept()
  assert.is(add(0, 0), 200)
  restored(cole, copyOf(cole))
  assert.is(add(0, 1), 503)
  assert.is(add(0, 0), 503, 'nor the same again: a time is signed with it')
  cole.delegate(['witness'])
  assert.is(add(0, 1), 200)
})

test('a log of another kind that was entered since the backup is not taken for a new one', () => {
  const { cole, accept, add } = foreign()
  const backup = copyOf(cole)
  accept()
  assert.is(add(0, 1), 200)
  restored(cole, backup)
  accept()
  assert.is(add(0, 1, leafHash(utf8('another'))), 503)
  cole.delegate(['witness'])
  assert.is(add(0, 1, leafHash(utf8('another'))), 200)
})

test.run()
