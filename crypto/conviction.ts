/** The wider signature rule of conviction proofs (RULES B4). */
import { equation } from './backend-noble.ts'
import { isSmallOrderR, isWellFormed, verify } from './key.ts'

/**
 * The rule of key.ts without its small-order check of R. Only the key's holder can make a signature that fails by that
 * check alone, so it convicts them as well as another; it never counts for anything else. Never throws.
 *
 * Such an R goes to noble in every runtime: node:crypto refuses it from 24.19 on, and a verdict must not depend on it.
 */
export function verifyForConviction(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (!isSmallOrderR(signature)) return verify(publicKey, message, signature)
  return isWellFormed(publicKey, signature) && equation(signature, message, publicKey)
}
