/**
 * Data of another, registered as one's own (RULES E2): no seat sees content, so a registration is a recorded right and rests on
 * the word of who registers. What there is against it comes with the content: the same digest, once both are opened.
 */
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import type { CID } from '../../crypto/cid.ts'
import { sha256 } from '../../crypto/hash.ts'
import type { Answer } from '../../protocol/command.ts'
import type { Registration } from '../../protocol/handover.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Negotiation } from '../../protocol/negotiation-state.ts'
import { orderIn, readOrdering } from '../../protocol/ordering-state.ts'
import { encodeOwnership, verifyOwnership } from '../../protocol/ownership-evidence.ts'
import { show } from '../../protocol/parties.ts'
import type { Unread } from '../../protocol/record.ts'
import { contentCommitment, opens, plainDigest } from '../../protocol/registered.ts'
import {
  bothRegistered,
  encodeRegistered,
  type RegisteredReport,
  verifyRegistered,
} from '../../protocol/registered-twice.ts'
import { shownLinks } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Ownership, ordered } from './ownership-story.ts'
import { DAY_MS, POLICY } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/licensed data')

type Of<T extends Answer['type']> = Extract<Answer, { type: T }>
type Came = Pick<Registration, 'title'> & { bought?: CID }

const CONTENT = [0, 1].map(i => utf8(`hour ${i} of press 4`))
/** The same for whoever has the content. */
const PLAIN = plainDigest(CONTENT.map(bytes => sha256(bytes)))
const LICENSE = {
  ...POLICY,
  permissions: [{ action: 'use', constraints: [] }],
  prohibitions: [{ action: 'distribute', constraints: [] }],
}

/** Acme has registered its data, and Bolt has them under an agreement that lets it give them to nobody. */
class Licensed extends Ownership {
  readonly salts = new Map<string, Uint8Array>()

  constructor() {
    super()
    this.jury = this.assemble()
    this.enter(this.acme, { title: 'made' })
    const { acme, bolt, world } = this
    const about = { audience: [bolt.env.self.id], approval: 'policy' as const, policy: LICENSE }
    const untilMs = world.wallMs + DAY_MS
    const { offer } = acme.input({ type: 'offer', asset: this.asset, ...about, untilMs }) as Of<'offered'>
    bolt.input({ type: 'catalog', org: acme.org })
    world.run(10_000)
    const ask = { type: 'request', org: acme.org, offer, action: 'use', purpose: 'x' } as const
    const { machine } = bolt.input(ask) as Of<'machine'>
    world.run(10_000)
    this.agreement = decodeState<Negotiation>(bolt.store.get(machine)!).agreementId!
    bolt.input({ type: 'transfer', org: acme.org, agreement: this.agreement })
    world.run(60_000)
    const got = bolt.stateOf(KEY.deliveries, stored => decodeState<{ state: string }>(stored))
    assert.equal(
      got.map(({ state }) => state),
      ['DONE', 'DONE'],
    )
  }
  readonly agreement: CID

  /** Publishes this content and registers it; who votes on it, it chooses itself. */
  enter(by: Member, came: Came, ref = `data of ${by.org}`): CID {
    const committee = by === this.acme ? this.jury : this.assemble(this.seats, by)
    const packets = CONTENT.map((bytes, i) => by.draft(`${ref} ${i}`, bytes))
    const about = { title: ref, domain: 'production', level: 'general', committee, packets } as const
    const { asset } = by.input({ type: 'publish', ...about }) as Of<'published'>
    const salt = sha256(utf8(ref))
    const content = contentCommitment(salt, PLAIN)
    this.asset = asset
    this.order = ordered(by.input({ type: 'register', asset, committee, ref, content, ...came }))
    this.salts.set(this.order.toString(), salt)
    this.world.run()
    return this.order
  }

