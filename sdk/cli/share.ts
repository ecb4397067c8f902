/** Commands of whoever has data: publish it, offer it, look at offers. */
import type { Offer, OfferRequest, Partner } from '../../node/schema.ts'
import type { Waybill } from '../connect.ts'
import { WaybillError } from '../error.ts'
import { isId } from '../get.ts'
import type { Asset, Offers } from '../resources.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { findSources, type Source } from './sources.ts'
import { size, table } from './table.ts'
import { count, lastDay, parseUntil, shortId } from './words.ts'

/** Packets that are named one by one in the answer to `publish`. */
const SHOWN_PACKETS = 20

interface PublishOptions {
  title?: string
  domain: string
  level: 'general' | 'important' | 'core'
  recursive?: boolean
  committee?: string
}

export async function publish(cli: Cli, options: PublishOptions, args: string[]): Promise<Answer> {
  const files = findSources(args, options.recursive === true, path =>
    cli.warn(`left out, not a regular file: ${path}`),
  )
  const title = options.title ?? titleOf(args, files)
  await using waybill = await cli.connect()
  cli.progress(`publishing ${count(files.length, 'file')} …`)
  const { domain, level, committee } = options
  const what = { title, domain, level, files, ...(committee ? { committee } : {}) }
  const published = await waybill.packets.publish(what, { signal: cli.signal })
  const asset = shortId('s', published.asset)
  return answer({
    schema: 'waybill.published/1',
    data: { title, ...published },
    text: ({ title, packets, bytes }) =>
      [
        `${tick(cli)} asset ${asset}  ${title}: ${count(packets.length, 'packet')}, ${size(bytes)}`,
        ...packets
          .slice(0, SHOWN_PACKETS)
          .map(({ id, name, size: bytes }) => `  ${shortId('p', id)}  ${name}  ${size(bytes)}`),
        ...(packets.length > SHOWN_PACKETS ? [`  … and ${packets.length - SHOWN_PACKETS} more`] : []),
        '  nobody else can see it yet',
      ].join('\n'),
    next: committee
      ? `waybill assets register ${asset}`
      : `waybill offer ${asset} --to PARTNER --allow ACTION`,
  })
}

function titleOf(args: string[], files: Source[]): string {
  const [first] = files
  if (files.length === 1) return first!.name
  if (args.length > 1) return `${first!.name} and ${files.length - 1} more`
  return (
    first!.path
      .slice(0, -first!.name.length - 1)
      .split('/')
      .at(-1) || first!.name
  )
}

interface OfferOptions {
  to?: string[]
  allow: string[]
  purpose?: string[]
  until: string
  redistribution: boolean
  auto?: boolean
  dryRun?: boolean
}

export async function offer(cli: Cli, options: OfferOptions, asset: string): Promise<Answer> {
  const terms: OfferRequest = {
    asset,
    to: options.to ?? [],
    allow: options.allow,
    purposes: options.purpose ?? [],
    noRedistribution: !options.redistribution,
    untilMs: parseUntil(options.until, Date.now()),
    approval: options.auto ? 'policy' : 'person',
  }
  await using waybill = await cli.connect()
  if (options.dryRun) return await dryRun(cli, waybill, terms)
  const made = await waybill.offers.create(terms, { signal: cli.signal })
  return answer({
    schema: 'waybill.offer/1',
    data: made,
    text: shown =>
      [
        `${tick(cli)} offer ${shortId('o', shown.id)}  ${shown.title} (${count(shown.packets, 'packet')}, ${size(shown.bytes)})`,
        ...termLines(shown),
      ].join('\n'),
    next: made.approval === 'person' ? 'waybill requests, once they ask' : 'they run: waybill get',
  })
}

const termLines = ({ terms, untilMs, approval }: Pick<Offer, 'terms' | 'untilMs' | 'approval'>): string[] => [
  ...terms.map(term => `  ${term}`),
  `  until ${lastDay(untilMs)}, ${approval === 'person' ? 'you approve each request' : 'agreed without asking you'}`,
]

/** Looks the asset and the partners up, and says what would be offered. */
async function dryRun(cli: Cli, waybill: Waybill, terms: OfferRequest): Promise<Answer> {
  const asset = await findAsset(waybill, terms.asset, cli.signal)
  const partners: Partner[] = []
  for await (const partner of waybill.partners.list({ signal: cli.signal })) partners.push(partner)
  const isNamed = (name: string) =>
    partners.some(each => each.id === name || each.name.toLowerCase().startsWith(name.toLowerCase()))
  const unknown = terms.to?.find(name => !isNamed(name))
  if (unknown !== undefined)
    throw new WaybillError('NOT_FOUND', `no partner is called ${unknown}`, { hint: 'waybill partners' })
  return answer({
    schema: 'waybill.dry-run/1',
    data: { ...terms, asset },
    text: ({ asset, to, allow, purposes, noRedistribution, untilMs, approval }) =>
      [
        `would offer ${shortId('s', asset.id)}  ${asset.title} (${count(asset.packets, 'packet')}, ${size(asset.bytes)})`,
        `  to ${to!.length > 0 ? to!.join(', ') : 'every partner'}`,
        ...termLines({
          terms: [
            `they may ${allow!.join(', ')}, for ${purposes!.length > 0 ? purposes!.join(' or ') : 'any purpose'}`,
            ...(noRedistribution ? ['they may not pass it on'] : []),
          ],
          untilMs,
          approval: approval!,
        }),
      ].join('\n'),
    next: 'the same without --dry-run',
  })
}

async function findAsset(waybill: Waybill, id: string, signal: AbortSignal): Promise<Asset> {
  for await (const asset of waybill.assets.list({ signal })) if (isId(asset.id, id)) return asset
  throw new WaybillError('NOT_FOUND', `there is no asset ${id}`, { hint: 'waybill publish FILE' })
}

export async function offers(cli: Cli, { own = false }: { own?: boolean }): Promise<Answer> {
  await using waybill = await cli.connect()
  const found = await waybill.offers.list({ own, refresh: !own, signal: cli.signal })
  for (const name of found.unreachable)
    cli.warn(`${name} cannot be asked just now; its offers are those seen before`)
  const [first] = found.items
  const example = first && `waybill get ${shortId('o', first.id)} -o received/`
  return answer({
    schema: 'waybill.offers/1',
    data: found,
    text: shown => offersText(shown, own),
    ...(own ? {} : { next: example ?? 'waybill partners' }),
  })
}

function offersText({ items }: Offers, own: boolean): string {
  const rows = items.map(({ id, provider, title, terms, packets, bytes, untilMs, audience }) => [
    shortId('o', id),
    own ? (audience.length === 0 ? 'all partners' : count(audience.length, 'partner')) : provider.name,
    title,
    terms.join('; '),
    lastDay(untilMs),
    String(packets),
    size(bytes),
  ])
  return table(['OFFER', own ? 'TO' : 'FROM', 'WHAT', 'TERMS', 'UNTIL', 'PACKETS', 'SIZE'], rows)
}
