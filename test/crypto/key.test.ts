import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import type { Backend } from '../../crypto/backend.ts'
import * as noble from '../../crypto/backend-noble.ts'
import * as node from '../../crypto/backend-node.ts'
import { fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { verifyForConviction } from '../../crypto/conviction.ts'
import {
  didKey,
  goodPublicKey,
  isSmallOrderR,
  isWellFormed,
  keyFromSeed,
  type PrivateKey,
  parseDidKey,
  sign,
  thumbprint,
  verify,
} from '../../crypto/key.ts'
import { type Sodium, useLibsodium } from '../../crypto/libsodium.ts'
import { selfTest } from '../../crypto/selftest.ts'
import { SHARED, sameBytes, suite, throwsCode } from '../harness.ts'
import { type Case, makeCases } from './ed25519-cases.ts'

const test = suite('crypto/key')
const WYCHEPROOF = join(SHARED, 'vectors', 'wycheproof-ed25519', 'ed25519_test.json')
const DID = join(SHARED, 'vectors', 'did-key', 'ed25519-x25519.json')
const CASES = join(import.meta.dirname, 'ed25519-cases.json')
assert.ok(useLibsodium(), 'libsodium checks here')
/** `node` is libsodium from here on. */
const backends: Backend[] = [node, noble, { ...node, ...node.openssl }]

/** RFC 8032 section 7.1: TEST 1, 2, 3 and SHA(abc). */
const RFC8032 = [
  {
    seed: '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
    key: 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
    message: '',
    signature:
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b',
  },
  {
    seed: '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    key: '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    message: '72',
    signature:
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  },
  {
    seed: 'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    key: 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    message: 'af82',
    signature:
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
  },
  {
    seed: '833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42',
    key: 'ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf',
    message:
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
    signature:
      'dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704',
  },
]

/** Every did:key that a text names, once. */
const didKeys = (text: string): string[] => [...new Set(text.match(/did:key:z\w+/g))]

/** The rule of key.ts over one back end's arithmetic. */
function rule(backend: Backend, key: string, message: string, signature: string): boolean {
  const [a, m, s] = [fromHex(key)!, fromHex(message)!, fromHex(signature)!]
  return isWellFormed(a, s) && !isSmallOrderR(s) && backend.equation(s, m, a)
}

test('RFC 8032 section 7.1, all back ends', () => {
  for (const { seed, key, message, signature } of RFC8032) {
    const pair = keyFromSeed(fromHex(seed)!)
    assert.is(toHex(pair.public), key)
    assert.is(toHex(sign(pair, fromHex(message)!)), signature)
    for (const backend of backends) {
      assert.is(toHex(backend.publicKey(fromHex(seed)!)), key)
      assert.is(toHex(backend.sign(fromHex(seed)!, fromHex(message)!)), signature)
      assert.ok(rule(backend, key, message, signature))
    }
  }
  throwsCode(() => keyFromSeed(new Uint8Array(31)), 'KEY_INVALID')
})

test('own cases by construction: equal verdicts on all back ends', () => {
  const cases: Case[] = JSON.parse(readFileSync(CASES, 'utf8'))
  for (const { desc, key, message, signature, valid, convicts } of cases) {
    for (const backend of backends) assert.is(rule(backend, key, message, signature), valid, desc)
    const [a, m, s] = [fromHex(key)!, fromHex(message)!, fromHex(signature)!]
    assert.is(verify(a, m, s), valid, desc)
    assert.is(verifyForConviction(a, m, s), convicts, desc)
  }
  const count = (kind: 'valid' | 'convicts') => cases.filter(item => item[kind]).length
  console.log(`own ed25519 cases: ${cases.length}, ${count('valid')} valid, ${count('convicts')} convict`)
  assert.ok(cases.length >= 120 && count('valid') >= 20 && count('convicts') > count('valid'))
})

test('the stored cases are those of the script', () => {
  assert.is(readFileSync(CASES, 'utf8'), `${JSON.stringify(makeCases(), null, 2)}\n`)
})

test('any flipped bit fails', () => {
  const pair = keyFromSeed(fromHex(RFC8032[0]!.seed)!)
  const message = utf8('a message to be signed')
  const signature = sign(pair, message)
  const flipped = (bytes: Uint8Array, bit: number) => {
    const copy = bytes.slice()
    copy[bit >> 3]! ^= 1 << (bit & 7)
    return copy
  }
  assert.ok(verify(pair.public, message, signature))
  for (let bit = 0; bit < 512; bit++) assert.not(verify(pair.public, message, flipped(signature, bit)))
  for (let bit = 0; bit < 256; bit++) assert.not(verify(flipped(pair.public, bit), message, signature))
  for (let bit = 0; bit < message.length * 8; bit++)
    assert.not(verify(pair.public, flipped(message, bit), signature))
})

test('what one back end signs, the other accepts; a changed key array is another key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array(), (seed, message) => {
      const key = node.publicKey(seed)
      sameBytes(key, noble.publicKey(seed))
      sameBytes(node.sign(seed, message), noble.sign(seed, message))
      assert.ok(noble.equation(node.sign(seed, message), message, key))
    }),
    { numRuns: 20 },
  )
  const { key, message, signature } = RFC8032[1]!
  const bytes = fromHex(key)!
  assert.ok(verify(bytes, fromHex(message)!, fromHex(signature)!))
  bytes.set(fromHex(RFC8032[0]!.key)!)
  assert.not(verify(bytes, fromHex(message)!, fromHex(signature)!))
})