  /** What an owner opens of an order of its own. */
  disclosed(by: Member, order: CID): Uint8Array {
    const registration = readOrdering(by.env.get, order)!.order
    const opened = [{ registration, salt: this.salts.get(order.toString())!, plain: PLAIN }]
    return encodeRegistered({ opened, identities: show([by.env.self.id], by.knowing) })
  }

  get trust() {
    return readTrust({
      schema: 'waybill.trust/1',
      identities: this.world.members.map(({ org }) => ({ id: org })),
      committees: [],
      certified: this.seats.map(({ org }) => org),
    })
  }

  opened(file: Uint8Array): RegisteredReport {
    return verifyRegistered(file, this.trust, this.world.wallMs)
  }

  /** What evidence of who owns the last asset says of its registration. */
  said(by: Member): string {
    const file = { asset: this.asset, ...shownLinks(by.knowing, this.asset, 0, 9), fresh: [], asOf: 0 }
    const { steps } = verifyOwnership(encodeOwnership(file), this.trust, this.world.wallMs)
    const { status, detail } = steps.find(({ id }) => id === 'registration')!
    return `${status}: ${detail}`
  }
}

test('licensed data that is registered as made is certified on the word of who registers it, and takes nothing from anybody', () => {
  const story = new Licensed()
  const { acme, bolt } = story
  const [first, of] = [story.order, story.asset]
  const second = story.enter(bolt, { title: 'made' })
  assert.is(story.owner(story.seats[0]!), '0 Bolt GmbH', 'no seat sees content')
  assert.is(story.said(bolt), `ok: to ${bolt.org}`)
  story.asset = of
  assert.is(story.owner(story.seats[0]!), '0 Acme Steel')

  // Opened, they say the same of the content, and convict nobody: two owners may have the same.
  const [one, other] = [story.disclosed(acme, first), story.disclosed(bolt, second)]
  for (const file of [one, other]) assert.is(story.opened(file).verdict, 'verified')
  const both = bothRegistered(one, other) as Unread
  assert.equal([both.ok, both.reason], [false, 'they are not of one owner, one content and two assets'])

  // What Bolt was given under the agreement opens what it says that it made, and it can say nothing else of it.
  const { payload } = orderIn(readOrdering(bolt.env.get, second)!).record
  assert.ok(opens({ salt: story.salts.get(second.toString())!, plain: PLAIN }, payload as Registration))
  const another = plainDigest([sha256(utf8('of its own'))])
  assert.not(opens({ salt: story.salts.get(second.toString())!, plain: another }, payload as Registration))
  story.check()
})

test('who registers licensed data twice has broken its own warranty', () => {
  const story = new Licensed()
  const { bolt } = story
  const made = story.enter(bolt, { title: 'made' })
  const again = story.enter(bolt, { title: 'made' }, 'under another name')
  const proof = bothRegistered(story.disclosed(bolt, made), story.disclosed(bolt, again)) as Uint8Array
  const { verdict, claim } = story.opened(proof)
  assert.equal([verdict, claim?.twice, claim?.owner], ['verified', true, bolt.org])
  story.check()
})

test('an agreement is no purchase: what was licensed is registered as bought by nobody', () => {
  const story = new Licensed()
  const { bolt, agreement } = story
  // An agreement is no hand-over; nor is what nobody has ever signed, nor what another registered.
  for (const bought of [agreement, story.jury, story.order])
    throwsCode(() => story.enter(bolt, { title: 'bought', bought }, `bought by ${bought}`), 'NOT_FOUND')
  // What contradicts itself is refused: a purchase of nothing, and what was made and bought.
  throwsCode(() => story.enter(bolt, { title: 'bought' }, 'of nothing'), 'RECORD_INVALID')
  throwsCode(() => story.enter(bolt, { title: 'made', bought: agreement }, 'both'), 'RECORD_INVALID')
  throwsCode(() => story.enter(bolt, { title: 'licensed' as 'made' }, 'as it is'), 'RECORD_INVALID')
  // Its seats refuse what its own node would: see the rows of `vote/ask`, and protocol/purchase.
  story.check()
})

test.run()
