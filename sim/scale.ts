/**
 * A mesh that is too large to be simulated, from meshes that are not: what one participant sends, stores and waits for is
 * measured at several sizes, a law is put through it, and the flows of all together follow. It is an extrapolation, and says so
 * with its error: how far the law of smaller sizes misses the next, once for each step between the largest two that lies beyond.
 */
import { SimError } from './error.ts'
import { byRegion } from './latency.ts'
import { type LookupFigures, lookUp, SAMPLE } from './lookups.ts'
import type { Profile } from './profile.ts'
import type { Report } from './report.ts'
import { type Point, pointsOf, type Reading, type Typed as SweepTyped } from './sweep.ts'
import { drawTopology, MOST_PARTICIPANTS } from './topology.ts'

/** Simulated in full, where nothing else is asked for: each twice the one before. */
const SIZES = [50, 100, 200, 400, 800]
const LEAST_SIZES = 3

export interface Typed extends SweepTyped {
  /** Those that are simulated, apart by commas. */
  sizes?: string
}

export interface Scaling {
  nodes: number
  points: Point[]
}

/** What was asked for. Throws REQUEST_INVALID. */
export function scalingOf({ nodes = '', sizes, ...typed }: Typed): Scaling {
  const count = Number(nodes)
  if (nodes.trim() === '' || !Number.isSafeInteger(count) || count > MOST_PARTICIPANTS)
    throw invalid(`--nodes ${nodes}: a whole number up to ${MOST_PARTICIPANTS} is expected`)
  if (typed.latency !== undefined)
    throw invalid('--latency: no matrix is as large as a mesh that is extrapolated; sweep takes one')
  const { points } = pointsOf({ ...typed, over: 'nodes', values: sizes ?? SIZES.join(',') })
  points.sort((a, b) => a.nodes - b.nodes)
  if (new Set(points.map(point => point.nodes)).size < LEAST_SIZES)
    throw invalid(`--sizes ${sizes}: ${LEAST_SIZES} sizes at least, of which the largest tells the error`)
  if (points[0]!.nodes < 2) throw invalid(`--sizes ${sizes}: a mesh has 2 participants at least`)
  if (points.at(-1)!.nodes >= count)
    throw invalid(`--nodes ${nodes}: ${points.at(-1)!.nodes} are simulated, there is nothing to extrapolate`)
  return { nodes: count, points }
}

const HOUR_MINUTES = 60
const MINUTE_S = 60

/** Of one participant, or between two. */
const FIGURES: Record<string, (reading: Reading, minutes: number, nodes: number) => number | null> = {
  'messages per participant and hour, median': (each, m) => (each.messagesMedian * HOUR_MINUTES) / m,
  'messages per participant and hour, p99': (each, m) => (each.messagesP99 * HOUR_MINUTES) / m,
  'bytes per participant and hour, median': (each, m) => (each.bytesMedian * HOUR_MINUTES) / m,
  'bytes per participant and hour, p99': (each, m) => (each.bytesP99 * HOUR_MINUTES) / m,
  'bytes stored per participant and hour, median': each => each.storageMedian,
  'the busiest part of the mesh, % of its time': each => each.bottleneck.share * 100,
  'negotiation p50, ms': each => each.negotiationP50Ms,
  'negotiation p95, ms': each => each.negotiationP95Ms,
  'transfer p95, ms': each => each.transferP95Ms,
  'head final p95, ms': each => each.headFinalP95Ms,
  // Each message and byte is sent once and got once.
  'messages a second, all together': (each, m) => each.messagesMean / 2 / (m * MINUTE_S),
  'bytes a second, all together': (each, m) => each.bytesMean / 2 / (m * MINUTE_S),
  'agreements a second, all together': (each, _m, nodes) => each.agreementsPerSecond / nodes,
  'packets a second, all together': (each, _m, nodes) => each.packetsPerSecond / nodes,
}
/** Those of all together: the law is that of one participant. */
const FLOWS = new Set(Object.keys(FIGURES).filter(name => name.endsWith('all together')))
export interface Extrapolated {
  figure: string
  /** At each size that was simulated. */
  measured: number[]
  /** How it changes with the size, by the law that misses least. */
  law: keyof typeof LAWS
  value: number
  /** In parts of one. */
  error: number
}

type Law = (x: number[], y: number[]) => (at: number) => number
const mean = (all: number[]): number => all.reduce((sum, each) => sum + each, 0) / all.length

/** A line by least squares. */
const line: Law = (x, y) => {
  const [mx, my] = [mean(x), mean(y)]
  const slope =
    x.reduce((sum, each, i) => sum + (each - mx) * (y[i]! - my), 0) /
    x.reduce((sum, each) => sum + (each - mx) ** 2, 0)
  return at => my + slope * (at - mx)
}

