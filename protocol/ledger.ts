/**
 * The own log as it is kept: entries under their index, RFC 6962 hashes in tiles of 256 (C2SP tlog-tiles), and what is
 * needed to go on. Memory is O(log n); a start reads the open entries and five values that lie where the newest are: what is
 * absent, or old, is looked for in every level of the database, and there are more of those the longer the log.
 */
import { concat, readU64, u64 } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { stretch } from '../crypto/hash.ts'
import {
  appendLeaf,
  type CompactRange,
  consistencyPath,
  inclusionPath,
  leafHash,
  type NodeSink,
  nodeHash,
  rootOf,
} from '../crypto/merkle.ts'
import {
  BUNDLE_ENTRIES,
  type KeptEntry,
  keepRecord,
  keepRuns,
  keptBytes,
  openRuns,
  placeIn,
  placeOf,
  RUN_ENTRIES,
  RunWriter,
  readEntries,
  readEntryAt,
  readTail,
} from './kept.ts'
import { KEY } from './layout.ts'
import { append, commitment, emptyTail, entryBytes, KIND, type LogTail, ZERO_HASH } from './log.ts'
import { closedLog, logNumber } from './log-number.ts'
import type { Write } from './output.ts'
import type { Stored } from './record.ts'
import { NO_SLOT, type Slots } from './slots.ts'
import { type State, stateControl } from './state.ts'

/** Hashes a tile holds (C2SP tlog-tiles), and how many levels of the tree it spans. */
export const TILE_HASHES = 256
const TILE_LEVELS = 8
const HASH_BYTES = 32
/**
 * Behind its hashes a full tile has the 16 hashes four levels up, so that a proof takes 22 hashes a tile and not 247; and its
 * root, which a start needs of many.
 */
const ROW = 16
const ROW_LEVELS = 4
const ROW_AT = TILE_HASHES * 32
const ROOT_AT = ROW_AT + (TILE_HASHES / ROW) * 32
const NOTHING = new Uint8Array(0)

type Get = (key: string) => Uint8Array | undefined

/** A head that was read back and waits for promises; in memory only: after a restart it is read back anew. */
export interface DraftHead {
  tail: LogTail
  /** Members that hold it, or an extension of it. */
  given: string[]
  /** Who was asked again since the timer, from the size that it said it holds. */
  again: string[]
  sent: number
}

export interface Ledger {
  /** Which of the own logs this is. */
  number: number
  tail: LogTail
  /** The tail as the store holds it: no other writer may have moved it (RULES A2). */
  stored: Uint8Array | undefined
  /** First indexes of the runs of the open bundle. Handed from step to step, never shared. */
  runs: number[]
  /** The open tile of each tile level: its hashes so far. Handed from step to step, never shared. */
  open: Row[]
  /** Where the newest signed head stands; what lies beyond is not signed yet. */
  signed: LogTail
  /** Up to and with its newest state entry: what lies beyond is not closed for a head yet. */
  stated: number
  /** A head is being made up to this size: its leaves are being read back, and have been up to this tail. */
  reading?: { to: number; tail: LogTail }
  draft?: DraftHead
  /** When a head is due, and when the last one was made; monotonic ms. */
  dueMs: number
  madeMs: number
}

export const emptyLedger = (): Ledger => ({
  number: 0,
  tail: emptyTail(),
  stored: undefined,
  runs: [],
  open: [],
  signed: emptyTail(),
  stated: 0,
  dueMs: Number.POSITIVE_INFINITY,
  madeMs: Number.NEGATIVE_INFINITY,
})

