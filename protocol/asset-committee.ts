/**
 * The committee of an asset: organisations that vote on who owns it next (RULES E1). A seat is an organisation with a vote
 * key made for this committee, which ends with the seat; each seat signs the committee, so that nobody is made a member who
 * did not agree to be one.
 */
import { toHex } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { encodeSigned, payloadPart, signRecord, verifySignature } from '../crypto/statement.ts'
import { publicKey } from './identity.ts'
import { MAX_SEATS } from './limits.ts'
import { isStored, readRecord, recordType, type Stored, type Verdict } from './record.ts'
import { bytes, type Infer, link, list, object, optional, text, uint } from './shape.ts'

const seatShape = object({
  org: link,
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

/** Its signatures are checked by `readAssetCommittee`: the keys stand in the payload itself. */
const assetCommittee = recordType({
  t: 'asset-committee/1',
  shape,
  signers: {},
  rule({ n, f, q, seats }) {
    if (n !== seats.length || n === 0) return 'n is not the number of seats'
    if (q > n || 2 * q <= n + f) return `${q} of ${n} votes are no quorum while ${f} may lie`
    const orgs = seats.map(seat => seat.org.toString())
    if (orgs.some((org, i) => i > 0 && orgs[i - 1]! >= org)) return 'the seats are not in order, one each'
    const keys = new Set(seats.map(seat => toHex(seat.key.k)))
    return keys.size === n ? undefined : 'a vote key stands twice'
  },
})

/** A committee that every seat has signed; otherwise why not. */
export function readAssetCommittee(
  stored: Uint8Array,
): Stored<AssetCommittee> | Exclude<Verdict, { ok: true }> {
  const read = readRecord(assetCommittee, stored)
  if (!isStored(read)) return read
  const { seats } = read.payload
  const other = read.signatures.find(({ a }) => a !== 1)
  if (other) return { ok: 'unknown', reason: `algorithm ${other.a} is not known to this version` }
  const payload = payloadPart(stored)
  const all =
    read.signatures.length === seats.length &&
    read.signatures.every(
      (signature, i) =>
        signature.r === 'seat' && verifySignature(assetCommittee.t, payload, signature, seats[i]!.key.k),
    )
  return all ? read : { ok: false, reason: 'not every seat has signed the committee' }
}

/** Makes a committee and signs it for the seats whose keys are given, in the order of the organisations. */
export function makeAssetCommittee(
  seats: { org: CID; key: PrivateKey; epoch: number }[],
  rule: { f: number; q: number },
  about: { madeMs: number; nonce: Uint8Array; prev?: CID },
): Uint8Array {
  const inOrder = seats.toSorted((a, b) => (a.org.toString() < b.org.toString() ? -1 : 1))
  const payload: AssetCommittee = {
    t: assetCommittee.t,
    n: seats.length,
    ...rule,
    seats: inOrder.map(({ org, key, epoch }) => ({ org, key: { a: 1, k: key.public }, epoch })),
    ...(about.prev ? { prev: about.prev } : {}),
    made: about.madeMs,
    nonce: about.nonce,
  }
  return encodeSigned({ p: payload, s: inOrder.map(({ key }) => signRecord(payload, 'seat', key)) })
}

export const seatOf = (committee: AssetCommittee, org: CID): Seat | undefined =>
  committee.seats.find(seat => seat.org.equals(org))
