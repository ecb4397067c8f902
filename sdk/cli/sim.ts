/** What a mesh of many would do: runs the simulator in processes of its own. */
import type { Typed } from '../../sim/request.ts'
import type { Cli } from './cli.ts'
import { usage } from './problem.ts'

export async function sim(
  cli: Cli,
  { sizes, ...options }: Typed & { sizes?: string },
  gear: string | undefined,
): Promise<undefined> {
  const { nodes, minutes, topology, workload, seed, profile, latency, unit, signatures, report } = options
  const mesh = { nodes, minutes, topology, workload, seed, report, json: cli.json }
  try {
    if (gear === 'scale') {
      const { scale } = await import('../../sim/commands.ts')
      cli.exit = await scale(defined({ ...mesh, sizes }))
    } else if (gear !== undefined || sizes !== undefined)
      throw usage(`${gear ?? '--sizes'}: scale is the only gear here`, 'waybill sim --help')
    else {
      const { launch } = await import('../../sim/launch.ts')
      cli.exit = await launch(defined({ ...mesh, profile, latency, unit, signatures }))
    }
  } catch (error) {
    if ((error as Error).name === 'SimError') throw usage((error as Error).message, 'waybill sim --help')
    throw error
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> }
const defined = <T extends object>(options: T): Defined<T> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<T>
