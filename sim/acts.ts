/**
 * The participants of a world at work: they do what the workload says when their moment comes, and what follows is timed by
 * what their nodes tell them.
 */

import { utf8 } from '../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import { sha256 } from '../crypto/hash.ts'
import type { Answer } from '../protocol/command.ts'
import { inForce } from '../protocol/committee.ts'
import type { Event } from '../protocol/event.ts'
import { isDue } from '../protocol/gossip.ts'
import { KEY } from '../protocol/layout.ts'
import { GOSSIP_MS } from '../protocol/limits.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { type Ordering, orderIn } from '../protocol/ordering-state.ts'
import { openCommittee } from '../protocol/title.ts'
import type { Activity } from './activity.ts'
import { rob } from './betrayal.ts'
import type { Cargo } from './cargo.ts'
import type { Cluster } from './cluster.ts'
import { turnHostile } from './hostile.ts'
import type { Stopwatch } from './measures.ts'
import { meter } from './meter.ts'
import { type SimNode, START_MS } from './node.ts'
import { Prng } from './prng.ts'
import type { Suspects } from './suspects.ts'

import { POLICY } from './workload.ts'

const S_US = 1_000_000
const MINUTE_US = 60 * S_US
const HOUR_MINUTES = 60
const YEAR_MS = 365 * 86_400_000
const RECALL_TIERS = 5
/** Of a flash crowd one in so many is the provider, and of thefts the victim. */
const ONE_IN = 100
const RESTART_US = 60 * S_US
const PASSES = { agreements: true, duties: true, keys: true, blocks: true }

/** A participant, and what it remembers. */
interface Desk {
  node: SimNode
  cargo: Cargo
  partners: SimNode[]
  /** The second of the minute in which it acts, us. */
  momentUs: number
  published: number
  /** What it has registered, and to whom it hands it over. */
  asset: CID | undefined
  isRegistering: boolean
  buyer: SimNode | undefined
  /** Cosignatures of heads that are not final yet, by size: how many, and when it was signed, us. */
  cosigned: Map<number, { count: number; atUs: number }>
  /** How many cosignatures make a head final. */
  q: number
}

export interface ActsOptions {
  cluster: Cluster
  activity: Activity
  minutes: number
  seed: number
  cargo(node: SimNode): Cargo
  partners(node: SimNode): SimNode[]
  watch: Stopwatch
  suspects: Suspects
}

export class Acts {
  /** What came to its end since it was last set to nothing. */
  readonly done = { packets: 0, agreements: 0, handovers: 0, refused: 0 }
  /** By organisation whose log was forked: how long after it others had the proof, us. */
  readonly found: Map<string, number[]> = new Map()
  readonly #robbed = new Map<string, number>()
  /** Hand-overs that were accepted: the node tells of one again when it changes. */
  readonly #taken = new Set<string>()
  readonly #options: ActsOptions
  readonly #prng: Prng
  readonly #desks: Desk[]
  /** End what the hostile do. */
  readonly #ends: (() => void)[] = []
  #ended = false

