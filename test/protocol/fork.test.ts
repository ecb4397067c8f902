/** A log that was continued twice, from a copied or restored home: who finds out, by what, and what a stranger can check. */
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { type Fork, isClosed, proveFork, readFork } from '../../protocol/fork.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Message } from '../../protocol/message.ts'
import type { Unread } from '../../protocol/record.ts'
import type { Submission } from '../../protocol/witness.ts'
import { suite, throwsCode } from '../harness.ts'
import { codes, forgedHead, Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/fork')
const HASH = new Uint8Array(32).fill(7)

const grow = ({ acme, world }: Story, times: number, title: string) => {
  for (let i = 0; i < times; i++) {
    acme.input({ type: 'publish', title: `${title} ${i}`, domain: 'x', level: 'general', packets: [] })
    world.run()
  }
}
const newest = (member: Member) => newestHead(member.env.get)!
const seenBy = (member: Member, of: Member) => readWatch(member.store.get(KEY.watch(of.org)))!
const forkAt = (member: Member, of: Member) => {
  const stored = member.store.get(KEY.fork(of.org))
  return stored && (decode(stored) as { proof: Uint8Array }).proof
}

/**
 * Acme's home is put back to an earlier copy after Cole has seen it grow by `first`; Bolt, who saw nothing of that, sees it
 * grow by `second`. Cole witnesses Acme's log.
 */
function forkedStory(first: number, second: number): Story {
  const story = new Story()
  // With members no second branch is ever signed.
  story.cole.sits = false
  const { acme, bolt, cole, world } = story.pair()
  grow(story, 2, 'before')
  acme.input({ type: 'gossip', orgs: [bolt.org, cole.org], about: [] })
  world.run()
  const copy = new Map(acme.store)
  world.bend = (_message, from, to) => (from === bolt || to === bolt ? 0 : 1)
  grow(story, first, 'told to Cole')
  acme.input({ type: 'gossip', orgs: [cole.org], about: [] })
  world.run()
  acme.store.clear()
  for (const [key, value] of copy) acme.store.set(key, value)
  acme.restart()
  world.bend = (_message, from, to) => (from === cole || to === cole ? 0 : 1)
  grow(story, second, 'told to Bolt')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  world.bend = () => 1
  return story
}

for (const [first, second] of [
  [1, 1],
  [1, 3],
  [3, 1],
  [2, 5],
  [5, 2],
] as const)
  test(`a branch of ${first} and one of ${second} are found by gossip, and proven to everybody`, () => {
    const story = forkedStory(first, second)
    const { acme, bolt, cole, world } = story
    const before = seenBy(cole, acme).size
    assert.not.equal(seenBy(bolt, acme).root, seenBy(cole, acme).root)
    bolt.input({ type: 'gossip', orgs: [cole.org], about: [acme.org] })
    cole.input({ type: 'gossip', orgs: [bolt.org], about: [acme.org] })
    world.run()
    // Where one branch is longer than its log is now, the log must grow past it before it can be asked.
    grow(story, first + 1, 'after')
    acme.input({ type: 'gossip', orgs: [bolt.org, cole.org], about: [] })
    world.run()
    for (const member of [bolt, cole]) {
      const told = member.events.filter(event => event.type === 'forked')
      if (told.length > 0)
        member.input({ type: 'gossip', orgs: [bolt.org, cole.org, acme.org], about: [], forks: true })
    }
    world.run()
    for (const member of [acme, bolt, cole]) {
      const fork = readFork(forkAt(member, acme)!)
      assert.ok(!('reason' in fork), member.env.self.identity.name)
      assert.is(fork.org.toString(), acme.org)
      assert.ok(fork.older.size <= before + second)
      assert.is(member.events.filter(event => event.type === 'forked').length, 1, 'told once')
    }
    // Closed: nothing of it is cosigned any more.
    const cosigned = () => decodeState<{ size: number }>(cole.store.get(KEY.cosigned(acme.org))!).size
    const size = cosigned()
    acme.input({ type: 'connected', org: cole.org })
    grow(story, 1, 'closed')
    assert.is(cosigned(), size)
    assert.ok(decodeState<Submission>(acme.store.get(KEY.witness(cole.org))!).stuck)
  })

test('two heads of one size are a proof as they are shown', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  grow(story, 1, 'x')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  const note = forgedHead(acme, newest(acme).size)
  for (let i = 0; i < 2; i++) world.send(acme, bolt.org, { t: 'head/show', note })
  world.run()
  const fork = readFork(forkAt(bolt, acme)!)
  assert.ok(!('reason' in fork))
  assert.is(fork.older.size, fork.newer.size)
  assert.is(bolt.events.filter(({ type }) => type === 'forked').length, 1)
})

