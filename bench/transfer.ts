/**
 * A file from one node's disk to another's under an agreement: fetched, every block checked, both receipts signed and
 * logged, the key released, deciphered, digest checked, all durable; against the bare bytes over a stock noise stream.
 */
import { randomFillSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { cpuSeconds, figure, interleaved, peakRssMiB, type Result } from './harness.ts'
import { type Child, type NodePair, nodePair, rawPair } from './pair.ts'

const MIB = 2 ** 20

export async function transfer(rounds: number, sizeMiB: number): Promise<Result> {
  await using nodes = await nodePair()
  const name = `${sizeMiB}MiB`
  const cpu = new CpuFigures()
  const result = await interleaved(
    rounds,
    'MB/s',
    {
      [name]: () => transferOnce(nodes, sizeMiB * MIB, cpu),
      rawNoise: () => rawOnce(sizeMiB * MIB, cpu),
    },
    { [`${name}/rawNoise`]: [name, 'rawNoise'] },
  )
  for (const side of ['provider', 'consumer'] as const)
    result.figures[`${name} peak RSS ${side}`] = figure(
      [Math.round(peakRssMiB(nodes[side].child.process.pid!))],
      'MiB',
    )
  Object.assign(result.figures, cpu.figures())
  return result
}

/** Seconds of processor time that each process spends, round by round; the first round warms up and does not count. */
class CpuFigures {
  readonly #samples = new Map<string, number[]>()

  async over<T>(sides: Record<string, Child>, body: () => Promise<T>): Promise<T> {
    const used = () => Object.values(sides).map(({ process }) => cpuSeconds(process.pid!))
    const before = used()
    const result = await body()
    const after = used()
    for (const [i, name] of Object.keys(sides).entries())
      this.#samples.set(name, [...(this.#samples.get(name) ?? []), after[i]! - before[i]!])
    return result
  }

  figures() {
    return Object.fromEntries(
      [...this.#samples].map(([name, each]) => [`${name} CPU`, figure(each.slice(1), 's')]),
    )
  }
}

async function transferOnce(
  { provider, consumer, folder }: NodePair,
  bytes: number,
  cpu: CpuFigures,
): Promise<number> {
  const path = join(folder, 'source')
  await writeRandom(path, bytes)
  const { asset } = await provider.api.packets.publish({ title: 'bench', files: [{ path, name: 'source' }] })
  const untilMs = Date.now() + 3_600_000
  const offer = await provider.api.offers.create({ asset, allow: ['use'], untilMs, approval: 'policy' })
  await consumer.api.offers.list({ own: false, refresh: true })
  const asked = await consumer.api.requests.create({ offer: offer.id, action: 'use', purpose: 'bench' })
  const agreed = await consumer.api.requests.wait(asked.id)
  return cpu.over({ provider: provider.child, consumer: consumer.child }, async () => {
    const start = performance.now()
    const { id } = await consumer.api.transfers.start(agreed.agreement!)
    const done = await consumer.api.transfers.wait(id)
    const seconds = (performance.now() - start) / 1_000
    if (done.state !== 'COMPLETED' || done.failed > 0) throw new Error(`the transfer is ${done.state}`)
    return bytes / 1e6 / seconds
  })
}

async function rawOnce(bytes: number, cpu: CpuFigures): Promise<number> {
  await using pair = await rawPair()
  await pair.receiver.ask({ do: 'expect', bytes })
  const { ms } = await cpu.over({ 'raw sender': pair.sender, 'raw receiver': pair.receiver }, () =>
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
