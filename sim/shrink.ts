/**
 * A violation made smaller: of what a seed stands for, whatever can be left out while the same promise is still broken is left
 * out (fewer nodes, fewer faults, a shorter time), one thing after the other until nothing more can go.
 */
import type { Plan } from './plan.ts'
import { type Report, type SimulateOptions, simulate } from './run.ts'

/** Runs at most: each is as long as the seed takes until it breaks. */
const MOST_RUNS = 80

type Change = Partial<Plan>

/** The smallest run found that breaks the promise which `broken` broke. */
export function shrink(broken: Report, options: Pick<SimulateOptions, 'plant'> = {}): Report {
  const promise = promiseOf(broken)
  if (promise === undefined) return broken
  let best = broken
  let runs = 0
  for (let shrunk = true; shrunk && runs < MOST_RUNS; ) {
    shrunk = false
    for (const change of simpler(best.plan)) {
      if (runs++ >= MOST_RUNS) break
      const changes = { ...best.changes, ...change }
      const report = simulate(best.plan.seed, { ...options, changes })
      if (promiseOf(report) !== promise) continue
      best = report
      shrunk = true
    }
  }
  return best
}

/** What comes before the time and the place; nothing for a run in which nothing broke. */
const promiseOf = ({ violation }: Report): string | undefined => violation?.split(' broken at ')[0]

/** Changes that each make a run simpler, those that save most first. */
function simpler(plan: Plan): Change[] {
  const { weather, times } = plan
  const changes: Change[] = [
    ...lower('nodes', plan.nodes, 2),
    ...lower('faultyS', plan.faultyS, 10),
    ...without(plan, {
      hostile: 'none',
      liars: 'none',
      twin: 'none',
      restores: 'none',
      robbed: false,
      silent: false,
      reseats: false,
      expires: false,
      spoilt: false,
      redacts: false,
      notices: false,
      crashS: 0,
      cutS: 0,
      stepS: 0,
      skewMs: 0,
      driftPpm: 0,
      pad: 1,
    }),
    ...without(weather, { lossPpm: 0, copyPpm: 0, disorderPpm: 0, jitterUs: 0 }).map(each => ({
      weather: { ...weather, ...each },
    })),
    ...without(times, { mostSyncUs: times.leastSyncUs }).map(each => ({ times: { ...times, ...each } })),
    ...lower('members', plan.members, 0),
    ...lower('witnesses', plan.witnesses, 0),
    ...lower('assets', plan.assets, 1),
    ...lower('requests', plan.requests, 0),
    ...lower('calmS', plan.calmS, 900),
  ]
  return changes
}

/** A half of the way to the least, and one less. */
function lower<Name extends keyof Plan>(name: Name, value: number, least: number): Change[] {
  const half = Math.floor((value + least) / 2)
  return [...new Set([least, half, value - 1])]
    .filter(each => each >= least && each < value)
    .map(each => ({ [name]: each }))
}

/** Each of the fields that is not so already, by itself. */
function without<T extends object>(from: T, none: Partial<T>): Partial<T>[] {
  return (Object.keys(none) as (keyof T)[])
    .filter(name => from[name] !== none[name])
    .map(name => ({ [name]: none[name] }) as Partial<T>)
}
