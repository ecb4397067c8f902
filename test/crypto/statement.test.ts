import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { concat, fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { encode, type Value } from '../../crypto/cbor.ts'
import { cidOf } from '../../crypto/cid.ts'
import { keyFromSeed, sign, thumbprint } from '../../crypto/key.ts'
import {
  decodeSigned,
  encodeSigned,
  MAX_SIGNATURES,
  type Payload,
  payloadPart,
  recordId,
  type Signature,
  signRecord,
  verifySignature,
} from '../../crypto/statement.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'

const test = suite('crypto/statement')
const acme = keyFromSeed(new Uint8Array(32).fill(1))
const bolt = keyFromSeed(new Uint8Array(32).fill(2))
const payload: Payload = {
  t: 'agreement/1',
  from: 1,
  parties: ['acme', 'bolt'],
  asset: cidOf(utf8('x'), 'raw'),
}
const signed = {
  p: payload,
  s: [signRecord(payload, 'assigner', acme), signRecord(payload, 'assignee', bolt)],
}

test('what is signed is tag, zero byte and payload', () => {
  const bytes = concat(utf8('waybill/v1/agreement/1/assigner\0'), encode(payload))
  assert.equal(signed.s[0], { k: thumbprint(acme.public), a: 1, r: 'assigner', s: sign(acme, bytes) })
})

test('a record comes back, and its id leaves the signatures out', () => {
  const bytes = encodeSigned(signed)
  const back = decodeSigned(bytes)
  sameBytes(encodeSigned(back), bytes)
  sameBytes(payloadPart(bytes), encode(payload))
  sameBytes(encode({ p: payload, s: signed.s as never }), bytes)
  assert.ok(recordId(back.p).equals(recordId(payload)))
  assert.ok(recordId(payload).equals(cidOf(encode(payload), 'dag-cbor')))
  assert.is(recordId(payload).code, 0x71)
  assert.ok(verifySignature(back.p.t, encode(back.p), back.s[0]!, acme.public))
  assert.ok(verifySignature(back.p.t, encode(back.p), back.s[1]!, bolt.public))
  assert.equal(decodeSigned(encodeSigned({ p: payload, s: [] })).s, [])
})

test('a signature holds for its payload, role, type and key alone', () => {
  const [first, second] = signed.s as [Signature, Signature]
  const wrong: [string, Payload, Signature, Uint8Array][] = [
    ['other payload', { ...payload, from: 2 }, first, acme.public],
    ['other type', { ...payload, t: 'agreement/2' }, first, acme.public],
    ['unusable type', { ...payload, t: 'agreement' }, first, acme.public],
    ['other role', payload, { ...first, r: 'assignee' }, acme.public],
    ['unusable role', payload, { ...first, r: 'assigner/x' }, acme.public],
    ['other key', payload, first, bolt.public],
    ['thumbprint of another', payload, { ...first, k: second.k }, acme.public],
    ['signature of another', payload, { ...first, s: second.s }, acme.public],
    ['unknown algorithm', payload, { ...first, a: 2 }, acme.public],
    ['short', payload, { ...first, s: first.s.slice(1) }, acme.public],
  ]
  for (const [why, p, s, key] of wrong) assert.not(verifySignature(p.t, encode(p), s, key), why)
})

test('another form is refused by name', () => {
  const [s] = signed.s as [Signature, Signature]
  const { a, r, ...rest } = s
  const rows: [string, unknown][] = [
    ['no map', [payload, [s]]],
    ['nothing', null],
    ['field more', { p: payload, s: [s], x: 1 }],
    ['no signatures', { p: payload }],
    ['payload no map', { p: 1, s: [] }],
    ['payload a link', { p: cidOf(utf8('x'), 'raw'), s: [] }],
    ['no type', { p: { x: 1 }, s: [] }],
    ['type a number', { p: { t: 1 }, s: [] }],
    ['type without number', { p: { t: 'agreement' }, s: [] }],
    ['signatures no array', { p: payload, s: {} }],
    ['signature no map', { p: payload, s: [1] }],
    ['signature without role', { p: payload, s: [{ a, ...rest }] }],
    ['signature without algorithm', { p: payload, s: [{ r, ...rest }] }],
    ['signature with more', { p: payload, s: [{ ...s, t: 0 }] }],
    ['short thumbprint', { p: payload, s: [{ ...s, k: s.k.slice(1) }] }],
    ['algorithm 0', { p: payload, s: [{ ...s, a: 0 }] }],
    ['algorithm a string', { p: payload, s: [{ ...s, a: '1' }] }],
    ['role with slash', { p: payload, s: [{ ...s, r: 'a/b' }] }],
    ['63 bytes', { p: payload, s: [{ ...s, s: s.s.slice(1) }] }],
    ['empty under algorithm 2', { p: payload, s: [{ ...s, a: 2, s: new Uint8Array(0) }] }],
    ['5,000 bytes under algorithm 2', { p: payload, s: [{ ...s, a: 2, s: new Uint8Array(5000) }] }],
    ['65 signatures', { p: payload, s: new Array(MAX_SIGNATURES + 1).fill(s) }],
  ]
  for (const [why, value] of rows) {
    throwsCode(() => decodeSigned(encode(value as Value)), 'STATEMENT_MALFORMED', why)
    throwsCode(() => encodeSigned(value as never), 'STATEMENT_MALFORMED', why)
  }
  throwsCode(() => decodeSigned(fromHex('a0a0')!), 'CBOR_INVALID')
  throwsCode(() => encodeSigned({ p: { t: 'x/1', b: new Uint8Array(65_536) }, s: [] }), 'CBOR_TOO_LARGE')
  throwsCode(() => decodeSigned(new Uint8Array(65_537)), 'CBOR_TOO_LARGE')
  throwsCode(() => signRecord({ t: 'x' }, 'a', acme), 'STATEMENT_MALFORMED')
})

test('the bounds themselves, and an algorithm to come, are accepted', () => {
  const [s] = signed.s as [Signature, Signature]
  const full = decodeSigned(encodeSigned({ p: payload, s: new Array(MAX_SIGNATURES).fill(s) }))
  assert.is(full.s.length, MAX_SIGNATURES)
  const later = { ...s, a: 2, s: new Uint8Array(2420) }
  assert.is(decodeSigned(encodeSigned({ p: payload, s: [later] })).s[0]!.s.length, 2420)
  assert.ok(decodeSigned(encodeSigned({ p: { t: 'x/1', constructor: 1, __proto__: null } as never, s: [] })))
})

test('any flipped bit of a record is refused or fails', () => {
  const bytes = encodeSigned(signed)
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), bit => {
      const copy = bytes.slice()
      copy[bit >> 3]! ^= 1 << (bit & 7)
      try {
        const { p, s } = decodeSigned(copy)
        const good =
          s.length === 2 &&
          verifySignature(p.t, encode(p), s[0]!, acme.public) &&
          verifySignature(p.t, encode(p), s[1]!, bolt.public)
        assert.not(good && s[0]!.r === 'assigner' && s[1]!.r === 'assignee')
      } catch (error) {
        assert.is((error as Error).name, 'CryptoError')
      }
    }),
    { numRuns: 500 },
  )
  assert.is(toHex(encodeSigned(decodeSigned(bytes))), toHex(bytes))
})

test.run()
