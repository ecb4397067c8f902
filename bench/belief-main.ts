/**
 * What the simulator needs to have measured, for `npm run sim` starts it as a child: `calibrate [ROUNDS]` gives the profile of
 * this machine in JSON, and `real N` what N daemons do. `measure SAMPLES [SIZES]` measures one turn of everything and adds it
 * to a file; `compare SAMPLES PROFILE` says what the simulator predicts beside it, as a table, and writes the profile by which it does.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { type Belief, belief, calibrate, errorsOf, measure, type Sample, SIZES } from './belief.ts'
import { CONTENT_BYTES, KINDS, real } from './real.ts'

const ROUNDS = 3
const FIGURES = { perSecond: 'per second', p50Ms: 'p50, ms', p95Ms: 'p95, ms' } as const

const [what = '', first, second] = process.argv.slice(2)
const does: Record<string, () => Promise<void> | void> = {
  calibrate: async () => console.log(JSON.stringify(await calibrate(Number(first ?? ROUNDS)), null, 1)),
  real: () => told(Number(first)),
  measure: () =>
    measure(
      sample => appendFileSync(first!, `${JSON.stringify(sample)}\n`),
      second?.split(',').map(Number) ?? SIZES,
    ),
  compare: () => {
    const lines = readFileSync(first!, 'utf8').trim().split('\n')
    const found = belief(lines.map(line => JSON.parse(line) as Sample))
    writeFileSync(second!, `${JSON.stringify(found.profile, null, 1)}\n`)
    compared(found)
  },
}
if (does[what]) await does[what]()
else {
  console.error(`usage: node bench/belief-main.ts ${Object.keys(does).join(' | ')}`)
  process.exitCode = 2
}

async function told(count: number): Promise<void> {
  const works = await real(count)
  console.log(
    `${count} daemons, one after the other each: publishes of ${CONTENT_BYTES} bytes, negotiations, transfers`,
  )
  for (const kind of KINDS) {
    const { perSecond, p50Ms, p95Ms, cpuMs } = works[kind]
    const times = `p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms, CPU ${cpuMs.toFixed(1)} ms each`
    console.log(`${kind.padEnd(12)} ${perSecond.toFixed(1)}/s, ${times}`)
  }
  console.log(JSON.stringify({ schema: 'waybill.sim-real/1', nodes: count, works }))
}

function compared({ cells, rounds, profile }: Belief): void {
  console.log(
    `${profile.machine}, Node ${profile.node}, ${profile.date}; ${rounds} rounds, each predicted from its own primitives and its own two daemons; medians\n`,
  )
  console.log(
    '| daemons | what | figure | real | predicted | error | others had |\n| --- | --- | --- | --- | --- | --- | --- |',
  )
  for (const { daemons, kind, figure, real: was, predicted, error, others } of cells) {
    const off = `${error > 0 ? '+' : ''}${(error * 100).toFixed(0)} %`
    const own = daemons === 2 ? ' (calibrated on it)' : ''
    console.log(
      `| ${daemons} | ${kind} | ${FIGURES[figure]} | ${was.toFixed(1)} | ${predicted.toFixed(1)} | ${off}${own} | ${(others * 100).toFixed(0)} % |`,
    )
  }
  const errors = errorsOf(cells)
  const percent = (error: number) => `${(error * 100).toFixed(0)} %`
  console.log(
    `\nMedian error out of sample (4, 8 and 16 daemons): throughput ${percent(errors.perSecond)}, p50 ${percent(errors.p50Ms)}, p95 ${percent(errors.p95Ms)}.`,
  )
}
