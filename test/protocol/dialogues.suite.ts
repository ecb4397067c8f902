import * as assert from 'uvu/assert'
import { nameOf, type Seating } from '../../protocol/committee.ts'
import type { Asking } from '../../protocol/erasure.ts'
import { newestHead } from '../../protocol/heads.ts'
import { readEntries } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import { MESSAGES, type MessageType } from '../../protocol/message.ts'
import { mirrorGet, mirrored as mirrorOf } from '../../protocol/mirror.ts'
import { identityBehind } from '../../protocol/missed-events.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import type { Cosigned } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { DAY_MS, forgedHead, Story } from './story.ts'

interface Case {
  /** A run in which the message is sent; the whole story when left out. */
  play?: (story: Story) => void
  /** How that run ends when nothing is lost; the story's end when left out. */
  ends?: (story: Story) => void
  /** How it ends when the message never arrives; `ends` when it does not matter. */
  never?: (story: Story) => void
  options?: ConstructorParameters<typeof Story>[0]
  /** Of the two that meet, the one that the message does not stop. */
  expected?: Story['expected']
}

const states = (story: Story) => `${story.negotiation()} · ${story.transfers()} · ${story.deliveries()}`
const are =
  (...expected: string[]) =>
  (story: Story) => {
    assert.is(states(story), expected.join(' · '))
    story.check()
  }
const AGREED = 'FINALIZED FINALIZED'

/** Acme erases the offer; Bolt has an agreement under it that is in force, and says so. */
const redacted = (story: Story) => story.acme.redact(story.offer!, 'a mistake in the terms')
const outcome = ({ acme, bolt, offer }: Story) =>
  decodeState<Asking>(acme.store.get(KEY.redaction(bolt.org, offer!))!).outcome

/** Acme's store is put back to before its identity went on, and Bolt tells what it goes by. */
function putBack(story: Story): void {
  story.pair()
  const { acme, bolt, world } = story
  const events = acme.store.get(KEY.events)
  const key = acme.env.keys.operation
  acme.delegate(['operation'])
  world.run()
  if (events) acme.store.set(KEY.events, events)
  else acme.store.delete(KEY.events)
  acme.env.keys.operation = key
  // It is told at every connect.
  for (let i = 0; i < 2; i++) {
    bolt.input({ type: 'connected', org: acme.org })
    world.run()
  }
}
const isCosigned = ({ acme }: Story) => assert.ok(acme.events.some(({ type }) => type === 'cosigned'))
const isBehind = (events: number | undefined) => (story: Story) =>
  assert.is(identityBehind(story.acme.env.get, story.acme.chain), events)

/** Messages of ownership have runs of their own (ownership-dialogues.test.ts). */
type Played = Exclude<MessageType, `${'seat' | 'handover' | 'vote' | 'owner'}/${string}`>
const PLAYED = (Object.keys(MESSAGES) as MessageType[]).filter(
  (type): type is Played => !/^(seat|handover|vote|owner)\//.test(type),
)

