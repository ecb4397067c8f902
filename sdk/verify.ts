/**
 * Verification of evidence, offline, in Node and in browsers: no daemon, no home, no network. The trust file is an
 * argument that cannot be left out, because a verdict means nothing without whom it believes.
 */
import { CryptoError } from '../crypto/error.ts'
import type { Disclosure } from '../protocol/disclosure.ts'
import { ProtocolError } from '../protocol/error.ts'
import { readEvidence } from '../protocol/evidence.ts'
import { judge, needsRest, type Report } from '../protocol/judge.ts'
import type { ProofReport } from '../protocol/proof.ts'
import { readTrust } from '../protocol/trust.ts'
import type { ForkReport } from '../protocol/verify-fork.ts'
import type { Content } from './content.ts'
import { WaybillError } from './error.ts'

export type { Disclosure } from '../protocol/disclosure.ts'
export type { Report, Verdict, VerifyStep } from '../protocol/judge.ts'
export type { ProofReport } from '../protocol/proof.ts'
export type { ForkReport } from '../protocol/verify-fork.ts'

export interface VerifyOptions {
  /** The time at which the question is asked; now, when left out. */
  asOf?: Date | number | undefined
  /** An entry that is not final yet makes the verdict inconclusive. */
  requireFinal?: boolean | undefined
  /** Fork proofs that are known, of logs and identities: what stands on a forked one is inconclusive. */
  forks?: Uint8Array[] | undefined
  /** The content, to be checked against what its publisher signed. Read once, piece by piece. */
  content?: Content | undefined
}

/**
 * Verifies an evidence file against a trust file (parsed JSON). What is wrong with the evidence stands in the report;
 * thrown is only TRUST_MALFORMED, FORK_UNPROVEN for a fork proof that is none, UNKNOWN_VERSION for one of a later version, and a
 * RangeError for an as-of that is no time.
 */
export async function verify(
  evidence: Uint8Array,
  trust: unknown,
  options: VerifyOptions = {},
): Promise<Report> {
  const believed = sayingCode(() => readTrust(trust))
  const asOfMs = Number(options.asOf ?? Date.now())
  if (!Number.isSafeInteger(asOfMs) || asOfMs < 0) throw new RangeError(`asOf is not a time: ${options.asOf}`)
  const hashing = options.content && (await import('./verify-more.ts'))
  const content = hashing && (await hashing.digestFor(evidence, options.content!))
  const known = options.forks?.length ? await knownForks(options.forks) : undefined
  const read = readEvidence(evidence)
  const more = needsRest(read, believed) ? await import('./verify-more.ts') : undefined
  const report = judge(read, believed, {
    asOfMs,
    requireFinal: options.requireFinal ?? false,
    ...(content ? { content } : {}),
    ...(known ? { known } : {}),
    ...(more ? { rest: more.rest, title: more.judgeTitle } : {}),
  })
  return hashing ? hashing.withContent(report) : report
}

/** Verifies a proof of one entry (C2SP tlog-proof with what `waybill prove` adds) against a trust file. */
export async function verifyProof(
  proof: Uint8Array,
  trust: unknown,
  { asOf = Date.now(), requireFinal = false }: Pick<VerifyOptions, 'asOf' | 'requireFinal'> = {},
): Promise<ProofReport> {
  const believed = sayingCode(() => readTrust(trust))
  const { verifyProof: verifyEntry } = await import('./verify-more.ts')
  return verifyEntry(proof, believed, { asOfMs: Number(asOf), requireFinal })
}

/**
 * Opens the key release in evidence of a delivery, for whoever is shown the one-time private key of its receipt. Verify
 * the evidence first. The ciphers are loaded with the first call: a verdict does not need them. Throws
 * EVIDENCE_MALFORMED where there is no release, KEY_INVALID for another key than the one it was sealed to.
 */
export async function openRelease(evidence: Uint8Array, oneTimePrivate: Uint8Array): Promise<Disclosure> {
  const { discloseRelease } = await import('../protocol/disclosure.ts')
  return sayingCode(() => discloseRelease(evidence, oneTimePrivate))
}

/** Judges a fork proof, of a log or of an identity, against a trust file. */
export async function verifyFork(proof: Uint8Array, trust: unknown): Promise<ForkReport> {
  const believed = sayingCode(() => readTrust(trust))
  return (await import('./verify-more.ts')).verifyFork(proof, believed)
}

async function knownForks(proofs: Uint8Array[]) {
  const { readKnownForks } = await import('./verify-more.ts')
  return sayingCode(() => readKnownForks(proofs))
}

/** Errors of the core with a code become those of the SDK. */
function sayingCode<T>(act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (!(error instanceof ProtocolError) && !(error instanceof CryptoError)) throw error
    throw new WaybillError(error.code, error.message, { cause: error })
  }
}
