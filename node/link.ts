/**
 * What this node keeps about one admitted peer: where to dial it, its connections, what waits for it, and the streams
 * it sends on.
 *
 * `/waybill/1` streams carry messages one way. The reader sends one READY byte first: until then the sender hands over
 * nothing, so a peer that is not admitted there yet loses no message. Delivery is at most once: what the stream took
 * before it broke is not sent again, the protocol above resends.
 */
import { StreamState } from '@chainsafe/libp2p-yamux/stream'
import type { Connection, Stream } from '@libp2p/interface'
import { BULK_PROTOCOL, BulkRequester } from './bulk.ts'
import { abortable, FrameReader, frame, MESSAGE, onFrames, streamClosed } from './frames.ts'
import { NetworkError, networkError } from './network-error.ts'
import {
  BACKOFF_MAX_MS,
  BACKOFF_MIN_MS,
  BULK_STREAMS,
  CONNECTIONS_PER_PEER,
  FLUSH_MS,
  IDLE_BULK_STREAMS,
  MAX_FRAME_BYTES,
  OPEN_MS,
  QUEUE_BYTES,
  QUEUE_FRAMES,
  STREAM_WINDOW_BYTES,
  WRITE_BATCH_BYTES,
} from './network-limits.ts'

export const MESSAGE_PROTOCOL = '/waybill/1'
const READY = 0x06

export interface LinkContext {
  admitted(): boolean
  dial(addresses: string[], signal: AbortSignal): Promise<Connection>
  /** The bytes that wait here changed by this much. */
  queued(bytes: number): void
  /** Aborted when the network stops. */
  stopped: AbortSignal
}

export class Link {
  readonly peerId: string
  readonly #context: LinkContext
  #addresses: string[] = []
  /** Oldest first. */
  #connections: Connection[] = []
  #dialing: Promise<Connection> | undefined
  #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #flushing = false
  #out: Stream | undefined
  #opening = false
  #attempts = 0
  #retry: NodeJS.Timeout | undefined
  #idle: BulkRequester[] = []
  #bulkSlots = BULK_STREAMS
  #bulkTurns: (() => void)[] = []

  constructor(peerId: string, context: LinkContext) {
    this.peerId = peerId
    this.#context = context
  }

