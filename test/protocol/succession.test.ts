/** A log that was forked is closed, its organisation goes on with a successor, and what was final in it stays final. */
import * as assert from 'uvu/assert'
import { equal, readU64, text, utf8 } from '../../crypto/bytes.ts'
import { parseCheckpoint } from '../../crypto/checkpoint.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { isClosed } from '../../protocol/fork.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { extendChain, isRefused, makeDelegate } from '../../protocol/identity-chain.ts'
import { readEntryAt } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { type Entry, KIND, logDigest, originOf, readEntry } from '../../protocol/log.ts'
import { encodeState } from '../../protocol/machine.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import { verify } from '../../protocol/verify.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'
import {
  check,
  collect,
  consentOf,
  deliver,
  detailOf,
  type Story,
  story,
  trustNow,
} from './evidence-story.ts'
import { forgedHead } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/succession')

const about = ({ agreement, packet }: Story) => ({ agreement, packet })
const violations = (of: Member) =>
  of.events.flatMap(event => (event.type === 'violation' ? [event.code] : []))
const seen = (at: Member, of: Member) => readWatch(at.store.get(KEY.watch(of.org)))
const originSeen = (at: Member, of: Member) => text(seen(at, of)!.note).split('\n')[0]

/** A head that contradicts the newest one, signed by the log key that stands. */
function contradiction(of: Member): Uint8Array {
  const { size } = newestHead(of.env.get)!
  const [body] = text(forgedHead(of, size)).split('\n\n') as [string]
  const origin = originOf(of.chain)
  const whole = `${[origin, ...body.split('\n').slice(1)].join('\n')}\n`
  return utf8(formatNote({ body: whole, lines: [signNote(whole, origin, of.key('log'))] }))
}

/** Acme's log is forked, and everybody knows. */
function forked(): Story {
  const told = story()
  const { acme, bolt, world } = told
  acme.input({ type: 'connected', org: bolt.org })
  world.run(1_000)
  world.send(acme, bolt.org, { t: 'head/show', note: contradiction(acme) })
  world.run(1_000)
  for (const { org } of [acme, ...told.witnesses]) bolt.input({ type: 'connected', org })
  world.run(10_000)
  return told
}
const all = ({ acme, bolt, witnesses }: Story) => [acme, bolt, ...witnesses]

test('a log that was shown to be forked is closed everywhere, and the next one is followed by all', () => {
  const told = forked()
  const { acme, bolt, world } = told
  for (const member of all(told)) assert.ok(isClosed(acme.org, member.env), member.env.self.identity.name)
  const { size, note } = newestHead(acme.env.get)!
  const { root } = parseCheckpoint(parseNote(text(note)).body)
  acme.succeed()
  world.run(10_000)
  for (const member of all(told)) assert.not(isClosed(acme.org, member.env))
  // Its first entry says what it is and where the closed log ended.
  const first = readEntry(readEntryAt(acme.env.get, 0)!.entry) as Entry
  assert.is(first.k, KIND.genesis)
  sameBytes(first.x![0]!, logDigest(acme.chain))
  sameBytes(first.x![1]!, root)
  assert.is(readU64(first.x![2]!, 24), size)
  // And a delivery under it is as final as one ever was.
  const again = deliver(world, acme, bolt, { text: 'again' })
  const evidence = collect(bolt, acme, { agreement: again.agreement, packet: again.packet }, world.wallMs)
  const asOf = { asOfMs: world.wallMs, requireFinal: true }
  const report = verify(formatEvidence(evidence), trustNow(told), asOf)
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(each => each.status !== 'ok')))
  // Who has pinned the committee of the closed log alone has nobody to count in the next one.
  const unpinned = verify(formatEvidence(evidence), told.trust, asOf)
  assert.is(unpinned.verdict, 'inconclusive')
  bolt.input({ type: 'connected', org: acme.org })
  acme.input({ type: 'connected', org: bolt.org })
  world.run(1_000)
  assert.is(originSeen(bolt, acme), originOf(acme.chain))
})

test('what was final in the closed log still verifies: the file, and what both sides still prove', () => {
  const told = forked()
  const { acme, bolt, world } = told
  acme.succeed()
  world.run(10_000)
  deliver(world, acme, bolt, { text: 'again' })
  const asOfMs = world.wallMs
  const kept = check(told.bytes, told, { asOfMs, requireFinal: true })
  assert.is(kept.verdict, 'verified', JSON.stringify(kept.steps.filter(each => each.status !== 'ok')))
  for (const [own, other] of [
    [bolt, acme],
    [acme, bolt],
  ] as const) {
    const report = check(formatEvidence(collect(own, other, about(told), asOfMs)), told, {
      asOfMs,
      requireFinal: true,
    })
    assert.is(report.verdict, 'verified', JSON.stringify(report.steps.filter(each => each.status !== 'ok')))
    assert.match(detailOf(report, 'provider position')!, /^final/)
  }
  const consent = formatEvidence(consentOf(bolt, acme, told.agreement, asOfMs))
  assert.is(verify(consent, told.trust, { asOfMs, requireFinal: true }).verdict, 'verified')
})

