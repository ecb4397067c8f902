/**
 * The bulk side of a transfer: ciphertext between two homes, and the opening of what came. The core decides who may have
 * which packet; here bytes are streamed, hashed and ciphered, and the outcome goes back as input.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { type CID, digestOf, parseCid } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { open as openSeal } from '../crypto/seal.ts'
import { cipherOffset, DIGEST_BYTES, decodeRoot, type Root } from '../protocol/content.ts'
import type { Opening } from '../protocol/delivery.ts'
import type { Event } from '../protocol/event.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import type { Secret } from '../protocol/output.ts'
import { permits } from '../protocol/peer.ts'
import { type Infer, link, object, uint } from '../protocol/shape.ts'
import { ByteReader } from './byte-reader.ts'
import type { ContentFiles } from './content.ts'
import { ContentError } from './content-error.ts'
import { type Driver, now } from './driver.ts'
import { openSecret } from './keystore.ts'
import type { Receiver } from './receiver.ts'

type Ask<T extends Event['type']> = Extract<Event, { type: T }>

/** Packets fetched at once: a stream each, enough to hide the round trips of small ones. */
const PARALLEL_FETCHES = 8
/** What came and is not written yet, but at least two blocks: as much as the sender may be ahead. */
const UNWRITTEN_BYTES = 4 * 2 ** 20
/** Two ids and a number. */
const MAX_REQUEST_BYTES = 1_024
/** A peer that sends wrong bytes is asked this often. */
const MAX_BAD_FETCHES = 3
/** Attempts after which a person is told. */
const TROUBLE_AFTER = 3
const RETRY_MS = [500, 1_000, 2_000, 5_000, 10_000, 30_000]
/** Codes after which asking again cannot help. */
const FINAL = new Set([
  'NOT_FOUND',
  'AGREEMENT_UNKNOWN',
  'AGREEMENT_ENDED',
  'POLICY_DENIED',
  'CONTENT_MISSING',
  'CONTENT_DAMAGED',
])

export interface ExchangeOptions {
  driver: Driver
  content: ContentFiles
  homeKey: Uint8Array
  bulk(org: string, request: Uint8Array, signal: AbortSignal): AsyncIterable<Uint8Array>
  log(message: string, about: object): void
  /** A packet does not come, with the code of the last attempt; or, without a code, has come or has failed for good. */
  onTrouble(packet: string, code?: string): void
  /** Bytes of ciphertext that have come for a packet. */
  onProgress(agreement: string, bytes: number): void
}

/** A refusal as the bulk stream carries it: by its code. */
class Refused extends Error {
  readonly code: string

  constructor(code: string, text: string) {
    super(text)
    this.code = code
  }
}

export class Exchange {
  readonly #options: ExchangeOptions
  readonly #abort = new AbortController()
  readonly #queue: (() => Promise<void>)[] = []
  readonly #judging = new Set<string>()
  readonly #timers = new Set<NodeJS.Timeout>()
  #running = 0

  constructor(options: ExchangeOptions) {
    this.#options = options
    options.driver.on('event', event => this.#take(event))
  }

  stop(): void {
    this.#abort.abort()
    this.#queue.length = 0
    for (const timer of this.#timers) clearTimeout(timer)
  }

  #take(event: Event): void {
    if (event.type === 'ask-fetch') this.#enqueue(() => this.#fetch(event))
    else if (event.type === 'ask-open') this.#insist(() => this.#open(event))
    else if (event.type === 'ask-judge' && !this.#judging.has(event.machine))
      this.#insist(() => this.#judge(event))
  }

  #enqueue(work: () => Promise<void>): void {
    this.#queue.push(work)
    this.#next()
  }

  /** Work that nobody asks for again before a restart: it is repeated until it succeeds. */
  #insist(work: () => Promise<void>, attempt = 0): void {
    this.#enqueue(() =>
      work().catch(error => {
        if (this.#abort.signal.aborted) return
        this.#options.log('opening will be tried again', { error: String(error) })
        this.#later(retryMs(attempt), async () => this.#insist(work, attempt + 1))
      }),
    )
  }

