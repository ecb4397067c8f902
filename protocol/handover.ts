/**
 * The records of ownership (RULES E2, E3, E5): a registration makes version 0 of an asset's ownership, a hand-over the next
 * one, and so does a change of the committee, which leaves it to its owner. Each is an order that the seats of the asset's committee vote on; q votes of seats that are not its parties are a
 * certificate. Nothing here expires for voters, and nothing can be cancelled: who sold by mistake buys back.
 */
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { encodeSigned, payloadPart, signRecord, verifySignature } from '../crypto/statement.ts'
import { type AssetCommittee, type Seat, seatOf } from './asset-committee.ts'
import { MAX_NAME_LENGTH, MAX_OWNERS } from './limits.ts'
import {
  isStored,
  type RecordType,
  readRecord,
  recordType,
  type Stored,
  type Unread,
  type Verdict,
} from './record.ts'
import { remembering } from './remember.ts'
import { bytes, flag, type Infer, link, list, object, oneOf, optional, text, uint } from './shape.ts'

/** Orders that are looked at at once; one takes 1 KiB. */
const READ = { most: 512, maxBytes: 4_096 }

/** An owner, and the event of its identity chain by which its signature is judged, now and later. */
const ownerShape = object({ org: link, state: link })
export type Owner = Infer<typeof ownerShape>

/** Several owners in the order of their ids, so many of whom sign what follows. */
const jointShape = object({ k: uint, owners: list(ownerShape, MAX_OWNERS) })
export type Joint = Infer<typeof jointShape>

/**
 * Why these do not own together. More than half sign, so that two orders of one version convict whoever signed both; `lead`
 * is the one of them that the order names by itself.
 */
function whyNotJoint({ k, owners }: Joint, lead: Owner): string | undefined {
  const names = owners.map(({ org }) => org.toString())
  if (names.some((name, i) => i > 0 && names[i - 1]! >= name)) return 'the owners are not in order, each once'
  if (names.length < 2) return 'one owner is not several'
  if (k > names.length || 2 * k <= names.length)
    return `${k} of ${names.length} owners are not more than half of them`
  const own = owners.find(({ org }) => org.equals(lead.org))
  return own?.state.equals(lead.state) ? undefined : `${lead.org} is none of the owners, at its state`
}

const registrationShape = object({
  t: text(32),
  asset: link,
  owner: link,
  /** Last event of the owner's identity chain: the signature is judged by that state, now and later. */
  ownerState: link,
  joint: optional(jointShape),
  committee: link,
  /** What the owner calls it: one registration for each name, so that a thing is not registered twice by mistake. */
  ref: text(MAX_NAME_LENGTH),
  /** Commitment to the plain content: disclosed, two registrations of one owner with equal content convict it. */
  content: bytes(32),
  /** How the owner came by it; licensed data cannot be registered, so there is no word for it. */
  title: oneOf('made', 'bought'),
  /** The hand-over that certified the purchase. */
  bought: optional(link),
  /** "No other registration of mine covers the same content." */
  warranty: flag,
  made: uint,
  nonce: bytes(16),
})
export type Registration = Infer<typeof registrationShape>
export const registration: RecordType<Registration> = recordType({
  t: 'registration/1',
  shape: registrationShape,
  signers: { owner: { org: 'owner', key: 'operation' } },
  rule({ title, bought, warranty, owner, ownerState, joint }) {
    const wrong = joint && whyNotJoint(joint, { org: owner, state: ownerState })
    if (wrong) return wrong
    if ((title === 'bought') !== (bought !== undefined)) return 'a purchase, and only it, names its hand-over'
    return warranty ? undefined : 'the owner does not warrant that the content is registered once'
  },
})

