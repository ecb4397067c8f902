/**
 * Finding who has something, at the size of a mesh: the walks of @libp2p/kad-dht 16 (Kademlia, Maymounkov and Mazières
 * 2002) on the virtual clock, without its bytes.
 *
 * As there: a table is a tree of prefixes that splits a full bucket down to six bits and keeps 20 peers in each; a walk goes
 * ten ways at a time with ten questions open on each, asks nobody twice, and a way ends when nobody nearer than the 20
 * nearest that answered is left; a record goes to the 20 nearest that a walk found.
 *
 * A table is a function of the seed and not kept: which 20 of a full bucket a node knows. So a million of them fit.
 */
import { drawKey, drawKeys, type Key, NEAREST, Nearest, Places } from './places.ts'
import { Prng } from './prng.ts'
import { Timeline } from './timeline.ts'

/** Ways of a walk, and open questions on each (ALPHA). */
const WAYS = 10
const OPEN_ON_A_WAY = 10
/** Bits by which buckets are told apart at most (PREFIX_LENGTH). */
const PREFIX_BITS = 6
/** Ways before a question: of TCP, of agreeing on Noise and of its handshake. */
export const DIAL_CROSSINGS = 6
/** Of agreeing on the protocol of a stream, one of which each question has. */
export const STREAM_CROSSINGS = 2

export interface DiscoveryOptions {
  nodes: number
  seed: number
  /** One way, us. */
  delayUs: (from: number, to: number, prng: Prng) => number
  /** What a node takes to serve a question, or to read an answer, us; those of one host wait for each other. */
  serveUs: number
  /** What a connection takes at each end, us. */
  dialUs: number
  /** Machines that the nodes share; each has its own when left out. */
  hosts?: number
  /** Of a million nodes, those that are off and still in the tables of the others. */
  offPpm?: number
  /** Of a million nodes, those that are hostile: they name only each other, and nobody who has anything. */
  hostilePpm?: number
  /** Whose tables are eclipsed: only hostile nodes stand in them. */
  eclipsed?: readonly number[]
  /** After this a question is given up, us. */
  timeoutUs?: number
  /**
   * A network that there is: the places of its nodes in order, whom each knows, and to whom it has a connection. Drawn when
   * left out; then each is connected to those whom it knows.
   */
  real?: { places: Key[]; known: number[][]; connected: ReadonlySet<number>[] }
}

/** How a walk went. */
export interface Walk {
  /** The nearest that answered, nearest first. */
  nearest: number[]
  /** Who has what was looked for, as far as those who answered know. */
  providers: number[]
  questions: number
  lost: number
  /** How many answers it took, one after the other, to learn of the farthest-fetched of the nearest. */
  hops: number
  us: number
}

/** A bucket of the tree: nodes whose places share a prefix, as a range of the sorted places. */
interface Bucket {
  from: number
  to: number
  halves?: [Bucket, Bucket]
  bit: number
  index: number
  /** Steps through the range that meet all of it. */
  steps: number[]
}

const STEPS = 16

export class Discovery {
  readonly timeline: Timeline = new Timeline()
  /** When the work that is being done is done, us: not before its message came. */
  nowUs = 0
  /** Messages that arrived and timers that ended. */
  events = 0
  readonly #options: DiscoveryOptions & Required<Omit<DiscoveryOptions, 'real'>>
  readonly #prng: Prng
  readonly #places: Places
  readonly #scratch: Nearest
  readonly #off: Uint8Array
  readonly #hostile: Uint8Array
  readonly #plot: number[]
  readonly #eclipsed: ReadonlySet<number>
  readonly #freeUs: Float64Array
  readonly #tree: Bucket
  readonly #records = new Map<string, Set<number>[]>()
  #buckets = 0

