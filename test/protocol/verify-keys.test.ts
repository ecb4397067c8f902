/** Keys that were rotated, revoked, have expired or were stolen: what a verifier can tell offline (RULES C3, D3, D6). */
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { digestOf } from '../../crypto/cid.ts'
import { inclusionPath, treeRoot } from '../../crypto/merkle.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import type { EntryPart, Evidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { cosignerName } from '../../protocol/identity.ts'
import { eventsOf, lastEnding } from '../../protocol/identity-chain.ts'
import type { Report } from '../../protocol/judge.ts'
import { append, checkpointOf, commitment, emptyTail, KIND, originOf, ZERO_HASH } from '../../protocol/log.ts'
import { stateControl } from '../../protocol/state.ts'
import { readTrust } from '../../protocol/trust.ts'
import { verify } from '../../protocol/verify.ts'
import { suite } from '../harness.ts'
import { copy } from './bundle.ts'
import {
  check,
  collect,
  consentOf,
  detailOf,
  failedSteps,
  type Story,
  statusOf,
  story,
  trustFile,
} from './evidence-story.ts'
import { type Member, START_MS } from './world.ts'

const test = suite('key states of evidence')
const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

const about = ({ agreement, packet }: Story) => ({ agreement, packet })
const again = (told: Story): Uint8Array =>
  formatEvidence(collect(told.bolt, told.acme, about(told), told.world.wallMs))
const now = (told: Story, bytes: Uint8Array): Report => check(bytes, told, { asOfMs: told.world.wallMs })
const unproven = (report: Report, side = 'provider') => {
  assert.is(report.verdict, 'inconclusive')
  assert.match(detailOf(report, `${side} key state`)!, /^key state at signing unproven/)
}

// Rotated.

for (const role of ['operation', 'log', 'node'] as const)
  test(`a ${role} key that was rotated before and after changes nothing`, () => {
    const told = story()
    for (const party of [told.acme, told.bolt]) party.delegate([role])
    told.world.run(10_000)
    const report = now(told, again(told))
    assert.is(report.verdict, 'verified')
    assert.match(detailOf(report, 'provider key state')!, /^unrevoked when signed; 2 identity events$/)
    assert.is(check(told.bytes, told).verdict, 'verified', 'nor does it what was collected before')
  })

test('without events nothing is known of the keys that they named', () => {
  const told = story()
  const without = (events: Uint8Array[]) => check(formatEvidence({ ...copy(told.evidence), events }), told)
  const none = without([])
  assert.is(none.verdict, 'inconclusive')
  assert.is(statusOf(none, 'agreement'), 'inconclusive')
  assert.equal(failedSteps(none), [])
  told.acme.delegate(['operation'])
  told.world.run(10_000)
  const evidence = collect(told.bolt, told.acme, about(told), told.world.wallMs)
  const events = evidence.events.slice(1)
  assert.is(now(told, formatEvidence({ ...evidence, events })).verdict, 'failed', 'an event out of its place')
})

// Revoked.

test('a later revocation changes nothing earlier', () => {
  const told = story()
  const { acme, bolt, world } = told
  acme.delegate(['operation', 'log'], ['operation', 'log'])
  bolt.delegate(['operation', 'log'], ['operation', 'log'])
  world.run(10_000)
  for (const bytes of [again(told), formatEvidence(consentOf(bolt, acme, told.agreement, world.wallMs))]) {
    const report = verify(bytes, told.trust, { asOfMs: world.wallMs })
    assert.equal(failedSteps(report), [])
    assert.is(report.verdict, 'verified')
  }
})

test('what is logged in the moment before a revocation has the state of before', () => {
  const told = story()
  const { acme, bolt, world } = told
  const signed = acme.state.ledger.stated
  acme.input({
    type: 'publish',
    title: 'x',
    domain: 'x',
    level: 'general',
    packets: [acme.draft('x', utf8('x'))],
  })
  acme.delegate(['operation'], ['operation'])
  const before = acme.state.ledger.tail.range.size
  world.run(10_000)
  assert.ok(before > signed)
  // Two state entries: one for what was logged, one for what holds now.
  const entries = collect(acme, bolt, about(told), world.wallMs).entries.filter(each => each.of === 'state')
  assert.ok(entries.length > 0)
  assert.is(acme.state.ledger.stated, acme.state.ledger.tail.range.size)
})

