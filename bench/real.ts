/** Real daemons on this machine, in a ring, all at work at the same time: how much they get done, and how long each takes. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Done, Errand } from './errands.ts'
import { percentile } from './harness.ts'
import { type NodeMesh, nodeMesh } from './pair.ts'

export const KINDS = ['publish', 'negotiation', 'transfer'] as const
export type Kind = (typeof KINDS)[number]
/** Size of each content. */
export const CONTENT_BYTES = 65_536

/**
 * Every daemon does one after the other. When each has done `first` of them, it is warm: with less, those of a large ring, which
 * do less in the same time, would run code that is compiled less. Then come windows of time, in which it counts; before each
 * all do some again, so that all are as busy from its beginning to its end.
 */
export const LOAD: Record<Kind, { first: number; ms: number }> = {
  publish: { first: 300, ms: 3_000 },
  negotiation: { first: 500, ms: 3_000 },
  transfer: { first: 40, ms: 5_000 },
}
export const AGAIN = 5
/** What daemons that have just worked still do: their collectors take until then. */
const STILL_MS = 8_000
/** And after transfers, when they gather proofs as well; large rings may not have ended by then. */
const GATHERED_MS = 20_000
/** Afterwards two daemons gather the proofs of what was delivered, and do nothing else. */
const REST_MS = 12_000

/** What the daemons of a ring did of one kind in a window. */
export interface Work {
  /** Of all daemons together, a second. */
  perSecond: number
  p50Ms: number
  p95Ms: number
  /** CPU of all daemons, for each that was done. */
  cpuMs: number
  /** What part of it other threads took than the one that Node itself runs in. */
  beside: number
  /** What others took of the machine meanwhile, in parts of one. */
  others: number
}

/** A window; or the CPU of both sides for the proofs of a delivery that one side gathers, where there are two daemons. */
export type Taken = { daemons: number; kind: Kind; work: Work } | { daemons: 2; proofMs: number }

/**
 * So many windows of each kind for each ring of daemons. The rings take turns, for one machine is now faster and now slower;
 * `before` each kind whatever is to be measured beside them.
 */
export async function real(
  counts: number[],
  windows: number,
  tell: (taken: Taken) => void,
  before: () => Promise<void> = async () => {},
): Promise<void> {
  await using undo = new AsyncDisposableStack()
  const rings: Ring[] = []
  for (const count of counts) rings.push(undo.use(await Ring.start(count)))
  for (const kind of KINDS) {
    for (const ring of rings) await ring.warm(kind)
    await setTimeout(STILL_MS)
    await before()
    for (let i = 0; i < windows; i++)
      for (const ring of rings) {
        tell({ daemons: ring.count, kind, work: await ring.window(kind) })
        if (rings.length > 1) await setTimeout(kind === 'transfer' ? GATHERED_MS : STILL_MS)
      }
  }
  const two = rings.find(({ count }) => count === 2)
  if (two) tell({ daemons: 2, proofMs: await two.proofMs() })
}

/** Each daemon is paired with the next and with the one before it. */
class Ring {
  readonly #mesh: NodeMesh

  private constructor(mesh: NodeMesh) {
    this.#mesh = mesh
  }

  static async start(count: number): Promise<Ring> {
    const names = Array.from({ length: count }, (_, i) => `daemon ${i}`)
    const mesh = await nodeMesh(names, 'ring')
    await writeFile(join(mesh.folder, 'content'), randomBytes(CONTENT_BYTES))
    return new Ring(mesh)
  }

  get count(): number {
    return this.#mesh.nodes.length
  }

  async warm(kind: Kind): Promise<void> {
    if (kind === 'negotiation') {
      const made = (await this.#all(() => ({ do: 'offer' }))).map(each => each.count)
      await this.#all(i => ({ do: 'catalog', org: this.#next(i), offers: made[(i + 1) % this.count]! }))
    }
    await this.#all(this.#order(kind, LOAD[kind].first))
    await this.#all(() => ({ do: 'window', ms: 0 }))
  }

  async window(kind: Kind): Promise<Work> {
    const { ms } = LOAD[kind]
    await this.#all(this.#order(kind, AGAIN))
    const [before, own] = [busyMs(), process.cpuUsage()]
    const done = await this.#all(() => ({ do: 'window', ms }))
    const { user, system } = process.cpuUsage(own)
    return workOf(done, ms, busyMs() - before - (user + system) / 1_000)
  }

  async proofMs(): Promise<number> {
    await this.window('transfer')
    const rest = await this.#all(() => ({ do: 'rest', ms: REST_MS }))
    const proven = total(rest, 'proven')
    if (proven === 0) throw new Error('no delivery was proven in that time')
    return total(rest, 'cpuMs') / proven
  }

  #order(kind: Kind, warm: number): (i: number) => Errand {
    const path = join(this.#mesh.folder, 'content')
    if (kind === 'publish') return () => ({ do: 'publish', path, warm })
    return i => ({ do: kind === 'transfer' ? 'transfer' : 'negotiate', org: this.#next(i), warm })
  }

  #next(i: number): string {
    return this.#mesh.nodes[(i + 1) % this.count]!.id
  }

  #all(order: (i: number) => Errand): Promise<Done[]> {
    return Promise.all(this.#mesh.nodes.map(({ child }, i) => child.ask<Done>(order(i))))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#mesh[Symbol.asyncDispose]()
  }
}

const TICK_MS = 10

/** What all processes of the machine have had of its cores, where the system tells it. */
function busyMs(): number {
  const [, user, nice, system, , , irq, soft] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number)
  return (user! + nice! + system! + irq! + soft!) * TICK_MS
}

const total = (done: Done[], what: 'cpuMs' | 'mainMs' | 'proven'): number =>
  done.reduce((sum, each) => sum + each[what], 0)

function workOf(done: Done[], ms: number, machineMs: number): Work {
  const times = done.flatMap(one => one.each)
  const cpuMs = total(done, 'cpuMs')
  return {
    perSecond: (times.length / ms) * 1_000,
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    cpuMs: cpuMs / times.length,
    beside: 1 - total(done, 'mainMs') / cpuMs,
    others: Math.max(0, machineMs - cpuMs) / (ms * cpus().length),
  }
}
