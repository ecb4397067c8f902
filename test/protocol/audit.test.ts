import * as assert from 'uvu/assert'
import { leafHash } from '../../crypto/merkle.ts'
import { Audit, type AuditReport } from '../../protocol/audit.ts'
import { readFork } from '../../protocol/fork.ts'
import { newestHead } from '../../protocol/heads.ts'
import { readEntries } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import { suite } from '../harness.ts'
import { forgedHead, Story } from './story.ts'

const test = suite('protocol/audit')

const story = new Story()
story.world.pad = 64
for (const member of story.world.members) member.env.pad = 64
story.play()
const { acme, bolt, cole } = story
const newest = newestHead(acme.env.get)!
const heads = [...acme.store].filter(([key]) => key.startsWith(KEY.heads)).map(([, note]) => note)
const entries = [...readEntries(acme.env.get, 0, newest.size)].map(({ entry }) => entry)

function audited(bytes: Uint8Array[], notes: Uint8Array[], witnesses = [cole.chain]): [AuditReport, Audit] {
  const audit = new Audit(acme.chain, notes, witnesses)
  audit.take(bytes)
  return [audit.report(), audit]
}
const codesOf = ({ faults }: AuditReport) => faults.map(({ code }) => code)

test('a sound log: every entry, every head, every cosignature', () => {
  const [report, audit] = audited(entries, heads)
  assert.equal(report.faults, [])
  assert.is(report.size, newest.size)
  assert.equal(report.heads, { checked: heads.length, beyond: 0 })
  assert.is(report.entries.state, heads.length)
  const { genesis, record, state, committee } = report.entries
  assert.is(genesis + record + state + committee, newest.size)
  assert.is(committee, 1)
  assert.ok(report.cosignatures > 0 && report.cosignedSize > 0)
  assert.not.ok(audit.isForked)
  const [part] = audited(entries.slice(0, 100), heads)
  assert.equal(codesOf(part), [])
  assert.is(part.heads.checked + part.heads.beyond, heads.length)
})

test('an entry that was changed, left out, added or moved is found where it is', () => {
  const other = entries[9]!.map((byte, i) => (i === 10 ? byte ^ 1 : byte))
  const at = (list: Uint8Array[]) => audited(list, heads)[0].faults[0]
  for (const [what, list, size] of [
    ['changed', entries.with(9, other), 10],
    ['left out', entries.toSpliced(9, 1), 9],
    ['twice', entries.toSpliced(9, 0, entries[8]!), 9],
    ['moved', entries.toSpliced(9, 2, entries[10]!, entries[9]!), 9],
    ['no entry', entries.with(9, new Uint8Array(3)), 9],
    ['no genesis', entries.slice(1), 0],
    ["another log's genesis", [...readEntries(bolt.env.get, 0, 1)].map(({ entry }) => entry), 0],
  ] as const) {
    const fault = at([...list])
    assert.equal([fault?.code, fault?.size], ['ENTRIES_INVALID', size], what)
  }
  // The last entry is chained to by none: the head tells.
  assert.equal(codesOf(audited(entries.with(-1, entries.at(-1)!.with(20, 1)), heads)[0]).slice(0, 1), [
    'ENTRIES_INVALID',
  ])
})

test('a head that is none of this log, and a cosignature that does not verify, are found', () => {
  const text = new TextDecoder().decode(newest.note)
  const at = text.lastIndexOf('— ')
  const bytes = (note: string) => new TextEncoder().encode(note)
  assert.equal(codesOf(audited(entries, [newestHead(bolt.env.get)!.note])[0]), ['HEAD_INVALID'])
  const wrong = text.slice(0, at) + text.slice(at).replace(/.{8}\n$/, 'AAAAAAA=\n')
  const [report] = audited(entries, [bytes(wrong)])
  assert.equal(codesOf(report), ['SIGNATURE_INVALID'])
})

test('a head of another history is a fork, with a proof that anybody checks alone', () => {
  for (const size of [64, newest.size - 1, newest.size]) {
    const [report, audit] = audited(entries, [...heads, forgedHead(acme, size)])
    assert.equal(codesOf(report), ['HEAD_INCONSISTENT'], `${size}`)
    const proof = audit.proof(entries.map(leafHash))!
    const fork = readFork(proof)
    if ('reason' in fork) throw new Error(fork.reason)
    assert.is(fork.older.size, size)
    assert.is(fork.org.toString(), acme.org)
  }
})

test('entries that are under no head prove nothing against their owner', () => {
  const [report, audit] = audited(entries, [forgedHead(acme, 64)])
  assert.equal(codesOf(report), ['HEAD_INCONSISTENT'])
  assert.is(audit.proof(entries.map(leafHash)), undefined)
})

test.run()
