/** Every code that a person can meet, with the exit code of the command that met it and what to do next. */
import type { CryptoCode } from '../../crypto/error.ts'
import type { ContentErrorCode } from '../../node/content-error.ts'
import type { KeystoreErrorCode } from '../../node/keystore.ts'
import type { NetworkErrorCode } from '../../node/network-error.ts'
import type { StoreErrorCode } from '../../node/store.ts'
import type { ProtocolCode } from '../../protocol/error.ts'

/** What exit codes mean. Scripts rely on them: they never change. */
export const EXIT = {
  ok: 0,
  unexpected: 1,
  usage: 2,
  notRunning: 3,
  notFound: 4,
  denied: 5,
  failed: 6,
  inconclusive: 7,
  timeout: 8,
  conflict: 9,
  damaged: 10,
  interrupted: 130,
} as const

/** What a verdict ends a command with. */
export const EXITS = { verified: EXIT.ok, failed: EXIT.failed, inconclusive: EXIT.inconclusive } as const

export const MEANING: Record<number, string> = {
  0: 'ok',
  1: 'unexpected error',
  2: 'wrong use',
  3: 'the daemon is not running or cannot be reached',
  4: 'not found',
  5: 'denied by policy, or not approved',
  6: 'verification failed: the evidence says false',
  7: 'verification inconclusive: evidence or trust is missing',
  8: 'timeout, or the partner is offline',
  9: 'conflict, or locked',
  10: 'integrity error in the local store',
  130: 'interrupted',
}

type Known =
  | ProtocolCode
  | CryptoCode
  | ContentErrorCode
  | KeystoreErrorCode
  | NetworkErrorCode
  | StoreErrorCode
  | 'HOME_LOCKED'

const { unexpected, usage, notRunning, notFound, denied, failed, inconclusive, timeout, conflict, damaged } =
  EXIT
type Row = [exit: number, next?: string]

const wrongRecord: Row = [denied, 'waybill requests']
const badStore: Row = [damaged, 'waybill status']
const badEvidence: Row = [failed, 'ask for the evidence again: waybill export AGREEMENT -o FILE']

