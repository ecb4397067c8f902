/** Who owns an asset, and how it is handed over, as the local API shows and changes it. */
import { createHash, randomBytes } from 'node:crypto'
import { fromHex, toHex } from '../crypto/bytes.ts'
import { type CID, cidFromDigest, parseCid } from '../crypto/cid.ts'
import { type Asset, asset, packet } from '../protocol/asset.ts'
import { type AssetCommittee, modeOf } from '../protocol/asset-committee.ts'
import { decodeRoot } from '../protocol/content.ts'
import type { Shared } from '../protocol/drafting.ts'
import type { Handover, Order, Registration } from '../protocol/handover.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import { isOwnerAfter } from '../protocol/offering.ts'
import { isOver, isWriter, type Ordering, orderIn } from '../protocol/ordering-state.ts'
import { purchaseIn, signedBoth, votersOf } from '../protocol/ownership.ts'
import { encodeOwnership } from '../protocol/ownership-evidence.ts'
import { committeeRule } from '../protocol/ownership-trust.ts'
import { keysOf, type Shown, shownOf } from '../protocol/parties.ts'
import { isStored, readRecord, type Stored } from '../protocol/record.ts'
import { contentCommitment, plainDigest } from '../protocol/registered.ts'
import { encodeRegistered } from '../protocol/registered-twice.ts'
import { type Assembly, type Given, isOver as isWhole } from '../protocol/seats.ts'
import {
  committeeKnown,
  type Frozen,
  frozenOf,
  isStopped,
  linksOf,
  openCommittee,
  shownLinks,
  titleOf,
} from '../protocol/title.ts'
import { isProven } from '../protocol/voting.ts'
import { lostIn, ownersDoubted, weakest, weakness } from '../protocol/weakness.ts'
import type { Node } from './daemon.ts'
import { askSeats, freshness } from './freshness.ts'
import type * as schema from './schema-ownership.ts'
import { NotFound } from './views.ts'

/** How many orders are taken up again when a partner is met. */
const MET_ORDERS = 64

const lastId = (key: string): CID => cidFromDigest(fromHex(key.slice(key.lastIndexOf('/') + 1))!, 'dag-cbor')
const get = (node: Node) => (key: string) => node.store.get(key)

// Committees.

export async function juries(node: Node): Promise<schema.Juries> {
  const known = await node.store.list(KEY.juries)
  const assemblies = await node.store.list(KEY.assemblies)
  const given = await node.store.list(KEY.givens)
  return {
    items: known.map(([, bytes]) => juryView(node, openCommittee(bytes))),
    asked: assemblies.flatMap(([, bytes]) => {
      const a = decodeState<Assembly>(bytes)
      return isWhole(a) || a.record ? [] : [assemblyView(node, a)]
    }),
    seatsOffered: given.flatMap(([key, bytes]) => {
      const { n, f, q, seat } = decodeState<Given>(bytes)
      const [, org, asked] = key.split('/') as [string, string, string]
      return seat ? [] : [{ ...node.views.nameOf(parseCid(org)), asked, n, f, q }]
    }),
  }
}

/** How many own seats abstain because nothing shows that the store has all their votes (RULES E3), and are not replaced. */
export async function unprovenSeats({ store, env }: Node): Promise<number> {
  const provenFrom = env.provenFrom()
  if (provenFrom === 0) return 0
  const juries = (await store.list(KEY.juries)).map(([, bytes]) => openCommittee(bytes))
  const replaced = juries.flatMap(({ payload }) => (payload.prev ? [KEY.sitting(payload.prev)] : []))
  const sittings = await store.list(KEY.sittings)
  const silent = sittings.filter(([, stored]) => !isProven(decodeState(stored), { ...env, provenFrom }))
  return silent.filter(([key]) => !replaced.includes(key)).length
}

function juryView(node: Node, committee: Stored<AssetCommittee>): schema.Jury {
  const { n, f, q, seats } = committee.payload
  const lost = lostIn(committee, get(node))
  return {
    id: committee.id.toString(),
    n,
    f,
    q,
    ...modeOf(committee.payload, lost.length),
    seats: seats.map(({ org }) => ({
      ...node.views.nameOf(org),
      lost: lost.some(each => each.equals(org)),
    })),
    own: seats.some(({ org }) => org.equals(node.env.self.id)),
  }
}

