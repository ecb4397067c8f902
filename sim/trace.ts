/** One hash over everything that happened, so that two runs of one seed can be told to be the same. */

import type { Hasher } from '../crypto/backend.ts'
// Not by `#backend`: what the trace hashes is not the work of a node.
import { createHash } from '../crypto/backend-node.ts'
import { toHex } from '../crypto/bytes.ts'
import { asCid } from '../crypto/cid.ts'
import type { Write } from '../protocol/output.ts'

const CHUNK_BYTES = 65_536
const ROOM_BYTES = 9
/** Of a text, UTF-8 takes three bytes a unit at most. */
const UNIT_BYTES = 3

/** Tags before each value, so that no two sequences of values give the same bytes. */
const TAG = { end: 0, number: 1, text: 2, bytes: 3, map: 4, list: 5, none: 6, true: 7, false: 8 } as const

export class Trace {
  readonly #hasher: Hasher = createHash()
  readonly #chunk = Buffer.alloc(CHUNK_BYTES)
  #at = 0

  /** Adds plain data: numbers, texts, bytes, CIDs, lists and maps in the order of their fields. */
  add(value: unknown): void {
    if (typeof value === 'number') this.#number(TAG.number, value)
    else if (typeof value === 'string') this.#text(value)
    else if (value instanceof Uint8Array) this.#bytes(TAG.bytes, value)
    else if (value === undefined || value === null) this.#tag(TAG.none)
    else if (typeof value === 'boolean') this.#tag(value ? TAG.true : TAG.false)
    else if (Array.isArray(value)) this.#list(value)
    else this.#object(value)
  }

  /** What happened at a node, and when. */
  mark(atUs: number, node: number, what: string): void {
    this.#number(TAG.list, atUs)
    this.#number(TAG.number, node)
    this.#text(what)
  }

  writes(writes: Write[]): void {
    this.#number(TAG.list, writes.length)
    for (const { key, value } of writes) {
      this.#text(key)
      if (value) this.#bytes(TAG.bytes, value)
      else this.#tag(TAG.none)
    }
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
    this.#at = this.#chunk.writeDoubleLE(value, this.#at)
  }

  #text(text: string): void {
    if (UNIT_BYTES * text.length + ROOM_BYTES > CHUNK_BYTES) {
      this.#bytes(TAG.text, Buffer.from(text))
      return
    }
    this.#number(TAG.text, text.length)
    this.#room(UNIT_BYTES * text.length)
    this.#at += this.#chunk.write(text, this.#at)
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
    this.#hasher.update(this.#chunk.subarray(0, this.#at))
    this.#at = 0
  }
}
