import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { asCid } from '../../crypto/cid.ts'
import { KEY } from '../../protocol/layout.ts'
import { CLOCK_SKEW_MS, CLOCK_STORE_MS, DELEGATION_MS } from '../../protocol/limits.ts'
import { sentence } from '../../protocol/machine.ts'
import { decodeMessage } from '../../protocol/message.ts'
import { step } from '../../protocol/peer.ts'
import { suite, throwsCode } from '../harness.ts'
import { checkLog, codes, DAY_MS, Story } from './story.ts'
import { type Flight, START_MS } from './world.ts'

const test = suite('protocol/peer')

// Time (RULES A5).

test('a clock off the median of fresh cosignatures decides nothing, until it is set right', () => {
  const story = new Story().pair().publish()
  const { acme, world } = story
  world.run(1_000)
  acme.skewMs = 2 * CLOCK_SKEW_MS // ahead of every witness
  story.publish()
  world.run(1_000)
  throwsCode(() => story.makeOffer(), 'CLOCK_BEHIND')
  world.run(11 * 60_000)
  story.makeOffer() // nobody has said lately what time it is
})

test('nothing is offered with an operation key past its date, until another stands in its place: KEY_EXPIRED', () => {
  const story = new Story({ untilMs: START_MS + 2 * DELEGATION_MS }).pair().publish()
  story.world.wallMs += DELEGATION_MS
  throwsCode(() => story.makeOffer(), 'KEY_EXPIRED')
  story.acme.delegate(['operation', 'log'])
  story.makeOffer()
})

test('a clock more than five minutes below the highest time seen decides nothing: CLOCK_BEHIND', () => {
  const story = new Story({ approval: 'policy' }).pair().publish()
  assert.ok(story.read())
  const { acme, bolt, world } = story
  acme.skewMs = -2 * CLOCK_SKEW_MS
  story.request().world.run(1_000)
  assert.is(story.negotiation(), 'REQUESTED -')
  assert.is(codes(acme).at(-1), 'CLOCK_BEHIND')
  throwsCode(() => story.makeOffer(), 'CLOCK_BEHIND')
  const node = bolt.env.keys.node.public
  const hello = { t: 'hello/refused', code: 'X', text: 'x' } as const
  const answer = acme.input({ type: 'hello', node, hello })
  assert.ok(
    answer?.type === 'hello' && answer.hello.t === 'hello/refused' && answer.hello.code === 'CLOCK_BEHIND',
  )
  // A restart remembers; what is within five minutes decides.
  acme.restart()
  throwsCode(() => story.makeOffer(), 'CLOCK_BEHIND')
  acme.skewMs = -CLOCK_SKEW_MS / 2
  story.makeOffer()
  acme.skewMs = 0
  world.run(600_000)
  assert.is(story.negotiation(), 'FINALIZED FINALIZED', 'a resend heals it')
  story.expected = ['CLOCK_BEHIND', 'OUT_OF_ORDER']
  story.check()
})

test('a consumer whose clock is behind neither asks nor signs', () => {
  const story = new Story().pair().publish()
  assert.ok(story.read())
  const { bolt, world } = story
  story.request().world.run(1_000)
  bolt.skewMs = -2 * CLOCK_SKEW_MS
  throwsCode(() => story.request(), 'CLOCK_BEHIND')
  story.decide().world.run(1_000)
  assert.is(story.negotiation(), 'REQUESTED AGREED')
  bolt.skewMs = 0
  world.run(600_000)
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
})

test('the highest time is stored with what is stored anyway, at most once a second', () => {
  const story = new Story()
  const { acme, world } = story
  let writes = 0
  const set = acme.store.set.bind(acme.store)
  acme.store.set = (key, value) => {
    if (key === KEY.clock) writes++
    return set(key, value)
  }
  for (let i = 0; i < 30; i++) {
    acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
    world.wallMs += 100
  }
  assert.ok(writes >= 2 && writes <= 4, `${writes} writes in three seconds`)
  const stored = decode(acme.store.get(KEY.clock)!) as number
  assert.ok(world.wallMs - stored <= CLOCK_STORE_MS + 100)
  world.run(60_000)
  const before = writes
  acme.input({ type: 'connected', org: story.bolt.org })
  assert.is(writes, before, 'nothing is stored for the time alone')
})