test('an honest log that others saw at other sizes is asked, proves it, and stays open', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  grow(story, 1, 'x')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  for (let i = 0; i < 3; i++) {
    grow(story, 2, `y${i}`)
    acme.input({ type: 'gossip', orgs: [i % 2 ? bolt.org : cole.org], about: [] })
    world.run()
    for (const member of [bolt, cole])
      member.input({ type: 'gossip', orgs: [bolt.org, cole.org], about: [acme.org] })
    world.run()
    for (const member of [bolt, cole]) {
      assert.is(seenBy(member, acme).size, newest(acme).size)
      assert.is(seenBy(member, acme).rumour, undefined)
    }
  }
  assert.equal([...codes(bolt), ...codes(cole), ...codes(acme)], [])
  assert.not.ok([acme, bolt, cole].some(member => forkAt(member, acme)))
})

test('gossip carries no cosignature, and never goes to the owner of the log', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  grow(story, 1, 'x')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  const sent = world.wire.length
  for (const member of [bolt, cole]) {
    const others = [acme.org, bolt.org, cole.org, 'nobody'].filter(each => each !== member.org)
    member.input({ type: 'gossip', orgs: [acme.org, bolt.org, cole.org], about: others })
    world.run()
  }
  const rumours = world.wire.slice(sent).filter(({ message }) => message.t === 'gossip/head')
  for (const { to, message } of rumours) {
    const { body, lines } = parseNote(new TextDecoder().decode((message as { note: Uint8Array }).note))
    assert.is(lines.length, 1)
    assert.is(lines[0]!.name, body.split('\n')[0])
    assert.not.ok(
      body.startsWith(
        newestHead(to.env.get)
          ? parseNote(new TextDecoder().decode(newest(to).note)).body.split('\n')[0]!
          : '?',
      ),
    )
  }
  assert.ok(rumours.length > 0)
})

test('heads of a log go to those alone who know it, and each of the two needs to say so only once', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  const dunn = world.add('Dunn')
  world.pair(bolt, dunn)
  world.run()
  const told = (to: Member, act: () => void) => {
    const before = world.wire.length
    act()
    world.run()
    const wire = world.wire.slice(before)
    return wire.filter(each => each.to === to && each.message.t === 'gossip/head').length
  }
  const grows = (title: string) => {
    grow(story, 1, title)
    acme.input({ type: 'gossip', orgs: [bolt.org, cole.org] })
    world.run()
  }
  grows('x')
  const round = () => bolt.input({ type: 'gossip', orgs: [acme.org, cole.org, dunn.org] })
  assert.is(told(cole, round), 0, 'nobody has said that he knows it')
  assert.is(
    told(bolt, () => bolt.input({ type: 'gossip', orgs: [cole.org, dunn.org], about: [acme.org] })),
    1,
  )
  for (const title of ['y', 'z']) {
    grows(title)
    assert.is(told(cole, round), 1)
    assert.is(told(cole, round), 0, 'told already')
  }
  grows('v')
  assert.is(told(dunn, round), 0)
})

test('a head comes with its proof from the one that was told last, and who does not hold that one asks', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  const types = (act: () => void) => {
    const before = world.wire.length
    act()
    acme.input({ type: 'gossip', orgs: [bolt.org] })
    world.run()
    const wire = world.wire.slice(before).map(({ message }) => message.t)
    return wire.filter(t => t.startsWith('head/'))
  }
  types(() => grow(story, 1, 'x'))
  assert.equal(
    types(() => grow(story, 1, 'y')),
    ['head/proof'],
  )
  assert.equal(
    types(() => {}),
    [],
    'told already',
  )
  const early = bolt.store.get(KEY.watch(acme.org))!
  types(() => grow(story, 1, 'z'))
  bolt.store.set(KEY.watch(acme.org), early)
  assert.equal(
    types(() => grow(story, 1, 'v')),
    ['head/proof', 'head/ask', 'head/proof'],
  )
  assert.is(seenBy(bolt, acme).size, newest(acme).size)
})

