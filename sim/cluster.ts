/**
 * The second driver of protocol/ (DESIGN 3): a mesh of nodes on a virtual clock, network and disk. Everything that happens
 * follows from the seed, and one hash covers it: every input, and all that leaves a node.
 */
import type { CID } from '../crypto/cid.ts'
import type { Answer } from '../protocol/command.ts'
import type { Event } from '../protocol/event.ts'
import {
  decodeHello,
  decodeMessage,
  encodeMessage,
  type HelloMessage,
  type Message,
} from '../protocol/message.ts'
import type { Output, Write } from '../protocol/output.ts'
import { parseTicket } from '../protocol/pairing.ts'
import { step } from '../protocol/peer.ts'
import type { Archive } from './archive.ts'
import { Exchange } from './exchange.ts'
import { Host, type Machine, Worker } from './host.ts'
import { meter } from './meter.ts'
import { type Lines, Network, type Weather } from './network.ts'
import { type DiskTimes, type NodeInput, SimNode, type Step, type Watch } from './node.ts'
import { Prng } from './prng.ts'
import type { Medium } from './store.ts'
import { Timeline } from './timeline.ts'
import { Trace } from './trace.ts'

/** A message as it leaves a node. */
export interface Leaving {
  from: SimNode
  to: string
  message: Message
}

/** Looks at what happens, and says when it must not have. */
export interface Checker extends Partial<Omit<Watch, 'input'>> {
  /** Before the message is handed to the network. */
  sent?(leaving: Leaving): void
  /** The message is there, before it is handed to the node. */
  arrived?(to: SimNode, from: string, message: Message): void
  /** The disk was put back to an earlier state. */
  restored?(node: SimNode): void
}

/** Parts of the shipped code that a test replaces by faulty ones. */
export interface Plant {
  step?: Step
  medium?: (sound: Medium) => Medium
}

/** Content at one node, and how it comes and goes. */
export interface Bulk {
  /** Work that a machine asks for. */
  take(event: Event): void
  crash(): void
  /** Whether all blocks of a root are here and survive a power cut. */
  isWhole(root: CID, count: number): boolean
}

/** Machines on which work takes time. */
export interface Hosts {
  /** Which one a node is on. */
  of(node: number): number
  machine: Machine
  lines: Lines
}

export interface ClusterOptions {
  seed: number
  weather: Weather
  times: DiskTimes
  pad?: number
  plant?: Plant
  hosts?: Hosts
  /** Where disks put what is rarely read again; memory when left out. */
  archive?: Archive
  /** What deals with content, in the place of exchanges of real bytes. */
  bulk?: (node: SimNode) => Bulk
}

export class Cluster {
  readonly timeline = new Timeline()
  readonly network: Network
  /** All that there are; a copy that was stopped for good is none of them any more. */
  readonly nodes: SimNode[] = []
  readonly checkers: Checker[] = []
  /** What must not have happened, once it has; nothing happens after it. */
  violation: string | undefined
  /** Inputs that went through `step`, and messages through the codec. */
  inputs = 0
  messages = 0
  readonly #options: ClusterOptions
  readonly #trace = new Trace()
  readonly #exchanges: Exchange[] = []
  readonly #bulk: Bulk[] = []
  readonly #hosts: Host[] = []
  /** By their index, also those that were stopped for good. */
  readonly #ever: SimNode[] = []
  readonly #byOrg = new Map<string, SimNode[]>()
  readonly #routes: Prng
  readonly #watched: Watch
  #last: { message: Message; frame: Uint8Array } | undefined
  /** Frames that were sent to several, and what was read in them. */
  readonly #several = new WeakMap<Uint8Array, Message | undefined>()

  constructor(options: ClusterOptions) {
    this.#options = options
    this.#routes = new Prng(options.seed, 'routes')
    this.#watched = this.#watch()
    const ever = this.#ever
    this.network = new Network({
      timeline: this.timeline,
      prng: new Prng(options.seed, 'network'),
      weather: options.weather,
      ...(options.hosts ? { lines: options.hosts.lines } : {}),
      admits: (node, other) => ever[node]!.up && ever[node]!.reaches(ever[other]!.org),
      deliver: (from, to, frame) => this.#deliver(ever[from]!, ever[to]!, frame),
      connected: (node, other) =>
        ever[node]!.work(() => {
          meter.charge('dial')
          ever[node]!.connected(ever[other]!.org)
        }),
    })
  }