  constructor(options: DiscoveryOptions) {
    const { nodes, seed } = options
    this.#options = {
      hosts: nodes,
      offPpm: 0,
      hostilePpm: 0,
      eclipsed: [],
      timeoutUs: 5_000_000,
      ...options,
    }
    this.#prng = new Prng(seed, 'discovery')
    this.#places = new Places(options.real?.places ?? drawKeys(nodes, new Prng(seed, 'places')))
    this.#scratch = new Nearest(this.#places, { high: 0, low: 0 })
    const off = new Prng(seed, 'off')
    this.#off = Uint8Array.from({ length: nodes }, () => (off.chance(this.#options.offPpm) ? 1 : 0))
    const hostile = new Prng(seed, 'hostile')
    this.#hostile = Uint8Array.from({ length: nodes }, () =>
      hostile.chance(this.#options.hostilePpm) ? 1 : 0,
    )
    this.#plot = Array.from({ length: nodes }, (_, node) => node).filter(node => this.isHostile(node))
    this.#eclipsed = new Set(this.#options.eclipsed)
    this.#freeUs = new Float64Array(this.#options.hosts)
    this.#tree = this.#bucket(0, nodes, 0)
  }

  isOff(node: number): boolean {
    return this.#off[node] === 1
  }

  isHostile(node: number): boolean {
    return this.#hostile[node] === 1
  }

  /** The nearest to a place of all nodes that are on; what a walk should find. */
  trulyNearest(key: Key): number[] {
    const nearest = new Nearest(this.#places, key)
    for (let node = 0; node < this.#options.nodes; node++) if (!this.isOff(node)) nearest.add(node)
    return nearest.nodes
  }

  /** Does something at a time, us. */
  at(atUs: number, work: () => void): void {
    this.timeline.at(atUs, () => {
      this.nowUs = this.timeline.nowUs
      work()
    })
  }

  /** Walks to a place and leaves a record with the nearest. */
  provide(node: number, key: Key, done: (walk: Walk) => void): void {
    new Walker(this, node, key, walk => {
      const startUs = this.nowUs
      let open = walk.nearest.length
      const end = () => {
        if (--open <= 0) done({ ...walk, us: walk.us + this.nowUs - startUs })
      }
      if (open === 0) end()
      for (const to of walk.nearest)
        this.#carry(node, to, STREAM_CROSSINGS + 1, () => {
          this.#recordsOf(key)[to] = (this.#recordsOf(key)[to] ?? new Set()).add(node)
          end() // nobody answers: the sender is done when it has written
        })
    }).start()
  }

  /** Walks to a place and gathers what those on the way know of it. */
  find(node: number, key: Key, done: (walk: Walk) => void): void {
    new Walker(this, node, key, done).start()
  }

  /** Lets everything end. */
  run(): void {
    this.timeline.run(Number.POSITIVE_INFINITY, () => this.timeline.length === 0)
  }

  /** A question to whom an answer of this hop named, and its answer; `undefined` when nobody answers. */
  ask(
    from: number,
    { node: to, hop }: Pick<Peer, 'node' | 'hop'>,
    key: Key,
    answered: (answer: Answer | undefined) => void,
  ): void {
    if (this.isOff(to)) {
      this.timeline.at(this.nowUs + this.#options.timeoutUs, () => {
        this.nowUs = this.timeline.nowUs
        this.events++
        answered(undefined)
      })
      return
    }
    const question = () =>
      this.#carry(from, to, STREAM_CROSSINGS + 1, () => {
        const answer: Answer = {
          nearer: this.known(to, key, from),
          providers: this.isHostile(to) ? NOBODY : (this.#records.get(nameOf(key))?.[to] ?? NOBODY),
        }
        this.#carry(to, from, 1, () => answered(answer))
      })
    const { real } = this.#options
    if (real ? real.connected[from]!.has(to) : hop === 1) question()
    else this.#dial(from, to, question)
  }

  /** The 20 nearest to a place in a node's table; the node itself and another are left out. */
  known(node: number, key: Key, without: number = node): number[] {
    const nearest = this.#scratch
    nearest.reset(key)
    const known = this.#options.real?.known[node]
    if (this.isHostile(node) || this.#eclipsed.has(node)) {
      for (const peer of this.#plot) if (peer !== node && peer !== without) nearest.add(peer)
    } else if (!known) this.#gather(this.#tree, node, without, key, nearest)
    else for (const peer of known) if (peer !== without) nearest.add(peer)
    return nearest.nodes.slice()
  }

  nearestTo(key: Key): Nearest {
    return new Nearest(this.#places, key)
  }

  randomKey(): Key {
    return drawKey(this.#prng)
  }

  /**
   * Does the work at the other side when the message is there; what it sends leaves when the host had time for it, so that
   * one message is one event.
   */
  #carry(
    from: number,
    to: number,
    crossings: number,
    work: () => void,
    takesUs: number = this.#options.serveUs,
  ): void {
    const { delayUs, hosts } = this.#options
    this.timeline.at(this.nowUs + crossings * delayUs(from, to, this.#prng), () => {
      const host = to % hosts
      this.nowUs = Math.max(this.timeline.nowUs, this.#freeUs[host]!) + takesUs
      this.#freeUs[host] = this.nowUs
      this.events++
      work()
    })
  }

  /** Both ends have work with it. */
  #dial(from: number, to: number, work: () => void): void {
    const { dialUs } = this.#options
    this.#carry(from, to, DIAL_CROSSINGS - 1, () => this.#carry(to, from, 1, work, dialUs), dialUs)
  }

  #recordsOf(key: Key): Set<number>[] {
    const name = nameOf(key)
    const records = this.#records.get(name) ?? []
    this.#records.set(name, records)
    return records
  }

  /** Bucket after bucket, the nearest first, until there are enough: each is nearer as a whole than the next. */
  #gather(bucket: Bucket, node: number, without: number, key: Key, nearest: Nearest): void {
    if (nearest.isFull) return
    if (bucket.halves) {
      const near = (key.high >>> (31 - bucket.bit)) & 1
      this.#gather(bucket.halves[near as 0 | 1], node, without, key, nearest)
      this.#gather(bucket.halves[near === 0 ? 1 : 0], node, without, key, nearest)
      return
    }
    const { from, to, index, steps } = bucket
    const count = to - from
    const chance = mixed(this.#options.seed, node, index)
    const step = count > NEAREST ? steps[chance % STEPS]! : 1
    let at = count > NEAREST ? (chance >>> 4) % count : 0
    for (let i = 0; i < Math.min(count, NEAREST); i++) {
      const peer = from + at
      if (peer !== node && peer !== without) nearest.add(peer)
      at = (at + step) % count
    }
  }

  #bucket(from: number, to: number, bit: number): Bucket {
    const bucket: Bucket = { from, to, bit, index: this.#buckets++, steps: [] }
    const count = to - from
    if (count <= NEAREST) return bucket
    if (bit === PREFIX_BITS) {
      for (let i = 0; i < STEPS; i++)
        bucket.steps.push(coprime(mixed(this.#options.seed, i, bucket.index), count))
      return bucket
    }
    let middle = from
    while (middle < to && ((this.#places.high[middle]! >>> (31 - bit)) & 1) === 0) middle++
    bucket.halves = [this.#bucket(from, middle, bit + 1), this.#bucket(middle, to, bit + 1)]
    return bucket
  }
}

interface Answer {
  nearer: number[]
  providers: ReadonlySet<number>
}
const NOBODY: ReadonlySet<number> = new Set()

/** Who is to be asked, how far it is from what is looked for, and how many answers it took to learn of it. */
interface Peer {
  node: number
  distance: number
  hop: number
}

/** One of the ways of a walk. */
interface Way {
  /** The nearest last. */
  waiting: Peer[]
  open: number
  answered: Nearest
}

class Walker {
  readonly #discovery: Discovery
  readonly #node: number
  readonly #key: Key
  readonly #done: (walk: Walk) => void
  readonly #startUs: number
  readonly #seen: Set<number>
  readonly #hops = new Map<number, number>()
  readonly #providers = new Set<number>()
  readonly #answered: Nearest
  /** Waiting and open, over all ways. */
  #left = 0
  #questions = 0
  #lost = 0

  constructor(discovery: Discovery, node: number, key: Key, done: (walk: Walk) => void) {
    this.#discovery = discovery
    this.#node = node
    this.#key = key
    this.#done = done
    this.#startUs = discovery.nowUs
    this.#seen = new Set([node])
    this.#answered = discovery.nearestTo(key)
  }

  start(): void {
    const ways: Way[] = Array.from({ length: WAYS }, () => ({
      waiting: [],
      open: 0,
      answered: this.#discovery.nearestTo(this.#key),
    }))
    const known = this.#discovery.known(this.#node, this.#key)
    for (const [i, node] of known.entries()) this.#wait(ways[i % WAYS]!, node, 1)
    if (known.length === 0) this.#end()
    for (const way of ways) if (way.waiting.length > 0) this.#go(way)
  }

  #wait(way: Way, node: number, hop: number): void {
    this.#seen.add(node)
    this.#left++
    const { waiting } = way
    const distance = this.#answered.distanceOf(node)
    let at = waiting.length
    while (at > 0 && waiting[at - 1]!.distance < distance) at--
    waiting.splice(at, 0, { node, distance, hop })
  }

  #go(way: Way): void {
    while (way.open < OPEN_ON_A_WAY && way.waiting.length > 0) {
      const peer = way.waiting.pop()!
      if (!way.answered.takes(peer.distance)) {
        this.#left--
        continue
      }
      way.open++
      this.#questions++
      this.#discovery.ask(this.#node, peer, this.#key, answer => {
        way.open--
        this.#left--
        if (answer) this.#take(way, peer, answer)
        else this.#lost++
        this.#go(way)
      })
    }
    if (this.#left === 0) this.#end()
  }

  #take(way: Way, { node, distance, hop }: Peer, { nearer, providers }: Answer): void {
    this.#hops.set(node, hop)
    way.answered.add(node)
    this.#answered.add(node)
    for (const provider of providers) this.#providers.add(provider)
    for (const next of nearer) {
      const nextDistance = this.#answered.distanceOf(next)
      if (nextDistance >= distance) return // the rest is farther still
      if (!this.#seen.has(next) && way.answered.takes(nextDistance)) this.#wait(way, next, hop + 1)
    }
  }

  #end(): void {
    const { nodes: nearest } = this.#answered
    this.#done({
      nearest,
      providers: [...this.#providers],
      questions: this.#questions,
      lost: this.#lost,
      hops: nearest.reduce((most, node) => Math.max(most, this.#hops.get(node)!), 0),
      us: this.#discovery.nowUs - this.#startUs,
    })
  }
}

const nameOf = ({ high, low }: Key): string => `${high}/${low}`

/** 32 bits of a seed and two numbers: the finisher of MurmurHash3. */
function mixed(seed: number, a: number, b: number): number {
  let h = Math.imul(seed ^ Math.imul(a + 1, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(b + 1, 0xc2b2ae35)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** A step that meets all of `count` places before it comes back to the first. */
function coprime(from: number, count: number): number {
  let step = 1 + (from % (count - 1))
  while (gcd(step, count) !== 1) step = 1 + (step % (count - 1))
  return step
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))
