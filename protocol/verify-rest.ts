/** What a verifier loads only where evidence or trust file ask for it: committees of logs, and heads that renew others. */
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import type { RenewalPart } from './evidence.ts'
import { type Head, readEntry, readHead } from './log.ts'
import { readState } from './state.ts'
import { isExtended } from './successor.ts'
import { firstsOf } from './trust.ts'
import { Committees } from './verify-committees.ts'
import { type Cosigned, cosignedBy, wordsOf } from './verify-cosignatures.ts'
import type { Parties } from './verify-parties.ts'
import {
  MISSING,
  type Outcome,
  type Question,
  type Rest,
  type Side,
  type Steps,
  unestablished,
} from './verify-steps.ts'

export const rest: Rest = (question, steps, parties) => {
  const { evidence, trust } = question
  if (evidence.renewals.length > 0) steps.judge('renewals', () => renewals(question))
  const committees = new Committees(question, parties)
  if (evidence.committees.length > 0) steps.judge('committees', () => listed(question, committees))
  for (const side of ['provider', 'consumer'] as const) committeeStep(side, question, steps, committees)
  return {
    ruleAt: (...at) => committees.ruleAt(...at),
    newest: org => (firstsOf(trust, org).length > 0 ? committees.newest(org) : undefined),
    renewal: (side, head) => renewal(side, head, question, steps, parties),
  }
}

/** Every committee is there, of one party's log, and the only one of its number there. */
function listed({ evidence }: Question, committees: Committees): Outcome<true> {
  const { provider, consumer } = evidence.claim
  for (const [i, each] of evidence.committees.entries()) {
    if ('broken' in each) return { failed: `committee ${i} of the list: ${each.broken}` }
    if ('missing' in each) return { inconclusive: `committee ${i} of the list is not in the evidence` }
    const added = committees.add(each, [provider, consumer])
    if ('failed' in added) return { failed: `committee ${i} of the list: ${added.failed}` }
    if ('inconclusive' in added) return { inconclusive: `committee ${i} of the list: ${added.inconclusive}` }
  }
  return { value: true, detail: `${evidence.committees.length} of the list` }
}

/** Those of one party's logs: where the trust file pins one, it has to be shown before anything is counted. */
function committeeStep(
  side: Side,
  { evidence, trust }: Question,
  steps: Steps,
  committees: Committees,
): void {
  const org = evidence.claim[side]
  const found = committees.all(org)
  if (found) steps.judge(`${side} committee`, () => found)
  else if (firstsOf(trust, org).length > 0 && evidence.part(`${side}Head`).is !== 'missing')
    steps.judge(`${side} committee`, () => MISSING)
}

/** Every renewal is of one party's log. */
function renewals({ evidence: { claim, renewals } }: Question): Outcome<true> {
  for (const [i, each] of renewals.entries()) {
    if ('broken' in each) return { failed: `renewal ${i} of the list: ${each.broken}` }
    if ('missing' in each) return { inconclusive: `renewal ${i} of the list is not in the evidence` }
    if (!each.org.equals(claim.provider) && !each.org.equals(claim.consumer))
      return { failed: `renewal ${i} of the list is of neither party's log` }
  }
  return { value: true, detail: `${renewals.length} of the list` }
}

/**
 * A newer head that extends the one shown and is final under keys that stand: what ended keys cosigned before it was no
 * forgery of later (RULES D6).
 */
function renewal(
  side: Side,
  head: Head | undefined,
  question: Question,
  steps: Steps,
  parties: Parties,
): Cosigned | undefined {
  const org = question.evidence.claim[side]
  const own = question.evidence.renewals.filter(each => 'org' in each && each.org.equals(org))
  if (own.length === 0) return undefined
  return steps.judge(`${side} renewal`, () => {
    if (own.length > 1) return { failed: 'there are two of one log' }
    const chain = parties.believed(side)
    if (!head || !chain) return unestablished('the head that it renews')
    const part = own[0] as RenewalPart
    // What makes it count is that it is final; its log key may have ended since, as that of the head shown.
    const newer = readHead(part.note, chain, undefined, { revoked: true, closed: true })
    if ('reason' in newer)
      return newer.unknown && !parties.isWhole(org)
        ? { inconclusive: newer.reason }
        : { failed: newer.reason }
    const { size } = newer
    if (!isExtended(head, newer, part, chain))
      return { failed: `the head of ${size} is not shown to extend it` }
    const named = lastUnder(newer, part)
    if (named && 'failed' in named) return named
    const cosigned = cosignedBy(question, parties, org, newer, named)
    if (!('value' in cosigned)) return cosigned
    const { final, words } = wordsOf(cosigned.value)
    const detail = `size ${size}: ${words}`
    return {
      value: final ? cosigned.value : undefined,
      detail: final ? detail : `${detail}: ${RENEWS_NOTHING}`,
    }
  })
}

/** How the step of a renewal ends that changes nothing: it is no fault of the evidence. */
export const RENEWS_NOTHING = 'it renews nothing'

/** The committee that the last entry under a head names. */
export function lastUnder(
  { size, root }: Head,
  { state }: Pick<RenewalPart, 'state'>,
): Uint8Array | { failed: string } | undefined {
  if (!state) return undefined
  const entry = readEntry(state.entry)
  const read = 'reason' in entry ? entry : readState(entry)
  if ('reason' in read) return { failed: read.reason }
  const leaf = leafHash(state.entry)
  return verifyInclusion({ leaf, index: size - 1, size, path: state.path, root })
    ? read.committee
    : { failed: 'its last entry is not the last under it' }
}
