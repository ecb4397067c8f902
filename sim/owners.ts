/**
 * Nobody signs an agreement with who is no owner any more: seats have said that it is, as many as certify, and the version
 * after did not have its votes before they were asked. No owner gives an asset away by two orders of one version, and nothing is
 * registered as bought by a hand-over that seats have not certified.
 */
import { toHex } from '../crypto/bytes.ts'
import { thumbprint } from '../crypto/key.ts'
import { agreement } from '../protocol/agreement.ts'
import { fresh as freshWord } from '../protocol/freshness.ts'
import {
  committeeChange,
  isOrder,
  type Order,
  type Registration,
  readOrder,
  voteIn,
} from '../protocol/handover.ts'
import type { MessageOf } from '../protocol/message.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import type { Checker, Cluster, Leaving } from './cluster.ts'
import type { SimNode } from './node.ts'

export class OwnerChecker implements Checker {
  readonly #cluster: Cluster
  /** Votes that make a certificate. */
  readonly #q: number
  /** Seats that voted for an order; and when the last that a version needs did, by asset and version. */
  readonly #voters = new Map<string, Set<string>>()
  readonly #decidedUs = new Map<string, number>()
  /** When seats were asked first, by negotiation. */
  readonly #askedUs = new Map<string, number>()
  readonly #changes = new Set<string>()
  readonly #agreements = new Set<string>()

  /** Who may sign a version twice: its store was put back. */
  readonly #putBack: ReadonlySet<string>
  /** What each owner gave away, by asset and version. */
  readonly #given = new Map<string, string>()
  readonly #joint = new Set<string>()
  readonly #bought = new Set<string>()

  constructor(cluster: Cluster, q: number, putBack: ReadonlySet<string>) {
    this.#cluster = cluster
    this.#q = q
    this.#putBack = putBack
  }

  /** Changes of a committee that are certified. */
  get reseated(): number {
    return this.#changes.size
  }

  /** Orders that one of several owners gave away. */
  get joint(): number {
    return this.#joint.size
  }

  /** Registrations of what was bought that are certified. */
  get bought(): number {
    return this.#bought.size
  }

  /** Agreements over registered assets that both have signed. */
  get agreed(): number {
    return this.#agreements.size
  }

  sent({ from, message }: Leaving): void {
    if (message.t === 'vote/cast') this.#voted(from, message.vote)
    else if (message.t === 'negotiation/verify') this.#signed(from, message)
    else if (message.t === 'owner/ask') {
      const id = toHex(message.id)
      if (!this.#askedUs.has(id)) this.#askedUs.set(id, this.#cluster.timeline.nowUs)
    }
    if ('order' in message && message.order instanceof Uint8Array) this.#gave(from, message.order)
    for (const { order } of ('links' in message ? message.links : undefined) ?? []) {
      const read = readOrder(order)
      if (isOrder(read) && read.record.payload.t === committeeChange.t) this.#changes.add(read.id.toString())
      if (isOrder(read)) this.#entered(from, read)
    }
  }

  /** What is certified as bought was: the hand-over that it names has its votes. */
  #entered(from: SimNode, { id, record }: Order): void {
    const { bought } = record.payload as Partial<Registration>
    if (!bought) return
    this.#bought.add(id.toString())
    const voters = this.#voters.get(bought.toString())?.size ?? 0
    if (voters < this.#q)
      this.#cluster.report('promise 4', from.name, `what ${voters} seats say was bought is registered`)
  }

  #gave(from: SimNode, bytes: Uint8Array): void {
    const order = readOrder(bytes)
    if (!isOrder(order) || !order.givers) return
    const own = toHex(thumbprint(from.env.keys.operation.public))
    const { role, owners } = order.givers
    if (!order.record.signatures.some(({ r, k }) => r === role && toHex(k) === own)) return
    const id = order.id.toString()
    if (owners.length > 1) this.#joint.add(id)
    const name = `${from.org} ${order.asset} ${order.version}`
    const before = this.#given.get(name) ?? id
    if (before !== id && !this.#putBack.has(from.org))
      this.#cluster.report('promise 4', from.name, `gave version ${order.version} away twice`)
    this.#given.set(name, id)
  }

  #voted(from: SimNode, bytes: Uint8Array): void {
    const { choice, asset, version } = voteIn(bytes)!
    const voters = this.#voters.get(choice.toString()) ?? new Set()
    this.#voters.set(choice.toString(), voters.add(from.org))
    const decided = `${asset} ${version}`
    if (voters.size === this.#q && !this.#decidedUs.has(decided))
      this.#decidedUs.set(decided, this.#cluster.timeline.nowUs)
  }

  #signed(from: SimNode, { id, agreement: bytes, fresh }: MessageOf<'negotiation/verify'>): void {
    const read = readRecord(agreement, bytes)
    if (!isStored(read) || !read.payload.order) return
    this.#agreements.add(read.id.toString())
    const seats = new Set(fresh?.words.flatMap(seatIn))
    if (!fresh || seats.size < this.#q)
      this.#cluster.report('owner shown', from.name, `signed with the words of ${seats.size} seats`)
    const passedUs = this.#decidedUs.get(`${read.payload.asset} ${(fresh?.version ?? 0) + 1}`)
    const askedUs = this.#askedUs.get(toHex(id))
    if (passedUs !== undefined && askedUs !== undefined && passedUs < askedUs)
      this.#cluster.report('owner shown', from.name, 'signed after the next version had its votes')
  }
}

const seatIn = (word: Uint8Array): string[] => {
  const read = readRecord(freshWord, word)
  return isStored(read) ? [read.payload.org.toString()] : []
}
