/**
 * A log as it grows: what appending, opening, proving and re-checking cost at each size, and what an entry takes of the
 * disk besides the record that it commits to.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { cidOf } from '../crypto/cid.ts'
import { leafHash, rootOf, verifyInclusion } from '../crypto/merkle.ts'
import { openBodyKeys } from '../node/body-keys.ts'
import { openStore, type Store } from '../node/store.ts'
import { readEntryAt } from '../protocol/kept.ts'
import { emptyLedger, type Ledger, loadLedger, provePresence, record } from '../protocol/ledger.ts'
import { emptyTail, readBack } from '../protocol/log.ts'
import type { Stored } from '../protocol/record.ts'
import { slotsOver } from '../protocol/slots.ts'
import { bundles, parseBundle, readTile } from '../protocol/tiles.ts'
import { type Figure, figure, type Result } from './harness.ts'

const RECORD_BYTES = 200
const BATCH = 1_000
const PROOFS = 500
const OPENS = 7

/** Figures for each of these sizes, and the ratio of opening the largest to opening the smallest. */
export async function entries(sizes: number[]): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-bench-'))
  const dir = join(folder, 'store')
  const figures: Record<string, Figure> = {}
  const opens: number[] = []
  let ledger = emptyLedger()
  try {
    for (const size of sizes) {
      const name = `${size / 1_000}k`
      const appended = await grow(dir, ledger, size)
      ledger = appended.ledger
      figures[`append to ${name}`] = figure([appended.perSecond], 'entries/s')
      const open = await reopened(dir, size)
      opens.push(figure(open, 'ms').median)
      figures[`open at ${name}`] = figure(open, 'ms')
      await using store = await openStore(dir, { create: false, onFailure: fail })
      figures[`prove and check at ${name}`] = figure(proofs(store, ledger, size), 'us')
      figures[`audit of ${name}`] = figure([audit(store, ledger, size)], 'entries/s')
      figures[`disk at ${name}`] = figure([(await bytesOf(dir)) / size - RECORD_BYTES], 'B/entry')
      const { held, resident } = memoryMiB()
      figures[`memory held at ${name}`] = figure([held], 'MiB')
      figures[`memory resident at ${name}`] = figure([resident], 'MiB')
    }
    return { figures, ratios: { [`open ${sizes.at(-1)! / sizes[0]!}x`]: opens.at(-1)! / opens[0]! } }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function grow(dir: string, from: Ledger, size: number): Promise<{ ledger: Ledger; perSecond: number }> {
  await using store = await openStore(dir, { create: from.tail.range.size === 0, onFailure: fail })
  await using keys = await openBodyKeys(`${dir}.keys`)
  const slots = slotsOver(keys)
  let ledger = from
  let ms = 0
  while (ledger.tail.range.size < size) {
    const batch = records(BATCH)
    const start = performance.now()
    const next = record(ledger, batch, Date.now(), slots)
    await new Promise<void>(resolve => store.commit(next.writes, resolve))
    ms += performance.now() - start
    ledger = next.ledger
  }
  return { ledger, perSecond: ((size - from.tail.range.size) / ms) * 1_000 }
}

/** Opening as a daemon does: the database, and what is needed to append and to prove. */
async function reopened(dir: string, size: number): Promise<number[]> {
  const samples: number[] = []
  for (let i = 0; i < OPENS; i++) {
    const start = performance.now()
    await using store = await openStore(dir, { create: false, onFailure: fail })
    const { tail } = loadLedger(key => store.get(key))
    samples.push(performance.now() - start)
    if (tail.range.size !== size) throw new Error(`opened at ${tail.range.size} of ${size}`)
  }
  return samples
}

/** Entry and path read from the store, and checked against the root as whoever asked would. */
function proofs(store: Store, ledger: Ledger, size: number): number[] {
  const get = (key: string) => store.get(key)
  const root = rootOf(ledger.tail.range)
  return Array.from({ length: PROOFS }, () => {
    const index = Math.floor(Math.random() * size)
    const start = performance.now()
    const leaf = leafHash(readEntryAt(get, index)!.entry)
    const path = provePresence(ledger, get, index, size)
    if (!verifyInclusion({ leaf, index, size, path, root })) throw new Error(`no proof of ${index}`)
    return (performance.now() - start) * 1_000
  })
}

/** What `waybill audit` does with the bundles that it gets: every entry read, chained and hashed, and the root what it was. */
function audit(store: Store, ledger: Ledger, size: number): number {
  const start = performance.now()
  let tail: ReturnType<typeof readBack> = emptyTail()
  for (const name of bundles(0, size)) {
    const bundle = readTile(ledger, key => store.get(key), name, size)!
    if ('reason' in tail) throw new Error(tail.reason)
    tail = readBack(tail, parseBundle(bundle, name.width)!)
  }
  if ('reason' in tail || !Buffer.from(rootOf(tail.range)).equals(rootOf(ledger.tail.range)))
    throw new Error('the log does not read back')
  return (size / (performance.now() - start)) * 1_000
}

/**
 * After a collection: what the program holds, and what the process has of the system without the table files that level
 * maps, which the system takes back when it needs them.
 */
function memoryMiB(): { held: number; resident: number } {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  const line = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return { held: (heapUsed + external) / 2 ** 20, resident: line ? Number(line[1]) / 1024 : Number.NaN }
}

async function bytesOf(dir: string): Promise<number> {
  const names = await readdir(dir)
  const sizes = await Promise.all(names.map(async name => (await stat(join(dir, name))).size))
  return sizes.reduce((sum, bytes) => sum + bytes, 0)
}

function collect(): void {
  setFlagsFromString('--expose_gc')
  runInNewContext('gc')()
}

function records(count: number): Stored[] {
  const all = randomBytes(count * RECORD_BYTES)
  return Array.from({ length: count }, (_, i) => {
    const bytes = new Uint8Array(all.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES))
    return { id: cidOf(bytes, 'dag-cbor'), payload: { t: 'bench/1' }, signatures: [], bytes }
  })
}

function fail(error: Error): never {
  throw error
}
