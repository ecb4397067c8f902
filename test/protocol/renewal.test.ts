/** Evidence whose cosigners' keys have ended, and the newer heads that let it count on (RULES D6). */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { asCid, cidOf } from '../../crypto/cid.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import type { Answer } from '../../protocol/command.ts'
import { type Evidence, type ReadEvidence, readEvidence, renewalPart } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerName } from '../../protocol/identity.ts'
import { eventsOf, lastEnding } from '../../protocol/identity-chain.ts'
import { logAt } from '../../protocol/ledger.ts'
import { RENEW_BEFORE_MS } from '../../protocol/limits.ts'
import { originOf } from '../../protocol/log.ts'
import {
  chainsIn,
  endsSoon,
  type Given,
  type HeadAt,
  headIn,
  renewal,
  renewed,
  renews,
} from '../../protocol/renewal.ts'
import { renewedBy } from '../../protocol/renewing.ts'
import { shownCommittees } from '../../protocol/shown-committees.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { check, contextOf, detailOf, type Story, statusOf, story, trustNow } from './evidence-story.ts'
import { mutations } from './mutations.ts'
import { type Member, START_MS } from './world.ts'

const test = suite('protocol/renewal')
const DAY_MS = 86_400_000
const read = (bytes: Uint8Array) => readEvidence(bytes) as ReadEvidence

/** The witness takes another key, and both logs get heads under it. */
function rotate(told: Story, revoke: 'witness'[] = [], untilMs?: number): void {
  const [cole] = told.witnesses as [Member]
  cole.delegate(['witness'], revoke, untilMs)
  told.world.run(10_000)
  grow(told)
}
function grow({ acme, bolt, witnesses, world }: Story): void {
  for (const party of [acme, bolt]) {
    party.input({ type: 'connected', org: witnesses[0]!.org })
    const packets = [party.draft('x', utf8('x'))]
    party.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets })
  }
  world.run(10_000)
}

/** What the owner of a log gives to whoever holds evidence with a head of it. */
function given(owner: Member, { origin, size }: HeadAt, nowMs: number): Given | undefined {
  const home = contextOf(owner)
  const number = home.self.chain.logs.findIndex((_, each) => originOf(home.self.chain, each) === origin)
  const { ledger, context } = logAt(number, owner.state.ledger, home)
  const found = renewal(size, ledger, context, nowMs)
  const partners = owner.witnesses.flatMap(id => home.partner(id.toString()) ?? [])
  return (
    found && {
      org: owner.env.self.id,
      renewal: found,
      committees: shownCommittees(owner.state.ledger, contextOf(owner)),
      witnesses: partners.map(each => each.identityBytes),
      events: [owner.chain, ...partners.map(each => each.chain)].flatMap(eventsOf),
    }
  )
}

test('what a partner gives renews what is kept, and nothing else that it could give does', () => {
  const told = story()
  rotate(told)
  const { acme, bolt, evidence, asOfMs } = told
  const note = text(evidence.parts.providerHead!)
  const honest = given(acme, headIn(read(told.bytes), 'provider')!, asOfMs)!
  const by = (each: Parameters<typeof renews>[1]) =>
    renews(note, each, acme.chain, told.trust, told.world.wallMs)
  assert.ok(by(honest))
  const { renewal: newer, witnesses, events } = honest
  const hash = new Uint8Array(32).fill(7)
  const wrong: Parameters<typeof renews>[1][] = [
    { witnesses, events },
    { ...honest, renewal: { ...newer, note: hash } },
    { ...honest, renewal: { ...newer, path: [hash] } },
    { ...honest, renewal: { ...newer, note: newestHead(bolt.env.get)!.note } },
    { ...honest, witnesses: [hash] },
    { ...honest, events: [hash] },
    { ...honest, events: [...events, events[0]!] },
  ]
  for (const [i, each] of wrong.entries()) assert.not(by(each), `case ${i}`)
})

function renewedFile(told: Story, file = told.bytes): Evidence {
  const evidence = read(file)
  const sides = [
    [told.acme, 'provider'],
    [told.bolt, 'consumer'],
  ] as const
  return renewed(
    evidence,
    sides.map(([owner, side]) => given(owner, headIn(evidence, side)!, told.world.wallMs)!),
  )
}

test('a key that was replaced counts again under a newer head, with the date that it gave', () => {
  const told = story()
  rotate(told)
  const asOfMs = told.world.wallMs
  const evidence = renewedFile(told)
  const bare = check(formatEvidence({ ...evidence, renewals: [] }), told, { asOfMs })
  assert.is(bare.verdict, 'inconclusive')
  assert.match(
    detailOf(bare, 'provider position')!,
    /was replaced by event 1: valid when made cannot be shown/,
  )
  const report = check(formatEvidence(evidence), told, { asOfMs, requireFinal: true })
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(({ status }) => status !== 'ok')))
  for (const side of ['provider', 'consumer']) {
    assert.is(statusOf(report, `${side} renewal`), 'ok')
    const before = detailOf(check(told.bytes, told), `${side} position`)
    assert.is(detailOf(report, `${side} position`), before, 'the same words, and the same clock')
  }
})

