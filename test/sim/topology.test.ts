import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { byMatrix, byRegion } from '../../sim/latency.ts'
import { drawTopology, readTopology, SHAPES, type Shape, type Topology } from '../../sim/topology.ts'
import { suite, throwsCode } from '../harness.ts'

const test = suite('sim/topology')
const shapes = Object.keys(SHAPES) as Shape[]

function degrees({ participants, partners }: Topology): number[] {
  const of = participants.map(() => 0)
  for (const [a, b] of partners) {
    of[a]!++
    of[b]!++
  }
  return of
}

/** Participants that can be reached from the first. */
function reached({ participants, partners }: Topology): number {
  const next = participants.map(() => [] as number[])
  for (const [a, b] of partners) {
    next[a]!.push(b)
    next[b]!.push(a)
  }
  const seen = new Set([0])
  for (const at of seen) for (const to of next[at]!) seen.add(to)
  return seen.size
}

test('every shape is connected at every size, follows from its seed, and names its pairs once', () => {
  for (const shape of shapes)
    for (const count of [2, 3, 10, 31, 500, 10_000]) {
      const topology = drawTopology(shape, count, 1)
      assert.is(topology.participants.length, count)
      assert.is(reached(topology), count, `${shape} of ${count}`)
      assert.is(new Set(topology.partners.map(String)).size, topology.partners.length)
      assert.ok(topology.partners.every(([a, b]) => a < b))
      const mean = (2 * topology.partners.length) / count
      assert.ok(count < 100 || (mean >= 2 && mean <= 8), `${shape} of ${count}: ${mean} partners each`)
      assert.equal(drawTopology(shape, count, 1), topology)
    }
  for (const shape of shapes)
    assert.not.equal(drawTopology(shape, 500, 1).partners, drawTopology(shape, 500, 2).partners, shape)
})

test('the shapes differ: suppliers in tiers, works around mills, trades in a city', () => {
  const cars = drawTopology('automotive', 1_000, 1)
  const tierOf = ({ name }: { name: string }) => Number(/^tier (\d)/.exec(name)?.[1] ?? 0)
  const tiers = cars.participants.map(tierOf)
  assert.equal(
    [0, 1, 2, 3].map(tier => tiers.filter(each => each === tier).length),
    [4, 76, 270, 650],
  )
  assert.ok(cars.partners.every(([a, b]) => tiers[b]! - tiers[a]! === (tiers[b] === 0 ? 0 : 1)))
  const steel = degrees(drawTopology('steel', 1_000, 1))
  assert.is(steel.filter(degree => degree > 20).length, 40)
  const places = new Set(drawTopology('city', 1_000, 1).participants.map(({ region }) => region))
  assert.is(places.size, 1)
  assert.ok(new Set(drawTopology('random', 1_000, 1).participants.map(({ region }) => region)).size > 10)
})

test('a size that is none is refused', () => {
  for (const count of [-1, 0, 1, 1.5, Number.NaN, 1_000_001])
    throwsCode(() => drawTopology('city', count, 1), 'TOPOLOGY_INVALID')
})

test('a file is read, and what is wrong in it is named', () => {
  const good = {
    participants: [{ name: 'Acme', region: 'Tokyo' }, { name: 'Bolt' }],
    partners: [
      [1, 0],
      [0, 1],
    ],
  }
  const { participants, partners } = readTopology(JSON.stringify(good))
  assert.equal(partners, [[0, 1]])
  assert.equal(
    participants.map(({ region }) => region),
    ['Tokyo', 'Frankfurt'],
  )
  const [a, b] = good.participants
  for (const [bad, where] of [
    ['{', /JSON/],
    ['[]', /object/],
    [{ ...good, mills: 1 }, /mills/],
    [{ ...good, participants: [a] }, /participants/],
    [{ ...good, participants: [a, { name: '' }] }, /participants\[1\]\.name/],
    [{ ...good, participants: [a, { ...b, region: 'Atlantis' }] }, /participants\[1\]\.region/],
    [{ ...good, participants: [a, { ...b, tier: 1 }] }, /tier/],
    [{ ...good, participants: [a, a] }, /twice/],
    [{ ...good, partners: 7 }, /partners/],
    [{ ...good, partners: [[0, 2]] }, /partners\[0\]/],
    [{ ...good, partners: [[0, 1, 1]] }, /partners\[0\]/],
    [{ ...good, partners: [[1, 1]] }, /of its own/],
  ] as const) {
    const error = throwsCode(
      () => readTopology(typeof bad === 'string' ? bad : JSON.stringify(bad)),
      'TOPOLOGY_INVALID',
    )
    assert.match(error.message, where)
  }
})

test('delays between regions are the same both ways, and small within one', () => {
  const delay = byRegion(['Frankfurt', 'Tokyo', 'Frankfurt', 'Ireland'])
  assert.equal([delay(0, 1), delay(1, 0), delay(0, 2), delay(0, 3)], [111_000, 111_000, 2_000, 13_000])
})

test('a measured matrix is read, gaps filled with its median; what is wrong in it is named', () => {
  const delay = byMatrix('0 10 20\n10 0 -1\n20 -1 0\n', 0.5)
  assert.equal(
    [delay(0, 1), delay(0, 2), delay(1, 2), delay(3, 1), delay(1, 1)],
    [5_000, 10_000, 10_000, 5_000, 2_000],
  )
  assert.is(byMatrix('from,a,b\na,0,8\nb,8,0', 1)(0, 1), 8_000)
  for (const [bad, what] of [
    ['', /0 rows/],
    ['1', /1 rows/],
    ['0 1\n1', /row 2 has 1/],
    ['0 1\nx 0', /row 2/],
    ['0 0\n0 0', /no measured/],
  ] as const)
    assert.match(throwsCode(() => byMatrix(bad, 1), 'LATENCY_INVALID').message, what)
})

test('the measured matrices beside the project are read', () => {
  const folder = join(import.meta.dirname, '../../../shared/data/latency')
  const files = {
    'planetlab-490x490-slice1.txt': 0.5,
    'seattle-99x99-slice1.txt': 500,
    'aws-oneway-13x13-cometbft.csv': 1,
  }
  const there = Object.entries(files).filter(([file]) => existsSync(join(folder, file)))
  for (const [file, oneWayMs] of there) {
    const delay = byMatrix(readFileSync(join(folder, file), 'utf8'), oneWayMs)
    const us = Array.from({ length: 12 }, (_, i) => delay(0, i + 1)).sort((a, b) => a - b)
    assert.ok(us[6]! > 5_000 && us[6]! < 500_000, `${file}: ${us}`)
  }
  console.log(`${there.length} measured matrices read`)
})

test.run()
