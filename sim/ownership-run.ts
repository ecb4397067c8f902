/**
 * Ownership in one run of one seed: two owners register assets and hand them to each other, four partners vote, and meanwhile
 * nodes crash and messages are lost, copied and late. In some runs an owner's store is put back unnoticed, so that it sells a
 * version twice. Whatever happens, no seat votes twice, no version has two certificates, and what was signed is certified
 * in the end, unless its own owner froze it.
 */
import { equal, fromHex, toHex } from '../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import { agreement } from '../protocol/agreement.ts'
import type { Answer } from '../protocol/command.ts'
import { fresh as freshType } from '../protocol/freshness.ts'
import { committeeChange, isOrder, readOrder, voteIn } from '../protocol/handover.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import type { MessageOf } from '../protocol/message.ts'
import { type Ordering, orderIn } from '../protocol/ordering.ts'
import { type Policy, PROFILE } from '../protocol/policy.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { openCommittee } from '../protocol/title.ts'
import { watchOver } from './checkers.ts'
import { type Checker, Cluster, type Leaving, type Plant } from './cluster.ts'
import { faultsOf } from './faults.ts'
import type { SimNode } from './node.ts'
import { calm, drawPlan, type Plan } from './plan.ts'
import { Prng } from './prng.ts'
import { Suspects } from './suspects.ts'

const S_US = 1_000_000
const NAMES = ['Acme Steel', 'Bolt GmbH', 'Cole Logistics', 'Dunn Castings', 'Eder AG', 'Fink Tools']
const OWNERS = 2
const ASSETS = 2
const VERSIONS = 3
/** Votes that make a certificate in the committee of four partners. */
const QUORUM = 3
const DAY_MS = 86_400_000
/** How often an owner asks for another committee, and for somebody to share with, ppm of its looks. */
const RESEATS = 250_000
const SHARES = 300_000
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
  /** Agreements over registered assets that both have signed. */
  agreed: number
  frozen: number
  starts: number
}