test('a witness with another key cosigns what it has cosigned: a log that rests has a head to renew by', () => {
  const told = story()
  const [cole] = told.witnesses as [Member]
  const size = newestHead(told.acme.env.get)!.size
  cole.delegate(['witness'])
  told.world.run(10_000)
  const head = newestHead(told.acme.env.get)!
  assert.is(head.size, size)
  const names = parseNote(text(head.note)).lines.map(({ name }) => name)
  assert.ok(names.includes(cosignerName(cole.org, 1)), names.join())
  const report = check(formatEvidence(renewedFile(told)), told, { asOfMs: told.world.wallMs })
  assert.is(report.verdict, 'verified')
})

test('a key that expired counts as it did; a renewal in time is as good as one afterwards', () => {
  const untilMs = START_MS + 60 * DAY_MS
  for (const early of [true, false]) {
    const told = story({ witnessUntilMs: untilMs })
    if (!early) told.world.wallMs = untilMs + DAY_MS
    rotate(told, [], untilMs + 365 * DAY_MS)
    const evidence = renewedFile(told)
    const asOfMs = untilMs + 10 * DAY_MS
    assert.is(check(formatEvidence({ ...evidence, renewals: [] }), told, { asOfMs }).verdict, 'inconclusive')
    const report = check(formatEvidence(evidence), told, { asOfMs })
    assert.is(
      report.verdict,
      'verified',
      JSON.stringify(report.steps.filter(({ status }) => status !== 'ok')),
    )
  }
})

test('what a key signed that was revoked may be another’s: the newer head alone says since when', () => {
  const told = story()
  rotate(told, ['witness'])
  const report = check(formatEvidence(renewedFile(told)), told, { asOfMs: told.world.wallMs })
  assert.is(report.verdict, 'verified')
  const words = detailOf(report, 'provider position')!
  assert.match(words, /^final, 1 of 1: .*; by the later head; existed by .*was revoked by event 1/)
})

test('a newer head that is not final renews nothing, and evidence that needs none loses nothing by it', () => {
  const told = story()
  rotate(told)
  const evidence = renewedFile(told)
  const renewals = evidence.renewals.map(each => {
    const { body, lines } = parseNote(text(each.note))
    return { ...each, note: utf8(formatNote({ body, lines: lines.slice(0, 1) })) }
  })
  const asOfMs = told.world.wallMs
  const report = check(formatEvidence({ ...evidence, renewals }), told, { asOfMs })
  assert.is(report.verdict, 'inconclusive')
  assert.match(detailOf(report, 'provider renewal')!, /it renews nothing$/)
  const fresh = story()
  grow(fresh)
  const both = renewedFile(fresh)
  assert.is(check(formatEvidence(both), fresh, { asOfMs: fresh.world.wallMs }).verdict, 'verified')
})

test('every changed place of a renewal is seen, and one of another log, another run or twice is none', () => {
  const told = story()
  rotate(told)
  const asOfMs = told.world.wallMs
  const evidence = renewedFile(told)
  const others = [cidOf(utf8('x'), 'dag-cbor'), told.witnesses[0]!.env.self.id]
  let count = 0
  for (const i of evidence.renewals.keys())
    for (const { path, value } of mutations(evidence.renewals[i] as never, others, renewalPart as never)) {
      const file = formatEvidence({ ...evidence, renewals: evidence.renewals.with(i, value as never) })
      // Without the last entry under it nobody says who makes a head final.
      const verdict = path === '.state left out' ? 'inconclusive' : 'failed'
      assert.is(check(file, told, { asOfMs }).verdict, verdict, path)
      count++
    }
  console.log(`${count} changed renewals`)
  assert.ok(count > 40)
  const other = story({ text: 'another run' })
  rotate(other)
  const foreign = renewedFile(other).renewals
  for (const renewals of [
    foreign,
    foreign.map((each, i) => ({ ...each, org: evidence.renewals[i]!.org })),
    [evidence.renewals[0]!, { ...evidence.renewals[0]!, path: [] }],
    [{ ...evidence.renewals[0]!, org: asCid(others[1])! }],
  ])
    assert.is(check(formatEvidence({ ...evidence, renewals }), told, { asOfMs }).verdict, 'failed')
})

