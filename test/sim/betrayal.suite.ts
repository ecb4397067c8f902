/**
 * Runs in which somebody is not sound: stores that are put back, homes that run twice, members that lie, a log key in other
 * hands, members that are all away. Every seed is one such story, with committees of one to four.
 */
import * as assert from 'uvu/assert'
import type { Plan } from '../../sim/plan.ts'
import { type Report, replay, simulate } from '../../sim/run.ts'
import type { Seeds } from './seeds.suite.ts'

const STORIES: Partial<Plan>[] = [
  { restores: 'the first' },
  { restores: 'a member', twin: 'together' },
  { twin: 'apart' },
  { twin: 'together' },
  { twin: 'apart', liars: 'some' },
  { restores: 'the first', liars: 'some' },
  { twin: 'apart', liars: 'too many' },
  { twin: 'apart', seated: false },
  { robbed: true },
  { silent: true, liars: 'some' },
  { reseats: true, twin: 'together' },
  { restores: 'the first', notices: true, seated: false },
  { restores: 'both', notices: true },
]
const MEMBERS = [4, 1, 4, 2, 4, 3]

/** What a seed tells of. */
export function storyOf(seed: number): Partial<Plan> {
  const members = MEMBERS[Math.floor(seed / STORIES.length) % MEMBERS.length]!
  return {
    nodes: members + 2,
    members,
    witnesses: seed % 3 === 0 ? 1 : 0,
    seated: true,
    restores: 'none',
    twin: 'none',
    liars: 'none',
    robbed: false,
    reseats: false,
    silent: false,
    spoilt: false,
    faultyS: 35 + (seed % 20),
    calmS: 3_600,
    assets: 1,
    requests: 1,
    ...STORIES[seed % STORIES.length],
  }
}

export interface Told {
  seeds: number
  behind: number
  closed: number
  succeeded: number
  alone: number
}

/**
 * Tells stories from the first seed on: as many as there is time for, at least `least` and at most `most`. A violation is
 * printed with the line that replays it.
 */
export function tell(first: number, { least, most, forMs }: Omit<Seeds, 'first' | 'changes'>): Told {
  const reports: Report[] = []
  const endMs = performance.now() + forMs
  for (let seed = first; reports.length < most; seed++) {
    if (reports.length >= least && performance.now() > endMs) break
    const report = simulate(seed, { changes: storyOf(seed) })
    assert.not.ok(report.violation, replay(report))
    reports.push(report)
  }
  const seedsWith = (what: (report: Report) => number) => reports.filter(report => what(report) > 0).length
  const told = {
    seeds: reports.length,
    behind: seedsWith(({ behind }) => behind),
    closed: seedsWith(({ closed }) => closed),
    succeeded: seedsWith(({ succeeded }) => succeeded),
    alone: seedsWith(({ alone }) => alone),
  }
  console.log(
    `seeds ${first} to ${first + told.seeds - 1}: ${told.behind} with a store that was found behind, ${told.closed} with a ` +
      `forked log closed, ${told.succeeded} with a successor, ${told.alone} with agreements while no quorum was reached`,
  )
  return told
}
