/** Commands about what was agreed and delivered, and the evidence of it. */
import { join } from 'node:path'
import type { Consent, Delivery } from '../../node/schema.ts'
import type { Waybill } from '../connect.ts'
import { WaybillError } from '../error.ts'
import { isOpened } from '../get.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { shellWord } from './partners.ts'
import { usage } from './problem.ts'
import { size, table } from './table.ts'
import { checkFree, EVIDENCE, safePaths, writeWhole } from './targets.ts'
import { count, lastDay, shortId } from './words.ts'

interface Options {
  consents?: boolean
  deliveries?: boolean
  export?: string
  force?: boolean
}

interface Receipts {
  consents: Consent[]
  deliveries: Delivery[]
}

export async function receipts(cli: Cli, options: Options): Promise<Answer> {
  await using waybill = await cli.connect()
  const both = !options.consents && !options.deliveries
  const found = await collect(cli, waybill)
  const shown = {
    consents: both || options.consents ? found.consents : [],
    deliveries: both || options.deliveries ? found.deliveries : [],
  }
  if (options.export !== undefined)
    return await exportAll(cli, waybill, shown, options.export, options.force === true)
  const [first] = shown.consents
  return answer({
    schema: 'waybill.receipts/1',
    data: shown,
    text: receiptsText,
    next: first ? `waybill export ${shortId('a', first.agreement)} -o consent.waybill` : 'waybill offers',
  })
}

async function collect(cli: Cli, waybill: Waybill): Promise<Receipts> {
  const { signal } = cli
  const [consents, deliveries]: [Consent[], Delivery[]] = [[], []]
  for await (const consent of waybill.consents.list({ signal })) {
    consents.push(consent)
    for await (const delivery of waybill.agreements.deliveries(consent.agreement, { signal }))
      deliveries.push(delivery)
  }
  return { consents, deliveries }
}

function receiptsText({ consents, deliveries }: Receipts): string {
  const agreed = consents.map(({ agreement, role, partner, title, action, purpose, state, untilMs }) => [
    shortId('a', agreement),
    role === 'provider' ? `to ${partner.name}` : `from ${partner.name}`,
    title,
    purpose ? `${action} for ${purpose}` : action,
    state,
    lastDay(untilMs),
  ])
  const delivered = deliveries.map(({ agreement, packet, role, partner, state }) => [
    shortId('p', packet.id),
    shortId('a', agreement),
    role === 'provider' ? `to ${partner.name}` : `from ${partner.name}`,
    packet.name,
    size(packet.size),
    state,
  ])
  const parts = [
    ...(agreed.length > 0 ? [table(['AGREEMENT', 'DATA', 'WHAT', 'USE', 'STATE', 'UNTIL'], agreed)] : []),
    ...(delivered.length > 0
      ? [table(['PACKET', 'AGREEMENT', 'DATA', 'NAME', 'SIZE', 'STATE'], delivered)]
      : []),
  ]
  return parts.length > 0 ? parts.join('\n\n') : 'no receipts yet'
}

interface Export {
  agreement: string
  packet?: string
  path: string
  read: () => Promise<Uint8Array>
}

/** One file for each receipt in a folder; the only one may have a file's name. */
async function exportAll(
  cli: Cli,
  waybill: Waybill,
  found: Receipts,
  to: string,
  force: boolean,
): Promise<Answer> {
  const unproven = found.deliveries.filter(each => !hasEvidence(each))
  if (unproven.length > 0)
    cli.warn(
      `left out: ${count(unproven.length, 'delivery')} without evidence yet`.replace(
        'deliverys',
        'deliveries',
      ),
    )
  const planned = plan(cli, waybill, { ...found, deliveries: found.deliveries.filter(hasEvidence) })
  if (planned.length === 0) throw new WaybillError('NOTHING_TO_EXPORT', 'there is no receipt to export')
  const isFile = to.endsWith(EVIDENCE)
  if (isFile && planned.length > 1)
    throw usage(
      `${to} is one file, and there are ${planned.length} receipts`,
      'name a directory, or use waybill export',
    )
  const files = planned.map(each => ({ ...each, path: isFile ? to : join(to, each.path) }))
  for (const { path } of files) await checkFree(path, force)
  for (const { path, read } of files) {
    cli.progress(`writing ${path} …`)
    await writeWhole(path, [await read()], { force })
  }
  return answer({
    schema: 'waybill.exports/1',
    data: { files: files.map(({ read: _, ...file }) => file) },
    text: ({ files }) => files.map(({ path }) => `${tick(cli)} ${path}`).join('\n'),
    next: `waybill verify ${shellWord(files[0]!.path)}`,
  })
}

/** At a provider a delivery is proven once the consumer has confirmed it. */
const hasEvidence = (delivery: Delivery): boolean =>
  isOpened(delivery) && delivery.receipts.some(({ type }) => type.startsWith('opened'))

function plan(cli: Cli, waybill: Waybill, { consents, deliveries }: Receipts): Export[] {
  const options = { signal: cli.signal }
  const entries = [
    ...consents.map(({ agreement }) => ({
      agreement,
      name: `${shortId('a', agreement)}-consent`,
      read: () => waybill.agreements.consentEvidence(agreement, options),
    })),
    ...deliveries.map(({ agreement, packet }) => ({
      agreement,
      packet: packet.id,
      name: `${shortId('a', agreement)}/${packet.name}`,
      read: () => waybill.agreements.evidence(agreement, packet.id, options),
    })),
  ]
  const paths = safePaths(entries.map(({ name }) => name))
  return entries.map(({ name: _, ...entry }, i) => ({ ...entry, path: paths[i]! + EVIDENCE }))
}

export async function exportEvidence(
  cli: Cli,
  options: { output: string; force?: boolean },
  agreement: string,
  packet?: string,
): Promise<Answer> {
  const force = options.force === true
  await checkFree(options.output, force)
  await using waybill = await cli.connect()
  const { signal } = cli
  const bytes = await (packet === undefined
    ? waybill.agreements.consentEvidence(agreement, { signal })
    : waybill.agreements.evidence(agreement, packet, { signal }))
  await writeWhole(options.output, [bytes], { force })
  return answer({
    schema: 'waybill.export/1',
    data: {
      agreement,
      ...(packet === undefined ? {} : { packet }),
      path: options.output,
      size: bytes.length,
    },
    text: ({ path, size: bytes }) => `${tick(cli)} ${path}  ${size(bytes)}`,
    next: `waybill verify ${shellWord(options.output)}`,
  })
}
