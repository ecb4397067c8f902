import { execFileSync } from 'node:child_process'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { cosign } from '../../crypto/checkpoint.ts'
import { cidOf } from '../../crypto/cid.ts'
import { expand, sha256 } from '../../crypto/hash.ts'
import { inclusionPath, treeRoot } from '../../crypto/merkle.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { encodeSigned, type Payload, recordId, signRecord } from '../../crypto/statement.ts'
import { type EntryPart, type Evidence, PARTS, type PartName } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { cosignerName, type IdentitySeeds, makeIdentity } from '../../protocol/identity.ts'
import { append, checkpointOf, commitment, emptyTail, originOf } from '../../protocol/log.ts'
import { readTrust, witnessesOf } from '../../protocol/trust.ts'
import { verify } from '../../protocol/verify.ts'
import { suite, throwsCode } from '../harness.ts'
import { blocksOf, car, copy } from './bundle.ts'
import { check, collect, detailOf, failedSteps, statusOf, story, trustFile } from './evidence-story.ts'
import { type Member, START_MS } from './world.ts'

const test = suite('verification of evidence')
const told = story()
const { evidence, bytes, trust, asOfMs } = told
const DAY_MS = 86_400_000

const DELIVERY_STEPS = [
  'bundle',
  'provider identity',
  'consumer identity',
  'identities',
  'asset',
  'offer',
  'agreement',
  'packet',
  'root',
  'received',
  'release',
  'opened',
  'salt',
  'content',
  'entries',
  'committees',
  'provider committee',
  'consumer committee',
  'provider head',
  'provider entry: offer',
  'provider entry: agreement',
  'provider entry: packet',
  'provider entry: received',
  'provider entry: release',
  'provider entry: opened',
  ...Array(3).fill('provider entry: state'),
  'provider position',
  'provider staple',
  'provider keys',
  'provider key state',
  'consumer head',
  'consumer entry: agreement',
  'consumer entry: received',
  'consumer entry: release',
  'consumer entry: opened',
  ...Array(2).fill('consumer entry: state'),
  'consumer position',
  'consumer staple',
  'consumer keys',
  'consumer key state',
]

test('untouched evidence verifies, each step by name', () => {
  const report = check(bytes, told)
  assert.is(report.verdict, 'verified')
  assert.equal(report.steps.map(step => step.id).sort(), [...DELIVERY_STEPS].sort())
  assert.ok(report.steps.every(step => step.status === 'ok' && step.detail !== ''))
  assert.is(report.trustDigest, trust.digest)
  assert.is(report.claim!.packet, told.packet.toString())
  assert.equal(report.content, { name: 'file-2.txt', size: told.plain.length, mediaType: 'text/plain' })
})

test('the provider’s collection says the same as the consumer’s', () => {
  const theirs = collect(told.acme, told.bolt, { agreement: told.agreement, packet: told.packet }, asOfMs)
  const report = check(formatEvidence(theirs), told)
  assert.is(report.verdict, 'verified')
  assert.equal(report.steps.map(step => step.id).sort(), [...DELIVERY_STEPS].sort())
})

test('content: not at hand, right, and wrong', () => {
  const without = verify(bytes, trust, { asOfMs })
  assert.is(without.verdict, 'verified')
  assert.is(statusOf(without, 'content'), 'skipped')
  assert.is(detailOf(without, 'content'), 'content not checked')
  const digest = sha256(utf8('other'))
  assert.equal(failedSteps(verify(bytes, trust, { asOfMs, content: { size: told.plain.length, digest } })), [
    'content',
  ])
  const longer = { size: told.plain.length + 1, digest }
  assert.equal(failedSteps(verify(bytes, trust, { asOfMs, content: longer })), ['content'])
})

