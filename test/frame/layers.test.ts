import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import {
  type Conditions,
  type Files,
  layerBreaches,
  packageBreaches,
  purityBreaches,
  reach,
  reachBreaches,
  suiteBreaches,
  treeBreaches,
  wordBreaches,
} from './layers.ts'
import { codeOf, importsOf } from './source.ts'

const test = suite('frame/layers')
const root = join(import.meta.dirname, '..', '..')

/** Files under version control, and new ones that are not ignored. */
const paths = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], {
  cwd: root,
  encoding: 'utf8',
})
  .split('\n')
  .filter(path => path && existsSync(join(root, path)))
const read = (names: string[]): Files =>
  Object.fromEntries(names.map(name => [name, readFileSync(join(root, name), 'utf8')]))
const sources = read(paths.filter(path => path.endsWith('.ts')))
const conditions = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).imports as Conditions

test('imports point down', () => assert.equal(layerBreaches(sources, conditions), []))
test('what must stay small pulls in nothing large', () => {
  assert.equal(reachBreaches(sources, conditions), [])
})
test('protocol/ and crypto/ are pure', () => assert.equal(purityBreaches(sources), []))
test('every file has a place and a name', () => assert.equal(treeBreaches(paths), []))
test('the fixed packages are in use', () => assert.equal(packageBreaches(sources), []))
test('every suite has the timeouts of the harness', () => assert.equal(suiteBreaches(sources), []))
test('no notes to oneself', () => {
  assert.equal(wordBreaches(read(paths.filter(path => /\.(ts|md)$/.test(path)))), [])
})

const planted: Conditions = {
  '#backend': { browser: './crypto/backend-noble.ts', default: './crypto/backend-node.ts' },
}
const breachesOf = (file: string, text: string) => layerBreaches({ [file]: text }, planted)

test('a planted import is found', () => {
  const rows: [string, string, string][] = [
    ['crypto/a.ts', "import { x } from '../protocol/b.ts'", 'protocol/b.ts'],
    ['crypto/a.ts', "import type { x } from '../node/b.ts'", 'node/b.ts'],
    ['crypto/a.ts', "import { hash } from 'node:crypto'", 'node:crypto'],
    ['crypto/backend-node.ts', "import 'node:fs'", 'node:fs'],
    ['protocol/a.ts', "export * from '../node/b.ts'", 'node/b.ts'],
    ['protocol/a.ts', "import { level } from 'level'", 'level'],
    ['protocol/a.ts', "const a = await import('node:fs')", 'node:fs'],
    ['protocol/a.ts', 'const a = import(name)', '?'],
    ['node/a.ts', "import { connect } from '../sdk/index.ts'", 'sdk/index.ts'],
    ['node/a.ts', "import { run } from '../sim/run.ts'", 'sim/run.ts'],
    ['node/schema.ts', "import { a } from './store.ts'", 'node/store.ts'],
    ['node/a.ts', "import express from 'express'", 'express'],
    ['sim/a.ts', "import { driver } from '../node/driver.ts'", 'node/driver.ts'],
    ['sdk/verify.ts', "import type { Status } from '../node/schema.ts'", 'node/schema.ts'],
    ['sdk/verify.ts', "import { a } from './index.ts'", 'sdk/index.ts'],
    ['sdk/index.ts', "export { main } from './cli/main.ts'", 'sdk/cli/main.ts'],
    ['sdk/console/a.ts', "import { a } from '../../node/schema.ts'", 'node/schema.ts'],
    ['sdk/console/a.ts', "import { a } from '../cli/main.ts'", 'sdk/cli/main.ts'],
    ['sdk/cli/a.ts', "import { a } from '../../bench/demo.ts'", 'bench/demo.ts'],
    ['sdk/a.ts', "import { suite } from '../test/harness.ts'", 'test/harness.ts'],
    ['sim/a.ts', "import a from '../../elsewhere/a.ts'", '../elsewhere/a.ts'],
    ['crypto/a.ts', "import { a } from '#elsewhere'", '#elsewhere'],
  ]
  for (const [file, text, target] of rows)
    assert.equal(breachesOf(file, text), [`${file}: imports ${target}`], text)
  assert.equal(breachesOf('lib/a.ts', ''), ['lib/a.ts: belongs to no layer'])
})

test('an import that the table allows is not found', () => {
  const rows: [string, string][] = [
    ['crypto/a.ts', "import * as backend from '#backend'\nimport { b } from './b.ts'"],
    ['crypto/backend-node.ts', "import { hash } from 'node:crypto'"],
    ['protocol/a.ts', "import { CID } from 'multiformats/cid'\nimport { sign } from '../crypto/key.ts'"],
    ['node/a.ts', "import { readFile } from 'node:fs/promises'\nimport { createLibp2p } from 'libp2p'"],
    ['sdk/cli/a.ts', "import { run } from '../../sim/run.ts'\nimport { open } from '../index.ts'"],
    ['sdk/console/a.ts', "import { verify } from '../verify.ts'\nimport './b.ts'"],
    ['bench/a.ts', "import anything from 'anything'\nimport { b } from '../sim/b.ts'"],
    ['crypto/a.ts', `// import 'level'\n/* import 'level' */ const a = "import 'level'"`],
    ['crypto/a.ts', "const a = `${b}import 'level'${`import 'level'`}`"],
    ['crypto/a.ts', "const quote = /['\"`]/\nconst b = 1 / 2 // import 'level'"],
  ]
  for (const [file, text] of rows) assert.equal(breachesOf(file, text), [], text)
})

