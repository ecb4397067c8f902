/**
 * The same verdicts on every Node that is promised: the oldest, the newest of its line, and the line after it. What a
 * runtime can change is its Ed25519, its hashes and its language, so the suites of crypto/ and of evidence run on each.
 */
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'

const test = suite('other versions of Node')
const start = promisify(execFile)
const ROOT = join(import.meta.dirname, '..', '..')
/** As npm takes them: a version, or the newest of a line. */
const VERSIONS = ['24.12.0', '24', '26']
const SUITES = '^(crypto/|protocol/(evidence|verify|tamper|trust)\\.)'
const INSTALL_MS = 180_000
const RUN_MS = 240_000
/** The package of this machine's binary. */
const PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

const dir = temporary()
test.after(() => dir[Symbol.dispose]())
const passed: number[] = []

for (const version of VERSIONS) {
  const binary = await install(version)
  if ('path' in binary || process.env.CI)
    test(
      `crypto/ and evidence on Node ${version}`,
      async () => {
        assert.ok('path' in binary, `Node ${version} is not to be had: ${JSON.stringify(binary)}`)
        const { stdout: actual } = await start(binary.path, ['--version'])
        assert.ok(actual.startsWith(`v${version}.`) || actual.trim() === `v${version}`, actual)
        const lines = await runSuites(binary.path)
        const cases = lines.flatMap(line => /(own|wycheproof) ed25519.*/.exec(line)?.[0] ?? [])
        const sum = lines.at(-1)!
        console.log(`Node ${actual.trim()}: ${sum}; ${cases.join('; ')}`)
        assert.match(sum, /^[1-9][0-9]+ passed, 0 failed$/)
        passed.push(Number.parseInt(sum, 10))
      },
      RUN_MS,
    )
  else test.skip(`crypto/ and evidence on Node ${version}`, binary.reason)
}

test('each ran the same tests', () => assert.is(new Set(passed).size, passed.length > 0 ? 1 : 0, `${passed}`))

/** Fetches a binary from the registry, as any package. */
async function install(version: string): Promise<{ path: string } | { reason: string }> {
  const prefix = join(dir.path, version)
  mkdirSync(prefix)
  const quiet = [
    '--no-save',
    '--no-package-lock',
    '--no-audit',
    '--no-fund',
    '--ignore-scripts',
    '--loglevel=error',
  ]
  try {
    await start('npm', ['install', ...quiet, '--prefix', prefix, `${PACKAGE}@${version}`], {
      cwd: prefix,
      timeout: INSTALL_MS,
    })
    return { path: join(prefix, 'node_modules', PACKAGE, 'bin', 'node') }
  } catch (error) {
    return { reason: `npm cannot install ${PACKAGE}@${version}: ${(error as Error).message.split('\n')[0]}` }
  }
}

/** The lines that a run of the suites prints; what it prints of a failure is part of the error. */
async function runSuites(binary: string): Promise<string[]> {
  const args = [join(ROOT, 'test', 'run.ts'), SUITES]
  const options = { cwd: ROOT, timeout: RUN_MS, killSignal: 'SIGKILL', maxBuffer: 2 ** 24 } as const
  const { stdout } = await start(binary, args, options).catch(error => error as { stdout: string })
  const lines = stdout.trimEnd().split('\n')
  if (!/ 0 failed$/.test(lines.at(-1)!)) console.log(stdout)
  return lines
}

test.run()
