import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import { runSeeds } from './seeds.suite.ts'

const test = suite('sim/seeds, slow')

test('no promise is broken in a thousand seeds, or as many as there is time for, and all that was begun ends', () => {
  runSeeds({ first: 1_000, least: 60, most: 1_000, forMs: 60_000 })
}, 850_000)

test('hundreds of logs are put back and continued; each fork that somebody can see is closed', () => {
  const changes = (seed: number) => ({ nodes: 3 + (seed % 3), restores: 'somebody' as const, seated: false })
  assert.ok(runSeeds({ first: 5_000, least: 40, most: 600, forMs: 45_000, changes }) > 5)
}, 400_000)

test.run()
