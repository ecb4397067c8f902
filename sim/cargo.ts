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
import { meter } from './meter.ts'
import type { Network, Stream } from './network.ts'
import type { SimNode } from './node.ts'

type Ask<T extends Event['type']> = Extract<Event, { type: T }>

const REQUEST_BYTES = 100
const DIGEST_BYTES = 32
const KEY_BYTES = 32
/** A stream that cannot be had is asked for again. */
const RETRY_US = 500_000

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
  readonly #peer: (org: string) => SimNode | undefined
  /** Roots whose content is here and durable. */
  readonly #whole = new Set<string>()

  constructor(node: SimNode, network: Network, peer: (org: string) => SimNode | undefined) {
    this.#node = node
    this.#network = network
    this.#peer = peer
  }

  isWhole(root: CID): boolean {
    return this.#whole.has(toHex(digestOf(root)))
  }

  crash(): void {}

  /** What a request to publish content does: it is taken in, sealed, durable, described and logged. */
  publish(name: string, size: number, told: (answer: Answer | undefined) => void): void {
    const node = this.#node
    node.work(() => {
      meter.charge('request', size)
      node.aside(() => {
        for (const work of ['file', 'seal', 'hash', 'hash'] as const) meter.charge(work, size)
        const { draft, secret } = meter.free(() => seal(name, size))
        node.later(node.synced(size), () => {
          this.#whole.add(toHex(digestOf(draft.root)))
          const about = { title: name, domain: 'production', level: 'general' } as const
          const secrets = [{ handle: HANDLE.content(draft.root), bytes: secret }]
          node.submit({ type: 'publish', ...about, packets: [draft] }, secrets, told)
        })
      })
    })
  }

  take(event: Event): void {
    if (event.type === 'ask-fetch') this.#fetch(event)
    else if (event.type === 'ask-open') this.#node.aside(() => this.#open(event))
  }

  #fetch(ask: Ask<'ask-fetch'>): void {
    const node = this.#node
    const again = () => node.later(RETRY_US, () => this.#fetch(ask))
    const peer = this.#peer(ask.org)
    const stream = peer && this.#network.stream(node.index, peer.index, again)
    if (!stream) again()
    else stream.carry(peer.index, REQUEST_BYTES, () => peer.work(() => this.#serve(ask, peer, stream)))
  }

  /** Runs at the provider, who decides at this moment. */
  #serve(ask: Ask<'ask-fetch'>, peer: SimNode, stream: Stream): void {
    const node = this.#node
    const [agreement, id] = [parseCid(ask.agreement), parseCid(ask.packet)]
    const granted = permits(peer.state, node.org, agreement, id, peer.now(), peer.env)
    if ('code' in granted) {
      stream.close()
      node.submit({ type: 'fetched', machine: ask.machine, ok: false, refusal: granted })
      return
    }
    const { size } = granted
    meter.charge('file', size)
    meter.charge('stream', size)
    stream.carry(node.index, size, () => {
      stream.close()
      node.aside(() => this.#keep(ask, size))
    })
  }

  #keep(ask: Ask<'ask-fetch'>, size: number): void {
    const node = this.#node
    for (const work of ['stream', 'hash', 'file'] as const) meter.charge(work, size)
    node.later(node.synced(size), () => {
      this.#whole.add(toHex(digestOf(ask.root)))
      node.submit({ type: 'fetched', machine: ask.machine, ok: true })
    })
  }

  #open({ machine, oneTime, enc, ct, info, root }: Ask<'ask-open'>): void {
    const node = this.#node
    const secret = open(node.secret(oneTime)!, enc, info, ct)
    const { key, size } = decodeRoot(node.env.get(KEY.root(root))!)
    if (!equal(keyCommitment(secret.subarray(0, KEY_BYTES)), key))
      throw new Error('a release opened to another key than that of its root')
    for (const work of ['open', 'hash', 'file'] as const) meter.charge(work, size)
    const secrets = [{ handle: HANDLE.content(root), bytes: secret }]
    node.submit({ type: 'opened', machine, opening: { ok: true } }, secrets)
  }
}
