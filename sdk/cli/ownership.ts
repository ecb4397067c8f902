/** Commands about who owns an asset: register it, hand it over, say whose it is. */
import type { Jury, OrderView, OwnerView } from '../../node/schema-ownership.ts'
import type { Waybill } from '../connect.ts'
import { WaybillError } from '../error.ts'
import type { Asset } from '../resources.ts'
import { confirm } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { juryWords } from './jury.ts'
import { shellWord } from './partners.ts'
import { usage } from './problem.ts'
import { size, table } from './table.ts'
import { checkFree, writeWhole } from './targets.ts'
import { parseSpan, shortId, when } from './words.ts'

/** How long a command waits for votes, ms: seats that are there answer at once. */
const VOTES_MS = 10_000

export async function assets(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  const items: Asset[] = []
  for await (const asset of waybill.assets.list({ signal: cli.signal })) items.push(asset)
  return answer({
    schema: 'waybill.assets/1',
    data: { items },
    text: ({ items }) =>
      table(
        ['ASSET', 'WHAT', 'LEVEL', 'PACKETS', 'SIZE'],
        items.map(({ id, title, level, packets, bytes }) => [
          shortId('s', id),
          title,
          level,
          String(packets),
          size(bytes),
        ]),
      ),
  })
}

interface Others {
  with?: string[]
  needs?: string
}

/** Who owns together with whom, and how many of all sign. */
function jointOf({ with: others, needs }: Others): { joint?: { others: string[]; needs?: number } } {
  if (!others) {
    if (needs === undefined) return {}
    throw usage('--needs of how many?', 'name the other owners: --with PARTNER')
  }
  const many = needs === undefined ? undefined : Number(needs)
  if (many !== undefined && !Number.isSafeInteger(many))
    throw usage(`--needs ${needs} is no number`, '--needs 2')
  if (many !== undefined && (2 * many <= others.length + 1 || many > others.length + 1))
    throw usage(
      `${many} of ${others.length + 1} owners`,
      'more than half of them sign, so that no two orders are signed by others each',
    )
  return { joint: { others, ...(many === undefined ? {} : { needs: many }) } }
}

export async function register(
  cli: Cli,
  { ref, bought, ...others }: { ref?: string; bought?: string } & Others,
  id: string,
): Promise<Answer> {
  await using waybill = await cli.connect()
  const about = { ...(ref ? { ref } : {}), ...(bought ? { bought } : {}), ...jointOf(others) }
  if (others.with) cli.note(sharedWords(others.with.length + 1, about.joint?.needs))
  const begun = await waybill.assets.register(id, about, { signal: cli.signal })
  return orderShown(await settled(cli, waybill, begun, VOTES_MS))
}

export async function reseat(cli: Cli, { committee }: { committee?: string }, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const begun = await waybill.assets.reseat(id, committee, { signal: cli.signal })
  return orderShown(await settled(cli, waybill, begun, VOTES_MS))
}

/** What it comes to that several own it: who can do without whom, and what one of them can spoil. */
function sharedWords(owners: number, needs = owners): string {
  if (needs === owners)
    return `all ${owners} owners sign what becomes of it then: without one of them it can never be handed over again`
  const liars = 2 * needs - owners
  return [
    `any ${needs} of ${owners} owners sign what becomes of it then, and may hand it over to themselves alone`,
    `if more than ${owners - needs} disappear, it can never be handed over again`,
    `${liars === 1 ? 'one who signs' : `${liars} who sign`} two orders of a version can freeze it for all`,
  ].join('; ')
}

interface HandoverOptions extends Others {
  committee?: string
  wait: string
  keepContent?: true
  endAgreements?: true
}

