/**
 * What a node keeps of who owns an asset: the certified steps from the registration on, and where they have come to.
 *
 *     whoever holds it                               parties, seats
 *                -- owner/told {links, identities} -->   checks each step, keeps it
 *                <-- owner/known {asset, version?} --    also where a message about the asset skips steps: tell me from there
 *                -- owner/frozen {one, other, asset?, identities} -->   its owner signed two next steps
 *
 * Only steps with their certificates are kept, so a node knows no more of an asset than it can show to anybody.
 */
import { equal, readU64, u64 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { type AssetCommittee, assetCommittee, type Seat, seatOf } from './asset-committee.ts'
import { over as overOutput } from './context.ts'
import { handover, isOrder, isSame, type Joint, type Order, type Owner, readOrder } from './handover.ts'
import { KEY } from './layout.ts'
import { MAX_LINKS, MAX_MESSAGE_BYTES, MAX_SHOWN, MAX_TITLES } from './limits.ts'
import { type Context, decodeState, encodeState, type Step, say, stay, violation } from './machine.ts'
import { encodeMessage, type Message, type MessageOf } from './message.ts'
import { join, type Write } from './output.ts'
import {
  advance,
  checkOrder,
  isEquivocation,
  isRefused,
  type Link,
  type Owned,
  type Purchase,
  passed,
  purchaseIn,
} from './ownership.ts'
import { among, keep, keysOf, knows, type Shown, show } from './parties.ts'
import { isStored, readRecord, type Stored } from './record.ts'
import { remembering } from './remember.ts'

type Get = Context['get']

/** A step as it is kept: its committees, and the identities by which it is judged, stand by themselves. */
type KeptLink = Omit<Link, 'committee' | 'bought'> & {
  committee?: CID
  bought?: Omit<Purchase, 'committee'> & { committee: CID }
}

/** Two orders of one version that the owner has signed, and the asset where one of them is a registration. */
export interface Frozen {
  orders: [Uint8Array, Uint8Array]
  asset?: Uint8Array
  identities: Shown[]
}

export function titleOf(get: Get, asset: CID): Owned | undefined {
  const stored = get(KEY.title(asset))
  if (!stored) return undefined
  const { committee, ...owned } = decodeState<Omit<Owned, 'committee'> & { committee: CID }>(stored)
  return { ...owned, committee: committeeKnown(get, committee)! } // kept with it
}

/** Why an offer is void: by what is known here, whoever makes it is not the owner by the order that it names (RULES E6). */
export function handedOver(
  { org, asset, ownerVersion, order }: { org: CID; asset: CID; ownerVersion: number; order?: CID },
  get: Get,
): { code: 'NOT_OWNER'; text: string } | undefined {
  const owned = titleOf(get, asset)
  if (!owned || owned.version < ownerVersion) return undefined
  if (!owned.owner.equals(org) || ownerVersion < owned.since)
    return { code: 'NOT_OWNER', text: `${owned.owner} owns the asset since version ${owned.since}` }
  return !order || orderAt(get, asset, ownerVersion)?.equals(order)
    ? undefined
    : { code: 'NOT_OWNER', text: `version ${ownerVersion} was made by another order` }
}

/** Whether the agreements that an owner of before signed have ended, because the asset was handed over without them. */
export function endedWith({ asset, ownerVersion }: { asset: CID; ownerVersion: number }, get: Get): boolean {
  return linksOf(get, asset, ownerVersion + 1, Number.MAX_SAFE_INTEGER).some(link => {
    const read = readRecord(handover, link.order)
    return isStored(read) && !read.payload.passes.agreements
  })
}

/** The certified order that made a version. */
export function orderAt(get: Get, asset: CID, version: number): CID | undefined {
  const [link] = linksOf(get, asset, version, 1)
  const read = link && readOrder(link.order)
  return read && isOrder(read) ? read.id : undefined
}

/** Committees that are in use at once; one of 32 seats takes 14 KiB. */
const OPEN = { most: 128, maxBytes: 16_384 }

/** A committee as it was stored: it was checked when it came. */
export const openCommittee: (stored: Uint8Array) => Stored<AssetCommittee> = remembering(
  OPEN,
  stored => readRecord(assetCommittee, stored) as Stored<AssetCommittee>,
)

/** A committee that was checked before. */
export function committeeKnown(get: Get, id: CID): Stored<AssetCommittee> | undefined {
  const stored = get(KEY.jury(id))
  return stored && openCommittee(stored)
}

/** Up to so many steps from a version on, with their committees. */
export function linksOf(get: Get, asset: CID, from: number, most: number): Link[] {
  const links: Link[] = []
  for (let version = from; links.length < most; version++) {
    const stored = get(KEY.step(asset, version))
    if (!stored) break
    const { committee, bought, ...link } = decodeState<KeptLink>(stored)
    links.push({
      ...link,
      ...(committee ? { committee: get(KEY.jury(committee))! } : {}),
      ...(bought ? { bought: { ...bought, committee: get(KEY.jury(bought.committee))! } } : {}),
    })
  }
  return links
}

/** The same as they are told and shown to whoever may know nobody in them. */
export function shownLinks(
  context: Pick<Context, 'self' | 'partner' | 'get'>,
  asset: CID,
  from: number,
  most: number,
): { links: Link[]; identities: Shown[] } {
  const links = linksOf(context.get, asset, from, most)
  const seats = links.flatMap(link => [...seatsOf(link), ...soldBy(link.bought)])
  return { links, identities: show(links.flatMap(partiesOf), context, seats) }
}

/** As they are told to who is likely to know who signed them: else it asks for the whole. */
export const bareLinks = (...of: Parameters<typeof linksOf>): Link[] =>
  linksOf(...of).map(({ committee: _, ...link }) => link)

/** The organisations by whose keys a step is judged, and its committee where it brings one. */
const partiesOf = ({ order }: Link): CID[] => {
  const read = readOrder(order)
  return isOrder(read) ? read.parties : []
}
const seatsOf = ({ committee }: Link): Seat[] => (committee ? openCommittee(committee).payload.seats : [])

/** By whose keys a purchase is judged, each up to the state that it names: what they sign later makes no message too long. */
export function soldBy(bought: Purchase | undefined): Owner[] {
  const found = purchaseIn(bought)
  return found ? [...found.sale.states, ...found.committee.payload.seats] : []
}

/** A certified step, where the asset stands with it, and who signed it where nobody here knows that. */
export function keepLink(
  link: Link,
  owned: Owned,
  identities: Shown[],
  context: Pick<Context, 'self' | 'partner' | 'get'>,
): Write[] {
  const { get } = context
  const { committee, ...rest } = owned
  const before = get(KEY.title(owned.asset))
  const { committee: shown, bought, ...step } = link
  const brings = shown ?? (!before || isChange(link))
  const sold = purchaseIn(bought)?.committee
  const kept: KeptLink = {
    ...step,
    ...(brings ? { committee: committee.id } : {}),
    ...(bought && sold ? { bought: { ...bought, committee: sold.id } } : {}),
  }
  const juries = [committee, ...(sold ? [sold] : [])].filter(({ id }) => !get(KEY.jury(id)))
  const seated = [...(brings ? committee.payload.seats : []), ...soldBy(bought)]
  return [
    { key: KEY.step(owned.asset, owned.version), value: encodeState(kept) },
    {
      key: KEY.title(owned.asset),
      value: encodeState({ ...rest, committee: committee.id }),
      if: before ? { equals: before } : 'absent',
    },
    ...juries.map(({ id, bytes }) => ({ key: KEY.jury(id), value: bytes })),
    ...keep([...partiesOf(link), ...seated.map(({ org }) => org)], identities, context),
  ]
}

const isChange = ({ order }: Link): boolean => {
  const read = readOrder(order)
  return isOrder(read) && read.next !== undefined
}

export const fits = (message: Message & { identities: Shown[] }): boolean =>
  message.identities.length <= MAX_SHOWN && encodeMessage(message).length <= MAX_MESSAGE_BYTES

/** Tells a node the steps from a version on; `whole`: with who signed them. */
export function tell(asset: CID, from: number, whole: boolean, context: Context): Message[] {
  for (let most = MAX_LINKS; most > 0; most = Math.floor(most / 2)) {
    const { links, identities } = whole
      ? shownLinks(context, asset, from, most)
      : { links: bareLinks(context.get, asset, from, most), identities: [] }
    if (links.length === 0) return []
    const message = { t: 'owner/told' as const, links, identities }
    // Committees of many seats bring many identities: then fewer steps fit.
    if (fits(message) || most === 1) return [message]
  }
  return []
}

/** The answer to who lacks a version: what has become of the asset since, with who signed it. */
export function showSince(to: string, asset: CID, version: number, context: Context): Step<never> {
  const step = stay<never>()
  step.output.sends.push(...tell(asset, version, true, context).map(message => ({ to, message })))
  return step
}

/** The answer to a message about an asset whose steps before it are not known here, and are wanted. */
export function askSteps(to: string, asset: CID, context: Context): Step<never> {
  const known = titleOf(context.get, asset)
  const version = known ? { version: known.version } : {}
  const writes = wanting(to, asset, context)
  if (!writes) return stay()
  const step = say<never>(undefined, to, { t: 'owner/known', asset, ...version })
  step.output.writes.push(...writes)
  return step
}

/** Counts an asset that a partner brings up, once; nothing when it brings up too many. */
export function wanting(from: string, asset: CID, context: Context): Write[] | undefined {
  if (titleOf(context.get, asset) || context.get(KEY.wanted(asset))) return []
  if (held(from, context) >= MAX_TITLES) return undefined
  return [{ key: KEY.wanted(asset), value: new Uint8Array(0) }, ...counted(from, context)]
}

/** The answer to a bare message of which nobody here knows who signed it. */
export const askWhole = (to: string, asset: CID, version: number | undefined): Step<never> =>
  say<never>(undefined, to, {
    t: 'owner/known',
    asset,
    ...(version === undefined ? {} : { version }),
    whole: true,
  })

/** What an order is shown with: the committee that follows it, and how its owner came by what it registers. */
interface Brought {
  committee?: Uint8Array | undefined
  bought?: Purchase | undefined
}

/** Whether a message leaves out what is needed here to judge an order: keys of who signed it, or the committee that it brings. */
export function lacks(
  order: Order,
  { committee, bought, identities }: Brought & { identities: Shown[] },
  context: Context,
): boolean {
  const brought = order.next ?? (order.version === 0 ? order.committee : undefined)
  const isNew = brought !== undefined && !context.get(KEY.jury(brought))
  if (isNew && !committee) return true
  if (identities.length > 0) return false
  const read = isNew && committee ? readRecord(assetCommittee, committee) : undefined
  const sold = soldBy(bought)
  const seats = read && isStored(read) ? read.payload.seats : []
  return !knows([...order.states, ...seats, ...sold], context)
}

/** Somebody shows certified steps of one asset. */
export function told(from: string, message: MessageOf<'owner/told'>, context: Context): Step<never> {
  const { step, owned } = learn(from, message, context)
  if (!owned || isVoted(message.links, context)) return step
  step.output.sends.push({
    to: from,
    message: { t: 'owner/known', asset: owned.asset, version: owned.version },
  })
  return step
}

/** Whether the last step is one that this seat voted for, of which nobody waits for its answer. */
function isVoted(links: Link[], { get }: Context): boolean {
  const order = readOrder(links.at(-1)!.order)
  if (!isOrder(order) || order.next) return false
  const stored = get(KEY.vote(order.committee, order.asset, order.version))
  return stored !== undefined && decodeState<{ choice: CID }>(stored).choice.equals(order.id)
}

/** Keeps the steps that come with a message; without `owned` the step answers what there is to say instead. */
export function learn(
  from: string,
  { t, links, identities }: { t: string; links: Link[]; identities: Shown[] },
  context: Context,
): { step: Step<never>; owned?: Owned } {
  const step = stay<never>()
  const wrongly = (code: Parameters<typeof violation>[2], text: string) => ({
    step: violation<never>(from, t, code, text),
  })
  const keys = keysOf(context, identities)
  let owned: Owned | undefined
  for (const link of links) {
    const order = readOrder(link.order)
    if (!isOrder(order)) return wrongly('RECORD_INVALID', order.reason)
    if (owned && !owned.asset.equals(order.asset))
      return wrongly('OUT_OF_ORDER', 'the steps are of several assets')
    owned ??= titleOf(context.get, order.asset)
    if (owned && order.version <= owned.version) {
      const found = contradicted(order, link, identities, context)
      if (found)
        step.output = join(step.output, frozenNow(found, order.asset, { get: over(step, context) }).output)
      continue
    }
    const wrong = owned ? undefined : unwanted(from, order, links, context)
    if (wrong) return wrongly(wrong.code, wrong.text)
    if (order.version > (owned?.version ?? -1) + 1) return { step: askSteps(from, order.asset, context) }
    if (lacks(order, { ...link, identities }, context))
      return { step: askWhole(from, order.asset, titleOf(context.get, order.asset)?.version) }
    const next = advance(owned, link, keys, id => committeeKnown(context.get, id))
    if (isRefused(next)) return wrongly(next.code, next.text)
    step.output.writes.push(
      ...(owned || isOpen(order, context) ? [] : counted(from, context)),
      ...keepLink(link, next, identities, overOutput(context, step.output)),
    )
    step.output.events.push({ type: 'owner', asset: next.asset, version: next.version })
    owned = next
  }
  return owned ? { step, owned } : { step }
}

/** The same for steps that a message brings beside what it asks: it is answered over what was learned, or not at all. */
export function learned(
  from: string,
  message: { t: string; links?: Link[]; identities: Shown[] },
  context: Context,
  run: (context: Context) => Step<unknown>,
): Step<unknown> {
  const { links } = message
  if (!links?.length) return run(context)
  const { step, owned } = learn(from, { ...message, links }, context)
  if (!owned) return step
  const next = run(overOutput(context, step.output))
  return { ...next, output: join(step.output, next.output) }
}

const over =
  (step: Step<never>, { get }: Context): Get =>
  key =>
    step.output.writes.findLast(write => write.key === key)?.value ?? get(key)

/** Whoever is no party, has no seat and is not told by the owner itself has no use for it; and each partner has a quota. */
function unwanted(
  from: string,
  order: Order,
  links: Link[],
  context: Context,
): { code: 'NOT_ADMITTED' | 'QUOTA_EXCEEDED'; text: string } | undefined {
  const [link] = links as [Link, ...Link[]]
  const committee = link.committee
    ? readRecord(assetCommittee, link.committee)
    : committeeKnown(context.get, order.committee)
  const isSeated = committee && 'payload' in committee && seatOf(committee.payload, context.self.id)
  // The steps of one message follow each other, or all are refused: so its last one counts as well.
  const last = readOrder(links.at(-1)!.order)
  const ending = isOrder(last) && last.version === order.version + links.length - 1 ? last.parties : []
  const parties = [...order.parties, ...ending].map(String)
  if (!isSeated && !parties.includes(from) && !parties.includes(context.self.org) && !isOpen(order, context))
    return { code: 'NOT_ADMITTED', text: 'this asset is none of ours' }
  if (isOpen(order, context) || held(from, context) < MAX_TITLES) return undefined
  return { code: 'QUOTA_EXCEEDED', text: `a partner tells of at most ${MAX_TITLES} assets` }
}

/** Something here waits for the steps of this asset. */
const isOpen = ({ asset }: Order, { get }: Context): boolean => get(KEY.wanted(asset)) !== undefined

const held = (org: string, { get }: Context): number => {
  const stored = get(KEY.titlesOf(org))
  return stored ? readU64(stored)! : 0
}
const counted = (org: string, context: Context): Write[] => [
  { key: KEY.titlesOf(org), value: u64(held(org, context) + 1) },
]

/** Another step than the one that is kept: with both its owner is convicted. */
function contradicted(order: Order, link: Link, identities: Shown[], context: Context): Frozen | undefined {
  const { links, identities: known } = shownLinks(context, order.asset, order.version, 1)
  const [kept] = links
  if (!kept || equal(kept.order, link.order)) return undefined
  return frozenBy([kept.order, link.order], link.asset ?? kept.asset, [...identities, ...known], context)
}

/** Two orders as evidence, with the identities that it needs; `undefined` when they convict nobody. */
export function frozenBy(
  orders: readonly [Uint8Array, Uint8Array],
  asset: Uint8Array | undefined,
  identities: Shown[],
  context: Context,
): Frozen | undefined {
  const parties = orders.flatMap(order => {
    const read = readOrder(order)
    return isOrder(read) ? read.parties : []
  })
  const frozen: Frozen = {
    orders: [...orders],
    identities: among(parties, identities, context),
    ...(asset ? { asset } : {}),
  }
  return convicts(frozen, context) ? frozen : undefined
}

/**
 * Whether these two orders convict who signed both. Of a hand-over only the owner before it can be convicted: whoever else
 * signs two has nothing to sell, and stops nobody; nor does a thief of keys that the last certified step has put out of use.
 */
export function convicts({ orders, asset, identities }: Frozen, context: Context): Order | undefined {
  const keys = keysOf(context, identities)
  const [a, b] = orders.map(order => checkOrder({ order, ...(asset ? { asset } : {}) }, keys)) as [
    Order,
    Order,
  ]
  if (isRefused(a) || isRefused(b) || !isEquivocation(a, b)) return undefined
  if (a.version === 0) return a
  const before = ownersAt(a.asset, a.version - 1, context.get)
  const isOwn = ({ givers }: Order) =>
    isSame(givers!, before!) && passed(givers!.owners, before!.owners, keys)?.code !== 'KEY_STATE_PASSED'
  return before && isOwn(a) && isOwn(b) ? a : undefined
}

/** Who owned a version, at the states that its certified step names. */
function ownersAt(asset: CID, version: number, get: Get): Joint | undefined {
  const [link] = linksOf(get, asset, version, 1)
  const read = link && readOrder(link.order)
  if (!read || !isOrder(read) || !read.asset.equals(asset)) return undefined
  return read.takers ? { k: read.k!, owners: read.takers.owners } : read.givers
}

const freeze = (frozen: Frozen, asset: CID, get: Get): Write[] => {
  const before = get(KEY.frozen(asset))
  const value = encodeState(frozen)
  return [{ key: KEY.frozen(asset), value, if: before ? { equals: before } : 'absent' }]
}

export const frozenOf = (get: Get, asset: CID): Frozen | undefined => {
  const stored = get(KEY.frozen(asset))
  return stored && decodeState(stored)
}

/** Somebody shows that an owner signed two next steps. */
export function shownFrozen(from: string, message: MessageOf<'owner/frozen'>, context: Context): Step<never> {
  const { t, one, other, asset, identities } = message
  const order = readOrder(one)
  const owned = isOrder(order) ? titleOf(context.get, order.asset) : undefined
  // Steps before it that are not here show whether whoever signed was its owner.
  if (isOrder(order) && order.version > (owned?.version ?? -1) + 1)
    return owned ? askSteps(from, order.asset, context) : stay()
  const frozen = frozenBy([one, other], asset, identities, context)
  if (!frozen || !isOrder(order))
    return violation(from, t, 'EQUIVOCATION_UNPROVEN', 'these orders convict nobody')
  if (owned) return frozenNow(frozen, order.asset, context)
  const isKnown = order.to.equals(context.self.id) || context.partner(order.to.toString()) !== undefined
  if (!isKnown || context.get(KEY.frozen(order.asset)) || held(from, context) >= MAX_TITLES) return stay()
  const step = frozenNow(frozen, order.asset, context)
  step.output.writes.push(...counted(from, context))
  return step
}

/** An equivocation that was found: kept, and told by the node to whoever is here. */
export function frozenNow(frozen: Frozen, asset: CID, { get }: Pick<Context, 'get'>): Step<never> {
  const step = stay<never>()
  if (!isNews(frozen, asset, get)) return step
  step.output.writes.push(...freeze(frozen, asset, get))
  step.output.events.push({ type: 'frozen', asset })
  return step
}

/** The proof of a later version stands for the asset: an old one hides none. */
function isNews(frozen: Frozen, asset: CID, get: Get): boolean {
  const held = frozenOf(get, asset)
  return held === undefined || versionOf(held) < versionOf(frozen)
}

const versionOf = ({ orders: [one] }: Frozen): number => {
  const read = readOrder(one)
  return isOrder(read) ? read.version : -1
}

/**
 * Whether two orders stop the asset. They do not where one of them is certified: who owns it since is not harmed. Where
 * nobody votes there is no telling which came first.
 */
export function isStopped({ orders: [one] }: Frozen, get: Get): boolean {
  const order = readOrder(one)
  if (!isOrder(order)) return false
  const isCertified = get(KEY.step(order.asset, order.version)) !== undefined
  return !isCertified || committeeKnown(get, order.committee)?.payload.n === 0
}

export const tellFrozen = ({ orders, asset, identities }: Frozen): Message => ({
  t: 'owner/frozen',
  one: orders[0],
  other: orders[1],
  identities,
  ...(asset ? { asset } : {}),
})
