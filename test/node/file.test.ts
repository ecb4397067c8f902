import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isTemporary, readFully, SharedSync, temporaryName, writeFileDurable } from '../../node/file.ts'
import { checkRoom } from '../../node/room.ts'
import { rejectsCode, suite, temporary } from '../harness.ts'

const test = suite('durable files')

test('a file is replaced as a whole, with its mode, and nothing else is left', async () => {
  using dir = temporary()
  const path = join(dir.path, 'file')
  writeFileSync(path, 'an older and longer text', { mode: 0o644 })
  await writeFileDurable(path, Buffer.from('new'))
  assert.is(readFileSync(path, 'utf8'), 'new')
  assert.is(statSync(path).mode & 0o777, 0o600)
  assert.equal(readdirSync(dir.path), ['file'])
})

test('a failed write leaves the old state', async () => {
  using dir = temporary()
  const path = join(dir.path, 'folder')
  mkdirSync(path)
  await rejectsCode(writeFileDurable(path, Buffer.from('x')), 'EISDIR')
  assert.equal(readdirSync(dir.path), ['folder'])
  await rejectsCode(writeFileDurable(join(dir.path, 'none', 'file'), Buffer.from('x')), 'ENOENT')
})

test('what does not fit on the disk beside the reserve is refused', async () => {
  using dir = temporary()
  await checkRoom(dir.path, 0)
  const error = await rejectsCode(checkRoom(dir.path, 2 ** 60), 'DISK_FULL')
  assert.match(error.message, /do not fit on the disk of/)
})

test('writers of one file do not share a temporary name', async () => {
  using dir = temporary()
  const path = join(dir.path, 'file')
  assert.is.not(temporaryName(path), temporaryName(path))
  assert.ok(isTemporary(temporaryName('file')))
  assert.not.ok(isTemporary('file'))
  await Promise.all(['a', 'b', 'c'].map(text => writeFileDurable(path, Buffer.from(text.repeat(1000)))))
  assert.match(readFileSync(path, 'utf8'), /^(a{1000}|b{1000}|c{1000})$/)
  assert.equal(readdirSync(dir.path), ['file'])
})

test('reading stops at the end of the file', async () => {
  using dir = temporary()
  writeFileSync(join(dir.path, 'file'), '12345')
  await using file = await open(join(dir.path, 'file'))
  assert.is(await readFully(file, new Uint8Array(10), 2), 3)
  assert.is(await readFully(file, new Uint8Array(2), 0), 2)
})

test('those who ask for a sync together share one, and a later one gets its own', async () => {
  using dir = temporary()
  const sync = new SharedSync(dir.path)
  const [first, second] = [sync.request(), sync.request()]
  assert.is(first, second)
  await first
  assert.is.not(sync.request(), first)
  await sync.request()
  const lost = new SharedSync(join(dir.path, 'none'))
  await rejectsCode(lost.request(), 'ENOENT')
  await rejectsCode(lost.request(), 'ENOENT')
})

test.run()
