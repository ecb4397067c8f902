/**
 * Ownership in one run of one seed: three owners register assets, alone or together, and hand them to each other, four partners vote, and meanwhile
 * nodes crash and messages are lost, copied and late; in some runs they register what they bought once more. In some runs an owner's store is put back unnoticed, so that it sells a
 * version twice. Whatever happens, no seat votes twice, no version has two certificates, and what was signed is certified
 * in the end, unless its own owner froze it.
 */
import { fromHex } from '../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import type { Answer } from '../protocol/command.ts'
import type { Side } from '../protocol/handover.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import { isWriter, type Ordering, orderIn } from '../protocol/ordering-state.ts'
import type { Owned } from '../protocol/ownership.ts'
import { type Policy, PROFILE } from '../protocol/policy.ts'
import { openCommittee } from '../protocol/title.ts'
import { watchOver } from './checkers.ts'
import { Cluster, type Plant } from './cluster.ts'
import { faultsOf } from './faults.ts'
import type { SimNode } from './node.ts'
import { OwnerChecker } from './owners.ts'
import { calm, drawPlan, NAMES, type Plan } from './plan.ts'
import { Prng } from './prng.ts'
import { Suspects } from './suspects.ts'

const S_US = 1_000_000
const NODES = 7
const OWNERS = 3
/** People look so often; a buyer has seen the offer of one look at the next, and then votes are cast for so long, us. */
const LOOK_US = 2 * S_US
const VOTING_US = 800_000
const ASSETS = 2
const VERSIONS = 3
/** Of the four partners that vote. */
const VOTES = 3
const DAY_MS = 86_400_000
/** How often an owner asks for another committee, and for somebody to share with, ppm of its looks. */
const RESEATS = 250_000
const SHARES = 300_000
/** How often several own an asset, of its registrations and hand-overs, and how many of the three sign what becomes of it, ppm. */
const JOINTS = 400_000
const NEEDED = 2
/** In how many runs owners register what they bought as such, ppm. */
const PURCHASES = 300_000
/** An owner takes an offer back that not all have answered for so long. */
const PATIENCE_MS = 15_000
const POLICY: Policy = {
  profile: PROFILE,
  prohibitions: [],
  permissions: [{ action: 'use', constraints: [] }],
}
const PASSES = { agreements: true, duties: true, keys: true, blocks: true }

export interface OwnershipReport {
  seed: number
  nodes: number
  violation?: string
  certified: number
  /** Among them changes of a committee. */
  reseated: number
  /** Of orders that several owners give. */
  joint: number
  /** Registrations of what was bought. */
  bought: number
  /** Agreements over registered assets that both have signed. */
  agreed: number
  frozen: number
  starts: number
}

/** Runs a seed; `changes` are in place of what it says. */
export function simulateOwnership(
  seed: number,
  plant: Plant = {},
  changes: Partial<Plan> = {},
): OwnershipReport {
  const prng = new Prng(seed, 'ownership')
  const plan: Plan = {
    ...drawPlan(seed),
    nodes: NODES,
    witnesses: 0,
    restores: 'none',
    twin: 'none',
    liars: 'none',
    reseats: false,
    robbed: false,
    silent: false,
    seated: true,
    expires: false,
    hostile: 'none',
    ...changes,
  }
  const cluster = new Cluster({ seed, weather: calm(plan.weather), times: plan.times, plant, pad: plan.pad })
  const nodes = NAMES.slice(0, NODES).map(name => cluster.add(name))
  const suspects = new Suspects(false)
  const { votes } = watchOver(cluster, suspects)
  const owners = new OwnerChecker(cluster, VOTES, suspects.putBack)
  cluster.checkers.push(owners)
  for (const node of nodes) node.start()
  pairAll(cluster, nodes)
  cluster.run(60 * S_US)
  // An owner's store that is put back sells twice: no other store is.
  const faults = faultsOf(cluster, { ...plan, restores: 'none' }, suspects)
  cluster.network.weather = plan.weather
  faults.begin()
  const desk = new Desk(cluster, prng, new Prng(seed, 'buys').chance(PURCHASES))
  const end = 60 * S_US + plan.faultyS * S_US
  if (prng.chance(300_000)) desk.sellTwice(suspects)
  if (plan.restores !== 'none') desk.blackOut(suspects)
  for (let atUs = cluster.timeline.nowUs; atUs < end && !cluster.violation; atUs += LOOK_US) {
    cluster.run(atUs)
    desk.look()
  }
  faults.end()
  cluster.network.weather = calm(plan.weather)
  const isCalm = () => unfinished(nodes, suspects.putBack).length === 0
  for (let i = 0; i < 40 && !cluster.violation && (i < 4 || !isCalm()); i++) {
    desk.decide()
    cluster.run(cluster.timeline.nowUs + 30 * S_US)
  }
  const [open, ...more] = cluster.violation ? [] : unfinished(nodes, suspects.putBack)
  if (open) cluster.report('every hand-over ends', open, `${more.length} more`)
  return {
    seed,
    nodes: nodes.length,
    ...(cluster.violation ? { violation: cluster.violation } : {}),
    certified: votes.certified,
    reseated: owners.reseated,
    joint: owners.joint,
    bought: owners.bought,
    agreed: owners.agreed,
    frozen: nodes.reduce((sum, { disk }) => sum + disk.list(KEY.frozens).length, 0),
    starts: nodes.reduce((sum, { life }) => sum + life, 0),
  }
}

