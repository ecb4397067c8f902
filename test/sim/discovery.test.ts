import * as assert from 'uvu/assert'
import { Discovery, type Walk } from '../../sim/discovery.ts'
import { suite } from '../harness.ts'

const test = suite('sim/discovery')

const quiet = { seed: 1, delayUs: () => 10_000, serveUs: 100, dialUs: 1_000 }

/** One walk after the other, each from another node. */
function walks(discovery: Discovery, nodes: number, count: number): { walk: Walk; nearest: number[] }[] {
  return Array.from({ length: count }, (_, i) => {
    const key = discovery.randomKey()
    let walk: Walk | undefined
    discovery.find(i % nodes, key, done => {
      walk = done
    })
    discovery.run()
    return { walk: walk!, nearest: discovery.trulyNearest(key) }
  })
}

test('a walk finds the nearest that there are, in hops that grow as the logarithm of the mesh', () => {
  let before = 0
  for (const nodes of [20, 200, 2_000, 20_000]) {
    const all = walks(new Discovery({ ...quiet, nodes }), nodes, 20)
    for (const { walk, nearest } of all)
      assert.ok(nearest.filter(node => walk.nearest.includes(node)).length >= 18, `${nodes} nodes`)
    const hops = all.reduce((sum, { walk }) => sum + walk.hops, 0) / all.length
    assert.ok(hops >= before && hops <= 1 + Math.log2(nodes / 20), `${hops} hops among ${nodes}`)
    before = hops
  }
  assert.ok(before > 2, 'among 20,000 nobody knows everybody')
})

test('a question costs four ways and the time of those who serve; those of one host wait for each other', () => {
  const { walk } = walks(new Discovery({ ...quiet, nodes: 2 }), 2, 1)[0]!
  assert.equal([walk.questions, walk.hops, walk.us], [1, 1, 4 * 10_000 + 2 * 100])
  const atOnce = (count: number, hosts: number) => {
    const discovery = new Discovery({ ...quiet, nodes: 20, hosts })
    const us: number[] = []
    const key = discovery.randomKey()
    for (let node = 0; node < count; node++) discovery.find(node, key, walk => us.push(walk.us))
    discovery.run()
    return Math.max(...us) - 4 * 10_000
  }
  // 19 questions one behind the other at the host; the answers come as slowly as those are served.
  assert.is(atOnce(1, 1), 100 * (19 + 1))
  assert.is(atOnce(5, 1), 100 * (5 * 19 + 1))
  assert.ok(atOnce(5, 20) < 100 * 2 * 19)
})

test('who is not connected is dialled first: six ways more, and the work of both ends', () => {
  const places = [
    { high: 1, low: 0 },
    { high: 2, low: 0 },
  ]
  const us = (connected: number[]) => {
    const real = { places, known: [[1], []], connected: [new Set(connected), new Set<number>()] }
    return walks(new Discovery({ ...quiet, nodes: 2, real }), 1, 1)[0]!.walk.us
  }
  assert.is(us([]) - us([1]), 6 * 10_000 + 2 * 1_000)
  // Of a drawn network those are connected who stand in the own table.
  const { walk } = walks(new Discovery({ ...quiet, nodes: 5_000 }), 1, 1)[0]!
  assert.ok(walk.hops > 1)
  assert.ok(walk.us > 4 * 10_000 + (walk.hops - 1) * 10 * 10_000, `${walk.us} us for ${walk.hops} hops`)
})

test('what one provides the others find, and nobody finds what nobody provided', () => {
  const nodes = 3_000
  const discovery = new Discovery({ ...quiet, nodes })
  for (let i = 0; i < 20; i++) {
    const [key, other] = [discovery.randomKey(), discovery.randomKey()]
    const found: number[][] = []
    discovery.provide(i, key, walk => {
      assert.is(walk.nearest.length, 20)
      for (const place of [key, other])
        discovery.find(nodes - 1 - i, place, ({ providers }) => found.push(providers))
    })
    discovery.run()
    assert.equal(found, found[0]!.length > 0 ? [[i], []] : [[], [i]])
  }
})

test('who is off is asked in vain, is never among the found, and costs the time of a question', () => {
  const nodes = 2_000
  const discovery = new Discovery({ ...quiet, nodes, offPpm: 150_000, timeoutUs: 5_000_000 })
  const all = walks(discovery, nodes, 30)
  assert.ok(all.every(({ walk }) => walk.nearest.every(node => !discovery.isOff(node))))
  const lost = all.reduce((sum, { walk }) => sum + walk.lost, 0)
  const questions = all.reduce((sum, { walk }) => sum + walk.questions, 0)
  assert.ok(lost / questions > 0.1 && lost / questions < 0.2, `${lost} of ${questions} lost`)
  for (const { walk } of all) assert.ok(walk.lost === 0 || walk.us >= 5_000_000)
})

/** Of what others provide, the share that `by` finds, and the share of hostile nodes among those that it is told of. */
function eclipse(hostilePpm: number, eclipsed: number[], by: number): { found: number; hostile: number } {
  const nodes = 2_000
  const discovery = new Discovery({ ...quiet, nodes, hostilePpm, eclipsed })
  let [found, hostile, told] = [0, 0, 0]
  const count = 30
  for (let i = 0; i < count; i++) {
    const key = discovery.randomKey()
    discovery.provide(nodes - 1 - i, key, () =>
      discovery.find(by, key, ({ providers, nearest }) => {
        if (providers.length > 0) found++
        hostile += nearest.filter(node => discovery.isHostile(node)).length
        told += nearest.length
      }),
    )
    discovery.run()
  }
  return { found: found / count, hostile: hostile / told }
}

test('a tenth of the nodes cannot keep most of what is provided from anybody; with a whole table they keep it all', () => {
  const victim = 7
  const free = eclipse(100_000, [], victim)
  assert.ok(free.found > 0.7, `${free.found} found`)
  assert.ok(free.hostile > 0, 'hostile nodes are met')
  const eclipsed = eclipse(100_000, [victim], victim)
  assert.equal(eclipsed, { found: 0, hostile: 1 })
  // Nobody else is any worse off.
  assert.ok(eclipse(100_000, [victim], 8).found > 0.7)
})

test('a seed is a run', () => {
  const run = (seed: number) => {
    const discovery = new Discovery({
      ...quiet,
      seed,
      nodes: 500,
      delayUs: (_from, _to, prng) => prng.between(1_000, 90_000),
    })
    return [walks(discovery, 500, 20), discovery.events]
  }
  assert.equal(run(7), run(7))
  assert.not.equal(run(7), run(8))
})

test.run()
