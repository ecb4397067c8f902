/** Commands about logs that were forked: which there are, their proofs as files, and what such a file proves. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ForkView } from '../../node/schema.ts'
import type { Head } from '../../protocol/log.ts'
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { shortOrg } from './words.ts'

export async function forks(cli: Cli, options: { output?: string; check?: string }): Promise<Answer> {
  if (options.check !== undefined) return check(options.check)
  await using waybill = await cli.connect()
  const items = await waybill.forks({ signal: cli.signal })
  const files = options.output === undefined ? [] : await save(items, options.output)
  const { table } = await import('./table.ts')
  const rows = items.map(item => [item.of, item.name, shortOrg(item.org), contradiction(item)])
  return answer({
    schema: 'waybill.forks/1',
    data: { items, files },
    text: () => [table(['FORKED', 'OF', 'ID', 'WHAT CONTRADICTS'], rows), ...files].join('\n'),
    ...(items.some(({ proof }) => proof) && files.length === 0
      ? { next: 'waybill forks -o DIRECTORY   for the proofs' }
      : {}),
  })
}

function contradiction({ of, size, newerSize, event, here }: ForkView): string {
  if (of === 'identity') return `two events ${event}`
  return here ? `two heads from ${size}, of two keys: at this node only` : `heads of ${size} and ${newerSize}`
}

/** A proof for each log: anybody checks it alone. */
async function save(items: ForkView[], directory: string): Promise<string[]> {
  const names: string[] = []
  for (const { org, of, proof } of items) {
    if (!proof) continue
    const kind = of === 'log' ? 'fork' : 'identity.fork'
    // A log that was forked may have a successor that was.
    const before = names.filter(name => name.endsWith(`.${kind}`) && name.includes(org)).length
    const name = join(directory, before > 0 ? `${org}.${before + 1}.${kind}` : `${org}.${kind}`)
    await writeFile(name, Buffer.from(proof, 'base64'), { flag: 'wx' })
    names.push(name)
  }
  return names
}

/** Needs no home, daemon, network or trust file: whoever is accused has signed both. */
async function check(file: string): Promise<Answer> {
  const { readFork } = await import('../../protocol/fork.ts')
  const { readIdentityFork } = await import('../../protocol/identity-fork.ts')
  const proof = new Uint8Array(await readFile(file))
  const identity = readIdentityFork(proof)
  const fork = typeof identity === 'string' ? readFork(proof) : identity
  if (typeof fork === 'string') throw new WaybillError('FORK_UNPROVEN', `${file} proves nothing: ${fork}`)
  const { org, name } = fork
  const of = { org: org.toString(), name }
  if ('n' in fork)
    return proven({ of: 'identity', ...of, event: fork.n }, [
      `the identity of ${name} (${org}) has two events ${fork.n}`,
      fork.isSuccession ? ', which name a successor of its log each' : '',
    ])
  const { older, newer } = fork
  return proven({ of: 'log', ...of, size: older.size, newerSize: newer.size }, [
    `the log of ${name} (${org}) has two histories: `,
    `heads of ${older.size} and ${newer.size} entries that cannot both be of one log are signed ${byKeys(older, newer)}`,
  ])
}

/** The file has the events that the accuser shows: whoever revoked the key later did not sign what a thief did. */
function byKeys(...heads: Head[]): string {
  const epochs = [...new Set(heads.map(({ signer }) => signer.epoch))]
  const keys = epochs.map(epoch => (epoch === 0 ? 'its first log key' : `its log key of event ${epoch}`))
  return `by ${keys.join(' and ')}, unless that was revoked in an event that the file leaves out`
}

const proven = (data: { org: string; name: string } & Record<string, unknown>, words: string[]): Answer =>
  answer({ schema: 'waybill.fork/1', data, text: () => `proven: ${words.join('')}` })
