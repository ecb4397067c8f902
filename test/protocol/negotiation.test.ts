import * as assert from 'uvu/assert'
import { encodeSigned, signRecord } from '../../crypto/statement.ts'
import { type Agreement, agreement, withdraw } from '../../protocol/agreement.ts'
import { KEY } from '../../protocol/layout.ts'
import { CLOCK_SKEW_MS, REQUEST_MS, SIGN_BY_MS } from '../../protocol/limits.ts'
import type { Message } from '../../protocol/message.ts'
import { PROFILE } from '../../protocol/policy.ts'
import { readRecord, type Stored } from '../../protocol/record.ts'
import { suite, throwsCode } from '../harness.ts'
import { alter, codes, DAY_MS, POLICY, resign, Story } from './story.ts'
import { START_MS } from './world.ts'

const test = suite('protocol/negotiation')
const ID = new Uint8Array(16).fill(9)

/** A story up to the request, with the offer known. */
function ready(options: ConstructorParameters<typeof Story>[0] = {}): Story {
  const story = new Story(options)
  story.pair().publish()
  assert.ok(story.read())
  return story
}
const grants = ({ acme, bolt }: Story) =>
  [acme, bolt].map(member => member.stateOf(KEY.grants, () => 1).length).join()

test('a request that the offer denies is not sent, and says which clause, what was asked, what is allowed and what next', () => {
  const story = ready()
  const error = throwsCode(() => story.request({ purpose: 'marketing' }), 'POLICY_DENIED')
  assert.equal((error as Error & { refusal?: object }).refusal, {
    code: 'POLICY_DENIED',
    text: 'purpose "marketing" is not "benchmark"',
    clause: 'permissions[0].constraints[0]',
    asked: 'marketing',
    allowed: 'benchmark',
    next: 'ask with purpose benchmark',
  })
  throwsCode(() => story.request({ action: 'distribute' }), 'POLICY_DENIED')
  throwsCode(() => story.request({ purpose: 'two\nlines' }), 'RECORD_INVALID')
  assert.is(story.sent('negotiation/request').length, 0)
})

test('a prohibition is named as one', () => {
  const prohibitions = [
    { action: 'analyse', constraints: [{ left: 'purpose', op: 'eq', right: 'benchmark' }] },
  ]
  const story = ready({ policy: { ...POLICY, prohibitions } })
  const error = throwsCode(() => story.request(), 'POLICY_DENIED') as Error & {
    refusal?: { allowed: string }
  }
  assert.match(error.message, /purpose "benchmark" is prohibited/)
  assert.is(error.refusal?.allowed, 'not: eq benchmark')
})

test('a term that this version does not know denies, and says that it is not known', () => {
  const constraints = [{ left: 'spatial', op: 'eq', right: 'Shanghai' }]
  const story = ready({ policy: { ...POLICY, permissions: [{ action: 'analyse', constraints }] } })
  const error = throwsCode(() => story.request(), 'POLICY_DENIED') as Error & { refusal?: object }
  assert.equal(error.refusal, {
    code: 'POLICY_DENIED',
    clause: 'permissions[0].constraints[0]',
    asked: 'nothing',
    text: 'this version cannot decide spatial eq, and what it does not know is denied',
    allowed: 'Shanghai',
  })
})

test('a consumer that asks all the same is refused by the provider, with the clause', () => {
  const story = ready()
  alter(story, 'negotiation/request', message => ({ ...message, purpose: 'marketing' }))
  story.request().world.run()
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  const { code, clause, asked, allowed, next } = story.asked()!.refusal!
  assert.equal(
    [code, clause, asked, allowed, next],
    [
      'POLICY_DENIED',
      'permissions[0].constraints[0]',
      'marketing',
      'benchmark',
      'ask with purpose benchmark',
    ],
  )
  story.check()
})

test('core is never offered and never agreed to; important always asks a person', () => {
  const story = ready({ level: 'important', approval: 'policy' })
  story.request().world.run()
  assert.is(story.negotiation(), 'REQUESTED REQUESTED')
  assert.ok(story.acme.events.some(event => event.type === 'negotiation' && event.waitsFor === 'person'))
  story.decide().world.run()
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
  const drafts = [story.acme.draft('secret', ID)]
  const core = { type: 'publish', title: 'core', domain: 'x', level: 'core', packets: drafts } as const
  const { asset } = story.acme.input(core) as { asset: NonNullable<Story['asset']> }
  throwsCode(() => story.makeOffer({ asset }), 'POLICY_DENIED')
})

