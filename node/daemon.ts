/** One process, one home: everything that runs, opened in the order in which it depends on each other, and closed backwards. */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import pino, { type Logger } from 'pino'
import { equal, text, toHex } from '../crypto/bytes.ts'
import { type CID, digestOf, parseCid } from '../crypto/cid.ts'
import { seal } from '../crypto/seal.ts'
import { selfTest } from '../crypto/selftest.ts'
import { type Env, ownChain } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event } from '../protocol/event.ts'
import { newestHead, publicHead } from '../protocol/heads.ts'
import { everStood } from '../protocol/identity-chain.ts'
import { KEY } from '../protocol/layout.ts'
import { GOSSIP_MS, MAX_MIRRORS, MAX_RUMOURS } from '../protocol/limits.ts'
import { logNumber } from '../protocol/log-number.ts'
import type { Context, Partner } from '../protocol/machine.ts'
import {
  decodeHello,
  decodeMessage,
  encodeMessage,
  type HelloMessage,
  type Message,
} from '../protocol/message.ts'
import { parseTicket } from '../protocol/pairing.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { redaction } from '../protocol/redaction.ts'
import { slotsOver } from '../protocol/slots.ts'
import { Acquaintance } from './acquaintance.ts'
import { serveApi } from './api.ts'
import { checkSlots, openBodyKeys } from './body-keys.ts'
import { type Config, hasHome, paths, readConfig, writeConfig } from './config.ts'
import { type ContentFiles, openContentFiles } from './content.ts'
import { Driver } from './driver.ts'
import { Exchange } from './exchange.ts'
import { sweepTemporary, writeFileDurable } from './file.ts'
import { Gatherer } from './gather.ts'
import { acquireHome, checkName, ensureToken, HomeError, makeHome, readSelf } from './home.ts'
import { Keyring, standing } from './keyring.ts'
import { openSecret } from './keystore.ts'
import { openWhereKnown } from './listen.ts'
import type { Lock } from './lock.ts'
import { type Network, type NetworkOptions, openNetwork } from './network.ts'
import { NumberedStore } from './numbered-store.ts'
import { Place } from './place.ts'
import { redactFor, search } from './redact.ts'
import { Renewer } from './renew.ts'
import { SealedStore } from './sealed-store.ts'
import { StockWitnesses } from './stock-witness.ts'
import { openStore } from './store.ts'
import { Views } from './views.ts'
import { serveWitness, type WitnessServer } from './witness-http.ts'

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

/** Messages of one partner that may be in the core and not durable yet, before it is slowed down. */
const MAX_UNDER_WAY = 256
const JOIN_TIMEOUT_MS = 20_000
/** Marks that the store has begun: without it level would silently open an empty one in its place. */
const BEGUN = 'begun'

