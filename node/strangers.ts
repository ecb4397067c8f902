/** The connections of peers that are not admitted: few, short, and only there for a hello. */
import type { Connection } from '@libp2p/interface'
import { NetworkError } from './network-error.ts'
import { CONNECTIONS_PER_PEER, STRANGER_CONNECTIONS, STRANGER_IDLE_MS } from './network-limits.ts'

interface Stranger {
  greeting: boolean
  timer: NodeJS.Timeout
}

export class Strangers {
  /** Oldest first. */
  readonly #known = new Map<Connection, Stranger>()
  readonly #expired: (connection: Connection) => void

  /** `expired` is called for a connection that said nothing for 15 s. */
  constructor(expired: (connection: Connection) => void) {
    this.#expired = expired
  }

  /**
   * Takes a connection in. When there are too many, one that says nothing gives way: whoever holds the places by
   * silence must not keep newcomers out.
   */
  add(connection: Connection): void {
    this.#known.set(connection, { greeting: false, timer: this.#expire(connection) })
    const inbound = this.#inbound()
    const same = inbound.filter(([{ remotePeer }]) => remotePeer.equals(connection.remotePeer))
    const crowd = same.length > CONNECTIONS_PER_PEER ? same : inbound
    if (crowd === inbound && inbound.length <= STRANGER_CONNECTIONS) return
    const [victim] = crowd.find(([, { greeting }]) => !greeting) ?? [connection]
    victim.abort(new NetworkError('PEER_NOT_ADMITTED', 'too many connections of unknown peers'))
  }

  /** Whether every place is taken by a hello in progress. */
  get full(): boolean {
    const inbound = this.#inbound()
    return inbound.length >= STRANGER_CONNECTIONS && inbound.every(([, { greeting }]) => greeting)
  }

  /** A hello begins: its own deadline holds from here. */
  greets(connection: Connection): void {
    const stranger = this.#known.get(connection)
    if (!stranger) return
    clearTimeout(stranger.timer)
    stranger.greeting = true
  }

  /** A hello ended, and the connection stays a while. */
  greeted(connection: Connection): void {
    const stranger = this.#known.get(connection)
    if (!stranger) return
    stranger.greeting = false
    stranger.timer = this.#expire(connection)
  }

  /** Gives up the connections on which a peer was greeted before: its side allows one hello on each. */
  abortUsed(peerId: string): void {
    for (const [connection, { greeting }] of this.#known)
      if (!greeting && connection.direction === 'outbound' && connection.remotePeer.toString() === peerId)
        connection.abort(new NetworkError('STREAM_CLOSED', 'used for a hello before'))
  }

  /** Removes a connection; whether it was one of these. */
  remove(connection: Connection): boolean {
    clearTimeout(this.#known.get(connection)?.timer)
    return this.#known.delete(connection)
  }

  /** Removes and returns the connections of a peer. */
  take(peerId: string): Connection[] {
    const taken = [...this.#known.keys()].filter(({ remotePeer }) => remotePeer.toString() === peerId)
    return taken.filter(connection => this.remove(connection))
  }

  clear(): void {
    for (const connection of this.#known.keys()) this.remove(connection)
  }

  #expire(connection: Connection): NodeJS.Timeout {
    return setTimeout(() => this.#expired(connection), STRANGER_IDLE_MS)
  }

  #inbound(): [Connection, Stranger][] {
    return [...this.#known].filter(([{ direction }]) => direction === 'inbound')
  }
}
