/**
 * The own log as it is kept: entries under their index, RFC 6962 hashes in tiles of 256 (C2SP tlog-tiles), and what is
 * needed to go on. Memory is O(log n); a start reads the open tiles' parts and nothing else.
 */
import { concat, readU64, u64 } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { digestOf } from '../crypto/cid.ts'
import {
  appendLeaf,
  type CompactRange,
  consistencyPath,
  inclusionPath,
  leafHash,
  nodeHash,
  rootOf,
} from '../crypto/merkle.ts'
import { KEY } from './layout.ts'
import { append, emptyTail, type LogTail } from './log.ts'
import type { Write } from './output.ts'
import type { Stored } from './record.ts'

/** Hashes a tile holds (C2SP tlog-tiles), and how many levels of the tree it spans. */
const TILE_HASHES = 256
const TILE_LEVELS = 8
const SALT_BYTES = 32
const DIGEST_BYTES = 32

type Get = (key: string) => Uint8Array | undefined

export interface Ledger {
  tail: LogTail
  /** The open tile of each tile level: its hashes so far. Handed from step to step, never shared. */
  open: Uint8Array[][]
  /** Where the newest signed head stands; what lies beyond is not signed yet. */
  signed: LogTail
  /** A head is being made up to this size: its leaves are being read back. */
  reading?: number
  /** A head is due at a deadline that is armed already. */
  due: boolean
}

export const emptyLedger = (): Ledger => ({ tail: emptyTail(), open: [], signed: emptyTail(), due: false })

/** The ledger as the store holds it. */
export function loadLedger(get: Get): Ledger {
  const stored = get(KEY.tail)
  if (!stored) return emptyLedger()
  const { size, hashes, last } = decode(stored) as { size: number; hashes: Uint8Array[]; last: Uint8Array }
  const ledger: Ledger = {
    tail: { range: { size, hashes }, last },
    open: loadOpen(size, get),
    signed: emptyTail(),
    due: false,
  }
  const newest = get(KEY.newestHead)
  const signedSize = newest ? readU64(newest)! : 0
  if (signedSize > 0) {
    const range = rangeAt(signedSize, (level, index) => node(ledger, get, level, index))
    ledger.signed = { range, last: leafHash(readEntryAt(get, signedSize - 1)!.entry) }
  }
  return ledger
}

/** The hashes of each open tile: leaves from their entries, higher levels from the full tiles below. */
function loadOpen(size: number, get: Get): Uint8Array[][] {
  const open: Uint8Array[][] = []
  let count = size
  for (let level = 0; count > 0; level++) {
    const [from, to] = [count - (count % TILE_HASHES), count]
    const hashes: Uint8Array[] = []
    for (let i = from; i < to; i++)
      hashes.push(
        level === 0
          ? leafHash(readEntryAt(get, i)!.entry)
          : tileRoot(get(KEY.tile(level - 1, i))!, 0, TILE_HASHES),
      )
    open.push(hashes)
    count = Math.floor(count / TILE_HASHES)
  }
  return open
}

/** The range of a smaller tree, from the nodes of a larger one. */
function rangeAt(size: number, nodeAt: (level: number, index: number) => Uint8Array): CompactRange {
  const hashes: Uint8Array[] = []
  let [at, rest] = [0, size]
  for (let level = Math.floor(Math.log2(size)); level >= 0; level--) {
    const width = 2 ** level
    if (rest < width) continue
    hashes.push(nodeAt(level, at / width))
    at += width
    rest -= width
  }
  return { size, hashes }
}

