/**
 * Whether the simulator is to be believed: what it says of 2, 4, 8 and 16 daemons on this machine, beside what they do. Its
 * costs come from primitives and from the run of two daemons alone; those and the real runs take turns, so that all meet the
 * same machine.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Burst, BurstOptions } from '../sim/burst.ts'
import { type Cost, PROFILE_SCHEMA, type Profile } from '../sim/profile.ts'
import { median } from './harness.ts'
import { type Primitives, primitives } from './primitives.ts'
import { KINDS, type Kind, LOAD, real, type Work } from './real.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const SEED = 1

type Works = Record<Kind, Work>

/** What the simulator says of so many daemons, by these profiles. */
function predicted(asked: { nodes: number; profile: Profile }[]): Burst[] {
  const options = asked.map((each): BurstOptions => ({ ...each, ...LOAD, seed: SEED }))
  const args = ['--import', here('../sim/charge.ts'), here('../sim/burst-main.ts'), JSON.stringify(options)]
  return JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 24 }))
}

/**
 * The profile with which the simulator does what two daemons did: a step costs what is left of the CPU of a negotiation when
 * the primitives are taken off, a file what is left of a publish, a stream what is left of a transfer; what time is left then
 * is that of messages on their way, of syncs, and of the largest of many turns.
 */
export function calibrated(base: Primitives, two: Works): Profile {
  const none: Cost = { eachUs: 0, byteUs: 0 }
  let profile: Profile = {
    ...base,
    schema: PROFILE_SCHEMA,
    work: {
      ...base.work,
      step: none,
      stream: { eachUs: 0, byteUs: base.work.send.byteUs },
      dial: { eachUs: 7_000, byteUs: 0 },
      request: { eachUs: 300, byteUs: 0.005 },
      file: { eachUs: 0, byteUs: 0.001 },
    },
    spread: [1],
  }
  const { publish, negotiation, transfer } = two
  const cost = (name: 'step' | 'file' | 'stream', wanted: number, of: (burst: Burst) => number) => {
    const with_ = (eachUs: number): Profile => ({
      ...profile,
      work: { ...profile.work, [name]: { ...profile.work[name], eachUs } },
    })
    profile = fit(wanted, 200_000, with_, of)
  }
  for (let round = 0; round < 2; round++) {
    cost('step', negotiation.cpuMs, burst => burst.negotiation.cpuMs)
    cost('file', publish.cpuMs, burst => burst.publish.cpuMs)
    cost('stream', transfer.cpuMs, burst => burst.transfer.cpuMs)
  }
  const late = (delayUs: number): Profile => ({ ...profile, loopback: { ...profile.loopback, delayUs } })
  profile = fit(negotiation.p50Ms, 20_000, late, burst => burst.negotiation.p50Ms)
  const slow = (us: number): Profile => ({
    ...profile,
    disk: { ...profile.disk, bytesPerMs: Math.round(LOAD.bytes / Math.max(0.001, us / 1_000)) },
  })
  profile = fit(publish.p50Ms, 100_000, slow, burst => burst.publish.p50Ms)
  const uneven = (worst: number): Profile => ({ ...profile, spread: unevenBy(worst) })
  const ratio = ({ p50Ms, p95Ms }: Pick<Work, 'p50Ms' | 'p95Ms'>) => p95Ms / p50Ms
  return fit(ratio(negotiation), UNEVEN, uneven, burst => ratio(burst.negotiation))
}

/** Of fifty turns one takes so much longer than the others; on average they take what the costs say. */
const TURNS = 50
const UNEVEN = TURNS - 1
function unevenBy(worst: number): number[] {
  const others = (TURNS - Math.max(1, worst)) / (TURNS - 1)
  return [...new Array<number>(TURNS - 1).fill(others), Math.max(1, worst)]
}

/** Profiles that are tried at a time, and how often: each time between the two that the wanted figure lies between. */
const TRIED = 9
const TIMES = 4

