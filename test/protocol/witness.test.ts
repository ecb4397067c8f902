import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign, verifyCosignature } from '../../crypto/checkpoint.ts'
import { leafHash, treeRoot } from '../../crypto/merkle.ts'
import { formatLine, formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerName } from '../../protocol/identity.ts'
import { makeDelegate } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { CLOCK_SKEW_MS, RESEND_MAX_MS } from '../../protocol/limits.ts'
import { originOf } from '../../protocol/log.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Message, MessageOf } from '../../protocol/message.ts'
import { type Input, type PeerStep, step } from '../../protocol/peer.ts'
import type { Cosigned, Submission } from '../../protocol/witness.ts'
import { suite } from '../harness.ts'
import { alter, codes, DAY_MS, Story } from './story.ts'
import { type Member, mesh, START_MS, World } from './world.ts'

const test = suite('protocol/witness')
const HASH = new Uint8Array(32).fill(7)

const held = ({ acme, cole }: Story) => {
  const stored = cole.store.get(KEY.cosigned(acme.org))
  return stored ? decodeState<Cosigned>(stored).size : 0
}
const submission = ({ acme, cole }: Story) => decodeState<Submission>(acme.store.get(KEY.witness(cole.org))!)
const newest = (member: Member) => newestHead(member.env.get)!
const grow = ({ acme, world }: Story) => {
  acme.input({ type: 'publish', title: 'more', domain: 'x', level: 'general', packets: [] })
  world.run()
}

test('every head is cosigned, each cosignature verifies and is there once', () => {
  const story = new Story().pair()
  for (let i = 0; i < 4; i++) grow(story)
  const { acme, cole, world } = story
  assert.is(held(story), newest(acme).size)
  const { body, lines } = parseNote(text(newest(acme).note))
  const name = cosignerName(cole.org)
  const [line, ...more] = lines.filter(each => each.name === name)
  assert.is(more.length, 0)
  const { timeS } = verifyCosignature(body, line!, name, cole.env.keys.witness.public)!
  assert.ok(Math.abs(timeS * 1000 - world.wallMs) < 600_000)
  story.check()
})

// The numbers of C2SP tlog-witness.

function ask(story: Story, message: Omit<MessageOf<'witness/add'>, 't'>): number | 'cosigned' {
  const { acme, cole, world } = story
  const count = world.wire.length
  world.send(acme, cole.org, { t: 'witness/add', ...message })
  world.run(1)
  const [reply] = world.wire.slice(count).filter(({ from }) => from === cole)
  return reply?.message.t === 'witness/refused' ? reply.message.status : 'cosigned'
}
function forged({ env }: Member, size: number, root = HASH): Uint8Array {
  const origin = originOf(env.self.chain)
  const body = `${origin}\n${size}\n${Buffer.from(root).toString('base64')}\n`
  return utf8(formatNote({ body, lines: [signNote(body, origin, env.keys.log)] }))
}

test('a witness refuses by number, and holds what it held', () => {
  const story = new Story().pair()
  grow(story)
  const { acme, bolt } = story
  const size = newest(acme).size
  const { note } = newest(acme)
  assert.is(ask(story, { old: size, note: forged(bolt, size), path: [] }), 403)
  assert.is(ask(story, { old: size, note: HASH, path: [] }), 403)
  assert.is(ask(story, { old: size + 1, note, path: [] }), 400)
  assert.is(ask(story, { old: size - 1, note, path: [] }), 409)
  assert.is(ask(story, { old: 0, note, path: [] }), 409)
  assert.is(ask(story, { old: size, note, path: [HASH] }), 422)
  assert.is(ask(story, { old: size, note: forged(acme, size + 4), path: [HASH] }), 422)
  assert.is(ask(story, { old: size, note: forged(acme, size - 1), path: [] }), 400)
  assert.is(held(story), size)
  assert.is(ask(story, { old: size, note, path: [] }), 'cosigned', 'a repeat')
  assert.is(ask(story, { old: size, note: forged(acme, size), path: [] }), 422)
  assert.is(ask(story, { old: size, note, path: [] }), 403, 'that was a fork, and the log is closed')
  assert.is(held(story), size)
})

test('a witness gets the head that was there before it', () => {
  const story = new Story().pair()
  assert.is(held(story), newest(story.acme).size)
  story.check()
})

