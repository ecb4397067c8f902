/** Ownership while messages are lost, late or doubled, and while whoever gets one crashes over it. */
import * as assert from 'uvu/assert'
import { OTHERS_ASKED_MS } from '../../protocol/limits.ts'
import type { MessageType } from '../../protocol/message.ts'
import type { suite } from '../harness.ts'
import { juries, Ownership } from './ownership-story.ts'

type Suite = ReturnType<typeof suite>

/** The whole play, with the time that resends take. */
function patiently(bend: (story: Ownership) => void): Ownership {
  const story = new Ownership()
  bend(story)
  story.jury = story.assemble()
  story.world.run(600_000)
  story.jury ??= juries(story.acme)[0]!
  story.register()
  story.world.run(600_000)
  story.offer()
  story.world.run(600_000)
  story.accept()
  story.world.run(600_000)
  return story
}

function isHandedOver(story: Ownership, what: string): void {
  assert.is(story.owner(story.bolt), '1 Bolt GmbH', what)
  assert.is(story.owner(story.acme), '1 Bolt GmbH', what)
  story.check()
}

const BENDS: Record<string, (type: MessageType) => (story: Ownership) => void> = {
  'comes twice': type => story => {
    story.world.bend = message => (message.t === type ? 2 : 1)
  },
  'comes late': type => story => {
    story.world.delay = message => (message.t === type ? 7_000 : 0)
  },
  'is lost once': type => story => {
    let lost = false
    story.world.bend = message => {
      if (message.t !== type || lost) return 1
      lost = true
      return 0
    }
  },
}

/** Votes come so late that the buyer is sent the order before its certificate. */
function hesitate({ world }: Ownership): void {
  const { delay } = world
  world.delay = (...of) => (of[0].t === 'vote/cast' ? 2 * OTHERS_ASKED_MS : delay(...of))
}

export function disturbed(test: Suite, types: MessageType[]): void {
  for (const type of types)
    for (const [what, bend] of Object.entries(BENDS))
      test(`${type} ${what}, and again when all is over: nothing changes`, () => {
        const story = patiently(story => {
          bend(type)(story)
          if (type === 'handover/signed') hesitate(story)
        })
        assert.ok(story.sent(type).length > 0, `${type} is sent`)
        isHandedOver(story, what)
        for (const flight of story.world.wire.filter(({ message }) => message.t === type))
          story.world.hand(flight)
        story.world.run()
        isHandedOver(story, 'again')
      })
}

/** Whoever gets the k-th message crashes between its commit and what it would have sent. */
export function restarted(test: Suite, places: number[]): void {
  for (const k of places)
    test(`whoever gets message ${k} crashes over it and goes on`, () => {
      let count = 0
      const story = patiently(({ world }) => {
        world.intercept = flight =>
          count++ === k
            ? () => {
                flight.to.leaves = false
                world.hand(flight)
                flight.to.restart()
              }
            : undefined
      })
      isHandedOver(story, `message ${k}`)
    })
}
