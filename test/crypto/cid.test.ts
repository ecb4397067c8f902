import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import * as assert from 'uvu/assert'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { decode } from '../../crypto/cbor.ts'
import { asCid, cidFromBytes, cidFromDigest, cidOf, digestOf, parseCid } from '../../crypto/cid.ts'
import { sha256 } from '../../crypto/hash.ts'
import { SHARED, sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/cid')
const MULTIHASH = join(SHARED, 'vectors', 'multiformats-multihash')

test('a CID is that of the library', () => {
  const bytes = utf8('hello')
  for (const [codec, code] of [
    ['raw', 0x55],
    ['dag-cbor', 0x71],
  ] as const) {
    const theirs = CID.createV1(code, create(0x12, sha256(bytes)))
    const ours = cidOf(bytes, codec)
    assert.ok(ours.equals(theirs))
    assert.is(ours.toString(), theirs.toString())
    sameBytes(ours.bytes, theirs.bytes)
    sameBytes(digestOf(ours), sha256(bytes))
    assert.ok(cidFromBytes(ours.bytes).equals(theirs))
    assert.ok(cidFromDigest(sha256(bytes), codec).equals(theirs))
    assert.ok(parseCid(theirs.toString()).equals(theirs))
    assert.ok(asCid(theirs)?.equals(ours))
  }
})

test('other texts are refused', () => {
  const good = cidOf(utf8('hello'), 'raw').toString()
  const sha512 = CID.createV1(0x55, create(0x13, new Uint8Array(64))).toString()
  const rows = [
    '',
    'b',
    good.slice(0, -1),
    `${good}a`,
    good.toUpperCase(),
    ` ${good}`,
    `${good.slice(0, -1)}b`, // bits beyond the last byte
    'QmdfTbBqBPQ7VNxZEYEj14VmRuZBkqFbiwReogJgS1zR1n',
    CID.createV1(0x70, create(0x12, new Uint8Array(32))).toString(),
    CID.createV1(0x55, create(0x12, new Uint8Array(20))).toString(),
    sha512,
  ]
  for (const text of rows) throwsCode(() => parseCid(text), 'CID_UNSUPPORTED', text)
  throwsCode(() => cidFromDigest(new Uint8Array(31), 'raw'), 'CID_UNSUPPORTED')
  throwsCode(() => cidFromBytes(new Uint8Array(36)), 'CID_UNSUPPORTED')
})

test('what only looks like a CID is none', () => {
  const good = cidOf(utf8('hello'), 'raw')
  const forged = new CID(1, 0x55, good.multihash, cidOf(utf8('other'), 'raw').bytes)
  for (const value of [null, 1, 'x', {}, { '/': 'x', bytes: 'x' }, forged, { asCID: 1 }])
    assert.is(asCid(value), undefined)
  const trap = Object.defineProperty({}, 'asCID', {
    get() {
      throw new Error('looked at')
    },
  })
  assert.is(asCid(trap), undefined)
  const foreign = { '/': good.bytes, bytes: good.bytes, version: 1, code: 0x55, multihash: good.multihash }
  assert.ok(asCid(foreign)?.equals(good), 'of another copy of the library')
})

if (existsSync(MULTIHASH))
  test('multihash test cases: SHA-256 in full length, and every other hash refused', () => {
    const count = { taken: 0, refused: 0 }
    const [, ...rows] = readFileSync(join(MULTIHASH, 'test_cases.csv'), 'utf8').trim().split('\n')
    for (const row of rows) {
      const [algorithm, bits, input, multihash] = row.trim().split(',') as [string, string, string, string]
      const name = fromHex(`0155${multihash}`)!
      if (algorithm !== 'sha2-256' || bits !== '256') {
        throwsCode(() => cidFromBytes(name), 'CID_UNSUPPORTED', row)
        throwsCode(
          () => decode(concat(Uint8Array.of(0xd8, 0x2a), bytesHead(name.length + 1), Uint8Array.of(0), name)),
          'CID_UNSUPPORTED',
          row,
        )
        count.refused++
        continue
      }
      const bytes = utf8(input) // the set hashes the hex digits themselves
      assert.is(`1220${toHex(sha256(bytes))}`, multihash)
      assert.ok(cidFromBytes(name).equals(cidOf(bytes, 'raw')))
      count.taken++
    }
    console.log('multihash:', count)
    assert.equal(count, { taken: 20, refused: 240 })
  })
else test.skip('multihash test cases', `no ${MULTIHASH}`)

/** Of a CBOR byte string. */
const bytesHead = (length: number): Uint8Array =>
  length < 24 ? Uint8Array.of(0x40 + length) : Uint8Array.of(0x58, length)

test.run()
