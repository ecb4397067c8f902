/** What tests of crashes share: the story, told by an operator who does not give up, and the ways in which a step is cut off. */
import * as assert from 'uvu/assert'
import { agreement } from '../../protocol/agreement.ts'
import { keptRecord } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import type { MessageOf } from '../../protocol/message.ts'
import { type Received, type Release, received, release } from '../../protocol/receipt.ts'
import { isStored, readRecord, type Stored, verifySignatures } from '../../protocol/record.ts'
import { Story } from './story.ts'
import type { Flight } from './world.ts'

/** What a crash of the receiver leaves: nothing of the step, what it wrote, or all of it. */
export const CRASHES = {
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

export type Crash = keyof typeof CRASHES
export const WAYS = Object.keys(CRASHES) as Crash[]

/** Runs until it is so, with what an operator would do again in between. */
function eventually(story: Story, what: string, holds: () => boolean, again: () => void = () => {}): void {
  for (let i = 0; i < 20 && !holds(); i++) {
    again()
    story.world.run(60_000)
  }
  assert.ok(holds(), `in the end: ${what}`)
}

/** The whole story with an operator who does not give up. */
export function finish(story: Story): void {
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
export function guardRelease(story: Story): void {
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

/** The receiver of each message of the story crashes over it, in each of the ways that `waysOf` names for it. */
export function crashOverEach(waysOf: (k: number) => Crash[]): void {
  const counted = new Story({ packets: 1 })
  finish(counted)
  const { length } = counted.world.wire
  assert.ok(length > 30, `${length} messages`)
  for (let k = 0; k < length; k++)
    for (const name of waysOf(k)) {
      const story = new Story({ packets: 1 })
      let count = 0
      story.world.intercept = flight => (count++ === k ? () => CRASHES[name](flight, story) : undefined)
      try {
        guardRelease(story)
        finish(story)
      } catch (error) {
        const { message } = counted.world.wire[k]!
        throw new Error(`a crash ${name} at message ${k}, about ${message.t}`, { cause: error })
      }
    }
}
