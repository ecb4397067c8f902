/**
 * What a machine asks of its driver, and in which order.
 *
 * The driver carries an output out as writes and secrets (one durable batch) -> sends -> events -> deadlines. Nothing of
 * an output leaves before its own writes *and the writes of all earlier outputs on that store* are durable (RULES A1): a
 * peer that remembers our message must not outlive a node that forgot sending it.
 */
import type { Event } from './event.ts'
import type { Message } from './message.ts'

/** Wall time in ms since 1970 for dates in records, monotonic ms for deadlines; the latter is never stored (RULES A5). */
export interface Now {
  wallMs: number
  monoMs: number
}

/** One change of the store; without `value` the key is deleted. A failed condition refuses the whole output (RULES A2). */
export interface Write {
  key: string
  value?: Uint8Array
  if?: 'absent' | { equals: Uint8Array }
}

/** Secret bytes that the driver seals under the home's key, in the same batch; machines keep the handle (RULES A3). */
export interface Secret {
  handle: string
  bytes: Uint8Array
}

/** One message to another organisation, by its id. */
export interface Send {
  to: string
  message: Message
}

/** When the machine named wants its next `tick`; `Infinity` when it waits only for others. Monotonic ms. */
export interface Deadline {
  machine: string
  atMs: number
}

export interface Output {
  writes: Write[]
  secrets: Secret[]
  sends: Send[]
  events: Event[]
  deadlines: Deadline[]
}

export const nothing = (): Output => ({ writes: [], secrets: [], sends: [], events: [], deadlines: [] })

/**
 * One output after another, as one. A key that both write keeps the first condition and takes the last value: that is what
 * the two would have come to, one after the other.
 */
export function join(...outputs: Output[]): Output {
  const all = nothing()
  const writes = new Map<string, Write>()
  for (const output of outputs) {
    for (const write of output.writes) {
      const earlier = writes.get(write.key)
      writes.set(write.key, earlier ? again(earlier, write) : write)
    }
    all.secrets.push(...output.secrets)
    all.sends.push(...output.sends)
    all.events.push(...output.events)
    all.deadlines.push(...output.deadlines)
  }
  all.writes.push(...writes.values())
  return all
}

function again({ key, if: condition }: Write, { value }: Write): Write {
  return { key, ...(value ? { value } : {}), ...(condition ? { if: condition } : {}) }
}
