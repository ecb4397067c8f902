/** One process, one home: everything that runs, opened in the order in which it depends on each other, and closed backwards. */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import pino, { type Logger } from 'pino'
import { equal, text, toHex } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { useLibsodium } from '../crypto/libsodium.ts'
import { seal } from '../crypto/seal.ts'
import { selfTest } from '../crypto/selftest.ts'
import { type Env, ownChain } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event } from '../protocol/event.ts'
import { newestHead } from '../protocol/heads.ts'
import { readTail } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { logNumber } from '../protocol/log-number.ts'
import type { Context, Partner } from '../protocol/machine.ts'
import type { Restored } from '../protocol/restored.ts'
import { seatsMade } from '../protocol/seats.ts'
import { slotsOver } from '../protocol/slots.ts'
import { votesCounted } from '../protocol/voting.ts'
import { Acquaintance } from './acquaintance.ts'
import { serveApi } from './api.ts'
import { checkSlots, openBodyKeys } from './body-keys.ts'
import { type Config, hasHome, paths, readConfig } from './config.ts'
import { type ContentFiles, openContentFiles } from './content.ts'
import { Driver } from './driver.ts'
import { Exchange } from './exchange.ts'
import { sweepTemporary, writeFileDurable } from './file.ts'
import { saveForks } from './forks.ts'
import { Gatherer } from './gather.ts'
import { acquireHome, checkName, ensureToken, HomeError, makeHome, readSelf } from './home.ts'
import { Keyring, standing } from './keyring.ts'
import { openSecret } from './keystore.ts'
import type { Lock } from './lock.ts'
import type { Network } from './network.ts'
import { NumberedStore } from './numbered-store.ts'
import { tellFrozen } from './ownership.ts'
import { Partners } from './partners.ts'
import { Place } from './place.ts'
import { eraseAgain, foundBy, redactFor } from './redact.ts'
import { Renewer } from './renew.ts'
import { SealedStore } from './sealed-store.ts'
import { seatKeys } from './seat-keys.ts'
import { Settings } from './settings.ts'
import { StockWitnesses } from './stock-witness.ts'
import { openStore, StoreError } from './store.ts'
import { Views } from './views.ts'

export { initHome } from './home.ts'

export interface DaemonOptions {
  name?: string
  listen?: string[]
  apiPort?: number
  passphrase?: string
  /** pino's level for the trace on stderr; `silent` in tests. */
  logLevel?: string
}

export interface Daemon {
  id: string
  name: string
  peerId: string
  apiUrl: string
  addresses: string[]
  /** The home was made by this start. */
  created: boolean
  stop(): Promise<void>
  /** Resolves when the daemon has stopped, with the error that stopped it where there was one. */
  stopped: Promise<Error | undefined>
}

/** Marks that the store has begun: without it level would silently open an empty one in its place. */
const BEGUN = 'begun'

/** Starts a node on a home, making the home when there is none. Resolves when it is ready. */
export async function runDaemon(home: string, options: DaemonOptions = {}): Promise<Daemon> {
  if (!useLibsodium()) selfTest()
  const lock = await lockHome(home, options)
  await using undo = new AsyncDisposableStack()
  undo.defer(() => lock.release())
  const made = await prepare(home, options)
  const node = await Node.open(home, options, undo)
  await node.start()
  lock.update({ api: node.apiUrl })
  const cleanup = undo.move()
  let stopping: Promise<void> | undefined
  const { promise: stopped, resolve } = Promise.withResolvers<Error | undefined>()
  const stop = (error?: Error): Promise<void> => {
    stopping ??= cleanup.disposeAsync().then(
      () => resolve(error),
      failure => resolve(error ?? failure),
    )
    return stopping
  }
  node.onStop = stop
  return {
    id: node.env.self.org,
    name: node.env.self.identity.name,
    peerId: node.network.peerId,
    apiUrl: node.apiUrl,
    addresses: node.network.addresses(),
    created: made,
    stop: () => stop(),
    stopped,
  }
}

/** The lock comes before everything that is written: of two first starts on one home one makes it. */
async function lockHome(home: string, { name }: DaemonOptions): Promise<Lock> {
  if (!hasHome(home)) {
    if (!name) throw new HomeError('HOME_MISSING', `there is no home at ${home}, and no name to make one`)
    checkName(name)
  }
  return acquireHome(home)
}

