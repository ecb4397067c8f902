/**
 * Evidence of who owns an asset: its chain of certified steps from the registration on, the identities by which they are
 * signed, and what seats said of the last version. Verified offline, from the file and a trust file alone (RULES E1, G1).
 */
import { encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { modeOf } from './asset-committee.ts'
import { isNamed, readDocument } from './document.ts'
import { freshBy } from './freshness.ts'
import { committeeChange, isOrder, type Joint, type Order, readOrder } from './handover.ts'
import {
  MAX_CERTIFICATE_BYTES,
  MAX_EVENT_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_IDENTITY_EVENTS,
  MAX_RECORD_BYTES,
  MAX_SEATS,
  OWNER_FRESH_MS,
} from './limits.ts'
import {
  advance,
  type ChainKeys,
  isRefused,
  keysThen,
  type Link,
  type Owned,
  purchaseIn,
  type Refused,
} from './ownership.ts'
import { type CommitteeRule, committeeRule, whyNotOwners, whyUntrusted } from './ownership-trust.ts'
import { keysIn, type Shown, shownOf } from './parties.ts'
import type { KeyResolver, Unread } from './record.ts'
import { blob, link, list, object, optional, text, uint } from './shape.ts'
import { isTrusted, type Trust } from './trust.ts'
import { iso, type Verdict, type VerifyStep } from './verify-steps.ts'

const OWNERSHIP = 'ownership/1'
const MAX_STEPS = 4_096
const record = blob(MAX_RECORD_BYTES)
const shape = object({
  t: text(32),
  asset: link,
  links: list(
    object({
      asset: optional(record),
      order: record,
      certificate: blob(MAX_CERTIFICATE_BYTES),
      committee: optional(record),
      bought: optional(
        object({ order: record, certificate: blob(MAX_CERTIFICATE_BYTES), committee: record }),
      ),
    }),
    MAX_STEPS,
  ),
  identities: list(
    object({ identity: record, events: list(blob(MAX_EVENT_BYTES), MAX_IDENTITY_EVENTS) }),
    MAX_STEPS,
  ),
  /** Words of seats that the last version is the last. */
  fresh: list(record, MAX_SEATS),
  /** When it was put together, as the presenter says. */
  asOf: uint,
})

export interface OwnershipEvidence {
  asset: CID
  links: Link[]
  identities: Shown[]
  fresh: Uint8Array[]
  asOf: number
}

export const encodeOwnership = (evidence: OwnershipEvidence): Uint8Array =>
  encode({ t: OWNERSHIP, ...evidence } as unknown as Value)

/** Whether a file says that it is of this kind. */
export const isOwnership = (file: Uint8Array): boolean => isNamed(file, MAX_EVIDENCE_BYTES, OWNERSHIP)

export const readOwnershipFile = (file: Uint8Array): OwnershipEvidence | Unread =>
  readDocument<OwnershipEvidence & { t: string }>(file, MAX_EVIDENCE_BYTES, OWNERSHIP, shape)

export interface OwnershipReport {
  verdict: Verdict
  steps: VerifyStep[]
  /** What the file says, as far as it holds. */
  claim?: {
    type: 'ownership'
    asset: string
    version: number
    owner: string
    /** All who own it, and how many of them sign what becomes of it. */
    owners: string[]
    needs: number
    order: string
  }
  trustDigest: string
  asOfMs: number
}

/** The chain, step by step; who may vote on it by the trust file; and whether its seats know of a later one. */
export function verifyOwnership(file: Uint8Array, trust: Trust, asOfMs: number): OwnershipReport {
  const { steps, walked } = judgeOwnership(file, trust, asOfMs)
  const { asset, version, owner, joint, order } = walked?.owned ?? {}
  const claim = walked && {
    type: 'ownership' as const,
    asset: asset!.toString(),
    version: version!,
    owner: owner!.toString(),
    owners: joint!.owners.map(({ org }) => org.toString()),
    needs: joint!.k,
    order: order!.toString(),
  }
  return {
    verdict: verdictOf(steps),
    steps,
    ...(claim ? { claim } : {}),
    trustDigest: trust.digest,
    asOfMs,
  }
}

/**
 * The same, with what the chain says as far as it holds. Without an as-of the words of seats are judged by themselves: for
 * an agreement, which bounds their age by its own date.
 */
export function judgeOwnership(
  file: Uint8Array,
  trust: Trust,
  asOfMs?: number,
): { steps: VerifyStep[]; walked?: Walked } {
  const steps: VerifyStep[] = []
  const say = (id: string, status: VerifyStep['status'], detail: string) => steps.push({ id, status, detail })
  const read = readOwnershipFile(file)
  if ('reason' in read) {
    say('bundle', statusOf(read), read.reason)
    return { steps }
  }
  say('bundle', 'ok', `${read.links.length} steps of one asset`)
  const keys = keysIn(read.identities)
  const walked = walk(read, keys, say)
  if (!walked) return { steps }
  const { owned, owners, committees, joints, sold } = walked
  const stray = strayIn(read.identities, walked)
  if (stray) say('identities', 'failed', stray)
  if (!owned.asset.equals(read.asset)) say('asset', 'failed', 'the steps are of another asset than claimed')
  const rule = committeeRule(trust.file)
  judgeOwners(walked, trust, rule, say)
  const judge = (name: string, { payload }: Owned['committee'], parties: CID[]) => {
    const why = whyUntrusted(payload, parties, rule)
    say(name, why ? 'inconclusive' : 'ok', why ? `committee not trusted: ${why}` : modeOf(payload).words)
  }
  const first = joints[0]!.owners.map(({ org }) => org)
  if (sold) judge('committee of the purchase', sold.committee, [...sold.sale.parties, ...first])
  for (const [version, committee] of committees) judge(`committee from version ${version}`, committee, owners)
  const freshMs = judgeFresh(owned, read.fresh, { asOfMs, skewMs: trust.clockSkewMs }, say)
  return { steps, walked: { ...walked, ...(freshMs === undefined ? {} : { freshMs }) } }
}

type Say = (id: string, status: VerifyStep['status'], detail: string) => void

interface Walked {
  owned: Owned
  owners: CID[]
  /** How its first owners came by it, where they bought it. */
  sold: ReturnType<typeof purchaseIn>
  /** Who owned it together, step by step. */
  joints: Joint[]
  /** The order that made each version. */
  orders: CID[]
  /** Of whoever published the asset. */
  keys: KeyResolver
  /** When its seats said that the last version is the last. */
  freshMs?: number
  /** The committees, by the version from which each is in force. */
  committees: [number, Owned['committee']][]
}

/**
 * Keys by which an asset is judged beside its chain: as they stood at the state that its registration names, for what becomes
 * of a key later changes nothing that it signed before (RULES C3).
 */
export function keysOfAsset({ links, identities }: OwnershipEvidence): KeyResolver {
  const [first] = links
  const registered = first && readOrder(first.order)
  return registered && isOrder(registered) ? keysThen(registered, keysIn(identities)) : () => undefined
}

function walk(evidence: OwnershipEvidence, keys: ChainKeys, say: Say): Walked | undefined {
  let owned: Owned | undefined
  const owners = new Map<string, CID>()
  const committees: Walked['committees'] = []
  const orders: CID[] = []
  const joints: Joint[] = []
  for (const link of evidence.links) {
    const order = readOrder(link.order)
    const next = advance(owned, link, keys)
    const name = stepName(order, owned)
    if (isRefused(next)) {
      say(name, isUnknown(next) ? 'inconclusive' : 'failed', `${next.code}: ${next.text}`)
      return undefined
    }
    say(name, 'ok', toWords(next, purchaseIn(link.bought)?.sale))
    joints.push(next.joint)
    if (!owned?.committee.id.equals(next.committee.id)) committees.push([next.version, next.committee])
    for (const party of (order as Order).parties) owners.set(party.toString(), party)
    orders.push(next.order)
    owned = next
  }
  if (!owned) {
    say('registration', 'failed', 'a chain begins with the registration')
    return undefined
  }
  const sold = purchaseIn(evidence.links[0]!.bought)
  return {
    owned,
    owners: [...owners.values()],
    sold,
    joints,
    orders,
    keys: keysOfAsset(evidence),
    committees,
  }
}

/** Why an identity has no place in the file: the walk from the claim comes to each once, or it is no part of it (RULES G1). */
function strayIn(identities: Shown[], { owners, committees, sold }: Walked): string | undefined {
  const all = [...committees.map(([, committee]) => committee), ...(sold ? [sold.committee] : [])]
  const seats = all.flatMap(({ payload }) => payload.seats.map(({ org }) => org))
  const reached = new Set([...owners, ...seats, ...(sold?.sale.parties ?? [])].map(String))
  for (const shown of identities) {
    const name = shownOf(shown)?.toString()
    if (!name) return 'an identity of nobody'
    if (!reached.delete(name)) return `the identity of ${name} has no place in the chain, or stands twice`
  }
  return undefined
}

const stepName = (order: ReturnType<typeof readOrder>, owned: Owned | undefined): string => {
  const version = isOrder(order) ? order.version : (owned?.version ?? -1) + 1
  const isChange = isOrder(order) && order.record.payload.t === committeeChange.t
  return version === 0 ? 'registration' : `${isChange ? 'committee change' : 'hand-over'} ${version}`
}

/** Whose it is by a step, and by which hand-over it was bought before. */
function toWords({ owner, joint: { k, owners } }: Owned, sale: Order | undefined): string {
  const others = owners.length > 1 ? `, one of ${owners.length} owners of whom ${k} sign` : ''
  const bought = sale && `; bought of ${sale.from} by hand-over ${sale.version} of ${sale.asset}: ${sale.id}`
  return `to ${owner}${others}${bought ?? ''}`
}

/** What a step says that something is none, or of another version. */
export const statusOf = ({ ok }: Unread): VerifyStep['status'] =>
  ok === 'unknown' ? 'inconclusive' : 'failed'

/** Neither true nor false: another version, or keys that the evidence does not have. */
export const isUnknown = ({ code }: Refused): boolean => code === 'UNKNOWN_VERSION'

function judgeOwners({ owners, joints, sold }: Walked, trust: Trust, rule: CommitteeRule, say: Say): void {
  const together = joints.map(joint => joint.owners.map(({ org }) => org))
  const sellers = sold?.sale.parties ?? []
  const strange = (org: CID) => (isTrusted(trust, org) ? undefined : `${org} is not in the trust file`)
  const why = whyNotOwners([...owners, ...sellers], together, strange, rule)
  say('owners', why ? 'inconclusive' : 'ok', why ?? 'each is in the trust file')
}

/**
 * A chain that holds may be an old one: only its seats know whether there is a later step, and what they said long before
 * as-of is of then (RULES E6).
 */
function judgeFresh(
  owned: Owned,
  words: Uint8Array[],
  when: { asOfMs: number | undefined; skewMs: number },
  say: Say,
): number | undefined {
  const { q, n } = owned.committee.payload
  const found = freshBy(words, owned)
  const unknown = (why: string) => say('freshness', 'inconclusive', `freshness unknown: ${why}`)
  if (!found)
    unknown(
      n === 0
        ? 'nobody votes, so nobody knows whether it was sold again'
        : `fewer than ${q} seats say that version ${owned.version} is the last`,
    )
  else {
    const at = iso(found.atMs)
    const why = untimely(found.atMs, when)
    if (why) unknown(`seats said at ${at} that version ${owned.version} is the last, ${why}`)
    else
      say(
        'freshness',
        'ok',
        `at ${at} no later version was certified: ${found.orgs.length} of ${n} seats say so`,
      )
  }
  return found?.atMs
}

/** Why words of this time say nothing of as-of. */
function untimely(
  atMs: number,
  { asOfMs = atMs, skewMs }: { asOfMs: number | undefined; skewMs: number },
): string | undefined {
  if (atMs + OWNER_FRESH_MS + skewMs < asOfMs)
    return `too long before ${iso(asOfMs)}: it may have been handed over since`
  return atMs > asOfMs + skewMs ? `which is after ${iso(asOfMs)}` : undefined
}

/** One step that is false makes the whole false; one that cannot be told leaves it open. */
export function verdictOf(steps: VerifyStep[]): Verdict {
  if (steps.some(({ status }) => status === 'failed')) return 'failed'
  return steps.some(({ status }) => status === 'inconclusive') ? 'inconclusive' : 'verified'
}