const handoverShape = object({
  t: text(32),
  asset: link,
  /** The version of ownership that it makes, from 1. */
  version: uint,
  /** The order that made the version before: a hand-over, or the registration. */
  prev: link,
  from: link,
  fromState: link,
  fromJoint: optional(jointShape),
  to: link,
  toState: link,
  toJoint: optional(jointShape),
  /** The committee that votes on it. */
  committee: link,
  /** The committee from the new version on, where it is to be another. */
  next: optional(link),
  /** What passes to the new owner (RULES E6). */
  passes: object({ agreements: flag, duties: flag, keys: flag, blocks: flag }),
  made: uint,
})
export type Handover = Infer<typeof handoverShape>
export const handover: RecordType<Handover> = recordType({
  t: 'handover/1',
  shape: handoverShape,
  signers: { from: { org: 'from', key: 'operation' }, to: { org: 'to', key: 'operation' } },
  rule({ version, from, fromState, fromJoint, to, toState, toJoint }) {
    if (version === 0) return 'version 0 is made by a registration'
    const givers = ownersIn({ org: from, state: fromState }, fromJoint)
    const takers = ownersIn({ org: to, state: toState }, toJoint)
    const wrong =
      (fromJoint && whyNotJoint(fromJoint, { org: from, state: fromState })) ??
      (toJoint && whyNotJoint(toJoint, { org: to, state: toState }))
    if (wrong) return wrong
    if (takers.some(one => givers.some(other => one.org.equals(other.org) && !one.state.equals(other.state))))
      return 'one owner stands on both sides at two states'
    return isSame({ k: fromJoint?.k ?? 1, owners: givers }, { k: toJoint?.k ?? 1, owners: takers })
      ? 'nobody hands over to itself'
      : undefined
  },
})

const ownersIn = (lead: Owner, joint: Joint | undefined): Owner[] => joint?.owners ?? [lead]

/** Whether these are the same owners, at whichever states, of whom as many sign. */
export const isSame = (a: Joint, b: Joint): boolean =>
  a.k === b.k &&
  a.owners.length === b.owners.length &&
  a.owners.every(({ org }, i) => org.equals(b.owners[i]!.org))

const changeShape = object({
  t: text(32),
  asset: link,
  /** It makes a version of its own, so that no seat votes for it and for a hand-over. */
  version: uint,
  prev: link,
  owner: link,
  ownerState: link,
  joint: optional(jointShape),
  /** The committee that votes on it, and the one that follows: the same one where its owner only names newer keys. */
  committee: link,
  next: link,
  made: uint,
})
export type CommitteeChange = Infer<typeof changeShape>
export const committeeChange: RecordType<CommitteeChange> = recordType({
  t: 'committee-change/1',
  shape: changeShape,
  signers: { owner: { org: 'owner', key: 'operation' } },
  rule({ version, owner, ownerState, joint }) {
    if (version === 0) return 'version 0 is made by a registration'
    return joint && whyNotJoint(joint, { org: owner, state: ownerState })
  },
})

const voteShape = object({
  t: text(32),
  committee: link,
  org: link,
  epoch: uint,
  asset: link,
  version: uint,
  /** Id of the order that this seat votes for. */
  choice: link,
})
export type Vote = Infer<typeof voteShape>
/** Its signature is checked by `readVote`: the key stands in the committee. */
const vote: RecordType<Vote> = recordType({ t: 'vote/1', shape: voteShape, signers: {} })

/** Owners who sign an order in one role: of those who give it away `k` are enough. */
export interface Side extends Joint {
  role: 'owner' | 'from' | 'to'
}

/** What is voted on, whichever record says so. */
export interface Order {
  id: CID
  asset: CID
  version: number
  committee: CID
  /** Who must have owned the asset before; of a registration nobody. */
  givers?: Side
  /** Who own it by it, of whom each signs; a change of the committee leaves it to those who do. */
  takers?: Side
  /** So many of the new owners sign what follows. */
  k?: number
  /** Organisations that gain or lose by it: their seats count as faulty (RULES E4). */
  parties: CID[]
  /** The event of each one's identity by which its signature is judged. */
  states: Owner[]
  /** The one who wrote it: an owner before, or who registers. */
  lead: CID
  /** Who shares the asset from then on. */
  to: CID
  from?: CID
  prev?: CID
  next?: CID
  record: Stored<OrderRecord>
}
export type OrderRecord = Registration | Handover | CommitteeChange

/** Of those who become owners each signs; `k` says how many sign what follows. */
const taking = (role: Side['role'], lead: Owner, joint: Joint | undefined): Pick<Order, 'takers' | 'k'> => {
  const owners = ownersIn(lead, joint)
  return { takers: { role, k: owners.length, owners }, k: joint?.k ?? 1 }
}
const giving = (role: Side['role'], lead: Owner, joint: Joint | undefined): Pick<Order, 'givers'> => ({
  givers: { role, k: joint?.k ?? 1, owners: ownersIn(lead, joint) },
})

