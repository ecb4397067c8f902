import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { keptRecord } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_MESSAGE_BYTES, MAX_PAGE, PAGE_BYTES } from '../../protocol/limits.ts'
import { encodeMessage, type MessageOf } from '../../protocol/message.ts'
import { suite, throwsCode } from '../harness.ts'
import { alter, codes, DAY_MS, POLICY, resign, Story } from './story.ts'
import { START_MS } from './world.ts'

const test = suite('protocol/catalog')
const ID = new Uint8Array(16).fill(9)
const published = (options: ConstructorParameters<typeof Story>[0] = {}): Story =>
  new Story(options).pair().publish()
const seen = ({ bolt, acme }: Story) =>
  [...bolt.store.keys()].filter(key => key.startsWith(`${KEY.seenOffers}${acme.org}/`)).length
const readings = ({ bolt }: Story) =>
  bolt.events.flatMap(event => (event.type === 'catalog' ? [[event.count, event.complete]] : []))

test('a catalog of many offers comes in pages', () => {
  const story = published()
  for (let i = 0; i < 2 * MAX_PAGE + 3; i++) story.makeOffer()
  assert.ok(story.read())
  assert.is(seen(story), 2 * MAX_PAGE + 4)
  assert.equal(readings(story), [
    [MAX_PAGE, false],
    [2 * MAX_PAGE, false],
    [2 * MAX_PAGE + 4, true],
  ])
  story.check()
})

test('a page of long offers ends at its bytes, and the rest follows', () => {
  const story = published()
  const right = Array.from({ length: 64 }, () => 'z'.repeat(250))
  const permissions = [
    ...POLICY.permissions,
    { action: 'use', constraints: [{ left: 'purpose', op: 'isAnyOf', right }] },
  ]
  for (let i = 0; i < 30; i++) story.makeOffer({ policy: { ...POLICY, permissions } })
  assert.ok(story.read())
  assert.is(seen(story), 31)
  const pages = story.sent('catalog/page')
  assert.ok(pages.length > 2)
  for (const page of pages) {
    assert.ok(page.items.reduce((sum, each) => sum + each.offer.length + each.asset.length, 0) <= PAGE_BYTES)
    assert.ok(encodeMessage(page).length <= MAX_MESSAGE_BYTES)
  }
})

test('what a key signed that is revoked is left out: it would make the whole page false', () => {
  const story = published()
  const { acme, bolt, world } = story
  acme.delegate(['operation'], ['operation'])
  world.run()
  // The old asset has the old signature still.
  story.makeOffer()
  story.publish()
  assert.ok(story.read())
  assert.is(seen(story), 1)
  // One that gave way and was not revoked signs what it signed.
  acme.delegate(['operation'])
  world.run()
  story.offer = story.makeOffer()
  assert.ok(story.read())
  assert.is(seen(story), 2)
  assert.equal(codes(bolt), [])
  story.check()
})

test('what is not for the reader, and what has ended, is left out; a page of nothing else leads on', () => {
  const story = published()
  const others = [story.cole.env.self.id]
  for (let i = 0; i < MAX_PAGE + 5; i++) story.makeOffer({ audience: others })
  story.makeOffer({ untilMs: START_MS + DAY_MS })
  const last = story.makeOffer()
  story.world.run(2 * DAY_MS)
  assert.ok(story.read())
  assert.is(seen(story), 2)
  assert.ok(story.bolt.store.has(KEY.seenOffer(story.acme.org, last)))
})

test('the place of a page reaches no other key', () => {
  const good = `${'0'.repeat(16)}/${'a'.repeat(64)}`
  for (const after of ['', 'a', '~', '/', '../record/', good.slice(1), `${good}/`, good.toUpperCase()]) {
    const story = published()
    const { acme, bolt, world } = story
    world.send(bolt, acme.org, { t: 'catalog/request', id: ID, after })
    world.run()
    assert.is(codes(acme).at(-1), 'MALFORMED', JSON.stringify(after))
    assert.not.ok(acme.events.some(event => event.type === 'ask-page'))
  }
  const story = published()
  story.world.send(story.bolt, story.acme.org, { t: 'catalog/request', id: ID, after: good })
  story.world.run()
  const [ask] = story.acme.events.flatMap(event => (event.type === 'ask-page' ? [event] : []))
  assert.is(ask!.after, `${KEY.ownOffers}${good}`)
  assert.is(ask!.prefix, KEY.ownOffers)
})

