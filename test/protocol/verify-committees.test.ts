/** Committees in evidence (RULES D2): who counts at a head, from the first committee on that a trust file pins. */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { encodeSigned, signRecord } from '../../crypto/statement.ts'
import { type Committee, committee } from '../../protocol/committee-record.ts'
import type { CommitteePart, Evidence } from '../../protocol/evidence.ts'
import { readEvidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { newestHead } from '../../protocol/heads.ts'
import { cosignerName } from '../../protocol/identity.ts'
import { judge } from '../../protocol/judge.ts'
import { readRecord, type Stored } from '../../protocol/record.ts'
import { committeeOf, positionWords, readTrust } from '../../protocol/trust.ts'
import { suite } from '../harness.ts'
import {
  check,
  collect,
  deliver,
  detailOf,
  failedSteps,
  type Story,
  statusOf,
  story,
  trustFile,
} from './evidence-story.ts'
import type { Member } from './world.ts'

const test = suite('committees in evidence')
const recordOf = ({ record }: CommitteePart) => readRecord(committee, record) as Stored<Committee>
const DAY_MS = 86_400_000

/** The witnesses of both parties are these from here on. */
function reseat(told: Story, witnesses: Member[]): void {
  const { world, acme, bolt } = told
  for (const party of [acme, bolt]) {
    for (const witness of witnesses)
      if (!party.store.has(`partner/${witness.org}`)) world.pair(party, witness)
    party.witnesses = witnesses.map(each => each.env.self.id)
    for (const { org } of witnesses) party.input({ type: 'connected', org })
    party.input({
      type: 'publish',
      title: 'x',
      domain: 'x',
      level: 'general',
      packets: [party.draft('x', utf8('x'))],
    })
  }
  world.run(60_000)
}

function changed(): { told: Story; added: Member } {
  const told = story({ witnesses: ['Cole Logistics', 'Dora AG', 'Eve Oy', 'Fay Ltd'] })
  const added = told.world.add('Gil SpA')
  reseat(told, [...told.witnesses.slice(1), added])
  return { told, added }
}

const later = (told: Story): { evidence: Evidence; asOfMs: number } => {
  const { world, acme, bolt } = told
  const { agreement, packet } = deliver(world, acme, bolt, { text: 'later' })
  return { evidence: collect(bolt, acme, { agreement, packet }, world.wallMs), asOfMs: world.wallMs }
}
const judged = (told: Story, evidence: Evidence, asOfMs: number, trust = told.trust) =>
  check(formatEvidence(evidence), { ...told, trust, plain: utf8('later 2') }, { asOfMs, requireFinal: true })

test('committees: how many may lie, how many are enough, in words', () => {
  assert.equal(
    [0, 1, 2, 3, 4, 5, 6, 7, 10].map(n => committeeOf(n)),
    [
      { n: 0, f: 0, q: 0 },
      { n: 1, f: 0, q: 1 },
      { n: 2, f: 0, q: 2 },
      { n: 3, f: 0, q: 2 },
      { n: 4, f: 1, q: 3 },
      { n: 5, f: 1, q: 4 },
      { n: 6, f: 1, q: 4 },
      { n: 7, f: 2, q: 5 },
      { n: 10, f: 3, q: 7 },
    ],
  )
  for (let n = 4; n <= 64; n += 1) {
    const { f, q } = committeeOf(n)
    assert.ok(2 * q > n + f && q <= n - f, `${n}`)
  }
  const names = ['Ada', 'Bo', 'Cy', 'Di']
  const words = (n: number, k: number) => positionWords(committeeOf(n), names.slice(0, k))
  assert.equal(words(0, 0), { final: false, words: 'recorded, unwitnessed' })
  assert.equal(words(1, 1), { final: true, words: "final, 1 of 1: dated by Ada's word" })
  assert.equal(words(2, 1), { final: false, words: 'pending: 1 of 2' })
  assert.equal(words(2, 2), { final: true, words: 'final, 2 of 2: safe only if nobody lies' })
  assert.equal(words(3, 2), { final: true, words: 'final, 2 of 3: safe only if nobody lies' })
  assert.equal(words(4, 2), { final: false, words: 'pending: 2 of 4' })
  assert.equal(words(4, 3), { final: true, words: 'final, 3 of 4: safe while at most 1 of 4 lie' })
})

test('evidence across a change: under the old committee, and under the one that followed it', () => {
  const { told, added } = changed()
  const { evidence, asOfMs } = later(told)
  const numbers = evidence.committees!.map(each => recordOf(each).payload.number)
  assert.equal(numbers, [0, 1, 0, 1])
  const report = judged(told, evidence, asOfMs)
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(({ status }) => status !== 'ok')))
  assert.match(detailOf(report, 'provider position')!, /^final, [34] of 4: safe while at most 1 of 4 lie/)
  assert.match(detailOf(report, 'provider committee')!, /^committee 1, signed by all of its 4: 3 make/)
  const names = parseNote(text(evidence.parts.providerHead!)).lines.map(({ name }) => name)
  assert.ok(names.some(name => name.startsWith(added.org)))
  // What was collected before the change still verifies, by the same trust file.
  const old = check(told.bytes, told, { asOfMs, requireFinal: true })
  assert.is(old.verdict, 'verified', JSON.stringify(old.steps.filter(({ status }) => status !== 'ok')))
  assert.match(detailOf(old, 'provider committee')!, /^committee 0/)
  // A head under the new one without its record: nobody can say who counts.
  for (const [i, word] of [
    [1, /the committee in force at the head is not in the evidence/],
    [0, /the committee of its log is not established/],
  ] as const) {
    const committees = evidence.committees!.toSpliced(i, 1)
    const less = judged(told, { ...evidence, committees }, asOfMs)
    assert.is(less.verdict, 'inconclusive')
    assert.match(detailOf(less, 'consumer position')!, word)
  }
})

