/** The partners of a node on the network: who is admitted under which key, what is said to whom, and what came from whom. */
import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { isDue } from '../protocol/gossip.ts'
import { everStood } from '../protocol/identity-chain.ts'
import { GOSSIP_MS } from '../protocol/limits.ts'
import type { Partner } from '../protocol/machine.ts'
import {
  decodeHello,
  decodeMessage,
  encodeMessage,
  type HelloMessage,
  type Message,
} from '../protocol/message.ts'
import { parseTicket } from '../protocol/pairing.ts'
import type { Node } from './daemon.ts'
import { HomeError } from './home.ts'
import { openWhereKnown } from './listen.ts'
import { type Network, type NetworkOptions, openNetwork } from './network.ts'
import { takeUpOrders } from './ownership.ts'

/** Messages of one partner that may be in the core and not durable yet, before it is slowed down. */
const MAX_UNDER_WAY = 256
const JOIN_TIMEOUT_MS = 20_000

export class Partners {
  network!: Network
  readonly #node: Node
  #listen: string[] | undefined
  #gossiping: NodeJS.Timeout | undefined
  readonly #orgs = new Map<string, string>()
  readonly #peers = new Map<string, string>()
  readonly #underWay = new Map<string, number>()
  /** The last message that was sent, as it was encoded. */
  #sent: { message: Message; bytes: Uint8Array } | undefined

  constructor(node: Node) {
    this.#node = node
  }

  /** Under the node key that stands, where the node listened before. */
  async open(listen: string[] | undefined): Promise<void> {
    this.#listen = listen
    await this.admitAll()
    const { home, env, exchange, log } = this.#node
    const network = {
      seed: env.keys.node.seed,
      admitted: (peerId: string) => this.#orgs.has(peerId),
      onMessage: (peerId: string, bytes: Uint8Array) => this.#receive(peerId, bytes),
      onHello: (peerId: string, bytes: Uint8Array) => this.#hello(peerId, bytes),
      onBulk: (peerId: string, request: Uint8Array) => exchange.serve(this.#orgs.get(peerId)!, request),
      onConnected: (peerId: string) => this.#connected(peerId),
      onDisconnected: (peerId: string) => this.#disconnected(peerId),
    } satisfies Omit<NetworkOptions, 'listen'>
    this.network = await openWhereKnown(
      home,
      listen,
      where => openNetwork({ ...network, listen: where }),
      where => log.warn({ listen: where }, 'another program listens there; trying the next'),
    )
    await this.admitAll()
  }

  /** Under another node key. */
  async reopen(): Promise<void> {
    await this.network.stop()
    await this.open(this.#listen)
  }

  stop(): void {
    clearTimeout(this.#gossiping)
  }

  async admitAll(): Promise<void> {
    for (const partner of await this.#node.views.partners()) this.#admit(partner)
  }

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

  /** A partner is new, or what is known of it has changed. */
  changed(org: string, isNew: boolean): void {
    const partner = this.#node.views.partner(org)!
    const peerId = this.#admit(partner)
    if (!isNew) return
    this.#greet(peerId)
    const about = [org]
    this.#node.background(this.#node.driver.submit({ type: 'gossip', orgs: this.#here(), about }))
  }

  peerOf(org: string): string {
    return this.#peers.get(org) ?? ''
  }

  isConnected(org: string): boolean {
    return this.network.connected().includes(this.peerOf(org))
  }

  greet(org: string): void {
    this.#greet(this.peerOf(org))
  }

  greetAll(): void {
    for (const peerId of this.#orgs.keys()) this.#greet(peerId)
  }

  /** Says hello to a partner, which makes the network dial it. */
  #greet(peerId: string): void {
    const org = this.#orgs.get(peerId)
    if (org) this.#node.background(this.#node.driver.submit({ type: 'connected', org }))
  }

  #connected(peerId: string): void {
    const org = this.#orgs.get(peerId)
    const { log, driver } = this.#node
    log.info({ partner: org }, 'partner connected')
    this.#greet(peerId)
    if (!org) return
    const about = [...this.#orgs.values()].filter(each => each !== org)
    this.#node.background(driver.submit({ type: 'gossip', orgs: [org], about }))
    this.#node.background(takeUpOrders(this.#node, org))
  }

  /** What waits to be said makes the network dial: whoever of the two has moved, the other is where it was. */
  #disconnected(peerId: string): void {
    this.#node.log.info({ partner: this.#orgs.get(peerId) }, 'partner disconnected')
    this.#greet(peerId)
  }

  // Gossip.

  /** On a beat with jitter, so that the moment of a head does not tell the moment of a deal (RULES D8). */
  gossipLater(): void {
    const waitMs = GOSSIP_MS * (0.75 + Math.random() / 2)
    this.#gossiping = setTimeout(() => {
      this.gossip()
      this.gossipLater()
    }, waitMs)
  }

  /** Tells those who are here what they were not told yet. */
  gossip(forks = false): void {
    const { env, driver } = this.#node
    const orgs = this.#here()
    if (forks || isDue(driver.state, orgs, env.get))
      this.#node.background(driver.submit({ type: 'gossip', orgs, forks }))
  }

  /** Partners that are connected. */
  #here(): string[] {
    return this.network.connected().flatMap(peerId => this.#orgs.get(peerId) ?? [])
  }

  // Hello.

  async #hello(peerId: string, bytes: Uint8Array): Promise<Uint8Array> {
    const hello = decodeHello(bytes)
    if (typeof hello === 'string')
      return encodeMessage({ t: 'hello/refused', code: 'MALFORMED', text: hello.slice(0, 512) })
    const node = peerIdFromString(peerId).publicKey?.raw
    if (!node)
      return encodeMessage({ t: 'hello/refused', code: 'RECORD_INVALID', text: 'not an Ed25519 peer' })
    const answer = await this.#node.driver.submit({ type: 'hello', node, hello })
    return encodeMessage((answer as { hello: HelloMessage }).hello)
  }

