/**
 * What has a type and nobody signs: a certificate, a file of evidence. Its type is looked at first, for one of another number
 * may hold whatever it likes, and is neither true nor false (RULES B2).
 */
import { decode } from '../crypto/cbor.ts'
import { CryptoError } from '../crypto/error.ts'
import { isOtherVersion, type Unread } from './record.ts'
import { isPlain, type Shape } from './shape.ts'

/** A document of a type as it was written; else why it is none, or that its version is not known. */
export function readDocument<D extends { t: string }>(
  document: Uint8Array,
  maxBytes: number,
  t: D['t'],
  shape: Shape<unknown>,
): D | Unread {
  try {
    const value = decode(document, maxBytes)
    const type = isPlain(value) ? value.t : undefined
    if (isOtherVersion(type, t)) return { ok: 'unknown', reason: `${type} is not known to this version` }
    const reason = type === t ? shape.check(value, t) : `it is no ${t}`
    return reason ? { ok: false, reason } : (value as unknown as D)
  } catch (error) {
    if (error instanceof CryptoError) return { ok: false, reason: error.message }
    throw error
  }
}

/** Whether a document says that it is of this type: of whichever version, and well formed or not. */
export function isNamed(document: Uint8Array, maxBytes: number, t: string): boolean {
  try {
    const value = decode(document, maxBytes)
    return isPlain(value) && (value.t === t || isOtherVersion(value.t, t))
  } catch (error) {
    if (error instanceof CryptoError) return false
    throw error
  }
}
