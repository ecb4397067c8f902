/** `waybill prove`: single entries of the own log, proven alone, with the bodies that are to be shown; and their check. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { WaybillError } from '../error.ts'
import { verifyProof } from '../verify.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { EXITS } from './exit.ts'
import { tick } from './node.ts'
import { shellWord } from './partners.ts'
import { usage } from './problem.ts'
import { checkFree, writeWhole } from './targets.ts'
import { readTrustFile } from './verify.ts'
import { shortOrg } from './words.ts'

interface Options {
  output?: string
  show?: string[]
  force?: boolean
  check?: string
  trust?: string
  requireFinal?: boolean
}

/** The extension that C2SP recommends. */
const PROOF = '.tlog-proof'
const MARKS = { ok: '✓', failed: '✗', inconclusive: '?', skipped: '–' } as const

export async function prove(cli: Cli, options: Options, records: string[]): Promise<Answer> {
  if (options.check !== undefined) return check(cli, options.check, options)
  const { output, show = [], force = false } = options
  if (output === undefined || records.length === 0)
    throw usage('say which records, and -o where to', 'waybill log shows them')
  const stray = show.find(id => !records.includes(id))
  if (stray !== undefined) throw usage(`--show ${stray} is none of the records that are proven`)
  const isFile = output.endsWith(PROOF)
  if (isFile && records.length > 1)
    throw usage(`${output} is one file, and there are ${records.length} records`, 'name a directory')
  await using waybill = await cli.connect()
  const { items } = await waybill.logs.prove(records, show, { signal: cli.signal })
  const files = items.map(({ record, proof }, i) => ({
    record,
    path: isFile ? output : join(output, `${record}${PROOF}`),
    shown: show.includes(records[i]!),
    proof,
  }))
  for (const { path } of files) await checkFree(path, force)
  for (const { path, proof } of files) await writeWhole(path, [Buffer.from(proof, 'base64')], { force })
  return answer({
    schema: 'waybill.proofs/1',
    data: { files: files.map(({ proof: _, ...file }) => file) },
    text: ({ files }) =>
      files
        .map(
          ({ path, shown, record }) => `${tick(cli)} ${path}  ${shortOrg(record)}${shown ? ', shown' : ''}`,
        )
        .join('\n'),
    next: `waybill prove --check ${shellWord(files[0]!.path)}`,
  })
}

async function check(cli: Cli, file: string, { trust, requireFinal }: Options): Promise<Answer> {
  const bytes = await readFile(file).catch(cause => {
    throw new WaybillError('FILE_NOT_FOUND', `there is no file ${file}`, { cause })
  })
  const report = await verifyProof(new Uint8Array(bytes), await readTrustFile(cli, trust), { requireFinal })
  return answer({
    schema: 'waybill.proof/1',
    data: { file, ...report },
    text: ({ verdict, steps }) =>
      [
        ...steps.map(({ id, status, detail }) => {
          const mark = cli.paint(
            status === 'ok' ? 'ok' : status === 'skipped' ? 'dim' : 'fail',
            MARKS[status],
          )
          return `${mark} ${id}: ${detail}`
        }),
        cli.paint(verdict === 'verified' ? 'ok' : 'fail', verdict.toUpperCase()),
      ].join('\n'),
    exit: EXITS[report.verdict],
  })
}