function assemblyView(node: Node, a: Assembly): schema.Juries['asked'][number] {
  const names = (orgs: string[]) => orgs.map(org => node.views.nameOf(parseCid(org)))
  const n = a.seats.length
  return {
    id: toHex(a.id),
    n,
    f: a.f,
    q: a.q,
    words: modeOf({ n, f: a.f, q: a.q }).words,
    seats: names(a.seats),
    signed: names(a.signed.map(({ org }) => org)),
    refused: a.refused.map(({ org, text }) => ({ ...node.views.nameOf(parseCid(org)), text })),
  }
}

/** Asks these partners to vote on assets of this home. */
export async function createJury(
  node: Node,
  { partners, f, q, replaces }: schema.JuryRequest,
): Promise<schema.Juries> {
  const found = await Promise.all(partners.map(each => node.views.findPartner(each)))
  const rule = f === undefined || q === undefined ? {} : { rule: { f, q } }
  const prev = replaces === undefined ? {} : { prev: await node.views.juryId(replaces) }
  await node.driver.submit({ type: 'assemble', seats: found.map(({ id }) => id), ...rule, ...prev })
  return juries(node)
}

/** Takes every seat that a partner asks for. */
export async function sitFor(node: Node, partner: string): Promise<schema.Juries> {
  const { org, name } = await node.views.findPartner(partner)
  const { seatsOffered } = await juries(node)
  const asked = seatsOffered.filter(({ id }) => id === org)
  if (asked.length === 0) throw new NotFound(`${name} asks for no seat that is not taken`)
  for (const each of asked) await node.driver.submit({ type: 'sit', org, id: each.asked })
  return juries(node)
}

// Registration.

export async function register(
  node: Node,
  wanted: string,
  { committee, ref, bought, joint }: schema.RegisterRequest,
): Promise<schema.OrderView> {
  const id = await node.views.assetId(wanted)
  const salt = new Uint8Array(randomBytes(32))
  const content = contentCommitment(salt, await plainDigestOf(node, id))
  const described = node.views.record(asset, id)
  const answer = await node.driver.submit(
    {
      type: 'register',
      asset: id,
      committee: committee === undefined ? named(described) : await node.views.juryId(committee),
      ref: ref ?? described?.payload.title ?? '',
      content,
      title: bought === undefined ? 'made' : 'bought',
      ...(bought === undefined ? {} : { bought: await node.views.orderId(bought) }),
      ...(await shared(node, joint)),
    },
    [{ handle: HANDLE.registered(id), bytes: salt }],
  )
  return orderOf(node, answer)
}

/** Others who own it too, by their names; one of them may be this home. */
async function shared(node: Node, joint: schema.HandoverRequest['joint']): Promise<{ joint?: Shared }> {
  if (!joint) return {}
  const others = await Promise.all(joint.others.map(each => node.views.findOrg(each)))
  return { joint: { others, k: joint.needs ?? others.length + 1 } }
}

function named(described: Stored<Asset> | undefined): CID {
  if (described?.payload.committee) return described.payload.committee
  throw new NotFound('the asset names no committee: publish it again with one')
}

/** What the asset is, whoever reads it: each packet's plain bytes, deciphered once more. */
async function plainDigestOf(node: Node, id: CID): Promise<Uint8Array> {
  const rows = await node.views.packetsOf(id)
  const digests: Uint8Array[] = []
  for (const [, digest] of rows) {
    const described = node.views.record(packet, cidFromDigest(digest, 'dag-cbor'))
    if (!described) throw new NotFound('a packet of this asset is not here any more')
    const { root: rootId } = described.payload
    const root = decodeRoot(node.store.get(KEY.root(rootId))!)
    const sealed = node.store.get(KEY.secret(HANDLE.content(rootId)))
    if (!sealed) throw new NotFound('the key of a packet is not here any more')
    const key = node.openSecret(HANDLE.content(rootId), sealed).subarray(0, 32)
    const hash = createHash('sha256')
    for await (const piece of node.content.openContent(root, key)) hash.update(piece)
    digests.push(new Uint8Array(hash.digest()))
  }
  return plainDigest(digests)
}

