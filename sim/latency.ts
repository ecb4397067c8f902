/** How far apart places are: one-way delays between regions, or a measured matrix of round trips. */
import { SimError } from './error.ts'

/** One way, ms, between data centres (measured between AWS regions; table of the CometBFT project, rounded by it). */
const REGIONS = [
  'N. Virginia',
  'Canada',
  'N. California',
  'London',
  'Oregon',
  'Ireland',
  'Frankfurt',
  'São Paulo',
  'Tokyo',
  'Mumbai',
  'Sydney',
  'Seoul',
  'Singapore',
] as const
export type Region = (typeof REGIONS)[number]
/** The part below the diagonal, a row a region. */
const DELAY_MS = [
  [],
  [7],
  [30, 38],
  [38, 39, 68],
  [39, 29, 10, 63],
  [33, 35, 68, 5, 59],
  [44, 46, 75, 8, 68, 13],
  [58, 63, 88, 94, 88, 89, 101],
  [73, 70, 54, 104, 49, 100, 111, 128],
  [93, 94, 116, 56, 109, 61, 60, 151, 60],
  [98, 97, 69, 131, 69, 127, 143, 155, 57, 76],
  [87, 84, 67, 118, 63, 114, 109, 142, 17, 57, 69],
  [105, 103, 86, 82, 81, 90, 77, 161, 39, 27, 45, 36],
]
/** Between two sites of one region, one way: a metropolitan line. */
const WITHIN_US = 2_000

/** One-way delay between participants, us. */
export type Latency = (from: number, to: number) => number

/** By the regions of the participants. */
export function byRegion(regions: readonly Region[]): Latency {
  const indexes = regions.map(region => REGIONS.indexOf(region))
  return (from, to) => {
    const [a, b] = [indexes[from]!, indexes[to]!]
    return a === b ? WITHIN_US : DELAY_MS[Math.max(a, b)]![Math.min(a, b)]! * 1_000
  }
}

export const isRegion = (name: unknown): name is Region => REGIONS.includes(name as Region)
export const REGION_NAMES: readonly Region[] = REGIONS

const LARGEST = 5_000

/**
 * A square table of measured times, a row a line, numbers apart by blanks, tabs or commas, names in a first row and column
 * allowed; what is not above 0 was not measured, and the median stands in its place. `oneWayMs` is what one way takes where a
 * 1 stands: 0.5 for round trips in ms. Participant i sits at place i modulo the size. Throws LATENCY_INVALID.
 */
export function byMatrix(text: string, oneWayMs: number): Latency {
  const lines = text.split(/\r?\n/).filter(line => line.trim() !== '')
  const named = Number.isNaN(Number(cells(lines[0] ?? '').at(-1)))
  const rows = (named ? lines.slice(1) : lines).map(line =>
    cells(line)
      .slice(named ? 1 : 0)
      .map(Number),
  )
  const size = rows.length
  if (size < 2 || size > LARGEST) throw invalid(`has ${size} rows, not 2 to ${LARGEST}`)
  for (const [i, row] of rows.entries()) {
    if (row.length !== size) throw invalid(`row ${i + 1} has ${row.length} numbers, not ${size}`)
    if (row.some(Number.isNaN)) throw invalid(`row ${i + 1} has something that is no number`)
  }
  const measured = rows
    .flat()
    .filter(time => time > 0)
    .sort((a, b) => a - b)
  if (measured.length === 0) throw invalid('holds no measured time')
  const median = measured[Math.floor(measured.length / 2)]!
  return (from, to) => {
    const [a, b] = [from % size, to % size]
    if (a === b) return WITHIN_US
    const time = rows[a]![b]!
    return Math.round((time > 0 ? time : median) * oneWayMs * 1_000)
  }
}

const cells = (line: string): string[] => line.trim().split(/[\s,;]+/)
const invalid = (what: string) => new SimError('LATENCY_INVALID', `the latency matrix ${what}`)
