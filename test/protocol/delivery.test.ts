import * as assert from 'uvu/assert'
import { digestOf } from '../../crypto/cid.ts'
import { decodeSigned, recordId } from '../../crypto/statement.ts'
import * as delivery from '../../protocol/delivery.ts'
import { indexOf } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Message, MessageOf, MessageType } from '../../protocol/message.ts'
import { type Received, type Rejected, received, rejected } from '../../protocol/receipt.ts'
import { readRecord, type Stored } from '../../protocol/record.ts'
import type { Transfer } from '../../protocol/transfer.ts'
import { suite } from '../harness.ts'
import { alter, codes, DAY_MS, entriesOf, resign, Story } from './story.ts'
import { START_MS } from './world.ts'

const test = suite('protocol/delivery')
const BYTES = new Uint8Array(32).fill(9)
const agreed = (options: ConstructorParameters<typeof Story>[0] = {}): Story => {
  const story = new Story({ approval: 'policy', packets: 1, ...options }).agree()
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
  return story
}
const one = (member: Story['bolt']) =>
  member.stateOf(KEY.deliveries, stored => decodeState<delivery.Delivery>(stored))[0]

test('each side logs the records of the delivery in their order, once', () => {
  const story = agreed().transfer()
  story.check()
  for (const member of [story.acme, story.bolt]) {
    const { receipt, release, second } = one(member)!
    for (const record of [receipt!, release!, second!]) assert.is(entriesOf(member, record), 1)
    const index = (record: Uint8Array) => {
      const { p } = decodeSigned(record)
      return indexOf(member.env.get, recordId(p))!
    }
    assert.ok(index(receipt!) < index(release!) && index(release!) < index(second!))
  }
})

// Spoiled content: rejected, and proven so.

for (const [spoil, reason] of [
  ['key', 'key'],
  ['block', 'block'],
  ['digest', 'digest'],
] as const)
  test(`a wrong ${spoil} is rejected, and the provider finds it proven`, () => {
    const story = agreed({ spoil }).transfer()
    assert.is(story.deliveries(), 'DONE DISPUTED')
    const { payload } = readRecord(rejected, one(story.acme)!.second!) as Stored<Rejected>
    assert.is(payload.reason, reason)
    assert.is(payload.block, spoil === 'block' ? 0 : undefined)
    const [{ done, failed }] = story.bolt.stateOf(KEY.transfers, each => decodeState<Transfer>(each)) as [
      Transfer,
    ]
    assert.equal([done, failed], [1, 1])
    story.check()
  })

test('a release that does not open is rejected, and proven by the one-time key', () => {
  const story = agreed()
  const { seal } = story.acme.env
  story.acme.env.seal = (...args) => {
    const sealed = seal(...args)
    return sealed && { ...sealed, ct: sealed.ct.map(byte => byte ^ 1) }
  }
  story.transfer()
  assert.is(story.deliveries(), 'DONE DISPUTED')
  assert.is((readRecord(rejected, one(story.bolt)!.second!) as Stored<Rejected>).payload.reason, 'seal')
  story.check()
})

/** The second receipt of a consumer that says it could not open what it opened. */
function lie(story: Story, change: object = {}): void {
  alterAny(story, 'delivery/opened', message => {
    const { p } = decodeSigned(message.receipt)
    const { t: _, ...common } = p
    const oneTimePrivate = [...story.bolt.secrets].find(([handle]) => handle.startsWith('one-time/'))![1]
    const payload = { t: 'rejected/1', ...common, reason: 'key', oneTimePrivate, ...change }
    return {
      t: 'delivery/rejected',
      receipt: resign(message.receipt, payload, ['consumer', story.bolt.env.keys.operation]),
    }
  })
}
function alterAny<T extends MessageType>(
  story: Story,
  type: T,
  change: (message: MessageOf<T>) => Message,
): void {
  alter(story, type, message => change(message) as MessageOf<T>)
}

