import { suite } from '../harness.ts'
import { crashOverEach, WAYS } from './restart.suite.ts'

const test = suite('protocol/restart, every way')

test('the receiver of any message may crash over it in any way', () => {
  crashOverEach(() => WAYS)
}, 300_000)

test.run()
