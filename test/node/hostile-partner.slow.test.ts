/** An admitted partner that sends what is no message: each gets a code, and the daemon goes on with it and with others. */
import { randomBytes } from 'node:crypto'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { encode, type Value } from '../../crypto/cbor.ts'
import { parseCid } from '../../crypto/cid.ts'
import { frame } from '../../node/frames.ts'
import { decodeHello, encodeMessage, MESSAGES } from '../../protocol/message.ts'
import { sameBytes, suite, temporary } from '../harness.ts'
import { eventually, TestDaemon } from './daemons.ts'
import { HostilePartner } from './hostile-partner.ts'

const test = suite('hostile partner')
const LIMIT_MS = 60_000
const KIB = 1024
const REQUEST = 1
const ERROR = 4

const folder = temporary()
let acme: TestDaemon
let mallory: HostilePartner
test.before(async () => {
  acme = await TestDaemon.start('Acme Steel', folder.path)
  mallory = await HostilePartner.join(acme)
})
test.after(async () => {
  await mallory?.[Symbol.asyncDispose]()
  await acme?.[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

/** The daemon still answers this partner, and what it holds is as before. */
async function assertGoesOn(before: { partners: number; log: { size: number } }): Promise<void> {
  const id = randomBytes(16)
  await mallory.send(encodeMessage({ t: 'catalog/request', id }))
  await eventually('a catalog', async () =>
    mallory.heard.find(each => each.t === 'catalog/page' && Buffer.compare(each.id, id) === 0),
  )
  const after = await acme.client.status()
  assert.equal([after.partners, after.log.size], [before.partners, before.log.size])
}

/** What is wrong about a message of any type. */
const BAD: Record<string, (t: string) => Uint8Array> = {
  'fields are missing': t => encode({ t }),
  'a field is unknown': t => encode({ t, junk: 1 }),
  'a field is of another type': t => encode({ t, id: 'x', note: 1, agreement: 1, receipt: 1, release: 1 }),
  // a length in two bytes that needs one, keys out of order, a float, bytes behind the end
  'a length is not the shortest': t => Uint8Array.of(0xb8, 1, 0x61, 0x74, 0x78, t.length, ...utf8(t)),
  'keys are out of order': t =>
    Uint8Array.of(0xa2, 0x62, 0x69, 0x64, 0, 0x61, 0x74, 0x78, t.length, ...utf8(t)),
  'there is a float': t => Uint8Array.of(...encode({ id: 0, t }).with(4, 0xf9), 0, 0),
  'bytes are behind it': t => Uint8Array.of(...encode({ t }), 0),
  'it ends too soon': t => encode({ t }).slice(0, -1),
  'a record is past its bound': t =>
    encode({
      t,
      id: randomBytes(16),
      agreement: new Uint8Array(64 * KIB + 1),
      receipt: new Uint8Array(64 * KIB + 1),
    }),
}

test(
  'of every dialogue, what is not canonical, not whole, too large or not known is MALFORMED',
  async () => {
    const before = await acme.client.status()
    const types = [...Object.keys(MESSAGES), 'negotiation/unknown', '', '__proto__']
    const notMaps: Value[] = [null, 1, 'hello', [], { t: 1 }, {}]
    const sent = [
      ...types.flatMap(type =>
        Object.entries(BAD).map(([why, make]) => [`${type}: ${why}`, make(type)] as const),
      ),
      ...notMaps.map(value => [JSON.stringify(value), encode(value)] as const),
    ]
    for (const [, bytes] of sent) await mallory.send(bytes)
    const answers = () => mallory.heard.flatMap(each => (each.t === 'error' ? [each] : []))
    await eventually('an answer to each', async () => answers().length >= sent.length || undefined)
    for (const [i, { re, code, text }] of answers().entries()) {
      assert.equal([re, code], ['message', 'MALFORMED'], sent[i]?.[0])
      assert.ok(text.length > 0 && text.length <= 512)
    }
    console.log(`${sent.length} malformed messages of ${types.length} types`)
    await assertGoesOn(before)
  },
  LIMIT_MS,
)

test(
  'a frame past the bound of its stream ends that stream alone',
  async () => {
    const before = await acme.client.status()
    const header = (bytes: number, kind = 0) => Uint8Array.of(kind, bytes >>> 16, bytes >>> 8, bytes)
    for (const [protocol, bytes] of [
      ['messages', header(256 * KIB + 1)],
      ['messages', Uint8Array.of(255, 255, 255, 255)],
      ['hello', header(64 * KIB + 1)],
      ['bulk', header(64 * KIB + 1, REQUEST)],
    ] as const)
      assert.ok((await mallory.raw(protocol, bytes)).reset, `${protocol} ${bytes}`)
    await assertGoesOn(before)
  },
  LIMIT_MS,
)

test(
  'a partner whose second hello is wrong is told so, and stays a partner',
  async () => {
    const before = await acme.client.status()
    const join = { t: 'hello/join', versions: [1], events: [], addresses: [], witnesses: [] }
    for (const [hello, code] of [
      [randomBytes(100), 'MALFORMED'],
      [encode(join), 'MALFORMED'],
      [Uint8Array.of(0xb8, 1, 0x61, 0x74, 0x60), 'MALFORMED'],
      [encode({ ...join, secret: randomBytes(16), identity: new Uint8Array(10) }), 'TICKET_UNKNOWN'],
      [encode({ t: 'hello/refused', code: 'X', text: 'x' }), 'OUT_OF_ORDER'],
    ] as const) {
      const answer = decodeHello(await mallory.hello(hello)) as { t: string; code: string }
      assert.equal([answer.t, answer.code], ['hello/refused', code])
    }
    await assertGoesOn(before)
  },
  LIMIT_MS,
)

test(
  'a request for blocks that is none, or that nothing allows, gets its code and no byte',
  async () => {
    const before = await acme.client.status()
    const id = parseCid(acme.ready.id)
    const good = encode({ agreement: id, packet: id, from: 0 })
    for (const [request, code] of [
      [good, 'AGREEMENT_UNKNOWN'],
      [encode({ agreement: id, packet: id, from: -1 }), 'MALFORMED'],
      [encode({ agreement: 'x', packet: id, from: 0 }), 'MALFORMED'],
      [encode(null), 'MALFORMED'],
      [new Uint8Array(0), 'MALFORMED'],
      [new Uint8Array(2 * KIB), 'MALFORMED'],
      [Uint8Array.of(...good, 0), 'MALFORMED'],
      [Uint8Array.of(0xb8, 3, ...good.subarray(1)), 'MALFORMED'],
    ] as const) {
      const { got } = await mallory.raw('bulk', frame(REQUEST, request))
      sameBytes(got, frame(ERROR, utf8(code)), `${got} is not ${code}`)
    }
    await assertGoesOn(before)
  },
  LIMIT_MS,
)

test.run()
