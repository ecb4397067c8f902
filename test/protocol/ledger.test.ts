import * as assert from 'uvu/assert'
import { u64, utf8 } from '../../crypto/bytes.ts'
import { encode, writeUint } from '../../crypto/cbor.ts'
import { cidOf } from '../../crypto/cid.ts'
import { sha256 } from '../../crypto/hash.ts'
import { leafHash, rootOf, treeRoot, verifyConsistency, verifyInclusion } from '../../crypto/merkle.ts'
import { cut } from '../../protocol/cut.ts'
import { indexOf, keptRecord, readEntries, readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import {
  adopt,
  emptyLedger,
  type Ledger,
  loadLedger,
  proveExtension,
  provePresence,
  record,
  rootAt,
} from '../../protocol/ledger.ts'
import { commitment, encodeEntry, readEntry } from '../../protocol/log.ts'
import type { Stored } from '../../protocol/record.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { SimBodyKeys } from '../../sim/body-keys.ts'
import { sameBytes, suite } from '../harness.ts'

const test = suite('protocol/ledger')
const MAX = 600
const SEED = sha256(u64(7))
const stored = (i: number): Stored => {
  const bytes = utf8(`record ${i}`)
  return { id: cidOf(bytes, 'dag-cbor'), payload: { t: 'x/1' }, signatures: [], bytes }
}

class Log {
  readonly store = new Map<string, Uint8Array>()
  readonly get = (key: string): Uint8Array | undefined => this.store.get(key)
  readonly slots = slotsOver(new SimBodyKeys(SEED))
  ledger: Ledger = emptyLedger()

  append(from: number, count: number): void {
    const records = Array.from({ length: count }, (_, i) => stored(from + i))
    this.#write(record(this.ledger, records, 1, this.slots))
  }

  adopt(entries: Uint8Array[]): void {
    this.#write(adopt(this.ledger, entries))
  }

  cut(): void {
    this.#write(cut(loadLedger(this.get), this.get))
  }

  #write({ ledger, writes }: Pick<ReturnType<typeof record>, 'ledger' | 'writes'>): void {
    for (const { key, value, if: condition } of writes) {
      assert.not.ok(condition === 'absent' && this.store.has(key), `${key} is written once`)
      if (value) this.store.set(key, value)
      else this.store.delete(key)
    }
    this.ledger = ledger
  }

  leaf(index: number): Uint8Array {
    return leafHash(readEntryAt(this.get, index)!.entry)
  }
}

/** One log of each size up to MAX is the same log: it is looked at after each append. */
function grow(look: (log: Log, size: number) => void): void {
  const log = new Log()
  look(log, 0)
  for (let size = 1; size <= MAX; size++) {
    log.append(size - 1, 1)
    look(log, size)
  }
}

test('a ledger read from the store is the one that was kept', () => {
  const roots: Uint8Array[] = []
  grow((log, size) => {
    roots[size] = rootOf(log.ledger.tail.range)
    if (size > 0 && size % 3 === 0) log.store.set(KEY.newestHead, u64(size - 1))
    const loaded = loadLedger(log.get)
    assert.is(loaded.tail.range.size, size)
    sameBytes(
      flat([loaded.tail.range.hashes, [loaded.tail.last]]),
      flat([log.ledger.tail.range.hashes, [log.ledger.tail.last]]),
    )
    const [open, kept] = [trimmed(loaded.open), trimmed(log.ledger.open)]
    assert.equal(
      open.map(level => level.length),
      kept.map(level => level.length),
      `open tiles at ${size}`,
    )
    sameBytes(flat(open), flat(kept))
    const signed = loaded.signed.range.size
    assert.is(signed, Math.max(0, size - (size % 3) - 1))
    sameBytes(rootOf(loaded.signed.range), roots[signed]!)
    if (signed > 0) sameBytes(loaded.signed.last, log.leaf(signed - 1))
  })
})
const flat = (levels: Uint8Array[][]) => Buffer.concat(levels.flat())
const leavesOf = (log: Log, size: number) => Array.from({ length: size }, (_, i) => log.leaf(i))
/** A tile level that has nothing yet may be there or not. */
const trimmed = (open: Ledger['open']) => {
  const kept = open.map(row => Array.from({ length: row.length }, (_, i) => row.at(i)))
  while (kept.at(-1)?.length === 0) kept.pop()
  return kept
}

