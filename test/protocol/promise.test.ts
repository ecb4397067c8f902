/** When a promise yields: to a head that the committee in force has made final, and to nothing else. */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import type { CID } from '../../crypto/cid.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { encodeSigned, recordId } from '../../crypto/statement.ts'
import { inForce, readSeat } from '../../protocol/committee.ts'
import type { Committee } from '../../protocol/committee-record.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { proveExtension, rootAt } from '../../protocol/ledger.ts'
import { MAX_COMMITTEES } from '../../protocol/limits.ts'
import { decodeState, encodeState } from '../../protocol/machine.ts'
import type { Cosigned } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { type Member, World } from './world.ts'

const test = suite('protocol/promise')

/**
 * A log with a committee of four, one of whom has promised another branch that never got its quorum, and knows nothing of
 * the head that the three others have made final since. With `changes`, so many committees came before, each with another
 * three beside the one that strayed, and of the first ones nobody else is there any more.
 */
function strayed(changes = 0) {
  const world = new World()
  const owner = world.add('Acme Steel')
  const stray = world.add('Bolt')
  const others = Array.from({ length: 3 + changes }, (_, i) => world.add(`Cole ${i}`))
  const strangers = ['Fink', 'Gray'].map(name => world.add(name))
  for (const other of [stray, ...others, ...strangers]) world.pair(owner, other)
  for (let i = 0; i <= changes; i++) {
    const seats = [stray, ...others.slice(i, i + 3)].map(({ env }) => env.self.id)
    owner.input({ type: 'committee', seats })
    world.run(600_000)
    assert.is(inForce(owner.env.get)?.payload.number, i)
  }
  for (const gone of others.slice(0, changes)) gone.up = false
  const members = [stray, ...others.slice(changes)]
  world.bend = (_, from, to) => (from === stray || to === stray ? 0 : 1)
  const sizes = ['more', 'still more'].map(title => {
    owner.input({ type: 'publish', title, domain: 'x', level: 'general', packets: [] })
    world.run()
    return newestHead(owner.env.get)!.size
  })
  world.bend = () => 1
  const head = newestHead(owner.env.get)!
  const held = decodeState<Cosigned>(stray.store.get(KEY.cosigned(owner.org))!)
  const promised = [{ size: head.size, root: new Uint8Array(32).fill(7) }]
  stray.store.set(KEY.cosigned(owner.org), encodeState({ ...held, promised }))
  /** Whether the one that strayed cosigns a head. */
  const follows = (note: Uint8Array, { size }: { size: number } = head): boolean => {
    const old = decodeState<Cosigned>(stray.store.get(KEY.cosigned(owner.org))!).size
    const path = proveExtension(owner.state.ledger, owner.env.get, old, size)
    world.wire.length = 0
    world.send(owner, stray.org, { t: 'witness/add', old, note, path })
    world.run(0)
    return world.wire.some(({ message }) => message.t === 'witness/cosigned')
  }
  return { world, owner, members, strangers, stray, head, between: sizes[0]!, follows }
}

/** The head with the cosignatures of these alone. */
function cosignedBy(note: Uint8Array, members: Member[]): Uint8Array {
  const { body, lines } = parseNote(text(note))
  const own = lines.filter(({ name }) => !name.includes('/', name.indexOf('/') + 1) && body.startsWith(name))
  const others = members.map(each => {
    const { name } = cosignerOf(each.chain)!
    return cosign(body, Math.floor(each.world.wallMs / 1_000), name, each.key('witness'))
  })
  return utf8(formatNote({ body, lines: [...own, ...others] }))
}

test('a promise yields to a head that q members of the committee in force have cosigned, and not to one with fewer', () => {
  const { members, head, follows } = strayed()
  assert.not(follows(cosignedBy(head.note, [])))
  assert.not(follows(cosignedBy(head.note, members.slice(1, 3))))
  assert.ok(follows(cosignedBy(head.note, members.slice(1))))
})

test('after ten changes of the committee, with nobody left of the first ones, a promise yields to a head that the last one made final', () => {
  const { members, head, follows } = strayed(10)
  assert.not(follows(cosignedBy(head.note, members.slice(1, 3))))
  assert.ok(follows(cosignedBy(head.note, members.slice(1))))
})

test('a promise does not yield to a final head that is smaller than it', () => {
  const { owner, between, follows } = strayed()
  assert.not(follows(owner.env.get(KEY.head(between))!, { size: between }))
})

