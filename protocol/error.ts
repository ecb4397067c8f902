/** What can be wrong with what a peer, an operator or a file hands us. Codes are stable; messages are for people. */
export type ProtocolCode =
  | 'CONTENT_TOO_LARGE'
  | 'UNKNOWN_VERSION'
  | 'MALFORMED'
  | 'NOT_FOUND'
  | 'NOT_ADMITTED'
  | 'TICKET_UNKNOWN'
  | 'TICKET_EXPIRED'
  | 'TICKET_MALFORMED'
  | 'POLICY_DENIED'
  | 'DENIED_BY_PERSON'
  | 'CLOCK_BEHIND'
  | 'OUT_OF_ORDER'
  | 'UNKNOWN_DIALOGUE'
  | 'OFFER_UNKNOWN'
  | 'OFFER_EXPIRED'
  | 'AGREEMENT_UNKNOWN'
  | 'AGREEMENT_MISMATCH'
  | 'AGREEMENT_ENDED'
  | 'SIGNED_TOO_LATE'
  | 'WITHDRAWN'
  | 'SIGNATURE_INVALID'
  | 'RECORD_INVALID'
  | 'RELEASE_INVALID'
  | 'REJECTION_UNPROVEN'
  | 'HEAD_INVALID'
  | 'HEAD_BEHIND'
  | 'HEAD_INCONSISTENT'
  | 'ENTRIES_INVALID'
  | 'FORK_UNPROVEN'
  | 'LOG_CLOSED'
  | 'LOG_REGISTERED'
  | 'COMMITTEE_PINNED'
  | 'RESTORED_BEHIND'
  | 'RESTORED_UNWITNESSED'
  | 'TIMED_OUT'
  | 'EVIDENCE_MALFORMED'
  | 'TRUST_MALFORMED'
  | 'KEY_INVALID'
  | 'KEY_UNCOMMITTED'
  | 'KEY_REUSED'
  | 'KEY_UNKNOWN'
  | 'KEY_EXPIRED'
  | 'EVENT_SKIPPED'
  | 'EVENT_UNLINKED'
  | 'EVENT_REPLAYED'
  | 'IDENTITY_FORKED'
  | 'IDENTITY_BEHIND'
  | 'IN_FORCE'
  | 'NOT_REDACTABLE'
  | 'QUOTA_EXCEEDED'
  | 'CERTIFICATE_INVALID'
  | 'COMMITTEE_INVALID'
  | 'EQUIVOCATION_UNPROVEN'
  | 'ASSET_FROZEN'
  | 'MODE_WEAKER'
  | 'NOT_OWNER'
  | 'OWNER_UNPROVEN'
  | 'PARTY_SEATED'
  | 'KEY_STATE_PASSED'
  | 'SEAT_LOST'
  | 'SEAT_UNKNOWN'
  | 'STORE_UNPROVEN'
  | 'VERSION_PASSED'
  | 'VOTED_OTHERWISE'

/** Thrown to the operator's side of the house only; a peer's mistake is a value, never a throw through the core. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
  readonly code: ProtocolCode

  constructor(code: ProtocolCode, message: string) {
    super(message)
    this.code = code
  }
}

/** Something of a later version: neither true nor false (RULES B2). */
export class Unknown extends Error {
  override readonly name = 'Unknown'
}
