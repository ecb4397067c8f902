/** `waybill backup` and `waybill restore`: a home in one encrypted file, and what a home made of it may do. */
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { askPassphrase, givenPassphrase } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { usage } from './problem.ts'
import { when } from './words.ts'

interface Options {
  recipient?: string
  identity?: string
  passphraseFile?: string
  moved?: boolean
}

const IN = 'in it: keys, identity, settings, records, log, agreements, receipts, and the keys of the bodies'
const OUT =
  'not in it: content (publish it again, or receive it again under its agreements), the API token, and whatever came later'

export async function backup(cli: Cli, options: Options, file: string): Promise<Answer> {
  const path = resolve(file)
  const to =
    options.recipient === undefined
      ? { passphrase: (await givenPassphrase(options.passphraseFile)) ?? (await askPassphrase(cli)) }
      : { recipient: options.recipient }
  await using waybill = await cli.connect()
  const made = await waybill.backup({ path, ...to }, { signal: cli.signal })
  const who = 'recipient' in to ? `the holder of ${to.recipient}` : 'whoever knows the passphrase'
  return answer({
    schema: 'waybill.backup/1',
    data: made,
    text: () => [`${path}: ${made.name} at ${made.size} entries, for ${who}`, IN, OUT].join('\n'),
    next: 'keep it on another machine; waybill restore FILE makes a home of it',
  })
}

export async function restore(cli: Cli, options: Options, file?: string): Promise<Answer> {
  if (options.moved) return moved(cli)
  if (file === undefined)
    throw usage('restore needs the backup', 'waybill restore FILE, or waybill restore --moved')
  const { restoreHome } = await import('../../node/backup.ts')
  const key =
    options.identity === undefined
      ? { passphrase: (await givenPassphrase(options.passphraseFile)) ?? (await askPassphrase(cli)) }
      : { identity: identityIn(await readFile(options.identity, 'utf8')) }
  const about = await restoreHome(cli.home, resolve(file), key)
  const lines = [
    `${cli.home}: ${about.name} as of ${when(about.madeMs)}, ${about.size} entries`,
    OUT,
    'what was redacted on this machine since is erased again before the node serves; tickets that were out are void',
    'the log goes on only as the members of its committee promise it; without members it never goes on here',
  ]
  return answer({
    schema: 'waybill.restored/1',
    data: about,
    text: () => lines.join('\n'),
    next: 'waybill up, then waybill status',
  })
}

async function moved(cli: Cli): Promise<Answer> {
  const { saidMoved } = await import('../../node/moved.ts')
  const size = await saidMoved(cli.home)
  return answer({
    schema: 'waybill.moved/1',
    data: { home: cli.home, size },
    text: () => `${cli.home} is where this home runs now, on your word: the log goes on at ${size} entries`,
    next: 'waybill up',
  })
}

const identityIn = (text: string): string =>
  text.split(/\r?\n/).find(line => line.startsWith('AGE-SECRET-KEY-')) ?? ''
