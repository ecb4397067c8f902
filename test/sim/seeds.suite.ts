/** Runs seeds for as long as there is time: a slow or busy machine runs fewer of them, but never fewer than `least`. */
import * as assert from 'uvu/assert'
import type { Plan } from '../../sim/plan.ts'
import { replay, simulate } from '../../sim/run.ts'

export interface Seeds {
  first: number
  least: number
  most: number
  forMs: number
  changes?: (seed: number) => Partial<Plan>
}

export function runSeeds({ first, least, most, forMs, changes = () => ({}) }: Seeds): void {
  const endMs = performance.now() + forMs
  let [count, agreements, deliveries, crashes] = [0, 0, 0, 0]
  for (; count < most && (count < least || performance.now() < endMs); count++) {
    const report = simulate(first + count, { changes: changes(first + count) })
    assert.not.ok(report.violation, replay(report))
    agreements += report.agreements
    deliveries += report.deliveries
    crashes += report.starts - report.plan.nodes
  }
  const done = `${count} seeds, ${agreements} agreements, ${deliveries} deliveries, ${crashes} crashes`
  console.log(done)
  // Otherwise nothing was put to the test.
  assert.ok(agreements > count && deliveries > count && crashes > count / 2, done)
}
