import * as assert from 'uvu/assert'
import { fromBase64, text, toBase64, utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import type { CID } from '../../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../../crypto/merkle.ts'
import { collectProofs } from '../../protocol/collect.ts'
import { keptRecord } from '../../protocol/kept.ts'
import { verifyProof } from '../../protocol/proof.ts'
import { readTrust } from '../../protocol/trust.ts'
import { suite, throwsCode } from '../harness.ts'
import { Story } from './story.ts'

const test = suite('protocol/proof')

const story = new Story().play()
const { acme, bolt, cole, world } = story
const reading = {
  self: { ...acme.env.self, chain: acme.chain },
  get: acme.env.get,
  slots: acme.env.slots,
  partner: (org: string) => {
    const member = world.member(org)
    return { ...member.env.self, chain: member.chain } as never
  },
  witnesses: acme.witnesses,
}
const trust = readTrust({
  schema: 'waybill.trust/1',
  identities: [{ id: acme.org }],
  committees: [{ log: acme.org, witnesses: [cole.org] }],
})
const records = [story.agreement!, story.offer!, story.asset!]
const prove = (shown: CID[] = []) => collectProofs(reading, acme.state.ledger, records, shown)
const judge = (file: Uint8Array, believed = trust) => verifyProof(file, believed, world.wallMs)

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
      /^cosigned by 1 of 1: Cole Logistics 2/,
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
  const extra = (change: object) =>
    utf8(
      whole.replace(/^extra (.*)$/m, (_, encoded) => {
        const value = decode(fromBase64(encoded)!, 262_144) as Record<string, Value>
        return `extra ${toBase64(encode({ ...value, ...change }))}`
      }),
    )
  const index = Number(/^index (\d+)$/m.exec(whole)![1])
  const other = keptRecord(acme.env, story.offer!)!
  const cases: [string, Uint8Array, string, string][] = [
    ['no proof', utf8('x'), 'failed', 'form'],
    ['another first line', utf8(whole.replace('@v1', '@v2')), 'failed', 'form'],
    ['an index with a zero in front', utf8(whole.replace(/^index /m, 'index 0')), 'failed', 'form'],
    ['a short hash', utf8(whole.replace(/^(index \d+\n)..../m, '$1')), 'failed', 'form'],
    ['an unknown field', extra({ more: 1 }), 'failed', 'form'],
    ['another type', extra({ t: 'entry-proof/2' }), 'inconclusive', 'form'],
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
  assert.match(judge(file!, alone).steps.find(({ id }) => id === 'position')!.detail, /^cosigned by 0 of 0/)
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
  const here = {
    ...reading,
    self: { ...told.acme.env.self, chain: told.acme.chain },
    get: told.acme.env.get,
    slots: told.acme.env.slots,
    partner: (org: string) =>
      ({ ...told.world.member(org).env.self, chain: told.world.member(org).chain }) as never,
  }
  const files = collectProofs(here, told.acme.state.ledger, [told.agreement!, asset, told.asset!], [])
  const origins = files.map(file => text(file).split('\n\n')[1]!.split('\n')[0])
  assert.is(origins[0], origins[2])
  assert.is.not(origins[0], origins[1])
  for (const file of files) assert.is(verifyProof(file, trust, told.world.wallMs).verdict, 'verified')
})

test.run()
