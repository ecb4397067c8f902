/**
 * What the model check of ownership plays: an owner who signs two orders for one version, under the key it had and under the
 * one it rotated to, and the committee that is asked to vote for both.
 */
import { toHex } from '../crypto/bytes.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { expand, sha256 } from '../crypto/hash.ts'
import { keyFromSeed, type PrivateKey, thumbprint } from '../crypto/key.ts'
import { encodeSigned, type Payload, recordId, signRecord } from '../crypto/statement.ts'
import {
  type AssetCommittee,
  committeeOfSeats,
  readAssetCommittee,
  sealCommittee,
  signSeat,
} from '../protocol/asset-committee.ts'
import { makeVote, type Order, readOrder } from '../protocol/handover.ts'
import {
  advance,
  type ChainKeys,
  checkOrder,
  isRefused,
  type Link,
  makeCertificate,
  type Owned,
} from '../protocol/ownership.ts'
import type { KeyRole, Stored } from '../protocol/record.ts'

export const digest = (name: string): CID => cidOf(sha256(new TextEncoder().encode(name)), 'raw')
export const keyOf = (name: string): PrivateKey =>
  keyFromSeed(expand(sha256(new TextEncoder().encode(name)), 'key'))

export const OWNER = digest('owner')
const KEYS = new Map<string, PrivateKey[]>()
export const keysOf = (org: CID): PrivateKey[] => {
  const name = org.toString()
  if (!KEYS.has(name)) KEYS.set(name, [keyOf(name), keyOf(`${name} rotated`)])
  return KEYS.get(name)!
}
export const resolve: ChainKeys = Object.assign(
  (org: CID, _role: KeyRole, named: Uint8Array) =>
    keysOf(org).find(key => toHex(thumbprint(key.public)) === toHex(named))?.public,
  { isBefore: () => false },
)

/** A record signed by these, each with its first key or with the one after a rotation. */
function sealed(payload: Payload, roles: [role: string, org: CID][], rotated = false): Uint8Array {
  const s = roles.map(([role, org]) => signRecord(payload, role, keysOf(org)[rotated ? 1 : 0]!))
  return encodeSigned({ p: payload, s })
}

const assetOf = (committee: CID) => ({
  t: 'asset/1',
  org: OWNER,
  title: 'a',
  kind: 'set',
  classification: { domain: 'd', level: 'general' },
  ownerVersion: 0,
  committee,
  made: 0,
  nonce: new Uint8Array(16),
})
export const assetId = (committee: CID): CID => recordId(assetOf(committee))
export const assetBytes = (committee: CID): Uint8Array => sealed(assetOf(committee), [['publisher', OWNER]])

export interface Committee extends Stored<AssetCommittee> {
  votes: PrivateKey[]
  /** Votes that its seats have cast, by seat and order. */
  cast: Map<string, Uint8Array>
}

const COMMITTEES = new Map<string, Committee>()
export function committee(n: number, f: number, q: number, name = 'seat'): Committee {
  const key = `${n}/${f}/${q}/${name}`
  if (!COMMITTEES.has(key)) COMMITTEES.set(key, makeCommittee(n, f, q, name))
  return COMMITTEES.get(key)!
}

function makeCommittee(n: number, f: number, q: number, name: string): Committee {
  const seats = Array.from({ length: n }, (_, i) => ({
    org: digest(`${name} ${i}`),
    vote: keyOf(`vote of ${name} ${i}`),
  }))
  const payload = committeeOfSeats(
    seats.map(({ org, vote }) => ({ org, state: org, key: { a: 1, k: vote.public }, epoch: 0 })),
    { f, q },
    { madeMs: 0, nonce: new Uint8Array(16) },
  )
  const seat = (org: string) => seats.find(each => each.org.toString() === org)!
  const made = sealCommittee(payload, name => {
    const { org, vote } = seat(name)
    return signSeat(payload, vote, role => signRecord(payload as unknown as Payload, role, keysOf(org)[0]!))
  })
  const read = readAssetCommittee(made, resolve) as Stored<AssetCommittee>
  const votes = read.payload.seats.map(({ org }) => seat(org.toString()).vote)
  return { ...read, votes, cast: new Map() }
}

/** Two orders that cannot both stand, the first also under a rotated key, and what comes before them. */
export interface Story {
  committee: Committee
  asks: { bytes: Uint8Array; choice: 0 | 1 }[]
  orders: [Order, Order]
  before: Owned | undefined
  asset: Uint8Array
  /** The committee that votes on what follows each order. */
  shown: [Uint8Array, Uint8Array]
  /** What is shown for the second order instead: it is voted on by seats that all lie. */
  minted?: { committee: Committee; asset: Uint8Array }
}

export const KINDS = [
  'registration',
  'handover',
  'parties seated',
  'committee change',
  'change or sale',
  'two committees',
] as const
type Kind = (typeof KINDS)[number]