test('a key that was revoked before the record was logged signs nothing', () => {
  const told = story()
  const { acme, world } = told
  const before = acme.chain
  acme.delegate(['operation'], ['operation'])
  world.run(10_000)
  const events = collect(told.bolt, acme, about(told), world.wallMs).events
  // Its holder writes it into the log all the same; the state after it is what the owner's node says.
  const log = (digest: Uint8Array) => ({ ...ownLog(told, digest), events })
  const report = now(told, formatEvidence(log(digestOf(acme.chain.last))))
  assert.is(report.verdict, 'failed')
  assert.equal(failedSteps(report), ['provider key state'])
  assert.match(detailOf(report, 'provider key state')!, /its key had been revoked by event 2/)
  const earlier = now(told, formatEvidence(log(digestOf(before.last))))
  assert.is(earlier.verdict, 'verified')
  // A key signs nothing before it stands, either.
  const genesis = now(told, formatEvidence(log(digestOf(acme.env.self.id))))
  assert.match(detailOf(genesis, 'provider key state')!, /its key did not stand yet/)
  assert.is(genesis.verdict, 'failed')
})

// Stolen: whoever profits presents what suits him.

test('who leaves the key state out proves nothing: exit 7', () => {
  const { evidence, ...told } = story()
  const bare = copy(evidence)
  bare.entries = bare.entries.filter(({ of, org }) => of !== 'state' || !org.equals(evidence.claim.provider))
  bare.staples = []
  const report = check(formatEvidence(bare), { evidence, ...told })
  unproven(report)
  assert.is(statusOf(report, 'consumer key state'), 'ok')
  // Nor is it said which committee makes the head final; whoever names the witnesses himself asks for no committee.
  assert.match(detailOf(report, 'provider position')!, /^the last entry under the head, which names its comm/)
  const named = check(formatEvidence(bare), { evidence, ...told, trust: told.named })
  unproven(named)
  assert.match(detailOf(named, 'provider position')!, /^final/)
})

test('an old state under a head that nobody cosigned is the word of who holds the log key', () => {
  const told = story()
  const { acme, world } = told
  const before = acme.chain
  acme.delegate(['operation', 'log'], ['operation', 'log'])
  world.run(10_000)
  const { events } = collect(told.bolt, acme, about(told), world.wallMs)
  const forged = { ...ownLog(told, digestOf(before.last), { cosigned: false }), events, staples: [] }
  const report = now(told, formatEvidence(forged))
  unproven(report)
  assert.is(detailOf(report, 'provider position'), 'pending: 0 of 1')
})

test('a staple is as good as the minutes around it, and only from this party', () => {
  const { named, ...rest } = story()
  const told = { ...rest, named, trust: named }
  const bare = copy(told.evidence)
  bare.entries = bare.entries.filter(({ of }) => of !== 'state')
  const by = (evidence: Evidence, asOfMs = told.asOfMs) => check(formatEvidence(evidence), told, { asOfMs })
  const report = by(bare)
  assert.is(report.verdict, 'verified')
  assert.match(detailOf(report, 'provider key state')!, /by the state handed over then/)
  // The records are dated by the heads: when one asks later makes no difference. Undated, it does.
  assert.is(by(bare, told.asOfMs + 30 * DAY_MS).verdict, 'verified')
  const pending = copy(bare)
  for (const name of ['providerHead', 'consumerHead'] as const) {
    const { body, lines } = parseNote(new TextDecoder().decode(bare.parts[name]!))
    pending.parts[name] = utf8(formatNote({ body, lines: lines.slice(0, 1) }))
  }
  assert.is(by(pending, told.asOfMs + 15 * MINUTE_MS).verdict, 'verified', 'pending: exit 0')
  unproven(by(pending, told.asOfMs + 21 * MINUTE_MS))
  unproven(by({ ...bare, staples: [] }))
  const swapped = bare.staples.map(staple => ({ ...staple, org: told.witnesses[0]!.env.self.id }))
  assert.ok(failedSteps(by({ ...bare, staples: swapped })).includes('staples'))
  assert.ok(failedSteps(by({ ...bare, staples: [bare.staples[0]!, bare.staples[0]!] })).length > 0)
  const [own] = bare.staples
  const unsigned = parseNote(new TextDecoder().decode(own!.note))
  const undated = utf8(formatNote({ body: unsigned.body, lines: unsigned.lines.slice(0, 1) }))
  const nobody = by({ ...bare, staples: [{ ...own!, note: undated }] })
  assert.match(
    detailOf(nobody, `${own!.org.equals(bare.claim.provider) ? 'provider' : 'consumer'} staple`)!,
    /dated by nobody/,
  )
  assert.is(nobody.verdict, 'inconclusive')
})

