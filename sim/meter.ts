/**
 * What the work that is being done has cost so far. Whoever runs a node's turn sets it going and reads it afterwards; the back
 * ends that sim/charge.ts puts under crypto/ add to it, so that what is charged is what the shipped code does.
 */
import { type Profile, WORK, type Work } from './profile.ts'

/** How signatures are made in this process. */
export type Signatures = 'real' | 'charged'

const PLACES = Object.fromEntries(WORK.map((work, i) => [work, i])) as Record<Work, number>

class Meter {
  /** Of the turn that is being done, us. */
  us = 0
  /** Whether work takes time: not while a world is being set up, and never without hosts. */
  charging = false
  /** Nothing is charged for what checkers do within a turn. */
  on = false
  /** The stand-in is used only where sim/charge.ts was loaded, and then says so. */
  signatures: Signatures = 'real'
  /** How long everything takes now, as a multiple. */
  factor = 1
  /** Equations that the node that works has found to hold: as crypto/backend-node.ts, it does not solve them again. */
  held: Set<number> | undefined
  /** By kind of work, since `reset`: us, and how often. */
  readonly spentUs: Float64Array = new Float64Array(WORK.length)
  readonly times: Float64Array = new Float64Array(WORK.length)
  readonly #eachUs = new Float64Array(WORK.length)
  readonly #byteUs = new Float64Array(WORK.length)

  /** Charges by a profile from here on. */
  price({ work }: Profile): void {
    for (const [i, name] of WORK.entries()) {
      this.#eachUs[i] = work[name].eachUs
      this.#byteUs[i] = work[name].byteUs
    }
    this.reset()
  }

  reset(): void {
    this.us = 0
    this.spentUs.fill(0)
    this.times.fill(0)
  }

  charge(work: Work, bytes = 0): void {
    if (!this.on) return
    const i = PLACES[work]
    const us = (this.#eachUs[i]! + bytes * this.#byteUs[i]!) * this.factor
    this.us += us
    this.spentUs[i]! += us
    this.times[i]!++
  }

  /** Does something that costs nothing. */
  free<T>(work: () => T): T {
    const { on } = this
    this.on = false
    try {
      return work()
    } finally {
      this.on = on
    }
  }
}

export const meter: Meter = new Meter()
