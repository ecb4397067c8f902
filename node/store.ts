/**
 * The durable store of a home: a level database with group commit and conditional writes.
 *
 * A driver runs read, `step`, condition check and queueing in one synchronous turn, so `get` and `commit` are
 * synchronous: queued writes lie as an overlay over the database until their batch is durable. While one batch is being
 * synced, all commits gather in the next group; one `{ sync: true }` serves the whole group.
 *
 * The order over the whole sequence (RULES A1): a commit is released after its own writes *and those of all earlier
 * commits* are durable, also when it writes nothing itself, so a repeated message cannot overtake what it repeats.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type IteratorOptions, Level } from 'level'
import type { Write } from '../protocol/output.ts'
import { syncDirectory } from './file.ts'
import { ReadCache } from './read-cache.ts'

export type StoreErrorCode =
  | 'STORE_MISSING'
  | 'STORE_LOCKED'
  | 'STORE_DAMAGED'
  | 'STORE_FAILED'
  | 'STORE_CLOSED'

/** The store cannot be opened or can no longer be written; `cause` is the error of the database. */
export class StoreError extends Error {
  override name = 'StoreError'
  readonly code: StoreErrorCode
  constructor(code: StoreErrorCode, message: string, cause?: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** Which part of the keys under a prefix `list` returns. `after` is a whole key and is itself left out. */
export interface ListOptions {
  after?: string
  limit?: number
  reverse?: boolean
}

export interface Store extends AsyncDisposable {
  /** The value under all queued writes. The bytes belong to the store: read only. */
  get(key: string): Uint8Array | undefined
  /** The value on the disk, whatever is queued: for what must have been written and not only be meant to be (RULES A4). */
  getDurable(key: string): Uint8Array | undefined
  /**
   * Queues the writes if all their conditions hold against `get`, or returns false and queues nothing. `release` is
   * called, in order of commits, when this and every earlier commit is durable. The bytes must not change afterwards.
   * Throws STORE_FAILED after a failed batch, STORE_CLOSED after close.
   */
  commit(writes: Write[], release: () => void): boolean
  /** Durable content under a prefix in key order (UTF-8 bytes), or backwards. Queued writes are not seen. */
  list(prefix: string, options?: ListOptions): Promise<[string, Uint8Array][]>
  /** All that is durable now, as one state, whatever is written meanwhile. */
  raw(): AsyncIterable<[string, Uint8Array]>
  /** Settles when everything queued so far is released; rejects with STORE_FAILED. */
  idle(): Promise<void>
  /** Waits for everything queued, then closes; commits are taken until then. */
  close(): Promise<void>
}

/** A put, or without a value a deletion. */
export type Operation = Pick<Write, 'key' | 'value'>

/** What group commit needs of a medium. `batch` is atomic, in order, and settles when it is durable. */
export interface Disk {
  get(key: string): Uint8Array | undefined
  batch(operations: Operation[]): Promise<void>
  list(prefix: string, options: ListOptions): Promise<[string, Uint8Array][]>
  raw(): AsyncIterable<[string, Uint8Array]>
  close(): Promise<void>
}

/**
 * Opens the store in `dir`. Fails with STORE_MISSING if there is none and `create` is false: level would silently open
 * an empty one. `onFailure` is called once, when a batch fails: the process must stop.
 */
export async function openStore(
  dir: string,
  options: { create: boolean; onFailure(error: Error): void },
): Promise<Store> {
  if (!existsSync(join(dir, 'CURRENT'))) await checkMissing(dir, options.create)
  return groupCommit(await openLevel(dir, options.create), options.onFailure)
}

/** Group commit over a disk; see the head of this file. */
export function groupCommit(disk: Disk, onFailure: (error: Error) => void): Store {
  return new GroupStore(disk, onFailure)
}

/** Commits that become durable together; of several writes of a key the last one counts. */
interface Group {
  operations: Map<string, Operation>
  releases: (() => void)[]
}
const emptyGroup = (): Group => ({ operations: new Map(), releases: [] })

class GroupStore implements Store {
  readonly #disk: Disk
  /** What is durable, as far as it was read. */
  readonly #known: ReadCache
  readonly #onFailure: (error: Error) => void
  readonly #waiting = new Set<PromiseWithResolvers<void>>()
  /** Takes commits. */
  #open = emptyGroup()
  /** Is being made durable. */
  #syncing = emptyGroup()
  #busy = false
  #unusable: StoreError | undefined

  constructor(disk: Disk, onFailure: (error: Error) => void) {
    this.#disk = disk
    this.#known = new ReadCache(key => disk.get(key))
    this.#onFailure = onFailure
  }

  get(key: string): Uint8Array | undefined {
    if (this.#unusable) throw this.#unusable
    const queued = this.#open.operations.get(key) ?? this.#syncing.operations.get(key)
    return queued ? queued.value : this.#known.get(key)
  }

  getDurable(key: string): Uint8Array | undefined {
    if (this.#unusable) throw this.#unusable
    return this.#disk.get(key)
  }

  commit(writes: Write[], release: () => void): boolean {
    if (this.#unusable) throw this.#unusable
    for (const write of writes) if (write.if !== undefined && !this.#holds(write.key, write.if)) return false
    for (const write of writes) this.#open.operations.set(write.key, write)
    this.#open.releases.push(release)
    this.#wake()
    return true
  }

  async list(prefix: string, options: ListOptions = {}): Promise<[string, Uint8Array][]> {
    if (this.#unusable) throw this.#unusable
    return this.#disk.list(prefix, options)
  }

  raw(): AsyncIterable<[string, Uint8Array]> {
    if (this.#unusable) throw this.#unusable
    return this.#disk.raw()
  }

  async idle(): Promise<void> {
    if (this.#unusable) throw this.#unusable
    if (!this.#busy) return
    const waiting = Promise.withResolvers<void>()
    this.#waiting.add(waiting)
    this.commit([], () => {
      this.#waiting.delete(waiting)
      waiting.resolve()
    })
    return waiting.promise
  }

  async close(): Promise<void> {
    if (this.#unusable?.code === 'STORE_CLOSED') return
    while (this.#busy && !this.#unusable) await this.idle().catch(() => {})
    this.#unusable = new StoreError('STORE_CLOSED', 'the store is closed')
    await this.#disk.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #holds(key: string, condition: 'absent' | { equals: Uint8Array }): boolean {
    const value = this.get(key)
    if (condition === 'absent') return value === undefined
    return value !== undefined && Buffer.compare(value, condition.equals) === 0
  }

  /** Starts after this turn and its promise callbacks, so that callers released together share a group. */
  #wake(): void {
    if (this.#busy) return
    this.#busy = true
    process.nextTick(() => this.#run())
  }

  /** Makes the open group durable and releases it; what was queued meanwhile is the next group. */
  async #run(): Promise<void> {
    const { operations, releases } = this.#open
    this.#syncing = this.#open
    this.#open = emptyGroup()
    try {
      if (operations.size > 0) await this.#disk.batch([...operations.values()])
      for (const { key, value } of operations.values()) this.#known.changed(key, value)
      this.#syncing = emptyGroup()
      for (const release of releases) release()
    } catch (error) {
      this.#fail(error)
    }
    this.#busy = false
    if (this.#open.releases.length > 0) this.#wake()
  }

  #fail(error: unknown): void {
    const failure = new StoreError('STORE_FAILED', `the store cannot be written: ${error}`, error)
    this.#unusable = failure
    this.#open = emptyGroup()
    for (const waiting of this.#waiting) waiting.reject(failure)
    this.#waiting.clear()
    this.#onFailure(failure)
  }
}

type LevelDatabase = Level<string, Uint8Array>

/**
 * Four times what level takes by itself: an open reads and writes the list of all tables, and of a table from which it reads
 * the list of blocks. With larger ones more lies around twice while they are merged.
 */
const TABLES = { maxFileSize: 8 * 2 ** 20, blockSize: 16 * 2 ** 10 }

async function openLevel(dir: string, create: boolean): Promise<Disk> {
  const db: LevelDatabase = new Level(dir, { keyEncoding: 'utf8', valueEncoding: 'view' })
  try {
    await db.open({ createIfMissing: create, ...TABLES })
  } catch (error) {
    throw openError(dir, error)
  }
  return levelDisk(db)
}

function levelDisk(db: LevelDatabase): Disk {
  return {
    get: key => db.getSync(key),
    batch: async operations => {
      const batch = db.batch()
      for (const { key, value } of operations)
        if (value === undefined) batch.del(key)
        else batch.put(key, value)
      await batch.write({ sync: true })
    },
    list: (prefix, options) => db.iterator(range(prefix, options)).all(),
    raw: () => db.iterator(), // level reads from the state at which it was made
    close: () => db.close(),
  }
}

/** The keys under `prefix` that follow `after` in the direction of reading. */
function range(
  prefix: string,
  { after, limit = -1, reverse = false }: ListOptions,
): IteratorOptions<string, Uint8Array> {
  if (after !== undefined && !after.startsWith(prefix))
    throw new RangeError(`'${after}' is not under '${prefix}'`)
  const end = following(prefix)
  const from = after !== undefined && !reverse ? { gt: after } : { gte: prefix }
  const to = after !== undefined && reverse ? { lt: after } : end === undefined ? {} : { lt: end }
  return { ...from, ...to, limit, reverse }
}

/** The first string behind all that start with `prefix`, in UTF-8 order, which is the order of code points. */
export function following(prefix: string): string | undefined {
  const points = Array.from(prefix, char => char.codePointAt(0)!)
  while (points.at(-1) === 0x10ffff) points.pop()
  const last = points.pop()
  if (last === undefined) return undefined
  return String.fromCodePoint(...points, last === 0xd7ff ? 0xe000 : last + 1)
}

/** Level reports why in `cause`: its own message only says that the database is not open. */
function openError(dir: string, error: unknown): StoreError {
  const cause = ((error as Error).cause ?? error) as Error & { code?: string }
  if (cause.code === 'LEVEL_LOCKED')
    return new StoreError('STORE_LOCKED', `${dir} is open in another process`, cause)
  if (cause.code === 'LEVEL_CORRUPTION')
    return new StoreError('STORE_DAMAGED', `${dir}: ${cause.message}`, cause)
  return new StoreError('STORE_FAILED', `${dir} cannot be opened: ${cause.message}`, cause)
}

/** Without the file CURRENT level starts an empty database over whatever data files lie there. */
async function checkMissing(dir: string, create: boolean): Promise<void> {
  const names = existsSync(dir) ? await readdir(dir) : []
  if (names.some(name => /\.(ldb|sst|log)$/.test(name)))
    throw new StoreError('STORE_DAMAGED', `${dir} has data files but the file CURRENT is missing`)
  if (!create) throw new StoreError('STORE_MISSING', `${dir} holds no store`)
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await syncDirectory(dirname(dir))
}
