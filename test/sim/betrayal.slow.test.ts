import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import { tell } from './betrayal.suite.ts'

const test = suite('sim/betrayal, slow')
const [FIRST, COUNT] = [1_000, 300]

test('in three hundred stories no log that is protected gets two histories, and every log goes on in the end', () => {
  const { behind, closed, succeeded, alone } = tell(FIRST, COUNT)
  // Otherwise nothing was put to the test.
  assert.ok(behind > 50 && closed > 30 && succeeded > 100 && alone > 5)
}, 800_000)

test.run()
