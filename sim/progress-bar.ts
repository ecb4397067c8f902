/** How far a run is and how long it will take, on a terminal; elsewhere nothing. */

const WIDTH = 30
const EVERY_MS = 200

export class ProgressBar {
  readonly #out: NodeJS.WriteStream
  #phase = ''
  #beganMs = 0
  #shownMs = 0

  constructor(out: NodeJS.WriteStream) {
    this.#out = out
  }

  show(phase: string, share: number): void {
    const now = performance.now()
    if (phase !== this.#phase) {
      this.#phase = phase
      this.#beganMs = now
    } else if (now - this.#shownMs < EVERY_MS) return
    this.#shownMs = now
    if (this.#out.isTTY) this.#out.write(`\r\x1b[K${barOf(phase, share, now - this.#beganMs)}`)
  }

  end(): void {
    if (this.#out.isTTY) this.#out.write('\r\x1b[K')
  }
}

/** The line for a phase that has taken so long so far. */
export function barOf(phase: string, share: number, tookMs: number): string {
  const done = Math.round(share * WIDTH)
  const left = share > 0 ? `${duration((tookMs * (1 - share)) / share)} left` : ''
  return `${phase.padEnd(8)} ${'#'.repeat(done)}${'.'.repeat(WIDTH - done)} ${Math.floor(share * 100)} % ${left}`
}

function duration(ms: number): string {
  const seconds = Math.ceil(ms / 1_000)
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}
