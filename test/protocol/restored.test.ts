/** A witness whose store was put back: what it promised since is not known, so it signs nothing until others have. */
import * as assert from 'uvu/assert'
import { toBase64, utf8 } from '../../crypto/bytes.ts'
import { formatCheckpoint } from '../../crypto/checkpoint.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import { EMPTY_ROOT, leafHash } from '../../crypto/merkle.ts'
import { ED25519_NOTE, formatNote, formatVerifierKey, signNote } from '../../crypto/note.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { MessageOf } from '../../protocol/message.ts'
import type { Reply } from '../../protocol/tlog.ts'
import { type Cosigned, LOST, type Submission } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { type Member, mesh, World } from './world.ts'

const test = suite('protocol/restored')

/** A log with `n` seats in force, the first of which goes on from the store that it had some heads ago. */
function putBack(n: number) {
  const { world, owner, seats } = mesh(n)
  owner.witnesses = seats.map(({ env }) => env.self.id)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const seat = seats[0]!
  const old = new Map(seat.store)
  const grow = (ms = 60_000) => {
    owner.input({ type: 'publish', title: `at ${world.monoMs}`, domain: 'x', level: 'general', packets: [] })
    world.run(ms)
  }
  grow()
  const signed = held(seat, owner)
  seat.store.clear()
  for (const [key, value] of old) seat.store.set(key, value)
  seat.restart()
  restored(seat, [owner.org])
  return { world, owner, seat, grow, signed }
}

/** As the driver says it at the start; the seat's own log, which has no members, goes on with a successor. */
function restored(member: Member, witnessed: string[]): void {
  member.input({ type: 'restored', why: 'older', tickets: [], seats: [], witnessed, redactions: [] })
  member.succeed()
}

const held = (seat: Member, owner: Member) => decodeState<Cosigned>(seat.store.get(KEY.cosigned(owner.org))!)
const isLost = (seat: Member, owner: Member) => seat.store.has(KEY.lost(owner.org))
const submission = (owner: Member, seat: Member) =>
  decodeState<Submission>(owner.store.get(KEY.witness(seat.org))!)

test('it promises and cosigns nothing, whatever extends what it remembers, and says why', () => {
  const { world, owner, seat, grow, signed } = putBack(1)
  assert.ok(held(seat, owner).size < signed.size, 'the newest is forgotten')
  const from = world.wire.length
  const { size } = owner.state.ledger.signed.range
  grow(600_000)
  const answers = world.wire.slice(from).filter(each => each.from === seat && each.to === owner)
  const refusals = answers.flatMap(({ message }) =>
    message.t === 'promise/refused' || message.t === 'witness/refused' ? [message.status] : [],
  )
  assert.ok(refusals.filter(status => status === LOST).length > 1, String(refusals))
  assert.not.ok(answers.some(({ message }) => /given|cosigned/.test(message.t)))
  assert.is(owner.state.ledger.signed.range.size, size, 'no head without its only member')
  assert.match(submission(owner, seat).waits!, 'put back')
  // The owner's way out.
  owner.succeed()
  world.run(600_000)
  grow()
  assert.is(owner.state.ledger.signed.range.size, owner.state.ledger.tail.range.size)
  assert.not.ok(isLost(seat, owner))
})

test('a head that enough others have cosigned since ends it, and no older one', () => {
  const { world, owner, seat, grow, signed } = putBack(4)
  // What the others cosigned before says nothing of what was promised here meanwhile.
  const note = owner.env.get(KEY.head(signed.size))!
  const before = world.wire.length
  world.send(owner, seat.org, { t: 'witness/add', old: held(seat, owner).size, note, path: [] })
  world.run(10)
  const [answer] = world.wire.slice(before).filter(each => each.from === seat)
  assert.match((answer!.message as MessageOf<'witness/refused'>).t, 'refused')
  assert.ok(isLost(seat, owner))
  grow(600_000)
  const now = held(seat, owner)
  assert.equal([isLost(seat, owner), now.size], [false, owner.state.ledger.signed.range.size])
  assert.is(submission(owner, seat).waits, undefined)
  const from = world.wire.length
  grow()
  assert.ok(
    world.wire.slice(from).some(each => each.from === seat && each.message.t === 'promise/given'),
    'it promises again',
  )
})

test('a log of another kind is cosigned again under another key only', () => {
  const cole = new World().add('Cole Logistics')
  const [origin, key] = ['example.com/log', keyFromSeed(new Uint8Array(32).fill(9))]
  const vkey = formatVerifierKey({ name: origin, type: ED25519_NOTE, publicKey: key.public })
  cole.input({ type: 'accept', origin, key: vkey })
  const add = (old: number, size: number, path: Uint8Array[] = []) => {
    const root = size === 0 ? EMPTY_ROOT : leafHash(utf8('leaf'))
    const body = formatCheckpoint({ origin, size, root })
    const proof = path.map(hash => `${toBase64(hash)}\n`).join('')
    const note = formatNote({ body, lines: [signNote(body, origin, key)] })
    const answer = cole.input({ type: 'checkpoint', body: utf8(`old ${old}\n${proof}\n${note}`) })
    return (answer as { reply: Reply }).reply.status
  }
  assert.is(add(0, 0), 200)
  const [row] = [...cole.store.keys()].filter(each => each.startsWith(KEY.foreigns))
  restored(cole, [row!.slice(KEY.foreigns.length)])
  assert.is(add(0, 1), 503)
  assert.is(add(0, 0), 503, 'nor the same again: a time is signed with it')
  cole.delegate(['witness'])
  assert.is(add(0, 1), 200)
})

test.run()