export async function handover(
  cli: Cli,
  { committee, wait, keepContent, endAgreements, ...others }: HandoverOptions,
  asset?: string,
  to?: string,
): Promise<Answer> {
  await using waybill = await cli.connect()
  if (asset === undefined) return await list(cli, waybill)
  if (to === undefined) throw usage('to whom?', 'waybill handover ASSET PARTNER')
  const content = keepContent !== true
  const passes = { agreements: endAgreements !== true, duties: true, keys: content, blocks: content }
  const what = { asset, to, passes, ...(committee ? { committee } : {}), ...jointOf(others) }
  const draft = await waybill.handovers.draft(what, { signal: cli.signal })
  const { owner } = draft
  const all = [to, ...(others.with ?? [])].join(' and ')
  cli.note(`${owner.title}, version ${owner.version} of ${ownersWords(owner)}, passes to ${all}`)
  if (owner.owners.length > 1) cli.note(`${owner.needs} of its ${owner.owners.length} owners must sign it`)
  if (others.with) cli.note(sharedWords(others.with.length + 1, what.joint?.needs))
  cli.note(`votes from then on: ${juryWords(draft.committee)}`)
  cli.note(`votes on this: ${juryWords(owner.committee)}`)
  for (const text of draft.doubts) cli.note(`not trusted by this home: ${text}`)
  const sharer = owner.owners.length > 1 ? owner.owner.name : 'this home'
  cli.note(passesWords(passes, 'this home', sharer, draft.content))
  cli.note('with both signatures nobody can take it back; it can only be sold back')
  if (!(await confirm(cli, `Hand ${owner.title} over to ${to}?`)))
    throw new WaybillError('INTERRUPTED', 'not offered', { hint: `waybill handover ${asset} '${to}' --yes` })
  const offered = await waybill.handovers.offer(what, { signal: cli.signal })
  const waitMs = parseSpan(wait, '--wait')
  return orderShown(waitMs > 0 ? await settled(cli, waybill, offered, waitMs) : offered)
}

/** What becomes of what rests on who owned it before: content passes from who writes the hand-over, agreements are of who shares it. */
const passesWords = (
  { agreements, keys }: NonNullable<OrderView['passes']>,
  from: string,
  sharer: string,
  hasContent = true,
): string =>
  [
    !keys
      ? 'its content does not pass'
      : hasContent
        ? `its content passes with it, from ${from}`
        : `its content is not at ${from}, and does not pass with it`,
    `running agreements about it ${agreements ? `go on under ${sharer}` : 'end with it'}`,
  ].join('; ')

async function list(cli: Cli, waybill: Waybill): Promise<Answer> {
  const items: OrderView[] = []
  for await (const order of waybill.handovers.list({ signal: cli.signal })) items.push(order)
  const waiting = items.find(
    ({ role, state }) => (role === 'buyer' || role === 'joint') && state === 'OFFERED',
  )
  return answer({
    schema: 'waybill.handovers/1',
    data: { items },
    text: ({ items }) =>
      table(
        ['ORDER', 'WHAT', 'VERSION', 'WITH', 'ROLE', 'STATE', 'VOTES'],
        items.map(({ id, title, version, partner, role, state, votes, committee }) => [
          shortId('h', id),
          title,
          String(version),
          partner?.name ?? '',
          role,
          state,
          `${votes.length} of ${committee.q}`,
        ]),
      ),
    ...(waiting ? { next: `waybill handover accept ${shortId('h', waiting.id)}` } : {}),
  })
}

export async function accept(cli: Cli, { mode }: { mode?: Jury['mode'] }, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const offered = await waybill.handovers.get(id, { signal: cli.signal })
  const { owners = [], needs } = offered.becomes ?? {}
  const names = owners.map(({ name }) => name).join(' and ')
  if (names) cli.note(`${offered.title}, version ${offered.version}, is of ${names}`)
  if (owners.length > 1) cli.note(sharedWords(owners.length, needs))
  cli.note(`votes: ${juryWords(offered.next ?? offered.committee)}`)
  const from = offered.partner?.name ?? 'its owner'
  if (offered.passes) cli.note(passesWords(offered.passes, from, 'who shared it'))
  if (offered.doubt) cli.note(`not trusted by this home: ${offered.doubt}`)
  if (offered.weaker && mode !== offered.weaker.mode)
    throw new WaybillError('MODE_WEAKER', `the committee is not trusted: ${offered.weaker.text}`, {
      hint: `waybill handover accept ${id} --mode ${offered.weaker.mode}, if that is good enough`,
    })
  const taken = await waybill.handovers.accept(id, mode, { signal: cli.signal })
  return orderShown(await settled(cli, waybill, taken, VOTES_MS))
}

