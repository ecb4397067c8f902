/** An identity that goes on: every kind of key rotated at every point of an exchange, told to partners, and to none but them. */
import * as assert from 'uvu/assert'
import { formatCheckpoint } from '../../crypto/checkpoint.ts'
import type { CID } from '../../crypto/cid.ts'
import { thumbprint } from '../../crypto/key.ts'
import { formatNote, signNote } from '../../crypto/note.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import { proveFork, readFork } from '../../protocol/fork.ts'
import { newestHead } from '../../protocol/heads.ts'
import { DELEGATED, type Delegated } from '../../protocol/identity.ts'
import { eventsOf, makeDelegate, makeRotate, standingOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { originOf } from '../../protocol/log.ts'
import { decodeHello, encodeMessage, type HelloMessage } from '../../protocol/message.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import { suite, throwsCode } from '../harness.ts'
import { forgedHead, Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/introduction')

const known = (at: Member, of: Member) => decodePartner(at.store.get(KEY.partner(of.org))!).chain
const knows = (at: Member, of: Member) => known(at, of).last.equals(of.chain.last)
const violations = (of: Member) =>
  of.events.flatMap(event => (event.type === 'violation' ? [event.code] : []))

/** Both parties and the witness take new keys for these roles. */
function rotateAll({ acme, bolt, cole, world }: Story, roles: Delegated[]): void {
  for (const member of [acme, bolt, cole]) member.delegate(roles)
  world.run(60_000)
}

const STAGES: Record<string, (story: Story, rotate: () => void) => void> = {
  'before they meet': (story, rotate) => {
    rotate()
    story.play()
  },
  'before the offer': (story, rotate) => {
    story.pair()
    rotate()
    story.publish().read()
    story.request().world.run(60_000)
    story.decide().world.run(60_000)
    story.transfer().prove()
  },
  'while a person is asked': (story, rotate) => {
    story.pair().publish().read()
    story.request().world.run(60_000)
    rotate()
    story.decide().world.run(60_000)
    story.transfer().prove()
  },
  'before the data': (story, rotate) => {
    story.agree()
    rotate()
    story.transfer().prove()
  },
  'when all is over': (story, rotate) => {
    story.play()
    rotate()
    story.prove()
  },
}

for (const [when, play] of Object.entries(STAGES))
  for (const role of DELEGATED)
    test(`the ${role} key of all is rotated ${when}`, () => {
      const story = new Story()
      play(story, () => rotateAll(story, [role]))
      story.complete()
      for (const member of [story.acme, story.bolt]) {
        assert.ok(knows(member, member === story.acme ? story.bolt : story.acme))
        assert.is(standingOf(member.chain, role)!.epoch, 1)
      }
    })

test('root and admin keys are rotated, and what the new admin key delegates is known', () => {
  const story = new Story()
  story.agree()
  const { acme, bolt, world } = story
  const next = { key: acme.draw(), next: acme.draw() }
  throwsCode(() => acme.goOn(makeRotate(acme.chain, { admin: next }, world.wallMs)), 'KEY_UNCOMMITTED')
  const committed = acme.draw(acme.seeds.adminNext)
  acme.goOn(makeRotate(acme.chain, { admin: { key: committed, next: acme.draw() } }, world.wallMs))
  acme.delegate(['operation'])
  world.run(60_000)
  assert.ok(knows(bolt, acme))
  story.transfer().prove()
  story.complete()
})

test('a message that is sent again after a rotation still carries the signature of before, and holds', () => {
  const story = new Story()
  let held = true
  story.world.bend = message => (held && message.t === 'negotiation/agree' ? 0 : 1)
  story.pair().publish().read()
  story.request().world.run(60_000)
  story.decide().world.run(1_000)
  story.acme.delegate(['operation'])
  held = false
  story.world.run(600_000)
  story.transfer().prove()
  story.complete()
})

test('what a revoked key signed is refused from there on', () => {
  const story = new Story()
  story.expected = ['SIGNATURE_INVALID', 'RECORD_INVALID']
  let held = true
  story.world.bend = message => (held && message.t === 'negotiation/agree' ? 0 : 1)
  story.pair().publish().read()
  story.request().world.run(60_000)
  story.decide().world.run(1_000)
  story.acme.delegate(['operation'], ['operation'])
  held = false
  story.world.run(600_000)
  assert.is(story.asked()!.refusal!.code, 'SIGNATURE_INVALID')
  assert.ok(knows(story.bolt, story.acme))
})

test('a partner that was away learns at the next connect, also after a restart', () => {
  const story = new Story()
  const { acme, bolt, world } = story.pair()
  bolt.up = false
  for (let i = 0; i < 3; i++) acme.delegate(['operation', 'log'])
  world.run(60_000)
  bolt.restart()
  assert.not.ok(knows(bolt, acme))
  acme.restart()
  acme.input({ type: 'connected', org: bolt.org })
  world.run(60_000)
  assert.ok(knows(bolt, acme))
  const before = bolt.store.get(KEY.partner(acme.org))
  acme.input({ type: 'connected', org: bolt.org })
  world.run(60_000)
  assert.ok(bolt.store.get(KEY.partner(acme.org)) === before, 'and nothing is written when nothing is new')
  bolt.restart()
  assert.is(standingOf(known(bolt, acme), 'log')!.epoch, 3)
})

test('an event that does not continue what is known is answered with its code, and changes nothing', () => {
  const story = new Story()
  const { acme, bolt, cole, world } = story.pair()
  acme.delegate(['log'])
  world.run(60_000)
  const before = bolt.store.get(KEY.partner(acme.org))
  const [first] = eventsOf(acme.chain)
  const admin = acme.key('admin')
  const about = { keys: { node: { key: acme.draw(), untilMs: 1 } } }
  const next = makeDelegate(acme.chain, admin, about, world.wallMs)
  const { p, s } = decodeSigned(next)
  const other = makeDelegate(acme.env.self.chain, admin, about, world.wallMs)
  const wrong: [Uint8Array[], string][] = [
    [[first!, encodeSigned({ p, s: s.slice(1) })], 'SIGNATURE_INVALID'],
    [[first!, encodeSigned({ p: { ...p, n: 7 }, s })], 'EVENT_SKIPPED'],
    [[first!, encodeSigned({ p: { ...p, prev: acme.env.self.id }, s })], 'EVENT_UNLINKED'],
    [[first!, encodeSigned({ p: { ...p, org: cole.env.self.id }, s })], 'RECORD_INVALID'],
    [[other], 'IDENTITY_FORKED'],
    [[new Uint8Array(9)], 'RECORD_INVALID'],
  ]
  for (const [events, code] of wrong) {
    world.send(acme, bolt.org, { t: 'identity/events', events })
    world.run(1_000)
    assert.is(violations(bolt).at(-1), code)
    assert.ok(bolt.store.get(KEY.partner(acme.org)) === before, code)
  }
  // The same again is no news, and fewer are none either.
  for (const events of [[first!], []]) world.send(acme, bolt.org, { t: 'identity/events', events })
  world.run(1_000)
  assert.is(violations(bolt).length, wrong.length)
})

// Log keys that ended.

test('a head by a log key that ended is not kept, not cosigned, and convicts nobody', () => {
  const story = new Story()
  story.play()
  const { acme, bolt, cole, world } = story
  const { size } = newestHead(acme.env.get)!
  const old = acme.env.keys.log
  acme.delegate(['log'])
  world.run(60_000)
  const watch = bolt.store.get(KEY.watch(acme.org))
  for (const wrong of [size, size + 5])
    world.send(acme, bolt.org, { t: 'head/show', note: forgedHead(acme, wrong) })
  world.send(acme, cole.org, { t: 'witness/add', old: size, note: forgedHead(acme, size + 5), path: [] })
  world.run(60_000)
  assert.ok(bolt.store.get(KEY.watch(acme.org)) === watch)
  assert.not.ok(bolt.store.has(KEY.fork(acme.org)))
  assert.is(story.sent('witness/refused').at(-1)!.status, 403)
  // As a proof too: by what the file says of the identity, and by what is known beyond it.
  const [a, b] = [1, 2].map(fill => forgedHead(acme, size, new Uint8Array(32).fill(fill)))
  const tree = { root: new Uint8Array(32).fill(2), path: [] }
  const before = { ...acme.env.self, chain: acme.env.self.chain }
  const proof = proveFork(before, a!, b!, tree)!
  assert.ok(!('reason' in readFork(proof)), 'of the identity as it began it would be one')
  assert.ok('reason' in readFork(proof, acme.chain))
  assert.is(proveFork({ ...before, chain: acme.chain }, a!, b!, tree), undefined)
  world.send(bolt, cole.org, { t: 'gossip/fork', proof })
  world.run(1_000)
  assert.is(violations(cole).at(-1), 'FORK_UNPROVEN')
  assert.not.ok(cole.store.has(KEY.fork(acme.org)))
  assert.not.equal(old.public, acme.key('log').public)
})

test('the log key that stands convicts, whatever stood before it', () => {
  const story = new Story()
  story.play()
  const { acme, bolt, cole, world } = story
  acme.delegate(['log'])
  world.run(60_000)
  acme.input({ type: 'connected', org: bolt.org })
  story.publish()
  story.prove()
  const { size } = newestHead(acme.env.get)!
  const origin = originOf(acme.chain)
  const body = formatCheckpoint({ origin, size, root: new Uint8Array(32).fill(7) })
  const note = new TextEncoder().encode(
    formatNote({ body, lines: [signNote(body, origin, acme.key('log'))] }),
  )
  world.send(acme, bolt.org, { t: 'head/show', note })
  world.run(1_000)
  const proof = bolt.store.get(KEY.fork(acme.org))
  assert.ok(proof, 'closed')
  bolt.input({ type: 'connected', org: cole.org })
  world.run(1_000)
  assert.ok(cole.store.has(KEY.fork(acme.org)))
})

test('a witness whose key was rotated cosigns under its new name, and the head keeps one line of it', () => {
  const story = new Story()
  story.agree()
  story.cole.delegate(['witness'])
  story.world.run(60_000)
  story.transfer().prove()
  story.complete()
  const note = new TextDecoder().decode(newestHead(story.acme.env.get)!.note)
  assert.ok(note.includes(`— ${story.cole.org}/1 `))
})

// Of partners who met last under other node keys.

function again(from: Member, to: Member): HelloMessage {
  const { hello } = from.input({ type: 'again' }) as { hello: HelloMessage }
  const sent = decodeHello(encodeMessage(hello)) as HelloMessage
  const reply = to.input({ type: 'hello', node: from.key('node').public, hello: sent }) as {
    hello: HelloMessage
  }
  return decodeHello(encodeMessage(reply.hello)) as HelloMessage
}

test('two whose node keys were rotated apart find each other again', () => {
  const story = new Story()
  const { acme, bolt, world } = story.pair()
  world.bend = () => 0
  acme.delegate(['node'])
  bolt.delegate(['node', 'witness'])
  const answer = again(acme, bolt)
  assert.ok(knows(bolt, acme))
  acme.input({ type: 'known', org: bolt.org, node: bolt.key('node').public, hello: answer })
  assert.ok(knows(acme, bolt))
  // The same again changes nothing.
  const before = bolt.store.get(KEY.partner(acme.org))
  again(acme, bolt)
  assert.ok(bolt.store.get(KEY.partner(acme.org)) === before)
})

test('who is no partner, or has not the key of the connection, is not recognised', () => {
  const story = new Story()
  const { acme, bolt, cole } = story
  const code = (hello: HelloMessage) => (hello.t === 'hello/refused' ? hello.code : hello.t)
  assert.is(code(again(acme, bolt)), 'NOT_ADMITTED')
  story.pair()
  const hello = (acme.input({ type: 'again' }) as { hello: HelloMessage }).hello
  const say = (change: object, node = acme.key('node').public) =>
    code(
      (
        bolt.input({ type: 'hello', node, hello: { ...hello, ...change } as HelloMessage }) as {
          hello: HelloMessage
        }
      ).hello,
    )
  assert.is(say({}), 'hello/known')
  assert.is(say({}, cole.key('node').public), 'SIGNATURE_INVALID')
  assert.is(say({ versions: [9] }), 'UNKNOWN_VERSION')
  assert.is(say({ events: [new Uint8Array(3)] }), 'RECORD_INVALID')
  const old = acme.key('node').public
  acme.delegate(['node'])
  story.world.run(1_000)
  assert.is(say({}, old), 'SIGNATURE_INVALID', 'a node key that ended admits nobody')
  const answer = again(acme, bolt)
  const take = (message: HelloMessage, node = bolt.key('node').public) =>
    acme.input({ type: 'known', org: bolt.org, node, hello: message })
  throwsCode(() => take(answer, cole.key('node').public), 'SIGNATURE_INVALID')
  throwsCode(() => take({ t: 'hello/refused', code: 'X', text: 'no' }), 'NOT_ADMITTED')
  throwsCode(() => take(hello), 'OUT_OF_ORDER')
})

test('a node key that was rotated is the one that a newcomer pairs with', () => {
  const story = new Story()
  const { acme, bolt, world } = story
  acme.delegate(['node'])
  bolt.delegate(['node', 'operation'])
  world.pair(acme, bolt)
  world.run(60_000)
  assert.ok(knows(acme, bolt) && knows(bolt, acme))
  assert.equal(thumbprint(acme.key('node').public), thumbprint(standingOf(known(bolt, acme), 'node')!.key))
})

test('a log that has had a committee is not taken for one without by what its owner says in hello', () => {
  const { acme, bolt, cole, world } = new Story().play()
  const partner = () => decodePartner(bolt.store.get(KEY.partner(acme.org))!)
  const said = (witnesses: CID[]) => {
    world.send(acme, bolt.org, { t: 'hello', versions: [1], addresses: [], witnesses })
    world.run(1_000)
    return partner().witnesses.map(String)
  }
  const { firsts, witnesses } = partner()
  assert.is(firsts.length, 1, 'its first committee is pinned')
  assert.equal(said([]), witnesses.map(String))
  assert.equal(said([bolt.env.self.id]), [bolt.org])
  assert.equal(said([cole.env.self.id]), [cole.org])
})

test('the witnesses of a log without a committee are those that its owner names, or none', () => {
  const { acme, bolt, cole, world } = new Story()
  world.pair(acme, bolt)
  for (const witnesses of [[cole.env.self.id], []]) {
    world.send(acme, bolt.org, { t: 'hello', versions: [1], addresses: [], witnesses })
    world.run(1_000)
    assert.equal(
      decodePartner(bolt.store.get(KEY.partner(acme.org))!).witnesses.map(String),
      witnesses.map(String),
    )
  }
})

test.run()
