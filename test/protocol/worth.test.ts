/** What a partner's proofs are worth before they are kept: nothing on its word (RULES G). */
import * as assert from 'uvu/assert'
import { text, utf8 } from '../../crypto/bytes.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import { decodeSigned, recordId } from '../../crypto/statement.ts'
import { recordsOf } from '../../protocol/collect.ts'
import type { ProofReply } from '../../protocol/event.ts'
import type { Evidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { onlyLog } from '../../protocol/fork.ts'
import { originOf } from '../../protocol/log.ts'
import { verify } from '../../protocol/verify.ts'
import { withoutFalse, worthOf } from '../../protocol/worth.ts'
import { suite } from '../harness.ts'
import { ask, contextOf, story } from './evidence-story.ts'
import { forgedHead } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/worth')
const told = story()
const stranger = story({ provider: 'Other Steel', consumer: 'Other GmbH', witnesses: ['Other Logistics'] })
const { acme, bolt, agreement, packet, asOfMs } = told
const HASH = new Uint8Array(32).fill(7)

const about = { agreement, packet }
const recordsAt = (own: Member, of: { agreement: typeof agreement; packet?: typeof packet } = about) =>
  recordsOf(contextOf(own), of)
const judge = (own: Member, other: Member, reply: ProofReply, of: Parameters<typeof worthOf>[2] = about) =>
  worthOf(reply, other.org, of, contextOf(own), own.state.ledger, asOfMs)

/** What the provider's log must show. */
const SIGNED = ['packet', 'agreement', 'release'] as const
/** The reply without the entry that commits to this part. */
function without(reply: ProofReply, of: (typeof SIGNED)[number]): ProofReply {
  const id = recordId(decodeSigned(told.evidence.parts[of]!).p)
  return { ...reply, entries: reply.entries.filter(({ record }) => !record.equals(id)) }
}

const NOTHING: ProofReply = { entries: [], states: [], witnesses: [], events: [], pending: false }

test('what an honest partner proves is whole, at either side and of a consent too', () => {
  for (const [own, other] of [
    [bolt, acme],
    [acme, bolt],
  ] as const) {
    const reply = ask(own, other, recordsAt(own))
    assert.equal(judge(own, other, reply), { is: 'whole' })
    const consent = ask(own, other, recordsAt(own, { agreement }))
    assert.equal(judge(own, other, consent, { agreement }), { is: 'whole' })
  }
})

test('an answer with nothing, or with less than was asked for, is not whole whatever it says', () => {
  const reply = ask(bolt, acme, recordsAt(bolt))
  const less: ProofReply[] = [
    NOTHING,
    { ...NOTHING, note: reply.note! },
    { ...NOTHING, note: reply.note!, witnesses: reply.witnesses, events: reply.events },
    { ...reply, entries: [] },
    ...SIGNED.map(of => without(reply, of)),
    { ...reply, note: text(onlyLog(utf8(reply.note!), originOf(acme.chain))) },
  ]
  for (const [i, each] of less.entries()) assert.is.not(judge(bolt, acme, each).is, 'whole', `case ${i}`)
})

test('an answer with anything false in it is broken, and says what is', () => {
  const reply = ask(bolt, acme, recordsAt(bolt))
  const theirs = ask(stranger.bolt, stranger.acme, recordsOf(contextOf(stranger.bolt), stranger))
  const [first, ...rest] = reply.entries
  const lines = reply.note!.split('\n')
  const broken: [string, ProofReply][] = [
    ['the note is of nobody', { ...reply, note: 'garbage' }],
    ['the head is of another log', { ...reply, note: theirs.note! }],
    ['the head has another root', { ...reply, note: new TextDecoder().decode(forgedHead(bolt, 9)) }],
    [
      'a cosignature is made up',
      { ...reply, note: reply.note!.replace(lines.at(-2)!, `${lines.at(-2)!.slice(0, -8)}AAAAAAA=`) },
    ],
    ['an entry is garbage', { ...reply, entries: [{ ...first!, entry: HASH }, ...rest] }],
    [
      'an entry is of another log',
      { ...reply, entries: [{ ...first!, entry: theirs.entries[0]!.entry }, ...rest] },
    ],
    ['a salt is another', { ...reply, entries: [{ ...first!, salt: HASH }, ...rest] }],
    ['a path leads elsewhere', { ...reply, entries: [{ ...first!, path: [HASH] }, ...rest] }],
    ['an entry stands twice', { ...reply, entries: [first!, first!, ...rest] }],
    ['a state entry is garbage', { ...reply, states: [{ entry: HASH, path: [] }] }],
    ['a witness is garbage', { ...reply, witnesses: [HASH] }],
    ['an event is garbage', { ...reply, events: [HASH] }],
  ]
  for (const [what, each] of broken) {
    const worth = judge(bolt, acme, each)
    assert.is(worth.is, 'broken', what)
    assert.ok(worth.is === 'broken' && worth.why.includes(': '), what)
  }
})

test('what a partner handed over at signing does not make evidence false: it is left out where it would', () => {
  const home = contextOf(bolt)
  const { evidence } = told
  const whole = withoutFalse(evidence, acme.org, home, asOfMs)
  assert.is(whole, evidence)
  const staples = evidence.staples.map(each => {
    const { body, lines } = parseNote(text(each.note))
    const made = lines.map((line, i) =>
      i === 0 ? line : { ...line, signature: line.signature.map(b => b ^ 1) },
    )
    return each.org.equals(acme.env.self.id)
      ? { ...each, note: utf8(formatNote({ body, lines: made })) }
      : each
  })
  const judged = (each: Evidence) => verify(formatEvidence(each), told.trust, { asOfMs }).verdict
  assert.is(judged({ ...evidence, staples }), 'failed')
  assert.is(judged(withoutFalse({ ...evidence, staples }, acme.org, home, asOfMs)), 'verified')
})

test.run()