test('an offer that lets its policy decide needs nobody', () => {
  const story = ready({ approval: 'policy' })
  story.request().world.run()
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
  assert.is(story.sent('negotiation/pending').length, 0)
  story.check()
})

test('an offer that has ended is refused on either side', () => {
  const untilMs = START_MS + DAY_MS
  const story = ready({ untilMs })
  story.request().world.run()
  story.world.run(DAY_MS)
  story.decide().world.run()
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  assert.is(story.asked()!.refusal!.code, 'OFFER_EXPIRED')
  throwsCode(() => story.request(), 'OFFER_EXPIRED')
  story.check()
})

test('an offer is there for its audience only', () => {
  const story = new Story({ audience: ({ cole }) => [cole.env.self.id] })
  story.pair().publish()
  assert.not.ok(story.read())
  throwsCode(() => story.request(), 'OFFER_UNKNOWN')
  const { bolt, acme, world } = story
  const state = bolt.env.self.id
  const { offer } = story
  world.send(bolt, acme.org, {
    t: 'negotiation/request',
    id: ID,
    offer: offer!,
    action: 'analyse',
    purpose: 'benchmark',
    state,
  })
  story.expected = []
  world.run()
  const [sent] = story.sent('negotiation/terminate')
  assert.is(sent!.refusal.code, 'OFFER_UNKNOWN')
})

test('a request under another key state than the one known is refused', () => {
  const story = ready()
  alter(story, 'negotiation/request', message => ({ ...message, state: story.cole.env.self.id }))
  story.request().world.run()
  assert.is(story.asked()!.refusal!.code, 'RECORD_INVALID')
})

// An agreement that is not what was offered and asked.

const ALTERED: [what: string, change: (story: Story) => Partial<Agreement>, code: string][] = [
  [
    'policy',
    () => ({ policy: { profile: PROFILE, permissions: [], prohibitions: [] } }),
    'AGREEMENT_MISMATCH',
  ],
  ['asset', ({ offer }) => ({ asset: offer! }), 'AGREEMENT_MISMATCH'],
  ['assignee', ({ cole }) => ({ assignee: cole.env.self.id }), 'AGREEMENT_MISMATCH'],
  ['assigner', ({ cole }) => ({ assigner: cole.env.self.id }), 'AGREEMENT_MISMATCH'],
  ['purpose', () => ({ purpose: 'marketing' }), 'AGREEMENT_MISMATCH'],
  ['action', () => ({ action: 'use' }), 'AGREEMENT_MISMATCH'],
  ['until', () => ({ until: START_MS + 1 }), 'RECORD_INVALID'],
  ['price', () => ({ price: { amount: 1, currency: 'EUR' } }), 'AGREEMENT_MISMATCH'],
  ['consumer nonce', () => ({ assigneeNonce: ID }), 'AGREEMENT_MISMATCH'],
  ['begin', () => ({ from: START_MS + 100 * DAY_MS }), 'AGREEMENT_MISMATCH'],
  ['begin before the offer', () => ({ from: START_MS - DAY_MS }), 'AGREEMENT_MISMATCH'],
  ['key state', ({ cole }) => ({ assigneeState: cole.env.self.id }), 'AGREEMENT_MISMATCH'],
  ['signBy in the past', () => ({ signBy: START_MS }), 'SIGNED_TOO_LATE'],
]
for (const [what, change, code] of ALTERED)
  test(`an agreement with another ${what} is not signed: ${code}`, () => {
    const story = ready({ approval: 'policy' })
    const key = story.acme.env.keys.operation
    alter(story, 'negotiation/agree', message => ({
      ...message,
      agreement: resign(message.agreement, change(story), ['assigner', key]),
    }))
    story.request().world.run()
    assert.is(story.negotiation(), 'TERMINATED TERMINATED')
    assert.is(story.asked()!.refusal!.code, code)
    assert.is(grants(story), '0,0')
    story.check()
  })

