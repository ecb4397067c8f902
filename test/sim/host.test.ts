import * as assert from 'uvu/assert'
import { Host, Worker } from '../../sim/host.ts'
import { meter } from '../../sim/meter.ts'
import { Prng } from '../../sim/prng.ts'
import { type Profile, readProfile } from '../../sim/profile.ts'
import { Timeline } from '../../sim/timeline.ts'
import { suite } from '../harness.ts'
import { profileText } from './profile.fixture.ts'

const test = suite('sim/host')

/** A host whose verifications take 100 us and nothing else anything. */
function rig(cores: number, { crowded = [[1, 1]], beside = 0 }: Partial<Profile> = {}) {
  const profile = readProfile(profileText)
  for (const cost of Object.values(profile.work)) Object.assign(cost, { eachUs: 0, byteUs: 0 })
  profile.work.verify.eachUs = 100
  meter.price(profile)
  meter.charging = true
  const timeline = new Timeline()
  const host = new Host(timeline, { cores, crowded, beside, spread: [1] }, new Prng(1, 'host'))
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

test('the more nodes worked of late the longer everything takes, by what was measured for fewer and for more', () => {
  const crowded: Profile['crowded'] = [
    [1, 1],
    [2, 1.5],
    [4, 2.5],
  ]
  const { timeline, host, log, work } = rig(8, { crowded })
  const all = Array.from({ length: 6 }, () => new Worker(host))
  const run = (name: string, i: number) => all[i]!.run(work(name))
  for (const [i, name] of [...'abcdef'].entries()) timeline.at(i, () => run(name, i))
  timeline.at(500, () => run('again', 0))
  timeline.at(200_000, () => run('alone', 3))
  timeline.run(1e6, () => false)
  assert.equal(log, ['a 100', 'b 151', 'c 202', 'd 253', 'e 254', 'f 255', 'again 750', 'alone 200100'])
})

test('what threads beside the node do of its work takes a core, and the node does not wait for it', () => {
  const { timeline, host, log, work } = rig(2, { beside: 0.25 })
  const [one, other] = [new Worker(host), new Worker(host)]
  timeline.at(0, () => {
    for (const name of 'ab') one.run(work(name))
    other.run(work('c'))
  })
  timeline.run(1e6, () => false)
  // The other core does 25 us beside a before c begins, and 25 beside c before b.
  assert.equal(log, ['a 75', 'c 100', 'b 175'])
  assert.is(host.spentUs, 300)
  assert.equal([one.spentUs, other.spentUs], [200, 100])
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
