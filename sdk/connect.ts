/** The client of a running daemon. Ids are strings, times ms since 1970, and every call takes `{ signal }` last. */
import type { z } from 'zod'
import type { ForkView, log, Recovered, Renewed, Status, Succeeded } from '../node/schema.ts'
import { WaybillError } from './error.ts'
import { type GetOptions, type Got, get } from './get.ts'
import { type CallOptions, Http } from './http.ts'
import * as resources from './resources.ts'

export type Log = z.infer<typeof log>

export interface ConnectOptions extends CallOptions {
  /** The daemon's home; WAYBILL_HOME or the default home when neither this nor `url` is given. */
  home?: string
  /** The daemon's address and token, where its home is not at hand (a browser). */
  url?: string
  token?: string
}

/** Connects to the daemon of a home, or at a URL. Throws DAEMON_UNREACHABLE when nothing answers there. */
export async function connect(options: ConnectOptions = {}): Promise<Waybill> {
  const { url, token } = await endpointOf(options)
  const http = new Http(url, token)
  await http.probe(options)
  return new Waybill(http)
}

async function endpointOf({ home, url, token }: ConnectOptions): Promise<{ url: string; token: string }> {
  if (url !== undefined && token !== undefined) return { url, token }
  if (url !== undefined || token !== undefined) throw new TypeError('url and token go together')
  const { readEndpoint, resolveHome } = await import('./home.ts')
  return readEndpoint(resolveHome(home))
}

export class Waybill implements AsyncDisposable {
  readonly #http: Http
  readonly partners: ReturnType<typeof resources.partners>
  readonly keys: ReturnType<typeof resources.keys>
  readonly committee: ReturnType<typeof resources.committee>
  readonly juries: ReturnType<typeof resources.juries>
  readonly handovers: ReturnType<typeof resources.handovers>
  readonly witnessing: ReturnType<typeof resources.witnessing>
  readonly logs: ReturnType<typeof resources.logs>
  readonly packets: ReturnType<typeof resources.packets>
  readonly assets: ReturnType<typeof resources.assets>
  readonly offers: ReturnType<typeof resources.offersOf>
  readonly requests: ReturnType<typeof resources.requests>
  readonly backup: ReturnType<typeof resources.backup>
  readonly records: ReturnType<typeof resources.records>
  readonly transfers: ReturnType<typeof resources.transfers>
  readonly agreements: ReturnType<typeof resources.agreements>
  readonly consents: ReturnType<typeof resources.consents>

  /** Use `connect`. */
  constructor(http: Http) {
    this.#http = http
    this.partners = resources.partners(http)
    this.keys = resources.keys(http)
    this.committee = resources.committee(http)
    this.juries = resources.juries(http)
    this.handovers = resources.handovers(http)
    this.witnessing = resources.witnessing(http)
    this.logs = resources.logs(http)
    this.packets = resources.packets(http)
    this.assets = resources.assets(http)
    this.offers = resources.offersOf(http)
    this.requests = resources.requests(http)
    this.backup = resources.backup(http)
    this.records = resources.records(http)
    this.transfers = resources.transfers(http)
    this.agreements = resources.agreements(http)
    this.consents = resources.consents(http)
  }

  get url(): string {
    return this.#http.url
  }

  status(options?: CallOptions): Promise<Status> {
    return this.#http.get('/v1/status', options)
  }

  /** The trust file of the home, `waybill.trust/1`: what `verify` takes. */
  trust(options?: CallOptions): Promise<Record<string, unknown>> {
    return this.#http.get('/v1/trust', options)
  }

  /** Entries of the own log in their order, from the one after `after`. */
  log({
    after,
    limit,
    ...options
  }: CallOptions & { after?: number | undefined; limit?: number } = {}): Promise<Log> {
    return this.#http.get('/v1/log', { ...options, query: { after, limit } })
  }

  /** Closes the own log and goes on with the next one, as after a fork. */
  succeed(options?: CallOptions): Promise<Succeeded> {
    return this.#http.post<Succeeded>('/v1/log/succeed', {}, options)
  }

  /** Takes entries of the own log, that a store which was put back lacks, from mirrors. No other copy of it may run. */
  recover(options?: CallOptions): Promise<Recovered> {
    return this.#http.post<Recovered>('/v1/log/recover', {}, options)
  }

  /** Logs that are proven to have two histories, each with its proof in base64. */
  async forks(options?: CallOptions): Promise<ForkView[]> {
    return (await this.#http.get<{ items: ForkView[] }>('/v1/forks', options)).items
  }

  /** Keeps a proof (base64) that a log was forked, and tells partners: the log is closed. */
  async tellFork(proof: string, options?: CallOptions): Promise<void> {
    await this.#http.post('/v1/forks', { proof }, options)
  }

  /**
   * Evidence with newer heads of its two logs, cosigned by keys that stand: what it proves outlives the keys under it. A side
   * whose log's owner is away is left as it was, and named.
   */
  async renew(
    evidence: Uint8Array,
    options?: CallOptions,
  ): Promise<{ evidence: Uint8Array; sides: Renewed['sides'] }> {
    const body = { evidence: Buffer.from(evidence).toString('base64') }
    const answer = await this.#http.post<Renewed>('/v1/evidence/renew', body, options)
    return { evidence: new Uint8Array(Buffer.from(answer.evidence, 'base64')), sides: answer.sides }
  }

  /** Asks for an offer, waits until both sides have signed, and lets its content come. */
  get(offer: string, options?: GetOptions): Promise<Got> {
    return get(this, offer, options)
  }

  /** Whether the daemon is ready, and if not why. */
  async ready(options?: CallOptions): Promise<boolean> {
    try {
      await this.#http.bytes('/readyz', options)
      return true
    } catch (error) {
      if (error instanceof WaybillError && error.status === 503) return false
      throw error
    }
  }

  /** Asks the daemon to stop; it answers before it does. */
  async stop(options?: CallOptions): Promise<void> {
    await this.#http.post('/v1/stop', {}, options)
  }

  /** Ends the calls under way. The daemon goes on. */
  close(): void {
    this.#http.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }
}