test('a consent verifies, its history as the presenter’s word', () => {
  const report = verify(formatEvidence(told.consent), trust, { asOfMs })
  assert.is(report.verdict, 'verified')
  assert.is(statusOf(report, 'history'), 'skipped')
  assert.not(report.steps.some(step => step.id === 'packet' || step.id === 'content'))
  const { providerHead: _p, consumerHead: _c, ...parts } = told.consent.parts
  const bare = formatEvidence({ ...copy(told.consent), parts, entries: [] })
  assert.is(verify(bare, trust, { asOfMs }).verdict, 'verified')
  assert.is(verify(bare, trust, { asOfMs, requireFinal: true }).verdict, 'inconclusive')
  // A head that covers nothing of the consent says nothing of it.
  const heads = formatEvidence({ ...copy(told.consent), entries: [] })
  assert.is(verify(heads, trust, { asOfMs }).verdict, 'inconclusive')
  const entries = formatEvidence({ ...copy(told.consent), parts })
  assert.is(verify(entries, trust, { asOfMs }).verdict, 'inconclusive')
})

test('as-of before, in and after the term of the agreement', () => {
  for (const [at, word] of [
    [START_MS - DAY_MS, 'after the time that is asked about'],
    [asOfMs, 'in force'],
    [START_MS + 120 * DAY_MS, 'ended'],
  ] as const)
    assert.match(detailOf(check(bytes, told, { asOfMs: at }), 'agreement')!, word)
})

// What is missing.

test('each part left out is inconclusive, and names its step', () => {
  // The asset is not registered: nothing shows its owner.
  for (const name of PARTS.filter(each => each !== 'title')) {
    const { [name]: _, ...parts } = evidence.parts
    const report = check(formatEvidence({ ...copy(evidence), parts }), told)
    assert.is(report.verdict, 'inconclusive', name)
    const step = ({ provider: 'provider identity', consumer: 'consumer identity' } as Record<string, string>)[
      name
    ]
    const id = step ?? name.replace('Head', ' head')
    assert.is(statusOf(report, id), 'inconclusive', name)
  }
  const witness = check(formatEvidence({ ...copy(evidence), witnesses: [] }), told)
  assert.is(witness.verdict, 'inconclusive')
  assert.is(statusOf(witness, 'provider position'), 'inconclusive')
})

test('each block left out of the file is inconclusive, but for the claim itself', () => {
  const blocks = blocksOf(bytes)
  for (const [i] of blocks.entries()) {
    const report = check(car(blocks.toSpliced(i, 1)), told)
    assert.is(report.verdict, i === 0 ? 'failed' : 'inconclusive', `block ${i}`)
  }
})

test('an entry that is required is missed, one that is not is not', () => {
  const required = ['packet', 'agreement', 'release', 'agreement', 'received', 'opened']
  let missed = 0
  for (const [i, { of, org }] of evidence.entries.entries()) {
    if (of === 'state') continue // what they show, the staples show too while they are fresh
    const report = check(
      formatEvidence({ ...copy(evidence), entries: evidence.entries.toSpliced(i, 1) }),
      told,
    )
    const side = org.equals(evidence.claim.provider) ? 'provider' : 'consumer'
    const isRequired = ![
      'provider offer',
      'provider received',
      'provider opened',
      'consumer release',
    ].includes(`${side} ${of}`)
    assert.is(report.verdict, isRequired ? 'inconclusive' : 'verified', `${side} ${of}`)
    if (isRequired) missed += 1
  }
  assert.is(missed, required.length)
})

test('without a cosignature the words say pending, and only a final verdict waits for it', () => {
  const bare = withHeads(evidence, note => note.lines.slice(0, 1))
  const report = check(bare, told)
  assert.is(report.verdict, 'verified')
  assert.is(detailOf(report, 'provider position'), 'pending: 0 of 1')
  assert.is(check(bare, told, { requireFinal: true }).verdict, 'inconclusive')
  assert.is(check(bytes, told, { requireFinal: true }).verdict, 'verified')
  // A name that nobody knows is a cosignature left out.
  const unknown = withHeads(evidence, note =>
    note.lines.map((line, i) => (i === 1 ? { ...line, name: 'x/0' } : line)),
  )
  assert.is(detailOf(check(unknown, told), 'provider position'), 'pending: 0 of 1')
})

// Trust.

