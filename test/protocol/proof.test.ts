import * as assert from 'uvu/assert'
import { fromBase64, text, toBase64, utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../../crypto/merkle.ts'
import { decodeSigned, encodeSigned } from '../../crypto/statement.ts'
import { collectProofs } from '../../protocol/collect.ts'
import { keptRecord } from '../../protocol/kept.ts'
import { verifyProof } from '../../protocol/proof.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Story } from './story.ts'
import type { Member } from './world.ts'

const test = suite('protocol/proof')

const story = new Story().play()
const { acme, bolt, cole, world } = story
const readingOf = ({ acme: owner, world: around }: Story) => ({
  self: { ...owner.env.self, chain: owner.chain },
  get: owner.env.get,
  slots: owner.env.slots,
  partner: (org: string) => {
    const member = around.member(org)
    return { ...member.env.self, chain: member.chain } as never
  },
  witnesses: owner.witnesses,
})
const reading = readingOf(story)
const trust = readTrust({
  schema: 'waybill.trust/1',
  identities: [{ id: acme.org }],
  committees: [{ log: acme.org, witnesses: [cole.org] }],
})
const records = [story.agreement!, story.offer!, story.asset!]
const prove = (shown: CID[] = []) => collectProofs(reading, acme.state.ledger, records, shown)
/** An identity as a later version may write it. */
const ofLater = ({ env }: Member) => {
  const { p, s } = decodeSigned(env.self.identityBytes)
  return { identity: encodeSigned({ p: { ...p, t: 'id/2' }, s }), events: [] }
}
/** A proof with other values in its extra line. */
const withExtra = (whole: string, change: (extra: Record<string, Value>) => object) =>
  utf8(
    whole.replace(/^extra (.*)$/m, (_, encoded) => {
      const value = decode(fromBase64(encoded)!, 262_144) as Record<string, Value>
      return `extra ${toBase64(encode({ ...value, ...change(value) } as Record<string, Value>))}`
    }),
  )
const extraOf = (file: Uint8Array) =>
  decode(fromBase64(/^extra (.*)$/m.exec(text(file))![1]!)!, 262_144) as Record<string, Value[]>
const positionOf = (report: ReturnType<typeof verifyProof>) =>
  report.steps.find(({ id }) => id === 'position')!
const judge = (file: Uint8Array, believed = trust) => verifyProof(file, believed, { asOfMs: world.wallMs })

test('each record is proven under one head; what is not shown stays a commitment', () => {
  const files = prove([story.offer!])
  const heads = files.map(file => text(file).split('\n\n').slice(1).join())
  assert.is(new Set(heads).size, 1)
  for (const [i, file] of files.entries()) {
    const report = judge(file)
    assert.is(report.verdict, 'verified')
    assert.is(report.record?.id, i === 1 ? story.offer!.toString() : undefined)
    assert.match(
      report.steps.find(({ id }) => id === 'position')!.detail,
      /^final, 1 of 1: dated by Cole Logistics's word; Cole Logistics 2/,
    )
    const body = keptRecord(acme.env, records[i]!)!
    const [, extra] = /^extra (.*)$/m.exec(text(file))!
    assert.is(Buffer.from(fromBase64(extra!)!).includes(Buffer.from(body)), i === 1)
  }
})

test('the text is that of C2SP: an index, a path and a checkpoint that a stock client checks', () => {
  for (const file of prove()) {
    const [proof, body] = text(file).split('\n\n')
    const [first, extra, index, ...path] = proof!.split('\n')
    assert.is(first, 'c2sp.org/tlog-proof@v1')
    const { entry } = decode(fromBase64(extra!.slice(6))!, 65_536) as { entry: Uint8Array }
    const [, size, root] = body!.split('\n')
    assert.ok(
      verifyInclusion({
        leaf: leafHash(entry),
        index: Number(/^index (\d+)$/.exec(index!)![1]),
        size: Number(size),
        path: path.map(line => fromBase64(line)!),
        root: fromBase64(root!)!,
      }),
    )
  }
})

test('every part that is changed is found, at its step', () => {
  const [file] = prove([story.agreement!])
  const whole = text(file!)
  const extra = (change: object) => withExtra(whole, () => change)
  const index = Number(/^index (\d+)$/m.exec(whole)![1])
  const other = keptRecord(acme.env, story.offer!)!
  const cases: [string, Uint8Array, string, string][] = [
    ['no proof', utf8('x'), 'failed', 'form'],
    ['another first line', utf8(whole.replace('@v1', '@v2')), 'failed', 'form'],
    ['an index with a zero in front', utf8(whole.replace(/^index /m, 'index 0')), 'failed', 'form'],
    ['a short hash', utf8(whole.replace(/^(index \d+\n)..../m, '$1')), 'failed', 'form'],
    ['an unknown field', extra({ more: 1 }), 'failed', 'form'],
    ['another version', extra({ t: 'entry-proof/2', more: 1 }), 'inconclusive', 'form'],
    ['another type', extra({ t: 'entry/1' }), 'failed', 'form'],
    ['an owner of another version', extra({ owner: ofLater(acme) }), 'inconclusive', 'owner'],
    ['a witness of another version', extra({ witnesses: [ofLater(cole)] }), 'inconclusive', 'position'],
    ['another index', utf8(whole.replace(`index ${index}`, `index ${index + 1}`)), 'failed', 'entry'],
    [
      'another owner',
      extra({ owner: { identity: bolt.env.self.identityBytes, events: [] } }),
      'inconclusive',
      'owner',
    ],
    ['another head', utf8(whole.replace(/\n([0-9]+)\n(?=[A-Za-z0-9+/=]+\n\n—)/, '\n99\n')), 'failed', 'head'],
    ['another body', extra({ body: other }), 'failed', 'body'],
    ['another salt', extra({ salt: new Uint8Array(32) }), 'failed', 'body'],
  ]
  for (const [what, changed, verdict, step] of cases) {
    const report = judge(changed)
    assert.is(report.verdict, verdict, what)
    assert.is(report.steps.find(({ status }) => status === verdict)?.id, step, what)
  }
})

test('a path that fits trees of several sizes counts under the size that was signed alone', () => {
  let tried = 0
  for (const file of prove()) {
    const whole = text(file)
    const { entry } = decode(fromBase64(/^extra (.*)$/m.exec(whole)![1]!)!, 65_536) as { entry: Uint8Array }
    const [, body] = whole.split('\n\n')
    const [, size, root] = body!.split('\n')
    const index = Number(/^index (\d+)$/m.exec(whole)![1])
    const path = whole
      .split('\n\n')[0]!
      .split('\n')
      .slice(3)
      .map(line => fromBase64(line)!)
    for (let other = index + 1; other < 2 * Number(size); other++) {
      const fits = verifyInclusion({
        leaf: leafHash(entry),
        index,
        size: other,
        path,
        root: fromBase64(root!)!,
      })
      if (!fits || other === Number(size)) continue
      tried++
      const report = judge(utf8(whole.replace(`\n${size}\n${root}\n`, `\n${other}\n${root}\n`)))
      assert.equal([report.verdict, report.steps.at(-1)!.id], ['failed', 'head'])
    }
  }
  assert.ok(tried > 0, 'the path alone does not tell the size')
})

test('who is not trusted proves nothing, and who cosigns without being named does not count', () => {
  const [file] = prove()
  const nobody = readTrust({ schema: 'waybill.trust/1', identities: [], committees: [] })
  assert.is(judge(file!, nobody).verdict, 'inconclusive')
  const alone = readTrust({ schema: 'waybill.trust/1', identities: [{ id: acme.org }], committees: [] })
  assert.match(
    judge(file!, alone).steps.find(({ id }) => id === 'position')!.detail,
    /^recorded, unwitnessed/,
  )
})

test('what is not logged here cannot be proven', () => {
  throwsCode(() => collectProofs(reading, acme.state.ledger, [bolt.env.self.id], []), 'NOT_FOUND')
})

test('records of a log that was closed are proven where they lie, beside those of its successor', () => {
  const told = new Story().play()
  told.acme.succeed()
  told.world.run(60_000)
  const { asset } = told.acme.input({
    type: 'publish',
    title: 'new',
    domain: 'x',
    level: 'general',
    packets: [],
  }) as { asset: CID }
  told.world.run(60_000)
  const here = readingOf(told)
  const files = collectProofs(here, told.acme.state.ledger, [told.agreement!, asset, told.asset!], [])
  const origins = files.map(file => text(file).split('\n\n')[1]!.split('\n')[0])
  assert.is(origins[0], origins[2])
  assert.is.not(origins[0], origins[1])
  for (const file of files)
    assert.is(verifyProof(file, trust, { asOfMs: told.world.wallMs }).verdict, 'verified')
})

test('an organisation that cosigned is counted once, however often a proof has its identity', () => {
  const [file] = prove()
  for (const again of ['witnesses', 'owner']) {
    const more = (extra: Record<string, Value>) =>
      again === 'owner' ? [extra.owner!] : (extra.witnesses as Value[])
    const twice = withExtra(text(file!), extra => ({
      witnesses: [...(extra.witnesses as Value[]), ...more(extra)],
    }))
    const report = judge(twice)
    assert.is(report.verdict, 'failed')
    assert.match(positionOf(report).detail, /is there twice$/)
  }
})

test('a cosignature whose key was replaced does not count by itself; a newer head does', () => {
  const told = new Story().play()
  told.world.bend = ({ t }) => (t.startsWith('witness/') ? 0 : 1)
  told.cole.delegate(['witness'])
  told.world.run(10_000)
  const proven = () => {
    const [file] = collectProofs(readingOf(told), told.acme.state.ledger, [told.asset!], [])
    return verifyProof(file!, trust, { asOfMs: told.world.wallMs, requireFinal: true })
  }
  const before = proven()
  assert.is(before.verdict, 'inconclusive')
  assert.match(positionOf(before).detail, /was replaced by event 1: valid when made cannot be shown/)
  told.world.bend = () => 1
  told.acme.input({ type: 'connected', org: told.cole.org })
  told.acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  told.world.run(60_000)
  assert.is(proven().verdict, 'verified')
})

test('a log key that was revoked later takes nothing from what is final, and the rest leaves open', () => {
  const told = new Story().play()
  const [old] = collectProofs(readingOf(told), told.acme.state.ledger, [told.asset!], [])
  told.acme.delegate(['log'], ['log'])
  told.world.run(60_000)
  const [now] = collectProofs(readingOf(told), told.acme.state.ledger, [told.asset!], [])
  const whole = withExtra(text(old!), () => ({ owner: extraOf(now!).owner! }))
  const asOfMs = told.world.wallMs
  assert.is(verifyProof(whole, trust, { asOfMs, requireFinal: true }).verdict, 'verified')
  const bare = readTrust({ ...trust.file, committees: [] })
  const report = verifyProof(whole, bare, { asOfMs })
  assert.is(report.verdict, 'inconclusive')
  assert.match(positionOf(report).detail, /the log key that signed the head has ended/)
})

test('what is not final holds unless final is asked for', () => {
  const [file] = prove()
  const alone = readTrust({ ...trust.file, committees: [] })
  assert.is(verifyProof(file!, alone, { asOfMs: world.wallMs }).verdict, 'verified')
  assert.is(verifyProof(file!, alone, { asOfMs: world.wallMs, requireFinal: true }).verdict, 'inconclusive')
})

test.run()
