import { setTimeout as sleep } from 'node:timers/promises'
import { StreamState, YamuxStream } from '@chainsafe/libp2p-yamux/stream'
import * as assert from 'uvu/assert'
import { grantByHalves } from '../../node/link.ts'
import { rejectsCode, suite } from '../harness.ts'
import { freePort, introduce, never, open, until } from './network-harness.ts'

const test = suite('network messages')

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`)

test('1000 messages arrive in order, both ways at once', async () => {
  await using a = await open(1)
  await using b = await open(2)
  introduce(a, b)
  for (const text of numbered(1000)) {
    assert.ok(a.network.send(b.peerId, Buffer.from(text)))
    assert.ok(b.network.send(a.peerId, Buffer.from(text)))
  }
  await until(() => a.messages.length >= 1000 && b.messages.length >= 1000, 'all messages')
  assert.equal(
    a.messages.map(({ text }) => text),
    numbered(1000),
  )
  assert.equal(
    b.messages.map(({ text }) => text),
    numbered(1000),
  )
  assert.ok(b.messages.every(({ peerId }) => peerId === a.peerId))
  assert.equal(a.network.connected(), [b.peerId])
  assert.equal(a.events, ['connected'])
})

test('a message stream grants its sender more when half of its window is used, and not for each message', async () => {
  await using a = await open(1)
  await using b = await open(2)
  introduce(a, b)
  const sent = YamuxStream.prototype.sendWindowUpdate
  let granted = 0
  YamuxStream.prototype.sendWindowUpdate = function () {
    granted++
    sent.call(this)
  }
  try {
    const ask = async (count: number, bytes: number) => {
      const before = granted
      for (let i = 1; i <= count; i++) {
        a.network.send(b.peerId, new Uint8Array(bytes).fill(97))
        await until(() => b.messages.length === i, 'a message')
      }
      b.messages.length = 0
      return granted - before
    }
    await ask(2, 10) // opens the stream
    const small = await ask(50, 10)
    assert.ok(small < 10, `${small} for 50 messages`) // other streams of the connection begin and end meanwhile
    const large = await ask(20, 200_000) // many windows
    assert.ok(large > 0, 'it grants nothing')
  } finally {
    YamuxStream.prototype.sendWindowUpdate = sent
  }
})

test('what is no established stream is granted as before', () => {
  let granted = 0
  const stream = {
    state: StreamState.SYNReceived as StreamState,
    recvWindow: 100,
    recvWindowCapacity: 99,
    sendWindowUpdate: () => void granted++,
  }
  grantByHalves(stream)
  const grants = () => {
    granted = 0
    stream.sendWindowUpdate()
    return granted
  }
  assert.is(grants(), 1)
  stream.state = StreamState.Established
  assert.is(grants(), 0)
  stream.recvWindowCapacity = 50
  assert.is(grants(), 1)
})

test('messages wait for a peer that is down, and go when it starts', async () => {
  const listen = [`/ip4/127.0.0.1/tcp/${await freePort()}`]
  await using a = await open(1)
  const first = await open(2, { listen })
  introduce(a, first)
  a.network.send(first.peerId, Buffer.from('before'))
  await until(() => first.messages.length === 1, 'the first message')
  await first.network.stop()
  await until(() => a.events.includes('disconnected'), 'the loss is noticed')

  for (const text of numbered(20)) a.network.send(first.peerId, Buffer.from(text))
  await sleep(400) // some dials fail
  await using second = await open(2, { listen })
  second.admitted.add(a.peerId)
  await until(() => second.messages.length === 20, 'what waited')
  assert.equal(
    second.messages.map(({ text }) => text),
    numbered(20),
  )
  assert.equal(a.events, ['connected', 'disconnected', 'connected'])
})

test('a peer that admits us later gets what waited', async () => {
  await using a = await open(1)
  await using b = await open(2)
  a.admitted.add(b.peerId)
  a.network.learn(b.peerId, b.network.addresses())
  a.network.send(b.peerId, Buffer.from('early'))
  await sleep(200)
  assert.is(b.messages.length, 0)
  b.admitted.add(a.peerId)
  await until(() => b.messages.length === 1, 'the early message')
  assert.is(b.messages[0]!.text, 'early')
})

test('the largest message passes; what can never leave is refused without a throw', async () => {
  await using a = await open(1)
  await using b = await open(2)
  introduce(a, b)
  const largest = 'x'.repeat(256 * 1024)
  assert.ok(a.network.send(b.peerId, Buffer.from(largest)))
  assert.ok(a.network.send(b.peerId, new Uint8Array()))
  await until(() => b.messages.length === 2, 'the largest and the empty message')
  assert.is(b.messages[0]!.text.length, largest.length)
  assert.not.ok(a.network.send(b.peerId, Buffer.from(`${largest}x`)))
  assert.not.ok(a.network.send(a.peerId, Buffer.from('to nobody who is admitted')))
  await a.network.stop()
  assert.not.ok(a.network.send(b.peerId, Buffer.from('too late')))
})

test('a full queue drops its oldest messages', async () => {
  await using a = await open(1)
  await using b = await open(2)
  a.admitted.add(b.peerId)
  b.admitted.add(a.peerId)
  for (const text of numbered(5000)) a.network.send(b.peerId, Buffer.from(text))
  a.network.learn(b.peerId, b.network.addresses())
  await until(() => b.messages.at(-1)?.text === 'message 4999', 'the newest message')
  assert.equal(
    b.messages.map(({ text }) => text),
    numbered(5000).slice(-4096),
  )
})

test('a busy receiver slows its sender down: what it cannot take waits there, and order holds', async () => {
  const message = Buffer.alloc(32 * 1024)
  const gate = Promise.withResolvers<void>()
  const seen: number[] = []
  await using a = await open(1)
  await using b = await open(2, {
    onMessage: async (_peerId, bytes) => {
      await gate.promise
      seen.push(Buffer.from(bytes).readUInt32BE(0))
    },
  })
  introduce(a, b)
  const send = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      message.writeUInt32BE(i)
      a.network.send(b.peerId, message)
      if (i % 50 === 49) await sleep(2)
    }
  }
  await send(0, 1000)
  gate.resolve()
  await until(() => seen.at(-1) === 999, 'the newest message')
  assert.ok(seen.length * message.length < 10 * 1024 * 1024, `${seen.length} of 1000 were kept somewhere`)
  for (let from = 1000; from < 1400; from += 100) {
    await send(from, from + 100)
    await until(() => seen.at(-1) === from + 99, 'the next hundred')
  }
  assert.equal(seen.slice(-400), [...Array(1400).keys()].slice(-400))
  assert.equal(
    seen,
    [...seen].sort((x, y) => x - y),
  )
  assert.equal(a.events, ['connected'])
})

test('forget closes and drops; the peer is not dialled again', async () => {
  await using a = await open(1)
  await using b = await open(2)
  introduce(a, b)
  a.network.send(b.peerId, Buffer.from('one'))
  await until(() => b.messages.length === 1, 'the message')
  a.admitted.delete(b.peerId)
  a.network.forget(b.peerId)
  assert.equal(a.network.connected(), [])
  await until(() => b.events.includes('disconnected'), 'the other side notices')
  assert.not.ok(a.network.send(b.peerId, Buffer.from('two')))
})

test('a taken port and a bad address fail with a code', async () => {
  await using a = await open(1)
  const taken = a.network.addresses()[0]!.replace(/\/p2p\/.*/, '')
  const error = await rejectsCode(open(2, { listen: [taken] }), 'ADDRESS_IN_USE')
  assert.match(error.message, taken)
  await rejectsCode(open(2, { listen: ['127.0.0.1:4001'] }), 'ADDRESS_UNUSABLE')
})

test('a dial that fails says why', async () => {
  await using a = await open(1)
  await using b = await open(2)
  const port = await freePort()
  const hello = (address: string) => a.network.hello(b.peerId, [address], new Uint8Array(), never)
  const refused = await rejectsCode(hello(`/ip4/127.0.0.1/tcp/${port}`), 'PEER_UNREACHABLE')
  assert.match(refused.message, `nobody listens at /ip4/127.0.0.1/tcp/${port}`)
  await using c = await open(3)
  const other = c.network.addresses()[0]!.replace(/\/p2p\/.*/, '')
  const wrong = await rejectsCode(hello(other), 'PEER_UNREACHABLE')
  assert.match(wrong.message, 'another node answers at')
  await rejectsCode(hello('no address'), 'PEER_UNREACHABLE')
})

test.run()
