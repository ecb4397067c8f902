import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Answers } from '../../sim/answers.ts'
import { suite, temporary } from '../harness.ts'
import { profileText } from './profile.fixture.ts'

const test = suite('sim/world, slow')
const root = join(import.meta.dirname, '../..')
const LONG_MS = 240_000

function sim(...args: string[]): Answers {
  const out = execFileSync(process.execPath, [join(root, 'sim/main.ts'), '--json', ...args], {
    encoding: 'utf8',
  })
  return JSON.parse(out.trim().split('\n').at(-1)!)
}

const small = ['--nodes', '12', '--minutes', '3', '--seed', '7']

test(
  'a world answers what is asked of it, the same for the same seed and another for another',
  () => {
    using place = temporary()
    const file = join(place.path, 'report.html')
    const one = sim(...small, '--report', file)
    assert.equal(one.violations, [])
    assert.is(one.late, 0)
    assert.ok(one.messages > 1_000 && one.events >= one.messages)
    assert.ok(one.messagesPerSecond > 0 && one.eventsPerSecond > 0 && one.wallMs > one.setupMs)
    assert.ok(one.peakRssBytes > 2 ** 25)
    assert.ok(one.packetsPerSecond > 0.1 && one.latencyMs.publish!.p50 > 0 && one.headFinalMs!.p50 > 1)
    assert.ok(one.bytesPerNode.median > 0 && one.bytesPerNode.p99 >= one.bytesPerNode.median)
    assert.ok(one.messagesPerNode.smallest > 0 && one.storageGrowth.median > 0)
    assert.match(one.bottleneck.name, /participant/)
    assert.match(
      one.said.join('\n'),
      /signatures charged: a stand-in .*no run with them shows anything of forgery/,
    )
    assert.match(readFileSync(file, 'utf8'), /workload default, per participant and hour/)
    const again = sim(...small)
    assert.is(again.traceHash, one.traceHash)
    assert.not(sim(...small.slice(0, 4), '--seed', '8').traceHash === one.traceHash)
    const other = join(place.path, 'profile.json')
    const profile = JSON.parse(profileText)
    profile.work.verify.eachUs += 50
    writeFileSync(other, JSON.stringify(profile))
    assert.not(sim(...small, '--profile', other).traceHash === one.traceHash)
  },
  LONG_MS,
)

test(
  'real signatures make the same world, but for what is signed',
  () => {
    const [charged, real] = [sim(...small), sim(...small, '--signatures', 'real')]
    assert.is(real.messages, charged.messages)
    assert.equal(real.latencyMs, charged.latencyMs)
    assert.ok(real.said.includes('signatures real'))
    assert.not(real.traceHash === charged.traceHash)
  },
  LONG_MS,
)

test(
  'every workload and topology does what it says',
  () => {
    const done: [workload: string, topology: string, what: (a: Answers) => number][] = [
      ['telemetry', 'steel', a => a.packetsPerSecond],
      ['files', 'automotive', a => a.latencyMs.transfer?.n ?? 0],
      ['negotiations', 'city', a => a.agreementsPerSecond],
      ['chains', 'random', a => a.handoversPerSecond],
      ['audits', 'city', a => a.latencyMs.audit?.n ?? 0],
      ['churn', 'random', a => a.packetsPerSecond],
      ['recall', 'steel', a => a.packetsPerSecond],
      ['flash', 'automotive', a => a.packetsPerSecond],
      ['theft', 'random', a => a.forkDetectionMs?.first ?? 0],
      ['forgery', 'steel', a => a.packetsPerSecond],
      ['replay', 'city', a => a.packetsPerSecond],
      ['flood', 'random', a => Number(a.messagesPerNode.p99 > 2 * a.messagesPerNode.median)],
      ['lookups', 'random', a => a.lookups?.found ?? 0],
    ]
    for (const [workload, topology, what] of done) {
      const answers = sim(
        '--nodes',
        '16',
        '--minutes',
        '6',
        '--seed',
        '3',
        '--workload',
        workload,
        '--topology',
        topology,
      )
      assert.equal(answers.violations, [], workload)
      assert.ok(what(answers) > 0, `${workload}: nothing came of it`)
    }
  },
  LONG_MS,
)

test('the stand-in for signatures is reached from nowhere but the simulator', () => {
  const text = (path: string) => readFileSync(join(root, path), 'utf8')
  for (const folder of ['crypto', 'protocol', 'node', 'sdk', 'sdk/cli'])
    for (const name of readdirSync(join(root, folder)).filter(each => each.endsWith('.ts')))
      assert.not.match(text(`${folder}/${name}`), /sim\/(charge|backend|sealing|meter)/, name)
  assert.not.match(text('package.json'), /sim\/(charge|backend|sealing)/)
})

test.run()
