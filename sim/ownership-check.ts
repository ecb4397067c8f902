/**
 * A model check of the shipped voter: every way in which a seat can be asked, crash, lose its store and be asked again is
 * walked to its end with protocol/voter.ts over a store with group commit; then every combination of such seats, liars and
 * parties is looked at as a world. In no world may two orders of one version both be certified, as protocol/ownership.ts
 * judges it. With one rule switched off there must be such a world: a check that finds nothing then could not find anything.
 *
 * Seats never talk to each other, so a world is its seats' states side by side. With up to four seats all of them are
 * looked at, with five to seven those that differ by more than the names of the seats.
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
import { makeVote, type Order } from '../protocol/handover.ts'
import type { Write } from '../protocol/output.ts'
import {
  advance,
  checkOrder,
  isRefused,
  type Link,
  makeCertificate,
  type Owned,
} from '../protocol/ownership.ts'
import type { KeyResolver, Stored } from '../protocol/record.ts'
import { ask, type Ballot } from '../protocol/voter.ts'

/** What holds in the shipped code, each of which a check switches off to see that it finds something. */
export interface Rules {
  /** At most f seats lie. */
  bound: boolean
  /** A seat looks at what it voted (RULES E3). */
  oneVote: boolean
  /** A reply waits for everything that was queued before it (RULES A1). */
  order: boolean
  /** A step sees what is queued (RULES A2). */
  overlay: boolean
  /** A seat that lost its votes never votes again (RULES E3). */
  lostEnds: boolean
  /** A new identity key is no new vote (RULES E1). */
  keyStays: boolean
  /** Votes of parties do not count (RULES E4). */
  partiesOut: boolean
}
export const SHIPPED: Rules = {
  bound: true,
  oneVote: true,
  order: true,
  overlay: true,
  lostEnds: true,
  keyStays: true,
  partiesOut: true,
}

export interface Tally {
  worlds: number
  violations: number
}

const MAX_QUEUE = 3
const digest = (name: string): CID => cidOf(sha256(new TextEncoder().encode(name)), 'raw')
const keyOf = (name: string): PrivateKey => keyFromSeed(expand(sha256(new TextEncoder().encode(name)), 'key'))

// The cast: an owner who signs two orders for one version, under the key it had and under the one it rotated to.

const OWNER = digest('owner')
const KEYS = new Map<string, PrivateKey[]>()
const keysOf = (org: CID): PrivateKey[] => {
  const name = org.toString()
  if (!KEYS.has(name)) KEYS.set(name, [keyOf(name), keyOf(`${name} rotated`)])
  return KEYS.get(name)!
}
const resolve: KeyResolver = (org, _role, named) =>
  keysOf(org).find(key => toHex(thumbprint(key.public)) === toHex(named))?.public

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
const assetBytes = (committee: CID): Uint8Array => sealed(assetOf(committee), [['publisher', OWNER]])

interface Committee extends Stored<AssetCommittee> {
  votes: PrivateKey[]
}

function committee(n: number, f: number, q: number, name = 'seat'): Committee {
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
  return { ...read, votes }
}

/** Two orders that cannot both stand, the first also under a rotated key, and what comes before them. */
interface Story {
  committee: Committee
  asks: { bytes: Uint8Array; choice: 0 | 1 }[]
  orders: [Order, Order]
  before: Owned | undefined
  asset: Uint8Array
  /** The committee that votes on what follows each order. */
  shown: [Uint8Array, Uint8Array]
}

const KINDS = ['registration', 'handover', 'parties seated', 'committee change', 'change or sale'] as const
type Kind = (typeof KINDS)[number]

