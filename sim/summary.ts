/** The answers of a run for people: as lines of a terminal, and as a report. */
import type { Answers } from './answers.ts'
import type { Load, Spread } from './measures.ts'
import type { Report } from './report.ts'

type Row = [what: string, value: string]

const count = (value: number): string => value.toLocaleString('en', { maximumSignificantDigits: 6 })
const spread = (of: Spread | null, unit: string): string =>
  of ? `p50 ${count(of.p50)}, p95 ${count(of.p95)}, p99 ${count(of.p99)} ${unit} (${count(of.n)})` : 'none'
const load = (of: Load): string =>
  `median ${count(of.median)}, p99 ${count(of.p99)}, smallest member ${count(of.smallest)}`

function rows(a: Answers): Row[] {
  return [
    ['packets a second', count(a.packetsPerSecond)],
    ['agreements a second', count(a.agreementsPerSecond)],
    ['hand-overs a second', count(a.handoversPerSecond)],
    ['messages per participant', load(a.messagesPerNode)],
    ['bytes per participant', load(a.bytesPerNode)],
    ['storage growth, bytes an hour', load(a.storageGrowth)],
    ...Object.entries(a.latencyMs).map(([what, of]): Row => [what, spread(of, 'ms')]),
    ['head final', spread(a.headFinalMs, 'ms')],
    [
      'fork detection',
      a.forkDetectionMs
        ? `first ${a.forkDetectionMs.first}, all ${a.forkDetectionMs.all} ms`
        : 'no fork in this run',
    ],
    ...lookupRows(a),
    ['refused, late', `${a.refused}, ${a.late}`],
    ['bottleneck', `${a.bottleneck.name}: busy ${(a.bottleneck.share * 100).toFixed(1)} % of the time`],
  ]
}

function lookupRows({ lookups }: Answers): Row[] {
  if (!lookups) return []
  return [
    [
      'lookups',
      `${count(lookups.lookups)}, found ${(lookups.found * 100).toFixed(1)} %, ${spread(lookups.ms, 'ms')}`,
    ],
    ['lookup hops', spread(lookups.hops, '')],
    ['lookup questions', spread(lookups.questions, '')],
  ]
}

const simulated = (a: Answers): Row[] => [
  ['trace hash', a.traceHash],
  ['violations', a.violations.length === 0 ? 'none' : a.violations.join('; ')],
  ['simulated', `${count(a.messagesPerSecond)} messages/s, ${count(a.eventsPerSecond)} events/s`],
  [
    'took',
    `${(a.wallMs / 1_000).toFixed(1)} s, ${(a.setupMs / 1_000).toFixed(1)} s of it to set up; ${count(a.peakRssBytes / 2 ** 20)} MiB`,
  ],
]

const titleOf = (a: Answers): string =>
  `${count(a.nodes)} participants, ${a.minutes} minutes, topology ${a.topology}, workload ${a.workload}, seed ${a.seed}`

export function linesOf(a: Answers): string[] {
  const all = [...rows(a), ...simulated(a)]
  const width = Math.max(...all.map(([what]) => what.length))
  return [titleOf(a), ...a.said, '', ...all.map(([what, value]) => `${what.padEnd(width)}  ${value}`)]
}

export function htmlOf(a: Answers): Report {
  const kinds = Object.entries({ ...a.latencyMs, 'head final': a.headFinalMs })
  const work = Object.entries(a.work).filter(([, share]) => share > 0)
  const lines = kinds.flatMap(([name, of]) =>
    of
      ? [
          {
            name,
            points: [
              [50, of.p50],
              [95, of.p95],
              [99, of.p99],
              [100, of.max],
            ] as [number, number][],
          },
        ]
      : [],
  )
  return {
    title: titleOf(a),
    said: a.said,
    tables: [
      { title: 'The mesh', head: ['what', 'figure'], rows: rows(a) },
      {
        title: 'How the CPU was spent',
        head: ['work', 'share, %'],
        rows: work.map(([what, share]) => [what, share * 100]),
      },
      { title: 'The simulation', head: ['what', 'figure'], rows: simulated(a) },
    ],
    plots: [{ title: 'Latency', x: { label: 'percentile' }, y: { label: 'ms', log: true }, lines }],
  }
}