/** Cole has taken in the log of Acme, and was sent no head of it. */
function registered(): {
  story: Story
  next: (leaf: Uint8Array) => { note: Uint8Array; path: Uint8Array[] }
} {
  const story = new Story()
  const { world, acme, cole } = story
  world.bend = message => (/^(committee|promise|witness)/.test(message.t) ? 0 : 1)
  story.pair()
  acme.witnesses = []
  world.bend = () => 1
  const { first } = decodeState<Cosigned>(cole.store.get(KEY.cosigned(acme.org))!)
  const next = (leaf: Uint8Array) => ({
    note: forged(acme, 2, new Uint8Array(treeRoot([first, leaf]))),
    path: [leaf],
  })
  return { story, next }
}

test('a first head extends entry 0, by which the log was registered', () => {
  const { story, next } = registered()
  assert.is(held(story), 1)
  assert.is(ask(story, { old: 0, ...next(HASH), path: [] }), 409)
  assert.is(ask(story, { old: 1, ...next(HASH) }), 'cosigned')
  assert.is(held(story), 2)
  const other = registered()
  assert.is(ask(other.story, { old: 1, ...other.next(HASH), path: [leafHash(HASH)] }), 422)
  assert.is(held(other.story), 1)
})

// Check and store are one act (RULES A1, A2).

test('a cosignature carries the condition that nobody stored another one since', () => {
  const { story, next } = registered()
  const { acme, cole, world } = story
  const [one, other] = [next(HASH), next(leafHash(HASH))]
  const stored = cole.store.get(KEY.cosigned(acme.org))!
  const add = (head: { note: Uint8Array; path: Uint8Array[] }, old = 1): PeerStep => {
    const message: Message = { t: 'witness/add', old, ...head }
    const input: Input = { type: 'message', from: acme.org, message, seed: HASH }
    return step(cole.state, input, { wallMs: world.wallMs, monoMs: world.monoMs }, cole.env)
  }
  // Two adds in one turn, the first not stored yet: both would be cosigned, so the store must refuse one.
  const steps = [add(one), add(other)]
  for (const { output } of steps) {
    assert.is(output.sends[0]!.message.t, 'witness/cosigned')
    assert.equal(output.writes.find(({ key }) => key === KEY.cosigned(acme.org))!.if, {
      equals: stored,
    })
  }
  // With the first one visible, as the overlay of queued writes makes it, the second is refused by itself.
  for (const { key, value } of steps[0]!.output.writes) cole.store.set(key, value!)
  assert.is(add(other).output.sends[0]!.message.t, 'witness/refused')
  const again = add({ ...one, path: [] }, 2)
  assert.is(again.output.sends[0]!.message.t, 'witness/cosigned')
  assert.not.ok(
    again.output.writes.some(({ key }) => key === KEY.cosigned(acme.org)),
    'the same needs no write',
  )
})

test('two adds in one turn are cosigned once, or in a chain', () => {
  const { story, next } = registered()
  const { acme, cole, world } = story
  const count = world.wire.length
  for (const leaf of [HASH, leafHash(HASH)])
    world.send(acme, cole.org, { t: 'witness/add', old: 1, ...next(leaf) })
  world.run(1)
  const answers = world.wire
    .slice(count)
    .filter(({ to, message }) => to === acme && message.t === 'witness/cosigned')
  assert.is(answers.length, 1)
  assert.is(story.sent('witness/refused').at(-1)!.size, 2)
})

// The owner's side.

test('a witness that was away gets the newest head when it comes back, also after a restart in between', () => {
  for (const restart of [false, true]) {
    const story = new Story().pair()
    const { acme, cole, world } = story
    grow(story)
    cole.up = false
    grow(story)
    grow(story)
    if (restart) acme.restart()
    world.run(1_000)
    cole.up = true
    world.run(2 * RESEND_MAX_MS)
    assert.is(held(story), newest(acme).size, restart ? 'after a restart' : 'without one')
    story.check()
  }
})

test('late answers to copies of an earlier submission stop nothing', () => {
  const story = new Story().pair()
  const { acme, cole, world } = story
  grow(story)
  const { size } = submission(story)
  // A newer head is under way when the refusal of a repeat arrives.
  world.bend = message => (message.t === 'witness/add' ? 0 : 1)
  grow(story)
  world.send(cole, acme.org, { t: 'witness/refused', size, status: 409, text: 'another size is held here' })
  world.run(1)
  assert.is(submission(story).stuck, undefined)
  world.bend = () => 1
  world.run(2 * RESEND_MAX_MS)
  assert.is(held(story), newest(acme).size)
  story.check()
})