// One step.

test('a command that cannot be done changes nothing', () => {
  const story = new Story().pair().publish()
  const { acme, world } = story
  const before = [...acme.store.keys()].length
  const entries = acme.state.ledger.tail.range.size
  throwsCode(() => story.makeOffer({ asset: story.offer! }), 'NOT_FOUND')
  throwsCode(() => acme.input({ type: 'withdraw', machine: 'negotiation/x', reason: 'x' }), 'NOT_FOUND')
  world.run()
  assert.is([...acme.store.keys()].length, before)
  assert.is(acme.state.ledger.tail.range.size, entries)
})

test('the same input on the same state gives the same output', () => {
  const story = new Story().pair().publish()
  const { acme, bolt, world } = story
  const seed = new Uint8Array(32).fill(3)
  const now = { wallMs: world.wallMs, monoMs: world.monoMs }
  const message = { t: 'catalog/request', id: new Uint8Array(16) } as const
  const run = () => step(acme.state, { type: 'message', from: bolt.org, message, seed }, now, acme.env).output
  assert.equal(run(), run())
})

test('ticks and starts of machines that are not there, or are over, do nothing', () => {
  const story = new Story().play()
  const before = story.world.wire.length
  for (const member of story.world.members) {
    const keys = [...member.store.keys()].filter(key =>
      /^(negotiation|transfer|delivery|witness)\//.test(key),
    )
    for (const machine of [
      ...keys,
      'negotiation/x/00',
      'transfer/x/00',
      'delivery/none',
      'witness/x',
      'log',
      'nothing',
    ])
      for (const type of ['tick', 'start'] as const) member.input({ type, machine })
  }
  story.world.run()
  assert.is(story.world.wire.length, before)
  story.complete()
})

test('results of work that nobody waits for any more do nothing', () => {
  const story = new Story().play()
  const { acme, bolt } = story
  const deliveries = [...bolt.store.keys()].filter(key => key.startsWith(KEY.deliveries))
  for (const machine of [...deliveries, 'delivery/none'])
    for (const member of [acme, bolt]) {
      member.input({ type: 'fetched', machine, ok: true })
      member.input({ type: 'fetched', machine, ok: false, refusal: { code: 'X', text: 'x' } })
      member.input({ type: 'opened', machine, opening: { ok: true } })
      member.input({ type: 'judged', machine, proven: true, receipt: new Uint8Array(3) })
    }
  for (const machine of [...acme.store.keys()].filter(key => key.startsWith(KEY.transfers)))
    acme.input({ type: 'page', machine, rows: [], more: false })
  story.world.run()
  story.complete()
})

test('a text is cut to what a message carries', () => {
  assert.is(sentence('a\nb\u0000c\u0085d'), 'a b c d')
  for (const text of ['🙂'.repeat(600), `x${'🙂'.repeat(600)}`, '\ud800'])
    assert.ok(sentence(text).isWellFormed() && sentence(text).length <= 512)
})

// A hostile partner: whatever it sends, the core answers and keeps its word.

/** All values of a message by their path. */
function leaves(value: Value, path: string[] = []): { path: string[]; value: Value }[] {
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || asCid(value))
    return [{ path, value }]
  return Object.entries(value).flatMap(([key, each]) => leaves(each as Value, [...path, key]))
}
function replaced(value: Value, [key, ...path]: string[], by: Value): Value {
  if (key === undefined) return by
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, Value>
  copy[key] = replaced(copy[key]!, path, by)
  return copy as Value
}

