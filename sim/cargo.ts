/**
 * Content of a world of many: sealed, indexed and released as the shipped code does it, but of its blocks there are only
 * sizes and made-up digests. Sealing, hashing, files and streams of so many bytes are charged; nobody can be cheated with it.
 */
import { equal, toHex, utf8 } from '../crypto/bytes.ts'
import { type CID, cidOf, digestOf, parseCid } from '../crypto/cid.ts'
import { keyCommitment } from '../crypto/cipher.ts'
import { sha256 } from '../crypto/hash.ts'
import { open } from '../crypto/seal.ts'
import type { Answer, PacketDraft } from '../protocol/command.ts'
import { blockSizeFor, decodeRoot, encodeRoot, makeRoot } from '../protocol/content.ts'
import type { Event } from '../protocol/event.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { permits } from '../protocol/peer.ts'
import type { Bulk } from './cluster.ts'
import { Gatherer } from './gatherer.ts'
import { meter } from './meter.ts'
import type { Network, Stream } from './network.ts'
import type { SimNode } from './node.ts'

type Ask<T extends Event['type']> = Extract<Event, { type: T }>

const REQUEST_BYTES = 100
const DIGEST_BYTES = 32
const KEY_BYTES = 32
/** A stream that cannot be had is asked for again. */
const RETRY_US = 500_000

/**
 * Turns in which the shipped code opens, writes, names and closes files, each with a part in a thread beside that of the node,
 * and how many of them wait for the disk: to import content, to take it in from a partner, to look through it.
 */
const FILES = {
  import: { turns: 16, syncs: 5 },
  receive: { turns: 14, syncs: 5 },
  check: { turns: 4, syncs: 0 },
}

interface Sealed {
  draft: PacketDraft
  /** Content key and salt. */
  secret: Uint8Array
}

/** Content of a name and size. */
function seal(name: string, size: number): Sealed {
  const key = sha256(utf8(name))
  const salt = sha256(key)
  const digests = new Uint8Array(DIGEST_BYTES * Math.max(1, Math.ceil(size / blockSizeFor(size))))
  for (let at = 0; at < digests.length; at += DIGEST_BYTES) digests.set(sha256(salt, Uint8Array.of(at)), at)
  const rootBytes = encodeRoot(makeRoot(size, digests, keyCommitment(key)))
  const secret = new Uint8Array(2 * KEY_BYTES)
  secret.set(key)
  secret.set(salt, KEY_BYTES)
  const root = cidOf(rootBytes, 'dag-cbor')
  const draft = { name, mediaType: 'application/octet-stream', size, root, rootBytes, digest: sha256(secret) }
  return { draft, secret }
}

export class Cargo implements Bulk {
  readonly #node: SimNode
  readonly #network: Network
  readonly #peer: (org: string) => Cargo | undefined
  readonly #isFine: boolean
  readonly #gatherer: Gatherer
  /** Roots whose content is here and durable. */
  readonly #whole = new Set<string>()

  /** Where nodes share hosts their turns get in each other's way, so each counts by itself (`isFine`). */
  constructor(node: SimNode, network: Network, peer: (org: string) => Cargo | undefined, isFine = false) {
    this.#node = node
    this.#network = network
    this.#peer = peer
    this.#isFine = isFine
    this.#gatherer = new Gatherer(node)
  }

  /** Deliveries that the other side has not proven yet. */
  get unproven(): number {
    return this.#gatherer.left
  }

  isWhole(root: CID): boolean {
    return this.#whole.has(toHex(digestOf(root)))
  }

  crash(): void {
    this.#gatherer.crash()
  }

