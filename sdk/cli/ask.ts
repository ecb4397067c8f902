/** Questions to the person at the terminal. Each has a flag that answers it beforehand. */
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { WaybillError } from '../error.ts'
import type { Cli } from './cli.ts'
import { plain } from './words.ts'

/** The answer to a question; `flag` is what to pass where nobody can be asked (INPUT_REQUIRED). */
export async function ask(cli: Cli, question: string, flag: string, hidden = false): Promise<string> {
  if (!cli.canAsk)
    throw new WaybillError('INPUT_REQUIRED', `this needs an answer: ${plain(question)}`, { hint: flag })
  cli.progress('')
  process.stderr.write(`${plain(question)} `)
  // Readline echoes what is typed to its output: what must not be seen goes nowhere.
  const output = hidden ? new Writable({ write: (_chunk, _encoding, done) => done() }) : process.stderr
  const reader = createInterface({ input: process.stdin, output, terminal: true })
  // In raw mode ^C is a key, and readline's.
  reader.on('SIGINT', () => process.emit('SIGINT'))
  try {
    return await reader.question('', { signal: cli.signal })
  } finally {
    reader.close()
    if (hidden) process.stderr.write('\n')
  }
}

/** Whether the person says yes; --yes says it beforehand. */
export async function confirm(cli: Cli, question: string): Promise<boolean> {
  if (cli.yes) return true
  return /^y(es)?$/i.test((await ask(cli, `${question} (y/N)`, 'say so with --yes')).trim())
}

/** The passphrase of a file or of WAYBILL_PASSPHRASE; undefined where neither is given. */
export async function givenPassphrase(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return process.env.WAYBILL_PASSPHRASE || undefined
  const [line] = (await readFile(file, 'utf8')).split(/\r?\n/)
  if (!line) throw new WaybillError('USAGE', `${file} has no passphrase in its first line`)
  return line
}

export const askPassphrase = (cli: Cli): Promise<string> =>
  ask(cli, 'Passphrase of the keys:', 'pass --passphrase-file FILE, or set WAYBILL_PASSPHRASE', true)
