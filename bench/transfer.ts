/**
 * A file from one node's disk to another's under an agreement: fetched, every block checked, both receipts signed and
 * logged, the key released, deciphered, digest checked, all durable; against the bare bytes over a stock noise stream.
 */
import { randomFillSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { interleaved, peakRssMiB, type Result } from './harness.ts'
import { type NodePair, nodePair, rawPair } from './pair.ts'

const MIB = 2 ** 20

export async function transfer(rounds: number, sizeMiB: number): Promise<Result> {
  await using nodes = await nodePair()
  const name = `${sizeMiB}MiB`
  const result = await interleaved(
    rounds,
    'MB/s',
    { [name]: () => transferOnce(nodes, sizeMiB * MIB), rawNoise: () => rawOnce(sizeMiB * MIB) },
    { [`${name}/rawNoise`]: [name, 'rawNoise'] },
  )
  const rss = (side: 'provider' | 'consumer') => ({
    unit: 'MiB',
    median: Math.round(peakRssMiB(nodes[side].child.process.pid!)),
  })
  for (const side of ['provider', 'consumer'] as const) {
    const { unit, median } = rss(side)
    result.figures[`${name} peak RSS ${side}`] = { unit, median, min: median, max: median, n: 1 }
  }
  return result
}

async function transferOnce({ provider, consumer, folder }: NodePair, bytes: number): Promise<number> {
  const path = join(folder, 'source')
  await writeRandom(path, bytes)
  const { asset } = await provider.api.packets.publish({ title: 'bench', files: [{ path, name: 'source' }] })
  const untilMs = Date.now() + 3_600_000
  const offer = await provider.api.offers.create({ asset, allow: ['use'], untilMs, approval: 'policy' })
  await consumer.api.offers.list({ own: false, refresh: true })
  const asked = await consumer.api.requests.create({ offer: offer.id, action: 'use', purpose: 'bench' })
  const agreed = await consumer.api.requests.wait(asked.id)
  const start = performance.now()
  const { id } = await consumer.api.transfers.start(agreed.agreement!)
  const done = await consumer.api.transfers.wait(id)
  const seconds = (performance.now() - start) / 1_000
  if (done.state !== 'COMPLETED' || done.failed > 0) throw new Error(`the transfer is ${done.state}`)
  return bytes / 1e6 / seconds
}

async function rawOnce(bytes: number): Promise<number> {
  await using pair = await rawPair()
  await pair.receiver.ask({ do: 'expect', bytes })
  const { ms } = await pair.sender.ask<{ ms: number }>({ do: 'send', to: pair.to, bytes })
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
