import * as assert from 'uvu/assert'
import { type CID, cidFromDigest, cidOf } from '../../crypto/cid.ts'
import { encodeSigned, signRecord } from '../../crypto/statement.ts'
import { keepRecord, keptRecord } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_MESSAGE_BYTES, MAX_PAGE, PAGE_BYTES } from '../../protocol/limits.ts'
import { decodeState, encodeState } from '../../protocol/machine.ts'
import { encodeMessage } from '../../protocol/message.ts'
import type { Transfer } from '../../protocol/transfer.ts'
import { suite, throwsCode } from '../harness.ts'
import { alter, codes, DAY_MS, resign, Story } from './story.ts'
import { START_MS } from './world.ts'

const test = suite('protocol/transfer')
const ID = new Uint8Array(16).fill(9)
const agreed = (options: ConstructorParameters<typeof Story>[0] = {}): Story => {
  const story = new Story({ approval: 'policy', ...options }).agree()
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
  return story
}
const transfersOf = (story: Story) =>
  story.bolt.stateOf(KEY.transfers, stored => decodeState<Transfer>(stored))

for (const packets of [0, 1, MAX_PAGE, MAX_PAGE + 1, 2 * MAX_PAGE + 5])
  test(`${packets} packets come in pages, each once`, () => {
    const story = agreed({ packets }).transfer()
    assert.is(story.transfers(), 'COMPLETED COMPLETED')
    const [{ done, failed, open, bytes }] = transfersOf(story) as [Transfer]
    assert.equal([done, failed, open], [packets, 0, 0])
    assert.ok(bytes >= 9 * packets)
    const pages = story.sent('transfer/start')
    assert.is(pages.length, Math.max(1, Math.ceil(packets / MAX_PAGE)))
    assert.is(
      pages.reduce((sum, page) => sum + page.packets.length, 0),
      packets,
    )
    story.check()
  })

test('a page of long records ends at its bytes, and the rest follows', () => {
  const packets = 40
  const story = new Story({ approval: 'policy', packets })
  const { acme } = story
  const { draft } = acme
  acme.draft = (name, bytes) => ({
    ...draft.call(acme, name, bytes),
    name: '文'.repeat(512),
    mediaType: '文'.repeat(512),
  })
  story.agree().transfer()
  assert.is(story.transfers(), 'COMPLETED COMPLETED')
  const pages = story.sent('transfer/start')
  assert.is(pages.length, 1)
  // Records cannot be larger than this by their shape alone, so the page is cut with parents that they derive from.
  const parents = Array.from({ length: 64 }, () => story.asset!)
  for (const [key, value] of acme.store) {
    if (!key.startsWith('packet/')) continue
    const id = cidFromDigest(value, 'dag-cbor')
    const changed = resign(keptRecord(acme.env, id)!, { parents }, ['publisher', acme.env.keys.operation])
    acme.store.set(KEY.kept(id), keepRecord(acme.env.slots, changed).value)
  }
  const before = story.sent('transfer/start').length
  const id = new Uint8Array(16).fill(3)
  story.world.send(story.bolt, acme.org, { t: 'transfer/request', id, agreement: story.agreement! })
  story.world.run()
  const [page] = story.sent('transfer/start').slice(before)
  const size = page!.packets.reduce((sum, each) => sum + each.packet.length + each.root.length, 0)
  assert.ok(size <= PAGE_BYTES && encodeMessage(page!).length <= MAX_MESSAGE_BYTES)
  assert.ok(page!.packets.length < packets && page!.next, 'and says where to go on')
})

test('a key that its publisher revokes after the agreement takes no packet from it, one that it revoked before or had not yet signs none', () => {
  const story = new Story({ approval: 'policy' }).pair()
  const { acme, world } = story
  const before = acme.key('operation')
  const renew = () => {
    acme.delegate(['operation'], ['operation'])
    world.run(60_000)
  }
  renew()
  story.publish().read()
  story.request().world.run(60_000)
  renew()
  const after = acme.key('operation')
  renew()
  for (const wrong of [before, after]) {
    alter(story, 'transfer/start', message => ({
      ...message,
      packets: message.packets.map(each => ({
        ...each,
        packet: resign(each.packet, {}, ['publisher', wrong]),
      })),
    }))
    story.transfer()
  }
  assert.equal(
    transfersOf(story).map(({ state, refusal }) => [state, refusal?.code]),
    [
      ['TERMINATED', 'SIGNATURE_INVALID'],
      ['TERMINATED', 'SIGNATURE_INVALID'],
    ],
  )
  world.intercept = () => undefined
  story.transfer()
  assert.equal(
    transfersOf(story)
      .map(({ state }) => state)
      .sort(),
    ['COMPLETED', 'TERMINATED', 'TERMINATED'],
  )
  assert.is(story.deliveries(), 'DONE DONE')
  story.check()
})

