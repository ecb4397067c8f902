/**
 * `npm run sim:ownership -- --seed 1 --seeds 1000 -o FILE`: as many seeds of ownership as asked for, with one line of totals
 * for each 25, appended to the file as it is made, so that a long run may be made in pieces.
 */
import { appendFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type OwnershipReport, simulateOwnership } from './ownership-run.ts'

const BATCH = 25

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    output: { type: 'string', short: 'o' },
  },
})
const first = Number(values.seed)
const end = first + Number(values.seeds)
let broken = 0
for (let seed = first; seed < end; seed += BATCH) {
  const seeds = Math.min(BATCH, end - seed)
  const reports = Array.from({ length: seeds }, (_, i) => simulateOwnership(seed + i))
  const line = JSON.stringify({ first: seed, seeds, ...totals(reports) })
  console.log(line)
  if (values.output) appendFileSync(values.output, `${line}\n`)
  broken += reports.filter(({ violation }) => violation).length
}
process.exitCode = broken > 0 ? 1 : 0

function totals(reports: OwnershipReport[]) {
  const sum = (of: (report: OwnershipReport) => number) => reports.reduce((all, each) => all + of(each), 0)
  return {
    certified: sum(({ certified }) => certified),
    joint: sum(({ joint }) => joint),
    bought: sum(({ bought }) => bought),
    reseated: sum(({ reseated }) => reseated),
    agreed: sum(({ agreed }) => agreed),
    crashes: sum(({ starts, nodes }) => starts - nodes),
    frozen: sum(({ frozen }) => (frozen > 0 ? 1 : 0)),
    violations: reports.flatMap(({ seed, violation }) => (violation ? [`${seed}: ${violation}`] : [])),
  }
}
