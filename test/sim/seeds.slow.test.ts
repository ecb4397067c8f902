import { suite } from '../harness.ts'
import { runSeeds } from './seeds.suite.ts'

const test = suite('sim/seeds, slow')

test('no promise is broken in a thousand seeds, or as many as there is time for, and all that was begun ends', () => {
  runSeeds({ first: 1_000, least: 100, most: 1_000, forMs: 300_000 })
}, 850_000)

test.run()
