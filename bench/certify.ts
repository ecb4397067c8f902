/** What the owner and the buyer of the benchmark of ownership do, each in a process of its own. */
import { type CID, parseCid } from '../crypto/cid.ts'
import type { Node } from '../node/daemon.ts'
import type { Event } from '../protocol/event.ts'
import { decodeState } from '../protocol/machine.ts'
import { type Ordering, orderIn } from '../protocol/ordering-state.ts'

export interface CertifyOrder {
  do: 'certify'
  /** Registers new assets with this committee, or hands those that were registered first over to `to`. */
  committee: string
  to?: string
  count: number
  inFlight: number
}

/** Assets that this process has registered and not handed over yet. */
const registered: CID[] = []
let named = 0

/** Orders from the command to the certificate at their owner, durable at every seat that voted; the time of each. */
export async function certify(
  node: Node,
  { committee, to, count, inFlight }: CertifyOrder,
): Promise<{ ms: number; each: number[] }> {
  const waiting = new Map<string, () => void>()
  const listener = (event: Event) => {
    if (event.type === 'order' && event.state === 'CERTIFIED') waiting.get(event.machine)?.()
  }
  node.driver.on('event', listener)
  const assets = to ? registered.splice(0, count) : await published(node, count, parseCid(committee))
  const each: number[] = []
  const caller = async () => {
    for (let asset = assets.pop(); asset; asset = assets.pop()) {
      const start = performance.now()
      const { machine } = (await node.driver.submit(
        to ? handOver(asset, parseCid(to)) : register(asset, parseCid(committee)),
      )) as { machine: string }
      const isDone = () => decodeState<Ordering>(node.store.get(machine)!).state === 'CERTIFIED'
      await new Promise<void>(resolve => {
        waiting.set(machine, resolve)
        if (isDone()) resolve()
      })
      waiting.delete(machine)
      each.push(performance.now() - start)
      if (!to) registered.push(asset)
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: inFlight }, caller))
  node.driver.off('event', listener)
  return { ms: performance.now() - start, each }
}

const register = (asset: CID, committee: CID) =>
  ({
    type: 'register',
    asset,
    committee,
    ref: `asset ${named++}`,
    content: new Uint8Array(32),
    title: 'made',
  }) as const

/** Of the asset alone: with keys and blocks a transfer of its packets would begin with each certificate. */
const handOver = (asset: CID, to: CID) =>
  ({
    type: 'hand-over',
    asset,
    to,
    passes: { agreements: true, duties: true, keys: false, blocks: false },
  }) as const

async function published(node: Node, count: number, committee: CID): Promise<CID[]> {
  const assets: CID[] = []
  for (let i = 0; i < count; i++) {
    const about = { title: 'bench', domain: 'x', level: 'general', committee } as const
    const made = await node.driver.submit({ type: 'publish', ...about, packets: [] })
    assets.push((made as { asset: CID }).asset)
  }
  return assets
}

/** A buyer that takes whatever it is offered. */
export function takeAll(node: Node): object {
  node.driver.on('event', event => {
    if (event.type !== 'order' || event.waitsFor !== 'person') return
    const { id } = orderIn(decodeState<Ordering>(node.store.get(event.machine)!))
    void node.driver.submit({ type: 'take-over', order: id, certified: [], mode: 'byzantine' })
  })
  return {}
}