test('an organisation that is not trusted is inconclusive', () => {
  const { acme, bolt, witnesses } = told
  for (const [known, step] of [
    [[bolt, ...witnesses], 'provider identity'],
    [[acme, ...witnesses], 'consumer identity'],
  ] as [Member[], string][]) {
    const report = check(bytes, { ...told, trust: readTrust(trustFile(known, witnesses, [acme, bolt])) })
    assert.is(report.verdict, 'inconclusive')
    assert.is(statusOf(report, step), 'inconclusive')
  }
  const nobody = check(bytes, { ...told, trust: readTrust(trustFile([], [], [])) })
  assert.is(nobody.verdict, 'inconclusive')
})

test('a witness counts only where the trust file names it, and a trust file may be asked for nothing less', () => {
  const { acme, bolt, witnesses } = told
  const none = readTrust(trustFile([acme, bolt], [], []))
  const report = check(bytes, { ...told, trust: none })
  assert.is(report.verdict, 'verified')
  assert.is(detailOf(report, 'provider position'), 'recorded, unwitnessed')
  assert.is(check(bytes, { ...told, trust: none }, { requireFinal: true }).verdict, 'inconclusive')
  const own = readTrust(trustFile([acme, bolt], [acme, ...witnesses], [acme]))
  assert.equal(witnessesOf(own, acme.env.self.id), [witnesses[0]!.org])
  // @ts-expect-error a verdict without a trust file would be nobody's
  assert.throws(() => verify(bytes, undefined, { asOfMs }))
})

test('a trust file of another form is refused', () => {
  const good = trustFile([told.acme], told.witnesses, [told.acme])
  const rows: [string, unknown][] = [
    ['nothing', undefined],
    ['a text', 'waybill.trust/1'],
    ['another schema', { ...good, schema: 'waybill.trust/2' }],
    ['a field more', { ...good, strict: true }],
    ['no committees', { schema: good.schema, identities: [] }],
    ['no id', { ...good, identities: [{ id: 'acme' }] }],
    ['a witness that is no id', { ...good, committees: [{ log: told.acme.org, witnesses: ['cole'] }] }],
    ['two committees of one log', { ...good, committees: [...good.committees, ...good.committees] }],
    [
      '33 witnesses',
      { ...good, committees: [{ log: told.acme.org, witnesses: Array(33).fill(told.bolt.org) }] },
    ],
    ['a negative skew', { ...good, clockSkewMs: -1 }],
    ['half a surrogate', { ...good, identities: [{ id: told.acme.org, name: '\ud800' }] }],
    ['a line in a name', { ...good, identities: [{ id: told.acme.org, name: 'Acme\u2028' }] }],
  ]
  for (const [why, json] of rows) throwsCode(() => readTrust(json), 'TRUST_MALFORMED', why)
  const turned = { committees: good.committees, identities: good.identities, schema: good.schema }
  assert.is(readTrust(turned).digest, readTrust(good).digest)
})

test('four witnesses: the bound is the second clock, and names whose', () => {
  const four = story({ witnesses: ['Cole', 'Dora', 'Eve', 'Finn'] })
  const report = check(four.bytes, four)
  assert.is(report.verdict, 'verified')
  assert.match(
    detailOf(report, 'provider position')!,
    /^final, 4 of 4: safe while at most 1 of 4 lie; existed by /,
  )
  assert.match(detailOf(report, 'provider position')!, /\(2 of 4 clocks: \w+, \w+\)$/)
  const times = [9, 2, 5, 7]
  const dated = withHeads(four.evidence, note => [
    note.lines[0]!,
    ...four.witnesses.map((witness, i) => coline(note.body, witness, START_MS / 1000 + times[i]!)),
  ])
  const bound = detailOf(check(dated, four), 'provider position')!
  assert.match(bound, /existed by 2026-01-01T00:00:05.000Z \(2 of 4 clocks: Dora, Eve\)/)
  const two = withHeads(four.evidence, note => note.lines.slice(0, 3))
  assert.match(detailOf(check(two, four), 'provider position')!, /^pending: 2 of 4/)
})

