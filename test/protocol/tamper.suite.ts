/** The tamper and the substitution matrix (RULES G2), in full or one of so many cases; each field has several. */
import * as assert from 'uvu/assert'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { verify } from '../../protocol/verify.ts'
import { suite } from '../harness.ts'
import { copy } from './bundle.ts'
import { check, failedSteps, statusOf, story } from './evidence-story.ts'
import { DEFINITIONS, placesOf } from './mutations.ts'
import {
  type Case,
  fields,
  flips,
  omissions,
  PRESENT,
  places,
  substitutions,
  untouched,
} from './tamper-cases.ts'

export function tampering(stride: number): void {
  const test = suite('tampering with evidence')
  const told = story()
  const LONG_MS = 300_000
  let met = 0

  /** Tries one of `stride` cases; how many of each kind were tried. */
  function attempt<C extends Case>(cases: Iterable<C>, more?: (each: C, failed: string[]) => void): number {
    let count = 0
    for (const each of cases) {
      if (met++ % stride !== 0) continue
      count += 1
      const { what, path, may, step, unknown } = each
      const report = check(each.bytes(), told)
      const shown = report.steps
        .filter(({ status }) => status !== 'ok')
        .map(({ id, status }) => `${id} ${status}`)
      const message = `${what} ${path}: ${report.verdict}, ${shown.join('; ')}`
      assert.ok(may.includes(report.verdict), message)
      const named =
        report.verdict === 'verified' || !step || !['ok', undefined].includes(statusOf(report, step))
      if (!more) assert.ok(named, `${message}; not ${step}`)
      if (unknown) assert.is(statusOf(report, unknown), 'inconclusive', message)
      more?.(each, failedSteps(report))
    }
    return count
  }

  test(
    'one flipped bit in the file fails, and the step names the part',
    () => {
      const count = attempt(flips(told), ({ what, at, isLength, step }, failed) => {
        const named = failed.includes(step!) || (isLength && failed.includes('bundle'))
        assert.ok(named, `${what} at ${at}: ${failed}`)
      })
      console.log(`flipped bits: ${count} of ${told.bytes.length} bytes`)
    },
    LONG_MS,
  )

  test(
    'every field of every part',
    () => {
      const count = attempt(fields(told))
      console.log(`tampered fields: ${count} cases`)
      assert.ok(count > 3_400 / stride)
    },
    LONG_MS,
  )

  test('the cases are about every field that the definitions have', () => {
    const cases = [...fields(told)]
    let count = 0
    for (const [what, definition] of Object.entries(DEFINITIONS)) {
      const defined = [...placesOf(definition)]
      count += defined.length
      assert.equal(untouched(cases, what, defined), [], what)
    }
    for (const name of PRESENT)
      assert.ok(
        cases.some(each => each.what === name || each.what === `bare ${name}`),
        name,
      )
    console.log(`fields of ${Object.keys(DEFINITIONS).length} definitions: ${count}`)
  })

  test(
    'every part of another run in its place fails',
    () => {
      const kinds = new Map<string, number>()
      const cases = [...substitutions(told)]
      for (const { what } of cases) kinds.set(what, (kinds.get(what) ?? 0) + 1)
      for (const kind of [
        ...PRESENT,
        'claim',
        'witness',
        'entry',
        'path',
        'signature of the log',
        'cosignature',
      ])
        assert.ok(kinds.has(kind), kind)
      console.log(`substituted parts: ${attempt(cases)} cases of ${kinds.size} kinds`)
    },
    LONG_MS,
  )

  test(
    'parts within one run in each other’s place',
    () => console.log(`parts in other places: ${attempt(places(told))} cases`),
    LONG_MS,
  )

  test('what is left out', () => console.log(`left out: ${attempt(omissions(told))} cases`), LONG_MS)

  test('what does not know the content says so, and is not fooled about the rest', () => {
    const changed = copy(told.evidence)
    changed.parts.salt = changed.parts.salt!.map(byte => byte ^ 1)
    const report = verify(formatEvidence(changed), told.trust, { asOfMs: told.asOfMs })
    assert.is(report.verdict, 'verified')
    assert.is(statusOf(report, 'content'), 'skipped')
    assert.equal(failedSteps(check(formatEvidence(changed), told)), ['content'])
  })

  test.run()
}
