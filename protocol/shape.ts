/**
 * Shapes of decoded records and messages: what a field may hold, checked before anything else looks at it.
 *
 * A shape returns `undefined` for a value that fits and otherwise where it does not and why. Objects are closed: an
 * unknown field makes a record invalid (RULES B2).
 */

import { isMap, type Value } from '../crypto/cbor.ts'
import { asCid, type CID } from '../crypto/cid.ts'

export interface Shape<T> {
  /** Why `value`, found at `at`, does not fit; `undefined` when it does. */
  check(value: Value | undefined, at: string): string | undefined
  readonly optional?: true
  /** What an object or a list is made of, for whoever walks a definition. */
  readonly fields?: Record<string, Shape<unknown>>
  readonly item?: Shape<unknown>
  /** Only for inference. */
  readonly type?: T
}
export type Infer<S> = S extends Shape<infer T> ? T : never

const fits = <T>(test: (value: Value | undefined) => boolean, what: string): Shape<T> => ({
  check: (value, at) => (test(value) ? undefined : `${at} is not ${what}`),
})

/** A text of at most `max` UTF-16 units without control characters, also those that turn or break a printed line. */
export const text = (max: number): Shape<string> =>
  fits(
    value => typeof value === 'string' && value.length <= max && value.isWellFormed() && !hasControl(value),
    `a text of at most ${max} characters without control characters`,
  )
export const uint: Shape<number> = fits(
  value => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0,
  'a non-negative integer',
)
export const flag: Shape<boolean> = fits(value => typeof value === 'boolean', 'true or false')
/** Exactly `length` bytes. */
export const bytes = (length: number): Shape<Uint8Array> =>
  fits(value => value instanceof Uint8Array && value.length === length, `${length} bytes`)
/** At most `max` bytes. */
export const blob = (max: number): Shape<Uint8Array> =>
  fits(value => value instanceof Uint8Array && value.length <= max, `at most ${max} bytes`)
export const link: Shape<CID> = fits(value => asCid(value) !== undefined, 'a link')
export const oneOf = <const T extends string>(...words: T[]): Shape<T> =>
  fits(value => words.includes(value as T), `one of ${words.join(', ')}`)

export function list<T>(item: Shape<T>, max: number): Shape<T[]> {
  return {
    item,
    check(value, at) {
      if (!Array.isArray(value)) return `${at} is not a list`
      if (value.length > max) return `${at} has more than ${max} items`
      // Where it stands is only put into words when something is wrong.
      for (let i = 0; i < value.length; i++)
        if (item.check(value[i], at)) return item.check(value[i], `${at}[${i}]`)
      return undefined
    },
  }
}

export const optional = <T>(shape: Shape<T>): Shape<T | undefined> & { optional: true } => ({
  ...shape,
  check: (value, at) => (value === undefined ? undefined : shape.check(value, at)),
  optional: true,
})

type Fields = Record<string, Shape<unknown>>
type Optionals<F extends Fields> = { [K in keyof F]: F[K] extends { optional: true } ? K : never }[keyof F]
type ObjectOf<F extends Fields> = { [K in Exclude<keyof F, Optionals<F>>]: Infer<F[K]> } & {
  [K in Optionals<F>]?: Exclude<Infer<F[K]>, undefined>
}

/** An object with these fields and no others. */
export function object<F extends Fields>(fields: F): Shape<ObjectOf<F>> & { fields: F } {
  const all = Object.entries(fields)
  return {
    fields,
    check(value, at) {
      if (!isPlain(value)) return `${at} is not an object`
      for (const key in value) if (!Object.hasOwn(fields, key)) return `${at}.${key} is not known`
      for (const [key, shape] of all) {
        const held = Object.hasOwn(value, key) ? value[key] : undefined
        if (shape.check(held, at)) return shape.check(held, `${at}.${key}`)
      }
      return undefined
    },
  }
}

/** Either of several shapes; the reason given is the last one's. */
export function either<A, B>(a: Shape<A>, b: Shape<B>): Shape<A | B> {
  return { check: (value, at) => a.check(value, at) && b.check(value, at) }
}

export const isPlain = (value: unknown): value is Record<string, Value> => isMap(value)

function hasControl(value: string): boolean {
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) return true
    if (code >= 0x2028 && code <= 0x202e) return true // line separators, and overrides of direction
    if (code >= 0x2066 && code <= 0x2069) return true // isolates
  }
  return false
}