  /** A new organisation with its node, not started yet. */
  add(name: string): SimNode {
    const { seed, times, plant, pad, archive } = this.#options
    const index = this.#ever.length
    const worker = this.#worker(index)
    const around = {
      ...(pad ? { pad } : {}),
      ...(worker ? { worker } : {}),
      ...(archive ? { archive } : {}),
      timeline: this.timeline,
      step: plant?.step ?? step,
      times,
      medium: plant?.medium ?? (sound => sound),
      send: (from: SimNode, to: string, message: Message) => this.#send({ from, to, message }),
      ask: (node: SimNode, event: Event) => this.bulk(node).take(event),
      watch: this.#watched,
    }
    const node = new SimNode(index, name, around, new Prng(seed, `node/${index}/${name}`))
    for (const list of [this.nodes, this.#ever]) list.push(node)
    this.#byOrg.set(node.org, [...this.copies(node.org), node])
    const { bulk } = this.#options
    this.#bulk.push(bulk ? bulk(node) : this.#exchangeOf(node))
    return node
  }

  #exchangeOf(node: SimNode): Exchange {
    const exchange = new Exchange(node, this.network, org => {
      const peer = this.#route(node, org)
      return peer && this.exchange(peer)
    })
    this.#exchanges[node.index] = exchange
    return exchange
  }

  /** The place of a node on its host, if there are any. */
  #worker(index: number): Worker | undefined {
    const { hosts, seed } = this.#options
    if (!hosts) return undefined
    const number = hosts.of(index)
    this.#hosts[number] ??= new Host(this.timeline, hosts.machine, new Prng(seed, `host/${number}`))
    return new Worker(this.#hosts[number])
  }

  /** A second home with the keys of a node and a copy of its disk, not started yet. */
  copy(node: SimNode, backup: ReadonlyMap<string, Uint8Array>): SimNode {
    const twin = this.add(node.name)
    twin.disk.restore(backup)
    twin.bodyKeys.follow(node.bodyKeys)
    this.exchange(twin).follow(this.exchange(node))
    twin.witnesses = node.witnesses
    twin.mirrors = node.mirrors
    twin.sits = node.sits
    twin.env.drawn!.push(...node.env.drawn!)
    this.#trace.add(['copy', node.index])
    return twin
  }

  /** One of two copies is stopped for good. */
  retire(node: SimNode): void {
    if (node.up) node.crash()
    this.nodes.splice(this.nodes.indexOf(node), 1)
    this.#byOrg.set(
      node.org,
      this.copies(node.org).filter(each => each !== node),
    )
  }

  /** The homes of an organisation: one, unless it was copied. */
  copies(org: string): SimNode[] {
    return this.#byOrg.get(org) ?? []
  }

  node(org: string): SimNode | undefined {
    return this.copies(org)[0]
  }

