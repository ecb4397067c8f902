import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { reportHtml } from '../../sim/report.ts'
import { pointsOf, type Reading, readingOf, reportOf } from '../../sim/sweep.ts'
import { suite } from '../harness.ts'

const test = suite('sim/sweep')

test('the points of a sweep differ in one thing', () => {
  const { over, points } = pointsOf({ over: 'seats', values: '1,4,7', nodes: '50', topology: 'city' })
  assert.is(over, 'seats')
  assert.equal(
    points.map(({ seats, nodes, topology }) => [seats, nodes, topology]),
    [
      [1, 50, 'city'],
      [4, 50, 'city'],
      [7, 50, 'city'],
    ],
  )
})

for (const [typed, said] of [
  [{ over: 'weather' }, /--over weather: one of nodes, seats/],
  [{ topology: 'ring' }, /--topology ring: one of automotive/],
  [{ values: '1,x' }, /--values x: a whole number/],
  [{ nodes: '-3' }, /--nodes -3: a whole number/],
] as const)
  test(`a sweep that is asked for wrongly is refused: ${JSON.stringify(typed)}`, () => {
    assert.throws(
      () => pointsOf(typed),
      (error: { code: string; message: string }) =>
        error.code === 'REQUEST_INVALID' && said.test(error.message),
    )
  })

test('a sweep over measured latencies names their file in each point, and says so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-'))
  const latency = join(folder, 'matrix.txt')
  await writeFile(latency, '0 40\n40 0\n')
  const swept = pointsOf({ over: 'nodes', values: '2', latency, unit: 'rtt-ms' })
  assert.equal([swept.points[0]!.latency, swept.points[0]!.unit], [latency, 'rtt-ms'])
  const { said } = reportOf({ ...swept, readings: [READING] })
  assert.match(said.join(), /latencies of matrix\.txt, which are rtt-ms/)
  const point = { ...swept.points[0]!, minutes: 5, workload: 'negotiations' }
  const near = await readingOf({ ...point, latency: await matrix(folder, 2) })
  const far = await readingOf({ ...point, latency: await matrix(folder, 400) })
  assert.ok(far.negotiationP50Ms! > near.negotiationP50Ms! + 300, `${far.negotiationP50Ms}`)
  assert.throws(
    () => pointsOf({ latency: join(folder, 'none') }),
    (error: { code: string }) => error.code === 'REQUEST_INVALID',
  )
  await rm(folder, { recursive: true })
})

/** Two places so many ms there and back. */
async function matrix(folder: string, ms: number): Promise<string> {
  const file = join(folder, `${ms}.txt`)
  await writeFile(file, `0 ${ms}\n${ms} 0\n`)
  return file
}

const READING: Reading = {
  violation: null,
  agreementsPerSecond: 1.5,
  packetsPerSecond: 30,
  negotiationP50Ms: 100,
  negotiationP95Ms: 300,
  transferP95Ms: 900,
  headFinalP50Ms: null,
  headFinalP95Ms: null,
  headsFinal: 0,
  messagesMean: 12,
  messagesMedian: 10,
  messagesP99: 20,
  bytesMean: 1_200,
  bytesMedian: 1_000,
  bytesP99: 2_000,
  storageMedian: 500,
  late: 0,
  bottleneck: { name: 'CPU of somebody', share: 0.25 },
  wallMs: 1,
}

test('its report has a row and a dot for each point, and none where nothing was measured', () => {
  const { over, points } = pointsOf({ over: 'lossPpm', values: '0,10000' })
  const report = reportOf({
    over,
    points,
    readings: [READING, { ...READING, negotiationP50Ms: 250, headFinalP50Ms: 70, headFinalP95Ms: 80 }],
  })
  const [table] = report.tables
  assert.is(table!.rows.length, 2)
  assert.equal(
    table!.rows.map(row => row[0]),
    [0, 1],
  )
  const [negotiations, heads] = report.plots
  assert.equal(negotiations!.lines[0]!.points, [
    [0, 100],
    [1, 250],
  ])
  assert.equal(heads!.lines[0]!.points, [[1, 70]])
  assert.match(reportHtml(report), /messages lost, %/)
})

test.run()