/** Lets another committee vote on an own asset from here on; or the same, so that no key of before signs what follows. */
export async function reseat(
  node: Node,
  wanted: string,
  committee: string | undefined,
): Promise<schema.OrderView> {
  const asset = await node.views.titleId(wanted)
  const next = committee === undefined ? {} : { next: await node.views.juryId(committee) }
  return orderOf(node, await node.driver.submit({ type: 'reseat', asset, ...next }))
}

// Hand-overs.

export async function handOver(
  node: Node,
  { asset: wanted, to, joint, committee, passes, dryRun }: schema.HandoverRequest,
): Promise<schema.OrderView | schema.HandoverDraft> {
  const id = await node.views.titleId(wanted)
  const buyer = await node.views.findOrg(to)
  const next = committee === undefined ? undefined : await node.views.juryId(committee)
  const together = await shared(node, joint)
  if (dryRun) return draft(node, id, [buyer, ...(together.joint?.others ?? [])], next)
  const answer = await node.driver.submit({
    type: 'hand-over',
    asset: id,
    to: buyer,
    ...together,
    passes: passes ?? { agreements: true, duties: true, keys: true, blocks: true },
    ...(next ? { next } : {}),
  })
  return orderOf(node, answer)
}

/** What a hand-over to these would be, and what `verify` would hold against it by the trust of this home. */
async function draft(
  node: Node,
  asset: CID,
  takers: CID[],
  next: CID | undefined,
): Promise<schema.HandoverDraft> {
  const { version, committee } = titleOf(get(node), asset)!
  const after = next && committeeKnown(get(node), next)
  const rule = committeeRule(node.settings.seats)
  const about = { asset, version: version + 1, ...(after ? { next: after.bytes } : {}) }
  const { self } = node.env
  const doubts = [
    weakest(about, takers, rule, get(node))?.text,
    ownersDoubted(about, takers, rule, { self, get: get(node) }),
  ]
  return {
    dryRun: true,
    committee: juryView(node, after ?? committee),
    owner: ownerView(node, asset),
    content: (await node.views.packetsOf(asset)).length > 0,
    doubts: doubts.filter(text => text !== undefined),
  }
}

const orderOf = (node: Node, answer: unknown): schema.OrderView =>
  orderView(node, (answer as { machine: string }).machine)

export async function takeOver(
  node: Node,
  wanted: string,
  mode: schema.Jury['mode'] | undefined,
): Promise<schema.OrderView> {
  const order = await node.views.orderId(wanted)
  const { certified, control } = committeeRule(node.settings.seats)
  return orderOf(
    node,
    await node.driver.submit({ type: 'take-over', order, certified, control, ...(mode ? { mode } : {}) }),
  )
}

export async function leave(node: Node, wanted: string, reason: string): Promise<schema.OrderView> {
  return orderOf(
    node,
    await node.driver.submit({ type: 'leave', order: await node.views.orderId(wanted), reason }),
  )
}

export async function takeBack(node: Node, wanted: string): Promise<schema.OrderView> {
  return orderOf(
    node,
    await node.driver.submit({ type: 'take-back', order: await node.views.orderId(wanted) }),
  )
}

export async function orders(node: Node): Promise<schema.OrderView[]> {
  const rows = await node.store.list(KEY.orders)
  return rows.map(([key]) => orderView(node, key)).sort((a, b) => b.madeMs - a.madeMs)
}

export const isSettled = (state: schema.OrderView['state']): boolean =>
  state === 'CERTIFIED' || state === 'FROZEN' || state === 'DECLINED' || state === 'WITHDRAWN'

