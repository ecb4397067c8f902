/** Certificates of who owns an asset: votes of four and of seven seats, each a process with a durable store of its own. */
import { type Figure, figure, percentile, type Result } from './harness.ts'
import { type NodeMesh, nodeMesh } from './pair.ts'

const IN_FLIGHT = 32
const SEATS = ['cole', 'dunn', 'eder', 'fink', 'gray', 'holm', 'iris']

export async function ownership(rounds: number, count: number): Promise<Result> {
  const figures: Record<string, Figure> = {}
  for (const n of [4, 7]) {
    await using mesh = await nodeMesh(['owner', 'buyer', ...SEATS.slice(0, n)])
    const committee = await jury(mesh)
    for (const [name, to] of [
      ['registration', undefined],
      ['hand-over', mesh.nodes[1]!.id],
    ] as const)
      Object.assign(figures, await measured(mesh, `${name}, n = ${n}`, { committee, to }, rounds, count))
  }
  return { figures, ratios: {} }
}

/** Every round certifies so many with 32 in flight, and a quarter of that one after the other; the first warms up. */
async function measured(
  { nodes }: NodeMesh,
  name: string,
  about: { committee: string; to: string | undefined },
  rounds: number,
  count: number,
): Promise<Record<string, Figure>> {
  const [owner, buyer] = nodes as [NodeMesh['nodes'][0], NodeMesh['nodes'][0]]
  if (about.to) await buyer.child.ask({ do: 'take-all' })
  const ask = (many: number, inFlight: number) =>
    owner.child.ask<{ ms: number; each: number[] }>({ do: 'certify', ...about, count: many, inFlight })
  const speeds: number[] = []
  const serial: number[] = []
  for (let round = 0; round <= rounds; round++) {
    const { ms } = await ask(count, IN_FLIGHT)
    const { each } = await ask(count / 4, 1)
    if (round === 0) continue
    speeds.push((count / ms) * 1_000)
    serial.push(...each)
  }
  return {
    [`${name}: 32 in flight`]: figure(speeds, '/s'),
    [`${name}: serial p50`]: figure([percentile(serial, 0.5)], 'ms'),
    [`${name}: serial p99`]: figure([percentile(serial, 0.99)], 'ms'),
  }
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