/** The ledger as the store holds it. */
export function loadLedger(get: Get): Ledger {
  const stored = get(KEY.tail)
  if (!stored) return emptyLedger()
  const { size, last } = readTail(stored)
  const number = logNumber(get)
  const { open, whole } = loadOpen(size, get)
  const ledger = { ...emptyLedger(), number, stored, runs: openRuns(get, size), open }
  ledger.tail = { range: rangeAt(size, open, get, whole), last }
  const stated = get(KEY.stated)
  if (stated) ledger.stated = readU64(stated)!
  const newest = get(KEY.newestHead)
  const signedSize = newest ? readU64(newest)! : 0
  if (signedSize === size) ledger.signed = ledger.tail
  else if (signedSize > 0) {
    const last = leafHash(readEntryAt(get, signedSize - 1)!.entry)
    ledger.signed = { range: rangeAt(signedSize, ledger.open, get), last }
  }
  return ledger
}

/**
 * The hashes of each open tile: leaves from their entries, those above from what is written with each full tile, with the
 * hashes of the range over all full tiles before them. Where that is not there, the roots of the tiles say the same.
 */
function loadOpen(size: number, get: Get): { open: Row[]; whole: Uint8Array[] } {
  const open = [new Row(Array.from(readEntries(get, size - (size % TILE_HASHES), size), entryHash))]
  const counts: number[] = []
  for (let rest = fullTilesIn(size); rest > 0; rest = fullTilesIn(rest)) counts.push(rest)
  const kept = hashesIn(get(KEY.rows))
  const whole = peaks(fullTilesIn(size))
  const isThere = kept.length === counts.reduce((sum, count) => sum + (count % TILE_HASHES), whole)
  let at = whole
  for (const [level, count] of counts.entries()) {
    const inRow = count % TILE_HASHES
    const hash = (_: unknown, i: number) => (isThere ? kept[at + i]! : rootIn(get, level, count - inRow + i))
    open.push(new Row(Array.from({ length: inRow }, hash)))
    at += inRow
  }
  return { open, whole: isThere ? kept.slice(0, whole) : [] }
}

function keepOpen({ open, tail }: Pick<Ledger, 'open' | 'tail'>): Write {
  const { size, hashes } = tail.range
  const rows = open.slice(1).map(row => row.bytes())
  return { key: KEY.rows, value: concat(...hashes.slice(0, peaks(fullTilesIn(size))), ...rows) }
}

const hashesIn = (bytes: Uint8Array = NOTHING): Uint8Array[] =>
  Array.from({ length: bytes.length / HASH_BYTES }, (_, i) =>
    bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  )
/** Perfect subtrees that so many leaves are made of. */
const peaks = (count: number): number => count.toString(2).replaceAll('0', '').length
const entryHash = ({ entry }: KeptEntry): Uint8Array => leafHash(entry)
const fullTilesIn = (count: number): number => Math.floor(count / TILE_HASHES)
const rootIn = (get: Get, level: number, tile: number): Uint8Array =>
  get(KEY.tile(level, tile))!.slice(ROOT_AT)

/** The range of the tree at its size or an earlier one, from its nodes; its first hashes may be known. */
function rangeAt(size: number, open: Row[], get: Get, known: Uint8Array[] = []): CompactRange {
  const hashes: Uint8Array[] = []
  let [at, rest] = [0, size]
  for (let level = Math.floor(Math.log2(size)); level >= 0; level--) {
    const width = 2 ** level
    if (rest < width) continue
    hashes.push(known[hashes.length] ?? node(open, get, level, at / width))
    at += width
    rest -= width
  }
  return { size, hashes }
}

/** What an entry is made of besides its place, and what is kept with it. */
interface Draft {
  kind: number
  c: Uint8Array
  control?: Uint8Array[]
  slot: number
  of: Uint8Array
}

interface Extended {
  ledger: Ledger
  writes: Write[]
}

/**
 * Adds entries that commit to these records, in order; the writes go into the same output as what they record. The
 * salts come from the slots of the records.
 */
