/** Evidence of who owns an asset: what it says by a trust file, and what becomes of it when a part is changed. */
import * as assert from 'uvu/assert'
import { decode, encode } from '../../crypto/cbor.ts'
import { decodeSigned, encodeSigned, type Payload, signRecord } from '../../crypto/statement.ts'
import { MAX_EVIDENCE_BYTES, OWNER_FRESH_MS } from '../../protocol/limits.ts'
import type { Link } from '../../protocol/ownership.ts'
import {
  encodeOwnership,
  isOwnership,
  type OwnershipEvidence,
  verifyOwnership,
} from '../../protocol/ownership-evidence.ts'
import { chainOf, type Shown } from '../../protocol/parties.ts'
import type { Unread } from '../../protocol/record.ts'
import {
  contentCommitment,
  type Disclosed,
  isRegisteredTwice,
  plainDigest,
} from '../../protocol/registered.ts'
import {
  bothRegistered,
  encodeRegistered,
  isRegistered,
  verifyRegistered,
} from '../../protocol/registered-twice.ts'
import { shownLinks } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Ownership } from './ownership-story.ts'
import { resign } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/ownership evidence')

function words(story: Ownership, by: Member): Uint8Array[] {
  const before = by.events.length
  by.input({ type: 'fresh', asset: story.asset })
  story.world.run()
  return by.events
    .slice(before)
    .flatMap(event => (event.type === 'fresh' && event.fresh ? [event.fresh] : []))
}

/** What a member can show of the asset of a story. */
function shown(story: Ownership, by: Member = story.bolt): OwnershipEvidence {
  const { links, identities } = shownLinks(by.knowing, story.asset, 0, 100)
  return { asset: story.asset, links, identities, fresh: words(story, by), asOf: story.world.wallMs }
}
const trustOf = (story: Ownership, certified: Member[] = story.seats) =>
  readTrust({
    schema: 'waybill.trust/1',
    identities: story.world.members.map(({ org }) => ({ id: org })),
    committees: [],
    certified: certified.map(({ org }) => org),
  })
const judged = (
  story: Ownership,
  evidence: OwnershipEvidence,
  trust = trustOf(story),
  asOfMs = story.world.wallMs,
) => verifyOwnership(encodeOwnership(evidence), trust, asOfMs)
/** The verdict, and the first step that does not hold. */
const said = (story: Ownership, evidence: OwnershipEvidence, trust = trustOf(story)): string => {
  const { verdict, steps } = judged(story, evidence, trust)
  const step = steps.find(({ status }) => status !== 'ok')
  return step ? `${verdict}: ${step.id}: ${step.detail}` : verdict
}

const story = new Ownership().play()
const whole = shown(story)

test('a chain of two owners verifies by a trust file that takes its seats for certified', () => {
  const report = judged(story, whole)
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps))
  assert.equal([report.claim?.version, report.claim?.owner], [1, story.bolt.org])
  assert.ok(isOwnership(encodeOwnership(whole)))
  assert.not(isOwnership(new Uint8Array([0xa1])))
})

test('who knows nobody that signed asks for all identities, keeps them, and shows them to anybody', () => {
  const met = new Ownership()
  const iris = met.world.add('Iris SA')
  met.world.pair(met.acme, iris)
  met.register().offer(iris).accept(iris)
  const [cole] = met.seats as [Member]
  assert.equal([met.owner(iris), met.owner(cole)], ['1 Iris SA', '1 Iris SA'])
  const asked = met.sent('owner/known').filter(({ whole: all }) => all)
  assert.ok(asked.length >= 4, `Iris, and each seat that is asked: ${asked.length}`)
  met.check()
  for (const by of [iris, cole, met.acme]) {
    const evidence = { ...shown(met, by), fresh: words(met, met.acme) }
    assert.is(evidence.identities.length, 6, 'two owners and four seats')
    assert.is(said(met, evidence), 'verified', by.env.self.identity.name)
  }
  // Who was shown them once is not shown them again.
  const before = met.world.wire.length
  met.offer(met.acme, iris)
  const { message } = met.world.wire[before]!
  assert.equal('identities' in message && message.identities, [])
})

