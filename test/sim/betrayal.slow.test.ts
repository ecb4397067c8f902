import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import { tell } from './betrayal.suite.ts'

const test = suite('sim/betrayal, slow')

test('in three hundred stories, or as many as there is time for, no protected log gets two histories, and every log goes on', () => {
  const { seeds, behind, closed, succeeded, alone } = tell(1_000, { least: 100, most: 300, forMs: 150_000 })
  // Otherwise nothing was put to the test.
  assert.ok(behind > seeds / 8 && closed > seeds / 16 && succeeded > seeds / 4 && alone > 0)
}, 800_000)

test.run()
