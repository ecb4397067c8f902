/**
 * A world of many: every participant runs the shipped protocol/ on a host that its work is charged to, with lines between
 * them that take time and room. It is set up without cost (identities, pairings, committees, what is on offer), then runs
 * the workload for some virtual minutes, and says what came of it.
 */
import { equal, utf8 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { inForce } from '../protocol/committee.ts'
import { KEY } from '../protocol/layout.ts'
import { originHash, originOf } from '../protocol/log.ts'
import type { Partner } from '../protocol/machine.ts'
import { encodePartner, partnerOf } from '../protocol/pairing.ts'
import { type Activity, wordsOf } from './activity.ts'
import { Acts } from './acts.ts'
import { Archive } from './archive.ts'
import { Cargo } from './cargo.ts'
import { Cluster } from './cluster.ts'
import { byRegion, type Latency } from './latency.ts'
import { silent } from './liars.ts'
import { Stopwatch } from './measures.ts'
import { meter, type Signatures } from './meter.ts'
import type { Line } from './network.ts'
import { type SimNode, START_MS } from './node.ts'
import { Prng } from './prng.ts'
import type { Profile } from './profile.ts'
import { Suspects } from './suspects.ts'
import type { Topology } from './topology.ts'

const S_US = 1_000_000
const MINUTE_US = 60 * S_US
/** Witnesses of each log, which are its committee. */
export const SEATS = 4
/** What a site's access carries in each direction, and a line between two sites: 100 Mbit/s. */
const ACCESS_BYTES_PER_MS = 12_500
/** Setting up ends when all committees are in force, or after this. */
const SETUP_S = 900
const SETUP_STEP_S = 10
/** Nothing is late that was begun so shortly before the end. */
const LATE_US = 60 * S_US

export interface WorldOptions {
  topology: Topology
  minutes: number
  seed: number
  profile: Profile
  signatures: Signatures
  activity: Activity
  /** Machines that the nodes share, over loopback; each has its own when left out. */
  hosts?: number
  /** By the regions of the participants when left out. */
  latency?: Latency
  /** Seats of each committee. */
  seats?: number
  /** Messages that are lost, parts in a million. */
  lossPpm?: number
  /** Of a million participants, those that promise and cosign for nobody once the run begins. */
  liarsPpm?: number
  /** How far it is, from 0 to 1, in setting up and then in the run. */
  progress?: (phase: 'set up' | 'run', share: number) => void
}

export class World {
  readonly cluster: Cluster
  readonly watch: Stopwatch = new Stopwatch()
  readonly suspects: Suspects = new Suspects(false)
  readonly acts: Acts
  /** By participant: those that it is paired with. */
  readonly partners: SimNode[][]
  readonly #options: WorldOptions
  readonly #witnesses: CID[][] = []
  #startUs = 0

  constructor(options: WorldOptions) {
    this.#options = options
    const { topology, seed, profile, signatures, lossPpm = 0, hosts } = options
    meter.signatures = signatures
    meter.price(profile)
    const latency = options.latency ?? byRegion(topology.participants.map(({ region }) => region))
    const local: Line = {
      delayUs: profile.loopback.delayUs,
      bytesPerMs: profile.loopback.bytesPerMs,
      isLocal: true,
    }
    const cargos: Cargo[] = []
    this.cluster = new Cluster({
      seed,
      archive: new Archive(),
      weather: {
        leastDelayUs: 0,
        mostDelayUs: 0,
        jitterUs: 0,
        lossPpm,
        copyPpm: 0,
        disorderPpm: 0,
        bytesPerMs: ACCESS_BYTES_PER_MS,
      },
      times: { leastSyncUs: 0, mostSyncUs: 0, readUs: 0, measured: profile.disk },
      hosts: {
        of: node => (hosts ? node % hosts : node),
        machine: profile,
        lines: {
          between: (a, b) =>
            hosts && a % hosts === b % hosts
              ? local
              : { delayUs: latency(a, b), bytesPerMs: ACCESS_BYTES_PER_MS, isLocal: false },
          accessBytesPerMs: ACCESS_BYTES_PER_MS,
        },
      },
      bulk: node => {
        const cargo = new Cargo(
          node,
          this.cluster.network,
          org => {
            const peer = this.cluster.node(org)
            return peer && cargos[peer.index]
          },
          hosts !== undefined,
        )
        cargos[node.index] = cargo
        return cargo
      },
    })
    const { minutes, activity } = options
    this.cluster.given({
      topology,
      minutes,
      profile,
      signatures,
      activity,
      hosts,
      lossPpm,
      seats: this.#seats,
    })
    for (const { name } of topology.participants) this.cluster.add(name)
    this.partners = this.cluster.nodes.map(() => [])
    this.#pairAll()
    this.acts = new Acts({
      cluster: this.cluster,
      activity: options.activity,
      minutes: options.minutes,
      seed,
      cargo: node => cargos[node.index]!,
      partners: node => this.partners[node.index]!,
      watch: this.watch,
      suspects: this.suspects,
    })
  }

  get nodes(): SimNode[] {
    return this.cluster.nodes
  }

  /** What was begun a minute before the end and is still not over. */
  get late(): number {
    return this.watch.open(this.cluster.timeline.nowUs - LATE_US)
  }

  /** How long the run is so far, us. */
  get ranUs(): number {
    return this.cluster.timeline.nowUs - this.#startUs
  }

  /** What a reader has to know. */
  said(): string[] {
    const { profile, signatures, activity, lossPpm, hosts } = this.#options
    const charged =
      'signatures charged: a stand-in takes their place, at the cost that the profile says; no run with them shows anything of forgery'
    return [
      wordsOf(activity),
      `each log has a committee of ${Math.min(this.#seats, this.nodes.length - 1)} partners`,
      signatures === 'charged' ? charged : 'signatures real',
      'logs, records, heads and proofs lie in a temporary file, not in memory',
      'content charged: sealed, indexed, hashed and carried by its size, without its bytes',
      `costs of ${profile.machine}, Node ${profile.node}, ${profile.date}`,
      hosts ? `${hosts} hosts, over loopback` : 'a host for each participant, 100 Mbit/s each',
      ...(lossPpm ? [`${lossPpm} of a million messages are lost`] : []),
    ]
  }

  get #seats(): number {
    return this.#options.seats ?? SEATS
  }

  /** Partners by the topology, and where somebody has fewer than a committee needs, partners of partners and others. */
  #pairAll(): void {
    const { topology, seed } = this.#options
    const count = this.nodes.length
    const known = this.nodes.map(() => new Set<number>())
    const pair = (a: number, b: number) => {
      if (a === b || known[a]!.has(b)) return
      known[a]!.add(b)
      known[b]!.add(a)
    }
    for (const [a, b] of topology.partners) pair(a, b)
    const prng = new Prng(seed, 'witnesses')
    const wanted = Math.min(this.#seats + 1, count - 1)
    for (let i = 0; i < count; i++) {
      const near = [...known[i]!].flatMap(each => [...known[each]!])
      for (let tries = 0; known[i]!.size < wanted && tries < near.length; tries++) pair(i, prng.pick(near))
      while (known[i]!.size < wanted) pair(i, prng.below(count))
    }
    for (const [i, partners] of known.entries()) {
      const nodes = [...partners].sort((a, b) => a - b).map(each => this.nodes[each]!)
      this.partners[i] = nodes
      this.#witnesses.push(pickSome(nodes, this.#seats, prng).map(({ env }) => env.self.id))
    }
    this.#introduce()
  }

  /** Every pair has met, with the outcome that the dialogue has: both know the other's identity. */
  #introduce(): void {
    const records = this.nodes.map(({ env, index }) => {
      const partner = partnerOf(env.self.chain, {
        addresses: env.addresses(),
        witnesses: this.#witnesses[index]!,
        firsts: [],
        pairedMs: START_MS,
      })
      const origin = originHash(originOf(env.self.chain))
      return {
        partner,
        stored: encodePartner(partner),
        key: KEY.partner(partner.org),
        origin: KEY.origin(origin),
        org: utf8(partner.org),
      }
    })
    for (const [i, partners] of this.partners.entries())
      for (const { index } of partners) {
        const { key, stored, origin, org } = records[index]!
        this.nodes[i]!.disk.apply([
          { key, value: stored },
          { key: origin, value: org },
        ])
      }
    for (const [i, node] of this.nodes.entries()) {
      node.start()
      for (const { index } of this.partners[i]!) {
        const { partner, stored } = records[index]!
        node.state.partners.set(partner.org, { stored, partner })
      }
    }
  }

  /** Committees, what is on offer, and what will be handed over. */
  setUp(): void {
    const { cluster, acts } = this
    const until = (isReady: () => boolean, seconds: number, from: number, to: number) => {
      for (let s = 0; s < seconds && !cluster.violation && !isReady(); s += SETUP_STEP_S) {
        const endUs = cluster.timeline.nowUs + SETUP_STEP_S * S_US
        while (cluster.timeline.nowUs < endUs && !cluster.violation) {
          cluster.run(cluster.timeline.nowUs + S_US)
          this.#share()
        }
        this.#options.progress?.('set up', from + (to - from) * (s / seconds))
      }
    }
    until(() => false, SETUP_STEP_S, 0, 0.1)
    // All are connected: whoever asks for a committee before asks again at each connection.
    for (const node of this.nodes) {
      node.witnesses = this.#witnesses[node.index]!
      node.submit({ type: 'committee', seats: node.witnesses })
    }
    until(() => this.nodes.every(({ env }) => inForce(env.get)), SETUP_S, 0.1, 0.5)
    acts.offerAll()
    until(() => false, 20, 0.5, 0.7)
    acts.registerAll()
    until(() => false, 30, 0.7, 1)
    this.#silence()
  }

  #silence(): void {
    const { liarsPpm = 0, seed } = this.#options
    const prng = new Prng(seed, 'liars')
    for (const node of this.nodes) if (prng.chance(liarsPpm)) node.lies = silent
  }

  /** What many know of one partner is kept once: while all meet, what each reads by itself is most of what a world takes. */
  #share(): void {
    const known = new Map<string, { stored: Uint8Array; partner: Partner }[]>()
    for (const node of this.nodes)
      for (const [org, here] of node.state.partners) {
        const all = known.get(org) ?? []
        known.set(org, all)
        const same = all.find(({ stored }) => equal(stored, here.stored))
        if (!same) all.push(here)
        else {
          node.disk.apply([{ key: KEY.partner(org), value: same.stored }])
          node.state.partners.set(org, same)
        }
      }
  }

  run(): void {
    const { minutes, progress } = this.#options
    const { cluster, acts } = this
    meter.reset()
    for (const node of this.nodes) {
      cluster.network.traffic(node.index).reset()
      Object.assign(node.written, { syncs: 0, us: 0, bytes: 0 })
    }
    meter.charging = true
    this.#startUs = cluster.timeline.nowUs
    acts.begin()
    const steps = minutes * 6
    for (let step = 1; step <= steps && !cluster.violation; step++) {
      cluster.run(this.#startUs + (minutes * MINUTE_US * step) / steps)
      progress?.('run', step / steps)
    }
    acts.end()
    meter.charging = false
  }
}

function pickSome<T>(among: readonly T[], count: number, prng: Prng): T[] {
  const left = [...among]
  const picked: T[] = []
  while (picked.length < count && left.length > 0) picked.push(left.splice(prng.below(left.length), 1)[0]!)
  return picked
}
