/** Commands about logs that were forked: which there are, their proofs as files, and what such a file proves. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ForkView } from '../../node/schema.ts'
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { shortOrg } from './words.ts'

export async function forks(cli: Cli, options: { output?: string; check?: string }): Promise<Answer> {
  if (options.check !== undefined) return check(options.check)
  await using waybill = await cli.connect()
  const items = await waybill.forks({ signal: cli.signal })
  const files = options.output === undefined ? [] : await save(items, options.output)
  const { table } = await import('./table.ts')
  const rows = items.map(({ name, org, size, newerSize }) => [
    name,
    shortOrg(org),
    `${size} and ${newerSize}`,
  ])
  return answer({
    schema: 'waybill.forks/1',
    data: { items, files },
    text: () => [table(['LOG OF', 'ID', 'HEADS THAT CONTRADICT'], rows), ...files].join('\n'),
    ...(items.length > 0 && files.length === 0
      ? { next: 'waybill forks -o DIRECTORY   for the proofs' }
      : {}),
  })
}

/** A proof for each log: anybody checks it alone. */
async function save(items: ForkView[], directory: string): Promise<string[]> {
  const files = items.map(({ org }) => join(directory, `${org}.fork`))
  for (const [i, { proof }] of items.entries())
    await writeFile(files[i]!, Buffer.from(proof, 'base64'), { flag: 'wx' })
  return files
}

/** Needs no home, daemon, network or trust file: whoever is accused has signed both heads. */
async function check(file: string): Promise<Answer> {
  const { readFork } = await import('../../protocol/fork.ts')
  const fork = readFork(new Uint8Array(await readFile(file)))
  if (typeof fork === 'string') throw new WaybillError('FORK_UNPROVEN', `${file} proves nothing: ${fork}`)
  const { org, name, older, newer } = fork
  const data = { org: org.toString(), name, size: older.size, newerSize: newer.size }
  return answer({
    schema: 'waybill.fork/1',
    data,
    text: () =>
      `proven: the log of ${name} (${data.org}) has two histories: it signed heads of ${data.size} and ${data.newerSize} entries that cannot both be of one log`,
  })
}
