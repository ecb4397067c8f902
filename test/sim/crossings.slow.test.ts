/** How many ways it takes until something is there, in libp2p behind a slow line and in the models of it. */
import { createServer, connect as dialTcp, type Server, type Socket } from 'node:net'
import { multiaddr } from '@multiformats/multiaddr'
import * as assert from 'uvu/assert'
import { started } from '../../bench/discovery.ts'
import * as discovery from '../../sim/discovery.ts'
import * as network from '../../sim/network.ts'
import { suite } from '../harness.ts'
import { open, until } from '../node/network-harness.ts'

const test = suite('sim/crossings')

/** One way of the line; what computers take has to stay below it. */
const ONE_WAY_MS = 300
/** The handshake of TCP is over before the line begins. */
const TCP_CROSSINGS = 2

/** A port behind which `to` is as far away as that. */
async function slowLine(to: string): Promise<{ address: string; close: () => void }> {
  const port = Number(/tcp\/(\d+)/.exec(to)![1])
  const sockets: Socket[] = []
  const server: Server = createServer(near => {
    const far = dialTcp(port, '127.0.0.1')
    sockets.push(near, far)
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', bytes => setTimeout(() => onto.writable && onto.write(bytes), ONE_WAY_MS))
      from.on('error', () => {})
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port: at } = server.address() as { port: number }
  const close = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  return { address: `/ip4/127.0.0.1/tcp/${at}`, close }
}

const crossings = (sinceMs: number): number => Math.floor((performance.now() - sinceMs) / ONE_WAY_MS)

test('the first message between two nodes, and those that follow', async () => {
  await using a = await open(1)
  await using b = await open(2)
  const line = await slowLine(b.network.addresses()[0]!)
  a.admitted.add(b.peerId)
  b.admitted.add(a.peerId)
  const send = async (count: number) => {
    const began = performance.now()
    a.network.send(b.peerId, Buffer.from('x'))
    await until(() => b.messages.length === count, 'a message')
    return crossings(began)
  }
  a.network.learn(b.peerId, [line.address])
  assert.is((await send(1)) + TCP_CROSSINGS, network.DIAL_CROSSINGS + 1)
  assert.is(await send(2), 1)
  line.close()
})

test('a connection and a question of kad-dht', async () => {
  const [a, b] = [await started(2, 0), await started(2, 1)]
  const line = await slowLine(b.getMultiaddrs()[0]!.toString())
  const dialled = performance.now()
  await a.dial(multiaddr(`${line.address}/p2p/${b.peerId}`))
  assert.is(crossings(dialled) + TCP_CROSSINGS, discovery.DIAL_CROSSINGS)
  await until(() => b.getPeers().length > 0, 'the other end')
  await new Promise(resolve => setTimeout(resolve, 10 * ONE_WAY_MS)) // they tell each other who they are
  const asked = performance.now()
  let answers = 0
  for await (const { name } of a.services.dht.getClosestPeers(new Uint8Array(32)))
    if (name === 'PEER_RESPONSE') {
      answers++
      assert.is(crossings(asked), discovery.STREAM_CROSSINGS + 2)
    }
  assert.is(answers, 1)
  line.close()
  await Promise.all([a.stop(), b.stop()])
})

test.run()