test('an identity that the chain does not come to is refused, as is one that stands twice (G1)', () => {
  const other = new Ownership()
  const met = other.world.add('Iris SA')
  const [first] = whole.identities
  const iris = { identity: met.knowing.self.identityBytes, events: [] }
  const from = (identities: OwnershipEvidence['identities']) => said(story, { ...whole, identities })
  assert.match(from([...whole.identities, iris]), /^failed: identities: the identity of .* has no place/)
  assert.match(from([...whole.identities, first!]), /^failed: identities: the identity of .* stands twice/)
  assert.match(
    from([...whole.identities, { identity: new Uint8Array(9), events: [] }]),
    /^failed: identities: an identity of nobody/,
  )
  assert.is(from(whole.identities.toReversed()), 'verified')
})

test('who is not trusted, who is not certified, and what nobody says now are inconclusive', () => {
  assert.match(
    said(story, whole, trustOf(story, story.seats.slice(1))),
    /^inconclusive: committee .* not trusted/,
  )
  assert.match(said(story, { ...whole, fresh: [] }), /^inconclusive: freshness: freshness unknown/)
  assert.match(said(story, { ...whole, fresh: whole.fresh.slice(0, 2) }), /^inconclusive: freshness/)
  assert.match(said(story, { ...whole, identities: [] }), /^inconclusive: registration: UNKNOWN_VERSION/)
  const nobody = readTrust({ schema: 'waybill.trust/1', identities: [], committees: [] })
  assert.match(said(story, whole, nobody), /^inconclusive: owners/)
})

test('seats under the same control as a party, or more than f under one, make no committee to be trusted', () => {
  const [cole, dunn, eder] = story.seats.map(({ org }) => org) as [string, string, string]
  const under = (...control: string[][]) => readTrust({ ...trustOf(story).file, control })
  const stranger = story.asset.toString()
  assert.is(said(story, whole, under([cole, stranger], [dunn], [story.acme.org, story.bolt.org])), 'verified')
  for (const party of [story.acme, story.bolt])
    assert.match(
      said(story, whole, under([stranger, eder, party.org])),
      /^inconclusive: committee .* under the same control as .*, a party/,
    )
  assert.match(
    said(story, whole, under([cole, dunn])),
    /^inconclusive: committee .* 2 of its seats are under one control/,
  )
  assert.not.equal(under([cole, dunn]).digest, trustOf(story).digest)
  throwsCode(() => under(['nobody']), 'TRUST_MALFORMED')
})

test('an old chain is not fresh: its seats have voted since', () => {
  const old = { ...whole, ...shownLinks(story.bolt.knowing, story.asset, 0, 1) }
  assert.is(old.links.length, 1)
  assert.match(said(story, old), /^inconclusive: freshness/)
  assert.match(said(story, { ...old, identities: whole.identities }), /^failed: identities: .* no place/)
})

test('words of seats say nothing of a time long after them, nor of one before them; the chain holds all the same', () => {
  const at = (asOfMs: number) => {
    const { verdict, steps, claim } = judged(story, whole, trustOf(story), asOfMs)
    const wrong = steps.filter(({ status }) => status !== 'ok').map(({ id, detail }) => `${id}: ${detail}`)
    return { said: [verdict, ...wrong].join(': '), owner: claim?.owner }
  }
  // The evidence was put together some seconds after they were said.
  const said = Math.min(...whole.fresh.map(word => decodeSigned(word).p.at as number))
  const latest = said + OWNER_FRESH_MS + trustOf(story).clockSkewMs
  assert.equal(at(latest - 1_000), { said: 'verified', owner: story.bolt.org })
  for (const asOfMs of [latest + 1_000, said + 365 * OWNER_FRESH_MS]) {
    const { said, owner } = at(asOfMs)
    assert.match(said, /^inconclusive: freshness: freshness unknown: .*too long before/)
    assert.is(owner, story.bolt.org, 'whose it was is a step of its own')
  }
  assert.match(at(said - 3_600_000).said, /^inconclusive: freshness: freshness unknown: .*after/)
})