/** A run for every message; what a lost one leaves behind is what the dialogue's page says. */
const CASES: Record<Played, Case> = {
  hello: {},
  error: {
    play: story => {
      story.agree()
      const id = new Uint8Array(16)
      story.world.send(story.bolt, story.acme.org, { t: 'negotiation/finalize', id })
      story.world.run()
    },
    ends: are(AGREED, '- -', '- -'),
    expected: ['UNKNOWN_DIALOGUE', 'OUT_OF_ORDER'],
  },
  'identity/events': {
    play: story => {
      story.play()
      story.acme.delegate(['log', 'operation'])
      story.world.run()
      story.acme.input({ type: 'connected', org: story.bolt.org }) // it is told at every connect
      story.world.run()
    },
    ends: story => assert.ok(sameChain(story)),
    never: story => assert.not.ok(sameChain(story)),
    // A head by a key that nobody told of.
    expected: ['HEAD_INVALID', 'OUT_OF_ORDER', 'HEAD_BEHIND'],
  },
  'identity/ask': { play: putBack, ends: isBehind(1), never: isBehind(undefined) },
  'identity/known': { play: putBack, ends: isBehind(1), never: isBehind(undefined) },
  'catalog/request': { never: are('- -', '- -', '- -') },
  'catalog/page': { never: are('- -', '- -', '- -') },
  'redaction/ask': {
    play: story => redacted(story.play()),
    ends: story => assert.is(outcome(story), 'kept'),
    never: story => assert.is(outcome(story), undefined),
  },
  'redaction/answer': {
    play: story => redacted(story.play()),
    ends: story => assert.is(outcome(story), 'kept'),
    never: story => assert.is(outcome(story), undefined),
  },
  'redaction/known': {
    play: story => {
      redacted(story.play())
      story.bolt.input({ type: 'connected', org: story.acme.org })
      story.world.run()
    },
    ends: story => assert.is(outcome(story), 'kept'),
  },
  'negotiation/request': {
    never: story => {
      are('REQUESTED -', '- -', '- -')(story)
      story.world.run(8 * DAY_MS)
      are('TERMINATED -', '- -', '- -')(story)
      assert.is(story.asked()!.refusal!.code, 'TIMED_OUT')
    },
  },
  'negotiation/pending': {},
  'negotiation/agree': {
    never: story => {
      are('REQUESTED AGREED', '- -', '- -')(story)
      story.world.run(4_200_000)
      are('TERMINATED TERMINATED', '- -', '- -')(story)
      assert.is(story.asked()!.refusal!.code, 'SIGNED_TOO_LATE')
    },
  },
  'negotiation/verify': {
    // The consumer counts on an agreement that its partner has not seen: it ends with the time for signing.
    play: story => story.agree(),
    ends: are(AGREED, '- -', '- -'),
    never: story => {
      are('VERIFIED AGREED', '- -', '- -')(story)
      story.world.run(4_200_000)
      are('TERMINATED TERMINATED', '- -', '- -')(story)
      for (const { store } of [story.acme, story.bolt])
        assert.not.ok(
          [...store.keys()].some(key => key.startsWith(KEY.grants)),
          'nothing may be fetched',
        )
    },
  },
  'negotiation/finalize': {
    never: are('VERIFIED FINALIZED', 'COMPLETED COMPLETED', 'DONE DONE'),
  },
  'negotiation/terminate': {
    play: story => {
      story.pair().publish().read()
      story.request().world.run()
      story.decide(false).world.run()
    },
    ends: are('TERMINATED TERMINATED', '- -', '- -'),
    never: story => {
      are('REQUESTED TERMINATED', '- -', '- -')(story)
      story.world.run(8 * DAY_MS)
      assert.is(story.asked()!.refusal!.code, 'TIMED_OUT')
    },
  },
  'transfer/request': { never: are(AGREED, 'REQUESTED -', '- -') },
  'transfer/start': { never: are(AGREED, 'REQUESTED STARTED', '- -') },
  'transfer/complete': { never: are(AGREED, 'STARTED STARTED', 'DONE DONE') },
  'transfer/terminate': {
    options: { untilMs: Date.UTC(2026, 0, 2) },
    play: story => {
      story.agree().world.run(DAY_MS)
      story.transfer()
    },
    ends: are(AGREED, 'TERMINATED TERMINATED', '- -'),
    never: are(AGREED, 'REQUESTED TERMINATED', '- -'),
  },
  'delivery/received': { never: are(AGREED, 'STARTED STARTED', 'RECEIVED -') },
  'delivery/release': { never: are(AGREED, 'STARTED STARTED', 'RECEIVED RELEASED') },
  'delivery/opened': { never: are(AGREED, 'STARTED STARTED', 'OPENED RELEASED') },
  'delivery/rejected': {
    options: { spoil: 'key' },
    ends: are(AGREED, 'COMPLETED COMPLETED', 'DONE DISPUTED'),
    never: are(AGREED, 'STARTED STARTED', 'REJECTED RELEASED'),
  },
  'delivery/done': { never: are(AGREED, 'STARTED STARTED', 'OPENED DONE') },
  'delivery/refused': {
    play: story => {
      story.agree()
      story.acme.secrets.clear()
      story.transfer()
    },
    ends: are(AGREED, 'COMPLETED COMPLETED', 'FAILED -'),
    never: are(AGREED, 'STARTED STARTED', 'RECEIVED -'),
  },
  'head/show': { never: story => assert.not.ok(story.bolt.store.has(KEY.watch(story.acme.org))) },
  'head/ask': { never: story => assert.not.ok(sawNewest(story)) },
  'head/proof': { never: story => assert.not.ok(sawNewest(story)) },
  'gossip/logs': { play: tellOfAcme },
  'gossip/head': { play: tellOfAcme },
  'gossip/fork': {
    play: story => {
      story.play()
      const { acme, bolt, cole, world } = story
      world.send(acme, bolt.org, { t: 'head/show', note: forgedHead(acme, newestHead(acme.env.get)!.size) })
      world.run()
      // A proof is told again at every connect.
      for (let i = 0; i < 2; i++) {
        bolt.input({ type: 'connected', org: cole.org })
        world.run(30_000)
      }
    },
    ends: story => assert.ok(story.cole.store.has(KEY.fork(story.acme.org))),
    never: story => assert.not.ok(story.cole.store.has(KEY.fork(story.acme.org))),
  },
  'committee/ask': { never: story => assert.is(seating(story).next, undefined) },
  'committee/signed': { never: story => assert.is(seating(story).next, undefined) },
  'committee/refused': {
    play: story => {
      story.play()
      const { acme, cole, world } = story
      // Of another log than that of who asks.
      const { now } = decodeState<Seating>(story.bolt.store.get(KEY.seating)!)
      world.send(acme, cole.org, { t: 'committee/ask', committee: now!, identities: [] })
      world.run()
    },
  },
  'log/register': {
    play: story => story.pair(),
    ends: isCosigned,
    never: ({ acme, cole }) => assert.not.ok(cole.store.has(KEY.cosigned(acme.org))),
  },
  'log/registered': {
    play: story => story.pair(),
    ends: isCosigned,
    never: story => assert.not.ok(story.acme.events.some(({ type }) => type === 'cosigned')),
  },
  'log/refused': {
    play: story => {
      story.pair()
      const { acme, cole, world } = story
      world.send(acme, cole.org, { ...story.sent('log/register')[0]!, salt: new Uint8Array(32) })
      world.run()
    },
    ends: isCosigned,
    expected: ['HEAD_BEHIND'],
  },
  'promise/ask': {
    never: story => assert.is(newestHead(story.acme.env.get)!.size, seating(story).next!.index),
  },
  'promise/given': {
    never: story => assert.is(newestHead(story.acme.env.get)!.size, seating(story).next!.index),
  },
  'promise/refused': {
    play: story => {
      story.play()
      const { acme, cole, world } = story
      const committee = nameOf(seating(story).now!).id
      const hash = new Uint8Array(32)
      world.send(acme, cole.org, { t: 'promise/ask', committee, old: 77, size: 78, root: hash, path: [] })
      world.run()
    },
  },
  'witness/add': {
    never: ({ acme, cole }) =>
      assert.is(decodeState<Cosigned>(cole.store.get(KEY.cosigned(acme.org))!).size, 1),
  },
  'witness/cosigned': {
    never: story => assert.not.ok(story.acme.events.some(({ type }) => type === 'cosigned')),
  },
  'witness/refused': {
    // The first cosignature is lost, so the log's owner asks again from too small a size.
    play: story => {
      const { bend } = story.world
      let lost = false
      // Of a log without a committee: what a member promised it cosigns, whatever size it is asked from.
      story.cole.sits = false
      story.world.bend = (message, from, to) => {
        if (lost || message.t !== 'witness/cosigned') return bend(message, from, to)
        lost = true
        return 0
      }
      story.play()
    },
    never: story => assert.ok(story.acme.stateOf('open/witness/', () => 1).length > 0),
  },
  'mirror/head': { play: mirrored, ends: story => assert.ok(isMirrored(story)), never: notMirrored },
  'mirror/ask': { play: mirrored, ends: story => assert.ok(isMirrored(story)), never: notMirrored },
  'mirror/entries': { play: mirrored, ends: story => assert.ok(isMirrored(story)), never: notMirrored },
  'proof/request': { never: story => assert.not.ok(story.bolt.events.some(({ type }) => type === 'proofs')) },
  'proof/reply': { never: story => assert.not.ok(story.bolt.events.some(({ type }) => type === 'proofs')) },
}