/** Makes what is missing of a home, and clears away what a crash left. */
async function prepare(home: string, { name, passphrase, listen, apiPort }: DaemonOptions): Promise<boolean> {
  await sweepTemporary(home, paths(home).keys)
  if (hasHome(home)) {
    await ensureToken(home)
    return false
  }
  await makeHome(home, {
    name: name!,
    ...(passphrase ? { passphrase } : {}),
    ...(listen ? { listen } : {}),
    ...(apiPort === undefined ? {} : { apiPort }),
  })
  return true
}

/** What runs: store, core, network, exchange. The API reaches all of it through this. */
export class Node {
  readonly home: string
  readonly log: Logger
  readonly startedMs: number = Date.now()
  readonly content: ContentFiles
  readonly store: SealedStore
  readonly env: Env
  readonly driver: Driver
  readonly place: Place
  readonly exchange: Exchange
  readonly views: Views
  readonly ring: Keyring
  readonly #acquaintance: Acquaintance = new Acquaintance(this)
  readonly gatherer: Gatherer = new Gatherer(this)
  readonly #renewer: Renewer = new Renewer(this)
  readonly #stock: StockWitnesses
  /** What a person should look at, newest last. */
  readonly problems: { code: string; text: string }[] = []
  readonly openSecret: (handle: string, sealed: Uint8Array) => Uint8Array
  /** Ciphertext bytes that have come, by agreement. */
  readonly received = new Map<string, number>()
  readonly partners: Partners = new Partners(this)
  readonly settings: Settings
  apiUrl = ''
  onStop: (error?: Error) => void = () => {}

  private constructor(
    home: string,
    config: Config,
    log: Logger,
    store: SealedStore,
    content: ContentFiles,
    env: Env,
    ring: Keyring,
  ) {
    const homeKey = ring.home
    this.ring = ring
    this.home = home
    this.log = log
    this.store = store
    this.content = content
    this.env = env
    this.settings = new Settings(this, config)
    this.settings.lend(env)
    this.openSecret = (handle, sealed) => openSecret(homeKey, handle, sealed)
    env.addresses = () => this.partners.network?.addresses() ?? []
    this.driver = new Driver({
      store,
      env,
      homeKey,
      send: (org, message) => this.partners.send(org, message),
      onFatal: error => this.#fatal(error),
      onBug: error => log.error({ error: String(error.stack) }, 'an input failed'),
    })
    this.exchange = new Exchange({
      driver: this.driver,
      content,
      homeKey,
      bulk: (org, request, signal) => this.network.bulk(this.partners.peerOf(org), request, signal),
      log: (message, about) => log.info(about, message),
      onTrouble: (packet, code) => this.#trouble(packet, code),
      onProgress: (agreement, bytes) =>
        this.received.set(agreement, (this.received.get(agreement) ?? 0) + bytes),
    })
    this.#stock = new StockWitnesses(this.driver)
    this.views = new Views(store, env)
    this.place = new Place(home, env.self.org)
  }

  static async open(home: string, options: DaemonOptions, undo: AsyncDisposableStack): Promise<Node> {
    const at = paths(home)
    const config = readConfig(home)
    const log = pino({ level: options.logLevel ?? 'info', base: null }, pino.destination(2))
    const ring = await Keyring.open(at.keys, options.passphrase)
    const self = await readSelf(home)
    let fatal = (_error: Error): void => {}
    const bodyKeys = await openBodyKeys(at.bodyKeys)
    undo.use(bodyKeys)
    const slots = slotsOver(bodyKeys)
    const database = await openStore(at.store, {
      create: !existsSync(join(home, BEGUN)),
      onFailure: error => fatal(error),
    })
    undo.defer(() => database.close())
    const numbered = new NumberedStore(database)
    checkSlots(key => numbered.get(key), bodyKeys)
    const store = await SealedStore.open(numbered, slots, bodyKeys)
    undo.defer(() => store.close())
    const content = await openContentFiles(home)
    undo.use(content)
    const env: Env = {
      self,
      get: key => store.get(key),
      slots,
      keys: ring.keys,
      drawn: ring.drawn,
      seal: (handle, to, info, seed) => {
        const sealed = store.get(KEY.secret(handle))
        return sealed && seal(to, info, openSecret(ring.home, handle, sealed), seed)
      },
      seatKey: seatKeys(
        handle => store.get(KEY.secret(handle)),
        (handle, sealed) => openSecret(ring.home, handle, sealed),
      ),
      // Until #placed has looked.
      provenFrom: () => Number.POSITIVE_INFINITY,
      witnesses: () => [],
      addresses: () => [],
      sits: () => true,
      mirrors: () => [],
      pad: config.pad,
    }
    env.keys = keysOf(env, at.keys)
    const node = new Node(home, config, log, store, content, env, ring)
    fatal = error => node.#fatal(error)
    undo.defer(async () => {
      node.partners.stop()
      node.gatherer.stop()
      node.#renewer.stop()
      node.#acquaintance.stop()
      node.#stock.stop()
      node.exchange.stop()
      node.driver.stop()
      await store.idle().catch(() => {})
      node.place.close()
    })
    await node.#begin(options, config, undo)
    return node
  }