test('a witness that lost its memory is brought up from where it stands', () => {
  const story = new Story().pair()
  grow(story)
  story.cole.store.delete(KEY.cosigned(story.acme.org))
  grow(story)
  assert.is(held(story), newest(story.acme).size)
  story.check()
})

test('a witness that holds a head beyond the log, or refuses, stops the submissions for a person to look', () => {
  for (const [status, size] of [
    [409, 1_000],
    [422, 2],
    [403, 0],
  ] as const) {
    const story = new Story()
    story.cole.sits = false
    story.pair()
    grow(story)
    const { acme, cole, world } = story
    world.bend = message => (message.t === 'witness/add' ? 0 : 1)
    grow(story)
    world.send(cole, acme.org, { t: 'witness/refused', size, status, text: `no ${'🙂'.repeat(100)}` })
    world.run(1)
    assert.match(submission(story).stuck!, String(status))
    assert.is(codes(acme).at(-1), 'HEAD_BEHIND')
    const sent = story.sent('witness/add').length
    grow(story)
    acme.restart()
    world.run(3 * RESEND_MAX_MS)
    assert.is(story.sent('witness/add').length, sent)
    story.expected = ['HEAD_BEHIND']
    story.check()
  }
})

test('a cosignature that does not verify is SIGNATURE_INVALID and not kept', () => {
  const story = new Story()
  const lines: ((message: MessageOf<'witness/cosigned'>, story: Story) => Uint8Array)[] = [
    () => HASH,
    ({ line }) => line.slice(0, -4),
    ({ line }) => utf8(text(line) + text(line)),
    (_message, { acme, bolt }) => {
      const { body } = parseNote(text(newest(acme).note))
      return utf8(formatLine(cosign(body, 1_800_000_000, cosignerName(bolt.org), bolt.env.keys.witness)))
    },
    (_message, { bolt, acme, cole }) => {
      const { body } = parseNote(text(newest(acme).note))
      return utf8(formatLine(cosign(body, 1_800_000_000, cosignerName(cole.org), bolt.env.keys.witness)))
    },
  ]
  let at = 0
  alter(story, 'witness/cosigned', (message, { to }) => {
    if (to !== story.acme) return message
    const change = lines[at++]
    return change ? { ...message, line: change(message, story) } : message
  })
  story.pair().world.run(30 * RESEND_MAX_MS)
  assert.is(codes(story.acme).filter(code => code === 'SIGNATURE_INVALID').length > 0, true)
  assert.is(parseNote(text(newest(story.acme).note)).lines.length, 2, 'the right one is, when it comes')
  story.expected = ['SIGNATURE_INVALID', 'OUT_OF_ORDER']
  story.check()
})

test('nobody cosigns who was not asked', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  world.send(bolt, acme.org, { t: 'witness/cosigned', size: 1, line: HASH })
  world.send(bolt, acme.org, { t: 'witness/refused', size: 1, status: 409, text: 'x' })
  world.run()
  assert.equal(codes(acme), ['UNKNOWN_DIALOGUE', 'UNKNOWN_DIALOGUE'])
})

test('a witness whose clock stands back does not date by it, and does when it is right again', () => {
  const story = new Story().pair()
  story.cole.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  story.cole.skewMs = -2 * CLOCK_SKEW_MS
  const before = held(story)
  story.acme.input({ type: 'publish', title: 'more', domain: 'x', level: 'general', packets: [] })
  story.world.run(10_000)
  assert.is(held(story), before)
  assert.ok(codes(story.cole).includes('CLOCK_BEHIND'))
  story.cole.skewMs = 0
  story.world.run(2 * RESEND_MAX_MS)
  assert.is(held(story), newest(story.acme).size)
})

