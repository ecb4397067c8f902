import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { KEY } from '../../protocol/layout.ts'
import { suite } from '../harness.ts'
import { CRASHES, type Crash, crashOverEach, finish, guardRelease, WAYS } from './restart.suite.ts'
import { Story } from './story.ts'

const test = suite('protocol/restart')

test('the receiver of any message may crash over it: every fourth in one way; the slow tests know all', () => {
  crashOverEach(k => (k % 4 === 0 ? [WAYS[(k / 4) % WAYS.length]!] : []))
})

test('everybody restarts at every pause', () => {
  const story = new Story({ packets: 3 })
  const run = story.world.run.bind(story.world)
  story.world.run = ms => {
    for (let i = 0; i < 3; i++) {
      run((ms ?? 60_000) / 3)
      for (const member of story.world.members) member.restart()
    }
  }
  finish(story)
})

// Promise 1 over random schedules.

type Fate = 'arrives' | 'drop' | 'twice' | 'late' | Crash
const fate = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Fate>('arrives') },
  { weight: 5, arbitrary: fc.constantFrom<Fate>('drop', 'twice', 'late') },
  { weight: 2, arbitrary: fc.constantFrom(...WAYS) },
)

test('under any schedule no key leaves too early, nothing acknowledged is lost, and healed it completes', () => {
  const schedules = fc.record({
    fates: fc.array(fate, { minLength: 20, maxLength: 120 }),
    delays: fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 }),
  })
  fc.assert(
    fc.property(schedules, ({ fates, delays }) => {
      const story = new Story({ packets: 2 })
      const { world } = story
      let [sent, handed] = [0, 0]
      const next = (at: number) => fates[at] ?? 'arrives'
      const acknowledged: (() => boolean)[] = []
      world.bend = message => {
        acknowledged.push(...promises(story, message.t))
        const is = next(sent++)
        return is === 'drop' ? 0 : is === 'twice' ? 2 : 1
      }
      guardRelease(story)
      world.delay = () => (next(sent - 1) === 'late' ? delays[sent % delays.length]! : 0)
      world.intercept = flight => {
        const is = next(handed++)
        return is in CRASHES ? () => CRASHES[is as Crash](flight, story) : undefined
      }
      finish(story)
      for (const kept of acknowledged) assert.ok(kept(), 'what was acknowledged is there')
    }),
    { numRuns: 20, endOnFailure: true },
  )
})

/** What each acknowledgement says the sender holds for good. */
function promises({ acme, bolt }: Story, type: string): (() => boolean)[] {
  const stands = (member: typeof acme, prefix: string) => {
    const keys = [...member.store.keys()].filter(key => key.startsWith(prefix))
    assert.ok(keys.length > 0, `${type} is sent after its writes`)
    return [() => keys.every(key => member.store.has(key))]
  }
  if (type === 'negotiation/verify') return stands(bolt, KEY.grants)
  if (type === 'negotiation/finalize') return stands(acme, KEY.grants)
  if (type === 'delivery/release' || type === 'delivery/done') return stands(acme, KEY.deliveries)
  return []
}

test.run()
