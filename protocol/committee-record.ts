/** The record that names the committee of a log, as its seats sign it: `committee/1` (RULES D2). */
import { committeeFields } from './evidence.ts'
import { MAX_SHOWN_COMMITTEES, MAX_WITNESSES } from './limits.ts'
import { recordType } from './record.ts'
import { type Infer, link, list, object, optional, text, uint } from './shape.ts'

const shape = object({
  t: text(32),
  /** Whose log, and which. */
  org: link,
  log: link,
  /** 0 for the first; a later one names the one before. */
  number: uint,
  prev: optional(link),
  n: uint,
  f: uint,
  q: uint,
  seats: list(link, MAX_WITNESSES),
  made: uint,
})
export type Committee = Infer<typeof shape>

/** Signed by every seat, in the order of the list (RULES E1): nobody is made a member who did not agree to be. */
export const committee = recordType({
  t: 'committee/1',
  shape,
  signers: { seat: { org: 'seats', key: 'witness', each: true } },
  rule: ({ n, f, q, seats, org, number, prev }) => {
    const ids = seats.map(String)
    if (n !== seats.length || n === 0) return 'n is not the number of seats'
    if (q > n || 2 * q <= n + f) return `q = ${q} of n = ${n} is no quorum with f = ${f}`
    if (ids.includes(org.toString())) return 'the log of an organisation is not witnessed by itself'
    if (ids.some((id, i) => i > 0 && ids[i - 1]! >= id)) return 'the seats are not in order, each once'
    return (number === 0) === (prev === undefined)
      ? undefined
      : 'the first committee, and only it, has none before it'
  },
})

/** Committees of a log as they are shown. */
export const committeesShape = optional(list(object(committeeFields), MAX_SHOWN_COMMITTEES))
export type ShownCommittees = NonNullable<Infer<typeof committeesShape>>
