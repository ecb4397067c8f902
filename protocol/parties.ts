/**
 * Identities that travel with orders and committees: who reads them may know nobody who signed. An identity proves itself; of
 * what is shown and what is known the one counts that has the event by which a signature is to be judged.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { thumbprint } from '../crypto/key.ts'
import type { Seat } from './asset-committee.ts'
import { identityGenesis, verifyIdentity } from './identity.ts'
import {
  type Chain,
  chainAt,
  eventsOf,
  everStood,
  isRefused,
  readChain,
  resolver,
  standingOf,
} from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type Context, decodeState, encodeState } from './machine.ts'
import type { Write } from './output.ts'
import type { ChainKeys } from './ownership.ts'
import { isStored, type KeyResolver, type KeyRole, readRecord } from './record.ts'
import { remembering } from './remember.ts'

/** An identity as it travels: its genesis, and the events in their order. */
export interface Shown {
  identity: Uint8Array
  events: Uint8Array[]
}

/** Identities that are looked at at once; a genesis takes 1 KiB. */
const READ = { most: 256, maxBytes: 4_096 }
const genesisOf = remembering(READ, identity => {
  const read = readRecord(identityGenesis, identity)
  return { read, holds: isStored(read) && verifyIdentity(read).ok === true }
})

/** The chain of an identity that holds. */
export function chainOf({ identity, events }: Shown): Chain | undefined {
  const { read, holds } = genesisOf(identity)
  if (!isStored(read) || !holds) return undefined
  const chain = readChain(read, events)
  return isRefused(chain) ? undefined : chain
}

type Knowing = Pick<Context, 'self' | 'partner' | 'get'>

/** The identity of an organisation as it is known here: its own, a partner's, or one that was shown and kept. */
function chainKnown(org: CID, context: Knowing): Chain | undefined {
  if (org.equals(context.self.id)) return context.self.chain
  const kept = keptOf(org, context)
  return context.partner(org.toString())?.chain ?? (kept && chainOf(kept))
}

/** What was shown of an organisation and kept, also where it is a partner that has not told of it. */
function keptOf(org: CID, { get }: Knowing): Shown | undefined {
  const stored = get(KEY.shown(org))
  return stored && decodeState(stored)
}

/** Keys of the organisations that a node knows, and of those that it is shown; each identity is read when it is asked for. */
export const keysOf = (context: Knowing, shown: Shown[]): ChainKeys =>
  keysIn(
    shown,
    org => chainKnown(org, context),
    org => keptChain(org, context),
  )

function keptChain(org: CID, context: Knowing): Chain | undefined {
  const kept = keptOf(org, context)
  return kept && chainOf(kept)
}

/**
 * Keys by which what an organisation has published is judged where an event of its identity is known to have begun it: one that
 * was revoked behind that signed before, as far as anybody here can tell, and its end changes nothing (RULES C3).
 */
export const keysSince =
  (since: (org: CID) => CID | undefined, context: Knowing): KeyResolver =>
  (org, role, named) => {
    const chain = chainKnown(org, context)
    if (!chain) return undefined
    const state = since(org)
    const at = statesOf(chain).findIndex(id => state?.equals(id))
    const n = at < 0 ? chain.events.length : at
    const held = everStood(chain, role).find(
      ({ key, epoch, revoked }) =>
        (revoked === undefined || (revoked > n && epoch <= n)) && equal(thumbprint(key), named),
    )
    return (held ?? standingOf(chain, role))?.key
  }

/** Whether what these organisations signed at these events can be judged by what is known here. */
export const knows = (signers: { org: CID; state: CID }[], context: Knowing): boolean =>
  signers.every(
    ({ org, state }) => has(chainKnown(org, context), state) || has(keptChain(org, context), state),
  )

const has = (chain: Chain | undefined, state: CID): boolean =>
  chain !== undefined && (chain.last.equals(state) || chainAt(chain, digestOf(state)) !== undefined)

/** Identities that are shown with what is kept, and not known as long, so that it can be shown to others: each once. */
export const keep = (orgs: CID[], shown: Shown[], context: Knowing): Write[] =>
  shown.length === 0
    ? []
    : [...new Map(orgs.map(org => [org.toString(), org])).values()].flatMap(org => {
        if (org.equals(context.self.id)) return []
        const [found] = among([org], shown, context)
        const known = [context.partner(org.toString())?.chain, keptOf(org, context)]
        const isNew = found && known.every(each => !each || found.events.length > each.events.length)
        return isNew ? [{ key: KEY.shown(org), value: encodeState(found) }] : []
      })

/** Keys of the identities that are shown, and of those that `known` has, or else `kept`. */
export function keysIn(
  shown: Shown[],
  known: (org: CID) => Chain | undefined = () => undefined,
  kept: typeof known = () => undefined,
): ChainKeys {
  const read = new Map<string, Chain | undefined>()
  let all: Map<string, Shown[]> | undefined
  const told = (org: CID): Chain | undefined => {
    const name = org.toString()
    all ??= byOrg(shown)
    if (!read.has(name)) read.set(name, longest(all.get(name))?.chain)
    return read.get(name)
  }
  const keys = (org: CID, role: KeyRole, named: Uint8Array, state?: CID) => {
    const at = (chain: Chain | undefined) =>
      state && chain && !chain.last.equals(state) ? chainAt(chain, digestOf(state)) : chain
    return resolver(() => at(known(org)) ?? at(told(org)) ?? at(kept(org)))(org, role, named)
  }
  const isBefore = (org: CID, one: CID, other: CID) =>
    orderIn(known(org), one, other) ?? orderIn(told(org), one, other) ?? orderIn(kept(org), one, other)
  return Object.assign(keys, { isBefore })
}