  /** What a request to publish content does: it is taken in, sealed, durable, described and logged. */
  publish(name: string, size: number, told: (answer: Answer | undefined) => void): void {
    const node = this.#node
    node.work(() => {
      meter.charge('request', size)
      const sealing = () => {
        for (const work of ['seal', 'hash', 'hash'] as const) meter.charge(work, size)
      }
      this.#file('import', size, sealing, () => {
        const { draft, secret } = meter.free(() => seal(name, size))
        this.#whole.add(toHex(digestOf(draft.root)))
        const about = { title: name, domain: 'production', level: 'general' } as const
        const secrets = [{ handle: HANDLE.content(draft.root), bytes: secret }]
        node.submit({ type: 'publish', ...about, packets: [draft] }, secrets, told)
      })
    })
  }

  /** Work on files; what is done with their bytes is done in a thread beside. */
  #file(what: keyof typeof FILES, size: number, withBytes: () => void, then: () => void): void {
    const node = this.#node
    const { turns, syncs } = FILES[what]
    const waitUs = (first: number, end: number) => {
      let us = 0
      for (let i = first; i < end; i++) us += node.synced(i === 0 ? size : 0)
      return us
    }
    if (!this.#isFine) {
      node.aside(() => {
        withBytes()
        for (let i = 0; i < 2 * turns; i++) meter.charge('file', i === 0 ? size : 0)
        node.later(waitUs(0, syncs), () => node.work(then))
      })
      return
    }
    const turn = (i: number) => {
      if (i === turns) return then()
      node.aside(() => {
        meter.charge('file', i === 0 ? size : 0)
        if (i === 0) withBytes()
        const us = i < syncs ? waitUs(i, i + 1) : 0
        const back = () =>
          node.work(() => {
            meter.charge('file')
            turn(i + 1)
          })
        node.later(us, back)
      })
    }
    turn(0)
  }

  take(event: Event): void {
    if (event.type === 'ask-fetch') this.#fetch(event)
    else if (event.type === 'ask-open') this.#open(event)
    else this.#gatherer.take(event)
  }

  #fetch(ask: Ask<'ask-fetch'>): void {
    const node = this.#node
    const again = () => node.later(RETRY_US, () => this.#fetch(ask))
    const peer = this.#peer(ask.org)
    const stream = peer && this.#network.stream(node.index, peer.#node.index, again)
    if (!stream) again()
    else
      stream.carry(peer.#node.index, REQUEST_BYTES, () =>
        peer.#node.work(() => peer.#serve(ask, this, stream)),
      )
  }

  /** Runs at the provider, who decides at this moment. */
  #serve(ask: Ask<'ask-fetch'>, consumer: Cargo, stream: Stream): void {
    const node = this.#node
    const { org, index } = consumer.#node
    const [agreement, id] = [parseCid(ask.agreement), parseCid(ask.packet)]
    const granted = permits(node.state, org, agreement, id, node.now(), node.env)
    if ('code' in granted) {
      stream.close()
      consumer.#node.submit({ type: 'fetched', machine: ask.machine, ok: false, refusal: granted })
      return
    }
    const { size } = granted
    const hashing = () => meter.charge('hash', size)
    this.#file('check', size, hashing, () => {
      meter.charge('stream', size)
      stream.carry(index, size, () => {
        stream.close()
        consumer.#node.work(() => consumer.#keep(ask, size))
      })
    })
  }

  #keep(ask: Ask<'ask-fetch'>, size: number): void {
    const node = this.#node
    meter.charge('stream', size)
    this.#file(
      'receive',
      size,
      () => meter.charge('hash', size),
      () => {
        this.#whole.add(toHex(digestOf(ask.root)))
        node.submit({ type: 'fetched', machine: ask.machine, ok: true })
      },
    )
  }

  #open({ machine, oneTime, enc, ct, info, root }: Ask<'ask-open'>): void {
    const node = this.#node
    const { key, size } = decodeRoot(node.env.get(KEY.root(root))!)
    const deciphering = () => {
      for (const work of ['open', 'hash'] as const) meter.charge(work, size)
    }
    this.#file('check', size, deciphering, () => {
      const secret = open(node.secret(oneTime)!, enc, info, ct)
      if (!equal(keyCommitment(secret.subarray(0, KEY_BYTES)), key))
        throw new Error('a release opened to another key than that of its root')
      const secrets = [{ handle: HANDLE.content(root), bytes: secret }]
      node.submit({ type: 'opened', machine, opening: { ok: true } }, secrets)
    })
  }
}
