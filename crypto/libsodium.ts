/**
 * Signatures checked by libsodium, in half the time of OpenSSL, whose field elements have ten limbs here and not five: 55 us for
 * 105. For processes that run the packages which they were installed with: whatever is called `sodium-native` beside a verifier
 * that is a single file must not be run.
 */
import { createRequire } from 'node:module'
import { checkBy, openssl } from './backend-node.ts'
import { selfTest } from './selftest.ts'

/** False where there is none for this platform, or where its verdicts are others: all is as before then. */
export function useLibsodium(): boolean {
  try {
    checkBy(createRequire(import.meta.url)('sodium-native').crypto_sign_verify_detached)
    selfTest()
    return true
  } catch {
    checkBy(openssl)
    return false
  }
}