const statesOf = ({ genesis, events }: Chain): CID[] => [genesis.id, ...events.map(({ id }) => id)]

/** Whether one event of a chain is before another, if it has both. */
function orderIn(chain: Chain | undefined, one: CID, other: CID): boolean | undefined {
  const states = chain ? statesOf(chain) : []
  const [a, b] = [one, other].map(state => states.findIndex(id => id.equals(state))) as [number, number]
  return a < 0 || b < 0 ? undefined : a < b
}

/** The organisation that an identity is shown of, if it is an identity. */
export function shownOf({ identity }: Shown): CID | undefined {
  const { read } = genesisOf(identity)
  return isStored(read) ? read.id : undefined
}

/** Identities by the organisation that they are of, each with the most events first. */
function byOrg(shown: Shown[]): Map<string, Shown[]> {
  const all = new Map<string, Shown[]>()
  for (const each of shown.toSorted((a, b) => b.events.length - a.events.length)) {
    const name = shownOf(each)?.toString()
    if (!name) continue
    all.set(name, [...(all.get(name) ?? []), each])
  }
  return all
}

/** The longest that holds: events that do not continue it hide nothing. */
function longest(shown: Shown[] = []): { shown: Shown; chain: Chain } | undefined {
  for (const each of shown) {
    const chain = chainOf(each)
    if (chain) return { shown: each, chain }
  }
  return undefined
}

/** Each identity once, with the most events: one is shown up to its seat, and whole where it is a party too. */
export function eachOnce(shown: Shown[]): Shown[] {
  const all = new Map<string, Shown>()
  for (const each of shown) {
    const name = toHex(each.identity)
    const before = all.get(name)
    if (!before || before.events.length < each.events.length) all.set(name, each)
  }
  return [...all.values()]
}

/** The identities of these organisations and of no others, each once and as long as it is known or shown; seats as in `show`. */
export function among(orgs: CID[], shown: Shown[], context: Knowing, seats: SeatAt[] = []): Shown[] {
  const all = byOrg(shown)
  return shownAs(orgs, seats, context, org => {
    const [own] = show([org], context)
    const longer = all.get(org.toString())?.filter(({ events }) => !own || events.length > own.events.length)
    return longest(longer)?.shown ?? own
  })
}

/** The same of those that this node does not know by itself. */
export function strangers(orgs: CID[], shown: Shown[], context: Knowing): Shown[] {
  const unknown = orgs.filter(org => !org.equals(context.self.id) && !context.partner(org.toString()))
  return unknown.length > 0 ? among(unknown, shown, context) : []
}

/**
 * The identities of these organisations as far as this node knows them, each once. Those of seats go to the event by which
 * they signed their committee: by that it is judged, and what came after makes no message too long.
 */
export const show = (orgs: CID[], context: Knowing, seats: SeatAt[] = []): Shown[] =>
  shownAs(orgs, seats, context, org => {
    if (org.equals(context.self.id))
      return { identity: context.self.identityBytes, events: eventsOf(context.self.chain) }
    const partner = context.partner(org.toString())
    const kept = keptOf(org, context)
    if (!partner || (kept && goneOn(kept, partner.chain))) return kept
    return { identity: partner.identityBytes, events: eventsOf(partner.chain) }
  })

/** What was shown, where it has more events than are known, and those first. */
function goneOn(kept: Shown, { events, last }: Chain): Chain | undefined {
  const chain = kept.events.length > events.length ? chainOf(kept) : undefined
  return chain && statesOf(chain).some(id => id.equals(last)) ? chain : undefined
}

/** The last event of a partner that was heard of: from itself, or with what it signed. */
export function lastOf(org: CID, context: Knowing): CID | undefined {
  if (org.equals(context.self.id)) return context.self.chain.last
  const partner = context.partner(org.toString())
  const kept = partner && keptOf(org, context)
  return ((kept && goneOn(kept, partner.chain)) ?? partner?.chain)?.last
}

export const bytesOf = (shown: Shown[]): number =>
  shown.flatMap(({ identity, events }) => [identity, ...events]).reduce((sum, { length }) => sum + length, 0)

/** A seat of a committee, and the last event of its identity when it took it. */
type SeatAt = Pick<Seat, 'org' | 'state'>

function shownAs(
  orgs: CID[],
  seats: SeatAt[],
  context: Knowing,
  find: (org: CID) => Shown | undefined,
): Shown[] {
  const all = new Map<string, Shown>()
  for (const org of orgs) {
    const found = all.has(org.toString()) ? undefined : find(org)
    if (found) all.set(org.toString(), found)
  }
  const cut = new Map<string, Shown>()
  for (const seat of seats) {
    const name = seat.org.toString()
    const found = all.has(name) ? undefined : find(seat.org)
    const upTo = found && cutAt(found, seat, context)
    if (upTo && upTo.events.length >= (cut.get(name)?.events.length ?? 0)) cut.set(name, upTo)
  }
  return [...all.values(), ...cut.values()]
}

function cutAt(shown: Shown, { org, state }: SeatAt, context: Knowing): Shown {
  if (shown.events.length === 0) return shown
  const known = chainKnown(org, context)
  const chain = known && known.events.length >= shown.events.length ? known : chainOf(shown)
  const at = chain ? statesOf(chain).findIndex(id => id.equals(state)) : -1
  return at < 0 ? shown : { ...shown, events: shown.events.slice(0, at) }
}
