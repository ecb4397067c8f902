import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { HPKE_INFO } from '../../crypto/domain.ts'
import { AES_128_GCM, AES_256_GCM, oneTimeKey, open, openWith, seal, sealWith } from '../../crypto/seal.ts'
import type { Sealing } from '../../crypto/sealing.ts'
import * as noble from '../../crypto/sealing-noble.ts'
import * as node from '../../crypto/sealing-node.ts'
import { SHARED, sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/seal')
const X25519 = join(SHARED, 'vectors', 'wycheproof-ed25519', 'x25519_test.json')
const backends: Sealing[] = [node, noble]
const nothing = new Uint8Array(0)

/** RFC 9180 appendix A.1.1: base mode, X25519, HKDF-SHA256, AES-128-GCM; first message. */
const A11 = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  ikmE: '7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234',
  skEm: '52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736',
  pkEm: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
  ikmR: '6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037',
  skRm: '4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8',
  pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d',
  pt: '4265617574792069732074727574682c20747275746820626561757479',
  aad: '436f756e742d30',
  ct: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a',
}
const bytes = (name: keyof typeof A11) => fromHex(A11[name])!

test('RFC 9180 appendix A.1.1', () => {
  const [sender, receiver] = [oneTimeKey(bytes('ikmE')), oneTimeKey(bytes('ikmR'))]
  assert.equal([toHex(sender.private), toHex(sender.public)], [A11.skEm, A11.pkEm])
  assert.equal([toHex(receiver.private), toHex(receiver.public)], [A11.skRm, A11.pkRm])
  const args = [bytes('info'), bytes('aad')] as const
  const { enc, ct } = sealWith(AES_128_GCM, receiver.public, ...args, bytes('pt'), bytes('ikmE'))
  assert.equal([toHex(enc), toHex(ct)], [A11.pkEm, A11.ct])
  sameBytes(openWith(AES_128_GCM, receiver.private, enc, ...args, ct), bytes('pt'))
})

test('a sealed key comes back, under its info alone', () => {
  const to = oneTimeKey(bytes('ikmR'))
  const other = oneTimeKey(bytes('ikmE'))
  const [info, seed] = [utf8('release 1'), new Uint8Array(32).fill(1)]
  const { enc, ct } = seal(to.public, info, utf8('key'), seed)
  sameBytes(open(to.private, enc, info, ct), utf8('key'))
  const tagged = sealWith(AES_256_GCM, to.public, concat(HPKE_INFO, info), nothing, utf8('key'), seed)
  assert.equal(tagged, { enc, ct })
  throwsCode(() => open(to.private, enc, utf8('release 2'), ct), 'SEAL_NOT_AUTHENTIC')
  throwsCode(() => open(other.private, enc, info, ct), 'SEAL_NOT_AUTHENTIC')
  throwsCode(() => open(to.private, other.public, info, ct), 'SEAL_NOT_AUTHENTIC')
  throwsCode(() => open(to.private, enc.slice(1), info, ct), 'SEAL_NOT_AUTHENTIC')
  throwsCode(() => open(to.private, enc, info, ct.slice(1)), 'SEAL_NOT_AUTHENTIC')
  throwsCode(() => open(to.private, enc, info, nothing), 'SEAL_NOT_AUTHENTIC')
  for (let bit = 0; bit < ct.length * 8; bit += 7) {
    const copy = ct.slice()
    copy[bit >> 3]! ^= 1 << (bit & 7)
    throwsCode(() => open(to.private, enc, info, copy), 'SEAL_NOT_AUTHENTIC')
  }
})

test('small-order keys, which give everybody the same secret, are refused', () => {
  const small = [
    '00'.repeat(32),
    `01${'00'.repeat(31)}`,
    'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
    '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
    `ec${'ff'.repeat(30)}7f`,
    `ed${'ff'.repeat(30)}7f`,
    `ee${'ff'.repeat(30)}7f`,
  ].map(hex => fromHex(hex)!)
  const { private: secret, public: key } = oneTimeKey(bytes('ikmR'))
  const { ct } = seal(key, nothing, nothing, bytes('ikmE'))
  for (const point of small) {
    for (const { x25519Shared } of backends) assert.is(x25519Shared(secret, point), undefined, toHex(point))
    throwsCode(() => seal(point, nothing, utf8('key'), bytes('ikmE')), 'KEY_INVALID')
    throwsCode(() => open(secret, point, nothing, ct), 'SEAL_NOT_AUTHENTIC')
  }
  throwsCode(() => seal(key.slice(1), nothing, nothing, bytes('ikmE')), 'KEY_INVALID')
  throwsCode(() => oneTimeKey(new Uint8Array(31)), 'KEY_INVALID')
})

test('X25519 of RFC 7748 section 6.1, and both back ends alike', () => {
  const other = new Uint8Array(32).fill(1)
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), secret => {
      const key = node.x25519Public(secret)
      sameBytes(noble.x25519Public(secret), key)
      sameBytes(noble.x25519Shared(other, key)!, node.x25519Shared(other, key)!)
    }),
    { numRuns: 20 },
  )
  const bob = fromHex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb')!
  const bobPublic = 'de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f'
  for (const backend of backends) assert.is(toHex(backend.x25519Public(bob)), bobPublic)
})

if (existsSync(X25519))
  test('Wycheproof X25519, noble on every fourth', () => {
    let ran = 0
    for (const group of JSON.parse(readFileSync(X25519, 'utf8')).testGroups)
      for (const item of group.tests) {
        const expected = item.shared === '00'.repeat(32) ? undefined : item.shared
        // noble takes 4 ms each; the odd cases stand close together, so a sample meets all kinds.
        for (const { x25519Shared } of ran % 4 === 0 ? backends : [node]) {
          const shared = x25519Shared(fromHex(item.private)!, fromHex(item.public)!)
          assert.is(shared && toHex(shared), expected, `${item.tcId} ${item.comment}`)
        }
        ran++
      }
    console.log(`wycheproof x25519: ${ran}`)
  })
else test.skip('Wycheproof X25519', `no ${X25519}`)

test.run()
