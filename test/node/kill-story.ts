/** One exchange between real daemons with a point after each answer, and what must outlive a kill at any of them. */
import { createHash, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { fromHex, toHex } from '../../crypto/bytes.ts'
import { parseCheckpoint } from '../../crypto/checkpoint.ts'
import { treeRoot } from '../../crypto/merkle.ts'
import { parseNote } from '../../crypto/note.ts'
import type { Waybill } from '../../sdk/connect.ts'
import { isWaybillError } from '../../sdk/error.ts'
import { verify } from '../../sdk/verify.ts'
import { calling, eventually, type Mesh, type TestDaemon } from './daemons.ts'

const MIB = 1024 * 1024
const DAY_MS = 86_400_000
/** What has come of the large file when it is cut off. */
const CUT_BYTES = 4 * MIB

/** Points of the story, in its order: behind each stands an answer of a daemon. */
export const POINTS = [
  'published',
  'offered',
  'seen',
  'asked',
  'approved',
  'agreed',
  'transfer begun',
  'while fetching',
  'first receipt',
  'complete',
] as const
export type Point = (typeof POINTS)[number]

/** Numbers below 1 that a seed determines (mulberry32). */
export function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export const pick = <T>(from: readonly T[], roll: () => number): T => from[Math.floor(roll() * from.length)]!

/** SEED of the environment, which repeats a run, or a new one. */
export const seedOf = (): number => Number(process.env.SEED ?? randomBytes(4).readUInt32BE())

interface Source {
  path: string
  name: string
  sha256: string
}

/** A small file and one that takes long enough to be cut off. */
export function sources(folder: string, largeMib: number): Source[] {
  return [
    { name: 'small.csv', bytes: Buffer.from('time,kW\n1,2\n') },
    { name: 'large.bin', bytes: randomBytes(largeMib * MIB) },
  ].map(({ name, bytes }) => {
    const path = join(folder, name)
    writeFileSync(path, bytes)
    return { path, name, sha256: createHash('sha256').update(bytes).digest('hex') }
  })
}

/** Tells the story to its end through whatever `at` does to the daemons; checks content and evidence at both sides. */
export async function tell(
  mesh: Mesh,
  files: Source[],
  at: (point: Point) => Promise<void>,
): Promise<string> {
  const { acme, bolt } = mesh
  const asset = await calling(acme, c =>
    c.packets.publish({ title: 'Press shop', files: files.map(({ path, name }) => ({ path, name })) }),
  )
  await at('published')
  const offer = await calling(acme, c =>
    c.offers.create({
      asset: asset.asset,
      to: [bolt.ready.id],
      purposes: ['benchmark'],
      noRedistribution: true,
      untilMs: Date.now() + 90 * DAY_MS,
    }),
  )
  await at('offered')
  await eventually('the offer is seen', async () => {
    const { items } = await calling(bolt, c => c.offers.list({ own: false, refresh: true }))
    return items.find(({ id }) => id === offer.id)
  })
  await at('seen')
  const asked = await calling(bolt, c => c.requests.create({ offer: offer.id, purpose: 'benchmark' }))
  await at('asked')
  await eventually('the request is there', () => requestOf(acme, asked.id))
  await approve(acme, asked.id)
  await at('approved')
  const request = await calling(bolt, c => c.requests.wait(asked.id))
  assert.is(request.state, 'FINALIZED', JSON.stringify(request.refusal))
  const agreement = request.agreement!
  await at('agreed')
  const transfer = await calling(bolt, c => c.transfers.start(agreement))
  await at('transfer begun')
  await eventually('bytes come', async () => {
    const deliveries = await list(bolt, c => c.agreements.deliveries(agreement))
    const over = deliveries.length === files.length && deliveries.every(({ state }) => state !== 'FETCHING')
    return over || (await receivedBytes(bolt)) > CUT_BYTES || undefined
  })
  await at('while fetching')
  await eventually('a receipt is there', async () => {
    const deliveries = await list(bolt, c => c.agreements.deliveries(agreement))
    return deliveries.find(({ state }) => state === 'DONE')
  })
  await at('first receipt')
  assert.is((await calling(bolt, c => c.transfers.wait(transfer.id))).state, 'COMPLETED')
  await at('complete')
  await checkOutcome(mesh, agreement, files)
  return agreement
}

/** Approves once: a call whose answer was lost may have done its work. */
async function approve(provider: TestDaemon, id: string): Promise<void> {
  await calling(provider, async client => {
    try {
      await client.requests.approve(id)
    } catch (error) {
      if (!isWaybillError(error, 'OUT_OF_ORDER') || (await client.requests.get(id)).state === 'REQUESTED')
        throw error
    }
  })
}

const requestOf = async (daemon: TestDaemon, id: string) =>
  (await list(daemon, c => c.requests.list())).find(request => request.id === id)

function list<T>(daemon: TestDaemon, items: (client: Waybill) => AsyncIterable<T>): Promise<T[]> {
  return calling(daemon, async client => {
    const all: T[] = []
    for await (const item of items(client)) all.push(item)
    return all
  })
}

/** Ciphertext of the files that are being received. */
async function receivedBytes({ home }: TestDaemon): Promise<number> {
  const folder = join(home, 'content')
  const parts = (await readdir(folder)).filter(name => name.endsWith('.part'))
  const sizes = await Promise.all(
    parts.map(name =>
      stat(join(folder, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return Math.max(0, ...sizes)
}

async function checkOutcome({ acme, bolt }: Mesh, agreement: string, files: Source[]): Promise<void> {
  const deliveries = await list(bolt, c => c.agreements.deliveries(agreement))
  assert.equal(deliveries.map(({ packet }) => packet.name).sort(), files.map(({ name }) => name).sort())
  for (const { packet } of deliveries) {
    const digest = await calling(bolt, async client => {
      const hash = createHash('sha256')
      for await (const piece of client.agreements.content(agreement, packet.id)) hash.update(piece)
      return hash.digest('hex')
    })
    assert.is(digest, files.find(({ name }) => name === packet.name)!.sha256, packet.name)
  }
  for (const side of [acme, bolt]) {
    // A partner's first committee is in the trust file once it is in force, which takes a head.
    const isFinal = async (evidence: Uint8Array) => {
      const trust = await calling(side, c => c.trust())
      const report = await verify(evidence, trust, { requireFinal: true })
      assert.is.not(report.verdict, 'failed', JSON.stringify(report.steps))
      return report.verdict === 'verified' || undefined
    }
    await eventually(`the consent is final at ${side.name}`, async () =>
      isFinal(await calling(side, c => c.agreements.consentEvidence(agreement))),
    )
    for (const { packet } of deliveries)
      await eventually(`${packet.name} is final at ${side.name}`, async () =>
        isFinal(await calling(side, c => c.agreements.evidence(agreement, packet.id))),
      )
  }
}

/** Everything that a daemon has shown: none of it may be missing later. */
interface Shown {
  assets: string[]
  offers: string[]
  requests: string[]
  agreements: string[]
  receipts: string[]
  leaves: string[]
  head?: { size: number; root: Uint8Array }
}

export async function show(daemon: TestDaemon): Promise<Shown> {
  const consents = await list(daemon, c => c.consents.list())
  const deliveries = []
  for (const { agreement } of consents)
    deliveries.push(...(await list(daemon, c => c.agreements.deliveries(agreement))))
  const { items } = await calling(daemon, c => c.offers.list())
  return {
    assets: (await list(daemon, c => c.assets.list())).map(({ id }) => id),
    offers: items.map(({ id }) => id),
    requests: (await list(daemon, c => c.requests.list())).map(({ id }) => id),
    agreements: consents.map(({ agreement }) => agreement),
    receipts: deliveries.flatMap(({ receipts }) => receipts.map(({ id }) => id)),
    ...(await logOf(daemon)),
  }
}

async function logOf(daemon: TestDaemon): Promise<Pick<Shown, 'leaves' | 'head'>> {
  const leaves: string[] = []
  for (;;) {
    const { entries, head, next } = await calling(daemon, c => c.log({ after: leaves.length, limit: 1_000 }))
    leaves.push(...entries.map(({ leaf }) => leaf))
    if (next !== undefined) continue
    return head ? { leaves, head: parseCheckpoint(parseNote(head).body) } : { leaves }
  }
}

/** Nothing shown before is missing, and the log goes on from the head before. */
export function assertKept(before: Shown, after: Shown, who: string): void {
  for (const what of ['assets', 'offers', 'requests', 'agreements', 'receipts'] as const)
    for (const id of before[what]) assert.ok(after[what].includes(id), `${who} lost ${id} of its ${what}`)
  assert.equal(after.leaves.slice(0, before.leaves.length), before.leaves, `the log of ${who}`)
  if (!before.head) return
  const { size, root } = before.head
  assert.ok(after.head && after.head.size >= size, `the head of ${who} went back`)
  const extended = treeRoot(after.leaves.slice(0, size).map(leaf => fromHex(leaf)!))
  assert.is(toHex(extended), toHex(root), `the log of ${who} does not extend its head of ${size}`)
}

/** The consumer's evidence is as good when its provider is gone for ever as it was before. */
export async function assertLasting({ acme, bolt }: Mesh, agreement: string): Promise<void> {
  await acme.kill()
  const trust = await bolt.client.trust()
  for (const { packet } of await list(bolt, c => c.agreements.deliveries(agreement))) {
    const evidence = await bolt.client.agreements.evidence(agreement, packet.id)
    const { verdict, steps } = await verify(evidence, trust, { requireFinal: true })
    assert.is(verdict, 'verified', JSON.stringify(steps))
  }
}

/** Both logs have a final head over all their entries, which the witness has cosigned as an extension of all before. */
export async function assertWitnessed({ acme, bolt }: Mesh): Promise<void> {
  for (const daemon of [acme, bolt])
    await eventually(`the whole log of ${daemon.name} is cosigned`, async () => {
      const { log, witnesses, problems } = await calling(daemon, c => c.status())
      assert.equal(problems, [], daemon.name)
      return (log.final && log.headSize === log.size && witnesses[0]!.cosignedSize === log.size) || undefined
    })
}
