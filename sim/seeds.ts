/** Seeds by the hundred: what was broken, made as small as it gets, and what was done in all of them, in one line to keep. */
import { appendFileSync } from 'node:fs'
import type { Plan } from './plan.ts'
import { type Report, replay, simulate } from './run.ts'
import { shrink } from './shrink.ts'
import { Trace } from './trace.ts'

export interface Seeds {
  first: number
  count: number
  /** In place of what each seed says. */
  changes: Partial<Plan>
  /** Committees of four and seven of whom f lie, or one more, beside whatever else a seed draws. */
  mixed?: 'f' | 'f+1'
  /** A file that gets a line with the totals. */
  append?: string
}

/** The totals of some seeds. */
export interface Totals {
  mixed?: Seeds['mixed']
  first: number
  seeds: number
  violations: number
  inputs: number
  messages: number
  agreements: number
  deliveries: number
  entries: number
  crashes: number
  /** Seeds in which some log was found to be forked, and in which a store was found to be behind. */
  forked: number
  behind: number
  /** Over the traces of all of them. */
  traceHash: string
  seconds: number
}

/** Prints each violation with the line that replays it, and the first of them as small as it gets. */
export function runSeeds({ first, count, changes, mixed, append }: Seeds): Totals {
  const startedMs = performance.now()
  const totals: Totals = {
    ...(mixed ? { mixed } : {}),
    first,
    seeds: count,
    violations: 0,
    inputs: 0,
    messages: 0,
    agreements: 0,
    deliveries: 0,
    entries: 0,
    crashes: 0,
    forked: 0,
    behind: 0,
    traceHash: '',
    seconds: 0,
  }
  const trace = new Trace()
  for (let seed = first; seed < first + count; seed++) {
    const report = simulate(seed, { changes: { ...(mixed ? mixture(seed, mixed) : {}), ...changes } })
    add(totals, report)
    trace.add(report.traceHash)
    if (count === 1) console.log(JSON.stringify(report))
    if (!report.violation) continue
    console.log(replay(report))
    if (totals.violations === 1 && mixed !== 'f+1') console.log(`smaller: ${replay(shrink(report))}`)
  }
  totals.traceHash = trace.digest()
  totals.seconds = Math.round((performance.now() - startedMs) / 1_000)
  if (append) appendFileSync(append, `${JSON.stringify(totals)}\n`)
  return totals
}

function add(totals: Totals, report: Report): void {
  totals.violations += report.violation ? 1 : 0
  totals.crashes += report.starts - report.plan.nodes
  totals.forked += report.closed > 0 ? 1 : 0
  totals.behind += report.behind > 0 ? 1 : 0
  for (const name of ['inputs', 'messages', 'agreements', 'deliveries', 'entries'] as const)
    totals[name] += report[name]
}

/** Nodes: their log has one committee of four, or of seven. */
const SIZES = [5, 5, 6, 5, 5, 5, 6, 5, 5, 8]

/** Its twin shows what becomes of a log whose members lie: with one liar too many both halves get their quorum. */
export function mixture(seed: number, liars: 'f' | 'f+1'): Partial<Plan> {
  const nodes = SIZES[seed % SIZES.length]!
  const members = nodes === 8 ? 7 : 4
  const committee = {
    nodes,
    members,
    seated: true,
    assets: 1,
    requests: 1,
    faultyS: 30 + (seed % 20),
    calmS: 3_600,
  }
  return liars === 'f'
    ? { ...committee, liars: 'all it bears' }
    : { ...committee, liars: 'too many', isControl: true, twin: 'apart', restores: 'none' }
}
