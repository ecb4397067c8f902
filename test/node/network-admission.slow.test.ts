import { setTimeout as sleep } from 'node:timers/promises'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import * as assert from 'uvu/assert'
import { firstFrame, frame, MESSAGE } from '../../node/frames.ts'
import { rejectsCode, suite } from '../harness.ts'
import { introduce, never, open, type TestNetwork, until } from './network-harness.ts'

const test = suite('network admission')

const HELLO = '/waybill/hello/1'
const MESSAGES = '/waybill/1'
const BULK = '/waybill/blocks/1'
const KIB = 1024

/** A libp2p node that follows none of our rules, connected to `target`. */
async function stranger(seed: number, target: TestNetwork) {
  const node = await createLibp2p({
    privateKey: await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(seed)),
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionMonitor: { enabled: false },
  })
  const connection = await node.dial(multiaddr(target.network.addresses()[0]))
  return {
    peerId: node.peerId.toString(),
    connection,
    open: (protocol: string) => connection.newStream(protocol, { maxOutboundStreams: 100 }),
    [Symbol.asyncDispose]: async () => {
      await node.stop()
    },
  }
}

/** What a stream received until it was closed or reset, within two seconds. */
async function refused(stream: Stream): Promise<{ received: number; reset: boolean }> {
  let received = 0
  stream.addEventListener('message', ({ data }) => {
    received += data.byteLength
  })
  await until(
    () => stream.status !== 'open' || stream.remoteWriteStatus === 'closed',
    'the stream ends',
    2_000,
  )
  return { received, reset: stream.status === 'reset' }
}

function ask(stream: Stream, bytes: Uint8Array): Promise<Uint8Array> {
  const answer = firstFrame(stream, 64 * KIB, AbortSignal.timeout(3_000))
  stream.send(frame(MESSAGE, bytes))
  return answer
}

const isClosed = (connection: Connection) => () => connection.status !== 'open'

// begun first and awaited last, as it takes 15 s: one that says nothing, and one that never ends its hello
let victim: TestNetwork
const silent: { name: string; expectedMs: number; livedMs: Promise<number>; stop(): Promise<void> }[] = []
test.before(async () => {
  victim = await open(200)
  for (const [seed, name, expectedMs] of [
    [201, 'nothing', 15_000],
    [202, 'half a hello', 10_000],
  ] as const) {
    const node = await stranger(seed, victim)
    const started = performance.now()
    if (name !== 'nothing') (await node.open(HELLO)).send(Uint8Array.of(0, 0, 0))
    const livedMs = until(isClosed(node.connection), `closed after ${name}`, 20_000).then(
      () => performance.now() - started,
    )
    livedMs.catch(() => {})
    silent.push({ name, expectedMs, livedMs, stop: () => node[Symbol.asyncDispose]() })
  }
})

test('a stranger is answered a hello, and nothing else is opened to it', async () => {
  let asked = 0
  await using b = await open(2, {
    onBulk: async function* () {
      asked++
      yield Buffer.from('secret')
    },
  })
  {
    await using a = await stranger(1, b)
    for (const protocol of [MESSAGES, BULK]) {
      const stream = await a.open(protocol)
      try {
        stream.send(frame(protocol === BULK ? 1 : MESSAGE, Buffer.from('let me in')))
      } catch {} // reset already
      assert.equal(await refused(stream), { received: 0, reset: true }, protocol)
    }
    for (const protocol of ['/ipfs/ping/1.0.0', '/ipfs/id/1.0.0', '/waybill/kad/1'])
      assert.is((await a.open(protocol).catch(error => error)).name, 'UnsupportedProtocolError', protocol)
    assert.is(Buffer.from(await ask(await a.open(HELLO), Buffer.from('hi'))).toString(), 'you said hi')
    await until(isClosed(a.connection), 'closed after the hello', 2_000)
  }
  await using c = await open(3)
  const answer = await c.network.hello(b.peerId, b.network.addresses(), Buffer.from('ho'), never)
  assert.is(Buffer.from(answer).toString(), 'you said ho')
  assert.is(b.messages.length + asked, 0)
  assert.equal([b.events, c.events, b.network.connected()], [[], [], []])
})

