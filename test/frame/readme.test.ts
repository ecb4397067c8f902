import { execFile } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { blocks, filesIn, foldersIn, linesIn, scriptsIn } from './readme.ts'

const test = suite('frame/readme')
const root = join(import.meta.dirname, '..', '..')
const read = (name: string) => readFileSync(join(root, name), 'utf8')
const run = promisify(execFile)

const readme = read('README.md')
const CLI = join(root, 'sdk', 'cli', 'main.ts')
/** What the reader of a code block has at hand. */
const AT_HAND = 'declare const evidence: Uint8Array, trust: unknown, content: Uint8Array\n'

test('every script that is named exists', () => {
  const { scripts } = JSON.parse(read('package.json'))
  assert.ok(scriptsIn(readme).includes('test'))
  for (const name of scriptsIn(readme)) assert.ok(name in scripts, `npm run ${name}`)
})

for (const name of ['README.md', 'GUARANTEES.md', 'SECURITY.md', 'CHANGELOG.md'])
  test(`every file that ${name} names exists`, () => {
    for (const file of filesIn(read(name))) assert.ok(existsSync(join(root, file)), file)
  })

test('every guarantee that holds names its test', () => {
  const rows = read('GUARANTEES.md')
    .split('\n')
    .filter(line => /^\| \d/.test(line))
  assert.is(rows.length, 9)
  for (const row of rows) {
    const [, , , holds, tests] = row.split('|').map(cell => cell.trim())
    assert.is(holds === 'not yet', tests === '', row)
  }
})

if (existsSync(CLI)) {
  test('every folder of the tree exists', () => {
    for (const folder of foldersIn(readme)) assert.ok(existsSync(join(root, folder)), folder)
  })

  test('every code block is right by its types', async () => {
    assert.is(await typeErrors(blocks(readme, 'ts')), '')
    assert.match(await typeErrors(["import { nothing } from 'waybill'\nnothing()"]), /nothing/)
  })
} else test.skip('commands, folders and code of README.md', 'sdk/cli/main.ts is not there yet')

test('a planted README is taken apart', () => {
  const planted = [
    '`npm ci && npm run demo`, `npm run test:slow`, `npm test`, `crypto/cbor.ts`, `waybill/verify`',
    '[a](GUARANTEES.md#one) [b](https://example.org) [c](#here)',
    '```',
    'crypto/    bytes',
    'sdk/cli/   words',
    '```',
    '```console',
    '$ waybill --home ./bolt offers --own   # all of them',
    'waybill is what this line is not about',
    '$ waybill offer ASSET --to "Bolt --GmbH" -q > file',
    '```',
    '```ts',
    'const a = 1',
    '```',
  ].join('\n')
  assert.equal(scriptsIn(planted), ['demo', 'test:slow', 'test'])
  assert.equal(filesIn(planted), ['crypto/cbor.ts', 'GUARANTEES.md'])
  assert.equal(foldersIn(planted), ['crypto/', 'sdk/cli/'])
  assert.equal(linesIn(planted), [
    'waybill --home ./bolt offers --own   # all of them',
    'waybill offer ASSET --to "Bolt --GmbH" -q > file',
  ])
  assert.equal(blocks(planted, 'ts'), ['const a = 1\n'])
})

/** What tsc says of code that imports the package by its name. */
async function typeErrors(codes: string[]): Promise<string> {
  using folder = temporary()
  const files = codes.map((code, i) => {
    writeFileSync(join(folder.path, `block-${i}.mts`), AT_HAND + code)
    return `block-${i}.mts`
  })
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: {
      paths: { waybill: [join(root, 'sdk/index.ts')], 'waybill/verify': [join(root, 'sdk/verify.ts')] },
      typeRoots: [join(root, 'node_modules/@types')],
      noUnusedLocals: false,
    },
    include: [],
    files,
  }
  writeFileSync(join(folder.path, 'tsconfig.json'), JSON.stringify(config))
  try {
    await run(join(root, 'node_modules/.bin/tsc'), ['--project', folder.path], { timeout: 25_000 })
    return ''
  } catch (error) {
    return (error as { stdout: string }).stdout || String(error)
  }
}

test.run()
