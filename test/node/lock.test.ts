import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { acquireLock, type LockError } from '../../node/lock.ts'
import { suite, temporary, throwsCode } from '../harness.ts'

const HOLDER = join(import.meta.dirname, 'lock.holder.ts')
const test = suite('lock')

test('names its holder, also to the process that holds it', () => {
  using home = temporary()
  using lock = acquireLock(home.path)
  lock.update({ api: 'unix:/home/api.sock' })
  const error = throwsCode(() => acquireLock(home.path), 'HOME_LOCKED') as LockError & { code: string }
  assert.is(error.pid, process.pid)
  assert.is(error.api, 'unix:/home/api.sock')
  assert.ok(Math.abs(Date.parse(error.since) - Date.now()) < 60_000)
  assert.match(error.message, `process ${process.pid}`)
  assert.is(statSync(join(home.path, 'lock')).mode & 0o777, 0o600)
})

test('is free again after release, and leaves nothing behind', () => {
  using home = temporary()
  for (let i = 0; i < 3; i += 1) acquireLock(home.path, { api: 'x' }).release()
  assert.equal(readdirSync(home.path), [])
})

test('a second process learns who holds the home; the lock of a killed one is taken over', async () => {
  using home = temporary()
  const child = fork(HOLDER, [home.path])
  await once(child, 'message')
  const error = throwsCode(() => acquireLock(home.path), 'HOME_LOCKED') as LockError & { code: string }
  assert.is(error.pid, child.pid)
  child.kill('SIGKILL')
  await once(child, 'exit')
  using _lock = acquireLock(home.path)
  assert.equal(readdirSync(home.path), ['lock'])
})

test('a process with the same id but another start does not hold the home', async () => {
  using home = temporary()
  const other = spawn('sleep', ['30'])
  try {
    acquireLock(home.path).update({})
    const path = join(home.path, 'lock')
    const holder = JSON.parse(readFileSync(path, 'utf8'))
    if (holder.start === undefined) return
    writeFileSync(path, JSON.stringify({ ...holder, pid: other.pid }))
    acquireLock(home.path).release()
    writeFileSync(path, JSON.stringify({ pid: other.pid, since: holder.since }))
    throwsCode(() => acquireLock(home.path), 'HOME_LOCKED', 'without a start time the id decides')
    writeFileSync(path, JSON.stringify({ ...holder, boot: 'an earlier one' }))
    acquireLock(home.path).release()
  } finally {
    other.kill('SIGKILL')
  }
})

test('a file that names nobody is stale', () => {
  using home = temporary()
  for (const text of ['', 'x', 'null', '{}', '{"pid":-1}', '{"pid":0}']) {
    writeFileSync(join(home.path, 'lock'), text)
    acquireLock(home.path).release()
  }
})

test('release leaves the lock of another holder alone', () => {
  using home = temporary()
  const lock = acquireLock(home.path)
  const foreign = JSON.stringify({ pid: 1, since: 'today' })
  writeFileSync(join(home.path, 'lock'), foreign)
  lock.update({ api: 'x' })
  lock.release()
  assert.is(readFileSync(join(home.path, 'lock'), 'utf8'), foreign)
})

test('of many processes that find a stale lock one takes it', async () => {
  using home = temporary()
  for (let round = 0; round < 3; round += 1) {
    writeFileSync(join(home.path, 'lock'), JSON.stringify({ pid: 2 ** 30, since: 'long ago' }))
    const children = Array.from({ length: 6 }, () => fork(HOLDER, [home.path]))
    const answers = await Promise.all(children.map(answer))
    assert.is(answers.filter(text => text === 'taken').length, 1, answers.join(' '))
    assert.is(answers.filter(text => text === 'HOME_LOCKED').length, 5, answers.join(' '))
    await Promise.all(children.map(stop))
  }
})

test.run()

async function answer(child: ChildProcess): Promise<string> {
  const [text] = await once(child, 'message')
  return text
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
