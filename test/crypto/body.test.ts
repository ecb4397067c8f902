import * as assert from 'uvu/assert'
import * as noble from '../../crypto/backend-noble.ts'
import * as node from '../../crypto/backend-node.ts'
import { openBody, saltOfBody, sealBody } from '../../crypto/body.ts'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { sha256 } from '../../crypto/hash.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/body')
const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7) & 0xff)
const filled = (shake256: typeof node.shake256, over: Uint8Array, length: number) => {
  const out = new Uint8Array(length)
  shake256(over, out)
  return out
}
const LENGTHS = [0, 1, 31, 32, 135, 136, 137, 200, 1_000, 65_536]

test('SHAKE256 of nothing is that of FIPS 202, on both back ends, and they agree at every length', () => {
  const nothing = '46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f'
  for (const { shake256 } of [node, noble]) assert.is(toHex(filled(shake256, new Uint8Array(0), 32)), nothing)
  for (const length of LENGTHS)
    for (const size of [1, 47, 136, 500])
      sameBytes(filled(node.shake256, bytes(size), length), filled(noble.shake256, bytes(size), length))
})

test('what was sealed opens, under the first bytes of the stream stands the salt, and the body under the rest', () => {
  for (const length of LENGTHS) {
    const key = sha256(bytes(length))
    const sealed = new Uint8Array(16 + length)
    const salt = sealBody(key, bytes(length), sealed, 16)
    const stream = filled(noble.shake256, concat(utf8('waybill/v1/body'), fromHex('00')!, key), 32 + length)
    sameBytes(salt, stream.slice(0, 32))
    sameBytes(sealed.slice(0, 16), new Uint8Array(16))
    sameBytes(
      sealed.slice(16),
      bytes(length).map((byte, i) => byte ^ stream[32 + i]!),
    )
    sameBytes(openBody(key, sealed.subarray(16)), bytes(length))
    sameBytes(saltOfBody(key), salt)
  }
})

test('a key of another length is none', () => {
  for (const length of [0, 31, 33])
    throwsCode(() => sealBody(bytes(length), bytes(1), bytes(1), 0), 'KEY_INVALID')
  throwsCode(() => saltOfBody(bytes(16)), 'KEY_INVALID')
})

test.run()