const CODES = {
  // Of the command line and the client.
  USAGE: [usage, 'waybill --help'],
  INPUT_REQUIRED: [usage, 'answer on a terminal, or with a flag: see --help'],
  TRUST_REQUIRED: [usage, 'waybill verify FILE --trust FILE'],
  FILE_NOT_FOUND: [notFound, 'look at the path'],
  FILE_EXISTS: [conflict, 'choose another path, or overwrite with --force'],
  NOTHING_TO_EXPORT: [notFound, 'waybill receipts'],
  NOTHING_TO_RENEW: [notFound, 'waybill partners'],
  DELIVERY_FAILED: [damaged, 'waybill receipts --deliveries'],
  DAEMON_UNREACHABLE: [notRunning, 'waybill up --detach'],
  ANSWER_INVALID: [notRunning, 'waybill down, then waybill up --detach'],
  UNAUTHORIZED: [notRunning, 'run as the user who owns the home'],
  CLOSED: [notRunning, 'run it again'],
  INTERNAL: [unexpected, 'report it with WAYBILL_TRACE=1, which prints where it happened'],
  INTERRUPTED: [EXIT.interrupted, 'run it again to go on'],
  // Of the daemon.
  HOME_LOCKED: [conflict, 'waybill status'],
  HOME_MISSING: [usage, 'waybill up --name "YOUR COMPANY"'],
  HOME_DAMAGED: badStore,
  CONFIG_INVALID: [usage, 'waybill paths'],
  CONFLICT: [conflict, 'run it again'],
  STOPPED: [notRunning, 'waybill up --detach'],
  STORE_INCONSISTENT: badStore,
  WRONG_HOST: [notRunning, 'waybill status'],
  // Of the protocol.
  LOG_CLOSED: [denied, 'waybill forks'],
  LOG_REGISTERED: [conflict, 'waybill log succeed'],
  COMMITTEE_PINNED: [denied, 'talk to the partner: its log began with another committee'],
  BACKUP_DAMAGED: [failed, 'use another backup'],
  BACKUP_KEY: [usage, 'waybill restore FILE --passphrase-file FILE, or --identity FILE'],
  HOME_EXISTS: [conflict, 'waybill --home EMPTY_FOLDER restore FILE'],
  HOME_RESTORED: [denied, 'waybill up, then waybill status'],
  BODY_KEYS_DAMAGED: badStore,
  RESTORED_UNWITNESSED: [
    damaged,
    'waybill status; start the home that this is a copy of, or, if it was only moved: waybill restore --moved',
  ],
  RESTORED_BEHIND: [
    damaged,
    'stop this node and start the newer home; where that is lost: waybill log recover',
  ],
  REGISTERED_ONCE: [failed, 'ask the owner to open both: waybill assets disclose ASSET -o FILE'],
  FORK_UNPROVEN: [failed, 'ask for the proof again: waybill forks -o DIRECTORY'],
  QUOTA_EXCEEDED: [conflict, 'waybill witness show'],
  CONTENT_TOO_LARGE: [usage, 'split the file'],
  UNKNOWN_VERSION: [inconclusive, 'use a newer version of waybill'],
  MALFORMED: [usage, 'waybill --help'],
  NOT_FOUND: [notFound, 'waybill offers, waybill requests or waybill receipts list what there is'],
  NOT_ADMITTED: [denied, 'waybill partners'],
  TICKET_UNKNOWN: [notFound, 'ask your partner for a new ticket: waybill invite'],
  TICKET_EXPIRED: [denied, 'ask your partner for a new ticket: waybill invite'],
  TICKET_MALFORMED: [usage, 'copy the whole ticket, from wb1 to its last character'],
  POLICY_DENIED: [denied, 'waybill offers'],
  DENIED_BY_PERSON: [denied, 'talk to your partner, then ask again'],
  CLOCK_BEHIND: [conflict, 'set the clock of this machine'],
  OUT_OF_ORDER: [conflict, 'waybill status'],
  UNKNOWN_DIALOGUE: [notFound, 'waybill requests'],
  OFFER_UNKNOWN: [notFound, 'waybill offers'],
  OFFER_EXPIRED: [denied, 'ask your partner for a new offer'],
  AGREEMENT_UNKNOWN: [notFound, 'waybill receipts --consents'],
  AGREEMENT_MISMATCH: wrongRecord,
  AGREEMENT_ENDED: [denied, 'waybill offers'],
  IN_FORCE: [denied, 'redact it when nothing in force rests on it'],
  NOT_REDACTABLE: [denied, 'waybill log'],
  SIGNED_TOO_LATE: [denied, 'ask again'],
  WITHDRAWN: [denied, 'ask again'],
  TERMINATED: [denied, 'waybill requests'],
  SIGNATURE_INVALID: [failed, 'let it be signed again, by a key that stands'],
  RECORD_INVALID: wrongRecord,
  RELEASE_INVALID: wrongRecord,
  REJECTION_UNPROVEN: wrongRecord,
  HEAD_INVALID: badEvidence,
  HEAD_BEHIND: [conflict, 'waybill status'],
  HEAD_INCONSISTENT: badEvidence,
  ENTRIES_INVALID: badEvidence,
  TIMED_OUT: [timeout, 'run it again to go on'],
  EVIDENCE_MALFORMED: badEvidence,
  TRUST_MALFORMED: [usage, 'waybill trust > trust.json writes a good one'],
  KEY_UNCOMMITTED: [failed, 'ask the organisation for its identity again'],
  KEY_REUSED: [failed, 'waybill keys rotate draws keys that nobody has'],
  KEY_UNKNOWN: [notFound, 'waybill keys show'],
  KEY_EXPIRED: [conflict, 'waybill keys rotate'],
  EVENT_SKIPPED: [inconclusive, 'ask for the missing identity events'],
  EVENT_UNLINKED: [failed, 'ask for the identity events again'],
  EVENT_REPLAYED: [conflict, 'waybill keys show'],
  IDENTITY_BEHIND: [
    damaged,
    'restore a newer backup, or, where there is none: waybill keys adopt; a second event of one number would fork the identity',
  ],
  IDENTITY_FORKED: [failed, 'talk to the organisation before you trust anything it signs'],
  // Of ownership.
  CERTIFICATE_INVALID: [
    failed,
    'ask the seats of the committee for their votes again; what was bought names the hand-over by which you came to own it',
  ],
  COMMITTEE_INVALID: [failed, 'ask the owner for the committee that every seat signed'],
  NOT_OWNER: [failed, 'ask the owner'],
  OWNER_UNPROVEN: [denied, 'pair with the seats of the committee, or ask again later'],
  EQUIVOCATION_UNPROVEN: [failed, 'waybill owner ASSET'],
  ASSET_FROZEN: [failed, 'waybill owner ASSET'],
  KEY_STATE_PASSED: [denied, 'waybill keys, and let it be written again with the keys of now'],
  MODE_WEAKER: [denied, 'waybill handover accept ORDER --mode MODE, if that is good enough'],
  STORE_UNPROVEN: [denied, 'waybill status, on the node of the seat'],
  PARTY_SEATED: [denied, 'name a committee without seats of the parties'],
  SEAT_LOST: [denied, 'waybill committee; what is not registered yet may name another one'],
  SEAT_UNKNOWN: [notFound, 'ask the seats that the committee names'],
  VERSION_PASSED: [conflict, 'ask for the asset as it stands now'],
  VOTED_OTHERWISE: [conflict, 'look at the two orders: their signer has frozen its asset'],
  // Of the content.
  NOT_A_FILE: [usage, 'name files, or directories with --recursive'],
  SOURCE_UNREADABLE: [notFound, 'look at the path and its permissions'],
  SOURCE_CHANGED: [conflict, 'publish the file when it is no longer being written'],
  DISK_FULL: [unexpected, 'make room on the disk of the home (waybill paths), then run it again'],
  CONTENT_MISSING: [notFound, 'waybill receipts --deliveries'],
  CONTENT_DAMAGED: badStore,
  CONTENT_INCOMPLETE: [conflict, 'run it again to go on'],
  CONTENT_BUSY: [conflict, 'run it again'],
  DIGESTS_MISSING: badStore,
  DIGESTS_MISMATCH: badStore,
  BLOCK_MISMATCH: badStore,
  BLOCK_NOT_AUTHENTIC: badStore,
  KEY_MISMATCH: badStore,
  // Of the keys and the store.
  KEYS_MISSING: badStore,
  KEYS_EXIST: [conflict, 'waybill up'],
  KEYS_PERMISSIONS: [usage, 'chmod -R go-rwx HOME'],
  KEYS_PASSPHRASE: [usage, 'waybill up --passphrase-file FILE'],
  KEYS_DAMAGED: badStore,
  SECRET_DAMAGED: badStore,
  STORE_MISSING: badStore,
  STORE_LOCKED: [conflict, 'waybill status'],
  STORE_DAMAGED: badStore,
  STORE_FAILED: [damaged, 'look whether the disk is full or broken, then: waybill up'],
  STORE_CLOSED: [notRunning, 'waybill up --detach'],
  // Of the network.
  ADDRESS_IN_USE: [conflict, 'waybill up --listen /ip4/127.0.0.1/tcp/PORT'],
  ADDRESS_UNUSABLE: [usage, 'waybill up --listen /ip4/127.0.0.1/tcp/PORT'],
  FRAME_INVALID: [unexpected],
  FRAME_TOO_LARGE: [unexpected],
  NETWORK_STOPPED: [notRunning, 'waybill up --detach'],
  PEER_NOT_ADMITTED: [denied, 'waybill partners'],
  PEER_UNREACHABLE: [timeout, 'waybill partners'],
  REMOTE_ERROR: [timeout, 'run it again'],
  STREAM_CLOSED: [timeout, 'run it again'],
  TIMEOUT: [timeout, 'run it again'],
  // Of encodings: what was read is not what it should be.
  TEXT_INVALID: [usage],
  CBOR_INVALID: [usage],
  CBOR_TOO_LARGE: [usage],
  CBOR_TOO_DEEP: [usage],
  CBOR_NOT_CANONICAL: [usage],
  CBOR_FLOAT: [usage],
  CBOR_INTEGER_RANGE: [usage],
  CID_UNSUPPORTED: [usage],
  KEY_INVALID: [
    usage,
    'a verifier key is one line, NAME+HASH+KEY, as its owner publishes it: waybill witness show has ours',
  ],
  STATEMENT_MALFORMED: [usage],
  NOTE_MALFORMED: [usage],
  CHECKPOINT_MALFORMED: [usage],
  PROOF_INVALID: badEvidence,
  SEAL_NOT_AUTHENTIC: badStore,
  RUNTIME_DISAGREES: [unexpected, 'use Node.js 24 as it is published'],
  // Of the operating system.
  ENOENT: [notFound, 'look at the path'],
  EACCES: [unexpected, 'look at the permissions'],
  EPERM: [unexpected, 'look at the permissions'],
  ENOSPC: [unexpected, 'make room on the disk'],
  EISDIR: [usage, 'name a file'],
  ENOTDIR: [usage, 'look at the path'],
  EEXIST: [conflict, 'choose another path'],
  EADDRINUSE: [conflict, 'waybill up --api PORT'],
} satisfies Record<Known, Row> & Record<string, Row>

const ROWS: Record<string, Row | undefined> = CODES

/** Every code, in the order of the table. */
export const codes = (): string[] => Object.keys(CODES)

/** The exit code of a code; one that is not known is judged by the HTTP status that came with it. */
export function exitOf(code: string, status?: number): number {
  return ROWS[code]?.[0] ?? (status === undefined ? unexpected : exitOfStatus(status))
}

/** What to do next, where the code alone says it. */
export const nextOf = (code: string): string | undefined => ROWS[code]?.[1]

function exitOfStatus(status: number): number {
  if (status === 404 || status === 410) return notFound
  if (status === 403) return denied
  if (status === 401 || status === 503) return notRunning
  if (status === 409 || status === 423) return conflict
  if (status === 408 || status === 504) return timeout
  return status >= 400 && status < 500 ? usage : unexpected
}