test('what proves nothing convicts nobody', () => {
  const story = forkedStory(1, 3)
  const { acme, bolt, cole } = story
  const [older, newer] = [seenBy(cole, acme), seenBy(bolt, acme)]
  const wrong: [string, Uint8Array | undefined][] = [
    ['a head twice', proveFork(acme.env.self, older.note, older.note, { root: older.root, path: [] })],
    ['a wrong path', proveFork(acme.env.self, older.note, newer.note, { root: HASH, path: [HASH] })],
    [
      'a root that the older head has',
      proveFork(acme.env.self, older.note, newer.note, { root: older.root, path: [HASH] }),
    ],
    ['the newer one first', proveFork(acme.env.self, newer.note, older.note, { root: HASH, path: [HASH] })],
  ]
  for (const [why, proof] of wrong) assert.is(proof, undefined, why)
})

test('a proof about a log that was closed does not close its successor, whoever has it', () => {
  const { acme, bolt, cole, world } = new Story().pair()
  const root = new Uint8Array(32).fill(9)
  const proof = proveFork(acme.env.self, forgedHead(acme, 9), forgedHead(acme, 9, root), { root, path: [] })!
  acme.succeed()
  world.run(10_000)
  bolt.input({ type: 'fork', proof })
  world.send(bolt, cole.org, { t: 'gossip/fork', proof })
  world.run()
  for (const member of [bolt, cole]) assert.is(forkAt(member, acme), undefined)
})

test('a proof that proves nothing is refused, and closes nothing', () => {
  const { acme, bolt, cole, world } = new Story().pair()
  const older = seenBy(cole, acme)
  world.send(bolt, cole.org, { t: 'gossip/fork', proof: encode({ t: 'fork/1' }) })
  world.run()
  assert.is(forkAt(cole, acme), undefined)
  const good = proveFork(acme.env.self, forgedHead(acme, 3), forgedHead(acme, 3, older.root), {
    root: older.root,
    path: [],
  })!
  const bad = encode({ ...(decode(good, good.length) as object), root: HASH } as Value)
  world.send(bolt, cole.org, { t: 'gossip/fork', proof: bad })
  world.run()
  assert.is(codes(cole).at(-1), 'FORK_UNPROVEN')
  const stranger = encode({
    ...(decode(good, good.length) as object),
    identity: cole.env.self.identityBytes,
  } as Value)
  assert.match((readFork(stranger) as Unread).reason, /origin/)
  assert.is(forkAt(cole, acme), undefined)
})

test('a proof of another version is refused as such, and closes nothing, whoever has it', () => {
  const { acme, bolt, cole, world } = new Story().pair()
  for (const t of ['fork/2', 'identity-fork/2']) {
    const proof = encode({ t, more: acme.env.self.identityBytes })
    world.send(bolt, cole.org, { t: 'gossip/fork', proof })
    world.run()
    assert.equal(codes(cole), ['UNKNOWN_VERSION'])
    throwsCode(() => cole.input({ type: 'fork', proof }), 'UNKNOWN_VERSION')
    cole.events.length = 0
  }
  throwsCode(() => cole.input({ type: 'fork', proof: encode({ t: 'forks/1' }) }), 'FORK_UNPROVEN')
  assert.ok(![...cole.store.keys()].some(key => key.startsWith(KEY.fork(''))), 'nobody is convicted')
})

test('a proof with any bit changed convicts nobody', () => {
  const { acme } = new Story().pair()
  const root = new Uint8Array(32).fill(9)
  const proof = proveFork(acme.env.self, forgedHead(acme, 3), forgedHead(acme, 3, root), { root, path: [] })!
  assert.ok(!('reason' in readFork(proof)))
  fc.assert(
    fc.property(fc.nat(proof.length * 8 - 1), bit => {
      const changed = proof.slice()
      changed[bit >> 3]! ^= 1 << (bit & 7)
      assert.ok('reason' in readFork(changed))
    }),
    { numRuns: 200 },
  )
})

test('a proof of a smaller fork takes the place of one, an hour later', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  const proofAt = (size: number) =>
    proveFork(
      acme.env.self,
      forgedHead(acme, size),
      forgedHead(
        acme,
        size,
        HASH.map(b => b + 1),
      ),
      {
        root: HASH.map(b => b + 1),
        path: [],
      },
    )!
  const tell = (size: number) => {
    world.send(bolt, cole.org, { t: 'gossip/fork', proof: proofAt(size) })
    world.run()
    return (readFork(forkAt(cole, acme)!) as Fork).older.size
  }
  assert.is(tell(8), 8)
  assert.is(tell(5), 8, 'not so soon')
  world.wallMs += 3_600_000
  assert.is(tell(9), 8, 'not a larger one')
  assert.is(tell(5), 5)
  assert.is(cole.events.filter(({ type }) => type === 'forked').length, 1)
})

