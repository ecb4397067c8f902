/** What a run is asked for: its figures, by name, and in words what would give way first. */
import type { Activity } from './activity.ts'
import type { LookupFigures } from './lookups.ts'
import { type Load, loadOf, type Spread, spreadOf } from './measures.ts'
import { meter, type Signatures } from './meter.ts'
import { WORK } from './profile.ts'
import type { World } from './world.ts'

const S_US = 1_000_000
const MINUTES_AN_HOUR = 60

export interface Answers {
  schema: 'waybill.sim/1'
  nodes: number
  minutes: number
  topology: string
  workload: string
  seed: number
  signatures: Signatures
  /** What has to be known to believe it. */
  said: string[]
  traceHash: string
  violations: string[]
  /** Of the machine that simulates, set-up left out: messages through the codec, inputs to `step`. */
  messagesPerSecond: number
  eventsPerSecond: number
  messages: number
  events: number
  setupMs: number
  wallMs: number
  peakRssBytes: number
  /** Of the mesh, a second of its own time. */
  packetsPerSecond: number
  agreementsPerSecond: number
  handoversPerSecond: number
  /** What was asked for and refused, and what was begun a minute before the end and is not over. */
  refused: number
  late: number
  bytesPerNode: Load
  messagesPerNode: Load
  /** By what was done, ms. */
  latencyMs: Record<string, Spread | null>
  /** From the signature of a head to a quorum of cosignatures, ms. */
  headFinalMs: Spread | null
  /** From two heads that contradict each other to the first node that has the proof, and to all that can; ms. */
  forkDetectionMs: { first: number; all: number } | null
  lookups: Omit<LookupFigures, 'traceHash'> | null
  /** Bytes of the store, by participant and hour. */
  storageGrowth: Load
  bottleneck: { name: string; share: number }
  /** How the CPU was spent, in parts of one. */
  work: Record<string, number>
}

/** Kinds of latency that have a place of their own. */
const APART = 'head final'

export interface Run {
  world: World
  activity: Activity
  minutes: number
  storedBefore: Float64Array
  /** Messages and inputs of setting up. */
  before: { messages: number; inputs: number }
  runMs: number
}

/** The part of the answers that the world gives. */
export function figuresOf({ world, minutes, storedBefore, before, runMs }: Run) {
  const { cluster, watch, acts, nodes, partners } = world
  const seconds = Math.max(1, (minutes * 60 * S_US) / S_US)
  const smallest = partners.reduce((least, each, i) => (each.length < partners[least]!.length ? i : least), 0)
  const traffic = nodes.map(({ index }) => cluster.network.traffic(index))
  const messages = cluster.messages - before.messages
  const events = cluster.inputs - before.inputs
  const stored = storedBytes(world)
  const hours = minutes / MINUTES_AN_HOUR
  return {
    messagesPerSecond: perSecond(messages, runMs),
    eventsPerSecond: perSecond(events, runMs),
    messages,
    events,
    packetsPerSecond: rounded(acts.done.packets / seconds),
    agreementsPerSecond: rounded(acts.done.agreements / seconds),
    handoversPerSecond: rounded(acts.done.handovers / seconds),
    refused: acts.done.refused,
    late: world.late,
    bytesPerNode: loadOf(
      traffic.map(each => each.sentBytes + each.gotBytes),
      smallest,
    ),
    messagesPerNode: loadOf(
      traffic.map(each => each.sentMessages + each.gotMessages),
      smallest,
    ),
    latencyMs: Object.fromEntries(
      watch.kinds.filter(kind => kind !== APART).map(kind => [kind, spreadOf(watch.times(kind))]),
    ),
    headFinalMs: spreadOf(watch.times(APART)),
    storageGrowth: loadOf(
      stored.map((bytes, i) => (bytes - storedBefore[i]!) / hours),
      smallest,
    ),
    forkDetectionMs: detectionOf(acts.found),
    bottleneck: bottleneckOf(world),
    work: workOf(),
  }
}

/** The medians over the logs that were forked. */
function detectionOf(found: ReadonlyMap<string, number[]>): Answers['forkDetectionMs'] {
  const times = [...found.values()].filter(({ length }) => length > 0)
  const median = (of: (each: number[]) => number) => spreadOf(times.map(of))!.p50
  if (times.length === 0) return null
  return { first: median(each => Math.min(...each)), all: median(each => Math.max(...each)) }
}

const perSecond = (count: number, ms: number): number => (ms > 0 ? Math.round((count * 1_000) / ms) : 0)
const rounded = (value: number): number => Math.round(value * 1e6) / 1e6

/** Keys and values on the disk of each node, bytes. */
export function storedBytes({ nodes }: World): Float64Array {
  return Float64Array.from(nodes, ({ disk }) => disk.bytes)
}

function workOf(): Record<string, number> {
  const all = meter.spentUs.reduce((sum, us) => sum + us, 0)
  return Object.fromEntries(WORK.map((work, i) => [work, all > 0 ? rounded(meter.spentUs[i]! / all) : 0]))
}

/** What was busy for the largest share of the time: the CPU, the disk or the access of some participant. */
function bottleneckOf({ nodes, cluster, ranUs }: World): { name: string; share: number } {
  let worst = { name: 'nothing', share: 0 }
  const look = (what: string, busyUs: number) => {
    const share = rounded(busyUs / Math.max(1, ranUs))
    if (share > worst.share) worst = { name: what, share }
  }
  const work = Object.entries(workOf()).sort(([, a], [, b]) => b - a)[0]
  const mostly = work ? `, mostly ${work[0]}` : ''
  for (const node of nodes) {
    look(`CPU of ${node.name}${mostly}`, node.worker?.spentUs ?? 0)
    look(`disk of ${node.name}`, node.written.us)
    look(`access line of ${node.name}`, cluster.network.traffic(node.index).upUs)
  }
  for (const [i, { spentUs, cores }] of cluster.hosts.entries())
    look(`CPU of host ${i}${mostly}`, spentUs / cores)
  return worst
}
