/**
 * The bulk side of a simulated transfer, as node/exchange.ts reports it to the core: ciphertext comes block by block over a
 * stream, is checked, becomes durable and is fetched on from there after a crash; what came is opened, and what is
 * rejected is judged.
 */
import { equal } from '../crypto/bytes.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { sha256 } from '../crypto/hash.ts'
import type { Packet } from '../protocol/asset.ts'
import { checkDigests, DIGEST_BYTES, decodeRoot, type Root } from '../protocol/content.ts'
import type { Event } from '../protocol/event.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import type { Refusal } from '../protocol/message.ts'
import { permits } from '../protocol/peer.ts'
import { digestsOf, openRelease, type SealedContent } from './content.ts'
import { erase } from './erasing.ts'
import type { Network, Stream } from './network.ts'
import type { SimNode } from './node.ts'

type Ask<T extends Event['type']> = Extract<Event, { type: T }>

/** Pauses between attempts, and codes after which asking again cannot help, as node/exchange.ts has them. */
const RETRY_US = [500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000]
const FINAL = new Set(['NOT_FOUND', 'AGREEMENT_UNKNOWN', 'AGREEMENT_ENDED', 'POLICY_DENIED'])
/** Blocks are synced in batches. */
const SYNC_US = 5_000
/** Deciphering a packet. */
const OPEN_US = 2_000
const REQUEST_BYTES = 100

/** Ciphertext of one root at one node: the first `durable` blocks survive a power cut. */
interface Content {
  digests?: Uint8Array
  blocks: Uint8Array[]
  durable: number
}

/** One attempt to fetch one packet. */
interface Fetch {
  ask: Ask<'ask-fetch'>
  root: Root
  consumer: Exchange
  /** True the first time: the attempt is over. */
  end(): boolean
  again(): void
}

export class Exchange {
  readonly #node: SimNode
  readonly #network: Network
  readonly #peer: (org: string) => Exchange | undefined
  readonly #content = new Map<string, Content>()

  constructor(node: SimNode, network: Network, peer: (org: string) => Exchange | undefined) {
    this.#node = node
    this.#network = network
    this.#peer = peer
  }

  /** Content that was imported: it is durable before its packet is published. */
  keep({ draft, blocks }: SealedContent): void {
    const content = { digests: digestsOf(blocks), blocks, durable: blocks.length }
    this.#content.set(draft.root.toString(), content)
  }