test('the note of a fork may carry other signatures without being another proof', () => {
  const { acme } = new Story().pair()
  const note = forgedHead(acme, 3)
  const { body, lines } = parseNote(new TextDecoder().decode(note))
  const other = utf8(formatNote({ body, lines: [...lines, { ...lines[0]!, name: 'somebody' }] }))
  const root = new Uint8Array(32).fill(9)
  const [a, b] = [note, other].map(
    each => proveFork(acme.env.self, each, forgedHead(acme, 3, root), { root, path: [] })!,
  )
  assert.equal(a, b)
})

test('a head that came for a cosignature or with a proof is held against the one that was seen', () => {
  for (const way of ['witness/add', 'proof/reply'] as const) {
    const story = new Story().pair()
    const { acme, cole, world } = story
    acme.input({ type: 'gossip', orgs: [cole.org], about: [] })
    world.run()
    const { size } = seenBy(cole, acme)
    const note = forgedHead(acme, size)
    const reply: Message = {
      t: 'proof/reply',
      id: HASH.slice(16),
      note,
      entries: [],
      states: [],
      events: [],
      witnesses: [],
      pending: false,
    }
    world.send(
      acme,
      cole.org,
      way === 'proof/reply' ? reply : { t: 'witness/add', old: size, note, path: [] },
    )
    world.run()
    assert.ok(forkAt(cole, acme), way)
  }
})

test('nothing newer of a closed log is kept', () => {
  const story = new Story().pair()
  const { acme, bolt, world } = story
  world.send(acme, bolt.org, { t: 'head/show', note: forgedHead(acme, seenBy(bolt, acme).size) })
  world.run()
  const held = bolt.store.get(KEY.watch(acme.org))
  grow(story, 2, 'later')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  assert.ok(forkAt(bolt, acme))
  assert.ok(bolt.store.get(KEY.watch(acme.org)) === held)
  const sent = world.wire.length
  bolt.input({ type: 'gossip', orgs: [story.cole.org], about: [acme.org] })
  assert.not.ok(world.wire.slice(sent).some(({ message }) => message.t === 'gossip/head'))
})

test('who still goes by a closed log is answered with the proof: it may have come when all had been told', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  world.send(acme, bolt.org, { t: 'head/show', note: forgedHead(acme, seenBy(bolt, acme).size) })
  world.run()
  for (const late of [acme, cole]) for (const key of [KEY.fork(acme.org), KEY.forks]) late.store.delete(key)
  for (const [one, other] of [
    [cole, bolt],
    [bolt, cole],
  ] as const)
    one.input({ type: 'gossip', orgs: [other.org], about: [acme.org] })
  world.run()
  assert.ok(forkAt(cole, acme))
  assert.not.ok(forkAt(acme, acme))
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  assert.ok(forkAt(acme, acme))
})

test('a head that waits for its proof is not forgotten for another', () => {
  const story = new Story().pair()
  const { acme, bolt, cole, world } = story
  grow(story, 1, 'x')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  const { size } = seenBy(bolt, acme)
  const early = seenBy(cole, acme).note
  world.send(cole, bolt.org, { t: 'gossip/head', note: forgedHead(acme, size + 3) })
  world.run()
  world.send(cole, bolt.org, { t: 'gossip/head', note: early })
  world.run()
  grow(story, 4, 'y')
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run()
  const fork = readFork(forkAt(bolt, acme) ?? new Uint8Array())
  assert.ok(!('reason' in fork) && fork.older.size === size + 3)
})

test('two heads that others were shown prove a fork though their owner answers nothing', () => {
  const other = new Uint8Array(32).fill(9)
  for (const shows of ['cole', 'acme'] as const) {
    const story = new Story().pair()
    const { acme, bolt, cole, world } = story
    grow(story, 1, 'x')
    acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
    world.run()
    const size = seenBy(bolt, acme).size + 3
    world.bend = ({ t }) => (t === 'head/ask' ? 0 : 1)
    world.send(cole, bolt.org, { t: 'gossip/head', note: forgedHead(acme, size) })
    world.run()
    assert.not.ok(isClosed(acme.org, bolt.env))
    const note = forgedHead(acme, size, other)
    world.send(
      story[shows],
      bolt.org,
      shows === 'cole' ? { t: 'gossip/head', note } : { t: 'head/show', note },
    )
    world.run()
    const fork = readFork(forkAt(bolt, acme) ?? HASH)
    assert.ok(!('reason' in fork), shows)
    assert.equal([fork.older.size, fork.newer.size], [size, size])
  }
})

test.run()
