/**
 * Runs the uvu suites, each file in a process of its own, several at a time: `node test/run.ts [--slow] [PATTERN]`.
 * `--root=FOLDER` runs the suites of another folder, `--limit-ms=N` gives each file N ms.
 *
 * It fails on what uvu lets pass (reference: uvu 0.5.6): a file that registers no suite, a hung test, a leaked handle, a
 * run in which nothing passed, a file wholly skipped without a reason, `only` under CI. The last line is
 * `N passed, N failed`.
 */
import { fork } from 'node:child_process'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { parse } from 'uvu/parse'

const FILE_TIMEOUT_MS = { fast: 120_000, slow: 900_000 }
const LEAK_GRACE_MS = 3_000
/** It is made for two cores; a third of their time the fast files wait for what others do. */
const AT_A_TIME = { fast: 3, slow: 2 }
/**
 * Compiled code, for the tests and every process that they start: half of what a short process costs. Coverage would be
 * less exact with it.
 */
const COMPILED = join(import.meta.dirname, '..', 'node_modules', '.cache', 'compiled')
/** Where homes leave their marks: not among those of the person who runs the tests. */
const XDG_STATE_HOME = join(tmpdir(), `waybill-state-${process.pid}`)
const env = {
  ...(process.env.NODE_V8_COVERAGE ? {} : { NODE_COMPILE_CACHE: COMPILED }),
  ...process.env,
  XDG_STATE_HOME,
}

type Result = [errors: string | true, passed: number, skipped: number, total: number]
type Group = [name: string, ...runs: (() => Promise<Result>)[]]
interface Count {
  passed: number
  failed: number
  skipped: number
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { slow: { type: 'boolean' }, root: { type: 'string' }, 'limit-ms': { type: 'string' } },
})
if (process.send) await child(positionals[0]!)
else {
  await main(values.slow ?? false, new RegExp(positionals[0] ?? '.'))
  rmSync(XDG_STATE_HOME, { recursive: true, force: true })
}

async function main(slow: boolean, pattern: RegExp): Promise<void> {
  const limitMs = Number(values['limit-ms'] ?? (slow ? FILE_TIMEOUT_MS.slow : FILE_TIMEOUT_MS.fast))
  const { suites } = await parse(values.root ?? import.meta.dirname, '\\.test\\.ts$')
  const chosen = suites.filter(({ name }) => pattern.test(name) && slow === name.includes('.slow.'))
  if (slow && positionals.length === 0 && chosen.length === 0) {
    console.log('no slow files\n0 passed, 0 failed')
    return
  }
  const queue = [...chosen]
  const sum: Count = { passed: 0, failed: 0, skipped: 0 }
  await Promise.all(
    Array.from({ length: slow ? AT_A_TIME.slow : AT_A_TIME.fast }, async () => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const { count, text, problem } = await runFile(next.file, limitMs)
        process.stdout.write(text)
        if (problem) console.log(`FAIL ${relative('.', next.file)}: ${problem}`)
        sum.passed += count.passed
        sum.skipped += count.skipped
        sum.failed += count.failed + (problem && count.failed === 0 ? 1 : 0)
      }
    }),
  )
  if (sum.passed === 0) console.log(`FAIL nothing passed: ${chosen.length} files match ${pattern}`)
  if (sum.skipped > 0) console.log(`${sum.skipped} skipped`)
  console.log(`${sum.passed} passed, ${sum.failed + (sum.passed === 0 ? 1 : 0)} failed`)
  process.exitCode = sum.failed > 0 || sum.passed === 0 ? 1 : 0
}

/** Runs one file in a child process; a child that does not end by itself has leaked a handle. */
function runFile(file: string, timeoutMs: number): Promise<{ count: Count; text: string; problem?: string }> {
  return new Promise(resolve => {
    const started = Date.now()
    const proc = fork(import.meta.filename, [file], { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
    let [text, count, problem] = [
      '',
      { passed: 0, failed: 0, skipped: 0 } as Count,
      undefined as string | undefined,
    ]
    let told = false
    const add = (data: Buffer) => {
      text += data
    }
    proc.stdout!.on('data', add)
    proc.stderr!.on('data', add)
    const stop = (why: string) => {
      problem ??= why
      proc.kill('SIGKILL')
    }
    const watchdog = setTimeout(() => stop(`ran past ${timeoutMs} ms`), timeoutMs)
    proc.on('message', (result: { count: Count; problem?: string; reasons: string[] }) => {
      told = true
      count = result.count
      problem ??= result.problem
      if (!problem && count.passed + count.failed === 0 && result.reasons.length === 0)
        problem = 'every test is skipped and none says why'
      setTimeout(
        () => stop(`a handle stayed open for ${LEAK_GRACE_MS} ms after the last test`),
        LEAK_GRACE_MS,
      ).unref()
    })
    proc.on('close', (code, signal) => {
      clearTimeout(watchdog)
      if (!told) problem ??= `ended with ${signal ?? code} before its tests did`
      else if (code !== 0 && count.failed === 0) problem ??= `ended with ${signal ?? code} after its tests`
      const name = `${relative('.', file)} (${((Date.now() - started) / 1000).toFixed(1)} s)`
      resolve({ count, text: `${name}\n${text}`, ...(problem ? { problem } : {}) })
    })
  })
}

async function child(file: string): Promise<void> {
  const uvu = globalThis as unknown as { UVU_DEFER: 1; UVU_INDEX: number; UVU_QUEUE: Group[] }
  uvu.UVU_DEFER = 1 // before uvu is loaded, so that suites queue up instead of running
  const { exec } = await import('uvu')
  const { reasons } = await import('./harness.ts')
  const count: Count = { passed: 0, failed: 0, skipped: 0 }
  const group: Group = ['']
  uvu.UVU_INDEX = uvu.UVU_QUEUE.push(group) - 1
  await import(file)
  let problem = group.length === 1 ? 'registers no suite: is run() missing?' : undefined
  for (const [i, run] of group.entries())
    if (typeof run === 'function')
      group[i] = async () => {
        const result = await run()
        const [, passed, skipped, total] = result
        count.passed += passed
        count.skipped += skipped
        count.failed += total - passed
        if (process.exitCode && count.failed === 0)
          problem ??= `exit code ${process.exitCode} without a failed test`
        return result
      }
  await exec()
  process.send!({ count, problem, reasons }, () => process.disconnect())
}
