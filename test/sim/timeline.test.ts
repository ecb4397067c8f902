import * as assert from 'uvu/assert'
import { Prng } from '../../sim/prng.ts'
import { Timeline } from '../../sim/timeline.ts'
import { suite } from '../harness.ts'

const test = suite('sim/timeline')
const never = () => false

test('works come in order of time, and at one time in the order in which they were asked for', () => {
  const [timeline, prng] = [new Timeline(), new Prng(1, 'test')]
  const done: [number, number][] = []
  for (let i = 0; i < 1_000; i++) {
    const atUs = prng.below(50)
    timeline.at(atUs, () => done.push([atUs, i]))
  }
  timeline.run(100, never)
  assert.equal(
    done,
    [...done].sort(([a, i], [b, j]) => a - b || i - j),
  )
  assert.is(done.length, 1_000)
  assert.is(timeline.nowUs, 100)
})

test('a work may ask for more; what is past comes now, and a halt leaves the time where it is', () => {
  const timeline = new Timeline()
  const done: string[] = []
  timeline.at(10, () => {
    timeline.at(5, () => done.push(`past at ${timeline.nowUs}`))
    timeline.after(3, () => done.push('later'))
  })
  timeline.at(20, () => done.push('beyond'))
  timeline.run(15, never)
  assert.equal(done, ['past at 10', 'later'])
  timeline.run(30, () => true)
  assert.is(timeline.nowUs, 15)
  assert.is(timeline.length, 1)
})

test('a purpose has its own chance, the same for the same seed', () => {
  const draw = (seed: number, purpose: string) => {
    const prng = new Prng(seed, purpose)
    return Array.from({ length: 8 }, () => prng.next())
  }
  assert.equal(draw(7, 'network'), draw(7, 'network'))
  assert.not.equal(draw(7, 'network'), draw(7, 'disk'))
  assert.not.equal(draw(7, 'network'), draw(8, 'network'))
  const prng = new Prng(7, 'dice')
  const counts = new Array(6).fill(0)
  for (let i = 0; i < 60_000; i++) counts[prng.below(6)]++
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, `${counts}`)
})

test.run()
