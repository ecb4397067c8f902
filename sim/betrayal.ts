/** What others do to the first node of a mesh: members that lie to it or are gone, and somebody who has its log key. */
import { text, utf8 } from '../crypto/bytes.ts'
import { formatCheckpoint, parseCheckpoint } from '../crypto/checkpoint.ts'
import { formatNote, parseNote, signNote } from '../crypto/note.ts'
import { publicHead } from '../protocol/heads.ts'
import { committeeOf } from '../protocol/trust.ts'
import type { Cluster } from './cluster.ts'
import { letExpire } from './expiry.ts'
import { turnHostile } from './hostile.ts'
import { LIE_NAMES, liar } from './liars.ts'
import type { SimNode } from './node.ts'
import type { Plan } from './plan.ts'
import { Prng } from './prng.ts'
import type { Suspects } from './suspects.ts'

const S_US = 1_000_000

/** What is given back ends it. */
export function betray(cluster: Cluster, plan: Plan, suspects: Suspects): () => void {
  const prng = new Prng(plan.seed, 'betrayal')
  const { timeline } = cluster
  const [owner] = cluster.nodes as [SimNode]
  const members = owner.witnesses.map(id => cluster.node(id.toString())!)
  const { f } = committeeOf(members.length)
  const count = { none: 0, some: prng.between(0, f), 'all it bears': f, 'too many': f + 1 }[plan.liars]
  const stop =
    plan.hostile === 'none'
      ? () => {}
      : turnHostile(cluster.nodes.at(-1)!, plan.hostile, cluster, new Prng(plan.seed, 'hostile'), suspects)
  // A member that is hostile to all is one of them.
  const others = members.filter(({ org }) => !suspects.hostile.has(org))
  const liars = shuffled(others, prng).slice(0, Math.max(0, count - (members.length - others.length)))
  suspects.liars.set(owner.org, new Set(liars.map(({ org }) => org)))
  for (const each of liars)
    each.lies = liar(owner.org, plan.liars === 'too many' ? LIE_NAMES[0]! : prng.pick(LIE_NAMES))
  const during = (work: () => void) => timeline.after(prng.between(10, plan.faultyS - 5) * S_US, work)
  if (plan.robbed) during(() => rob(owner, cluster, suspects, prng))
  if (plan.silent) during(() => silence(owner, members, cluster))
  if (plan.reseats) during(() => reseat(owner, cluster, prng))
  if (plan.expires && plan.restores === 'none' && plan.twin === 'none')
    letExpire(cluster, plan.faultyS, new Prng(plan.seed, 'expiry'))
  return stop
}

/** Shows half of the partners a head of the size of the newest, of another tree. */
export function rob(owner: SimNode, cluster: Cluster, suspects: Suspects, prng: Prng): void {
  const newest = owner.up ? publicHead(owner.onDisk) : undefined
  if (!newest) return
  suspects.robbed.add(owner.org)
  const { origin, size } = parseCheckpoint(parseNote(text(newest.note)).body)
  const body = formatCheckpoint({ origin, size, root: prng.bytes(32) })
  const note = utf8(formatNote({ body, lines: [signNote(body, origin, owner.env.keys.log)] }))
  for (const to of owner.admitted)
    if (prng.chance(500_000)) cluster.forge({ from: owner, to, message: { t: 'head/show', note } })
}

/** All members are out of reach for a time; the others are not. */
function silence(owner: SimNode, members: SimNode[], { network, timeline }: Cluster): void {
  const ways = members.flatMap(({ index }): [number, number][] => [
    [owner.index, index],
    [index, owner.index],
  ])
  network.block(ways, true)
  timeline.after(40 * S_US, () => network.heal())
}

/** The operator names others; the daemon reads its configuration at a start. */
function reseat(owner: SimNode, cluster: Cluster, prng: Prng): void {
  const others = cluster.nodes.filter(each => each.org !== owner.org).map(({ env }) => env.self.id)
  const witnesses = shuffled(others, prng).slice(0, prng.between(1, others.length))
  for (const copy of cluster.copies(owner.org)) {
    copy.witnesses = witnesses
    if (!copy.up) continue
    copy.crash()
    copy.start()
  }
}

function shuffled<T>(all: readonly T[], prng: Prng): T[] {
  const left = [...all]
  return all.map(() => left.splice(prng.below(left.length), 1)[0]!)
}
