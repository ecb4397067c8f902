/**
 * The committee of an asset: organisations that vote on who owns it next (RULES E1). A seat is an organisation with a vote
 * key made for this committee, which ends with the seat. Each seat signs the committee twice: with its vote key, which it has
 * then, and as the organisation that it is, so that nobody is made a member who did not agree to be one.
 */
import { toHex } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import {
  encodeSigned,
  payloadPart,
  type Signature,
  signRecord,
  verifySignature,
} from '../crypto/statement.ts'
import { publicKey } from './identity.ts'
import { MAX_SEATS } from './limits.ts'
import {
  isStored,
  type KeyResolver,
  readRecord,
  recordType,
  type Stored,
  type Unread,
  type Verdict,
} from './record.ts'
import { bytes, type Infer, link, list, object, optional, text, uint } from './shape.ts'

export const seatShape = object({
  org: link,
  /** Last event of its identity chain when it took the seat. */
  state: link,
  key: publicKey,
  /** Counts the seats that this organisation has had; a seat that lost its votes is followed by one of a higher number. */
  epoch: uint,
})
export type Seat = Infer<typeof seatShape>

const shape = object({
  t: text(32),
  n: uint,
  /** So many seats may lie, and so many votes of others than the parties make a certificate: 2q > n + f. */
  f: uint,
  q: uint,
  /** In the order of the organisations' ids. */
  seats: list(seatShape, MAX_SEATS),
  /** The committee that this one takes over from, where a seat is replaced. */
  prev: optional(link),
  made: uint,
  nonce: bytes(16),
})
export type AssetCommittee = Infer<typeof shape>

/** Its signatures are checked by `readAssetCommittee`: half of the keys stand in the payload itself. */
export const assetCommittee = recordType({
  t: 'asset-committee/1',
  shape,
  signers: {},
  rule({ n, f, q, seats }) {
    if (n !== seats.length) return 'n is not the number of seats'
    if (n === 0) return f === 0 && q === 0 ? undefined : 'nobody votes, and nobody can lie'
    if (q > n || 2 * q <= n + f) return `${q} of ${n} votes are no quorum while ${f} may lie`
    const orgs = seats.map(seat => seat.org.toString())
    if (orgs.some((org, i) => i > 0 && orgs[i - 1]! >= org)) return 'the seats are not in order, one each'
    const keys = new Set(seats.map(seat => toHex(seat.key.k)))
    return keys.size === n ? undefined : 'a vote key stands twice'
  },
})

/** A committee that every seat has signed, first all vote keys, then all organisations; otherwise why not. */
export function readAssetCommittee(stored: Uint8Array, keys: KeyResolver): Stored<AssetCommittee> | Unread {
  const read = readRecord(assetCommittee, stored)
  if (!isStored(read)) return read
  const { signatures, payload } = read
  const { n, seats } = payload
  const other = signatures.find(({ a }) => a !== 1)
  if (other) return { ok: 'unknown', reason: `algorithm ${other.a} is not known to this version` }
  if (signatures.length !== 2 * n) return { ok: false, reason: 'not every seat has signed the committee' }
  for (const [i, seat] of seats.entries()) {
    const verdict = signedSeat(seat, stored, [signatures[i]!, signatures[n + i]!], keys)
    if (verdict.ok !== true) return verdict
  }
  return read
}

/** Whether a seat of the committee in `stored` has signed it with its vote key and as the organisation that it is. */
export function signedSeat(
  { org, state, key }: Seat,
  stored: Uint8Array,
  [voter, member]: [voter: Signature, member: Signature],
  keys: KeyResolver,
): Verdict {
  const payload = payloadPart(stored)
  const { t } = assetCommittee
  const missing: Verdict = { ok: false, reason: `${org} has not signed the committee` }
  if (voter.r !== 'seat' || !verifySignature(t, payload, voter, key.k)) return missing
  if (member.r !== 'member') return missing
  const own = keys(org, 'operation', member.k, state)
  if (!own) return { ok: 'unknown', reason: `the operation key of ${org} is not known` }
  return verifySignature(t, payload, member, own) ? { ok: true } : missing
}

