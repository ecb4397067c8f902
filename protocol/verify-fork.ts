/**
 * What a fork proof proves to whoever has a trust file: that the log or the identity of an organisation which he believes to be
 * who it says has two histories. Whoever is accused has signed both, unless the file leaves out by which event the key was revoked.
 */
import type { Fork } from './fork.ts'
import { type IdentityFork, readEitherFork } from './identity-fork.ts'
import type { VerifyStep } from './judge.ts'
import { isTrusted, type Trust } from './trust.ts'
import { unseenOf } from './verify-cosignatures.ts'
import { Steps, type Verdict, worse } from './verify-steps.ts'

export interface ForkReport {
  verdict: Verdict
  steps: VerifyStep[]
  trustDigest: string
  /** Of a log or of an identity, where the file proves anything. */
  log?: Fork
  identity?: IdentityFork
}

/** Judges a proof of either kind under a trust file. Never fails to answer. */
export function verifyFork(proof: Uint8Array, trust: Trust): ForkReport {
  const steps = new Steps()
  const found = steps.judge('proof', () => {
    const fork = readEitherFork(proof)
    if ('reason' in fork) return worse(fork)
    return { value: fork, detail: 'chain' in fork ? 'two heads of one log' : 'two events of one number' }
  })
  if (found)
    steps.judge('accused', () => {
      const whom = `${found.name} ${found.org}`
      return isTrusted(trust, found.org)
        ? { value: true, detail: `${whom}, in the trust file` }
        : { inconclusive: `${whom} is not in the trust file` }
    })
  if (found && 'chain' in found)
    steps.judge('keys', () => {
      const unseen = unseenOf(found.chain, trust)
      if (unseen) return { inconclusive: `${unseen}: who has the key could have signed since` }
      return { value: true, detail: 'they stand by all that the file shows and the trust file knows' }
    })
  return {
    verdict: steps.verdict(),
    steps: steps.list,
    trustDigest: trust.digest,
    ...(found && ('chain' in found ? { log: found } : { identity: found })),
  }
}