test('a log key that is past its date signs no head, and entries wait for the next one', () => {
  const world = new World()
  const [owner, w] = [world.add('Acme', START_MS + DAY_MS), world.add('Cole', START_MS + DAY_MS)]
  world.pair(owner, w)
  owner.witnesses = [w.env.self.id]
  owner.input({ type: 'start', machine: 'log' })
  world.run(60_000)
  const grow = () => {
    owner.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
    world.run(600_000)
  }
  const newest = () => newestHead(owner.env.get)!
  const before = newest()
  world.wallMs = START_MS + 2 * DAY_MS
  grow()
  assert.equal(newest(), before)
  owner.delegate(['log'])
  world.run(600_000)
  assert.is(newest().size, before.size, 'its only member has a witness key of before')
  w.delegate(['witness'])
  grow()
  const { size, note } = newest()
  assert.is(size, owner.state.ledger.tail.range.size)
  assert.is(parseNote(text(note)).lines.length, 2, 'signed and cosigned')
})

test('a head that was drafted when the log key ran out is made anew under the next one, though nobody witnesses the log', () => {
  const world = new World()
  const owner = world.add('Acme', START_MS + DAY_MS)
  world.run(60_000)
  owner.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  owner.input({ type: 'tick', machine: 'log' })
  world.wallMs = START_MS + 2 * DAY_MS // while the leaves are read
  world.run(0)
  const { ledger } = owner.state
  assert.ok(
    ledger.draft && ledger.draft.tail.range.size > ledger.signed.range.size,
    'it waits for its signature',
  )
  owner.delegate(['log'])
  world.run()
  assert.is(newestHead(owner.env.get)!.size, owner.state.ledger.tail.range.size)
})

/** A log of one witness, with a seat or without one, that has not been told yet of the key that follows the first. */
function behind(hasSeat: boolean) {
  const world = new World()
  const [owner, witness] = [world.add('Acme', START_MS + DAY_MS), world.add('Cole')]
  witness.sits = hasSeat
  world.pair(owner, witness)
  owner.witnesses = [witness.env.self.id]
  owner.input({ type: 'start', machine: 'log' })
  world.run()
  const key = { key: owner.draw(), untilMs: START_MS + 100 * DAY_MS }
  const event = makeDelegate(owner.chain, owner.key('admin'), { keys: { log: key } }, world.wallMs)
  owner.goOn(event, [])
  world.wallMs = START_MS + 2 * DAY_MS
  owner.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run()
  const tell = () => {
    world.send(owner, witness.org, { t: 'identity/events', events: [event] })
    world.run(2 * RESEND_MAX_MS)
  }
  return { world, owner, witness, tell }
}
const refusals = (world: World) =>
  world.wire.flatMap(({ message: m }) =>
    m.t === 'witness/refused' || m.t === 'promise/refused' ? [`${m.t} ${m.status}`] : [],
  )

test('a witness that refuses a key which it was not told of is asked again: 403', () => {
  for (const hasSeat of [false, true]) {
    const { world, owner, witness, tell } = behind(hasSeat)
    assert.is(refusals(world).at(-1), hasSeat ? 'promise/refused 403' : 'witness/refused 403')
    const { stuck, waits } = decodeState<Submission>(owner.store.get(KEY.witness(witness.org))!)
    assert.is(stuck, undefined)
    assert.ok(waits)
    tell()
    const { size, note } = newest(owner)
    assert.is(size, owner.state.ledger.tail.range.size)
    assert.is(parseNote(text(note)).lines.length, 2, 'signed and cosigned')
  }
})

test('a member whose refusal was of a committee that another followed cosigns what it promises: a late 404', () => {
  const { world, owner, seats } = mesh(2)
  const [late, last] = seats as [Member, Member]
  owner.input({ type: 'committee', seats: seats.map(({ env }) => env.self.id) })
  world.run()
  const before = newest(owner).size
  // It promised, and what it had refused before comes now; then the other one promises, and the head is signed.
  world.bend = ({ t }, from) => (from === last && t === 'promise/given' ? 0 : 1)
  owner.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run(5_000)
  assert.ok(owner.state.ledger.draft!.given.includes(late.org))
  const { size, root } = decodeState<Cosigned>(late.store.get(KEY.cosigned(owner.org))!).promised!.at(-1)!
  world.send(late, owner.org, {
    t: 'promise/refused',
    size,
    root,
    status: 404,
    text: 'committee 1 is in use here',
  })
  world.run(0)
  world.bend = () => 1
  world.run(2 * RESEND_MAX_MS)
  const head = newest(owner)
  assert.ok(head.size > before)
  assert.is(parseNote(text(head.note)).lines.length, 3, 'cosigned by both')
})

test.run()
