import { createHash, randomBytes } from 'node:crypto'
import { createServer, type Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import * as assert from 'uvu/assert'
import { secureChannel } from '../../node/secure-channel.ts'
import { suite } from '../harness.ts'

const test = suite('secure channel')
const PROTOCOL = '/test/1'
/** Around the bounds of a frame: 65,519 bytes and their tag. */
const SIZES = [0, 1, 12, 1_199, 1_200, 65_507, 65_519, 65_520, 131_100, 3_000_000]

type Encrypter = typeof secureChannel
const stock = noise() as unknown as Encrypter

async function peer(encrypter: Encrypter): Promise<Libp2p & AsyncDisposable> {
  const libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [encrypter],
    streamMuxers: [yamux()],
  })
  return Object.assign(libp2p, { [Symbol.asyncDispose]: async () => libp2p.stop() })
}

/** Resolves with the digest of `length` bytes of a stream. */
function digestOf(stream: Stream, length: number): Promise<string> {
  const hash = createHash('sha256')
  let left = length
  return new Promise((resolve, reject) => {
    const take = (bytes: Uint8Array) => {
      hash.update(bytes)
      left -= bytes.length
    }
    stream.addEventListener('message', ({ data }) => {
      for (const piece of data instanceof Uint8Array ? [data] : data) take(piece)
      if (left === 0) resolve(hash.digest('hex'))
    })
    stream.addEventListener('close', ({ error }) => reject(error ?? new Error('closed')))
  })
}

test('it speaks with the stock channel, both ways and with itself', async () => {
  const total = SIZES.reduce((sum, size) => sum + size, 0)
  const pairs: [Encrypter, Encrypter][] = [
    [secureChannel, stock],
    [stock, secureChannel],
    [secureChannel, secureChannel],
  ]
  for (const [dialer, listener] of pairs) {
    await using a = await peer(dialer)
    await using b = await peer(listener)
    const arrived = Promise.withResolvers<string>()
    await b.handle(PROTOCOL, stream => void digestOf(stream, total).then(arrived.resolve, arrived.reject))
    const stream = await a.dialProtocol(b.getMultiaddrs(), PROTOCOL)
    const hash = createHash('sha256')
    for (const size of SIZES) {
      const bytes = randomBytes(size)
      hash.update(bytes)
      stream.send(bytes)
    }
    assert.is(await arrived.promise, hash.digest('hex'))
  }
})

test('waiting for the next frame makes no error, as it does with the stock channel', async () => {
  const made: number[] = []
  for (const encrypter of [stock, secureChannel]) {
    await using a = await peer(encrypter)
    await using b = await peer(encrypter)
    const arrived = Promise.withResolvers<string>()
    await b.handle(PROTOCOL, stream => void digestOf(stream, 1_200).then(arrived.resolve, arrived.reject))
    const stream = await a.dialProtocol(b.getMultiaddrs(), PROTOCOL)
    using errors = rangeErrors()
    stream.send(new Uint8Array(1_200))
    await arrived.promise
    made.push(errors.made)
  }
  const [byStock, here] = made as [number, number]
  assert.ok(byStock > 0, 'else the channel has nothing to mend any more')
  assert.is(here, 0)
})

/** Counts the range errors that are made anywhere. */
function rangeErrors() {
  const { RangeError: real } = globalThis
  const counted = {
    made: 0,
    [Symbol.dispose]: () => {
      globalThis.RangeError = real
    },
  }
  globalThis.RangeError = new Proxy(real, {
    apply: (of, _, args) => {
      counted.made++
      return of(...args)
    },
    construct: (of, args) => {
      counted.made++
      return new of(...args)
    },
  })
  return counted
}

test('a changed byte on the wire ends the connection', async () => {
  await using a = await peer(secureChannel)
  await using b = await peer(secureChannel)
  const received: number[] = []
  await b.handle(PROTOCOL, stream => {
    stream.addEventListener('message', ({ data }) => void received.push(data.byteLength))
  })
  using between = await tamperingProxy(b.getMultiaddrs()[0]!.toString())
  const stream = await a.dialProtocol(multiaddr(between.address), PROTOCOL)
  const closed = new Promise(resolve => stream.addEventListener('close', resolve))
  between.tamper()
  stream.send(new Uint8Array(1_000))
  await closed
  assert.equal(received, [])
})

/** Passes bytes on, and from `tamper` on changes the last bit of each piece from the dialer. */
async function tamperingProxy(to: string) {
  const { connect } = await import('node:net')
  const [, , host, , port, , id] = to.split('/') as [string, string, string, string, string, string, string]
  const sockets: Socket[] = []
  let change = 0
  const server = createServer(inbound => {
    const outbound = connect(Number(port), host)
    sockets.push(inbound, outbound)
    for (const socket of [inbound, outbound]) socket.on('error', () => {})
    inbound.on('data', bytes => {
      bytes[bytes.length - 1]! ^= change
      outbound.write(bytes)
    })
    outbound.on('data', bytes => inbound.write(bytes))
    inbound.on('close', () => outbound.destroy())
    outbound.on('close', () => inbound.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}/p2p/${id}`,
    tamper: () => {
      change = 1
    },
    [Symbol.dispose]: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test.run()