/** Adds entries that commit to these records, in order; the writes go into the same output as what they record. */
export function record(
  ledger: Ledger,
  records: Stored[],
  timeMs: number,
  salt: (index: number) => Uint8Array,
  kinds?: { kind: number; control?: Uint8Array[] },
): { ledger: Ledger; writes: Write[] } {
  const writes: Write[] = []
  let { tail } = ledger
  for (const { id, bytes } of records) {
    const size = tail.range.size
    const saltBytes = salt(size)
    const appended = append(tail, { kind: 0, ...kinds, timeMs, signedBytes: bytes, salt: saltBytes })
    const value = concat(saltBytes, digestOf(id), appended.entry)
    writes.push(
      { key: KEY.entry(size), value },
      { key: KEY.record(id), value: bytes },
      { key: KEY.at(id), value: u64(size) },
    )
    fillTiles(ledger.open, size, appended.leaf, writes)
    tail = appended.tail
  }
  // One condition guards all of them: whoever else appended has moved the tail (RULES A2).
  const before = ledger.tail.range.size === 0 ? 'absent' : { equals: encodeTail(ledger.tail) }
  writes.push({ key: KEY.tail, value: encodeTail(tail), if: before })
  return { ledger: { ...ledger, tail }, writes }
}

const encodeTail = ({ range, last }: LogTail): Uint8Array =>
  encode({ size: range.size, hashes: range.hashes, last })

/** Puts a leaf into the open tile; a full tile is written once and its root goes one tile level up. */
function fillTiles(open: Uint8Array[][], index: number, leaf: Uint8Array, writes: Write[]): void {
  let [hash, at] = [leaf, index]
  for (let level = 0; ; level++) {
    open[level] ??= []
    const tile = open[level]!
    tile.push(hash)
    if (tile.length < TILE_HASHES) return
    const value = new Uint8Array(TILE_HASHES * 32)
    tile.forEach((each, i) => {
      value.set(each, i * 32)
    })
    at = Math.floor(at / TILE_HASHES)
    writes.push({ key: KEY.tile(level, at), value })
    open[level] = []
    hash = tileRoot(value, 0, TILE_HASHES)
  }
}

/** Root over `count` hashes of a tile from `from`; `count` is a power of two. */
function tileRoot(tile: Uint8Array, from: number, count: number): Uint8Array {
  if (count === 1) return tile.slice(from * 32, from * 32 + 32)
  const half = count / 2
  return nodeHash(tileRoot(tile, from, half), tileRoot(tile, from + half, half))
}

/** A hash of the tree: the perfect subtree of 2^level leaves at `index`. */
function node(ledger: Ledger, get: Get, level: number, index: number): Uint8Array {
  const tileLevel = Math.floor(level / TILE_LEVELS)
  const count = 2 ** (level % TILE_LEVELS)
  const first = index * count
  const from = first % TILE_HASHES
  const full = get(KEY.tile(tileLevel, Math.floor(first / TILE_HASHES)))
  if (full) return tileRoot(full, from, count)
  const open = ledger.open[tileLevel]!.slice(from, from + count)
  return open.reduce<CompactRange>((range, leaf) => appendLeaf(range, leaf), { size: 0, hashes: [] })
    .hashes[0]!
}

/** Root of the tree at an earlier size, from the tiles and what is open. */
export const rootAt = (ledger: Ledger, get: Get, size: number): Uint8Array =>
  rootOf(rangeAt(size, (level, index) => node(ledger, get, level, index)))

/** An entry with its salt and the digest of the id of the record that it commits to. */
export interface KeptEntry {
  salt: Uint8Array
  of: Uint8Array
  entry: Uint8Array
}

export function readEntryAt(get: Get, index: number): KeptEntry | undefined {
  const value = get(KEY.entry(index))
  const at = SALT_BYTES + DIGEST_BYTES
  return (
    value && { salt: value.slice(0, SALT_BYTES), of: value.slice(SALT_BYTES, at), entry: value.slice(at) }
  )
}

/** Proof that entry `index` stands under the head of `size`. */
export const provePresence = (ledger: Ledger, get: Get, index: number, size: number): Uint8Array[] =>
  inclusionPath(index, size, (level, at) => node(ledger, get, level, at))

/** Proof that the head of `size` extends the one of `old`; empty for a first one. */
export const proveExtension = (ledger: Ledger, get: Get, old: number, size: number): Uint8Array[] =>
  old === 0 || old === size ? [] : consistencyPath(old, size, (level, at) => node(ledger, get, level, at))
