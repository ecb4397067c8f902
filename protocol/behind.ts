/**
 * A store that is behind its log: put back from a backup, or one of two copies that both run. The members of the committee
 * hold heads that it does not have, and say so; then the node only reads (RULES D1).
 */
import { equal } from '../crypto/bytes.ts'
import { quorums } from './committee.ts'
import { KEY } from './layout.ts'
import { type Ledger, rootAt } from './ledger.ts'
import { ZERO_HASH } from './log.ts'
import { type Context, decodeState, encodeState } from './machine.ts'
import { nothing, type Output, type Write } from './output.ts'

/** Whether what somebody holds is of the own log; nothing at all is. */
export const isOurs = (
  { size, root }: { size: number; root?: Uint8Array },
  ledger: Ledger,
  get: Context['get'],
): boolean =>
  size === 0 || (size <= ledger.tail.range.size && (!root || equal(rootAt(ledger, get, size), root)))

interface Behind {
  claims: { org: string; size: number; root: Uint8Array }[]
  /** So many say so that one of them is right: nothing is appended or signed any more. */
  proven: boolean
}

const readBehind = (get: Context['get']): Behind => {
  const stored = get(KEY.behind)
  return stored ? decodeState(stored) : { claims: [], proven: false }
}

/**
 * A member holds a head that the own log does not have. f + 1 of them cannot all lie: this store is an older one, or one of
 * two copies, and must not go on (RULES D1).
 */
export function claim(
  org: string,
  { size, root = ZERO_HASH }: { size: number; root?: Uint8Array },
  context: Context,
): Output {
  const { claims, proven } = readBehind(context.get)
  const known = claims.find(each => each.org === org)
  if (proven || (known && known.size === size && equal(known.root, root))) return nothing()
  const all = [...claims.filter(each => each.org !== org), { org, size, root }]
  const isNow = isProven(all, context.get)
  const output = nothing()
  output.writes.push({ key: KEY.behind, value: encodeState({ claims: all, proven: isNow }) })
  // What the log has lost, the votes beside it may have lost too (RULES E3).
  if (isNow) output.writes.push({ key: KEY.seatsEnding, value: new Uint8Array() })
  output.events.push(
    isNow
      ? { type: 'behind', size: Math.max(...all.map(({ size }) => size)) }
      : {
          type: 'violation',
          org,
          code: 'HEAD_BEHIND',
          text: `it holds a head of ${size} that is not of this log`,
        },
  )
  return output
}

/** What is left of the claims once the log has come further: nothing, when no more than f members hold anything else. */
export function behindAfter(ledger: Ledger, { get }: Pick<Context, 'get'>): Write {
  const claims = readBehind(get).claims.filter(each => !isOurs(each, ledger, get))
  const proven = isProven(claims, get)
  return proven ? { key: KEY.behind, value: encodeState({ claims, proven }) } : { key: KEY.behind }
}

/** f + 1 members of one committee cannot all lie. */
const isProven = (claims: Behind['claims'], get: Context['get']): boolean =>
  quorums(get, Number.MAX_SAFE_INTEGER).some(
    ({ seats, f }) => claims.filter(each => seats.includes(each.org)).length > f,
  )

/** Whether this store is proven to be behind. Asked before every input. */
export const isBehind = (get: Context['get']): boolean =>
  get(KEY.behind) !== undefined && readBehind(get).proven

/** Sizes that members hold beyond this store; absent while they do not. */
export function behind(get: Context['get']): { size: number; orgs: string[] } | undefined {
  const { claims, proven } = readBehind(get)
  if (!proven) return undefined
  return { size: Math.max(...claims.map(({ size }) => size)), orgs: claims.map(({ org }) => org) }
}
