import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { openBodyKeys } from '../../node/body-keys.ts'
import { SealedStore } from '../../node/sealed-store.ts'
import { openStore } from '../../node/store.ts'
import type { Write } from '../../protocol/output.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { sameBytes, suite, temporary } from '../harness.ts'
import { type Rig, storeSuite } from '../store.suite.ts'

const test = suite('node/sealed-store')
const PREFIX = 'negotiation/'
const utf8 = (text: string) => new TextEncoder().encode(text)

async function open(folder: string, failures: Error[] = []) {
  const keys = await openBodyKeys(join(folder, 'bodies.keys'))
  const inner = await openStore(join(folder, 'db'), { create: true, onFailure: e => failures.push(e) })
  const store = await SealedStore.open(inner, slotsOver(keys), keys)
  const close = async () => {
    await store.close()
    await keys[Symbol.asyncDispose]()
  }
  return { store, inner, keys, [Symbol.asyncDispose]: close }
}

/** The contract of a store, under a prefix whose values are sealed. */
storeSuite('sealed, on level', async () => {
  const dir = temporary()
  const failures: Error[] = []
  const sealed = await open(dir.path, failures)
  const { store } = sealed
  const rig: Rig = {
    store: {
      get: key => store.get(PREFIX + key),
      commit: (writes, release) =>
        store.commit(
          writes.map(write => ({ ...write, key: PREFIX + write.key })),
          release,
        ),
      list: async (prefix, { after, ...options } = {}) => {
        const from = after === undefined ? {} : { after: PREFIX + after }
        const rows = await store.list(PREFIX + prefix, { ...options, ...from })
        return rows.map(([key, value]) => [key.slice(PREFIX.length), value])
      },
      idle: () => store.idle(),
      close: () => store.close(),
    },
    failures,
    flush: async () => {},
    [Symbol.asyncDispose]: async () => {
      await sealed[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    },
  }
  return rig
})

/** Whether any file under the folder holds these bytes. */
function holds(folder: string, wanted: Uint8Array): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name))
    .filter(path => readFileSync(path).includes(Buffer.from(wanted)))
}

const committed = (store: SealedStore, writes: Write[]) =>
  new Promise<void>(resolve => assert.ok(store.commit(writes, resolve)))

test('what is sealed is in no file in the clear, what is not is', async () => {
  using dir = temporary()
  const [secret, open_] = [utf8('the purpose of this agreement'), utf8('how many there are')]
  await using sealed = await open(dir.path)
  await committed(sealed.store, [
    { key: `${PREFIX}x`, value: secret },
    { key: 'partner/x', value: open_ },
  ])
  assert.equal(holds(dir.path, secret), [])
  assert.is(holds(dir.path, open_).length, 1)
  sameBytes(sealed.store.get(`${PREFIX}x`)!, secret)
})

test('a value that was overwritten or deleted takes its key along, after a crash too', async () => {
  using dir = temporary()
  const key = `${PREFIX}x`
  const seen: { slot: number; key: Buffer }[] = []
  const look = (sealed: {
    inner: { get(key: string): Uint8Array | undefined }
    keys: { key(n: number): Uint8Array | undefined }
  }) => {
    const slot = Number(Buffer.from(sealed.inner.get(key)!).readBigUInt64BE())
    seen.push({ slot, key: Buffer.from(sealed.keys.key(slot)!) })
  }
  {
    const sealed = await open(dir.path)
    for (const text of ['one', 'two', 'three']) {
      await committed(sealed.store, [{ key, value: utf8(text) }])
      look(sealed)
    }
    assert.equal(
      seen.map(each => holds(dir.path, each.key).length),
      [1, 1, 1],
      'until they are destroyed',
    )
    await sealed.store.destroyNow()
    assert.equal(
      seen.map(each => holds(dir.path, each.key).length),
      [0, 0, 1],
    )
    await committed(sealed.store, [{ key }])
    // As kill -9 leaves it: what is asked for is destroyed by the next start.
    await sealed.keys[Symbol.asyncDispose]()
    await sealed.inner.close()
    assert.equal(
      seen.map(each => holds(dir.path, each.key).length),
      [0, 0, 1],
    )
  }
  {
    await using sealed = await open(dir.path)
    assert.equal(
      seen.map(each => holds(dir.path, each.key).length),
      [0, 0, 0],
    )
    assert.equal(await sealed.inner.list('forget/'), [])
    assert.is(sealed.store.get(key), undefined)
  }
})

test('reading a list while values change gives no value whose key is gone', async () => {
  using dir = temporary()
  await using sealed = await open(dir.path)
  const { store } = sealed
  let running = true
  const writer = (async () => {
    for (let i = 0; running; i++) {
      await committed(store, [{ key: `${PREFIX}${i % 3}`, value: utf8(`value ${i}`) }])
      await store.destroyNow()
    }
  })()
  for (let i = 0; i < 60; i++)
    for (const [, value] of await store.list(PREFIX))
      assert.match(Buffer.from(value).toString(), /^value \d+$/)
  running = false
  await writer
  await sleep(0)
})

test.run()
