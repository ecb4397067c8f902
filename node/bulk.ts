/**
 * `/waybill/blocks/1`: bulk bytes, with a credit window of their own, because a libp2p stream lets its sender run ahead
 * of a slow reader.
 *
 * ```
 * requester                      server
 * REQUEST bytes          ->
 *                        <-      DATA ...            at most the credit (4 MiB at first) ahead of what was consumed
 * CREDIT u32 bytes       ->                          each quarter consumed
 *                        <-      END | ERROR code
 * REQUEST bytes          ->                          the next one on the same stream, which starts with full credit
 * ```
 *
 * A requester that loses interest resets the stream.
 */
import type { Stream } from '@libp2p/interface'
import { Uint8ArrayList } from 'uint8arraylist'
import { ByteRing } from './byte-ring.ts'
import {
  abortable,
  drained,
  FrameReader,
  frame,
  header,
  onFrames,
  type Piece,
  streamClosed,
} from './frames.ts'
import { NetworkError } from './network-error.ts'
import {
  BULK_CREDIT_BYTES,
  BULK_FRAME_BYTES,
  BULK_JOIN_BYTES,
  BULK_STALL_MS,
  MAX_BULK_REQUEST_BYTES,
} from './network-limits.ts'

export const BULK_PROTOCOL = '/waybill/blocks/1'

const REQUEST = 1
const DATA = 2
const END = 3
const ERROR = 4
const CREDIT = 5
const GRANT_BYTES = BULK_CREDIT_BYTES / 4
/** What a reader is given at once: small beside the credit, so that its bytes are granted again soon. */
const PIECE_BYTES = BULK_CREDIT_BYTES / 16
const ERROR_CODE = /^[A-Z][A-Z0-9_]{0,63}$/

type Outcome = 'end' | NetworkError

/** One stream on which requests are made one after another. */
export class BulkRequester {
  readonly #stream: Stream
  readonly #ring = new ByteRing(BULK_CREDIT_BYTES)
  #windowBytes = 0
  #outcome: Outcome | undefined = 'end'
  #wake: (() => void) | undefined

