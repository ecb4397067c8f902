import * as assert from 'uvu/assert'
import { runSeeds } from '../../sim/seeds.ts'
import { suite } from '../harness.ts'

const test = suite('sim/liars')
/** As many as there is time for: the whole run is in bench/results/seeds.md. */
const FOR_MS = 30_000
const LEAST = 10

function batches(mixed: 'f' | 'f+1', first: number): { seeds: number; violations: number } {
  const endMs = performance.now() + FOR_MS
  const sum = { seeds: 0, violations: 0 }
  while (sum.seeds < LEAST || performance.now() < endMs) {
    const { seeds, violations } = runSeeds({ first: first + sum.seeds, count: 5, changes: {}, mixed })
    sum.seeds += seeds
    sum.violations += violations
  }
  console.log(`${sum.seeds} seeds, ${sum.violations} violations`)
  return sum
}

test('while f members of a committee lie, nothing is broken, whatever else goes wrong', () => {
  assert.is(batches('f', 50_000).violations, 0)
}, 300_000)

test('with one liar more it is, and it is seen', () => {
  assert.ok(batches('f+1', 60_000).violations > 0)
}, 300_000)

test.run()
