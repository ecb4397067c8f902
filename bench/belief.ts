/**
 * Whether the simulator is to be believed: what it says of 2, 4, 8 and 16 daemons on this machine, beside what they do. Its
 * costs come from primitives and from the run of two daemons alone; those and the real runs take turns, so that all meet the
 * same machine.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Burst, BurstOptions, Span } from '../sim/burst.ts'
import { type Cost, PROFILE_SCHEMA, type Profile } from '../sim/profile.ts'
import { median } from './harness.ts'
import { type Primitives, primitives } from './primitives.ts'
import { AGAIN, CONTENT_BYTES, KINDS, type Kind, LOAD, real, type Taken, type Work } from './real.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const SEED = 1
const STOCK = 250

/** As in a window of daemons; nothing has to warm up. */
const spanOf = (kind: Kind): Span => ({ warm: AGAIN, ms: LOAD[kind].ms })
const SPANS: Record<Kind, Span> = {
  publish: spanOf('publish'),
  negotiation: spanOf('negotiation'),
  transfer: spanOf('transfer'),
}
/** While a profile is being fitted. */
const QUICK: Record<Kind, Span> = {
  ...SPANS,
  publish: { warm: AGAIN, ms: 1_500 },
  negotiation: { warm: AGAIN, ms: 1_500 },
}

/** What the simulator says of so many daemons, by this profile. */
function predicted(nodes: number, profile: Profile, last?: Kind): Burst {
  const asked: BurstOptions = {
    nodes,
    profile,
    load: last ? QUICK : SPANS,
    stock: STOCK,
    bytes: CONTENT_BYTES,
    seed: SEED,
    ...(last ? { last } : {}),
  }
  const args = ['--import', here('../sim/charge.ts'), here('../sim/burst-main.ts'), JSON.stringify([asked])]
  const [said] = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8', maxBuffer: 2 ** 24 }))
  return said
}

type Fitted = 'step' | 'file' | 'stream' | 'proof'
const GUESSED: Record<Fitted, number> = { step: 500, file: 100, stream: 3_000, proof: 8_000 }
const JUDGEMENTS = 2

/**
 * The profile with which the simulator does what two daemons did: a step costs what is left of the CPU of a negotiation when
 * the primitives are taken off, a turn of work on files what is left of a publish, a judgement what is left of gathering
 * proofs, a stream what is left of a transfer; what time is left then is that of messages on their way, of syncs, and of
 * the largest of many turns.
 */
function calibrated(base: Primitives, two: Record<Kind, Work> & { proofMs: number }): Profile {
  const flat = (eachUs: number, byteUs = 0): Cost => ({ eachUs, byteUs })
  let profile: Profile = {
    ...base,
    schema: PROFILE_SCHEMA,
    beside: two.negotiation.beside,
    work: {
      ...base.work,
      step: flat(GUESSED.step),
      stream: flat(GUESSED.stream, base.work.send.byteUs),
      dial: flat(7_000),
      request: flat(300, 0.005),
      file: flat(GUESSED.file, 0.001),
      proof: flat(GUESSED.proof),
    },
    spread: [1],
  }
  const add = (name: Fitted, ms: number, turns: number) => {
    const { eachUs, byteUs } = profile.work[name]
    const more = flat(Math.max(0, Math.round(eachUs + (ms * 1_000) / turns)), byteUs)
    profile = { ...profile, work: { ...profile.work, [name]: more } }
  }
  const { publish, negotiation, proofMs } = two
  for (let round = 0; round < FITS; round++) {
    const said = predicted(2, profile)
    const short = (kind: Kind) => two[kind].cpuMs - said[kind].cpuMs
    const { step, proof } = profile.work
    add('step', short('negotiation'), said.negotiation.turns.step!)
    add('proof', proofMs - said.proofMs, JUDGEMENTS)
    // What they will cost more from now on is not missing elsewhere any more.
    const more = (kind: Kind) => {
      const { turns } = said[kind]
      const ofSteps = (profile.work.step.eachUs - step.eachUs) * (turns.step ?? 0)
      return (ofSteps + (profile.work.proof.eachUs - proof.eachUs) * (turns.proof ?? 0)) / 1_000
    }
    add('file', short('publish') - more('publish'), said.publish.turns.file!)
    add('stream', short('transfer') - more('transfer'), said.transfer.turns.stream!)
  }
  const late = (delayUs: number): Profile => ({ ...profile, loopback: { ...profile.loopback, delayUs } })
  profile = fit(negotiation.p50Ms, 20_000, late, 'negotiation', 'p50Ms')
  const slow = (us: number): Profile => ({
    ...profile,
    disk: { ...profile.disk, bytesPerMs: Math.round(CONTENT_BYTES / Math.max(0.001, us / 1_000)) },
  })
  profile = fit(publish.p50Ms, 100_000, slow, 'publish', 'p50Ms')
  const uneven = (worst: number): Profile => ({ ...profile, spread: unevenBy(worst) })
  profile = fit(negotiation.p95Ms, UNEVEN, uneven, 'negotiation', 'p95Ms')
  return profile
}
const FITS = 2

