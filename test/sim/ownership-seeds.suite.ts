/** Runs seeds of ownership for as long as there is time, but never fewer than `least`. */
import * as assert from 'uvu/assert'
import { simulateOwnership } from '../../sim/ownership-run.ts'

export interface Seeds {
  first: number
  least: number
  most: number
  forMs: number
}

export function runOwnership({ first, least, most, forMs }: Seeds): void {
  const endMs = performance.now() + forMs
  let [count, certified, frozen, crashes, reseated, agreed, joint, bought] = [0, 0, 0, 0, 0, 0, 0, 0]
  for (; count < most && (count < least || performance.now() < endMs); count++) {
    const report = simulateOwnership(first + count)
    assert.not.ok(report.violation, `seed ${report.seed}: ${report.violation}`)
    certified += report.certified
    frozen += report.frozen > 0 ? 1 : 0
    crashes += report.starts - report.nodes
    reseated += report.reseated
    agreed += report.agreed
    joint += report.joint
    bought += report.bought
  }
  const done = `${count} seeds, ${certified} certificates, ${reseated} of them of another committee, ${joint} of several owners, ${bought} of what was bought, ${agreed} agreements, ${crashes} crashes, ${frozen} with a frozen asset`
  console.log(done)
  // Otherwise nothing was put to the test.
  assert.ok(certified > 4 * count && reseated > 0 && agreed > 0 && joint > 0, done)
  assert.ok(bought > 0 || count < 20, done)
}