// Without members.

test('in a log without members it is the presenter’s word: exit 0, and 7 where final is asked for', () => {
  const told = story()
  const trust = readTrust(trustFile([told.acme, told.bolt], [], []))
  const alone = { ...told, trust }
  const report = check(told.bytes, alone)
  assert.is(report.verdict, 'verified')
  assert.is(
    detailOf(report, 'provider key state'),
    "key state by the presenter's word: the log has no members; 1 identity events",
  )
  assert.is(statusOf(check(told.bytes, alone, { requireFinal: true }), 'provider key state'), 'inconclusive')
  const bare = copy(told.evidence)
  bare.entries = bare.entries.filter(({ of }) => of !== 'state')
  assert.is(check(formatEvidence(bare), alone).verdict, 'verified')
  // His word is not worth more than what he shows: a key that he shows to be revoked.
  told.acme.delegate(['operation'], ['operation'])
  told.world.run(10_000)
  const { events } = collect(told.bolt, told.acme, about(told), told.world.wallMs)
  unproven(check(formatEvidence({ ...bare, events, staples: [] }), alone))
})

test('a party of a log without members cannot leave out the event that ended its key, where the verifier knows of it', () => {
  const told = story()
  const { acme, bolt, world } = told
  acme.delegate(['operation'], ['operation'])
  world.run(10_000)
  const last = lastEnding(acme.chain)!
  const judge = (bytes: Uint8Array, known: object[]) => {
    const trust = readTrust({ ...trustFile([acme, bolt], [], []), known })
    return check(bytes, { ...told, trust }, { asOfMs: world.wallMs })
  }
  assert.is(judge(told.bytes, []).verdict, 'verified', 'by the presenter’s word alone')
  for (const event of [last.event, told.agreement.toString()]) {
    const old = judge(told.bytes, [{ id: acme.org, n: last.n, event }])
    assert.is(old.verdict, 'inconclusive')
    assert.match(
      detailOf(old, 'provider key state')!,
      /^key state by the presenter's word: .*; identity event 2 of Acme Steel, which ended a key, is not in the evidence$/,
    )
    assert.is(statusOf(old, 'consumer key state'), 'ok')
  }
  const whole = judge(again(told), [{ id: acme.org, ...last }])
  assert.is(whole.verdict, 'verified', 'shown, and signed before it: the state entries say so')
})

// Expired.

test('a key that has expired counts where the record is shown to be older, a rotated one too', () => {
  const untilMs = START_MS + 30 * DAY_MS
  const told = story({ untilMs })
  for (const party of [told.acme, told.bolt]) party.delegate(['operation', 'log'])
  told.world.run(10_000)
  const bytes = again(told)
  const later = check(bytes, told, { asOfMs: untilMs + DAY_MS })
  assert.is(later.verdict, 'verified')
  assert.match(detailOf(later, 'provider keys')!, /^ended .*; the entries existed by /)
})

// Cosigners' keys (D6).

test('a cosignature by a witness key that was replaced, or revoked, needs to be renewed: exit 7', () => {
  for (const revoke of [[], ['witness']] as 'witness'[][]) {
    const told = story()
    const [cole] = told.witnesses as [Member]
    cole.delegate(['witness'], revoke)
    told.world.run(10_000)
    const evidence = copy(told.evidence)
    evidence.events = [...evidence.events, ...cole.chain.events.map(each => each.bytes)]
    const report = now(told, formatEvidence(evidence))
    assert.is(report.verdict, 'inconclusive')
    assert.match(
      detailOf(report, 'provider position')!,
      revoke.length > 0
        ? /was revoked by event 1: valid when made cannot be shown/
        : /was replaced by event 1: valid/,
    )
    // Under a head that the witness cosigned with the key that stands it counts again.
    told.acme.input({ type: 'connected', org: cole.org })
    const packets = [told.acme.draft('x', utf8('x'))]
    for (const party of [told.acme, told.bolt])
      party.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets })
    told.world.run(10_000)
    assert.is(now(told, again(told)).verdict, 'verified')
  }
})

