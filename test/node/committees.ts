/** A log with members, over real daemons: what tests of promises, copies and old stores begin with. */
import { cpSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { text } from '../../crypto/bytes.ts'
import { type Checkpoint, parseCheckpoint } from '../../crypto/checkpoint.ts'
import { parseNote } from '../../crypto/note.ts'
import { NumberedStore } from '../../node/numbered-store.ts'
import { openStore } from '../../node/store.ts'
import { readWatch } from '../../protocol/heads.ts'
import { KEY } from '../../protocol/layout.ts'
import { type Ledger, loadLedger, rootAt } from '../../protocol/ledger.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const DAY_MS = 86_400_000
const NAMES = ['Bolt GmbH', 'Cole Logistics', 'Dora AG', 'Eve Oy']

/** An owner whose log has `n` members in force. */
export async function withMembers(
  folder: string,
  undo: AsyncDisposableStack,
  n: number,
  prepare: (daemon: TestDaemon, i: number) => void = () => {},
): Promise<{ owner: TestDaemon; members: TestDaemon[] }> {
  const owner = undo.use(await TestDaemon.start('Acme Steel', folder))
  const members: TestDaemon[] = []
  for (const [i, name] of NAMES.slice(0, n).entries()) {
    const member = undo.use(new TestDaemon(name, folder))
    prepare(member, i)
    await member.up()
    await pair(owner, member)
    members.push(member)
  }
  await owner.client.committee.create({ partners: members.map(({ ready }) => ready.id) })
  await settled(owner, n)
  return { owner, members }
}

let count = 0
/** One more entry in a log. */
export async function publish(daemon: TestDaemon, folder: string): Promise<void> {
  const path = join(folder, `file-${++count}`)
  writeFileSync(path, `content ${count}`)
  await daemon.client.packets.publish({ title: `file ${count}`, files: [{ path, name: 'a.txt' }] })
}

export const logOf = async (daemon: TestDaemon) => (await daemon.client.status()).log
const seats = async (daemon: TestDaemon) => (await daemon.client.committee.get()).inForce?.n ?? 0

/**
 * The log's newest head is final and covers everything; what it is worth, in words. The seats are asked for first: a head
 * read before them may be one of the committee before.
 */
export const settled = (daemon: TestDaemon, n: number): Promise<string> =>
  eventually(`a final head under a committee of ${n}`, async () => {
    if ((await seats(daemon)) !== n) return undefined
    const { final, headSize, size, position } = await logOf(daemon)
    return (final && headSize === size && position) || undefined
  })

export const problems = async ({ client }: TestDaemon): Promise<string[]> =>
  (await client.status()).problems.map(({ code }) => code)

export const eventuallyProblem = (daemon: TestDaemon, code: string): Promise<true> =>
  eventually(`${daemon.name} says ${code}`, async () => (await problems(daemon)).includes(code) || undefined)

/** The newest head that a daemon holds of its own log. */
export async function headOf(daemon: TestDaemon): Promise<{ size: number; root: string } | undefined> {
  const { head } = await daemon.client.log({})
  if (!head) return undefined
  const { size, root } = parseCheckpoint(parseNote(head).body)
  return { size, root: hex(root) }
}

/** Puts a copy in the place of a home whose daemon has ended. */
export function putBack(daemon: TestDaemon, copy: string): void {
  rmSync(daemon.home, { recursive: true })
  cpSync(copy, daemon.home, { recursive: true })
  rmSync(join(daemon.home, 'lock'), { force: true })
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export interface SignedHead extends Pick<Checkpoint, 'origin' | 'size'> {
  root: string
  /** In which home it lies. */
  home: string
}

/** A home at rest: every head of the active log of `org` that lies in it, as its owner or as a partner; and its own tree. */
export async function headsIn(
  daemon: TestDaemon,
  org: string,
): Promise<{ heads: SignedHead[]; rootAt(size: number): string | undefined }> {
  const options = { create: false, onFailure: (error: Error) => assert.unreachable(error.message) }
  await using database = await openStore(join(daemon.home, 'store'), options)
  const store = new NumberedStore(database)
  const get = (key: string) => store.get(key)
  const notes: Uint8Array[] = []
  if (daemon.ready.id === org) notes.push(...(await store.list(KEY.heads)).map(([, note]) => note))
  const watch = readWatch(get(KEY.watch(org)))
  for (const seen of [watch, watch?.rumour]) if (seen) notes.push(seen.note)
  const heads = notes.map(note => {
    const { origin, size, root } = parseCheckpoint(parseNote(text(note)).body)
    return { origin, size, root: hex(root), home: daemon.name }
  })
  const ledger: Ledger = loadLedger(get)
  const roots = new Map(heads.map(({ size }) => [size, undefined as string | undefined]))
  for (let size = 1; size <= ledger.tail.range.size; size++) roots.set(size, hex(rootAt(ledger, get, size)))
  return { heads, rootAt: size => roots.get(size) }
}

/** A new file of `provider` that `consumer` asks for and gets. */
export async function exchange(
  provider: TestDaemon,
  consumer: TestDaemon,
  folder: string,
): Promise<{ agreement: string; packet: string }> {
  const path = join(folder, `file-${++count}`)
  writeFileSync(path, `content ${count}`)
  const title = `file ${count}`
  const { asset, packets } = await provider.client.packets.publish({
    title,
    files: [{ path, name: 'a.txt' }],
  })
  const untilMs = Date.now() + DAY_MS
  const { id } = await provider.client.offers.create({ asset, untilMs, approval: 'policy' })
  await consumer.client.offers.list({ refresh: true })
  const { agreement } = await consumer.client.get(id)
  return { agreement, packet: packets[0]!.id }
}
