/**
 * What every signed record has in common: a type with a closed shape, an exact signature set, and for each signature the
 * organisation and the kind of key that must have made it (RULES B2).
 */
import type { Value } from '../crypto/cbor.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { isRecordType } from '../crypto/domain.ts'
import { CryptoError } from '../crypto/error.ts'
import {
  decodeSigned,
  type Payload,
  payloadPart,
  type Signature,
  type Signed,
  verifySignature,
} from '../crypto/statement.ts'
import { Unknown } from './error.ts'
import type { Infer, Shape } from './shape.ts'

/** The kinds of key that an identity delegates (DESIGN 5). */
export type KeyRole = 'root' | 'admin' | 'log' | 'operation' | 'witness' | 'node'

/** Who signs in a role: the payload field that names the organisation, and the kind of its key. */
export interface Signer {
  org: string
  key: KeyRole
  /** The field lists organisations: each of them signs, in its order. */
  each?: true
}

export interface RecordType<P = Payload> {
  t: string
  shape: Shape<P>
  signers: Record<string, Signer>
  /** What a shape cannot say; returns why the payload is invalid. */
  rule?: (payload: P) => string | undefined
}

/**
 * The public key of an organisation for one kind: the one that a signature names by its thumbprint if it stood and is not
 * revoked, else the one that stands. `undefined` when the organisation is not known, or has none. With `state` the identity
 * is looked at as it was at that event.
 */
export type KeyResolver = (org: CID, key: KeyRole, named: Uint8Array, state?: CID) => Uint8Array | undefined

export type Verdict = { ok: true } | { ok: false; reason: string } | { ok: 'unknown'; reason: string }
/** Why something is no record of its type, or that nobody here can tell. */
export type Unread = Exclude<Verdict, { ok: true }>
const valid: Verdict = { ok: true }
const invalid = (reason: string): Verdict => ({ ok: false, reason })
const unknown = (reason: string): Verdict => ({ ok: 'unknown', reason })

/** A record read from bytes: its id, its payload, and the exact bytes that a log entry commits to. */
export interface Stored<P = Payload> {
  id: CID
  payload: P
  signatures: Signature[]
  bytes: Uint8Array
}

/** Defines a record type; `t` is part of the shape of its payload. */
export const recordType = <S extends Shape<unknown>>(definition: {
  t: string
  shape: S
  signers: Record<string, Signer>
  rule?: (payload: Infer<S>) => string | undefined
}): RecordType<Infer<S>> => definition as RecordType<Infer<S>>

/**
 * Reads a signed record of the given type from bytes: canonical, of that type and shape. Signatures are not checked.
 * Another version of the type is `unknown`, never true or false.
 */
export function readRecord<P>(type: RecordType<P>, bytes: Uint8Array): Stored<P> | Unread {
  let signed: Signed
  try {
    signed = decodeSigned(bytes)
  } catch (error) {
    if (error instanceof CryptoError) return { ok: false, reason: error.message }
    throw error
  }
  const verdict = checkPayload(type, signed.p)
  if (verdict.ok !== true) return verdict
  return { id: cidOf(payloadPart(bytes), 'dag-cbor'), payload: signed.p as P, signatures: signed.s, bytes }
}

export const isStored = <P>(read: Stored<P> | Verdict): read is Stored<P> => 'payload' in read

/** Whether a type is one that is known here, by another number. */
export const isOtherVersion = (t: Value | undefined, known: string): boolean =>
  typeof t === 'string' && isRecordType(t) && t !== known && t.split('/')[0] === known.split('/')[0]

/** Whether a payload is of the type and shape; an unknown version, algorithm or profile inside is `unknown`. */
export function checkPayload<P>(type: RecordType<P>, payload: Payload): Verdict {
  if (isOtherVersion(payload.t, type.t)) return unknown(`type ${payload.t} is not known to this version`)
  if (payload.t !== type.t) return invalid(`${payload.t} is not ${type.t}`)
  try {
    const reason = type.shape.check(payload as Value, type.t) ?? type.rule?.(payload as P)
    return reason ? invalid(reason) : valid
  } catch (error) {
    if (error instanceof Unknown) return unknown(error.message)
    throw error
  }
}

/**
 * Checks the signature set of a record against its type: every role at most once, in the order of the table, each by the
 * key of the organisation that the payload names. `roles` is the whole set unless a record is still to be completed.
 */
export function verifySignatures<P>(
  type: RecordType<P>,
  stored: Stored<P>,
  keys: KeyResolver,
  roles: string[] = Object.keys(type.signers),
): Verdict {
  const due = roles.flatMap(role => signersOf(type, stored.payload, role))
  const found = stored.signatures.map(signature => signature.r)
  const wanted = due.map(({ role }) => role)
  if (found.join() !== wanted.join())
    return invalid(`signed as ${found.join(', ') || 'nobody'}, not as ${wanted.join(', ')}`)
  const payload = payloadPart(stored.bytes)
  for (const [i, signature] of stored.signatures.entries()) {
    if (signature.a !== 1) return unknown(`algorithm ${signature.a} is not known to this version`)
    const { org, role } = due[i]!
    const kind = type.signers[role]!.key
    const key = keys(org, kind, signature.k)
    if (!key) return unknown(`the ${kind} key of ${org} is not known`)
    if (!verifySignature(type.t, payload, signature, key))
      return invalid(`the signature of ${signature.r} does not verify`)
  }
  return valid
}

/** The organisations that sign in a role, as the payload names them. */
function signersOf<P>(type: RecordType<P>, payload: P, role: string): { role: string; org: CID }[] {
  const { org, each } = type.signers[role]!
  const named = (payload as Record<string, Value>)[org]
  return (each ? (named as unknown as CID[]) : [named as CID]).map(id => ({ role, org: id }))
}
