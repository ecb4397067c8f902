/**
 * Usage policies: a small canonical form of ODRL 2.2 and its evaluator, number 1.
 *
 * Closed world: what is not permitted is denied; what the evaluator does not know denies; a conflict is a prohibition.
 * The number is frozen: another evaluator gets another number, and a node without it denies (RULES F7).
 */
import { encode, type Value } from '../crypto/cbor.ts'
import { sha256 } from '../crypto/hash.ts'
import { Unknown } from './error.ts'
import { MAX_CLAUSES, MAX_WORD_LENGTH } from './limits.ts'
import { bytes, either, type Infer, isPlain, list, object, type Shape, text, uint } from './shape.ts'

/** Actions of profile 1 and the action that includes each (ODRL 2.2 section 2.3, `includedIn`). */
export const ACTIONS: Record<string, string | undefined> = {
  use: undefined,
  read: 'use',
  analyse: 'use',
  derive: 'use',
  archive: 'use',
  distribute: undefined,
}

/** The operands that evaluator 1 knows, with the operators each takes. Everything else parses and denies. */
export const OPERANDS: Record<string, string[]> = {
  purpose: ['eq', 'neq', 'isAnyOf', 'isNoneOf'],
  recipient: ['eq', 'neq', 'isAnyOf', 'isNoneOf'],
  dateTime: ['lt', 'lteq', 'gt', 'gteq', 'eq', 'neq'],
}

/** Digest of the code lists above: pins what the words of a policy mean. */
export const PROFILE_CODES: Uint8Array = sha256(
  encode({
    actions: Object.entries(ACTIONS).map(([action, parent]) => [action, parent ?? '']),
    operands: OPERANDS,
  }),
)
export const PROFILE: { n: number; codes: Uint8Array } = { n: 1, codes: PROFILE_CODES }

const profileFields = object({ n: uint, codes: bytes(32) })
const profile: Shape<{ n: number; codes: Uint8Array }> = {
  ...profileFields,
  check(value, at) {
    if (isPlain(value) && Number.isSafeInteger(value.n) && value.n !== 1)
      throw new Unknown(`${at}: policy profile ${value.n} is not known to this version`)
    return profileFields.check(value, at)
  },
}
const word = text(MAX_WORD_LENGTH)
const constraint = object({
  left: word,
  op: word,
  right: either(either(word, uint), list(word, MAX_CLAUSES)),
})
const rule = object({ action: word, constraints: list(constraint, MAX_CLAUSES) })
export const policyShape = object({
  profile,
  permissions: list(rule, MAX_CLAUSES),
  prohibitions: list(rule, MAX_CLAUSES),
})
export type Policy = Infer<typeof policyShape>
export type Constraint = Infer<typeof constraint>
export type Rule = Infer<typeof rule>

/** What is asked: the action and the facts, each stated by its source (purpose: consumer; recipient, time: provider). */
export interface UsageRequest {
  action: string
  purpose: string
  /** Organisation id of the asker. */
  recipient: string
  /** Wall time of the decision, ms since 1970. */
  dateTimeMs: number
}

/** One clause looked at: what it says, what was asked, and how it came out. */
export interface Clause {
  clause: string
  left: string
  op: string
  asked: string
  allowed: string
  holds: boolean | 'unknown'
}
export interface Decision {
  decision: 'permit' | 'deny'
  /** Every clause that was looked at, in order. */
  trace: Clause[]
  /** The clause that decided against, when one did. */
  denied?: Clause
}