test('one of two partners: pending, exit 0, and its state counts as far as that one goes', () => {
  const two = story({ witnesses: ['Cole', 'Dora'] })
  const bare = { ...two.evidence, staples: [] }
  const one = withHeads(bare, note => note.lines.slice(0, 2))
  const report = check(one, two)
  assert.is(report.verdict, 'verified')
  assert.match(detailOf(report, 'provider position')!, /^pending: 1 of 2/)
  assert.is(check(one, two, { requireFinal: true }).verdict, 'inconclusive')
  const none = check(
    withHeads(bare, note => note.lines.slice(0, 1)),
    two,
  )
  assert.is(none.verdict, 'inconclusive')
  assert.is(statusOf(none, 'provider position'), 'ok')
  assert.match(detailOf(none, 'provider key state')!, /^key state at signing unproven/)
})

test('a cosignature later than as-of and the skew of clocks is not counted', () => {
  const at = (ms: number) =>
    check(
      withHeads(evidence, note => [note.lines[0]!, coline(note.body, told.witnesses[0]!, ms / 1000)]),
      told,
    )
  const skew = 5 * 60_000
  assert.match(detailOf(at(asOfMs + skew), 'provider position')!, /^final, 1 of 1/)
  assert.match(
    detailOf(at(asOfMs + skew + 1000), 'provider position')!,
    /^pending: 0 of 1; Cole Logistics cosigned later/,
  )
  const wide = readTrust({ ...trust.file, clockSkewMs: skew + 1000 })
  const late = withHeads(evidence, note => [
    note.lines[0]!,
    coline(note.body, told.witnesses[0]!, (asOfMs + skew + 1000) / 1000),
  ])
  assert.match(detailOf(check(late, { ...told, trust: wide }), 'provider position')!, /^final/)
})

// Keys.

test('keys that have ended: with a bound from before, and without', () => {
  const untilMs = START_MS + 30 * DAY_MS
  const ended = story({ untilMs })
  const later = untilMs + DAY_MS
  const report = check(ended.bytes, ended, { asOfMs: later })
  assert.is(report.verdict, 'verified')
  assert.match(detailOf(report, 'provider keys')!, /^ended .*; the entries existed by /)
  const bare = withHeads(ended.evidence, note => note.lines.slice(0, 1))
  const undated = check(bare, ended, { asOfMs: later })
  assert.is(undated.verdict, 'inconclusive')
  assert.match(detailOf(undated, 'consumer keys')!, /valid when made cannot be shown/)
  const early = check(bare, ended, { asOfMs: untilMs })
  assert.is(statusOf(early, 'consumer keys'), 'ok')
  assert.is(early.verdict, 'inconclusive', 'a staple is as good for minutes, not for a month')
  assert.match(detailOf(early, 'consumer key state')!, /^key state at signing unproven/)
  const afterwards = withHeads(ended.evidence, note => [
    note.lines[0]!,
    coline(note.body, ended.witnesses[0]!, later / 1000),
  ])
  assert.is(check(afterwards, ended, { asOfMs: later }).verdict, 'inconclusive')
})

test('a cosignature by a key that has ended dates nothing', () => {
  const untilMs = START_MS + 30 * DAY_MS
  const ended = story({ witnessUntilMs: untilMs })
  const report = check(ended.bytes, ended, { asOfMs: untilMs + 1 })
  assert.is(report.verdict, 'inconclusive')
  assert.match(
    detailOf(report, 'provider position')!,
    /^pending: 0 of 1; the witness key of Cole Logistics ended .*: valid when made cannot be shown$/,
  )
  const all = story({ untilMs, witnessUntilMs: untilMs })
  assert.is(check(all.bytes, all, { asOfMs: untilMs + 1 }).verdict, 'inconclusive')
})

test('a head dates only what is shown under it', () => {
  const untilMs = START_MS + 30 * DAY_MS
  const ended = story({ untilMs })
  const options = { asOfMs: untilMs + 1 }
  assert.is(verify(formatEvidence(ended.consent), ended.trust, options).verdict, 'verified')
  const { providerHead: _p, consumerHead: _c, ...parts } = ended.consent.parts
  const bare = formatEvidence({ ...copy(ended.consent), parts, entries: [] })
  assert.is(verify(bare, ended.trust, options).verdict, 'inconclusive')
})

