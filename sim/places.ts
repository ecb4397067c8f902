/** Where nodes of Kademlia stand, and who is nearest to a place: the distance of two is their exclusive or. */
import type { Prng } from './prng.ts'

/** Peers in a bucket, in an answer, and that a record goes to (K). */
export const NEAREST = 20

/** A place among the nodes: 32 and 20 bits, so that a distance is one exact number; enough to tell a million apart. */
export interface Key {
  high: number
  low: number
}
const LOW_BITS = 20

/** The nearest to a place of those that were added, at most 20, sorted: by the exclusive or of places, as a number. */
export class Nearest {
  readonly nodes: number[] = []
  readonly #distances: number[] = []
  readonly #places: Places
  #key: Key

  constructor(places: Places, key: Key) {
    this.#places = places
    this.#key = key
  }

  reset(key: Key): void {
    this.#key = key
    this.nodes.length = 0
    this.#distances.length = 0
  }

  get isFull(): boolean {
    return this.nodes.length >= NEAREST
  }

  distanceOf(node: number): number {
    const { high, low } = this.#places
    return ((high[node]! ^ this.#key.high) >>> 0) * 2 ** LOW_BITS + (low[node]! ^ this.#key.low)
  }

  /** Whether there is room for what is so far away. */
  takes(distance: number): boolean {
    return !this.isFull || distance < this.#distances[NEAREST - 1]!
  }

  add(node: number): void {
    const distance = this.distanceOf(node)
    if (!this.takes(distance)) return
    const [nodes, distances] = [this.nodes, this.#distances]
    if (!this.isFull) {
      nodes.push(node)
      distances.push(distance)
    }
    let at = nodes.length - 1
    for (; at > 0 && distances[at - 1]! > distance; at--) {
      nodes[at] = nodes[at - 1]!
      distances[at] = distances[at - 1]!
    }
    nodes[at] = node
    distances[at] = distance
  }
}

/** The places of the nodes, in order: a node is its index here. */
export class Places {
  readonly high: Uint32Array
  readonly low: Uint32Array

  constructor(keys: Key[]) {
    this.high = Uint32Array.from(keys, ({ high }) => high)
    this.low = Uint32Array.from(keys, ({ low }) => low)
  }
}

export const drawKey = (prng: Prng): Key => ({ high: prng.next(), low: prng.below(2 ** LOW_BITS) })
export const drawKeys = (count: number, prng: Prng): Key[] =>
  Array.from({ length: count }, () => drawKey(prng)).sort(inOrder)

/** The order of places. */
export const inOrder = (a: Key, b: Key): number => a.high - b.high || a.low - b.low

/** The place that the first 52 bits of a digest are. */
export function placeOf(digest: Uint8Array): Key {
  const view = new DataView(digest.buffer, digest.byteOffset)
  return { high: view.getUint32(0), low: view.getUint32(4) >>> (32 - LOW_BITS) }
}