test('a former owner that shows its old file, words and all, is not the owner for ever', () => {
  const own = new Ownership().begin()
  own.asset = own.publish()
  own.register()
  const then = shown(own, own.acme)
  assert.is(judged(own, then).verdict, 'verified')
  own.world.wallMs += 2 * OWNER_FRESH_MS
  own.offer().accept()
  assert.match(said(own, then), /^inconclusive: freshness: freshness unknown/)
})

test('any step, vote or committee that is changed makes it false', () => {
  const [first, second] = whole.links as [OwnershipEvidence['links'][0], OwnershipEvidence['links'][0]]
  const half = (certificate: Uint8Array): Uint8Array => {
    const { t, votes } = decode(certificate, MAX_EVIDENCE_BYTES) as unknown as {
      t: string
      votes: Uint8Array[]
    }
    return encode({ t, votes: votes.slice(0, 2) } as never)
  }
  const operation = (member: Member) => member.env.keys.operation
  const other = resign(
    second.order,
    { made: 7 },
    ['from', operation(story.acme)],
    ['to', operation(story.bolt)],
  )
  const { p, s } = decodeSigned(first.committee!)
  const minted = encodeSigned({ p, s: s.map((each, i) => (i < 4 ? each : s[4]!)) })
  const stolen = resign(
    second.order,
    { to: story.seats[0]!.env.self.id, toState: story.seats[0]!.chain.last },
    ['from', operation(story.acme)],
    ['to', operation(story.seats[0]!)],
  )
  const cases: [string, OwnershipEvidence['links']][] = [
    ['CERTIFICATE_INVALID', [first, { ...second, certificate: half(second.certificate) }]],
    ['CERTIFICATE_INVALID', [first, { ...second, certificate: first.certificate }]],
    ['CERTIFICATE_INVALID', [first, { ...second, order: other }]],
    ['COMMITTEE_INVALID', [{ ...first, committee: minted }, second]],
    [
      'COMMITTEE_INVALID',
      [{ order: first.order, certificate: first.certificate, asset: first.asset! }, second],
    ],
    ['RECORD_INVALID', [{ ...first, asset: second.order }, second]],
    ['OUT_OF_ORDER', [second]],
    ['VERSION_PASSED', [first, first]],
    ['PARTY_SEATED', [first, { ...second, order: stolen }]],
  ]
  for (const [code, links] of cases)
    assert.match(said(story, { ...whole, links }), new RegExp(`^failed: .*${code}`))
  assert.match(said(story, { ...whole, links: [] }), /^failed/)
  for (const bytes of [
    new Uint8Array(0),
    encode({ t: 'ownership/1' } as never),
    encode({ t: 'ownership/02' }),
  ])
    assert.is(verifyOwnership(bytes, trustOf(story), 0).verdict, 'failed')
})