test('a key that stands in two organisations counts for neither', () => {
  const { seeds } = told.witnesses[0]!
  const about = { nonce: new Uint8Array(16), madeMs: START_MS, untilMs: START_MS + DAY_MS, retentionDays: 1 }
  const fresh = (name: string): IdentitySeeds =>
    Object.fromEntries(Object.keys(seeds).map(role => [role, expand(sha256(utf8(name)), role)])) as never
  const twin = makeIdentity({ ...fresh('twin'), witness: seeds.witness }, { ...about, name: 'Twin' })
  const crossed = makeIdentity({ ...fresh('twin'), admin: told.acme.seeds.log }, { ...about, name: 'Twin' })
  for (const { bytes: identity } of [twin, crossed]) {
    const report = check(
      formatEvidence({ ...copy(evidence), witnesses: [...evidence.witnesses, identity] }),
      told,
    )
    assert.equal(failedSteps(report), ['identities'])
    assert.match(detailOf(report, 'identities')!, /key in common/)
  }
  const stranger = makeIdentity(fresh('stranger'), { ...about, name: 'Stranger' })
  const more = formatEvidence({ ...copy(evidence), witnesses: [...evidence.witnesses, stranger.bytes] })
  assert.is(check(more, told).verdict, 'verified')
})

test('entries: of a third log, twice, of another kind', () => {
  const [first] = evidence.entries
  const { witnesses } = told
  const third = { ...first!, org: witnesses[0]!.env.self.id }
  assert.equal(
    failedSteps(check(formatEvidence({ ...copy(evidence), entries: [...evidence.entries, third] }), told)),
    ['entries'],
  )
  const again = { ...first!, salt: first!.salt!.map(byte => byte ^ 1) }
  const twice = check(formatEvidence({ ...copy(evidence), entries: [...evidence.entries, again] }), told)
  assert.ok(failedSteps(twice).includes('entries'))
})

test('an entry counts by what it commits to and by its kind, not by what is said of it', () => {
  const verdict = (logged: Logged[]) => check(formatEvidence(ownLog(logged)), { ...told, trust: told.named })
  const { packet, agreement, release, offer } = evidence.parts as Record<string, Uint8Array>
  const good: Logged[] = [
    { of: 'packet', bytes: packet! },
    { of: 'agreement', bytes: agreement! },
    { of: 'release', bytes: release! },
  ]
  assert.is(verdict(good).verdict, 'verified')
  const other = verdict([...good.slice(0, 2), { of: 'release', bytes: offer! }])
  assert.equal(failedSteps(other), ['provider entry: release'])
  const kind = verdict([...good.slice(0, 2), { of: 'release', bytes: release!, kind: 3 }])
  assert.is(kind.verdict, 'inconclusive')
  assert.is(statusOf(kind, 'provider entry: release'), 'inconclusive')
  // A half-signed agreement in the log is not the agreement.
  const { p, s } = decode(agreement!) as { p: Value; s: Value[] }
  const half = verdict([good[0]!, { of: 'agreement', bytes: encode({ p, s: s.slice(0, 1) }) }, good[2]!])
  assert.equal(failedSteps(half), ['provider entry: agreement'])
})

test('a root that its publisher signed and that is none: false, or unknown by its version', () => {
  const { p } = decode(evidence.parts.packet!) as { p: Payload }
  const root = decode(evidence.parts.root!) as { [field: string]: Value }
  const rows: [change: { [field: string]: Value }, status: string][] = [
    [{ v: 2 }, 'inconclusive'],
    [{ v: 2, more: 1 }, 'inconclusive'],
    [{ block: 7 }, 'failed'],
    [{ more: 1 }, 'failed'],
    [{ size: 3 }, 'failed'],
  ]
  for (const [change, status] of rows) {
    const rootBytes = encode({ ...root, ...change })
    const payload = { ...p, root: cidOf(rootBytes, 'dag-cbor') }
    const changed = copy(evidence)
    const signature = signRecord(payload, 'publisher', told.acme.key('operation'))
    changed.parts.packet = encodeSigned({ p: payload, s: [signature] })
    changed.parts.root = rootBytes
    changed.claim.packet = recordId(payload)
    const report = check(formatEvidence(changed), told)
    assert.is(statusOf(report, 'packet'), 'ok')
    assert.is(statusOf(report, 'root'), status, JSON.stringify(change))
  }
})