const SIGNERS: [what: string, sign: (story: Story, record: Uint8Array) => Uint8Array][] = [
  ['somebody else', ({ cole }, record) => resign(record, {}, ['assigner', cole.env.keys.operation])],
  ['the wrong key', ({ acme }, record) => resign(record, {}, ['assigner', acme.env.keys.admin])],
  ['nobody', (_story, record) => resign(record, {})],
  [
    'one side twice',
    ({ acme }, record) =>
      resign(record, {}, ['assigner', acme.env.keys.operation], ['assigner', acme.env.keys.operation]),
  ],
]
for (const [what, sign] of SIGNERS)
  test(`an agreement signed by ${what} is not countersigned: SIGNATURE_INVALID`, () => {
    const story = ready({ approval: 'policy' })
    alter(story, 'negotiation/agree', message => ({ ...message, agreement: sign(story, message.agreement) }))
    story.request().world.run()
    assert.is(story.asked()!.refusal!.code, 'SIGNATURE_INVALID')
    assert.is(grants(story), '0,0')
  })

test('an agreement that leaves no room for the second signature is refused, not signed', () => {
  const story = ready({ approval: 'policy' })
  const key = story.acme.env.keys.operation
  const grown = (record: Uint8Array, length: number): Uint8Array => {
    const right = Array.from({ length: 64 }, () => 'z'.repeat(length))
    const constraints = Array.from({ length: 4 }, () => ({ left: 'purpose', op: 'isAnyOf', right }))
    const policy = { ...POLICY, permissions: [{ action: 'use', constraints }] }
    return resign(record, { policy, notice: 'x'.repeat(500) }, ['assigner', key])
  }
  alter(story, 'negotiation/agree', message => {
    const length = [...Array(256).keys()].findLast(
      n => grown(message.agreement, 1).length + 256 * n < 65_500,
    )!
    return { ...message, agreement: grown(message.agreement, length) }
  })
  story.request().world.run()
  assert.is(story.asked()!.refusal!.code, 'RECORD_INVALID')
})

test('an offer that an agreement could not copy is not made', () => {
  const story = ready()
  const right = Array.from({ length: 64 }, () => 'z'.repeat(250))
  const constraints = Array.from({ length: 4 }, () => ({ left: 'purpose', op: 'isAnyOf', right }))
  const policy = { ...POLICY, permissions: [{ action: 'use', constraints }] }
  throwsCode(() => story.makeOffer({ policy }), 'RECORD_INVALID')
  const more = { ...POLICY, permissions: [policy.permissions[0]!, policy.permissions[0]!] }
  throwsCode(() => story.makeOffer({ policy: more }), 'RECORD_INVALID')
})

// Order.

const STRAY: [message: Message, code: string][] = [
  [{ t: 'negotiation/pending', id: ID }, 'UNKNOWN_DIALOGUE'],
  [{ t: 'negotiation/agree', id: ID, agreement: ID }, 'UNKNOWN_DIALOGUE'],
  [{ t: 'negotiation/verify', id: ID, agreement: ID }, 'UNKNOWN_DIALOGUE'],
  [{ t: 'negotiation/finalize', id: ID }, 'UNKNOWN_DIALOGUE'],
  [{ t: 'transfer/start', id: ID, packets: [] }, 'UNKNOWN_DIALOGUE'],
  [{ t: 'transfer/complete', id: ID }, 'UNKNOWN_DIALOGUE'],
]
test('a message of a dialogue that nobody began is a violation, told once and never answered', () => {
  for (const [message, code] of STRAY) {
    const story = new Story()
    story.pair()
    const [mine, theirs] = [codes(story.acme).length, codes(story.bolt).length]
    story.world.send(story.bolt, story.acme.org, message)
    story.world.run()
    assert.equal(codes(story.acme).slice(mine), [code], message.t)
    assert.equal(codes(story.bolt).slice(theirs), ['OUT_OF_ORDER'], 'and its sender is told')
    assert.is(story.sent('error').length, 1)
  }
})

