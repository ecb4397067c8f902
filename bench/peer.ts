/** A node in a process of its own for a benchmark: its local API, and negotiations by the thousand over IPC. */
import { parseCid } from '../crypto/cid.ts'
import { fitHeapToBulk } from '../node/heap.ts'
import type { Event } from '../protocol/event.ts'
import { type CertifyOrder, certify, takeAll } from './certify.ts'
import type { Errand } from './errands.ts'

fitHeapToBulk() // as `up` does
const { initHome, Node } = await import('../node/daemon.ts')
const { isErrand, run } = await import('./errands.ts')

const [home, name] = process.argv.slice(2) as [string, string]
await using undo = new AsyncDisposableStack()
await initHome(home, { name, listen: ['/ip4/127.0.0.1/tcp/0'], apiPort: 0 })
const node = await Node.open(home, { logLevel: process.env.BENCH_LOG ?? 'silent' }, undo)
node.onStop = error => {
  console.error('the node stopped:', error)
  process.exit(1)
}
await node.start()

interface Order {
  org: string
  offer: string
  action: string
  purpose: string
  count: number
  inFlight: number
}

process.on('message', async (order: Order | CertifyOrder | Errand | { do: 'take-all' }) => {
  if (!('do' in order)) process.send!(await negotiate(order))
  else if (isErrand(order)) process.send!(await run(node, order))
  else if (order.do === 'take-all') process.send!(takeAll(node))
  else process.send!(await certify(node, order))
})
process.send!({ url: node.apiUrl })
const { promise: over, resolve: end } = Promise.withResolvers<void>()
process.on('disconnect', end)
await over

/** Full negotiations, signed by both and durable at both; the time of each from the request to FINALIZED. */
async function negotiate({
  org,
  offer,
  action,
  purpose,
  count,
  inFlight,
}: Order): Promise<{ ms: number; each: number[] }> {
  const request = { type: 'request', org, offer: parseCid(offer), action, purpose } as const
  const waiting = new Map<string, () => void>()
  const listener = (event: Event) => {
    if (event.type === 'negotiation' && event.state === 'FINALIZED') waiting.get(event.machine)?.()
  }
  node.driver.on('event', listener)
  const each: number[] = []
  let begun = 0
  const caller = async () => {
    while (begun++ < count) {
      const start = performance.now()
      const { machine } = (await node.driver.submit(request)) as { machine: string }
      await new Promise<void>(resolve => waiting.set(machine, resolve))
      waiting.delete(machine)
      each.push(performance.now() - start)
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: inFlight }, caller))
  node.driver.off('event', listener)
  return { ms: performance.now() - start, each }
}
