import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { ACTIVITIES, readActivity, wordsOf } from '../../sim/activity.ts'
import { barOf } from '../../sim/progress-bar.ts'
import { readRequest, type Typed } from '../../sim/request.ts'
import { suite, temporary, throwsCode } from '../harness.ts'

const test = suite('sim/request')

test('what is left out has a default, and a drawn seed is told', () => {
  const { minutes, topologyName, workload, signatures, seed, topology } = readRequest({ nodes: '10' })
  assert.equal([minutes, topologyName, workload, signatures], [10, 'random', 'default', 'charged'])
  assert.is(topology.participants.length, 10)
  assert.ok(Number.isSafeInteger(seed))
  assert.is(readRequest({ nodes: '10', workload: 'lookups' }).activity, undefined)
})

test('measured latencies stand in the place of regions, in the unit that was named', () => {
  using place = temporary()
  const latency = join(place.path, 'matrix')
  writeFileSync(latency, '0 10\n30 0\n')
  assert.is(readRequest({ nodes: '2' }).latency, undefined)
  const delays = ['one-way-ms', 'rtt-ms', 'rtt-s'].map(unit => {
    const { of, said } = readRequest({ nodes: '2', latency, unit }).latency!
    assert.match(said, new RegExp(`^latencies of matrix, which are ${unit};`))
    return [of(0, 1), of(1, 0)]
  })
  assert.equal(delays, [
    [10_000, 30_000],
    [5_000, 15_000],
    [5_000_000, 15_000_000],
  ])
})

test('what cannot be run is refused before the run, and why', () => {
  using place = temporary()
  const folder = place.path
  const file = (name: string, text: string) => {
    const path = join(folder, name)
    writeFileSync(path, text)
    return path
  }
  const three = { participants: [{ name: 'a' }, { name: 'b' }, { name: 'c' }], partners: [[0, 1]] }
  const cases: [Typed, string, RegExp][] = [
    [{}, 'REQUEST_INVALID', /^--nodes N is missing/],
    [{ nodes: '1' }, 'REQUEST_INVALID', /^--nodes 1: a whole number from 2 to 200000 is expected$/],
    [{ nodes: 'many' }, 'REQUEST_INVALID', /^--nodes many: /],
    [{ nodes: '5', minutes: '0' }, 'REQUEST_INVALID', /^--minutes 0: a whole number from 1 to 10080/],
    [{ nodes: '5', seed: '-1' }, 'REQUEST_INVALID', /^--seed -1: /],
    [{ nodes: '5', signatures: 'none' }, 'REQUEST_INVALID', /^--signatures none: charged or real/],
    [{ nodes: '5', unit: 'ms' }, 'REQUEST_INVALID', /^--unit ms: one of one-way-ms, rtt-ms, rtt-s$/],
    [{ nodes: '5', latency: join(folder, 'no') }, 'REQUEST_INVALID', /^--latency .*: no file$/],
    [{ nodes: '5', latency: file('l', '0 1\n1') }, 'LATENCY_INVALID', /row 2 has 1 numbers, not 2$/],
    [
      { nodes: '5', report: join(folder, 'no/r.html') },
      'REQUEST_INVALID',
      /^--report .*: there is no folder /,
    ],
    [
      { nodes: '5', topology: 'ring' },
      'REQUEST_INVALID',
      /^--topology ring: none of automotive, steel, city, random, and no file$/,
    ],
    [{ nodes: '5', topology: folder }, 'REQUEST_INVALID', /: cannot be read \(EISDIR\)$/],
    [{ topology: file('t', '{') }, 'TOPOLOGY_INVALID', /^is no JSON: /],
    [
      { topology: file('p', '{"participants":[],"partners":[]}') },
      'TOPOLOGY_INVALID',
      /^participants: a list of 2 to/,
    ],
    [{ nodes: '4', topology: file('3', JSON.stringify(three)) }, 'REQUEST_INVALID', /has 3 participants$/],
    [
      { nodes: '5', workload: 'idle' },
      'REQUEST_INVALID',
      /^--workload idle: none of default, .*, lookups, and no file$/,
    ],
    [{ nodes: '5', workload: file('w', '[]') }, 'WORKLOAD_INVALID', /an object is expected$/],
    [
      { nodes: '5', workload: file('x', '{"name":"x","publishes":61}') },
      'WORKLOAD_INVALID',
      /publishes: a number from 0 to 60/,
    ],
    [
      { nodes: '5', workload: file('h', '{"name":"x","hostility":"withholds"}') },
      'WORKLOAD_INVALID',
      /hostility: one of forges, replays, floods is expected$/,
    ],
    [{ nodes: '5', profile: join(folder, 'none') }, 'REQUEST_INVALID', /^--profile .*: no file$/],
    [{ nodes: '5', profile: file('q', '{}') }, 'PROFILE_INVALID', /'schema' is missing$/],
    [
      { nodes: '199999', minutes: '600' },
      'MEMORY_SHORT',
      /^199999 participants for 600 minutes take about .* GiB can be had/,
    ],
  ]
  for (const [typed, code, message] of cases) {
    const error = throwsCode(() => readRequest(typed), code)
    assert.match(error.message, message)
  }
})

test('a workload of a file differs from nothing at all by what it says', () => {
  const { publishes, batches, name } = readActivity('{"name":"files","publishes":3}')
  assert.equal([name, publishes, batches], ['files', 3, 0])
  assert.is(
    wordsOf(ACTIVITIES.default!),
    'workload default, per participant and hour: 6 publishes of 65536 bytes, 60 batches of readings of 2048 bytes, 2 negotiations and transfers, 0.1 hand-overs',
  )
  for (const [text, message] of [
    ['{"name":""}', 'the workload: name: a text is expected'],
    ['{"name":"a","spam":1}', "the workload: 'spam' is no field of it"],
    ['{"name":"a","isFlash":1}', 'the workload: isFlash: true or false is expected'],
    [
      '{"name":"a","batchBytes":0}',
      'the workload: batchBytes: a whole number from 1 to 1073741824 is expected',
    ],
  ])
    throwsCode(() => readActivity(text!), 'WORKLOAD_INVALID', message)
})

test('the bar says how far it is and how long it takes', () => {
  assert.is(barOf('run', 0.5, 30_000), `run      ${'#'.repeat(15)}${'.'.repeat(15)} 50 % 30 s left`)
  assert.is(barOf('set up', 0.1, 30_000), `set up   ${'#'.repeat(3)}${'.'.repeat(27)} 10 % 4 min 30 s left`)
  assert.is(barOf('run', 0, 0), `run      ${'.'.repeat(30)} 0 % `)
})

test.run()
