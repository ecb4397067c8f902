/** What a home believes of the seats of a committee by itself: the same in what it accepts and in its trust file (RULES E1, E4). */
import * as assert from 'uvu/assert'
import { seatsTrusted } from '../../protocol/own-trust.ts'
import { encodeOwnership, verifyOwnership } from '../../protocol/ownership-evidence.ts'
import { committeeRule } from '../../protocol/ownership-trust.ts'
import { shownLinks } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Ownership } from './ownership-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/own trust')
const orgs = (members: Member[]): string[] => members.map(({ org }) => org)

/** What somebody's evidence says of the committee by its own trust file. */
function ofCommittee(story: Ownership, by: Member, certified: string[], control: string[][] = []): string {
  const { links, identities } = shownLinks(by.knowing, story.asset, 0, 100)
  const trust = readTrust({
    schema: 'waybill.trust/1',
    identities: orgs(story.world.members).map(id => ({ id })),
    committees: [],
    ...seatsTrusted(by.org, { certified, control }),
  })
  const file = encodeOwnership({ asset: story.asset, links, identities, fresh: [], asOf: 0 })
  const { steps } = verifyOwnership(file, trust, story.world.wallMs)
  const { status, detail } = steps.find(({ id }) => id.startsWith('committee'))!
  return `${status}: ${detail}`
}

test('a home with a seat in the committee counts itself among those that it takes for certified', () => {
  const story = new Ownership().play()
  const [cole, ...others] = story.seats as [Member, ...Member[]]
  assert.match(ofCommittee(story, cole, orgs(others)), /^ok: Byzantine/)
  assert.match(ofCommittee(story, cole, orgs(story.seats)), /^ok: Byzantine/, 'once')
  assert.match(ofCommittee(story, cole, orgs(others.slice(1))), /^inconclusive: .* is not certified/)
  assert.match(ofCommittee(story, story.bolt, orgs(others)), /^inconclusive: .* is not certified/)
  assert.equal(
    seatsTrusted(cole.org, { certified: [], control: [] }),
    {},
    'nobody is certified by saying nothing',
  )
})

test('a buyer refuses seats under one control, as its trust file does', () => {
  const story = new Ownership().register().offer()
  const [one, other] = orgs(story.seats) as [string, string]
  const certified = orgs(story.seats)
  const take = (control: string[][]) => {
    const rule = committeeRule(seatsTrusted(story.bolt.org, { certified, control }))
    return story.bolt.input({ type: 'take-over', order: story.order, ...rule })
  }
  for (const control of [[[one, other]], [[story.acme.org, one]], [[story.bolt.org, one]]]) {
    throwsCode(() => take(control), 'MODE_WEAKER')
    assert.is(story.state(story.bolt), 'OFFERED')
  }
  take([[story.acme.org, story.bolt.org]])
  story.world.run()
  assert.is(story.owner(story.bolt), '1 Bolt GmbH')
  assert.match(ofCommittee(story, story.bolt, certified, [[one, other]]), /under one control/)
  assert.match(
    ofCommittee(story, story.bolt, certified, [[story.acme.org, one]]),
    /under the same control as/,
  )
  assert.match(ofCommittee(story, story.bolt, certified, [[one, story.acme.org]]), /^inconclusive/)
})

test.run()
