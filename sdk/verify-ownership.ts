/**
 * Verification of who owns an asset, offline, in Node and in browsers, beside verify.ts: a page that checks deliveries loads
 * nothing of it.
 */
import { ProtocolError } from '../protocol/error.ts'
import { type OwnershipReport, verifyOwnership as verifyChain } from '../protocol/ownership-evidence.ts'
import {
  bothRegistered,
  type RegisteredReport,
  verifyRegistered as verifyOpened,
} from '../protocol/registered-twice.ts'
import { readTrust } from '../protocol/trust.ts'
import { WaybillError } from './error.ts'

export { isOwnership, type OwnershipReport } from '../protocol/ownership-evidence.ts'
export { isRegistered, type RegisteredReport } from '../protocol/registered-twice.ts'

/** Verifies evidence of who owns an asset (`waybill owner ASSET -o FILE`) against a trust file (parsed JSON). Throws TRUST_MALFORMED. */
export function verifyOwnership(
  evidence: Uint8Array,
  trust: unknown,
  asOf: Date | number = Date.now(),
): OwnershipReport {
  return held(() => verifyChain(evidence, readTrust(trust), Number(asOf)))
}

/** Verifies what an owner disclosed of one registration, or the proof that it registered one content twice. Throws TRUST_MALFORMED. */
export function verifyRegistered(
  evidence: Uint8Array,
  trust: unknown,
  asOf: Date | number = Date.now(),
): RegisteredReport {
  return held(() => verifyOpened(evidence, readTrust(trust), Number(asOf)))
}

/** The proof that the owner of two disclosed registrations registered one content twice. Throws REGISTERED_ONCE, UNKNOWN_VERSION. */
export function registeredTwice(one: Uint8Array, other: Uint8Array): Uint8Array {
  const proof = bothRegistered(one, other)
  if ('reason' in proof)
    throw new WaybillError(proof.ok === 'unknown' ? 'UNKNOWN_VERSION' : 'REGISTERED_ONCE', proof.reason)
  return proof
}

function held<T>(judge: () => T): T {
  try {
    return judge()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new WaybillError(error.code, error.message, { cause: error })
  }
}