test('provider and consumer are two', () => {
  const one = copy(evidence)
  one.claim.consumer = one.claim.provider
  one.parts.consumer = one.parts.provider!
  assert.ok(failedSteps(check(formatEvidence(one), told)).includes('bundle'))
})

// Determinism.

test('the report is the same each time, and on the other back end', () => {
  const salt = evidence.parts.salt!
  const report = () => JSON.stringify(verify(bytes, trust, { asOfMs }))
  assert.is(report(), report())
  const code = `
    import { verify } from '${new URL('../../protocol/verify.ts', import.meta.url)}'
    import { readTrust } from '${new URL('../../protocol/trust.ts', import.meta.url)}'
    const [file, trust, asOfMs] = JSON.parse(process.argv[1])
    console.log(JSON.stringify(file.map(each =>
      verify(new Uint8Array(Buffer.from(each, 'base64')), readTrust(trust), { asOfMs }))))`
  const broken = bytes.map((byte, i) => (i === bytes.length - 9 ? byte ^ 1 : byte))
  const files = [bytes, formatEvidence(told.consent), broken, bytes.subarray(0, 5_000), salt]
  const input = JSON.stringify([files.map(each => Buffer.from(each).toString('base64')), trust.file, asOfMs])
  const args = ['--conditions=noble', '--input-type=module', '-e', code, input]
  const other = execFileSync(process.execPath, args, { encoding: 'utf8' })
  assert.is(other.trim(), JSON.stringify(files.map(each => verify(each, trust, { asOfMs }))))
})

// Helpers.

interface Logged {
  of: EntryPart['of']
  bytes: Uint8Array
  kind?: number
}

/** The evidence with another log of the provider, made by its own key: what an owner can write into its log. */
function ownLog(logged: Logged[]): Evidence {
  const { acme } = told
  const salt = new Uint8Array(32).fill(5)
  let tail = emptyTail()
  const appended = logged.map(({ bytes: signedBytes, kind = 0 }) => {
    const one = append(tail, { kind, timeMs: START_MS, c: commitment(salt, signedBytes) })
    tail = one.tail
    return one
  })
  const hashes = appended.map(each => each.leaf)
  const node = (level: number, at: number) => treeRoot(hashes.slice(at * 2 ** level, (at + 1) * 2 ** level))
  const origin = originOf(acme.chain)
  const body = checkpointOf(origin, tail)
  const changed = copy(evidence)
  changed.parts.providerHead = utf8(formatNote({ body, lines: [signNote(body, origin, acme.key('log'))] }))
  const org = acme.env.self.id
  const entries = logged.map(({ of }, i) => ({
    org,
    of,
    salt,
    entry: appended[i]!.entry,
    path: inclusionPath(i, hashes.length, node),
  }))
  changed.entries = [...entries, ...changed.entries.filter(each => !each.org.equals(org))]
  return changed
}

type Note = ReturnType<typeof parseNote>

/** The file with other signature lines under both heads. */
function withHeads(from: Evidence, lines: (note: Note) => Note['lines']): Uint8Array {
  const changed = copy(from)
  for (const name of ['providerHead', 'consumerHead'] satisfies PartName[]) {
    const note = parseNote(new TextDecoder().decode(from.parts[name]!))
    changed.parts[name] = utf8(formatNote({ body: note.body, lines: lines(note) }))
  }
  return formatEvidence(changed)
}

const coline = (body: string, witness: Member, timeS: number) =>
  cosign(body, timeS, cosignerName(witness.org), witness.env.keys.witness)

test.run()