export async function decline(cli: Cli, { reason }: { reason: string }, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  return orderShown(await waybill.handovers.decline(id, reason, { signal: cli.signal }))
}

export async function withdraw(cli: Cli, _options: object, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  return orderShown(await waybill.handovers.withdraw(id, { signal: cli.signal }))
}

/** The order after so long, or as soon as it is certified or never will be. */
async function settled(cli: Cli, waybill: Waybill, order: OrderView, ms: number): Promise<OrderView> {
  const signal = AbortSignal.any([cli.signal, AbortSignal.timeout(ms)])
  return waybill.handovers.wait(order.id, { signal }).catch(error => {
    if (cli.signal.aborted) throw error
    return waybill.handovers.get(order.id, { signal: cli.signal })
  })
}

const STATES: Record<OrderView['state'], string> = {
  OFFERED: 'offered; not all have answered',
  ACCEPTED: 'accepted; not all owners have signed',
  VOTING: 'signed; votes are missing',
  CERTIFIED: 'certified',
  FROZEN: 'never certified: too many seats voted for another order',
  DECLINED: 'declined',
  WITHDRAWN: 'taken back',
}

const partyWords = ({ name, signed, agreed }: OrderView['parties'][number]): string =>
  `${name}${signed ? ' (signed)' : agreed ? ' (says yes)' : ''}`

/** Who owns it, and how many of them sign. */
const ownersWords = ({ owner, owners, needs }: Pick<OwnerView, 'owner' | 'owners' | 'needs'>): string =>
  owners.length > 1
    ? `${owners.map(({ name }) => name).join(', ')} (${needs} of ${owners.length} sign; ${owner.name} shares it)`
    : owner.name

/** A seat that votes no more is replaced once the step is certified. */
function nextOf({ state, role, refused, asset, committee, next }: OrderView): string | undefined {
  if (state !== 'CERTIFIED') return undefined
  const isGone = refused.some(({ code }) => code === 'STORE_UNPROVEN' || code === 'SEAT_LOST')
  if (!isGone || role === 'seller' || next) return `waybill owner ${shortId('s', asset)}`
  return `waybill committee create PARTNERS --assets --replaces ${shortId('c', committee.id)}`
}

function orderShown(order: OrderView): Answer {
  return answer({
    schema: 'waybill.handover/1',
    data: order,
    text: ({ id, title, version, partner, role, state, parties, votes, refused, committee, next, refusal }) =>
      [
        `${title}  version ${version}${partner ? `, ${role === 'seller' ? 'to' : 'from'} ${partner.name}` : ''}  ${shortId('h', id)}`,
        `state     ${STATES[state]}${refusal ? `: ${refusal.text}` : ''}`,
        ...(parties.length > 2 || role === 'joint'
          ? [`owners    ${parties.map(partyWords).join(', ')}`]
          : []),
        `votes     ${votes.map(({ name }) => name).join(', ') || 'none'}; ${committee.q} make a certificate`,
        ...refused.map(({ name, code, text }) => `refused   ${name}: ${text} (${code})`),
        `committee ${juryWords(next ?? committee)}`,
      ].join('\n'),
    next: nextOf(order),
  })
}

export async function owner(
  cli: Cli,
  { offline, output, force }: { offline?: true; output?: string; force?: true },
  id: string,
): Promise<Answer> {
  await using waybill = await cli.connect()
  if (output !== undefined) {
    await checkFree(output, force === true)
    const bytes = await waybill.assets.evidence(id, { signal: cli.signal })
    await writeWhole(output, [bytes], { force: force === true })
  }
  const view = await waybill.assets.owner(id, { fresh: !offline, signal: cli.signal })
  return answer({
    schema: 'waybill.owner/1',
    data: view,
    text: ownerText,
    next: output === undefined ? undefined : `waybill verify ${output}`,
  })
}

