/**
 * One simulated node: the loop of node/driver.ts on virtual time. An input goes through the shipped `step` in one
 * synchronous turn, its writes join the group that is committed next, and what it sends, tells and answers leaves when
 * they and all earlier writes are durable (RULES A1, A2).
 */
import { utf8 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { expand, sha256 } from '../crypto/hash.ts'
import { keyFromSeed, type PrivateKey } from '../crypto/key.ts'
import { seal } from '../crypto/seal.ts'
import { isRead } from '../protocol/beat.ts'
import type { Answer } from '../protocol/command.ts'
import { contextOf, type Env, ownChain, privateKey } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event } from '../protocol/event.ts'
import { DELEGATED, type IdentitySeeds, makeIdentity } from '../protocol/identity.ts'
import { beginChain, type Chain, makeDelegate } from '../protocol/identity-chain.ts'
import { readEntries } from '../protocol/kept.ts'
import { KEY, slotOf } from '../protocol/layout.ts'
import { DELEGATION_MS, PAD_ENTRIES } from '../protocol/limits.ts'
import { fromStore, inStore, logNumber, writesInStore } from '../protocol/log-number.ts'
import type { Context } from '../protocol/machine.ts'
import type { Message } from '../protocol/message.ts'
import { type Deadline, type Now, nothing, type Output, type Secret, type Write } from '../protocol/output.ts'
import { type Input, open, type PeerState, type step } from '../protocol/peer.ts'
import { slotsOver } from '../protocol/slots.ts'
import type { Archive } from './archive.ts'
import { SimBodyKeys } from './body-keys.ts'
import type { Worker } from './host.ts'
import { meter } from './meter.ts'
import type { Prng } from './prng.ts'
import { Disk, type Medium, type Operation, VirtualStore } from './store.ts'
import type { Timeline } from './timeline.ts'

/** Wall time at which every run begins. */
export const START_MS: number = Date.UTC(2026, 0, 1)

const NO_SEED = new Uint8Array(32)

type Loose<T> = T extends unknown ? Omit<T, 'seed'> : never
export type NodeInput = Loose<Input>
export type Step = typeof step
/** What came of an input once it is durable; a code when it was refused, nothing when the node went before. */
export type Told = (answer: Answer | undefined, refused?: string) => void

/** How a disk keeps time, us. */
export interface DiskTimes {
  leastSyncUs: number
  mostSyncUs: number
  readUs: number
  /** Of a disk that was measured: one of these as it comes, and so much at a time, in the place of the first two. */
  measured?: { syncUs: number[]; bytesPerMs: number }
}

/** What a node stands in: the cluster, or a test. */
export interface Surroundings {
  timeline: Timeline
  step: Step
  times: DiskTimes
  /** The size of each head is a multiple of this, the usual one unless it is given. */
  pad?: number
  /** Where a node's work is charged; it takes no time without one. */
  worker?: Worker
  /** Of all disks. */
  archive?: Archive
  /** The medium as the node gets it: a test puts one that is at fault in its place. */
  medium(sound: Medium): Medium
  send(node: SimNode, to: string, message: Message): void
  /** Work that a machine asks for and that reaches beyond the own store. */
  ask(node: SimNode, event: Event): void
  watch: Watch
}

/** What is told of a node while it runs. */
export interface Watch {
  input(node: SimNode, input: NodeInput, seed: Uint8Array): void
  /** Writes were queued as commit `seq` of this life. */
  queued(node: SimNode, seq: number, writes: Write[]): void
  /** Commit `seq` counts as durable; what it holds back leaves after this call. */
  released(node: SimNode, seq: number, output: Output): void
  event(node: SimNode, event: Event): void
  crashed(node: SimNode): void
  /** The store is open again, before the first input. */
  opened(node: SimNode): void
  /** The node stopped itself, or threw what it should not. */
  broke(node: SimNode, why: string): void
}

export class SimNode {
  readonly index: number
  readonly name: string
  readonly env: Env
  readonly disk: Disk
  /** How often and how long the disk was written to, us and bytes. */
  readonly written = { syncs: 0, us: 0, bytes: 0 }
  readonly bodyKeys: SimBodyKeys
  readonly admitted = new Set<string>()
  /** Of two copies of one home: the organisations that reach this one. All do while there is none. */
  audience: Set<string> | undefined
  /** What a member that lies does in place of the shipped step. */
  lies: Step | undefined
  witnesses: CID[] = []
  /** Takes the seats that others offer. */
  sits = true
  mirrors: CID[] = []
  /** Gives nobody content, whatever was agreed. */
  withholds = false
  /** How far the wall clock is ahead, ms, and how much faster the monotonic clock runs, parts in a million. */
  skewMs = 0
  driftPpm = 0
  up = false
  /** Counts starts: what an earlier life asked for does not reach this one. */
  life = 0
  state!: PeerState
  #store!: VirtualStore
  #bootUs = 0
  /** Of the active own log. */
  #logNumber = 0
  #seq = 0
  readonly #around: Surroundings
  readonly #prng: Prng
  readonly #deadlines = new Map<string, number>()
  readonly #syncing = new Set<Operation[]>()

