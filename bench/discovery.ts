/**
 * The simulator's walks beside those of a real network: nodes with @libp2p/kad-dht in this process, and the model with the
 * tables and connections that they have when a walk begins. What a message and a connection cost is taken from the smallest
 * network and used for all others.
 */
import { randomBytes } from 'node:crypto'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { type KadDHT, kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { memory } from '@libp2p/memory'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p, type Libp2p } from 'libp2p'
import { sha256 } from '../crypto/hash.ts'
import { Discovery } from '../sim/discovery.ts'
import { inOrder, type Key, placeOf } from '../sim/places.ts'
import { Prng } from '../sim/prng.ts'
import { type Figure, figure, median, type Result } from './harness.ts'

const WALKS = 30
/** Others that a node dials when it joins, and walks that it makes to fill its table. */
const DIALS = 3
const FIRST_WALKS = 2
/** With more connections than sockets can be open, each with two, nodes speak through the memory of the process. */
const MOST_SOCKETS = 12_000
/** Walks at a time while tables are filled. */
const AT_A_TIME = 4
const HOUR_MS = 3_600_000

/** One side's walk, as both tell of it. */
interface Told {
  questions: number
  hops: number
  /** Of the 20 nearest that there are, those that were found, in parts of one. */
  found: number
  ms: number
}

/** Networks of these sizes; each ratio is the model's median by the real one. */
export async function discovery(sizes: number[]): Promise<Result> {
  const figures: Record<string, Figure> = {}
  const ratios: Record<string, number> = {}
  let costs: { serveUs: number; dialUs: number } | undefined
  for (const size of sizes) {
    const network = await Network.start(size)
    try {
      const keys = Array.from({ length: WALKS }, () => randomBytes(32))
      const real: Told[] = []
      const before: Snapshot[] = []
      for (const [i, key] of keys.entries()) {
        before.push(network.snapshot())
        real.push(await network.walk(i % size, key))
      }
      const options = { nodes: size, seed: 1, hosts: 1, delayUs: () => 0 }
      const model = (costs: { serveUs: number; dialUs: number }) =>
        keys.map((key, i) => walked({ ...options, ...costs, real: before[i]! }, i % size, key))
      // All of the smallest are connected by then.
      const serveUs = () =>
        (median(real.map(({ ms }) => ms)) /
          median(model({ serveUs: 1_000, dialUs: 0 }).map(({ ms }) => ms))) *
        1_000
      costs ??= { serveUs: serveUs(), dialUs: network.dialUs }
      const told = { real, model: model(costs) }
      figures[`connection at ${size}, both ends`] = figure([(2 * network.dialUs) / 1_000], 'ms')
      figures[`connections of a walk at ${size}`] = figure(
        before.map(({ connected }, i) => size - 1 - connected[i % size]!.size),
        'not there',
      )
      for (const [what, unit] of [
        ['questions', ''],
        ['hops', ''],
        ['found', ''],
        ['ms', 'ms'],
      ] as const) {
        for (const side of ['real', 'model'] as const)
          figures[`${what} at ${size}, ${side}`] = figure(
            told[side].map(each => each[what]),
            unit,
          )
        const mean = (all: Told[]) => all.reduce((sum, each) => sum + each[what], 0) / all.length
        ratios[`${what} at ${size}, model/real`] = mean(told.model) / mean(real)
      }
    } finally {
      await network.stop()
    }
  }
  return { figures, ratios }
}

type Options = ConstructorParameters<typeof Discovery>[0]

/** The same walk in the model, with the tables that the real one began with. */
function walked(options: Options, from: number, bytes: Uint8Array): Told {
  const discovery = new Discovery(options)
  const key = placeOf(sha256(bytes))
  let told: Told | undefined
  discovery.at(0, () =>
    discovery.find(from, key, ({ nearest, questions, hops, us }) => {
      told = { questions, hops, found: shared(nearest, discovery.trulyNearest(key)), ms: us / 1_000 }
    }),
  )
  discovery.run()
  return told!
}

const shared = (found: number[], nearest: number[]): number =>
  nearest.filter(node => found.includes(node)).length / nearest.length

type Snapshot = NonNullable<Options['real']>

interface Node {
  libp2p: Libp2p<{ dht: KadDHT }>
  place: Key
}

class Network {
  /** In the order of their places, as in the model. */
  readonly #nodes: Node[]
  readonly #indexes: Map<string, number>
  /** What a connection took at each end while the network began, us. */
  readonly dialUs: number

  private constructor(nodes: Node[], dialUs: number) {
    this.#nodes = nodes
    this.dialUs = dialUs
    this.#indexes = new Map(nodes.map(({ libp2p }, i) => [libp2p.peerId.toString(), i]))
  }

