/**
 * Frames on a libp2p stream, and waiting for streams.
 *
 * ```
 * frame = kind (1 byte) ‖ length (3 bytes, big-endian) ‖ bytes
 * ```
 *
 * Messages and hellos have kind 0, so their header is simply a u32 length.
 */
import { setImmediate as immediate } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { NetworkError, networkError } from './network-error.ts'

export const MESSAGE = 0
const HEADER_BYTES = 4

export function header(kind: number, length: number): Uint8Array {
  return Uint8Array.of(kind, length >>> 16, length >>> 8, length)
}

export function frame(kind: number, bytes: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(HEADER_BYTES + bytes.length)
  out.writeUInt32BE(((kind << 24) | bytes.length) >>> 0)
  out.set(bytes, HEADER_BYTES)
  return out
}

export interface Piece {
  kind: number
  bytes: Uint8Array
}

/** Cuts a stream of bytes into frames. A length is checked before memory is taken for it. */
export class FrameReader {
  readonly #maxBytes: Readonly<Record<number, number>>
  readonly #streamed: number | undefined
  readonly #header = new Uint8Array(HEADER_BYTES)
  #headerBytes = 0
  #kind = 0
  #length = 0
  #have = 0
  #body: Uint8Array | undefined

  /** `maxBytes` by kind; frames of the kind `streamed` are given out in pieces, as views of what came. */
  constructor(maxBytes: Readonly<Record<number, number>>, streamed?: number) {
    this.#maxBytes = maxBytes
    this.#streamed = streamed
  }

  /** The frames that `data` completes. Throws FRAME_TOO_LARGE or FRAME_INVALID; the stream is then beyond repair. */
  *push(data: Uint8Array | Iterable<Uint8Array>): Generator<Piece> {
    for (const part of data instanceof Uint8Array ? [data] : data) yield* this.#push(part)
  }

  *#push(part: Uint8Array): Generator<Piece> {
    let at = 0
    while (at < part.length) {
      if (this.#headerBytes < HEADER_BYTES) {
        this.#header[this.#headerBytes++] = part[at++]!
        if (this.#headerBytes < HEADER_BYTES) continue
        this.#begin()
        if (this.#length > 0) continue
      }
      const bytes = part.subarray(at, at + this.#length - this.#have)
      at += bytes.length
      this.#body?.set(bytes, this.#have)
      this.#have += bytes.length
      const whole = this.#have === this.#length
      if (whole) this.#headerBytes = 0
      if (this.#body === undefined) yield { kind: this.#kind, bytes }
      else if (whole) yield { kind: this.#kind, bytes: this.#body }
    }
  }

  #begin(): void {
    const [kind, a, b, c] = this.#header as unknown as [number, number, number, number]
    this.#kind = kind
    this.#length = (a << 16) | (b << 8) | c
    this.#have = 0
    const max = this.#maxBytes[kind]
    if (max === undefined && !(MESSAGE in this.#maxBytes))
      throw new NetworkError('FRAME_INVALID', `a frame of kind ${kind} has no place here`)
    if (max === undefined || this.#length > max) {
      const length = kind * 2 ** 24 + this.#length
      throw new NetworkError(
        'FRAME_TOO_LARGE',
        `a frame of ${length} bytes, at most ${max ?? this.#maxBytes[MESSAGE]}`,
      )
    }
    // not a view of what came: a small message that is kept would keep a whole network buffer alive
    this.#body = kind === this.#streamed ? undefined : new Uint8Array(this.#length)
  }
}

/** How long frames are taken before others have their turn, ms: a few dialogues' worth. */
const SLICE_MS = 3

/**
 * Gives every frame of `stream` to `take`. While a promise that it returned is pending the stream is paused, which
 * slows the sender down; a bad frame, or an error of `take`, aborts the stream.
 */
export function onFrames(
  stream: Stream,
  reader: FrameReader,
  take: (piece: Piece) => void | Promise<void>,
): void {
  const unread: (Uint8Array | Iterable<Uint8Array>)[] = []
  let running = false
  let sliceEndMs = 0
  // Without it a burst is taken in one go, its answers leave together, and the two sides wait for each other in turn.
  const turn = (): Promise<void> | undefined => {
    if (performance.now() < sliceEndMs) return undefined
    return immediate().then(() => {
      sliceEndMs = performance.now() + SLICE_MS
    })
  }
  const run = async (): Promise<void> => {
    running = true
    sliceEndMs = performance.now() + SLICE_MS
    while (unread.length > 0) {
      for (const piece of reader.push(unread.shift()!)) {
        const busy = take(piece) ?? turn()
        if (!busy) continue
        if (stream.readStatus === 'readable') stream.pause()
        await busy
      }
      // resume() dispatches what came meanwhile into `unread`. A pause() within that dispatch would be overruled by
      // libp2p 3.3, and the stream reset when its buffer is full.
      if (unread.length === 0 && stream.readStatus === 'paused') stream.resume()
    }
    running = false
  }
  stream.addEventListener('message', ({ data }) => {
    unread.push(data)
    if (!running)
      run().catch(error => stream.abort(networkError(error, 'STREAM_CLOSED', 'the reader failed')))
  })
}

/** The first frame of a stream. Rejects with STREAM_CLOSED, the code of a bad frame, or the reason of `signal`. */
export function firstFrame(stream: Stream, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const reader = new FrameReader({ [MESSAGE]: maxBytes })
  const closed = () =>
    reject(new NetworkError('STREAM_CLOSED', 'the peer closed the stream without an answer'))
  stream.addEventListener('message', ({ data }) => {
    try {
      for (const { bytes } of reader.push(data)) resolve(bytes)
    } catch (error) {
      reject(error)
    }
  })
  // 'end' and not 'remoteCloseWrite', which overtakes bytes that the protocol negotiation read ahead
  stream.addEventListener('end', closed)
  stream.addEventListener('close', closed)
  if (stream.status !== 'open' && stream.readBufferLength === 0) closed()
  return abortable(promise, signal)
}

/**
 * Resolves when everything written to `stream` has left its buffer; rejects with STREAM_CLOSED. libp2p's own
 * `onDrain()` works once per stream only.
 */
export function drained(stream: Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    const check = () => {
      const open = stream.writeStatus === 'writable'
      if (open && stream.writableNeedsDrain) return
      stream.removeEventListener('drain', later)
      stream.removeEventListener('close', check)
      if (open) resolve()
      else reject(streamClosed())
    }
    const later = () => queueMicrotask(check) // the stream goes on writing in a microtask of its own, queued before
    stream.addEventListener('drain', later)
    stream.addEventListener('close', check)
    check()
  })
}

export function streamClosed(cause?: unknown): NetworkError {
  return networkError(cause, 'STREAM_CLOSED', 'the peer closed the stream or the connection was lost')
}

/** `promise`, or a rejection with the reason of `signal` if that is aborted first. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    else signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
