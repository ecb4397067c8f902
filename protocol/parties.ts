/**
 * Identities that travel with orders and committees: who reads them may know nobody who signed. An identity proves itself; of
 * what is shown and what is known the one counts that has the event by which a signature is to be judged.
 */
import { type CID, digestOf } from '../crypto/cid.ts'
import { identityGenesis, verifyIdentity } from './identity.ts'
import { type Chain, chainAt, eventsOf, isRefused, readChain, resolver } from './identity-chain.ts'
import type { Context } from './machine.ts'
import { isStored, type KeyResolver, readRecord } from './record.ts'

/** An identity as it travels: its genesis, and the events in their order. */
export interface Shown {
  identity: Uint8Array
  events: Uint8Array[]
}

/** The chain of an identity that holds. */
export function chainOf({ identity, events }: Shown): Chain | undefined {
  const read = readRecord(identityGenesis, identity)
  if (!isStored(read) || verifyIdentity(read).ok !== true) return undefined
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
  const told = (org: CID): Chain | undefined => {
    const name = org.toString()
    if (!read.has(name)) read.set(name, found(org, shown))
    return read.get(name)
  }
  return (org, role, named, state) => {
    const at = (chain: Chain | undefined) =>
      state && chain && !chain.last.equals(state) ? chainAt(chain, digestOf(state)) : chain
    return resolver(() => at(known(org)) ?? at(told(org)))(org, role, named)
  }
}

/** Of one identity that is shown more than once, the one with the most events. */
function found(org: CID, shown: Shown[]): Chain | undefined {
  const [longest] = shown
    .filter(({ identity }) => {
      const read = readRecord(identityGenesis, identity)
      return isStored(read) && read.id.equals(org)
    })
    .sort((a, b) => b.events.length - a.events.length)
  return longest && chainOf(longest)
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
