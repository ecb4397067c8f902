/**
 * What a partner's proofs are worth before they are kept: its answer is only its word until the evidence that they would be
 * part of verifies with them. The verifier judges, by the trust of this home, so what is kept as whole is what it will call so.
 */
import type { CID } from '../crypto/cid.ts'
import { collectConsent, collectDelivery, type Reading } from './collect.ts'
import type { ProofReply } from './event.ts'
import type { Evidence } from './evidence.ts'
import { formatEvidence } from './evidence-file.ts'
import type { Report } from './judge.ts'
import type { Ledger } from './ledger.ts'
import { committeesTrusted } from './own-trust.ts'
import { readTrust, TRUST_SCHEMA, type Trust } from './trust.ts'
import { verify } from './verify.ts'
import { takenTitle } from './verify-title.ts'

/** `broken`: evidence with it would be false. `open`: something is not there yet. */
export type Worth = { is: 'whole' | 'open' } | { is: 'broken'; why: string }

/** Throws what collecting evidence throws. */
export function worthOf(
  theirs: ProofReply,
  org: string,
  about: { agreement: CID; packet?: CID },
  home: Reading,
  ledger: Ledger,
  asOfMs: number,
): Worth {
  const judged = (given: { theirs?: ProofReply }) => judge(given, org, about, home, ledger, asOfMs)
  const { report, side } = judged({ theirs })
  const failed = report.steps.filter(step => step.status === 'failed')
  // What is false without it is not its fault.
  const own = failed.length > 0 ? judged({}).report.steps.filter(step => step.status === 'failed') : []
  const [wrong] = failed.filter(({ id }) => !own.some(each => each.id === id))
  if (wrong) return { is: 'broken', why: `${wrong.id}: ${wrong.detail}` }
  const theirSteps = report.steps.filter(({ id }) => id.startsWith(`${side} `))
  return { is: theirSteps.every(({ status }) => status === 'ok') ? 'whole' : 'open' }
}

function judge(
  given: { theirs?: ProofReply },
  org: string,
  { agreement, packet }: { agreement: CID; packet?: CID },
  home: Reading,
  ledger: Ledger,
  asOfMs: number,
): { report: Report; side: 'provider' | 'consumer' } {
  const evidence = packet
    ? collectDelivery(home, ledger, { agreement, packet }, { ...given, asOfMs })
    : collectConsent(home, ledger, { agreement }, { ...given, asOfMs, history: [] })
  const partner = home.partner(org)
  const trust = trustIn(org, home)
  // A log that nobody witnesses is never final; what it proves is all there will be.
  const requireFinal = partner !== undefined && partner.witnesses.length + partner.firsts.length > 0
  const side = evidence.claim.provider.toString() === org ? 'provider' : 'consumer'
  // Who owns the asset is not proven by the other side's log.
  const options = { asOfMs, requireFinal, title: takenTitle }
  return { report: verify(formatEvidence(evidence), trust, options), side }
}

/** The trust of this home, as far as it is about one partner. */
function trustIn(org: string, home: Reading): Trust {
  const partner = home.partner(org)
  return readTrust({
    schema: TRUST_SCHEMA,
    identities: [{ id: home.self.org }, { id: org }],
    committees: committeesTrusted(home, partner ? [partner] : []),
  })
}

/** Evidence without what a partner handed over when it signed, where that makes it false: nobody looked at it closely then. */
export function withoutFalse(evidence: Evidence, org: string, home: Reading, asOfMs: number): Evidence {
  const trust = trustIn(org, home)
  const isFalse = (each: Evidence) =>
    verify(formatEvidence(each), trust, { asOfMs, title: takenTitle }).verdict === 'failed'
  const { committees = [] } = evidence
  const less = { ...evidence, staples: evidence.staples.filter(each => each.org.toString() !== org) }
  const least = { ...less, committees: committees.filter(each => each.org.toString() !== org) }
  return [evidence, less, least].find(each => !isFalse(each)) ?? evidence
}