/** Makes another message of one: a value from another message in place of one of its own, or some bits of it. */
function mutate(frame: Uint8Array, donor: Uint8Array, [which, from, bit]: number[]): Uint8Array {
  const message = decode(frame, frame.length)
  const own = leaves(message).filter(({ path }) => path[0] !== 't')
  const spot = own[which! % own.length]
  if (!spot) return frame
  const { value } = spot
  const same = leaves(decode(donor, donor.length)).filter(each => kind(each.value) === kind(value))
  const taken = bit! % 3 > 0 && same.length > 0 ? same[from! % same.length]!.value : scrambled(value, bit!)
  return encode(replaced(message, spot.path, taken))
}
const kind = (value: Value) =>
  value instanceof Uint8Array ? `bytes ${value.length > 64}` : asCid(value) ? 'link' : typeof value
function scrambled(value: Value, bit: number): Value {
  if (typeof value === 'number')
    return [0, 1, value + 1, Math.max(0, value - 1), Number.MAX_SAFE_INTEGER][bit % 5]!
  if (typeof value === 'string') return ['', `${value}~`, '0'.repeat(16), '🙂'.repeat(100), '/'][bit % 5]!
  if (value instanceof Uint8Array && value.length > 0)
    return value.map((byte, i) => (i === bit % value.length ? byte ^ 1 : byte))
  return value
}

/** A committee of one that lies can stop its log: with f = 0 it is safe only if nobody lies. */
function playOn(story: Story): void {
  try {
    story.play()
  } catch (error) {
    if ((error as { code?: string }).code !== 'RESTORED_BEHIND') throw error
  }
}

test('no message of a partner makes the core throw, break its log, or give a key away', () => {
  const recorded = new Story({ approval: 'policy' }).play().world.wire.map(({ frame }) => frame)
  const rejecting = new Story({ approval: 'policy', spoil: 'block' })
    .play()
    .world.wire.map(({ frame }) => frame)
  const frames = [...recorded, ...rejecting]
  const attack = fc.record({
    at: fc.nat(60),
    frame: fc.nat(frames.length - 1),
    donor: fc.nat(frames.length - 1),
    how: fc.tuple(fc.nat(), fc.nat(), fc.nat()),
    to: fc.nat(2),
    by: fc.nat(1),
  })
  fc.assert(
    fc.property(fc.array(attack, { minLength: 40, maxLength: 80 }), attacks => {
      const story = new Story({ approval: 'policy' })
      const { members } = story.world
      let handed = 0
      story.world.intercept = () => {
        handed++
        return undefined
      }
      const strike = (now: number) => {
        for (const { frame, donor, how, to, by } of attacks.filter(({ at }) => at === now)) {
          const bytes = mutate(frames[frame]!, frames[donor]!, how)
          if (typeof decodeMessage(bytes) === 'string') continue
          const others = members.filter(member => member !== members[to])
          story.world.hand({ to: members[to]!, from: others[by]!, frame: bytes } as Flight)
        }
      }
      const { send } = story.world
      let sent = 0
      story.world.send = (...args) => {
        send.apply(story.world, args)
        const now = sent++
        story.world.later(() => strike(now))
      }
      playOn(story)
      for (const member of members) {
        checkLog(member)
        member.restart()
      }
      story.world.run(DAY_MS / 24)
      assert.ok(handed > 10)
      const granted = [...story.acme.store.keys()].some(key => key.startsWith(KEY.grants))
      assert.ok(granted || story.sent('delivery/release').length === 0)
    }),
    { numRuns: 30, endOnFailure: true },
  )
})

test('a mutated signed record inside a message is never believed', () => {
  const story = new Story({ approval: 'policy' }).play()
  const held = story.world.members.map(
    ({ store }) => [...store].filter(([key]) => /^(grant|at)\//.test(key)).length,
  )
  for (const { from, to, frame } of [...story.world.wire])
    for (let i = 0; i < 6; i++) {
      const bytes = mutate(frame, frame, [i, 0, 3 * i * 97])
      if (typeof decodeMessage(bytes) !== 'string') story.world.hand({ from, to, frame: bytes } as Flight)
    }
  story.world.run(1_000)
  const after = story.world.members.map(
    ({ store }) => [...store].filter(([key]) => /^(grant|at)\//.test(key)).length,
  )
  assert.equal(after, held)
})

test.run()
