/**
 * A file from one node's disk to another's under an agreement: fetched, every block checked, both receipts signed and
 * logged, the key released, deciphered, digest checked, all durable; against the bare bytes over a stock noise stream.
 */
import { randomFillSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { cpuSeconds, figure, interleaved, peakRssMiB, type Result, Samples } from './harness.ts'
import { type Child, type NodePair, nodePair, rawPair } from './pair.ts'

const MIB = 2 ** 20

export async function transfer(rounds: number, sizeMiB: number): Promise<Result> {
  await using nodes = await nodePair()
  const name = `${sizeMiB}MiB`
  const samples = new Samples()
  const result = await interleaved(
    rounds,
    'MB/s',
    {
      [name]: () => transferOnce(nodes, sizeMiB * MIB, samples),
      rawNoise: () => rawOnce(sizeMiB * MIB, samples),
    },
    { [`${name}/rawNoise`]: [name, 'rawNoise'] },
  )
  for (const side of ['provider', 'consumer'] as const)
    result.figures[`${name} peak RSS ${side}`] = figure([peakOf(nodes, side)], 'MiB')
  Object.assign(result.figures, samples.figures())
  return result
}

/** Peak memory of fresh nodes over one file, small and large: it must not grow with the file. */
export async function memory(): Promise<Result> {
  const result: Result = { figures: {}, ratios: {} }
  for (const sizeMiB of [256, 2048]) {
    await using nodes = await nodePair()
    const samples = new Samples()
    const speed = await transferOnce(nodes, sizeMiB * MIB, samples)
    result.figures[`${sizeMiB}MiB`] = figure([speed], 'MB/s')
    for (const side of ['provider', 'consumer'] as const)
      result.figures[`${sizeMiB}MiB peak RSS ${side}`] = figure([peakOf(nodes, side)], 'MiB')
  }
  for (const side of ['provider', 'consumer'])
    result.ratios[`2048MiB/256MiB peak RSS ${side}`] = quotient(
      result.figures[`2048MiB peak RSS ${side}`]!.median,
      result.figures[`256MiB peak RSS ${side}`]!.median,
    )
  return result
}

const quotient = (a: number, b: number): number => Number((a / b).toPrecision(4))

const peakOf = (nodes: NodePair, side: 'provider' | 'consumer'): number =>
  Math.round(peakRssMiB(nodes[side].child.process.pid!))

/** Takes the seconds of processor time that each process spends meanwhile. */
async function withCpu<T>(
  sides: Record<string, Child>,
  samples: Samples,
  body: () => Promise<T>,
): Promise<T> {
  const used = () =>
    Object.entries(sides).map(([name, { process }]) => [name, cpuSeconds(process.pid!)] as const)
  const before = Object.fromEntries(used())
  const result = await body()
  for (const [name, seconds] of used()) samples.take(`${name} CPU`, 's', seconds - before[name]!)
  return result
}

async function transferOnce(
  { provider, consumer, folder }: NodePair,
  bytes: number,
  samples: Samples,
): Promise<number> {
  const path = join(folder, 'source')
  await writeRandom(path, bytes)
  const began = performance.now()
  const { asset } = await provider.api.packets.publish({ title: 'bench', files: [{ path, name: 'source' }] })
  samples.take('publish', 'MB/s', bytes / 1e3 / (performance.now() - began))
  const untilMs = Date.now() + 3_600_000
  const offer = await provider.api.offers.create({ asset, allow: ['use'], untilMs, approval: 'policy' })
  await consumer.api.offers.list({ own: false, refresh: true })
  const asked = await consumer.api.requests.create({ offer: offer.id, action: 'use', purpose: 'bench' })
  const agreed = await consumer.api.requests.wait(asked.id)
  return withCpu({ provider: provider.child, consumer: consumer.child }, samples, async () => {
    const start = performance.now()
    const { id } = await consumer.api.transfers.start(agreed.agreement!)
    const done = await consumer.api.transfers.wait(id)
    if (done.state !== 'COMPLETED' || done.failed > 0) throw new Error(`the transfer is ${done.state}`)
    return bytes / 1e3 / (performance.now() - start)
  })
}

async function rawOnce(bytes: number, samples: Samples): Promise<number> {
  await using pair = await rawPair()
  await pair.receiver.ask({ do: 'expect', bytes })
  const { ms } = await withCpu({ 'raw sender': pair.sender, 'raw receiver': pair.receiver }, samples, () =>
    pair.sender.ask<{ ms: number }>({ do: 'send', to: pair.to, bytes }),
  )
  return bytes / 1e3 / ms
}

/** Bytes that no link of the chain can compress or guess. */
async function writeRandom(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w')
  const chunk = Buffer.alloc(8 * MIB)
  for (let at = 0; at < bytes; at += chunk.length)
    await file.write(randomFillSync(chunk), 0, Math.min(chunk.length, bytes - at))
  await file.close()
}
