/** The model check of the voter: nobody sells twice, and with a rule switched off the check sees that somebody can. */
import * as assert from 'uvu/assert'
import { check, type Rules, SHIPPED } from '../../sim/ownership-check.ts'
import { suite } from '../harness.ts'

const test = suite('sim/ownership')

test('in no world of up to three seats are two orders of one version certified', () => {
  const { worlds, violations } = check(SHIPPED, 3)
  console.log(`${worlds} worlds`)
  assert.ok(worlds > 10_000)
  assert.is(violations, 0)
})

for (const rule of Object.keys(SHIPPED) as (keyof Rules)[])
  test(`without the rule '${rule}' there is a world with two certificates`, () => {
    assert.ok(check({ ...SHIPPED, [rule]: false }, 3).violations > 0)
  })

test.run()