test('what is of a version that is not known is neither true nor false (B2)', () => {
  const [first, second] = whole.links as [Link, Link]
  const { t, votes } = decode(second.certificate, MAX_EVIDENCE_BYTES) as unknown as {
    t: string
    votes: Uint8Array[]
  }
  const later = (record: Uint8Array, t: string) => {
    const { p, s } = decodeSigned(record)
    return encodeSigned({ p: { ...p, t }, s })
  }
  const signedAnew = (record: Uint8Array) => {
    const { p, s } = decodeSigned(record)
    return encodeSigned({ p, s: s.map(each => ({ ...each, a: 2 })) })
  }
  const certified = (...of: Uint8Array[]) => [
    first,
    { ...second, certificate: encode({ t, votes: of } as never) },
  ]
  const [one, two, three] = votes as [Uint8Array, Uint8Array, Uint8Array]
  const forged = resign(two, {}, ['seat', story.acme.env.keys.operation])
  const told = (links: Link[]) => said(story, { ...whole, links })

  const open: [string, Link[]][] = [
    ['registration', [{ ...first, asset: later(first.asset!, 'asset/2') }, second]],
    ['registration', [{ ...first, asset: signedAnew(first.asset!) }, second]],
    ['registration', [{ ...first, order: later(first.order, 'registration/2') }, second]],
    ['registration', [{ ...first, committee: signedAnew(first.committee!) }, second]],
    ['hand-over 1', [first, { ...second, order: signedAnew(second.order) }]],
    ['hand-over 1', [first, { ...second, certificate: encode({ t: 'certificate/2', q: 3 }) }]],
    ['hand-over 1', certified(...votes.map(each => later(each, 'vote/2')))],
    ['hand-over 1', certified(...votes.map(signedAnew))],
    ['hand-over 1', certified(one, two, signedAnew(three))],
  ]
  for (const [i, [step, links]] of open.entries())
    assert.match(told(links), new RegExp(`^inconclusive: ${step}: UNKNOWN_VERSION`), `case ${i}`)

  // What q votes certify is certified, whatever stands beside them (RULES E5).
  assert.is(told(certified(one, two, three, later(three, 'vote/2'))), told([first, second]))

  // What is false without them is false with them.
  const lost: Link[][] = [
    certified(one, forged, signedAnew(three)),
    certified(signedAnew(three), one, forged),
    certified(one, later(two, 'vote/2')),
    certified(one, two, signedAnew(resign(three, { version: 2 }, ['seat', story.acme.env.keys.operation]))),
    certified(one, two, later(three, 'fresh/2')),
    [first, { ...second, certificate: encode({ t: 'certificates/2', votes }) }],
  ]
  for (const [i, links] of lost.entries())
    assert.match(told(links), /^failed: hand-over 1: CERTIFICATE_INVALID/, `case ${i}`)

  const file = encode({ t: 'ownership/2', chain: [] })
  assert.ok(isOwnership(file))
  const { verdict, steps } = verifyOwnership(file, trustOf(story), 0)
  assert.equal([verdict, steps.map(({ id }) => id)], ['inconclusive', ['bundle']])
})

test('a genuine step of another asset, or by an owner of before, does not fit', () => {
  const twin = new Ownership().begin()
  twin.asset = twin.publish('press 9')
  twin.register('press 9').offer().accept()
  const theirs = shown(twin)
  const mixed = { ...whole, links: [whole.links[0]!, theirs.links[1]!] }
  assert.match(said(story, mixed), /^failed: hand-over 1: (OUT_OF_ORDER|SIGNATURE_INVALID)/)
  assert.match(said(story, { ...whole, asset: twin.jury }), /^failed: asset/)
})

test('words of a committee that was replaced say nothing of the one in force', () => {
  const five = new Ownership(5)
  five.jury = five.assemble(five.seats.slice(0, 4))
  five.register()
  const before = words(five, five.acme)
  const next = five.assemble(five.seats.slice(1))
  five.offer(five.bolt, five.acme, next).accept()
  const evidence = shown(five)
  assert.is(judged(five, evidence).verdict, 'verified')
  assert.match(said(five, { ...evidence, fresh: before }), /^inconclusive: freshness/)
})