/** Bolt tells Cole that it knows Acme's log, as it does at a connect, and then how it has grown. */
function tellOfAcme(story: Story): void {
  story.play()
  const { bolt, cole, acme, world } = story
  bolt.input({ type: 'gossip', orgs: [cole.org], about: [acme.org] })
  world.run()
  bolt.input({ type: 'gossip', orgs: [cole.org] })
  world.run()
}

const seating = ({ acme }: Story) => decodeState<Seating>(acme.store.get(KEY.seating)!)
function mirrored(story: Story): void {
  story.acme.mirrors = [story.bolt.env.self.id]
  story.play()
  // What was lost is told again at the next connect.
  for (let i = 0; i < 2; i++) {
    story.acme.input({ type: 'connected', org: story.bolt.org })
    story.world.run(30_000)
  }
}

/** Bolt holds every entry of Acme's log, as it is there. */
function isMirrored({ acme, bolt }: Story): boolean {
  const size = mirrorOf(bolt.env.get, acme.org, 0)?.size ?? 0
  const held = [...readEntries(mirrorGet(bolt.env.get, acme.org, 0), 0, size)]
  const own = [...readEntries(acme.env.get, 0, size)]
  assert.equal(
    held.map(({ entry }) => entry),
    own.map(({ entry }) => entry),
  )
  return size === acme.state.ledger.signed.range.size
}
function notMirrored(story: Story): void {
  assert.not.ok(isMirrored(story))
}

