import * as assert from 'uvu/assert'
import { replay, simulate } from '../../sim/run.ts'
import { suite } from '../harness.ts'

const test = suite('sim/seeds')
const SEEDS = 60

test('one seed is one run: the same hash over everything that happened', () => {
  for (const seed of [1, 2, 3]) {
    const [one, other] = [simulate(seed), simulate(seed)]
    assert.equal(one, other)
    assert.not.equal(one.traceHash, simulate(seed + 1).traceHash)
  }
})

test(`${SEEDS} seeds: no promise is broken, and all that was begun ends`, () => {
  let [agreements, deliveries, starts] = [0, 0, 0]
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = simulate(seed)
    assert.not.ok(report.violation, replay(report))
    agreements += report.agreements
    deliveries += report.deliveries
    starts += report.starts - report.plan.nodes
  }
  // Otherwise nothing was put to the test.
  assert.ok(
    agreements > SEEDS && deliveries > SEEDS && starts > SEEDS,
    `${agreements} ${deliveries} ${starts}`,
  )
}, 110_000)

test.run()
