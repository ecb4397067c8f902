import { suite } from '../harness.ts'
import { runOwnership } from './ownership-seeds.suite.ts'

const test = suite('sim/ownership seeds, slow')

test('in a thousand seeds, or as many as there is time for, no seat votes twice and all that was signed is certified', () => {
  runOwnership({ first: 100, least: 20, most: 1_000, forMs: 60_000 })
}, 600_000)

test.run()
