/** A node that nobody admitted, against real daemons in the middle of business: it gets an answer to its hello and no more. */
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Connection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import * as assert from 'uvu/assert'
import { encode } from '../../crypto/cbor.ts'
import { parseCid } from '../../crypto/cid.ts'
import { firstFrame, frame, MESSAGE } from '../../node/frames.ts'
import { decodeHello, encodeMessage, type HelloMessage, type Message } from '../../protocol/message.ts'
import { VERSIONS } from '../../protocol/pairing.ts'
import { suite, temporary } from '../harness.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('strangers')
const REQUEST = 1
const ANSWER_MS = 3_000
const DAY_MS = 86_400_000

const folder = temporary()
let acme: TestDaemon
let bolt: TestDaemon
let ids: { agreement: string; packet: string }
test.before(async () => {
  acme = await TestDaemon.start('Acme Steel', folder.path)
  bolt = await TestDaemon.start('Bolt GmbH', folder.path)
  await pair(acme, bolt)
  const path = join(folder.path, 'energy.csv')
  writeFileSync(path, 'time,kWh\n')
  const { asset } = await acme.client.packets.publish({ title: 'x', files: [{ path, name: 'energy.csv' }] })
  const untilMs = Date.now() + DAY_MS
  const offer = await acme.client.offers.create({ asset, untilMs, approval: 'policy' })
  await bolt.client.offers.list({ refresh: true })
  const { agreement, deliveries } = await bolt.client.get(offer.id)
  ids = { agreement, packet: deliveries[0]!.packet.id }
})
test.after(async () => {
  await acme[Symbol.asyncDispose]()
  await bolt[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

/** A connection of a peer with a key of its own that follows none of our rules. */
async function stranger(): Promise<AsyncDisposable & { connection: Connection }> {
  const node = await createLibp2p({
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })
  const connection = await node.dial(multiaddr(acme.ready.addresses[0]))
  return { connection, [Symbol.asyncDispose]: async () => void (await node.stop()) }
}

/** The bytes that come back for `bytes` on a protocol, until the stream ends. */
async function answered(connection: Connection, protocol: string, bytes: Uint8Array): Promise<number> {
  const stream = await connection.newStream(protocol).catch(() => undefined)
  if (!stream) return 0
  let received = 0
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength
  })
  const { promise: over, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new Error(`${protocol} stayed open`)), ANSWER_MS)
  stream.addEventListener('close', () => resolve())
  stream.addEventListener('remoteCloseWrite', () => resolve())
  if (stream.status === 'open') stream.send(bytes)
  else resolve()
  return over.finally(() => clearTimeout(timer)).then(() => received)
}

test('no protocol but the hello gives a stranger one byte, whatever it knows', async () => {
  const before = await eventually('a head covers the log', async () => {
    const status = await acme.client.status()
    return status.log.headSize === status.log.size ? status : undefined
  })
  const catalog: Message = { t: 'catalog/request', id: randomBytes(16) }
  const { agreement, packet } = ids
  const bulk = encode({ agreement: parseCid(agreement), packet: parseCid(packet), from: 0 })
  for (const [protocol, bytes] of [
    ['/waybill/1', frame(MESSAGE, encodeMessage(catalog))],
    ['/waybill/blocks/1', frame(REQUEST, bulk)],
    ['/ipfs/id/1.0.0', new Uint8Array(1)],
    ['/ipfs/ping/1.0.0', new Uint8Array(32)],
    ['/ipfs/kad/1.0.0', new Uint8Array(1)],
  ] as const) {
    await using peer = await stranger()
    assert.is(await answered(peer.connection, protocol, bytes), 0, protocol)
  }
  const after = await acme.client.status()
  assert.equal([after.partners, after.log.size], [before.partners, before.log.size])
})

test('the hello of a stranger without a ticket is refused, and the connection ends', async () => {
  const join: HelloMessage = {
    t: 'hello/join',
    versions: VERSIONS,
    secret: randomBytes(16),
    identity: randomBytes(200),
    events: [],
    addresses: [],
    witnesses: [],
  }
  for (const [hello, code] of [
    [encodeMessage(join), 'TICKET_UNKNOWN'],
    [randomBytes(100), 'MALFORMED'],
  ] as const) {
    await using peer = await stranger()
    const stream = await peer.connection.newStream('/waybill/hello/1')
    const answer = firstFrame(stream, 65_536, AbortSignal.timeout(ANSWER_MS))
    stream.send(frame(MESSAGE, hello))
    const refused = decodeHello(await answer) as Extract<HelloMessage, { t: 'hello/refused' }>
    assert.equal([refused.t, refused.code], ['hello/refused', code])
    const closed = Promise.withResolvers<void>()
    peer.connection.addEventListener('close', () => closed.resolve())
    if (peer.connection.status !== 'open') closed.resolve()
    await closed.promise
  }
  assert.is((await acme.client.status()).partners, 1)
})

test.run()
