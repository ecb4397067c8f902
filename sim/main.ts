/**
 * Runs seeds and says how they went: `node sim/main.ts [--seed N] [--seeds COUNT] [--changes JSON]`, the changes being
 * fields of a plan. The exit code is 1 after a violation.
 */
import { parseArgs } from 'node:util'
import { replay, simulate } from './run.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    changes: { type: 'string', default: '{}' },
  },
})
const [first, count, changes] = [whole('seed'), whole('seeds'), JSON.parse(values.changes)]
const startedMs = performance.now()
let [inputs, messages, violations] = [0, 0, 0]
for (let seed = first; seed < first + count; seed++) {
  const report = simulate(seed, { changes })
  inputs += report.inputs
  messages += report.messages
  if (count === 1) console.log(JSON.stringify(report))
  if (!report.violation) continue
  violations++
  console.log(replay(report))
}
const seconds = (performance.now() - startedMs) / 1_000
console.log(
  `${count} seeds, ${violations} violations, ${inputs} inputs, ${messages} messages in ${seconds.toFixed(1)} s: ` +
    `${Math.round(inputs / seconds)} inputs/s`,
)
process.exitCode = violations > 0 ? 1 : 0

function whole(option: 'seed' | 'seeds'): number {
  const number = Number(values[option])
  if (Number.isSafeInteger(number) && number >= 0) return number
  console.error(`--${option} ${values[option]}: not a whole number`)
  process.exit(2)
}