  static async start(size: number): Promise<Network> {
    const prng = new Prng(size, 'network')
    const nodes: Node[] = []
    const dialsMs: number[] = []
    for (let i = 0; i < size; i++) {
      const libp2p = await started(size, i)
      for (let dial = 0; dial < Math.min(DIALS, i); dial++) {
        const began = performance.now()
        await libp2p.dial(prng.pick(nodes).libp2p.getMultiaddrs())
        dialsMs.push(performance.now() - began)
      }
      nodes.push({ libp2p, place: placeOf(sha256(libp2p.peerId.toMultihash().bytes)) })
    }
    const dialUs = (median(dialsMs) / 2) * 1_000
    const network = new Network(
      nodes.sort((a, b) => inOrder(a.place, b.place)),
      dialUs,
    )
    const walks = Array.from({ length: FIRST_WALKS * size }, (_, i) => i % size)
    await Promise.all(
      Array.from({ length: AT_A_TIME }, async () => {
        for (let node = walks.pop(); node !== undefined; node = walks.pop())
          await network.walk(node, randomBytes(32))
      }),
    )
    return network
  }

  /** A walk as its events tell of it: who named whom says how many answers it took. */
  async walk(from: number, key: Uint8Array): Promise<Told> {
    const hops = new Map<string, number>()
    const nearest: string[] = []
    let questions = 0
    const start = performance.now()
    for await (const event of this.#nodes[from]!.libp2p.services.dht.getClosestPeers(key)) {
      if (event.name === 'SEND_QUERY') questions++
      // Whom nobody had named when the way to it was taken stood in the own table.
      else if (event.name === 'DIAL_PEER')
        hops.set(event.peer.toString(), hops.get(event.peer.toString()) ?? 1)
      else if (event.name === 'PEER_RESPONSE') {
        const hop = hops.get(event.from.toString())!
        for (const { id } of event.closer) if (!hops.has(id.toString())) hops.set(id.toString(), hop + 1)
      } else if (event.name === 'FINAL_PEER') nearest.push(event.peer.id.toString())
    }
    const ms = performance.now() - start
    const found = nearest.map(id => this.#indexes.get(id)!)
    return {
      questions,
      hops: nearest.reduce((most, id) => Math.max(most, hops.get(id) ?? 1), 0),
      found: shared(found, this.#nearest(placeOf(sha256(key)))),
      ms,
    }
  }

  /** Places, tables and connections as they are now. */
  snapshot(): Snapshot {
    const known = this.#nodes.map(({ libp2p }) => {
      const { kb } = (libp2p.services.dht as unknown as { routingTable: Table }).routingTable
      return [...kb.toIterable()].map(({ peerId }) => this.#indexes.get(peerId.toString())!)
    })
    const connected = this.#nodes.map(
      ({ libp2p }) => new Set(libp2p.getPeers().map(peer => this.#indexes.get(peer.toString())!)),
    )
    return { places: this.#nodes.map(({ place }) => place), known, connected }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#nodes.map(({ libp2p }) => libp2p.stop()))
  }

  #nearest(key: Key): number[] {
    const places = this.#nodes.map(({ place }) => place)
    const options = { nodes: places.length, seed: 1, delayUs: () => 0, serveUs: 0, dialUs: 0 }
    return new Discovery({ ...options, real: { places, known: [], connected: [] } }).trulyNearest(key)
  }
}

/** The part of a routing table that tells who is in it. */
interface Table {
  kb: { toIterable(): Iterable<{ peerId: { toString(): string } }> }
}

export function started(size: number, index: number): Promise<Libp2p<{ dht: KadDHT }>> {
  const hasSockets = size * (size - 1) <= MOST_SOCKETS
  return createLibp2p({
    addresses: { listen: [hasSockets ? '/ip4/127.0.0.1/tcp/0' : `/memory/${index}`] },
    transports: [hasSockets ? tcp() : memory()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    connectionManager: { inboundConnectionThreshold: 1_000, maxIncomingPendingConnections: 1_000 },
    // A ping on each of thousands of connections every ten seconds takes more than all walks.
    connectionMonitor: { enabled: false },
    services: {
      identify: identify(),
      ping: ping(),
      dht: kadDHT({
        clientMode: false,
        peerInfoMapper: passthroughMapper,
        // What it does by itself would stand in the figures.
        initialQuerySelfInterval: HOUR_MS,
        querySelfInterval: HOUR_MS,
        allowQueryWithZeroPeers: true,
      }),
    },
  })
}
