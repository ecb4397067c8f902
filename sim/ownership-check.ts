/**
 * A model check of the shipped voter: every way in which a seat can be asked, crash, lose its store and be asked again is
 * walked to its end with protocol/voter.ts over a store with group commit; then every combination of such seats, liars and
 * parties is looked at as a world. In no world may two orders of one version both be certified, as protocol/ownership.ts
 * judges it, nor when votes are filled up by votes for the other order, of another key or of one seat twice, nor when the owner
 * has a second committee that is all its own. With one rule switched off there must be such a world: a check that finds nothing then could not find anything.
 *
 * Seats never talk to each other, so a world is its seats' states side by side. With up to four seats all of them are
 * looked at, with five to seven those that differ by more than the names of the seats.
 */
import { toHex } from '../crypto/bytes.ts'
import { makeVote, type Order } from '../protocol/handover.ts'
import type { Write } from '../protocol/output.ts'
import { advance, checkCertificate, isRefused, type Link, makeCertificate } from '../protocol/ownership.ts'
import { ask, type Ballot } from '../protocol/voter.ts'
import { checkShared } from './joint-check.ts'
import { committee, KINDS, keyOf, resolve, type Story, story, voteOf } from './ownership-story.ts'

/** What holds in the shipped code, each of which a check switches off to see that it finds something. */
export interface Rules {
  /** At most f seats lie. */
  bound: boolean
  /** A seat looks at what it voted, and its write is refused where there is one: either would do (RULES A2, E3). */
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
  /** A vote is for one order, by its id (RULES E5). */
  choiceBound: boolean
  /** A vote is signed by the key of its seat. */
  votesSigned: boolean
  /** A seat counts once in a certificate (RULES E5). */
  distinctSeats: boolean
  /** An asset names the one committee that registers it. */
  oneCommittee: boolean
  /** An order of several owners has the signatures of k of them. */
  threshold: boolean
  /** Fewer than 2k − m owners lie. */
  ownersBound: boolean
  /** An owner signs once. */
  ownersDistinct: boolean
  /** Only owners sign. */
  ownersSigned: boolean
  /** The owners of an order are those of the step before it. */
  ownersKept: boolean
}
export const SHIPPED: Rules = {
  bound: true,
  oneVote: true,
  order: true,
  overlay: true,
  lostEnds: true,
  keyStays: true,
  partiesOut: true,
  choiceBound: true,
  votesSigned: true,
  distinctSeats: true,
  oneCommittee: true,
  threshold: true,
  ownersBound: true,
  ownersDistinct: true,
  ownersSigned: true,
  ownersKept: true,
}

export interface Tally {
  worlds: number
  violations: number
}

const MAX_QUEUE = 3
/** Owners of one asset in a world. */
const MAX_OWNERS = 5
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
  { committee: of, asks, orders, before, asset, shown, minted }: Story,
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
          {
            order: bytes,
            asset: choice === 1 && minted ? minted.asset : asset,
            committee: shown[choice],
            before,
          },
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

/** The rules by which a certificate is more than so many votes. */
const FORGED = ['choiceBound', 'votesSigned', 'distinctSeats'] as const

/** Whether an order is certified where these votes for it, and those for the other one, have left; a bit for each seat. */
type Judge = (choice: 0 | 1, own: number, other: number) => boolean

/** Judged by the shipped code. */
function judge({ committee: of, orders, asks, before, asset, shown, minted }: Story, rules: Rules): Judge {
  const known = new Map<string, boolean>()
  const byMask = new Map<number, boolean>()
  const { q } = of.payload
  const once = (name: string, run: () => boolean): boolean => {
    const stands = known.get(name) ?? run()
    known.set(name, stands)
    return stands
  }
  return (choice, own, other) => {
    // Of the votes for the other order it only matters whether they would fill up the quorum.
    const isFilled = ones(own | other) >= q
    const at = (own << 2) | (isFilled ? 2 : 0) | choice
    const quick = byMask.get(at)
    if (quick !== undefined) return quick
    const stands = choice === 1 && minted ? once('minted', isMinted) : isCertified(choice, own, other)
    byMask.set(at, stands)
    return stands
  }

  function isCertified(choice: 0 | 1, own: number, other: number): boolean {
    // Seats that are no parties are alike to a certificate, as parties are: one of each number is judged for all.
    const seats = of.payload.seats.map((_, i) => i)
    const voters = seats.filter(i => own & (1 << i))
    const { parties } = orders[choice]
    const seated = voters.filter(i => parties.some(party => party.equals(of.payload.seats[i]!.org)))
    const name = `${choice}/${voters.length}/${seated.length}`
    const isReached = () =>
      rules.partiesOut
        ? holds(
            choice,
            voters.map(i => voteOf(of, i, orders[choice])),
          )
        : voters.length >= q
    if (once(name, isReached)) return true
    const others = seats.filter(i => !voters.includes(i))
    return FORGED.some(rule => {
      const fill = rule === 'choiceBound' ? others.filter(i => other & (1 << i)) : others
      const isEnough = fill.length + voters.length >= q && (rule !== 'distinctSeats' || voters.length > 0)
      return isEnough && once(`${rule}/${name}`, () => isForged(rule, choice, voters, fill))
    })
  }

  /** Votes are filled up by what is none for this order; without the rule against it, they are as good as votes. */
  function isForged(rule: (typeof FORGED)[number], choice: 0 | 1, voters: number[], fill: number[]): boolean {
    const order = orders[choice]
    const instead = (i: number) =>
      ({
        choiceBound: () => voteOf(of, i, orders[choice === 0 ? 1 : 0]),
        votesSigned: () => makeVote(of.payload.seats[i]!, keyOf('nobody'), order),
        distinctSeats: () => voteOf(of, voters[0]!, order),
      })[rule]()
    const votes = [
      ...fill.map(i => (rules[rule] ? instead(i) : voteOf(of, i, order))),
      ...voters.map(i => voteOf(of, i, order)),
    ]
    return checkCertificate(makeCertificate(votes), order, of) === undefined
  }

  function isMinted(): boolean {
    const { committee: by } = minted!
    return holds(
      1,
      by.payload.seats.map((_, i) => voteOf(by, i, orders[1])),
    )
  }

  function holds(choice: 0 | 1, votes: Uint8Array[]): boolean {
    const { bytes } = asks.find(each => each.choice === choice)!
    const link: Link = {
      order: bytes,
      asset: choice === 1 && minted ? minted.asset : asset,
      certificate: makeCertificate(votes),
      committee: shown[choice],
    }
    return !isRefused(advance(before, link, resolve))
  }
}

function ones(mask: number): number {
  let count = 0
  for (let rest = mask; rest; rest &= rest - 1) count++
  return count
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
  stands: Judge,
): Tally {
  const { n } = told.committee.payload
  const honest = Array.from({ length: n }, (_, i) => i).filter(i => !liars.includes(i))
  const base = liars.reduce((mask, i) => mask | (1 << i), 0)
  const tally: Tally = { worlds: 0, violations: 0 }
  const look = (at: number, from: number, a: number, b: number) => {
    if (at === honest.length) {
      tally.worlds++
      if (stands(0, a, b) && stands(1, b, a)) tally.violations++
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
  const tally = checkShared(rules, MAX_OWNERS)
  for (let n = 1; n <= most; n++)
    for (const { f, q } of committees(n))
      for (const kind of KINDS) {
        if (kind === 'parties seated' && (n < 3 || f < 1)) continue
        const told = story(kind, committee(n, f, q), rules.oneCommittee)
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
