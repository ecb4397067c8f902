import * as assert from 'uvu/assert'
import {
  committeeOf,
  isTrusted,
  positionWords,
  readTrust,
  TRUST_SCHEMA,
  witnessesOf,
} from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Story } from './story.ts'

const test = suite('protocol/trust')
const { acme, bolt, cole } = new Story()
const [a, b, w] = [acme, bolt, cole].map(({ org }) => org) as [string, string, string]
const file = (changes: object = {}) => ({
  schema: TRUST_SCHEMA,
  identities: [{ id: a, name: 'Acme Steel' }, { id: b }],
  committees: [{ log: a, witnesses: [w] }],
  ...changes,
})

// RULES D3: how many may lie, and how many make a head final.
const COMMITTEES: [n: number, f: number, q: number][] = [
  [0, 0, 0],
  [1, 0, 1],
  [2, 0, 2],
  [3, 0, 2],
  [4, 1, 3],
  [5, 1, 4],
  [6, 1, 4],
  [7, 2, 5],
  [8, 2, 6],
  [9, 2, 6],
  [10, 3, 7],
]
for (const [n, f, q] of COMMITTEES)
  test(`a committee of ${n}: f = ${f}, q = ${q}`, () => {
    assert.equal(committeeOf(n), { n, f, q })
    if (n < 4) return
    assert.ok(2 * q > n + f, 'two quorums share an honest member')
    assert.ok(q <= n - f, 'and one can be had while f are silent')
  })

test('what cosignatures are worth, in words', () => {
  const words = (n: number, k: number) => {
    const names = Array.from({ length: k }, (_, i) => ['Bolt', 'Cole', 'Dahl', 'Eder', 'Funk'][i]!)
    return positionWords(committeeOf(n), names)
  }
  assert.equal(words(0, 0), { final: false, words: 'recorded, unwitnessed' })
  assert.equal(words(1, 0), { final: false, words: 'pending: 0 of 1' })
  assert.equal(words(1, 1), { final: true, words: "final, 1 of 1: dated by Bolt's word" })
  assert.equal(words(2, 1), { final: false, words: 'pending: 1 of 2' })
  assert.equal(words(2, 2), { final: true, words: 'final, 2 of 2: safe only if nobody lies' })
  assert.equal(words(3, 2), { final: true, words: 'final, 2 of 3: safe only if nobody lies' })
  assert.equal(words(4, 2), { final: false, words: 'pending: 2 of 4' })
  assert.equal(words(4, 3), { final: true, words: 'final, 3 of 4: safe while at most 1 of 4 lie' })
  for (let n = 0; n <= 5; n++) for (let k = 0; k <= n; k++) assert.not.match(words(n, k).words, /byzantine/i)
})

test('a trust file names whom it trusts and who witnesses whom', () => {
  const trust = readTrust(file())
  assert.ok(isTrusted(trust, acme.env.self.id) && isTrusted(trust, bolt.env.self.id))
  assert.not.ok(isTrusted(trust, cole.env.self.id), 'a witness is not trusted for its own records')
  assert.equal(witnessesOf(trust, acme.env.self.id), [w])
  assert.equal(witnessesOf(trust, bolt.env.self.id), [])
  assert.is(trust.clockSkewMs, 300_000)
  assert.is(readTrust(file({ clockSkewMs: 5 })).clockSkewMs, 5)
})

test('a witness counts once, and nobody witnesses itself', () => {
  const committees = [{ log: a, witnesses: [w, a, w, b] }]
  assert.equal(witnessesOf(readTrust(file({ committees })), acme.env.self.id), [w, b])
  const twice = [...committees, { log: a, witnesses: [b] }]
  throwsCode(() => readTrust(file({ committees: twice })), 'TRUST_MALFORMED')
})

test('the digest is of what the file says, not of how it is written', () => {
  const { digest } = readTrust(file())
  const { schema, committees } = file()
  assert.is(
    readTrust({ committees, identities: [{ name: 'Acme Steel', id: a }, { id: b }], schema }).digest,
    digest,
  )
  assert.is.not(readTrust(file({ clockSkewMs: 1 })).digest, digest)
  assert.is.not(readTrust(file({ identities: [] })).digest, digest)
})

test('a file that is not one is TRUST_MALFORMED', () => {
  const wrong: unknown[] = [
    file({ known: [{ id: a, n: 1, event: 'x' }] }),
    file({ known: [{ id: a, n: -1, event: b }] }),
    null,
    undefined,
    'x',
    [],
    {},
    file({ schema: 'waybill.trust/2' }),
    file({ schema: undefined }),
    file({ more: 1 }),
    file({ identities: undefined }),
    file({ identities: {} }),
    file({ identities: [a] }),
    file({ identities: [{ name: 'x' }] }),
    file({ identities: [{ id: 'x' }] }),
    file({ identities: [{ id: a.toUpperCase() }] }),
    file({ identities: [{ id: a, more: 1 }] }),
    file({ identities: [{ id: a, name: 5 }] }),
    file({ committees: [{ log: a }] }),
    file({ committees: [{ log: 'x', witnesses: [] }] }),
    file({ committees: [{ log: a, witnesses: ['x'] }] }),
    file({ committees: [{ log: a, witnesses: Array(33).fill(w) }] }),
    file({ clockSkewMs: -1 }),
    file({ clockSkewMs: 1.5 }),
    file({ clockSkewMs: '5' }),
  ]
  for (const json of wrong) throwsCode(() => readTrust(json), 'TRUST_MALFORMED', JSON.stringify(json))
})

test.run()
