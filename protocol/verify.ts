/**
 * Verification of evidence with all that the verifier has: what judge.ts does, and the parts that a page loads only where
 * evidence or trust file ask for them (verify-rest.ts).
 */
import { readEvidence } from './evidence.ts'
import { judge, type Report } from './judge.ts'
import type { Trust } from './trust.ts'
import { rest } from './verify-rest.ts'
import type { VerifyOptions } from './verify-steps.ts'
import { judgeTitle } from './verify-title.ts'

/** Reads evidence and verifies it. Never throws for what stands in the evidence. */
export const verify = (fileBytes: Uint8Array, trust: Trust, options: VerifyOptions): Report =>
  judge(readEvidence(fileBytes), trust, { title: judgeTitle, ...options, rest })