test('what is not here any more is left out of a page, and the pages go on', () => {
  const story = agreed({ packets: 2 * MAX_PAGE })
  const keys = [...story.acme.store.keys()].filter(key => key.startsWith('packet/')).sort()
  for (const key of keys.slice(0, MAX_PAGE)) story.acme.store.delete(recordOf(story, key))
  story.transfer()
  assert.is(story.transfers(), 'COMPLETED COMPLETED')
  assert.is(transfersOf(story)[0]!.done, MAX_PAGE)
})
const recordOf = ({ acme }: Story, key: string) =>
  `record/${Buffer.from(acme.store.get(key)!).toString('hex')}`

test('the place of a page reaches no other key', () => {
  for (const after of [
    'a',
    '',
    'packet/',
    '~',
    '/',
    '0'.repeat(15),
    `${'0'.repeat(16)}/`,
    `../${'0'.repeat(16)}`,
  ]) {
    const story = agreed({ packets: 1 })
    const { acme, bolt, world } = story
    const asks: string[] = []
    const push = acme.events.push.bind(acme.events)
    acme.events.push = (...events) => {
      for (const event of events) if (event.type === 'ask-page') asks.push(event.after ?? event.prefix)
      return push(...events)
    }
    world.send(bolt, acme.org, { t: 'transfer/request', id: ID, agreement: story.agreement!, after })
    world.run()
    for (const key of asks) assert.ok(key.startsWith(KEY.packetsOf(story.asset!)), key)
    assert.is(codes(acme).at(-1), 'MALFORMED', JSON.stringify(after))
  }
})

test('an agreement of somebody else, an unknown one and one that has ended give nothing', () => {
  const story = agreed({ untilMs: START_MS + DAY_MS })
  const { acme, bolt, cole, world } = story
  const agreement = story.agreement!
  const answer = (from: typeof bolt, id: CID) => {
    world.send(from, acme.org, { t: 'transfer/request', id: ID, agreement: id })
    world.run()
    return story.sent('transfer/terminate').at(-1)?.refusal.code
  }
  assert.is(answer(cole, agreement), 'AGREEMENT_UNKNOWN')
  assert.is(answer(bolt, story.offer!), 'AGREEMENT_UNKNOWN')
  throwsCode(() => cole.input({ type: 'transfer', org: acme.org, agreement }), 'AGREEMENT_UNKNOWN')
  throwsCode(() => acme.input({ type: 'transfer', org: bolt.org, agreement }), 'AGREEMENT_UNKNOWN')
  world.run(DAY_MS)
  story.transfer()
  assert.is(transfersOf(story)[0]!.refusal!.code, 'AGREEMENT_ENDED')
  assert.is(story.sent('delivery/release').length, 0)
})

test('a consumer asks its provider, not the other way round', () => {
  const story = agreed()
  story.world.send(story.acme, story.bolt.org, { t: 'transfer/request', id: ID, agreement: story.agreement! })
  story.world.run()
  assert.is(story.sent('transfer/terminate').at(-1)!.refusal.code, 'AGREEMENT_UNKNOWN')
})

test('a transfer stays under the agreement it was begun under', () => {
  const story = agreed()
  story.transfer()
  const { acme, bolt, world } = story
  const first = story.agreement!
  story.request().world.run()
  const second = story.agreement!
  world.send(bolt, acme.org, { t: 'transfer/request', id: ID, agreement: first })
  world.run()
  for (const agreement of [second, story.offer!]) {
    world.send(bolt, acme.org, { t: 'transfer/request', id: ID, agreement })
    world.run()
    assert.is(codes(acme).at(-1), 'AGREEMENT_MISMATCH')
  }
})

// A provider that gives what it should not.

type Page = { packets: { packet: Uint8Array; root: Uint8Array }[]; next?: string }
const WRONG: [what: string, change: (story: Story, page: Page) => Page, code: string][] = [
  [
    'a packet of another asset',
    (story, { packets: [first] }) => ({
      packets: [{ ...first!, packet: by(story, first!.packet, { asset: story.offer! }) }],
    }),
    'AGREEMENT_MISMATCH',
  ],
  [
    'a packet that somebody else published',
    ({ cole }, { packets: [first] }) => {
      const packet = resign(first!.packet, { org: cole.env.self.id }, ['publisher', cole.env.keys.operation])
      return { packets: [{ ...first!, packet }] }
    },
    'RECORD_INVALID',
  ],
  [
    'a packet that its publisher did not sign',
    ({ cole }, { packets: [first] }) => ({
      packets: [{ ...first!, packet: resign(first!.packet, {}, ['publisher', cole.env.keys.operation]) }],
    }),
    'SIGNATURE_INVALID',
  ],
  [
    'no record at all',
    (_story, { packets: [first] }) => ({ packets: [{ ...first!, packet: ID }] }),
    'RECORD_INVALID',
  ],
  [
    'a root that the packet does not name',
    (_story, { packets: [first, second] }) => ({ packets: [{ ...first!, root: second!.root }] }),
    'RECORD_INVALID',
  ],
  [
    'another size than the root',
    (story, { packets: [first] }) => ({
      packets: [{ ...first!, packet: by(story, first!.packet, { size: 1 }) }],
    }),
    'RECORD_INVALID',
  ],
  [
    'a root that is none',
    (story, { packets: [first] }) => ({
      packets: [{ root: ID, packet: by(story, first!.packet, { root: cidOf(ID, 'dag-cbor') }) }],
    }),
    'RECORD_INVALID',
  ],
  ['a next page that is not after this one', (_story, page) => ({ ...page, next: '' }), 'MALFORMED'],
]
const by = ({ acme }: Story, record: Uint8Array, change: object) =>
  resign(record, change, ['publisher', acme.env.keys.operation])