test('a cosignature under the name of another key of the same witness is false, of an unknown one unknown', () => {
  const told = story()
  const [cole] = told.witnesses as [Member]
  const renamed = (name: string) => {
    const evidence = copy(told.evidence)
    const { body, lines } = parseNote(new TextDecoder().decode(evidence.parts.providerHead!))
    evidence.parts.providerHead = utf8(formatNote({ body, lines: [lines[0]!, { ...lines[1]!, name }] }))
    return check(formatEvidence(evidence), told)
  }
  assert.is(renamed(cosignerName(cole.org, 7)).verdict, 'inconclusive')
  cole.delegate(['witness'])
  told.world.run(1_000)
  assert.is(renamed('x/0').verdict, 'verified')
})

/** The provider's records in a log of its own making: a state entry behind them that names this event. */
function ownLog(told: Story, digest: Uint8Array, { cosigned = true } = {}): Evidence {
  const { acme, evidence } = told
  const org = acme.env.self.id
  const salt = new Uint8Array(32).fill(5)
  const of = ['packet', 'agreement', 'release'] as const
  let tail = emptyTail()
  const add = (about: Parameters<typeof append>[1]) => {
    const one = append(tail, about)
    tail = one.tail
    return one
  }
  const appended = of.map(name =>
    add({ kind: KIND.record, timeMs: START_MS, c: commitment(salt, evidence.parts[name]!) }),
  )
  const control = stateControl({ identity: digest, committee: ZERO_HASH, next: 0 })
  appended.push(add({ kind: KIND.state, timeMs: START_MS, c: ZERO_HASH, control }))
  const hashes = appended.map(each => each.leaf)
  const node = (level: number, at: number) => treeRoot(hashes.slice(at * 2 ** level, (at + 1) * 2 ** level))
  const origin = originOf(acme.chain)
  const body = checkpointOf(origin, tail)
  const [cole] = told.witnesses
  const line = cosign(
    body,
    Math.floor(told.world.wallMs / 1000),
    cosignerName(cole!.org),
    cole!.env.keys.witness,
  )
  const lines = [signNote(body, origin, acme.key('log')), ...(cosigned ? [line] : [])]
  const parts = { ...evidence.parts, providerHead: utf8(formatNote({ body, lines })) }
  const own = appended.map(({ entry }, i): EntryPart => {
    const path = inclusionPath(i, hashes.length, node)
    return i < of.length
      ? { org, of: of[i]!, entry, salt, path }
      : { org, of: 'state', entry, salt: ZERO_HASH, path }
  })
  return {
    ...copy(evidence),
    parts,
    entries: [...own, ...evidence.entries.filter(each => !each.org.equals(org))],
  }
}

test('who knows of an event that ended a key is not told otherwise by evidence that leaves it out', () => {
  const told = story()
  const [cole] = told.witnesses as [Member]
  assert.is(lastEnding(cole.chain), undefined)
  cole.delegate(['node'])
  assert.is(lastEnding(cole.chain), undefined, 'a node key signs nothing that is shown')
  cole.delegate(['witness'], ['witness'])
  const last = lastEnding(cole.chain)!
  assert.is(last.n, 2)
  const judge = (known: object[], bytes = told.bytes) =>
    check(bytes, { ...told, trust: readTrust({ ...told.trust.file, known }) }, { requireFinal: true })
  assert.is(judge([]).verdict, 'verified')
  for (const event of [last.event, told.agreement.toString()]) {
    const report = judge([{ id: cole.org, n: 2, event }])
    assert.is(report.verdict, 'inconclusive')
    assert.match(
      detailOf(report, 'provider position')!,
      /identity event 2 of Cole Logistics, which ended a key, is not in the evidence/,
    )
  }
  assert.is(judge([{ id: told.agreement.toString(), ...last }]).verdict, 'verified', 'of somebody else')
  const whole = formatEvidence({
    ...told.evidence,
    events: [...told.evidence.events, ...eventsOf(cole.chain)],
  })
  const shown = judge([{ id: cole.org, ...last }], whole)
  assert.match(detailOf(shown, 'provider position')!, /was revoked by event 2/)
})

test.run()