test('a rejection that the release refutes is REJECTION_UNPROVEN, and the truth still counts', () => {
  const story = agreed()
  lie(story)
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  story.world.run(1_000)
  assert.equal(codes(story.acme), ['REJECTION_UNPROVEN'])
  assert.is(one(story.acme)!.state, 'RELEASED')
  story.world.intercept = () => undefined
  story.world.run()
  assert.is(story.deliveries(), 'DONE DONE')
  story.expected = ['REJECTION_UNPROVEN', 'OUT_OF_ORDER']
  story.check()
})

test('a rejection that names a foreign one-time key proves nothing', () => {
  // The seal cannot be opened with a key that the receipt did not name, and that is no fault of the provider.
  const story = agreed()
  lie(story, { reason: 'seal', oneTimePrivate: BYTES })
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  story.world.run(1_000)
  assert.equal(codes(story.acme), ['REJECTION_UNPROVEN'])
  assert.is(one(story.acme)!.state, 'RELEASED')
})

test('a rejection that the provider cannot find ends, and is not repeated', () => {
  const story = agreed({ packets: 1 })
  const [root, blocks] = [...story.acme.content][0]!
  const right = blocks.map(block => block.slice())
  blocks[0]![0]! ^= 1 // on its way to Bolt, or on Bolt's disk
  story.world.bend = message => {
    if (message.t === 'delivery/rejected') story.acme.content.set(root, right)
    return 1
  }
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  story.world.run()
  assert.equal(codes(story.acme), ['REJECTION_UNPROVEN'])
  assert.is(story.deliveries(), 'FAILED RELEASED')
  assert.is(story.sent('delivery/rejected').length, 1)
})

// Releases and receipts that are of something else.

const OTHER_RELEASES: [what: string, change: (story: Story) => object][] = [
  ['another receipt', ({ offer }) => ({ receipt: offer })],
  ['another one-time key', () => ({ oneTime: BYTES })],
  ['another consumer', ({ cole }) => ({ consumer: cole.env.self.id })],
  ['another provider', ({ cole }) => ({ provider: cole.env.self.id })],
]
for (const [what, change] of OTHER_RELEASES)
  test(`a release for ${what} is not taken`, () => {
    const story = agreed()
    alter(story, 'delivery/release', message => ({
      ...message,
      release: resign(message.release, change(story), ['provider', story.acme.env.keys.operation]),
    }))
    story.transfer()
    assert.is(one(story.bolt)!.state, 'RECEIVED')
    assert.ok(['RELEASE_INVALID', 'RECORD_INVALID'].includes(codes(story.bolt)[0]!), codes(story.bolt)[0]!)
    story.world.intercept = () => undefined
    story.world.run(600_000)
    assert.is(story.deliveries(), 'DONE DONE', 'the right one is, when it comes')
  })

test('a release for another packet or agreement finds no delivery', () => {
  for (const change of [{ packet: 'offer' }, { agreement: 'offer' }]) {
    const story = agreed()
    const field = Object.keys(change)[0]!
    alter(story, 'delivery/release', message => ({
      ...message,
      release: resign(message.release, { [field]: story.offer! }, [
        'provider',
        story.acme.env.keys.operation,
      ]),
    }))
    story.transfer()
    assert.is(one(story.bolt)!.state, 'RECEIVED')
    assert.is(codes(story.bolt)[0], 'UNKNOWN_DIALOGUE')
  }
})

test('a release or receipt by the wrong key is SIGNATURE_INVALID', () => {
  const story = agreed()
  const { cole } = story
  alter(story, 'delivery/release', message => ({
    ...message,
    release: resign(message.release, {}, ['provider', cole.env.keys.operation]),
  }))
  story.transfer()
  assert.is(codes(story.bolt)[0], 'SIGNATURE_INVALID')
  const other = agreed()
  alter(other, 'delivery/received', message => ({
    ...message,
    receipt: resign(message.receipt, {}, ['consumer', cole.env.keys.operation]),
  }))
  other.transfer()
  assert.is(codes(other.acme)[0], 'SIGNATURE_INVALID')
  assert.is(other.sent('delivery/release').length, 0)
})

