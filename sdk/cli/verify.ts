/** `waybill verify` and `waybill trust`: evidence against trust, from files. No daemon, lock or network is needed. */
import { createReadStream } from 'node:fs'
import { open, readFile, stat } from 'node:fs/promises'
import { MAX_EVIDENCE_BYTES } from '../../protocol/limits.ts'
import { isWaybillError, WaybillError } from '../error.ts'
import { homePaths } from '../home.ts'
import { type Report as EvidenceReport, type VerifyOptions, verify as verifyEvidence } from '../verify.ts'
import type { OwnershipReport, RegisteredReport } from '../verify-ownership.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { EXITS } from './exit.ts'
import { usage } from './problem.ts'
import { EVIDENCE, writeWhole } from './targets.ts'
import { parseTime, shortId, shortOrg } from './words.ts'

type Report = EvidenceReport | OwnershipReport | RegisteredReport
interface Options {
  trust?: string
  asOf?: string
  requireFinal?: boolean
  forks?: string[]
  twice?: string
}

/** A trust file of ten thousand identities has 2 MB. */
const MAX_TRUST_BYTES = 16 * 2 ** 20
const MARKS = { ok: '✓', failed: '✗', inconclusive: '?', skipped: '–' } as const

export async function verify(cli: Cli, options: Options, files: string[]): Promise<Answer> {
  const asOf = options.asOf === undefined ? Date.now() : parseTime(options.asOf, '--as-of')
  const trustFile = await readTrustFile(cli, options.trust)
  const forks = await readForks(cli, options.forks)
  if (options.twice !== undefined) files = [await joined(files, options.twice)]
  const reports: (Report & { file: string })[] = []
  for (const file of files) {
    if (files.length > 1) cli.progress(`verifying ${reports.length + 1} of ${files.length}: ${file}`)
    const { requireFinal } = options
    reports.push({ file, ...(await verifyOne(cli, file, trustFile, { asOf, requireFinal, forks })) })
  }
  if (reports.length > 1) return severalAnswer(cli, reports)
  const [report] = reports
  return answer({
    schema: 'waybill.report/1',
    data: report!,
    text: shown => reportText(cli, shown, trustFile),
    exit: EXITS[report!.verdict],
  })
}

/** Two disclosed registrations of one content, as one file that convicts whoever signed both. */
async function joined(files: string[], output: string): Promise<string> {
  if (files.length !== 2) throw usage('--twice is of two files', 'waybill assets disclose ASSET -o FILE')
  const [one, other] = await Promise.all(files.map(readEvidenceFile))
  const { registeredTwice } = await import('../verify-ownership.ts')
  await writeWhole(output, [registeredTwice(one!, other!)], { force: false })
  return output
}

async function verifyOne(
  cli: Cli,
  file: string,
  trustFile: unknown,
  options: Pick<VerifyOptions, 'asOf' | 'requireFinal' | 'forks'>,
): Promise<Report> {
  const { evidence, isAlone } = await readEvidenceOf(file)
  const ownership = await import('../verify-ownership.ts')
  const { asOf } = options
  if (isAlone && ownership.isOwnership(evidence)) return ownership.verifyOwnership(evidence, trustFile, asOf)
  if (isAlone && ownership.isRegistered(evidence))
    return ownership.verifyRegistered(evidence, trustFile, asOf)
  const content = isAlone ? undefined : createReadStream(file, { signal: cli.signal })
  const report = await verifyEvidence(evidence, trustFile, { ...options, content })
  content?.destroy()
  return report
}

/** The evidence in a file, or that beside a file of content; content may itself be named *.waybill. */
export async function readEvidenceOf(file: string): Promise<{ evidence: Uint8Array; isAlone: boolean }> {
  const isAlone = file.endsWith(EVIDENCE) && !(await stat(file + EVIDENCE).catch(() => undefined))
  if (!isAlone) await checkFile(file, 'waybill verify FILE')
  return { evidence: await readEvidenceFile(isAlone ? file : file + EVIDENCE), isAlone }
}

/** One line a file, with the first step that does not hold; the worst verdict is that of the run. */
function severalAnswer(cli: Cli, reports: (Report & { file: string })[]): Answer {
  const worst = (['failed', 'inconclusive'] as const).find(each =>
    reports.some(({ verdict }) => verdict === each),
  )
  const verdict = worst ?? 'verified'
  return answer({
    schema: 'waybill.reports/1',
    data: { verdict, reports },
    text: shown =>
      [
        ...shown.reports.map(each => lineOf(cli, each)),
        `${cli.paint(verdict === 'verified' ? 'ok' : 'fail', verdict.toUpperCase())}  ${reports.length} files`,
        trustLine(reports[0]!),
      ].join('\n'),
    exit: EXITS[verdict],
  })
}

function lineOf(cli: Cli, { file, verdict, steps }: Report & { file: string }): string {
  const status = verdict === 'verified' ? 'ok' : verdict
  const step = steps.find(each => each.status === status && each.status !== 'ok')
  const why = step ? `  ${step.id}: ${step.detail}` : ''
  return `${cli.paint(status === 'ok' ? 'ok' : 'fail', MARKS[status])} ${file}${why}`
}