/** A committee of two strangers and the one that strayed, which its owner has it sign, and may have it promise under; what asks for that. */
function besides({ world, owner, strangers, stray, head }: ReturnType<typeof strayed>, isPromised: boolean) {
  const current = inForce(owner.env.get)!
  const sorted = [...strangers, stray].sort((a, b) => (a.org < b.org ? -1 : 1))
  const payload: Committee = {
    ...current.payload,
    number: 1,
    prev: current.id,
    n: 3,
    f: 0,
    q: 2,
    seats: sorted.map(({ env }) => env.self.id),
  }
  const identities = strangers.map(({ env }) => ({ identity: env.self.identityBytes, events: [] }))
  const record = encodeSigned({ p: payload, s: [] })
  world.send(owner, stray.org, { t: 'committee/ask', committee: record, identities })
  world.run(0)
  const root = new Uint8Array(32).fill(7)
  const { size } = head
  const committee = recordId(payload)
  const ask = (): void => {
    world.send(owner, stray.org, { t: 'promise/ask', committee, old: size, size, root, path: [] })
    world.run(0)
  }
  if (!isPromised) return ask
  ask()
  assert.is(readSeat(stray.env.get, owner.org)!.pinned!.number, 1)
  return ask
}

test('a committee that was signed and never came into force makes no promise yield', () => {
  for (const isPromised of [false, true]) {
    const told = strayed()
    besides(told, isPromised)
    const { strangers, stray, owner, head, follows } = told
    assert.is(readSeat(stray.env.get, owner.org)!.committees.length, 2, 'it has signed')
    assert.not(follows(cosignedBy(head.note, strangers)))
  }
})

test('a promise is held until a head as large is cosigned, and for so long the committee that it was given under is asked', () => {
  const told = strayed()
  const { members, strangers, stray, owner, head, between, follows } = told
  const held = decodeState<Cosigned>(stray.store.get(KEY.cosigned(owner.org))!)
  const smaller = { size: between, root: rootAt(owner.state.ledger, owner.env.get, between) }
  const promised = [smaller, ...held.promised!]
  stray.store.set(KEY.cosigned(owner.org), encodeState({ ...held, promised }))
  besides(told, true)
  assert.ok(follows(owner.env.get(KEY.head(between))!, smaller))
  assert.is(readSeat(stray.env.get, owner.org)!.under?.length, 1)
  assert.not(follows(cosignedBy(head.note, strangers)))
  assert.not(follows(cosignedBy(head.note, members.slice(1))))
  assert.ok(follows(cosignedBy(head.note, [...members.slice(1), ...strangers])))
  assert.is(readSeat(stray.env.get, owner.org)!.under, undefined)
})

test('a seat that holds promises under as many committees as it keeps gives none under another, until it has cosigned', () => {
  const told = strayed()
  const { stray, owner, world, head, members, follows } = told
  const ask = besides(told, false)
  const seat = readSeat(stray.env.get, owner.org)!
  const under = Array.from({ length: MAX_COMMITTEES }, () => ({ id: seat.pinned!.id, size: head.size }))
  stray.store.set(KEY.seat(owner.org), encodeState({ ...seat, under }))
  const status = () => {
    world.wire.length = 0
    ask()
    return world.wire.flatMap(({ message }) => (message.t === 'promise/refused' ? [message.status] : []))
  }
  assert.equal(status(), [404])
  assert.is(readSeat(stray.env.get, owner.org)!.pinned!.number, 0)
  assert.ok(follows(cosignedBy(head.note, members.slice(1))))
  assert.is(readSeat(stray.env.get, owner.org)!.under, undefined)
  assert.equal(status(), [422], 'the other branch is no more to be promised')
})

test('a seat that promised under a committee promises under none before it', () => {
  const told = strayed()
  const { stray, owner, world, head } = told
  const answer = (committee: CID) => {
    world.wire.length = 0
    const root = new Uint8Array(32).fill(7)
    const { size } = head
    world.send(owner, stray.org, { t: 'promise/ask', committee, old: size, size, root, path: [] })
    world.run(0)
    const [said] = world.wire.flatMap(({ from, message }) => (from === stray ? [message] : []))
    return said?.t === 'promise/refused' ? said.status : said?.t
  }
  const before = inForce(owner.env.get)!.id
  assert.is(answer(before), 'promise/given')
  besides(told, true)
  assert.is(answer(before), 404)
  assert.is(readSeat(stray.env.get, owner.org)!.pinned!.number, 1)
})

test.run()
