/** What the node says of itself, and what a person should look at. */
import { behind } from '../protocol/behind.ts'
import { ownChain } from '../protocol/context.ts'
import { identityBehind, knownElsewhere } from '../protocol/missed-events.ts'
import { LOST_TEXT } from '../protocol/put-back.ts'
import { readRestored } from '../protocol/restored.ts'
import { committeeProblems } from './committee.ts'
import type { Node } from './daemon.ts'
import { forkProblems } from './forks.ts'
import { endingKeys } from './keys.ts'
import { frozenAssets, juries, orders, unprovenSeats } from './ownership.ts'
import type * as schema from './schema.ts'

const VERSION = '0.0.1'
/** A question about a head that its log has not answered for so long is shown. */
const QUESTION_MS = 60_000

export async function statusOf(node: Node): Promise<schema.Status> {
  const { views, env, network, driver } = node
  const { words, final, headSize } = views.position()
  const requests = await views.requests()
  const partners = await views.partners()
  const witnesses = views.witnesses()
  return {
    schema: 'waybill.status/1',
    id: env.self.org,
    name: env.self.identity.name,
    peerId: network.peerId,
    addresses: network.addresses(),
    home: node.home,
    pid: process.pid,
    version: VERSION,
    uptimeMs: Date.now() - node.startedMs,
    partners: partners.length,
    connected: network.connected().length,
    log: { size: driver.state.ledger.tail.range.size, headSize, position: words, final },
    witnesses,
    assets: (await views.assets()).length,
    offers: (await views.offers(true)).length,
    waiting: requests.filter(request => request.waitsFor === 'you').length,
    problems: [
      ...problemsOf(node, witnesses),
      ...(await committeeProblems(node)),
      ...(await ownershipOf(node)),
      ...(await unprovenOf(node)),
    ],
  }
}

const unprovenText = (seats: number): string =>
  `the mark of this home, which lies outside of it, was lost: the votes that ${seats} seats cast may not all be here, and they abstain for ever`
const UNPROVEN_HINT =
  'a new seat votes: let who chose their committee choose another with it, waybill committee create PARTNERS --assets --replaces ID, and the owners of its assets take that: waybill assets reseat ASSET --committee NEW'

/** Offers of an asset that a person decides here, seats that are asked for, assets that were frozen. */
async function ownershipOf(node: Node): Promise<schema.Status['problems']> {
  const offered = (await orders(node)).filter(({ role, state }) => role === 'buyer' && state === 'OFFERED')
  const { seatsOffered } = await juries(node)
  const frozen = await frozenAssets(node)
  const unproven = await unprovenSeats(node)
  return [
    ...(unproven > 0 ? [{ code: 'SEATS_UNPROVEN', text: unprovenText(unproven), hint: UNPROVEN_HINT }] : []),
    ...offered.map(({ id, title, partner }) => ({
      code: 'HANDOVER_OFFERED',
      text: `${partner?.name} offers to hand over ${title}`,
      hint: `waybill handover accept ${id}`,
    })),
    ...seatsOffered.map(({ name }) => ({
      code: 'SEAT_OFFERED',
      text: `${name} asks for a vote on its assets`,
      hint: `waybill committee sign '${name}' --assets`,
    })),
    ...frozen.map(({ asset, title }) => ({
      code: 'ASSET_FROZEN',
      text: `an owner of ${title} signed two orders of one version`,
      hint: `waybill owner ${asset}`,
    })),
  ]
}

const LOST_HINT =
  'waybill committee create with other partners; it gets a seat again in the next log only: waybill log succeed'

function problemsOf(node: Node, witnesses: schema.Status['witnesses']): schema.Status['problems'] {
  const stuck = witnesses
    .filter(each => each.problem)
    .map(({ name, problem }) => ({
      code: 'WITNESS',
      text: `${name}: ${problem}`,
      ...(problem?.includes(LOST_TEXT) ? { hint: LOST_HINT } : {}),
    }))
  const lone = witnesses.length === 0
  const hint = 'waybill witness add PARTNER'
  const none = lone ? [{ code: 'UNWITNESSED', text: 'no partner witnesses this log', hint }] : []
  return [
    ...behindOf(node),
    ...restoredOf(node),
    ...stuck,
    ...none,
    ...forkProblems(node),
    ...identityOf(node),
    ...endingKeys(node),
    ...node.problems,
  ]
}

