/** `waybill audit`: a log re-checked from its first entry, from this home's daemon or from anybody's HTTP. */
import { writeFile } from 'node:fs/promises'
import { toBase64 } from '../../crypto/bytes.ts'
import { parseCheckpoint } from '../../crypto/checkpoint.ts'
import { parseNote } from '../../crypto/note.ts'
import { MAX_NOTE_BYTES } from '../../protocol/limits.ts'
import { originHash } from '../../protocol/log.ts'
import { type AuditReport, audit as auditLog, type LogSource } from '../audit.ts'
import type { Waybill } from '../connect.ts'
import { isWaybillError, WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { EXIT } from './exit.ts'
import { tick } from './node.ts'
import { count } from './words.ts'

/** A bundle has at most 256 entries of 4 KiB. */
const MAX_BUNDLE_BYTES = 2 ** 21
const PROGRESS_MS = 200

export async function audit(
  cli: Cli,
  options: { output?: string; url?: string },
  log?: string,
): Promise<Answer> {
  await using waybill = await cli.connect()
  const { id, name } = await whose(waybill, log, cli.signal)
  const here = await sourceHere(waybill, id, cli.signal)
  const source = options.url === undefined ? here : await sourceAt(options.url, here, cli.signal)
  if (source.size === 0)
    throw new WaybillError('NOT_FOUND', `no entries of the log of ${name} are here`, {
      hint: 'waybill mirror show, or --url where its owner opened it',
    })
  const started = performance.now()
  let shown = started
  const { report, fork } = await auditLog(source, done => {
    if (performance.now() < shown + PROGRESS_MS && done < source.size) return
    shown = performance.now()
    progress(cli, `${done} of ${source.size} entries`)
  })
  const ms = Math.round(performance.now() - started)
  if (fork) await keep(waybill, fork, options.output, cli.signal)
  const data = { org: id, name, ...report, ...(fork ? { fork: toBase64(fork) } : {}), ms }
  return answer({
    schema: 'waybill.audit/1',
    data,
    text: () => reportText(cli, name, report, fork !== undefined),
    ...(fork ? { next: 'waybill forks -o DIRECTORY   for the proof' } : {}),
    exit: report.faults.length > 0 ? EXIT.failed : EXIT.ok,
  })
}

/** On a terminal one line that is written over; for a program that reads stderr, lines. */
function progress(cli: Cli, line: string): void {
  if (process.stderr.isTTY) cli.progress(line)
  else if (!cli.options.quiet) process.stderr.write(`${line}\n`)
}

/** Whose log: a partner by name or id, or one's own. */
async function whose(waybill: Waybill, log: string | undefined, signal: AbortSignal) {
  const own = await waybill.status({ signal })
  if (log === undefined || log === own.id || log === own.name) return { id: own.id, name: own.name }
  for await (const partner of waybill.partners.list({ signal }))
    if (partner.id === log || partner.name === log) return { id: partner.id, name: partner.name }
  throw new WaybillError('NOT_FOUND', `no partner is called ${log}`, { hint: 'waybill partners' })
}

async function sourceHere({ logs }: Waybill, org: string, signal: AbortSignal): Promise<LogSource> {
  const first = await logs.heads(org, { signal })
  const heads = [...first.heads]
  for (let { next } = first; next !== undefined; ) {
    const page = await logs.heads(org, { after: next, signal })
    heads.push(...page.heads)
    next = page.next
  }
  return { ...first, heads, tile: path => logs.tile(org, path, { signal }) }
}

/** The log as its owner serves it, against the heads that this home was shown. */
async function sourceAt(url: string, here: LogSource, signal: AbortSignal): Promise<LogSource> {
  const { base, note } = await checkpointAt(url.replace(/\/+$/, ''), here, signal)
  const { size } = parseCheckpoint(parseNote(note).body)
  const tile = (path: string) => read(`${base}/${path}`, MAX_BUNDLE_BYTES, signal)
  return { ...here, heads: [note, ...here.heads], size, tile }
}

/** At the address of a witness that serves several logs, a log is in the folder that its origin names. */
async function checkpointAt(base: string, { heads }: LogSource, signal: AbortSignal) {
  const at = async (url: string) => ({
    base: url,
    note: new TextDecoder().decode(await read(`${url}/checkpoint`, MAX_NOTE_BYTES, signal)),
  })
  const [head] = heads
  if (!head) return at(base)
  const folder = originHash(parseCheckpoint(parseNote(head).body).origin)
  return at(base).catch(error => {
    if (isWaybillError(error) && error.code === 'NOT_FOUND' && !base.endsWith(folder))
      return at(`${base}/${folder}`)
    throw error
  })
}

async function read(url: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const response = await fetch(url, { signal, redirect: 'error' }).catch(cause => {
    throw new WaybillError('PEER_UNREACHABLE', `${url} does not answer`, { cause })
  })
  if (!response.ok) throw new WaybillError('NOT_FOUND', `${url} answers ${response.status}`)
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    bytes += part.length
    if (bytes > maxBytes) throw new WaybillError('MALFORMED', `${url} answers more than ${maxBytes} bytes`)
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}

/** The proof closes the log at this home and at its partners; and goes into a file, where one is named. */
async function keep(
  waybill: Waybill,
  fork: Uint8Array,
  output: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  await waybill.tellFork(toBase64(fork), { signal })
  if (output !== undefined) await writeFile(output, fork, { flag: 'wx' })
}

function reportText(cli: Cli, name: string, report: AuditReport, isForked: boolean): string {
  const { size, root, entries, heads, cosignatures, cosignedSize, faults } = report
  const kinds = Object.entries(entries).filter(([, many]) => many > 0)
  return [
    `the log of ${name}: ${size} entries, root ${root.slice(0, 16)}…`,
    `  entries   ${kinds.map(([kind, many]) => `${many} ${kind}`).join(', ')}: each chained to the one before`,
    `  heads     ${heads.checked} of this tree${heads.beyond > 0 ? `, ${heads.beyond} past these entries` : ''}`,
    `  cosigned  ${count(cosignatures, 'cosignature')}, up to size ${cosignedSize}`,
    ...faults.map(({ code, text }) => `${cli.paint('fail', '✗')} ${code}: ${text}`),
    ...(isForked ? [`${cli.paint('fail', '✗')} proven: this log has two histories; it is closed here`] : []),
    ...(faults.length === 0 ? [`${tick(cli)} sound`] : []),
  ].join('\n')
}