/** Starts a node on a home, making the home when there is none. Resolves when it is ready. */
export async function runDaemon(home: string, options: DaemonOptions = {}): Promise<Daemon> {
  selfTest()
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
  readonly #gatherer: Gatherer = new Gatherer(this)
  readonly #renewer: Renewer = new Renewer(this)
  readonly #stock: StockWitnesses
  /** What a person should look at, newest last. */
  readonly problems: { code: string; text: string }[] = []
  readonly openSecret: (handle: string, sealed: Uint8Array) => Uint8Array
  /** Ciphertext bytes that have come, by agreement. */
  readonly received = new Map<string, number>()
  network!: Network
  apiUrl = ''
  /** Where logs of other kinds are witnessed; absent while they are not. */
  witnessServer: WitnessServer | undefined
  onStop: (error?: Error) => void = () => {}
  #reopen: () => Promise<void> = async () => {}
  #config: Config
  #gossiping: NodeJS.Timeout | undefined
  /** Partners whose log was seen to grow since the last round of gossip. */
  readonly #seen = new Set<string>()
  /** Size of the head that partners were shown last. */
  #shownSize = 0
  readonly #orgs = new Map<string, string>()
  readonly #peers = new Map<string, string>()
  readonly #underWay = new Map<string, number>()

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
    this.#config = config
    this.openSecret = (handle, sealed) => openSecret(homeKey, handle, sealed)
    env.witnesses = () => this.#config.witnesses.map(parseCid)
    env.sits = () => this.#config.seats === 'auto'
    env.mirrors = () => this.#config.mirrors.map(parseCid)
    env.addresses = () => this.network?.addresses() ?? []
    this.driver = new Driver({
      store,
      env,
      homeKey,
      send: (org, message) => this.#send(org, message),
      onFatal: error => this.#fatal(error),
      onBug: error => log.error({ error: String(error.stack) }, 'an input failed'),
    })
    this.exchange = new Exchange({
      driver: this.driver,
      content,
      homeKey,
      bulk: (org, request, signal) => this.network.bulk(this.#peers.get(org) ?? '', request, signal),
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
      clearTimeout(node.#gossiping)
      node.#gatherer.stop()
      node.#renewer.stop()
      node.#acquaintance.stop()
      node.#stock.stop()
      node.exchange.stop()
      node.driver.stop()
      await store.idle().catch(() => {})
    })
    await node.#begin(options, undo)
    return node
  }

  async #begin(options: DaemonOptions, undo: AsyncDisposableStack): Promise<void> {
    const begun = existsSync(join(this.home, BEGUN))
    if (!this.store.get(KEY.tail)) await this.driver.submit({ type: 'init' })
    await this.#placed(begun)
    if (!begun) await writeFileDurable(join(this.home, BEGUN), new Uint8Array(0), 0o600)
    await this.content.sweep(hex => this.store.get(`root/${hex}`) !== undefined)
    for (const partner of await this.views.partners()) this.#admit(partner)
    await this.#openNetwork(options.listen)
    undo.defer(() => this.network.stop())
    this.#reopen = () => this.#openNetwork(options.listen)
    await this.#witnessAgain()
    undo.defer(() => this.witnessServer?.close())
    const api = await serveApi(this, options.apiPort ?? this.#config.apiPort)
    this.apiUrl = api.url
    undo.defer(() => rm(paths(this.home).api, { force: true }))
    undo.defer(() => api.close())
  }

  /** Before anything leaves: is this the store that ran here last, and as new as it was (RULES D1)? */
  async #placed(begun: boolean): Promise<void> {
    const extent = () => ({ log: logNumber(this.env.get), size: this.driver.state.ledger.tail.range.size })
    const why = this.place.doubt(extent(), begun)
    if (why) {
      this.log.warn({ why }, 'the store was put back or copied')
      const tickets = (await this.store.list(KEY.tickets)).map(([key]) => key)
      const redactions = await Promise.all(
        this.place.redactions().flatMap(word => {
          const read = readRecord(redaction, word)
          return isStored(read) ? [search(this, read.payload.record).then(found => ({ word, ...found }))] : []
        }),
      )
      await this.driver.submit({ type: 'restored', why, tickets, redactions })
      await this.store.destroyNow()
    }
    this.place.settle(extent())
    this.driver.on('event', event => {
      if (event.type === 'head') this.place.grown({ log: logNumber(this.env.get), size: event.size })
      else if (event.type === 'redacted') this.place.redacted(event.word)
    })
  }

  /** Under the node key that stands, where the node listened before. */
  async #openNetwork(asked: string[] | undefined): Promise<void> {
    const network = {
      seed: this.env.keys.node.seed,
      admitted: (peerId: string) => this.#orgs.has(peerId),
      onMessage: (peerId: string, bytes: Uint8Array) => this.#receive(peerId, bytes),
      onHello: (peerId: string, bytes: Uint8Array) => this.#hello(peerId, bytes),
      onBulk: (peerId: string, request: Uint8Array) => this.exchange.serve(this.#orgs.get(peerId)!, request),
      onConnected: (peerId: string) => this.#connected(peerId),
      onDisconnected: (peerId: string) => this.#disconnected(peerId),
    } satisfies Omit<NetworkOptions, 'listen'>
    this.network = await openWhereKnown(
      this.home,
      asked ?? this.#config.listen,
      listen => openNetwork({ ...network, listen }),
      listen => this.log.warn({ listen }, 'another program listens there; trying the next'),
    )
    for (const partner of await this.views.partners()) this.#admit(partner)
  }

  /** Continues the own identity, tells the partners, and goes on under the keys that stand now. */
  async goOn(event: Uint8Array): Promise<void> {
    const before = this.env.keys.node.public
    const orgs = (await this.views.partners()).map(({ org }) => org)
    await this.driver.submit({ type: 'identity', event, orgs })
    this.env.keys = keysOf(this.env, this.home)
    if (equal(before, this.env.keys.node.public)) return
    await this.network.stop()
    await this.#reopen()
    await this.#tellApi()
    for (const peerId of this.#orgs.keys()) this.greet(peerId)
  }

  /** Takes up what was open, and tells where the API is: from here on the node is ready. */
  async start(): Promise<void> {
    this.driver.on('event', event => this.#note(event))
    // Who paired or moved while nobody listened to events yet.
    for (const partner of await this.views.partners()) this.#admit(partner)
    await this.driver.start()
    await this.saveTrust()
    await this.#tellApi()
    for (const peerId of this.#orgs.keys()) this.greet(peerId)
    this.#acquaintance.start()
    await this.#gatherer.start()
    this.#renewer.start()
    this.#gossipLater()
  }

  async #tellApi(): Promise<void> {
    const api = { schema: 'waybill.api/1', url: this.apiUrl, pid: process.pid, peer: this.network.peerId }
    await writeFileDurable(paths(this.home).api, new TextEncoder().encode(JSON.stringify(api)), 0o600)
  }

  // Partners.

  /** A partner is admitted under its node key that stands, and no other. */
  #admit(partner: Partner): string {
    const peerId = peerIdOf(partner)
    const before = this.#peers.get(partner.org)
    if (before && before !== peerId) {
      this.#orgs.delete(before)
      this.network?.forget(before)
    }
    this.#orgs.set(peerId, partner.org)
    this.#peers.set(partner.org, peerId)
    this.network?.learn(peerId, partner.addresses)
    return peerId
  }

  isConnected(org: string): boolean {
    return this.network.connected().includes(this.#peers.get(org) ?? '')
  }

  /** Says hello to a partner, which makes the network dial it. */
  greet(peerId: string): void {
    const org = this.#orgs.get(peerId)
    if (org) this.#background(this.driver.submit({ type: 'connected', org }))
  }

  #connected(peerId: string): void {
    const org = this.#orgs.get(peerId)
    this.log.info({ partner: org }, 'partner connected')
    this.greet(peerId)
    // Two who are rarely here together hold what they saw against each other all the same.
    const about = [...this.#orgs.values()].slice(0, MAX_RUMOURS)
    if (org) this.#background(this.driver.submit({ type: 'gossip', orgs: [org], about }))
  }

  /** What waits to be said makes the network dial: whoever of the two has moved, the other is where it was. */
  #disconnected(peerId: string): void {
    this.log.info({ partner: this.#orgs.get(peerId) }, 'partner disconnected')
    this.greet(peerId)
  }

  /** On a beat with jitter, so that the moment of a head does not tell the moment of a deal (RULES D8). */
  #gossipLater(): void {
    const waitMs = GOSSIP_MS * (0.75 + Math.random() / 2)
    this.#gossiping = setTimeout(() => {
      this.#gossip()
      this.#gossipLater()
    }, waitMs)
  }

  /** Partners know the head of the connect; this tells those who stay connected what the log has come to since. */
  #gossip(forks = false): void {
    // What is shown is final, where members promise: that comes after the signature.
    const size = publicHead(this.env.get)?.size ?? 0
    const orgs = this.network.connected().flatMap(peerId => this.#orgs.get(peerId) ?? [])
    const about = [...this.#seen].slice(0, MAX_RUMOURS)
    if ((size === this.#shownSize && about.length === 0 && !forks) || orgs.length === 0) return
    this.#shownSize = size
    for (const org of about) this.#seen.delete(org)
    this.#background(this.driver.submit({ type: 'gossip', orgs, about, forks }))
  }

  async #hello(peerId: string, bytes: Uint8Array): Promise<Uint8Array> {
    const hello = decodeHello(bytes)
    if (typeof hello === 'string')
      return encodeMessage({ t: 'hello/refused', code: 'MALFORMED', text: hello.slice(0, 512) })
    const node = peerIdFromString(peerId).publicKey?.raw
    if (!node)
      return encodeMessage({ t: 'hello/refused', code: 'RECORD_INVALID', text: 'not an Ed25519 peer' })
    const answer = await this.driver.submit({ type: 'hello', node, hello })
    return encodeMessage((answer as { hello: HelloMessage }).hello)
  }

  /** Joins with a ticket. Throws the code of the refusal. */
  async join(ticketText: string): Promise<{ id: string; name: string }> {
    const ticket = parseTicket(ticketText)
    const peerId = peerIdFromPublicKey(publicKeyFromRaw(ticket.node)).toString()
    const mine = (await this.driver.submit({ type: 'join', ticket })) as { hello: HelloMessage }
    const signal = AbortSignal.timeout(JOIN_TIMEOUT_MS)
    const reply = await this.network.hello(peerId, ticket.addresses, encodeMessage(mine.hello), signal)
    const hello = decodeHello(reply)
    if (typeof hello === 'string') throw new HomeError('HOME_DAMAGED', `the answer is not a hello: ${hello}`)
    const joined = (await this.driver.submit({ type: 'welcomed', ticket, hello })) as {
      org: string
      name: string
    }
    return { id: joined.org, name: joined.name }
  }

  get witnesses(): string[] {
    return this.#config.witnesses
  }

  /** Names a partner as witness of the own log, in the configuration and at once. */
  async addWitness(org: string): Promise<void> {
    if (this.#config.witnesses.includes(org)) return
    this.#config = { ...this.#config, witnesses: [...this.#config.witnesses, org] }
    await writeConfig(this.home, this.#config)
    await this.saveTrust()
    for (const peerId of this.#orgs.keys()) this.greet(peerId)
    await this.driver.submit({ type: 'start', machine: 'log' })
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
    await writeConfig(this.home, this.#config)
    await this.saveTrust()
  }

  get mirrors(): string[] {
    return this.#config.mirrors
  }

  get isLogOpen(): boolean {
    return this.#config.openLog
  }

  /** Lets a partner keep the entries of the own log, from now on. */
  async addMirror(org: string): Promise<void> {
    if (this.#config.mirrors.includes(org)) return
    if (this.#config.mirrors.length >= MAX_MIRRORS)
      throw Object.assign(new Error(`${MAX_MIRRORS} partners mirror this log already`), {
        code: 'QUOTA_EXCEEDED',
      })
    await this.#configure({ mirrors: [...this.#config.mirrors, org] })
    this.greet(this.#peers.get(org)!)
  }

  /** Lets anybody who reaches the HTTP witness read the entries of the own log, or nobody. */
  openLog(open: boolean): Promise<void> {
    return this.#configure({ openLog: open })
  }

  async #configure(change: Partial<Config>): Promise<void> {
    this.#config = { ...this.#config, ...change }
    await writeConfig(this.home, this.#config)
  }

  /** Where it witnessed before. A port that another program has taken is no reason for a node not to start. */
  async #witnessAgain(): Promise<void> {
    const listen = this.#config.witnessListen
    if (listen === undefined) return
    try {
      this.witnessServer = await serveWitness(this, listen)
    } catch (error) {
      const { code = 'ADDRESS_IN_USE', message } = error as { code?: string; message: string }
      this.log.error({ listen, code }, 'logs of other kinds are not witnessed')
      this.problems.push({ code, text: `logs of other kinds are not witnessed: ${message}` })
    }
  }

  /** Begins to witness logs of other kinds over HTTP at `host:port`, or ends it; at once and after every restart. */
  async serveWitness(listen: string | undefined): Promise<void> {
    const { witnessListen: _, ...rest } = this.#config
    await this.witnessServer?.close()
    this.witnessServer = undefined
    try {
      if (listen !== undefined) this.witnessServer = await serveWitness(this, listen)
    } catch (error) {
      await this.#witnessAgain()
      throw error
    }
    this.#config = { ...rest, ...(listen === undefined ? {} : { witnessListen: listen }) }
    await writeConfig(this.home, this.#config)
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
    const bytes = new TextEncoder().encode(`${JSON.stringify(await this.views.trust(), null, 2)}\n`)
    await writeFileDurable(paths(this.home).trust, bytes, 0o600)
  }

  /** Fork proofs beside the trust file: a verdict takes into account what this home knows. */
  async #saveForks(): Promise<void> {
    const proofs = this.views.forks().map(({ proof }) => proof)
    const bytes = new TextEncoder().encode(`${JSON.stringify({ schema: 'waybill.forks/1', proofs })}\n`)
    await writeFileDurable(paths(this.home).forks, bytes, 0o600)
  }

  // Messages.

  #send(org: string, message: Message): void {
    const peerId = this.#peers.get(org)
    if (peerId) this.network?.send(peerId, encodeMessage(message))
  }

  #receive(peerId: string, bytes: Uint8Array): Promise<void> | undefined {
    const from = this.#orgs.get(peerId)
    if (!from) return undefined
    const message = decodeMessage(bytes)
    if (typeof message === 'string') {
      this.log.warn({ partner: from, reason: message }, 'malformed message')
      this.#send(from, { t: 'error', re: 'message', code: 'MALFORMED', text: message.slice(0, 512) })
      return undefined
    }
    const count = (this.#underWay.get(from) ?? 0) + 1
    this.#underWay.set(from, count)
    const done = this.driver.submit({ type: 'message', from, message }).then(
      () => {},
      error =>
        this.log.debug({ partner: from, code: (error as { code?: string }).code }, 'message not taken'),
    )
    const finished = done.finally(() => this.#underWay.set(from, this.#underWay.get(from)! - 1))
    return count > MAX_UNDER_WAY ? finished : undefined
  }

  #note(event: Event): void {
    if (event.type === 'seen') this.#seen.add(event.org)
    else if (event.type === 'redacted') {
      if (event.root) this.#background(this.content.remove(toHex(digestOf(event.root))))
    } else if (event.type === 'ask-redact')
      this.#background(redactFor(this, event.org, event.record, event.reason))
    else if (event.type === 'paired') {
      const partner = this.views.partner(event.org)!
      this.log.info({ partner: event.org, name: event.name }, 'paired')
      this.greet(this.#admit(partner))
      this.#background(this.saveTrust())
    } else if (event.type === 'partner') {
      this.#admit(this.views.partner(event.org)!)
      this.#background(this.saveTrust())
    } else if (event.type === 'violation') {
      this.log.warn(event, 'violation')
    } else if (event.type === 'forked' || event.type === 'identity-forked') {
      this.log.error(
        event,
        event.type === 'forked' ? 'a log was forked and is closed' : 'an identity was forked',
      )
      this.#gossip(true)
      this.#background(this.#saveForks())
    } else if (event.type === 'identity-behind') {
      this.log.error(event, 'partners know more events of this identity than this store has')
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

  #background(work: Promise<unknown>): void {
    work.catch(error => this.log.warn({ error: String(error) }, 'background work failed'))
  }

  #fatal(error: Error): void {
    this.log.fatal({ error: String(error.stack ?? error) }, 'the store cannot be relied on; stopping')
    this.driver.fail(error)
    setImmediate(() => this.onStop(error)) // whoever waits for an answer gets this error first
  }
}

/** The peer id of the node key that stands; a partner without one keeps the last, under which nobody is recognised. */
const peerIdOf = ({ chain }: Partner): string =>
  peerIdFromPublicKey(publicKeyFromRaw(everStood(chain, 'node')[0]!.key)).toString()

/** The keys that stand, of those that are here. */
function keysOf(env: Env, path: string): Env['keys'] {
  try {
    return standing(ownChain(env), env)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new HomeError('HOME_DAMAGED', `${path}: ${error.message}: are these keys older than the store?`)
  }
}