  #next(): void {
    if (this.#running >= PARALLEL_FETCHES) return
    const work = this.#queue.shift()
    if (!work) return
    this.#running++
    work()
      .catch(error => {
        if (!this.#abort.signal.aborted)
          this.#options.log('exchange failed', { error: String(error?.stack ?? error) })
      })
      .finally(() => {
        this.#running--
        this.#next()
      })
  }

  // Provider.

  /** The digests of all blocks, then the blocks from the one asked for; each is proven against the index before it leaves. */
  async *serve(org: string, request: Uint8Array): AsyncIterable<Uint8Array> {
    const { agreement, packet, from } = readRequest(request)
    const { driver, content } = this.#options
    const granted = permits(driver.state, org, agreement, packet, now(), driver.env)
    if ('code' in granted) throw new Refused(granted.code, granted.text)
    const root = this.#root(granted.root)
    const hex = toHex(digestOf(granted.root))
    if (from === 0) yield await content.readDigests(hex, root)
    yield* content.readBlocks(hex, root, from)
  }

  #root(id: CID): Root {
    const bytes = this.#options.driver.env.get(KEY.root(id))
    if (!bytes) throw new Refused('NOT_FOUND', 'the content is not known here')
    return decodeRoot(bytes)
  }

  // Consumer.

  async #fetch(ask: Ask<'ask-fetch'>, attempt = 0, bad = 0): Promise<void> {
    const { driver, log } = this.#options
    const { machine } = ask
    try {
      await this.#receive(ask)
      this.#options.onTrouble(ask.packet)
      await driver.submit({ type: 'fetched', machine, ok: true })
    } catch (error) {
      if (this.#abort.signal.aborted) return
      const { code: local, remoteCode } = error as { code?: string; remoteCode?: string }
      const code = remoteCode ?? local ?? 'UNKNOWN'
      const text = (error as Error).message.slice(0, 300)
      const wrong = bad + (code === 'BLOCK_MISMATCH' || code === 'DIGESTS_MISMATCH' ? 1 : 0)
      if (FINAL.has(code) || wrong >= MAX_BAD_FETCHES) {
        this.#options.onTrouble(ask.packet)
        await driver.submit({ type: 'fetched', machine, ok: false, refusal: { code, text } })
        return
      }
      if (attempt >= TROUBLE_AFTER) this.#options.onTrouble(ask.packet, code)
      log('fetch will be tried again', { packet: ask.packet, code, text })
      this.#later(retryMs(attempt), () => this.#fetch(ask, attempt + 1, wrong))
    }
  }

  /** Waits without holding a place in the queue, so that a partner that is away does not keep others waiting. */
  #later(ms: number, work: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.#enqueue(work)
    }, ms)
    this.#timers.add(timer)
  }

  /** Receives what is missing of a packet's ciphertext; goes on where an earlier attempt stood. */
  async #receive(ask: Ask<'ask-fetch'>): Promise<void> {
    const { content, bulk, onProgress } = this.#options
    const root = decodeRoot(ask.rootBytes)
    const receiver = await content.receive(root)
    try {
      if (receiver.next < root.count) {
        const from = receiver.digests ? receiver.next : 0
        const request = encode({ agreement: parseCid(ask.agreement), packet: parseCid(ask.packet), from })
        const reader = new ByteReader(bulk(ask.org, request, this.#abort.signal))
        try {
          if (from === 0) {
            await receiver.putDigests(await reader.read(root.count * DIGEST_BYTES))
            await reader.skip(cipherOffset(root, receiver.next))
          }
          await receiveBlocks(reader, receiver, bytes => onProgress(ask.agreement, bytes))
        } finally {
          await reader.close()
        }
      }
      await receiver.finish()
    } catch (error) {
      await receiver.suspend()
      throw error
    }
  }

  async #open(ask: Ask<'ask-open'>): Promise<void> {
    const { driver, content, homeKey } = this.#options
    const sealed = driver.env.get(KEY.secret(ask.oneTime))
    if (!sealed) throw new Error(`the one-time key ${ask.oneTime} is not in the store`)
    const oneTimePrivate = openSecret(homeKey, ask.oneTime, sealed)
    try {
      const { opening, secret } = await openContent(content, this.#root(ask.root), oneTimePrivate, ask)
      const secrets: Secret[] = secret ? [{ handle: HANDLE.content(ask.root), bytes: secret }] : []
      await driver.submit({ type: 'opened', machine: ask.machine, opening }, secrets)
    } catch (error) {
      if (
        !(error instanceof ContentError) ||
        (error.code !== 'CONTENT_DAMAGED' && error.code !== 'CONTENT_MISSING')
      )
        throw error
      // The own disk is at fault, not the provider: fetch again before anything is said.
      await this.#refetch(ask)
    }
  }

  async #refetch(ask: Ask<'ask-open'>): Promise<void> {
    const { driver, content } = this.#options
    const { agreement, packet, org } = driver.delivery(ask.machine)
    const rootBytes = driver.env.get(KEY.root(ask.root))!
    await content.remove(toHex(digestOf(ask.root)))
    await this.#receive({
      type: 'ask-fetch',
      machine: ask.machine,
      org,
      agreement,
      packet,
      root: ask.root,
      rootBytes,
    })
    await this.#open(ask)
  }

  /** One judgement of a delivery at a time: each deciphers all of its content. */
  async #judge(ask: Ask<'ask-judge'>): Promise<void> {
    this.#judging.add(ask.machine)
    await this.#judgeOnce(ask).finally(() => this.#judging.delete(ask.machine))
  }

  async #judgeOnce(ask: Ask<'ask-judge'>): Promise<void> {
    const { driver, content } = this.#options
    const { opening } = await openContent(content, this.#root(ask.root), ask.oneTimePrivate, ask)
    const proven = !opening.ok && opening.reason === ask.reason && opening.block === ask.block
    await driver.submit({ type: 'judged', machine: ask.machine, proven, receipt: ask.receipt })
  }
}

