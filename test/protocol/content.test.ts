import { createHash } from 'node:crypto'
import * as assert from 'uvu/assert'
import { encode } from '../../crypto/cbor.ts'
import { cidFromDigest } from '../../crypto/cid.ts'
import { leafHash, treeRoot } from '../../crypto/merkle.ts'
import {
  blockSizeFor,
  checkDigests,
  cipherBlockSize,
  cipherOffset,
  decodeRoot,
  encodeRoot,
  makeRoot,
  plainDigest,
  type Root,
  rootCid,
  treeOfDigests,
} from '../../protocol/content.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('content root')
const [KIB, MIB, GIB] = [2 ** 10, 2 ** 20, 2 ** 30]
const KEY = new Uint8Array(32).fill(7)
const digests = (count: number) => Uint8Array.from({ length: count * 32 }, (_, i) => (i * 7 + (i >> 5)) % 256)
const root = (changes: object = {}): Root => ({ ...makeRoot(600 * KIB, digests(3), KEY), ...changes })

test('the block size grows with the content', () => {
  for (const [size, block] of [
    [0, 256 * KIB],
    [16 * GIB, 256 * KIB],
    [16 * GIB + 1, MIB],
    [64 * GIB, MIB],
    [64 * GIB + 1, 4 * MIB],
    [256 * GIB, 4 * MIB],
  ] as const)
    assert.is(blockSizeFor(size), block, `${size}`)
  throwsCode(() => blockSizeFor(256 * GIB + 1), 'CONTENT_TOO_LARGE')
})

test('a header is read as it was written, and its CID is of these bytes', () => {
  for (const size of [0, 1, 256 * KIB, 256 * KIB + 1, 600 * KIB]) {
    const made = makeRoot(size, digests(Math.ceil(size / (256 * KIB))), KEY)
    const bytes = encodeRoot(made)
    assert.ok(bytes.length <= 256)
    sameBytes(encodeRoot(decodeRoot(bytes)), bytes)
    sameBytes(rootCid(made).multihash.digest, createHash('sha256').update(bytes).digest())
    assert.is(rootCid(made).code, 0x71)
  }
})

test('every field is checked', () => {
  const cases: [why: string, changes: object][] = [
    ['unknown field', { extra: 1 }],
    ['negative size', { size: -1 }],
    ['size too large for its blocks', { size: 768 * KIB + 1 }],
    ['size too small for its blocks', { size: 512 * KIB }],
    ['block size not allowed', { block: 128 * KIB, count: 5 }],
    ['block size zero', { block: 0, size: 0, count: 0 }],
    ['count is a text', { count: '3' }],
    ['too many blocks', { size: 65_537 * 256 * KIB, count: 65_537 }],
    ['short tree', { tree: new Uint8Array(31) }],
    ['long key', { key: new Uint8Array(33) }],
    ['tree is a text', { tree: 'x' }],
    ['version is a text', { v: '1' }],
  ]
  for (const [why, changes] of cases) {
    throwsCode(() => decodeRoot(encode(root(changes) as never)), 'MALFORMED', why)
    throwsCode(() => encodeRoot(root(changes)), 'MALFORMED', why)
  }
  for (const name of ['v', 'size', 'block', 'count', 'tree', 'key']) {
    const { [name]: _, ...rest } = { ...root() } as Record<string, unknown>
    throwsCode(() => decodeRoot(encode(rest as never)), 'MALFORMED', `without ${name}`)
  }
})

test('bytes that are no header, and a header of another version', () => {
  const bytes = encodeRoot(root())
  for (let length = 0; length < bytes.length; length += 1)
    throwsCode(() => decodeRoot(bytes.subarray(0, length)), 'MALFORMED')
  throwsCode(() => decodeRoot(Uint8Array.of(...bytes, 0)), 'MALFORMED')
  throwsCode(() => decodeRoot(new Uint8Array(1000)), 'MALFORMED')
  for (const value of [null, 1, [], 'x']) throwsCode(() => decodeRoot(encode(value)), 'MALFORMED')
  throwsCode(() => decodeRoot(encode({ v: 2, anything: true })), 'UNKNOWN_VERSION')
  throwsCode(() => decodeRoot(encode(root({ v: 0 }) as never)), 'UNKNOWN_VERSION')
})

test('block sizes and places add up to the ciphertext', () => {
  for (const size of [0, 1, 256 * KIB - 1, 256 * KIB, 256 * KIB + 1, 600 * KIB]) {
    const made = makeRoot(size, digests(Math.ceil(size / (256 * KIB))), KEY)
    let at = 0
    for (let i = 0; i < made.count; i += 1) {
      assert.is(cipherOffset(made, i), at)
      at += cipherBlockSize(made, i)
    }
    assert.is(cipherOffset(made, made.count), at)
    assert.is(at, size + 16 * made.count)
    for (const i of [-1, made.count, 0.5]) assert.throws(() => cipherBlockSize(made, i), /no block/)
  }
})

test('the tree is that of RFC 6962 over the CIDs of the blocks', () => {
  for (const count of [0, 1, 2, 3, 7, 8, 100]) {
    const all = digests(count)
    const leaves = Array.from({ length: count }, (_, i) =>
      leafHash(cidFromDigest(all.subarray(32 * i, 32 * i + 32), 'raw').bytes),
    )
    sameBytes(treeOfDigests(all), treeRoot(leaves))
  }
  sameBytes(treeOfDigests(new Uint8Array(0)), createHash('sha256').digest())
})

test('digests are checked as a whole', () => {
  const all = digests(3)
  assert.is(checkDigests(root(), all), true)
  assert.is(checkDigests(root(), all.subarray(32)), false)
  assert.is(checkDigests(root(), Uint8Array.of(...all, ...all)), false)
  for (let at = 0; at < all.length; at += 5)
    assert.is(
      checkDigests(
        root(),
        all.map((byte, i) => (i === at ? byte ^ 1 : byte)),
      ),
      false,
    )
})

test('the plain digest covers tag, salt and content', () => {
  const salt = new Uint8Array(32).fill(3)
  const expected = createHash('sha256').update('waybill/v1/plain-digest\0').update(salt).update('content')
  const streaming = plainDigest(salt).update(Buffer.from('con')).update(Buffer.from('tent'))
  sameBytes(streaming.digest(), expected.digest())
  assert.throws(() => plainDigest(salt.subarray(1)), /salt of 31/)
})

test.run()