test('a library of other verdicts or signatures is not used and leaves nothing behind; a short seed signs nothing', () => {
  const like: Sodium = {
    crypto_sign_verify_detached: node.openssl.equation,
    crypto_sign_seed_keypair: (_, secret, seed) => secret.set(seed),
    crypto_sign_detached: (signature, message, secret) =>
      signature.set(node.openssl.sign(secret.slice(0, 32), message)),
  }
  const { seed, message, signature } = RFC8032[1]!
  const signs = () => toHex(node.sign(fromHex(seed)!, fromHex(message)!)) === signature
  assert.ok(useLibsodium(() => like))
  assert.ok(signs())
  const others: (() => Sodium)[] = [
    () => ({ ...like, crypto_sign_verify_detached: () => true }),
    () => ({ ...like, crypto_sign_verify_detached: () => false }),
    () => ({ ...like, crypto_sign_detached: () => {} }),
    () => {
      throw new Error('there is none')
    },
  ]
  for (const load of others) {
    assert.not(useLibsodium(load))
    selfTest()
    assert.ok(signs())
  }
  assert.ok(useLibsodium())
  assert.ok(signs())
  throwsCode(() => node.sign(new Uint8Array(31), new Uint8Array(1)), 'KEY_INVALID')
})

test('verify never throws', () => {
  fc.assert(
    fc.property(
      fc.uint8Array(),
      fc.uint8Array(),
      fc.uint8Array({ maxLength: 70 }),
      (key, message, signature) => {
        assert.not(verify(key, message, signature))
        assert.not(verifyForConviction(key, message, signature))
      },
    ),
  )
})

test('neither back end throws for a key or a signature of another length', () => {
  const { key, message, signature } = RFC8032[1]!
  const [a, m, s] = [fromHex(key)!, fromHex(message)!, fromHex(signature)!]
  for (const backend of [node, noble]) {
    assert.ok(backend.equation(s, m, a))
    for (const bad of [a.slice(1), new Uint8Array(0), new Uint8Array(33)])
      assert.not(backend.equation(s, m, bad))
    for (const bad of [s.slice(1), new Uint8Array(0)]) assert.not(backend.equation(bad, m, a))
  }
})

test('an equation that was found to hold, or was made to, says nothing of one with a bit changed', () => {
  const key = keyFromSeed(new Uint8Array(32).fill(9))
  const message = utf8('what is signed')
  const signature = sign(key, message)
  assert.ok(verify(key.public, message, signature))
  assert.ok(verify(key.public, message, signature))
  for (const at of [0, 33, 63]) {
    const [s, m, a] = [signature, message, key.public].map(bytes => new Uint8Array(bytes))
    for (const bytes of [s!, m!, a!]) {
      const i = at % bytes.length
      bytes[i]! ^= 1
      assert.not(verify(a!, m!, s!), `byte ${i}`)
      bytes[i]! ^= 1
    }
    assert.ok(verify(a!, m!, s!))
  }
  // The same bytes, cut elsewhere.
  const [moved, rest] = [message.slice(0, 1), message.slice(1)]
  assert.not(verify(key.public, rest, Uint8Array.of(...signature, ...moved)))
})

