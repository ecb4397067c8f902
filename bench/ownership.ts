/** Certificates of who owns an asset: votes of four and of seven seats, each a process with a durable store of its own. */
import { mkdtemp } from 'node:fs/promises'
import { join as path } from 'node:path'
import { u64 } from '../crypto/bytes.ts'
import { keyFromSeed, sign, verify } from '../crypto/key.ts'
import { useLibsodium } from '../crypto/libsodium.ts'
import { openStore } from '../node/store.ts'
import { cpuSeconds, join, percentile, type Result, Samples } from './harness.ts'
import { type NodeMesh, nodeMesh } from './pair.ts'

const IN_FLIGHT = 32
const SEATS = ['cole', 'dunn', 'eder', 'fink', 'gray', 'holm', 'iris']
/** Signatures and commits of what they are held against. */
const CHECKS = 2_000
const COMMITS = 500

export async function ownership(rounds: number, count: number): Promise<Result> {
  const results: Result[] = []
  for (const n of [4, 7]) {
    await using mesh = await nodeMesh(['owner', 'buyer', ...SEATS.slice(0, n)])
    results.push(await measured(mesh, n, await jury(mesh), rounds, count))
  }
  return join(...results)
}

/**
 * Every round registers so many assets with 32 in flight and a quarter of that one after the other, hands all of them over in
 * the same way, and checks signatures and makes commits in between, when the nodes rest; the first warms up.
 */
async function measured(
  { nodes, folder }: NodeMesh,
  n: number,
  committee: string,
  rounds: number,
  count: number,
): Promise<Result> {
  const [owner, buyer] = nodes as [NodeMesh['nodes'][0], NodeMesh['nodes'][0]]
  await buyer.child.ask({ do: 'take-all' })
  const samples = new Samples()
  const used = () => nodes.reduce((sum, { child }) => sum + cpuSeconds(child.process.pid!), 0)
  // A run takes minutes: what is known is told at once.
  const take = (name: string, unit: string, value: number) => {
    samples.take(`n = ${n}: ${name}`, unit, value)
    console.error(`n = ${n}: ${name}: ${value.toPrecision(4)} ${unit}`)
  }
  const ask = (to: string | undefined, many: number, inFlight: number) =>
    owner.child.ask<{ ms: number; each: number[] }>({ do: 'certify', committee, to, count: many, inFlight })
  const ratios: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const checks = checksPerSecond()
    take('signatures checked on one core', '/s', checks)
    take('synced commits, one after the other', '/s', await commitsPerSecond(folder))
    for (const [name, to] of [
      ['registration', undefined],
      ['hand-over', buyer.id],
    ] as const) {
      const before = used()
      const { ms } = await ask(to, count, IN_FLIGHT)
      take(`${name}, processor time of all nodes`, 'ms', ((used() - before) / count) * 1_000)
      const { each } = await ask(to, count / 4, 1)
      const speed = (count / ms) * 1_000
      take(`${name}, 32 in flight`, '/s', speed)
      take(`${name}, serial p50`, 'ms', percentile(each, 0.5))
      take(`${name}, serial p99`, 'ms', percentile(each, 0.99))
      if (round > 0 && to) ratios.push(speed / checks)
    }
  }
  const ratio = Number(percentile(ratios, 0.5).toPrecision(3))
  return { figures: samples.figures(), ratios: { [`n = ${n}: hand-over/signature checked`]: ratio } }
}

/** Different signatures, for one that was checked is not checked again. */
function checksPerSecond(): number {
  useLibsodium() // as a node does
  const key = keyFromSeed(crypto.getRandomValues(new Uint8Array(32)))
  const alone = { ...key, seed: key.seed.slice() } // of whose signatures nobody remembers that they were made here
  const all = Array.from({ length: CHECKS }, (_, i) => ({ m: u64(i), s: sign(alone, u64(i)) }))
  const start = performance.now()
  for (const { m, s } of all) if (!verify(key.public, m, s)) throw new Error('a signature does not hold')
  return (CHECKS / (performance.now() - start)) * 1_000
}

async function commitsPerSecond(folder: string): Promise<number> {
  const dir = await mkdtemp(path(folder, 'commits-'))
  await using store = await openStore(path(dir, 'db'), { create: true, onFailure: fail })
  const start = performance.now()
  for (let i = 0; i < COMMITS; i++) {
    const { promise, resolve } = Promise.withResolvers<void>()
    store.commit([{ key: `k/${i}`, value: new Uint8Array(1_024).fill(i) }], resolve)
    await promise
  }
  return (COMMITS / (performance.now() - start)) * 1_000
}

function fail(error: Error): never {
  throw error
}

/** The committee of all seats, once they have signed. */
async function jury({ nodes }: NodeMesh): Promise<string> {
  const [owner, , ...seats] = nodes
  const { juries } = owner!.api
  const partners = await Promise.all(seats.map(async ({ api }) => (await api.status()).name))
  await juries.create({ partners })
  for (;;) {
    const { items } = await juries.get()
    if (items[0]) return items[0].id
    await new Promise(done => setTimeout(done, 20))
  }
}
