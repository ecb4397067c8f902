import { suite } from '../harness.ts'
import { tell } from './betrayal.suite.ts'

const test = suite('sim/betrayal')

test('in a few stories of twins, liars, thieves and lost stores no protected log gets two histories', () => {
  tell(0, { least: 4, most: 12, forMs: 5_000 })
}, 110_000)

test.run()
