/** The decision on a request for an offer, and its words when it is a refusal. */
import type { Offer } from './agreement.ts'
import { tidy } from './machine.ts'
import type { Refusal } from './message.ts'
import { type Clause, evaluate } from './policy.ts'

/** Permit, ask a person, or the refusal: provider and consumer both compute it. */
export function decideOffer(
  offered: Offer,
  levelOfAsset: string,
  asks: { action: string; purpose: string },
  recipient: string,
  wallMs: number,
): 'permit' | 'ask' | Refusal {
  if (wallMs >= offered.until)
    return {
      code: 'OFFER_EXPIRED',
      text: `the offer ended at ${new Date(offered.until).toISOString()}`,
      next: 'waybill offers',
    }
  if (levelOfAsset === 'core') return { code: 'POLICY_DENIED', text: 'data classified core is never shared' }
  const { decision, denied } = evaluate(offered.policy, { ...asks, recipient, dateTimeMs: wallMs })
  if (decision === 'deny') return tidy(denial(denied!))
  return offered.approval === 'person' || levelOfAsset === 'important' ? 'ask' : 'permit'
}

/** A refusal names the clause, what was asked, what is allowed, and what to do next. */
function denial({ clause, left, op, asked, allowed, holds }: Clause): Refusal {
  const refusal = { code: 'POLICY_DENIED', clause, asked }
  if (holds === 'unknown')
    return {
      ...refusal,
      text: `this version cannot decide ${left} ${op}, and what it does not know is denied`,
      allowed,
    }
  if (clause.startsWith('prohibitions'))
    return { ...refusal, text: `${left} "${asked}" is prohibited`, allowed: `not: ${op} ${allowed}` }
  const is = op === 'eq' ? '' : `${op} `
  const next = `ask with ${left} ${allowed}`
  return { ...refusal, text: `${left} "${asked}" is not ${is}"${allowed}"`, allowed, next }
}
