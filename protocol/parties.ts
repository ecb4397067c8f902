/**
 * Identities that travel with orders and committees: who reads them may know nobody who signed. An identity proves itself; of
 * what is shown and what is known the one counts that has the event by which a signature is to be judged.
 */
import { type CID, digestOf } from '../crypto/cid.ts'
import { identityGenesis, verifyIdentity } from './identity.ts'
import { type Chain, chainAt, eventsOf, isRefused, readChain, resolver } from './identity-chain.ts'
import type { Context } from './machine.ts'
import { isStored, type KeyResolver, readRecord } from './record.ts'
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

/** Keys of the organisations that a node knows, and of those that it is shown; each identity is read when it is asked for. */
export function keysOf(context: Pick<Context, 'self' | 'partner'>, shown: Shown[]): KeyResolver {
  const known = (org: CID): Chain | undefined =>
    org.equals(context.self.id) ? context.self.chain : context.partner(org.toString())?.chain
  return keysIn(shown, known)
}

/** Keys of the identities that are shown, and of those that `known` has. */
export function keysIn(
  shown: Shown[],
  known: (org: CID) => Chain | undefined = () => undefined,
): KeyResolver {
  const read = new Map<string, Chain | undefined>()
  let all: Map<string, Shown[]> | undefined
  const told = (org: CID): Chain | undefined => {
    const name = org.toString()
    all ??= byOrg(shown)
    if (!read.has(name)) read.set(name, longest(all.get(name))?.chain)
    return read.get(name)
  }
  return (org, role, named, state) => {
    const at = (chain: Chain | undefined) =>
      state && chain && !chain.last.equals(state) ? chainAt(chain, digestOf(state)) : chain
    return resolver(() => at(known(org)) ?? at(told(org)))(org, role, named)
  }
}

/** Identities by the organisation that they are of, each with the most events first. */
function byOrg(shown: Shown[]): Map<string, Shown[]> {
  const all = new Map<string, Shown[]>()
  for (const each of shown.toSorted((a, b) => b.events.length - a.events.length)) {
    const { read } = genesisOf(each.identity)
    if (!isStored(read)) continue
    const name = read.id.toString()
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

/** The identities of these organisations and of no others, each once and as long as it is known or shown. */
export function among(orgs: CID[], shown: Shown[], context: Pick<Context, 'self' | 'partner'>): Shown[] {
  const all = byOrg(shown)
  return [...new Map(orgs.map(org => [org.toString(), org]))].flatMap(([name, org]) => {
    const [own] = show([org], context)
    const longer = all.get(name)?.filter(({ events }) => !own || events.length > own.events.length)
    return longest(longer)?.shown ?? own ?? []
  })
}

/** The same of those that this node does not know by itself. */
export function strangers(orgs: CID[], shown: Shown[], context: Pick<Context, 'self' | 'partner'>): Shown[] {
  const unknown = orgs.filter(org => !org.equals(context.self.id) && !context.partner(org.toString()))
  return unknown.length > 0 ? among(unknown, shown, context) : []
}

/** The identities of these organisations as far as this node knows them, each once. */
export function show(orgs: CID[], context: Pick<Context, 'self' | 'partner'>): Shown[] {
  const once = new Map(orgs.map(org => [org.toString(), org]))
  return [...once].flatMap(([name, org]) => {
    if (org.equals(context.self.id))
      return [{ identity: context.self.identityBytes, events: eventsOf(context.self.chain) }]
    const partner = context.partner(name)
    return partner ? [{ identity: partner.identityBytes, events: eventsOf(partner.chain) }] : []
  })
}
