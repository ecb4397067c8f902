/**
 * State entries: what an organisation says holds at a head, as the last entry before it (RULES C3). Whoever is shown one
 * under a head knows the newest identity event and the committee in force then, whatever is presented to him later.
 */
import { u64 } from '../crypto/bytes.ts'
import { type Entry, KIND } from './log.ts'

export interface State {
  /** Digest of the id of the last identity event; of the genesis when there is none. */
  identity: Uint8Array
  /** Digest of the id of the committee record in force; zeros when there is none. */
  committee: Uint8Array
  /** One more than the index of the state entry before this one; 0 for the first. */
  next: number
}

const LEADING_ZEROS = 24
const FIELDS = 3

/** Control data of a state entry. */
export function stateControl({ identity, committee, next }: State): Uint8Array[] {
  const before = new Uint8Array(LEADING_ZEROS + 8)
  before.set(u64(next), LEADING_ZEROS)
  return [identity, committee, before]
}

/** What a state entry says, or why it is none. */
export function readState({ k, c, x, n }: Entry): State | { reason: string } {
  if (k !== KIND.state) return { reason: `entry ${n} is of kind ${k}, not a state entry` }
  if (x?.length !== FIELDS || c.some(byte => byte !== 0))
    return { reason: `entry ${n} is no state entry: it has ${FIELDS} fields and no body` }
  const [identity, committee, before] = x as [Uint8Array, Uint8Array, Uint8Array]
  const next = new DataView(before.buffer, before.byteOffset + LEADING_ZEROS).getBigUint64(0)
  if (before.subarray(0, LEADING_ZEROS).some(byte => byte !== 0) || next > BigInt(n))
    return { reason: `state entry ${n} names no earlier one` }
  return { identity, committee, next: Number(next) }
}