test('messages out of order change nothing', () => {
  const story = ready()
  story.request().world.run()
  const { acme, bolt, cole, world } = story
  const { id } = story.asked()!
  world.send(acme, bolt.org, { t: 'negotiation/finalize', id })
  world.send(bolt, acme.org, { t: 'negotiation/verify', id, agreement: ID })
  world.send(acme, bolt.org, { t: 'negotiation/verify', id, agreement: ID })
  world.run()
  assert.is(story.negotiation(), 'REQUESTED REQUESTED')
  assert.equal(
    codes(acme).filter(code => code === 'OUT_OF_ORDER').length,
    1 + 2,
    'one, and two that it is told of',
  )
  // Another partner that knows the id finds nobody.
  world.send(cole, bolt.org, { t: 'negotiation/agree', id, agreement: ID })
  world.send(cole, acme.org, { t: 'negotiation/verify', id, agreement: ID })
  world.run()
  assert.is(codes(cole).length, 2)
  assert.is(codes(acme).at(-1), 'UNKNOWN_DIALOGUE')
  assert.is(story.negotiation(), 'REQUESTED REQUESTED')
  story.decide().world.run()
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
  story.expected = ['OUT_OF_ORDER', 'UNKNOWN_DIALOGUE']
  story.check()
})

test('a stranger is not heard at all', () => {
  const story = new Story()
  const { acme, bolt, world } = story
  world.send(bolt, acme.org, { t: 'negotiation/finalize', id: ID })
  world.run()
  assert.is(codes(acme).length + story.sent('error').length, 0)
})

test('verify for another agreement is a mismatch, one badly signed is invalid, and the right one still counts', () => {
  const story = ready({ approval: 'policy' })
  let turn = 0
  const { acme, bolt } = story
  alter(story, 'negotiation/verify', message => {
    const [first, second] = [acme, bolt].map(member => member.env.keys.operation)
    const changes = [{ purpose: 'marketing' }, {}][turn++]
    if (!changes) return message
    const forged = turn === 1 ? second! : first!
    const whole = resign(message.agreement, changes, ['assigner', first!], ['assignee', forged])
    return { ...message, agreement: whole }
  })
  story.request().world.run()
  assert.equal(codes(acme), ['AGREEMENT_MISMATCH', 'SIGNATURE_INVALID'])
  assert.is(story.negotiation(), 'FINALIZED FINALIZED', 'after a resend')
  story.expected = ['AGREEMENT_MISMATCH', 'SIGNATURE_INVALID', 'OUT_OF_ORDER']
  story.check()
})

// Time and withdrawal (RULES F1).

test('a countersignature after signBy is void: SIGNED_TOO_LATE on both sides', () => {
  const story = ready({ approval: 'policy' })
  story.world.delay = message => (message.t === 'negotiation/verify' ? SIGN_BY_MS + 1 : 0)
  story.request().world.run(2 * SIGN_BY_MS)
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  assert.is(story.asked()!.refusal!.code, 'SIGNED_TOO_LATE')
  assert.is(grants(story), '0,0')
  story.check()
})

test('a provider that says "too late" too early is not believed', () => {
  const story = ready({ approval: 'policy' })
  const { acme, bolt, world } = story
  world.bend = message => (message.t === 'negotiation/finalize' ? 0 : 1)
  story.request().world.run(1_000)
  const { id } = story.asked()!
  const refusal = { code: 'SIGNED_TOO_LATE', text: 'too late' }
  const says = () => world.send(acme, bolt.org, { t: 'negotiation/terminate', id, refusal })
  says()
  world.run(1_000)
  assert.is(story.asked()!.state, 'VERIFIED')
  assert.equal(codes(bolt), ['OUT_OF_ORDER'])
  world.run(SIGN_BY_MS - CLOCK_SKEW_MS)
  says()
  world.run(1_000)
  assert.is(story.asked()!.state, 'TERMINATED')
})

test('a person who does not decide in a week lets the request end on both sides', () => {
  const story = ready()
  story.request().world.run(REQUEST_MS + DAY_MS)
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  story.check()
  const lonely = ready()
  lonely.request().world.run()
  lonely.bolt.up = false
  lonely.acme.restart()
  lonely.world.run(REQUEST_MS + DAY_MS)
  assert.is(
    lonely.provided()![1].refusal!.code,
    'TIMED_OUT',
    'also when nobody asks again, and after a restart',
  )
  lonely.check()
})

