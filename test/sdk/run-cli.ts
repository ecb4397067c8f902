/** The command line as a process of its own, with pipes for its streams. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { type Suite, suite } from '../harness.ts'

const MAIN = join(import.meta.dirname, '..', '..', 'sdk', 'cli', 'main.ts')

export interface Run {
  code: number | null
  stdout: string
  stderr: string
  ms: number
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  /** Asked now and then; the process gets SIGINT once it holds. */
  interruptWhen?: () => boolean
  onStdout?: (text: string) => void
}

export function run(
  args: string[],
  { env = {}, cwd, interruptWhen, onStdout }: RunOptions = {},
): Promise<Run> {
  const { FORCE_COLOR: _1, NO_COLOR: _2, WAYBILL_HOME: _3, ...inherited } = process.env
  const started = performance.now()
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, ...env },
    ...(cwd ? { cwd } : {}),
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', text => {
    stdout += text
    onStdout?.(text)
  })
  child.stderr.setEncoding('utf8').on('data', text => {
    stderr += text
  })
  const timer =
    interruptWhen && setInterval(() => interruptWhen() && child.kill('SIGINT') && clearInterval(timer), 50)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code => {
      clearInterval(timer)
      resolve({ code, stdout, stderr, ms: performance.now() - started })
    })
  })
}

/** Asserts that stdout is exactly one JSON document with a schema, and returns it. */
export function document({ stdout, stderr }: Run, schema: string): Record<string, unknown> {
  assert.match(stdout, /^\{.*\}\n$/, `${stdout}${stderr}`)
  const parsed = JSON.parse(stdout) as Record<string, unknown>
  assert.is(parsed.schema, schema, stdout)
  return parsed
}

/** Asserts an exit code and the four lines of an error on stderr, and returns them. */
export function fourLines({ code, stdout, stderr }: Run, exit: number, errorCode: string): string[] {
  assert.is(code, exit, stderr)
  assert.is(stdout, '')
  const lines = stderr.trimEnd().split('\n')
  assert.is(lines.length, 4, stderr)
  assert.match(lines[0]!, /^✗ \S/)
  assert.match(lines[1]!, new RegExp(`^  why {3}${errorCode}( · .*)? · exit ${exit}$`))
  assert.match(lines[2]!, /^ {2}next {2}\S/)
  assert.is(lines[3], `  docs  waybill explain ${errorCode}`)
  return lines
}

/** A suite whose tests may take longer: each starts processes, 0.3 s apiece, and more on a busy machine. */
export function spawning(name: string): Suite {
  const inner = suite(name)
  return Object.assign(
    (title: string, body: () => void | Promise<void>) => inner(title, body, 100_000),
    inner,
  )
}
