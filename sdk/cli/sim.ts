/** What a mesh of many would do: runs the simulator in a process of its own. */
import type { Typed } from '../../sim/request.ts'
import type { Cli } from './cli.ts'
import { usage } from './problem.ts'

export async function sim(cli: Cli, options: Typed): Promise<undefined> {
  const { nodes, minutes, topology, workload, seed, profile, signatures, report } = options
  const typed = { nodes, minutes, topology, workload, seed, profile, signatures, report, json: cli.json }
  const given = Object.fromEntries(Object.entries(typed).filter(([, value]) => value !== undefined))
  const { launch } = await import('../../sim/launch.ts')
  try {
    cli.exit = await launch(given)
  } catch (error) {
    if ((error as Error).name === 'SimError') throw usage((error as Error).message, 'waybill sim --help')
    throw error
  }
}
