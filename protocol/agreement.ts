/**
 * Offer and agreement. An agreement is the usage-consent record: the policy that both accepted, signed by both over one
 * id, with nonces of both sides, both key states and a time by which the second must sign (RULES F1).
 */

import { equal } from '../crypto/bytes.ts'
import { encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { MAX_AUDIENCE, MAX_NAME_LENGTH, MAX_REASONS, MAX_WORD_LENGTH } from './limits.ts'
import { policyShape } from './policy.ts'
import { recordType } from './record.ts'
import { bytes, type Infer, link, list, object, oneOf, optional, text, uint } from './shape.ts'

const word = text(MAX_WORD_LENGTH)
/** A price in minor units of a currency, or free. */
const price = object({ amount: uint, currency: text(8) })
/** Who may revoke, for which reasons, with what notice. */
const revocation = object({
  by: list(oneOf('assigner', 'assignee'), 2),
  reasons: list(word, MAX_REASONS),
  noticeMs: uint,
})
const legal = object({ basis: word, jurisdiction: word })

const offerShape = object({
  t: text(32),
  org: link,
  asset: link,
  ownerVersion: uint,
  /** The order that made this owner version, where the asset is registered (RULES E6). */
  order: optional(link),
  /** Organisations that may see the offer; empty means every partner. */
  audience: list(link, MAX_AUDIENCE),
  policy: policyShape,
  price: optional(price),
  /** Whether a person decides on each request. */
  approval: oneOf('person', 'policy'),
  from: uint,
  until: uint,
  maxStaleMs: uint,
  revocation,
  legal: optional(legal),
  notice: optional(text(MAX_NAME_LENGTH)),
  made: uint,
  nonce: bytes(16),
})
export type Offer = Infer<typeof offerShape>
export const offer = recordType({
  t: 'offer/1',
  shape: offerShape,
  signers: { provider: { org: 'org', key: 'operation' } },
  rule: payload => (payload.from < payload.until ? undefined : 'offer/1.until is not after from'),
})

const agreementShape = object({
  t: text(32),
  offer: link,
  asset: link,
  ownerVersion: uint,
  order: optional(link),
  assigner: link,
  assignee: link,
  /** The key state each side signs under: the last event of its identity chain (RULES C3). */
  assignerState: link,
  assigneeState: link,
  policy: policyShape,
  price: optional(price),
  action: word,
  purpose: word,
  from: uint,
  until: uint,
  assignerNonce: bytes(16),
  assigneeNonce: bytes(16),
  signBy: uint,
  maxStaleMs: uint,
  revocation,
  legal: optional(legal),
  notice: optional(text(MAX_NAME_LENGTH)),
})
export type Agreement = Infer<typeof agreementShape>
export const agreement = recordType({
  t: 'agreement/1',
  shape: agreementShape,
  signers: {
    assigner: { org: 'assigner', key: 'operation' },
    assignee: { org: 'assignee', key: 'operation' },
  },
  rule: payload =>
    payload.from < payload.until
      ? payload.assigner.equals(payload.assignee)
        ? 'assigner and assignee are one organisation'
        : undefined
      : 'agreement/1.until is not after from',
})

const withdrawShape = object({
  t: text(32),
  org: link,
  assignee: link,
  agreement: link,
  reason: text(MAX_NAME_LENGTH),
  made: uint,
})
/** The first signer takes its half-signed agreement back before the second has signed (RULES F1). */
export const withdraw = recordType({
  t: 'withdraw/1',
  shape: withdrawShape,
  signers: { assigner: { org: 'org', key: 'operation' } },
})

/** What the consumer asks for, and what only the two sides can add. */
export interface Terms {
  offerId: CID
  assignee: CID
  assignerState: CID
  assigneeState: CID
  action: string
  purpose: string
  assignerNonce: Uint8Array
  assigneeNonce: Uint8Array
  signByMs: number
  fromMs: number
}

/** The agreement that an offer leads to under the terms asked: everything else is copied from the offer. */
export function draft(offered: Offer, terms: Terms): Agreement {
  const { price: cost, legal: basis, notice, order } = offered
  return {
    t: 'agreement/1',
    offer: terms.offerId,
    asset: offered.asset,
    ownerVersion: offered.ownerVersion,
    assigner: offered.org,
    assignee: terms.assignee,
    assignerState: terms.assignerState,
    assigneeState: terms.assigneeState,
    policy: offered.policy,
    action: terms.action,
    purpose: terms.purpose,
    from: terms.fromMs,
    until: offered.until,
    assignerNonce: terms.assignerNonce,
    assigneeNonce: terms.assigneeNonce,
    signBy: terms.signByMs,
    maxStaleMs: offered.maxStaleMs,
    revocation: offered.revocation,
    ...(cost ? { price: cost } : {}),
    ...(basis ? { legal: basis } : {}),
    ...(notice ? { notice } : {}),
    ...(order ? { order } : {}),
  }
}

/** Whether two records say the same, byte for byte. */
export const samePayload = (a: Value, b: Value): boolean => equal(encode(a), encode(b))