  /** Joins with a ticket. Throws the code of the refusal. */
  async join(ticketText: string): Promise<{ id: string; name: string }> {
    const { driver } = this.#node
    const ticket = parseTicket(ticketText)
    const peerId = peerIdFromPublicKey(publicKeyFromRaw(ticket.node)).toString()
    const mine = (await driver.submit({ type: 'join', ticket })) as { hello: HelloMessage }
    const signal = AbortSignal.timeout(JOIN_TIMEOUT_MS)
    const reply = await this.network.hello(peerId, ticket.addresses, encodeMessage(mine.hello), signal)
    const hello = decodeHello(reply)
    if (typeof hello === 'string') throw new HomeError('HOME_DAMAGED', `the answer is not a hello: ${hello}`)
    const joined = (await driver.submit({ type: 'welcomed', ticket, hello })) as { org: string; name: string }
    return { id: joined.org, name: joined.name }
  }

  // Messages.

  send(org: string, message: Message): void {
    const peerId = this.#peers.get(org)
    if (!peerId) return
    // Several are often sent the same.
    if (this.#sent?.message !== message) this.#sent = { message, bytes: encodeMessage(message) }
    this.network?.send(peerId, this.#sent.bytes)
  }

  #receive(peerId: string, bytes: Uint8Array): Promise<void> | undefined {
    const from = this.#orgs.get(peerId)
    if (!from) return undefined
    const { log, driver } = this.#node
    const message = decodeMessage(bytes)
    if (typeof message === 'string') {
      log.warn({ partner: from, reason: message }, 'malformed message')
      this.send(from, { t: 'error', re: 'message', code: 'MALFORMED', text: message.slice(0, 512) })
      return undefined
    }
    const count = (this.#underWay.get(from) ?? 0) + 1
    this.#underWay.set(from, count)
    const done = driver.submit({ type: 'message', from, message }).then(
      () => {},
      error => log.debug({ partner: from, code: (error as { code?: string }).code }, 'message not taken'),
    )
    const finished = done.finally(() => this.#underWay.set(from, this.#underWay.get(from)! - 1))
    return count > MAX_UNDER_WAY ? finished : undefined
  }
}

/** The peer id of the node key that stands; a partner without one keeps the last, under which nobody is recognised. */
const peerIdOf = ({ chain }: Partner): string =>
  peerIdFromPublicKey(publicKeyFromRaw(everStood(chain, 'node')[0]!.key)).toString()
