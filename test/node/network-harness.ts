/** Networks over loopback for tests: everything that happens to one is noted in arrays. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Network, type NetworkOptions, openNetwork } from '../../node/network.ts'

export interface TestNetwork extends AsyncDisposable {
  network: Network
  peerId: string
  admitted: Set<string>
  messages: { peerId: string; text: string }[]
  events: string[]
}

const LOOPBACK = '/ip4/127.0.0.1/tcp/0'

export async function open(seed: number, options: Partial<NetworkOptions> = {}): Promise<TestNetwork> {
  const admitted = new Set<string>()
  const messages: TestNetwork['messages'] = []
  const events: string[] = []
  const network = await openNetwork({
    seed: new Uint8Array(32).fill(seed),
    listen: [LOOPBACK],
    admitted: peerId => admitted.has(peerId),
    onMessage: (peerId, bytes) => void messages.push({ peerId, text: Buffer.from(bytes).toString() }),
    onHello: async (_peerId, bytes) => Buffer.concat([Buffer.from('you said '), bytes]),
    onBulk: async function* () {},
    onConnected: () => void events.push('connected'),
    onDisconnected: () => void events.push('disconnected'),
    ...options,
  })
  return {
    network,
    peerId: network.peerId,
    admitted,
    messages,
    events,
    [Symbol.asyncDispose]: () => network.stop(),
  }
}

/** Both admit each other and know each other's addresses. */
export function introduce(a: TestNetwork, b: TestNetwork): void {
  a.admitted.add(b.peerId)
  b.admitted.add(a.peerId)
  a.network.learn(b.peerId, b.network.addresses())
  b.network.learn(a.peerId, a.network.addresses())
}

export async function until(condition: () => boolean, what: string, withinMs = 8_000): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

export const never: AbortSignal = new AbortController().signal
