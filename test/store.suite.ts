/** The contract of a store (RULES A1, A2), run over every implementation. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import type { Store } from '../node/store.ts'
import { rejectsCode, type Suite, sameBytes, suite, throwsCode } from './harness.ts'

/** A store under test with the accidents that can befall it. A simulated one is never closed, it crashes. */
export interface Rig extends AsyncDisposable {
  store: Pick<Store, 'get' | 'commit' | 'list' | 'idle'> & Partial<Pick<Store, 'close'>>
  failures: Error[]
  /** Lets one waiting group, or all there are, become durable. */
  flush(): Promise<void>
  /** The next group cannot be written. Absent where a test cannot make the medium fail. */
  fail?(): Promise<void>
  /** Cuts the power and opens the store again. Absent where a test cannot cut it. */
  cut?(): Promise<void>
}

/** Registers and runs the contract. */
export function storeSuite(name: string, open: () => Promise<Rig>): void {
  const test = suite(`store: ${name}`)
  reads(test, open)
  conditions(test, open)
  order(test, open)
  accidents(test, open)
  test.run()
}

const bytes = (text: string) => new TextEncoder().encode(text)
const nothing = () => {}

function reads(test: Suite, open: () => Promise<Rig>): void {
  test('a read sees queued writes and deletions before and after they are durable', async () => {
    await using rig = await open()
    const { store } = rig
    assert.is(store.get('a'), undefined)
    store.commit([{ key: 'a', value: bytes('1') }], nothing)
    sameBytes(store.get('a')!, bytes('1'))
    assert.equal(await store.list(''), [], 'the list shows durable content only')
    await settled(rig)
    sameBytes(store.get('a')!, bytes('1'))
    store.commit([{ key: 'a' }], nothing)
    assert.is(store.get('a'), undefined)
    await settled(rig)
    assert.is(store.get('a'), undefined)
  })

  test('a key written again while its first write is in flight keeps the newer value', async () => {
    await using rig = await open()
    rig.store.commit([{ key: 'a', value: bytes('1') }], nothing)
    await nextTurn()
    rig.store.commit([{ key: 'a', value: bytes('2') }], nothing)
    rig.store.commit([{ key: 'b', value: bytes('x') }, { key: 'b' }], nothing)
    await rig.flush()
    sameBytes(rig.store.get('a')!, bytes('2'))
    await settled(rig)
    sameBytes(rig.store.get('a')!, bytes('2'))
    assert.is(rig.store.get('b'), undefined, 'within one commit the last write of a key holds')
  })

  test('an empty value is a value', async () => {
    await using rig = await open()
    rig.store.commit([{ key: 'a', value: new Uint8Array(0) }], nothing)
    await settled(rig)
    assert.is(rig.store.get('a')?.length, 0)
  })

  test('lists are in key order, bounded by prefix, start and limit, in both directions', async () => {
    await using rig = await open()
    const { store } = rig
    for (const key of ['b/2', 'a', 'b/10', 'b0', 'b/\u{1f600}', 'b/\uffee', 'b/'])
      store.commit([{ key, value: bytes(key) }], nothing)
    await settled(rig)
    const keys = async (...args: Parameters<Store['list']>) => (await store.list(...args)).map(([key]) => key)
    assert.equal(await keys('b/'), ['b/', 'b/10', 'b/2', 'b/\uffee', 'b/\u{1f600}'])
    assert.equal(await keys('b/', { after: 'b/10', limit: 2 }), ['b/2', 'b/\uffee'])
    assert.equal(await keys('b/', { reverse: true, limit: 2 }), ['b/\u{1f600}', 'b/\uffee'])
    assert.equal(await keys('b/', { reverse: true, after: 'b/2' }), ['b/10', 'b/'])
    assert.equal(await keys('', { limit: 1 }), ['a'])
    assert.equal(await keys('c'), [])
  })
}

function conditions(test: Suite, open: () => Promise<Rig>): void {
  test('of two interleaved orders for one absent key the second conflicts', async () => {
    await using rig = await open()
    const { store } = rig
    const vote = (value: string) =>
      store.commit([{ key: 'vote', value: bytes(value), if: 'absent' }], nothing)
    assert.ok(store.get('vote') === undefined && store.get('vote') === undefined, 'both read "no vote"')
    assert.is(vote('Acme'), true)
    assert.is(vote('Bolt'), false)
    await settled(rig)
    assert.is(vote('Bolt'), false)
    sameBytes(store.get('vote')!, bytes('Acme'))
  })

  test('a conflict refuses the whole output and is never released', async () => {
    await using rig = await open()
    rig.store.commit([{ key: 'a', value: bytes('1') }], nothing)
    let released = false
    const writes = [
      { key: 'b', value: bytes('2') },
      { key: 'a', value: bytes('2'), if: 'absent' as const },
    ]
    assert.is(
      rig.store.commit(writes, () => (released = true)),
      false,
    )
    await settled(rig)
    assert.is(rig.store.get('b'), undefined)
    assert.is(released, false)
  })

  test('a value is replaced only if it equals what was read', async () => {
    await using rig = await open()
    const replace = (old: string, value: string) =>
      rig.store.commit([{ key: 'a', value: bytes(value), if: { equals: bytes(old) } }], nothing)
    assert.is(replace('1', '2'), false, 'an absent key equals nothing')
    rig.store.commit([{ key: 'a', value: bytes('1') }], nothing)
    assert.is(replace('1', '2'), true)
    assert.is(replace('1', '3'), false)
    await settled(rig)
    assert.is(replace('2', '3'), true)
    assert.is(rig.store.commit([{ key: 'a', if: { equals: bytes('3') } }], nothing), true)
    assert.is(rig.store.get('a'), undefined)
  })
}