test('a ledger goes on from the store as it would have gone on', () => {
  for (const size of [0, 1, 255, 256, 257, 511, 512, 513, 599]) {
    const [whole, cut] = [new Log(), new Log()]
    if (size > 0) for (const log of [whole, cut]) log.append(0, size)
    cut.ledger = loadLedger(cut.get)
    for (const log of [whole, cut]) log.append(size, 300)
    assert.equal(cut.ledger.tail, whole.ledger.tail)
    assert.equal([...cut.store].sort(byKey), [...whole.store].sort(byKey))
  }
})
const byKey = ([a]: [string, Uint8Array], [b]: [string, Uint8Array]) => (a < b ? -1 : 1)

test('a start reads as much of a long log as of a short one', () => {
  const log = new Log()
  const reads = (size: number): number => {
    let count = 0
    log.adopt(numbered(log.ledger.tail.range.size, size))
    const loaded = loadLedger(key => {
      count++
      return log.get(key)
    })
    sameBytes(rootOf(loaded.tail.range), rootOf(log.ledger.tail.range))
    return count
  }
  const few = reads(255)
  for (const size of [3 * 256 + 255, 255 * 256 + 255, 256 * 256 + 255 * 256 + 255])
    assert.is(reads(size), few, `${size} entries`)
})
const numbered = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => u64(from + i))

test('rows that are not there, or too few or many, are read from the tiles', () => {
  const log = new Log()
  log.adopt(numbered(0, 257 * 256 + 9))
  const { hashes } = log.ledger.tail.range
  const rows = log.store.get(KEY.rows)!
  assert.is(rows.length, (2 + 2) * 32)
  for (const value of [undefined, rows.slice(32), new Uint8Array([...rows, ...rows]), new Uint8Array(0)]) {
    const loaded = loadLedger(key => (key === KEY.rows ? value : log.get(key)))
    assert.equal(loaded.tail.range.hashes, hashes)
    assert.equal(trimmed(loaded.open), trimmed(log.ledger.open))
  }
})

test('a log that was cut goes on as one that never was longer', () => {
  // Three full tiles and four have as many rows.
  for (const signed of [255, 256, 700, 3 * 256 + 9, 255 * 256 + 3])
    for (const end of [signed, signed + 260, signed + 600]) {
      const [log, short] = [new Log(), new Log()]
      for (const each of [log, short]) each.adopt(numbered(0, signed))
      log.store.set(KEY.newestHead, u64(signed))
      log.adopt(numbered(0, end - signed))
      log.cut()
      for (const count of [1, 300, 600]) {
        for (const each of [log, short]) each.adopt(numbered(7, 7 + count))
        assert.equal(trimmed(loadLedger(log.get).open), trimmed(short.ledger.open), `${end} to ${signed}`)
        sameBytes(rootOf(loadLedger(log.get).tail.range), rootOf(short.ledger.tail.range))
      }
    }
})

test('records of one step and of many make the same log', () => {
  const [one, many] = [new Log(), new Log()]
  one.append(0, MAX)
  for (let i = 0; i < MAX; i++) many.append(i, 1)
  const mixed = new Log()
  for (let at = 0; at < MAX; at += mixed.ledger.tail.range.size % 7 || 41)
    mixed.append(mixed.ledger.tail.range.size, Math.min(41, MAX - mixed.ledger.tail.range.size))
  for (const log of [many, mixed]) {
    assert.equal(log.ledger.tail, one.ledger.tail)
    assert.equal([...readEntries(log.get, 0, MAX)], [...readEntries(one.get, 0, MAX)])
    for (let i = 0; i < MAX; i++) assert.equal(readEntryAt(log.get, i), readEntryAt(one.get, i))
    assert.equal([...readEntries(log.get, 250, 520)].length, 270)
  }
})

