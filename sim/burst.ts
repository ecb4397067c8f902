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
import { type Profile, WORK, type Work as WorkName } from './profile.ts'
import { World } from './world.ts'

const S_US = 1_000_000
const HOUR_MS = 3_600_000
/** A phase that takes longer does not end. */
const MOST_US = 3_600 * S_US
/** How exactly the beginning of a window is known. */
const STEP_US = 1_000
/** Afterwards nothing is done but to gather proofs. */
const REST_S = 60

/** As in bench/real.ts: when each hand has done so many, a window of time begins in which it counts. */
export interface Span {
  warm: number
  ms: number
}
export const KINDS = ['publish', 'negotiation', 'transfer'] as const
export type Kind = (typeof KINDS)[number]

export interface BurstOptions {
  nodes: number
  load: Record<Kind, Span>
  /** What there is to fetch while the window is open, for all together. */
  stock: number
  /** Nothing is done after this kind. */
  last?: Kind
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
  /** For each that was done, how often there was work of a kind. */
  turns: Partial<Record<WorkName, number>>
}
export interface Burst extends Record<Kind, Predicted> {
  /** CPU of both sides for the proofs of a delivery that one side gathers. */
  proofMs: number
}

interface Hand {
  node: SimNode
  next: SimNode
  cargo: Cargo
  assets: CID[]
  /** Of the next one, as they were seen. */
  offers: CID[]
  turn: number
  agreements: CID[]
  /** Is told of each event of the node. */
  on: (event: Event) => void
}

export function burst({ nodes, load, stock, last, bytes, seed, profile }: BurstOptions): Burst {
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
    return {
      node,
      next,
      cargo: cluster.bulk(node) as Cargo,
      assets: [],
      offers: [],
      turn: 0,
      agreements: [],
      on: () => {},
    }
  })
  cluster.checkers.push({ event: (node, event) => hands[node.index]!.on(event) })
  settle(cluster, 60)
  const none: Predicted = { perSecond: 0, p50Ms: 0, p95Ms: 0, cpuMs: 0, turns: {} }
  const found: Burst = { publish: none, negotiation: none, transfer: none, proofMs: 0 }
  const timed = (kind: Kind, work: Turn) => {
    meter.charging = true
    found[kind] = phase(cluster, hands, load[kind], work)
    meter.charging = false
    return kind === last
  }
  if (timed('publish', hand => done => publishOne(hand, bytes, done))) return found
  settle(cluster, 20)
  const most = load.transfer.warm + Math.ceil(stock / nodes)
  const untimed = (work: Turn, count: (hand: Hand) => number) =>
    phase(cluster, hands, { warm: 0, ms: 0 }, hand => (count(hand) < most ? work(hand) : undefined))
  untimed(
    hand => done => publishOne(hand, bytes, done),
    hand => hand.assets.length,
  )
  for (const hand of hands) offer(hand)
  settle(cluster, 20)
  readCatalogs(cluster, hands)
  if (timed('negotiation', negotiating)) return found
  settle(cluster, 20)
  for (const hand of hands) hand.agreements.length = 0
  untimed(negotiating, hand => hand.agreements.length)
  timed('transfer', hand => {
    const agreement = hand.agreements.shift()
    return agreement && (done => fetch(hand, agreement, done))
  })
  const left = () => hands.reduce((sum, { cargo }) => sum + cargo.unproven, 0)
  meter.charging = true
  const [before, spentUs] = [left(), cluster.hosts[0]!.spentUs]
  settle(cluster, REST_S)
  meter.charging = false
  found.proofMs = (cluster.hosts[0]!.spentUs - spentUs) / 1_000 / Math.max(1, before - left())
  return found
}

const settle = (cluster: Cluster, seconds: number): void =>
  cluster.run(cluster.timeline.nowUs + seconds * S_US)

/** The next thing that a hand does, if there is any left. */
type Turn = (hand: Hand) => ((done: () => void) => void) | undefined

/** Every hand does one thing after the other, all hands at the same time; what ends in the window counts, which is over early where one has nothing left to do. */
function phase(cluster: Cluster, hands: Hand[], { warm, ms }: Span, next: Turn): Predicted {
  const { timeline } = cluster
  const now = () => timeline.nowUs + meter.us
  const times: number[] = []
  const done = hands.map(() => 0)
  const busy = new Set<Hand>()
  let [isOpen, isOver] = [false, false]
  const begin = (hand: Hand) => {
    const work = isOver ? undefined : next(hand)
    if (!work) {
      busy.delete(hand)
      return
    }
    const began = now()
    work(() => {
      done[hand.node.index]!++
      if (isOpen) times.push(now() - began)
      timeline.at(now(), () => begin(hand))
    })
  }
  const until = (isIt: () => boolean, stepUs: number) => {
    const endUs = timeline.nowUs + MOST_US
    while (!isIt()) {
      if (cluster.violation) throw new Error(cluster.violation)
      if (timeline.nowUs > endUs) throw new Error('it does not end')
      cluster.run(timeline.nowUs + stepUs)
    }
  }
  for (const hand of hands) {
    busy.add(hand)
    timeline.after(0, () => begin(hand))
  }
  if (ms > 0) {
    until(() => done.every(count => count >= warm), STEP_US)
    meter.reset()
    isOpen = true
  }
  const spentUs = cluster.hosts[0]!.spentUs
  const openUs = timeline.nowUs
  const isShort = () => busy.size < hands.length
  if (ms > 0) until(() => isShort() || timeline.nowUs >= openUs + ms * 1_000, STEP_US)
  const tookUs = timeline.nowUs - openUs
  const cpuMs = (cluster.hosts[0]!.spentUs - spentUs) / 1_000
  isOpen = false
  const turns = Object.fromEntries(WORK.map((work, i) => [work, meter.times[i]! / times.length]))
  isOver = ms > 0
  until(() => busy.size === 0, S_US)
  const spread = spreadOf(times)
  return {
    perSecond: ms > 0 ? (times.length * S_US) / tookUs : 0,
    p50Ms: spread?.p50 ?? 0,
    p95Ms: spread?.p95 ?? 0,
    cpuMs: cpuMs / times.length,
    turns,
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

function readCatalogs(cluster: Cluster, hands: Hand[]): void {
  for (let tries = 0; tries < 100; tries++) {
    const behind = hands.filter((hand, i) => {
      hand.offers = offersSeen(hand)
      return hand.offers.length < hands[(i + 1) % hands.length]!.assets.length
    })
    if (behind.length === 0) return
    for (const { node, next } of behind) node.submit({ type: 'catalog', org: next.org })
    settle(cluster, 10)
  }
  throw new Error('the offers are not seen')
}

/** Once for each offer, then again from the first. */
const negotiating: Turn = hand => {
  const offer = hand.offers[hand.turn++ % hand.offers.length]!
  return done => negotiate(hand, offer, done)
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