  constructor(options: ActsOptions) {
    this.#options = options
    const { cluster, seed } = options
    this.#prng = new Prng(seed, 'acts')
    this.#desks = cluster.nodes.map(node => ({
      node,
      cargo: options.cargo(node),
      partners: options.partners(node),
      momentUs: this.#prng.below(MINUTE_US),
      published: 0,
      asset: undefined,
      isRegistering: false,
      buyer: undefined,
      cosigned: new Map(),
      q: 0,
    }))
    cluster.checkers.push({ event: (node, event) => this.#note(this.#desks[node.index]!, event) })
  }

  get #now(): number {
    return this.#options.cluster.timeline.nowUs + meter.us
  }

  get #watch(): Stopwatch {
    return this.#options.watch
  }

  // Before the run.

  /** Everybody has something that others may ask for. */
  offerAll(): void {
    const untilMs = START_MS + YEAR_MS
    for (const { node, cargo } of this.#desks)
      cargo.publish(`${node.name}, on offer`, this.#options.activity.publishBytes, answer => {
        if (answer?.type !== 'published') return
        node.submit({
          type: 'offer',
          asset: answer.asset,
          audience: [],
          policy: POLICY,
          approval: 'policy',
          untilMs,
        })
      })
  }

  /** Whoever will hand something over in this run has it registered, before a committee in which the buyer does not sit. */
  registerAll(): void {
    const { activity, minutes, seed } = this.#options
    const prng = new Prng(seed, 'hand-overs')
    const ppm = chance(activity.handovers)
    for (const desk of this.#desks) {
      let count = 0
      for (let minute = 0; minute < minutes; minute++) if (prng.chance(ppm)) count++
      if (count === 0) continue
      const seats = desk.node.witnesses.map(String)
      const buyers = desk.partners.filter(({ org }) => !seats.includes(org))
      if (buyers.length === 0) continue
      desk.buyer = prng.pick(buyers)
      desk.node.submit({ type: 'assemble', seats: desk.node.witnesses })
    }
  }

  // The run.

  begin(): void {
    this.#watch.clear()
    Object.assign(this.done, { packets: 0, agreements: 0, handovers: 0, refused: 0 })
    for (const desk of this.#desks) {
      desk.q = inForce(desk.node.env.get)?.payload.q ?? 0
      this.#gossipLater(desk)
      this.#turn(desk.node)
      if (this.#options.activity.isRobbed && desk.node.index % ONE_IN === 0) this.#robLater(desk)
      this.#minute(desk, 0)
    }
  }

  #turn(node: SimNode): void {
    const { activity, cluster, suspects } = this.#options
    if (activity.hostility === '' || node.index % ONE_IN !== 0) return
    const end = turnHostile(node, activity.hostility, cluster, this.#prng, suspects)
    this.#ends.push(end)
  }

  /** What the thief shows is not what the owner has signed: whoever sees both can prove it. */
  #robLater(desk: Desk): void {
    const { cluster, minutes, suspects } = this.#options
    cluster.timeline.after((minutes * MINUTE_US) / 2, () => {
      this.#robbed.set(desk.node.org, this.#now)
      this.found.set(desk.node.org, [])
      rob(desk.node, cluster, suspects, this.#prng)
    })
  }

  end(): void {
    this.#ended = true
    for (const end of this.#ends) end()
  }

  #minute(desk: Desk, minute: number): void {
    const { cluster, minutes } = this.#options
    if (minute >= minutes) return
    const atUs = minute === 0 ? desk.momentUs : MINUTE_US
    cluster.timeline.after(atUs, () => {
      if (this.#ended) return
      this.#minute(desk, minute + 1)
      if (desk.node.up) this.#act(desk, minute)
    })
  }

  #act(desk: Desk, minute: number): void {
    const { activity, minutes } = this.#options
    const draw = (rate: number) => this.#prng.chance(chance(rate))
    if (draw(activity.batches)) this.#publish(desk, activity.batchBytes)
    if (draw(activity.publishes)) this.#publish(desk, activity.publishBytes)
    if (activity.isFlash) {
      const ppm = Math.min(1_000_000, chance(activity.negotiations) * minutes)
      if (minute === Math.floor(minutes / 2) && this.#prng.chance(ppm)) this.#negotiate(desk, true)
    } else if (draw(activity.negotiations)) this.#negotiate(desk, false)
    if (draw(activity.handovers)) this.#handOver(desk)
    if (draw(activity.audits)) this.#audit(desk, 1)
    if (draw(activity.recalls)) this.#audit(desk, RECALL_TIERS)
    if (draw(activity.restarts)) this.#restart(desk)
  }

  #publish(desk: Desk, size: number): void {
    const { node, cargo } = desk
    const began = this.#now
    cargo.publish(`${node.name} ${desk.published++}`, size, answer => {
      if (!answer) this.done.refused++
      else {
        this.done.packets++
        this.#watch.count('publish', this.#now - began)
      }
    })
  }

  /** Reads a partner's catalog, and goes on when it is there. */
  #negotiate(desk: Desk, isFlash: boolean): void {
    const { node, partners } = desk
    if (partners.length === 0) return
    const wanted = isFlash ? partners.filter(({ index }) => index % ONE_IN === 0) : partners
    const { org } = this.#prng.pick(wanted.length > 0 ? wanted : partners)
    this.#watch.begin(`catalog ${node.index} ${org}`, this.#now)
    this.#request(node, { type: 'catalog', org })
  }

  /** A request to the local API. */
  #request(
    node: SimNode,
    command: Parameters<SimNode['submit']>[0],
    told?: (answer: Answer | undefined) => void,
  ) {
    // Not in the turn of the node that told of something: it comes from outside.
    this.#options.cluster.timeline.after(0, () =>
      node.work(() => {
        meter.charge('request')
        node.submit(command, [], answer => {
          if (!answer) this.done.refused++
          told?.(answer)
        })
      }),
    )
  }

  #ask(desk: Desk, org: string): void {
    const { node } = desk
    const [newest] = node.store.list(`${KEY.seenOffers}${org}/`, { limit: 1 })
    if (!newest) return
    const offer = cidFromDigest(Uint8Array.from(Buffer.from(newest[0].split('/')[3]!, 'hex')), 'dag-cbor')
    const began = this.#now
    this.#request(node, { type: 'request', org, offer, action: 'analyse', purpose: 'benchmark' }, answer => {
      if (answer?.type === 'machine') this.#watch.begin(`${node.index} ${answer.machine}`, began)
    })
  }

  #fetch(desk: Desk, org: string, agreement: CID): void {
    const { node } = desk
    const began = this.#now
    this.#request(node, { type: 'transfer', org, agreement }, answer => {
      if (answer?.type === 'machine') this.#watch.begin(`${node.index} ${answer.machine}`, began)
    })
  }

  #register(desk: Desk): void {
    const { node } = desk
    const seats = node.witnesses.map(String).sort().join()
    const jury = node.store
      .list(KEY.juries)
      .map(([, record]) => openCommittee(record))
      .find(
        ({ payload }) =>
          payload.seats
            .map(({ org }) => org.toString())
            .sort()
            .join() === seats,
      )
    if (!jury || desk.isRegistering) return
    desk.isRegistering = true
    const committee = jury.id
    const about = { title: 'to be handed over', domain: 'production', level: 'general', committee } as const
    node.submit({ type: 'publish', ...about, packets: [] }, [], answer => {
      if (answer?.type !== 'published') return
      const { asset } = answer
      const content = sha256(utf8(node.name))
      node.submit({ type: 'register', asset, committee, ref: asset.toString(), content, title: 'made' })
    })
  }

  #handOver(desk: Desk): void {
    const { node, asset, buyer } = desk
    if (!asset || !buyer) return
    const began = this.#now
    this.#request(node, { type: 'hand-over', asset, to: buyer.env.self.id, passes: PASSES }, answer => {
      if (answer?.type === 'machine') this.#watch.begin(`${node.index} ${answer.machine}`, began)
    })
  }

  /** Asks for the proofs of an agreement; in a recall whoever was asked asks on. */
  #audit(desk: Desk, tiers: number): void {
    const { node } = desk
    const grants = node.store.list(KEY.grants, { limit: 16 })
    if (grants.length === 0) return
    const [, org, hex] = this.#prng.pick(grants)[0].split('/') as [string, string, string]
    const record = cidFromDigest(Uint8Array.from(Buffer.from(hex, 'hex')), 'dag-cbor')
    const began = this.#now
    this.#request(node, { type: 'proofs', org, records: [record] }, answer => {
      if (answer?.type === 'reading') this.#watch.begin(`proofs ${node.index} ${answer.id} ${tiers}`, began)
    })
  }

  #restart({ node }: Desk): void {
    node.crash()
    this.#options.cluster.timeline.after(RESTART_US, () => node.start())
  }

  // What comes of it.

  #note(desk: Desk, event: Event): void {
    const { node } = desk
    switch (event.type) {
      case 'forked':
        if (event.org !== node.org) this.found.get(event.org)?.push(this.#now - this.#robbed.get(event.org)!)
        return
      case 'head':
        desk.cosigned.set(event.size, { count: 0, atUs: this.#now })
        return
      case 'cosigned':
        this.#cosigned(desk, event.size)
        return
      case 'catalog':
        if (event.complete && this.#watch.end('catalog', `catalog ${node.index} ${event.org}`, this.#now))
          this.#ask(desk, event.org)
        return
      case 'negotiation':
        this.#negotiated(desk, event)
        return
      case 'transfer':
        if (event.state === 'COMPLETED' || event.state === 'TERMINATED')
          this.#watch.end(
            event.state === 'COMPLETED' ? 'transfer' : 'broken',
            `${node.index} ${event.machine}`,
            this.#now,
          )
        return
      case 'order':
        this.#ordered(desk, event)
        return
      case 'proofs':
        this.#proven(desk, event.id)
        return
      case 'jury':
        if (desk.buyer && !desk.asset) this.#register(desk)
        return
    }
  }

  #cosigned(desk: Desk, size: number): void {
    const head = desk.cosigned.get(size)
    if (!head) return
    head.count++
    if (head.count < desk.q || desk.q === 0) return
    for (const [known] of desk.cosigned) if (known <= size) desk.cosigned.delete(known)
    this.#watch.count('head final', this.#now - head.atUs)
  }

  #negotiated(desk: Desk, { state, machine, org, role }: Extract<Event, { type: 'negotiation' }>): void {
    if (role !== 'consumer') return
    const what = `${desk.node.index} ${machine}`
    if (state === 'TERMINATED') this.#watch.end('broken', what, this.#now)
    if (state !== 'FINALIZED' || !this.#watch.end('negotiation', what, this.#now)) return
    this.done.agreements++
    const { agreementId } = decodeState<Negotiation>(desk.node.store.get(machine)!)
    this.#fetch(desk, org, agreementId!)
  }

  #ordered(desk: Desk, { machine, state }: Extract<Event, { type: 'order' }>): void {
    const { node } = desk
    const o = decodeState<Ordering>(node.store.get(machine)!)
    const order = `${node.index} ${machine}`
    if (o.role === 'buyer' && state === 'OFFERED' && !this.#taken.has(order)) {
      this.#taken.add(order)
      this.#request(node, { type: 'take-over', order: orderIn(o).id, certified: [], mode: 'byzantine' })
    }
    if (state !== 'CERTIFIED') return
    if (o.role === 'owner' && o.version === 0) desk.asset = o.asset
    else if (this.#watch.end('hand-over', `${node.index} ${machine}`, this.#now)) {
      this.done.handovers++
      desk.asset = undefined
    }
  }

  #proven(desk: Desk, id: string): void {
    for (const tiers of [1, RECALL_TIERS, 4, 3, 2]) {
      const what = `proofs ${desk.node.index} ${id} ${tiers}`
      if (!this.#watch.end(tiers === 1 ? 'audit' : 'recall, each tier', what, this.#now)) continue
      if (tiers > 1) this.#audit(this.#desks[this.#prng.pick(desk.partners).index]!, tiers - 1)
      return
    }
  }

  // Gossip, as node/partners.ts does it.

  #gossipLater(desk: Desk): void {
    const waitUs = GOSSIP_MS * 1_000
    this.#options.cluster.timeline.after(waitUs * 0.75 + this.#prng.below(waitUs / 2), () => {
      if (this.#ended) return
      if (desk.node.up) this.#gossip(desk)
      this.#gossipLater(desk)
    })
  }

  #gossip({ node }: Desk): void {
    const orgs = [...node.admitted]
    if (isDue(node.state, orgs, node.env.get)) node.submit({ type: 'gossip', orgs })
  }
}

/** Parts in a million that it happens in a minute. */
const chance = (anHour: number): number => Math.round((anHour / HOUR_MINUTES) * 1_000_000)
