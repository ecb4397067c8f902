import { chacha20 } from '@noble/ciphers/chacha.js'
import * as assert from 'uvu/assert'
import { openBody, saltOfBody, sealBody } from '../../crypto/body.ts'
import { fromHex, toHex } from '../../crypto/bytes.ts'
import { sha256 } from '../../crypto/hash.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/body')
const bytes = (n: number) => Uint8Array.from({ length: n }, (_, i) => (i * 7) & 0xff)

test('the key stream is that of RFC 8439, appendix A.1, test vectors 1 and 2', () => {
  const { salt, sealed } = sealBody(new Uint8Array(32), new Uint8Array(64))
  assert.is(toHex(salt), '76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7')
  const second =
    '9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed' +
    '29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f'
  sameBytes(sealed, fromHex(second)!)
})

test('it seals as noble does, and opens what it sealed, at every length', () => {
  for (const length of [0, 1, 63, 64, 65, 127, 128, 200, 1_000, 65_536]) {
    const key = sha256(bytes(length))
    const body = bytes(length)
    const { salt, sealed } = sealBody(key, body, 16)
    const all = chacha20(key, new Uint8Array(12), new Uint8Array(64 + length))
    sameBytes(salt, all.slice(0, 32))
    sameBytes(sealed.slice(0, 16), new Uint8Array(16))
    sameBytes(sealed.slice(16), chacha20(key, new Uint8Array(12), body, undefined, 1))
    sameBytes(openBody(key, sealed.subarray(16)), body)
    sameBytes(saltOfBody(key), salt)
  }
})

test('a key of another length is none', () => {
  for (const length of [0, 31, 33]) throwsCode(() => sealBody(bytes(length), bytes(1)), 'KEY_INVALID')
  throwsCode(() => saltOfBody(bytes(16)), 'KEY_INVALID')
})

test.run()
