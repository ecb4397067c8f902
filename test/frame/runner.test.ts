import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'

const test = suite('frame/runner')
const root = join(import.meta.dirname, '..', '..')
const HEAD = `
import { suite } from '${join(root, 'test', 'harness.ts')}'
import { suite as plain } from '${import.meta.resolve('uvu')}'
const test = suite('planted')
`

/** A file, what stands in it, and what the runner must say of it. */
const PLANTED: [name: string, body: string, says: RegExp][] = [
  ['assert', "test('a', () => { throw new Error('planted') })\ntest.run()", /\bassert\.test\.ts:\d+/],
  ['late', "test('late', () => new Promise(() => {}), 50)\ntest.run()", /'late' ran past 50 ms/],
  ['hang', "test('a', () => { for (;;); })\ntest.run()", /FAIL \S*hang\.test\.ts: ran past 6000 ms/],
  [
    'leak',
    "test('a', () => { setInterval(() => {}, 1000) })\ntest.run()",
    /FAIL \S*leak\.test\.ts: a handle stayed open/,
  ],
  ['forgotten', "test('a', () => {})", /FAIL \S*forgotten\.test\.ts: registers no suite/],
  [
    'skipped',
    "const p = plain('p')\np.skip('a', () => {})\np.run()",
    /FAIL \S*skipped\.test\.ts: every test is skipped/,
  ],
  ['only', "test.only('a', () => {})\ntest.run()", /FAIL \S*only\.test\.ts: ended with 1 before/],
  ['exit', "test('a', () => process.exit(0))\ntest.run()", /FAIL \S*exit\.test\.ts: ended with 1 before/],
  ['code', "test('a', () => { process.exitCode = 3 })\ntest.run()", /FAIL \S*code\.test\.ts: exit code 3/],
  [
    'reject',
    "test('a', () => { Promise.reject(new Error('stray')) })\ntest.run()",
    /FAIL \S*reject\.test\.ts: ended with 1 after/,
  ],
  ['broken', "import './nowhere.ts'\ntest.run()", /FAIL \S*broken\.test\.ts: ended with 1 before/],
]
const GOOD = "test('a', () => {})\ntest.run()"
const EXCUSED = "test.skip('a', 'no such machine')\ntest.run()"

test('the runner fails on what uvu lets pass', async () => {
  using folder = temporary()
  plant(folder.path)
  const { code, out } = await run(folder.path, ['--limit-ms=6000', '^bad/'], { CI: 'true' })
  assert.is(code, 1)
  for (const [name, , says] of PLANTED) assert.ok(says.test(out), `${name}: ${out}`)
  assert.is(out.trimEnd().split('\n').at(-1), `3 passed, ${PLANTED.length} failed`, out)
})

test('each of them alone fails the run', async () => {
  using folder = temporary()
  plant(folder.path)
  for (const name of ['forgotten', 'skipped', 'exit'])
    assert.is((await run(folder.path, [`(${name}|good)\\.test`])).code, 1, name)
})

test('the runner passes what is well', async () => {
  using folder = temporary()
  plant(folder.path)
  const { code, out } = await run(folder.path, ['^(good|excused|bad/only)\\.test'])
  assert.is(code, 0, out)
  assert.match(out, /SKIP a: no such machine/)
  assert.match(out, /\n1 skipped\n2 passed, 0 failed\n$/)
  const only = await run(folder.path, ['^bad/only'])
  assert.match(only.out, /\n1 passed, 0 failed\n$/)
})

test('a run in which nothing passed fails', async () => {
  using folder = temporary()
  plant(folder.path)
  for (const pattern of ['nothing-has-this-name', '^excused']) {
    const { code, out } = await run(folder.path, [pattern])
    assert.is(code, 1)
    assert.match(out, /FAIL nothing passed/)
    assert.match(out, /\n0 passed, 1 failed\n$/)
  }
})

test('slow files run only when asked for', async () => {
  using folder = temporary()
  plant(folder.path)
  const none = await run(folder.path, ['--slow'])
  assert.is(none.code, 0)
  assert.match(none.out, /^no slow files\n0 passed, 0 failed\n$/)
  assert.is((await run(folder.path, ['--slow', 'good'])).code, 1)
  writeFileSync(join(folder.path, 'good.slow.test.ts'), HEAD + GOOD)
  assert.match((await run(folder.path, ['^good'])).out, /\n1 passed, 0 failed\n$/)
  assert.match((await run(folder.path, ['--slow'])).out, /good\.slow\.test\.ts[\s\S]*\n1 passed, 0 failed\n$/)
})

function plant(folder: string): void {
  mkdirSync(join(folder, 'bad'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  for (const [name, body] of PLANTED) writeFileSync(join(folder, 'bad', `${name}.test.ts`), HEAD + body)
  writeFileSync(join(folder, 'good.test.ts'), HEAD + GOOD)
  writeFileSync(join(folder, 'excused.test.ts'), HEAD + EXCUSED)
}

function run(
  folder: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; out: string }> {
  return new Promise((resolve, reject) => {
    const proc = spawn(process.execPath, [join(root, 'test', 'run.ts'), `--root=${folder}`, ...args], {
      env: { ...process.env, CI: '', NODE_OPTIONS: '', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let out = ''
    const add = (data: Buffer) => {
      out += data
    }
    proc.stdout.on('data', add)
    proc.stderr.on('data', add)
    proc.on('error', reject)
    proc.on('close', code => resolve({ code, out }))
  })
}

test.run()