test('a hello that admits both sides keeps its connection', async () => {
  await using b = await open(2, {
    onHello: async peerId => {
      b.admitted.add(peerId)
      return Buffer.from('welcome')
    },
  })
  await using a = await open(1)
  await a.network.hello(b.peerId, b.network.addresses(), Buffer.from('ticket'), never)
  await until(() => b.events.length === 1, 'the answering side is connected')
  b.network.send(a.peerId, Buffer.from('sent before the other side admitted us'))
  await sleep(50)
  a.admitted.add(b.peerId)
  a.network.learn(b.peerId, b.network.addresses())
  assert.equal([a.events, b.events], [['connected'], ['connected']])
  await until(() => a.messages.length === 1, 'the early message')
  assert.equal(b.network.connected(), [a.peerId])
})

test('a hello and its answer are bounded', async () => {
  const heard: number[] = []
  let answer: Uint8Array | undefined = new Uint8Array(64 * KIB)
  await using b = await open(2, {
    onHello: async (_peerId, bytes) => {
      heard.push(bytes.length)
      return answer
    },
  })
  await using a = await open(1)
  const hello = (bytes: number, signal = never) =>
    a.network.hello(b.peerId, b.network.addresses(), new Uint8Array(bytes), signal)
  assert.is((await hello(64 * KIB)).length, 64 * KIB)
  await rejectsCode(hello(64 * KIB + 1), 'FRAME_TOO_LARGE')
  answer = new Uint8Array(64 * KIB + 1)
  await rejectsCode(hello(1), 'STREAM_CLOSED')
  answer = undefined
  await rejectsCode(hello(2), 'STREAM_CLOSED')
  const reason = Object.assign(new Error('enough'), { code: 'ENOUGH' })
  await rejectsCode(hello(3, AbortSignal.abort(reason)), 'ENOUGH')
  assert.equal(heard, [64 * KIB, 1, 2])

  await using raw = await stranger(9, b)
  const stream = await raw.open(HELLO)
  stream.send(Uint8Array.of(0, 1, 0, 1)) // announces 64 KiB + 1
  assert.equal(await refused(stream), { received: 0, reset: true })
  assert.is(heard.length, 3)
})

test('one hello at a time', async () => {
  const gate = Promise.withResolvers<void>()
  await using b = await open(2, {
    onHello: async (_peerId, bytes) => {
      await gate.promise
      return bytes
    },
  })
  await using a = await stranger(1, b)
  const first = ask(await a.open(HELLO), Buffer.from('first'))
  await sleep(50)
  assert.ok((await refused(await a.open(HELLO))).reset)
  gate.resolve()
  assert.is(Buffer.from(await first).toString(), 'first')
})

test('a frame that is too large ends the stream before it is read; the next stream works', async () => {
  await using b = await open(2)
  await using a = await stranger(1, b)
  b.admitted.add(a.peerId)
  const send = async (...bytes: number[]) => {
    const stream = await a.open(MESSAGES)
    await until(() => stream.readBufferLength === 1, 'READY')
    stream.send(Uint8Array.from(bytes))
    return stream
  }
  for (const header of [
    [0, 4, 0, 1], // 256 KiB + 1
    [1, 0, 0, 0], // 16 MiB
    [255, 255, 255, 255],
  ])
    assert.ok((await refused(await send(...header))).reset, String(header))
  await send(0, 0, 0, 2, 104, 105)
  await until(() => b.messages.length === 1, 'a message')
  assert.is(b.messages[0]!.text, 'hi')
})

test('an admitted peer has 2 message streams, 16 bulk streams, 2 connections', async () => {
  const gate = Promise.withResolvers<void>()
  let served = 0
  await using b = await open(2, {
    onBulk: async function* () {
      served++
      await gate.promise
      yield Buffer.from('x')
    },
  })
  await using a = await stranger(1, b)
  await using other = await stranger(1, b) // the same key
  b.admitted.add(a.peerId)
  const streams = [await a.open(MESSAGES), await a.open(MESSAGES)]
  assert.ok((await refused(await a.open(MESSAGES))).reset)
  assert.ok(streams.every(({ status }) => status === 'open'))

  const request = async ({ open }: typeof a) => {
    const stream = await open(BULK)
    if (stream.status === 'open') stream.send(frame(1, Buffer.from('all')))
    return stream
  }
  for (let i = 0; i < 8; i++) await Promise.all([request(a), request(other)])
  await until(() => served === 16, '16 requests')
  assert.ok((await refused(await request(a))).reset)
  assert.ok((await refused(await request(other))).reset)
  assert.is(served, 16)
  gate.resolve()

  await using third = await stranger(1, b)
  await until(isClosed(a.connection), 'the oldest connection gives way')
  assert.is(third.connection.status, 'open')
})