/** What partners were asked to prove, and have not. */
async function unprovenOf(node: Node): Promise<schema.Status['problems']> {
  const nameOf = (org: string) => node.views.partner(org)?.name ?? org
  const deliveries = node.gatherer.unproven().map(({ org, count, why }) => ({
    code: 'UNPROVEN',
    text: `the log of ${nameOf(org)} does not prove ${count} deliveries: ${why}`,
    hint: 'waybill partners; evidence of them is not whole without it',
  }))
  return [...deliveries, ...(await questionsOf(node.views, Date.now()))]
}

/** Heads that others were shown, and that their log has not shown to be its own. */
export async function questionsOf(
  views: Pick<Node['views'], 'openQuestions' | 'partner'>,
  nowMs: number,
): Promise<schema.Status['problems']> {
  const asked = await views.openQuestions(nowMs - QUESTION_MS)
  return asked.map(({ org, size }) => ({
    code: 'HEAD_UNPROVEN',
    text: `others were shown a head of ${size} entries of the log of ${views.partner(org)?.name ?? org}, which it has not shown to be of its log`,
    hint: 'waybill audit',
  }))
}

/** This identity has events that the store does not have. */
function identityOf({ env }: Node): schema.Status['problems'] {
  const chain = ownChain(env)
  const known = identityBehind(env.get, chain)
  if (known === undefined) return []
  const text = `this identity has ${known} events, and this store has ${chain.events.length}: it signs none`
  const hint = knownElsewhere(env.get, chain)
    ? 'restore a newer backup; where there is none, and no other copy of this home runs: waybill keys adopt'
    : 'restore a newer backup, or meet a partner that knows them'
  return [{ code: 'IDENTITY_BEHIND', text, hint }]
}

/** The store was put back or copied: what that means, until members have confirmed it or for ever (RULES D1). */
function restoredOf(node: Node): schema.Status['problems'] {
  const restored = readRestored(key => node.store.get(key))
  if (!restored) return []
  const { why, size, witnessed, atMs } = restored
  const how = {
    restored: 'was restored from a backup',
    copied: 'is a copy of the home that ran here, or was moved',
    older: 'has fewer entries than this machine has seen of its log',
  }[why]
  const at = `${new Date(atMs).toISOString().slice(0, 16)}Z`
  const text = `noticed ${at}: this store ${how}, at ${size} entries; tickets that were out are void, and nothing is promised or cosigned any more in logs of others from before: only in their successors, and in logs of other kinds under another witness key (waybill keys rotate witness)`
  if (witnessed)
    return [{ code: 'RESTORED', text: `${text}; the log goes on as the members of its committee promise it` }]
  return [
    {
      code: 'RESTORED_UNWITNESSED',
      text: `${text}; no members hold this log, so it never goes on in this store: it only reads`,
      hint: 'waybill log succeed; or start the home that this is a copy of; if it was only moved: waybill restore --moved',
    },
  ]
}

/** Members of the committee hold heads that this store does not have: it only reads (RULES D1). */
function behindOf(node: Node): schema.Status['problems'] {
  const found = behind(key => node.store.get(key))
  if (!found) return []
  const who = found.orgs.map(org => node.views.partner(org)?.name ?? org).join(', ')
  const size = node.driver.state.ledger.tail.range.size
  const text = `${who} hold this log at ${found.size} entries, this store has ${size} or others: it was put back or copied, and signs nothing any more`
  return [
    {
      code: 'RESTORED_BEHIND',
      text,
      hint: 'stop this node and start the newer home; where that is lost: waybill log recover, or waybill log succeed',
    },
  ]
}
