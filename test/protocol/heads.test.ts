import * as assert from 'uvu/assert'
import { text, u64, utf8 } from '../../crypto/bytes.ts'
import { leafHash, verifyInclusion } from '../../crypto/merkle.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { HEAD_BEAT_MS, MAX_PROOFS } from '../../protocol/limits.ts'
import { checkpointOf, originOf, readHead } from '../../protocol/log.ts'
import type { Message } from '../../protocol/message.ts'
import { step } from '../../protocol/peer.ts'
import { suite, throwsCode } from '../harness.ts'
import { codes, forgedHead, Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/heads')
const HASH = new Uint8Array(32).fill(7)

const watch = (member: Member, of: Member) => readWatch(member.store.get(KEY.watch(of.org)))
const newest = (member: Member) => newestHead(member.env.get)!

test('a burst of entries gets one head, over what was read back', () => {
  const story = new Story()
  const heads = () => story.acme.events.filter(({ type }) => type === 'head').length
  story.pair()
  const before = heads()
  story.publish()
  assert.is(heads(), before + 1)
  assert.is(story.acme.state.ledger.signed.range.size, story.acme.state.ledger.tail.range.size)
  story.check()
})

test('a partner that stays connected sees the log grow, as often as it is shown', () => {
  const story = new Story()
  const { acme, bolt } = story
  story.pair()
  const shown = watch(bolt, acme)!.size
  story.publish()
  assert.is(watch(bolt, acme)!.size, shown)
  for (let i = 0; i < 2; i++) {
    acme.input({ type: 'gossip', orgs: [bolt.org, 'nobody'], about: [] })
    story.world.run()
    assert.is(watch(bolt, acme)!.size, newest(acme)!.size)
  }
  story.check()
})

test('no head is signed over entries that are not what was written', () => {
  const changes: Record<string, (entries: Uint8Array[]) => Uint8Array[]> = {
    'one bit of the last': entries => [...entries.slice(0, -1), flip(entries.at(-1)!)],
    'one bit of the first': entries => [flip(entries[0]!), ...entries.slice(1)],
    'one missing at the end': entries => entries.slice(0, -1),
    'one missing at the start': entries => entries.slice(1),
    'none at all': () => [],
    'one too many': entries => [...entries, entries.at(-1)!],
    'two in another order': entries => [entries[1]!, entries[0]!, ...entries.slice(2)],
  }
  // With more entries appended while it reads, memory holds no root for the size that is read.
  for (const [what, change] of Object.entries(changes))
    for (const later of [false, true]) {
      const story = new Story({ packets: 3 })
      const { acme, world } = story
      story.pair()
      const drafts = Array.from({ length: 3 }, (_, i) => acme.draft(`a${i}`, HASH))
      acme.input({ type: 'publish', title: 'a', domain: 'x', level: 'general', packets: drafts })
      const { seed } = acme.env.keys.node
      const now = { wallMs: world.wallMs, monoMs: world.monoMs + 2 * HEAD_BEAT_MS }
      let { state, output } = step(acme.state, { type: 'tick', machine: 'log', seed }, now, acme.env)
      for (const { key, value } of output.writes) acme.store.set(key, value!)
      const ask = output.events[0]!
      assert.ok(ask.type === 'ask-leaves')
      const entries = Array.from(
        { length: ask.to - ask.from },
        (_, i) => readEntryAt(acme.env.get, ask.from + i)!.entry,
      )
      if (later) {
        acme.state = state
        acme.input({ type: 'publish', title: 'b', domain: 'x', level: 'general', packets: [] })
        state = acme.state
      }
      const next = step(
        state,
        { type: 'leaves', log: ask.log, from: ask.from, entries: change(entries), seed },
        now,
        acme.env,
      )
      assert.ok(next.damaged, `${what}${later ? ', and more came' : ''}`)
      assert.equal([next.output.writes, next.output.sends], [[], []])
    }
})
/** Another commitment, in an entry that reads as well as before. */
const flip = (bytes: Uint8Array) => bytes.map((byte, i) => (i === 10 ? byte ^ 1 : byte))

test('leaves that nobody asked for change nothing', () => {
  const { acme } = new Story()
  const size = acme.state.ledger.signed.range.size
  acme.input({ type: 'leaves', log: 0, from: size, entries: [HASH] })
  assert.is(acme.state.ledger.signed.range.size, size)
})

test('a partner follows a log from head to head', () => {
  const story = new Story().agree()
  const { acme, bolt } = story
  story.prove()
  assert.is(watch(bolt, acme)!.size, newest(acme).size)
  assert.is(story.sent('head/proof').length > 0, true)
  story.check()
})

test('a head that is not of the log is HEAD_INVALID', () => {
  const story = new Story().agree()
  const { acme, bolt, cole, world } = story
  const good = newest(acme).note
  const forged = [
    utf8('nothing'),
    new Uint8Array([0xff]),
    good.slice(0, -8),
    forgedHead(cole, 5, HASH),
    utf8(text(good).replace(/\n[0-9]+\n/, '\n1\n')),
  ]
  for (const note of forged)
    for (const message of [
      { t: 'head/show', note },
      { t: 'head/proof', size: 1, root: HASH, note, path: [] },
      {
        t: 'proof/reply',
        id: HASH.slice(16),
        note,
        entries: [],
        states: [],
        events: [],
        witnesses: [],
        pending: false,
      },
    ] satisfies Message[]) {
      world.send(acme, bolt.org, message)
      world.run()
      assert.is(codes(bolt).at(-1), 'HEAD_INVALID')
    }
})

test('a head that is not shown to extend the last one is not kept, and proves nothing', () => {
  const story = new Story().agree().prove()
  const { acme, bolt, world } = story
  const { size } = newest(acme)
  const note = forgedHead(acme, size + 1, HASH)
  world.send(acme, bolt.org, { t: 'head/show', note })
  world.run()
  assert.is(watch(bolt, acme)!.size, size)
  world.send(acme, bolt.org, { t: 'head/proof', size, root: HASH, note, path: [HASH] })
  world.run()
  assert.is(codes(bolt).at(-1), 'HEAD_INCONSISTENT')
  assert.is(watch(bolt, acme)!.size, size)
  assert.not.ok(bolt.events.some(({ type }) => type === 'forked'))
})

test('an older head changes nothing, and is not written again', () => {
  const story = new Story().agree().prove()
  const { acme, bolt, world } = story
  const held = bolt.store.get(KEY.watch(acme.org))
  for (const [key, note] of acme.store)
    if (key.startsWith('head/')) world.send(acme, bolt.org, { t: 'head/show', note })
  world.run()
  assert.ok(bolt.store.get(KEY.watch(acme.org)) === held)
  story.check()
})

test('who asks for a proof from a size that is not there is told HEAD_BEHIND', () => {
  const story = new Story().agree()
  const { acme, bolt, world } = story
  for (const size of [0, newest(acme).size + 1, Number.MAX_SAFE_INTEGER]) {
    world.send(bolt, acme.org, { t: 'head/ask', size })
    world.run()
    assert.is(codes(acme).at(-1), 'HEAD_BEHIND')
  }
})

// Proofs of entries.

test('proofs are given to those whom the records concern, and hold under the head', () => {
  const story = new Story().agree().transfer()
  const { acme, bolt, cole, world } = story
  const records = [story.agreement!, story.offer!, story.asset!]
  const ask = (from: Member) => {
    from.input({ type: 'proofs', org: acme.org, records })
    world.run()
    return from.events.flatMap(event => (event.type === 'proofs' ? [event.reply] : [])).at(-1)!
  }
  const reply = ask(bolt)
  const given = reply.entries.map(({ record }) => record.toString())
  assert.equal(given, [story.agreement!, story.offer!].map(String), 'the asset itself names no party')
  assert.is(reply.witnesses.length, 1)
  const head = readHead(utf8(reply.note!), acme.env.self.chain)
  assert.ok('root' in head)
  for (const { entry, path } of reply.entries) {
    const index = indexOf(acme, entry)
    assert.ok(
      verifyInclusion({ leaf: leafHash(entry), index, size: head.size, path: path!, root: head.root }),
    )
  }
  assert.equal(ask(cole).entries, [], 'nothing for those whom they do not concern')
  throwsCode(
    () =>
      bolt.input({
        type: 'proofs',
        org: acme.org,
        records: Array.from({ length: MAX_PROOFS + 1 }, () => story.offer!),
      }),
    'RECORD_INVALID',
  )
  story.check()
})
const indexOf = (member: Member, entry: Uint8Array) => {
  for (let i = 0; ; i++) if (Buffer.from(readEntryAt(member.env.get, i)!.entry).equals(entry)) return i
}

test('what no head that is final covers yet is pending: its entry is given without a way', () => {
  const story = new Story().agree()
  const { acme, bolt, world } = story
  const [first] = [...acme.store.keys()].filter(key => key.startsWith('head/')).sort()
  const size = Number(first!.split('/')[1])
  acme.store.set(KEY.publicHead, u64(size))
  bolt.input({ type: 'proofs', org: acme.org, records: [story.agreement!] })
  world.run()
  const [reply] = bolt.events.flatMap(event => (event.type === 'proofs' ? [event.reply] : []))
  // The state under the head is shown all the same: it says which committee the head is of.
  assert.equal([reply!.pending, reply!.states.length], [true, 1])
  assert.equal(
    reply!.entries.map(({ record, path }) => [record.toString(), path]),
    [[story.agreement!.toString(), undefined]],
  )
  const head = readHead(utf8(reply!.note!), acme.env.self.chain)
  assert.is('size' in head && head.size, size)
})

test('a checkpoint is of its log, size and root', () => {
  const { acme } = new Story()
  const origin = originOf(acme.chain)
  const body = checkpointOf(origin, acme.state.ledger.tail)
  assert.ok(text(newest(acme).note).startsWith(body))
})

test.run()