const OTHER_OPENED: [what: string, change: (story: Story) => object, code: string][] = [
  ['another release', ({ offer }) => ({ release: offer }), 'RECORD_INVALID'],
  ['another consumer', ({ cole }) => ({ consumer: cole.env.self.id }), 'RECORD_INVALID'],
  ['another packet', ({ offer }) => ({ packet: offer }), 'UNKNOWN_DIALOGUE'],
  ['another agreement', ({ offer }) => ({ agreement: offer }), 'UNKNOWN_DIALOGUE'],
]
for (const [what, change, code] of OTHER_OPENED)
  test(`opened for ${what} is ${code}`, () => {
    const story = agreed()
    alter(story, 'delivery/opened', message => ({
      ...message,
      receipt: resign(message.receipt, change(story), ['consumer', story.bolt.env.keys.operation]),
    }))
    story.transfer()
    assert.is(codes(story.acme)[0], code)
    assert.is(one(story.acme)!.state, 'RELEASED')
  })

// Receipts by those who may not have the key.

test('the key of a packet is released for one receipt', () => {
  const story = agreed().transfer()
  const { acme, bolt, world } = story
  const { receipt } = one(bolt)!
  const another = resign(receipt!, { oneTime: BYTES }, ['consumer', bolt.env.keys.operation])
  world.send(bolt, acme.org, { t: 'delivery/received', receipt: another })
  world.run()
  assert.is(codes(acme).at(-1), 'OUT_OF_ORDER')
  assert.is(story.sent('delivery/release').length, 1)
})

test('who has no agreement gets no key, whatever receipt it signs', () => {
  const story = agreed().transfer()
  const { acme, bolt, cole, world } = story
  const { receipt } = one(bolt)!
  const releases = story.sent('delivery/release').length
  const as = (change: object, by = cole) => resign(receipt!, change, ['consumer', by.env.keys.operation])
  const tries: [from: typeof cole, receipt: Uint8Array, code: string][] = [
    [cole, receipt!, 'NOT_ADMITTED'],
    [cole, as({ consumer: cole.env.self.id }), 'NOT_ADMITTED'],
    [cole, as({ consumer: cole.env.self.id, agreement: story.offer! }), ''],
    [bolt, as({ agreement: story.offer! }, bolt), ''],
    [bolt, as({ packet: story.offer! }, bolt), ''],
    [bolt, as({ provider: cole.env.self.id, packet: story.offer! }, bolt), 'RECORD_INVALID'],
    [bolt, as({ consumer: cole.env.self.id, packet: story.offer! }, bolt), 'RECORD_INVALID'],
    [bolt, BYTES, 'RECORD_INVALID'],
    [bolt, acme.store.get(KEY.grant(bolt.org, story.agreement!))!, 'RECORD_INVALID'],
  ]
  for (const [from, bytes, code] of tries) {
    const [before, refused] = [codes(acme).length, story.sent('delivery/refused').length]
    world.send(from, acme.org, { t: 'delivery/received', receipt: bytes })
    world.run()
    if (code) assert.is(codes(acme)[before], code)
    else assert.is(story.sent('delivery/refused').length, refused + 1)
  }
  assert.is(story.sent('delivery/release').length, releases)
  const [blamed] = acme.events.flatMap(event => (event.type === 'violation' ? [event.org] : []))
  assert.is(blamed, cole.org, 'the one that sent it is named, not the one that the delivery is with')
})

test('a receipt that names no key to seal to is refused before anything is sealed', () => {
  const story = agreed()
  for (const oneTime of [new Uint8Array(32), Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0))]) {
    alter(story, 'delivery/received', message => ({
      ...message,
      receipt: resign(message.receipt, { oneTime }, ['consumer', story.bolt.env.keys.operation]),
    }))
    story.transfer()
    assert.is(codes(story.acme).at(-1), 'RECORD_INVALID')
  }
  assert.is(story.sent('delivery/release').length, 0)
})