export function record(
  ledger: Ledger,
  records: Stored[],
  timeMs: number,
  slots: Slots,
  kinds?: { kind: number; control?: Uint8Array[] },
): Extended {
  const writes: Write[] = []
  const values = new Uint8Array(records.reduce((sum, { bytes }) => sum + keptBytes(bytes), 0))
  let at = 0
  const first = placeOf(ledger.number, ledger.tail.range.size)
  const drafts = records.map(({ id, bytes }, i) => {
    const room = values.subarray(at, at + keptBytes(bytes))
    at += room.length
    const { slot, salt, value } = keepRecord(slots, bytes, first + i, room)
    writes.push({ key: KEY.kept(id), value })
    return { kind: KIND.record, ...kinds, c: commitment(salt, bytes), slot, of: digestOf(id) }
  })
  return extend(ledger, drafts, timeMs, writes)
}

/**
 * Adds a state entry, and before it as many entries that commit to nothing anybody has as make the size a multiple of
 * `multiple`: what a head tells of its size is no more than that (RULES D8).
 */
export function close(
  ledger: Ledger,
  { identity, committee }: Pick<State, 'identity' | 'committee'>,
  timeMs: number,
  seed: Uint8Array,
  multiple: number,
): Extended {
  const { size } = ledger.tail.range
  const none = { slot: NO_SLOT, of: ZERO_HASH }
  const padding = multiple - 1 - (size % multiple)
  // What commits to nothing looks like what does: bytes of a stream that nobody else has.
  const random = stretch(seed, padding * HASH_BYTES)
  const drafts: Draft[] = []
  for (let at = 0; at < random.length; at += HASH_BYTES)
    drafts.push({ kind: KIND.record, c: random.subarray(at, at + HASH_BYTES), ...none })
  const control = stateControl({ identity, committee, next: ledger.stated })
  drafts.push({ kind: KIND.state, c: ZERO_HASH, control, ...none })
  const stated = size + drafts.length
  const { ledger: closed, writes } = extend(ledger, drafts, timeMs, [{ key: KEY.stated, value: u64(stated) }])
  return { ledger: { ...closed, stated }, writes }
}

/**
 * Adds entries as another disk holds them; that they continue the log, and stand under a head, was checked. `known` says what
 * is kept here with one.
 */
export const adopt = (
  ledger: Ledger,
  entries: Uint8Array[],
  known: (index: number, entry: Uint8Array) => Pick<KeptEntry, 'slot' | 'of'> | undefined = () => undefined,
): Extended =>
  grow(
    ledger,
    entries,
    ({ length }) => length,
    [],
    ({ range }, entry, _room, onNode) => {
      const leaf = leafHash(entry)
      const tail = { range: appendLeaf(range, leaf, onNode), last: leaf }
      const { slot, of } = known(range.size, entry) ?? { slot: NO_SLOT, of: ZERO_HASH }
      return { tail, kept: { slot, of, entry } }
    },
  )

const extend = (ledger: Ledger, drafts: Draft[], timeMs: number, writes: Write[]): Extended =>
  grow(ledger, drafts, entryBytes, writes, (before, { slot, of, ...about }, room, onNode) => {
    const { tail, entry } = append(before, { timeMs, ...about }, onNode, room)
    return { tail, kept: { slot, of, entry } }
  })

type Grow<T> = (
  tail: LogTail,
  what: T,
  room: Uint8Array,
  onNode: NodeSink,
) => { tail: LogTail; kept: KeptEntry }

function grow<T>(
  ledger: Ledger,
  all: T[],
  bytesOf: (what: T) => number,
  writes: Write[],
  one: Grow<T>,
): Extended {
  const onNode = fillTiles(ledger.open, writes)
  let { tail, runs } = ledger
  const waiting = ledger.stored ? readTail(ledger.stored).waiting : NOTHING
  const entryBytes = all.reduce((sum, each) => sum + bytesOf(each), 0)
  const run = new RunWriter(waiting, all.length, entryBytes)
  for (const each of all) {
    const index = tail.range.size
    const next = one(tail, each, run.room(), onNode)
    if (run.isEmpty) runs.push(index)
    run.add(next.kept)
    tail = next.tail
    if (tail.range.size % BUNDLE_ENTRIES !== 0) continue
    writes.push({ key: KEY.run(runs.at(-1)!), value: run.cut() })
    writes.push({ key: KEY.runs(Math.floor(index / BUNDLE_ENTRIES)), value: keepRuns(runs) })
    runs = []
  }
  const { size } = tail.range
  if (fullTilesIn(size) > fullTilesIn(ledger.tail.range.size))
    writes.push(keepOpen({ open: ledger.open, tail }))
  if (!run.isEmpty && size - runs.at(-1)! >= RUN_ENTRIES)
    writes.push({ key: KEY.run(runs.at(-1)!), value: run.cut() })
  // One condition guards all of them: whoever else appended has moved the tail (RULES A2).
  const stored = run.tail(size, tail.last)
  writes.push({ key: KEY.tail, value: stored, if: ledger.stored ? { equals: ledger.stored } : 'absent' })
  return { ledger: { ...ledger, tail, stored, runs }, writes }
}