export function orderView(node: Node, order: CID | string): schema.OrderView {
  const stored = node.store.get(typeof order === 'string' ? order : KEY.order(order))
  if (!stored) throw new NotFound('there is no such hand-over')
  const o = decodeState<Ordering>(stored)
  const named = (org: string) => node.views.nameOf(parseCid(org))
  const rule = committeeRule(node.settings.seats)
  const { passes } = orderIn(o).record.payload as Partial<Handover>
  const { takers, k } = orderIn(o)
  const isAsked = !isWriter(o) && o.state === 'OFFERED' && isOwnerAfter(orderIn(o), node.env)
  const weaker = isAsked ? weakness(o, rule, get(node)) : undefined
  const after = takers?.owners.map(({ org }) => org) ?? []
  const doubt = isAsked ? ownersDoubted(o, after, rule, { self: node.env.self, get: get(node) }) : undefined
  return {
    id: orderIn(o).id.toString(),
    role: o.role,
    state: o.state,
    asset: o.asset.toString(),
    title: titleText(node, o.asset, o.described),
    version: o.version,
    ...(o.org === undefined ? {} : { partner: named(o.org) }),
    // Of a registration that another one writes, it came with the offer.
    committee: juryView(node, committeeKnown(get(node), o.committee) ?? openCommittee(o.next!)),
    ...(o.next ? { next: juryView(node, openCommittee(o.next)) } : {}),
    ...(takers
      ? { becomes: { owners: takers.owners.map(({ org }) => node.views.nameOf(org)), needs: k! } }
      : {}),
    ...(passes ? { passes } : {}),
    ...(weaker ? { weaker } : {}),
    ...(doubt ? { doubt } : {}),
    parties: orderIn(o).parties.map(id => ({
      ...node.views.nameOf(id),
      signed: o.signers.some(({ org }) => org === id.toString()),
      agreed: o.agreed.includes(id.toString()),
    })),
    votes: o.votes.map(({ org }) => named(org)),
    refused: o.refused.map(({ org, code, text }) => ({ ...named(org), code, text })),
    madeMs: o.madeMs,
    ...(o.refusal ? { refusal: { code: o.refusal.code, text: o.refusal.text } } : {}),
  }
}

/** The title of an asset, as its record says; the record comes with the first of its steps. */
function titleText(node: Node, id: CID, described?: Uint8Array): string {
  const [first] = linksOf(get(node), id, 0, 1)
  const bytes = first?.asset ?? described
  const read = bytes ? readRecord(asset, bytes) : node.views.record(asset, id)
  return read && isStored(read) ? read.payload.title : ''
}

// Owners.

/** Who owns an asset by the chain that is here; with `fresh` its seats are asked whether that is the last. */
export async function ownerOf(node: Node, wanted: string, fresh: boolean): Promise<schema.OwnerView> {
  const id = await node.views.titleId(wanted)
  const view = ownerView(node, id)
  return fresh ? { ...view, fresh: await freshness(node, titleOf(get(node), id)!) } : view
}

function ownerView(node: Node, id: CID): schema.OwnerView {
  const owned = titleOf(get(node), id)!
  const [link] = linksOf(get(node), id, owned.version, 1)
  const frozen = frozenOf(get(node), id)
  const orders = frozen?.orders.map(order => orderIn({ order })) as [Order, Order] | undefined
  return {
    asset: id.toString(),
    title: titleText(node, id),
    version: owned.version,
    owner: node.views.nameOf(owned.owner),
    owners: owned.joint.owners.map(({ org }) => node.views.nameOf(org)),
    needs: owned.joint.k,
    order: owned.order.toString(),
    committee: juryView(node, owned.committee),
    sinceMs: orderIn({ order: link!.order }).record.payload.made,
    ...(orders
      ? {
          frozen: {
            version: orders[0].version,
            stops: isStopped(frozen!, get(node)),
            by: signedBoth(...orders, keysOf(node.reading(), frozen!.identities)).map(org =>
              node.views.nameOf(org),
            ),
            orders: orders.map(order => order.id.toString()),
            to: orders.map(({ to }) => node.views.nameOf(to)),
          },
        }
      : {}),
  }
}

const boughtView = (node: Node, { sale, committee }: NonNullable<ReturnType<typeof purchaseIn>>) => ({
  order: sale.id.toString(),
  of: node.views.nameOf(sale.lead),
  committee: juryView(node, committee),
})