test('a bulk stream that breaks the rules is reset', async () => {
  await using b = await open(2, {
    onBulk: async function* () {
      yield Buffer.from('never sent whole')
      await sleep(500)
    },
  })
  await using a = await stranger(1, b)
  b.admitted.add(a.peerId)
  const request = frame(1, Buffer.from('all'))
  for (const [why, bytes] of [
    ['a second request', Buffer.concat([request, request])],
    ['credit for what was not sent', Buffer.concat([request, frame(5, Uint8Array.of(0, 64, 0, 1))])],
    ['credit that is no number', Buffer.concat([request, frame(5, Uint8Array.of(1))])],
    ['data to the server', frame(2, Buffer.from('x'))],
    ['an unknown kind', frame(77, Buffer.from('x'))],
    ['a request that is too large', Uint8Array.of(1, 1, 0, 1)],
  ] as const) {
    const stream = await a.open(BULK)
    stream.send(bytes)
    assert.ok((await refused(stream)).reset, why)
  }
})

test('a server of bulk bytes that breaks the rules is refused', async () => {
  const bad = {
    'more than the credit': Array.from({ length: 17 }, () => frame(2, Buffer.alloc(256 * KIB))),
    'tiny pieces without end': Array.from({ length: 5000 }, () => frame(2, Buffer.alloc(1))),
    'a frame that is too large': [Uint8Array.of(2, 16, 0, 1)],
    'an unknown kind': [frame(1, Buffer.from('x'))],
    'data after the end': [frame(3, Buffer.alloc(0)), frame(2, Buffer.from('x'))],
  }
  for (const [why, frames] of Object.entries(bad)) {
    const node = await createLibp2p({
      addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
    })
    await using a = await open(1)
    let reset = false
    await node.handle(BULK, async stream => {
      stream.addEventListener('close', () => {
        reset = stream.status === 'reset'
      })
      for (const bytes of frames) stream.send(bytes)
    })
    a.admitted.add(node.peerId.toString())
    a.network.learn(node.peerId.toString(), node.getMultiaddrs().map(String))
    const reading = (async () => {
      for await (const _ of a.network.bulk(node.peerId.toString(), Buffer.from('x'), never)) await sleep(50)
    })()
    reading.catch(() => {})
    if (why !== 'data after the end')
      await rejectsCode(reading, why.includes('large') ? 'FRAME_TOO_LARGE' : 'FRAME_INVALID')
    await until(() => reset, why)
    await node.stop()
  }
})

test('a flood of strangers holds at most 16 places, and a newcomer still gets in', async () => {
  await using b = await open(2)
  const flood = await Promise.all(Array.from({ length: 24 }, (_, i) => stranger(100 + i, b)))
  const held = () => flood.filter(({ connection }) => connection.status === 'open').length
  await until(() => held() <= 16, 'places are limited')
  assert.is(held(), 16)
  await using a = await open(1)
  const answer = await a.network.hello(b.peerId, b.network.addresses(), Buffer.from('me too'), never)
  assert.is(Buffer.from(answer).toString(), 'you said me too')
  // partners do not count
  await using c = await open(3)
  introduce(c, b)
  c.network.send(b.peerId, Buffer.from('partner'))
  await until(() => b.messages.length === 1, 'the partner')
  await Promise.all(flood.map(node => node[Symbol.asyncDispose]()))
})

test('a stranger that says nothing is disconnected after 15 s, half a hello after 10 s', async () => {
  for (const { name, expectedMs, livedMs, stop } of silent) {
    const ms = await livedMs
    assert.ok(Math.abs(ms - expectedMs) < 1_500, `${name}: ${ms} ms`)
    await stop()
  }
  await victim.network.stop()
})

test.run()
