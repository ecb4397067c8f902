/**
 * Who owns an asset: the chain of certified orders, folded from its registration. One owner has one next step, so nothing
 * has to be agreed on but that no two different steps are certified: each seat votes once per (asset, version), a certificate
 * is q votes, and 2q > n + f leaves no room for two while at most f seats lie (FastPay, arXiv 2003.11506; Guerraoui et al.,
 * arXiv 1906.05574: a single owner's asset needs no consensus).
 */
import { equal } from '../crypto/bytes.ts'
import { encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { thumbprint } from '../crypto/key.ts'
import {
  encodeSigned,
  type Payload,
  payloadPart,
  type Signature,
  verifySignature,
} from '../crypto/statement.ts'
import { asset } from './asset.ts'
import { type AssetCommittee, assetCommittee, readAssetCommittee, seatOf } from './asset-committee.ts'
import { readDocument } from './document.ts'
import type { ProtocolCode } from './error.ts'
import {
  isOrder,
  isSame,
  type Joint,
  type Order,
  type Owner,
  type Registration,
  readOrder,
  readVote,
  type Side,
  type Vote,
  voteIn,
} from './handover.ts'
import { MAX_RECORD_BYTES, MAX_SEATS } from './limits.ts'
import {
  isStored,
  type KeyResolver,
  readRecord,
  type Stored,
  type Unread,
  verifySignatures,
} from './record.ts'
import { blob, type Infer, list, object, text } from './shape.ts'

const certificateShape = object({ t: text(32), votes: list(blob(MAX_RECORD_BYTES), MAX_SEATS) })
const CERTIFICATE = 'certificate/1'

/** Where the ownership of an asset stands. */
export interface Owned {
  asset: CID
  version: number
  /** The one that shares it: alone, or the first named of several. */
  owner: CID
  /** The version from which it owns it. */
  since: number
  /** All who own it, at the states that were named last, and how many of them sign what follows. */
  joint: Joint
  /** The order that made this version. */
  order: CID
  /** The committee that votes on the next one. */
  committee: Stored<AssetCommittee>
}

/** What one step of a chain shows: an order, its certificate, and the committee where it is a new one. */
export interface Link {
  /** Of a registration: the asset record. */
  asset?: Uint8Array
  order: Uint8Array
  certificate: Uint8Array
  committee?: Uint8Array
  /** Of a registration of what was bought. */
  bought?: Purchase
}

/** The hand-over by which the owner of a registration came by what it registers, and who certified it. */
export interface Purchase {
  order: Uint8Array
  certificate: Uint8Array
  committee: Uint8Array
}

export interface Refused {
  code: Extract<
    ProtocolCode,
    | 'RECORD_INVALID'
    | 'UNKNOWN_VERSION'
    | 'SIGNATURE_INVALID'
    | 'COMMITTEE_INVALID'
    | 'CERTIFICATE_INVALID'
    | 'NOT_OWNER'
    | 'PARTY_SEATED'
    | 'KEY_STATE_PASSED'
    | 'VERSION_PASSED'
    | 'OUT_OF_ORDER'
    | 'QUOTA_EXCEEDED'
  >
  text: string
}
export const refused = (code: Refused['code'], text: string): Refused => ({ code, text })
export const isRefused = (step: object): step is Refused => 'code' in step && 'text' in step

/** Why something does not hold; what is of another version is neither true nor false (RULES B2). */
const refusedAs = (code: Refused['code'], { ok, reason }: Unread): Refused =>
  refused(ok === 'unknown' ? 'UNKNOWN_VERSION' : code, reason)

/** Puts votes together; which of them count is for who reads it. */
export const makeCertificate = (votes: Uint8Array[]): Uint8Array =>
  encode({ t: CERTIFICATE, votes } as unknown as Value)

/**
 * An order with the signatures of its parties, by the keys of their identities. A registration is by whoever published the
 * asset: nobody can take or freeze what another made; and with the committee that the asset names, so that there is one.
 */
export function checkOrder(
  { order: stored, asset: assetBytes }: Pick<Link, 'order' | 'asset'>,
  keys: KeyResolver,
): Order | Refused {
  const read = readOrder(stored)
  if (!isOrder(read)) return refusedAs('RECORD_INVALID', read)
  const wrong = unsigned(read, keys)
  if (wrong) return wrong
  return read.version > 0 ? read : (notTheirs(read, assetBytes, keysThen(read, keys)) ?? read)
}

/** Why an order is not signed by as many owners of each side as must. */
export function unsigned(order: Order, keys: KeyResolver): Refused | undefined {
  const signers = signersOf(order, keys)
  if (isRefused(signers)) return signers
  const short = sidesOf(order).find(side => count(signers, side) < side.k)
  return (
    short &&
    refused(
      'SIGNATURE_INVALID',
      `signed as ${short.role} by ${count(signers, short)} of the ${short.k} owners that must`,
    )
  )
}

/** One signature of an order, and whose it is. */
export interface Signer {
  role: string
  org: CID
  signature: Signature
}
export const sidesOf = ({ givers, takers }: Pick<Order, 'givers' | 'takers'>): Side[] =>
  [givers, takers].filter(side => side !== undefined)
export const count = (signers: Signer[], { role }: Pick<Side, 'role'>): number =>
  signers.filter(each => each.role === role).length

/**
 * Who signed an order: each signature is of another owner of its side, in their order, those who give before those who take.
 * Whether they are enough is for who asks.
 */
export function signersOf(order: Order, keys: KeyResolver): Signer[] | Refused {
  const due = sidesOf(order).flatMap(({ role, owners }) => owners.map(({ org }) => ({ role, org })))
  const then = keysThen(order, keys)
  const payload = payloadPart(order.record.bytes)
  const signers: Signer[] = []
  for (const signature of order.record.signatures) {
    if (signature.a !== 1)
      return refused('UNKNOWN_VERSION', `algorithm ${signature.a} is not known to this version`)
    const at = due.findIndex(each => each.role === signature.r && isKeyOf(each.org, signature, then, due))
    const found = due[at]
    const blind = due.find(({ role, org }) => role === signature.r && !then(org, 'operation', signature.k))
    if (!found && blind) return refused('UNKNOWN_VERSION', `the operation key of ${blind.org} is not known`)
    if (!found)
      return refused(
        'SIGNATURE_INVALID',
        `signed as ${signature.r} by who is no owner there, or out of order`,
      )
    const key = then(found.org, 'operation', signature.k)
    if (!key) return refused('UNKNOWN_VERSION', `the operation key of ${found.org} is not known`)
    if (!verifySignature(order.record.payload.t, payload, signature, key))
      return refused('SIGNATURE_INVALID', `the signature of ${signature.r} does not verify`)
    signers.push({ ...found, signature })
    due.splice(0, at + 1)
  }
  return signers
}

/** Whether a signature names the key of this owner; where one alone can have made it, it is judged by that one's key. */
function isKeyOf(org: CID, { r, k }: Signature, keys: KeyResolver, due: { role: string }[]): boolean {
  const key = keys(org, 'operation', k)
  return due.filter(({ role }) => role === r).length === 1 || (key !== undefined && equal(thumbprint(key), k))
}

/** The keys of the parties as they were at the events that the order names: now and later, for everybody (RULES E5). */
export function keysThen({ states }: Pick<Order, 'states'>, keys: KeyResolver): KeyResolver {
  return (org, role, named) => keys(org, role, named, states.find(each => each.org.equals(org))?.state)
}

/** Why an asset is not for these to register. */
export function notTheirs(
  order: Order,
  assetBytes: Uint8Array | undefined,
  keys: KeyResolver,
): Refused | undefined {
  const read = assetBytes && readRecord(asset, assetBytes)
  if (!read) return refused('RECORD_INVALID', 'the asset is not shown')
  if (!isStored(read)) return refusedAs('RECORD_INVALID', read)
  if (!read.id.equals(order.asset)) return refused('RECORD_INVALID', 'the asset shown is another one')
  if (!read.payload.org.equals(order.to))
    return refused('NOT_OWNER', `${order.to} did not publish this asset`)
  if (!read.payload.committee?.equals(order.committee))
    return refused(
      'COMMITTEE_INVALID',
      'the asset names another committee, or none: two could not know of each other',
    )
  const verdict = verifySignatures(asset, read, keys)
  return verdict.ok === true ? undefined : refusedAs('SIGNATURE_INVALID', verdict)
}

export function checkCommittee(
  stored: Uint8Array | undefined,
  keys: KeyResolver,
): Stored<AssetCommittee> | Refused {
  if (!stored) return refused('COMMITTEE_INVALID', 'the committee is not shown')
  const read = readAssetCommittee(stored, keys)
  return isStored(read) ? read : refusedAs('COMMITTEE_INVALID', read)
}

/**
 * Whether a committee can decide an order: seats of the parties count as faulty, so there may not be more of them than f, and
 * the votes must come from the others (RULES E4).
 */
export function canDecide({ payload }: Stored<AssetCommittee>, { parties }: Order): Refused | undefined {
  const { n, f, q } = payload
  const seated = parties.filter(org => seatOf(payload, org)).length
  if (seated > f)
    return refused(
      'PARTY_SEATED',
      `${seated} parties have a seat, and the committee stands ${f} faulty seats`,
    )
  return n - seated < q
    ? refused('PARTY_SEATED', `${seated} parties have a seat, and the others are fewer than ${q}`)
    : undefined
}

/**
 * Why a committee does not vote on what follows an order: an owner does not vote on what it owns, and one that says whose
 * place it takes takes no other's (RULES E4).
 */
export function unfitNext({ payload }: Stored<AssetCommittee>, order: Order): Refused | undefined {
  const isOther = order.next && !order.next.equals(order.committee)
  if (isOther && payload.prev && !payload.prev.equals(order.committee))
    return refused('COMMITTEE_INVALID', 'the committee that follows takes the place of another one')
  const seated = (order.takers ?? order.givers)?.owners.find(({ org }) => seatOf(payload, org))
  return (
    seated &&
    refused('PARTY_SEATED', `${seated.org} has a seat in the committee that is to vote on what it owns`)
  )
}

/**
 * Why votes are no certificate of an order; `undefined` when q seats that are no parties voted for it. Where votes of another
 * version could make up that number nobody can tell.
 */
export function checkCertificate(
  stored: Uint8Array,
  order: Order,
  committee: Stored<AssetCommittee>,
): Refused | undefined {
  const unfit = canDecide(committee, order)
  if (unfit) return unfit
  const read = readCertificate(stored)
  if ('reason' in read) return refusedAs('CERTIFICATE_INVALID', read)
  const voted = new Set<string>()
  const unknown: Refused[] = []
  for (const each of read.votes) {
    const said = voteIn(each)
    if (said && !isFor(said, order))
      return refused('CERTIFICATE_INVALID', `the vote of ${said.org} is for another order`)
    const found = readVote(each, committee)
    if ('vote' in found) {
      const { org } = found.vote
      if (!order.parties.some(party => party.equals(org))) voted.add(org.toString())
    } else {
      const wrong = refusedAs('CERTIFICATE_INVALID', found)
      if (!found.ok) return wrong
      unknown.push(wrong)
    }
  }
  const { q } = committee.payload
  if (voted.size >= q) return undefined
  return voted.size + unknown.length >= q
    ? unknown[0]
    : refused('CERTIFICATE_INVALID', `${voted.size} votes of others than the parties, of ${q}`)
}

/**
 * Why a registration is of nothing that its owner bought: it took it by the hand-over that it names, and the committee that this
 * one names certified that (RULES E2). Whether to trust that committee is for who reads it, as with the asset's own.
 */
export function notBought(order: Order, shown: Purchase | undefined, keys: KeyResolver): Refused | undefined {
  const named = (order.record.payload as Partial<Registration>).bought
  if (!named) return shown && refused('RECORD_INVALID', 'a purchase is shown that nothing names')
  if (!shown) return refused('CERTIFICATE_INVALID', 'the hand-over by which it was bought is not shown')
  const sale = readOrder(shown.order)
  if (!isOrder(sale)) return refusedAs('CERTIFICATE_INVALID', sale)
  if (!sale.id.equals(named))
    return refused('CERTIFICATE_INVALID', 'the hand-over shown is not the one by which it was bought')
  const none = boughtNothing(order, sale)
  if (none) return refused('CERTIFICATE_INVALID', none)
  const wrong = unsigned(sale, keys)
  if (wrong) return wrong
  const committee = checkCommittee(shown.committee, keys)
  if (isRefused(committee)) return committee
  return committee.id.equals(sale.committee)
    ? checkCertificate(shown.certificate, sale, committee)
    : refused('COMMITTEE_INVALID', 'the committee shown is not the one that voted on the purchase')
}

/** Why the owner of a registration did not buy what it registers: who took it together registers it together. */
function boughtNothing({ asset: of, to, takers }: Order, sale: Order): string | undefined {
  const isIn = (side: Side | undefined, org: CID) => side?.owners.some(each => each.org.equals(org)) ?? false
  if (!isIn(sale.takers, to) || !sale.givers) return `${to} bought nothing by ${sale.id}`
  if (isIn(sale.givers, to)) return `${to} owned it before ${sale.id}`
  if (sale.asset.equals(of)) return 'it is a hand-over of the asset that is registered'
  const left = sale.takers!.owners.find(({ org }) => !isIn(takers, org))
  return left && `${left.org} bought it too, and is no owner by the registration`
}

/** What is shown as a purchase, of somebody's word until it is checked. */
export function purchaseIn(
  shown: Purchase | undefined,
): { sale: Order; committee: Stored<AssetCommittee> } | undefined {
  const sale = shown && readOrder(shown.order)
  const committee = shown && readRecord(assetCommittee, shown.committee)
  return sale && isOrder(sale) && committee && isStored(committee) ? { sale, committee } : undefined
}

const isFor = (vote: Vote, { id, asset: of, version }: Order): boolean =>
  vote.choice.equals(id) && vote.asset.equals(of) && vote.version === version

/** An order with these signatures in their order, as far as one is there for each owner. */
export function signedBy(order: Order, signers: Signer[]): Uint8Array {
  const s = sidesOf(order).flatMap(({ role, owners }) =>
    owners.flatMap(
      ({ org }) => signers.find(each => each.role === role && each.org.equals(org))?.signature ?? [],
    ),
  )
  return encodeSigned({ p: order.record.payload as unknown as Payload, s })
}

/** Whose votes a certificate has, as they say. */
export function votersOf(stored: Uint8Array): CID[] {
  const read = readCertificate(stored)
  return 'reason' in read ? [] : read.votes.flatMap(each => voteIn(each)?.org ?? [])
}

const readCertificate = (stored: Uint8Array) =>
  readDocument<Infer<typeof certificateShape>>(stored, MAX_RECORD_BYTES, CERTIFICATE, certificateShape)

/** Keys of organisations, and which of two events of one identity is the earlier; `undefined` when one is not known. */
export interface ChainKeys extends KeyResolver {
  isBefore(org: CID, one: CID, other: CID): boolean | undefined
}

/** Why an order is not the next step after `owned`; of a registration, after nothing. */
export function misplaced(owned: Owned | undefined, order: Order, keys: ChainKeys): Refused | undefined {
  if (!owned)
    return order.version === 0 ? undefined : refused('OUT_OF_ORDER', 'a chain begins with the registration')
  if (!order.asset.equals(owned.asset)) return refused('OUT_OF_ORDER', 'the order is of another asset')
  if (order.version <= owned.version)
    return refused('VERSION_PASSED', `version ${owned.version} is certified already`)
  if (order.version > owned.version + 1 || !order.prev?.equals(owned.order))
    return refused('OUT_OF_ORDER', `the order does not follow version ${owned.version}`)
  if (!order.givers || !isSame(order.givers, owned.joint))
    return refused('NOT_OWNER', `they are not the owners of version ${owned.version}`)
  if (!order.committee.equals(owned.committee.id))
    return refused('COMMITTEE_INVALID', 'the order names another committee than the one in force')
  return passed(order.givers.owners, owned.joint.owners, keys)
}

/**
 * What an owner signs names no state of its identity from before the one that its last certified step names: a key that was
 * revoked before that step sells nothing any more, by whichever old state. Everybody finds the same, by the chain alone.
 */
export function passed(now: Owner[], then: Owner[], keys: ChainKeys): Refused | undefined {
  for (const [i, { org, state }] of now.entries()) {
    const last = then[i]!.state
    if (state.equals(last)) continue
    const isBefore = keys.isBefore(org, state, last)
    if (isBefore === undefined)
      return refused('UNKNOWN_VERSION', `which of two states of ${org} is the earlier is not known`)
    if (isBefore)
      return refused('KEY_STATE_PASSED', `it names a state of ${org} from before its last certified step`)
  }
  return undefined
}

/** One more certified step, or why it is none; `known` are committees that were checked before. */
export function advance(
  owned: Owned | undefined,
  link: Link,
  keys: ChainKeys,
  known: (id: CID) => Stored<AssetCommittee> | undefined = () => undefined,
): Owned | Refused {
  const order = checkOrder(link, keys)
  if (isRefused(order)) return order
  const wrong = misplaced(owned, order, keys) ?? notBought(order, link.bought, keys)
  if (wrong) return wrong
  const changes = !owned || order.next !== undefined
  const named = order.next ?? order.committee
  const held = changes ? known(named) : undefined
  // Exactly these bytes were checked: what is kept is shown to others.
  const isHeld = held && (!link.committee || equal(held.bytes, link.committee))
  const shown = !changes ? owned.committee : isHeld ? held : checkCommittee(link.committee, keys)
  if (isRefused(shown)) return shown
  const deciding = owned ? owned.committee : shown
  if (!shown.id.equals(named)) return refused('COMMITTEE_INVALID', 'the committee shown is not the one named')
  const uncertified =
    (order.version > 0 ? unfitNext(shown, order) : undefined) ??
    checkCertificate(link.certificate, order, deciding)
  if (uncertified) return uncertified
  const { version, to, id, takers, givers, k } = order
  const owner = takers ? to : owned!.owner
  const since = owned?.owner.equals(owner) ? owned.since : version
  const joint = takers ? { k: k!, owners: takers.owners } : { k: givers!.k, owners: givers!.owners }
  return { asset: order.asset, version, owner, since, joint, order: id, committee: shown }
}

/** The chain of an asset from its registration on. */
export function readOwnership(links: Link[], keys: ChainKeys): Owned | Refused {
  let owned: Owned | undefined
  for (const link of links) {
    const next = advance(owned, link, keys)
    if (isRefused(next)) return next
    owned = next
  }
  return owned ?? refused('OUT_OF_ORDER', 'a chain begins with the registration')
}

/**
 * Whether two orders convict whoever signed both: an owner that hands one version to two, or registers one asset twice. It
 * has frozen its own asset, and nobody else's (RULES E5).
 */
export function isEquivocation(a: Order, b: Order): boolean {
  const isOne =
    a.givers && b.givers ? isSame(a.givers, b.givers) : !a.givers && !b.givers && a.lead.equals(b.lead)
  return !a.id.equals(b.id) && a.asset.equals(b.asset) && a.version === b.version && isOne
}

/** Who signed both of two orders that convict: of several owners the others have signed one of them, or none. */
export function signedBoth(one: Order, other: Order, keys: KeyResolver): CID[] {
  const of = (order: Order): Signer[] => {
    const signers = signersOf(order, keys)
    const { role } = (order.givers ?? order.takers)!
    return isRefused(signers) ? [] : signers.filter(each => each.role === role)
  }
  const others = of(other)
  return of(one).flatMap(({ org }) => (others.some(each => each.org.equals(org)) ? [org] : []))
}
