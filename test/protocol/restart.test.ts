import fc from 'fast-check'
import * as assert from 'uvu/assert'
import { agreement } from '../../protocol/agreement.ts'
import { keptRecord } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import type { MessageOf } from '../../protocol/message.ts'
import { type Received, type Release, received, release } from '../../protocol/receipt.ts'
import { isStored, readRecord, type Stored, verifySignatures } from '../../protocol/record.ts'
import { suite } from '../harness.ts'
import { Story } from './story.ts'
import type { Flight } from './world.ts'

const test = suite('protocol/restart')

/** What a crash of the receiver leaves: nothing of the step, what it wrote, or all of it. */
const CRASHES = {
  'before its commit': ({ to }: Flight) => to.restart(),
  'between commit and sending': (flight: Flight, story: Story) => {
    flight.to.leaves = false
    story.world.hand(flight)
    flight.to.restart()
  },
  'after sending': (flight: Flight, story: Story) => {
    story.world.hand(flight)
    flight.to.restart()
  },
}

/** Runs until it is so, with what an operator would do again in between. */
function eventually(story: Story, what: string, holds: () => boolean, again: () => void = () => {}): void {
  for (let i = 0; i < 20 && !holds(); i++) {
    again()
    story.world.run(60_000)
  }
  assert.ok(holds(), `in the end: ${what}`)
}

/** The whole story with an operator who does not give up. */
function finish(story: Story): void {
  story.pair().publish()
  eventually(story, 'the offer is known', () => story.read())
  story.request()
  eventually(
    story,
    'both are final',
    () => story.negotiation() === 'FINALIZED FINALIZED',
    () => story.decide(),
  )
  story.bolt.input({ type: 'transfer', org: story.acme.org, agreement: story.agreement! })
  eventually(story, 'all is delivered', () => story.transfers() === 'COMPLETED COMPLETED')
  eventually(story, 'all is cosigned', () => story.acme.stateOf('open/', () => 1).length === 0)
  story.prove().complete()
}

/** Promise 1, at the moment a release is sent: agreement with both signatures and the receipt are in the store. */
function guardRelease(story: Story): void {
  const { bend } = story.world
  story.world.bend = (message, from, to) => {
    if (message.t === 'delivery/release') assertReleasable(story, message)
    return bend(message, from, to)
  }
}

function assertReleasable({ acme, bolt }: Story, message: MessageOf<'delivery/release'>): void {
  const { payload } = readRecord(release, message.release) as Stored<Release>
  const granted = readRecord(agreement, acme.store.get(KEY.grant(bolt.org, payload.agreement))!)
  assert.ok(isStored(granted), 'a release under an agreement that is stored')
  const keys = (org: { toString(): string }) =>
    (org.toString() === acme.org ? acme : bolt).env.keys.operation.public
  assert.is(verifySignatures(agreement, granted, keys).ok, true, 'with both signatures')
  const receipt = readRecord(received, keptRecord(acme.env, payload.receipt)!) as Stored<Received>
  assert.is(verifySignatures(received, receipt, keys).ok, true, 'and after the receipt')
}

test('the receiver of any message may crash over it', () => {
  const counted = new Story({ packets: 1 })
  finish(counted)
  const { length } = counted.world.wire
  assert.ok(length > 30, `${length} messages`)
  for (const [name, crash] of Object.entries(CRASHES))
    for (let k = 0; k < length; k++) {
      const story = new Story({ packets: 1 })
      let count = 0
      story.world.intercept = flight => (count++ === k ? () => crash(flight, story) : undefined)
      try {
        guardRelease(story)
        finish(story)
      } catch (error) {
        const { message } = counted.world.wire[k]!
        throw new Error(`a crash ${name} at message ${k}, about ${message.t}`, { cause: error })
      }
    }
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

type Fate = 'arrives' | 'drop' | 'twice' | 'late' | keyof typeof CRASHES
const fate = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Fate>('arrives') },
  { weight: 5, arbitrary: fc.constantFrom<Fate>('drop', 'twice', 'late') },
  { weight: 2, arbitrary: fc.constantFrom(...(Object.keys(CRASHES) as Fate[])) },
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
        return is in CRASHES ? () => CRASHES[is as keyof typeof CRASHES](flight, story) : undefined
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
