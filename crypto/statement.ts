/**
 * Signed records: `{ p: payload, s: [{ k, a, r, s }] }` in strict DAG-CBOR. A record's id is the CID of its payload, so
 * that adding a signature, or a malleable encoding of one, does not change what was agreed. What is signed is
 *
 *     waybill/v1/<type>/<role> ‖ 0x00 ‖ dag-cbor(payload)        with payload.t = <type>
 *
 * Which roles a type needs, and whose key may sign in which, is for protocol/ to say (RULES B2).
 */
import { concat, equal } from './bytes.ts'
import { decode, encode, endOf, isMap, MAX_RECORD_BYTES, type Value } from './cbor.ts'
import { type CID, cidOf } from './cid.ts'
import { isRecordType, isRole, signatureTag } from './domain.ts'
import { CryptoError } from './error.ts'
import { ED25519, type PrivateKey, sign, thumbprint, verify } from './key.ts'

/** What a record says. `t` is its type, a name and a number, like `agreement/1`. */
export type Payload = { t: string; [key: string]: Value }

export interface Signature {
  /** Thumbprint of the public key, 32 bytes. */
  k: Uint8Array
  /** Algorithm: 1 is Ed25519. Another number is inconclusive, neither valid nor invalid (RULES B2). */
  a: number
  /** Role, like `assigner`. */
  r: string
  /** 64 bytes under algorithm 1. */
  s: Uint8Array
}

export interface Signed<P extends Payload = Payload> {
  p: P
  s: Signature[]
}

/** The encoding of `{ p, s }` around its two values; `p` is a map's first key and `s` its second. */
const BEFORE_PAYLOAD = Uint8Array.of(0xa2, 0x61, 0x70)
const BEFORE_SIGNATURES = Uint8Array.of(0x61, 0x73)

/** A committee of 64 seats is the largest signature set. */
export const MAX_SIGNATURES = 64
/** ML-DSA-44 takes 2,420 bytes. */
const MAX_SIGNATURE_BYTES = 4096

/** The CID of the payload without its signatures. Throws the codes of `encode`. */
export function recordId(payload: Payload): CID {
  return cidOf(encode(payload), 'dag-cbor')
}

/** One signature over a payload in one role. Throws STATEMENT_MALFORMED for an unusable type or role. */
export function signRecord(payload: Payload, role: string, key: PrivateKey): Signature {
  return signBytes(payload.t, encode(payload), role, key)
}

/** The same over the payload of a record of type `t`, given as its bytes. */
export function signBytes(t: string, payload: Uint8Array, role: string, key: PrivateKey): Signature {
  const s = sign(key, concat(signatureTag(t, role), payload))
  return { k: thumbprint(key.public), a: ED25519, r: role, s }
}

/**
 * Whether `signature` is Ed25519, names this public key, and holds for the payload of a record of type `t`, given as its
 * bytes, in its role by the rule of key.ts. Never throws. An unknown algorithm gives false here; whoever words a verdict
 * looks at `a` first.
 */
export function verifySignature(
  t: string,
  payload: Uint8Array,
  signature: Signature,
  publicKey: Uint8Array,
): boolean {
  if (signature.a !== ED25519 || !equal(signature.k, thumbprint(publicKey))) return false
  try {
    return verify(publicKey, concat(signatureTag(t, signature.r), payload), signature.s)
  } catch {
    return false // in no such type or role can it have been signed
  }
}

/** The bytes that are stored, sent and committed to. Throws STATEMENT_MALFORMED, CBOR_TOO_LARGE, codes of `encode`. */
export function encodeSigned(signed: Signed): Uint8Array {
  const { p, s } = checkSigned(signed as unknown as Value)
  const bytes = concat(BEFORE_PAYLOAD, encode(p), BEFORE_SIGNATURES, encode(s as unknown as Value[]))
  if (bytes.length > MAX_RECORD_BYTES)
    throw new CryptoError('CBOR_TOO_LARGE', `a record of ${bytes.length} bytes`)
  return bytes
}

/** Checks the form, not the signatures. Throws STATEMENT_MALFORMED for another form, and the codes of `decode`. */
export function decodeSigned(bytes: Uint8Array): Signed {
  return checkSigned(decode(bytes))
}

/** The bytes of the payload within those of a record that `decodeSigned` takes. */
export function payloadPart(bytes: Uint8Array): Uint8Array {
  const from = BEFORE_PAYLOAD.length
  return bytes.subarray(from, endOf(bytes, from))
}

function checkSigned(value: Value): Signed {
  const { p, s } = fields(value, ['p', 's'])
  if (!isMap(p) || typeof p.t !== 'string' || !isRecordType(p.t)) throw malformed('p.t names no record type')
  if (!Array.isArray(s) || s.length > MAX_SIGNATURES) throw malformed(`not 0 to ${MAX_SIGNATURES} signatures`)
  return { p: p as Payload, s: s.map(checkSignature) }
}

function checkSignature(value: Value): Signature {
  const { k, a, r, s } = fields(value, ['a', 'k', 'r', 's'])
  if (!(k instanceof Uint8Array) || k.length !== 32) throw malformed('a signature names no key')
  if (typeof a !== 'number' || !Number.isSafeInteger(a) || a < 1) throw malformed('no algorithm number')
  if (typeof r !== 'string' || !isRole(r)) throw malformed('a signature names no role')
  if (!(s instanceof Uint8Array) || !isSignatureLength(a, s.length))
    throw malformed('a signature has no length')
  return { k, a, r, s }
}

function isSignatureLength(algorithm: number, length: number): boolean {
  return algorithm === ED25519 ? length === 64 : length > 0 && length <= MAX_SIGNATURE_BYTES
}

/** The map with exactly these own fields. */
function fields(value: Value | undefined, names: string[]): { [key: string]: Value | undefined } {
  if (!isMap(value)) throw malformed('no map')
  const present = Object.keys(value)
  if (present.length !== names.length || !names.every(name => Object.hasOwn(value, name)))
    throw malformed(`fields ${present.sort().slice(0, 8)} instead of ${names}`)
  return value
}

function malformed(why: string): CryptoError {
  return new CryptoError('STATEMENT_MALFORMED', why)
}
