/** An agreement over a registered asset: its seats say who owns it before it is signed, and the new owner goes on sharing. */
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { encode } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { HANDLE, KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Negotiation } from '../../protocol/negotiation-state.ts'
import {
  encodeOwnership,
  type OwnershipEvidence,
  readOwnershipFile,
} from '../../protocol/ownership-evidence.ts'
import { readTrust } from '../../protocol/trust.ts'
import { verify } from '../../protocol/verify.ts'
import { judgeTitle, takenTitle } from '../../protocol/verify-title.ts'
import { suite, throwsCode } from '../harness.ts'
import { consentOf } from './evidence-story.ts'
import { Ownership, ordered } from './ownership-story.ts'
import { DAY_MS, POLICY, resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/entitled')

const TERMS = {
  audience: [] as CID[],
  policy: { ...POLICY, permissions: [{ action: 'use', constraints: [] }] },
  approval: 'policy' as const,
}

/** Ownership with a consumer who is a partner of everybody. */
class Sharing extends Ownership {
  readonly jane: Member
  machine = ''

  constructor(n = 4, partnersOf = n) {
    super(n)
    this.jane = this.world.add('Jane SE')
    for (const other of [this.acme, this.bolt, ...this.seats.slice(0, partnersOf)])
      this.world.pair(this.jane, other)
    this.world.run(5_000)
  }

  override publish(title = 'press 4'): CID {
    const packets = [0, 1].map(i => this.acme.draft(`file-${i}`, utf8(`content ${i}`)))
    const about = { title, domain: 'production', level: 'general', committee: this.jury } as const
    const made = this.acme.input({ type: 'publish', ...about, packets })
    return (made as Extract<Answer, { type: 'published' }>).asset
  }

  makeOffer(by: Member = this.acme, packets: CID[] = []): CID {
    const untilMs = this.world.wallMs + DAY_MS
    const made = by.input({ type: 'offer', asset: this.asset, ...TERMS, untilMs, packets })
    return (made as Extract<Answer, { type: 'offered' }>).offer
  }

  read(from: Member = this.acme): this {
    this.jane.input({ type: 'catalog', org: from.org })
    this.world.run(10_000)
    return this
  }

  request(offer: CID, from: Member = this.acme, ms = 10_000): this {
    const ask = { type: 'request', org: from.org, offer, action: 'use', purpose: 'x' } as const
    this.machine = (this.jane.input(ask) as Extract<Answer, { type: 'machine' }>).machine
    this.world.run(ms)
    return this
  }

  asked(): Negotiation {
    return decodeState(this.jane.store.get(this.machine)!)
  }

  evidence(by: Member = this.jane, other: Member = this.acme) {
    return consentOf(by, other, this.asked().agreementId!, this.world.wallMs)
  }

  judged(evidence = this.evidence(), certified: Member[] = this.seats, title = judgeTitle): string {
    const trust = readTrust({
      schema: 'waybill.trust/1',
      identities: this.world.members.map(({ org }) => ({ id: org })),
      committees: [],
      certified: certified.map(({ org }) => org),
    })
    const report = verify(formatEvidence(evidence), trust, { asOfMs: this.world.wallMs, title })
    const step = report.steps.find(({ status }) => status !== 'ok' && status !== 'skipped')
    return step ? `${report.verdict}: ${step.id}: ${step.detail}` : report.verdict
  }
}

const shared = (): Sharing => {
  const story = new Sharing()
  story.register()
  const offer = story.makeOffer()
  return story.read().request(offer)
}

/** After a hand-over: what came with it, shared by the new owner as its own. */
function passedOn(story: Sharing): void {
  const { bolt, world } = story
  // The keys and blocks come by themselves.
  world.run(60_000)
  const got = bolt
    .stateOf(KEY.deliveries, stored => decodeState<{ state: string; packet: CID; root: CID }>(stored))
    .filter(({ state }) => state === 'DONE')
  assert.is(got.length, 2)
  for (const { root } of got) assert.ok(bolt.secrets.get(HANDLE.content(root)))
  const packets = got.map(({ packet }) => packet)
  const offer = story.makeOffer(bolt, packets)
  story.read(bolt).request(offer, bolt)
}

test('the consumer asks the seats before it signs, and both sides can show that the assigner owned the asset', () => {
  const story = shared()
  assert.is(story.asked().state, 'FINALIZED')
  assert.ok(story.asked().fresh!.words.length >= 3)
  assert.is(story.judged(), 'verified')
  assert.is(story.judged(story.evidence(story.acme, story.jane)), 'verified')
  assert.not.ok([...story.jane.store.keys()].some(key => key.startsWith('fresh-for/')))
  story.check()
})

test('who owned it is a matter of the trust file and of the words, and cannot be left out or exchanged', () => {
  const story = shared()
  const evidence = story.evidence()
  const title = readOwnershipFile(evidence.parts.title!) as OwnershipEvidence
  const { t: _, ...whole } = title as OwnershipEvidence & { t: string }
  const changed = (change: Partial<OwnershipEvidence>) => ({
    ...evidence,
    parts: { ...evidence.parts, title: encodeOwnership({ ...whole, ...change }) },
  })
  assert.is(story.judged(changed({})), 'verified')
  assert.match(story.judged(evidence, []), /^inconclusive: title: committee .* not trusted/)
  assert.match(story.judged(changed({ fresh: [] })), /^inconclusive: title: freshness/)
  assert.match(story.judged(changed({ links: [] })), /^failed: title: registration/)
  const later = { ...evidence, parts: { ...evidence.parts, title: encode({ t: 'ownership/2' }) } }
  for (const title of [judgeTitle, takenTitle])
    assert.match(story.judged(later, story.seats, title), /^inconclusive: title: .*ownership\/2 is not known/)
  const { title: __, ...parts } = evidence.parts
  assert.match(story.judged({ ...evidence, parts }), /^inconclusive: agreement: its owner/)
  // An agreement about what is not registered names no owner, and takes none.
  const plain = new Sharing()
  plain.asset = plain.publish()
  const unregistered = plain.makeOffer()
  const consent = plain.read().request(unregistered).evidence()
  assert.is(plain.judged(consent), 'verified')
  assert.match(
    plain.judged({ ...consent, parts: { ...consent.parts, title: evidence.parts.title! } }),
    /^failed: (title|agreement: it names no order)/,
  )
  // Genuine steps of another asset of the same owner.
  story.asset = story.publish('press 5')
  story.register('press 5')
  const offer = story.makeOffer()
  const theirs = story.read().request(offer).evidence().parts.title!
  assert.match(
    story.judged({ ...evidence, parts: { ...evidence.parts, title: theirs } }),
    /^failed: agreement: the owner that is shown is of another asset/,
  )
})

test('a key that is revoked after it signed the asset changes nothing, for whichever owner (C3)', () => {
  const sold = new Sharing()
  sold.register().offer().accept()
  passedOn(sold)
  const stories = [
    { story: shared(), owner: 'acme' as const },
    { story: sold, owner: 'bolt' as const }, // its publisher is no party any more
  ]
  for (const { story, owner } of stories) {
    const { acme, jane, world } = story
    const judged = () =>
      [story.evidence(story[owner], jane), story.evidence(jane, story[owner])].flatMap(evidence => [
        story.judged(evidence),
        story.judged(evidence, story.seats, takenTitle),
      ])
    const whole = ['verified', 'verified', 'verified', 'verified']
    assert.equal(judged(), whole)
    acme.delegate(['operation'], ['operation'])
    world.run(60_000)
    assert.equal(judged(), whole)
    story.check()
  }
})

test('a provider that shows the record without its signature spoils nobody’s evidence', () => {
  const story = new Sharing()
  story.register()
  const offer = story.makeOffer()
  const { world, acme, jane } = story
  world.intercept = ({ message, to }) => {
    if (message.t !== 'catalog/page' || to !== jane) return undefined
    const bent = (bytes: Uint8Array) => {
      const { p, s } = decodeSigned(bytes)
      return encodeSigned({ p, s: s.map(each => ({ ...each, s: new Uint8Array(64) })) })
    }
    const items = message.items.map(item => ({ ...item, asset: bent(item.asset) }))
    return () => jane.input({ type: 'message', from: acme.org, message: { ...message, items } })
  }
  story.read().request(offer)
  assert.is(story.judged(), 'verified')
  assert.is(story.judged(story.evidence(acme, jane)), 'verified')
  story.check()
})

test('an asset signed by a key that was revoked before its registration is none, nor is one by a key that came later', () => {
  const story = new Sharing()
  const { acme, world } = story
  const before = acme.key('operation')
  acme.delegate(['operation'], ['operation'])
  world.run()
  story.register()
  const offer = story.makeOffer()
  const evidence = story.read().request(offer).evidence()
  assert.is(story.judged(evidence), 'verified')
  acme.delegate(['operation'])
  world.run()
  const since = acme.key('operation')
  const { title } = story.evidence().parts
  for (const key of [before, since]) {
    const asset = resign(evidence.parts.asset!, {}, ['publisher', key])
    const parts = { ...evidence.parts, asset, title: title! }
    assert.match(
      story.judged({ ...evidence, parts }),
      /^failed: asset: the signature of publisher does not verify/,
    )
  }
})

test('words from long before the agreement say nothing of it', () => {
  const story = shared()
  const { fresh } = readOwnershipFile(story.evidence().parts.title!) as OwnershipEvidence
  story.world.run(3_600_000)
  const offer = story.makeOffer()
  const evidence = story.read().request(offer).evidence()
  assert.is(story.judged(evidence), 'verified')
  const { t: _, ...title } = readOwnershipFile(evidence.parts.title!) as OwnershipEvidence & { t: string }
  const parts = { ...evidence.parts, title: encodeOwnership({ ...title, fresh }) }
  assert.match(story.judged({ ...evidence, parts }), /^inconclusive: agreement: .* too long before it/)
})

test('a consumer with too few of the seats among its partners does not sign', () => {
  const story = new Sharing(4, 2)
  story.register()
  const offer = story.makeOffer()
  story.read().request(offer)
  assert.is(story.asked().state, 'TERMINATED')
  assert.is(story.asked().refusal?.code, 'OWNER_UNPROVEN')
})

test('it waits for seats that are away, through a restart, and signs when enough have answered', () => {
  const story = new Sharing()
  story.register()
  const offer = story.makeOffer()
  for (const seat of story.seats.slice(0, 2)) seat.up = false
  story.read().request(offer)
  assert.is(story.asked().state, 'REQUESTED')
  story.jane.restart()
  for (const seat of story.seats.slice(0, 2)) seat.restart()
  story.world.run(60_000)
  assert.is(story.asked().state, 'FINALIZED')
  assert.is(story.judged(), 'verified')
})

test('words that a stranger signed, or of another version, do not count', () => {
  const story = new Sharing()
  story.register()
  const offer = story.makeOffer()
  const [cole, dunn] = story.seats as [Member, Member]
  for (const seat of story.seats) seat.up = false
  story.read().request(offer)
  const asked = story.sent('owner/ask').at(-1)!
  // Cole says it for everybody, and again.
  cole.restart()
  for (const seat of story.seats) if (seat !== cole) seat.up = false
  story.world.run(60_000)
  const [word] = story.sent('owner/fresh').filter(({ fresh }) => fresh)
  for (const from of [cole, dunn, story.bolt])
    story.world.send(from, story.jane.org, { t: 'owner/fresh', id: asked.id, fresh: word!.fresh! })
  story.world.run(60_000)
  assert.is(story.asked().state, 'REQUESTED')
})

test('an owner that sold it and says nothing gets no signature: the seats have voted for the next version', () => {
  const story = new Sharing()
  story.register()
  const offer = story.makeOffer()
  story.read()
  const { store } = story.acme
  const before = store.get(KEY.title(story.asset))!
  story.offer().accept()
  // Acme goes on as if nothing had happened.
  store.set(KEY.title(story.asset), before)
  store.delete(KEY.step(story.asset, 1))
  story.request(offer)
  assert.is(story.asked().state, 'TERMINATED')
  assert.is(story.asked().refusal?.code, 'OWNER_UNPROVEN')
  assert.ok(story.sent('owner/fresh').some(({ refusal }) => refusal?.code === 'VERSION_PASSED'))
})

test('what passes with a hand-over passes: the content, and the right to share it; offers of before are void', () => {
  const story = new Sharing()
  story.register()
  const old = story.makeOffer()
  story.read().offer().accept()
  const { acme, bolt, jane, world } = story
  passedOn(story)
  assert.is(story.asked().state, 'FINALIZED')
  assert.is(story.judged(story.evidence(jane, bolt)), 'verified')
  const { agreementId } = story.asked()
  jane.input({ type: 'transfer', org: bolt.org, agreement: agreementId! })
  world.run(60_000)
  const got = jane.stateOf(KEY.deliveries, stored => decodeState<{ state: string }>(stored))
  assert.equal(
    got.map(({ state }) => state),
    ['DONE', 'DONE'],
  )
  // The former owner is refused by whoever knows, and refuses itself.
  throwsCode(() => story.makeOffer(acme), 'NOT_OWNER')
  throwsCode(() => story.request(old), 'NOT_OWNER')
  story.check()
})

test('what a key signed that its owner has revoked since passes too, to the next owner and on to the one after it (C3)', () => {
  const story = new Sharing().register() as Sharing
  const { acme, bolt, jane, world } = story
  const got = (by: Member) =>
    by.stateOf(KEY.deliveries, stored => decodeState<{ state: string }>(stored)).map(({ state }) => state)
  acme.delegate(['operation'], ['operation'])
  world.run()
  story.offer().accept(bolt, undefined, 60_000)
  assert.equal(got(bolt), ['DONE', 'DONE'])
  acme.delegate(['operation'], ['operation'])
  world.run()
  story.offer(jane, bolt).accept(jane, undefined, 60_000)
  assert.is(story.owner(jane), '2 Jane SE')
  assert.equal(
    jane.stateOf(KEY.transfers, stored => decodeState<{ state: string }>(stored).state),
    ['COMPLETED'],
  )
  assert.equal(got(jane), ['DONE', 'DONE'])
  story.check()
})

test('running agreements go on under the former owner, or end with the hand-over, as it says', () => {
  for (const agreements of [true, false]) {
    const story = shared()
    const { acme, bolt, jane, world } = story
    const { agreementId } = story.asked()
    const passes = { agreements, duties: true, keys: true, blocks: false }
    const to = bolt.env.self.id
    story.order = ordered(acme.input({ type: 'hand-over', asset: story.asset, to, passes }))
    world.run()
    story.accept()
    jane.input({ type: 'transfer', org: acme.org, agreement: agreementId! })
    world.run(60_000)
    const got = jane.stateOf(KEY.deliveries, stored => decodeState<{ state: string }>(stored))
    assert.is(got.filter(({ state }) => state === 'DONE').length, agreements ? 2 : 0)
    const refused = jane.stateOf(KEY.transfers, stored => decodeState<{ refusal?: { code: string } }>(stored))
    assert.is(refused[0]?.refusal?.code, agreements ? undefined : 'AGREEMENT_ENDED')
    // The blocks do not pass: the buyer gets nothing by the hand-over.
    throwsCode(
      () => bolt.input({ type: 'transfer', org: acme.org, agreement: story.order }),
      'AGREEMENT_UNKNOWN',
    )
  }
})

test.run()
