/**
 * What goes wrong besides the weather: crashes, cuts of the network, clocks that are set, stores put back from a backup, a
 * home that runs twice. What members and thieves do is in betrayal.ts.
 */
import { KEY } from '../protocol/layout.ts'
import { inStore, logNumber } from '../protocol/log-number.ts'
import { betray } from './betrayal.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'
import type { Plan } from './plan.ts'
import { Prng } from './prng.ts'
import { hasMembers, type Suspects } from './suspects.ts'

const S_US = 1_000_000

export interface Faults {
  begin(): void
  /** All nodes are up and reach each other, the clocks are right. */
  end(): void
}

/** Own seats in committees of assets, and what was given for some: they end with the store that held their votes. */
const seatsOn = ({ disk }: SimNode): string[] =>
  [KEY.sittings, KEY.givens].flatMap(prefix => disk.list(prefix).map(([key]) => key))

type Backup = ReadonlyMap<string, Uint8Array>

/** `suspects` gets the organisations that are not sound, as they become so. */
export function faultsOf(cluster: Cluster, plan: Plan, suspects: Suspects): Faults {
  const prng = new Prng(plan.seed, 'faults')
  const { timeline, network, nodes } = cluster
  let over = false
  let stop = () => {}
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
    if (!node.up && nodes.includes(node)) node.start()
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
  const suspect = (node: SimNode, backup: Backup) => {
    suspects.putBack.add(node.org)
    if (plan.notices) suspects.noticed.add(node.org)
    if (!hasMembers(keptIn(backup))) suspects.alone.add(node.org)
  }
  /** With `plan.notices` as a driver that notices, otherwise as one that cannot. */
  const begin = (node: SimNode, why: 'restored' | 'copied') => {
    restart(node)
    if (!plan.notices) return
    node.submit({ type: 'restored', why, tickets: [], seats: seatsOn(node), redactions: [] })
  }
  /** Those that are lost together are put back to one moment. */
  const restore = (lost: SimNode[]) => {
    const backups = lost.map(node => [node, node.disk.copy()] as const)
    timeline.after(prng.between(5, 40) * S_US, () => {
      if (over) return
      for (const [node] of backups) if (node.up) node.crash()
      for (const [node, backup] of backups) {
        suspect(node, backup)
        cluster.restore(node, backup)
        begin(node, 'restored')
      }
    })
  }
  const lost = (): SimNode[] => {
    const [first] = nodes as [SimNode]
    const members = first.witnesses.map(id => cluster.node(id.toString())!)
    if (plan.restores === 'the first') return [first]
    const one = prng.pick(plan.restores !== 'somebody' && members.length > 0 ? members : nodes)
    return plan.restores === 'both' && one !== first ? [first, one] : [one]
  }
  const copy = () => {
    const [node] = nodes as [SimNode]
    const backup = node.disk.copy()
    timeline.after(prng.pick([0, 0, 1, 10]) * S_US, () => {
      if (over) return
      suspect(node, backup)
      const twin = cluster.copy(node, backup)
      if (plan.twin === 'apart') part(node, twin)
      begin(twin, 'copied')
    })
  }
  /** Each of two copies reaches a half of the others. */
  const part = (node: SimNode, twin: SimNode) => {
    const others = cluster.nodes.filter(each => each.org !== node.org).map(({ org }) => org)
    const half = others.filter(() => prng.chance(500_000))
    node.audience = new Set(others.filter(org => !half.includes(org)))
    twin.audience = new Set(half)
    network.disconnectAll()
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
      if (plan.restores !== 'none') timeline.after(prng.between(5, 30) * S_US, () => restore(lost()))
      if (plan.twin !== 'none') timeline.after(prng.between(15, plan.faultyS) * S_US, copy)
      stop = betray(cluster, plan, suspects)
    },
    end() {
      over = true
      stop()
      network.heal()
      for (const node of nodes) {
        node.skewMs = 0
        node.audience = undefined
        restart(node)
      }
    },
  }
}

const keptIn = (backup: Backup) => (key: string) =>
  backup.get(
    inStore(
      key,
      logNumber(each => backup.get(each)),
    ),
  )

/** The directions between a part of the nodes and the rest; only out of that part if `oneWay`. */
function crossings(nodes: SimNode[], part: SimNode[], oneWay: boolean): [number, number][] {
  const rest = nodes.filter(node => !part.includes(node))
  const out = part.flatMap(a => rest.map((b): [number, number] => [a.index, b.index]))
  return oneWay ? out : [...out, ...out.map(([a, b]): [number, number] => [b, a])]
}