function pairAll(cluster: Cluster, nodes: SimNode[]): void {
  for (const [i, joiner] of nodes.entries())
    for (const inviter of nodes.slice(0, i)) {
      const about = { forWhom: joiner.name, expiresMs: inviter.now().wallMs + 3_600_000 }
      inviter.submit(
        { type: 'invite', ...about, node: inviter.env.keys.node.public },
        [],
        answer => answer && cluster.join(joiner, (answer as Extract<Answer, { type: 'ticket' }>).ticket),
      )
    }
}

/** What the people do: they look at the disk, and go on from there. */
class Desk {
  readonly #cluster: Cluster
  readonly #prng: Prng
  readonly #owners: SimNode[]
  readonly #buys: boolean
  #beforeSale: (owner: SimNode) => void = () => {}

  constructor(cluster: Cluster, prng: Prng, buys: boolean) {
    this.#cluster = cluster
    this.#buys = buys
    this.#prng = prng
    this.#owners = cluster.nodes.slice(0, OWNERS)
  }

  /** The store of an owner goes back by some seconds, and nobody notices. */
  sellTwice(suspects: Suspects): void {
    const { timeline } = this.#cluster
    const owner = this.#prng.pick(this.#owners)
    timeline.after(this.#prng.between(10, 25) * S_US, () => {
      const backup = owner.disk.copy()
      timeline.after(this.#prng.between(3, 15) * S_US, () => {
        suspects.putBack.add(owner.org)
        suspects.alone.add(owner.org)
        if (owner.up) owner.crash()
        this.#cluster.restore(owner, backup)
        owner.start()
      })
    })
  }

  /** While votes on the first hand-over are cast the power goes everywhere, and its owner comes up as it was before it. */
  blackOut(suspects: Suspects): void {
    const { timeline, nodes } = this.#cluster
    this.#beforeSale = owner => {
      this.#beforeSale = () => {}
      const backup = owner.disk.copy()
      timeline.after(LOOK_US + this.#prng.below(VOTING_US), () => {
        suspects.putBack.add(owner.org)
        suspects.alone.add(owner.org)
        for (const node of nodes) if (node.up) node.crash()
        this.#cluster.restore(owner, backup)
        for (const node of nodes) node.start()
      })
    }
  }

  look(): void {
    for (const node of this.#owners) if (node.up) this.#own(node)
    this.decide()
  }

  #own(node: SimNode): void {
    const seats = this.#cluster.nodes.slice(OWNERS).map(({ env }) => env.self.id)
    const juries = node.disk.list(KEY.juries).map(([, bytes]) => openCommittee(bytes))
    const assembling = node.disk.list(KEY.assemblies)
    if (juries.length === 0) {
      if (assembling.length === 0) node.submit({ type: 'assemble', seats })
      return
    }
    if (assembling.length < 2) node.submit({ type: 'assemble', seats, prev: juries[0]!.id })
    const orders = node.disk.list(KEY.orders).map(([, bytes]) => decodeState<Ordering>(bytes))
    const mine = orders.filter(({ role, version }) => role === 'owner' && version === 0)
    const sale = this.#buys && mine.length === ASSETS ? orders.find(o => isBought(o, node)) : undefined
    if (mine.length < ASSETS || sale) this.#register(node, juries[0]!.id, mine.length, sale)
    for (const [key, bytes] of node.disk.list(KEY.titles)) {
      const { version, owner, joint, asset } =
        decodeState<Pick<Owned, 'version' | 'owner' | 'joint' | 'asset'>>(bytes)
      const { id: self } = node.env.self
      if (!joint.owners.some(({ org }) => org.equals(self)) || version >= VERSIONS || !key) continue
      if (owner.equals(self) && this.#prng.chance(SHARES)) this.#share(node, asset)
      if (this.#prng.chance(RESEATS)) {
        node.submit({ type: 'reseat', asset, next: this.#prng.pick(juries).id }) // refused unless it may follow
        continue
      }
      const { id: to } = this.#prng.pick(this.#owners.filter(each => each !== node)).env.self
      this.#beforeSale(node)
      const shared = this.#prng.chance(JOINTS) ? { joint: this.#with(to) } : {}
      node.submit({ type: 'hand-over', asset, to, ...shared, passes: PASSES }) // refused while one is on its way
    }
  }

  /** All owners together, two of whom sign what follows. */
  #with(lead: CID): { others: CID[]; k: number } {
    const ids = this.#owners.map(({ env }) => env.self.id)
    return { others: ids.filter(id => !id.equals(lead)), k: NEEDED }
  }

  /** It is offered to whoever reads the catalog, and somebody asks for what was seen there before. */
  #share(node: SimNode, asset: CID): void {
    const untilMs = node.now().wallMs + DAY_MS
    const terms = { policy: POLICY, approval: 'policy', untilMs } as const
    node.submit({ type: 'offer', asset, audience: [], ...terms })
    const reader = this.#prng.pick(this.#cluster.nodes.filter(each => each !== node))
    if (!reader.up) return
    reader.submit({ type: 'catalog', org: node.org })
    const seen = reader.disk.list(KEY.seenOffers)
    if (seen.length === 0) return
    const [, , org, hex] = this.#prng.pick(seen)[0].split('/') as [string, string, string, string]
    const offer = cidFromDigest(fromHex(hex)!, 'dag-cbor')
    reader.submit({ type: 'request', org, offer, action: 'use', purpose: 'x' })
  }

  #register(node: SimNode, committee: CID, count: number, sale?: Ordering): void {
    const about = { title: `asset ${count}`, domain: 'x', level: 'general', committee } as const
    node.submit({ type: 'publish', ...about, packets: [] }, [], answer => {
      if (!answer) return
      const { asset } = answer as Extract<Answer, { type: 'published' }>
      const content = new Uint8Array(32)
      const ref = `${count} ${asset}`
      const isJoint = (sale && orderIn(sale).takers!.owners.length > 1) || this.#prng.chance(JOINTS)
      const joint = isJoint ? { joint: this.#with(node.env.self.id) } : {}
      const came = sale
        ? ({ title: 'bought', bought: orderIn(sale).id } as const)
        : { title: 'made' as const }
      node.submit({ type: 'register', asset, committee, ref, content, ...came, ...joint })
    })
  }

  /** Whoever is offered something takes it, or says yes; what stays open for long is taken back. */
  decide(): void {
    for (const node of this.#owners) {
      if (!node.up) continue
      for (const [, bytes] of node.disk.list(KEY.orders)) {
        const o = decodeState<Ordering>(bytes)
        if (o.state !== 'OFFERED') continue
        if (isWriter(o)) {
          const isOld = node.now().wallMs - o.madeMs > PATIENCE_MS
          if (isOld && o.version > 0) node.submit({ type: 'take-back', order: orderIn(o).id })
          continue
        }
        node.submit({ type: 'take-over', order: orderIn(o).id, certified: [], mode: 'byzantine' })
      }
    }
  }
}

/** Whether a node came to own something by this. */
function isBought({ state, order }: Ordering, { env }: SimNode): boolean {
  const { givers, takers } = orderIn({ order })
  const isIn = (side: Side | undefined) => side?.owners.some(({ org }) => org.equals(env.self.id)) ?? false
  return state === 'CERTIFIED' && givers !== undefined && isIn(takers) && !isIn(givers)
}

/** Orders that all have signed whose signature they need, none of whom was put back, and that are not certified. */
function unfinished(nodes: SimNode[], putBack: ReadonlySet<string>): string[] {
  return nodes.slice(0, OWNERS).flatMap(node =>
    node.disk.list(KEY.orders).flatMap(([, bytes]) => {
      const o = decodeState<Ordering>(bytes)
      const isExcused = [node.org, ...orderIn(o).parties.map(String)].some(org => putBack.has(org))
      const isOpen = o.state === 'VOTING' || o.state === 'FROZEN' || o.state === 'ACCEPTED'
      return isOpen && !isExcused ? [`${node.name}: version ${o.version} as ${o.role} is ${o.state}`] : []
    }),
  )
}