  /** The home of an organisation that a node speaks to: any of them that it reaches. */
  #route(from: SimNode, org: string): SimNode | undefined {
    const copies = this.copies(org)
    if (copies.length <= 1) return copies[0]
    const reached = copies.filter(copy => copy.audience?.has(from.org) ?? true)
    return reached.length > 0 ? this.#routes.pick(reached) : undefined
  }

  exchange(node: SimNode): Exchange {
    return this.#exchanges[node.index]!
  }

  get hosts(): readonly Host[] {
    return this.#hosts
  }

  /** Puts into the trace what a run depends on besides its seed. */
  given(about: unknown): void {
    this.#trace.add(about)
  }

  bulk(node: SimNode): Bulk {
    return this.#bulk[node.index]!
  }

  /** Puts a backup in the place of the disk of a node that is down. */
  restore(node: SimNode, backup: ReadonlyMap<string, Uint8Array>): void {
    node.disk.restore(backup)
    this.#trace.add(['restore', node.index])
    for (const checker of this.checkers) checker.restored?.(node)
  }

  /** Joins with a ticket over hellos that may be lost, like the request of an operator who will try again. */
  join(joiner: SimNode, ticketText: string): void {
    const ticket = parseTicket(ticketText)
    const inviter = this.#route(joiner, ticket.org.toString())
    if (!inviter) return
    const hello = (answer: Answer | undefined) => (answer as { hello: HelloMessage } | undefined)?.hello
    const carry = (from: SimNode, to: SimNode, message: HelloMessage, take: (got: HelloMessage) => void) =>
      this.network.carry(from.index, to.index, () => {
        if (!to.up) return
        this.messages++
        take(readHello(encodeMessage(message)))
      })
    const welcomed = (got: HelloMessage) => joiner.submit({ type: 'welcomed', ticket, hello: got })
    const asked = (got: HelloMessage) =>
      inviter.submit({ type: 'hello', node: joiner.env.keys.node.public, hello: got }, [], answer => {
        const said = hello(answer)
        if (said) carry(inviter, joiner, said, welcomed)
      })
    joiner.submit({ type: 'join', ticket }, [], answer => {
      const said = hello(answer)
      if (said) carry(joiner, inviter, said, asked)
    })
  }

  /** Runs until nothing is due before then, or something happened that must not. */
  run(untilUs: number): void {
    this.timeline.run(untilUs, () => this.violation !== undefined)
  }

  /** For checkers: the first one counts. */
  report(promise: string, where: string, what: string): void {
    const atS = (this.timeline.nowUs / 1_000_000).toFixed(3)
    this.violation ??= `${promise} broken at ${atS} s at ${where}: ${what}`
  }

  /** The hash of everything so far; the trace ends with it. */
  traceHash(): string {
    return this.#trace.digest()
  }

  /** Somebody with the key of a node sends a message in its name. */
  forge(leaving: Leaving): void {
    this.#transmit(leaving)
  }

  #send(leaving: Leaving): void {
    meter.free(() => {
      for (const checker of this.checkers) checker.sent?.(leaving)
    })
    this.#transmit(leaving)
  }

  #transmit({ from, to, message }: Leaving): void {
    const peer = this.#route(from, to)
    const frame = this.#encoded(message)
    meter.charge('encode', frame.length)
    meter.charge('send', frame.length)
    this.#trace.add(frame)
    if (peer && from.reaches(to)) this.network.send(from.index, peer.index, frame)
  }

  /** What goes to several, one after the other, is encoded once and decoded once; each is charged for it. */
  #encoded(message: Message): Uint8Array {
    if (message === this.#last?.message) {
      const { frame } = this.#last
      if (!this.#several.has(frame)) this.#several.set(frame, undefined)
      return frame
    }
    this.#last = { message, frame: encodeMessage(message) }
    return this.#last.frame
  }

  #decoded(frame: Uint8Array): Message | string {
    const known = this.#several.get(frame)
    if (known) return known
    const message = decodeMessage(frame)
    if (typeof message !== 'string' && this.#several.has(frame)) this.#several.set(frame, message)
    return message
  }

  #deliver(from: SimNode, to: SimNode, frame: Uint8Array): void {
    if (to.up && to.reaches(from.org)) to.work(() => this.#receive(from, to, frame))
  }

  #receive(from: SimNode, to: SimNode, frame: Uint8Array): void {
    this.messages++
    meter.charge('receive', frame.length)
    meter.charge('decode', frame.length)
    const message = this.#decoded(frame)
    if (typeof message === 'string') {
      this.report('the wire', from.name, `a message that is refused: ${message}`)
      return
    }
    if (this.checkers.some(checker => checker.arrived))
      meter.free(() => {
        for (const checker of this.checkers) checker.arrived?.(to, from.org, message)
      })
    to.submit({ type: 'message', from: from.org, message })
  }

  /** Everything that happens to a node, for the trace and the checkers; none of it is the node's work. */
  #watch(): Watch {
    const { timeline, checkers } = this
    const trace = this.#trace
    const mark = (node: SimNode, what: string) => trace.mark(timeline.nowUs, node.index, what)
    const tell = (work: (checker: Checker) => void) => meter.free(() => checkers.forEach(work))
    const hears = (what: keyof Checker) => checkers.some(checker => checker[what])
    return {
      input: (node, input: NodeInput, seed) => {
        this.inputs++
        mark(node, 'input')
        // The bytes of a message are in the trace since it was sent.
        trace.add(input.type === 'message' ? input.from : input)
        trace.add(seed)
      },
      queued: (node, seq, writes: Write[]) => {
        if (hears('queued')) tell(checker => checker.queued?.(node, seq, writes))
      },
      released: (node, seq, output: Output) => {
        mark(node, 'output')
        trace.writes(output.writes)
        if (hears('released')) tell(checker => checker.released?.(node, seq, output))
      },
      event: (node, event) => {
        trace.add(event)
        tell(checker => checker.event?.(node, event))
      },
      crashed: node => {
        mark(node, 'crash')
        this.network.leave(node.index)
        this.bulk(node).crash()
        tell(checker => checker.crashed?.(node))
      },
      opened: node => {
        mark(node, 'start')
        tell(checker => checker.opened?.(node))
      },
      broke: (node, why) => tell(checker => checker.broke?.(node, why)),
    }
  }
}

function readHello(bytes: Uint8Array): HelloMessage {
  const hello = decodeHello(bytes)
  if (typeof hello === 'string') throw new Error(`a hello that does not read back: ${hello}`)
  return hello
}
