import * as assert from 'uvu/assert'
import { text, toHex } from '../../crypto/bytes.ts'
import * as domain from '../../crypto/domain.ts'
import { suite, throwsCode } from '../harness.ts'

const test = suite('crypto/domain')

test('no tag is a prefix of another, nor of a signature tag', () => {
  const constants = Object.values(domain).filter(value => value instanceof Uint8Array)
  const tags = [
    ...constants,
    domain.signatureTag('agreement/1', 'assigner'),
    domain.signatureTag('agreement/11', 'a'),
  ]
  const hex = tags.map(toHex)
  for (const [i, a] of hex.entries())
    for (const [j, b] of hex.entries())
      assert.ok(i === j || !b.startsWith(a), `${text(tags[i]!)} ${text(tags[j]!)}`)
  for (const tag of tags) assert.match(text(tag), /^waybill\/v1\/[a-z0-9/-]+\0$/)
})

test('a signature tag names type and role, and refuses names that could run together', () => {
  assert.is(text(domain.signatureTag('agreement/1', 'assigner')), 'waybill/v1/agreement/1/assigner\0')
  for (const [type, role] of [
    ['agreement', 'assigner'],
    ['agreement/0', 'assigner'],
    ['agreement/01', 'assigner'],
    ['a/1/b/1', 'assigner'],
    ['Agreement/1', 'assigner'],
    ['agreement/1\0', 'assigner'],
    ['agreement/1', ''],
    ['agreement/1', 'as/signer'],
    ['agreement/1', 'assigner\0'],
    ['agreement/1', 'a'.repeat(33)],
  ] as const)
    throwsCode(() => domain.signatureTag(type, role), 'STATEMENT_MALFORMED', `${type} ${role}`)
})

test.run()