const retryMs = (attempt: number): number => RETRY_MS[Math.min(attempt, RETRY_MS.length - 1)]!

/** Opens a release and the content under it: what a consumer finds, and what a provider finds of a rejection. */
async function openContent(
  content: ContentFiles,
  root: Root,
  oneTimePrivate: Uint8Array,
  release: { enc: Uint8Array; ct: Uint8Array; info: Uint8Array; digest: Uint8Array },
): Promise<{ opening: Opening; secret?: Uint8Array }> {
  const reject = (reason: Exclude<Opening, { ok: true }>['reason'], block?: number) => ({
    opening: { ok: false, reason, oneTimePrivate, ...(block === undefined ? {} : { block }) } as Opening,
  })
  let secret: Uint8Array
  try {
    secret = openSeal(oneTimePrivate, release.enc, release.info, release.ct)
  } catch (error) {
    if (error instanceof CryptoError) return reject('seal')
    throw error
  }
  try {
    const digest = await content.checkContent(root, secret.subarray(0, 32), secret.subarray(32))
    return equal(digest, release.digest) ? { opening: { ok: true }, secret } : reject('digest')
  } catch (error) {
    if (error instanceof ContentError && error.code === 'KEY_MISMATCH') return reject('key')
    if (error instanceof ContentError && error.code === 'BLOCK_NOT_AUTHENTIC')
      return reject('block', error.block)
    throw error
  }
}

const requestShape = object({ agreement: link, packet: link, from: uint })

function readRequest(bytes: Uint8Array): Infer<typeof requestShape> {
  try {
    const value = decode(bytes, MAX_REQUEST_BYTES)
    if (!requestShape.check(value, 'request')) return value as unknown as Infer<typeof requestShape>
  } catch (error) {
    if (!(error instanceof CryptoError)) throw error
  }
  throw new Refused('MALFORMED', 'not a request for blocks')
}

/** Fills a block from the network while those before it are checked and written. */
async function receiveBlocks(
  reader: ByteReader,
  receiver: Receiver,
  onProgress: (bytes: number) => void,
): Promise<void> {
  const { block: size, count } = receiver.root
  const atOnce = Math.max(2, UNWRITTEN_BYTES / size)
  const written: Promise<void>[] = []
  for (let i = receiver.next; i < count; i++) {
    if (written.length >= atOnce) await written.shift()
    const block = receiver.slot()
    const { length } = block
    await reader.fill(block)
    const put = receiver.put(block).then(() => onProgress(length))
    put.catch(() => {}) // it is awaited later
    written.push(put)
  }
  await Promise.all(written)
}
