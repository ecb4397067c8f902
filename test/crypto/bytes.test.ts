import fc from 'fast-check'
import * as assert from 'uvu/assert'
import {
  compare,
  concat,
  equal,
  fromBase64,
  fromHex,
  readU64,
  text,
  toBase64,
  toHex,
  u64,
  utf8,
} from '../../crypto/bytes.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/bytes')

test('hex and base64 are those of Node, and come back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      const buffer = Buffer.from(bytes)
      assert.is(toHex(bytes), buffer.toString('hex'))
      assert.is(toBase64(bytes), buffer.toString('base64'))
      sameBytes(fromHex(toHex(bytes))!, bytes)
      sameBytes(fromBase64(toBase64(bytes))!, bytes)
    }),
  )
})

test('hex and base64 have one form', () => {
  for (const bad of ['a', 'AB', 'zz', ' 00', '0x', '٠٠']) assert.is(fromHex(bad), undefined, bad)
  for (const bad of ['AA', 'AA=', 'A===', 'AB==', 'AAB=', 'A-==', 'AA==\n', '=AAA', 'AA==AAAA', 'A=AA'])
    assert.is(fromBase64(bad), undefined, bad)
})

test('base64 that is accepted is what would be written', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'AB/+=w9'), maxLength: 12 }), string => {
      const bytes = fromBase64(string)
      if (bytes) assert.is(toBase64(bytes), string)
    }),
  )
})

test('u64 holds every safe integer', () => {
  fc.assert(fc.property(fc.maxSafeNat(), n => assert.is(readU64(u64(n)), n)))
  assert.is(toHex(u64(Number.MAX_SAFE_INTEGER)), '001fffffffffffff')
  assert.is(readU64(fromHex('0020000000000000')!), undefined)
  assert.is(readU64(new Uint8Array(9), 2), undefined)
  assert.is(readU64(concat(new Uint8Array(3), u64(7)), 3), 7)
  assert.throws(() => u64(-1))
  assert.throws(() => u64(1.5))
})

test('text is UTF-8 and nothing is replaced', () => {
  assert.is(text(utf8('\ufeffß 😀')), '\ufeffß 😀')
  throwsCode(() => utf8('\ud800'), 'TEXT_INVALID')
  throwsCode(() => text(Uint8Array.of(0xff)), 'TEXT_INVALID')
  throwsCode(() => text(Uint8Array.of(0xed, 0xa0, 0x80)), 'TEXT_INVALID')
})

test('order is that of unsigned bytes, a prefix first', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 4 }), fc.uint8Array({ maxLength: 4 }), (a, b) => {
      assert.is(Math.sign(compare(a, b)), Buffer.compare(a, b))
      assert.is(equal(a, b), Buffer.compare(a, b) === 0)
    }),
  )
})

test.run()