function order(test: Suite, open: () => Promise<Rig>): void {
  test('outputs are released in order of commits, each after its writes are durable', async () => {
    await using rig = await open()
    const seen: number[] = []
    const durable: Promise<[string, Uint8Array][]>[] = []
    for (let i = 0; i < 100; i += 1) {
      const writes = i % 3 === 2 ? [] : [{ key: `k${String(i).padStart(2, '0')}`, value: bytes(`${i}`) }]
      rig.store.commit(writes, () => {
        seen.push(i)
        durable.push(rig.store.list('k'))
      })
      if (i % 10 === 9) await nextTurn()
    }
    await settled(rig)
    assert.equal(
      seen,
      Array.from({ length: 100 }, (_, i) => i),
    )
    for (const [i, entries] of (await Promise.all(durable)).entries())
      assert.ok(entries.length >= Math.ceil(((i + 1) * 2) / 3), `${entries.length} entries at release ${i}`)
  })

  test('an output without writes waits for nothing when nothing is queued', async () => {
    await using rig = await open()
    const released = Promise.withResolvers<void>()
    let turn = 'commit'
    rig.store.commit([], () => released.resolve(assert.is(turn, 'later')))
    turn = 'later'
    await released.promise
  })

  test('a release may commit: its output comes after those already queued', async () => {
    await using rig = await open()
    const seen: string[] = []
    rig.store.commit([{ key: 'a', value: bytes('1') }], () => {
      seen.push('first')
      rig.store.commit([], () => seen.push('third'))
    })
    rig.store.commit([], () => seen.push('second'))
    await settled(rig)
    await settled(rig)
    assert.equal(seen, ['first', 'second', 'third'])
  })

  test('a retransmission inside an open group leaves no earlier than the group', async () => {
    await using rig = await open()
    const sent: string[] = []
    rig.store.commit([{ key: 'vote', value: bytes('Acme') }], () => sent.push('vote'))
    rig.store.commit([], () => sent.push('vote again'))
    await Promise.resolve()
    assert.equal(sent, [])
    assert.is((await rig.store.list('vote')).length, 0)
    await settled(rig)
    assert.equal(sent, ['vote', 'vote again'])
    assert.is((await rig.store.list('vote')).length, 1)
  })

  test('close waits for what is queued, and then nothing is taken', async () => {
    await using rig = await open()
    if (!rig.store.close) return
    let released = false
    rig.store.commit([{ key: 'a', value: bytes('1') }], () => (released = true))
    const closed = rig.store.close()
    await nextTurn()
    await rig.flush()
    await closed
    assert.is(released, true)
    throwsCode(() => rig.store.commit([], nothing), 'STORE_CLOSED')
    throwsCode(() => rig.store.get('a'), 'STORE_CLOSED')
    await rejectsCode(rig.store.list(''), 'STORE_CLOSED')
  })
}

function accidents(test: Suite, open: () => Promise<Rig>): void {
  test('a power cut inside an open group: neither the vote nor its retransmission left', async () => {
    await using rig = await open()
    if (!rig.cut) return
    const sent: string[] = []
    rig.store.commit([{ key: 'before', value: bytes('1') }], () => sent.push('before'))
    await settled(rig)
    rig.store.commit([{ key: 'vote', value: bytes('Acme'), if: 'absent' }], () => sent.push('vote'))
    await nextTurn()
    rig.store.commit([], () => sent.push('vote again'))
    await nextTurn()
    await rig.cut()
    await nextTurn()
    assert.equal(sent, ['before'])
    assert.is(rig.store.get('vote'), undefined, 'so voting otherwise contradicts nothing that left')
    sameBytes(rig.store.get('before')!, bytes('1'))
  })

  test('a failed group: nothing of it or of any later output leaves, and the failure is told once', async () => {
    await using rig = await open()
    if (!rig.fail) return
    const sent: string[] = []
    rig.store.commit([{ key: 'a', value: bytes('1') }], () => sent.push('a'))
    await settled(rig)
    rig.store.commit([{ key: 'b', value: bytes('1') }], () => sent.push('b'))
    rig.store.commit([], () => sent.push('b again'))
    await nextTurn()
    rig.store.commit([{ key: 'c', value: bytes('1') }], () => sent.push('c'))
    const idle = rejectsCode(rig.store.idle(), 'STORE_FAILED')
    await rig.fail()
    await idle
    assert.equal(sent, ['a'])
    assert.is(rig.failures.length, 1)
    throwsCode(() => rig.store.commit([], nothing), 'STORE_FAILED')
    await rejectsCode(rig.store.idle(), 'STORE_FAILED')
  })

  test('an error in a release stops everything behind it', async () => {
    await using rig = await open()
    const sent: string[] = []
    rig.store.commit([{ key: 'a', value: bytes('1') }], () => {
      throw new Error('a mistake in the driver')
    })
    rig.store.commit([], () => sent.push('later'))
    await rejectsCode(settled(rig), 'STORE_FAILED')
    assert.equal(sent, [])
    assert.is(rig.failures.length, 1)
  })
}

/** Waits until everything queued is released, letting group after group become durable. */
async function settled(rig: Rig): Promise<void> {
  let done = false
  const idle = rig.store.idle().finally(() => (done = true))
  idle.catch(nothing)
  while (!done) {
    await nextTurn()
    await rig.flush()
  }
  await idle
}
