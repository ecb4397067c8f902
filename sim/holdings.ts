/**
 * Promise 7: what one partner makes a node hold stays within the bounds that the protocol names: entries and bytes on its disk
 * under keys of that partner, and open streams. What grows with business between the two (offers, agreements, deliveries)
 * has no bound per partner yet: of that, only what a partner can cause that nobody here ever agreed to is counted.
 */
import { KEY } from '../protocol/layout.ts'
import {
  MAX_LOGS,
  MAX_MESSAGE_BYTES,
  MAX_MIRRORED,
  MAX_NOTE_BYTES,
  MAX_RECORD_BYTES,
  MAX_REDACTIONS_BYTES,
  MAX_SITTINGS,
} from '../protocol/limits.ts'
import type { Write } from '../protocol/output.ts'
import type { Checker, Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'

interface Bound {
  entries: number
  bytes: number
}

/** By what stands before the partner in a key. Streams are bounded by the driver: node/network-limits.ts. */
const BOUNDS: [prefix: string, bound: Bound][] = [
  [KEY.watch(''), { entries: 1, bytes: 3 * MAX_NOTE_BYTES }],
  [KEY.cosigned(''), { entries: MAX_LOGS, bytes: MAX_LOGS * 4_096 }],
  [KEY.seats, { entries: MAX_LOGS, bytes: MAX_LOGS * MAX_RECORD_BYTES }],
  [KEY.partners, { entries: 1, bytes: 2 * MAX_RECORD_BYTES }],
  [KEY.catalog(''), { entries: 1, bytes: MAX_RECORD_BYTES }],
  [KEY.fork(''), { entries: 1, bytes: MAX_RECORD_BYTES }],
  [KEY.identityFork(''), { entries: 1, bytes: MAX_RECORD_BYTES }],
  [KEY.words(''), { entries: 1, bytes: MAX_REDACTIONS_BYTES }],
  [KEY.givens, { entries: MAX_SITTINGS, bytes: MAX_SITTINGS * MAX_RECORD_BYTES }],
  [KEY.seatsGiven(''), { entries: 1, bytes: 8 }],
  [KEY.titlesOf(''), { entries: 1, bytes: 8 }],
  [KEY.witness(''), { entries: 1, bytes: MAX_RECORD_BYTES }],
  [KEY.mirrors, { entries: MAX_LOGS, bytes: MAX_LOGS * MAX_NOTE_BYTES }],
  ['mirrored/', { entries: MAX_MIRRORED, bytes: MAX_MIRRORED * 4_096 }],
  // What was asked for and refused leaves nothing: of one that is hostile, a message each at most.
  [KEY.negotiations, { entries: 2_048, bytes: 16 * MAX_MESSAGE_BYTES }],
  [KEY.transfers, { entries: 2_048, bytes: 16 * MAX_MESSAGE_BYTES }],
]
const STREAMS = 64

/** What one node holds of one partner under one prefix. */
interface Held {
  bound: Bound
  sizes: Map<string, number>
  bytes: number
}

export class HoldingsChecker implements Checker {
  readonly #cluster: Cluster
  readonly #books = new Map<SimNode, Map<string, Held>>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  queued(node: SimNode, _seq: number, writes: Write[]): void {
    const book = this.#books.get(node) ?? this.#counted(node)
    for (const { key, value } of writes) this.#count(node, book, key, value)
  }

  sent({ from, to }: { from: SimNode; to: string }): void {
    const { network } = this.#cluster
    for (const peer of this.#cluster.copies(to)) {
      const streams = network.streams(from.index, peer.index)
      if (streams > STREAMS)
        this.#cluster.report('promise 7', from.name, `${streams} streams with ${peer.name}`)
    }
  }

  crashed(node: SimNode): void {
    this.#books.delete(node)
  }

  restored(node: SimNode): void {
    this.#books.delete(node)
  }

  /** All that is on the disk: a start, or the first write. */
  #counted(node: SimNode): Map<string, Held> {
    const book = new Map<string, Held>()
    this.#books.set(node, book)
    for (const [key, value] of node.disk.list('')) this.#count(node, book, key, value)
    return book
  }

  #count(node: SimNode, book: Map<string, Held>, key: string, value: Uint8Array | undefined): void {
    const found = BOUNDS.find(([prefix]) => key.startsWith(prefix))
    if (!found) return
    const [prefix, bound] = found
    const org = key.slice(prefix.length).split('/', 1)[0]!
    const held = book.get(prefix + org) ?? { bound, sizes: new Map(), bytes: 0 }
    book.set(prefix + org, held)
    held.bytes -= held.sizes.get(key) ?? 0
    if (value) {
      held.sizes.set(key, value.length)
      held.bytes += value.length
    } else held.sizes.delete(key)
    const { entries, bytes } = bound
    if (held.sizes.size <= entries && held.bytes <= bytes) return
    const is = `${held.sizes.size} entries and ${held.bytes} bytes under ${prefix}${org}`
    this.#cluster.report('promise 7', node.name, `${is}: at most ${entries} and ${bytes}`)
  }
}
