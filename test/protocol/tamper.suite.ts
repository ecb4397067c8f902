/**
 * Evidence under the hands of others: every byte, every field, every part of another run (RULES G2). `stride` takes one
 * of so many changes; each field has several.
 */
import * as assert from 'uvu/assert'
import { fromHex, toHex, utf8 } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import { formatNote, parseNote } from '../../crypto/note.ts'
import {
  type EntryPart,
  type Evidence,
  formatEvidence,
  PARTS,
  type PartName,
} from '../../protocol/evidence.ts'
import { verify } from '../../protocol/verify.ts'
import { suite } from '../harness.ts'
import { blocksOf, copy, map, mutations, RECORDS, replaceRecord, withRoot } from './bundle.ts'
import { check, collect, deliver, failedSteps, statusOf, story } from './evidence-story.ts'

export function tampering(stride: number): void {
  const test = suite('tampering with evidence')
  const told = story()
  const { evidence, bytes } = told
  const LONG_MS = 300_000
  let met = 0
  /** Whether this change is one of those that are tried. */
  const due = () => met++ % stride === 0

  const STEP: Record<string, string> = {
    header: 'bundle',
    claim: 'bundle',
    provider: 'provider identity',
    consumer: 'consumer identity',
    providerHead: 'provider head',
    consumerHead: 'consumer head',
    witness: 'identities',
    entry: 'entries',
  }
  const stepOf = (what: string) => STEP[what] ?? what

  test(
    'one flipped bit in the file fails, and the step names the part',
    () => {
      let count = 0
      for (const { what, start, label, body, end } of map(bytes)) {
        // Every byte of lengths, and a sample of the rest that reaches each stretch of 29 bytes, and of 7 in ids.
        const places = Array.from({ length: end - start }, (_, i) => start + i).filter(
          at => at < label || at % (at < body ? 7 : 29) === 0,
        )
        for (const at of places) {
          if (!due()) continue
          count += 1
          const flipped = bytes.map((byte, i) => (i === at ? byte ^ (1 << (at % 8)) : byte))
          const report = check(flipped, told)
          assert.is(report.verdict, 'failed', `${what} at ${at}`)
          const steps = failedSteps(report)
          const named = steps.includes(stepOf(what)) || (at < label && steps.includes('bundle'))
          assert.ok(named, `${what} at ${at}: ${steps}`)
        }
      }
      console.log(`flipped bits: ${count} of ${bytes.length} bytes`)
    },
    LONG_MS,
  )

  /** Changes that make a type, a version, an algorithm, a profile or a key state one that this version does not know. */
  const UNKNOWN = [
    /\.t next version$/,
    /\.a \+ 1$/,
    /^\.v (\+ 1|= 0|= -1)$/,
    /profile\.n (\+ 1|= 0|= -1)$/,
    /\.a (= 0|= -1)$/,
  ]

  function tamper(
    name: string,
    cases: Iterable<[path: string, changed: Evidence]>,
    unknown: RegExp[] = UNKNOWN,
  ): number {
    let count = 0
    for (const [path, changed] of cases) {
      if (!due()) continue
      count += 1
      const { verdict, steps } = check(formatEvidence(changed), told)
      const allowed = unknown.some(each => each.test(path)) ? ['failed', 'inconclusive'] : ['failed']
      assert.ok(
        allowed.includes(verdict),
        `${name}${path}: ${verdict} ${steps.map(each => `${each.id} ${each.status}`)}`,
      )
    }
    return count
  }

  let matrix = 0
  const links: CID[] = [told.agreement, told.packet, told.acme.env.self.id]

  for (const name of RECORDS)
    test(
      `every field of the ${name} record, ids fixed up to the claim`,
      () => {
        const record = decode(evidence.parts[name]!)
        matrix += tamper(
          name,
          (function* () {
            for (const { path, value } of mutations(record, links)) {
              yield [path, replaceRecord(evidence, name, value)] as const
            }
          })() as Iterable<[string, Evidence]>,
        )
      },
      LONG_MS,
    )

  test(
    'every field of a record with nothing but the root fixed',
    () => {
      for (const name of ['asset', 'offer', 'received', 'opened'] as const)
        for (const { path, value } of mutations(decode(evidence.parts[name]!), links)) {
          const changed = copy(evidence)
          changed.parts[name] = encode(value)
          matrix += tamper(name, [[path, changed]])
        }
    },
    LONG_MS,
  )

  test(
    'every field of the content root, the salt and the witness',
    () => {
      for (const { path, value } of mutations(decode(evidence.parts.root!))) {
        const changed = copy(evidence)
        changed.parts.root = encode(value)
        matrix += tamper('root', [[path, changed]])
      }
      for (const { path, value } of mutations(evidence.parts.salt!)) {
        const changed = copy(evidence)
        changed.parts.salt = value as Uint8Array
        matrix += tamper('salt', [[path, changed]])
      }
      for (const { path, value } of mutations(decode(evidence.witnesses[0]!))) {
        const changed = copy(evidence)
        changed.witnesses[0] = encode(value)
        matrix += tamper('witness', [[path, changed]])
      }
    },
    LONG_MS,
  )

  test(
    'every field of every entry, inside and out',
    () => {
      for (const [i, entry] of evidence.entries.entries()) {
        if (i % 3 !== 0) continue
        const put = (value: Value): Evidence => {
          const changed = copy(evidence)
          changed.entries[i] = value as unknown as EntryPart
          return changed
        }
        const outer = entry as unknown as { [key: string]: Value }
        // The last byte of an entry is its version.
        for (const { path, value } of mutations(outer, links))
          matrix += tamper(`entry ${i}`, [[path, put(value)]], [/^\.entry last byte$/])
        for (const { path, value } of mutations(decode(entry.entry)))
          matrix += tamper(`entry ${i}`, [[path, put({ ...outer, entry: encode(value) })]], [/^\.v /])
      }
    },
    LONG_MS,
  )

  test(
    'every piece of the heads',
    () => {
      for (const side of ['provider', 'consumer'] as const) {
        const note = parseNote(new TextDecoder().decode(evidence.parts[`${side}Head`]!))
        const put = (text: string): Evidence => {
          const changed = copy(evidence)
          changed.parts[`${side}Head`] = utf8(text)
          return changed
        }
        const [own, cole] = note.lines
        const [origin, size, root] = note.body.split('\n')
        const bodies = [
          `${origin}x\n${size}\n${root}\n`,
          `${origin}\n${Number(size) + 1}\n${root}\n`,
          `${origin}\n${Number(size) - 1}\n${root}\n`,
          `${origin}\n${size}\n${root!.slice(0, 9)}${root![9] === 'A' ? 'B' : 'A'}${root!.slice(10)}\n`,
          `${origin}\n${size}\n${root}\nextension\n`,
        ]
        for (const body of bodies)
          matrix += tamper('head', [[body, put(formatNote({ body, lines: note.lines }))]])
        for (const line of [own!, cole!]) {
          const others = note.lines.filter(each => each !== line)
          for (let i = 0; i < line.signature.length; i += 5) {
            const signature = line.signature.map((byte, at) => (at === i ? byte ^ 1 : byte))
            const text = formatNote({ body: note.body, lines: [...others, { ...line, signature }] })
            matrix += tamper('head', [[`${line.name} signature ${i}`, put(text)]])
          }
          for (const keyId of [line.keyId.map(byte => byte ^ 1), others[0]!.keyId]) {
            const text = formatNote({ body: note.body, lines: [...others, { ...line, keyId }] })
            matrix += tamper('head', [[`${line.name} key id`, put(text)]])
          }
          const twice = formatNote({ body: note.body, lines: [...note.lines, line] })
          matrix += tamper('head', [[`${line.name} twice`, put(twice)]])
        }
        const swapped = [{ ...own!, signature: cole!.signature }, cole!]
        matrix += tamper('head', [
          ['signatures swapped', put(formatNote({ body: note.body, lines: swapped }))],
        ])
        matrix += tamper('head', [
          ['no line of the log', put(formatNote({ body: note.body, lines: [cole!] }))],
        ])
      }
    },
    LONG_MS,
  )

  test(
    'every field of the claim and of the root, with the parts as they are',
    () => {
      const root = decode(blocksOf(bytes)[0]!.bytes)
      for (const { path, value } of mutations(root, links)) {
        if (!due()) continue
        matrix += 1
        const { verdict } = check(
          withRoot(bytes, () => value),
          told,
        )
        // The time that the presenter asks about is nobody's word but the presenter's.
        const own = /^\.claim\.asOf (\+ 1|= 0)$/.test(path)
        const order = /^\.(entries|witnesses) turned$/.test(path)
        const expected = own || order ? 'verified' : /^\.t next/.test(path) ? 'inconclusive' : 'failed'
        assert.is(verdict, expected, path)
      }
    },
    LONG_MS,
  )

  test('a bundle of one bit of another type of claim', () => {
    const consent = copy(evidence)
    consent.claim = { ...consent.claim, type: 'consent' }
    matrix += tamper('claim', [['.type consent', consent]])
    const { packet: _, ...claim } = consent.claim
    matrix += tamper('claim', [['.type consent without packet', { ...consent, claim }]])
    const delivery = copy(told.consent)
    delivery.claim = { ...delivery.claim, type: 'delivery' }
    matrix += tamper('claim', [['.type delivery', delivery]])
  })

  test(
    'consent: every field of its records',
    () => {
      for (const name of ['agreement', 'offer'] as const)
        for (const { path, value } of mutations(decode(told.consent.parts[name]!), links))
          matrix += tamper(name, [[path, replaceRecord(told.consent, name, value)]])
    },
    LONG_MS,
  )

  test('the size of the matrix', () => {
    console.log(`tampered fields: ${matrix} cases`)
    assert.ok(matrix > 1_500 / stride)
  })

  // Substitution.

  /** Evidence of other runs: the same parties again under another agreement, another packet of this one, other parties. */
  function others(): [string, Evidence][] {
    const { world, acme, bolt } = told
    const again = deliver(world, acme, bolt, { text: 'other' })
    const prefix = `delivery/${toHex(told.agreement.multihash.digest)}/`
    const packets = [...acme.store.keys()].filter(key => key.startsWith(prefix))
    const mine = toHex(told.packet.multihash.digest)
    const other = packets.map(key => key.slice(prefix.length)).find(hex => hex !== mine)!
    const packet = cidFromDigest(fromHex(other)!, 'dag-cbor')
    const strangers = story({
      provider: 'Dyne AG',
      consumer: 'Elk Oy',
      witnesses: ['Fox Ltd'],
      text: 'third',
    })
    return [
      ['another agreement', collect(bolt, acme, again, told.asOfMs)],
      ['another packet', collect(bolt, acme, { agreement: told.agreement, packet }, told.asOfMs)],
      ['other parties', strangers.evidence],
      ['roles turned', story({ provider: 'Bolt GmbH', consumer: 'Acme Steel' }).evidence],
    ]
  }

  test(
    'every part of another run in its place fails',
    () => {
      let count = 0
      for (const [run, other] of others()) {
        const differs = (name: PartName) => toHex(other.parts[name]!) !== toHex(evidence.parts[name]!)
        const fails = (what: string, changed: Evidence, allowed = ['failed']) => {
          if (!due()) return
          count += 1
          const { verdict, steps } = check(formatEvidence(changed), told)
          const shown = steps.filter(step => step.status !== 'ok').map(step => `${step.id} ${step.status}`)
          assert.ok(allowed.includes(verdict), `${what} of ${run}: ${verdict} ${shown}`)
        }
        for (const name of PARTS.filter(differs)) {
          const changed = copy(evidence)
          changed.parts[name] = other.parts[name]!
          // A newer head of the same log fits its own log, but not the paths to the older one.
          fails(name, changed)
        }
        for (const [i, entry] of evidence.entries.entries())
          for (const [j, foreign] of other.entries.entries()) {
            if (foreign.of !== entry.of) continue
            for (const part of [
              foreign,
              { ...foreign, org: entry.org },
              { ...foreign, org: entry.org, salt: entry.salt },
            ]) {
              if (toHex(part.entry) === toHex(entry.entry) && toHex(part.salt) === toHex(entry.salt)) continue
              const changed = copy(evidence)
              changed.entries[i] = part
              fails(`entry ${i} from ${j}`, changed)
            }
            const path = copy(evidence)
            path.entries[i] = { ...entry, path: foreign.path }
            if (JSON.stringify(foreign.path) !== JSON.stringify(entry.path))
              fails(`path ${i} from ${j}`, path)
          }
        if (toHex(other.witnesses[0]!) !== toHex(evidence.witnesses[0]!))
          fails('witness', { ...copy(evidence), witnesses: [...other.witnesses] }, ['inconclusive'])
        const { claim } = other
        if (claim.agreement.equals(evidence.claim.agreement))
          fails('packet of the claim', { ...copy(evidence), claim })
        else fails('claim', { ...copy(evidence), claim })
        for (const side of ['provider', 'consumer'] as const) {
          const changed = copy(evidence)
          for (const name of [side, `${side}Head`] as const) changed.parts[name] = other.parts[name]!
          if (differs(`${side}Head`)) fails(`${side} and head`, changed)
        }
      }
      console.log(`substituted parts: ${count} cases`)
      assert.ok(count > 150 / stride)
    },
    LONG_MS,
  )

  test(
    'parts within one run in each other’s place',
    () => {
      let count = 0
      for (const name of PARTS)
        for (const other of PARTS) {
          if (name === other) continue
          if (!due()) continue
          const changed = copy(evidence)
          changed.parts[name] = evidence.parts[other]!
          const { verdict } = check(formatEvidence(changed), told)
          assert.is(verdict, 'failed', `${other} as ${name}`)
          count += 1
        }
      for (const [i, entry] of evidence.entries.entries())
        for (const part of ['packet', 'offer', 'agreement', 'received', 'release', 'opened'] as const)
          for (const org of [evidence.claim.provider, evidence.claim.consumer]) {
            if (entry.of === part && entry.org.equals(org)) continue
            if (!due()) continue
            const changed = copy(evidence)
            changed.entries[i] = { ...entry, of: part, org }
            assert.is(check(formatEvidence(changed), told).verdict, 'failed', `entry ${i} as ${part}`)
            count += 1
          }
      console.log(`parts in other places: ${count} cases`)
    },
    LONG_MS,
  )

  test('what does not know the content says so, and is not fooled about the rest', () => {
    const changed = copy(evidence)
    changed.parts.salt = changed.parts.salt!.map(byte => byte ^ 1)
    const report = verify(formatEvidence(changed), told.trust, { asOfMs: told.asOfMs })
    assert.is(report.verdict, 'verified')
    assert.is(statusOf(report, 'content'), 'skipped')
    assert.equal(failedSteps(check(formatEvidence(changed), told)), ['content'])
  })

  test.run()
}
