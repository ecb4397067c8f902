/**
 * Verification of evidence against a trust file: walks from the claim, requires every link, and says of each step what was
 * checked (RULES G). Pure: same evidence, same trust, same as-of, same verdict.
 */
import { type Claim, DELIVERY_PARTS, type ReadEvidence, readEvidence } from './evidence.ts'
import type { Trust } from './trust.ts'
import { Logs } from './verify-logs.ts'
import { Parties } from './verify-parties.ts'
import { Records } from './verify-records.ts'
import { Redactions } from './verify-redactions.ts'
import {
  iso,
  type Outcome,
  type Question,
  type Rest,
  Steps,
  short,
  UNLOADED,
  type Verdict,
  type VerifyOptions,
  type VerifyStep,
} from './verify-steps.ts'

export type { Verdict, VerifyStep } from './verify-steps.ts'

export interface Report {
  verdict: Verdict
  steps: VerifyStep[]
  claim?: {
    type: string
    agreement: string
    packet?: string
    provider: string
    consumer: string
    asOfMs: number
  }
  trustDigest: string
  asOfMs: number
  /** What the evidence says about the content, for whoever holds it. */
  content?: { name: string; size: number; mediaType: string }
}

type Read = ReturnType<typeof readEvidence>

/** Whether a verdict takes more than is loaded at first: for committees, heads that were renewed, or owners of assets. */
export const needsRest = (read: Read, { file }: Trust): boolean =>
  ('claim' in read && (read.renewals.length + read.committees.length > 0 || read.named.includes('title'))) ||
  file.committees.some(({ first }) => first)

/** Verifies evidence that was read. Never throws for what stands in it. */
export function judge(read: Read, trust: Trust, options: VerifyOptions & { rest?: Rest }): Report {
  const base = { trustDigest: trust.digest, asOfMs: options.asOfMs }
  const single = (status: 'failed' | 'inconclusive', detail: string): Report => ({
    verdict: status,
    steps: [{ id: 'bundle', status, detail }],
    ...base,
  })
  if ('broken' in read) return single('failed', read.broken)
  if ('unknown' in read) return single('inconclusive', read.unknown)
  const steps = new Steps()
  const described = walk({ evidence: read, trust, options }, steps, options.rest)
  return { verdict: steps.verdict(), steps: steps.list, claim: show(read.claim), ...base, ...described }
}

/** The salt of the content's digest, so that a caller can hash the content before it verifies. */
export function saltOf(fileBytes: Uint8Array): Uint8Array | undefined {
  const read = readEvidence(fileBytes)
  if (!('claim' in read)) return undefined
  const salt = read.part('salt')
  return salt.is === 'here' && salt.bytes.length === 32 ? salt.bytes : undefined
}

const show = (claim: Claim) => ({
  type: claim.type,
  agreement: claim.agreement.toString(),
  ...(claim.packet ? { packet: claim.packet.toString() } : {}),
  provider: claim.provider.toString(),
  consumer: claim.consumer.toString(),
  asOfMs: claim.asOf,
})

/** Each step sees what the steps before it established; what rests on a missing part is not judged. */
function walk(question: Question, steps: Steps, rest?: Rest): Pick<Report, 'content'> {
  const { evidence, options } = question
  steps.judge('bundle', () => bundle(evidence))
  const parties = new Parties(question, steps)
  for (const side of ['provider', 'consumer'] as const) parties.party(side)
  steps.judge('identities', () => parties.witnesses())
  const { known } = options
  if (known) steps.judge('known forks', () => known.identities(parties.all))
  const redactions = new Redactions(question, steps, parties)
  const packet = new Records(question, steps, parties, redactions).walk()
  const logs = new Logs(question, steps, parties, redactions)
  steps.judge('entries', () => logs.listed())
  if (rest) question.later = rest(question, steps, parties)
  else if (needsRest(evidence, question.trust)) steps.judge('committees', () => UNLOADED)
  for (const side of ['provider', 'consumer'] as const) logs.log(side)
  logs.keyStates()
  const told = evidence.history.length
  if (told > 0) steps.skip('history', `${told} states as the presenter tells them: no signature covers them`)
  if (!packet) return {}
  const { name, size, mediaType } = packet.payload
  return { content: { name, size, mediaType } }
}

/** The claim says what the evidence is of, and every block in the file is a part that such a claim has. */
function bundle({ claim, stray, named }: ReadEvidence): Outcome<true> {
  if (stray.length > 0)
    return { failed: `${stray.length} blocks that the claim does not reach, or that stand there twice` }
  if (claim.provider.equals(claim.consumer)) return { failed: 'provider and consumer are one organisation' }
  if (claim.type === 'delivery' && !claim.packet)
    return { failed: 'it claims a delivery and names no packet' }
  const beside = named.filter(name => DELIVERY_PARTS.includes(name))
  if (claim.type === 'consent' && (claim.packet || beside.length > 0))
    return { failed: `it claims a consent, which has no ${claim.packet ? 'packet' : beside.join(', ')}` }
  return { value: true, detail: `${claim.type} under ${short(claim.agreement)}, as of ${iso(claim.asOf)}` }
}
