/**
 * Appending to the own log: entries with their salted commitments, chain, tree and stored records, durable, against bare
 * synced batches of level that hold the same records under the same keys and nothing else.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { Level } from 'level'
import { cidOf } from '../crypto/cid.ts'
import { openBodyKeys } from '../node/body-keys.ts'
import { openStore, type Store } from '../node/store.ts'
import { KEY } from '../protocol/layout.ts'
import { emptyLedger, type Ledger, record } from '../protocol/ledger.ts'
import type { Stored } from '../protocol/record.ts'
import { type Slots, slotsOver } from '../protocol/slots.ts'
import { interleaved, join, type Result } from './harness.ts'

const RECORD_BYTES = 200
const BATCH = 1_000
const CALLERS = 256

/** Entries per second, in batches of 1,000 and from 256 callers with one entry each. */
export async function log(rounds: number, entries: number): Promise<Result> {
  const batch = await interleaved(
    rounds,
    'entries/s',
    {
      batch1000: () => appendBatches(entries),
      level1000: () => putBatches(entries, byId),
      'level1000 in key order': () => putBatches(entries, inOrder),
    },
    {
      'batch1000/level': ['batch1000', 'level1000'],
      'batch1000/level in key order': ['batch1000', 'level1000 in key order'],
    },
  )
  const concurrent = await interleaved(
    rounds,
    'entries/s',
    { concurrent256: () => appendConcurrently(entries), level256: () => putConcurrently(entries) },
    { 'concurrent256/level': ['concurrent256', 'level256'] },
  )
  return join(batch, concurrent)
}

/** Records whose signatures were made before: an entry commits to bytes that are there. */
function records(count: number): Stored[] {
  const all = randomBytes(count * RECORD_BYTES)
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(all.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES))
    return { id: cidOf(bytes, 'dag-cbor'), payload: { t: 'bench/1' }, signatures: [], bytes }
  })
}

/** Appends in one turn and resolves when it is durable, as the driver does. */
function appender(store: Store, slots: Slots): (batch: Stored[]) => Promise<void> {
  let ledger: Ledger = emptyLedger()
  return batch => {
    const next = record(ledger, batch, Date.now(), slots)
    ledger = next.ledger
    return new Promise(resolve => {
      if (!store.commit(next.writes, resolve)) throw new Error('the log moved under its only writer')
    })
  }
}

const appendBatches = (entries: number): Promise<number> =>
  inFolder(async folder => {
    const all = records(entries)
    await using store = await openStore(folder, { create: true, onFailure: fail })
    await using keys = await openBodyKeys(`${folder}.keys`)
    const append = appender(store, slotsOver(keys))
    return await timed(entries, async () => {
      for (let i = 0; i < entries; i += BATCH) await append(all.slice(i, i + BATCH))
    })
  })

const appendConcurrently = (entries: number): Promise<number> =>
  inFolder(async folder => {
    const all = records(entries)
    await using store = await openStore(folder, { create: true, onFailure: fail })
    await using keys = await openBodyKeys(`${folder}.keys`)
    const append = appender(store, slotsOver(keys))
    return await timed(entries, () => byCallers(all, each => append([each])))
  })

type KeyOf = (record: Stored, index: number) => string

/** As the node finds a record: under its id, so in no order. */
const byId: KeyOf = ({ id }) => KEY.kept(id)
/** What costs a sorted store least, and finds nothing by its id. */
const inOrder: KeyOf = (_record, index) => `entry/${String(index).padStart(16, '0')}`

const putBatches = (entries: number, keyOf: KeyOf): Promise<number> =>
  withLevel(async level => {
    const all = records(entries)
    return timed(entries, async () => {
      for (let i = 0; i < entries; i += BATCH)
        await level.batch(puts(all.slice(i, i + BATCH), i, keyOf), { sync: true })
    })
  })

/** The same callers over bare level: whatever is waiting becomes one synced batch. */
const putConcurrently = (entries: number): Promise<number> =>
  withLevel(async level => {
    const all = records(entries)
    let waiting: { record: Stored; resolve: () => void }[] = []
    let [running, index] = [false, 0]
    const flush = async () => {
      running = true
      while (waiting.length > 0) {
        const group = waiting
        waiting = []
        await level.batch(
          puts(
            group.map(each => each.record),
            index,
            byId,
          ),
          { sync: true },
        )
        index += group.length
        for (const { resolve } of group) resolve()
      }
      running = false
    }
    const put = (each: Stored) =>
      new Promise<void>(resolve => {
        waiting.push({ record: each, resolve })
        if (!running) queueMicrotask(() => running || flush())
      })
    return timed(entries, () => byCallers(all, put))
  })

const puts = (batch: Stored[], from: number, keyOf: KeyOf) =>
  batch.map((record, i) => ({ type: 'put' as const, key: keyOf(record, from + i), value: record.bytes }))

async function byCallers(all: Stored[], one: (each: Stored) => Promise<void>): Promise<void> {
  let next = 0
  const caller = async () => {
    for (let i = next++; i < all.length; i = next++) await one(all[i]!)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}

async function timed(entries: number, body: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await body()
  return (entries / (performance.now() - start)) * 1_000
}

async function withLevel(body: (level: Level<string, Uint8Array>) => Promise<number>): Promise<number> {
  return inFolder(async folder => {
    const level = new Level<string, Uint8Array>(folder, { valueEncoding: 'view' })
    await level.open()
    try {
      return await body(level)
    } finally {
      await level.close()
    }
  })
}

async function inFolder(body: (folder: string) => Promise<number>): Promise<number> {
  const folder = await mkdtemp(path(tmpdir(), 'waybill-bench-'))
  try {
    return await body(path(folder, 'store'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function fail(error: Error): never {
  throw error
}
