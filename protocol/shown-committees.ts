/** Committees of the own logs as they are shown with proofs: who may count cosignatures has to know whose (RULES D2). */
import type { CID } from '../crypto/cid.ts'
import { cosigners, type First, readSeating, type Seating } from './committee.ts'
import { committee, type ShownCommittees } from './committee-record.ts'
import { keptRecord, readEntryAt } from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, logAt, provePresence } from './ledger.ts'
import { MAX_SHOWN_COMMITTEES, MAX_TOLD_COMMITTEES_BYTES, MAX_WITNESSES } from './limits.ts'
import { closedLog, logNumber } from './log-number.ts'
import type { Context } from './machine.ts'
import { isStored, readRecord } from './record.ts'

type Home = Pick<Context, 'self' | 'get' | 'slots' | 'witnesses'>

/** The committees of all own logs that came into force, as far as there is room for them. */
export function shownCommittees(active: Ledger, home: Home): ShownCommittees {
  const all = home.self.chain.logs.flatMap((_, number) => ofLog(number, active, home))
  let room = MAX_TOLD_COMMITTEES_BYTES
  return all.slice(0, MAX_SHOWN_COMMITTEES).filter(({ record, entry, path, note }) => {
    room -= record.length + entry.length + note.length + path.length * 40
    return room >= 0
  })
}

function ofLog(number: number, active: Ledger, home: Home): ShownCommittees {
  if (pastOf(number, home).length === 0) return []
  const { ledger, context } = logAt(number, active, home)
  return committeesOf(context, ledger)
}

/** Those of the log that is read. */
export function committeesOf(home: Pick<Home, 'get' | 'slots'>, ledger: Ledger): ShownCommittees {
  return (readSeating(home.get).past ?? []).flatMap(({ id, index, size }) => {
    const record = keptRecord(home, id)
    const note = home.get(KEY.head(size))
    const kept = readEntryAt(home.get, index)
    if (!record || !note || !kept) return []
    return [{ record, entry: kept.entry, path: provePresence(ledger, home.get, index, size), note }]
  })
}

function seatingOf(number: number, { get }: Pick<Context, 'get'>): Seating {
  return readSeating(number === logNumber(get) ? get : closedLog(get, number))
}

const pastOf = (number: number, home: Home) => seatingOf(number, home).past ?? []

/** Who cosigns own heads now, and who did as a member of a committee, as far as there is room for them. */
export function everSeated(home: Home): string[] {
  const seats = home.self.chain.logs.flatMap((_, number) =>
    pastOf(number, home).flatMap(({ id }) => {
      const kept = keptRecord(home, id)
      const read = kept && readRecord(committee, kept)
      return read && isStored(read) ? read.payload.seats : []
    }),
  )
  const all: (CID | string)[] = [...home.witnesses, ...cosigners(home), ...seats]
  return [...new Set(all.map(String))].slice(0, MAX_WITNESSES)
}

/** The first committee of each own log that had one. */
export const ownFirsts = (home: Pick<Context, 'self' | 'get'>): First[] =>
  home.self.chain.logs.flatMap((log, number) => {
    const { first } = seatingOf(number, home)
    return first ? [{ log, committee: first }] : []
  })