test('evidence is renewed a second time, and what is not whole is not renewed', () => {
  const told = story()
  rotate(told)
  const { renewals, ...once } = renewedFile(told)
  rotate(told)
  const twice = renewedFile(told, formatEvidence({ ...once, renewals }))
  const asOfMs = told.world.wallMs
  assert.is(check(formatEvidence({ ...twice, renewals }), told, { asOfMs }).verdict, 'inconclusive')
  assert.is(check(formatEvidence(twice), told, { asOfMs }).verdict, 'verified')
  assert.is(twice.renewals.length, 2)
  const broken = { ...read(told.bytes), witnesses: [{ is: 'missing' } as const] }
  throwsCode(() => renewed(broken, []), 'EVIDENCE_MALFORMED')
})

test('what a lying partner gives never makes renewed evidence worse than it was', () => {
  const told = story()
  const stale = given(told.acme, headIn(read(told.bytes), 'provider')!, told.world.wallMs)!
  rotate(told)
  const { world } = told
  const [cole] = told.witnesses as [Member]
  const known = [{ id: cole.org, ...lastEnding(cole.chain)! }]
  const trust = readTrust({ ...told.trust.file, known })
  const held = read(told.bytes)
  const [acme, bolt] = [
    given(told.acme, headIn(held, 'provider')!, world.wallMs)!,
    given(told.bolt, headIn(held, 'consumer')!, world.wallMs)!,
  ]
  const hash = new Uint8Array(32).fill(7)
  const { body, lines } = parseNote(text(acme.renewal.note))
  const noted = (to: typeof lines) => ({ ...acme.renewal, note: utf8(formatNote({ body, lines: to })) })
  const { state: _, ...stateless } = acme.renewal
  const [committee] = acme.committees!
  const lies: Given[] = [
    { ...acme, renewal: { ...acme.renewal, note: hash } },
    { ...acme, renewal: { ...acme.renewal, path: [hash] } },
    { ...acme, renewal: bolt.renewal },
    { ...acme, renewal: noted(lines.slice(0, 1)) },
    {
      ...acme,
      renewal: noted([lines[0]!, { ...lines[1]!, signature: lines[1]!.signature.map(byte => byte ^ 1) }]),
    },
    { ...acme, renewal: stateless },
    { ...acme, witnesses: [hash] },
    {
      ...acme,
      witnesses: Array(70)
        .fill(0)
        .map((_, i) => new Uint8Array(40).fill(i)),
    },
    { ...acme, events: [hash] },
    { ...acme, events: [] },
    { ...acme, committees: [] },
    { ...acme, committees: [{ ...committee!, note: hash }] },
    { ...acme, committees: [committee!, committee!] },
    stale,
  ]
  for (const [i, lie] of lies.entries()) {
    const { evidence, taken } = renewedBy(held, [lie, bolt], trust, world.wallMs)
    assert.equal(
      taken.map(({ org }) => org.toString()),
      [bolt.org.toString()],
      `case ${i}`,
    )
    assert.is(evidence.renewals.length, 1)
  }
  // One that has been renewed does not give way to less, now or when a key ends.
  const both = renewedBy(held, [acme, bolt], trust, world.wallMs)
  assert.is(both.taken.length, 2)
  const file = formatEvidence(both.evidence)
  assert.is(check(file, told, { asOfMs: world.wallMs, requireFinal: true }).verdict, 'verified')
  for (const [i, lie] of lies.entries()) {
    const again = formatEvidence(renewedBy(read(file), [lie], trust, world.wallMs).evidence)
    const report = check(again, told, { asOfMs: world.wallMs, requireFinal: true })
    assert.is(report.verdict, 'verified', `case ${i}`)
  }
})

test('who holds proofs asks for a newer head before the keys under them end, and is given one', () => {
  const untilMs = START_MS + 365 * DAY_MS
  const told = story({ witnessUntilMs: untilMs })
  const [cole] = told.witnesses as [Member]
  const note = told.evidence.parts.providerHead!
  const chains = chainsIn([cole.env.self.identityBytes], [])
  assert.is(endsSoon(note, chains, untilMs - RENEW_BEFORE_MS - DAY_MS), false)
  assert.is(endsSoon(note, chains, untilMs - RENEW_BEFORE_MS + DAY_MS), true)
  rotate(told, [], untilMs + 365 * DAY_MS)
  const size = headIn(read(told.bytes), 'provider')!.size
  const ask = { type: 'proofs' as const, org: told.acme.org, records: [], head: size }
  const { id } = told.bolt.input(ask) as Extract<Answer, { type: 'reading' }>
  told.world.run(1_000)
  const reply = told.bolt.events.flatMap(event =>
    event.type === 'proofs' && event.id === id ? [event.reply] : [],
  )[0]!
  const chain = chainsIn(reply.witnesses, reply.events)
  assert.is(endsSoon(reply.renewal!.note, chain, untilMs), false)
  // Of a head that this log never had there is none.
  for (const head of [0, 1_000_000]) {
    const none = told.bolt.input({ ...ask, head }) as Extract<Answer, { type: 'reading' }>
    told.world.run(1_000)
    const [answer] = told.bolt.events.flatMap(event =>
      event.type === 'proofs' && event.id === none.id ? [event.reply] : [],
    )
    assert.is(answer!.renewal, undefined)
  }
})

