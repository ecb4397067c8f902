/**
 * A log as it grows: what appending, opening, proving and re-checking cost at each size, and what an entry takes of the
 * disk besides the record that it commits to.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { text, toBase64, u64, utf8 } from '../crypto/bytes.ts'
import { cosign } from '../crypto/checkpoint.ts'
import { cidOf, digestOf } from '../crypto/cid.ts'
import { sha256 } from '../crypto/hash.ts'
import { keyFromSeed } from '../crypto/key.ts'
import { leafHash, rootOf, verifyInclusion } from '../crypto/merkle.ts'
import { formatNote, signNote } from '../crypto/note.ts'
import { openBodyKeys } from '../node/body-keys.ts'
import { openStore, type Store } from '../node/store.ts'
import { type IdentitySeeds, makeIdentity } from '../protocol/identity.ts'
import { beginChain, type Chain, cosignerOf } from '../protocol/identity-chain.ts'
import { readEntryAt } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { close, emptyLedger, type Ledger, loadLedger, provePresence, record } from '../protocol/ledger.ts'
import { DELEGATION_MS } from '../protocol/limits.ts'
import { checkpointOf, KIND, logDigest, originOf, ZERO_HASH } from '../protocol/log.ts'
import { join, nothing } from '../protocol/output.ts'
import type { Stored } from '../protocol/record.ts'
import { type Slots, slotsOver } from '../protocol/slots.ts'
import { parseTilePath, readTile } from '../protocol/tiles.ts'
import { audit } from '../sdk/audit.ts'
import { type Figure, figure, interleaved, type Result } from './harness.ts'

const RECORD_BYTES = 200
const BATCH = 1_000
const PROOFS = 500

/** Figures for each of these sizes, and the ratio of opening the largest to opening the smallest. */
export async function entries(sizes: number[], rounds: number): Promise<Result> {
  const folder = await mkdtemp(path(tmpdir(), 'waybill-bench-'))
  const dir = path(folder, 'store')
  const figures: Record<string, Figure> = {}
  const bench = new Bench(dir)
  try {
    for (const size of sizes) {
      const name = nameOf(size)
      figures[`append to ${name}`] = figure([await bench.grow(size)], 'entries/s')
      await using store = await openStore(dir, { create: false, onFailure: fail })
      figures[`prove and check at ${name}`] = figure(proofs(store, bench.ledger, size), 'us')
      figures[`audit of ${name}`] = figure([await audited(bench, store, size)], 'entries/s')
      const bytes = (await bytesOf(dir)) + (await stat(`${dir}.keys`)).size
      figures[`disk at ${name}`] = figure([bytes / size - RECORD_BYTES], 'B/entry')
      const { held, resident } = memoryMiB()
      figures[`memory held at ${name}`] = figure([held], 'MiB')
      figures[`memory resident at ${name}`] = figure([resident], 'MiB')
      await store.close()
      if (size !== sizes.at(-1)) await cp(dir, `${dir}-${name}`, { recursive: true })
      if (size === sizes[0]) await cp(dir, `${dir}-${TWIN}`, { recursive: true })
    }
    const opens = await opened(dir, sizes, rounds)
    return { figures: { ...figures, ...opens.figures }, ratios: opens.ratios }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Opened beside the smallest, which it equals: how far two of one size differ is the noise. */
const TWIN = 'twin'
const nameOf = (size: number): string => `${size / 1_000}k`

/** A log of an identity of its own, with a signed and cosigned head after each batch. */
class Bench {
  readonly dir: string
  readonly owner: Chain = identityOf('bench')
  readonly witness: Chain = identityOf('witness')
  ledger: Ledger = emptyLedger()

  constructor(dir: string) {
    this.dir = dir
  }

  /** Entries a second, each record with its place in the store, and heads signed. */
  async grow(size: number): Promise<number> {
    const from = this.ledger.tail.range.size
    await using store = await openStore(this.dir, { create: from === 0, onFailure: fail })
    await using keys = await openBodyKeys(`${this.dir}.keys`)
    const slots = slotsOver(keys)
    let ms = 0
    while (this.ledger.tail.range.size < size) {
      const batch = records(BATCH - 1 - (this.ledger.tail.range.size % BATCH))
      const start = performance.now()
      await this.#append(batch, slots, store)
      ms += performance.now() - start
    }
    return ((size - from) / ms) * 1_000
  }

  async #append(batch: Stored[], slots: Slots, store: Store): Promise<void> {
    const output = nothing()
    const timeMs = Date.now()
    if (this.ledger.tail.range.size === 0) {
      const kinds = { kind: KIND.genesis, control: [logDigest(this.owner)] }
      const begun = record(this.ledger, [batch.pop()!], timeMs, slots, kinds)
      this.ledger = begun.ledger
      output.writes.push(...begun.writes)
    }
    const next = record(this.ledger, batch, timeMs, slots)
    const state = { identity: digestOf(this.owner.last), committee: ZERO_HASH }
    const closed = close(next.ledger, state, timeMs, randomBytes(32), BATCH)
    this.ledger = closed.ledger
    const { size } = this.ledger.tail.range
    const head = [
      { key: KEY.head(size), value: this.#head() },
      { key: KEY.newestHead, value: u64(size) },
      { key: KEY.logNumber, value: u64(this.ledger.number) },
    ]
    const all = [output.writes, next.writes, closed.writes, head].map(writes => ({ ...nothing(), writes }))
    await new Promise<void>(resolve => store.commit(join(...all).writes, resolve))
  }

  #head(): Uint8Array {
    const origin = originOf(this.owner)
    const body = checkpointOf(origin, this.ledger.tail)
    const own = signNote(body, origin, KEYS.log)
    const line = cosign(body, Math.floor(Date.now() / 1_000), cosignerOf(this.witness)!.name, KEYS.witness)
    return utf8(formatNote({ body, lines: [own, line] }))
  }
}

const seedOf = (role: string): Uint8Array => sha256(utf8(role))
const KEYS = { log: keyFromSeed(seedOf('benchlog')), witness: keyFromSeed(seedOf('witnesswitness')) }

function identityOf(name: string): Chain {
  const roles = ['root', 'rootNext', 'admin', 'adminNext', 'log', 'operation', 'witness', 'node'] as const
  const seeds = Object.fromEntries(roles.map(role => [role, seedOf(name + role)])) as unknown as IdentitySeeds
  const madeMs = Date.now()
  const about = { nonce: randomBytes(16), madeMs, untilMs: madeMs + DELEGATION_MS, retentionDays: 10 }
  return beginChain(makeIdentity(seeds, { name, ...about }))
}

/**
 * Opening as a daemon does, smallest and largest in turn: the database, which is level's matter, and what the log reads of it
 * to append and to prove.
 */
async function opened(dir: string, sizes: number[], rounds: number): Promise<Result> {
  const [least, most] = [sizes[0]!, sizes.at(-1)!]
  const log: Record<string, number> = {}
  const open = async (path: string, size: number) => {
    const start = performance.now()
    await using store = await openStore(path, { create: false, onFailure: fail })
    const begun = performance.now()
    const { tail } = loadLedger(key => store.get(key))
    log[path] = performance.now() - begun
    if (tail.range.size !== size) throw new Error(`opened at ${tail.range.size} of ${size}`)
    return performance.now() - start
  }
  const [small, large] = [nameOf(least), nameOf(most)]
  const of = (what: string): [string, string] => [`${what} at ${large}`, `${what} at ${small}`]
  return interleaved(
    rounds,
    'ms',
    {
      [`open at ${small}`]: () => open(`${dir}-${small}`, least),
      [`log at ${small}`]: async () => log[`${dir}-${small}`]!,
      [`open at ${large}`]: () => open(dir, most),
      [`log at ${large}`]: async () => log[dir]!,
      [`open of a twin at ${small}`]: () => open(`${dir}-${TWIN}`, least),
    },
    {
      [`open ${most / least}x`]: of('open'),
      [`log ${most / least}x`]: of('log'),
      'open 1x': [`open of a twin at ${small}`, `open at ${small}`],
    },
  )
}

/** Entry and path read from the store, and checked against the root as whoever asked would. */
function proofs(store: Store, ledger: Ledger, size: number): number[] {
  const get = (key: string) => store.get(key)
  const root = rootOf(ledger.tail.range)
  return Array.from({ length: PROOFS }, () => {
    const index = Math.floor(Math.random() * size)
    const start = performance.now()
    const leaf = leafHash(readEntryAt(get, index)!.entry)
    const proof = provePresence(ledger, get, index, size)
    if (!verifyInclusion({ leaf, index, size, path: proof, root })) throw new Error(`no proof of ${index}`)
    return (performance.now() - start) * 1_000
  })
}

/**
 * What `waybill audit` does: every entry read, chained and hashed, state entries that name each other, every head held
 * against the tree, and every signature and cosignature of it verified.
 */
async function audited({ ledger, owner, witness }: Bench, store: Store, size: number): Promise<number> {
  const heads = (await store.list(KEY.heads)).map(([, note]) => text(note))
  const identities = [owner, witness].map(({ genesis }) => ({
    identity: toBase64(genesis.bytes),
    events: [],
  }))
  const get = (key: string) => store.get(key)
  const tile = async (path: string) => readTile(ledger, get, parseTilePath(path)!, size)!
  const start = performance.now()
  const { report } = await audit({ identities, heads, size, tile })
  const ms = performance.now() - start
  const isSound = report.faults.length === 0 && report.size === size && report.heads.checked === size / BATCH
  if (!isSound || report.cosignatures !== size / BATCH) throw new Error(JSON.stringify(report))
  return (size / ms) * 1_000
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
  const sizes = await Promise.all(names.map(async name => (await stat(path(dir, name))).size))
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
