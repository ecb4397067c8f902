/**
 * Own identity events that a store lacks, because it was put back to before them (RULES C1): partners tell them, and the
 * driver's machine may have seen how many there were. The next event that the store signed would be the second of its number,
 * so it signs none until it has them.
 */
import { type Chain, eventsOf, further, isRefused } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { type Context, decodeState, encodeState } from './machine.ts'
import type { Write } from './output.ts'

/** The own events that this store lacks: how many there are in all, and all of them as far as partners have told. */
interface Missed {
  count: number
  events: Uint8Array[]
}

function missed(get: Context['get']): Missed {
  const stored = get(KEY.identityBehind)
  return stored ? decodeState(stored) : { count: 0, events: [] }
}

/** A partner told this of the own identity. */
export function eventsTold(chain: Chain, { get, self }: Pick<Context, 'get' | 'self'>): Write[] {
  const { count, events } = missed(get)
  if (chain.events.length <= Math.max(self.chain.events.length, events.length)) return []
  const now: Missed = { count: Math.max(count, chain.events.length), events: eventsOf(chain) }
  return [{ key: KEY.identityBehind, value: encodeState(now) }]
}

/** How many events the own identity has, where that is more than this store has. */
export function identityBehind(get: Context['get'], { events }: Chain): number | undefined {
  const { count } = missed(get)
  return count > events.length ? count : undefined
}

/** The own identity as partners know it, where they know more of it. */
export function knownElsewhere(get: Context['get'], own: Chain): Chain | undefined {
  const chain = further(own, missed(get).events)
  return isRefused(chain) || chain.events.length === own.events.length ? undefined : chain
}

/** This machine has seen the home with so many own events (RULES C1). */
export function eventsSeen(count: number, { get, self }: Pick<Context, 'get' | 'self'>): Write[] {
  const known = missed(get)
  return count > Math.max(self.chain.events.length, known.count)
    ? [{ key: KEY.identityBehind, value: encodeState({ ...known, count }) }]
    : []
}

/** What is missed beyond these events: the machine may have seen more than partners told. */
export function stillMissed({ events }: Chain, get: Context['get']): Write {
  const { count } = missed(get)
  const key = KEY.identityBehind
  return count > events.length ? { key, value: encodeState({ count, events: [] }) } : { key }
}
