import { createHmac, hkdfSync } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import type { Backend } from '../../crypto/backend.ts'
import * as noble from '../../crypto/backend-noble.ts'
import * as node from '../../crypto/backend-node.ts'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { expand, hasher, hkdf, hmac, sha256 } from '../../crypto/hash.ts'
import { SHARED, sameBytes, suite } from '../harness.ts'

const test = suite('crypto/hash')
const HKDF = join(SHARED, 'vectors', 'wycheproof-ed25519', 'hkdf_sha256_test.json')
const backends: Backend[] = [node, noble]
const bytes = fc.uint8Array({ maxLength: 200 })

test('SHA-256 of FIPS 180-4, whole and in pieces', () => {
  const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
  assert.is(toHex(sha256(utf8('abc'))), abc)
  assert.is(toHex(sha256(utf8('a'), utf8(''), utf8('bc'))), abc)
  assert.is(toHex(hasher().update(utf8('a')).update(utf8('bc')).digest()), abc)
  for (const { sha256, createHash } of backends) {
    assert.is(toHex(sha256(utf8('abc'))), abc)
    assert.is(toHex(createHash().update(utf8('ab')).update(utf8('c')).digest()), abc)
    assert.is(sha256(utf8('abc')).constructor, Uint8Array)
    assert.is(createHash().digest().constructor, Uint8Array)
  }
})

test('both back ends hash alike', () => {
  fc.assert(fc.property(bytes, data => sameBytes(node.sha256(data), noble.sha256(data))))
})

test('HMAC is that of Node, for short, full and long keys', () => {
  for (const length of [0, 1, 32, 63, 64, 65, 200])
    fc.assert(
      fc.property(fc.uint8Array({ minLength: length, maxLength: length }), bytes, bytes, (key, a, b) =>
        sameBytes(hmac(key, a, b), createHmac('sha256', key).update(concat(a, b)).digest()),
      ),
      { numRuns: 20 },
    )
})

test('HKDF is that of Node; RFC 5869 case 1', () => {
  const okm = hkdf(
    new Uint8Array(22).fill(0x0b),
    fromHex('000102030405060708090a0b0c')!,
    fromHex('f0f1f2f3f4f5f6f7f8f9')!,
    42,
  )
  assert.is(
    toHex(okm),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  )
  fc.assert(
    fc.property(bytes, bytes, bytes, fc.integer({ min: 1, max: 300 }), (ikm, salt, info, length) =>
      sameBytes(hkdf(ikm, salt, info, length), new Uint8Array(hkdfSync('sha256', ikm, salt, info, length))),
    ),
  )
  assert.throws(() => hkdf(okm, okm, okm, 8161))
})

test('expand draws apart by seed and label, and a longer draw begins with a shorter one', () => {
  const seed = sha256(utf8('seed'))
  assert.is(expand(seed, 'nonce').length, 32)
  assert.is(expand(seed, 'nonce', 0).length, 0)
  sameBytes(expand(seed, 'nonce', 100).subarray(0, 32), expand(seed, 'nonce'))
  const draws = [
    expand(seed, 'a'),
    expand(seed, 'b'),
    expand(sha256(seed), 'a'),
    expand(seed, 'a', 64).slice(32),
  ]
  assert.is(new Set(draws.map(toHex)).size, 4)
  for (const n of [-1, 1.5, 65_537]) assert.throws(() => expand(seed, 'a', n))
})

if (existsSync(HKDF))
  test('Wycheproof HKDF-SHA-256', () => {
    let ran = 0
    for (const group of JSON.parse(readFileSync(HKDF, 'utf8')).testGroups)
      for (const { ikm, salt, info, size, okm, result, tcId } of group.tests) {
        const make = () => hkdf(fromHex(ikm)!, fromHex(salt)!, fromHex(info)!, size)
        if (result === 'invalid') assert.throws(make, () => true, tcId)
        else assert.is(toHex(make()), okm, tcId)
        ran++
      }
    console.log(`wycheproof hkdf: ${ran}`)
  })
else test.skip('Wycheproof HKDF-SHA-256', `no ${HKDF}`)

test.run()