test('two registrations of one content convict their owner, once both are opened', () => {
  const acme = story.acme
  const plain = plainDigest([new Uint8Array(32).fill(2), new Uint8Array(32).fill(1)])
  assert.equal(plain, plainDigest([new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]))
  const [order] = whole.links.map(link => link.order)
  const asset = (i: number) => [story.asset, story.jury][i]!
  const registered = (i: number, change: object = {}, by: Member = acme) => {
    const salt = new Uint8Array(32).fill(i + 5)
    const payload = {
      ...decodeSigned(order!).p,
      asset: asset(i),
      content: contentCommitment(salt, plain),
      ...change,
    } as Payload
    return {
      registration: encodeSigned({ p: payload, s: [signRecord(payload, 'owner', by.env.keys.operation)] }),
      salt,
      plain,
    }
  }
  const keys = () => acme.env.keys.operation.public
  assert.ok(isRegisteredTwice(registered(0), registered(1), keys))
  assert.not(isRegisteredTwice(registered(0), registered(0), keys), 'one asset')
  assert.not(
    isRegisteredTwice(registered(0), { ...registered(1), salt: new Uint8Array(32) }, keys),
    'not opened',
  )
  assert.not(isRegisteredTwice(registered(0), registered(1, {}, story.bolt), keys), 'signed by another')
  const bought = { title: 'bought', bought: story.order }
  assert.ok(
    isRegisteredTwice(registered(0), registered(1, bought), keys),
    'however it says that it came by it',
  )

  // As files: each alone, then one proof of both, which a third party checks by its trust file.
  const { identities } = whole
  const file = (...opened: Disclosed[]) => encodeRegistered({ opened, identities: identities.filter(isAcme) })
  const isAcme = (each: Shown) => chainOf(each)!.genesis.id.equals(acme.env.self.id)
  const judge = (bytes: Uint8Array, trust = trustOf(story)) =>
    verifyRegistered(bytes, trust, story.world.wallMs)
  const at = (bytes: Uint8Array, trust = trustOf(story)) => {
    const { verdict, steps, claim } = judge(bytes, trust)
    return [verdict, steps.find(({ status }) => status !== 'ok')?.id, claim?.twice]
  }
  assert.equal(at(file(registered(0))), ['verified', undefined, false])
  const proof = bothRegistered(file(registered(0)), file(registered(1))) as Uint8Array
  assert.ok(isRegistered(proof))
  assert.not(isOwnership(proof))
  assert.equal(at(proof), ['verified', undefined, true])
  assert.equal(judge(proof).claim!.assets, [asset(0).toString(), asset(1).toString()])
  const nobody = readTrust({ schema: 'waybill.trust/1', identities: [], committees: [] })
  assert.equal(at(proof, nobody), ['inconclusive', 'owner', true])
  assert.equal(at(file(registered(0), registered(0))), ['failed', 'twice', undefined])
  assert.match((bothRegistered(file(registered(0)), file(registered(0))) as Unread).reason, /two assets/)
  assert.match((bothRegistered(proof, file(registered(0))) as Unread).reason, /is whole/)
  const other = plainDigest([new Uint8Array(32).fill(3)])
  const salt = new Uint8Array(32).fill(6)
  const elsewhere = { ...registered(1, { content: contentCommitment(salt, other) }), plain: other }
  assert.equal(at(file(elsewhere)), ['verified', undefined, false])
  assert.equal(at(file(registered(0), elsewhere)), ['failed', 'twice', undefined])
  assert.equal(at(file(registered(0), { ...registered(1), salt })), ['verified', undefined, true])
  const shut = { ...registered(1), salt: new Uint8Array(32) }
  assert.equal(at(file(registered(0), shut)), ['failed', 'registration 2', undefined])
  assert.equal(at(file(registered(1, {}, story.bolt))), ['failed', 'registration 1', undefined])
  const stranger = encodeRegistered({ opened: [registered(0)], identities: [] })
  assert.equal(at(stranger), ['inconclusive', 'registration 1', undefined])
  const later = encode({ t: 'registered/2', more: 1 })
  assert.ok(isRegistered(later))
  assert.equal(at(later), ['inconclusive', 'bundle', undefined])
  assert.equal((bothRegistered(later, file(registered(0))) as Unread).ok, 'unknown')
  for (const bytes of [file(), proof.subarray(1), proof.subarray(0, -1), encodeOwnership(whole)])
    assert.equal(at(bytes), ['failed', 'bundle', undefined])
})

test.run()