/** What the chain says and what seats say now are two lines: the chain may be an old one. */
function ownerText(view: OwnerView): string {
  const { title, asset, owners, version, sinceMs, committee, fresh, frozen } = view
  return [
    `${title}  ${shortId('s', asset)}`,
    `chain     ${ownersWords(view)} own${owners.length > 1 ? '' : 's'} version ${version}, since ${when(sinceMs)}, as far as this node knows`,
    `now       ${fresh ? freshText(view) : 'nobody was asked'}`,
    ...(fresh?.silent ?? []).map(({ name, text }) => `          ${name}: ${text}`),
    `committee ${juryWords(committee)}`,
    ...(frozen
      ? [
          `${frozen.stops ? 'frozen    ' : 'note      '}${frozen.by.map(({ name }) => name).join(' and ')} signed two orders of version ${frozen.version}, to ${frozen.to.map(({ name }) => name).join(' and ')}${frozen.stops ? '' : '; one is certified, and stands'}`,
          ...frozen.orders.map(order => `          ${order}`),
        ]
      : []),
    'a recorded right; who first had the data is the word of who registered it',
  ].join('\n')
}

function freshText({ fresh, committee, version }: OwnerView): string {
  const { seats, atMs } = fresh!
  if (committee.n === 0) return 'unknown: nobody votes'
  return atMs === undefined
    ? `unknown: fewer than ${committee.q} of ${committee.n} seats say that version ${version} is the last`
    : `the last at ${when(atMs)}, say ${seats.map(({ name }) => name).join(', ')}`
}

export async function history(cli: Cli, _options: object, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  return answer({
    schema: 'waybill.owner-history/1',
    data: await waybill.assets.history(id, { signal: cli.signal }),
    text: ({ items }) =>
      table(
        ['VERSION', 'OWNER', 'SINCE', 'VOTES OF'],
        items.map(({ version, owners, madeMs, votes, bought }) => [
          String(version),
          owners.map(({ name }) => name).join(', ') +
            (bought
              ? ` (bought of ${bought.of.name} by ${shortId('h', bought.order)}: ${bought.committee.words})`
              : ''),
          when(madeMs),
          votes.map(({ name }) => name).join(', ') || 'nobody',
        ]),
      ),
  })
}

export async function disclose(
  cli: Cli,
  { output, force = false }: { output: string; force?: boolean },
  id: string,
): Promise<Answer> {
  await using waybill = await cli.connect()
  await checkFree(output, force)
  await writeWhole(output, [await waybill.assets.disclose(id, { signal: cli.signal })], { force })
  return answer({
    schema: 'waybill.disclosed/1',
    data: { asset: id, path: output },
    text: ({ path }) => path,
    next: `waybill verify ${shellWord(output)} ANOTHER --twice PROOF.waybill`,
  })
}

export async function certify(cli: Cli, { off }: { off?: true }, partner: string): Promise<Answer> {
  await using waybill = await cli.connect()
  await waybill.juries.certify(partner, off !== true, { signal: cli.signal })
  return answer({
    schema: 'waybill.certified/1',
    data: { partner, certified: off !== true },
    text: ({ certified }) => `${partner} counts as certified ${certified ? 'here' : 'no longer'}`,
  })
}

export async function control(cli: Cli, { off }: { off?: true }, orgs: string[]): Promise<Answer> {
  await using waybill = await cli.connect()
  await waybill.juries.control(orgs, off !== true, { signal: cli.signal })
  return answer({
    schema: 'waybill.control/1',
    data: { orgs, control: off !== true },
    text: ({ orgs, control }) => `${orgs.join(', ')}: under one control ${control ? 'here' : 'no longer'}`,
  })
}
