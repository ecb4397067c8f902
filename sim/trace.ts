/** One hash over everything that happened, so that two runs of one seed can be told to be the same. */
// Not by `#backend`: what the trace hashes is not the work of a node.
import { createHash } from '../crypto/backend-node.ts'
import { toHex, utf8 } from '../crypto/bytes.ts'
import { asCid } from '../crypto/cid.ts'

const CHUNK_BYTES = 16_384
const ROOM_BYTES = 9

/** Tags before each value, so that no two sequences of values give the same bytes. */
const TAG = { end: 0, number: 1, text: 2, bytes: 3, map: 4, list: 5, none: 6, true: 7, false: 8 } as const

export class Trace {
  readonly #hasher = createHash()
  readonly #chunk = new Uint8Array(CHUNK_BYTES)
  readonly #view: DataView = new DataView(this.#chunk.buffer)
  #at = 0

  /** Adds plain data: numbers, texts, bytes, CIDs, lists and maps in the order of their fields. */
  add(value: unknown): void {
    if (typeof value === 'number') this.#number(TAG.number, value)
    else if (typeof value === 'string') this.#bytes(TAG.text, utf8(value))
    else if (value instanceof Uint8Array) this.#bytes(TAG.bytes, value)
    else if (value === undefined || value === null) this.#tag(TAG.none)
    else if (typeof value === 'boolean') this.#tag(value ? TAG.true : TAG.false)
    else if (Array.isArray(value)) this.#list(value)
    else this.#object(value)
  }

  /** In hex; nothing can be added afterwards. */
  digest(): string {
    this.#flush()
    return toHex(this.#hasher.digest())
  }

  #list(values: unknown[]): void {
    this.#tag(TAG.list)
    for (const value of values) this.add(value)
    this.#tag(TAG.end)
  }

  #object(value: object): void {
    const cid = asCid(value)
    if (cid) {
      this.#bytes(TAG.bytes, cid.bytes)
      return
    }
    this.#tag(TAG.map)
    for (const [name, field] of Object.entries(value)) {
      this.add(name)
      this.add(field)
    }
    this.#tag(TAG.end)
  }

  #tag(tag: number): void {
    this.#room(1)
    this.#chunk[this.#at++] = tag
  }

  #number(tag: number, value: number): void {
    this.#room(ROOM_BYTES)
    this.#chunk[this.#at++] = tag
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  #bytes(tag: number, bytes: Uint8Array): void {
    this.#number(tag, bytes.length)
    if (bytes.length > CHUNK_BYTES) {
      this.#flush()
      this.#hasher.update(bytes)
      return
    }
    this.#room(bytes.length)
    this.#chunk.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #room(n: number): void {
    if (this.#at + n > CHUNK_BYTES) this.#flush()
  }

  #flush(): void {
    this.#hasher.update(this.#chunk.slice(0, this.#at))
    this.#at = 0
  }
}
