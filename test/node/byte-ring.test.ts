import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { ByteRing } from '../../node/byte-ring.ts'
import { sameBytes, suite } from '../harness.ts'

const test = suite('byte ring')
const MAX = 300_000

test('gives what was put in, in order, in whatever steps', () => {
  const step = fc.record({ push: fc.nat(70_000), drop: fc.nat(70_000) })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const ring = new ByteRing(MAX)
      let [pushed, dropped] = [0, 0]
      for (const { push, drop } of steps) {
        const bytes = Uint8Array.from({ length: Math.min(push, MAX - ring.length) }, () => pushed++ % 251)
        ring.push(bytes)
        const seen = ring.peek(drop)
        for (const byte of seen) assert.is(byte, dropped++ % 251)
        ring.drop(seen.length)
        assert.is(ring.length, pushed - dropped)
      }
    }),
  )
})

test('what was given out stays when the ring grows', () => {
  const ring = new ByteRing(MAX)
  ring.push(new Uint8Array(65_536).fill(1))
  const seen = ring.peek(65_536)
  ring.push(new Uint8Array(65_536).fill(2))
  sameBytes(seen, new Uint8Array(65_536).fill(1))
})

test('takes no more than it may', () => {
  const ring = new ByteRing(MAX)
  ring.push(new Uint8Array(MAX))
  assert.throws(() => ring.push(new Uint8Array(1)), /no room/)
  ring.clear()
  ring.push(new Uint8Array(MAX))
})

test.run()
