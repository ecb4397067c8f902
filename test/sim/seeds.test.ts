import * as assert from 'uvu/assert'
import { simulate } from '../../sim/run.ts'
import { suite } from '../harness.ts'
import { runSeeds } from './seeds.suite.ts'

const test = suite('sim/seeds')

test('one seed is one run: the same hash over everything that happened', () => {
  const hashes = [1, 2].map(seed => {
    const [one, other] = [simulate(seed), simulate(seed)]
    assert.equal(one, other)
    return one.traceHash
  })
  assert.not.equal(hashes[0], hashes[1])
})

test('no promise is broken in a hundred seeds, or as many as there is time for, and all that was begun ends', () => {
  const changes = (seed: number) => ({ nodes: 3 + (seed % 2) })
  runSeeds({ first: 1, least: 8, most: 100, forMs: 4_000, changes })
}, 110_000)

test('a log that was put back and continued is found out, proven and closed by everybody it still knows', () => {
  const changes = (seed: number) => ({ nodes: 3 + (seed % 2), restores: 'somebody' as const, seated: false })
  assert.ok(runSeeds({ first: 1, least: 12, most: 40, forMs: 4_000, changes }) > 0)
}, 110_000)

test('a member that holds another history says so once, and is not asked in circles', () => {
  const { inputs, violation } = simulate(1_028)
  assert.is(violation, undefined)
  assert.ok(inputs < 10_000, `${inputs} inputs`)
})

test.run()