test('a page that nobody asked for is not read', () => {
  const story = published()
  const { acme, bolt, world } = story
  world.send(acme, bolt.org, { t: 'catalog/page', id: ID, items: [] })
  world.run()
  assert.equal(readings(story), [])
  story.check()
})

test('pages that go in a circle are not followed', () => {
  const story = published()
  alter(story, 'catalog/page', message => ({ ...message, next: '0' }))
  story.bolt.input({ type: 'catalog', org: story.acme.org })
  story.world.run()
  assert.is(story.sent('catalog/request').length, 2)
})

test('only a partner can be asked', () => {
  const story = new Story()
  throwsCode(() => story.bolt.input({ type: 'catalog', org: story.acme.org }), 'NOT_FOUND')
  throwsCode(() => story.bolt.input({ type: 'proofs', org: story.acme.org, records: [] }), 'NOT_FOUND')
})

// A catalog that shows what it should not.

type Item = MessageOf<'catalog/page'>['items'][number]
const WRONG: [what: string, change: (story: Story, item: Item) => Partial<Item>][] = [
  [
    'an offer of another organisation',
    ({ cole }, { offer }) => ({
      offer: resign(offer, { org: cole.env.self.id }, ['provider', cole.env.keys.operation]),
    }),
  ],
  ['an offer that nobody signed', (_story, { offer }) => ({ offer: resign(offer, {}) })],
  [
    'an offer signed by another',
    ({ cole }, { offer }) => ({ offer: resign(offer, {}, ['provider', cole.env.keys.operation]) }),
  ],
  [
    'an asset that the offer does not name',
    ({ acme }, { asset }) => ({
      asset: resign(asset, { title: 'x' }, ['publisher', acme.env.keys.operation]),
    }),
  ],
  ['no record', () => ({ offer: ID })],
]
for (const [what, change] of WRONG)
  test(`${what} spoils the page: RECORD_INVALID`, () => {
    const story = published()
    alter(story, 'catalog/page', message => ({
      ...message,
      items: message.items.map(item => ({ ...item, ...change(story, item) })),
    }))
    story.bolt.input({ type: 'catalog', org: story.acme.org })
    story.world.run()
    assert.is(codes(story.bolt).at(-1), 'RECORD_INVALID')
    assert.is(seen(story), 0)
  })

test('nobody offers an asset of ours, and what ours holds stays', () => {
  const story = published()
  const { acme, bolt, world } = story
  const drafts = [bolt.draft('own', ID)]
  const own = { type: 'publish', title: 'mine', domain: 'x', level: 'general', packets: drafts } as const
  const { asset } = bolt.input(own) as { asset: NonNullable<Story['asset']> }
  const totals = toHex(bolt.store.get(KEY.assetTotals(asset))!)
  const record = keptRecord(bolt.env, asset)!
  alter(story, 'catalog/page', message => ({
    ...message,
    items: message.items.map(item => ({
      offer: resign(item.offer, { asset }, ['provider', acme.env.keys.operation]),
      asset: record,
      packets: 1_000_000,
      bytes: 1_000_000,
    })),
  }))
  bolt.input({ type: 'catalog', org: acme.org })
  world.run()
  assert.is(codes(bolt).at(-1), 'RECORD_INVALID')
  assert.is(toHex(bolt.store.get(KEY.assetTotals(asset))!), totals)
})

test('what an operator may publish and offer', () => {
  const story = published()
  throwsCode(() => story.makeOffer({ asset: story.offer! }), 'NOT_FOUND')
  throwsCode(() => story.makeOffer({ untilMs: START_MS - DAY_MS }), 'RECORD_INVALID')
  throwsCode(() => story.makeOffer({ notice: 'two\nlines' }), 'RECORD_INVALID')
  throwsCode(() => story.makeOffer({ notice: '\ud800' }), 'RECORD_INVALID')
  throwsCode(() => story.acme.input({ type: 'init' }), 'OUT_OF_ORDER')
  const packets = [{ ...story.acme.draft('x', ID), name: 'a\u0000b' }]
  throwsCode(
    () => story.acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets }),
    'RECORD_INVALID',
  )
  story.check()
})

test.run()