for (const [what, change, code] of WRONG)
  test(`${what} ends the transfer: ${code}`, () => {
    const story = agreed()
    alter(story, 'transfer/start', message => ({ ...message, ...change(story, message) }))
    story.transfer()
    assert.is(story.transfers(), 'TERMINATED TERMINATED')
    assert.is(transfersOf(story)[0]!.refusal!.code, code)
    assert.is(story.deliveries(), '- -')
    story.check()
  })

test('a packet that stands in a page twice is delivered once', () => {
  const story = agreed({ packets: 1 })
  alter(story, 'transfer/start', message => ({
    ...message,
    packets: [...message.packets, ...message.packets],
  }))
  story.transfer()
  assert.is(story.transfers(), 'COMPLETED COMPLETED')
  assert.is(transfersOf(story)[0]!.done, 1)
})

test('pages that go in a circle are not followed', () => {
  const story = agreed({ packets: 1 })
  alter(story, 'transfer/start', message => ({ ...message, next: '0'.repeat(16) }))
  story.transfer()
  assert.is(story.transfers(), 'TERMINATED TERMINATED')
  assert.is(transfersOf(story)[0]!.refusal!.code, 'MALFORMED')
})

test('sizes that add up beyond what a number holds break nothing', () => {
  const story = agreed({ packets: 1 })
  const huge = 2 ** 53 - 1
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  const [key, stored] = [...story.bolt.store].find(([each]) => each.startsWith(KEY.transfers))!
  const state = decodeState<Transfer>(stored)
  story.bolt.store.set(key, encodeState({ ...state, bytes: huge }))
  story.world.run()
  assert.is(transfersOf(story)[0]!.bytes, huge)
})

test('a second transfer brings what failed in the first, and nothing twice', () => {
  const story = agreed({ packets: 3 })
  const { acme } = story
  const [root, blocks] = [...acme.content][1]!
  acme.content.delete(root)
  story.transfer()
  assert.equal(
    transfersOf(story).map(({ done, failed }) => [done, failed]),
    [[3, 1]],
  )
  acme.content.set(root, blocks)
  story.transfer()
  assert.is(story.deliveries(), 'DONE DONE')
  assert.is(story.sent('delivery/release').length, 3)
  story.check()
})

test('a transfer that is asked for again while it runs is the one that runs', () => {
  const story = agreed({ packets: 3 })
  const ask = () => story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  const first = ask()
  assert.equal(ask(), first)
  story.world.run()
  assert.is(transfersOf(story).length, 1)
  assert.not.equal(ask(), first)
  story.world.run()
  story.check()
})

test('a delivery that was refused is tried again with the receipt that was signed', () => {
  const story = agreed({ packets: 1 })
  const secrets = [...story.acme.secrets]
  story.acme.secrets.clear()
  story.transfer()
  assert.is(story.deliveries(), 'FAILED -')
  for (const [handle, bytes] of secrets) story.acme.secrets.set(handle, bytes)
  story.transfer()
  assert.is(story.deliveries(), 'DONE DONE')
  const receipts = new Set(
    story.sent('delivery/received').map(({ receipt }) => Buffer.from(receipt).toString('hex')),
  )
  assert.is(receipts.size, 1)
  // A late copy of the refusal ends nothing.
  const refused = story.world.wire.find(({ message }) => message.t === 'delivery/refused')!
  story.world.hand(refused)
  assert.is(story.deliveries(), 'DONE DONE')
  story.check()
})

test('a packet signed in another role or type is refused', () => {
  const story = agreed({ packets: 1 })
  alter(story, 'transfer/start', message => {
    const payload = { t: 'asset/1', org: story.acme.env.self.id }
    const packet = encodeSigned({
      p: payload,
      s: [signRecord(payload, 'publisher', story.acme.env.keys.operation)],
    })
    return { ...message, packets: [{ ...message.packets[0]!, packet }] }
  })
  story.transfer()
  assert.is(transfersOf(story)[0]!.refusal!.code, 'RECORD_INVALID')
})

test.run()