export async function history(node: Node, wanted: string): Promise<schema.OwnerHistory> {
  const id = await node.views.titleId(wanted)
  const links = linksOf(get(node), id, 0, Number.MAX_SAFE_INTEGER)
  return {
    items: links.map(link => {
      const { id: order, version, to, takers, givers, committee, record } = orderIn(link)
      const { ref, made } = record.payload as Registration
      const sold = purchaseIn(link.bought)
      const { owners } = (takers ?? givers)!
      return {
        version,
        order: order.toString(),
        owner: node.views.nameOf(to),
        owners: owners.map(({ org }) => node.views.nameOf(org)),
        madeMs: made,
        ...(version === 0 ? { ref } : {}),
        ...(sold ? { bought: boughtView(node, sold) } : {}),
        votes: votersOf(link.certificate).map(org => node.views.nameOf(org)),
        committee: juryView(node, committeeKnown(get(node), committee)!),
      }
    }),
  }
}

/** The chain of an asset as a file that anybody verifies offline, with the words of its seats that it is the last. */
export async function evidence(node: Node, wanted: string): Promise<Uint8Array> {
  const id = await node.views.titleId(wanted)
  const { links, identities } = shownLinks(node.reading(), id, 0, Number.MAX_SAFE_INTEGER)
  const { words } = await askSeats(node, titleOf(get(node), id)!)
  return encodeOwnership({ asset: id, links, identities, fresh: words, asOf: Date.now() })
}

/** What an own registration is of, as a file: its salt and the digest of the content, which anybody can compare (RULES E2). */
export async function disclosure(node: Node, wanted: string): Promise<Uint8Array> {
  const id = await node.views.titleId(wanted)
  const handle = HANDLE.registered(id)
  const sealed = node.store.get(KEY.secret(handle))
  if (!sealed) throw new NotFound('only who registered it can open what it was registered for')
  const { links, identities } = shownLinks(node.reading(), id, 0, 1)
  const { parties } = orderIn(links[0]!)
  const salt = node.openSecret(handle, sealed).slice()
  const opened = [{ registration: links[0]!.order, salt, plain: await plainDigestOf(node, id) }]
  return encodeRegistered({ opened, identities: identities.filter(each => isOf(each, parties)) })
}

const isOf = (shown: Shown, orgs: CID[]): boolean => orgs.some(org => shownOf(shown)?.equals(org) === true)

// While it runs.

/** What waits for others is sent again at once when one of them is met, which hears of frozen assets too. */
export async function takeUpOrders(node: Node, met: string): Promise<void> {
  const open = (await node.store.list(KEY.opens)).map(([key]) => key.slice(KEY.opens.length))
  const due = open.filter(machine => {
    if (machine.startsWith(KEY.assemblies)) return true
    const stored = machine.startsWith(KEY.orders) ? node.store.get(machine) : undefined
    return stored && !isOver(decodeState<Ordering>(stored))
  })
  for (const machine of due.slice(0, MET_ORDERS)) await node.driver.submit({ type: 'start', machine })
  const frozen = await node.store.list(KEY.frozens, { limit: MET_ORDERS })
  for (const [key] of frozen)
    await node.driver.submit({ type: 'tell-frozen', asset: lastId(key), orgs: [met] })
}

/** Everybody who is here hears of an owner that signed two orders. */
export async function tellFrozen(node: Node, id: CID): Promise<void> {
  const partners = await node.views.partners()
  await node.driver.submit({ type: 'tell-frozen', asset: id, orgs: partners.map(({ org }) => org) })
}

/** Assets that are frozen, for a person to look at. */
export async function frozenAssets(node: Node): Promise<{ asset: string; title: string }[]> {
  const rows = await node.store.list(KEY.frozens)
  const stopped = rows.filter(([, bytes]) => isStopped(decodeState<Frozen>(bytes), get(node)))
  return stopped.map(([key]) => ({ asset: lastId(key).toString(), title: titleText(node, lastId(key)) }))
}
