/** What benchmarks share: rounds in which every side runs once, their figures, and what the machine was. */
import { readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'

/** Of the samples of one side: median, least and greatest. */
export interface Figure {
  unit: string
  median: number
  min: number
  max: number
  n: number
}

export interface Result {
  figures: Record<string, Figure>
  /** Medians of the ratios within each round: speeds vary twofold between rounds, ratios do not. */
  ratios: Record<string, number>
}

type Side = () => Promise<number>

/**
 * Runs every side once a round, one after the other, so that all meet the same machine; the first round warms up and does
 * not count. `ratios` names quotients of two sides.
 */
export async function interleaved(
  rounds: number,
  unit: string,
  sides: Record<string, Side>,
  ratios: Record<string, [over: string, under: string]>,
): Promise<Result> {
  const samples: Record<string, number[]> = Object.fromEntries(Object.keys(sides).map(name => [name, []]))
  for (let round = 0; round <= rounds; round++)
    for (const [name, side] of Object.entries(sides)) {
      const value = await side()
      if (round > 0) samples[name]!.push(value)
    }
  const quotients = Object.entries(ratios).map(([name, [over, under]]) => {
    const each = samples[over]!.map((value, i) => value / samples[under]![i]!)
    return [name, round3(median(each))] as const
  })
  return {
    figures: Object.fromEntries(
      Object.entries(samples).map(([name, values]) => [name, figure(values, unit)]),
    ),
    ratios: Object.fromEntries(quotients),
  }
}

export function figure(values: number[], unit: string): Figure {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    unit,
    median: round3(median(values)),
    min: round3(sorted[0]!),
    max: round3(sorted.at(-1)!),
    n: values.length,
  }
}

export function median(values: number[]): number {
  return percentile(values, 0.5)
}

/** The value that `part` of the samples do not exceed. */
export function percentile(values: number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}

/** Samples that are taken by the way, by name; the first of each warms up and does not count. */
export class Samples {
  readonly #taken = new Map<string, { unit: string; values: number[] }>()

  take(name: string, unit: string, value: number): void {
    const known = this.#taken.get(name)
    if (known) known.values.push(value)
    else this.#taken.set(name, { unit, values: [] })
  }

  figures(): Record<string, Figure> {
    const all = [...this.#taken].filter(([, { values }]) => values.length > 0)
    return Object.fromEntries(all.map(([name, { unit, values }]) => [name, figure(values, unit)]))
  }
}

const round3 = (value: number): number => Number(value.toPrecision(4))

export const join = (...results: Result[]): Result => ({
  figures: Object.assign({}, ...results.map(each => each.figures)),
  ratios: Object.assign({}, ...results.map(each => each.ratios)),
})

/** Peak resident memory of a process, MiB, where the system tells it. */
export function peakRssMiB(pid: number): number {
  const line = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return line ? Number(line[1]) / 1024 : Number.NaN
}

/** Ticks of a process's clock per second: the same on every Linux. */
const TICKS_PER_S = 100

/** What a process has used of all cores, in seconds, where the system tells it: it varies far less than speed does. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S // utime and stime; the state is field 0 here
}

/** One line that says what the figures were measured on. */
export const machine = (): string =>
  `${cpus().length} x ${cpus()[0]!.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, ${process.platform}`
