/** What a world is measured by: latencies as they come, and of samples what a reader wants to know. */

export interface Spread {
  n: number
  p50: number
  p95: number
  p99: number
  max: number
}

/** Of times in us: in ms, to a thousandth. Nothing when there were none. */
export function spreadOf(timesUs: number[]): Spread | null {
  if (timesUs.length === 0) return null
  const sorted = Float64Array.from(timesUs).sort()
  const at = (ppm: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * ppm) / 1_000_000))]!) / 1_000
  return { n: sorted.length, p50: at(500_000), p95: at(950_000), p99: at(990_000), max: at(999_999) }
}

export interface Load {
  mean: number
  median: number
  p99: number
  /** Of the participant with the fewest partners. */
  smallest: number
}

export function loadOf(values: ArrayLike<number>, smallest: number): Load {
  const sorted = Float64Array.from(values).sort()
  const at = (ppm: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * ppm) / 1_000_000))]!
  return {
    mean: sorted.length > 0 ? sorted.reduce((sum, each) => sum + each, 0) / sorted.length : 0,
    median: Math.round(at(500_000)),
    p99: Math.round(at(990_000)),
    smallest: Math.round(values[smallest]!),
  }
}

/** What is done at a node, and since when, so that what comes of it can be timed. */
export class Stopwatch {
  readonly #began = new Map<string, number>()
  readonly #times = new Map<string, number[]>()

  begin(what: string, atUs: number): void {
    if (!this.#began.has(what)) this.#began.set(what, atUs)
  }

  /** Ends it, if it was begun, and counts it under a kind. */
  end(kind: string, what: string, atUs: number): boolean {
    const began = this.#began.get(what)
    if (began === undefined) return false
    this.#began.delete(what)
    this.count(kind, atUs - began)
    return true
  }

  drop(what: string): void {
    this.#began.delete(what)
  }

  count(kind: string, us: number): void {
    const times = this.#times.get(kind)
    if (times) times.push(us)
    else this.#times.set(kind, [us])
  }

  times(kind: string): number[] {
    return this.#times.get(kind) ?? []
  }

  get kinds(): string[] {
    return [...this.#times.keys()].sort()
  }

  /** What was begun before then and is not over. */
  open(beforeUs: number): number {
    let count = 0
    for (const began of this.#began.values()) if (began < beforeUs) count++
    return count
  }

  clear(): void {
    this.#began.clear()
    this.#times.clear()
  }
}