const sameChain = ({ acme, bolt }: Story) =>
  decodePartner(bolt.store.get(KEY.partner(acme.org))!).chain.last.equals(acme.chain.last)

const sawNewest = ({ acme, bolt }: Story) =>
  bolt.events.some(
    event =>
      event.type === 'seen' && event.org === acme.org && event.size === acme.state.ledger.signed.range.size,
  )

function run(type: Played, bend: (story: Story) => void): Story {
  const { play, options, expected = [] } = CASES[type]
  const story = new Story(options)
  story.expected = expected
  bend(story)
  play ? play(story) : story.play()
  assert.ok(story.sent(type).length > 0, `${type} is sent in this run`)
  return story
}
const end = (story: Story, type: Played) => (CASES[type].ends ? CASES[type].ends(story) : story.complete())

/** What can happen to a message on its way. */
const WAYS: Record<string, (type: Played) => void> = {
  'comes twice': type => {
    const story = run(type, ({ world }) => {
      world.bend = message => (message.t === type ? 2 : 1)
    })
    end(story, type)
  },
  'comes late, and again when all is over': type => {
    const story = run(type, ({ world }) => {
      world.delay = message => (message.t === type ? 7_000 : 0)
    })
    end(story, type)
    const before = states(story)
    for (const flight of story.world.wire.filter(({ message }) => message.t === type))
      story.world.hand(flight)
    story.world.run()
    assert.is(states(story), before)
    end(story, type)
  },
  'is lost once': type => {
    const story = run(type, ({ world }) => {
      let lost = false
      world.bend = message => {
        if (message.t !== type || lost) return 1
        lost = true
        return 0
      }
    })
    end(story, type)
  },
  'never comes': type => {
    const story = run(type, ({ world }) => {
      world.bend = message => (message.t === type ? 0 : 1)
    })
    const { never } = CASES[type]
    never ? never(story) : end(story, type)
    story.check()
  },
}

/** Plays the dialogues of every message, in these ways of the four for the n-th of them. */
export function dialogues(name: string, waysOf: (n: number, ways: string[]) => string[]): void {
  const test = suite(name)

  test('every message has its case', () => {
    assert.equal(Object.keys(CASES).sort(), [...PLAYED].sort())
  })

  for (const [n, type] of PLAYED.entries())
    for (const way of waysOf(n, Object.keys(WAYS))) test(`${type} ${way}`, () => WAYS[way]!(type))

  test('everything comes twice, and everything again when all is over', () => {
    const story = new Story()
    story.world.bend = () => 2
    story.play().complete()
    for (const flight of [...story.world.wire]) story.world.hand(flight)
    story.world.run()
    story.complete()
  })

  test.run()
}
