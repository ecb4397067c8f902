/**
 * The other process of a benchmark: a node on a home of its own, or one end of a stock libp2p stream. It is told over IPC
 * what to do, and answers with how long it took.
 */
import { once } from 'node:events'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import type { Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const RAW = '/waybill-bench/raw/1'
const ECHO = '/waybill-bench/echo/1'
const CHUNK_BYTES = 65_536

/** Stock settings: what anybody gets from libp2p's own documentation. */
const libp2p = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
})
const received = { bytes: 0, wanted: 0, done: () => {} }
await libp2p.handle(RAW, stream => {
  stream.addEventListener('message', ({ data }) => {
    received.bytes += data.byteLength
    if (received.bytes >= received.wanted) {
      stream.send(new Uint8Array(1))
      received.bytes = 0
    }
  })
})
await libp2p.handle(ECHO, stream => {
  stream.addEventListener('message', ({ data }) => {
    stream.send(data)
  })
})

type Order =
  | { do: 'expect'; bytes: number }
  | { do: 'send'; to: string; bytes: number }
  | { do: 'echo'; to: string; count: number; inFlight: number }

process.on('message', async (order: Order) => {
  if (order.do === 'expect') {
    received.wanted = order.bytes
    process.send!({ ok: true })
  } else if (order.do === 'send') process.send!({ ms: await send(order.to, order.bytes) })
  else process.send!({ ms: await echo(order.to, order.count, order.inFlight) })
})
process.on('disconnect', () => process.exit())
process.send!({ addresses: libp2p.getMultiaddrs().map(String) })

async function send(to: string, bytes: number): Promise<number> {
  const stream = await libp2p.dialProtocol(multiaddr(to), RAW)
  const chunk = new Uint8Array(CHUNK_BYTES).fill(7)
  const answer = once(stream, 'message')
  const start = performance.now()
  for (let sent = 0; sent < bytes; sent += chunk.length) if (!stream.send(chunk)) await drained(stream)
  await answer
  const ms = performance.now() - start
  await stream.close()
  return ms
}

/** Empty requests on one stream: each answer of one byte sends the next request. */
async function echo(to: string, count: number, inFlight: number): Promise<number> {
  const stream = await libp2p.dialProtocol(multiaddr(to), ECHO)
  const { promise, resolve } = Promise.withResolvers<void>()
  let [sent, answered] = [0, 0]
  stream.addEventListener('message', ({ data }) => {
    answered += data.byteLength
    for (let i = 0; i < data.byteLength && sent < count; i++, sent++) stream.send(new Uint8Array(1))
    if (answered >= count) resolve()
  })
  const start = performance.now()
  for (; sent < inFlight; sent++) stream.send(new Uint8Array(1))
  await promise
  const ms = performance.now() - start
  await stream.close()
  return ms
}

/** libp2p's own `onDrain` works once a stream; its event does not have that fault. */
async function drained(stream: Stream): Promise<void> {
  await once(stream, 'drain')
}
