/**
 * Taking what the owners of logs give to renew evidence (RULES D6): their word until it verifies. What they give goes in only
 * where the evidence is by it in no step worse, now and after each key of its cosigners has ended.
 */
import { type Evidence, type ReadEvidence, readEvidence } from './evidence.ts'
import { formatEvidence } from './evidence-file.ts'
import type { Report, VerifyStep } from './judge.ts'
import { chainsIn, type Given, renewed } from './renewal.ts'
import type { Trust } from './trust.ts'
import { verify } from './verify.ts'
import { RENEWS_NOTHING } from './verify-rest.ts'

const RANK: Record<VerifyStep['status'], number> = { ok: 0, skipped: 0, inconclusive: 1, failed: 2 }

/** The evidence with what renews it, and whose that is. Throws EVIDENCE_MALFORMED for what is not whole. */
export function renewedBy(
  read: ReadEvidence,
  given: Given[],
  trust: Trust,
  asOfMs: number,
): { evidence: Evidence; taken: Given[] } {
  let evidence = renewed(read, [])
  const taken: Given[] = []
  for (const each of given) {
    const candidate = renewed(readEvidence(formatEvidence(evidence)) as ReadEvidence, [each])
    if (!isBetter(evidence, candidate, each, trust, [asOfMs, ...endsOf(candidate, asOfMs)])) continue
    evidence = candidate
    taken.push(each)
  }
  return { evidence, taken }
}

/** What cosignatures are worth: less where an event shows that a key of theirs has ended. */
const DATED = /^(provider|consumer) (position|staple|keys|key state)$/

function isBetter(before: Evidence, after: Evidence, { org }: Given, trust: Trust, times: number[]): boolean {
  const { renewals, committees = [] } = before
  // Whoever tells a true event makes nothing worse: so it was before.
  const told = { ...after, renewals, committees }
  const files = [before, told, after].map(formatEvidence)
  return times.every((asOfMs, i) => {
    const reports = files.map(file => verify(file, trust, { asOfMs }))
    const [held, knowing, now] = reports as [Report, Report, Report]
    const side = now.claim?.provider === org.toString() ? 'provider' : 'consumer'
    const step = now.steps.find(({ id }) => id === `${side} renewal`)
    // A renewal has to be one when it is taken; later it may be as spent as what it renewed.
    if (i === 0 && (step?.status !== 'ok' || step.detail.endsWith(RENEWS_NOTHING))) return false
    const [ranks, known] = [ranksOf(held.steps), ranksOf(knowing.steps)]
    const bound = (id: string) => {
      if (id === `${side} renewal`) return RANK.inconclusive
      return Math.max(
        ranks.get(id) ?? 0,
        DATED.test(id) ? Math.min(known.get(id) ?? 0, RANK.inconclusive) : 0,
      )
    }
    return [...ranksOf(now.steps)].every(([id, rank]) => rank <= bound(id))
  })
}

/** The worst of each step; some are there several times. */
function ranksOf(steps: VerifyStep[]): Map<string, number> {
  const ranks = new Map<string, number>()
  for (const { id, status } of steps) ranks.set(id, Math.max(ranks.get(id) ?? 0, RANK[status]))
  return ranks
}

/** Just after each key ends by which somebody cosigns. */
function endsOf({ witnesses, events, parts }: Evidence, asOfMs: number): number[] {
  const parties = [parts.provider, parts.consumer].flatMap(each => each ?? [])
  const keys = chainsIn([...parties, ...witnesses], events).flatMap(chain => chain.keys)
  const ends = keys.flatMap(({ role, until }) => (role === 'witness' && until !== undefined ? until + 1 : []))
  return [...new Set(ends)].filter(each => each > asOfMs)
}
