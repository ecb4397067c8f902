/** `waybill get`: agreement, content and evidence in one command. */
import { basename, join } from 'node:path'
import type { Delivery, Request, Transfer } from '../../node/schema.ts'
import type { Waybill } from '../connect.ts'
import { WaybillError } from '../error.ts'
import type { Got } from '../get.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { shellWord } from './partners.ts'
import { size } from './table.ts'
import { checkFree, checkWritable, EVIDENCE, isDirectory, safePaths, writeWhole } from './targets.ts'
import { count, parseSpan, shortId } from './words.ts'

/** Packets written at a time: each waits for its evidence. */
const PARALLEL = 8
const SHOWN_FILES = 20

interface Options {
  output: string
  purpose?: string
  action?: string
  wait: string
  force?: boolean
}

interface Written {
  packet: string
  name: string
  path: string
  size: number
  /** Not there when it could not be had just now. */
  evidence?: string
}

export async function get(cli: Cli, options: Options, offer: string): Promise<Answer> {
  const waitMs = parseSpan(options.wait, '--wait')
  const force = options.force === true
  const intoFolder = options.output.endsWith('/') || (await isDirectory(options.output))
  await checkWritable(options.output)
  if (!intoFolder)
    for (const path of [options.output, options.output + EVIDENCE]) await checkFree(path, force)
  await using waybill = await cli.connect()
  const got = await negotiate(cli, waybill, offer, options, waitMs)
  const paths = await pathsFor(got.deliveries, options.output, intoFolder)
  const files = await writeAll(cli, waybill, got, paths, force)
  if (got.failed.length > 0) throw failure(got.failed, files)
  return gotAnswer(cli, got.agreement, files)
}

async function negotiate(
  cli: Cli,
  waybill: Waybill,
  offer: string,
  options: Options,
  waitMs: number,
): Promise<Got> {
  let last: Request | undefined
  const timeout = AbortSignal.timeout(waitMs)
  try {
    return await waybill.get(offer, {
      purpose: options.purpose,
      action: options.action,
      signal: AbortSignal.any([cli.signal, timeout]),
      onState: request => {
        last = request
        cli.progress(stateLine(request))
      },
      onProgress: transfer => cli.progress(transferLine(transfer)),
    })
  } catch (error) {
    if (!timeout.aborted || cli.signal.aborted) throw error
    throw late(last, options.wait)
  }
}

function late(last: Request | undefined, waited: string): WaybillError {
  const hint = 'run the same command again to go on'
  if (!last) return new WaybillError('TIMED_OUT', `no answer within ${waited}`, { retryable: true, hint })
  const { id, partner, state, waitsFor } = last
  const what =
    state === 'FINALIZED'
      ? 'the content is not complete'
      : `${partner.name} has not answered (${state}, waits for ${waitsFor})`
  return new WaybillError('TIMED_OUT', `${shortId('r', id)}: ${what} after ${waited}`, {
    retryable: true,
    hint,
  })
}

function stateLine({ id, partner, waitsFor, state }: Request): string {
  if (state === 'FINALIZED') return `agreed with ${partner.name}`
  const who = waitsFor === 'their person' ? `a person at ${partner.name}` : partner.name
  return `${shortId('r', id)} ${state}: waiting for ${who} …`
}

const transferLine = ({ done, open, receivedBytes, bytes }: Transfer): string =>
  `${size(receivedBytes)} of ${size(bytes)}, ${done} of ${count(done + open, 'packet')}`

/** Where each delivery goes. One packet may be named by the person; several get their own names in a folder. */
async function pathsFor(deliveries: Delivery[], output: string, intoFolder: boolean): Promise<string[]> {
  if (deliveries.length === 1 && !intoFolder) return [output]
  return safePaths(deliveries.map(({ packet }) => packet.name)).map(path => join(output, path))
}

async function writeAll(
  cli: Cli,
  waybill: Waybill,
  { agreement, deliveries }: Got,
  paths: string[],
  force: boolean,
): Promise<Written[]> {
  for (const path of paths) await checkFree(path, force)
  const total = deliveries.reduce((sum, { packet }) => sum + packet.size, 0)
  const files: Written[] = new Array(deliveries.length)
  let [next, bytes] = [0, 0]
  const onBytes = (more: number) => {
    bytes += more
    cli.progress(`writing ${size(bytes)} of ${size(total)} …`)
  }
  const worker = async () => {
    for (let i = next++; i < deliveries.length; i = next++)
      files[i] = await writeOne(cli, waybill, agreement, deliveries[i]!, paths[i]!, { force, onBytes })
  }
  const workers = Array.from({ length: Math.min(PARALLEL, deliveries.length) }, worker)
  // All come to rest before an error is told, so that no file is left unfinished.
  const ended = await Promise.allSettled(
    workers.map(each =>
      each.catch(error => {
        next = deliveries.length
        throw error
      }),
    ),
  )
  const failed = ended.find(each => each.status === 'rejected')
  if (failed) throw failed.reason
  return files
}

async function writeOne(
  cli: Cli,
  waybill: Waybill,
  agreement: string,
  { packet }: Delivery,
  path: string,
  options: { force: boolean; onBytes: (bytes: number) => void },
): Promise<Written> {
  const { signal } = cli
  await writeWhole(path, waybill.agreements.content(agreement, packet.id, { signal }), {
    ...options,
    size: packet.size,
  })
  const written = { packet: packet.id, name: packet.name, path, size: packet.size }
  try {
    const evidence = await waybill.agreements.evidence(agreement, packet.id, { signal })
    await writeWhole(path + EVIDENCE, [evidence], { force: options.force })
    return { ...written, evidence: path + EVIDENCE }
  } catch (error) {
    if (signal.aborted) throw error
    const again = `waybill export ${shortId('a', agreement)} ${shortId('p', packet.id)} -o ${shellWord(path + EVIDENCE)}`
    cli.warn(`no evidence yet for ${basename(path)}: ${(error as Error).message}; later: ${again}`)
    return written
  }
}

function failure(failed: Delivery[], files: Written[]): WaybillError {
  const [{ packet, state, refusal }] = failed as [Delivery]
  const why =
    refusal?.text ??
    (state === 'REJECTED' || state === 'DONE'
      ? 'its content did not open; the rejection is signed'
      : `it is ${state}`)
  const message = `${failed.length} of ${failed.length + files.length} packets did not come, the first: ${packet.name}: ${why}`
  return new WaybillError(refusal?.code ?? 'DELIVERY_FAILED', message, {
    clause: refusal?.clause,
    hint: refusal?.next,
  })
}

function gotAnswer(cli: Cli, agreement: string, files: Written[]): Answer {
  const bytes = files.reduce((sum, file) => sum + file.size, 0)
  const [first] = files
  return answer({
    schema: 'waybill.got/1',
    data: { agreement, bytes, files },
    text: ({ files, bytes }) =>
      [
        ...files.slice(0, SHOWN_FILES).map(({ path, size: bytes }) => `${tick(cli)} ${path}  ${size(bytes)}`),
        ...(files.length > SHOWN_FILES ? [`  … and ${files.length - SHOWN_FILES} more`] : []),
        `  ${count(files.length, 'file')}, ${size(bytes)}, under agreement ${shortId('a', agreement)}; evidence beside each`,
      ].join('\n'),
    ...(first ? { next: `waybill verify ${shellWord(first.path)}` } : {}),
  })
}
