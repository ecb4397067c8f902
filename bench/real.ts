/** Real daemons on this machine, in a ring, all at work at the same time: how much they get done, and how long each takes. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Done, Errand } from './errands.ts'
import { percentile } from './harness.ts'
import { nodeMesh } from './pair.ts'

/**
 * Every daemon does one after the other. When each has done so many, a window of time begins for all, in which it counts:
 * so all are as warm, and as busy, from its beginning to its end.
 */
export interface Span {
  warm: number
  ms: number
}
export const KINDS = ['publish', 'negotiation', 'transfer'] as const
export type Kind = (typeof KINDS)[number]
export const LOAD: Record<Kind, Span> = {
  publish: { warm: 100, ms: 5_000 },
  negotiation: { warm: 150, ms: 5_000 },
  transfer: { warm: 40, ms: 12_000 },
}
/** Size of each content. */
export const CONTENT_BYTES = 65_536
/** Afterwards two daemons gather the proofs of what was delivered, and do nothing else. */
const REST_MS = 12_000

/** What the daemons did of one kind. */
export interface Work {
  /** Of all daemons together, a second. */
  perSecond: number
  p50Ms: number
  p95Ms: number
  /** CPU of all daemons, for each that was done. */
  cpuMs: number
  /** What others took of the machine meanwhile, in parts of one. */
  others: number
}

export interface Works extends Record<Kind, Work> {
  /** CPU of both sides for the proofs of a delivery that one side gathers; measured with two daemons only. */
  proofMs?: number
}

export async function real(count: number): Promise<Works> {
  const names = Array.from({ length: count }, (_, i) => `daemon ${i}`)
  await using mesh = await nodeMesh(names, 'ring')
  const { nodes, folder } = mesh
  const all = (order: (i: number) => Errand): Promise<Done[]> =>
    Promise.all(nodes.map(({ child }, i) => child.ask<Done>(order(i))))
  const timed = async (kind: Kind, order: (i: number) => Errand): Promise<Work> => {
    const { ms } = LOAD[kind]
    await all(order)
    const [before, own] = [busyMs(), process.cpuUsage()]
    const done = await all(() => ({ do: 'window', ms }))
    const { user, system } = process.cpuUsage(own)
    return workOf(done, ms, busyMs() - before - (user + system) / 1_000)
  }
  const next = (i: number) => nodes[(i + 1) % nodes.length]!.id
  const path = join(folder, 'content')
  await writeFile(path, randomBytes(CONTENT_BYTES))
  const publish = await timed('publish', () => ({ do: 'publish', path, warm: LOAD.publish.warm }))
  const made = (await all(() => ({ do: 'offer' }))).map(each => each.count)
  await all(i => ({ do: 'catalog', org: next(i), offers: made[(i + 1) % count]! }))
  const { warm } = LOAD.negotiation
  const negotiation = await timed('negotiation', i => ({ do: 'negotiate', org: next(i), warm }))
  const transfer = await timed('transfer', i => ({
    do: 'transfer',
    org: next(i),
    warm: LOAD.transfer.warm,
  }))
  if (count > 2) return { publish, negotiation, transfer }
  const rest = await all(() => ({ do: 'rest', ms: REST_MS }))
  return { publish, negotiation, transfer, proofMs: total(rest, 'cpuMs') / total(rest, 'proven') }
}

const TICK_MS = 10

/** What all processes of the machine have had of its cores, where the system tells it. */
function busyMs(): number {
  const [, user, nice, system, , , irq, soft] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number)
  return (user! + nice! + system! + irq! + soft!) * TICK_MS
}

const total = (done: Done[], what: 'cpuMs' | 'proven'): number =>
  done.reduce((sum, each) => sum + each[what], 0)

function workOf(done: Done[], ms: number, machineMs: number): Work {
  const times = done.flatMap(one => one.each)
  const cpuMs = total(done, 'cpuMs')
  return {
    perSecond: (times.length / ms) * 1_000,
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    cpuMs: cpuMs / times.length,
    others: Math.max(0, machineMs - cpuMs) / (ms * cpus().length),
  }
}
