/** A process of its own for `burst`: asked in JSON for bursts of several sizes, it answers in JSON; sim/charge.ts comes first. */
import { type BurstOptions, burst } from './burst.ts'

const asked = JSON.parse(process.argv[2]!) as BurstOptions[]
console.log(JSON.stringify(asked.map(burst)))
