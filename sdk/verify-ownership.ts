/**
 * Verification of who owns an asset, offline, in Node and in browsers, beside verify.ts: a page that checks deliveries loads
 * nothing of it.
 */
import { ProtocolError } from '../protocol/error.ts'
import { type OwnershipReport, verifyOwnership as verifyChain } from '../protocol/ownership-evidence.ts'
import { readTrust } from '../protocol/trust.ts'
import { WaybillError } from './error.ts'

export { isOwnership, type OwnershipReport } from '../protocol/ownership-evidence.ts'

/** Verifies evidence of who owns an asset (`waybill owner ASSET -o FILE`) against a trust file (parsed JSON). Throws TRUST_MALFORMED. */
export function verifyOwnership(
  evidence: Uint8Array,
  trust: unknown,
  asOf: Date | number = Date.now(),
): OwnershipReport {
  try {
    return verifyChain(evidence, readTrust(trust), Number(asOf))
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new WaybillError(error.code, error.message, { cause: error })
  }
}
