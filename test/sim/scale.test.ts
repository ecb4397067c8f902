import * as assert from 'uvu/assert'
import { reportHtml } from '../../sim/report.ts'
import { extrapolate, scaleReport, scalingOf } from '../../sim/scale.ts'
import type { Reading } from '../../sim/sweep.ts'
import { suite } from '../harness.ts'

const test = suite('sim/scale')

for (const [typed, said] of [
  [{}, /^--nodes : a whole number up to 1000000 is expected$/],
  [{ nodes: '2000000' }, /^--nodes 2000000: a whole number up to 1000000/],
  [{ nodes: '500' }, /^--nodes 500: 800 are simulated, there is nothing to extrapolate$/],
  [{ nodes: '5000', sizes: '10,20' }, /^--sizes 10,20: 3 sizes at least/],
  [{ nodes: '5000', sizes: '10,20,20' }, /^--sizes 10,20,20: 3 sizes at least/],
  [{ nodes: '5000', sizes: '1,10,20' }, /^--sizes 1,10,20: a mesh has 2 participants at least$/],
  [{ nodes: '5000', sizes: '10,x' }, /^--values x: a whole number/],
  [{ nodes: '5000', latency: 'matrix.txt' }, /^--latency: no matrix is as large/],
  [{ nodes: '5000', workload: 'idle' }, /^--workload idle: one of default/],
] as const)
  test(`a scale that is asked for wrongly is refused: ${JSON.stringify(typed)}`, () => {
    assert.throws(
      () => scalingOf(typed),
      (error: { code: string; message: string }) =>
        error.code === 'REQUEST_INVALID' && said.test(error.message),
    )
  })

/** What participants of a mesh of so many do, in one minute. */
function reading(nodes: number, changed: Partial<Reading> = {}): Reading {
  return {
    violation: null,
    agreementsPerSecond: nodes / 100,
    packetsPerSecond: 0,
    negotiationP50Ms: 100,
    negotiationP95Ms: null,
    transferP95Ms: null,
    headFinalP50Ms: null,
    headFinalP95Ms: 10 * Math.log(nodes),
    headsFinal: 0,
    messagesMean: 60,
    messagesMedian: 60,
    messagesP99: 2 * Math.sqrt(nodes),
    bytesMean: 1_000,
    bytesMedian: 1_000,
    bytesP99: 2_000,
    storageMedian: 500,
    late: 0,
    bottleneck: { name: 'CPU of somebody', share: 0.25 },
    wallMs: 1,
    ...changed,
  }
}
const asked = scalingOf({ nodes: '1000000', sizes: '400,100,200', minutes: '1' })
const found = (readings: Reading[]) =>
  new Map(extrapolate(asked, readings).map(({ figure, ...each }) => [figure, each]))

test('each figure follows the law that it obeys, and then without error', () => {
  const all = found([100, 200, 400].map(nodes => reading(nodes)))
  const of = (figure: string) => {
    const { law, value, error } = all.get(figure)!
    return [law, Math.round(value), Math.round(error * 1e6)]
  }
  assert.equal(of('messages per participant and hour, median'), ['stays the same', 3_600, 0])
  assert.equal(of('head final p95, ms'), [
    'grows with the logarithm',
    Math.round(10 * Math.log(1_000_000)),
    0,
  ])
  assert.equal(of('messages per participant and hour, p99'), ['grows with a power', 120_000, 0])
  // A million participants that send or get a message a second each, and agree once in a hundred seconds.
  assert.equal(of('messages a second, all together'), ['stays the same', 500_000, 0])
  assert.equal(of('agreements a second, all together'), ['stays the same', 10_000, 0])
  assert.equal(all.get('messages a second, all together')!.measured, [50, 100, 200])
})

test('what was nothing at some size is not told, and what fits no law has an error that grows with the distance', () => {
  const readings = [100, 200, 400].map(nodes => reading(nodes))
  readings[2] = reading(400, { negotiationP50Ms: 150 })
  const all = found(readings)
  assert.not.ok(all.has('packets a second, all together'))
  assert.not.ok(all.has('transfer p95, ms'))
  // 100 stands where 150 was measured: a third, for each doubling from 400 to a million.
  const { error } = all.get('negotiation p50, ms')!
  assert.ok(Math.abs(error - Math.log2(1_000_000 / 400) / 3) < 1e-9, String(error))
})

test('the report says that it is an extrapolation, from what, and that lookups are not', () => {
  const none = {
    lookups: 0,
    found: 1,
    hops: null,
    questions: null,
    ms: null,
    events: 0,
    wallMs: 0,
    traceHash: '',
  }
  const readings = [100, 200, 400].map(nodes => reading(nodes))
  const report = scaleReport(asked, extrapolate(asked, readings), none)
  assert.match(report.title, /1,000,000 participants: an extrapolation/)
  assert.match(report.said[0]!, /laws through 100, 200, 400 participants, each simulated in full/)
  assert.is(report.plots[0]!.lines[1]!.name, 'extrapolated')
  assert.match(reportHtml(report), /± 0/)
})

test.run()
