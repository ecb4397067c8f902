/**
 * A seat of an asset's committee: it votes once for each (asset, version), durably before it replies (RULES E3).
 *
 *     owner or buyer                                 seat
 *                -- vote/ask {order, asset?, committee?} -->   checks, stores its one vote, replies
 *                <-- vote/cast {order, vote} --
 *                <-- vote/refused {order, refusal, held?} --   `held`: the other order that it voted for
 *
 * Where the asset stands before, the seat knows from certificates (title.ts). The same order again gets the same vote.
 */
import { readU64, u64 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { type AssetCommittee, seatOf } from './asset-committee.ts'
import type { ProtocolCode } from './error.ts'
import { makeVote, type Order, type Registration } from './handover.ts'
import { KEY } from './layout.ts'
import { MAX_REGISTRATIONS } from './limits.ts'
import { originHash } from './log.ts'
import type { Write } from './output.ts'
import {
  type ChainKeys,
  canDecide,
  checkCommittee,
  checkOrder,
  isRefused,
  misplaced,
  notBought,
  type Owned,
  type Purchase,
  type Refused,
  refused,
  unfitNext,
} from './ownership.ts'
import type { Shown } from './parties.ts'
import type { Stored } from './record.ts'

export interface Ask {
  order: Uint8Array
  /** Of a registration: the asset, and of what was bought the purchase. */
  asset?: Uint8Array
  bought?: Purchase
  /** The committee that is in force after it, where that is a new one. */
  committee?: Uint8Array
  /** Where the asset stands; of a registration: nothing. */
  before: Owned | undefined
  /** Parties that this seat does not know by itself: kept with its vote, for whoever is to see what it voted for. */
  identities?: Shown[]
}

/** What a seat may look at: its store, its vote keys by committee, the keys of the parties. */
export interface Seated {
  self: CID
  get(key: string): Uint8Array | undefined
  /** A committee that was checked before. */
  committee(id: CID): Stored<AssetCommittee> | undefined
  /** The private key of the own seat in a committee; none where the seat was lost. */
  voteKey(committee: CID): PrivateKey | undefined
  keys: ChainKeys
}

export interface Ballot {
  writes: Write[]
  reply: { t: 'vote'; vote: Uint8Array } | Declined
}
export interface Declined {
  t: 'refused'
  code: ProtocolCode
  text: string
  /** The order that this seat voted for at the same version: with the one refused it may convict its owner. */
  held?: Uint8Array
  identities?: Shown[]
}

/** The vote of a seat as it is stored, with the order that it is for. */
interface Voted {
  choice: CID
  vote: Uint8Array
  order: Uint8Array
  identities?: Shown[]
}

/** Takes what an asker shows and votes, or says why not. */
export function ask(asked: Ask, seated: Seated): Ballot {
  const order = checkOrder(asked, seated.keys)
  if (isRefused(order)) return decline(order)
  // What was voted for once is answered for ever, wherever the chain has come to since.
  const held = votedFor(order, seated)
  if (held)
    return held.choice.equals(order.id)
      ? { writes: [], reply: { t: 'vote', vote: held.vote } }
      : otherwise(held)
  const { before } = asked
  const wrong = misplaced(before, order, seated.keys)
  if (wrong) return decline(wrong)
  const after = inForceAfter(order, asked, seated)
  if (isRefused(after)) return decline(after)
  const unfit = before && unfitNext(after, order)
  return unfit ? decline(unfit) : cast(order, asked, before ? before.committee : after, seated)
}

/** The committee that votes on what follows this order. */
function inForceAfter(
  order: Order,
  { committee, before }: Ask,
  { committee: known, keys }: Seated,
): Stored<AssetCommittee> | Refused {
  if (before && !order.next) return before.committee
  const named = order.next ?? order.committee
  const found = known(named) ?? checkCommittee(committee, keys)
  if (isRefused(found) || found.id.equals(named)) return found
  return refused('COMMITTEE_INVALID', 'the committee shown is not the one named')
}

function cast(
  order: Order,
  { order: orderBytes, bought, identities = [] }: Ask,
  committee: Stored<AssetCommittee>,
  seated: Seated,
): Ballot {
  const unfit = canDecide(committee, order)
  if (unfit) return decline(unfit)
  const seat = seatOf(committee.payload, seated.self)
  if (!seat) return refuse('SEAT_UNKNOWN', 'this node has no seat in the committee')
  if (order.parties.some(org => org.equals(seated.self)))
    return refuse('PARTY_SEATED', 'a party does not vote')
  const key = seated.voteKey(committee.id)
  if (!key) return refuse('SEAT_LOST', 'this seat lost its votes and abstains for ever')
  const untitled = notBought(order, bought, seated.keys)
  if (untitled) return decline(untitled)
  const vote = makeVote(seat, key, order)
  const shown = identities.length > 0 ? { identities } : {}
  const voted: Voted = { choice: order.id, vote, order: orderBytes, ...shown }
  const write: Write = { key: keyOf(order), value: encode(voted as unknown as Value), if: 'absent' }
  if (order.version > 0) return { writes: [write], reply: { t: 'vote', vote } }
  const registered = enter(order, seated)
  return Array.isArray(registered)
    ? { writes: [write, ...registered], reply: { t: 'vote', vote } }
    : decline(registered)
}

/** One registration for each name that an owner gives, and so many of one owner (RULES E2, H4). */
function enter({ record, to, committee }: Order, { get }: Seated): Write[] | Refused {
  const name = KEY.registered(committee, to, originHash((record.payload as Registration).ref))
  if (get(name)) return refused('OUT_OF_ORDER', 'this owner has registered an asset under this name')
  const count = KEY.registrations(committee, to)
  const before = get(count)
  const many = before ? readU64(before)! : 0
  if (many >= MAX_REGISTRATIONS)
    return refused(
      'QUOTA_EXCEEDED',
      `an owner registers at most ${MAX_REGISTRATIONS} assets with a committee`,
    )
  return [
    { key: name, value: new Uint8Array(0), if: 'absent' },
    { key: count, value: u64(many + 1), if: before ? { equals: before } : 'absent' },
  ]
}

const keyOf = ({ committee, asset, version }: Order): string => KEY.vote(committee, asset, version)

function votedFor(order: Order, { get }: Seated): Voted | undefined {
  const stored = get(keyOf(order))
  return stored && (decode(stored, stored.length) as unknown as Voted)
}

function otherwise({ order, identities = [] }: Voted): Ballot {
  const text = 'this seat voted for another order of this version'
  return { writes: [], reply: { t: 'refused', code: 'VOTED_OTHERWISE', text, held: order, identities } }
}

const decline = ({ code, text }: Refused): Ballot => refuse(code, text)
const refuse = (code: ProtocolCode, text: string): Ballot => ({
  writes: [],
  reply: { t: 'refused', code, text },
})
