import * as assert from 'uvu/assert'
import { replay, simulate } from '../../sim/run.ts'
import { suite } from '../harness.ts'

const test = suite('sim/seeds, slow')
const [FIRST, SEEDS] = [1_000, 600]

test(`${SEEDS} seeds: no promise is broken, and all that was begun ends`, () => {
  for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
    const report = simulate(seed)
    assert.not.ok(report.violation, replay(report))
  }
}, 800_000)

test.run()
