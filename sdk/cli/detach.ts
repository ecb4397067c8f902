/** `up --detach`: the daemon as a process of its own, and waiting until it is ready or has said why it is not. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { WaybillError } from '../error.ts'
import { homePaths } from '../home.ts'
import type { Cli } from './cli.ts'
import type { Ready, UpOptions } from './node.ts'
import type { ProblemDocument } from './problem.ts'

const START_MS = 60_000
const POLL_MS = 25
/** What a start prints before it is ready is far less. */
const MAX_OUTPUT_BYTES = 1_048_576

/**
 * Starts the daemon with `--json`, its output in `daemon.log`: the ready document or the error document that it prints
 * there is this command's own answer.
 */
export async function launch(cli: Cli, options: UpOptions, passphrase: string | undefined): Promise<Ready> {
  const { log } = homePaths(cli.home)
  mkdirSync(cli.home, { recursive: true, mode: 0o700 })
  const output = openSync(log, 'a', 0o600)
  const from = statSync(log).size
  const env = { ...process.env, ...(passphrase ? { WAYBILL_PASSPHRASE: passphrase } : {}) }
  const args = [join(import.meta.dirname, 'main.ts'), ...argumentsOf(cli, options)]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', output, output], env })
  closeSync(output)
  try {
    return await settled(cli, child, () => readDocument(log, from))
  } catch (error) {
    if (cli.signal.aborted) child.kill() // nobody would know that it runs
    throw error
  } finally {
    child.removeAllListeners()
    child.unref()
  }
}

function argumentsOf(cli: Cli, { name, listen, api }: UpOptions): string[] {
  return [
    '--home',
    resolve(cli.home),
    '--json',
    '--no-input',
    'up',
    ...(name ? ['--name', name] : []),
    ...(api ? ['--api', api] : []),
    ...(listen ? ['--listen', ...listen] : []),
  ]
}

async function settled(
  cli: Cli,
  child: ChildProcess,
  read: () => Ready | ProblemDocument | undefined,
): Promise<Ready> {
  let ended: string | undefined
  child.on('error', error => {
    ended = error.message
  })
  child.on('exit', (code, signal) => {
    ended = `it ended with ${signal ?? code}`
  })
  const deadline = Date.now() + START_MS
  for (;;) {
    const gone = ended
    const document = read()
    if (document && !('code' in document)) return document
    if (document) throw new WaybillError(document.code, document.message, document)
    const where = homePaths(cli.home).log
    if (gone)
      throw new WaybillError('INTERNAL', `the daemon did not start: ${gone}`, { hint: `look into ${where}` })
    if (Date.now() > deadline)
      throw new WaybillError('TIMED_OUT', 'the daemon is not ready yet', { hint: `look into ${where}` })
    cli.signal.throwIfAborted()
    await new Promise(wake => setTimeout(wake, POLL_MS))
  }
}

/** The first whole line since `from` that is a document of `up` or of an error; trace lines stand beside it. */
function readDocument(path: string, from: number): Ready | ProblemDocument | undefined {
  const line = readFrom(path, from)
    .split('\n')
    .slice(0, -1)
    .find(each => /^\{"schema":"waybill\.(up|error)\/1"/.test(each))
  if (line === undefined) return undefined
  const { schema: _, ...document } = JSON.parse(line)
  return document
}

/** Text that was added since `from` (bytes): what earlier runs left is not read again. */
function readFrom(path: string, from: number): string {
  const file = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(MAX_OUTPUT_BYTES)
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, from))
  } finally {
    closeSync(file)
  }
}
