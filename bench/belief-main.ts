/**
 * What the simulator needs to have measured, for `npm run sim` starts it as a child: `calibrate [WINDOWS]` gives the profile of
 * this machine in JSON, and `real N` what N daemons do. `measure SAMPLES [WINDOWS] [SIZES]` measures everything in turns and adds
 * it to a file; `compare SAMPLES PROFILE` says what the simulator predicts beside it, as a table, and writes the profile by which it does.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { type Belief, belief, calibrate, errorsOf, measure, type Sample, SIZES, WINDOWS } from './belief.ts'
import { CONTENT_BYTES, type Kind, real, type Work } from './real.ts'

const FIGURES = { perSecond: 'per second', p50Ms: 'p50, ms', p95Ms: 'p95, ms' } as const

const [what = '', first, second, third] = process.argv.slice(2)
const does: Record<string, () => Promise<void> | void> = {
  calibrate: async () => console.log(JSON.stringify(await calibrate(Number(first ?? WINDOWS)), null, 1)),
  real: () => told(Number(first)),
  measure: () =>
    measure(
      sample => appendFileSync(first!, `${JSON.stringify(sample)}\n`),
      third?.split(',').map(Number) ?? SIZES,
      Number(second ?? WINDOWS),
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
  console.log(
    `${count} daemons, one after the other each: publishes of ${CONTENT_BYTES} bytes, negotiations, transfers`,
  )
  const works: Partial<Record<Kind, Work>> = {}
  await real([count], 1, taken => {
    if ('proofMs' in taken) return
    const { kind, work } = taken
    works[kind] = work
    const { perSecond, p50Ms, p95Ms, cpuMs } = work
    const times = `p50 ${p50Ms.toFixed(1)} ms, p95 ${p95Ms.toFixed(1)} ms, CPU ${cpuMs.toFixed(1)} ms each`
    console.log(`${kind.padEnd(12)} ${perSecond.toFixed(1)}/s, ${times}`)
  })
  console.log(JSON.stringify({ schema: 'waybill.sim-real/1', nodes: count, works }))
}

function compared({ cells, windows, profile }: Belief): void {
  console.log(
    `${profile.machine}, Node ${profile.node}, ${profile.date}; medians of at least ${windows} windows\n`,
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
