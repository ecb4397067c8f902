/** One run of one seed: a time with faults, during which nothing may break, and a time without, in which all must end. */
import { isBehind } from '../protocol/behind.ts'
import { KEY } from '../protocol/layout.ts'
import { type PutBack, watchOver } from './checkers.ts'
import { Cluster, type Plant } from './cluster.ts'
import { faultsOf } from './faults.ts'
import { calm, drawPlan, type Plan } from './plan.ts'
import { leftOpen, unfinished } from './progress.ts'
import { Workload } from './workload.ts'

const S_US = 1_000_000
/** How often people look again once all is calm, and for how long, s. */
const LOOK_S = 30
const LOOKS = 40

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
  /** Nodes that found their own store to be behind. */
  behind: number
  starts: number
}

const NAMES = [
  'Acme Steel',
  'Bolt GmbH',
  'Cole Logistics',
  'Dunn Castings',
  'Eder AG',
  'Fink Tools',
  'Gray Mills',
  'Holm AB',
]

export interface SimulateOptions {
  /** In place of what the seed says. */
  changes?: Partial<Plan>
  plant?: Plant
}

/** Runs a seed. */
export function simulate(seed: number, options: SimulateOptions = {}): Report {
  const { changes = {}, plant = {} } = options
  const plan = { ...drawPlan(seed), ...changes }
  const cluster = new Cluster({ seed, weather: plan.weather, times: plan.times, plant })
  const nodes = NAMES.slice(0, plan.nodes).map(name => cluster.add(name))
  const putBack: PutBack = { known: new Set(), alone: new Set() }
  watchOver(cluster, putBack)
  const workload = new Workload(cluster, plan)
  const faults = faultsOf(cluster, plan, putBack)
  for (const node of nodes) {
    node.sits = plan.seated
    node.start()
  }
  workload.begin()
  faults.begin()
  cluster.run(plan.faultyS * S_US)
  faults.end()
  cluster.network.weather = calm(plan.weather)
  workload.closing = true
  for (const org of putBack.known) workload.outgrow(org)
  for (let look = 0; look < LOOKS && !cluster.violation; look++) {
    workload.look()
    cluster.run(cluster.timeline.nowUs + LOOK_S * S_US)
  }
  cluster.run((plan.faultyS + plan.calmS) * S_US)
  if (!cluster.violation) {
    const [first, ...more] = [...unfinished(cluster, putBack.known), ...leftOpen(cluster, putBack.alone)]
    if (first) cluster.report('progress', first, `${more.length} more`)
  }
  return report(cluster, plan, changes)
}

/** What was broken, with what runs the seed again. */
export function replay({ plan, changes, violation }: Report): string {
  const changed = Object.keys(changes).length > 0 ? ` --changes '${JSON.stringify(changes)}'` : ''
  return `${violation} · node sim/main.ts --seed ${plan.seed}${changed}`
}

function report(cluster: Cluster, plan: Plan, changes: Partial<Plan>): Report {
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
    behind: nodes.filter(({ disk }) => isBehind(key => disk.get(key))).length,
    entries: nodes.reduce((sum, { state }) => sum + state.ledger.tail.range.size, 0),
    starts: nodes.reduce((sum, { life }) => sum + life, 0),
    traceHash: cluster.traceHash(),
  }
}
