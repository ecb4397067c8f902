import * as assert from 'uvu/assert'
import { replay, simulate } from '../../sim/run.ts'
import { shrink } from '../../sim/shrink.ts'
import { suite } from '../harness.ts'
import { MISTAKES } from './plants.ts'

const test = suite('sim/shrink')
const { plant } = MISTAKES['sends before it writes']!

test('what was broken is broken in a smaller run too, whose line replays it', () => {
  const broken = simulate(4, { plant, changes: { nodes: 6, crashS: 5, cutS: 10 } })
  assert.match(broken.violation ?? 'nothing', /^promise 2 broken/)
  const small = shrink(broken, { plant })
  assert.match(small.violation ?? 'nothing', /^promise 2 broken/)
  assert.ok(small.plan.nodes < 6, `${small.plan.nodes} nodes`)
  assert.ok(small.plan.faultyS < broken.plan.faultyS)
  assert.is(small.plan.crashS + small.plan.cutS, 0)
  assert.ok(small.inputs <= broken.inputs)
  const [, seed, changes] = /--seed (\d+) --changes '(.*)'$/.exec(replay(small))!
  const again = simulate(Number(seed), { plant, changes: JSON.parse(changes!) })
  assert.is(again.violation, small.violation)
  assert.is(again.traceHash, small.traceHash)
})

test('of a run in which nothing broke nothing is left out', () => {
  const sound = simulate(1, { changes: { nodes: 3 } })
  assert.is(shrink(sound), sound)
})

test.run()