/** What a figure above 0 may do as a mesh grows. */
export const LAWS = {
  'stays the same': (_x, y) => () => mean(y),
  'grows with the logarithm': (x, y) => {
    const through = line(x.map(Math.log), y)
    return at => Math.max(0, through(Math.log(at)))
  },
  'grows with a power': (x, y) => {
    const through = line(x.map(Math.log), y.map(Math.log))
    return at => Math.exp(through(Math.log(at)))
  },
} satisfies Record<string, Law>

/** How far the law of the smaller sizes misses the next one, in parts of one: in the quadratic mean, from the third size on. */
function missOf(law: Law, x: number[], y: number[]): number {
  const misses = x.slice(2).map((at, i) => law(x.slice(0, i + 2), y.slice(0, i + 2))(at) / y[i + 2]! - 1)
  return Math.sqrt(mean(misses.map(miss => miss ** 2)))
}

export function extrapolate({ nodes, points }: Scaling, readings: Reading[]): Extrapolated[] {
  const sizes = points.map(point => point.nodes)
  const [before, largest] = sizes.slice(-2) as [number, number]
  const steps = Math.max(1, Math.log(nodes / largest) / Math.log(largest / before))
  return Object.entries(FIGURES).flatMap(([figure, get]): Extrapolated[] => {
    const measured = readings.map((each, i) => get(each, points[i]!.minutes, sizes[i]!))
    // What is nothing at some size follows no law: it is not told.
    if (!measured.every(each => each !== null && each > 0)) return []
    const all = measured as number[]
    const laws = Object.entries(LAWS).map(([law, of]) => ({
      law: law as keyof typeof LAWS,
      miss: missOf(of, sizes, all),
      value: of(sizes, all)(nodes),
    }))
    const { law, miss, value } = laws.reduce((best, each) => (each.miss < best.miss ? each : best))
    const scaled = FLOWS.has(figure) ? nodes : 1
    return [
      {
        figure,
        measured: all.map((each, i) => each * (scaled === 1 ? 1 : sizes[i]!)),
        law,
        value: value * scaled,
        error: miss * steps,
      },
    ]
  })
}

/** Lookups are no extrapolation: the model of discovery takes a mesh of a million. */
export function lookupsAt({ nodes, points }: Scaling, profile: Profile): LookupFigures {
  const [{ topology, seed, minutes }] = points as [Point]
  const { participants } = drawTopology(topology, nodes, seed)
  const latency = byRegion(participants.map(({ region }) => region))
  return lookUp({ nodes, count: SAMPLE, minutes, seed, profile, latency })
}

/** A table and plots, for sim/report.ts. */
export function scaleReport(
  { nodes, points }: Scaling,
  found: Extrapolated[],
  { ms, hops, questions, found: share }: LookupFigures,
): Report {
  const [{ topology, workload, minutes, seed }] = points as [Point]
  const sizes = points.map(point => point.nodes)
  const shown = (value: number) => Number(value.toPrecision(4)).toLocaleString('en')
  return {
    title: `${shown(nodes)} participants: an extrapolation`,
    said: [
      `Nobody simulated these ${shown(nodes)}: laws through ${sizes.join(', ')} participants, each simulated in full for ${minutes} virtual minutes (topology ${topology}, workload ${workload}, seed ${seed}, signatures charged).`,
      `Of three laws the one counts that misses least; the error is how far that of the smaller sizes misses the next, once for each further step of ${(sizes.at(-1)! / sizes.at(-2)!).toFixed(1)} times the size.`,
      `Lookups are simulated at this size, in the model of discovery: ${SAMPLE} of them.`,
    ],
    tables: [
      {
        title: 'Extrapolated',
        head: [
          'figure',
          ...sizes.map(size => `at ${size}`),
          `at ${shown(nodes)}`,
          'error, %',
          'with the size it',
        ],
        rows: found.map(({ figure, measured, value, error, law }) => [
          figure,
          ...measured.map(shown),
          shown(value),
          `± ${shown(error * 100)}`,
          law,
        ]),
      },
      {
        title: 'Lookups, simulated',
        head: ['figure', 'p50', 'p95'],
        rows: [
          ['ms', ms?.p50 ?? '-', ms?.p95 ?? '-'],
          ['hops', hops?.p50 ?? '-', hops?.p95 ?? '-'],
          ['questions', questions?.p50 ?? '-', questions?.p95 ?? '-'],
          ['found, %', share * 100, ''],
        ],
      },
    ],
    plots: ['messages per participant and hour, median', 'negotiation p95, ms'].flatMap(name => {
      const figure = found.find(each => each.figure === name)
      if (!figure) return []
      const simulated = sizes.map((size, i): [number, number] => [size, figure.measured[i]!])
      const last: [number, number][] = [simulated.at(-1)!, [nodes, figure.value]]
      return [
        {
          title: name,
          x: { label: 'participants', log: true },
          y: { label: name },
          lines: [
            { name: 'simulated', points: simulated },
            { name: 'extrapolated', points: last },
          ],
        },
      ]
    }),
  }
}

const invalid = (what: string) => new SimError('REQUEST_INVALID', what)
