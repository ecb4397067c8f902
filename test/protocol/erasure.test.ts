import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import { sha256 } from '../../crypto/hash.ts'
import { decodeSigned, recordId } from '../../crypto/statement.ts'
import { type Asking, redactionOf } from '../../protocol/erasure.ts'
import type { Evidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { indexOf, keptRecord, readEntries, readEntryAt, redactedOf } from '../../protocol/kept.ts'
import { HANDLE, KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { SimBodyKeys } from '../../sim/body-keys.ts'
import { suite, throwsCode } from '../harness.ts'
import {
  check,
  collect,
  detailOf,
  failedSteps,
  statusOf,
  type Story as Told,
  story as tell,
} from './evidence-story.ts'
import { DAY_MS, resign, Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/erasure')
const REASON = 'a person asked for it'

const idOf = (signed: Uint8Array): CID => recordId(decodeSigned(signed).p)
const cid = (digest: Uint8Array): CID => cidFromDigest(digest, 'dag-cbor')
const packetsOf = (member: Member, asset: CID): CID[] =>
  [...member.store].filter(([key]) => key.startsWith(KEY.packetsOf(asset))).map(([, digest]) => cid(digest))
const slotOfEntry = (member: Member, id: CID): number =>
  readEntryAt(member.env.get, indexOf(member.env.get, id)!)!.slot
/** One letter of a text in the bytes becomes another. */
function flip(bytes: Uint8Array, text: string): Uint8Array {
  const at = Buffer.from(bytes).indexOf(text)
  return bytes.with(at, bytes[at]! ^ 1)
}

const outcome = (asker: Member, holder: Member, record: CID) =>
  decodeState<Asking>(asker.store.get(KEY.redaction(holder.org, record))!)
const redact = (member: Member, record: CID) => () => member.redact(record, REASON)

test('what a record says, its salt and the keys of a packet are gone; why and when stands in the log', () => {
  const story = new Story().play()
  const { acme, asset } = story
  const packet = packetsOf(acme, asset!)[0]!
  const { root } = decodeState<{ root: CID }>(acme.store.get(KEY.delivery(story.agreement!, packet))!)
  const slot = slotOfEntry(acme, packet)
  assert.ok(acme.env.slots.salt(slot))
  acme.redact(packet, REASON)
  assert.is(keptRecord(acme.env, packet), undefined)
  assert.is(acme.env.slots.salt(slot), undefined)
  assert.is(acme.secrets.has(HANDLE.content(root)), false)
  assert.is(acme.store.has(KEY.root(root)), false)
  const word = redactionOf(acme.env, packet)!
  assert.equal([word.payload.type, word.payload.reason], ['packet/1', REASON])
  assert.ok(redactedOf(acme.env.get, packet)!.parties.some(org => org.equals(acme.env.self.id)))
  assert.equal(
    [...acme.store.keys()].filter(key => key.startsWith(KEY.forgets)),
    [],
  )
  assert.ok(acme.events.some(event => event.type === 'redacted' && event.root?.equals(root)))
  story.check()
  acme.restart()
  story.world.run()
  assert.is(keptRecord(acme.env, packet), undefined)
})

/** Another machine: the store and the keys of a backup, and nothing that was destroyed since. */
function putBack(member: Member, name: string, copy: Map<string, Uint8Array>): void {
  const keys = new SimBodyKeys(sha256(new TextEncoder().encode(name)))
  for (let taken = member.bodyKeys.take(); keys.take() < taken; );
  member.store.clear()
  for (const [key, value] of copy) member.store.set(key, value)
  Object.assign(member, { bodyKeys: keys })
  member.env.slots = slotsOver(keys)
  member.restart()
}

for (const notices of [true, false])
  test(`a store put back on another machine ${notices ? 'that notices it ' : ''}learns from a holder what to erase again`, () => {
    const story = new Story().play()
    const { acme, bolt, world, asset } = story
    const [packet, other] = packetsOf(acme, asset!) as [CID, CID]
    const copy = new Map(acme.store)
    acme.redact(packet, REASON)
    assert.is(outcome(acme, bolt, packet).outcome, 'kept', 'and Bolt remembers that it was asked')
    putBack(acme, 'Acme Steel', copy)
    const nobodys = { tickets: [], seats: [], redactions: [] }
    if (notices) acme.input({ type: 'restored', why: 'restored', ...nobodys })
    assert.ok(keptRecord(acme.env, packet), 'it is back')
    const slot = slotOfEntry(acme, packet)
    bolt.input({ type: 'connected', org: acme.org })
    world.run()
    assert.is(keptRecord(acme.env, packet), undefined)
    assert.is(acme.env.slots.salt(slot), undefined)
    assert.is(redactionOf(acme.env, packet)!.payload.reason, REASON)
    assert.ok(keptRecord(acme.env, other), 'and nothing else')
    const events = acme.events.length
    bolt.input({ type: 'connected', org: acme.org })
    world.run()
    assert.not.ok(
      acme.events.slice(events).some(({ type }) => type === 'ask-erase'),
      'once',
    )
  })

test('a redacted packet is neither described nor sent, and nothing breaks that asks for it', () => {
  const story = new Story().agree()
  const [first, second] = packetsOf(story.acme, story.asset!)
  story.acme.redact(first!, REASON)
  story.transfer()
  assert.is(story.bolt.store.has(KEY.delivery(story.agreement!, first!)), false)
  assert.ok(story.bolt.store.has(KEY.delivery(story.agreement!, second!)))
  story.acme.redact(story.asset!, REASON)
  story.acme.redact(story.offer!, REASON)
  assert.not.ok(story.bolt.input({ type: 'catalog', org: story.acme.org }) === undefined)
  story.world.run()
  story.bolt.input({ type: 'proofs', org: story.acme.org, records: [story.agreement!, first!, story.offer!] })
  story.world.run()
  const reply = story.bolt.events.findLast(event => event.type === 'proofs')!.reply
  const salted = (id: CID) => reply.entries.find(each => each.record.equals(id))!.salt !== undefined
  assert.equal([story.agreement!, first!, story.offer!].map(salted), [true, false, false])
  assert.is(reply.redactions!.length, 2)
  assert.is(reply.entries.length, 5, 'with the entries of both words')
})

test('a holder erases it too, keeps what is in force, or does not have it, and says so', () => {
  const story = new Story().pair().publish()
  assert.ok(story.read())
  const { acme, bolt, cole, offer } = story
  acme.redact(offer!, REASON)
  assert.is(outcome(acme, bolt, offer!).outcome, 'erased')
  assert.is(outcome(acme, cole, offer!).outcome, 'missing')
  assert.is(redactionOf(bolt.env, offer!)!.payload.org.toString(), bolt.org, 'by a word of its own')
  assert.is(bolt.store.has(KEY.seenOffer(acme.org, offer!)), false)
  story.read() // what was erased does not come back
  assert.is(keptRecord(bolt.env, offer!), undefined)
  const agreed = new Story().play()
  agreed.acme.redact(agreed.offer!, REASON)
  const kept = outcome(agreed.acme, agreed.bolt, agreed.offer!)
  assert.is(kept.outcome, 'kept')
  assert.match(kept.text!, /needed by agreement/)
  assert.ok(keptRecord(agreed.bolt.env, agreed.offer!))
})

test('a holder that is away is asked again, after a restart too', () => {
  const story = new Story().pair().publish()
  story.read()
  const { acme, bolt, offer, world } = story
  bolt.up = false
  acme.redact(offer!, REASON)
  assert.is(outcome(acme, bolt, offer!).outcome, undefined)
  acme.restart()
  world.run(60_000)
  bolt.restart()
  world.run(400_000)
  assert.is(outcome(acme, bolt, offer!).outcome, 'erased')
})

test('agreements, receipts and releases go only when the agreement has ended', () => {
  const story = new Story().play()
  const { acme, bolt, agreement, world } = story
  const packet = packetsOf(acme, story.asset!)[0]!
  const delivery = decodeState<{ receipt: Uint8Array; release: Uint8Array; second: Uint8Array }>(
    acme.store.get(KEY.delivery(agreement!, packet))!,
  )
  const ids = [delivery.receipt, delivery.release, delivery.second].map(bytes => idOf(bytes))
  for (const id of [agreement!, ...ids]) throwsCode(redact(acme, id), 'IN_FORCE')
  world.run(366 * DAY_MS)
  for (const id of ids) acme.redact(id, REASON)
  assert.is(acme.store.has(KEY.delivery(agreement!, packet)), false)
  acme.redact(agreement!, REASON)
  assert.is(acme.store.has(KEY.grant(bolt.org, agreement!)), false)
  assert.equal(
    [...acme.store.keys()].filter(key => key.startsWith(KEY.negotiations)),
    [],
  )
  assert.is(outcome(acme, bolt, agreement!).outcome, 'erased')
  assert.is(bolt.store.has(KEY.grant(acme.org, agreement!)), false)
  acme.restart()
  bolt.restart()
  world.run()
})

test('what cannot be redacted is refused by its code', () => {
  const { acme, asset, world } = new Story().agree()
  throwsCode(redact(acme, acme.env.self.id), 'NOT_FOUND')
  const genesis = [...readEntries(acme.env.get, 0, 1)][0]!
  const [key] = [...acme.store].find(
    ([name]) => name.startsWith('record/') && name.endsWith(toHex(genesis.of)),
  )!
  assert.ok(key)
  throwsCode(redact(acme, cid(genesis.of)), 'NOT_REDACTABLE')
  throwsCode(() => acme.redact(asset!, 'x'.repeat(600)), 'RECORD_INVALID')
  acme.redact(asset!, REASON)
  throwsCode(redact(acme, asset!), 'OUT_OF_ORDER')
  throwsCode(redact(acme, redactedOf(acme.env.get, asset!)!.redaction), 'NOT_REDACTABLE')
  world.run()
})

test('a packet is not redacted while it is being delivered', () => {
  const story = new Story().agree()
  story.world.bend = message => (message.t === 'delivery/opened' ? 0 : 1)
  story.transfer()
  const packet = packetsOf(story.acme, story.asset!)[0]!
  for (const member of [story.acme, story.bolt]) throwsCode(redact(member, packet), 'OUT_OF_ORDER')
})

test('a word of somebody else, a changed one, and an answer to no question are refused', () => {
  const story = new Story().pair().publish()
  story.read()
  const { acme, bolt, cole, offer, world } = story
  acme.redact(offer!, REASON)
  const word = story.sent('redaction/ask')[0]!.redaction
  const keeper: [string, typeof acme.env.keys.operation] = ['keeper', acme.env.keys.operation]
  story.expected = ['RECORD_INVALID', 'SIGNATURE_INVALID', 'UNKNOWN_DIALOGUE', 'OUT_OF_ORDER']
  const codes: string[] = []
  const ask = (from: Member, to: Member, redaction: Uint8Array) => {
    const before = to.events.length
    world.send(from, to.org, { t: 'redaction/ask', redaction })
    world.run()
    codes.push(
      to.events
        .slice(before)
        .flatMap(event => (event.type === 'violation' ? [event.code] : []))
        .join(),
    )
  }
  ask(cole, bolt, word)
  ask(acme, bolt, resign(word, { reason: 'another' }, ['keeper', cole.env.keys.operation]))
  ask(acme, bolt, resign(word, { when: 1 }, keeper))
  const before = acme.events.length
  world.send(bolt, acme.org, { t: 'redaction/answer', record: acme.env.self.id, outcome: 'erased', text: '' })
  world.run()
  codes.push(...acme.events.slice(before).flatMap(event => (event.type === 'violation' ? [event.code] : [])))
  assert.equal(codes, ['RECORD_INVALID', 'SIGNATURE_INVALID', 'RECORD_INVALID', 'UNKNOWN_DIALOGUE'])
})

test('only parties of a record can ask for its end', () => {
  const story = new Story().pair().publish()
  story.read()
  const { cole, bolt, offer, acme, world } = story
  // Cole makes a word about a record of Acme's, and signs it as its own.
  acme.redact(offer!, REASON)
  const word = story.sent('redaction/ask')[0]!.redaction
  const other = new Story().pair().publish()
  other.read()
  const forged = resign(word, { org: other.cole.env.self.id, record: other.offer! }, [
    'keeper',
    other.cole.env.keys.operation,
  ])
  other.world.pair(other.bolt, other.cole)
  other.world.send(other.cole, other.bolt.org, { t: 'redaction/ask', redaction: forged })
  other.world.run()
  assert.ok(keptRecord(other.bolt.env, other.offer!), 'it is not of the organisation that asks')
  assert.ok(cole && bolt && world)
})

// Evidence.

const aboutOf = ({ agreement, packet }: Told) => ({ agreement, packet })
const REDACTED = ['asset', 'offer', 'packet'] as const
const idOfPart = (told: Told, name: (typeof REDACTED)[number]): CID =>
  name === 'packet' ? told.packet : idOf(told.evidence.parts[name]!)

test('evidence that covers a redacted record verifies and says why it is gone, whoever redacted it', () => {
  for (const side of ['acme', 'bolt'] as const)
    for (const name of REDACTED) {
      const told = tell()
      const id = idOfPart(told, name)
      // At the consumer what is in force is its own to erase: nobody else can make it.
      told[side].redact(id, REASON)
      told.world.run(20_000)
      for (const collector of ['acme', 'bolt'] as const) {
        const [own, other] = collector === 'acme' ? [told.acme, told.bolt] : [told.bolt, told.acme]
        const evidence = collect(own, other, aboutOf(told), told.world.wallMs)
        const report = check(formatEvidence(evidence), { ...told, asOfMs: told.world.wallMs })
        const where = `${name} redacted by ${side}, collected by ${collector}`
        assert.is(report.verdict, 'verified', `${where}: ${JSON.stringify(report.steps, null, 1)}`)
        const isGone = evidence.parts[name] === undefined
        assert.is(isGone, side === collector, where)
        if (isGone) assert.match(detailOf(report, name)!, new RegExp(`^redacted: ${REASON}`))
        if (side === 'acme' && name !== 'asset')
          assert.match(detailOf(report, `provider entry: ${name}`)!, /redacted: |commits/)
      }
    }
})

/** Evidence of a delivery whose packet, offer and asset were redacted by both. */
function bare(): { told: Told; evidence: Evidence } {
  const told = tell()
  for (const name of REDACTED)
    for (const side of ['acme', 'bolt'] as const) told[side].redact(idOfPart(told, name), REASON)
  told.world.run(20_000)
  const evidence = collect(told.bolt, told.acme, aboutOf(told), told.world.wallMs)
  return { told: { ...told, asOfMs: told.world.wallMs }, evidence }
}

test('with everything redacted that may be, the agreement, the receipts and the places in both logs still hold', () => {
  const { told, evidence } = bare()
  const report = check(formatEvidence(evidence), told)
  assert.is(report.verdict, 'verified', JSON.stringify(report.steps, null, 1))
  assert.is(evidence.redactions!.length, 5, 'the word for the asset is the collector’s alone')
  for (const id of ['agreement', 'received', 'release', 'opened', 'provider position'])
    assert.is(statusOf(report, id), 'ok', id)
  for (const id of ['asset', 'offer', 'packet', 'root', 'salt', 'content'])
    assert.is(statusOf(report, id), 'skipped', id)
})

test('a redaction that is changed, foreign, unlogged or left out does not excuse a missing part', () => {
  const { told, evidence } = bare()
  const words = evidence.redactions!
  const verdictOf = (changes: Partial<Evidence>) => {
    const report = check(formatEvidence({ ...evidence, ...changes }), told)
    return `${report.verdict}: ${failedSteps(report).join()}`
  }
  const keeper: [string, typeof told.bolt.env.keys.operation] = ['keeper', told.bolt.env.keys.operation]
  const without = (of: string) => evidence.entries.filter(each => each.of !== of)
  const mine = words.findIndex(word =>
    idOf(word).equals(redactedOf(told.bolt.env.get, told.packet)!.redaction),
  )
  const cases: [string, Partial<Evidence>, RegExp][] = [
    ['left out', { redactions: [], entries: without('redaction') }, /^inconclusive/],
    ['its entries left out', { entries: without('redaction') }, /^inconclusive/],
    ['another reason', { redactions: words.with(mine, flip(words[mine]!, REASON)) }, /^failed: redactions/],
    [
      'another reason, signed anew and unlogged',
      { redactions: words.with(mine, resign(words[mine]!, { reason: 'no' }, keeper)) },
      /^(inconclusive|failed)/,
    ],
    [
      'of another record',
      { redactions: words.with(mine, resign(words[mine]!, { record: told.agreement }, keeper)) },
      /^(failed|inconclusive)/,
    ],
    [
      'by a third',
      {
        redactions: words.with(
          mine,
          resign(words[mine]!, { org: told.witnesses[0]!.env.self.id }, [
            'keeper',
            told.witnesses[0]!.env.keys.operation,
          ]),
        ),
      },
      /^failed: redactions/,
    ],
    [
      'twice',
      { redactions: [...words, resign(words[mine]!, { reason: 'again' }, keeper)] },
      /^failed: redactions/,
    ],
    [
      'an entry that is not under the head',
      {
        entries: evidence.entries.map(each =>
          each.of === 'packet' ? { ...each, path: each.path!.toReversed() } : each,
        ),
      },
      /^failed: provider entry: packet/,
    ],
    [
      'a word in the place of another',
      {
        entries: evidence.entries.map(each =>
          each.of === 'redaction' ? { ...each, redaction: idOf(words[0]!) } : each,
        ),
      },
      /^failed/,
    ],
    [
      'an agreement that is missing',
      { parts: { ...evidence.parts, agreement: undefined as never } },
      /^(failed|inconclusive)/,
    ],
  ]
  for (const [name, changes, expected] of cases) assert.match(verdictOf(changes), expected, name)
})

test('a salt cannot be left out where nothing was redacted', () => {
  const told = tell()
  const entries = told.evidence.entries.map(({ salt: _salt, ...each }) => each)
  const report = check(formatEvidence({ ...told.evidence, entries }), told)
  assert.is(report.verdict, 'inconclusive')
})

test.run()