  /** What another copy of this home has. */
  follow(other: Exchange): void {
    for (const [root, content] of other.#content)
      this.#content.set(root, { ...content, blocks: content.blocks.slice(0, content.durable) })
  }

  /** Whether all of a root is here and survives a power cut. */
  isWhole(root: CID, count: number): boolean {
    return (this.#content.get(root.toString())?.durable ?? 0) >= count
  }

  crash(): void {
    for (const content of this.#content.values()) content.blocks.length = content.durable
  }

  take(event: Event): void {
    if (event.type === 'ask-fetch') this.#fetch(event, 0)
    else if (event.type === 'ask-open') this.#node.later(OPEN_US, () => this.#open(event))
    else if (event.type === 'ask-judge') this.#node.later(OPEN_US, () => this.#judge(event))
    else erase(this.#node, event)
  }

  // Provider.

  /** What `org` may have under an agreement, as the core decides it at this moment. */
  serve(org: string, agreement: CID, packet: CID): Packet | Refusal {
    const { state, env } = this.#node
    return permits(state, org, agreement, packet, this.#node.now(), env)
  }

  // Consumer.

  #fetch(ask: Ask<'ask-fetch'>, attempt: number): void {
    const node = this.#node
    let over = false
    const fetch: Fetch = {
      ask,
      root: decodeRoot(ask.rootBytes),
      consumer: this,
      end: () => {
        const first = !over
        over = true
        stream?.close()
        return first
      },
      again: () => {
        const pauseUs = RETRY_US[Math.min(attempt, RETRY_US.length - 1)]!
        if (fetch.end()) node.later(pauseUs, () => this.#fetch(ask, attempt + 1))
      },
    }
    const peer = this.#peer(ask.org)
    const stream = peer && this.#network.stream(node.index, peer.#node.index, fetch.again)
    if (stream) stream.carry(peer.#node.index, REQUEST_BYTES, () => peer.#answer(fetch, stream))
    else fetch.again()
  }

  /** Runs at the provider: sends the digests, then what the other side does not have yet. */
  #answer(fetch: Fetch, stream: Stream): void {
    if (this.#node.withholds) return
    const { ask, consumer } = fetch
    const { org, index } = consumer.#node
    const granted = this.serve(org, parseCid(ask.agreement), parseCid(ask.packet))
    if ('code' in granted) {
      stream.carry(index, REQUEST_BYTES, () => consumer.#refused(fetch, granted))
      return
    }
    const { digests, blocks } = this.#content.get(granted.root.toString())!
    stream.carry(index, digests!.length, () => consumer.#begin(fetch, digests!))
    const from = consumer.#content.get(ask.root.toString())?.durable ?? 0
    for (const [i, block] of blocks.entries())
      if (i >= from) stream.carry(index, block.length, () => consumer.#put(fetch, i, block))
  }

  #refused(fetch: Fetch, refusal: Refusal): void {
    if (!FINAL.has(refusal.code)) {
      fetch.again()
      return
    }
    const { machine } = fetch.ask
    if (fetch.end()) this.#node.submit({ type: 'fetched', machine, ok: false, refusal })
  }

  #begin(fetch: Fetch, digests: Uint8Array): void {
    if (!checkDigests(fetch.root, digests)) {
      fetch.again()
      return
    }
    const name = fetch.ask.root.toString()
    const content = this.#content.get(name) ?? { blocks: [], durable: 0 }
    content.digests = digests
    this.#content.set(name, content)
    this.#finish(fetch)
  }

  #put(fetch: Fetch, index: number, block: Uint8Array): void {
    const content = this.#content.get(fetch.ask.root.toString())!
    const at = index * DIGEST_BYTES
    if (!equal(sha256(block), content.digests!.subarray(at, at + DIGEST_BYTES))) {
      fetch.again()
      return
    }
    content.blocks[index] = block
    this.#node.later(SYNC_US, () => {
      content.durable = Math.max(content.durable, index + 1)
      this.#finish(fetch)
    })
  }

  #finish(fetch: Fetch): void {
    const { machine, root } = fetch.ask
    if (this.isWhole(root, fetch.root.count) && fetch.end())
      this.#node.submit({ type: 'fetched', machine, ok: true })
  }

  #open(ask: Ask<'ask-open'>): void {
    const oneTimePrivate = this.#node.secret(ask.oneTime)
    if (!oneTimePrivate) throw new Error(`the one-time key ${ask.oneTime} is not in the store`)
    const { opening, secret } = openRelease(oneTimePrivate, ask, this.#root(ask.root), this.#blocks(ask.root))
    const secrets = secret ? [{ handle: HANDLE.content(ask.root), bytes: secret }] : []
    this.#node.submit({ type: 'opened', machine: ask.machine, opening }, secrets)
  }

  #judge(ask: Ask<'ask-judge'>): void {
    const { opening } = openRelease(ask.oneTimePrivate, ask, this.#root(ask.root), this.#blocks(ask.root))
    const proven = !opening.ok && opening.reason === ask.reason && opening.block === ask.block
    this.#node.submit({ type: 'judged', machine: ask.machine, proven, receipt: ask.receipt })
  }

  #root(id: CID): Root {
    return decodeRoot(this.#node.env.get(KEY.root(id))!)
  }

  #blocks(root: CID): Uint8Array[] {
    return this.#content.get(root.toString())?.blocks ?? []
  }
}
