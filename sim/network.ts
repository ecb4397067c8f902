/**
 * The simulated network. Two nodes that admit each other have one connection, opened when there is something to send and
 * closed by faults; messages go in order and at most once while it lasts, unless the weather is worse than that: the
 * dialogues have to bear loss, copies and disorder too.
 */
import { meter } from './meter.ts'
import type { Prng } from './prng.ts'
import type { Timeline } from './timeline.ts'

/** Faults of the network, drawn anew for each message; `ppm` is parts in a million. */
export interface Weather {
  /** One way, us; each pair of nodes has its own base between the two. */
  leastDelayUs: number
  mostDelayUs: number
  /** On top of the base, for each message, us. */
  jitterUs: number
  lossPpm: number
  copyPpm: number
  /** Messages that others overtake. */
  disorderPpm: number
  bytesPerMs: number
}

/** What lies between two nodes: one way, us, and how much goes through it. */
export interface Line {
  delayUs: number
  bytesPerMs: number
  /** Between nodes of one host, which takes nothing of their access. */
  isLocal: boolean
}

/** Of a world whose lines are known: they stand in the place of what the weather says of delay and bandwidth. */
export interface Lines {
  between(node: number, other: number): Line
  /** What a node's access carries in each direction, for all of its lines together. */
  accessBytesPerMs: number
}

/** What one node has sent and got. */
export class Traffic {
  sentMessages = 0
  sentBytes = 0
  gotMessages = 0
  gotBytes = 0
  /** When its access is free again, us. */
  upFreeUs = 0
  downFreeUs = 0
  /** How long it was taken, us. */
  upUs = 0

  /** Begins to count anew. */
  reset(): void {
    this.sentMessages = 0
    this.sentBytes = 0
    this.gotMessages = 0
    this.gotBytes = 0
    this.upUs = 0
  }
}

export interface NetworkOptions {
  timeline: Timeline
  prng: Prng
  weather: Weather
  lines?: Lines
  /** Whether a node is up and admits the other. */
  admits(node: number, other: number): boolean
  deliver(from: number, to: number, frame: Uint8Array): void
  connected(node: number, other: number): void
}

/** A stream over a connection: in order and whole, until it breaks. */
export interface Stream {
  /** Does the work at the other side once the bytes are there. */
  carry(to: number, bytes: number, work: () => void): void
  close(): void
}

/** What one side of a connection has to say. */
interface Way {
  waiting: Uint8Array[]
  /** When the last message arrives: the next does not overtake it. */
  arrivesUs: number
  /** When the line is free again in this direction. */
  freeUs: number
}

interface Link {
  nodes: [number, number]
  ways: [Way, Way]
  baseUs: number
  line: Line | undefined
  up: boolean
  dialing: boolean
  attempts: number
  /** Counts connections: what is under way on an old one never arrives. */
  epoch: number
  streams: Set<() => void>
}

/** As node/network-limits.ts: what waits for one peer, and the pauses between dials. */
const QUEUE_MESSAGES = 4_096
const BACKOFF_LEAST_US = 250_000
const BACKOFF_MOST_US = 15_000_000
/**
 * Before the first message leaves, measured with nodes behind a slow line: two for TCP, two to agree on Noise and two for its
 * handshake, and two to agree on the protocol of a stream, whose answer brings the byte that says the other side is ready.
 */
export const DIAL_CROSSINGS = 8
/** Where only faults are looked for: the sooner nodes are connected again, the more happens in the time there is. */
const SHORT_DIAL_CROSSINGS = 3
/** A message that others overtake is late by up to this. */
const DISORDER_US = 2_000_000
/** Around a message: its length, noise, yamux, TCP and IP. */
const AROUND_BYTES = 86
/** Nodes are told apart by numbers below this. */
const MOST_NODES = 2 ** 24
/** A connection over which nothing comes is given up after this. */
const ALIVE_US = 20_000_000

export class Network {
  weather: Weather
  readonly #options: NetworkOptions
  readonly #links = new Map<number, Link>()
  readonly #of: Link[][] = []
  readonly #traffic: Traffic[] = []
  /** Directions in which nothing gets through, as `from>to`. */
  readonly #blocked = new Set<string>()

