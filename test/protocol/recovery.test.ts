/** A store that is behind takes its entries back from a mirror, and goes on where its members hold it. */
import * as assert from 'uvu/assert'
import { equal } from '../../crypto/bytes.ts'
import { isBehind } from '../../protocol/behind.ts'
import { onlyLog } from '../../protocol/fork.ts'
import { newestHead, publicHead } from '../../protocol/heads.ts'
import { indexOf, readEntries, readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { loadLedger, rootAt } from '../../protocol/ledger.ts'
import { commitment, type Entry, originOf, readEntry } from '../../protocol/log.ts'
import { encodeMessage, type MessageOf } from '../../protocol/message.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'
import { type Member, mesh, type World } from './world.ts'

const test = suite('protocol/recovery')
const encoder = new TextEncoder()

/** Publishes so many packets, which is one entry more. */
function publish(owner: Member, world: World, packets: number, ms = 60_000): void {
  const title = `at ${world.monoMs}`
  const drafts = Array.from({ length: packets }, (_, i) =>
    owner.draft(`${title}/${i}`, encoder.encode(`${title} ${i}`)),
  )
  owner.input({ type: 'publish', title, domain: 'x', level: 'general', packets: drafts })
  world.run(ms)
}

const entriesOf = (member: Member) =>
  [...readEntries(member.env.get, 0, member.state.ledger.tail.range.size)].map(({ entry }) => entry)

function mirrored() {
  const { world, owner, seats } = mesh(2)
  const [member, mirror] = seats as [Member, Member]
  owner.witnesses = [member.env.self.id]
  owner.mirrors = [mirror.env.self.id]
  owner.input({ type: 'start', machine: 'log' })
  world.run(60_000)
  return { world, owner, member, mirror }
}

/** An owner with a member and a mirror, put back to where it was `lost` packets ago. */
function behind({ before = 5, lost = 5, unsigned = 0, beside = 2 } = {}) {
  const { world, owner, member, mirror } = mirrored()
  publish(owner, world, before)
  if (unsigned > 0) publish(owner, world, unsigned, 0)
  const copy = new Map(owner.store)
  world.run(60_000)
  publish(owner, world, lost)
  const entries = entriesOf(owner)
  owner.store.clear()
  for (const [key, value] of copy) owner.store.set(key, value)
  owner.restart()
  publish(owner, world, beside, 600_000)
  assert.ok(isBehind(owner.env.get))
  return { world, owner, member, mirror, entries, copy }
}

/** The log is the one that was lost and something behind it, and every record is where it says. */
function whole(owner: Member, entries: Uint8Array[]): void {
  assert.not.ok(isBehind(owner.env.get))
  const now = entriesOf(owner)
  for (const [i, entry] of entries.entries()) sameBytes(now[i]!, entry, `entry ${i}`)
  const { tail, signed } = owner.state.ledger
  assert.ok(tail.range.size > entries.length, 'it goes on')
  assert.is(signed.range.size, tail.range.size, 'and is signed')
  // As a start reads it, and as it is in memory.
  const fresh = loadLedger(owner.env.get)
  assert.equal([fresh.tail, fresh.runs, fresh.open], [tail, owner.state.ledger.runs, owner.state.ledger.open])
  for (let size = 1; size <= tail.range.size; size++) rootAt(fresh, owner.env.get, size)
  const kept = [...readEntries(owner.env.get, 0, now.length)]
  for (const [index, { of, slot }] of kept.entries()) {
    if (!of.some(byte => byte !== 0)) continue
    const entry = readEntry(readEntryAt(owner.env.get, index)!.entry) as Entry
    const value = [...owner.store].find(
      ([key]) => key.startsWith('record/') && key.endsWith(Buffer.from(of).toString('hex')),
    )
    assert.ok(value, 'its record is here')
    const [key] = value!
    const id = { multihash: { digest: of } } as Parameters<typeof indexOf>[1]
    assert.is(KEY.kept(id), key)
    if (indexOf(owner.env.get, id) !== index) continue
    const salt = owner.env.slots.salt(slot)!
    const bytes = owner.env.slots.open(slot, value![1].subarray(16))!
    assert.ok(equal(entry.c, commitment(salt, bytes)), `entry ${index} commits to its record`)
  }
}

const titles = (owner: Member) => [...owner.store.keys()].filter(key => key.startsWith(KEY.assets)).length

for (const [name, about] of [
  ['within one bundle', {}],
  ['over bundles and tiles', { before: 300, lost: 600, beside: 300 }],
  ['less than was logged beside', { before: 300, lost: 5, beside: 300 }],
  ['with entries of the copy that no head covered yet', { unsigned: 40, lost: 20 }],
  ['with nothing logged since', { beside: 0, lost: 70 }],
] as const)
  test(`entries come back, ${name}`, () => {
    if ('beside' in about && about.beside === 0) return nothingSince(about.lost)
    const { world, owner, entries } = behind(about)
    const assets = titles(owner)
    owner.input({ type: 'recover' })
    world.run(600_000)
    whole(owner, entries)
    assert.is(titles(owner), assets, 'what was logged beside is not lost')
    publish(owner, world, 3)
    whole(owner, entries)
    owner.restart()
    publish(owner, world, 1)
    whole(owner, entries)
  })

/** The store finds out when it is asked for a head again: the state entry of a publish of nothing. */
function nothingSince(lost: number): void {
  const { world, owner, entries } = behind({ beside: 0, lost })
  owner.input({ type: 'recover' })
  world.run(600_000)
  publish(owner, world, 1)
  whole(owner, entries)
}

test('a mirror that lies, or is behind itself, changes nothing', () => {
  const { world, owner, mirror, entries } = behind()
  const [size, stored] = [owner.state.ledger.signed.range.size, entriesOf(owner)]
  const real = world.intercept
  let answer: MessageOf<'mirror/entries'> | undefined
  world.intercept = ({ from, message }) => {
    if (from === mirror && message.t === 'mirror/entries') {
      answer = message
      return () => {}
    }
    return undefined
  }
  owner.input({ type: 'recover' })
  world.run(1_000)
  world.intercept = real
  const good = answer!
  assert.is(good.from, size)
  const [first, second, ...rest] = good.entries as [Uint8Array, Uint8Array, ...Uint8Array[]]
  const bent = first.slice()
  bent[bent.length - 3]! ^= 1
  for (const wrong of [
    { ...good, entries: [bent, second, ...rest] },
    { ...good, entries: [second, ...rest] },
    { ...good, entries: [first, second] },
    { ...good, from: size + 1 },
    { ...good, entries: [] },
    { ...good, note: mirror.env.get(KEY.newestHead)! },
  ]) {
    world.send(mirror, owner.org, wrong)
    world.run(1_000)
    assert.ok(isBehind(owner.env.get))
    assert.equal(entriesOf(owner), stored)
  }
  world.send(mirror, owner.org, good)
  world.run(600_000)
  whole(owner, entries)
})

test('a head that comes back without the cosignatures of its members is not final', () => {
  for (const isBare of [true, false]) {
    const { world, owner, mirror } = behind()
    const origin = originOf(owner.chain)
    world.intercept = flight => {
      const { from, message } = flight
      if (!isBare || from !== mirror || message.t !== 'mirror/entries') return undefined
      const frame = encodeMessage({ ...message, note: onlyLog(message.note, origin) })
      return () => world.hand({ ...flight, frame })
    }
    const shown = publicHead(owner.env.get)!.size
    world.bend = ({ t }) => (t.startsWith('witness/') ? 0 : 1)
    owner.input({ type: 'recover' })
    world.run(1_000)
    const { size } = newestHead(owner.env.get)!
    assert.ok(size > shown)
    assert.is(publicHead(owner.env.get)!.size, isBare ? shown : size)
  }
})

test('there is nothing to recover where nothing is behind, and nobody to ask without a mirror', () => {
  const { world, owner } = behind()
  owner.mirrors = []
  throwsCode(() => owner.input({ type: 'recover' }), 'NOT_FOUND')
  const other = mesh(1).owner
  throwsCode(() => other.input({ type: 'recover' }), 'OUT_OF_ORDER')
  world.run(1_000)
})

test('a log whose committee or identity has gone on since is not continued', () => {
  const { world, owner, seats } = mesh(3)
  const [one, two, mirror] = seats as [Member, Member, Member]
  owner.mirrors = [mirror.env.self.id]
  const another = () => owner.input({ type: 'committee', seats: [one, two].map(each => each.env.self.id) })
  // The state entry of the head by which a committee comes into force still names the one before.
  for (const [goOn, later] of [
    [another, 2],
    [another, 0],
    [() => owner.delegate(['operation']), 2],
  ] as const) {
    owner.input({ type: 'committee', seats: [one.env.self.id] })
    world.run(60_000)
    publish(owner, world, 2)
    const copy = new Map(owner.store)
    goOn()
    world.run(60_000)
    if (later > 0) publish(owner, world, later)
    owner.store.clear()
    for (const [key, value] of copy) owner.store.set(key, value)
    owner.restart()
    publish(owner, world, 2, 600_000)
    assert.ok(isBehind(owner.env.get))
    const stored = entriesOf(owner)
    const from = world.wire.length
    owner.input({ type: 'recover' })
    world.run(60_000)
    const answers = world.wire
      .slice(from)
      .flatMap(({ message }) => (message.t === 'error' ? message.code : []))
    assert.equal(answers, ['ENTRIES_INVALID'])
    assert.ok(isBehind(owner.env.get))
    assert.equal(entriesOf(owner), stored)
    owner.succeed()
    world.run(60_000)
  }
})

test('what members promised and no mirror has keeps the store behind', () => {
  const { world, owner, member, mirror } = behind({ beside: 1 })
  // The mirror is put back too: it has less than the member holds.
  const held = [...mirror.store.keys()].filter(key => key.startsWith('mirror'))
  assert.ok(held.length > 0)
  for (const key of held) mirror.store.delete(key)
  owner.input({ type: 'recover' })
  world.run(600_000)
  assert.ok(isBehind(owner.env.get))
  throwsCode(
    () => owner.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] }),
    'RESTORED_BEHIND',
  )
  assert.ok(member.up)
})

test('a store that was put back asks its members what they hold, before anything is logged in it', () => {
  for (const lost of [3, 0]) {
    const { world, owner, member } = mirrored()
    publish(owner, world, 2)
    const copy = new Map(owner.store)
    if (lost > 0) publish(owner, world, lost)
    const entries = entriesOf(owner)
    owner.store.clear()
    for (const [key, value] of copy) owner.store.set(key, value)
    owner.restart()
    owner.input({ type: 'restored', why: 'older', tickets: [], seats: [], redactions: [] })
    const { size } = owner.state.ledger.tail.range
    owner.input({ type: 'connected', org: member.org })
    world.run(60_000)
    assert.is(isBehind(owner.env.get), lost > 0, `${lost} packets lost`)
    assert.is(owner.state.ledger.tail.range.size, size, 'nothing was logged for it')
    if (lost > 0) owner.input({ type: 'recover' })
    world.run(60_000)
    publish(owner, world, 1)
    whole(owner, entries)
  }
})

test.run()
