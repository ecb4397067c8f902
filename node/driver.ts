/**
 * The loop of a node: an input goes through the core in one synchronous turn, its writes join the group that is committed
 * next, and what it sends, tells and answers leaves when they and all earlier writes are durable (RULES A1, A2).
 */
import { randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { isRead } from '../protocol/beat.ts'
import type { Answer } from '../protocol/command.ts'
import type { Env } from '../protocol/context.ts'
import type { Delivery } from '../protocol/delivery.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event } from '../protocol/event.ts'
import { readEntries } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Message } from '../protocol/message.ts'
import type { Deadline, Now, Output, Secret } from '../protocol/output.ts'
import { type Input, open, type PeerState, step } from '../protocol/peer.ts'
import { freshSeed } from './entropy.ts'
import { sealSecret } from './keystore.ts'
import type { Store } from './store.ts'

type Loose<T> = T extends unknown ? Omit<T, 'seed'> : never
export type DriverInput = Loose<Input>

export class DriverError extends Error {
  override readonly name = 'DriverError'
  readonly code: 'CONFLICT' | 'STOPPED' | 'STORE_INCONSISTENT'

  constructor(code: DriverError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface DriverOptions {
  store: Store
  env: Env
  /** Seals secrets at rest, 32 bytes. */
  homeKey: Uint8Array
  send(org: string, message: Message): void
  /** The store contradicts itself, or cannot be written: nothing may leave any more. */
  onFatal(error: Error): void
  /** The core threw what it should not: nothing of that input happened. */
  onBug(error: Error): void
}

/** Longest sleep of the timer, ms: setTimeout counts in 31 bits. */
const MAX_SLEEP_MS = 3_600_000

export const now = (): Now => ({ wallMs: Date.now(), monoMs: performance.now() })

export class Driver extends EventEmitter<{ event: [Event] }> {
  readonly #options: DriverOptions
  readonly #deadlines = new Map<string, number>()
  #timer: NodeJS.Timeout | undefined
  #timerAtMs = Number.POSITIVE_INFINITY
  #stopped = false
  /** Callers that wait for the store. */
  readonly #waiting = new Set<(error: Error) => void>()
  state: PeerState

  constructor(options: DriverOptions) {
    super({ captureRejections: false })
    this.setMaxListeners(0)
    this.#options = options
    this.state = open(options.env)
  }

  get env(): Env {
    return this.#options.env
  }

  async start(): Promise<void> {
    await this.takeUp()
    await this.submit({ type: 'start', machine: 'stock' })
  }

  /** Takes up every machine that has not ended: it waits for nothing after a start, or while the node could not go on. */
  async takeUp(): Promise<void> {
    const open = await this.#options.store.list(KEY.opens)
    for (const machine of [...open.map(([key]) => key.slice(KEY.opens.length)), 'log'])
      await this.submit({ type: 'start', machine })
  }

  /**
   * Runs one input. Resolves with its answer when everything it wrote is durable; rejects with the code of a refused
   * command, CONFLICT when a condition failed, STOPPED after `stop`. `secrets` are stored in the same commit.
   */
  submit(input: DriverInput, secrets: Secret[] = []): Promise<Answer | undefined> {
    if (this.#stopped) return Promise.reject(new DriverError('STOPPED', 'the node is stopping'))
    const { promise, resolve, reject } = this.#wait<Answer | undefined>()
    try {
      const next = step(this.state, { ...input, seed: freshSeed() } as Input, now(), this.#options.env)
      if (next.damaged) throw this.#fatal(new DriverError('STORE_INCONSISTENT', next.damaged))
      const { output } = next
      const writes = [
        ...output.writes,
        ...[...output.secrets, ...secrets].map(secret => this.#sealed(secret)),
      ]
      const queued = this.#options.store.commit(writes, () => {
        this.#release(output)
        resolve(next.answer)
      })
      if (queued) this.state = next.state
      else {
        this.#reload()
        reject(new DriverError('CONFLICT', 'the store changed under this command; try again'))
      }
    } catch (error) {
      if (!(error instanceof ProtocolError) && !this.#stopped) {
        this.#reload()
        this.#options.onBug(error as Error)
      }
      reject(error as Error)
    }
    return promise
  }

  /** Resolves when everything that is queued now is durable. */
  durable(): Promise<void> {
    const { promise, resolve, reject } = this.#wait<void>()
    try {
      this.#options.store.commit([], resolve)
    } catch (error) {
      reject(error as Error)
    }
    return promise
  }

  /** The store cannot be written any more: whoever waits for it is told, and nothing else leaves (RULES A1). */
  fail(error: Error): void {
    this.stop()
    for (const reject of this.#waiting) reject(error)
  }

  #wait<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (error: Error) => void } {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    this.#waiting.add(reject)
    const settled =
      <A>(settle: (with_: A) => void) =>
      (outcome: A) => {
        this.#waiting.delete(reject)
        settle(outcome)
      }
    return { promise, resolve: settled(resolve), reject: settled(reject) }
  }

  /** A step that did not end well may have used up parts of the old state: what the store holds is the truth. */
  #reload(): void {
    this.state = open(this.#options.env)
    this.#arm({ machine: 'log', atMs: performance.now() })
  }

  /** The agreement, packet and partner of a delivery. */
  delivery(machine: string): { agreement: string; packet: string; org: string } {
    const { agreement, packet, org } = decodeState<Delivery>(this.#options.store.get(machine)!)
    return { agreement: agreement.toString(), packet: packet.toString(), org }
  }

  #sealed({ handle, bytes }: Secret) {
    return {
      key: KEY.secret(handle),
      value: sealSecret(this.#options.homeKey, handle, bytes, randomBytes(12)),
    }
  }

  #release({ sends, events, deadlines }: Output): void {
    if (this.#stopped) return
    for (const { to, message } of sends) this.#options.send(to, message)
    for (const event of events) {
      if (event.type === 'ask-leaves') this.#leaves(event)
      else if (event.type === 'ask-page') void this.#page(event)
      this.emit('event', event)
    }
    for (const deadline of deadlines) this.#arm(deadline)
  }

  /** Entries as the store gives them back after their commit (RULES A4). */
  #leaves({ log, from, to }: Extract<Event, { type: 'ask-leaves' }>): void {
    if (!isRead(this.state.ledger, log, from)) return
    const kept = [...readEntries(key => this.#options.store.getDurable(key), from, to)]
    const entries = kept.map(({ entry }) => entry)
    if (entries.length === to - from) this.#background({ type: 'leaves', log, from, entries })
    else
      this.#fatal(new DriverError('STORE_INCONSISTENT', `entry ${from + entries.length} is not in the store`))
  }

  async #page(ask: Extract<Event, { type: 'ask-page' }>): Promise<void> {
    const { machine, prefix, after, limit } = ask
    try {
      const rows = await this.#options.store.list(prefix, { limit: limit + 1, ...(after ? { after } : {}) })
      const page = { type: 'page', machine, rows: rows.slice(0, limit), more: rows.length > limit } as const
      this.#background({ ...page, ...(after ? { after } : {}) })
    } catch (error) {
      if (!(error instanceof RangeError)) this.#fatal(error as Error)
    }
  }

  /** An input that nobody waits for: only a stop or a conflict may end it, and both are made good by a later `start`. */
  #background(input: DriverInput): void {
    this.submit(input).catch(error => {
      if (!(error instanceof DriverError)) this.#fatal(error)
    })
  }

  #arm({ machine, atMs }: Deadline): void {
    if (atMs === Number.POSITIVE_INFINITY) this.#deadlines.delete(machine)
    else this.#deadlines.set(machine, atMs)
    if (atMs < this.#timerAtMs) this.#sleep()
  }

  #sleep(): void {
    clearTimeout(this.#timer)
    this.#timerAtMs = Math.min(...this.#deadlines.values())
    if (this.#timerAtMs === Number.POSITIVE_INFINITY) return
    const delay = Math.max(0, Math.min(this.#timerAtMs - performance.now(), MAX_SLEEP_MS))
    this.#timer = setTimeout(() => this.#wake(), delay)
  }

  #wake(): void {
    const monoMs = performance.now()
    for (const [machine, atMs] of this.#deadlines) {
      if (atMs > monoMs) continue
      this.#deadlines.delete(machine)
      this.#background({ type: 'tick', machine })
    }
    this.#sleep()
  }

  #fatal(error: Error): Error {
    if (!this.#stopped) {
      this.stop()
      this.#options.onFatal(error)
    }
    return error
  }

  /** Nothing is taken or sent any more; what is queued still becomes durable. */
  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }
}
