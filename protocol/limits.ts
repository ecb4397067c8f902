/** Every bound of the protocol, with its unit and its reason. */

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** A signed record, encoded; crypto/cbor.ts refuses longer ones before reading them. */
export const MAX_RECORD_BYTES = 65_536
/** Room that the first signer of a record leaves for the second. */
export const SIGNATURE_ROOM_BYTES = 512
/** Room that an offer leaves for what its agreement adds: two words, ids, nonces and two signatures. */
export const AGREEMENT_ROOM_BYTES = 4_096
/** An entry of a log: small enough for C2SP bundles, large enough for control data. */
export const MAX_ENTRY_BYTES = 4_096
/** One message between nodes: a page of records and proofs. */
export const MAX_MESSAGE_BYTES = 262_144
/** A hello or its answer: an identity with its events, and some addresses. */
export const MAX_HELLO_BYTES = 65_536
/** An event of an identity: four keys with their signatures and the admin's take 1,250 bytes. */
export const MAX_EVENT_BYTES = 1_536
/** Events of an identity: one a year for as long as keys are good, and all of them fit into a hello. */
export const MAX_IDENTITY_EVENTS = 32
/** Names and titles, in UTF-16 units: what people type, and the longest file name of common systems. */
export const MAX_NAME_LENGTH = 512
/** A code word: action, operand, purpose. */
export const MAX_WORD_LENGTH = 256
/** Rules of a policy and constraints of a rule. */
export const MAX_CLAUSES = 64
/** Organisations an offer can name one by one: with links of 40 bytes it stays within a record. */
export const MAX_AUDIENCE = 256
export const MAX_REASONS = 16
/** Packets a packet can derive from. */
export const MAX_PARENTS = 64
/** Hashes in a proof: trees of up to 2^53 leaves, twice for consistency. */
export const MAX_PATH = 107
/** Addresses and witnesses a hello may name. */
export const MAX_ADDRESSES = 16
export const MAX_WITNESSES = 32
/** Owners of one asset. */
export const MAX_OWNERS = 16
/** Seats of an asset's committee; 31 of them tolerate ten liars, and more only cost time. */
export const MAX_SEATS = 32
/** Identities of all seats as they took their seats: with the committee, an order and its parties they are one message. */
export const MAX_SEATS_BYTES = 196_608
/** Registrations that a seat takes of one owner: 1 KiB each. */
export const MAX_REGISTRATIONS = 10_000
/** Committees of assets that one partner may ask a seat in, and assets whose steps one may tell (RULES H4). */
export const MAX_SITTINGS = 64
export const MAX_TITLES = 10_000
/** Certified steps in one message: each has two identities and, where the committee is a new one, those of its seats. */
export const MAX_LINKS = 8
/** An identity and its events, of each party and seat: two committees, who sold, and the owners. */
export const MAX_SHOWN = 96
/** A certificate: a vote of each seat. */
export const MAX_CERTIFICATE_BYTES = 16_384
/** Whoever is told of a certificate and does not answer is told again so often; later it is told with the next step. */
export const MAX_TOLD = 8
/**
 * Where the seats that were asked at first have not decided an order for so long, the others are asked too: longer than a
 * certificate takes of busy seats, which more questions would make busier.
 */
export const OTHERS_ASKED_MS = 2_000
/** The buyer asks for votes itself when it has not heard of a certificate for so long. */
export const BUYER_ASKS_MS = 10_000
/** The count of votes goes into the log so long after the first of them. */
export const COUNT_BEAT_MS = 2_000
/** Lines of a signed head: one of the log, one of each witness. */
export const MAX_NOTE_BYTES = 16_384
/** Records a page carries; the page also ends at PAGE_BYTES. */
export const MAX_PAGE = 64
export const PAGE_BYTES = 196_608
/** Records one proof request may name. */
export const MAX_PROOFS = 16

/** Levels of classification (DESIGN 1): `core` is never offered outside, `important` always asks a person. */
export const CLASSIFICATION_LEVELS = ['general', 'important', 'core'] as const

/** Delegated keys of a genesis live this long; renewing them comes with identity events. */
export const DELEGATION_MS: number = 3 * 365 * DAY_MS
/** The second signature is due this long after the first. */
export const SIGN_BY_MS: number = HOUR_MS
/** A request waits this long for a person. */
export const REQUEST_MS: number = 7 * DAY_MS
/** How stale a "not revoked" may be, unless the offer says otherwise (RULES F6). */
export const MAX_STALE_MS: number = DAY_MS
/** How far a clock may lag behind the highest time seen before decisions that expire are refused (RULES A5). */
export const CLOCK_SKEW_MS: number = 5 * MINUTE_MS
/** The highest wall time seen is stored at most this often. */
export const CLOCK_STORE_MS = 1_000
/** A message without an answer is sent again after this, doubled up to the maximum. */
export const RESEND_MS = 2_000
export const RESEND_MAX_MS: number = 5 * MINUTE_MS
/**
 * A head is made this long after the first entry that it covers, give or take a half: its moment tells a witness no more
 * than in which beat something happened (RULES D8), and a busy log makes one head a beat.
 */
