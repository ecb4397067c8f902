import * as assert from 'uvu/assert'
import { equal, u64 } from '../../crypto/bytes.ts'
import { type CID, cidOf } from '../../crypto/cid.ts'
import { readEntries, readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { record } from '../../protocol/ledger.ts'
import {
  HEAD_BEAT_MS,
  HEAD_DELAY_MS,
  HEAD_DEMAND_MS,
  MAX_LEAVES,
  PAD_ENTRIES,
} from '../../protocol/limits.ts'
import { type Entry, KIND, readEntry, ZERO_HASH } from '../../protocol/log.ts'
import type { Stored } from '../../protocol/record.ts'
import { readState } from '../../protocol/state.ts'
import { suite } from '../harness.ts'
import { checkLog, Story } from './story.ts'
import { type Member, World } from './world.ts'

const test = suite('protocol/beat')

function alone(pad = PAD_ENTRIES): { world: World; acme: Member } {
  const world = new World()
  world.pad = pad
  const acme = world.add('Acme Steel')
  world.run(5_000)
  return { world, acme }
}
const publish = (member: Member, title: string) =>
  member.input({ type: 'publish', title, domain: 'x', level: 'general', packets: [] })
const headsOf = (member: Member) =>
  member.events.flatMap(event => (event.type === 'head' ? [event.size] : []))
const entryAt = (member: Member, index: number) =>
  readEntry(readEntryAt(member.env.get, index)!.entry) as Entry

test('every head has a padded size and ends with a state entry that names the one before', () => {
  const { world, acme } = alone()
  for (let i = 0; i < 5; i++) {
    for (let k = 0; k < 1 + i * 30; k++) publish(acme, `asset ${i} ${k}`)
    world.run(5_000)
  }
  const sizes = headsOf(acme)
  assert.equal(sizes, [64, 128, 192, 256, 384, 512])
  for (const [i, size] of sizes.entries()) {
    const state = readState(entryAt(acme, size - 1))
    assert.is('next' in state && state.next, sizes[i - 1] ?? 0)
  }
  checkLog(acme)
})

test('padding has the form of commitments, all different, and differs from home to home', () => {
  const { world, acme } = alone()
  const bolt = world.add('Bolt GmbH')
  world.run(5_000)
  const commitments = [acme, bolt].flatMap(member =>
    [...readEntries(member.env.get, 1, PAD_ENTRIES - 1)].map(({ entry }) => {
      const { k, c, x } = readEntry(entry) as Entry
      assert.equal([k, x, equal(c, ZERO_HASH)], [KIND.record, undefined, false])
      return Buffer.from(c).toString('hex')
    }),
  )
  assert.is(new Set(commitments).size, 2 * (PAD_ENTRIES - 2))
})

test('an idle log appends nothing, over restarts too', () => {
  const { world, acme } = alone()
  const before = new Map(acme.store)
  for (let i = 0; i < 3; i++) {
    world.run(600_000)
    acme.restart()
    acme.input({ type: 'head' })
  }
  world.run(600_000)
  assert.equal([...acme.store.keys()].sort(), [...before.keys()].sort())
  assert.equal(acme.store.get(KEY.tail), before.get(KEY.tail))
})

test('a busy log makes a head a beat, at moments that its entries do not tell', () => {
  const { world, acme } = alone()
  const made: number[] = []
  for (let ms = 0; ms < 30_000; ms += 100) {
    const before = headsOf(acme).length
    publish(acme, `at ${ms}`)
    world.run(100)
    if (headsOf(acme).length > before) made.push(world.monoMs)
  }
  const gaps = made.slice(1).map((at, i) => at - made[i]!)
  assert.ok(
    gaps.every(gap => gap >= HEAD_BEAT_MS * 0.5 && gap <= HEAD_BEAT_MS * 1.5 + 200),
    gaps.join(),
  )
  assert.ok(new Set(gaps).size > gaps.length / 3, `they differ: ${gaps.join()}`)
  checkLog(acme)
})

test('a head that is asked for comes at once, and no more than one in its gap', () => {
  const { world, acme } = alone()
  publish(acme, 'one')
  acme.input({ type: 'head' })
  world.run(0)
  assert.is(headsOf(acme).length, 2)
  publish(acme, 'two')
  for (let i = 0; i < 10; i++) acme.input({ type: 'head' })
  world.run(HEAD_DELAY_MS - 1)
  assert.is(headsOf(acme).length, 2)
  world.run(1)
  assert.is(headsOf(acme).length, 3)
  world.run(60_000)
  assert.is(headsOf(acme).length, 3)
})

test('a partner that asks for proofs of what no head covers gets a head, and not one for each question', () => {
  const story = new Story({ approval: 'policy' })
  const { acme, bolt, world } = story
  story.pair().publish().read()
  story.request().world.run(10)
  const begun = headsOf(acme).length
  const ask = (record: CID) => {
    bolt.input({ type: 'proofs', org: acme.org, records: [record] })
    world.run(0)
  }
  // What does not concern the asker, or is not known, makes none.
  ask(acme.env.self.id)
  world.run(HEAD_DEMAND_MS)
  assert.is(headsOf(acme).length, begun)
  for (let i = 0; i < 10; i++) ask(story.agreement!)
  assert.is(headsOf(acme).length, begun + 1)
  const replies = bolt.events.flatMap(event => (event.type === 'proofs' ? [event.reply.pending] : []))
  assert.equal(replies.slice(0, 2), [false, true])
  assert.is(replies.at(-1), false)
  story.request().world.run(10)
  ask(story.agreement!)
  assert.is(headsOf(acme).length, begun + 1, 'the next waits for its gap')
  world.run(HEAD_DEMAND_MS)
  assert.is(headsOf(acme).length, begun + 2)
})

test('more entries than are read at once come under one head, in parts', () => {
  const { world, acme } = alone()
  const MANY = 20_000
  const records = Array.from({ length: MANY }, (_, i): Stored => {
    const bytes = u64(i)
    return { id: cidOf(bytes, 'dag-cbor'), payload: { t: 'x/1' }, signatures: [], bytes }
  })
  const { ledger, writes } = record(acme.state.ledger, records, world.wallMs, acme.env.slots)
  for (const { key, value } of writes) acme.store.set(key, value!)
  acme.state = { ...acme.state, ledger }
  acme.input({ type: 'head' })
  world.run(0)
  const size = Math.ceil((PAD_ENTRIES + MANY + 1) / PAD_ENTRIES) * PAD_ENTRIES
  const asked = acme.events.flatMap(event => (event.type === 'ask-leaves' ? [[event.from, event.to]] : []))
  const middle = PAD_ENTRIES + MAX_LEAVES
  assert.equal(asked.slice(-2), [
    [PAD_ENTRIES, middle],
    [middle, size],
  ])
  assert.equal(headsOf(acme), [PAD_ENTRIES, size])
})

test('a restart between padding and head pads no second time', () => {
  const { world, acme } = alone()
  publish(acme, 'one')
  acme.leaves = false
  world.run(60_000)
  for (const [machine] of acme.deadlines) if (machine === 'log') acme.input({ type: 'tick', machine })
  assert.is(acme.state.ledger.tail.range.size, 128)
  acme.restart()
  world.run(60_000)
  assert.equal(headsOf(acme), [64, 128])
  checkLog(acme)
})

test.run()
