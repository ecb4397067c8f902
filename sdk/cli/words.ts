/** Ids, times, sizes and tables as people read and type them. */
import { usage } from './problem.ts'

const SHORT_CHARACTERS = 8
type Kind = 'c' | 'h' | 'o' | 'r' | 'a' | 'p' | 's' | 't'

/** A letter for what it is, and the end of the id: `o-x7k2m4qa`. */
export const shortId = (kind: Kind, id: string): string => `${kind}-${id.slice(-SHORT_CHARACTERS)}`

/** Identities have no letter: their names stand beside them. */
export const shortOrg = (id: string): string => `…${id.slice(-SHORT_CHARACTERS)}`

export const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

/** `2027-06-30 14:09 UTC`. */
export const when = (ms: number): string => `${iso(ms).slice(0, 16).replace('T', ' ')} UTC`

/** The last day on which something that ends at `ms` still holds. */
export const lastDay = (ms: number): string => iso(ms - 1).slice(0, 10)

/** Beyond the range of dates a time is shown as the last one there is. */
const iso = (ms: number): string => new Date(Math.min(ms, 253_402_300_799_999)).toISOString()

export const ago = (ms: number, nowMs: number = Date.now()): string => `${span(Math.max(0, nowMs - ms))} ago`

const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 } as const

export function span(ms: number): string {
  for (const unit of ['d', 'h', 'm'] as const)
    if (ms >= 2 * UNITS[unit])
      return `${Math.floor(ms / UNITS[unit])} ${{ d: 'days', h: 'h', m: 'min' }[unit]}`
  return `${Math.floor(ms / 1_000)} s`
}

/** `90s`, `5m`, `1h`, `7d` or `2w` in ms. Throws USAGE. */
export function parseSpan(text: string, what: string): number {
  const match = /^([0-9]{1,9})(s|m|h|d|w)?$/.exec(text)
  if (!match || (match[2] === undefined && text !== '0'))
    throw usage(`${what} is not a duration: ${text}`, `${what} 5m, 1h or 7d`)
  return Number(match[1]) * UNITS[(match[2] ?? 's') as keyof typeof UNITS]
}

const DAY = /^\d{4}-\d{2}-\d{2}$/

/** A point in time, ISO 8601, in ms since 1970; without a zone it is UTC. Throws USAGE. */
export function parseTime(text: string, what: string): number {
  const zoned = /^\d{4}-\d{2}-\d{2}T[\d:.]+$/.test(text) ? `${text}Z` : text
  const ms = /^\d{4}-\d{2}-\d{2}/.test(text) && isDay(text.slice(0, 10)) ? Date.parse(zoned) : Number.NaN
  if (!(ms >= 0))
    throw usage(`${what} is not a time: ${text}`, `${what} 2027-06-30 or ${what} 2027-06-30T12:00:00Z`)
  return ms
}

/** Date.parse takes the 31st of June for the 1st of July. */
function isDay(text: string): boolean {
  const ms = Date.parse(`${text}T00:00:00Z`)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(text)
}

/** When something that holds until this date, time or duration from now ends: a date is meant to its end, in UTC. */
export function parseUntil(text: string, nowMs: number): number {
  const endMs = /^[0-9]+[a-z]$/.test(text)
    ? nowMs + parseSpan(text, '--until')
    : parseTime(text, '--until') + (DAY.test(text) ? UNITS.d : 0)
  if (endMs <= nowMs) throw usage(`--until ${text} is over already`)
  return endMs
}

// Text of partners must neither move the cursor nor pass for text of this program.
export const CONTROLS: RegExp = /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu

/** One line without control characters and direction marks. */
export const plain = (text: string): string => text.replace(CONTROLS, '\ufffd')

/** The same for every string in a document. */
export function plainDeep<T>(value: T): T {
  if (typeof value === 'string') return plain(value) as T
  if (Array.isArray(value)) return value.map(plainDeep) as T
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainDeep(each)])) as T
}
