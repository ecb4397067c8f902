import { CarBufferReader } from '@ipld/car/buffer-reader'
import * as assert from 'uvu/assert'
import { concat, utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { cidOf } from '../../crypto/cid.ts'
import { expand } from '../../crypto/hash.ts'
import { collectConsent, collectDelivery, recordsOf } from '../../protocol/collect.ts'
import { type EntryPart, PARTS, readEvidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { saltOf } from '../../protocol/judge.ts'
import { KEY } from '../../protocol/layout.ts'
import { MAX_EVIDENCE_BYTES } from '../../protocol/limits.ts'
import { verify } from '../../protocol/verify.ts'
import { sameBytes, suite, throwsCode } from '../harness.ts'
import { blocksOf, car, varint, withRoot } from './bundle.ts'
import { ask, check, collect, contextOf, detailOf, failedSteps, statusOf, story } from './evidence-story.ts'

const test = suite('evidence files')
const told = story()
const { evidence, bytes, trust, asOfMs } = told
const about = { agreement: told.agreement, packet: told.packet }
const verdictOf = (file: Uint8Array) => check(file, told).verdict

test('a file is a CARv1 for everybody, and is read as it was written', () => {
  const reader = CarBufferReader.fromBytes(bytes)
  assert.is(reader.version, 1)
  assert.is(reader.getRoots().length, 1)
  const read = readEvidence(bytes)
  assert.ok('claim' in read)
  if (!('claim' in read)) return
  assert.equal(read.stray, [])
  for (const name of PARTS.filter(each => each !== 'title')) {
    const found = read.part(name)
    assert.is(found.is, 'here', name)
    if (found.is === 'here') sameBytes(found.bytes, evidence.parts[name]!)
  }
  assert.equal(
    read.entries.map(each => (each as EntryPart).of),
    evidence.entries.map(each => each.of),
  )
  sameBytes(formatEvidence(evidence), bytes)
  sameBytes(car(blocksOf(bytes)), bytes)
  sameBytes(saltOf(bytes)!, evidence.parts.salt!)
})

// Files that are none.

test('blocks that do not belong', () => {
  const blocks = blocksOf(bytes)
  const extra = { cid: cidOf(utf8('extra'), 'raw'), bytes: utf8('extra') }
  assert.equal(failedSteps(check(car([...blocks, extra]), told)), ['bundle'])
  for (const [i, block] of blocks.entries())
    assert.ok(failedSteps(check(car([...blocks, block]), told)).includes('bundle'), `block ${i} twice`)
  // The same bytes under a CID of another codec.
  const salt = evidence.parts.salt!
  assert.is(verdictOf(car([...blocks, { cid: cidOf(salt, 'dag-cbor'), bytes: salt }])), 'failed')
  // Under an id that is not theirs, beside the genuine one.
  assert.is(verdictOf(car([...blocks, { cid: extra.cid, bytes: blocks[3]!.bytes }])), 'failed')
})

test('roots: two, none, one that is not first', () => {
  const blocks = blocksOf(bytes)
  const ids = blocks.map(block => block.cid)
  assert.is(verdictOf(car(blocks, ids.slice(0, 2))), 'failed')
  assert.is(verdictOf(car(blocks, [ids[0]!, ids[0]!])), 'failed')
  assert.is(verdictOf(car(blocks, [])), 'failed')
  assert.is(verdictOf(car(blocks, [ids[1]!])), 'failed')
  assert.is(verdictOf(car([...blocks.slice(1), blocks[0]!], [ids[0]!])), 'failed')
  assert.is(verdictOf(car([], [ids[0]!])), 'failed')
  assert.is(verdictOf(car(blocks.toSpliced(1, 12).concat(blocks.slice(1, 13)))), 'verified')
})

test('a part under a codec that is not its own', () => {
  const blocks = blocksOf(bytes)
  const salt = evidence.parts.salt!
  const cid = cidOf(salt, 'dag-cbor')
  const turned = blocks.map(block => (block.cid.equals(cidOf(salt, 'raw')) ? { ...block, cid } : block))
  const file = withRoot(bytes, root => ({ ...root, parts: { ...(root.parts as object), salt: cid } }), turned)
  assert.equal(failedSteps(check(file, told)), ['salt'])
})

test('the root of another version is unknown, of another type false', () => {
  const typed = (t: Value) =>
    check(
      withRoot(bytes, root => ({ ...root, t })),
      told,
    )
  assert.is(typed('evidence/2').verdict, 'inconclusive')
  for (const t of ['evidence/0', 'evidence/', 'evidence', 'agreement/1', 1, null])
    assert.is(typed(t).verdict, 'failed')
  for (const value of [null, 1, [], 'evidence/1', new Uint8Array(3)])
    assert.is(
      check(
        withRoot(bytes, () => value),
        told,
      ).verdict,
      'failed',
    )
})

test('cut files', () => {
  const whole = new Set<number>()
  let end = 0
  for (const piece of [varint(0), ...blocksOf(bytes)]) {
    const header = encode({ roots: [blocksOf(bytes)[0]!.cid], version: 1 })
    end +=
      piece instanceof Uint8Array
        ? 1 + header.length
        : varint(36 + piece.bytes.length).length + 36 + piece.bytes.length
    whole.add(end)
  }
  for (let length = 0; length < bytes.length; length += 61)
    if (!whole.has(length)) assert.is(verdictOf(bytes.subarray(0, length)), 'failed', `${length} bytes`)
  // Cut between two blocks, it is a file with parts left out.
  for (const length of whole) {
    const verdict = verdictOf(bytes.subarray(0, length))
    assert.ok(length === bytes.length ? verdict === 'verified' : verdict !== 'verified', `${length} bytes`)
  }
  assert.ok(whole.has(bytes.length))
  assert.is(verdictOf(concat(bytes, Uint8Array.of(0))), 'failed')
})

test('bytes that are no file', () => {
  const rows: [string, Uint8Array][] = [
    ['empty', new Uint8Array(0)],
    ['zeros', new Uint8Array(1_000)],
    ['a huge varint', new Uint8Array(50).fill(0xff)],
    ['a length of 2^63', Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1)],
    ['a length past the end', concat(varint(4_000_000), bytes)],
    ['a header alone', bytes.subarray(0, 59)],
    [
      'a length that is not in its shortest form',
      concat(Uint8Array.of(bytes[0]! | 0x80, 0), bytes.subarray(1)),
    ],
    ['past the limit', concat(bytes, new Uint8Array(MAX_EVIDENCE_BYTES))],
    [
      'thousands of blocks',
      car([...blocksOf(bytes), ...Array.from({ length: 3_000 }, (_, i) => block(`${i}`))]),
    ],
    ['text', utf8('{"claim":1}')],
  ]
  for (const [why, file] of rows) {
    assert.is(verdictOf(file), 'failed', why)
    assert.is(saltOf(file), undefined, why)
  }
  for (let i = 0; i < 2_000; i += 1) {
    const noise = expand(new Uint8Array(32).fill(i & 255), `noise/${i}`, 1 + (i % 300))
    assert.is(verdictOf(noise), 'failed', `noise ${i}`)
    const body = concat(bytes.subarray(0, 59), noise)
    assert.is(verdictOf(body), 'failed', `noise ${i} behind a header`)
  }
})

test('noise in a block under its own id', () => {
  const blocks = blocksOf(bytes)
  for (let i = 0; i < blocks.length; i += 1)
    for (let round = 0; round < 6; round += 1) {
      const noise = expand(new Uint8Array(32).fill(round), `block/${i}`, 1 + round * 40)
      const before = blocks[i]!.cid
      const cid = cidOf(noise, before.code === 0x55 ? 'raw' : 'dag-cbor')
      const changed = blocks.with(i, { cid, bytes: noise })
      const file =
        i === 0 ? car(changed) : withRoot(bytes, root => replace(root, before.toString(), cid), changed)
      assert.is(verdictOf(file), 'failed', `block ${i}, round ${round}`)
    }
})

// Collecting.

test('both sides collect what verifies, before the other side answers too', () => {
  for (const [own, other] of [
    [told.acme, told.bolt],
    [told.bolt, told.acme],
  ] as const) {
    const alone = collectDelivery(contextOf(own), own.state.ledger, about, { asOfMs })
    const report = verify(formatEvidence(alone), trust, { asOfMs })
    assert.is(report.verdict, 'inconclusive')
    const side = own === told.acme ? 'consumer' : 'provider'
    assert.is(statusOf(report, `${side} head`), 'inconclusive')
    assert.is(statusOf(report, 'salt'), 'inconclusive')
    assert.equal(failedSteps(report), [])
    assert.is(verdictOf(formatEvidence(collect(own, other, about, asOfMs))), 'verified')
    const consent = collectConsent(
      contextOf(own),
      own.state.ledger,
      { agreement: told.agreement },
      { asOfMs },
    )
    assert.is(verify(formatEvidence(consent), trust, { asOfMs }).verdict, 'verified')
  }
})

test('what to ask the other side for', () => {
  const context = contextOf(told.bolt)
  assert.is(recordsOf(context, { agreement: told.agreement }).length, 2)
  assert.is(recordsOf(context, about).length, 6)
  const strange = cidOf(utf8('no such thing'), 'dag-cbor')
  throwsCode(() => recordsOf(context, { agreement: strange }), 'NOT_FOUND')
  throwsCode(() => recordsOf(context, { agreement: told.agreement, packet: strange }), 'NOT_FOUND')
  throwsCode(() => recordsOf(context, { agreement: told.packet }), 'NOT_FOUND')
})

test('a third party gets no proofs of what does not concern it', () => {
  const [cole] = told.witnesses
  const reply = ask(cole!, told.acme, [told.agreement, told.packet])
  assert.equal(reply.entries, [])
})

test('entries go under the head that is worth most, not the newest', () => {
  const busy = story({ text: 'busy', witnesses: ['Cole Logistics', 'Dunn Castings', 'Eder AG'] })
  const { acme, bolt, world, witnesses } = busy
  const cosigned = acme.state.ledger.signed.range.size
  witnesses[0]!.up = false
  acme.input({ type: 'publish', title: 'more', domain: 'production', level: 'general', packets: [] })
  bolt.input({ type: 'proofs', org: acme.org, records: [] })
  world.run(5_000)
  assert.ok(acme.state.ledger.signed.range.size > cosigned)
  const collected = collect(bolt, acme, { agreement: busy.agreement, packet: busy.packet }, world.wallMs)
  const report = check(formatEvidence(collected), { ...busy, asOfMs: world.wallMs })
  assert.is(report.verdict, 'verified')
  assert.match(detailOf(report, 'provider position')!, /^final, 3 of 3/)
  assert.match(detailOf(report, 'provider head')!, `size ${cosigned}`)
  // An entry that no cosigned head covers goes under the newest, and is pending.
  const told2 = collect(acme, bolt, { agreement: busy.agreement, packet: busy.packet }, world.wallMs)
  assert.is(check(formatEvidence(told2), { ...busy, asOfMs: world.wallMs }).verdict, 'verified')
})

test('a delivery that was rejected, or is not opened yet, is none', () => {
  const { bolt } = told
  const key = KEY.delivery(told.agreement, told.packet)
  const { second: _, ...state } = decode(bolt.store.get(key)!, 1 << 20) as { [name: string]: Value }
  for (const changed of [state, { ...state, second: state.release! }]) {
    const forged = new Map(bolt.store).set(key, encode(changed))
    const context = { ...contextOf(bolt), get: (name: string) => forged.get(name) }
    throwsCode(() => collectDelivery(context, bolt.state.ledger, about, { asOfMs }), 'OUT_OF_ORDER')
    throwsCode(() => recordsOf(context, about), 'OUT_OF_ORDER')
  }
})

test('what a partner answers is checked by nobody but the verifier', () => {
  const { acme, bolt } = told
  const records = recordsOf(contextOf(bolt), about)
  const theirs = ask(bolt, acme, records)
  const of = (reply: typeof theirs) =>
    check(
      formatEvidence(
        collectDelivery(contextOf(bolt), bolt.state.ledger, about, {
          asOfMs,
          theirs: reply,
          salt: evidence.parts.salt!,
        }),
      ),
      told,
    )
  assert.is(of(theirs).verdict, 'verified')
  assert.is(of({ ...theirs, entries: theirs.entries.slice(2) }).verdict, 'inconclusive')
  assert.is(of({ ...theirs, note: `${theirs.note}x` }).verdict, 'failed')
  const strange = { ...theirs.entries[0]!, record: acme.env.self.id }
  assert.is(of({ ...theirs, entries: [...theirs.entries, strange] }).verdict, 'verified')
  const [a, b, ...rest] = theirs.entries
  const turned = [{ ...a!, record: b!.record }, { ...b!, record: a!.record }, ...rest]
  assert.is(of({ ...theirs, entries: turned }).verdict, 'failed')
  assert.is(of({ ...theirs, witnesses: [] }).verdict, 'verified')
})

function block(text: string) {
  return { cid: cidOf(utf8(text), 'raw'), bytes: utf8(text) }
}

/** The value with the link written `text` replaced. */
function replace(value: Value, text: string, cid: Value): Value {
  if (String(value) === text) return cid
  if (Array.isArray(value)) return value.map(each => replace(each, text, cid))
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array || 'multihash' in value)
    return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, replace(each as Value, text, cid)]),
  )
}

test.run()
