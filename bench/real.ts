/** Real daemons on this machine, in a ring, all at work at the same time: how much they get done, and how long each takes. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import type { Done, Errand } from './errands.ts'
import { percentile } from './harness.ts'
import { nodeMesh } from './pair.ts'

/** Of each daemon: so many that are measured, and before them so many that are not; a transfer takes ten times as long. */
export interface Load {
  count: number
  warm: number
  transfers: number
  warmTransfers: number
  bytes: number
}
export const LOAD: Load = { count: 30, warm: 25, transfers: 10, warmTransfers: 5, bytes: 65_536 }

export const KINDS = ['publish', 'negotiation', 'transfer'] as const
export type Kind = (typeof KINDS)[number]

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

export async function real(count: number, load: Load = LOAD): Promise<Record<Kind, Work>> {
  const names = Array.from({ length: count }, (_, i) => `daemon ${i}`)
  await using mesh = await nodeMesh(names, 'ring')
  const { nodes, folder } = mesh
  const all = (order: (i: number) => Errand): Promise<Done[]> =>
    Promise.all(nodes.map(({ child }, i) => child.ask<Done>(order(i))))
  const timed = async (order: (i: number) => Errand): Promise<Work> => {
    const [before, own] = [busyMs(), process.cpuUsage()]
    const done = await all(order)
    const { user, system } = process.cpuUsage(own)
    return workOf(done, busyMs() - before - (user + system) / 1_000)
  }
  const next = (i: number) => nodes[(i + 1) % nodes.length]!.id
  const total = load.warm + load.count
  const paths = await Promise.all(
    nodes.map((_, i) =>
      Promise.all(
        Array.from({ length: total }, async (_, k) => {
          const path = join(folder, `content ${i} ${k}`)
          await writeFile(path, randomBytes(load.bytes))
          return path
        }),
      ),
    ),
  )
  await all(i => ({ do: 'publish', paths: paths[i]!.slice(0, load.warm) }))
  const publish = await timed(i => ({ do: 'publish', paths: paths[i]!.slice(load.warm) }))
  await all(() => ({ do: 'offer' }))
  await all(i => ({ do: 'catalog', org: next(i), offers: total }))
  const [cold, warm] = [
    { from: 0, to: load.warm },
    { from: load.warm, to: total },
  ]
  await all(i => ({ do: 'negotiate', org: next(i), ...cold }))
  const negotiation = await timed(i => ({ do: 'negotiate', org: next(i), ...warm }))
  const { transfers, warmTransfers: from } = load
  await all(i => ({ do: 'transfer', org: next(i), from: 0, to: from }))
  const transfer = await timed(i => ({ do: 'transfer', org: next(i), from, to: from + transfers }))
  return { publish, negotiation, transfer }
}

const TICK_MS = 10

/** What all processes of the machine have had of its cores, where the system tells it. */
function busyMs(): number {
  const [, user, nice, system, , , irq, soft] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number)
  return (user! + nice! + system! + irq! + soft!) * TICK_MS
}

function workOf(done: Done[], machineMs: number): Work {
  const each = done.flatMap(one => one.each)
  const times = each.map(([began, ended]) => ended - began)
  const took = Math.max(...each.map(([, ended]) => ended)) - Math.min(...each.map(([began]) => began))
  const cpuMs = done.reduce((sum, one) => sum + one.cpuMs, 0)
  return {
    perSecond: (each.length / took) * 1_000,
    p50Ms: percentile(times, 0.5),
    p95Ms: percentile(times, 0.95),
    cpuMs: cpuMs / each.length,
    others: Math.max(0, machineMs - cpuMs) / (took * cpus().length),
  }
}
