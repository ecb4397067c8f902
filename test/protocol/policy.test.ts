import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { encode, type Value } from '../../crypto/cbor.ts'
import { Unknown } from '../../protocol/error.ts'
import {
  ACTIONS,
  type Constraint,
  evaluate,
  OPERANDS,
  type Policy,
  PROFILE,
  policyShape,
  type Rule,
} from '../../protocol/policy.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/policy')
const NOW = Date.UTC(2026, 0, 1)
const ASK = { action: 'analyse', purpose: 'benchmark', recipient: 'bafyOrg', dateTimeMs: NOW }

const c = (left: string, op: string, right: Constraint['right']): Constraint => ({ left, op, right })
const rule = (action: string, ...constraints: Constraint[]): Rule => ({ action, constraints })
const policy = (permissions: Rule[], prohibitions: Rule[] = []): Policy => ({
  profile: PROFILE,
  permissions,
  prohibitions,
})
const decide = (p: Policy, changes: Partial<typeof ASK> = {}) => evaluate(p, { ...ASK, ...changes }).decision

test('what is not permitted is denied', () => {
  assert.is(decide(policy([])), 'deny')
  assert.is(decide(policy([rule('read')])), 'deny')
  assert.is(decide(policy([rule('analyse')])), 'permit')
  assert.is(decide(policy([rule('read'), rule('analyse')])), 'permit', 'one permission is enough')
})

test('an action includes its parts, and never the whole', () => {
  for (const part of ['read', 'analyse', 'derive', 'archive']) {
    assert.is(decide(policy([rule('use')]), { action: part }), 'permit', part)
    assert.is(decide(policy([rule(part)]), { action: 'use' }), 'deny', part)
    assert.is(decide(policy([rule('use')], [rule('use')]), { action: part }), 'deny', part)
    // Who asks for the whole asks for the part that is prohibited.
    assert.is(decide(policy([rule('use')], [rule(part)]), { action: 'use' }), 'deny', part)
  }
  assert.is(decide(policy([rule('use')]), { action: 'distribute' }), 'deny')
  assert.is(decide(policy([rule('use')], [rule('distribute')])), 'permit', 'another action is another matter')
})

// Operators: for each, a right side that holds and one that does not.
const TABLE: [left: string, op: string, holds: Constraint['right'], fails: Constraint['right']][] = [
  ['purpose', 'eq', 'benchmark', 'marketing'],
  ['purpose', 'neq', 'marketing', 'benchmark'],
  ['purpose', 'isAnyOf', ['x', 'benchmark'], ['x']],
  ['purpose', 'isNoneOf', ['x'], ['x', 'benchmark']],
  ['recipient', 'eq', 'bafyOrg', 'bafyOther'],
  ['recipient', 'neq', 'bafyOther', 'bafyOrg'],
  ['recipient', 'isAnyOf', ['bafyOrg'], []],
  ['recipient', 'isNoneOf', [], ['bafyOrg']],
  ['dateTime', 'lt', NOW + 1, NOW],
  ['dateTime', 'lteq', NOW, NOW - 1],
  ['dateTime', 'gt', NOW - 1, NOW],
  ['dateTime', 'gteq', NOW, NOW + 1],
  ['dateTime', 'eq', NOW, NOW + 1],
  ['dateTime', 'neq', NOW + 1, NOW],
]
test('the table covers every operand with each of its operators', () => {
  const rows = TABLE.map(([left, op]) => `${left} ${op}`).sort()
  assert.equal(
    rows,
    Object.entries(OPERANDS)
      .flatMap(([left, ops]) => ops.map(op => `${left} ${op}`))
      .sort(),
  )
})
for (const [left, op, holds, fails] of TABLE)
  test(`${left} ${op}`, () => {
    assert.is(decide(policy([rule('use', c(left, op, holds))])), 'permit')
    assert.is(decide(policy([rule('use', c(left, op, fails))])), 'deny')
    assert.is(decide(policy([rule('use')], [rule('use', c(left, op, holds))])), 'deny')
    assert.is(decide(policy([rule('use')], [rule('use', c(left, op, fails))])), 'permit')
  })

test('every constraint of a permission must hold, and every one of a prohibition for it to prohibit', () => {
  const [yes, no] = [c('purpose', 'eq', 'benchmark'), c('purpose', 'eq', 'x')]
  assert.is(decide(policy([rule('use', yes, no)])), 'deny')
  assert.is(decide(policy([rule('use', yes, yes)])), 'permit')
  assert.is(decide(policy([rule('use')], [rule('use', yes, no)])), 'permit')
})

