/** When a promise yields: to a head that the committee in force has made final, and to nothing else. */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { encodeSigned, recordId } from '../../crypto/statement.ts'
import { inForce, readSeat } from '../../protocol/committee.ts'
import type { Committee } from '../../protocol/committee-record.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { proveExtension } from '../../protocol/ledger.ts'
import { decodeState, encodeState } from '../../protocol/machine.ts'
import type { Cosigned } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { type Member, World } from './world.ts'

const test = suite('protocol/promise')

/**
 * A log with a committee of four, one of whom has promised another branch that never got its quorum, and knows nothing of
 * the head that the three others have made final since.
 */
function strayed() {
  const world = new World()
  const owner = world.add('Acme Steel')
  const members = ['Bolt', 'Cole', 'Dunn', 'Eder'].map(name => world.add(name))
  const strangers = ['Fink', 'Gray'].map(name => world.add(name))
  for (const other of [...members, ...strangers]) world.pair(owner, other)
  owner.witnesses = members.map(({ env }) => env.self.id)
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const [stray] = members as [Member]
  world.bend = (_, from, to) => (from === stray || to === stray ? 0 : 1)
  owner.input({ type: 'publish', title: 'more', domain: 'x', level: 'general', packets: [] })
  world.run()
  world.bend = () => 1
  const head = newestHead(owner.env.get)!
  const held = decodeState<Cosigned>(stray.store.get(KEY.cosigned(owner.org))!)
  const promised = [{ size: head.size, root: new Uint8Array(32).fill(7) }]
  stray.store.set(KEY.cosigned(owner.org), encodeState({ ...held, promised }))
  const path = proveExtension(owner.state.ledger, owner.env.get, held.size, head.size)
  /** Whether the one that strayed cosigns a head. */
  const follows = (note: Uint8Array): boolean => {
    world.wire.length = 0
    world.send(owner, stray.org, { t: 'witness/add', old: held.size, note, path })
    world.run(0)
    return world.wire.some(({ message }) => message.t === 'witness/cosigned')
  }
  return { world, owner, members, strangers, stray, head, follows }
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

/** A committee of two strangers and the one that strayed, which its owner has it sign, and may have it promise under. */
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
  if (!isPromised) return
  const root = new Uint8Array(32).fill(7)
  const { size } = head
  const committee = recordId(payload)
  world.send(owner, stray.org, { t: 'promise/ask', committee, old: size, size, root, path: [] })
  world.run(0)
  assert.is(readSeat(stray.env.get, owner.org)!.pinned!.number, 1)
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

test.run()