/** Every organisation has told the others its events; then the log has a head that the witness cosigned. */
function succeed(told: Story): void {
  told.acme.succeed()
  told.world.run(60_000)
  grow(told)
}
const withEvents = (file: Evidence, { acme }: Story): Evidence => ({
  ...file,
  events: [...new Map([...file.events, ...eventsOf(acme.chain)].map(each => [each.join(), each])).values()],
})

test('renewed evidence holds on when the log is closed later, and when its key is revoked', () => {
  const told = story()
  rotate(told)
  const file = renewedFile(told)
  told.acme.delegate(['log'], ['log'])
  told.world.run(10_000)
  succeed(told)
  const report = check(formatEvidence(withEvents(file, told)), told, {
    asOfMs: told.world.wallMs,
    requireFinal: true,
  })
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(({ status }) => status !== 'ok')))
})

test('evidence of a closed log is renewed through its successors, whose first entries name its end', () => {
  const told = story()
  grow(told)
  succeed(told)
  rotate(told)
  const size = headIn(read(told.bytes), 'provider')!.size
  const { id } = told.bolt.input({
    type: 'proofs',
    org: told.acme.org,
    records: [],
    head: size,
    log: told.acme.chain.logs[0]!,
  }) as Extract<Answer, { type: 'reading' }>
  told.world.run(1_000)
  const reply = told.bolt.events.flatMap(e => (e.type === 'proofs' && e.id === id ? [e.reply] : []))[0]!
  assert.is(reply.renewal!.through!.length, 1)
  succeed(told)
  const asOfMs = told.world.wallMs
  const file = renewedFile(told)
  const bare = check(formatEvidence({ ...file, renewals: [] }), told, { asOfMs })
  assert.is(bare.verdict, 'inconclusive')
  const judge = (evidence: Evidence, trust = trustNow(told)) =>
    check(formatEvidence(evidence), { ...told, trust }, { asOfMs, requireFinal: true })
  const report = judge(file)
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(({ status }) => status !== 'ok')))
  const before = detailOf(check(told.bytes, told), 'provider position')
  assert.is(detailOf(report, 'provider position'), before, 'the same words, and the same clock')
  assert.is(judge(file, told.trust).verdict, 'inconclusive', 'who knows no committee of the later logs')

  const [newer, other] = file.renewals
  const through = newer!.through!
  assert.is(through.length, 2)
  const { through: _, ...without } = newer!
  for (const wrong of [
    without,
    { ...newer!, through: through.slice(1) },
    { ...newer!, through: through.slice(0, 1) },
    { ...newer!, through: [...through].reverse() },
    { ...newer!, path: [] },
    { ...newer!, through: [{ ...through[0]!, path: [] }, through[1]!] },
    { ...newer!, through: [through[0]!, { entry: told.evidence.entries[0]!.entry, path: through[1]!.path }] },
  ]) {
    const judged = judge({ ...file, renewals: [wrong, other!] })
    assert.is(judged.verdict, 'failed')
    assert.match(detailOf(judged, 'provider renewal')!, /is not shown to extend it/)
  }
})

test('under a newer head a key that expired dates nothing after its end', () => {
  const untilMs = START_MS + 60 * DAY_MS
  const told = story({ witnessUntilMs: untilMs })
  const [cole] = told.witnesses as [Member]
  const old = cole.key('witness')
  told.world.wallMs = untilMs + DAY_MS
  rotate(told, [], untilMs + 365 * DAY_MS)
  const file = renewedFile(told)
  const note = parseNote(text(file.parts.providerHead!))
  const dated = (ms: number) => {
    const line = cosign(note.body, ms / 1_000, cosignerName(cole.org, 0), old)
    const lines = [...note.lines.filter(({ name }) => !name.startsWith(cole.org)), line]
    const parts = { ...file.parts, providerHead: utf8(formatNote({ body: note.body, lines })) }
    const report = check(formatEvidence({ ...file, parts }), told, { asOfMs: untilMs + 10 * DAY_MS })
    return detailOf(report, 'provider position')!
  }
  assert.match(dated(untilMs - DAY_MS), /^final, 1 of 1: [^;]*; existed by 2026-03-01/)
  const after = dated(untilMs + DAY_MS / 2)
  assert.match(after, /by the later head; .*ended 2026-03-02.*: valid when made cannot be shown/)
  assert.not.match(after, /existed by 2026-03-02T1/)
})

test.run()