/** Decides a request under a policy; pure, total, and with the reason. */
export function evaluate(policy: Policy, request: UsageRequest): Decision {
  const trace: Clause[] = []
  const known = sameProfile(policy)
  if (!known) return deny(trace, plain('profile', 'profile', String(policy.profile.n), '1', 'unknown'))
  for (const [i, prohibition] of policy.prohibitions.entries()) {
    const at = `prohibitions[${i}]`
    const isKnown = Object.hasOwn(ACTIONS, prohibition.action)
    if (!isKnown)
      return deny(trace, plain(at, 'action', request.action, `not ${prohibition.action}`, 'unknown'))
    // Also what is a part of the action asked for: who may use may read.
    const meets = covers(prohibition.action, request.action) || covers(request.action, prohibition.action)
    if (!meets) continue
    const clauses = prohibition.constraints.map((c, j) => test(c, request, `${at}.constraints[${j}]`))
    trace.push(...clauses)
    if (clauses.every(clause => clause.holds !== false))
      return deny(
        trace,
        clauses.at(-1) ?? plain(at, 'action', request.action, `not ${prohibition.action}`, false),
      )
  }
  let denied: Clause | undefined
  for (const [i, permission] of policy.permissions.entries()) {
    const at = `permissions[${i}]`
    const action = plain(
      at,
      'action',
      request.action,
      permission.action,
      covers(permission.action, request.action),
    )
    const clauses = [
      action,
      ...permission.constraints.map((c, j) => test(c, request, `${at}.constraints[${j}]`)),
    ]
    trace.push(...clauses)
    const failed = clauses.find(clause => clause.holds !== true)
    if (!failed) return { decision: 'permit', trace }
    denied ??= failed
  }
  return deny(trace, denied ?? plain('permissions', 'action', request.action, 'nothing', false))
}

const deny = (trace: Clause[], denied: Clause): Decision => ({ decision: 'deny', trace, denied })
const plain = (
  clause: string,
  left: string,
  asked: string,
  allowed: string,
  holds: Clause['holds'],
): Clause => ({
  clause,
  left,
  op: 'eq',
  asked,
  allowed,
  holds,
})

const sameProfile = (policy: Policy): boolean =>
  policy.profile.n === PROFILE.n && policy.profile.codes.every((byte, i) => byte === PROFILE_CODES[i])

/** Whether a rule about `rule` speaks of `asked`: the same action, or one that includes it. Unknown actions never match a permission. */
function covers(ruleAction: string, asked: string): boolean {
  if (!Object.hasOwn(ACTIONS, asked)) return false
  for (let action: string | undefined = asked; action; action = ACTIONS[action])
    if (action === ruleAction) return true
  return false
}

function test(constraint: Constraint, request: UsageRequest, clause: string): Clause {
  const { left, op, right } = constraint
  const asked = fact(left, request)
  const known = asked !== undefined && (OPERANDS[left]?.includes(op) ?? false)
  return {
    clause,
    left,
    op,
    asked: show(left, asked ?? 'nothing'),
    allowed: Array.isArray(right) ? right.map(each => show(left, each)).join(' or ') : show(left, right),
    holds: known ? holds(op, asked, right) : 'unknown',
  }
}

function fact(left: string, request: UsageRequest): string | number | undefined {
  if (left === 'purpose') return request.purpose
  if (left === 'recipient') return request.recipient
  return left === 'dateTime' ? request.dateTimeMs : undefined
}

/** Compares a fact with a clause; a right side of another type than the fact is unknown. */
function holds(op: string, asked: string | number, right: Constraint['right']): boolean | 'unknown' {
  if (op === 'isAnyOf' || op === 'isNoneOf')
    return Array.isArray(right) ? right.includes(asked as string) === (op === 'isAnyOf') : 'unknown'
  if (Array.isArray(right) || typeof right !== typeof asked) return 'unknown'
  if (op === 'eq' || op === 'neq') return (asked === right) === (op === 'eq')
  if (op === 'lt') return asked < right
  if (op === 'lteq') return asked <= right
  if (op === 'gt') return asked > right
  return op === 'gteq' ? asked >= right : 'unknown'
}

const show = (left: string, value: Value): string =>
  left === 'dateTime' && typeof value === 'number' && Number.isFinite(new Date(value).getTime())
    ? new Date(value).toISOString()
    : String(value)
