/**
 * The machines that nodes run on. A node does one thing at a time, a host as many as it has cores, and what comes meanwhile
 * waits in order; its disk syncs for one at a time. Work is done in the moment in which its turn begins; whatever leaves it
 * leaves when it is over, because the meter runs along with it.
 */
import { meter } from './meter.ts'
import type { Prng } from './prng.ts'
import type { Profile } from './profile.ts'
import type { Timeline } from './timeline.ts'

type Work = () => void

interface Task {
  /** Work of a thread beside that of its node has none. */
  node: Worker | undefined
  work: Work
}

/** A node on its host. */
export class Worker {
  /** When what it does is over, us. */
  freeUs = 0
  /** How long it has worked, us. */
  spentUs = 0
  readonly held: Set<number> = new Set()
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  /** Does the work when it is the node's turn; at once where the node is what works. */
  run(work: Work): void {
    this.#host.run(this, work)
  }

  /** How long a sync takes that keeps the disk of the host busy for so long: one at a time, us. */
  sync(us: number): number {
    return this.#host.sync(us)
  }

  /** Does work of another thread of this node, for which only a core has to be free. */
  aside(work: Work): void {
    this.#host.run(undefined, work)
  }
}

/** What a profile says of a host. */
export type Machine = Pick<Profile, 'cores' | 'crowded' | 'beside' | 'spread'>

/** Whatever worked so lately has its part of the caches still, us. */
const LATELY_US = 100_000

export class Host {
  /** Over all cores, us. */
  spentUs = 0
  readonly #timeline: Timeline
  readonly #prng: Prng
  readonly #machine: Machine
  /** When each core is free, us. */
  readonly #cores: number[]
  readonly #queue: Task[] = []
  /** Nodes that worked lately, and when each did; the one that has not for longest comes first. */
  readonly #lately = new Map<Worker, number>()
  #diskFreeUs = 0
  /** When the queue is looked at next, if at all. */
  #wakesUs = Number.POSITIVE_INFINITY
  static #working: { node: Worker | undefined } | undefined

  constructor(timeline: Timeline, machine: Machine, prng: Prng) {
    this.#timeline = timeline
    this.#machine = machine
    this.#cores = new Array<number>(machine.cores).fill(0)
    this.#prng = prng
  }

  get cores(): number {
    return this.#cores.length
  }

  sync(us: number): number {
    if (!meter.charging) return us
    const now = this.#timeline.nowUs + meter.us
    this.#diskFreeUs = Math.max(now, this.#diskFreeUs) + us
    return this.#diskFreeUs - now
  }

  run(node: Worker | undefined, work: Work): void {
    if (!meter.charging) {
      work()
      return
    }
    const working = Host.#working
    if (working && node && working.node === node) {
      work()
      return
    }
    const now = this.#timeline.nowUs + meter.us
    if (!working && this.#queue.length === 0 && !(node && node.freeUs > now)) {
      const core = this.#free(now)
      if (core >= 0) {
        this.#do(core, node, work)
        return
      }
    }
    this.#queue.push({ node, work })
    this.#wake(now)
  }

  #do(core: number, node: Worker | undefined, work: Work): void {
    const { us, on, factor, held } = meter
    const { spread } = this.#machine
    const beside = node ? this.#machine.beside : 0
    meter.us = 0
    meter.held = node?.held
    meter.on = true
    meter.factor = this.#crowded(node) * (spread.length === 1 ? spread[0]! : this.#prng.pick(spread))
    meter.factor *= 1 - beside
    Host.#working = { node }
    try {
      work()
    } finally {
      Host.#working = undefined
      const spent = meter.us
      const endsUs = this.#timeline.nowUs + spent
      this.#cores[core] = endsUs
      this.spentUs += spent
      if (node) {
        const besideUs = (spent * beside) / (1 - beside)
        this.#beside(besideUs)
        node.freeUs = endsUs
        node.spentUs += spent + besideUs
      }
      meter.us = us
      meter.on = on
      meter.factor = factor
      meter.held = held
    }
  }

  /** How often as long work takes by how many nodes take turns in the caches. */
  #crowded(node: Worker | undefined): number {
    const { nowUs } = this.#timeline
    const lately = this.#lately
    if (node) {
      lately.delete(node)
      lately.set(node, nowUs)
    }
    for (const [each, atUs] of lately) {
      if (atUs > nowUs - LATELY_US) break
      lately.delete(each)
    }
    return timesAmong(lately.size, this.#machine.crowded)
  }

  /** What other threads of a node do of its work keeps the core busy that is free first; nothing waits for it. */
  #beside(us: number): void {
    if (us === 0) return
    const first = Math.min(...this.#cores)
    this.#cores[this.#cores.indexOf(first)] = Math.max(first, this.#timeline.nowUs) + us
    this.spentUs += us
  }

  #free(now: number): number {
    return this.#cores.findIndex(freeUs => freeUs <= now)
  }

  /** Looks at the queue again when something of it may begin. */
  #wake(now: number): void {
    let atUs = Number.POSITIVE_INFINITY
    for (const { node } of this.#queue) atUs = Math.min(atUs, node?.freeUs ?? 0)
    atUs = Math.max(now, atUs, Math.min(...this.#cores))
    if (atUs >= this.#wakesUs) return
    this.#wakesUs = atUs
    this.#timeline.at(atUs, () => {
      if (this.#wakesUs !== atUs) return
      this.#wakesUs = Number.POSITIVE_INFINITY
      this.#serve()
    })
  }

  /** Whatever can begin now, in the order in which it came. */
  #serve(): void {
    const now = this.#timeline.nowUs
    for (let i = 0; i < this.#queue.length; ) {
      const core = this.#free(now)
      if (core < 0) break
      const { node, work } = this.#queue[i]!
      if (node && node.freeUs > now) {
        i++
        continue
      }
      this.#queue.splice(i, 1)
      this.#do(core, node, work)
    }
    if (this.#queue.length > 0) this.#wake(now)
  }
}

/** By the next smaller and the next larger number that was measured. */
function timesAmong(nodes: number, crowded: Profile['crowded']): number {
  const i = crowded.findIndex(([count]) => count >= nodes)
  if (i < 0) return crowded.at(-1)![1]
  const [count, times] = crowded[i]!
  const [less, before] = crowded[i - 1] ?? [count, times]
  return count === less ? times : before + ((times - before) * (nodes - less)) / (count - less)
}
