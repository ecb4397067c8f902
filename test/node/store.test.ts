import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { following, openStore } from '../../node/store.ts'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { type Rig, storeSuite } from '../store.suite.ts'

const WRITER = join(import.meta.dirname, 'store.writer.ts')

storeSuite('on level', async () => {
  const dir = temporary()
  const failures: Error[] = []
  const store = await openStore(join(dir.path, 'db'), { create: true, onFailure: e => failures.push(e) })
  const rig: Rig = {
    store,
    failures,
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {
      await store.close()
      dir[Symbol.dispose]()
    },
  }
  return rig
})

const test = suite('store on level')
const onFailure = (error: Error) => {
  throw error
}

test('what is queued is seen by get, and only what is on the disk by getDurable', async () => {
  using dir = temporary()
  await using store = await openStore(join(dir.path, 'db'), { create: true, onFailure })
  const put = (byte: number) => store.commit([{ key: 'a', value: Uint8Array.of(byte) }], () => {})
  put(1)
  assert.equal([store.get('a'), store.getDurable('a')], [Uint8Array.of(1), undefined])
  await store.idle()
  put(2)
  assert.equal(
    [store.get('a'), store.getDurable('a')].map(each => each![0]),
    [2, 1],
  )
})

test('what was read of late is read as it is now, however much was read and written since', async () => {
  using dir = temporary()
  await using store = await openStore(join(dir.path, 'db'), { create: true, onFailure })
  const value = (n: number) => new Uint8Array(9_000).fill(n)
  const keys = Array.from({ length: 300 }, (_, i) => `k/${i}`)
  for (let round = 1; round <= 4; round++) {
    for (const [i, key] of keys.entries())
      store.commit([i % 5 === round ? { key } : { key, value: value(i + round) }], () => {})
    const check = (when: string) => {
      for (const [i, key] of keys.entries()) {
        const [found, wanted] = [store.get(key), i % 5 === round ? undefined : value(i + round)]
        assert.is(found?.[0], wanted?.[0], `${key} ${when}, round ${round}`)
      }
    }
    check('while it is queued')
    await store.idle()
    check('when it is durable')
    check('read again')
    for (const key of keys) assert.is(store.get(key)?.[0], store.getDurable(key)?.[0])
  }
})

test('a missing database is an error, not an empty one', async () => {
  using dir = temporary()
  const path = join(dir.path, 'db')
  await rejectsCode(openStore(path, { create: false, onFailure }), 'STORE_MISSING')
  assert.not(existsSync(path))
})

test('data without the file CURRENT is damage, also where a store may be created', async () => {
  using dir = temporary()
  await filled(dir.path)
  rmSync(join(dir.path, 'CURRENT'))
  await rejectsCode(openStore(dir.path, { create: false, onFailure }), 'STORE_DAMAGED')
  await rejectsCode(openStore(dir.path, { create: true, onFailure }), 'STORE_DAMAGED')
})

test('a damaged CURRENT is told as damage', async () => {
  using dir = temporary()
  await filled(dir.path)
  appendFileSync(join(dir.path, 'CURRENT'), 'x')
  await rejectsCode(openStore(dir.path, { create: false, onFailure }), 'STORE_DAMAGED')
})

test('an open database refuses a second process', async () => {
  using dir = temporary()
  await filled(dir.path)
  const child = fork(WRITER, [dir.path], { stdio: 'ignore' })
  await once(child, 'message')
  await rejectsCode(openStore(dir.path, { create: false, onFailure }), 'STORE_LOCKED')
  child.kill('SIGKILL')
  await once(child, 'exit')
})

test('what was acknowledged is there after kill -9', async () => {
  using dir = temporary()
  const acknowledged = new Set<string>()
  for (let round = 0; round < 3; round += 1) {
    const child = fork(WRITER, [dir.path, `${round}`], { stdio: 'ignore' })
    child.on('message', (key: string) => acknowledged.add(key))
    await once(child, 'message')
    await sleep(50 + 60 * round)
    child.kill('SIGKILL')
    await once(child, 'close')
    await using store = await openStore(dir.path, { create: false, onFailure })
    const found = new Set((await store.list('k/')).map(([key]) => key))
    const lost = [...acknowledged].filter(key => !found.has(key))
    assert.equal(lost, [], `round ${round}, ${acknowledged.size} acknowledged`)
  }
  assert.ok(acknowledged.size > 3)
})

test('a full disk: the writer is told, and nothing unwritten is acknowledged', async () => {
  using dir = temporary()
  await filled(dir.path)
  const script = `ulimit -f 256; exec "${process.execPath}" "${WRITER}" "${dir.path}" full`
  const text = execFileSync('sh', ['-c', script], { encoding: 'utf8' })
  const result = JSON.parse(text) as { failures: string[]; acknowledged: string[]; later: string }
  assert.equal(result.failures, ['STORE_FAILED'])
  assert.is(result.later, 'STORE_FAILED')
  await using store = await openStore(dir.path, { create: false, onFailure })
  const found = new Set((await store.list('k/')).map(([key]) => key))
  assert.ok(result.acknowledged.length > 10)
  for (const key of result.acknowledged) assert.ok(found.has(key), `${key} was acknowledged and is lost`)
})

test('the end of a prefix is the next code point, and the last one has none', () => {
  assert.is(following('a/'), 'a0')
  assert.is(following('a\u{10ffff}'), 'b')
  assert.is(following('\ud7ff'), '\ue000')
  assert.is(following('\u{10ffff}'), undefined)
  assert.is(following(''), undefined)
})

test.run()

async function filled(dir: string): Promise<void> {
  await using store = await openStore(dir, { create: true, onFailure })
  store.commit([{ key: 'a', value: Uint8Array.of(1) }], () => {})
}
