/** Commands about logs that were forked: which there are, their proofs as files, and what such a file proves. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ForkView } from '../../node/schema.ts'
import type { Fork } from '../../protocol/fork.ts'
import type { IdentityFork } from '../../protocol/identity-fork.ts'
import type { Head } from '../../protocol/log.ts'
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { EXITS } from './exit.ts'
import { shortOrg } from './words.ts'

export async function forks(
  cli: Cli,
  options: { output?: string; check?: string; trust?: string },
): Promise<Answer> {
  if (options.check !== undefined) return check(cli, options.check, options.trust)
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

/** Needs no daemon or network: whoever is accused has signed both. Who that is, and which of its keys have ended, the trust file says. */
async function check(cli: Cli, file: string, trustFile: string | undefined): Promise<Answer> {
  const { readTrustFile } = await import('./verify.ts')
  const { verifyFork } = await import('../verify.ts')
  const report = await verifyFork(new Uint8Array(await readFile(file)), await readTrustFile(cli, trustFile))
  const { steps, verdict, trustDigest, log, identity } = report
  const open = steps.find(({ status }) => status !== 'ok')
  const found = log ?? identity
  if (!found) {
    const code = verdict === 'inconclusive' ? 'UNKNOWN_VERSION' : 'FORK_UNPROVEN'
    throw new WaybillError(code, `${file} proves nothing: ${open?.detail}`)
  }
  const of = { org: found.org.toString(), name: found.name, verdict, trustDigest }
  const says = log ? ofLog(log) : ofIdentity(identity!)
  return answer({
    schema: 'waybill.fork/1',
    data: { ...of, ...says.data, steps },
    text: () =>
      `${open ? `? ${open.detail}; ` : 'proven: '}${says.words}\n  trust ${trustDigest.slice(0, 16)}…`,
    exit: EXITS[verdict],
  })
}

function ofIdentity({ name, org, n, isSuccession }: IdentityFork) {
  const more = isSuccession ? ', which name a successor of its log each' : ''
  return {
    data: { of: 'identity', event: n },
    words: `the identity of ${name} (${org}) has two events ${n}${more}`,
  }
}

function ofLog({ name, org, older, newer }: Fork) {
  const heads = `heads of ${older.size} and ${newer.size} entries that cannot both be of one log`
  return {
    data: { of: 'log', size: older.size, newerSize: newer.size },
    words: `the log of ${name} (${org}) has two histories: ${heads} are signed ${byKeys(older, newer)}`,
  }
}

/** The file has the events that the accuser shows: whoever revoked the key later did not sign what a thief did. */
function byKeys(...heads: Head[]): string {
  const epochs = [...new Set(heads.map(({ signer }) => signer.epoch))]
  const keys = epochs.map(epoch => (epoch === 0 ? 'its first log key' : `its log key of event ${epoch}`))
  return `by ${keys.join(' and ')}, unless that was revoked in an event that the file leaves out`
}