export function simulateOwnership(seed: number, plant: Plant = {}): OwnershipReport {
  const prng = new Prng(seed, 'ownership')
  const plan: Plan = {
    ...drawPlan(seed),
    nodes: NAMES.length,
    witnesses: 0,
    restores: 'none',
    twin: 'none',
    liars: 'none',
    reseats: false,
    robbed: false,
    silent: false,
    seated: true,
  }
  const cluster = new Cluster({ seed, weather: calm(plan.weather), times: plan.times, plant, pad: plan.pad })
  const nodes = NAMES.map(name => cluster.add(name))
  const suspects = new Suspects(false)
  watchOver(cluster, suspects)
  const checker = new VoteChecker(cluster)
  cluster.checkers.push(checker)
  for (const node of nodes) node.start()
  pairAll(cluster, nodes)
  cluster.run(60 * S_US)
  const faults = faultsOf(cluster, plan, suspects)
  cluster.network.weather = plan.weather
  faults.begin()
  const desk = new Desk(cluster, prng)
  const end = 60 * S_US + plan.faultyS * S_US
  if (prng.chance(300_000)) desk.sellTwice(suspects)
  for (let atUs = cluster.timeline.nowUs; atUs < end && !cluster.violation; atUs += 2 * S_US) {
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
    certified: checker.certified,
    reseated: checker.reseated,
    agreed: checker.agreed,
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

  constructor(cluster: Cluster, prng: Prng) {
    this.#cluster = cluster
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
    if (mine.length < ASSETS) this.#register(node, juries[0]!.id, mine.length)
    for (const [key, bytes] of node.disk.list(KEY.titles)) {
      const { version, owner, asset } = decodeState<{ version: number; owner: CID; asset: CID }>(bytes)
      if (!owner.equals(node.env.self.id) || version >= VERSIONS || !key) continue
      if (this.#prng.chance(SHARES)) this.#share(node, asset)
      if (this.#prng.chance(RESEATS)) {
        node.submit({ type: 'reseat', asset, next: this.#prng.pick(juries).id }) // refused unless it may follow
        continue
      }
      const { id: to } = this.#prng.pick(this.#owners.filter(each => each !== node)).env.self
      node.submit({ type: 'hand-over', asset, to, passes: PASSES }) // refused while one is on its way
    }
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

  #register(node: SimNode, committee: CID, count: number): void {
    const about = { title: `asset ${count}`, domain: 'x', level: 'general' } as const
    node.submit({ type: 'publish', ...about, packets: [] }, [], answer => {
      if (!answer) return
      const { asset } = answer as Extract<Answer, { type: 'published' }>
      const content = new Uint8Array(32)
      const ref = `${count} ${asset}`
      node.submit({ type: 'register', asset, committee, ref, content, title: 'made' })
    })
  }

  /** Whoever is offered something takes it. */
  decide(): void {
    for (const node of this.#owners) {
      if (!node.up) continue
      for (const [, bytes] of node.disk.list(KEY.orders)) {
        const o = decodeState<Ordering>(bytes)
        if (o.role !== 'buyer' || o.state !== 'OFFERED') continue
        node.submit({ type: 'take-over', order: orderIn(o).id, certified: [], mode: 'byzantine' })
      }
    }
  }
}

/**
 * No vote twice, none before it is on the disk, no two certificates of one version, and no agreement signed in the name of
 * an owner when the next version had its votes before the seats were asked.
 */
class VoteChecker implements Checker {
  readonly #cluster: Cluster
  readonly #votes = new Map<string, string>()
  readonly #certificates = new Map<string, string>()
  /** Seats that voted for an order, and when the last that it needs did, by asset and version. */
  readonly #voters = new Map<string, Set<string>>()
  readonly #decidedUs = new Map<string, number>()
  /** When seats were asked first, by negotiation. */
  readonly #askedUs = new Map<string, number>()
  reseated = 0
  readonly #agreed = new Set<string>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get certified(): number {
    return this.#certificates.size
  }

  sent({ from, message }: Leaving): void {
    if (message.t === 'vote/cast') this.#vote(from, message.vote)
    if (message.t === 'owner/ask') {
      const id = toHex(message.id)
      if (!this.#askedUs.has(id)) this.#askedUs.set(id, this.#cluster.timeline.nowUs)
    }
    if (message.t === 'negotiation/verify') this.#signed(from, message)
    if (message.t !== 'owner/told') return
    for (const link of message.links) {
      const order = readOrder(link.order)
      if (!isOrder(order)) continue
      const name = `${order.asset} ${order.version}`
      const known = this.#certificates.get(name)
      if (known !== undefined && known !== order.id.toString())
        this.#cluster.report('one owner', from.name, `two certificates of version ${order.version}`)
      if (known === undefined && order.record.payload.t === committeeChange.t) this.reseated++
      this.#certificates.set(name, order.id.toString())
    }
  }

  get agreed(): number {
    return this.#agreed.size
  }

  #signed(from: SimNode, { id, agreement: bytes, fresh }: MessageOf<'negotiation/verify'>): void {
    const read = readRecord(agreement, bytes)
    if (!isStored(read) || !read.payload.order) return
    this.#agreed.add(read.id.toString())
    const seats = new Set(fresh?.words.flatMap(seatIn))
    if (!fresh || seats.size < QUORUM)
      this.#cluster.report('owner shown', from.name, `signed with the words of ${seats.size} seats`)
    const passed = this.#decidedUs.get(`${read.payload.asset} ${(fresh?.version ?? 0) + 1}`)
    const asked = this.#askedUs.get(toHex(id))
    if (passed !== undefined && asked !== undefined && passed < asked)
      this.#cluster.report('owner shown', from.name, 'signed after the next version had its votes')
  }

  #vote(from: SimNode, bytes: Uint8Array): void {
    const vote = voteIn(bytes)!
    const choice = vote.choice.toString()
    const name = `${vote.org} ${vote.committee} ${vote.asset} ${vote.version}`
    const known = this.#votes.get(name)
    if (known !== undefined && known !== choice)
      this.#cluster.report('one vote', from.name, `voted twice for version ${vote.version}`)
    this.#votes.set(name, choice)
    const voters = this.#voters.get(choice) ?? new Set()
    this.#voters.set(choice, voters.add(from.org))
    const next = `${vote.asset} ${vote.version}`
    if (voters.size === QUORUM && !this.#decidedUs.has(next))
      this.#decidedUs.set(next, this.#cluster.timeline.nowUs)
    const stored = from.disk.get(KEY.vote(vote.committee, vote.asset, vote.version))
    const held = stored && decodeState<{ vote: Uint8Array }>(stored).vote
    if (!held || !equal(held, bytes))
      this.#cluster.report('one vote', from.name, 'a vote left before it was on the disk')
  }
}

const seatIn = (word: Uint8Array): string[] => {
  const read = readRecord(freshType, word)
  return isStored(read) ? [read.payload.org.toString()] : []
}

/** Orders that both have signed, of owners whose store was not put back, and that are not certified. */
function unfinished(nodes: SimNode[], putBack: ReadonlySet<string>): string[] {
  return nodes.slice(0, OWNERS).flatMap(node =>
    node.disk.list(KEY.orders).flatMap(([, bytes]) => {
      const o = decodeState<Ordering>(bytes)
      const isExcused = putBack.has(node.org) || (o.org !== undefined && putBack.has(o.org))
      const isOpen = o.state === 'VOTING' || o.state === 'FROZEN' || o.state === 'ACCEPTED'
      return isOpen && !isExcused ? [`${node.name}: version ${o.version} as ${o.role} is ${o.state}`] : []
    }),
  )
}
