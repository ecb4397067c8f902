/**
 * The keys of the bodies in the store (RULES D7): one file of slots of 32 bytes outside of the database, because a
 * database keeps old versions of what was overwritten in it. Slot 0 says what the file is.
 *
 * Keys are drawn, written and synced ahead of their use, so that a commit that names a slot needs no sync but its own. A
 * start takes no slot of an earlier life: what was drawn then is left over, and no body can ever meet the key of another,
 * however the life before it ended.
 */
import { randomFillSync } from 'node:crypto'
import { fdatasync, fdatasyncSync, fstatSync, readSync, write, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { promisify } from 'node:util'
import { BODY_KEY_BYTES } from '../crypto/body.ts'
import { equal, utf8 } from '../crypto/bytes.ts'
import { readEntries, readTail } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { syncDirectory } from './file.ts'

const KEY_BYTES = BODY_KEY_BYTES
const HEADER = new Uint8Array(KEY_BYTES)
HEADER.set(utf8('waybill.body-keys/1'))
/** Keys drawn at a start, and at most at a time: each time twice as many as the last. */
const FIRST_KEYS = 64
const MOST_KEYS = 16_384
/** Entries whose slots are looked for at a start. */
const LOOKED_AT = 256

export class BodyKeysError extends Error {
  override readonly name = 'BodyKeysError'
  readonly code = 'BODY_KEYS_DAMAGED'
}

/** A file that is older than the store: new bodies would get slots that the store has given to others. */
export function checkSlots(get: (key: string) => Uint8Array | undefined, { first }: BodyKeys): void {
  const tail = get(KEY.tail)
  const size = tail ? readTail(tail).size : 0
  for (const { slot } of readEntries(get, Math.max(0, size - LOOKED_AT), size))
    if (slot >= first)
      throw new BodyKeysError(
        'the file of body keys is missing or older than the store: bring back the newest copy',
      )
}

/** Keys that were drawn together. */
interface Batch {
  first: number
  keys: Uint8Array
}

/** Opens the slots of a home, or begins them. */
export async function openBodyKeys(path: string): Promise<BodyKeys> {
  const file = await open(path, 'r+').catch(error => {
    if (error.code === 'ENOENT') return begin(path)
    throw error
  })
  const header = new Uint8Array(KEY_BYTES)
  const { bytesRead } = await file.read(header, 0, KEY_BYTES, 0)
  if (bytesRead !== KEY_BYTES || !equal(header, HEADER)) {
    await file.close()
    throw new BodyKeysError(`${path} does not hold the keys of bodies`)
  }
  return new BodyKeys(file)
}

async function begin(path: string): Promise<FileHandle> {
  const file = await open(path, 'wx+', 0o600)
  await file.write(HEADER, 0, KEY_BYTES, 0)
  await file.sync()
  await syncDirectory(dirname(path))
  return file
}

export class BodyKeys implements AsyncDisposable {
  readonly #file: FileHandle
  /** What is taken from, and what comes next. */
  #batch: Batch
  #ahead: Batch | undefined
  #drawing: Promise<void> | undefined
  #next: number
  /** The first slot that is not in the file. */
  #end: number
  /** The first slot of this life. */
  readonly first: number

  constructor(file: FileHandle) {
    this.#file = file
    this.#end = Math.ceil(fstatSync(file.fd).size / KEY_BYTES)
    this.#batch = this.#drawNow(FIRST_KEYS)
    this.#next = this.#batch.first
    this.first = this.#next
  }

  /** A slot that was never taken before; its key is durable. */
  take(): number {
    const { first, keys } = this.#batch
    const count = keys.length / KEY_BYTES
    const more = Math.min(2 * count, MOST_KEYS)
    if (this.#next - first === count / 2) this.#drawAhead(more)
    if (this.#next === first + count) {
      this.#batch = this.#ahead ?? this.#drawNow(more)
      this.#ahead = undefined
      this.#next = this.#batch.first
    }
    this.#next += 1
    return this.#next - 1
  }

  /** The key in a slot, unless it was destroyed or there is none. */
  key(slot: number): Uint8Array | undefined {
    const held = keyIn(this.#batch, slot)
    if (held) return known(held)
    const key = new Uint8Array(KEY_BYTES)
    const isWhole = readSync(this.#file.fd, key, 0, KEY_BYTES, slot * KEY_BYTES) === KEY_BYTES
    return isWhole ? known(key) : undefined
  }

  /** Overwrites the keys in these slots; they are gone when it returns. */
  async destroy(slots: number[]): Promise<void> {
    for (const slot of slots) {
      for (const batch of [this.#batch, this.#ahead]) batch && keyIn(batch, slot)?.fill(0)
      await writeAll(this.#file.fd, new Uint8Array(KEY_BYTES), slot * KEY_BYTES)
    }
    await datasync(this.#file.fd)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drawing
    await this.#file.close()
  }

  /** Where nobody drew ahead fast enough. */
  #drawNow(count: number): Batch {
    const batch = this.#draw(count)
    writeAllSync(this.#file.fd, batch.keys, batch.first * KEY_BYTES)
    fdatasyncSync(this.#file.fd)
    return batch
  }

  #drawAhead(count: number): void {
    if (this.#drawing) return
    const batch = this.#draw(count)
    this.#drawing = this.#keep(batch).then(
      () => {
        this.#drawing = undefined
        this.#ahead = batch
      },
      () => {
        this.#drawing = undefined // the next draw meets the same disk, and says so
      },
    )
  }

  async #keep({ first, keys }: Batch): Promise<void> {
    await writeAll(this.#file.fd, keys, first * KEY_BYTES)
    await datasync(this.#file.fd)
  }

  #draw(count: number): Batch {
    const batch = { first: this.#end, keys: randomFillSync(new Uint8Array(count * KEY_BYTES)) }
    this.#end += count
    return batch
  }
}

function keyIn({ first, keys }: Batch, slot: number): Uint8Array | undefined {
  const at = (slot - first) * KEY_BYTES
  return at >= 0 && at < keys.length ? keys.subarray(at, at + KEY_BYTES) : undefined
}

/** A key that was destroyed is zeros. */
const known = (key: Uint8Array): Uint8Array | undefined => (key.some(byte => byte !== 0) ? key : undefined)

const datasync = promisify(fdatasync)
const writeSome = promisify(write)

async function writeAll(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; )
    at += (await writeSome(fd, bytes, at, bytes.length - at, position + at)).bytesWritten
}

function writeAllSync(fd: number, bytes: Uint8Array, position: number): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position + at)
}
