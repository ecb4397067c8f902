/** What a node says of the owners of an asset before it takes it is what `verify` says by the same trust afterwards. */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { encodeOwnership, verifyOwnership } from '../../protocol/ownership-evidence.ts'
import { committeeRule } from '../../protocol/ownership-trust.ts'
import { shownLinks } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { ownersDoubted } from '../../protocol/weakness.ts'
import { suite } from '../harness.ts'
import { Joint } from './joint-story.ts'
import { Ownership } from './ownership-story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/weakness')

/** What `by` says before it accepts, by a home that takes these to be under one control. */
function before(
  story: Ownership,
  by: Member,
  takers: Member[],
  control: string[][] = [],
): string | undefined {
  const { asset, version } = story.at(by)!
  const orgs = takers.map(({ env }) => env.self.id)
  return ownersDoubted({ asset, version }, orgs, committeeRule({ control }), by.env)
}

/** What evidence of it comes to for whoever trusts as `by` does. */
function after(
  story: Ownership,
  by: Member,
  partners: Member[],
  control: string[][] = [],
): string | undefined {
  const { links, identities } = shownLinks(by.knowing, story.asset, 0, 100)
  const trust = readTrust({
    schema: 'waybill.trust/1',
    identities: [by, ...partners].map(({ org }) => ({ id: org })),
    committees: [],
    certified: story.seats.map(({ org }) => org),
    control,
  })
  const { asset } = story as { asset: CID }
  const { steps } = verifyOwnership(
    encodeOwnership({ asset, links, identities, fresh: [], asOf: 0 }),
    trust,
    0,
  )
  const owners = steps.find(({ id }) => id === 'owners')!
  assert.is(owners.status, owners.detail === 'each is in the trust file' ? 'ok' : 'inconclusive')
  return owners.status === 'ok' ? undefined : owners.detail
}

test('an owner of before that is no partner', () => {
  const story = new Ownership()
  const { world, acme, bolt, seats } = story
  const jane = world.add('Jane SE')
  for (const each of [bolt, ...seats]) world.pair(jane, each)
  world.run(5_000)
  story.play().offer(jane, bolt)
  const said = before(story, jane, [jane])
  assert.is(said, `${acme.org} is no partner of this home`)
  story.accept(jane)
  assert.is(story.owner(jane), '2 Jane SE')
  // Its partners are whom its own trust file names.
  assert.is(after(story, jane, [bolt, ...seats]), `${acme.org} is not in the trust file`)
})

test('owners of before under one control, and two that are to own it; who sells to its own kin is not held against it', () => {
  const story = new Joint().joint()
  const { acme, jost, bolt, world } = story
  const kin = [[acme.org, jost.org]]
  story.sell(acme)
  story.order = story.wrote.get(acme)!
  const said = before(story, bolt, [bolt], kin)
  assert.match(said!, 'own it together, and are under the same control')
  assert.is(before(story, bolt, [bolt], [[acme.org, bolt.org]]), undefined)
  assert.match(before(story, bolt, [bolt, jost], [[bolt.org, jost.org]])!, 'own it together')
  story.yes(acme, jost).yes(acme, bolt)
  const others = world.members.filter(each => each !== bolt)
  assert.is(after(story, bolt, others, kin), said)
  assert.is(after(story, bolt, others), undefined)
})

test.run()
