import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { remembering } from '../../protocol/remember.ts'
import { suite } from '../harness.ts'

const test = suite('protocol/remember')

function counted(most: number, maxBytes = 8) {
  const read: string[] = []
  const open = remembering({ most, maxBytes }, bytes => {
    read.push(String.fromCharCode(...bytes))
    return { first: bytes[0] }
  })
  return { read, open: (text: string) => open(utf8(text)) }
}

test('what was read is not read again, by its bytes and not by their array', () => {
  const { read, open } = counted(4)
  assert.is(open('a'), open('a'))
  assert.is(open('b').first, 98)
  assert.equal(read, ['a', 'b'])
})

test('bytes that were changed in their array are other bytes', () => {
  const open = remembering({ most: 4, maxBytes: 8 }, bytes => bytes[0])
  const bytes = utf8('a')
  assert.is(open(bytes), 97)
  bytes[0] = 98
  assert.is(open(bytes), 98)
})

test('no more are kept than were allowed, and nothing that is too long', () => {
  const { read, open } = counted(2)
  for (const text of ['a', 'b', 'c', 'b', 'a', '123456789', '123456789']) open(text)
  assert.equal(read, ['a', 'b', 'c', 'a', '123456789', '123456789'])
})

test.run()