/** What is to be signed by every seat. */
export function committeeOfSeats(
  seats: Seat[],
  rule: { f: number; q: number },
  about: { madeMs: number; nonce: Uint8Array; prev?: CID },
): AssetCommittee {
  return {
    t: assetCommittee.t,
    n: seats.length,
    ...rule,
    seats: seats.toSorted((a, b) => (a.org.toString() < b.org.toString() ? -1 : 1)),
    ...(about.prev ? { prev: about.prev } : {}),
    made: about.madeMs,
    nonce: about.nonce,
  }
}

/** The two signatures of a seat. */
export const signSeat = (
  payload: AssetCommittee,
  vote: PrivateKey,
  sign: (role: string) => Signature,
): [voter: Signature, member: Signature] => [signRecord(payload, 'seat', vote), sign('member')]

/** A committee with all of its signatures, those of each seat by its organisation. */
export function sealCommittee(
  payload: AssetCommittee,
  signatures: (org: string) => [voter: Signature, member: Signature],
): Uint8Array {
  const both = payload.seats.map(({ org }) => signatures(org.toString()))
  return encodeSigned({ p: payload, s: [...both.map(([voter]) => voter), ...both.map(([, own]) => own)] })
}

export const seatOf = (committee: AssetCommittee, org: CID): Seat | undefined =>
  committee.seats.find(seat => seat.org.equals(org))

/** What is usual for so many seats: all vote while they are few, and from four on a third may lie or be away. */
export function usualRule(n: number): { f: number; q: number } {
  if (n < 4) return { f: Math.max(0, n - 1), q: n }
  const f = Math.floor((n - 1) / 3)
  return { f, q: Math.floor((n + f) / 2) + 1 }
}

export type Mode = 'none' | 'all' | 'majority' | 'byzantine'

/**
 * What the votes of a committee are worth, and in which case they are worth nothing (RULES D3, E7). `lost` of its seats said
 * that they lost their votes: they vote no more, and count among those that may lie (RULES E3).
 */
export function modeOf(
  { n, f, q }: Pick<AssetCommittee, 'n' | 'f' | 'q'>,
  lost = 0,
): { mode: Mode; words: string } {
  if (lost > 0) return modeWithout(lost, { n, f, q })
  if (n === 0)
    return {
      mode: 'none',
      words: 'nobody votes: a second sale is noticed only when two buyers compare what they hold',
    }
  const ends = `if more than ${n - q} of ${n} disappear, it can never be handed over again`
  if (n === 1) return { mode: 'all', words: `on the word of one alone; ${ends}` }
  if (q === n) return { mode: 'all', words: `all ${n} vote: safe while at most ${f} of them lie; ${ends}` }
  if (f === 0) return { mode: 'majority', words: `${q} of ${n} vote: safe only if nobody lies; ${ends}` }
  return {
    mode: 'byzantine',
    words: `Byzantine: ${q} of ${n} vote, safe while at most ${f} of them lie; ${ends}`,
  }
}

function modeWithout(
  lost: number,
  { n, f, q }: Pick<AssetCommittee, 'n' | 'f' | 'q'>,
): { mode: Mode; words: string } {
  const left = n - lost
  const gone = `${lost} of ${n} seats lost their votes`
  if (left < q)
    return {
      mode: 'none',
      words: `${gone}, and ${q} must vote: what it votes on can never be handed over again`,
    }
  if (lost > f)
    return { mode: 'none', words: `${gone}, and it is safe with at most ${f} such: two may be certified` }
  const ends = `if more than ${left - q} of the ${left} others disappear, it can never be handed over again`
  const votes = `${gone}, ${q} of the ${left} others vote`
  return f === lost
    ? { mode: 'majority', words: `${votes}: safe only if none of these lies; ${ends}` }
    : { mode: 'byzantine', words: `${votes}: safe while at most ${f - lost} of these lie; ${ends}` }
}
