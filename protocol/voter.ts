/**
 * A seat of an asset's committee: it votes once for each (asset, version), durably before it replies (RULES E3).
 *
 *     owner or buyer                                 seat
 *                -- order {order, committee, links} -->   checks, stores its one vote, replies
 *                <-- vote {vote} --
 *                <-- refused {order, code, text, held?} --    `held`: the other order that it voted for
 *
 * Who asks shows the certified steps that the seat does not know yet. The same order again gets the same vote.
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
  advance,
  canDecide,
  checkCommittee,
  checkOrder,
  isRefused,
  type Link,
  misplaced,
  type Owned,
  type Refused,
  refused,
} from './ownership.ts'
import type { KeyResolver, Stored } from './record.ts'

export interface Ask {
  order: Uint8Array
  /** Of a registration: the asset, and the committee that it names. */
  asset?: Uint8Array
  committee?: Uint8Array
  /** Certified steps since the one that the seat may know. */
  links: Link[]
}

/** What a seat may look at: its store, its vote keys by committee, the keys of the parties. */
export interface Seated {
  self: CID
  get(key: string): Uint8Array | undefined
  /** The private key of the own seat in a committee; none where the seat was lost. */
  voteKey(committee: CID): PrivateKey | undefined
  keys: KeyResolver
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
}

/** The vote of a seat as it is stored, with the order that it is for. */
interface Voted {
  choice: CID
  vote: Uint8Array
  order: Uint8Array
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
  const owned = caughtUp(order, asked.links, seated)
  if (owned && isRefused(owned)) return decline(owned)
  const wrong = misplaced(owned, order)
  if (wrong) return decline(wrong)
  const committee = owned ? owned.committee : checkCommittee(asked.committee)
  if (isRefused(committee)) return decline(committee)
  return cast(order, asked.order, committee, seated)
}

function cast(
  order: Order,
  orderBytes: Uint8Array,
  committee: Stored<AssetCommittee>,
  seated: Seated,
): Ballot {
  if (!committee.id.equals(order.committee))
    return refuse('COMMITTEE_INVALID', 'the committee shown is not the one named')
  const unfit = canDecide(committee, order)
  if (unfit) return decline(unfit)
  const seat = seatOf(committee.payload, seated.self)
  if (!seat) return refuse('SEAT_UNKNOWN', 'this node has no seat in the committee')
  if (order.parties.some(org => org.equals(seated.self)))
    return refuse('PARTY_SEATED', 'a party does not vote')
  const key = seated.voteKey(committee.id)
  if (!key) return refuse('SEAT_LOST', 'this seat lost its votes and abstains for ever')
  const vote = makeVote(seat, key, order)
  const voted: Voted = { choice: order.id, vote, order: orderBytes }
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

/** Where the asset stands before this order: as far as the steps shown lead from the registration. */
function caughtUp(order: Order, links: Link[], { keys }: Seated): Owned | Refused | undefined {
  let owned: Owned | undefined
  for (const link of links.slice(0, order.version)) {
    const next = advance(owned, link, keys)
    if (isRefused(next)) return next
    owned = next
  }
  return owned
}

function otherwise({ order }: Voted): Ballot {
  const text = 'this seat voted for another order of this version'
  return { writes: [], reply: { t: 'refused', code: 'VOTED_OTHERWISE', text, held: order } }
}

const decline = ({ code, text }: Refused): Ballot => refuse(code, text)
const refuse = (code: ProtocolCode, text: string): Ballot => ({
  writes: [],
  reply: { t: 'refused', code, text },
})
