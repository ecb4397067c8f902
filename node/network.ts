/**
 * The node's only door to other nodes: libp2p over TCP, noise and yamux, with three protocols of our own and nothing
 * else. No libp2p service (identify, ping, a DHT) is registered, as each would be open to strangers.
 *
 * | protocol            | who may open it           | what it carries                                         |
 * | ------------------- | ------------------------- | ------------------------------------------------------- |
 * | `/waybill/hello/1`  | anybody, one at a time    | one frame, one answer; both at most 64 KiB, within 10 s |
 * | `/waybill/1`        | admitted peers            | messages, one way (link.ts)                             |
 * | `/waybill/blocks/1` | admitted peers            | bulk bytes on request (bulk.ts)                         |
 *
 * Admission is asked for at every stream, in and out (RULES H1). A peer that is not admitted is disconnected when its
 * hello ended, or after 15 s without one.
 */
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { BULK_PROTOCOL, serveBulk } from './bulk.ts'
import { abortable, firstFrame, frame, MESSAGE } from './frames.ts'
import { Link, MESSAGE_PROTOCOL, serveMessages } from './link.ts'
import { dialError, NetworkError, networkError } from './network-error.ts'
import * as limits from './network-limits.ts'
import { secureChannel } from './secure-channel.ts'
import { Strangers } from './strangers.ts'

const HELLO_PROTOCOL = '/waybill/hello/1'

export interface NetworkOptions {
  /** 32 bytes: the Ed25519 seed of the node key, which makes the peer id. */
  seed: Uint8Array
  /** Multiaddrs such as `/ip4/0.0.0.0/tcp/4001`; none to only dial. */
  listen: string[]
  /** Asked at every stream, not at every message: call `forget` when a peer is removed. */
  admitted(peerId: string): boolean
  /** One message of an admitted peer. While a returned promise is pending, that peer is slowed down. */
  onMessage(peerId: string, bytes: Uint8Array): void | Promise<void>
  /** A hello of anybody; `undefined` closes without an answer. */
  onHello(peerId: string, bytes: Uint8Array): Promise<Uint8Array | undefined>
  /**
   * The chunks, of any size, to answer a bulk request of an admitted peer with. A chunk's buffer may be used again
   * when the next one is asked for. Of a thrown error only its `code` is sent.
   */
  onBulk(peerId: string, request: Uint8Array): AsyncIterable<Uint8Array>
  /** An admitted peer has its first connection, or lost its last. */
  onConnected(peerId: string): void
  onDisconnected(peerId: string): void
}

/** Opens the network and listens. Rejects with ADDRESS_IN_USE or ADDRESS_UNUSABLE. */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.seed)
  let network: Network | undefined
  const libp2p = await createLibp2p({
    privateKey,
    start: false,
    addresses: { listen: checked(options.listen) },
    transports: [tcp()],
    connectionEncrypters: [secureChannel],
    streamMuxers: [
      yamux({
        maxInboundStreams: limits.STREAMS_PER_CONNECTION,
        // those that come before this side has finished its handshake; one more resets the connection
        maxEarlyStreams: limits.STREAMS_PER_CONNECTION,
        streamOptions: {
          maxReadBufferLength: limits.UNREAD_BYTES,
          maxStreamWindowSize: limits.STREAM_WINDOW_BYTES,
        },
      }),
    ],
    connectionGater: {
      denyInboundEncryptedConnection: peerId => network?.isFull(peerId.toString()) ?? true,
    },
    connectionManager: {
      maxConnections: limits.MAX_CONNECTIONS,
      maxIncomingPendingConnections: limits.PENDING_CONNECTIONS,
      inboundConnectionThreshold: limits.CONNECTIONS_PER_HOST_PER_S,
      dialTimeout: limits.OPEN_MS,
    },
    // asks for a protocol nobody has: any answer, also "no", shows that the peer lives
    connectionMonitor: {
      protocolPrefix: 'waybill',
      pingInterval: limits.ALIVE_INTERVAL_MS,
      pingTimeout: { minTimeout: limits.ALIVE_TIMEOUT_MS },
    },
  })
  network = new Network(libp2p, options)
  await network.start()
  return network
}

class Network implements AsyncDisposable {
  readonly peerId: string
  readonly #libp2p: Libp2p
  readonly #options: NetworkOptions
  readonly #links = new Map<string, Link>()
  readonly #strangers = new Strangers(connection => this.#expired(connection))
  readonly #bulkStreams = new Map<string, number>()
  readonly #stopping = new AbortController()
  #stopped: Promise<void> | undefined
  #queuedBytes = 0

