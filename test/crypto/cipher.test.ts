import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { fromHex, toHex, u64, utf8 } from '../../crypto/bytes.ts'
import { blockKey, keyCommitment, openBlock, sealBlock } from '../../crypto/cipher.ts'
import { BLOCK_KEY, KEY_COMMITMENT } from '../../crypto/domain.ts'
import { hkdf, hmac } from '../../crypto/hash.ts'
import { type Sealing, TAG_BYTES } from '../../crypto/sealing.ts'
import * as noble from '../../crypto/sealing-noble.ts'
import * as node from '../../crypto/sealing-node.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/cipher')
const backends: Sealing[] = [node, noble]
const contentKey = new Uint8Array(32).fill(9)
const nothing = new Uint8Array(0)

test('AES-GCM of the GCM specification, test cases 4 and 16, both back ends', () => {
  const nonce = fromHex('cafebabefacedbaddecaf888')!
  const aad = fromHex('feedfacedeadbeeffeedfacedeadbeefabaddad2')!
  const plain = fromHex(
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  )!
  const rows = [
    [
      'feffe9928665731c6d6a8f9467308308',
      '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e0915bc94fbc3221a5db94fae95ae7121a47',
    ],
    [
      'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b',
    ],
  ] as const
  for (const { symmetricKey, aesGcmSeal, aesGcmOpen } of backends)
    for (const [key, sealed] of rows) {
      const ready = symmetricKey(fromHex(key)!)
      assert.is(toHex(aesGcmSeal(ready, nonce, aad, plain)), sealed)
      sameBytes(aesGcmOpen(ready, nonce, aad, fromHex(sealed)!)!, plain)
      assert.is(aesGcmOpen(ready, nonce, nothing, fromHex(sealed)!), undefined)
      assert.is(aesGcmOpen(ready, nonce, aad, nothing), undefined)
    }
  for (const { symmetricKey } of backends) assert.throws(() => symmetricKey(new Uint8Array(24)))
})

test('commitment and cipher take different keys from the content key', () => {
  sameBytes(keyCommitment(contentKey), hmac(contentKey, KEY_COMMITMENT))
  const sealed = sealBlock(blockKey(contentKey), 5, utf8('block'))
  const raw = noble.symmetricKey(hkdf(contentKey, nothing, BLOCK_KEY, 32))
  const nonce = new Uint8Array([0, 0, 0, 0, ...u64(5)])
  sameBytes(noble.aesGcmOpen(raw, nonce, nothing, sealed)!, utf8('block'))
  throwsCode(() => keyCommitment(new Uint8Array(31)), 'KEY_INVALID')
  throwsCode(() => blockKey(new Uint8Array(33)), 'KEY_INVALID')
})

test('a block comes back under its key and index alone', () => {
  const key = blockKey(contentKey)
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.uint8Array({ maxLength: 300 }), fc.nat(), (index, plain, bit) => {
      const sealed = sealBlock(key, index, plain)
      assert.is(sealed.length, plain.length + TAG_BYTES)
      const back = openBlock(key, index, sealed)
      sameBytes(back, plain)
      assert.is(back.constructor, Uint8Array)
      sealed[(bit >> 3) % sealed.length]! ^= 1 << (bit & 7)
      throwsCode(() => openBlock(key, index, sealed), 'BLOCK_NOT_AUTHENTIC')
    }),
  )
  const sealed = sealBlock(key, 1, utf8('block'))
  throwsCode(() => openBlock(key, 2, sealed), 'BLOCK_NOT_AUTHENTIC')
  throwsCode(() => openBlock(blockKey(new Uint8Array(32)), 1, sealed), 'BLOCK_NOT_AUTHENTIC')
  throwsCode(() => openBlock(key, 1, sealed.slice(0, -1)), 'BLOCK_NOT_AUTHENTIC')
  throwsCode(() => openBlock(key, 1, nothing), 'BLOCK_NOT_AUTHENTIC')
  assert.throws(() => sealBlock(key, -1, nothing))
})

test.run()
