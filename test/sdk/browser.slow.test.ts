/**
 * The verifier in a real browser, on the noble back end: on every case of the tamper and the substitution matrix it gives
 * the report that the command line gives, step by step and word by word (RULES G3).
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Report, saltOf, type Verdict } from '../../protocol/judge.ts'
import { HANDLE } from '../../protocol/layout.ts'
import { EXIT } from '../../sdk/cli/exit.ts'
import { openRelease } from '../../sdk/verify.ts'
import { suite, temporary } from '../harness.ts'
import { story } from '../protocol/evidence-story.ts'
import { allCases, type Case } from '../protocol/tamper-cases.ts'
import { type Asked, type Chromium, findChromium, openChromium } from './chromium.ts'
import { document, run } from './run-cli.ts'

const test = suite('verify in a browser')
const MATRIX_MS = 7 * 60_000
/** Two make the best of two cores; a page is one thread. */
const PAGES = 2
const BATCH = { page: 20, cli: 250 }
const EXITS: Record<Verdict, number> = {
  verified: EXIT.ok,
  failed: EXIT.failed,
  inconclusive: EXIT.inconclusive,
}

const told = story()
const executable = findChromium()

interface Judged {
  name: string
  bytes: Uint8Array
  /** Without content, as evidence of a consent is read. */
  alone: boolean
  report: Report
}

if (executable || process.env.CI) {
  test(
    'Chromium and the command line agree on every case',
    () => agree(allCases(told), { remember: true, atLeast: 4_500 }),
    MATRIX_MS,
  )
  test(
    'so they do where nothing is remembered',
    () => agree(everyNth(allCases(told), 23), { remember: false, atLeast: 200 }),
    MATRIX_MS,
  )
  test('a key release opens there too, with ciphers that are loaded for it', async () => {
    const { agreement, packet, bolt, bytes } = told
    const oneTime = bolt.secrets.get(HANDLE.oneTime(agreement, packet))!
    await using browser = await openChromium(executable!, { pages: 1, remember: false })
    const contentKey = await browser.disclose(base64(bytes), base64(oneTime))
    assert.equal(await openRelease(bytes, oneTime), {
      opens: true,
      contentKey: Uint8Array.from(contentKey!),
      salt: told.evidence.parts.salt!,
    })
  })
} else test.skip('Chromium and the command line agree', 'no Chromium on the path, none in CHROMIUM')

async function agree(
  cases: Iterator<Case>,
  { remember, atLeast }: { remember: boolean; atLeast: number },
): Promise<void> {
  assert.ok(executable, 'there is no Chromium, and with CI set that is no reason to skip')
  const judged: Judged[] = []
  const started = performance.now()
  {
    await using browser = await openChromium(executable, { pages: PAGES, remember })
    console.log(`Chromium ${browser.version}`)
    await Promise.all(browser.pages.map(page => work(page, cases, judged)))
  }
  const seconds = Math.round((performance.now() - started) / 1000)
  console.log(`judged in the browser: ${judged.length} cases in ${seconds} s`)
  const compared = await compareWithCli(judged)
  console.log(`same report from the command line: ${compared} cases`)
  assert.is(compared, judged.length)
  assert.ok(compared >= atLeast)
}

function* everyNth(cases: Iterable<Case>, n: number): Generator<Case> {
  let at = 0
  for (const each of cases) if (at++ % n === 0) yield each
}

/** Takes cases until there are none left; the other pages take from the same. */
async function work(page: Chromium['pages'][number], cases: Iterator<Case>, judged: Judged[]): Promise<void> {
  for (;;) {
    const batch = [...Array(BATCH.page)].flatMap(() => cases.next().value ?? []) as Case[]
    if (batch.length === 0) return
    const files = batch.map(each => each.bytes())
    const asked = files.map(ask)
    const reports = await page(asked, told.trust.file, told.asOfMs)
    for (const [i, { what, path, may }] of batch.entries()) {
      const report = reports[i]!
      assert.ok(may.includes(report.verdict), `${what} ${path}: ${report.verdict}`)
      const alone = asked[i]!.content === undefined
      judged.push({ name: `${what} ${path}`, bytes: files[i]!, alone, report })
    }
  }
}

function ask(bytes: Uint8Array): Asked {
  const content = saltOf(bytes) && base64(told.plain)
  return { evidence: base64(bytes), ...(content ? { content } : {}) }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

/** Many files a call, of one verdict each, so that the exit code speaks for all of them. */
async function compareWithCli(judged: Judged[]): Promise<number> {
  let compared = 0
  for (const verdict of ['verified', 'failed', 'inconclusive'] as const) {
    const alike = judged.filter(({ report }) => report.verdict === verdict)
    for (let at = 0; at < alike.length; at += BATCH.cli)
      compared += await compareBatch(alike.slice(at, at + BATCH.cli), EXITS[verdict])
  }
  return compared
}

async function compareBatch(judged: Judged[], exit: number): Promise<number> {
  using dir = temporary()
  const trust = join(dir.path, 'trust.json')
  writeFileSync(trust, JSON.stringify(told.trust.file))
  const files = judged.map(({ bytes, alone }, i) => {
    const path = join(dir.path, alone ? `${i}.waybill` : `${i}`)
    if (!alone) writeFileSync(path, told.plain)
    writeFileSync(alone ? path : `${path}.waybill`, bytes)
    return path
  })
  const asOf = new Date(told.asOfMs).toISOString()
  const args = ['--json', '--home', join(dir.path, 'none'), 'verify', '--trust', trust, '--as-of', asOf]
  const done = await run([...args, ...files])
  assert.is(done.code, exit, done.stderr)
  const isOne = files.length === 1
  const shown = document(done, `waybill.report${isOne ? '' : 's'}/1`)
  const { schema: _, ...one } = shown
  const reports = (isOne ? [one] : shown.reports) as (Report & { file: string })[]
  for (const [i, { file, ...report }] of reports.entries()) {
    assert.is(file, files[i])
    assert.is(JSON.stringify(judged[i]!.report), JSON.stringify(report), judged[i]!.name)
  }
  return reports.length
}

test.run()
