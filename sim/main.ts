/**
 * Runs seeds and says how they went: `node sim/main.ts [--seed N] [--seeds COUNT] [--changes JSON] [--mixed f|f+1] [--append FILE]`,
 * the changes being fields of a plan. The exit code is 1 after a violation.
 */
import { parseArgs } from 'node:util'
import { runSeeds } from './seeds.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    changes: { type: 'string', default: '{}' },
    mixed: { type: 'string' },
    append: { type: 'string' },
  },
})
const [first, count, changes] = [whole('seed'), whole('seeds'), JSON.parse(values.changes)]
const { mixed, append } = values
if (mixed !== undefined && mixed !== 'f' && mixed !== 'f+1') {
  console.error(`--mixed ${mixed}: f or f+1`)
  process.exit(2)
}
const { seeds, violations, inputs, messages, seconds } = runSeeds({
  first,
  count,
  changes,
  ...(mixed ? { mixed } : {}),
  ...(append ? { append } : {}),
})
console.log(
  `${seeds} seeds, ${violations} violations, ${inputs} inputs, ${messages} messages in ${seconds} s`,
)
process.exitCode = violations > 0 ? 1 : 0

function whole(option: 'seed' | 'seeds'): number {
  const number = Number(values[option])
  if (Number.isSafeInteger(number) && number >= 0) return number
  console.error(`--${option} ${values[option]}: not a whole number`)
  process.exit(2)
}
