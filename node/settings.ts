/** What an operator names once and a node keeps to: who witnesses and mirrors its log, and where it witnesses over HTTP. */
import { parseCid } from '../crypto/cid.ts'
import type { Env } from '../protocol/context.ts'
import { MAX_MIRRORS, MAX_WITNESSES } from '../protocol/limits.ts'
import { seatsTrusted } from '../protocol/own-trust.ts'
import type { SeatsTrusted } from '../protocol/ownership-trust.ts'
import { type Config, writeConfig } from './config.ts'
import type { Node } from './daemon.ts'
import { serveWitness, type WitnessServer } from './witness-http.ts'

export class Settings {
  /** Where logs of other kinds are witnessed; absent while they are not. */
  witnessServer: WitnessServer | undefined
  readonly #node: Node
  #config: Config

  constructor(node: Node, config: Config) {
    this.#node = node
    this.#config = config
  }

  /** What the core asks for at each step. */
  lend(env: Env): void {
    env.witnesses = () => this.#config.witnesses.map(parseCid)
    env.sits = () => this.#config.seats === 'auto'
    env.mirrors = () => this.#config.mirrors.map(parseCid)
  }

  get witnesses(): string[] {
    return this.#config.witnesses
  }

  get mirrors(): string[] {
    return this.#config.mirrors
  }

  /** Whose votes on assets this home believes. */
  get seats(): SeatsTrusted {
    return seatsTrusted(this.#node.env.self.org, this.#config)
  }

  /** Takes an organisation for certified from now on, or no longer. */
  async certify(org: string, is: boolean): Promise<void> {
    const others = this.#config.certified.filter(each => each !== org)
    await this.#change({ certified: is ? [...others, org] : others })
    await this.#node.saveTrust()
  }

  /** Takes these for organisations that one hand controls, with whoever was under it with one of them; or none of them any more. */
  async control(orgs: string[], is: boolean): Promise<void> {
    const isNamed = (org: string) => orgs.includes(org)
    const { control } = this.#config
    if (is) {
      const group = [...new Set([...orgs, ...control.filter(each => each.some(isNamed)).flat()])]
      if (group.length > MAX_WITNESSES)
        throw Object.assign(new Error(`at most ${MAX_WITNESSES} organisations are under one control`), {
          code: 'QUOTA_EXCEEDED',
        })
      await this.#change({ control: [...control.filter(each => !each.some(isNamed)), group] })
    } else {
      const left = control.map(each => each.filter(org => !isNamed(org)))
      await this.#change({ control: left.filter(each => each.length > 1) })
    }
    await this.#node.saveTrust()
  }

  get isLogOpen(): boolean {
    return this.#config.openLog
  }

  /** Names a partner as witness of the own log, in the configuration and at once. */
  async addWitness(org: string): Promise<void> {
    const { witnesses } = this.#config
    if (witnesses.includes(org)) return
    if (witnesses.length >= MAX_WITNESSES)
      throw Object.assign(new Error(`${MAX_WITNESSES} partners witness this log already`), {
        code: 'QUOTA_EXCEEDED',
      })
    await this.#change({ witnesses: [...witnesses, org] })
    await this.#node.saveTrust()
    this.#node.partners.greetAll()
    await this.#node.driver.submit({ type: 'start', machine: 'log' })
  }

  /** Names these partners, and no others, as witnesses of the own log, once `ask` has asked them to sit. */
  async seat(orgs: string[], ask: () => Promise<unknown>): Promise<void> {
    const before = this.#config
    // What is configured is asked for whenever a partner connects: it must not be the old list by then.
    this.#config = { ...before, witnesses: orgs }
    try {
      await ask()
    } catch (error) {
      this.#config = before
      throw error
    }
    await this.#change({})
    await this.#node.saveTrust()
    this.#node.partners.greetAll()
  }

  /** Lets a partner keep the entries of the own log, from now on. */
  async addMirror(org: string): Promise<void> {
    const { mirrors } = this.#config
    if (mirrors.includes(org)) return
    if (mirrors.length >= MAX_MIRRORS)
      throw Object.assign(new Error(`${MAX_MIRRORS} partners mirror this log already`), {
        code: 'QUOTA_EXCEEDED',
      })
    await this.#change({ mirrors: [...mirrors, org] })
    this.#node.partners.greet(org)
  }

  /** Lets anybody who reaches the HTTP witness read the entries of the own log, or nobody. */
  openLog(open: boolean): Promise<void> {
    return this.#change({ openLog: open })
  }

  async #change(change: Partial<Config>): Promise<void> {
    this.#config = { ...this.#config, ...change }
    await writeConfig(this.#node.home, this.#config)
  }

  /** Where it witnessed before. A port that another program has taken is no reason for a node not to start. */
  async witnessAgain(): Promise<void> {
    const listen = this.#config.witnessListen
    if (listen === undefined) return
    try {
      this.witnessServer = await serveWitness(this.#node, listen)
    } catch (error) {
      const { code = 'ADDRESS_IN_USE', message } = error as { code?: string; message: string }
      this.#node.log.error({ listen, code }, 'logs of other kinds are not witnessed')
      this.#node.problems.push({ code, text: `logs of other kinds are not witnessed: ${message}` })
    }
  }

  /** Begins to witness logs of other kinds over HTTP at `host:port`, or ends it; at once and after every restart. */
  async serveWitness(listen: string | undefined): Promise<void> {
    await this.witnessServer?.close()
    this.witnessServer = undefined
    try {
      if (listen !== undefined) this.witnessServer = await serveWitness(this.#node, listen)
    } catch (error) {
      await this.witnessAgain()
      throw error
    }
    const { witnessListen: _, ...rest } = this.#config
    this.#config = rest
    await this.#change(listen === undefined ? {} : { witnessListen: listen })
  }
}
