/**
 * Fork proofs that a verifier knows of, and what they change of a verdict. Loaded only where somebody has some: whoever passes
 * none gets the verdict of the evidence alone (RULES G3).
 */
import { equal } from '../crypto/bytes.ts'
import { ProtocolError } from './error.ts'
import { codeOf, type Fork } from './fork.ts'
import { everStood } from './identity-chain.ts'
import { readEitherFork } from './identity-fork.ts'
import type { KnownForks } from './verify-steps.ts'

/** Throws FORK_UNPROVEN for one that convicts nobody, UNKNOWN_VERSION for one that is not known. */
export function readKnownForks(proofs: Uint8Array[]): KnownForks {
  const logs: Fork[] = []
  const identities = new Map<string, number>()
  for (const proof of proofs) {
    const fork = readEitherFork(proof)
    if ('reason' in fork) throw new ProtocolError(codeOf(fork), `a fork proof proves nothing: ${fork.reason}`)
    if ('chain' in fork) logs.push(fork)
    else least(identities, fork.org.toString(), fork.n)
  }
  return {
    // A key may rest on an event that another contradicts (RULES C1).
    identities: chains => {
      for (const { genesis, events } of chains) {
        const n = identities.get(genesis.id.toString())
        const whose = `the identity of ${genesis.payload.name} has two events ${n}`
        if (n !== undefined && n <= events.length)
          return { inconclusive: `${whose}: which keys are its own from there cannot be said` }
      }
      return { value: true, detail: `${proofs.length} known, no identity here is touched` }
    },
    // What is final stays final; the rest of a log that was forked may be on either branch (RULES D4).
    tail: (chain, { log, size }) => {
      // A proof may leave out the event by which the key that signed it was revoked; the evidence has it.
      const revoked = everStood(chain, 'log').filter(each => each.revoked !== undefined)
      const byThief = ({ older, newer }: Fork) =>
        revoked.some(({ key }) => equal(key, older.signer.key) || equal(key, newer.signer.key))
      const sizes = logs
        .filter(fork => fork.org.equals(chain.genesis.id) && fork.older.log === log && !byThief(fork))
        .map(fork => fork.older.size)
      const from = Math.min(...sizes)
      return size >= from ? `its log has two histories from size ${from}; ` : undefined
    },
  }
}

function least(known: Map<string, number>, name: string, from: number): void {
  known.set(name, Math.min(known.get(name) ?? from, from))
}