function story(kind: Kind, of: Committee): Story {
  const [asset, bytes] = [recordId(assetOf(of.id)), assetBytes(of.id)]
  const register = (nonce: number, rotated = false) =>
    sealed(
      {
        t: 'registration/1',
        asset,
        owner: OWNER,
        ownerState: OWNER,
        committee: of.id,
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
  if (kind === 'registration')
    return told(of, [register(1), register(1, true), register(2)], {
      before: undefined,
      asset: bytes,
      shown: [of.bytes, of.bytes],
    })
  const registered = orderIn({ order: register(1), asset: bytes })
  const certificate = makeCertificate(
    of.payload.seats.map((seat, i) => makeVote(seat, of.votes[i]!, registered)),
  )
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

// One seat: its states, walked from the first with the shipped code.

/** Bit 0 and 1: a vote for the first and for the second order has left this seat. */
type Emitted = number
interface Local {
  store: Map<string, Uint8Array>
  queue: { writes: Write[]; choice: 0 | 1 | undefined }[]
  emitted: Emitted
  lost: boolean
}

/** What a seat can have come to, in the words that a world needs: what left it, and how it stands. */
function statesOf(
  self: number,
  { committee: of, asks, orders, before, asset, shown }: Story,
  rules: Rules,
): Set<string> {
  const states = new Map<string, Local>()
  /** The voter is a function of what it is asked and sees: signatures are checked once for each. */
  const ballots = new Map<string, Ballot>()
  const ballot = (name: string, run: () => Ballot): Ballot => {
    const known = ballots.get(name) ?? run()
    ballots.set(name, known)
    return known
  }
  const todo: Local[] = []
  const seen = (local: Local) => {
    const name = nameOf(local)
    if (states.has(name)) return
    states.set(name, local)
    todo.push(local)
  }
  seen({ store: new Map(), queue: [], emitted: 0, lost: false })
  for (let local = todo.pop(); local; local = todo.pop()) {
    for (const asked of asks) if (local.queue.length < MAX_QUEUE) seen(askedOf(local, asked))
    if (local.queue.length > 0) seen(committed(local))
    // A power cut: what was not durable is gone, and nothing that waited for it has left.
    seen({ ...local, queue: [] })
    seen({ ...local, store: new Map(), queue: [], lost: true })
    if (!rules.keyStays) seen({ ...local, store: new Map(), queue: [] })
  }
  return new Set([...states.values()].map(worldly))

  function askedOf(local: Local, { bytes, choice }: Story['asks'][number]): Local {
    const queued = local.queue.flatMap(({ writes }) => writes)
    const overlay = new Map(queued.flatMap(({ key, value }) => (value ? [[key, value] as const] : [])))
    const get = (key: string) =>
      rules.oneVote ? ((rules.overlay ? overlay.get(key) : undefined) ?? local.store.get(key)) : undefined
    const isAllowed = !local.lost || !rules.lostEnds
    const seen = rules.oneVote
      ? heldIn(rules.overlay ? new Map([...local.store, ...overlay]) : local.store)
      : ''
    const { writes, reply } = ballot(
      `${asks.findIndex(each => each.bytes === bytes)}/${seen}/${isAllowed}`,
      () =>
        ask(
          { order: bytes, asset, committee: shown[choice], before },
          {
            self: of.payload.seats[self]!.org,
            get,
            committee: () => undefined,
            voteKey: () => (isAllowed ? of.votes[self] : undefined),
            keys: resolve,
          },
        ),
    )
    const holds = writes.every(({ key, if: condition }) => condition !== 'absent' || get(key) === undefined)
    if (!holds) return local
    const voted = reply.t === 'vote' ? choice : undefined
    const overtakes = !rules.order && writes.length === 0 && voted !== undefined
    return overtakes
      ? { ...local, emitted: local.emitted | (1 << voted) }
      : { ...local, queue: [...local.queue, { writes, choice: voted }] }
  }

  function nameOf({ store, queue, emitted, lost }: Local): string {
    const inQueue = queue.map(({ writes, choice }) => `${writes.length}${choice}`).join()
    return [heldIn(store), inQueue, emitted, lost].join('|')
  }
  function worldly(local: Local): string {
    return [local.emitted, heldIn(local.store), local.queue.length > 0, local.lost].join('|')
  }
  function heldIn(store: Map<string, Uint8Array>): string {
    const values = [...store].filter(([key]) => key.startsWith('vote/')).map(([, value]) => toHex(value))
    const id = (order: Order) => toHex(order.id.multihash.digest)
    return values.map(value => (value.includes(id(orders[0])) ? 'a' : 'b')).join('')
  }
}

function committed(local: Local): Local {
  const store = new Map(local.store)
  for (const { key, value } of local.queue.flatMap(({ writes }) => writes)) if (value) store.set(key, value)
  const emitted = local.queue.reduce(
    (all, { choice }) => (choice === undefined ? all : all | (1 << choice)),
    local.emitted,
  )
  return { ...local, store, queue: [], emitted }
}

// Worlds.

/** Whether the votes of these seats certify an order, judged by the shipped code; a mask has a bit for each seat. */
function judge(
  { committee: of, orders, asks, before, asset, shown }: Story,
  rules: Rules,
): (choice: 0 | 1, mask: number) => boolean {
  const known = new Map<string, boolean>()
  const byMask = new Map<number, boolean>()
  return (choice, mask) => {
    const quick = byMask.get(mask * 2 + choice)
    if (quick !== undefined) return quick
    // Seats that are no parties are alike to a certificate, as parties are: one of each number is judged for all.
    const voters = of.payload.seats.filter((_, i) => mask & (1 << i)).map(({ org }) => org)
    const parties = voters.filter(org => orders[choice].parties.some(party => party.equals(org))).length
    const name = `${choice}/${voters.length}/${parties}`
    const held = known.get(name)
    if (held !== undefined) byMask.set(mask * 2 + choice, held)
    if (held !== undefined) return held
    const votes = of.payload.seats.flatMap((seat, i) =>
      mask & (1 << i) ? [makeVote(seat, of.votes[i]!, orders[choice])] : [],
    )
    const { bytes } = asks.find(each => each.choice === choice)!
    const certificate = makeCertificate(votes)
    const link = { order: bytes, asset, certificate, committee: shown[choice] }
    const stands = rules.partiesOut
      ? !isRefused(advance(before, link, resolve))
      : votes.length >= of.payload.q
    known.set(name, stands)
    return stands
  }
}

/** The states of each seat of a story: seats with one role in the two orders have the same ones. */
function statesBySeat(told: Story, rules: Rules): (seat: number) => { role: string; states: string[] } {
  const byRole = new Map<string, string[]>()
  return seat => {
    const { org } = told.committee.payload.seats[seat]!
    const role = told.orders.map(({ parties }) => parties.some(party => party.equals(org))).join()
    if (!byRole.has(role)) byRole.set(role, [...statesOf(seat, told, rules)])
    return { role, states: byRole.get(role)! }
  }
}

/** Looks at every world of a story with so many liars; the liars vote for both. */
function worlds(
  told: Story,
  liars: number[],
  of: (seat: number) => { role: string; states: string[] },
  stands: (choice: 0 | 1, mask: number) => boolean,
): Tally {
  const { n } = told.committee.payload
  const honest = Array.from({ length: n }, (_, i) => i).filter(i => !liars.includes(i))
  const base = liars.reduce((mask, i) => mask | (1 << i), 0)
  const tally: Tally = { worlds: 0, violations: 0 }
  const look = (at: number, from: number, a: number, b: number) => {
    if (at === honest.length) {
      tally.worlds++
      if (stands(0, a) && stands(1, b)) tally.violations++
      return
    }
    const seat = honest[at]!
    const { role, states } = of(seat)
    // Seats of one role are alike: with many of them only the order-free combinations are looked at.
    const next = honest[at + 1]
    const alike = n > 4 && next !== undefined && of(next).role === role
    for (let i = from; i < states.length; i++) {
      const emitted = Number(states[i]!.split('|')[0])
      look(at + 1, alike ? i : 0, emitted & 1 ? a | (1 << seat) : a, emitted & 2 ? b | (1 << seat) : b)
    }
  }
  look(0, 0, base, base)
  return tally
}

/** Committees of n seats that the rules allow: every f that some quorum stands, with every such quorum. */
function* committees(n: number): Generator<{ f: number; q: number }> {
  for (let f = 0; f < n; f++) for (let q = 1; q <= n; q++) if (2 * q > n + f) yield { f, q }
}

/** Every story with every committee of up to `most` seats, and every number of liars that the rules allow. */
export function check(rules: Rules, most: number): Tally {
  const tally: Tally = { worlds: 0, violations: 0 }
  for (let n = 1; n <= most; n++)
    for (const { f, q } of committees(n))
      for (const kind of KINDS) {
        if (kind === 'parties seated' && (n < 3 || f < 1)) continue
        const told = story(kind, committee(n, f, q))
        const [of, stands] = [statesBySeat(told, rules), judge(told, rules)]
        const seated = kind === 'parties seated' ? [0, 1] : []
        const most = rules.bound ? f : f + 1
        for (let b = 0; b <= most && seated.length + b <= n; b++) {
          // Parties on the committee lie as well: their own votes are not to count.
          const liars = [...seated, ...Array.from({ length: b }, (_, i) => seated.length + i)]
          const { worlds: looked, violations } = worlds(told, liars, of, stands)
          tally.worlds += looked
          tally.violations += violations
        }
      }
  return tally
}