  constructor(options: NetworkOptions) {
    this.#options = options
    this.weather = options.weather
  }

  /** Queues a message; while there is no connection, one is dialled for. */
  send(from: number, to: number, frame: Uint8Array): void {
    const link = this.#link(from, to)
    const { waiting } = wayOf(link, from)
    if (waiting.length >= QUEUE_MESSAGES) waiting.shift()
    waiting.push(frame)
    if (link.up) this.#flush(link, from)
    else this.#dial(link)
  }

  /** A stream of its own, if there is a connection; dials for the next attempt if there is none. */
  stream(from: number, to: number, broken: () => void): Stream | undefined {
    const link = this.#link(from, to)
    if (!link.up) {
      this.#dial(link)
      return undefined
    }
    let atUs = 0
    const { epoch, line } = link
    link.streams.add(broken)
    return {
      carry: (towards, bytes, work) => {
        const sender = link.nodes[0] === towards ? link.nodes[1] : link.nodes[0]
        if (this.isBlocked(sender, towards)) return this.#giveUp(link)
        if (line) atUs = Math.max(atUs, this.#through(link, sender, towards, bytes))
        else atUs = Math.max(atUs, this.#now + this.#delay(link)) + (bytes * 1_000) / this.weather.bytesPerMs
        this.#options.timeline.at(atUs, () => link.epoch === epoch && work())
      },
      close: () => link.streams.delete(broken),
    }
  }

  /** One small request or answer outside of a connection, as before two nodes admit each other. */
  carry(from: number, to: number, work: () => void): void {
    const { prng, timeline } = this.#options
    if (this.isBlocked(from, to) || prng.chance(this.weather.lossPpm)) return
    timeline.after(this.#delay(this.#link(from, to)), work)
  }

  /** Cuts directions; with `noticed` the connections break at once, otherwise messages just vanish. */
  block(ways: [from: number, to: number][], noticed: boolean): void {
    for (const [from, to] of ways) {
      this.#blocked.add(`${from}>${to}`)
      if (noticed) this.disconnect(from, to)
    }
  }

  /** Open streams between two nodes. */
  streams(a: number, b: number): number {
    return this.#links.get(nameOf(a, b))?.streams.size ?? 0
  }

  heal(): void {
    this.#blocked.clear()
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked.has(`${from}>${to}`)
  }

  disconnectAll(): void {
    for (const { nodes } of this.#links.values()) this.disconnect(...nodes)
  }

  /** Breaks the connection of two nodes; each side dials again if it has something to say. */
  disconnect(a: number, b: number): void {
    const link = this.#link(a, b)
    if (!link.up) return
    link.up = false
    link.epoch++
    const streams = [...link.streams]
    link.streams.clear()
    for (const broken of streams) broken()
    if (link.ways.some(({ waiting }) => waiting.length > 0)) this.#dial(link)
  }

  /** A node is gone, with what it still had to say. */
  leave(node: number): void {
    for (const link of this.#of[node] ?? []) {
      this.disconnect(...link.nodes)
      wayOf(link, node).waiting = []
    }
  }

  traffic(node: number): Traffic {
    let traffic = this.#traffic[node]
    if (!traffic) {
      traffic = new Traffic()
      this.#traffic[node] = traffic
    }
    return traffic
  }

  /** The moment to which the work has come that is being done. */
  get #now(): number {
    return this.#options.timeline.nowUs + meter.us
  }

  #link(a: number, b: number): Link {
    const name = nameOf(a, b)
    const known = this.#links.get(name)
    if (known) return known
    const nodes: [number, number] = a < b ? [a, b] : [b, a]
    const { prng, lines } = this.#options
    const line = lines?.between(a, b)
    const link: Link = {
      nodes,
      ways: [
        { waiting: [], arrivesUs: 0, freeUs: 0 },
        { waiting: [], arrivesUs: 0, freeUs: 0 },
      ],
      baseUs: line ? line.delayUs : prng.between(this.weather.leastDelayUs, this.weather.mostDelayUs),
      line,
      up: false,
      dialing: false,
      attempts: 0,
      epoch: 0,
      streams: new Set(),
    }
    this.#links.set(name, link)
    for (const node of nodes) {
      const known = this.#of[node]
      if (known) known.push(link)
      else this.#of[node] = [link]
    }
    return link
  }

  #dial(link: Link): void {
    if (link.dialing) return
    link.dialing = true
    const pauseUs =
      link.attempts === 0 ? 0 : Math.min(BACKOFF_MOST_US, BACKOFF_LEAST_US * 2 ** (link.attempts - 1))
    const crossings = link.line ? DIAL_CROSSINGS : SHORT_DIAL_CROSSINGS
    this.#options.timeline.after(pauseUs + crossings * this.#delay(link), () => this.#dialled(link))
  }

  #dialled(link: Link): void {
    link.dialing = false
    const [a, b] = link.nodes
    const { admits, connected } = this.#options
    const open = admits(a, b) && admits(b, a) && !this.isBlocked(a, b) && !this.isBlocked(b, a)
    if (!open) {
      link.attempts++
      if (link.ways.some(({ waiting }) => waiting.length > 0)) this.#dial(link)
      return
    }
    link.attempts = 0
    link.up = true
    for (const node of link.nodes) this.#flush(link, node)
    connected(a, b)
    connected(b, a)
  }

