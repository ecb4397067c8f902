import * as assert from 'uvu/assert'
import { u64 } from '../../crypto/bytes.ts'
import { cidOf } from '../../crypto/cid.ts'
import { sha256 } from '../../crypto/hash.ts'
import { leafHash, nodeHash } from '../../crypto/merkle.ts'
import { readEntries } from '../../protocol/kept.ts'
import { emptyLedger, type Ledger, record } from '../../protocol/ledger.ts'
import type { Stored } from '../../protocol/record.ts'
import { slotsOver } from '../../protocol/slots.ts'
import {
  bundles,
  formatBundle,
  parseBundle,
  parseTilePath,
  readTile,
  tilePath,
} from '../../protocol/tiles.ts'
import { SimBodyKeys } from '../../sim/body-keys.ts'
import { sameBytes, suite } from '../harness.ts'

const test = suite('protocol/tiles')

function log(size: number): { ledger: Ledger; get: (key: string) => Uint8Array | undefined } {
  const store = new Map<string, Uint8Array>()
  const records = Array.from({ length: size }, (_, i): Stored => {
    const bytes = u64(i)
    return { id: cidOf(bytes, 'dag-cbor'), payload: { t: 'x/1' }, signatures: [], bytes }
  })
  const slots = slotsOver(new SimBodyKeys(sha256(u64(7))))
  const { ledger, writes } = record(emptyLedger(), records, 1, slots)
  for (const { key, value } of writes) store.set(key, value!)
  return { ledger, get: key => store.get(key) }
}

test('paths are those of C2SP tlog-tiles, in one form', () => {
  for (const [path, level, index, width] of [
    ['tile/0/000', 0, 0, 256],
    ['tile/0/067.p/1', 0, 67, 1],
    ['tile/1/x001/234', 1, 1_234, 256],
    ['tile/entries/x001/x234/067.p/255', 'entries', 1_234_067, 255],
    ['tile/63/999', 63, 999, 256],
  ] as const) {
    assert.equal(parseTilePath(path), { level, index, width }, path)
    assert.is(tilePath({ level, index, width }), path)
  }
  for (const path of [
    'tile/0/0',
    'tile/0/x000/001',
    'tile/0/1000',
    'tile/64/000',
    'tile/00/000',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/01',
    'tile/0/000/',
    'tile/-1/000',
    'tile/data/000',
    'tile/0/x001/x002',
    'tile/entries/../../checkpoint',
    'tile/0/x001/x002/x003/x004/x005/x006/007',
  ])
    assert.is(parseTilePath(path), undefined, path)
})

test('tiles hold the hashes of the tree, and nothing past the size of a head', () => {
  const SIZE = 256 * 3 + 10
  const { ledger, get } = log(SIZE)
  const leaves = [...readEntries(get, 0, SIZE)].map(({ entry }) => leafHash(entry))
  const bytes = (hashes: Uint8Array[]) => new Uint8Array(Buffer.concat(hashes))
  for (const size of [1, 255, 256, 257, 3 * 256, SIZE]) {
    for (let index = 0; index * 256 < SIZE; index++)
      for (const width of [1, 10, 255, 256]) {
        const end = index * 256 + width
        const tile = readTile(ledger, get, { level: 0, index, width }, size)
        if (end > size) assert.is(tile, undefined, `${end} of ${size}`)
        else sameBytes(tile!, bytes(leaves.slice(index * 256, end)))
      }
    const full = Math.floor(size / 256)
    assert.is(readTile(ledger, get, { level: 1, index: 0, width: full + 1 }, size), undefined)
    if (full === 0) continue
    const roots = Array.from({ length: full }, (_, i) => rootOf256(leaves.slice(i * 256, (i + 1) * 256)))
    sameBytes(readTile(ledger, get, { level: 1, index: 0, width: full }, size)!, bytes(roots))
  }
})

const rootOf256 = (hashes: Uint8Array[]): Uint8Array =>
  hashes.length === 1
    ? hashes[0]!
    : rootOf256(
        Array.from({ length: hashes.length / 2 }, (_, i) => nodeHash(hashes[2 * i]!, hashes[2 * i + 1]!)),
      )

test('bundles hold the entries behind their lengths, and are read back in one form', () => {
  const { ledger, get } = log(600)
  const names = [...bundles(0, 600)]
  assert.equal(names.map(tilePath), ['tile/entries/000', 'tile/entries/001', 'tile/entries/002.p/88'])
  const read = names.flatMap(name => parseBundle(readTile(ledger, get, name, 600)!, name.width)!)
  assert.equal(
    read,
    [...readEntries(get, 0, 600)].map(({ entry }) => entry),
  )
  const bundle = formatBundle(read.slice(0, 3))
  assert.is(bundle[0]! * 256 + bundle[1]!, read[0]!.length)
  for (const wrong of [bundle.slice(0, -1), bundle.slice(1), new Uint8Array([...bundle, 0])])
    assert.is(parseBundle(wrong, 3), undefined)
  assert.is(parseBundle(bundle, 2), undefined)
  assert.is(parseBundle(bundle, 4), undefined)
})

test.run()
