/** What goes wrong besides the weather: crashes, cuts of the network, clocks that are set, a store put back from a backup. */
import { readSeating } from '../protocol/committee.ts'
import type { PutBack } from './checkers.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import type { Plan } from './plan.ts'
import { Prng } from './prng.ts'

const S_US = 1_000_000

export interface Faults {
  begin(): void
  /** All nodes are up, the network is whole, the clocks are right. */
  end(): void
}

/** `putBack` gets the organisations whose store was put back to an earlier state. */
export function faultsOf(cluster: Cluster, plan: Plan, putBack: PutBack): Faults {
  const prng = new Prng(plan.seed, 'faults')
  const { timeline, network, nodes } = cluster
  let over = false
  /** Again and again, on average each `meanS`. */
  const each = (meanS: number, work: () => void) => {
    if (meanS === 0) return
    const next = () =>
      timeline.after(prng.below(2 * meanS * S_US), () => {
        if (over) return
        work()
        next()
      })
    next()
  }
  const restart = (node: SimNode) => {
    if (!node.up) node.start()
  }
  const crash = () => {
    const node = prng.pick(nodes)
    if (!node.up) return
    node.crash()
    timeline.after(prng.below(10 * S_US), () => restart(node))
  }
  const cut = () => {
    const one = nodes.filter(() => prng.chance(400_000))
    const ways = crossings(nodes, one, prng.chance(300_000))
    network.block(ways, prng.chance(500_000))
    timeline.after(prng.below(30 * S_US), () => network.heal())
  }
  const setClock = () => {
    prng.pick(nodes).skewMs = prng.between(-plan.skewMs, plan.skewMs)
  }
  const restore = () => {
    const node = prng.pick(nodes)
    const backup = node.disk.copy()
    timeline.after(prng.between(5, 40) * S_US, () => {
      if (over) return
      if (node.up) node.crash()
      putBack.known.add(node.org)
      if (!hasMembers(key => backup.get(key))) putBack.alone.add(node.org)
      cluster.restore(node, backup)
      restart(node)
    })
  }
  return {
    begin() {
      for (const node of nodes) {
        node.skewMs = prng.between(-plan.skewMs, plan.skewMs)
        node.driftPpm = prng.between(-plan.driftPpm, plan.driftPpm)
      }
      each(plan.crashS, crash)
      each(plan.cutS, cut)
      each(plan.stepS, setClock)
      if (plan.restores) timeline.after(prng.between(5, 30) * S_US, restore)
    },
    end() {
      over = true
      network.heal()
      for (const node of nodes) {
        node.skewMs = 0
        restart(node)
      }
    },
  }
}

/** The directions between a part of the nodes and the rest; only out of that part if `oneWay`. */
function crossings(nodes: SimNode[], part: SimNode[], oneWay: boolean): [number, number][] {
  const rest = nodes.filter(node => !part.includes(node))
  const out = part.flatMap(a => rest.map((b): [number, number] => [a.index, b.index]))
  return oneWay ? out : [...out, ...out.map(([a, b]): [number, number] => [b, a])]
}

/** Whether a store knows of members who hold what its log has signed. */
function hasMembers(get: (key: string) => Uint8Array | undefined): boolean {
  const { now, next } = readSeating(get)
  return now !== undefined || next !== undefined
}