test('a seed with another public key beside it makes no signature of that key hold', () => {
  const [mine, other] = [1, 2].map(byte => keyFromSeed(new Uint8Array(32).fill(byte))) as [
    PrivateKey,
    PrivateKey,
  ]
  const message = utf8('what is signed')
  const signature = sign({ ...mine, public: other.public }, message)
  assert.ok(verify(mine.public, message, signature))
  assert.not(verify(other.public, message, signature))
})

test('a good public key is canonical, on the curve and not of small order', () => {
  for (const { key } of RFC8032) assert.ok(goodPublicKey(fromHex(key)!))
  const on = (y: number) => goodPublicKey(Uint8Array.of(y, ...new Uint8Array(31)))
  // y of the points with small y, by RFC 8032 section 5.1.3; 0 and 1 are of small order.
  assert.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter(on), [3, 4, 5, 6, 9, 10])
  for (const hex of ['', '00', 'ff'.repeat(32), `ee${'ff'.repeat(30)}7f`, `f0${'ff'.repeat(30)}7f`])
    assert.not(goodPublicKey(fromHex(hex)!), hex)
  const cases: Case[] = JSON.parse(readFileSync(CASES, 'utf8'))
  for (const { desc, key, valid } of cases) if (valid) assert.ok(goodPublicKey(fromHex(key)!), desc)
  for (const { desc, key } of cases)
    if (/^A = /.test(desc) || /^A with y/.test(desc)) assert.not(goodPublicKey(fromHex(key)!), desc)
})

test('thumbprints and did:key', () => {
  const key = fromHex(RFC8032[0]!.key)!
  sameBytes(thumbprint(key), node.sha256(fromHex(`01${RFC8032[0]!.key}`)!))
  const did = didKey(key)
  sameBytes(parseDidKey(did), key)
  const x25519 = 'did:key:z6LShs9GGnqk85isEBzzshkuVWrVKsRp24GnDuHk8QWkARMW'
  const small = didKey(new Uint8Array(32))
  for (const bad of ['', 'did:key:', did.slice(0, -1), `${did}1`, did.replace('z6Mk', 'z6Ml'), x25519, small])
    throwsCode(() => parseDidKey(bad), 'KEY_INVALID', bad)
  throwsCode(() => parseDidKey(did.replace('did:key:z', 'did:key:z1')), 'KEY_INVALID')
})

if (existsSync(WYCHEPROOF))
  test('Wycheproof Ed25519, all back ends', () => {
    let ran = 0
    for (const { publicKey, tests } of JSON.parse(readFileSync(WYCHEPROOF, 'utf8')).testGroups)
      for (const { msg, sig, result, comment, tcId } of tests) {
        for (const backend of backends)
          assert.is(rule(backend, publicKey.pk, msg, sig), result === 'valid', `${tcId} ${comment}`)
        assert.is(verify(fromHex(publicKey.pk)!, fromHex(msg)!, fromHex(sig)!), result === 'valid', tcId)
        ran++
      }
    console.log(`wycheproof ed25519: ${ran}`)
    assert.is(ran, 151)
  })
else test.skip('Wycheproof Ed25519', `no ${WYCHEPROOF}`)

if (existsSync(DID))
  test('did:key of Ed25519', () => {
    const rows = Object.entries<{ seed: string }>(JSON.parse(readFileSync(DID, 'utf8')))
    for (const [did, { seed }] of rows) {
      const pair = keyFromSeed(fromHex(seed)!)
      assert.is(didKey(pair.public), did)
      sameBytes(parseDidKey(did), pair.public)
    }
    const others = ['x25519', 'secp256k1', 'nist-curves'].flatMap(name =>
      didKeys(readFileSync(join(DID, '..', `${name}.json`), 'utf8')),
    )
    for (const did of others) throwsCode(() => parseDidKey(did), 'KEY_INVALID', did)
    console.log(`did:key: ${rows.length} of Ed25519, ${others.length} of other curves refused`)
    assert.ok(rows.length >= 5 && others.length >= 10)
  })
else test.skip('did:key of Ed25519', `no ${DID}`)

test.run()
