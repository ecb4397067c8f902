/**
 * The work that bench/real.ts gives to daemons on one machine, given to a world of as many on one host: each publishes, puts
 * on offer, negotiates with its neighbour and fetches, one after the other and all at the same time.
 */
import type { CID } from '../crypto/cid.ts'
import { cidFromDigest } from '../crypto/cid.ts'
import type { Event } from '../protocol/event.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { PROFILE } from '../protocol/policy.ts'
import { readActivity } from './activity.ts'
import type { Cargo } from './cargo.ts'
import type { Cluster } from './cluster.ts'
import { spreadOf } from './measures.ts'
import { meter } from './meter.ts'
import type { SimNode } from './node.ts'
import type { Profile } from './profile.ts'
import { World } from './world.ts'

const S_US = 1_000_000
const HOUR_MS = 3_600_000
/** A phase that takes longer does not end. */
const MOST_US = 3_600 * S_US

export interface BurstOptions {
  nodes: number
  /** Of each node and kind. */
  count: number
  transfers: number
  bytes: number
  seed: number
  profile: Profile
}

/** As in bench/real.ts. */
export interface Predicted {
  perSecond: number
  p50Ms: number
  p95Ms: number
  cpuMs: number
}
export type Burst = Record<'publish' | 'negotiation' | 'transfer', Predicted>

interface Hand {
  node: SimNode
  next: SimNode
  cargo: Cargo
  assets: CID[]
  agreements: CID[]
  /** Is told of each event of the node. */
  on: (event: Event) => void
}

export function burst({ nodes, count, transfers, bytes, seed, profile }: BurstOptions): Burst {
  const participants = Array.from({ length: nodes }, (_, i) => ({
    name: `daemon ${i}`,
    region: 'Frankfurt' as const,
  }))
  const partners = participants.map((_, i): [number, number] => [
    Math.min(i, (i + 1) % nodes),
    Math.max(i, (i + 1) % nodes),
  ])
  const activity = readActivity('{"name":"burst"}')
  const world = new World({
    topology: { participants, partners },
    minutes: 1,
    seed,
    profile,
    signatures: 'charged',
    activity,
    hosts: 1,
    seats: 0,
  })
  const { cluster } = world
  const hands = world.nodes.map((node, i): Hand => {
    const next = world.nodes[(i + 1) % nodes]!
    return { node, next, cargo: cluster.bulk(node) as Cargo, assets: [], agreements: [], on: () => {} }
  })
  cluster.checkers.push({ event: (node, event) => hands[node.index]!.on(event) })
  settle(cluster, 60)
  const all = <T>(turns: (hand: Hand) => T[], work: (hand: Hand, turn: T, done: () => void) => void) =>
    phase(cluster, hands, turns, work)
  meter.reset()
  meter.charging = true
  const contents = () => new Array<number>(count).fill(bytes)
  const publish = all(contents, publishOne)
  meter.charging = false
  for (const hand of hands) offer(hand)
  settle(cluster, 20)
  readCatalogs(cluster, hands, count)
  meter.charging = true
  const negotiation = all(hand => offersSeen(hand), negotiate)
  const transfer = all(hand => hand.agreements.slice(0, transfers), fetch)
  meter.charging = false
  return { publish, negotiation, transfer }
}

const settle = (cluster: Cluster, seconds: number): void =>
  cluster.run(cluster.timeline.nowUs + seconds * S_US)

/** Every hand takes its turns one after the other, all hands at the same time. */
function phase<T>(
  cluster: Cluster,
  hands: Hand[],
  turns: (hand: Hand) => T[],
  work: (hand: Hand, turn: T, done: () => void) => void,
): Predicted {
  const { timeline } = cluster
  const times: number[] = []
  const now = () => timeline.nowUs + meter.us
  const [startUs, spentUs] = [timeline.nowUs, cluster.hosts[0]!.spentUs]
  let [left, endUs] = [hands.length, startUs]
  for (const hand of hands) {
    const waiting = [...turns(hand)]
    const next = () => {
      const turn = waiting.shift()
      if (turn === undefined) {
        left--
        return
      }
      const began = now()
      work(hand, turn, () => {
        endUs = Math.max(endUs, now())
        times.push(now() - began)
        timeline.at(now(), next)
      })
    }
    timeline.after(0, next)
  }
  while (left > 0 && timeline.nowUs < startUs + MOST_US && !cluster.violation)
    cluster.run(timeline.nowUs + S_US)
  if (cluster.violation) throw new Error(cluster.violation)
  if (left > 0) throw new Error(`${left} of ${hands.length} did not end`)
  const { p50, p95 } = spreadOf(times)!
  return {
    perSecond: (times.length * S_US) / (endUs - startUs),
    p50Ms: p50,
    p95Ms: p95,
    cpuMs: (cluster.hosts[0]!.spentUs - spentUs) / 1_000 / times.length,
  }
}

function publishOne({ node, cargo, assets }: Hand, bytes: number, done: () => void): void {
  cargo.publish(`${node.name} ${assets.length}`, bytes, answer => {
    if (answer?.type === 'published') assets.push(answer.asset)
    done()
  })
}

function offer({ node, assets }: Hand): void {
  const policy = { profile: PROFILE, prohibitions: [], permissions: [{ action: 'analyse', constraints: [] }] }
  const untilMs = node.now().wallMs + HOUR_MS
  for (const asset of assets)
    node.submit({ type: 'offer', asset, audience: [], policy, approval: 'policy', untilMs })
}

const offersSeen = ({ node, next }: Hand): CID[] =>
  node.store
    .list(`${KEY.seenOffers}${next.org}/`)
    .map(([key]) => cidFromDigest(Uint8Array.from(Buffer.from(key.split('/')[3]!, 'hex')), 'dag-cbor'))

function readCatalogs(cluster: Cluster, hands: Hand[], count: number): void {
  for (let tries = 0; tries < 100; tries++) {
    const behind = hands.filter(hand => offersSeen(hand).length < count)
    if (behind.length === 0) return
    for (const { node, next } of behind) node.submit({ type: 'catalog', org: next.org })
    settle(cluster, 10)
  }
  throw new Error('the offers are not seen')
}

function negotiate(hand: Hand, id: CID, done: () => void): void {
  const { node, next } = hand
  let machine: string | undefined
  hand.on = event => {
    if (event.type !== 'negotiation' || event.machine !== machine) return
    if (event.state === 'TERMINATED') throw new Error(`${machine} is TERMINATED`)
    if (event.state !== 'FINALIZED') return
    hand.agreements.push(decodeState<Negotiation>(node.store.get(machine)!).agreementId!)
    done()
  }
  node.submit(
    { type: 'request', org: next.org, offer: id, action: 'analyse', purpose: 'benchmark' },
    [],
    answer => {
      if (answer?.type === 'machine') machine = answer.machine
    },
  )
}

function fetch(hand: Hand, agreement: CID, done: () => void): void {
  const { node, next } = hand
  let machine: string | undefined
  hand.on = event => {
    if (event.type === 'transfer' && event.machine === machine && event.state === 'COMPLETED') done()
  }
  node.submit({ type: 'transfer', org: next.org, agreement }, [], answer => {
    if (answer?.type === 'machine') machine = answer.machine
  })
}
