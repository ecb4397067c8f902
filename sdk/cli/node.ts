/** Commands about the own node: make it, run it, stop it, ask how it is. */
import type { Daemon, DaemonOptions } from '../../node/daemon.ts'
import { fitHeapToBulk } from '../../node/heap.ts'
import type { Status } from '../../node/schema.ts'
import type { Log, Waybill } from '../connect.ts'
import { WaybillError } from '../error.ts'
import { homePaths, readEndpoint } from '../home.ts'
import { ask, askPassphrase, givenPassphrase } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { launch } from './detach.ts'

import { usage } from './problem.ts'
import { table } from './table.ts'
import { count, shortOrg, span, when } from './words.ts'

/** How long `down` waits for the daemon to end: its own limit is 10 s. */
const DOWN_MS = 15_000
const MAX_LOG_ENTRIES = 1_000

interface InitOptions {
  name?: string
  unattended?: boolean
  passphraseFile?: string
}

export async function init(cli: Cli, options: InitOptions): Promise<Answer> {
  const name =
    options.name ?? (await ask(cli, 'Name of your organisation:', 'waybill init --name "YOUR COMPANY"'))
  if (!name.trim()) throw usage('the name is empty', 'waybill init --name "YOUR COMPANY"')
  const passphrase = options.unattended ? undefined : await newPassphrase(cli, options)
  const { initHome } = await import('../../node/daemon.ts')
  const made = await initHome(cli.home, { name: name.trim(), ...(passphrase ? { passphrase } : {}) })
  if (made.created && !passphrase && !options.unattended)
    cli.warn(
      'the keys are not encrypted: file permissions alone protect them (--unattended says that this is meant)',
    )
  return answer({
    schema: 'waybill.init/1',
    data: { ...made, home: cli.home },
    text: ({ name, id, home, created }) =>
      `${tick(cli)} ${created ? 'made' : 'was made before:'} ${name}  ${id}\n  home ${home}`,
    next: 'waybill up',
  })
}

async function newPassphrase(cli: Cli, { passphraseFile }: InitOptions): Promise<string | undefined> {
  const given = await givenPassphrase(passphraseFile)
  if (given !== undefined || !cli.canAsk) return given
  const first = await ask(cli, 'Passphrase of the new keys (empty for none):', '', true)
  if (first && first !== (await ask(cli, 'Once more:', '', true))) throw usage('the two are not the same')
  return first || undefined
}

export interface UpOptions {
  name?: string
  detach?: boolean
  listen?: string[]
  api?: string
  passphraseFile?: string
}

/** What `up` says once the node is ready. */
export interface Ready {
  id: string
  name: string
  home: string
  pid: number
  api: string
  addresses: string[]
  created: boolean
}

export async function up(cli: Cli, options: UpOptions): Promise<Answer | undefined> {
  const apiPort = options.api === undefined ? undefined : portOf(options.api)
  const startedMs = Date.now()
  const passphrase = await givenPassphrase(options.passphraseFile)
  if (options.detach) {
    const ready = await withAnswers(cli, options, passphrase, (name, secret) =>
      launch(cli, { ...options, ...(name ? { name } : {}) }, secret),
    )
    return readyAnswer(cli, ready, startedMs)
  }
  fitHeapToBulk()
  const { runDaemon } = await import('../../node/daemon.ts')
  const rest = {
    ...(options.listen ? { listen: options.listen } : {}),
    ...(apiPort === undefined ? {} : { apiPort }),
  }
  const daemon = await withAnswers(cli, options, passphrase, (name, secret) =>
    runDaemon(cli.home, {
      ...rest,
      ...(name ? { name } : {}),
      ...(secret ? { passphrase: secret } : {}),
    } satisfies DaemonOptions),
  )
  const { id, name, addresses, created, apiUrl: api } = daemon
  cli.give(
    readyAnswer(cli, { id, name, home: cli.home, pid: process.pid, api, addresses, created }, startedMs),
  )
  await untilStopped(cli, daemon)
  return process.exit(cli.exit) // everything is closed; libp2p leaves a timer of a second behind
}

/** Starts; where a name or a passphrase turns out to be missing, asks for it and starts again. */
async function withAnswers<T>(
  cli: Cli,
  { name }: UpOptions,
  passphrase: string | undefined,
  start: (name: string | undefined, passphrase: string | undefined) => Promise<T>,
): Promise<T> {
  try {
    return await start(name, passphrase)
  } catch (error) {
    const { code } = error as { code?: string }
    if (!cli.canAsk) throw error
    if (code === 'HOME_MISSING' && !name)
      return start(
        await ask(cli, 'Name of your organisation:', 'waybill up --name "YOUR COMPANY"'),
        passphrase,
      )
    if (code === 'KEYS_PASSPHRASE' && !passphrase) return start(name, await askPassphrase(cli))
    throw error
  }
}

function portOf(text: string): number {
  const port = Number(text)
  if (!/^[0-9]+$/.test(text) || port > 65_535)
    throw usage(`--api is not a port: ${text}`, 'waybill up --api 4180')
  return port
}

