/**
 * Signing what a dialogue agreed on. Its bytes are written by two encoders, cborg and our own, and nothing is signed where
 * they differ: what stands under a signature is read for years by programs that are not this one.
 */
import { encode as cborg, Token, Type } from 'cborg'
import { concat, equal } from './bytes.ts'
import { encode } from './cbor.ts'
import { asCid } from './cid.ts'
import { CryptoError } from './error.ts'
import type { PrivateKey } from './key.ts'
import { type Payload, type Signature, signBytes } from './statement.ts'

/** `signRecord` of bytes that both encoders write. Throws its codes, and RUNTIME_DISAGREES. */
export function signAgreed(payload: Payload, role: string, key: PrivateKey): Signature {
  const bytes = encode(payload)
  if (!equal(bytes, cborg(payload, { typeEncoders: { Object: linkTokens } })))
    throw new CryptoError('RUNTIME_DISAGREES', `two encoders write ${payload.t} differently`)
  return signBytes(payload.t, bytes, role, key)
}

/** DAG-CBOR "Links": tag 42 over the identity multibase prefix and the bytes. A map is left to cborg. */
function linkTokens(value: object): Token[] | null {
  const cid = asCid(value)
  return cid ? [new Token(Type.tag, 42), new Token(Type.bytes, concat(Uint8Array.of(0), cid.bytes))] : null
}