/** The profile whose figure, which grows with what is given, comes nearest to the wanted one. */
function fit(
  wanted: number,
  most: number,
  with_: (given: number) => Profile,
  of: (burst: Burst) => number,
): Profile {
  let [low, high] = [0, most]
  let best = with_(0)
  for (let time = 0; time < TIMES; time++) {
    const given = Array.from({ length: TRIED }, (_, i) => low + ((high - low) * i) / (TRIED - 1))
    const profiles = given.map(with_)
    const figures = predicted(profiles.map(profile => ({ nodes: 2, profile }))).map(of)
    const above = figures.findIndex(figure => figure >= wanted)
    const at = above < 0 ? TRIED - 1 : above
    const near = at > 0 && wanted - figures[at - 1]! < figures[at]! - wanted ? at - 1 : at
    best = profiles[near]!
    if (at === 0) break // even nothing is too much
    ;[low, high] = [given[at - 1]!, given[at]!]
  }
  return best
}

/** A run during which others took more than this of the machine says nothing of the daemons. */
export const QUIET = 0.08

/** Of several runs the median of each figure, of those in which the machine was quiet, or else the quietest. */
export function typical(runs: Works[]): Works {
  const of = (kind: Kind): Work => {
    const all = runs.map(run => run[kind]).sort((a, b) => a.others - b.others)
    const quiet = all.filter(({ others }) => others <= QUIET)
    const told = quiet.length > 0 ? quiet : all.slice(0, 1)
    return middle(told)
  }
  return Object.fromEntries(KINDS.map(kind => [kind, of(kind)])) as Works
}

/** The profile of this machine: primitives and two daemons, in turns. */
export async function calibrate(rounds: number): Promise<Profile> {
  const samples: Sample[] = []
  for (let round = 0; round < rounds; round++) await measure(sample => samples.push(sample), [2])
  return belief(samples).profile
}

export interface Belief {
  profile: Profile
  rounds: number
  cells: Cell[]
}

export interface Cell {
  daemons: number
  kind: Kind
  figure: 'perSecond' | 'p50Ms' | 'p95Ms'
  real: number
  predicted: number
  /** (predicted - real) / real */
  error: number
  /** Of the runs it was taken from: what others had of the machine. */
  others: number
}

export const SIZES = [2, 4, 8, 16]

/** What was measured at one time: primitives, or so many daemons. */
export type Sample = { base: Primitives } | { daemons: number; works: Works }

/** One turn of everything; what is there is told at once. */
export async function measure(tell: (sample: Sample) => void, sizes: number[] = SIZES): Promise<void> {
  tell({ base: await primitives() })
  for (const daemons of sizes) tell({ daemons, works: await real(daemons) })
}

/** What the simulator says of what was measured, knowing the primitives and two daemons. */
export function belief(samples: Sample[]): Belief {
  const bases = samples.flatMap(sample => ('base' in sample ? [sample.base] : []))
  const runs = samples.flatMap(sample => ('works' in sample ? [sample] : []))
  const sizes = SIZES.filter(size => runs.some(({ daemons }) => daemons === size))
  const of = (size: number) =>
    typical(runs.filter(({ daemons }) => daemons === size).map(({ works }) => works))
  const profile = calibrated(middle(bases), of(2))
  const said = predicted(sizes.map(nodes => ({ nodes, profile })))
  const cells = sizes.flatMap((daemons, i) =>
    KINDS.flatMap(kind =>
      (['perSecond', 'p50Ms', 'p95Ms'] as const).map((figure): Cell => {
        const [was, says] = [of(daemons)[kind][figure], said[i]![kind][figure]]
        const { others } = of(daemons)[kind]
        return { daemons, kind, figure, real: was, predicted: says, error: says / was - 1, others }
      }),
    ),
  )
  return { profile, rounds: bases.length, cells }
}

/** Of several measurements the median of each number. */
function middle<T>(all: T[]): T {
  const [first] = all as [T]
  if (typeof first === 'number') return median(all as number[]) as T
  if (Array.isArray(first)) return first.map((_, i) => middle(all.map(each => (each as unknown[])[i]))) as T
  if (typeof first !== 'object' || first === null) return first
  return Object.fromEntries(
    Object.keys(first).map(name => [name, middle(all.map(each => (each as Record<string, unknown>)[name]))]),
  ) as T
}

/** Median of the errors out of sample: for other sizes than two. */
export function errorsOf(cells: Cell[]): Record<'perSecond' | 'p50Ms' | 'p95Ms', number> {
  const of = (figure: Cell['figure']) =>
    median(
      cells.filter(each => each.daemons !== 2 && each.figure === figure).map(({ error }) => Math.abs(error)),
    )
  return { perSecond: of('perSecond'), p50Ms: of('p50Ms'), p95Ms: of('p95Ms') }
}
