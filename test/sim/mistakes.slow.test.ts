import * as assert from 'uvu/assert'
import { simulate } from '../../sim/run.ts'
import { suite } from '../harness.ts'
import { MISTAKES } from './plants.ts'

const test = suite('sim/mistakes')
const SEEDS = 40

for (const [name, { breaks, changes, ...planted }] of Object.entries(MISTAKES))
  test(`a node that ${name} is found`, () => {
    const options = { ...planted, changes: { nodes: 3, ...changes } }
    for (let seed = 1; seed <= SEEDS; seed++) if (breaks.test(simulate(seed, options).violation ?? '')) return
    assert.unreachable(`not in ${SEEDS} seeds`)
  }, 60_000)

test.run()
