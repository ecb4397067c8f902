/**
 * `npm run sim -- --nodes N …` runs a world of many: sim/request.ts has its options. Otherwise runs seeds of a small mesh
 * with faults and says how they went: `[--seed N] [--seeds COUNT] [--changes JSON]`, the changes being fields of a plan. The
 * exit code is 1 after a violation.
 */
import { parseArgs } from 'node:util'
import { SimError } from './error.ts'
import { launch } from './launch.ts'
import { OPTIONS } from './request.ts'
import { replay, simulate } from './run.ts'

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  try {
    const { values } = parseArgs({
      args,
      options: { ...OPTIONS, seeds: { type: 'string' }, changes: { type: 'string' } },
    })
    const { seeds, changes, ...typed } = values
    const isWorld = Object.keys(typed).some(name => name !== 'seed')
    if (!isWorld)
      return runSeeds(whole('seed', typed.seed), whole('seeds', seeds), JSON.parse(changes ?? '{}'))
    if (seeds !== undefined || changes !== undefined)
      throw new SimError('REQUEST_INVALID', '--seeds and --changes are of runs without --nodes')
    return await launch(typed)
  } catch (error) {
    const { code, message } = error as SimError
    if (!(error instanceof SimError) && !String(code).startsWith('ERR_PARSE_ARGS')) throw error
    console.error(message)
    return 2
  }
}

function runSeeds(first: number, count: number, changes: object): number {
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
  return violations > 0 ? 1 : 0
}

function whole(option: 'seed' | 'seeds', text = '1'): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new SimError('REQUEST_INVALID', `--${option} ${text}: not a whole number`)
}