test('a withdrawal before the countersignature ends it on both sides', () => {
  const story = ready({ approval: 'policy' })
  const { acme, world } = story
  world.bend = message => (message.t === 'negotiation/agree' ? 0 : 1)
  story.request().world.run(1_000)
  acme.input({ type: 'withdraw', machine: story.provided()![0], reason: `a mistake\n${'🙂'.repeat(300)}` })
  world.run()
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  assert.is(story.asked()!.refusal!.code, 'WITHDRAWN')
  const record = readRecord(withdraw, story.sent('negotiation/terminate')[0]!.withdraw!) as Stored<{
    reason: string
  }>
  assert.ok(record.payload.reason.startsWith('a mistake 🙂'), 'the reason is one that a record can hold')
  assert.is(grants(story), '0,0')
  story.check()
})

test('a withdrawal that crosses the countersignature takes the agreement from both', () => {
  const story = ready({ approval: 'policy' })
  const { acme, world } = story
  world.bend = message => (message.t === 'negotiation/verify' ? 0 : 1)
  story.request().world.run(1_000)
  assert.is(story.negotiation(), 'VERIFIED AGREED')
  acme.input({ type: 'withdraw', machine: story.provided()![0], reason: 'a mistake' })
  world.bend = () => 1
  world.run()
  assert.is(story.negotiation(), 'TERMINATED TERMINATED')
  assert.is(grants(story), '0,0')
  story.check()
})

test('after both have signed nothing is taken back, whoever says so', () => {
  const story = ready({ approval: 'policy' })
  const { acme, bolt, cole, world } = story
  world.bend = message => (message.t === 'negotiation/finalize' ? 0 : 1)
  story.request().world.run(1_000)
  const { id, agreementId } = story.asked()!
  throwsCode(
    () => acme.input({ type: 'withdraw', machine: story.provided()![0], reason: 'too late' }),
    'OUT_OF_ORDER',
  )
  const ids = { agreement: agreementId!, assignee: bolt.env.self.id, reason: 'x', made: START_MS }
  const payload = { t: 'withdraw/1', org: cole.env.self.id, ...ids }
  const foreign = encodeSigned({ p: payload, s: [signRecord(payload, 'assigner', cole.env.keys.operation)] })
  const refusal = { code: 'WITHDRAWN', text: 'x' }
  for (const record of [undefined, foreign, agreementBytes(story)]) {
    const message = {
      t: 'negotiation/terminate',
      id,
      refusal,
      ...(record ? { withdraw: record } : {}),
    } as const
    world.send(acme, bolt.org, message)
    world.run(1_000)
    assert.is(story.asked()!.state, 'VERIFIED')
    assert.is(codes(bolt).at(-1), 'OUT_OF_ORDER')
  }
  world.bend = () => 1
  world.run(600_000)
  world.send(acme, bolt.org, { t: 'negotiation/terminate', id, refusal })
  world.run(1_000)
  assert.is(story.negotiation(), 'FINALIZED FINALIZED')
})
const agreementBytes = (story: Story) =>
  readRecord(agreement, story.asked()!.agreement!) && story.asked()!.agreement!

test('what an operator may decide, and when', () => {
  const story = ready()
  story.request().world.run()
  throwsCode(() => story.bolt.input({ type: 'decide', machine: story.machine, approve: true }), 'NOT_FOUND')
  throwsCode(() => story.acme.input({ type: 'decide', machine: 'transfer/x', approve: true }), 'NOT_FOUND')
  const [machine] = story.provided()!
  throwsCode(() => story.acme.input({ type: 'withdraw', machine, reason: 'x' }), 'OUT_OF_ORDER')
  const reason = `no\n${'ü🙂'.repeat(400)}`
  story.acme.input({ type: 'decide', machine, approve: false, reason })
  story.world.run()
  assert.is(story.asked()!.refusal!.code, 'DENIED_BY_PERSON')
  assert.ok(story.asked()!.refusal!.text.startsWith('no ü🙂'))
  throwsCode(() => story.acme.input({ type: 'decide', machine, approve: true }), 'OUT_OF_ORDER')
})

test('two requests under one offer are two agreements; a repeat of one is one', () => {
  const story = ready({ approval: 'policy' })
  story.request().world.run()
  const first = story.agreement!
  story.request().world.run()
  assert.not.ok(first.equals(story.agreement!))
  assert.is(grants(story), '2,2')
  story.check()
})

test.run()