/** Of fifty turns one takes so much longer than the others; on average they take what the costs say. */
const TURNS = 50
const UNEVEN = TURNS - 1
function unevenBy(worst: number): number[] {
  const others = (TURNS - Math.max(1, worst)) / (TURNS - 1)
  return [...new Array<number>(TURNS - 1).fill(others), Math.max(1, worst)]
}

const HALVINGS = 6

/** The profile whose figure, which grows with what is given, comes nearest to the wanted one. */
function fit(
  wanted: number,
  most: number,
  with_: (given: number) => Profile,
  kind: Kind,
  figure: 'p50Ms' | 'p95Ms',
): Profile {
  let [low, high] = [0, most]
  for (let i = 0; i < HALVINGS; i++) {
    // A small one of many is as likely as a large one.
    const middle = low + (high - low) / (i < HALVINGS / 2 ? 4 : 2)
    if (predicted(2, with_(middle), kind)[kind][figure] < wanted) low = middle
    else high = middle
  }
  return with_(low)
}

/** The profile of this machine: primitives and two daemons, in turns. */
export async function calibrate(windows: number): Promise<Profile> {
  const samples: Sample[] = []
  await measure(sample => samples.push(sample), [2], windows)
  return profileOf(samples)
}

export interface Belief {
  profile: Profile
  /** The least of any ring and kind. */
  windows: number
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

export const WINDOWS = 5

/** What was measured at one time: primitives, or so many daemons. */
export type Sample = { base: Primitives } | Taken

/** Primitives and rings of daemons in turns; what is there is told at once. */
export async function measure(
  tell: (sample: Sample) => void,
  sizes: number[] = SIZES,
  windows: number = WINDOWS,
): Promise<void> {
  await real(sizes, windows, tell, async () => tell({ base: await primitives() }))
}

/** What was taken of a ring, by kind. */
const takenOf = (samples: Sample[], daemons: number): Record<Kind, Work[]> => {
  const all = (kind: Kind) =>
    samples.flatMap(each =>
      'kind' in each && each.daemons === daemons && each.kind === kind ? [each.work] : [],
    )
  return { publish: all('publish'), negotiation: all('negotiation'), transfer: all('transfer') }
}

/** The profile by the median of everything. */
function profileOf(samples: Sample[]): Profile {
  const bases = samples.flatMap(each => ('base' in each ? [each.base] : []))
  const proofs = samples.flatMap(each => ('proofMs' in each ? [each.proofMs] : []))
  const { publish, negotiation, transfer } = takenOf(samples, 2)
  if (bases.length * proofs.length === 0) throw new Error('there are no primitives, or no two daemons')
  const two = { publish: middle(publish), negotiation: middle(negotiation), transfer: middle(transfer) }
  return calibrated(middle(bases), { ...two, proofMs: median(proofs) })
}

const FIGURES = ['perSecond', 'p50Ms', 'p95Ms'] as const

/** What the simulator says of what was measured, by primitives and two daemons alone: each cell is the median over the windows. */
export function belief(samples: Sample[]): Belief {
  const profile = profileOf(samples)
  const sizes = [...new Set(samples.flatMap(each => ('kind' in each ? [each.daemons] : [])))]
  const windows = sizes.flatMap(daemons => Object.values(takenOf(samples, daemons)).map(all => all.length))
  const cells = sizes.flatMap(daemons => {
    const said = predicted(daemons, profile)
    const taken = takenOf(samples, daemons)
    return KINDS.flatMap(kind => {
      const works = middle(taken[kind])
      return FIGURES.map((figure): Cell => {
        const [was, says] = [works[figure], said[kind][figure]]
        return {
          daemons,
          kind,
          figure,
          real: was,
          predicted: says,
          error: says / was - 1,
          others: works.others,
        }
      })
    })
  })
  return { profile, windows: Math.min(...windows), cells }
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