  #flush(link: Link, from: number): void {
    const way = wayOf(link, from)
    const to = link.nodes[0] === from ? link.nodes[1] : link.nodes[0]
    const messages = way.waiting
    way.waiting = []
    for (const frame of messages) this.#transmit(link, way, from, to, frame)
  }

  #transmit(link: Link, way: Way, from: number, to: number, frame: Uint8Array): void {
    const { prng, timeline, deliver } = this.#options
    const { lossPpm, copyPpm, disorderPpm } = this.weather
    if (this.isBlocked(from, to)) {
      this.#giveUp(link)
      return
    }
    if (prng.chance(lossPpm)) return
    const { epoch } = link
    const arrive = (atUs: number) =>
      timeline.at(atUs, () => {
        if (link.epoch === epoch) deliver(from, to, frame)
      })
    const soonUs = link.line ? this.#through(link, from, to, frame.length) : this.#now + this.#delay(link)
    if (prng.chance(disorderPpm)) arrive(soonUs + prng.below(DISORDER_US))
    else {
      way.arrivesUs = Math.max(way.arrivesUs, soonUs)
      arrive(way.arrivesUs)
    }
    if (prng.chance(copyPpm)) arrive(soonUs + prng.below(DISORDER_US))
  }

  /** When bytes are there that leave now: they take their turn at the sender, on the line and at the receiver. */
  #through(link: Link, from: number, to: number, payload: number): number {
    const bytes = payload + AROUND_BYTES
    const line = link.line!
    const [out, into, way] = [this.traffic(from), this.traffic(to), wayOf(link, from)]
    out.sentMessages++
    out.sentBytes += bytes
    into.gotMessages++
    into.gotBytes += bytes
    const now = this.#now
    way.freeUs = Math.max(now, way.freeUs) + (bytes * 1_000) / line.bytesPerMs
    if (line.isLocal) return way.freeUs + this.#delay(link)
    const accessUs = (bytes * 1_000) / this.#options.lines!.accessBytesPerMs
    out.upFreeUs = Math.max(now, out.upFreeUs) + accessUs
    out.upUs += accessUs
    into.downFreeUs = Math.max(
      Math.max(way.freeUs, out.upFreeUs) + this.#delay(link),
      into.downFreeUs + accessUs,
    )
    return into.downFreeUs
  }

  /** Somebody speaks and nothing comes: after a while the connection is given up. */
  #giveUp(link: Link): void {
    const { epoch } = link
    this.#options.timeline.after(ALIVE_US, () => {
      if (link.epoch === epoch && link.up) this.disconnect(...link.nodes)
    })
  }

  #delay(link: Link): number {
    return link.baseUs + this.#options.prng.below(this.weather.jitterUs + 1)
  }
}

const wayOf = (link: Link, from: number): Way => link.ways[link.nodes[0] === from ? 0 : 1]

const nameOf = (a: number, b: number): number => (a < b ? a * MOST_NODES + b : b * MOST_NODES + a)
