import * as assert from 'uvu/assert'
import { readEntries } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_MIRRORED, PAD_ENTRIES } from '../../protocol/limits.ts'
import type { MessageOf } from '../../protocol/message.ts'
import { mirrored, mirrorGet } from '../../protocol/mirror.ts'
import { suite } from '../harness.ts'
import { alter, codes, forgedHead, Story } from './story.ts'

const test = suite('protocol/mirror')

function story(): Story {
  const made = new Story()
  made.acme.mirrors = [made.bolt.env.self.id]
  return made
}
const held = ({ acme, bolt }: Story) =>
  mirrored(bolt.env.get, acme.org, acme.chain.logs.length - 1)?.size ?? 0
const keys = ({ acme, bolt }: Story) =>
  [...bolt.store.keys()].filter(key => key.startsWith(KEY.mirrored(acme.org)))

test('a mirror follows the log from head to head and holds every entry, over restarts', () => {
  const made = story()
  made.play()
  for (let i = 0; i < 3; i++) {
    const drafts = Array.from({ length: 150 }, (_, k) => made.acme.draft(`${i} ${k}`, new Uint8Array(1)))
    made.acme.input({ type: 'publish', title: 'more', domain: 'x', level: 'general', packets: drafts })
    made.world.run(5_000)
    made.bolt.restart()
  }
  const { acme, bolt } = made
  assert.is(held(made), acme.state.ledger.signed.range.size)
  const [copy, own] = [mirrorGet(bolt.env.get, acme.org, 0), acme.env.get].map(get =>
    [...readEntries(get, 0, held(made))].map(({ entry }) => entry),
  )
  assert.ok(copy!.length > 450)
  assert.equal(copy, own)
  made.check()
})

test('what is not chained, or not under the head that it came with, is refused and not kept', () => {
  const changes: Record<string, (message: MessageOf<'mirror/entries'>) => object> = {
    'an entry of another content': ({ entries }) => ({
      entries: entries.with(
        0,
        entries[0]!.map((byte, i) => (i === 10 ? byte ^ 1 : byte)),
      ),
    }),
    'one left out': ({ entries }) => ({ entries: entries.slice(1) }),
    'the last left out': ({ entries }) => ({ entries: entries.slice(0, -1) }),
    'none at all': () => ({ entries: [] }),
    'one twice': ({ entries }) => ({ entries: [...entries, entries.at(-1)!] }),
    'a proof too many': ({ path }) => ({ path: [...path, new Uint8Array(32)] }),
  }
  for (const [what, change] of Object.entries(changes)) {
    const made = story()
    made.expected = ['ENTRIES_INVALID', 'OUT_OF_ORDER']
    alter(made, 'mirror/entries', message => ({ ...message, ...change(message) }) as typeof message)
    made.pair()
    assert.is(codes(made.bolt)[0], 'ENTRIES_INVALID', what)
    assert.equal([held(made), keys(made)], [0, []], what)
  }
})

test('a head that is none, or past the quota, is refused', () => {
  const made = story()
  made.pair()
  const { acme, bolt, cole, world } = made
  const before = held(made)
  for (const [note, code] of [
    [forgedHead(cole, 5), 'HEAD_INVALID'],
    [new Uint8Array(9), 'HEAD_INVALID'],
    [forgedHead(acme, MAX_MIRRORED + 1), 'QUOTA_EXCEEDED'],
  ] as const) {
    world.send(acme, bolt.org, { t: 'mirror/head', note })
    const log = acme.env.self.id
    world.send(acme, bolt.org, { t: 'mirror/entries', log, from: before, entries: [], note, path: [] })
    world.run(0)
    assert.equal(codes(bolt).slice(-2), [code, code])
  }
  assert.is(held(made), before)
})

test('only a mirror that the owner named gets entries, and the owner its own', () => {
  const made = story()
  made.pair()
  const { acme, bolt, cole, world } = made
  for (const [asker, log] of [
    [cole, acme],
    [cole, bolt],
    [bolt, cole],
  ] as const) {
    const of = log === acme ? acme : asker === cole ? acme : cole
    world.send(asker, of.org, { t: 'mirror/ask', log: log.env.self.id, from: 0 })
    world.run(0)
    assert.is(codes(of).at(-1), 'NOT_ADMITTED')
  }
  // The mirror gives entries back to the owner, who may have lost them.
  world.wire.length = 0
  world.send(acme, bolt.org, { t: 'mirror/ask', log: acme.env.self.id, from: 0 })
  world.run(0)
  const [back] = made.sent('mirror/entries')
  assert.equal(
    (back as MessageOf<'mirror/entries'>).entries,
    [...readEntries(acme.env.get, 0, held(made))].map(({ entry }) => entry),
  )
})

test('two heads of one size are a fork, and of a closed log nothing more is kept', () => {
  const made = story()
  made.pair()
  const { acme, bolt, world } = made
  const before = held(made)
  world.send(acme, bolt.org, { t: 'mirror/head', note: forgedHead(acme, before) })
  world.run(0)
  assert.ok(bolt.store.has(KEY.fork(acme.org)))
  made.publish()
  assert.is(held(made), before)
})

test('a successor is mirrored beside the log before it, also where their heads have one size', () => {
  const made = story()
  const { acme, bolt, world } = made
  acme.env.pad = PAD_ENTRIES
  made.pair()
  world.run(10_000)
  const before = held(made)
  const entries = [...readEntries(acme.env.get, 0, before)].map(({ entry }) => entry)
  assert.is(before, PAD_ENTRIES)
  acme.succeed()
  world.run(10_000)
  const size = held(made)
  assert.ok(size >= before)
  const kept = (log: number, to: number) =>
    [...readEntries(mirrorGet(bolt.env.get, acme.org, log), 0, to)].map(({ entry }) => entry)
  assert.equal(kept(0, before), entries)
  assert.equal(
    kept(1, size),
    [...readEntries(acme.env.get, 0, size)].map(({ entry }) => entry),
  )
})

test('nobody is told of entries who is no mirror', () => {
  const made = new Story()
  made.world.pad = PAD_ENTRIES
  made.play()
  for (const type of ['mirror/head', 'mirror/ask', 'mirror/entries'] as const)
    assert.is(made.sent(type).length, 0)
})

test.run()
