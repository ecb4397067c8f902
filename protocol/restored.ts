/**
 * A home whose store was put back or copied (RULES D1). Its driver notices at the start and says so once. With a committee
 * the promises of its members decide whether the log goes on; without one nobody could tell two histories apart, so the log
 * never goes on: the node only reads. Tickets are void either way: the other store may have let somebody in by them. And for
 * the logs of others, nobody knows here what was promised and cosigned since: put-back.ts says what that ends.
 */
import { inForce, isMember } from './committee.ts'
import { type Found, restoreErasure } from './erasure.ts'
import { KEY } from './layout.ts'
import { type Context, decodeState, encodeState, type Step } from './machine.ts'
import { eventsSeen } from './missed-events.ts'
import { join, nothing, type Output } from './output.ts'
import { putBack } from './put-back.ts'
import { register } from './registration.ts'
import { lose } from './seats.ts'

export interface Restored {
  /** How it was noticed. */
  why: 'restored' | 'copied' | 'older'
  atMs: number
  /** Entries that the log had then. */
  size: number
  /** Members hold the log: their promises decide. */
  witnessed: boolean
}

export interface Restoring {
  why: Restored['why']
  /** Own identity events that this machine has seen: the store may have fewer. */
  events?: number
  /** Keys of the tickets that were out. */
  tickets: string[]
  /** Keys of own seats in committees of assets, and of what was given for some. */
  seats: string[]
  /** Signed words by which records were redacted here, also after the copy was made. */
  redactions: ({ word: Uint8Array } & Pick<Found, 'under' | 'beside'>)[]
}

export function restore(
  { why, events = 0, tickets, seats, redactions }: Restoring,
  size: number,
  context: Context,
): Step<never> {
  const hasMembers = inForce(context.get) !== undefined
  // Where the log does not go on, nothing is put into it; partners are told all the same, once anything is sent again.
  const step = lose(seats, hasMembers, context)
  const state: Restored = { why, atMs: context.now.wallMs, size, witnessed: hasMembers }
  step.output.writes.push({ key: KEY.restored, value: encodeState(state) })
  for (const key of tickets) step.output.writes.push({ key })
  step.output.writes.push(putBack(context), ...eventsSeen(events, context))
  return { ...step, output: join(step.output, eraseAgain(redactions, context)) }
}

/** What was redacted after the copy was made is erased again, by the words that were logged then. */
export function eraseAgain(redactions: Restoring['redactions'], context: Context): Output {
  const done = redactions.map(each => ({ ...nothing(), ...restoreErasure(each, context) }))
  return join(...done)
}

/**
 * At a connect, a member is shown again how the own log begins: its answer says what it holds (registration.ts). So a store
 * that is behind finds out before anything is logged in it.
 */
export const recall = (org: string, context: Context): Output['sends'] =>
  readRestored(context.get)?.witnessed && isMember(org, context.get)
    ? register(context).map(message => ({ to: org, message }))
    : []

export const readRestored = (get: Context['get']): Restored | undefined => {
  const stored = get(KEY.restored)
  return stored && decodeState(stored)
}

/** Whether the log never goes on in this store. Asked before every input. */
export function isRetired(get: Context['get']): boolean {
  const restored = readRestored(get)
  return restored !== undefined && !restored.witnessed
}