export const HEAD_BEAT_MS = 2_000
/** A head that the operator asks for waits this long after the last one, so that a burst gets one. */
export const HEAD_DELAY_MS = 50
/** One that a partner's request for proofs asks for: each costs up to 64 entries of disk. */
export const HEAD_DEMAND_MS = 250
/** The size of a head is a multiple of this: what a log grew by is not told more exactly (RULES D8). */
export const PAD_ENTRIES = 64
/** Partners are shown the newest head this often, if there is a new one. */
export const GOSSIP_MS = 10_000
/** Promises that a member keeps beyond what it cosigned: of each it cosigns the head when that is signed. */
export const MAX_PROMISES = 8
/** Committees of one log under which a seat gave promises that it holds, beside the one in use: none of them may be forgotten. */
export const MAX_COMMITTEES = 8
/** Entries read back for one head: 4 MiB at the usual size. */
export const MAX_LEAVES = 16_384

const KIB = 1024
const MIB = 1024 * KIB
/** Plain bytes of a block, by size of content: small enough to resume and to hold in memory, few enough to list. */
export const BLOCK_SIZES: readonly number[] = [256 * KIB, MIB, 4 * MIB]
/** Blocks of one packet: their digests, 32 bytes each, take 2 MiB and stay in memory during a transfer. */
export const MAX_BLOCKS = 65_536
/** A root header, encoded: it takes 130 bytes, and more for the largest sizes. */
export const MAX_ROOT_BYTES = 256
/** Logs that one renewal leads through. */
export const MAX_SUCCESSORS = 32
/** An evidence file: records, proofs and witnesses of one claim; content is never in it. */
export const MAX_EVIDENCE_BYTES: number = 4 * MIB
/** Entries of one evidence file: those of the records, and the state entries after them. */
export const MAX_EVIDENCE_ENTRIES = 32
/** Identity events of one evidence file: those of the parties and of the witnesses. */
export const MAX_EVIDENCE_EVENTS = 512
/** Bytes of identity events in a reply with proofs: the owner's always fit. */
export const MAX_TOLD_EVENTS_BYTES = 98_304
/** Committees of the logs of one organisation that are shown with proofs, and bytes of them in a message. */
export const MAX_SHOWN_COMMITTEES = 16
export const MAX_TOLD_COMMITTEES_BYTES = 65_536
/** Witnesses of one evidence file: those of two logs. */
export const MAX_EVIDENCE_WITNESSES: number = 2 * MAX_WITNESSES
/** A record is shown to exist this long after the state that was handed over with it: ten minutes each way (RULES C3). */
export const STAPLE_MS: number = 20 * MINUTE_MS
/** Evidence is renewed so long before the keys under it end: a partner may be away for weeks. */
export const RENEW_BEFORE_MS: number = 30 * DAY_MS
/** Words of seats say whose an asset is for so long: who shows older ones may have sold it since (RULES E6). */
export const OWNER_FRESH_MS: number = DAY_MS
/** A cosignature says what time it is for this long (RULES C3 calls ten minutes fresh). */
export const FRESH_MS: number = 10 * MINUTE_MS
/** A checkpoint of a log of another kind, extension lines included. */
export const MAX_CHECKPOINT_BYTES = 4_096
/** Logs of one organisation that are witnessed here: who loses an eighth has another trouble (RULES D2). */
export const MAX_LOGS = 8
/** Logs of other kinds that an operator may enter; each costs under 8 KiB (RULES D2). */
export const MAX_FOREIGN_LOGS = 1_024
/** Keys of one of them: an old one, a new one, and room for a mistake. */
export const MAX_LOG_KEYS = 4
/** Witnesses over HTTP that cosign the own log: a note has 64 lines, and members come first. */
export const MAX_STOCK_WITNESSES = 8
/** C2SP tlog-witness: a proof has no more lines. */
export const MAX_PROOF_LINES = 63
/** A request to cosign: a proof of 63 lines and a note of 16 KiB take a third of it. */
export const MAX_CHECKPOINT_REQUEST_BYTES: number = 64 * KIB
/** A fork proof: an identity, two heads and a path. */
export const MAX_FORK_BYTES: number = 64 * KIB
/** Fork proofs that are told at a connect: one per log, and there are few. */
export const MAX_FORKS_TOLD = 16
/** Heads of other logs that one round of gossip tells of. */
export const MAX_RUMOURS = 16
/** Logs that one message says are known: 34 KiB. */
export const MAX_LOGS_TOLD = 1_024
/** Entries that are mirrored of one organisation's log: some 50 MB (RULES H4). */
export const MAX_MIRRORED = 262_144
/** Organisations that may mirror the own log. */
export const MAX_MIRRORS = 16

/** Redactions that a partner was asked for are kept up to so many bytes of one partner, and told so many at a time. */
export const MAX_REDACTIONS_BYTES = 1_048_576
export const MAX_TOLD_REDACTIONS = 64