test('without the part that reads committees nothing is counted', () => {
  const { bytes, trust, asOfMs } = story()
  const report = judge(readEvidence(bytes), trust, { asOfMs })
  assert.is(report.verdict, 'inconclusive')
  for (const id of ['committees', 'provider position', 'consumer position'])
    assert.match(detailOf(report, id)!, /the part of the verifier that reads committees was not loaded/)
})

test('a log’s owner who lies names members of its own: by no trust file that pins the first', () => {
  const told = story({ witnesses: ['Cole Logistics', 'Dora AG', 'Eve Oy', 'Fay Ltd'] })
  const { evidence, acme, asOfMs, world } = told
  const puppets = ['Pup One', 'Pup Two', 'Pup Three', 'Pup Four'].map(name => world.add(name))
  const [first] = evidence.committees!.filter(({ org }) => org.equals(acme.env.self.id)) as [CommitteePart]
  const rest = evidence.committees!.filter(each => each !== first)
  const { payload, id } = recordOf(first)
  const sorted = [...puppets].sort((a, b) => (a.org < b.org ? -1 : 1))
  const minted = { ...payload, seats: sorted.map(each => each.env.self.id) }
  const record = encodeSigned({
    p: minted,
    s: sorted.map(each => signRecord(minted, 'seat', each.env.keys.witness)),
  })
  const note = parseNote(text(first.note))
  const lines = [
    note.lines[0]!,
    ...sorted.map(each =>
      cosign(note.body, Math.floor(asOfMs / 1_000), cosignerName(each.org), each.env.keys.witness),
    ),
  ]
  const forged = { ...first, record, note: utf8(formatNote({ body: note.body, lines })) }
  const witnesses = [...evidence.witnesses, ...puppets.map(each => each.env.self.identityBytes)]
  const report = check(formatEvidence({ ...evidence, witnesses, committees: [forged, ...rest] }), told)
  assert.is(report.verdict, 'failed')
  assert.match(detailOf(report, 'provider committee')!, /the trust file pins another first committee/)
  // Nor as the one that follows: the members of the first have not cosigned it.
  const next = {
    ...minted,
    number: 1,
    prev: id,
  }
  const follows = encodeSigned({
    p: next,
    s: sorted.map(each => signRecord(next, 'seat', each.env.keys.witness)),
  })
  const second = { ...forged, record: follows }
  const after = check(formatEvidence({ ...evidence, witnesses, committees: [first, second, ...rest] }), told)
  assert.is(after.verdict, 'failed')
  assert.match(detailOf(after, 'provider committee')!, /^committee 1: entry \d+ does not name it$/)
})

test('a committee that one seat has not signed, or whose head one of the first has not cosigned, is none', () => {
  const told = story({ witnesses: ['Cole Logistics', 'Dora AG', 'Eve Oy', 'Fay Ltd'] })
  const { evidence, acme } = told
  const at = evidence.committees!.findIndex(({ org }) => org.equals(acme.env.self.id))
  const part = evidence.committees![at]!
  const put = (changes: Partial<CommitteePart>) =>
    check(
      formatEvidence({ ...evidence, committees: evidence.committees!.with(at, { ...part, ...changes }) }),
      told,
    )
  const note = parseNote(text(part.note))
  const less = put({ note: utf8(formatNote({ body: note.body, lines: note.lines.slice(0, -1) })) })
  assert.is(less.verdict, 'inconclusive')
  assert.match(
    detailOf(less, 'provider committee')!,
    /not shown to have come into force: 3 of 4 have cosigned/,
  )
  assert.is(statusOf(less, 'provider position'), 'inconclusive')
  const bare = put({ note: newestHead(told.bolt.env.get)!.note })
  assert.ok(failedSteps(bare).includes('provider committee'))
})

test('keys of old members that have ended make no committee that follows', () => {
  const { told } = changed()
  const { world, witnesses } = told
  // All but one of the first take other keys; heads from here on have no quorum of the first by keys that stand.
  const { evidence, asOfMs } = later(told)
  assert.is(judged(told, evidence, asOfMs).verdict, 'verified')
  const known = witnesses.slice(0, 3).map(each => {
    each.delegate(['witness'])
    return each
  })
  world.run(1_000)
  const events = [...evidence.events, ...known.flatMap(each => each.chain.events.map(({ bytes }) => bytes))]
  const report = judged(told, { ...evidence, events }, world.wallMs)
  assert.is(report.verdict, 'inconclusive')
  assert.match(
    detailOf(report, 'provider position')!,
    /committee 1 followed by keys of committee 0 that have ended: valid when made cannot be shown/,
  )
})

test('whoever names the members himself asks for no committee, and a log without either is nobody’s', () => {
  const told = story()
  const { committees: _, ...without } = told.evidence
  assert.is(check(formatEvidence(without), { ...told, trust: told.named }).verdict, 'verified')
  const pinned = check(formatEvidence(without), told)
  assert.is(pinned.verdict, 'inconclusive')
  assert.is(statusOf(pinned, 'provider committee'), 'inconclusive')
  const nobody = readTrust(trustFile([told.acme, told.bolt], [], []))
  const report = check(told.bytes, { ...told, trust: nobody }, { asOfMs: told.asOfMs + DAY_MS })
  assert.is(detailOf(report, 'provider position'), 'recorded, unwitnessed')
})

test.run()
