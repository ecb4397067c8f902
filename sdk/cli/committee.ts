/** Commands about the committee of the own log, and seats in those of partners. */
import type { CommitteeView } from '../../node/schema.ts'
import { isWaybillError, WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { juryShown } from './jury.ts'
import { usage } from './problem.ts'
import { count } from './words.ts'

interface Rule {
  lying?: string
  quorum?: string
  /** Of assets, not of the log. */
  assets?: true
  replaces?: string
}

export async function create(
  cli: Cli,
  { lying, quorum, assets, replaces }: Rule,
  partners: string[],
): Promise<Answer> {
  if ((lying === undefined) !== (quorum === undefined))
    throw usage(
      '--lying and --quorum go together',
      'waybill committee create PARTNER... --lying 1 --quorum 3',
    )
  const rule = lying === undefined ? {} : { f: whole(lying), q: whole(quorum!) }
  await using waybill = await cli.connect()
  if (assets) {
    const wish = { partners, ...rule, ...(replaces ? { replaces } : {}) }
    return juryShown(await waybill.juries.create(wish, { signal: cli.signal }))
  }
  if (partners.length === 0) throw usage('who is to sit in it?', 'waybill committee create PARTNER...')
  return shown(await waybill.committee.create({ partners, ...rule }, { signal: cli.signal }))
}

export async function sign(cli: Cli, { assets }: Rule, partner: string): Promise<Answer> {
  await using waybill = await cli.connect()
  if (assets) return juryShown(await waybill.juries.sign(partner, { signal: cli.signal }))
  const signed = waybill.committee.sign(partner, { signal: cli.signal }).catch(withoutOffer)
  return shown(await signed)
}

/** A seat is taken at once, unless the configuration says that a person decides. */
function withoutOffer(error: unknown): never {
  if (!isWaybillError(error) || error.code !== 'NOT_FOUND') throw error
  throw new WaybillError('NOT_FOUND', error.message, {
    hint: 'waybill committee show lists seats that wait; others are taken at once, unless config.toml says seats = "person"',
  })
}

export async function show(cli: Cli, { assets }: Rule): Promise<Answer> {
  await using waybill = await cli.connect()
  if (assets) return juryShown(await waybill.juries.get({ signal: cli.signal }))
  return shown(await waybill.committee.get({ signal: cli.signal }))
}

function whole(text: string): number {
  if (!/^\d{1,2}$/.test(text)) throw usage(`${text} is not a number of seats`)
  return Number(text)
}

function shown(view: CommitteeView): Answer {
  const { inForce, named, asked, waits, seatsOffered } = view
  const [first] = seatsOffered
  return answer({
    schema: 'waybill.committee/1',
    data: view,
    text: () =>
      [
        `in force  ${inForce ? words(inForce) : 'none: this log is unwitnessed'}`,
        ...(named ? [`named     ${words(named)}, by entry ${named.entry}; ${WAITS}`] : []),
        ...waits.map(({ name, text }) => `silent    ${name}: ${text}`),
        ...(asked ? [`asked     ${words(asked)}; signed by ${names(asked.signed)}`] : []),
        ...(asked?.refused ?? []).map(({ name, text }) => `refused   ${name}: ${text}`),
        ...seatsOffered.map(({ name }) => `offered   a seat in the committee of ${name}`),
      ].join('\n'),
    ...(first ? { next: `waybill committee sign '${first.name}'` } : {}),
  })
}

const WAITS =
  'not cosigned by all who must: no head is signed before. If one never comes: waybill log succeed'

const names = (orgs: { name: string }[]): string => orgs.map(({ name }) => name).join(', ') || 'nobody'

/** What a committee is worth (RULES D3). */
function words({ number, n, f, q, seats }: NonNullable<CommitteeView['inForce']>): string {
  const bound = f === 0 ? 'safe only if nobody lies' : `safe while at most ${f} of ${n} lie`
  const worth = n === 1 ? `dated by ${seats[0]!.name}'s word` : bound
  return `number ${number}: ${names(seats)}; ${count(q, 'promise')} of ${n} for a head; ${worth}`
}