/**
 * Takes the hashes of the growing tree: the root of a full tile is a hash of the tile level above, and says that the tile
 * below is complete, which is written once.
 */
function fillTiles(open: Row[], writes: Write[]): NodeSink {
  return (level, index, hash) => {
    const above = level % TILE_LEVELS
    if (above >= ROW_LEVELS) open[(level - above) / TILE_LEVELS]!.inner.set(placeInTile(above, index), hash)
    if (above !== 0) return
    const tile = level / TILE_LEVELS
    if (tile > 0) {
      const hashes = open[tile - 1]!.bytes()
      const row = Array.from({ length: TILE_HASHES / ROW }, (_, i) => rootOver(hashes, i * ROW * 32, ROW))
      writes.push({ key: KEY.tile(tile - 1, index), value: concat(hashes, ...row, hash) })
      open[tile - 1] = new Row()
    }
    open[tile] ??= new Row()
    open[tile].push(hash)
  }
}

/** The hashes of an open tile in one array: an array for each takes eight times as much room. */
class Row {
  #bytes = new Uint8Array(ROW * 32)
  length = 0
  /** The upper nodes, so that a proof hashes no row twice. A subtree that is complete stays as it is. */
  readonly inner: Map<number, Uint8Array> = new Map()

  constructor(hashes: Uint8Array[] = []) {
    for (const hash of hashes) this.push(hash)
  }

