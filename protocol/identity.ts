/**
 * An organisation: its identity genesis names its root and admin keys with their pre-committed next keys, and the first
 * delegations, so that the root can go offline at once (RULES C1). The id of a participant is the CID of this record.
 */

import { toHex } from '../crypto/bytes.ts'
import type { Value } from '../crypto/cbor.ts'
import { keyFromSeed, type PrivateKey, thumbprint } from '../crypto/key.ts'
import { encodeSigned, recordId, signRecord } from '../crypto/statement.ts'
import { Unknown } from './error.ts'
import { MAX_NAME_LENGTH } from './limits.ts'
import { type KeyRole, recordType, type Stored, type Verdict, verifySignatures } from './record.ts'
import { bytes, type Infer, isPlain, object, type Shape, text, uint } from './shape.ts'

const keyFields = object({ a: uint, k: bytes(32) })
/** A public key with its algorithm: 1 is Ed25519 under the strict rule, 2 is kept for ML-DSA-44. */
export const publicKey: Shape<{ a: number; k: Uint8Array }> = {
  ...keyFields,
  check(value, at) {
    if (isPlain(value) && Number.isSafeInteger(value.a) && value.a !== 1)
      throw new Unknown(`${at}: algorithm ${value.a} is not known to this version`)
    return keyFields.check(value, at)
  },
}

/** A delegated key; `until` in ms since 1970. */
export const delegation = {
  fields: { ...keyFields.fields, until: uint },
  check(value: Value | undefined, at: string) {
    if (!isPlain(value)) return `${at} is not an object`
    const { until, ...key } = value
    return publicKey.check(key, at) ?? uint.check(until, `${at}.until`)
  },
} as Shape<{ a: number; k: Uint8Array; until: number }>

export const DELEGATED = ['log', 'operation', 'witness', 'node'] as const
export type Delegated = (typeof DELEGATED)[number]

export const isDelegated = (role: string): role is Delegated => DELEGATED.includes(role as Delegated)

const shape = object({
  t: text(32),
  name: text(MAX_NAME_LENGTH),
  nonce: bytes(16),
  /** Claimed time of making, ms since 1970. */
  made: uint,
  root: publicKey,
  /** Thumbprint of the pre-committed next root key. */
  rootNext: bytes(32),
  admin: publicKey,
  adminNext: bytes(32),
  keys: object({ log: delegation, operation: delegation, witness: delegation, node: delegation }),
  /** Parameters of the first log, which has no other freedom: its genesis follows from this record (RULES C2). */
  log: object({ retentionDays: uint }),
})
export type Identity = Infer<typeof shape>

/** Each key named signs in its own role: no key can be claimed that its holder did not bring (RULES B3). */
export const identityGenesis = recordType({
  t: 'id/1',
  shape,
  signers: Object.fromEntries(
    (['root', 'admin', ...DELEGATED] as const).map(key => [key, { org: 'self', key }]),
  ) as Record<KeyRole, { org: string; key: KeyRole }>,
  rule(identity) {
    const held = [identity.root, identity.admin, ...Object.values(identity.keys)].map(key =>
      thumbprint(key.k),
    )
    const names = [...held, identity.rootNext, identity.adminNext].map(toHex)
    return new Set(names).size === names.length ? undefined : 'a key stands twice'
  },
})

/** The seeds an organisation starts with, 32 bytes each. */
export interface IdentitySeeds extends Record<KeyRole, Uint8Array> {
  rootNext: Uint8Array
  adminNext: Uint8Array
}

/** Makes and signs an identity genesis; `untilMs` ends the delegations. */
export function makeIdentity(
  seeds: IdentitySeeds,
  about: { name: string; nonce: Uint8Array; madeMs: number; untilMs: number; retentionDays: number },
): Stored<Identity> {
  const key = (role: keyof IdentitySeeds): PrivateKey => keyFromSeed(seeds[role])
  const named = (role: KeyRole) => ({ a: 1, k: key(role).public })
  const delegated = (role: Delegated) => ({ ...named(role), until: about.untilMs })
  const payload: Identity = {
    t: 'id/1',
    name: about.name,
    nonce: about.nonce,
    made: about.madeMs,
    root: named('root'),
    rootNext: thumbprint(key('rootNext').public),
    admin: named('admin'),
    adminNext: thumbprint(key('adminNext').public),
    keys: {
      log: delegated('log'),
      operation: delegated('operation'),
      witness: delegated('witness'),
      node: delegated('node'),
    },
    log: { retentionDays: about.retentionDays },
  }
  const s = Object.keys(identityGenesis.signers).map(role => signRecord(payload, role, key(role as KeyRole)))
  return { id: recordId(payload), bytes: encodeSigned({ p: payload, s }), payload, signatures: s }
}

/** The public key of an identity for a role. */
export function keyOf(identity: Identity, role: KeyRole): Uint8Array {
  return role === 'root' || role === 'admin' ? identity[role].k : identity.keys[role].k
}

/** Checks a genesis against itself: every key signed, as itself. */
export function verifyIdentity(stored: Stored<Identity>): Verdict {
  return verifySignatures(identityGenesis, stored, (_org, role) => keyOf(stored.payload, role))
}

/** Name of a cosigner in signed notes: organisation and key epoch, 0 for the keys of the genesis (RULES B3). */
export const cosignerName = (org: string, epoch = 0): string => `${org}/${epoch}`