  async #begin(options: DaemonOptions, config: Config, undo: AsyncDisposableStack): Promise<void> {
    const begun = existsSync(join(this.home, BEGUN))
    if (!this.store.get(KEY.tail)) await this.driver.submit({ type: 'init' })
    await this.#placed(begun)
    if (!begun) await writeFileDurable(join(this.home, BEGUN), new Uint8Array(0), 0o600)
    await this.content.sweep(hex => this.store.get(`root/${hex}`) !== undefined)
    await this.partners.open(options.listen ?? config.listen)
    undo.defer(() => this.network.stop())
    await this.settings.witnessAgain()
    undo.defer(() => this.settings.witnessServer?.close())
    const api = await serveApi(this, options.apiPort ?? config.apiPort)
    this.apiUrl = api.url
    undo.defer(() => rm(paths(this.home).api, { force: true }))
    undo.defer(() => api.close())
  }

  /** Before anything leaves: is this the store that ran here last, and as new as it was (RULES D1)? */
  async #placed(begun: boolean): Promise<void> {
    // As it is on the disk: the mark must not be ahead of a store that loses what is queued to a kill.
    const get = (key: string) => this.store.getDurable(key)
    const extent = () => {
      const tail = get(KEY.tail)
      const events = ownChain({ self: this.env.self, get }).events.length
      return { log: logNumber(get), size: tail ? readTail(tail).size : 0, ...votesCounted(get), events }
    }
    const doubt = this.place.doubt(extent(), begun)
    // The last run may have ended between what its members said and the end of its seats.
    const why = doubt ?? (get(KEY.seatsEnding) ? 'older' : undefined)
    if (why) await this.#putBack(why)
    this.place.settle(extent(), seatsMade(get))
    this.env.provenFrom = () => this.place.provenFrom
    const readable = () => {
      try {
        return extent()
      } catch (error) {
        if (!(error instanceof StoreError)) this.#fatal(error as Error) // that one is told by the store
        return undefined
      }
    }
    // After these the home has come further than its mark says.
    this.driver.on('event', event => {
      if (event.type === 'head' || event.type === 'votes') this.place.grown(readable)
      else if (event.type === 'identity' || event.type === 'recovered') this.place.reached(readable)
      else if (event.type === 'redacted') this.place.redacted(event.word)
      // Its machine noticed nothing. That no seat votes any more is durable by now: here they say so.
      else if (event.type === 'behind')
        this.background(this.#putBack('older').then(() => this.place.reached(readable)))
    })
  }

  /** What was signed with this store and is not in it any more is unknown: seats and tickets end. */
  async #putBack(why: Restored['why']): Promise<void> {
    this.log.warn({ why }, 'the store was put back or copied')
    const keys = async (prefix: string) => (await this.store.list(prefix)).map(([key]) => key)
    const tickets = await keys(KEY.tickets)
    const seats = (await Promise.all([KEY.sittings, KEY.givens].map(keys))).flat()
    const redactions = await foundBy(this, this.place.redactions())
    const { events } = this.place
    await this.driver.submit({ type: 'restored', why, events, tickets, seats, redactions })
    await this.store.destroyNow()
  }

  /** Continues the own identity, tells the partners, and goes on under the keys that stand now. */
  async goOn(event: Uint8Array | undefined, adopts = false): Promise<void> {
    const before = this.env.keys.node.public
    const orgs = (await this.views.partners()).map(({ org }) => org)
    await this.driver.submit({ type: 'identity', ...(event ? { event } : {}), orgs, adopts })
    this.env.keys = keysOf(this.env, this.home)
    if (equal(before, this.env.keys.node.public)) return
    await this.partners.reopen()
    await this.#tellApi()
    this.partners.greetAll()
  }

  /** Takes up what was open, and tells where the API is: from here on the node is ready. */
  async start(): Promise<void> {
    this.driver.on('event', event => this.#note(event))
    // Who paired or moved while nobody listened to events yet.
    await this.partners.admitAll()
    await this.driver.start()
    await this.saveTrust()
    await this.#tellApi()
    this.partners.greetAll()
    this.#acquaintance.start()
    await this.gatherer.start()
    this.#renewer.start()
    this.partners.gossipLater()
  }

  async #tellApi(): Promise<void> {
    const api = { schema: 'waybill.api/1', url: this.apiUrl, pid: process.pid, peer: this.network.peerId }
    await writeFileDurable(paths(this.home).api, new TextEncoder().encode(JSON.stringify(api)), 0o600)
  }

  get network(): Network {
    return this.partners.network
  }

  /** What the collecting of evidence looks at. */
  reading(): {
    self: Context['self']
    get: Env['get']
    slots: Env['slots']
    partner(org: string): Partner | undefined
    witnesses: CID[]
  } {
    return {
      self: { ...this.env.self, chain: ownChain(this.env) },
      get: this.env.get,
      slots: this.env.slots,
      partner: org => this.views.partner(org),
      witnesses: this.env.witnesses(),
    }
  }

  headSize(): number {
    return this.driver.state.ledger.signed.range.size
  }

  /** The newest signed head of the own log, with the cosignatures that have come. */
  headText(): string | undefined {
    const head = newestHead(key => this.store.get(key))
    return head && text(head.note)
  }

  async saveTrust(): Promise<void> {
    const bytes = new TextEncoder().encode(
      `${JSON.stringify(await this.views.trust(this.settings.seats), null, 2)}\n`,
    )
    await writeFileDurable(paths(this.home).trust, bytes, 0o600)
  }

  #note(event: Event): void {
    if (event.type === 'committee') this.partners.greetAll()
    else if (event.type === 'redacted') {
      if (event.root) this.background(this.content.remove(toHex(digestOf(event.root))))
    } else if (event.type === 'ask-erase') this.background(eraseAgain(this, event.words))
    else if (event.type === 'ask-redact')
      this.background(redactFor(this, event.org, event.record, event.reason))
    else if (event.type === 'frozen') {
      this.log.error({ asset: event.asset.toString() }, 'an owner signed two orders of one version')
      this.background(tellFrozen(this, event.asset))
    } else if (event.type === 'paired') {
      this.log.info({ partner: event.org, name: event.name }, 'paired')
      this.partners.changed(event.org, true)
      this.background(this.saveTrust())
    } else if (event.type === 'partner') {
      this.partners.changed(event.org, false)
      this.background(this.saveTrust())
    } else if (event.type === 'violation') {
      this.log.warn(event, 'violation')
    } else if (event.type === 'identity-behind') {
      this.log.error(event, 'partners know more events of this identity than this store has')
    } else if (event.type === 'forked' || event.type === 'identity-forked') {
      this.log.error(event, `${event.type === 'forked' ? 'a log' : 'an identity'} was forked`)
      this.background(saveForks(this))
      this.partners.gossip(true)
    } else this.log.trace({ event: event.type }, 'event')
  }

  /** Packets that do not come, with the code of the last attempt; none once they have come. */
  #trouble(packet: string, code: string | undefined): void {
    const at = this.problems.findIndex(each => each.code === 'FETCH' && each.text.includes(packet))
    if (at >= 0) this.problems.splice(at, 1)
    if (code)
      this.problems.push({
        code: 'FETCH',
        text: `packet ${packet} does not come: ${code}; it is tried again`,
      })
  }

  background(work: Promise<unknown>): void {
    work.catch(error => this.log.warn({ error: String(error) }, 'background work failed'))
  }

  #fatal(error: Error): void {
    this.log.fatal({ error: String(error.stack ?? error) }, 'the store cannot be relied on; stopping')
    this.driver.fail(error)
    setImmediate(() => this.onStop(error)) // whoever waits for an answer gets this error first
  }
}

/** The keys that stand, of those that are here. */
function keysOf(env: Env, path: string): Env['keys'] {
  try {
    return standing(ownChain(env), env)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new HomeError('HOME_DAMAGED', `${path}: ${error.message}: are these keys older than the store?`)
  }
}
