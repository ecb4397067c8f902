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
import { readU64, toHex, u64 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { type AssetCommittee, assetCommittee, seatOf } from './asset-committee.ts'
import { handover, isOrder, type Order, readOrder } from './handover.ts'
import { KEY } from './layout.ts'
import { MAX_LINKS, MAX_TITLES } from './limits.ts'
import { type Context, decodeState, encodeState, type Step, say, stay, violation } from './machine.ts'
import type { Message, MessageOf } from './message.ts'
import type { Write } from './output.ts'
import { advance, checkOrder, isEquivocation, isRefused, type Link, type Owned } from './ownership.ts'
import { keysOf, type Shown, show } from './parties.ts'
import { isStored, readRecord, type Stored } from './record.ts'

type Get = Context['get']

/** A step as it is kept: with the identities by which its signatures are judged. */
interface KeptLink {
  link: Link
  identities: Shown[]
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
  const { committee, ...owned } = decodeState<Omit<Owned, 'committee'> & { committee: Uint8Array }>(stored)
  return { ...owned, committee: openCommittee(committee) }
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
  const { links } = linksOf(get, asset, ownerVersion + 1, Number.MAX_SAFE_INTEGER)
  return links.some(link => {
    const read = readRecord(handover, link.order)
    return isStored(read) && !read.payload.passes.agreements
  })
}

/** The certified order that made a version. */
function orderAt(get: Get, asset: CID, version: number): CID | undefined {
  const [link] = linksOf(get, asset, version, 1).links
  const read = link && readOrder(link.order)
  return read && isOrder(read) ? read.id : undefined
}

/** A committee as it was stored: it was checked when it came. */
export const openCommittee = (stored: Uint8Array): Stored<AssetCommittee> =>
  readRecord(assetCommittee, stored) as Stored<AssetCommittee>

/** A committee that was checked before. */
export function committeeKnown(get: Get, id: CID): Stored<AssetCommittee> | undefined {
  const stored = get(KEY.jury(id))
  return stored && openCommittee(stored)
}

/** Up to so many steps from a version on, as they are told and shown, with the identities that they need. */
export function linksOf(
  get: Get,
  asset: CID,
  from: number,
  most: number,
): { links: Link[]; identities: Shown[] } {
  const kept: KeptLink[] = []
  for (let version = from; kept.length < most; version++) {
    const stored = get(KEY.step(asset, version))
    if (!stored) break
    kept.push(decodeState<KeptLink>(stored))
  }
  return { links: kept.map(({ link }) => link), identities: onceEach(kept.flatMap(each => each.identities)) }
}

/** Of one identity that stands there more than once, the one with the most events. */
function onceEach(identities: Shown[]): Shown[] {
  const longest = new Map<string, Shown>()
  for (const each of identities) {
    const name = toHex(each.identity)
    if ((longest.get(name)?.events.length ?? -1) < each.events.length) longest.set(name, each)
  }
  return [...longest.values()]
}

/** A certified step, and where the asset stands with it. */
export function keepLink(link: Link, owned: Owned, identities: Shown[], get: Get): Write[] {
  const { committee, ...rest } = owned
  const before = get(KEY.title(owned.asset))
  return [
    { key: KEY.step(owned.asset, owned.version), value: encodeState({ link, identities }) },
    {
      key: KEY.title(owned.asset),
      value: encodeState({ ...rest, committee: committee.bytes }),
      if: before ? { equals: before } : 'absent',
    },
    { key: KEY.jury(committee.id), value: committee.bytes },
  ]
}

/** Tells a node the steps from a version on. */
export function tell(asset: CID, from: number, { get }: Pick<Context, 'get'>): Message[] {
  const { links, identities } = linksOf(get, asset, from, MAX_LINKS)
  return links.length > 0 ? [{ t: 'owner/told', links, identities }] : []
}

/** The answer to a message about an asset whose steps before it are not known here, and are wanted. */
export function askSteps(to: string, asset: CID, context: Context): Step<never> {
  const known = titleOf(context.get, asset)
  const version = known ? { version: known.version } : {}
  const step = say<never>(undefined, to, { t: 'owner/known', asset, ...version })
  if (!known) step.output.writes.push({ key: KEY.wanted(asset), value: new Uint8Array(0) })
  return step
}

/** Somebody shows certified steps of one asset. */
export function told(from: string, message: MessageOf<'owner/told'>, context: Context): Step<never> {
  const step = stay<never>()
  const keys = keysOf(context, message.identities)
  let owned: Owned | undefined
  for (const link of message.links) {
    const order = readOrder(link.order)
    if (!isOrder(order)) return violation(from, message.t, 'RECORD_INVALID', order.reason)
    if (owned && !owned.asset.equals(order.asset))
      return violation(from, message.t, 'OUT_OF_ORDER', 'the steps are of several assets')
    owned ??= titleOf(context.get, order.asset)
    if (owned && order.version <= owned.version) {
      step.output.writes.push(...contradicted(order, link, message.identities, context))
      continue
    }
    const wrong = owned ? undefined : unwanted(from, order, link, context)
    if (wrong) return violation(from, message.t, wrong.code, wrong.text)
    if (order.version > (owned?.version ?? -1) + 1) return askSteps(from, order.asset, context)
    const next = advance(owned, link, keys, id => committeeKnown(context.get, id))
    if (isRefused(next)) return violation(from, message.t, next.code, next.text)
    step.output.writes.push(
      ...(owned ? [] : counted(from, context)),
      ...keepLink(link, next, shownFor(link, next, order, message.identities, context), over(step, context)),
    )
    step.output.events.push({ type: 'owner', asset: next.asset, version: next.version })
    owned = next
  }
  if (!owned) return step
  step.output.sends.push({
    to: from,
    message: { t: 'owner/known', asset: owned.asset, version: owned.version },
  })
  return step
}

const over =
  (step: Step<never>, { get }: Context): Get =>
  key =>
    step.output.writes.findLast(write => write.key === key)?.value ?? get(key)

/** Those identities that a step needs: of its parties, and of the seats where it shows a committee. */
export function shownFor(
  link: Link,
  { committee }: Pick<Owned, 'committee'>,
  order: Order,
  identities: Shown[],
  context: Context,
): Shown[] {
  const seats = link.committee ? committee.payload.seats.map(({ org }) => org) : []
  const needed = [...order.parties, ...seats]
  const own = show(needed, context)
  const strangers = needed.filter(
    org => !org.equals(context.self.id) && context.partner(org.toString()) === undefined,
  )
  return [...own, ...(strangers.length > 0 ? identities : [])]
}

/** Whoever is no party, has no seat and is not told by the owner itself has no use for it; and each partner has a quota. */
function unwanted(
  from: string,
  order: Order,
  link: Link,
  context: Context,
): { code: 'NOT_ADMITTED' | 'QUOTA_EXCEEDED'; text: string } | undefined {
  const committee = link.committee && readRecord(assetCommittee, link.committee)
  const isSeated = committee && 'payload' in committee && seatOf(committee.payload, context.self.id)
  const parties = [...order.parties.map(String), order.to.toString()]
  if (!isSeated && !parties.includes(from) && !parties.includes(context.self.org) && !isOpen(order, context))
    return { code: 'NOT_ADMITTED', text: 'this asset is none of ours' }
  if (held(from, context) < MAX_TITLES) return undefined
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
function contradicted(order: Order, link: Link, identities: Shown[], context: Context): Write[] {
  const { links, identities: known } = linksOf(context.get, order.asset, order.version, 1)
  const [kept] = links
  if (!kept || context.get(KEY.frozen(order.asset))) return []
  const asset = link.asset ?? kept.asset
  const both = [...identities, ...known]
  const frozen: Frozen = {
    orders: [kept.order, link.order],
    identities: both,
    ...(asset ? { asset } : {}),
  }
  return convicts(frozen, context) ? freeze(frozen, order.asset) : []
}

/** Whether these two orders convict who signed both. */
export function convicts({ orders, asset, identities }: Frozen, context: Context): Order | undefined {
  const keys = keysOf(context, identities)
  const [a, b] = orders.map(order => checkOrder({ order, ...(asset ? { asset } : {}) }, keys)) as [
    Order,
    Order,
  ]
  return !isRefused(a) && !isRefused(b) && isEquivocation(a, b) ? a : undefined
}

export const freeze = (frozen: Frozen, asset: CID): Write[] => [
  { key: KEY.frozen(asset), value: encodeState(frozen), if: 'absent' },
]

export const frozenOf = (get: Get, asset: CID): Frozen | undefined => {
  const stored = get(KEY.frozen(asset))
  return stored && decodeState(stored)
}

/** Somebody shows that an owner signed two next steps. */
export function shownFrozen(from: string, message: MessageOf<'owner/frozen'>, context: Context): Step<never> {
  const { t, one, other, asset, identities } = message
  const frozen: Frozen = { orders: [one, other], identities, ...(asset ? { asset } : {}) }
  const order = convicts(frozen, context)
  if (!order) return violation(from, t, 'EQUIVOCATION_UNPROVEN', 'these orders convict nobody')
  return frozenNow(frozen, order.asset, context)
}

/** An equivocation that was found: kept, and told by the node to whoever is here. */
export function frozenNow(frozen: Frozen, asset: CID, { get }: Context): Step<never> {
  const step = stay<never>()
  if (get(KEY.frozen(asset))) return step
  step.output.writes.push(...freeze(frozen, asset))
  step.output.events.push({ type: 'frozen', asset })
  return step
}

export const tellFrozen = ({ orders, asset, identities }: Frozen): Message => ({
  t: 'owner/frozen',
  one: orders[0],
  other: orders[1],
  identities,
  ...(asset ? { asset } : {}),
})