test('entries that fill their room to the last byte are all kept, over every end of a bundle', () => {
  for (const from of [0, 1, 15, 16, 240, 241, 255, 256])
    for (const count of [1, 15, 16, 17, 255, 256, 257, 271, 272, 273, 528, 529]) {
      const log = new Log()
      const all = Array.from({ length: from + count }, (_, i) => new Uint8Array(300).fill(i))
      if (from > 0) log.adopt(all.slice(0, from))
      log.adopt(all.slice(from))
      const kept = [...readEntries(log.get, 0, from + count)]
      assert.equal(
        kept.map(({ entry }) => entry),
        all,
      )
      assert.is(loadLedger(log.get).tail.range.size, from + count)
    }
})

test('every root, presence and extension is proven, from memory and from the store', () => {
  const log = new Log()
  log.append(0, MAX)
  const leaves = leavesOf(log, MAX)
  const roots = Array.from({ length: MAX + 1 }, (_, n) => treeRoot(leaves.slice(0, n)))
  const sizes = [1, 2, 3, 7, 8, 255, 256, 257, 300, 511, 512, 513, 599, 600]
  for (const ledger of [log.ledger, loadLedger(log.get)])
    for (const size of sizes) {
      const root = roots[size]!
      sameBytes(rootAt(ledger, log.get, size), root)
      for (let index = 0; index < size; index += 1 + Math.floor(size / 12)) {
        const path = provePresence(ledger, log.get, index, size)
        assert.ok(verifyInclusion({ leaf: leaves[index]!, index, size, path, root }), `${index} in ${size}`)
      }
      for (let oldSize = 1; oldSize <= size; oldSize += 1 + Math.floor(size / 12)) {
        const path = proveExtension(ledger, log.get, oldSize, size)
        assert.ok(
          verifyConsistency({ oldSize, oldRoot: roots[oldSize]!, size, root, path }),
          `${oldSize} to ${size}`,
        )
      }
      assert.equal(proveExtension(ledger, log.get, 0, size), [])
    }
})

test('full tiles hold 256 hashes, those four levels up and their root, and are never touched again', () => {
  const log = new Log()
  log.append(0, MAX)
  const tiles = [...log.store.keys()].filter(key => key.startsWith('tile/'))
  assert.equal(tiles, [KEY.tile(0, 0), KEY.tile(0, 1)])
  for (const key of tiles) {
    const value = log.store.get(key)!
    const hashes = Array.from({ length: value.length / 32 }, (_, i) => value.slice(i * 32, (i + 1) * 32))
    assert.is(hashes.length, 256 + 16 + 1)
    const row = Array.from({ length: 16 }, (_, i) => treeRoot(hashes.slice(i * 16, (i + 1) * 16)))
    assert.equal(hashes.slice(256, 272), row)
    sameBytes(hashes[272]!, treeRoot(hashes.slice(0, 256)))
  }
  sameBytes(log.store.get(KEY.tile(0, 1))!.slice(0, 32), log.leaf(256))
})

test('an entry commits to its record under its salt, and is found by it', () => {
  const log = new Log()
  log.append(0, 10)
  for (let i = 0; i < 10; i++) {
    const { id, bytes } = stored(i)
    const { slot, entry } = readEntryAt(log.get, i)!
    const read = readEntry(entry)
    assert.ok('c' in read)
    sameBytes(read.c, commitment(log.slots.salt(slot)!, bytes))
    assert.is(indexOf(log.get, id), i)
    sameBytes(keptRecord(log, id)!, bytes)
    assert.is(read.n, i)
  }
  assert.is(readEntryAt(log.get, 10), undefined)
})

test('an entry is written as the general encoder writes it', () => {
  const x = [sha256(u64(1)), sha256(u64(2))]
  for (const n of [0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER]) {
    const entry = { v: 1, n, p: sha256(u64(3)), k: n, t: n, c: sha256(u64(4)) }
    sameBytes(encodeEntry(entry), encode(entry))
    sameBytes(encodeEntry({ ...entry, x }), encode({ ...entry, x }))
  }
  for (const n of [-1, 0.5, 2 ** 53, Number.NaN])
    assert.throws(() => writeUint(new Uint8Array(9), 0, n), /RangeError|no unsigned/)
})

test.run()
