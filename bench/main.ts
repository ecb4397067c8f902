/** `npm run bench -- transfer | memory | log | entries | negotiation | ownership | discovery [--rounds N] [--size MIB] [--json]`: how fast, against what limit. */
import { parseArgs } from 'node:util'
import { discovery } from './discovery.ts'
import { entries } from './entries.ts'
import { type Figure, machine, type Result } from './harness.ts'
import { log } from './log.ts'
import { negotiation } from './negotiation.ts'
import { ownership } from './ownership.ts'
import { memory, transfer } from './transfer.ts'

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    /** MiB of the file of `transfer`. */
    size: { type: 'string', default: '256' },
  },
})
const rounds = Number(values.rounds)
const runs: Record<string, () => Promise<Result>> = {
  transfer: () => transfer(rounds, Number(values.size)),
  /** Takes a minute or two and 8 GiB of disk. */
  memory,
  log: () => log(rounds, 50_000),
  /** A log of a million entries; takes a minute or two. The last size ends at the same place in its tile as the first. */
  entries: () => entries([10_000, 100_000, 1_002_000], Math.max(rounds, 15)),
  negotiation: () => negotiation(rounds, 1_000),
  /** Takes some minutes. */
  ownership: () => ownership(rounds, 800),
  /** The simulator's model beside real networks; takes some minutes. */
  discovery: () => discovery([30, 60, 100, 200]),
}
const run = runs[positionals[0] ?? '']
if (!run || positionals.length > 1 || !(rounds >= 1)) {
  console.error(`usage: npm run bench -- ${Object.keys(runs).join(' | ')} [--rounds N] [--size MIB] [--json]`)
  process.exit(2)
}
const { figures, ratios } = await run()
console.log(machine())
for (const [name, figure] of Object.entries(figures)) console.log(row(name, figure))
for (const [name, ratio] of Object.entries(ratios)) console.log(`${name.padEnd(44)} ${ratio}`)
if (values.json)
  console.log(JSON.stringify({ schema: 'waybill.bench/1', machine: machine(), figures, ratios }))

function row(name: string, { unit, median, min, max, n }: Figure): string {
  return `${name.padEnd(44)} ${median} ${unit} [${min} .. ${max}] n=${n}`
}