  get connected(): boolean {
    return this.#connections.length > 0
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  learn(addresses: string[]): void {
    this.#addresses = addresses
    this.#hurry()
  }

  opened(connection: Connection): void {
    this.#connections.push(connection)
    if (this.#connections.length > CONNECTIONS_PER_PEER)
      this.#connections[0]!.abort(new NetworkError('STREAM_CLOSED', 'replaced by a newer connection'))
    this.#hurry()
  }

  closed(connection: Connection): void {
    this.#connections = this.#connections.filter(other => other !== connection)
  }

  /** Queues a message; when the queue is full its oldest go, as the newest say most. */
  send(bytes: Uint8Array): void {
    const framed = frame(MESSAGE, bytes)
    while (this.#waiting.length >= QUEUE_FRAMES || this.#waitingBytes + framed.length > QUEUE_BYTES)
      this.dropOldest()
    this.#waiting.push(framed)
    this.#count(framed.length)
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => this.#flush()) // what one turn sends leaves in one write
  }

  dropOldest(): void {
    this.#count(-(this.#waiting.shift()?.length ?? 0))
  }

  /** The bytes that the peer answers to `request`; see bulk.ts. */
  async *bulk(request: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    await this.#bulkTurn(signal)
    let requester: BulkRequester | undefined
    try {
      requester = this.#idleRequester() ?? (await this.#newRequester(signal))
      yield* requester.request(request, signal)
    } finally {
      // Also when the reader left with the last byte: the stream is good, and must not be forgotten open.
      if (requester?.idle) this.#keep(requester)
      this.#bulkSlots++
      this.#bulkTurns.shift()?.()
    }
  }

  #keep(requester: BulkRequester): void {
    if (this.#idle.length < IDLE_BULK_STREAMS || this.#bulkTurns.length > 0) this.#idle.push(requester)
    else requester.retire()
  }

  /** Lets what was written leave, for at most half a second, and closes. */
  async close(): Promise<void> {
    this.#flush()
    this.#drop()
    await this.#out?.close({ signal: AbortSignal.timeout(FLUSH_MS) }).catch(() => {})
  }

  abort(reason: NetworkError): void {
    this.#drop()
    for (const connection of this.#connections) connection.abort(reason)
  }

  #flush(): void {
    this.#flushing = false
    const out = this.#out
    if (!out) return void this.#open()
    while (this.#waiting.length > 0 && !out.writableNeedsDrain) {
      let [count, bytes] = [0, 0]
      while (count < this.#waiting.length && bytes < WRITE_BATCH_BYTES)
        bytes += this.#waiting[count++]!.length
      const batch = this.#waiting.slice(0, count)
      try {
        out.send(count === 1 ? batch[0]! : Buffer.concat(batch))
      } catch {
        return // the close event of the stream comes next, and these stay queued
      }
      this.#waiting.splice(0, count)
      this.#count(-bytes)
    }
  }

  #count(bytes: number): void {
    this.#waitingBytes += bytes
    this.#context.queued(bytes)
  }

  #drop(): void {
    this.#waiting = []
    this.#count(-this.#waitingBytes)
    clearTimeout(this.#retry)
  }

  async #open(): Promise<void> {
    if (this.#opening || this.#retry || this.#waiting.length === 0 || this.#context.stopped.aborted) return
    this.#opening = true
    try {
      const signal = AbortSignal.any([this.#context.stopped, AbortSignal.timeout(OPEN_MS)])
      const stream = await this.#newStream(MESSAGE_PROTOCOL, signal)
      await ready(stream, signal)
      this.#opened(stream)
    } catch {
      this.#retryLater()
    }
    this.#opening = false
    if (this.#out) this.#flush()
  }

  #opened(stream: Stream): void {
    const sinceMs = performance.now()
    const lost = () => {
      this.#out = undefined
      if (performance.now() - sinceMs > BACKOFF_MAX_MS) this.#attempts = 0
      if (this.#waiting.length > 0) this.#retryLater()
    }
    if (stream.status !== 'open') throw streamClosed()
    this.#out = stream
    stream.addEventListener('drain', () => queueMicrotask(() => this.#flush()))
    stream.addEventListener('close', lost)
  }

  #retryLater(): void {
    const canDial = this.connected || this.#addresses.length > 0 // otherwise learn() or opened() is what helps
    if (this.#retry || this.#context.stopped.aborted || !canDial) return
    const pauseMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#attempts++)
    const jitter = 0.5 + Math.random() / 2 // partners of a restarted hub must not dial in step
    this.#retry = setTimeout(() => this.#hurry(), pauseMs * jitter)
  }

  #hurry(): void {
    clearTimeout(this.#retry)
    this.#retry = undefined
    if (!this.#out) this.#flush()
  }

  async #newStream(protocol: string, signal: AbortSignal): Promise<Stream> {
    if (!this.#context.admitted())
      throw new NetworkError('PEER_NOT_ADMITTED', `peer ${this.peerId} is not admitted here`)
    let connection = this.#connections.findLast(({ status }) => status === 'open')
    if (!connection) {
      this.#dialing ??= this.#context.dial(this.#addresses, this.#context.stopped).finally(() => {
        this.#dialing = undefined
      })
      connection = await abortable(this.#dialing, signal)
    }
    try {
      return await connection.newStream(protocol, { signal })
    } catch (error) {
      signal.throwIfAborted()
      throw networkError(error, 'STREAM_CLOSED', `peer ${this.peerId} did not open ${protocol}`)
    }
  }

  #idleRequester(): BulkRequester | undefined {
    this.#idle = this.#idle.filter(({ idle }) => idle)
    return this.#idle.pop()
  }

  async #newRequester(signal: AbortSignal): Promise<BulkRequester> {
    return new BulkRequester(await this.#newStream(BULK_PROTOCOL, signal))
  }

  async #bulkTurn(signal: AbortSignal): Promise<void> {
    while (this.#bulkSlots === 0) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#bulkTurns.push(resolve)
      try {
        await abortable(promise, signal)
      } catch (error) {
        const at = this.#bulkTurns.indexOf(resolve)
        if (at >= 0) this.#bulkTurns.splice(at, 1)
        else this.#bulkTurns.shift()?.() // the turn came in the same moment: pass it on
        throw error
      }
    }
    this.#bulkSlots--
  }
}

/** Reads the messages of one incoming stream. */
export function serveMessages(stream: Stream, take: (bytes: Uint8Array) => void | Promise<void>): void {
  stream.maxReadBufferLength = STREAM_WINDOW_BYTES // what may come after pause()
  grantByHalves(stream as unknown as Windowed)
  onFrames(stream, new FrameReader({ [MESSAGE]: MAX_FRAME_BYTES }), ({ bytes }) => take(bytes))
  stream.addEventListener('remoteCloseWrite', () => void stream.close().catch(() => {}))
  stream.send(Uint8Array.of(READY))
}

/** What a yamux stream grants its sender. */
interface Windowed {
  readonly state: StreamState
  readonly recvWindow: number
  /** What is left of it. */
  readonly recvWindowCapacity: number
  sendWindowUpdate(): void
}

/**
 * Grants a sender more when half of its window is used, as yamux's specification has it: libp2p's answers each piece of data
 * with a frame of its own, which is sealed, written and read like a message.
 */
export function grantByHalves(stream: Windowed): void {
  const grant = stream.sendWindowUpdate
  stream.sendWindowUpdate = () => {
    const isPlenty = stream.recvWindowCapacity * 2 > stream.recvWindow
    // Before, the grant is also the answer to the stream's opening; while it is paused, there is none.
    if (stream.state !== StreamState.Established || !isPlenty) grant.call(stream)
  }
}

/** Resolves at the first byte of `stream`. */
function ready(stream: Stream, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  stream.addEventListener('message', () => resolve())
  stream.addEventListener('close', ({ error }) => reject(streamClosed(error)))
  if (stream.status !== 'open') reject(streamClosed()) // its close event may be over
  return abortable(promise, signal).catch(error => {
    stream.abort(streamClosed(error))
    throw error
  })
}
