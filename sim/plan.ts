/** What a seed stands for: the size of the mesh, what it does, and what goes wrong. All of it can be printed. */
import { HOSTILITIES, type Hostility } from './hostile.ts'
import type { Weather } from './network.ts'
import type { DiskTimes } from './node.ts'
import { Prng } from './prng.ts'

export interface Plan {
  seed: number
  nodes: number
  weather: Weather
  times: DiskTimes
  /** How long faults last, and how long afterwards there is time to finish, s. */
  faultyS: number
  calmS: number
  /** Means between two of a kind in the whole mesh, s; 0 for none. */
  crashS: number
  cutS: number
  stepS: number
  /** How far wall clocks stand apart at first, ms, and how fast monotonic ones drift, parts in a million. */
  skewMs: number
  driftPpm: number
  /** How many assets each node publishes, and how many requests it makes. */
  assets: number
  requests: number
  /** Some packets are not what they say. */
  spoilt: boolean
  /** Whose store is put back to a backup of it: the log of its owner may fork, and its witnesses must not follow. */
  restores: 'none' | 'somebody' | 'the first' | 'a member' | 'both'
  /** Partners take seats: logs get committees. Otherwise witnesses cosign, and nothing is promised. */
  seated: boolean
  /** The size of each head is a multiple of this. */
  pad: number
  /** So many seats the committee of the first node has, if there are as many others. */
  members: number
  /** Those of the other nodes have at most so many, as it comes. */
  witnesses: number
  /** The first node names another committee on the way. */
  reseats: boolean
  /** So many of its members lie to it: at most as many as the committee bears, all of those, or one more. */
  liars: 'none' | 'some' | 'all it bears' | 'too many'
  /** The members are counted on whatever they do: a control, which is to see what comes of it. */
  isControl: boolean
  /** Its home is copied and started twice: both live, each with a half of the mesh, or both with all of it. */
  twin: 'none' | 'apart' | 'together'
  /** The home that was put back or copied says so at its start, as a driver does that notices. */
  notices: boolean
  /** Somebody with its log key shows half the mesh another branch. */
  robbed: boolean
  /** For a time fewer of its members than a quorum can be reached. */
  silent: boolean
  /** Its log key runs out on the way, and another comes late; not in a store that is put back or copied. */
  expires: boolean
  /** People redact what they published. */
  redacts: boolean
  /** What the last node does to the others. */
  hostile: 'none' | Hostility
}

/** Weather without faults: what a factory's line is on a good day. */
const CALM = { lossPpm: 0, copyPpm: 0, disorderPpm: 0 }

export function drawPlan(seed: number): Plan {
  const prng = new Prng(seed, 'plan')
  const some = (ppm: number, least: number, most: number) =>
    prng.chance(ppm) ? prng.between(least, most) : 0
  return {
    seed,
    nodes: prng.pick([3, 3, 3, 4, 4, 5, 6, 8]),
    weather: {
      leastDelayUs: 200,
      mostDelayUs: prng.pick([2_000, 40_000, 300_000]),
      jitterUs: prng.pick([0, 5_000, 100_000]),
      lossPpm: some(600_000, 1, 200_000),
      copyPpm: some(600_000, 1, 200_000),
      disorderPpm: some(600_000, 1, 200_000),
      bytesPerMs: prng.pick([100, 10_000, 100_000]),
    },
    times: { leastSyncUs: 100, mostSyncUs: prng.pick([1_000, 20_000, 500_000]), readUs: 100 },
    faultyS: prng.between(30, 90),
    calmS: 7_200,
    crashS: some(700_000, 4, 30),
    cutS: some(700_000, 8, 60),
    stepS: some(300_000, 5, 60),
    skewMs: prng.pick([0, 2_000, 120_000, 400_000]),
    driftPpm: prng.pick([0, 200, 20_000]),
    assets: prng.between(1, 2),
    requests: prng.between(1, 4),
    spoilt: prng.chance(300_000),
    restores: prng.chance(200_000) ? prng.pick(['somebody', 'somebody', 'the first', 'a member']) : 'none',
    seated: prng.chance(800_000),
    pad: prng.pick([1, 8, 64]),
    members: prng.between(1, 5),
    witnesses: 3,
    reseats: prng.chance(100_000),
    liars: prng.chance(150_000) ? 'some' : 'none',
    twin: prng.pick(['none', 'none', 'none', 'none', 'none', 'none', 'apart', 'together']),
    notices: prng.chance(300_000),
    robbed: prng.chance(50_000),
    silent: prng.chance(150_000),
    isControl: false,
    expires: prng.chance(50_000),
    redacts: prng.chance(300_000),
    hostile: prng.chance(150_000) ? prng.pick(HOSTILITIES) : 'none',
  }
}

export const calm = (weather: Weather): Weather => ({ ...weather, ...CALM })

/** Who takes part, in the order in which they come. */
export const NAMES = [
  'Acme Steel',
  'Bolt GmbH',
  'Cole Logistics',
  'Dunn Castings',
  'Eder AG',
  'Fink Tools',
  'Gray Mills',
  'Holm AB',
]
