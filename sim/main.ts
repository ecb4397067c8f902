/**
 * `npm run sim -- --nodes N …` runs a world of many: sim/request.ts has its options. `calibrate [--profile FILE]`, `real
 * --nodes N`, `sweep --over nodes|seats|lossPpm|liarsPpm [--values A,B] [--latency FILE --unit U] [--report FILE]` and `scale --nodes N [--sizes A,B,C]
 * [--report FILE]` are in sim/commands.ts. Otherwise runs seeds of a small mesh with faults and says how they went: `[--seed N] [--seeds COUNT] [--changes JSON]
 * [--mixed f|f+1] [--append FILE]`, the changes being fields of a plan. The exit code is 1 after a violation.
 */
import { parseArgs } from 'node:util'
import { calibrate, real, scale, sweep } from './commands.ts'
import { SimError } from './error.ts'
import { launch } from './launch.ts'
import { OPTIONS } from './request.ts'
import { runSeeds } from './seeds.ts'

/** Options of runs of seeds; a file that is named gets a line with the totals of each. */
const OF_SEEDS = {
  seeds: { type: 'string' },
  changes: { type: 'string' },
  mixed: { type: 'string' },
  append: { type: 'string' },
} as const
const OF_SWEEPS = {
  over: { type: 'string' },
  values: { type: 'string' },
  sizes: { type: 'string' },
} as const
type Typed = { [K in keyof typeof OF_SEEDS]?: string }

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: { ...OPTIONS, ...OF_SEEDS, ...OF_SWEEPS },
    })
    const [command, ...more] = positionals
    if (more.length > 0) throw new SimError('REQUEST_INVALID', `${more.join(' ')}: one command at a time`)
    if (command === 'calibrate') return await calibrate(values.profile)
    if (command === 'real') return await real(values.nodes)
    if (command === 'sweep') return await sweep(values)
    if (command === 'scale') return await scale(values)
    if (command !== undefined)
      throw new SimError('REQUEST_INVALID', `${command}: calibrate, real, sweep or scale is expected`)
    const { seeds, changes, mixed, append, ...typed } = values
    const isWorld = Object.keys(typed).some(name => name !== 'seed')
    if (!isWorld) return seedsOf(whole('seed', typed.seed), whole('seeds', seeds), values)
    if ([seeds, changes, mixed, append].some(each => each !== undefined))
      throw new SimError(
        'REQUEST_INVALID',
        '--seeds, --changes, --mixed and --append are of runs without --nodes',
      )
    return await launch(typed)
  } catch (error) {
    const { code, message } = error as SimError
    if (!(error instanceof SimError) && !String(code).startsWith('ERR_PARSE_ARGS')) throw error
    console.error(message)
    return 2
  }
}

function seedsOf(first: number, count: number, { changes = '{}', mixed, append }: Typed): number {
  if (mixed !== undefined && mixed !== 'f' && mixed !== 'f+1')
    throw new SimError('REQUEST_INVALID', `--mixed ${mixed}: f or f+1 is expected`)
  const { violations, inputs, messages, traceHash, seconds } = runSeeds({
    first,
    count,
    changes: JSON.parse(changes),
    ...(mixed ? { mixed } : {}),
    ...(append ? { append } : {}),
  })
  console.log(
    `${count} seeds, ${violations} violations, ${inputs} inputs, ${messages} messages, traces ${traceHash} in ${seconds} s`,
  )
  return violations > 0 ? 1 : 0
}

function whole(option: 'seed' | 'seeds', text = '1'): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new SimError('REQUEST_INVALID', `--${option} ${text}: not a whole number`)
}
