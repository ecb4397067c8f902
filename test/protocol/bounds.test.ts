/** The bounds that cosignatures give, and their words (RULES D5). */
import * as assert from 'uvu/assert'
import { committeeOf } from '../../protocol/trust.ts'
import { boundWords, type Dated, notFinalBefore } from '../../protocol/verify-cosignatures.ts'
import { suite } from '../harness.ts'
import { check, detailOf, story } from './evidence-story.ts'

const test = suite('protocol/bounds')

const clocks = (k: number): Dated[] => Array.from({ length: k }, (_, i) => ({ name: `W${i}`, ms: 1_000 * i }))
const beforeOf = (n: number, k: number) =>
  notFinalBefore('it was not final before', {
    committee: committeeOf(n),
    dated: clocks(k),
    leftOut: [],
    hasEnded: false,
  })

test('what a head does not cover was not final while the others were no quorum, f of them lying', () => {
  for (let n = 1; n <= 13; n++) {
    const { f, q } = committeeOf(n)
    for (let k = 0; k <= n; k++) {
      const [words] = beforeOf(n, k)
      // So many of the k cosigned at T or later; of those f may have cosigned a larger head before, in secret.
      const least = Array.from({ length: k }, (_, i) => i + 1).find(later => n - later + f < q)
      assert.is(words === undefined, least === undefined, `${k} of ${n}`)
      if (!words || !least) continue
      const bound = new Date(1_000 * (k - least)).toISOString()
      assert.ok(words.startsWith(`it was not final before ${bound} `), `${k} of ${n}: ${words}`)
    }
  }
})

test('with f = 0 it is one clock’s word, and named so; with more the clocks are counted and named', () => {
  assert.equal(beforeOf(1, 1), ["it was not final before 1970-01-01T00:00:00.000Z by W0's clock"])
  assert.equal(beforeOf(2, 2), ["it was not final before 1970-01-01T00:00:01.000Z by W1's clock"])
  assert.equal(beforeOf(3, 3), ["it was not final before 1970-01-01T00:00:01.000Z by W1's clock"])
  assert.equal(beforeOf(4, 4), [
    'it was not final before 1970-01-01T00:00:01.000Z (3 of 4 clocks: W1, W2, W3)',
  ])
  assert.equal(beforeOf(4, 2), [])
  const { f } = committeeOf(4)
  const existed = boundWords('existed by', clocks(4).slice(0, f + 1), clocks(4)[f], committeeOf(4))
  assert.equal(existed, ['existed by 1970-01-01T00:00:01.000Z (2 of 4 clocks: W0, W1)'])
  assert.equal(boundWords('existed by', [], undefined, committeeOf(4)), [])
})

for (const [names, pattern] of [
  [['Cole Logistics'], /the agreement was not final before \S+ by Cole Logistics's clock/],
  [
    ['Cole', 'Dora', 'Eve', 'Finn'],
    /the agreement was not final before \S+ \(3 of 4 clocks: \w+, \w+, \w+\)/,
  ],
] as const)
  test(`evidence of an agreement says from both sides when it existed and was not final, with ${names.length}`, () => {
    const told = story({ witnesses: [...names] })
    const report = check(told.bytes, told)
    assert.is(report.verdict, 'verified')
    for (const side of ['provider', 'consumer'] as const) {
      const before = detailOf(report, `${side} staple`)!
      assert.match(before, pattern)
      const timeOf = (words: string, what: string) => Date.parse(words.split(`${what} `)[1]!.split(' ')[0]!)
      const existed = detailOf(report, `${side} position`)!
      assert.ok(timeOf(before, 'not final before') <= timeOf(existed, 'existed by'))
    }
  })

test.run()
