/** One run of one seed: a time with faults, during which nothing may break, and a time without, in which all must end. */
import { isBehind } from '../protocol/behind.ts'
import { KEY } from '../protocol/layout.ts'
import { watchOver } from './checkers.ts'
import { Cluster, type Plant } from './cluster.ts'
import { faultsOf } from './faults.ts'
import type { SimNode } from './node.ts'
import { calm, drawPlan, NAMES, type Plan } from './plan.ts'
import { Prng } from './prng.ts'
import { leftOpen, mustSucceed, unfinished } from './progress.ts'
import { hasQuorum, Suspects } from './suspects.ts'
import { Workload } from './workload.ts'

const S_US = 1_000_000
/** How often people look again once all is calm, and for how long, s. */
const LOOK_S = 30
const LOOKS = 40
/** How long two copies of a home run side by side once all others reach them both, s. */
const TOGETHER_S = 60

export interface Report {
  plan: Plan
  /** What was not as the seed says. */
  changes: Partial<Plan>
  /** What must not have happened; the line that replays it is `replay`. */
  violation?: string
  traceHash: string
  inputs: number
  messages: number
  agreements: number
  deliveries: number
  entries: number
  /** Times that a node found a log to be forked. */
  closed: number
  /** Logs that were closed and went on as another. */
  succeeded: number
  /** Nodes that found their own store to be behind. */
  behind: number
  /** Agreements of the first node while no quorum of its members could be reached. */
  alone: number
  starts: number
}

export interface SimulateOptions {
  /** In place of what the seed says. */
  changes?: Partial<Plan>
  plant?: Plant
}

/** Runs a seed. */
export function simulate(seed: number, options: SimulateOptions = {}): Report {
  const { changes = {}, plant = {} } = options
  const plan = { ...drawPlan(seed), ...changes }
  const { weather, times, pad } = plan
  const cluster = new Cluster({ seed, weather, times, pad, plant })
  for (const name of NAMES.slice(0, plan.nodes)) cluster.add(name).sits = plan.seated
  const suspects = new Suspects(plan.isControl)
  watchOver(cluster, suspects)
  const workload = new Workload(cluster, plan)
  const tally = tallyOf(cluster)
  const faults = faultsOf(cluster, plan, suspects)
  for (const node of cluster.nodes) node.start()
  workload.begin()
  faults.begin()
  cluster.run(plan.faultyS * S_US)
  faults.end()
  cluster.network.weather = calm(weather)
  if (plan.twin !== 'none') {
    cluster.run(cluster.timeline.nowUs + TOGETHER_S * S_US)
    leaveOne(cluster, new Prng(seed, 'copies'))
  }
  workload.closing = true
  for (const org of suspects.putBack) workload.outgrow(org)
  people(cluster, workload)
  judge(cluster, () => leftOpen(cluster, suspects))
  tally.behind = cluster.nodes.filter(({ onDisk }) => isBehind(onDisk)).length
  const closed = cluster.violation ? [] : cluster.nodes.filter(mustSucceed)
  for (const node of closed) node.succeed()
  if (closed.length > 0) people(cluster, workload)
  cluster.run((plan.faultyS + plan.calmS) * S_US)
  judge(cluster, () => unfinished(cluster, suspects))
  return report(cluster, plan, changes, tally)
}

/** All is calm, and people look again until what they began is done. */
function people(cluster: Cluster, workload: Workload): void {
  for (let look = 0; look < LOOKS && !cluster.violation; look++) {
    workload.look()
    cluster.run(cluster.timeline.nowUs + LOOK_S * S_US)
  }
}

/** The operator finds that a home runs twice, and stops one of the two. */
function leaveOne(cluster: Cluster, prng: Prng): void {
  const [{ org }] = cluster.nodes as [SimNode]
  const copies = cluster.copies(org)
  if (copies.length > 1) cluster.retire(prng.pick(copies))
}

function judge(cluster: Cluster, faults: () => string[]): void {
  if (cluster.violation) return
  const [first, ...more] = faults()
  if (first) cluster.report('progress', first, `${more.length} more`)
}

interface Tally {
  behind: number
  alone: number
}

/** What checkers do not look for, and a suite wants to have seen. */
function tallyOf(cluster: Cluster): Tally {
  const tally = { behind: 0, alone: 0 }
  const [owner] = cluster.nodes as [SimNode]
  cluster.checkers.push({
    event: (node, event) => {
      const isAgreed = event.type === 'negotiation' && event.state === 'FINALIZED'
      if (isAgreed && node === owner && !hasQuorum(owner, cluster)) tally.alone++
    },
  })
  return tally
}

/** What was broken, with what runs the seed again. */
export function replay({ plan, changes, violation }: Report): string {
  const changed = Object.keys(changes).length > 0 ? ` --changes '${JSON.stringify(changes)}'` : ''
  return `${violation} · node sim/main.ts --seed ${plan.seed}${changed}`
}

function report(cluster: Cluster, plan: Plan, changes: Partial<Plan>, tally: Tally): Report {
  const { nodes, violation, inputs, messages } = cluster
  const count = (prefix: string) => nodes.reduce((sum, { disk }) => sum + disk.list(prefix).length, 0)
  return {
    plan,
    changes,
    ...(violation ? { violation } : {}),
    inputs,
    messages,
    agreements: count(KEY.grants) / 2,
    deliveries: count(KEY.deliveries) / 2,
    closed: count('fork/'),
    succeeded: nodes.filter(({ chain }) => chain.logs.length > 1).length,
    ...tally,
    entries: nodes.reduce((sum, { state }) => sum + state.ledger.tail.range.size, 0),
    starts: nodes.reduce((sum, { life }) => sum + life, 0),
    traceHash: cluster.traceHash(),
  }
}