/** The file that --trust names, else the one that the home's daemon keeps up to date. */
export async function readTrustFile(cli: Cli, named: string | undefined): Promise<unknown> {
  const path = named ?? homePaths(cli.home).trust
  let text: string
  try {
    text = await readBounded(path, MAX_TRUST_BYTES)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    if (named !== undefined) throw new WaybillError('FILE_NOT_FOUND', `there is no trust file ${named}`)
    const message = `whom to believe is not said: no --trust, and the home ${cli.home} has no trust file`
    throw new WaybillError('TRUST_REQUIRED', message, {
      hint: 'waybill verify FILE --trust FILE, or --home DIR',
    })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new WaybillError('TRUST_MALFORMED', `the trust file ${path} is not JSON`, { cause })
  }
}

/** Fork proofs: the files that --forks names, and those that the home's daemon has come to know. */
async function readForks(cli: Cli, files: string[] = []): Promise<Uint8Array[]> {
  const named = await Promise.all(files.map(async file => new Uint8Array(await readFile(file))))
  const kept = await readFile(homePaths(cli.home).forks, 'utf8').catch(() => undefined)
  if (kept === undefined) return named
  const { proofs } = JSON.parse(kept) as { proofs: string[] }
  return [...named, ...proofs.map(proof => new Uint8Array(Buffer.from(proof, 'base64')))]
}

/** The text of a file, as far as a file of its kind can be long: the path may be of a device. */
async function readBounded(path: string, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length > maxBytes) throw new WaybillError('TRUST_MALFORMED', `${path} is too long for a trust file`)
  }
  return Buffer.concat(chunks).toString('utf8')
}

async function checkFile(path: string, hint: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (!stats) throw new WaybillError('FILE_NOT_FOUND', `there is no file ${path}`, { hint })
  if (!stats.isFile()) throw new WaybillError('NOT_A_FILE', `${path} is not a file`, { hint })
}

/** One byte more than evidence may have is enough for the verdict that it has too many. */
async function readEvidenceFile(path: string): Promise<Uint8Array> {
  await checkFile(path, 'waybill export AGREEMENT PACKET -o FILE.waybill')
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const bytes = new Uint8Array(Math.min(size, MAX_EVIDENCE_BYTES + 1))
    let length = 0
    for (let read = -1; read !== 0 && length < bytes.length; length += read)
      read = (await file.read(bytes, length, bytes.length - length, length)).bytesRead
    return bytes.subarray(0, length)
  } finally {
    await file.close()
  }
}

function reportText(cli: Cli, report: Report, trustFile: unknown): string {
  const { verdict, steps, claim } = report
  const width = Math.max(...steps.map(({ id }) => id.length))
  const style = { ok: 'ok', failed: 'fail', inconclusive: 'fail', skipped: 'dim' } as const
  const lines = steps.map(
    ({ id, status, detail }) => `${cli.paint(style[status], MARKS[status])} ${id.padEnd(width)}  ${detail}`,
  )
  const word = cli.paint(verdict === 'verified' ? 'ok' : 'fail', verdict.toUpperCase())
  return [
    ...lines,
    `${word}  ${claim ? claimText(claim, trustFile) : 'no claim could be read'}`,
    trustLine(report),
  ].join('\n')
}

/** Whom the verdict believes, and when it holds. */
const trustLine = ({ trustDigest, asOfMs }: Report): string =>
  `  trust ${trustDigest.slice(0, 16)}…  as of ${new Date(asOfMs).toISOString()}`

function claimText(claim: NonNullable<Report['claim']>, trustFile: unknown): string {
  const { identities } = trustFile as { identities: { id: string; name?: string }[] }
  const nameOf = (id: string) => identities.find(each => each.id === id)?.name ?? shortOrg(id)
  if ('twice' in claim) {
    const assets = claim.assets.map(id => shortId('s', id)).join(' and ')
    return `${nameOf(claim.owner)} registered ${claim.twice ? `one content twice, as ${assets}` : assets}`
  }
  if ('owner' in claim)
    return `${claim.owners.length > 1 ? `${claim.owners.map(nameOf).join(', ')} (${claim.needs} of them sign) own` : `${nameOf(claim.owner)} owns`} version ${claim.version} of ${shortId('s', claim.asset)}`
  const { type, packet, agreement, provider, consumer } = claim
  const what = packet
    ? `${type} of ${shortId('p', packet)} under ${shortId('a', agreement)}`
    : `${type} ${shortId('a', agreement)}`
  return `${what}, from ${nameOf(provider)} to ${nameOf(consumer)}`
}

/** The trust file of the home, from the daemon where one runs, else as it was last written. */
export async function trust(cli: Cli): Promise<Answer> {
  const { schema, ...data } = await ownTrust(cli)
  return answer({ schema, data, text: shown => JSON.stringify({ schema, ...shown }, null, 2) })
}

async function ownTrust(cli: Cli): Promise<{ schema: string; [field: string]: unknown }> {
  try {
    await using waybill = await cli.connect()
    return (await waybill.trust({ signal: cli.signal })) as { schema: string }
  } catch (error) {
    if (!isWaybillError(error, 'DAEMON_UNREACHABLE')) throw error
    const kept = await readFile(homePaths(cli.home).trust, 'utf8').catch(() => undefined)
    if (kept === undefined) throw error
    return JSON.parse(kept)
  }
}
