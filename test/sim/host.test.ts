import * as assert from 'uvu/assert'
import { Host, Worker } from '../../sim/host.ts'
import { meter } from '../../sim/meter.ts'
import { Prng } from '../../sim/prng.ts'
import { readProfile } from '../../sim/profile.ts'
import { Timeline } from '../../sim/timeline.ts'
import { suite } from '../harness.ts'
import { profileText } from './profile.fixture.ts'

const test = suite('sim/host')

/** A host whose verifications take 100 us and nothing else anything. */
function rig(cores: number) {
  const profile = readProfile(profileText)
  for (const cost of Object.values(profile.work)) Object.assign(cost, { eachUs: 0, byteUs: 0 })
  profile.work.verify.eachUs = 100
  meter.price(profile)
  meter.charging = true
  const timeline = new Timeline()
  const host = new Host(timeline, cores, [1], new Prng(1, 'host'))
  const log: string[] = []
  const work = (name: string) => () => {
    meter.charge('verify')
    timeline.after(0, () => log.push(`${name} ${timeline.nowUs}`))
  }
  return { timeline, host, log, work }
}

test.after(() => {
  meter.charging = false
})

test('a node does one thing after the other, and what leaves it leaves when it is over', () => {
  const { timeline, host, log, work } = rig(2)
  const node = new Worker(host)
  timeline.at(1_000, () => {
    for (const name of 'abc') node.run(work(name))
  })
  timeline.run(1e6, () => false)
  assert.equal(log, ['a 1100', 'b 1200', 'c 1300'])
  assert.is(node.spentUs, 300)
})

test('a host does as many things as it has cores, for all its nodes', () => {
  const { timeline, host, log, work } = rig(2)
  timeline.at(0, () => {
    for (const name of 'abcde') new Worker(host).run(work(name))
  })
  timeline.run(1e6, () => false)
  assert.equal(log, ['a 100', 'b 100', 'c 200', 'd 200', 'e 300'])
  assert.is(host.spentUs, 500)
})

test('a thread beside the node waits for a core and not for the node; work within a turn is of it', () => {
  const { timeline, host, log, work } = rig(2)
  const node = new Worker(host)
  timeline.at(0, () =>
    node.run(() => {
      work('outer')()
      node.aside(work('aside'))
      node.run(work('inner'))
    }),
  )
  timeline.run(1e6, () => false)
  assert.equal(log.sort(), ['aside 200', 'inner 200', 'outer 100'])
  assert.is(node.freeUs, 200)
})

test('a disk syncs for one node at a time, and only while work takes time', () => {
  const { timeline, host } = rig(2)
  const [one, other] = [new Worker(host), new Worker(host)]
  const took: number[] = []
  timeline.at(0, () => took.push(one.sync(300), other.sync(200)))
  timeline.at(1_000, () => took.push(other.sync(100)))
  timeline.run(1e6, () => false)
  assert.equal(took, [300, 500, 100])
  meter.charging = false
  assert.equal([one.sync(300), other.sync(200)], [300, 200])
})

test('what is free is not charged, and nothing is outside of a turn', () => {
  const { timeline, host } = rig(1)
  const node = new Worker(host)
  meter.charge('verify')
  timeline.at(0, () => node.run(() => meter.free(() => meter.charge('verify'))))
  timeline.run(1e6, () => false)
  assert.equal([node.spentUs, meter.us], [0, 0])
})

test.run()
