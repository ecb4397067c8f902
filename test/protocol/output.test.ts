import * as assert from 'uvu/assert'
import { join, nothing } from '../../protocol/output.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/output')
const [one, two] = [Uint8Array.of(1), Uint8Array.of(2)]
const writing = (...writes: ReturnType<typeof nothing>['writes']) => ({ ...nothing(), writes })

test('a key that two outputs write keeps the first condition and takes the last value', () => {
  const first = writing({ key: 'a', value: one, if: 'absent' }, { key: 'b', value: one })
  const second = writing({ key: 'a', value: two, if: { equals: one } }, { key: 'b' })
  assert.equal(join(first, second).writes, [{ key: 'a', value: two, if: 'absent' }, { key: 'b' }])
})

test('sends, events and deadlines keep their order', () => {
  const output = (machine: string) => ({ ...nothing(), deadlines: [{ machine, atMs: 1 }] })
  assert.equal(
    join(output('a'), output('b')).deadlines.map(({ machine }) => machine),
    ['a', 'b'],
  )
})

test.run()