  push(hash: Uint8Array): void {
    if (this.length * 32 === this.#bytes.length) {
      const larger = new Uint8Array(4 * this.#bytes.length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(hash, 32 * this.length++)
  }

  at(index: number): Uint8Array {
    return this.#bytes.slice(index * 32, (index + 1) * 32)
  }

  bytes(): Uint8Array {
    return this.#bytes.slice(0, this.length * 32)
  }
}

/** A node so many levels above the hashes of its tile, as a number within the tile. */
const placeInTile = (above: number, index: number): number =>
  above * TILE_HASHES + (index % (TILE_HASHES >> above))

/** Root over `count` hashes, a power of two, that stand at `at`. */
function rootOver(hashes: Uint8Array, at: number, count: number): Uint8Array {
  if (count === 1) return hashes.slice(at, at + 32)
  const half = count / 2
  return nodeHash(rootOver(hashes, at, half), rootOver(hashes, at + half * 32, half))
}

/** Root over `count` hashes of a full tile from `from`. */
const tileRoot = (tile: Uint8Array, from: number, count: number): Uint8Array =>
  count < ROW ? rootOver(tile, from * 32, count) : rootOver(tile, ROW_AT + (from / ROW) * 32, count / ROW)

/** A hash of the tree: the perfect subtree of 2^level leaves at `index`. */
function node(open: Row[], get: Get, level: number, index: number): Uint8Array {
  const tileLevel = Math.floor(level / TILE_LEVELS)
  const count = 2 ** (level % TILE_LEVELS)
  const first = index * count
  const [tile, from] = [Math.floor(first / TILE_HASHES), first % TILE_HASHES]
  if (tile < fullTiles(open, tileLevel)) return tileRoot(get(KEY.tile(tileLevel, tile))!, from, count)
  return openNode(open[tileLevel]!, level % TILE_LEVELS, from)
}

/** The root over 2^above hashes of an open tile from `from`. */
function openNode(open: Row, above: number, from: number): Uint8Array {
  if (above === 0) return open.at(from)
  const place = placeInTile(above, from >> above)
  const known = above >= ROW_LEVELS ? open.inner.get(place) : undefined
  if (known) return known
  const half = 2 ** (above - 1)
  const made = nodeHash(openNode(open, above - 1, from), openNode(open, above - 1, from + half))
  if (above >= ROW_LEVELS) open.inner.set(place, made)
  return made
}

/** How many tiles of a level are full: as many as the level above has hashes. */
const fullTiles = (open: Row[], level: number): number =>
  open.slice(level + 1).reduceRight((full, { length }) => full * TILE_HASHES + length, 0)

/** The hashes of a tile, as far as there are any; of a full one first its 256, then its root. */
export function hashesOf(ledger: Ledger, get: Get, level: number, index: number): Uint8Array | undefined {
  const open = ledger.open[level]
  return get(KEY.tile(level, index)) ?? open?.bytes()
}

/** Root of the tree at an earlier size, from the tiles and what is open. */
export const rootAt = (ledger: Ledger, get: Get, size: number): Uint8Array =>
  rootOf(rangeAt(size, ledger.open, get))

/** The nodes of the tree for one proof, which reads a tile for several of them: once. */
function nodes(ledger: Ledger, get: Get): (level: number, index: number) => Uint8Array {
  const read = new Map<string, Uint8Array | undefined>()
  const once: Get = key => {
    if (!read.has(key)) read.set(key, get(key))
    return read.get(key)
  }
  return (level, index) => node(ledger.open, once, level, index)
}

/** Proof that entry `index` stands under the head of `size`. */
export const provePresence = (ledger: Ledger, get: Get, index: number, size: number): Uint8Array[] =>
  inclusionPath(index, size, nodes(ledger, get))

/** Proof that the head of `size` extends the one of `old`; empty for a first one. */
export const proveExtension = (ledger: Ledger, get: Get, old: number, size: number): Uint8Array[] =>
  old === 0 || old === size ? [] : consistencyPath(old, size, nodes(ledger, get))

/** The own log in which the newest of these records stands: the active one, or a closed one, read where it lies. */
export function logWith<C extends { get: Get }>(
  records: CID[],
  ledger: Ledger,
  context: C,
): { ledger: Ledger; context: C } {
  const logs = records.flatMap(each => placeIn(context.get, each)?.log ?? [])
  const active = logNumber(context.get)
  return logAt(logs.length > 0 ? Math.max(...logs) : active, ledger, context)
}

/** The own log of this number, in the same way. */
export function logAt<C extends { get: Get }>(
  number: number,
  ledger: Ledger,
  context: C,
): { ledger: Ledger; context: C } {
  if (number === logNumber(context.get)) return { ledger, context }
  const get = closedLog(context.get, number)
  const closed = Object.create(context, { get: { value: get } }) as C
  return { ledger: loadLedger(get), context: closed }
}

/** DAG-CBOR of a map of seven: the six fields of every entry, and control data. */
const WITH_CONTROL = 0xa7
/** In the bytes of an entry with control data: where its kind stands, which is one byte. */
const KIND_AT = 39

/** The first state entry behind an index, up to a size: a beat further at most, so that a search on foot is short. */
export function firstState(
  get: Get,
  index: number,
  size: number,
): { index: number; entry: Uint8Array } | undefined {
  let at = index + 1
  for (const { entry } of readEntries(get, at, size)) {
    if (entry[0] === WITH_CONTROL && entry[KIND_AT] === KIND.state) return { index: at, entry }
    at++
  }
  return undefined
}

/** The state entry that a head of this size ends with. */
export const lastState = (get: Get, size: number): Uint8Array | undefined =>
  size > 0 ? firstState(get, size - 2, size)?.entry : undefined
