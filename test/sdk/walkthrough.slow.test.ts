/** Runs README.md: every line of its walk through, as a shell runs it, then its programs against the same daemons. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { EXIT } from '../../sdk/cli/exit.ts'
import { blocks, linesIn } from '../frame/readme.ts'
import { suite, temporary } from '../harness.ts'

const test = suite('README.md')
const ROOT = join(import.meta.dirname, '..', '..')
const MAIN = join(ROOT, 'sdk', 'cli', 'main.ts')
const LINE_MS = 60_000

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')

/** What stands for an answer of a command before: where it is found in what was printed, the newest first. */
const PLACEHOLDERS: Record<string, RegExp> = {
  TICKET: /^wb1\w+$/gm,
  ASSET: /\bs-[a-z0-9]{8}\b/g,
  OFFER: /\bo-[a-z0-9]{8}\b/g,
  REQUEST: /\br-[a-z0-9]{8}\b/g,
  COMMITTEE: /\bc-[a-z0-9]{8}\b/g,
  ORDER: /\bh-[a-z0-9]{8}\b/g,
  AGREEMENT: /\ba-[a-z0-9]{8}\b/g,
}

/** Commands that list what a partner has begun. */
const LIST = / (handover|committee show --assets)$/

interface Line {
  code: number | null
  stdout: string
  stderr: string
}

/** A folder with a shell in which `waybill` is a command, and a home directory of its own. */
class Shell implements AsyncDisposable {
  readonly path: string
  readonly #folder = temporary()
  readonly #running = new Set<ChildProcess>()
  #printed = ''

  constructor() {
    this.path = this.#folder.path
    mkdirSync(join(this.path, 'bin'))
    const command = join(this.path, 'bin', 'waybill')
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
    chmodSync(command, 0o755)
  }

  async run(line: string): Promise<Line> {
    const { FORCE_COLOR: _1, WAYBILL_HOME: _2, ...inherited } = process.env
    const env = {
      ...inherited,
      PATH: `${join(this.path, 'bin')}:${inherited.PATH}`,
      HOME: this.path,
      XDG_DATA_HOME: join(this.path, 'data'),
    }
    const child = spawn('sh', ['-c', this.#filled(line)], {
      cwd: this.path,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: LINE_MS,
    })
    this.#running.add(child)
    const ended: Line = { code: null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', text => {
      ended.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      ended.stderr += text
    })
    ended.code = (await once(child, 'close'))[0]
    this.#running.delete(child)
    this.#printed += ended.stdout
    return ended
  }

  #filled(line: string): string {
    return Object.entries(PLACEHOLDERS).reduce((filled, [word, pattern]) => {
      if (!new RegExp(`\\b${word}\\b`).test(filled)) return filled
      const found = this.#printed.match(pattern)?.at(-1)
      assert.ok(found, `nothing that was printed stands for ${word} in: ${line}`)
      return filled.replace(word, found!)
    }, line)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) child.kill('SIGKILL')
    for (const home of ['', '--home ./bolt', '--home ./cole']) await this.run(`waybill ${home} down`)
    this.#folder[Symbol.dispose]()
  }
}

test('each line of the walk through does what it says, and then each program', async () => {
  await using shell = new Shell()
  writeFileSync(join(shell.path, 'energy.csv'), 'time,kWh\n2027-01-01T00:00Z,12.5\n')
  writeFileSync(join(shell.path, 'press.csv'), 'time,bar\n2027-01-01T00:00Z,12.5\n')
  const lines = linesIn(readme)
  assert.ok(lines.length > 10)
  const waiting: Promise<[string, Line]>[] = []
  for (const line of lines) {
    // A person compares the organisation of a ticket with the partner and says yes.
    const typed = line.replace(/ join (\w+)/, ' join --yes $1')
    if (/#.*waits for Acme/.test(line)) {
      waiting.push(shell.run(typed).then(ended => [line, ended]))
      await untilListed(shell, 'waybill requests')
      continue
    }
    if (LIST.test(line)) await untilListed(shell, line)
    succeeded(line, await shell.run(typed), exitOf(line))
    if (/ approve /.test(line))
      for (const [each, ended] of await Promise.all(waiting.splice(0))) succeeded(each, ended)
  }
  assert.is(waiting.length, 0, 'what waited has come')
  await runPrograms(shell)
}, 200_000)

/** What a comment says that it ends with; here seats are taken at once, and nothing is left to sign. */
function exitOf(line: string): number {
  if (/#.*only where seats = "person"/.test(line)) return EXIT.notFound
  return Number(/#.*exits with (\d)/.exec(line)?.[1] ?? EXIT.ok)
}

function succeeded(line: string, { code, stdout, stderr }: Line, exit = 0): void {
  assert.is(code, exit, `$ ${line}\n${stdout}${stderr}`)
}

/** What others do is listed a moment later. */
async function untilListed(shell: Shell, line: string): Promise<void> {
  const deadline = performance.now() + LINE_MS
  while (!/\b[a-z]-[a-z0-9]{8}\b/.test((await shell.run(line)).stdout))
    assert.ok(performance.now() < deadline, `nothing came: ${line}`)
}

/** The TypeScript blocks, in a folder that has the package installed, with what their reader has at hand. */
async function runPrograms(shell: Shell): Promise<void> {
  mkdirSync(join(shell.path, 'node_modules'))
  symlinkSync(ROOT, join(shell.path, 'node_modules', 'waybill'))
  const atHand = [
    "import { readFileSync } from 'node:fs'",
    "const content = readFileSync('received/energy.csv')",
    "const evidence = readFileSync('received/energy.csv.waybill')",
    "const trust = JSON.parse(readFileSync('trust.json', 'utf8'))",
    '',
  ].join('\n')
  const [client, offline, ...more] = blocks(readme, 'ts')
  assert.is(more.length, 0, 'a program that this test does not know')
  assert.match(await runProgram(shell, client!), /^bafy\w+ \{\n[\s\S]*name: 'energy.csv'/)
  const verdicts = (await runProgram(shell, atHand + offline)).trim().split('\n')
  for (const verdict of verdicts) assert.match(verdict, /^verified .+ (ok|skipped) /, verdict)
  assert.ok(verdicts.some(verdict => / content ok /.test(verdict)))
}

async function runProgram(shell: Shell, code: string): Promise<string> {
  writeFileSync(join(shell.path, 'program.mts'), code)
  const ended = await shell.run(`'${process.execPath}' program.mts`)
  succeeded(code, ended)
  return ended.stdout
}

test.run()