export function orderOf(record: Stored<Registration> | Stored<Handover> | Stored<CommitteeChange>): Order {
  const { id, payload } = record
  const { asset, committee } = payload
  const about = { id, asset, committee }
  if (payload.t === registration.t) {
    const { owner: org, ownerState: state, joint } = payload as Registration
    const sides = taking('owner', { org, state }, joint)
    const same = { ...about, version: 0, lead: org, to: org, record: record as Stored<Registration> }
    return { ...same, ...sides, ...partiesOf(sides) }
  }
  if (payload.t === committeeChange.t) {
    const { owner: org, ownerState: state, joint, version, prev, next } = payload as CommitteeChange
    const sides = giving('owner', { org, state }, joint)
    const same = { ...about, version, prev, next, lead: org, from: org, to: org }
    return { ...same, ...sides, ...partiesOf(sides), record: record as Stored<CommitteeChange> }
  }
  const { version, prev, from, fromState, fromJoint, to, toState, toJoint, next } = payload as Handover
  const sides = {
    ...giving('from', { org: from, state: fromState }, fromJoint),
    ...taking('to', { org: to, state: toState }, toJoint),
  }
  const same = { ...about, version, lead: from, from, to, prev, ...(next ? { next } : {}) }
  return { ...same, ...sides, ...partiesOf(sides), record: record as Stored<Handover> }
}

/** Everybody on either side, once. */
function partiesOf({ givers, takers }: Pick<Order, 'givers' | 'takers'>): Pick<Order, 'parties' | 'states'> {
  const all = [...(givers?.owners ?? []), ...(takers?.owners ?? [])]
  const states = [...new Map(all.map(each => [each.org.toString(), each])).values()]
  return { parties: states.map(({ org }) => org), states }
}

/** An order as it came; its signatures are not checked yet. */
export const readOrder: (stored: Uint8Array) => Order | Unread = remembering(READ, read)

function read(stored: Uint8Array): Order | Unread {
  const asHandover = readRecord(handover, stored)
  if (isStored(asHandover)) return orderOf(asHandover)
  const asRegistration = readRecord(registration, stored)
  if (isStored(asRegistration)) return orderOf(asRegistration)
  const asChange = readRecord(committeeChange, stored)
  if (isStored(asChange)) return orderOf(asChange)
  return [asHandover, asRegistration, asChange].find(each => each.ok === 'unknown') ?? asRegistration
}

export const isOrder = (read: Order | Verdict): read is Order => 'parties' in read

/** Votes for an order with the key of a seat. */
export function makeVote(seat: Seat, key: PrivateKey, order: Order): Uint8Array {
  const { org, epoch } = seat
  const { committee, asset, version, id } = order
  const payload: Vote = { t: vote.t, committee, org, epoch, asset, version, choice: id }
  return encodeSigned({ p: payload, s: [signRecord(payload, 'seat', key)] })
}

/** As it came: looked at alone, and then in the certificate. */
const openVote = remembering(READ, stored => readRecord(vote, stored))

/** What a vote says, whoever signed it. */
export function voteIn(stored: Uint8Array): Vote | undefined {
  const read = openVote(stored)
  return isStored(read) ? read.payload : undefined
}

/** A vote that a seat of this committee signed; otherwise why it is none. */
export function readVote(
  stored: Uint8Array,
  committee: Stored<AssetCommittee>,
): { vote: Vote; seat: Seat } | Unread {
  const read = openVote(stored)
  if (!isStored(read)) return read
  const { payload, signatures } = read
  const none = (reason: string) => ({ ok: false as const, reason })
  if (!payload.committee.equals(committee.id)) return none('the vote is of another committee')
  const seat = seatOf(committee.payload, payload.org)
  if (seat?.epoch !== payload.epoch) return none(`${payload.org} has no such seat`)
  const [signature] = signatures
  const isUnsigned = signatures.length !== 1 || signature!.r !== 'seat'
  if (!isUnsigned && signature!.a !== 1)
    return { ok: 'unknown', reason: `algorithm ${signature!.a} is not known to this version` }
  const held = !isUnsigned && verifySignature(vote.t, payloadPart(stored), signature!, seat.key.k)
  return held ? { vote: payload, seat } : none(`the vote of ${payload.org} is not signed by its seat`)
}