  constructor(stream: Stream) {
    this.#stream = stream
    stream.maxReadBufferLength = 2 * BULK_CREDIT_BYTES
    const limits = { [DATA]: BULK_FRAME_BYTES, [END]: 0, [ERROR]: 64 }
    onFrames(stream, new FrameReader(limits, DATA), piece => this.#take(piece))
    stream.addEventListener('close', ({ error }) => this.#finish(streamClosed(error)))
  }

  /** Whether the next request can be made here. */
  get idle(): boolean {
    return this.#stream.status === 'open' && this.#outcome === 'end'
  }

  /** The bytes of one answer; each piece is there until the next one is asked for. Leaving the loop early resets the stream. */
  async *request(request: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    if (!this.idle) throw streamClosed()
    this.#outcome = undefined
    this.#windowBytes = BULK_CREDIT_BYTES
    const ring = this.#ring
    let consumedBytes = 0
    try {
      this.#send(frame(REQUEST, request))
      while (true) {
        signal.throwIfAborted()
        if (ring.length > 0) {
          const piece = ring.peek(PIECE_BYTES)
          yield piece
          ring.drop(piece.length)
          consumedBytes += piece.length
          if (consumedBytes < GRANT_BYTES || this.#outcome) continue
          this.#windowBytes += consumedBytes
          this.#send(frame(CREDIT, u32(consumedBytes)))
          consumedBytes = 0
        } else if (this.#outcome === 'end') return
        else if (this.#outcome) throw this.#outcome
        else await abortable(this.#changed(), signal)
      }
    } finally {
      ring.clear()
      const outcome = this.#outcome as Outcome | undefined
      if (outcome === 'end' || outcome?.code === 'REMOTE_ERROR') this.#outcome = 'end'
      else this.#stream.abort(new NetworkError('STREAM_CLOSED', 'no longer wanted'))
    }
  }

  /** Resets the stream: closed gently it would count on the other side for a while, and a new one be refused. */
  retire(): void {
    this.#stream.abort(streamClosed())
  }

  #take({ kind, bytes }: Piece): void {
    if (this.#outcome) throw new NetworkError('FRAME_INVALID', 'bulk bytes that nobody asked for')
    if (kind === END) this.#finish('end')
    else if (kind === ERROR) this.#finish(remoteError(bytes))
    else if (bytes.length > 0) {
      this.#windowBytes -= bytes.length
      if (this.#windowBytes < 0) throw new NetworkError('FRAME_INVALID', 'more bulk bytes than were granted')
      this.#ring.push(bytes)
      this.#wake?.()
    }
  }

  #finish(outcome: Outcome): void {
    if (!this.#outcome) this.#outcome = outcome
    this.#wake?.()
  }

  #changed(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }

  #send(bytes: Uint8Array): void {
    try {
      this.#stream.send(bytes)
    } catch (error) {
      throw this.#outcome instanceof NetworkError ? this.#outcome : streamClosed(error)
    }
  }
}

/** Answers the requests of one stream with the chunks of `serve`, which is stopped when the requester leaves. */
export function serveBulk(stream: Stream, serve: (request: Uint8Array) => AsyncIterable<Uint8Array>): void {
  let [creditBytes, busy] = [0, false]
  let wake: (() => void) | undefined

  const take = ({ kind, bytes }: Piece): void => {
    if (kind === CREDIT) {
      // one for the answer before the last may still be on its way when the stream is idle
      if (busy) creditBytes += new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(0)
      if (creditBytes > BULK_CREDIT_BYTES)
        throw new NetworkError('FRAME_INVALID', 'more credit than there is')
      wake?.()
    } else if (busy) throw new NetworkError('FRAME_INVALID', 'a second request on a busy stream')
    else void answer(bytes)
  }

  const answer = async (request: Uint8Array): Promise<void> => {
    busy = true
    creditBytes = BULK_CREDIT_BYTES
    let last: Uint8Array
    try {
      for await (const chunk of joined(serve(request))) await sendChunk(chunk)
      last = frame(END, new Uint8Array())
    } catch (error) {
      last = frame(ERROR, Buffer.from(codeOf(error)))
    }
    busy = false
    if (stream.writeStatus === 'writable') stream.send(last)
  }

  const sendChunk = async (chunk: Uint8Array): Promise<void> => {
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + BULK_FRAME_BYTES)
      // not what credit is left: the rests of it would go out as crumbs
      if (creditBytes < part.length) await credit(part.length)
      creditBytes -= part.length
      at += part.length
      if (stream.writeStatus !== 'writable') throw streamClosed()
      stream.send(new Uint8ArrayList(header(DATA, part.length), part))
      await drained(stream)
    }
  }

  const credit = (bytes: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const stalled = setTimeout(
        () => stream.abort(new NetworkError('TIMEOUT', 'the reader of bulk bytes stalled')),
        BULK_STALL_MS,
      )
      wake = () => {
        if (creditBytes < bytes && stream.writeStatus === 'writable') return
        clearTimeout(stalled)
        wake = undefined
        if (stream.writeStatus === 'writable') resolve()
        else reject(streamClosed())
      }
      wake()
    })

  onFrames(stream, new FrameReader({ [REQUEST]: MAX_BULK_REQUEST_BYTES, [CREDIT]: 4 }), take)
  stream.addEventListener('close', () => wake?.())
  stream.addEventListener('remoteCloseWrite', () => void stream.close().catch(() => {}))
}

/** Small chunks joined, large ones as they are. */
async function* joined(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let small: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of chunks) {
    if (bytes + chunk.length < BULK_JOIN_BYTES) {
      small.push(new Uint8Array(chunk)) // a copy: the source may use its buffer again (slice() of a Buffer is none)
      bytes += chunk.length
      continue
    }
    if (bytes > 0) yield Buffer.concat(small)
    small = []
    bytes = 0
    yield chunk
  }
  if (bytes > 0) yield Buffer.concat(small)
}

function codeOf(error: unknown): string {
  const { code } = (error ?? {}) as { code?: unknown }
  return typeof code === 'string' && ERROR_CODE.test(code) ? code : 'INTERNAL'
}

function remoteError(bytes: Uint8Array): NetworkError {
  const text = Buffer.from(bytes).toString('latin1')
  const remoteCode = ERROR_CODE.test(text) ? text : 'INTERNAL'
  return new NetworkError('REMOTE_ERROR', `the peer answered ${remoteCode}`, { remoteCode })
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