const registering = (asset: CID, committee: CID, nonce: number, rotated = false): Uint8Array =>
  sealed(
    {
      t: 'registration/1',
      asset,
      owner: OWNER,
      ownerState: OWNER,
      committee,
      ref: `r${nonce}`,
      content: new Uint8Array(32),
      title: 'made',
      warranty: true,
      made: 0,
      nonce: new Uint8Array(16).fill(nonce),
    },
    [['owner', OWNER]],
    rotated,
  )

/**
 * The owner registers one asset with its committee and with another, all of whose seats lie for it. Without the rule the asset
 * names none: then there may be a record of it for each.
 */
function registeredTwice(of: Committee, oneCommittee: boolean): Story {
  const minted = committee(of.payload.n, of.payload.f, of.payload.q, 'minted')
  const [named, other] = [of.id, oneCommittee ? of.id : minted.id]
  const asset = recordId(assetOf(named))
  const register = (nonce: number, rotated = false) => registering(asset, named, nonce, rotated)
  const second = registering(recordId(assetOf(other)), minted.id, 2)
  return {
    committee: of,
    asks: [
      { bytes: register(1), choice: 0 },
      { bytes: register(1, true), choice: 0 },
      { bytes: second, choice: 1 },
    ],
    orders: [orderIn({ order: register(1), asset: assetBytes(named) }), readOrder(second) as Order],
    before: undefined,
    asset: assetBytes(named),
    shown: [of.bytes, minted.bytes],
    minted: { committee: minted, asset: assetBytes(other) },
  }
}

export function story(kind: Kind, of: Committee, oneCommittee: boolean): Story {
  const [asset, bytes] = [recordId(assetOf(of.id)), assetBytes(of.id)]
  if (kind === 'two committees') return registeredTwice(of, oneCommittee)
  const register = (nonce: number, rotated = false) => registering(asset, of.id, nonce, rotated)
  if (kind === 'registration')
    return told(of, [register(1), register(1, true), register(2)], {
      before: undefined,
      asset: bytes,
      shown: [of.bytes, of.bytes],
    })
  const registered = orderIn({ order: register(1), asset: bytes })
  const certificate = makeCertificate(of.payload.seats.map((_, i) => voteOf(of, i, registered)))
  const first: Link = { order: register(1), asset: bytes, certificate, committee: of.bytes }
  const owned = advance(undefined, first, resolve)
  if (isRefused(owned)) throw new Error(`the registration does not stand: ${owned.text}`)
  const isSeated = kind === 'parties seated'
  // A buyer with a seat names a committee without it.
  const changes = isSeated || kind === 'committee change'
  const following = [0, 1].map(i => (changes ? committee(1, 0, 1, `next ${i}`) : of)) as [
    Committee,
    Committee,
  ]
  const buyers = [0, 1].map(i => (isSeated ? of.payload.seats[i]!.org : digest(`buyer ${i}`)))
  const hand = (i: 0 | 1, rotated = false) =>
    sealed(
      {
        t: 'handover/1',
        asset,
        version: 1,
        prev: owned.order,
        from: OWNER,
        fromState: OWNER,
        to: buyers[i]!,
        toState: buyers[i]!,
        committee: of.id,
        ...(changes ? { next: following[i].id } : {}),
        passes: { agreements: true, duties: true, keys: true, blocks: true },
        made: 0,
      },
      [
        ['from', OWNER],
        ['to', buyers[i]!],
      ],
      rotated,
    )
  const shown = following.map(each => each.bytes) as Story['shown']
  if (kind === 'change or sale') {
    // The owner lets another committee follow, and sells the same version under the one in force.
    const instead = committee(1, 0, 1, 'instead')
    const change = (rotated = false) =>
      sealed(
        {
          t: 'committee-change/1',
          asset: asset,
          version: 1,
          prev: owned.order,
          owner: OWNER,
          ownerState: OWNER,
          committee: of.id,
          next: instead.id,
          made: 0,
        },
        [['owner', OWNER]],
        rotated,
      )
    return told(of, [change(), change(true), hand(1)], {
      before: owned,
      asset: bytes,
      shown: [instead.bytes, shown[1]],
    })
  }
  return told(of, [hand(0), hand(0, true), hand(1)], { before: owned, asset: bytes, shown })
}

function told(
  of: Committee,
  bytes: [Uint8Array, Uint8Array, Uint8Array],
  rest: Pick<Story, 'before' | 'asset' | 'shown'>,
): Story {
  const asks = bytes.map((each, i) => ({ bytes: each, choice: (i === 2 ? 1 : 0) as 0 | 1 }))
  const orders = [bytes[0], bytes[2]].map(order => orderIn({ order, asset: rest.asset })) as [Order, Order]
  return { committee: of, asks, orders, ...rest }
}

function orderIn(link: Pick<Link, 'order' | 'asset'>): Order {
  const order = checkOrder(link, resolve)
  if (isRefused(order)) throw new Error(`an order of the story does not stand: ${order.text}`)
  return order
}

export function voteOf({ payload, votes, cast }: Committee, seat: number, order: Order): Uint8Array {
  const name = `${seat}/${order.id}`
  if (!cast.has(name)) cast.set(name, makeVote(payload.seats[seat]!, votes[seat]!, order))
  return cast.get(name)!
}
