import * as assert from 'uvu/assert'
import { encode } from '../../crypto/cbor.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import { makeDelegate } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_HELLO_BYTES } from '../../protocol/limits.ts'
import { decodeHello, encodeMessage, type HELLO, type HelloMessage } from '../../protocol/message.ts'
import { decodePartner, formatTicket, parseTicket, type Ticket } from '../../protocol/pairing.ts'
import { suite, throwsCode } from '../harness.ts'
import { Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/pairing')
const HOUR_MS = 3_600_000

/** One exchange over the hello stream, message by message. */
class Pairing {
  readonly story = new Story()
  readonly inviter = this.story.acme
  readonly ticket: Ticket = this.invite()

  invite(): Ticket {
    const node = this.inviter.env.keys.node.public
    const expiresMs = this.story.world.wallMs + HOUR_MS
    const invited = this.inviter.input({ type: 'invite', forWhom: 'Bolt', expiresMs, node })
    return parseTicket((invited as Extract<Answer, { type: 'ticket' }>).ticket)
  }

  join(joiner = this.story.bolt): HelloMessage {
    const answer = joiner.input({ type: 'join', ticket: this.ticket })
    return wire((answer as Extract<Answer, { type: 'hello' }>).hello)
  }

  hello(hello: HelloMessage, joiner = this.story.bolt): HelloMessage {
    const answer = this.inviter.input({ type: 'hello', node: joiner.env.keys.node.public, hello })
    return wire((answer as Extract<Answer, { type: 'hello' }>).hello)
  }

  welcomed(hello: HelloMessage, joiner = this.story.bolt): Answer | undefined {
    return joiner.input({ type: 'welcomed', ticket: this.ticket, hello })
  }
}

test('a ticket that would have expired when it is made is not made', () => {
  const { inviter, story } = new Pairing()
  const node = inviter.env.keys.node.public
  for (const expiresMs of [0, story.world.wallMs - 1, story.world.wallMs])
    throwsCode(() => inviter.input({ type: 'invite', forWhom: 'Bolt', expiresMs, node }), 'MALFORMED')
})

/** Over the wire and back. */
function wire(hello: HelloMessage): HelloMessage {
  const frame = encodeMessage(hello)
  assert.ok(frame.length <= MAX_HELLO_BYTES)
  const read = decodeHello(frame)
  assert.type(read, 'object')
  return read as HelloMessage
}
const knows = (member: Member, other: Member) => member.store.has(KEY.partner(other.org))
const code = (hello: HelloMessage) => (hello.t === 'hello/refused' ? hello.code : hello.t)

// Every message of the dialogue: twice, late, never.

type Pairs = Exclude<keyof typeof HELLO, 'hello/again' | 'hello/known'> // see introduction.test.ts
const CASES: Record<Pairs, Record<'twice' | 'late' | 'never', (p: Pairing) => void>> = {
  'hello/join': {
    twice(p) {
      const hello = p.join()
      assert.equal(p.hello(hello), p.hello(hello), 'the same answer')
      p.welcomed(p.hello(hello))
      assert.ok(knows(p.inviter, p.story.bolt) && knows(p.story.bolt, p.inviter))
    },
    late(p) {
      const hello = p.join()
      p.story.world.run(2 * HOUR_MS)
      assert.is(code(p.hello(hello)), 'TICKET_EXPIRED')
      assert.not.ok(knows(p.inviter, p.story.bolt))
    },
    never(p) {
      p.join()
      p.story.world.run(HOUR_MS)
      assert.not.ok(knows(p.inviter, p.story.bolt) || knows(p.story.bolt, p.inviter))
    },
  },
  'hello/welcome': {
    twice(p) {
      const welcome = p.hello(p.join())
      const { org } = p.welcomed(welcome) as Extract<Answer, { type: 'joined' }>
      assert.is((p.welcomed(welcome) as Extract<Answer, { type: 'joined' }>).org, org)
    },
    late(p) {
      const welcome = p.hello(p.join())
      p.story.world.run(2 * HOUR_MS)
      p.welcomed(welcome)
      assert.ok(knows(p.story.bolt, p.inviter))
    },
    never(p) {
      p.hello(p.join())
      assert.ok(knows(p.inviter, p.story.bolt) && !knows(p.story.bolt, p.inviter))
      p.story.world.run(30 * 60_000)
      p.welcomed(p.hello(p.join()))
      assert.ok(knows(p.story.bolt, p.inviter), 'joining again heals it')
    },
  },
  'hello/refused': {
    twice(p) {
      const refused = p.hello({ ...(p.join() as Join), secret: new Uint8Array(16) })
      for (let i = 0; i < 2; i++) throwsCode(() => p.welcomed(refused), 'TICKET_UNKNOWN')
    },
    late(p) {
      const refused = p.hello({ ...(p.join() as Join), secret: new Uint8Array(16) })
      p.welcomed(p.hello(p.join()))
      throwsCode(() => p.welcomed(refused), 'TICKET_UNKNOWN')
      assert.ok(knows(p.story.bolt, p.inviter), 'what was joined stays')
    },
    never(p) {
      p.hello({ ...(p.join() as Join), secret: new Uint8Array(16) })
      assert.not.ok(knows(p.story.bolt, p.inviter) || knows(p.inviter, p.story.bolt))
    },
  },
}
type Join = Extract<HelloMessage, { t: 'hello/join' }>

for (const [type, cases] of Object.entries(CASES))
  for (const [how, run] of Object.entries(cases))
    test(`${type} comes ${how}`, () => {
      const pairing = new Pairing()
      run(pairing)
      pairing.story.check()
    })

test('a ticket works for one organisation, once; a repeat after its time still gets the answer', () => {
  const p = new Pairing()
  const hello = p.join()
  p.hello(hello)
  assert.is(code(p.hello(p.join(p.story.cole), p.story.cole)), 'TICKET_UNKNOWN')
  p.story.world.run(2 * HOUR_MS)
  assert.is(code(p.hello(hello)), 'hello/welcome')
  assert.not.ok(knows(p.inviter, p.story.cole))
})

test('an expired ticket and an own one are not used', () => {
  const p = new Pairing()
  throwsCode(() => p.join(p.inviter), 'TICKET_MALFORMED')
  p.story.world.run(2 * HOUR_MS)
  throwsCode(() => p.join(), 'TICKET_EXPIRED')
})

test('a hello that is not what it should be is refused with its code', () => {
  const p = new Pairing()
  const { bolt, cole } = p.story
  const hello = p.join() as Join
  assert.is(code(p.hello({ ...hello, versions: [2, 3] })), 'UNKNOWN_VERSION')
  assert.is(code(p.hello({ ...hello, identity: new Uint8Array(3) })), 'RECORD_INVALID')
  assert.is(
    code(p.hello({ ...hello, identity: cole.env.self.identityBytes })),
    'RECORD_INVALID',
    'of another node',
  )
  assert.is(code(p.hello(hello, cole)), 'RECORD_INVALID', 'over the connection of another')
  const { p: payload, s } = decodeSigned(bolt.env.self.identityBytes)
  const unsigned = encodeSigned({ p: payload, s: s.slice(1) })
  assert.is(code(p.hello({ ...hello, identity: unsigned })), 'RECORD_INVALID')
  assert.is(code(p.hello({ t: 'hello/refused', code: 'X', text: 'x' })), 'OUT_OF_ORDER')
  assert.not.ok(knows(p.inviter, bolt))
  assert.is(code(p.hello(hello)), 'hello/welcome', 'and the ticket still works')
})

test('a welcome of another organisation than the ticket names is not believed', () => {
  const p = new Pairing()
  const welcome = p.hello(p.join()) as Extract<HelloMessage, { t: 'hello/welcome' }>
  const { cole, bolt } = p.story
  throwsCode(() => p.welcomed({ ...welcome, identity: cole.env.self.identityBytes }), 'RECORD_INVALID')
  throwsCode(() => p.welcomed(p.join()), 'OUT_OF_ORDER')
  throwsCode(() => p.welcomed({ t: 'hello/refused', code: 'ANYTHING', text: 'x' }), 'NOT_ADMITTED')
  assert.not.ok(knows(bolt, p.inviter) || knows(bolt, cole))
})

test('a ticket and a welcome of another version say so', () => {
  const p = new Pairing()
  for (const later of [{ v: 2 }, { v: 2, more: 1 }, { v: 0 }])
    throwsCode(() => parseTicket(formatTicket({ ...p.ticket, ...later } as Ticket)), 'UNKNOWN_VERSION')
  const welcome = p.hello(p.join()) as Extract<HelloMessage, { t: 'hello/welcome' }>
  throwsCode(() => p.welcomed({ ...welcome, version: 2 }), 'UNKNOWN_VERSION')
  assert.not.ok(knows(p.story.bolt, p.inviter))
})

test('the secret of a ticket is not kept', () => {
  const p = new Pairing()
  for (const [, value] of p.inviter.store)
    assert.not.ok(Buffer.from(value).includes(Buffer.from(p.ticket.secret)))
})

test('a mistyped or cut ticket is TICKET_MALFORMED', () => {
  const { ticket } = new Pairing()
  const good = formatTicket(ticket)
  assert.equal(parseTicket(` ${good}\n`).secret, ticket.secret)
  for (let i = 0; i < good.length; i += 7) {
    throwsCode(() => parseTicket(good.slice(0, i)), 'TICKET_MALFORMED')
    const other = good[i] === 'a' ? 'b' : 'a'
    throwsCode(() => parseTicket(good.slice(0, i) + other + good.slice(i + 1)), 'TICKET_MALFORMED')
  }
  for (const text of ['', 'wb1', 'wb2aaaa', 'wb1====', `wb1${'a'.repeat(9_000)}`])
    throwsCode(() => parseTicket(text), 'TICKET_MALFORMED')
  throwsCode(() => parseTicket(formatTicket({ ...ticket, more: 1 } as Ticket)), 'TICKET_MALFORMED')
})

test('what a hello says of addresses and witnesses is kept when it changes', () => {
  const { world, acme, bolt, cole } = new Story().pair()
  const before = acme.store.get(KEY.partner(bolt.org))
  bolt.witnesses = []
  bolt.input({ type: 'connected', org: acme.org })
  world.run()
  assert.not.equal(acme.store.get(KEY.partner(bolt.org)), before)
  const after = acme.store.get(KEY.partner(bolt.org))
  bolt.input({ type: 'connected', org: acme.org })
  world.run()
  assert.ok(acme.store.get(KEY.partner(bolt.org)) === after, 'and not written again when it does not')
  assert.ok(knows(acme, cole))
  assert.type(decodeHello(encode({ t: 'hello/refused', code: 'X', text: 'x', more: 1 })), 'string')
})

/** A home as it was before its log was closed and its node key replaced. */
function pairedTwice(change: (bolt: Member) => void): { told: HelloMessage; inviter: Member; bolt: Member } {
  const pairing = new Pairing()
  const { inviter } = pairing
  const { bolt, world } = pairing.story
  pairing.welcomed(pairing.hello(pairing.join()))
  world.run(10_000)
  const before = pairing.join()
  change(bolt)
  world.run(10_000)
  return { told: pairing.hello(before), inviter, bolt }
}
const chainAt = (at: Member, of: Member) => decodePartner(at.store.get(KEY.partner(of.org))!).chain

test('who pairs again and tells less of its identity than is known undoes nothing of it', () => {
  const { told, inviter, bolt } = pairedTwice(each => each.delegate(['log', 'operation'], ['operation']))
  assert.is(code(told), 'hello/welcome')
  assert.is(chainAt(inviter, bolt).events.length, 1)
  assert.ok(chainAt(inviter, bolt).last.equals(bolt.chain.last))
})

test('a node key that was replaced does not pair again', () => {
  const { told, inviter, bolt } = pairedTwice(each => each.delegate(['node']))
  assert.is(code(told), 'RECORD_INVALID')
  assert.is(chainAt(inviter, bolt).events.length, 1)
})

test('who pairs again after its log was closed is followed: what was held of that log is gone', () => {
  const pairing = new Pairing()
  const { inviter } = pairing
  const { bolt, world } = pairing.story
  pairing.welcomed(pairing.hello(pairing.join()))
  bolt.witnesses = [inviter.env.self.id]
  for (const [at, of] of [
    [inviter, bolt],
    [bolt, inviter],
  ] as const)
    at.input({ type: 'connected', org: of.org })
  world.run(30_000)
  const held = [KEY.watch(bolt.org), KEY.cosigned(bolt.org), KEY.seat(bolt.org)]
  for (const key of held) assert.ok(inviter.store.has(key), key)
  // The event reaches nobody, as from a home that was put back to a time before it had partners.
  bolt.goOn(makeDelegate(bolt.chain, bolt.key('admin'), { succeeds: true }, world.wallMs), [])
  pairing.welcomed(pairing.hello(pairing.join()))
  assert.is(chainAt(inviter, bolt).logs.length, 2)
  for (const key of held) assert.not(inviter.store.has(key), key)
})

test.run()
