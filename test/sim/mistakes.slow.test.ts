import * as assert from 'uvu/assert'
import { simulateOwnership } from '../../sim/ownership-run.ts'
import { simulate } from '../../sim/run.ts'
import { suite } from '../harness.ts'
import { MISTAKES, OWNERSHIP_MISTAKES, TWINS } from './plants.ts'

const test = suite('sim/mistakes')
const SEEDS = 40

for (const [name, { breaks, changes, ...planted }] of Object.entries(MISTAKES))
  test(`a node that ${name} is found`, () => {
    const options = { ...planted, changes: { nodes: 3, ...changes } }
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation = '' } = simulate(seed, options)
      if (!breaks.test(violation)) continue
      console.log(`${name}: seed ${seed}`)
      return
    }
    assert.unreachable(`not in ${SEEDS} seeds`)
  }, 120_000)

for (const [name, { breaks, changes, plant }] of Object.entries(OWNERSHIP_MISTAKES))
  test(`a seat that ${name} is found`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { violation = '' } = simulateOwnership(seed, plant, changes)
      if (!breaks.test(violation)) continue
      console.log(`${name}: seed ${seed}`)
      return
    }
    assert.unreachable(`not in ${SEEDS} seeds`)
  }, 120_000)

test('members of whom more lie than the committee bears let two histories out, and it is seen', () => {
  const changes = { ...TWINS, liars: 'too many', isControl: true } as const
  for (let seed = 1; seed <= SEEDS; seed++)
    if (/^promise 3 .*contradicts/.test(simulate(seed, { changes }).violation ?? '')) return
  assert.unreachable(`not in ${SEEDS} seeds`)
}, 120_000)

test.run()