function readyAnswer(cli: Cli, ready: Ready, startedMs: number): Answer {
  return answer({
    schema: 'waybill.up/1',
    data: ready,
    text: ({ id, name, home, api, addresses, created }) =>
      [
        `${tick(cli)} ${created ? 'new identity' : 'identity    '}  ${name}  ${id}`,
        `${tick(cli)} home          ${home}`,
        `${tick(cli)} listening     ${addresses.join('  ') || 'nowhere'}`,
        `${tick(cli)} API           ${api}`,
        `ready in ${((Date.now() - startedMs) / 1000).toFixed(1)} s`,
      ].join('\n'),
    next: 'waybill invite   ·   waybill publish FILE   ·   waybill status',
  })
}

/** Runs until a signal or `waybill down` ends it; the second interrupt ends the process at once. */
async function untilStopped(cli: Cli, daemon: Daemon): Promise<void> {
  const stop = () => void daemon.stop()
  cli.signal.addEventListener('abort', stop, { once: true })
  process.once('SIGTERM', stop)
  if (cli.signal.aborted) stop()
  const error = await daemon.stopped
  process.off('SIGTERM', stop)
  if (error) throw error
}

export async function down(cli: Cli): Promise<Answer> {
  const { pid } = readEndpoint(cli.home)
  await using waybill = await cli.connect()
  await waybill.stop({ signal: cli.signal })
  const deadline = Date.now() + DOWN_MS
  while (runs(pid)) {
    if (Date.now() > deadline) throw new WaybillError('TIMED_OUT', `process ${pid} has not ended yet`)
    cli.signal.throwIfAborted()
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  return answer({
    schema: 'waybill.down/1',
    data: { home: cli.home, pid },
    text: ({ pid }) => `${tick(cli)} stopped (process ${pid})`,
  })
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

export async function status(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  const { schema, ...data } = await waybill.status({ signal: cli.signal })
  return answer({ schema, data, text: shown => statusText(cli, shown) })
}

function statusText(cli: Cli, status: Omit<Status, 'schema'>): string {
  const {
    name,
    id,
    partners,
    connected,
    log,
    assets,
    offers,
    waiting,
    problems,
    witnesses,
    uptimeMs,
    addresses,
  } = status
  const lines = [
    `${cli.paint('bold', name)}  ${id}`,
    `  up        ${span(uptimeMs)}, ${addresses.join('  ') || 'listening nowhere'}`,
    `  partners  ${partners} (${connected} connected)`,
    `  shares    ${count(assets, 'asset')}, ${count(offers, 'offer')}`,
    `  log       ${count(log.size, 'entry').replace('entrys', 'entries')}, head ${log.headSize}: ${log.position}`,
    ...witnesses.map(
      ({ name, cosignedSize, problem }) =>
        `  witness   ${name}: cosigned ${cosignedSize}${problem ? `, ${problem}` : ''}`,
    ),
    ...(waiting > 0 ? [`  waiting   ${count(waiting, 'request')} for you: waybill requests`] : []),
  ]
  const mend = problems.map(({ text, hint }) => `${cli.paint('fail', '!')} ${text}${hint ? `: ${hint}` : ''}`)
  return [...lines, ...(mend.length > 0 ? mend : ['all well'])].join('\n')
}

export async function log(cli: Cli, options: { limit: string }): Promise<Answer> {
  const limit = Number(options.limit)
  if (!/^[0-9]+$/.test(options.limit) || limit < 1 || limit > MAX_LOG_ENTRIES)
    throw usage(`--limit is not a number from 1 to ${MAX_LOG_ENTRIES}: ${options.limit}`)
  await using waybill = await cli.connect()
  const { signal } = cli
  const { next: _, ...data } = await newest(waybill, limit, signal)
  return answer({ schema: 'waybill.log/1', data, text: logText })
}

/** The newest entries, read backwards past those that only make sizes round. */
async function newest(waybill: Waybill, limit: number, signal: AbortSignal): Promise<Log> {
  const { size } = await waybill.log({ limit: 1, signal })
  const entries: Log['entries'] = []
  let [data, to]: [Log | undefined, number] = [undefined, size]
  do {
    const after = Math.max(0, to - MAX_LOG_ENTRIES)
    data = await waybill.log({ after, limit: Math.max(1, to - after), signal })
    entries.unshift(...data.entries.filter(({ kind }) => kind !== 'padding'))
    to = after
  } while (to > 0 && entries.length < limit)
  return { ...data, size, entries: entries.slice(-limit) }
}

function logText({ size, entries }: Log): string {
  const rows = entries.map(({ index, kind, record, timeMs, leaf, position }) => {
    const what = record ? `${record.type} ${shortOrg(record.id)}` : kind
    return [String(index), when(timeMs), what, `${leaf.slice(0, 12)}…`, position]
  })
  return `${table(['ENTRY', 'TIME', 'RECORD', 'LEAF', 'POSITION'], rows)}\n${size} in all`
}

export async function paths(cli: Cli): Promise<Answer> {
  return answer({
    schema: 'waybill.paths/1',
    data: homePaths(cli.home),
    text: places =>
      Object.entries(places)
        .map(([name, path]) => `${name.padEnd(7)} ${path}`)
        .join('\n'),
  })
}

export const tick = (cli: Cli): string => cli.paint('ok', '✓')
