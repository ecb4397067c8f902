/** Steps of a verification: what each found, in words, and what the verdict is over all of them. */
import type { CID } from '../crypto/cid.ts'
import type { Agreement } from './agreement.ts'
import type { Found, ReadEvidence } from './evidence.ts'
import type { Chain } from './identity-chain.ts'
import type { Head } from './log.ts'
import { isStored, type KeyResolver, type RecordType, readRecord, type Stored } from './record.ts'
import type { Committee, Trust } from './trust.ts'
import type { Cosigned } from './verify-cosignatures.ts'
import type { Parties } from './verify-parties.ts'

export type Verdict = 'verified' | 'failed' | 'inconclusive'

export interface VerifyStep {
  id: string
  /** ok: holds. failed: evidence says false. inconclusive: a part, a key or a version is missing. skipped: not asked. */
  status: 'ok' | 'failed' | 'inconclusive' | 'skipped'
  detail: string
}

/** What fork proofs that a verifier knows change of a verdict (known-forks.ts). */
export interface KnownForks {
  /** Whether one of these identities is forked where it matters. */
  identities(chains: Iterable<Chain>): Outcome<true>
  /** What is wrong with a head that is not final. */
  tail(chain: Chain, head: Head): string | undefined
}

export interface VerifyOptions {
  /** The time at which the question is asked, ms since 1970. */
  asOfMs: number
  /** An entry that is not final yet makes the verdict inconclusive (RULES D3). */
  requireFinal?: boolean
  /** Size and salted digest of the content at hand; without it the content is not checked. */
  content?: { size: number; digest: Uint8Array }
  known?: KnownForks
  /** Who owned the asset, where the evidence shows it (verify-title.ts). */
  title?: (question: Question) => Outcome<Title>
}

/** The chain of owners that evidence shows beside an agreement. */
export interface Title {
  /** Keys of whoever published the asset. */
  keys: KeyResolver
  /** Why it does not entitle the assigner to this agreement. */
  unlike(agreed: Agreement): { failed: string } | { inconclusive: string } | undefined
}

/** What is asked of a verifier: of these parts, under this trust, in these circumstances. */
export interface Question {
  evidence: ReadEvidence
  trust: Trust
  options: VerifyOptions
  later?: Later
}

/** Who cosigns a head, and how many of them make it final. */
export interface Rule {
  committee: Committee
  members: string[]
}

/** What a page loads only where evidence or trust file ask for it (verify-rest.ts), begun for one question. */
export interface Later {
  /**
   * The committee in force at a head of a log whose first one is pinned, by what the last entry under the head names;
   * `isRenewed` when a later head vouches for this one.
   */
  ruleAt(org: CID, head: Head, named: Uint8Array | undefined, isRenewed: boolean): Outcome<Rule>
  /** The newest committee that is shown of an organisation's logs. */
  newest(org: CID): Committee | undefined
  /** What a newer head is worth that extends the one shown; nothing where there is none. */
  renewal(side: Side, head: Head | undefined): Cosigned | undefined
}
export type Rest = (question: Question, steps: Steps, parties: Parties) => Later
export const UNLOADED = { inconclusive: 'the part of the verifier that reads committees was not loaded' }

/** The two parties of a claim. */
export type Side = 'provider' | 'consumer'

/** A step's outcome before it is worded. */
export type Outcome<T> = { value: T; detail: string } | { failed: string } | { inconclusive: string }

/** The steps of one verification, in the order in which they are asked. */
export class Steps {
  readonly list: VerifyStep[] = []

  /** Judges one step; what it established, or nothing. */
  judge<T>(id: string, judge: () => Outcome<T>): T | undefined {
    const outcome = judge()
    if ('value' in outcome) {
      this.list.push({ id, status: 'ok', detail: outcome.detail })
      return outcome.value
    }
    const [status, detail] =
      'failed' in outcome
        ? (['failed', outcome.failed] as const)
        : (['inconclusive', outcome.inconclusive] as const)
    this.list.push({ id, status, detail })
    return undefined
  }

  skip(id: string, detail: string): void {
    this.list.push({ id, status: 'skipped', detail })
  }

  verdict(): Verdict {
    if (this.list.some(step => step.status === 'failed')) return 'failed'
    return this.list.some(step => step.status === 'inconclusive') ? 'inconclusive' : 'verified'
  }
}

/** A record's part, of its type and shape; its signatures are not looked at. */
export function openPart<P>(found: Found, type: RecordType<P>): Outcome<Stored<P>> {
  if (found.is === 'missing') return MISSING
  if (found.is === 'broken') return { failed: found.reason }
  const stored = readRecord(type, found.bytes)
  return isStored(stored) ? { value: stored, detail: '' } : worse(stored)
}

export const worse = (verdict: {
  ok: boolean | 'unknown'
  reason: string
}): { failed: string } | { inconclusive: string } =>
  verdict.ok === 'unknown' ? { inconclusive: verdict.reason } : { failed: verdict.reason }

/** A part that the evidence does not have, and what an earlier step did not establish: nothing follows from either. */
export const MISSING = { inconclusive: 'it is not in the evidence' }
export const unestablished = (what: string): { inconclusive: string } => ({
  inconclusive: `${what} is not established`,
})

export const iso = (ms: number): string => (ms <= 8.64e15 ? new Date(ms).toISOString() : 'never')
export const short = (id: CID): string => `${id.toString().slice(0, 16)}…`
