/**
 * Logs of one organisation by their number (RULES C2): a log that was closed stays where it is in the store, and its
 * successor lies beside it. The keys of the own log are those of the active one; the driver puts its number before them.
 */
import { readU64, u64 } from '../crypto/bytes.ts'
import { KEY } from './layout.ts'
import type { Write } from './output.ts'

/** What is of one own log: its entries and hashes, its heads, how far its witnesses are, and its committee. */
const OF_LOG = ['runs/', 'log/', 'tile/', KEY.heads, 'witness/']
const isOfLog = (key: string): boolean =>
  key === KEY.seating || key === KEY.behind || OF_LOG.some(prefix => key.startsWith(prefix))

type Get = (key: string) => Uint8Array | undefined

/** The number of the active log; `get` may be of the store or of the core, for its key is the same in both. */
export function logNumber(get: Get): number {
  const stored = get(KEY.logNumber)
  return stored ? readU64(stored)! : 0
}

/** Where a key lies that is of the log of this number: that of the first lies as it is. */
const placed = (key: string, number: number): string =>
  number > 0 && isOfLog(key) ? `${closedPrefix(number)}${key}` : key

const closedPrefix = (number: number): string => `log-${number}/`
/** The first log has no prefix in the store; it is asked for by this when it is closed. */
const FIRST = closedPrefix(0)

/** Where the core's key lies in the store. */
export const inStore = (key: string, number: number): string =>
  key.startsWith(FIRST) ? key.slice(FIRST.length) : placed(key, number)

/** The core's key for what the store has here. */
export function fromStore(key: string, number: number): string {
  const prefix = closedPrefix(number)
  return number > 0 && key.startsWith(prefix) ? key.slice(prefix.length) : key
}

/** Writes as the store takes them: with a new number they are of the log that it begins. */
export function writesInStore(writes: Write[], get: Get): Write[] {
  const begun = writes.find(({ key }) => key === KEY.logNumber)?.value
  const number = begun ? readU64(begun)! : logNumber(get)
  return number === 0 ? writes : writes.map(write => ({ ...write, key: placed(write.key, number) }))
}

/** How a closed log is read by its number. */
export const closedLog =
  (get: Get, number: number): Get =>
  key => {
    if (key === KEY.logNumber) return u64(number)
    return get(isOfLog(key) ? `${closedPrefix(number)}${key}` : key)
  }
