/** Whole negotiations, signed by both sides and durable at both, against empty requests and answers on one stock stream. */
import { writeFile } from 'node:fs/promises'
import { figure, interleaved, percentile, type Result } from './harness.ts'
import { type NodePair, nodePair, rawPair } from './pair.ts'

const IN_FLIGHT = 64

export async function negotiation(rounds: number, count: number): Promise<Result> {
  await using nodes = await nodePair()
  const offer = await offered(nodes)
  const serial: number[] = []
  const ask = async (many: number, inFlight: number) => {
    const order = { org: nodes.provider.id, offer, action: 'use', purpose: 'bench', count: many, inFlight }
    return nodes.consumer.child.ask<{ ms: number; each: number[] }>(order)
  }
  const result = await interleaved(
    rounds,
    '/s',
    {
      negotiations64: async () => (count / (await ask(count, IN_FLIGHT)).ms) * 1_000,
      negotiationsSerial: async () => {
        const { ms, each } = await ask(count / 4, 1)
        serial.push(...each)
        return (each.length / ms) * 1_000
      },
      echo64: () => echoOnce(count * 10, IN_FLIGHT),
      echoSerial: () => echoOnce(count, 1),
    },
    {
      'negotiation64/echo': ['negotiations64', 'echo64'],
      'negotiationSerial/echo': ['negotiationsSerial', 'echoSerial'],
    },
  )
  result.figures['negotiation serial p50'] = figure([percentile(serial, 0.5)], 'ms')
  result.figures['negotiation serial p99'] = figure([percentile(serial, 0.99)], 'ms')
  return result
}

async function offered({ provider, consumer, folder }: NodePair): Promise<string> {
  const path = `${folder}/small`
  await writeFile(path, 'a small file')
  const { asset } = await provider.api.packets.publish({ title: 'bench', files: [{ path, name: 'small' }] })
  const untilMs = Date.now() + 3_600_000
  const offer = await provider.api.offers.create({ asset, allow: ['use'], untilMs, approval: 'policy' })
  await consumer.api.offers.list({ own: false, refresh: true })
  return offer.id
}

async function echoOnce(count: number, inFlight: number): Promise<number> {
  await using pair = await rawPair()
  const { ms } = await pair.sender.ask<{ ms: number }>({ do: 'echo', to: pair.to, count, inFlight })
  return (count / ms) * 1_000
}
