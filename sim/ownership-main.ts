/** `npm run check:ownership [-- --json]`: that nobody can sell twice, and that the check would see it if somebody could. */
import { parseArgs } from 'node:util'
import { check, type Rules, SHIPPED, type Tally } from './ownership-check.ts'

const SEATS = 7
/** What is wrong shows with few seats. */
const UNSAFE_SEATS = 3

const { values } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const safe = check(SHIPPED, SEATS)
say('as shipped', safe)
const unsafe: Tally = { worlds: 0, violations: 0 }
let blind = false
for (const rule of Object.keys(SHIPPED) as (keyof Rules)[]) {
  const tally = check({ ...SHIPPED, [rule]: false }, UNSAFE_SEATS)
  say(`without ${rule}`, tally)
  unsafe.worlds += tally.worlds
  unsafe.violations += tally.violations
  blind ||= tally.violations === 0
}
if (values.json) console.log(JSON.stringify({ safe, unsafe }))
process.exitCode = safe.violations > 0 || blind ? 1 : 0

function say(what: string, { worlds, violations }: Tally): void {
  console.log(`${what.padEnd(20)} ${String(worlds).padStart(9)} worlds, ${violations} with two certificates`)
}
