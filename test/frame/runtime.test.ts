import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import { missing } from '../lock.ts'

const root = join(import.meta.dirname, '..', '..')
const test = suite('runtime')

test('runs under the Node that came with npm ci', () => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  assert.ok(major! > 24 || (major === 24 && minor! >= 12), process.version)
})

test('the lock has an entry for every optional dependency it names', () => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  assert.equal(missing(lock.packages), [])
})

test('the lock names no download address', () => {
  assert.not.match(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved": "https?:/)
})

test.run()