test('heads and proofs of the closed log move nobody any more', () => {
  const told = forked()
  const { acme, bolt, witnesses, world } = told
  const old = newestHead(acme.env.get)!.note
  const proof = bolt.store.get(KEY.fork(acme.org))!
  acme.succeed()
  world.run(10_000)
  const before = seen(bolt, acme)
  world.send(acme, bolt.org, { t: 'head/show', note: old })
  world.send(acme, witnesses[0]!.org, { t: 'witness/add', old: 0, note: old, path: [] })
  world.run(10_000)
  assert.is(violations(bolt).at(-1), 'HEAD_INVALID')
  const refused = world.wire.findLast(({ message }) => message.t === 'witness/refused')!
  assert.is((refused.message as { status: number }).status, 403)
  assert.equal(seen(bolt, acme)?.size, before?.size)
  // The proof is kept beside the closed log, and told again it closes nothing new.
  assert.ok([...bolt.store].some(([key, value]) => key === `fork/${acme.org}/0` && equal(value, proof)))
  bolt.input({ type: 'connected', org: witnesses[0]!.org })
  witnesses[0]!.input({ type: 'connected', org: bolt.org })
  world.run(10_000)
  for (const member of all(told)) assert.not(isClosed(acme.org, member.env))
})

test('it goes on after a restart, and can be succeeded again', () => {
  const told = forked()
  const { acme, bolt, world } = told
  for (let number = 1; number <= 2; number++) {
    acme.succeed()
    world.run(10_000)
    const { size } = acme.state.ledger.tail.range
    acme.restart()
    world.run(10_000)
    assert.is(acme.state.ledger.number, number)
    assert.ok(acme.state.ledger.tail.range.size >= size)
    deliver(world, acme, bolt, { text: `number ${number}` })
    assert.equal(decodePartner(bolt.store.get(KEY.partner(acme.org))!).chain.logs.length, number + 1)
  }
  const asOfMs = world.wallMs
  const report = check(formatEvidence(collect(bolt, acme, about(told), asOfMs)), told, {
    asOfMs,
    requireFinal: true,
  })
  assert.is(report.verdict, 'verified')
})

test('a partner that was away follows when it is met again', () => {
  const told = story()
  const { acme, bolt, world } = told
  bolt.up = false
  acme.succeed()
  world.run(10_000)
  bolt.restart()
  acme.input({ type: 'connected', org: bolt.org })
  bolt.input({ type: 'connected', org: acme.org })
  world.run(10_000)
  deliver(world, acme, bolt, { text: 'again' })
  assert.is(originSeen(bolt, acme), originOf(acme.chain))
})

test('a store that is behind its log goes on with a successor, and does nothing else', () => {
  const told = story()
  const { acme, bolt, world } = told
  acme.store.set(KEY.behind, encodeState({ claims: [], proven: true }))
  throwsCode(() => acme.delegate(['log']), 'RESTORED_BEHIND')
  throwsCode(() => deliver(world, acme, bolt), 'RESTORED_BEHIND')
  acme.succeed()
  world.run(10_000)
  const again = deliver(world, acme, bolt, { text: 'again' })
  const evidence = collect(bolt, acme, { agreement: again.agreement, packet: again.packet }, world.wallMs)
  assert.is(verify(formatEvidence(evidence), trustNow(told), { asOfMs: world.wallMs }).verdict, 'verified')
})

test('a successor has no freedom, and two are a fork of the identity', () => {
  const { acme } = story()
  const admin = acme.key('admin')
  const one = makeDelegate(acme.chain, admin, { succeeds: true }, 1)
  const other = makeDelegate(acme.chain, admin, { succeeds: true }, 2)
  const next = extendChain(acme.chain, one)
  assert.ok(!isRefused(next))
  const second = extendChain(next, other)
  assert.is(isRefused(second) && second.code, 'IDENTITY_FORKED')
  // Of another identity the id is another: nobody can name a log that is not behind the active one.
  const third = makeDelegate({ ...acme.chain, logs: [] }, admin, { succeeds: true }, 1)
  const wrong = extendChain(acme.chain, third)
  assert.is(isRefused(wrong) && wrong.code, 'EVENT_UNLINKED')
})

test.run()