  constructor(index: number, name: string, around: Surroundings, prng: Prng) {
    this.index = index
    this.name = name
    this.#around = around
    this.disk = new Disk(around.archive)
    this.#prng = prng
    const { self, keys } = organisation(name)
    this.bodyKeys = new SimBodyKeys(utf8(name))
    this.env = {
      self,
      keys,
      drawn: [],
      get: key =>
        this.#store.get(
          this.#logNumber === 0 && !key.startsWith('log-') ? key : inStore(key, this.#logNumber),
        ),
      slots: slotsOver(this.bodyKeys),
      seal: (handle, to, info, seed) => {
        const secret = this.secret(handle)
        return secret && seal(to, info, secret, seed)
      },
      seatKey: handle => {
        const secret = this.secret(handle)
        return secret && keyFromSeed(secret)
      },
      provenFrom: () => 0,
      witnesses: () => this.witnesses,
      addresses: () => [`/memory/${index}`],
      sits: () => this.sits,
      mirrors: () => this.mirrors,
      pad: around.pad ?? PAD_ENTRIES,
    }
  }

  get org(): string {
    return this.env.self.org
  }

  get store(): VirtualStore {
    return this.#store
  }

  /** The own identity as it stands here. */
  get chain(): Chain {
    return ownChain(this.env)
  }

  /** What is durable, with the keys of the active log where they lie. */
  onDisk = (key: string): Uint8Array | undefined =>
    this.disk.get(
      inStore(
        key,
        logNumber(each => this.disk.get(each)),
      ),
    )

  reaches(org: string): boolean {
    return this.admitted.has(org) && (this.audience?.has(org) ?? true)
  }

  /** The operator closes the log, and the organisation goes on with the next one. */
  succeed(): void {
    const admin = privateKey(this.chain, 'admin', this.env)
    const event = makeDelegate(this.chain, admin, { succeeds: true }, this.now().wallMs)
    this.submit({ type: 'identity', event, orgs: [...this.admitted] }, [], () => this.#takeUp())
  }

  /** Every machine that had not ended. */
  #takeUp(): void {
    const machines = this.#store.list(KEY.opens).map(([key]) => key.slice(KEY.opens.length))
    for (const machine of [...machines, 'log']) this.submit({ type: 'start', machine })
  }

  /** A secret by its handle, under queued writes. */
  secret(handle: string): Uint8Array | undefined {
    return this.#store.get(KEY.secret(handle))
  }

  now(): Now {
    const { nowUs } = this.#around.timeline
    const wallMs = START_MS + Math.floor(nowUs / 1_000) + this.skewMs
    return { wallMs, monoMs: ((nowUs - this.#bootUs) / 1_000) * (1 + this.driftPpm / 1_000_000) }
  }

  /** What a driver looks at between steps. */
  reading(): Context {
    return contextOf(this.state.partners, NO_SEED, this.now(), this.env)
  }

  /** Writes what is a driver's to write, beside the dialogues. */
  keep(write: Write): void {
    if (this.up) this.#commit([write], { ...nothing(), writes: [write] }, () => {})
  }

  /** Opens the store and takes up every machine that had not ended. */
  start(): void {
    this.up = true
    this.life++
    this.#bootUs = this.#around.timeline.nowUs
    this.#store = this.#openStore()
    this.#findNumber()
    this.state = open(this.env)
    this.admitted.clear()
    for (const [key] of this.#store.list(KEY.partners)) this.admitted.add(key.slice(KEY.partners.length))
    this.#around.watch.opened(this)
    this.#forget(this.#store.list(KEY.forgets).map(([key]) => key))
    if (!this.env.get(KEY.tail)) this.submit({ type: 'init' })
    this.#takeUp()
    for (const org of this.admitted) this.submit({ type: 'connected', org })
  }

  /** The power goes: a group that was being written is on the disk whole, or not at all. */
  crash(): void {
    this.up = false
    this.life++
    for (const operations of this.#syncing) {
      if (!this.#prng.chance(500_000)) break
      this.disk.apply(operations)
    }
    this.#syncing.clear()
    this.#deadlines.clear()
    this.#around.watch.crashed(this)
  }

  /** Does work of this node when it is its turn; nothing when the node is gone by then. */
  work(work: () => void): void {
    const { worker } = this.#around
    const { life } = this
    if (!worker) work()
    else
      worker.run(() => {
        if (life === this.life && this.up) work()
      })
  }

  /** As `work`, in a thread beside that of the node. */
  aside(work: () => void): void {
    const { worker } = this.#around
    const { life } = this
    if (!worker) work()
    else
      worker.aside(() => {
        if (life === this.life && this.up) work()
      })
  }

  get worker(): Worker | undefined {
    return this.#around.worker
  }

  /** Runs one input. `told` once everything it wrote is durable, or when it is refused. */
  submit(input: NodeInput, secrets: Secret[] = [], told: Told = () => {}): void {
    if (this.up) this.work(() => this.#take(input, secrets, told))
  }

  #take(input: NodeInput, secrets: Secret[], told: Told): void {
    meter.charge('step')
    const { watch } = this.#around
    const seed = this.#prng.bytes(32)
    watch.input(this, input, seed)
    const refused = this.#run(input, seed, secrets, told)
    if (refused) told(undefined, refused)
  }

  /** The turn; the code with which it was refused. */
  #run(input: NodeInput, seed: Uint8Array, secrets: Secret[], told: Told): string | undefined {
    const step = this.lies ?? this.#around.step
    try {
      const next = step(this.state, { ...input, seed } as Input, this.now(), this.env)
      if (next.damaged) {
        this.#break(`the store is damaged: ${next.damaged}`)
        return 'STORE_INCONSISTENT'
      }
      const { output } = next
      const sealed = [...output.secrets, ...secrets].map(secret => ({
        key: KEY.secret(secret.handle),
        value: secret.bytes,
      }))
      const writes = writesInStore([...output.writes, ...sealed], key => this.#store.get(key))
      const queued = this.#commit(writes, output, () => told(next.answer))
      if (!queued) {
        this.#reload()
        return 'CONFLICT'
      }
      this.state = next.state
      return undefined
    } catch (error) {
      if (error instanceof ProtocolError) return error.code
      this.#reload()
      this.#break(`an input of type ${input.type} failed: ${(error as Error).stack}`)
      return 'FAILED'
    }
  }

  /** Queues writes; what leaves with them does so when they are durable, if the node still lives then. */
  #commit(writes: Write[], output: Output, then: () => void): boolean {
    const [life, seq] = [this.life, this.#seq]
    const queued = this.#store.commit(writes, () => {
      if (life !== this.life) return
      this.#release(seq, output)
      then()
      this.#forget(writes.flatMap(({ key, value }) => (value && key.startsWith(KEY.forgets) ? [key] : [])))
    })
    if (!queued) return false
    this.#seq++
    if (writes.some(({ key }) => key === KEY.logNumber)) this.#findNumber()
    this.#around.watch.queued(this, seq, writes)
    return true
  }

  /** Destroys the slots that durable marks name, and takes the marks away (RULES D7). */
  #forget(marks: string[]): void {
    if (marks.length === 0) return
    for (const mark of marks) this.bodyKeys.destroy(slotOf(mark))
    const gone = marks.map(key => ({ key }))
    this.#commit(gone, { ...nothing(), writes: gone }, () => {})
  }

  /** A step that did not end well may have used up parts of the old state: what the store holds is the truth. */
  #reload(): void {
    this.state = open(this.env)
    this.#arm({ machine: 'log', atMs: this.now().monoMs })
  }

  #release(seq: number, output: Output): void {
    const { watch, send, ask } = this.#around
    watch.released(this, seq, output)
    for (const { to, message } of output.sends) send(this, to, message)
    for (const event of output.events) {
      if (event.type === 'paired') this.#admit(event.org)
      if (event.type === 'ask-leaves') this.#leaves(event)
      else if (event.type === 'ask-page') this.later(this.#around.times.readUs, () => this.#page(event))
      else ask(this, event)
      watch.event(this, event)
    }
    for (const deadline of output.deadlines) this.#arm(deadline)
  }

  #number(): number {
    return this.#logNumber
  }

  #admit(org: string): void {
    this.submit({ type: 'gossip', orgs: [...this.admitted], about: [org] })
    this.admitted.add(org)
    this.submit({ type: 'connected', org })
  }

  /** There is a connection, as in node/partners.ts. */
  connected(org: string): void {
    this.submit({ type: 'connected', org })
    this.submit({ type: 'gossip', orgs: [org], about: [...this.admitted].filter(each => each !== org) })
  }

  #findNumber(): void {
    this.#logNumber = logNumber(key => this.#store.get(key))
  }

  /** Entries as the store gives them back after their commit (RULES A4). */
  #leaves({ log, from, to }: Extract<Event, { type: 'ask-leaves' }>): void {
    if (!isRead(this.state.ledger, log, from)) return
    const durable = (key: string) => this.disk.get(inStore(key, this.#number()))
    const entries = [...readEntries(durable, from, to)].map(({ entry }) => entry)
    if (entries.length === to - from) this.submit({ type: 'leaves', log, from, entries })
    else this.#break(`entry ${from + entries.length} is not in the store`)
  }

  #page({ machine, prefix, after, limit }: Extract<Event, { type: 'ask-page' }>): void {
    const number = this.#number()
    const from = after ? { after: inStore(after, number) } : {}
    const rows = this.#store
      .list(inStore(prefix, number), { limit: limit + 1, ...from })
      .map(([key, value]): [string, Uint8Array] => [fromStore(key, number), value])
    const page = { type: 'page', machine, rows: rows.slice(0, limit), more: rows.length > limit } as const
    this.submit({ ...page, ...(after ? { after } : {}) })
  }

  /** Does the work after so long, unless the node is gone by then. */
  later(us: number, work: () => void): void {
    const { life } = this
    this.#around.timeline.after(us, () => {
      if (life === this.life && this.up) work()
    })
  }

  #arm({ machine, atMs }: Deadline): void {
    if (atMs === Number.POSITIVE_INFINITY) {
      this.#deadlines.delete(machine)
      return
    }
    this.#deadlines.set(machine, atMs)
    const afterUs = (atMs - this.now().monoMs) / (1 + this.driftPpm / 1_000_000)
    this.later(Math.max(0, Math.ceil(afterUs * 1_000)), () => {
      if (this.#deadlines.get(machine) !== atMs) return // armed anew since
      this.#deadlines.delete(machine)
      this.submit({ type: 'tick', machine })
    })
  }

  #openStore(): VirtualStore {
    return new VirtualStore(this.#around.medium(this.#medium()), error => this.#break(String(error)))
  }

  #medium(): Medium {
    const { timeline } = this.#around
    const sync = (operations: Operation[], done: () => void) => {
      this.#syncing.add(operations)
      this.later(this.#syncUs(operations), () => {
        this.#syncing.delete(operations)
        this.disk.apply(operations)
        this.work(done)
      })
    }
    const { life } = this
    const soon = (work: () => void) => timeline.after(0, () => life === this.life && this.work(work))
    return { disk: this.disk, soon, sync }
  }

  /** How long it takes until a group is durable. */
  #syncUs(operations: Operation[]): number {
    const { measured, leastSyncUs, mostSyncUs } = this.#around.times
    if (!measured) return this.#prng.between(leastSyncUs, mostSyncUs)
    let bytes = 0
    for (const { key, value } of operations) bytes += key.length + (value?.length ?? 0)
    meter.charge('commit', bytes)
    return this.synced(bytes)
  }

  /** How long the disk takes to sync so many bytes, us; counted. */
  synced(bytes: number): number {
    const { measured } = this.#around.times
    if (!measured) return 0
    const us = this.#prng.pick(measured.syncUs) + (bytes * 1_000) / measured.bytesPerMs
    this.written.syncs++
    this.written.us += us
    this.written.bytes += bytes
    return this.worker?.sync(us) ?? us
  }

  #break(why: string): void {
    if (!this.up) return
    this.#around.watch.broke(this, why)
    this.crash()
  }
}

interface Organisation {
  self: Env['self']
  keys: Env['keys']
}
const organisations = new Map<string, Organisation>()

/** Identity and keys of a name: the same in every run, and made once, for making one costs six signatures. */
function organisation(name: string): Organisation {
  const known = organisations.get(name)
  if (known) return known
  const seed = sha256(utf8(name))
  const roles = ['root', 'rootNext', 'admin', 'adminNext', ...DELEGATED] as const
  const seeds = Object.fromEntries(roles.map(role => [role, expand(seed, role)])) as unknown as IdentitySeeds
  const about = { name, madeMs: START_MS, untilMs: START_MS + DELEGATION_MS, retentionDays: 3_650 }
  const genesis = makeIdentity(seeds, { ...about, nonce: expand(seed, 'nonce', 16) })
  const { id, payload, bytes } = genesis
  const keys = Object.fromEntries(
    (['admin', ...DELEGATED] as const).map((role): [string, PrivateKey] => [role, keyFromSeed(seeds[role])]),
  ) as Env['keys']
  const chain = beginChain(genesis)
  const made = { self: { id, org: id.toString(), identity: payload, identityBytes: bytes, chain }, keys }
  organisations.set(name, made)
  return made
}