test('what a file pulls in is followed through files and conditions', () => {
  const files: Files = {
    'sdk/verify.ts': "import { a } from '../protocol/a.ts'\nimport type { b } from '../node/b.ts'",
    'protocol/a.ts': "export { h } from '../crypto/h.ts'",
    'crypto/h.ts': "import { sha256 } from '#backend'",
    'crypto/backend-noble.ts': "import { sha256 } from '@noble/hashes/sha2.js'",
    'crypto/backend-node.ts': "import { hash } from 'node:crypto'",
    'sdk/connect.ts': "import { type c } from '../node/c.ts'",
    'node/c.ts': "import { Level } from 'level'",
  }
  assert.equal(reach(files, 'sdk/verify.ts', planted, true), [
    '@noble/hashes/sha2.js',
    'crypto/backend-noble.ts',
    'crypto/h.ts',
    'protocol/a.ts',
  ])
  assert.equal(reachBreaches(files, { '#backend': { default: './crypto/backend-node.ts' } }), [
    'sdk/verify.ts: pulls in node:crypto',
    // Unlike `import type { c }`, `import { type c }` loads its file.
    'sdk/connect.ts: pulls in level',
    'sdk/connect.ts: pulls in node/c.ts',
  ])
  const lazy = { 'sdk/verify.ts': "await import('node:fs')", 'sdk/connect.ts': "await import('node:fs')" }
  assert.equal(reachBreaches(lazy, planted), ['sdk/verify.ts: pulls in node:fs'])
})

test('a planted impurity is found', () => {
  for (const line of [
    'const t = Date.now()',
    'const t = new Date()',
    'const t = new Date',
    'const t = Date()',
    'const t = performance.now()',
    'const r = Math.random()',
    'const r = crypto.getRandomValues(bytes)',
    'setTimeout(step, 10)',
    'queueMicrotask(step)',
    'async function f() {}',
    'const f = async () => 1',
    'await f()',
    'const p: Promise<void> = g()',
    'process.exit(1)',
    'const b = Buffer.from(bytes)',
    "console.log('x')",
    '`${Date.now()}`',
    'const s = (5).toLocaleString()',
  ]) {
    const found = purityBreaches({ 'protocol/a.ts': `const a = 1\n${line}\n` })
    assert.ok(found.length > 0 && found.every(breach => breach.startsWith('protocol/a.ts:2: ')), line)
    assert.equal(purityBreaches({ 'node/a.ts': line }), [], 'node/ may do so')
  }
})

test('what only looks impure is not found', () => {
  for (const line of [
    'new Date(ms).toISOString()',
    'const a = new ArrayBuffer(1)',
    "// Date.now() is banned, and so is 'async'",
    "const s = 'await process Buffer'",
    'const s = `no Promise of ${console1}`',
    'state.process = 1',
    'const asyncLike = 1',
    'const pattern = /Promise/',
  ])
    assert.equal(purityBreaches({ 'crypto/a.ts': line }), [], line)
})

test('a planted file, package or word is found', () => {
  assert.equal(
    treeBreaches(['docs/a.md', 'crypto/utils.ts', 'sdk/types/a.ts', 'node/fooBar.ts', 'sim/index.ts']),
    [
      'docs/a.md: has no place at the top',
      'crypto/utils.ts: has a vague name',
      'sdk/types/a.ts: has a vague name',
      'node/fooBar.ts: is no kebab-case',
      'sim/index.ts: is an index',
    ],
  )
  assert.equal(
    treeBreaches(['README.md', '.ci/run', 'sdk/index.ts', 'test/crypto/cbor.test.ts', 'sdk/cli/main.ts']),
    [],
  )
  assert.ok(packageBreaches({}).some(breach => breach.startsWith('cborg: ')))
  assert.ok(packageBreaches({ 'test/a.ts': "import 'cborg'" }).some(breach => breach.startsWith('cborg: ')))
  assert.not.ok(
    packageBreaches({ 'crypto/a.ts': "import 'cborg'" }).some(breach => breach.startsWith('cborg: ')),
  )
  assert.equal(suiteBreaches({ 'test/a.test.ts': "import { test } from 'uvu'" }).length, 1)
  assert.equal(suiteBreaches({ 'test/a.test.ts': "import * as assert from 'uvu/assert'" }), [])
  assert.equal(wordBreaches({ 'a.ts': `one\n// ${'TO' + 'DO'} later` }), [`a.ts:2: ${'TO' + 'DO'}`])
})

test('code is told from text', () => {
  assert.is(codeOf("a 'b' // c\n/* d */ `e${f}g`"), "a ' '     \n        ` ${f} `")
  assert.is(codeOf("a 'b' // c", false), "a 'b'     ")
  assert.is(codeOf('x.replace(/[\'"]/g, y) / 2 // z'), 'x.replace(/    /g, y) / 2     ')
  assert.is(codeOf('`${{ a: `b` }}c` + d'), '`${{ a: ` ` }} ` + d')
  assert.equal(importsOf("import a, { type b } from 'c'\nexport type { d } from 'e'\nimport 'f'"), [
    { name: 'c', typeOnly: false, lazy: false },
    { name: 'e', typeOnly: true, lazy: false },
    { name: 'f', typeOnly: false, lazy: false },
  ])
  assert.equal(importsOf("import {\n  a,\n  b,\n} from './c.ts'\nconst d = import('e')"), [
    { name: './c.ts', typeOnly: false, lazy: false },
    { name: 'e', typeOnly: false, lazy: true },
  ])
})

test.run()