const UNKNOWN: Constraint[] = [
  c('spatial', 'eq', 'DE'),
  c('count', 'lteq', 5),
  c('constructor', 'eq', 'x'),
  c('__proto__', 'eq', 'x'),
  c('purpose', 'lt', 'z'),
  c('purpose', 'isA', 'benchmark'),
  c('purpose', 'eq', 5),
  c('purpose', 'eq', ['benchmark']),
  c('purpose', 'isAnyOf', 'benchmark'),
  c('dateTime', 'lt', '2099-01-01'),
  c('dateTime', 'isAnyOf', ['x']),
  c('', '', ''),
]
test('what the evaluator does not know denies, in a permission and in a prohibition', () => {
  for (const unknown of UNKNOWN) {
    const { decision, denied, trace } = evaluate(policy([rule('use', unknown)]), ASK)
    assert.is(decision, 'deny', JSON.stringify(unknown))
    assert.is(denied!.holds, 'unknown')
    assert.ok(trace.includes(denied!))
    assert.is(decide(policy([rule('use')], [rule('use', unknown)])), 'deny', JSON.stringify(unknown))
    assert.is(
      decide(policy([rule('use', unknown), rule('use')])),
      'permit',
      'another permission is its own ground',
    )
  }
  for (const action of ['play', 'constructor', '__proto__', '']) {
    assert.is(decide(policy([rule(action)]), { action }), 'deny', action)
    assert.is(decide(policy([rule('use')]), { action }), 'deny', action)
    assert.is(
      decide(policy([rule('use')], [rule(action)])),
      'deny',
      `a prohibition of ${action} may include it`,
    )
  }
})

test('another profile is denied and is no record of this version', () => {
  const other = { n: 2, codes: PROFILE.codes }
  assert.is(decide({ ...policy([rule('use')]), profile: other }), 'deny')
  const codes = PROFILE.codes.map(byte => byte ^ 1)
  assert.is(decide({ ...policy([rule('use')]), profile: { n: 1, codes } }), 'deny')
  assert.throws(
    () => policyShape.check({ ...policy([]), profile: other } as unknown as Value, 'policy'),
    (error: unknown) => error instanceof Unknown,
  )
  assert.is(policyShape.check(policy([rule('use')]) as unknown as Value, 'policy'), undefined)
  assert.type(policyShape.check({ ...policy([]), duties: [] } as unknown as Value, 'policy'), 'string')
})

test('a denial names the clause, what was asked and what is allowed', () => {
  const { denied } = evaluate(
    policy([rule('use', c('dateTime', 'lt', NOW), c('purpose', 'isAnyOf', ['a', 'b']))]),
    ASK,
  )
  assert.equal(
    [denied!.clause, denied!.asked, denied!.allowed],
    ['permissions[0].constraints[0]', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'],
  )
  const none = evaluate(policy([]), ASK).denied!
  assert.equal([none.clause, none.asked, none.allowed], ['permissions', 'analyse', 'nothing'])
  const any = evaluate(policy([rule('use', c('purpose', 'isAnyOf', ['a', 'b']))]), ASK).denied!
  assert.is(any.allowed, 'a or b')
})

// Properties over policies of known and unknown words.

const word = fc.constantFrom(...Object.keys(ACTIONS), 'play', 'purpose', 'benchmark', 'x', '')
const constraint = fc.record({
  left: fc.constantFrom(...Object.keys(OPERANDS), 'spatial', 'count', 'constructor'),
  op: fc.constantFrom(...new Set(Object.values(OPERANDS).flat()), 'isA', ''),
  right: fc.oneof(word, fc.integer({ min: 0, max: 2 * NOW }), fc.array(word, { maxLength: 3 })),
})
const rules = fc.array(fc.record({ action: word, constraints: fc.array(constraint, { maxLength: 3 }) }), {
  maxLength: 4,
})
const policies = fc.record({ profile: fc.constant(PROFILE), permissions: rules, prohibitions: rules })
const requests = fc.record({
  action: word,
  purpose: word,
  recipient: word,
  dateTimeMs: fc.integer({ min: 0, max: 2 * NOW }),
})

test('a permit rests on a permission of which every clause holds, and on nothing unknown', () => {
  fc.assert(
    fc.property(policies, requests, (p, request) => {
      const { decision, denied, trace } = evaluate(p, request)
      if (decision === 'deny') return assert.ok(denied)
      assert.ok(Object.hasOwn(ACTIONS, request.action))
      assert.ok(p.prohibitions.every(({ action }) => Object.hasOwn(ACTIONS, action)))
      const grounds = p.permissions.findIndex((_, i) => {
        const clauses = trace.filter(
          ({ clause }) => clause === `permissions[${i}]` || clause.startsWith(`permissions[${i}].`),
        )
        return clauses.length > 0 && clauses.every(({ holds }) => holds === true)
      })
      assert.ok(grounds >= 0)
    }),
    { numRuns: 1_000 },
  )
})

test('more permissions never deny, more prohibitions never permit, and the outcome is the same each time', () => {
  fc.assert(
    fc.property(policies, policies, requests, (p, more, request) => {
      const before = evaluate(p, request)
      assert.equal(evaluate(p, request), before)
      const wider = evaluate({ ...p, permissions: [...p.permissions, ...more.permissions] }, request)
      const narrower = evaluate({ ...p, prohibitions: [...p.prohibitions, ...more.prohibitions] }, request)
      if (before.decision === 'permit') assert.is(wider.decision, 'permit')
      else assert.is(narrower.decision, 'deny')
    }),
    { numRuns: 1_000 },
  )
})

test('a policy has one encoding', () => {
  assert.ok(encode(policy([rule('use')]) as unknown as Value).length > 0)
})

test.run()
