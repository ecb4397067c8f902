/** `up --detach`: the daemon as a process of its own, and waiting until it is ready or has said why it is not. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { temporaryName } from '../../node/file.ts'
import { WaybillError } from '../error.ts'
import { homePaths } from '../home.ts'
import type { Cli } from './cli.ts'
import type { Ready, UpOptions } from './node.ts'
import type { ProblemDocument } from './problem.ts'

const START_MS = 60_000
const POLL_MS = 25
/** The document is far less. */
const MAX_OUTPUT_BYTES = 65_536

/**
 * Starts the daemon with `--json`, its trace in `daemon.log`: the ready document or the error document that it prints is
 * this command's own answer. It goes to a file without a name, as several starts may be under way on one home.
 */
export async function launch(cli: Cli, options: UpOptions, passphrase: string | undefined): Promise<Ready> {
  const { log } = homePaths(cli.home)
  mkdirSync(cli.home, { recursive: true, mode: 0o700 })
  const output = openUnnamed(log)
  const trace = openSync(log, 'a', 0o600)
  const env = { ...process.env, ...(passphrase ? { WAYBILL_PASSPHRASE: passphrase } : {}) }
  const args = [join(import.meta.dirname, 'main.ts'), ...argumentsOf(cli, options)]
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', output, trace], env })
  closeSync(trace)
  try {
    return await settled(cli, child, () => readDocument(output))
  } catch (error) {
    if (cli.signal.aborted) child.kill() // nobody would know that it runs
    throw error
  } finally {
    closeSync(output)
    child.removeAllListeners()
    child.unref()
  }
}

function openUnnamed(beside: string): number {
  const name = temporaryName(beside)
  const file = openSync(name, 'ax+', 0o600)
  rmSync(name)
  return file
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

/** The first whole line, once there is one. */
function readDocument(file: number): Ready | ProblemDocument | undefined {
  const buffer = Buffer.alloc(MAX_OUTPUT_BYTES)
  const [line, rest] = buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, 0)).split('\n')
  if (rest === undefined) return undefined
  const { schema: _, ...document } = JSON.parse(line!)
  return document
}
