/**
 * Fork proofs that a verifier knows of, and what they change of a verdict. Loaded only where somebody has some: whoever passes
 * none gets the verdict of the evidence alone (RULES G3).
 */
import type { CID } from '../crypto/cid.ts'
import { ProtocolError } from './error.ts'
import { readFork } from './fork.ts'
import { readIdentityFork } from './identity-fork.ts'
import type { KnownForks } from './verify-steps.ts'

/** Throws FORK_UNPROVEN for one that convicts nobody. */
export function readKnownForks(proofs: Uint8Array[]): KnownForks {
  const logs = new Map<string, number>()
  const identities = new Map<string, number>()
  for (const proof of proofs) {
    const fork = readFork(proof)
    const identity = readIdentityFork(proof)
    if (typeof fork !== 'string') least(logs, logOf(fork.org, fork.older.log), fork.older.size)
    else if (typeof identity !== 'string') least(identities, identity.org.toString(), identity.n)
    else throw new ProtocolError('FORK_UNPROVEN', `a fork proof proves nothing: ${fork}; ${identity}`)
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
    tail: (org, { log, size }) => {
      const from = logs.get(logOf(org, log))
      return from !== undefined && size >= from ? `its log has two histories from size ${from}; ` : undefined
    },
  }
}

const logOf = (org: CID, log: number): string => `${org}/${log}`

function least(known: Map<string, number>, name: string, from: number): void {
  known.set(name, Math.min(known.get(name) ?? from, from))
}
