/**
 * The same world again and again with one thing changed: what its figures become as the mesh grows, as committees get more
 * seats, as messages are lost, as partners fall silent. Each point is a process of its own.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ACTIVITIES } from './activity.ts'
import { SimError } from './error.ts'
import type { Plot, Report } from './report.ts'
import { latencyFrom } from './request.ts'
import { SHAPES, type Shape } from './topology.ts'

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))

export interface Point {
  nodes: number
  minutes: number
  topology: Shape
  workload: string
  seed: number
  seats: number
  lossPpm: number
  /** Of a million participants, those that promise and cosign for nobody. */
  liarsPpm: number
  /** A file of measured latencies in the place of those of the regions, and what its numbers are. */
  latency?: string
  unit?: string
  /** What a reader is told of them. */
  said?: string
}

export interface Reading {
  violation: string | null
  agreementsPerSecond: number
  packetsPerSecond: number
  negotiationP50Ms: number | null
  negotiationP95Ms: number | null
  transferP95Ms: number | null
  headFinalP50Ms: number | null
  headFinalP95Ms: number | null
  headsFinal: number
  messagesMean: number
  messagesMedian: number
  messagesP99: number
  bytesMean: number
  bytesMedian: number
  bytesP99: number
  /** An hour. */
  storageMedian: number
  late: number
  bottleneck: { name: string; share: number }
  wallMs: number
}

/** What can be changed, and by which values it is when none are named. */
export const OVER = {
  nodes: [10, 30, 100, 300, 1_000, 3_000, 10_000],
  seats: [0, 1, 2, 3, 4, 7, 10],
  lossPpm: [0, 1_000, 10_000, 50_000, 100_000, 200_000],
  liarsPpm: [0, 100_000, 200_000, 250_000, 300_000, 400_000, 500_000],
} as const
export type Over = keyof typeof OVER

const STANDARD: Point = {
  nodes: 200,
  minutes: 10,
  topology: 'random',
  workload: 'default',
  seed: 1,
  seats: 4,
  lossPpm: 0,
  liarsPpm: 0,
}

export interface Typed {
  over?: string
  values?: string
  nodes?: string
  minutes?: string
  topology?: string
  workload?: string
  seed?: string
  latency?: string
  unit?: string
}

/** The points of a sweep as it was typed. Throws REQUEST_INVALID and LATENCY_INVALID. */
export function pointsOf(typed: Typed): { over: Over; points: Point[] } {
  const { over = 'nodes', topology = STANDARD.topology, workload = STANDARD.workload } = typed
  if (!Object.hasOwn(OVER, over)) throw invalid(`--over ${over}: one of ${Object.keys(OVER).join(', ')}`)
  if (!Object.hasOwn(SHAPES, topology))
    throw invalid(`--topology ${topology}: one of ${Object.keys(SHAPES).join(', ')}`)
  if (!Object.hasOwn(ACTIVITIES, workload))
    throw invalid(`--workload ${workload}: one of ${Object.keys(ACTIVITIES).join(', ')}`)
  const measured = latencyFrom(typed)
  const values = typed.values
    ? typed.values.split(',').map(each => whole('values', each))
    : [...OVER[over as Over]]
  const base = {
    ...STANDARD,
    ...(typed.nodes ? { nodes: whole('nodes', typed.nodes) } : {}),
    ...(typed.minutes ? { minutes: whole('minutes', typed.minutes) } : {}),
    ...(typed.seed ? { seed: whole('seed', typed.seed) } : {}),
    topology: topology as Shape,
    workload,
    ...(measured ? { latency: typed.latency!, said: measured.said } : {}),
    ...(typed.unit ? { unit: typed.unit } : {}),
  }
  return { over: over as Over, points: values.map(value => ({ ...base, [over]: value })) }
}

function whole(name: string, text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= 0) return number
  throw invalid(`--${name} ${text}: a whole number is expected`)
}

const invalid = (what: string) => new SimError('REQUEST_INVALID', what)

const HEAP_MIB = 8_192

export async function readingOf(point: Point): Promise<Reading> {
  const flags = [
    `--max-old-space-size=${HEAP_MIB}`,
    '--max-semi-space-size=64',
    '--import',
    here('./charge.ts'),
  ]
  const args = [...flags, here('./sweep-point.ts'), JSON.stringify(point)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return JSON.parse(stdout) as Reading
}

export interface Swept {
  over: Over
  points: Point[]
  readings: Reading[]
}

const AXES: Record<Over, { label: string; log?: boolean; scale: number }> = {
  nodes: { label: 'participants', log: true, scale: 1 },
  seats: { label: 'seats of a committee', scale: 1 },
  lossPpm: { label: 'messages lost, %', scale: 1e-4 },
  liarsPpm: { label: 'partners that promise and cosign nothing, %', scale: 1e-4 },
}

/** A table and plots, for sim/report.ts. */
export function reportOf({ over, points, readings }: Swept): Report {
  const { label, scale, ...axis } = AXES[over]
  const x = points.map(point => point[over] * scale)
  const line = (name: string, of: (reading: Reading) => number | null) => ({
    name,
    points: readings.flatMap((reading, i): [number, number][] => {
      const y = of(reading)
      return y === null ? [] : [[x[i]!, y]]
    }),
  })
  const plot = (title: string, unit: string, lines: Plot['lines']): Plot => ({
    title,
    x: { label, ...axis },
    y: { label: unit },
    lines,
  })
  const [first] = points as [Point]
  const { minutes, topology, workload, seed, said } = first
  const fixed = over === 'nodes' ? '' : `, ${first.nodes} participants`
  return {
    title: `What changes with ${label}`,
    said: [
      `topology ${topology}, workload ${workload}, ${minutes} virtual minutes, seed ${seed}${fixed}; signatures charged`,
      ...(said ? [said] : []),
    ],
    tables: [
      {
        title: 'Figures',
        head: [
          label,
          'agreements/s',
          'packets/s',
          'negotiation p50, p95 ms',
          'transfer p95 ms',
          'heads final: n, p50, p95 ms',
          'messages per node: median, p99',
          'late',
          'busiest',
        ],
        rows: readings.map((reading, i) => [
          x[i]!,
          reading.agreementsPerSecond,
          reading.packetsPerSecond,
          `${shown(reading.negotiationP50Ms)}, ${shown(reading.negotiationP95Ms)}`,
          shown(reading.transferP95Ms),
          `${reading.headsFinal}, ${shown(reading.headFinalP50Ms)}, ${shown(reading.headFinalP95Ms)}`,
          `${reading.messagesMedian}, ${reading.messagesP99}`,
          reading.late,
          `${reading.bottleneck.name} ${(reading.bottleneck.share * 100).toFixed(2)} %`,
        ]),
      },
    ],
    plots: [
      plot('Negotiations', 'ms', [
        line('p50', each => each.negotiationP50Ms),
        line('p95', each => each.negotiationP95Ms),
      ]),
      plot('From the signature of a head to its quorum', 'ms', [
        line('p50', each => each.headFinalP50Ms),
        line('p95', each => each.headFinalP95Ms),
      ]),
      plot('Messages per participant', 'messages', [
        line('median', each => each.messagesMedian),
        line('p99', each => each.messagesP99),
      ]),
      plot('The busiest part of the mesh', '% of its time', [
        line('share', each => each.bottleneck.share * 100),
      ]),
    ],
  }
}

const shown = (value: number | null): string => (value === null ? '-' : String(Math.round(value)))