  /** For `openNetwork`. */
  constructor(libp2p: Libp2p, options: NetworkOptions) {
    this.#libp2p = libp2p
    this.#options = options
    this.peerId = libp2p.peerId.toString()
  }

  async start(): Promise<void> {
    const libp2p = this.#libp2p
    libp2p.addEventListener('connection:open', ({ detail }) => this.#opened(detail))
    libp2p.addEventListener('connection:close', ({ detail }) => this.#closed(detail))
    await libp2p.handle(HELLO_PROTOCOL, (stream, connection) => this.#answerHello(stream, connection), {
      maxInboundStreams: 1,
    })
    await this.#handle(MESSAGE_PROTOCOL, limits.MESSAGE_STREAMS, (stream, peerId) =>
      serveMessages(stream, bytes => this.#options.onMessage(peerId, bytes)),
    )
    await this.#handle(BULK_PROTOCOL, limits.BULK_STREAMS, (stream, peerId) =>
      this.#serveBulk(stream, peerId),
    )
    try {
      await libp2p.start()
    } catch (error) {
      throw listenError(error, this.#options.listen)
    }
  }

  /** Where this node listens, with its peer id. */
  addresses(): string[] {
    return this.#libp2p.getMultiaddrs().map(String)
  }

  /** The admitted peers with a connection. */
  connected(): string[] {
    return [...this.#links.values()].filter(link => link.connected).map(link => link.peerId)
  }

  /** Where an admitted peer can be dialled; addresses that cannot be are left out. Call it after admitting a peer. */
  learn(peerId: string, addresses: string[]): void {
    if (this.#stopping.signal.aborted || !this.#options.admitted(peerId)) return
    this.#link(peerId).learn(usable(peerId, addresses))
    this.#welcome(peerId)
  }

  /** Closes the connections of a peer, drops what waits for it and stops dialling. */
  forget(peerId: string): void {
    const reason = new NetworkError('PEER_NOT_ADMITTED', `peer ${peerId} was removed`)
    this.#links.get(peerId)?.abort(reason)
    this.#links.delete(peerId)
    for (const connection of this.#connections(peerId)) connection.abort(reason)
  }

  /**
   * Sends one message, at most once and in order; it waits while the peer is away. When the queue is full the oldest
   * messages are dropped. Never throws: `false` says that it can never leave, as the peer is not admitted, it is larger
   * than 256 KiB, or the network stopped.
   */
  send(peerId: string, message: Uint8Array): boolean {
    if (this.#stopping.signal.aborted || message.length > limits.MAX_FRAME_BYTES) return false
    if (!this.#options.admitted(peerId)) return false
    this.#link(peerId).send(message)
    while (this.#queuedBytes > limits.QUEUE_TOTAL_BYTES) this.#longestQueue().dropOldest()
    return true
  }

  /**
   * Asks a peer that need not know this node. Rejects with PEER_UNREACHABLE, STREAM_CLOSED (no answer), TIMEOUT after
   * 10 s, or the reason of `signal`.
   */
  async hello(
    peerId: string,
    addresses: string[],
    request: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    this.#strangers.abortUsed(peerId)
    const open = () => this.#connections(peerId).findLast(({ status }) => status === 'open')
    const dial = (deadline: AbortSignal) => this.#dial(peerId, usable(peerId, addresses), deadline)
    return this.#greet(peerId, async deadline => open() ?? (await dial(deadline)), request, signal)
  }

  /** As `hello`, to whoever answers at these addresses, under whichever key. */
  async meet(
    addresses: string[],
    request: Uint8Array,
    signal: AbortSignal,
  ): Promise<{ peerId: string; answer: Uint8Array }> {
    const anybody = addresses.map(address => address.replace(/\/p2p\/[^/]+$/, '')).filter(isMultiaddr)
    let peerId = 'at this address'
    const dial = async (deadline: AbortSignal) => {
      const connection = await this.#dial(peerId, anybody, deadline)
      peerId = connection.remotePeer.toString()
      return connection
    }
    return { answer: await this.#greet(peerId, dial, request, signal), peerId }
  }

  async #greet(
    peerId: string,
    connect: (deadline: AbortSignal) => Promise<Connection>,
    request: Uint8Array,
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    if (request.length > limits.MAX_HELLO_BYTES)
      throw new NetworkError('FRAME_TOO_LARGE', `a hello of ${request.length} bytes`)
    const deadline = AbortSignal.any([signal, this.#stopping.signal, AbortSignal.timeout(limits.HELLO_MS)])
    let connection: Connection | undefined
    let stream: Stream | undefined
    try {
      connection = await connect(deadline)
      this.#strangers.greets(connection)
      stream = await connection.newStream(HELLO_PROTOCOL, { signal: deadline })
      const answer = firstFrame(stream, limits.MAX_HELLO_BYTES, deadline)
      stream.send(frame(MESSAGE, request))
      const bytes = await answer
      void stream.close().catch(() => {})
      return bytes
    } catch (reason) {
      const error = networkError(reason, 'STREAM_CLOSED', `peer ${peerId} did not answer the hello`)
      stream?.abort(error)
      signal.throwIfAborted()
      throw error
    } finally {
      if (connection) this.#strangers.greeted(connection) // and not closed: the caller may admit the peer for its answer
    }
  }

  /**
   * The bytes that an admitted peer answers to `request`, in order, cut anywhere; a piece's memory is used again when the
   * next one is asked for. At most 4 MiB are in memory here; a slow loop slows the sender, leaving it stops the sender. Throws PEER_NOT_ADMITTED, PEER_UNREACHABLE,
   * STREAM_CLOSED, REMOTE_ERROR with the other side's `remoteCode`, or the reason of `signal`.
   */
  async *bulk(peerId: string, request: Uint8Array, signal: AbortSignal): AsyncGenerator<Uint8Array, void> {
    this.#stopping.signal.throwIfAborted()
    if (request.length > limits.MAX_BULK_REQUEST_BYTES)
      throw new NetworkError('FRAME_TOO_LARGE', `a bulk request of ${request.length} bytes`)
    if (!this.#options.admitted(peerId)) throw notAdmitted(peerId)
    yield* this.#link(peerId).bulk(request, AbortSignal.any([signal, this.#stopping.signal]))
  }

  /** Closes everything; resolves within seconds even if libp2p hangs. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /** Whether there is no room for a connection of this peer. */
  isFull(peerId: string): boolean {
    return !this.#options.admitted(peerId) && this.#strangers.full
  }

  async #stop(): Promise<void> {
    this.#stopping.abort(new NetworkError('NETWORK_STOPPED', 'the network of this node is stopped'))
    this.#strangers.clear()
    await Promise.all([...this.#links.values()].map(link => link.close()))
    const late = Promise.withResolvers<void>()
    const timer = setTimeout(late.resolve, limits.STOP_MS)
    await Promise.race([this.#libp2p.stop(), late.promise])
    clearTimeout(timer)
    for (const connection of this.#libp2p.getConnections()) connection.abort(this.#stopping.signal.reason)
  }

  #opened(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    if (this.#stopping.signal.aborted) connection.abort(this.#stopping.signal.reason)
    else if (this.#options.admitted(peerId)) this.#welcome(peerId, connection)
    else this.#strangers.add(connection)
  }

  #closed(connection: Connection): void {
    const peerId = connection.remotePeer.toString()
    if (this.#strangers.remove(connection)) this.#forgetLater(connection)
    const link = this.#links.get(peerId)
    if (!link?.connected) return
    link.closed(connection)
    if (!link.connected && !this.#stopping.signal.aborted) this.#options.onDisconnected(peerId)
  }

  #expired(connection: Connection): void {
    if (!this.#welcomeIfAdmitted(connection)) connection.abort(notAdmitted(connection.remotePeer.toString()))
  }

  /** libp2p notes every peer it met and never forgets it; streams in negotiation may still be writing such a note. */
  #forgetLater({ remotePeer }: Connection): void {
    const forget = () => {
      if (!this.#links.has(remotePeer.toString()))
        void this.#libp2p.peerStore.delete(remotePeer).catch(() => {})
    }
    setTimeout(forget, limits.OPEN_MS).unref()
  }

  #welcomeIfAdmitted({ remotePeer }: Connection): boolean {
    const admitted = this.#options.admitted(remotePeer.toString())
    if (admitted) this.#welcome(remotePeer.toString())
    return admitted
  }

  /** The connections of a peer that is admitted are strangers no longer. */
  #welcome(peerId: string, ...fresh: Connection[]): void {
    const link = this.#link(peerId)
    const known = link.connected
    for (const connection of [...this.#strangers.take(peerId), ...fresh]) link.opened(connection)
    if (!known && link.connected) this.#options.onConnected(peerId)
  }

  async #handle(
    protocol: string,
    maxInboundStreams: number,
    serve: (stream: Stream, peerId: string) => void,
  ): Promise<void> {
    const handler = (stream: Stream, connection: Connection) => {
      const peerId = connection.remotePeer.toString()
      if (!this.#options.admitted(peerId)) return stream.abort(notAdmitted(peerId))
      this.#welcome(peerId)
      serve(stream, peerId)
    }
    await this.#libp2p.handle(protocol, handler, { maxInboundStreams })
  }

  #serveBulk(stream: Stream, peerId: string): void {
    const count = (this.#bulkStreams.get(peerId) ?? 0) + 1
    this.#bulkStreams.set(peerId, count)
    stream.addEventListener('close', () => {
      const left = this.#bulkStreams.get(peerId)! - 1
      if (left > 0) this.#bulkStreams.set(peerId, left)
      else this.#bulkStreams.delete(peerId)
    })
    if (count > limits.BULK_STREAMS) stream.abort(new NetworkError('STREAM_CLOSED', 'too many bulk streams'))
    else serveBulk(stream, request => this.#options.onBulk(peerId, request))
  }

  async #answerHello(stream: Stream, connection: Connection): Promise<void> {
    const peerId = connection.remotePeer.toString()
    const deadline = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(limits.HELLO_MS)])
    this.#strangers.greets(connection)
    try {
      const request = await firstFrame(stream, limits.MAX_HELLO_BYTES, deadline)
      const answer = await abortable(this.#options.onHello(peerId, request), deadline)
      if (answer && answer.length > limits.MAX_HELLO_BYTES)
        throw new NetworkError('FRAME_TOO_LARGE', `an answer to a hello of ${answer.length} bytes`)
      if (answer) stream.send(frame(MESSAGE, answer))
      await stream.close({ signal: deadline })
    } catch (error) {
      stream.abort(networkError(error, 'STREAM_CLOSED', 'the hello failed'))
    }
    if (!this.#welcomeIfAdmitted(connection)) await connection.close().catch(error => connection.abort(error))
  }

  #connections(peerId: string): Connection[] {
    return this.#libp2p.getConnections(peerIdFromString(peerId))
  }

  #link(peerId: string): Link {
    const known = this.#links.get(peerId)
    if (known) return known
    const link = new Link(peerId, {
      admitted: () => this.#options.admitted(peerId),
      dial: (addresses, signal) => this.#dial(peerId, addresses, signal),
      queued: bytes => {
        this.#queuedBytes += bytes
      },
      stopped: this.#stopping.signal,
    })
    this.#links.set(peerId, link)
    return link
  }

  #longestQueue(): Link {
    return [...this.#links.values()].reduce((a, b) => (b.waitingBytes > a.waitingBytes ? b : a))
  }

  async #dial(peerId: string, addresses: string[], signal: AbortSignal): Promise<Connection> {
    if (addresses.length === 0)
      throw new NetworkError('PEER_UNREACHABLE', `no address of peer ${peerId} is known that can be dialled`)
    try {
      return await this.#libp2p.dial(addresses.map(multiaddr), {
        signal: AbortSignal.any([signal, AbortSignal.timeout(limits.OPEN_MS)]),
      })
    } catch (error) {
      throw dialError(error, peerId, addresses)
    }
  }
}

export type { Network }

function notAdmitted(peerId: string): NetworkError {
  return new NetworkError('PEER_NOT_ADMITTED', `peer ${peerId} is not admitted here`)
}

/** The addresses that can be dialled, each with the peer id. */
function usable(peerId: string, addresses: string[]): string[] {
  const suffix = `/p2p/${peerId}`
  const whole = addresses.map(address => (address.includes('/p2p/') ? address : address + suffix))
  return whole
    .filter(address => address.endsWith(suffix) && isMultiaddr(address))
    .slice(0, limits.MAX_ADDRESSES)
}

function isMultiaddr(address: string): boolean {
  try {
    multiaddr(address)
    return true
  } catch {
    return false
  }
}

function checked(listen: string[]): string[] {
  const bad = listen.find(address => !isMultiaddr(address))
  if (bad !== undefined)
    throw new NetworkError(
      'ADDRESS_UNUSABLE',
      `cannot listen at '${bad}': write it like /ip4/0.0.0.0/tcp/4001`,
    )
  return listen
}

function listenError(error: unknown, listen: string[]): NetworkError {
  const { message } = error as Error
  const at = listen.join(', ')
  return message.includes('EADDRINUSE')
    ? new NetworkError('ADDRESS_IN_USE', `another program listens at ${at} already`, { cause: error })
    : new NetworkError('ADDRESS_UNUSABLE', `cannot listen at ${at}: ${message}`, { cause: error })
}