test('the policy is decided again before each release', () => {
  const story = agreed({ untilMs: START_MS + DAY_MS })
  story.world.delay = message => (message.t === 'delivery/received' ? DAY_MS : 0)
  story.transfer()
  story.world.run(2 * DAY_MS)
  assert.is(one(story.bolt)!.refusal!.code, 'AGREEMENT_ENDED')
  assert.is(story.sent('delivery/release').length, 0)
  story.check()
})

test('content that cannot be had fails its delivery, and the transfer still ends', () => {
  const story = agreed({ packets: 2 })
  story.acme.content.clear()
  story.transfer()
  assert.is(story.deliveries(), 'FAILED -')
  assert.is(story.transfers(), 'COMPLETED COMPLETED')
  story.check()
})

test('messages of a delivery in the wrong state or by the wrong side change nothing', () => {
  const story = agreed()
  story.world.bend = message => (message.t === 'delivery/release' ? 0 : 1)
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  story.world.run(1_000)
  const { acme, bolt, world } = story
  const { agreement, packet, receipt } = one(bolt)!
  const stray: [from: typeof acme, to: typeof acme, message: Message, code: string][] = [
    [acme, bolt, { t: 'delivery/done', agreement, packet }, 'OUT_OF_ORDER'],
    [acme, bolt, { t: 'delivery/received', receipt: receipt! }, 'OUT_OF_ORDER'],
    [bolt, acme, { t: 'delivery/done', agreement, packet }, 'OUT_OF_ORDER'],
    [bolt, acme, { t: 'delivery/release', release: receipt! }, 'OUT_OF_ORDER'],
    [acme, bolt, { t: 'delivery/opened', receipt: receipt! }, 'OUT_OF_ORDER'],
    [bolt, acme, { t: 'delivery/opened', receipt: receipt! }, 'RECORD_INVALID'],
    [bolt, acme, { t: 'delivery/rejected', receipt: receipt! }, 'RECORD_INVALID'],
    [bolt, acme, { t: 'delivery/opened', receipt: BYTES }, 'UNKNOWN_DIALOGUE'],
  ]
  const before = story.deliveries()
  world.bend = () => 1
  for (const [from, to, message, code] of stray) {
    const count = codes(to).length
    world.send(from, to.org, message)
    world.run(1)
    assert.is(codes(to)[count], code, `${message.t} to ${to.env.self.identity.name}`)
    assert.is(story.deliveries(), before)
  }
  world.run(600_000)
  assert.is(story.deliveries(), 'DONE DONE')
})

test('a one-time key is made for each receipt and its private half is kept by its handle', () => {
  const story = agreed({ packets: 3 }).transfer()
  const keys = story.bolt.stateOf(KEY.deliveries, stored => {
    const { receipt } = decodeState<delivery.Delivery>(stored)
    return Buffer.from((readRecord(received, receipt!) as Stored<Received>).payload.oneTime).toString('hex')
  })
  assert.is(new Set(keys).size, 3)
  assert.is([...story.bolt.secrets.keys()].filter(handle => handle.startsWith('one-time/')).length, 3)
  for (const [, value] of story.bolt.store)
    for (const [handle, secret] of story.bolt.secrets)
      if (handle.startsWith('one-time/'))
        assert.not.ok(Buffer.from(value).includes(Buffer.from(secret)), 'no secret in the store')
})

test('what a receipt or a release is of is read without believing it', () => {
  const story = agreed().transfer()
  const { receipt, agreement, packet } = one(story.bolt)!
  const ids = delivery.idsOf(receipt!)!
  assert.equal([digestOf(ids.agreement), digestOf(ids.packet)], [digestOf(agreement), digestOf(packet)])
  assert.is(delivery.idsOf(BYTES), undefined)
  assert.is(delivery.idsOf(story.acme.env.self.identityBytes), undefined)
})

test.run()
