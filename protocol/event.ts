/**
 * What leaves a machine for this side of the wire: news for the operator, and work asked of the driver, which reports
 * back as input. Both wait for durability like sends (RULES A1).
 */
import type { CID } from '../crypto/cid.ts'
import type { ShownCommittees } from './committee-record.ts'
import type { ProtocolCode } from './error.ts'
import type { Renewal } from './renewal.ts'

export type Event =
  /** A negotiation moved; `state` is the Dataspace Protocol's. */
  | { type: 'negotiation'; machine: string; org: string; role: Role; state: string; waitsFor?: 'person' }
  | { type: 'transfer'; machine: string; org: string; role: Role; state: string }
  | { type: 'delivery'; machine: string; org: string; state: string; packet: string }
  | { type: 'paired'; org: string; name: string }
  /** A partner told new addresses or witnesses. */
  | { type: 'partner'; org: string }
  /** Event `n` continued the own identity. */
  | { type: 'identity'; n: number }
  | { type: 'head'; size: number }
  /** `timeS` is the witness's clock, in Unix seconds. */
  | { type: 'cosigned'; org: string; size: number; timeS: number }
  | { type: 'seen'; org: string; size: number }
  /** A committee of the own log came into force. */
  | { type: 'committee'; number: number }
  /** A partner asks for a seat, and a person decides. */
  | { type: 'seat'; org: string }
  /** A committee of assets moved: asked for, signed, whole; or a partner asks for a seat and a person decides. */
  | { type: 'jury'; id: string; waitsFor?: 'person' }
  /** A hand-over or registration moved, or is offered and waits for a person. */
  | { type: 'order'; machine: string; state: string; waitsFor?: 'person' }
  /** A certified step of who owns an asset came here. */
  | { type: 'owner'; asset: CID; version: number }
  /** A seat has answered whether a version is still the last; without a record it has not said so. */
  | { type: 'fresh'; org: string; id: string; fresh?: Uint8Array; text?: string }
  /** An owner signed two orders of one version. */
  | { type: 'frozen'; asset: CID }
  /** So many votes were cast by this store. */
  | { type: 'votes'; count: number }
  /** Members hold heads that the own log does not have: the node only reads from here on. */
  | { type: 'behind'; size: number }
  /** The entries that this store lacked have come back from a mirror: the log goes on from this head. */
  | { type: 'recovered'; size: number }
  /** All entries of a partner's log up to this size are here. */
  | { type: 'mirrored'; org: string; size: number }
  /** A log is proven to have two histories: it is closed from here on. */
  | { type: 'forked'; org: string; size: number }
  /** An identity is proven to have two events of number `n`. */
  | { type: 'identity-forked'; org: string; n: number }
  /** A partner knows `events` events of the own identity, more than this store has. */
  | { type: 'identity-behind'; org: string; events: number }
  | { type: 'catalog'; org: string; id: string; count: number; complete: boolean }
  | { type: 'proofs'; org: string; id: string; reply: ProofReply }
  /** A record was redacted, by this signed word; of a packet, the content under `root` goes too. */
  | { type: 'redacted'; record: CID; word: Uint8Array; root?: CID }
  /** A holder that was asked to erase a record has answered. */
  | { type: 'holder'; org: string; record: CID; outcome: 'erased' | 'kept' | 'missing' }
  /** A peer broke a rule; the driver logs it and may close the connection. */
  | { type: 'violation'; org: string; code: ProtocolCode; text: string }
  | Ask

/** Work that a machine asks of the driver. */
export type Ask =
  /**
   * Read entries [from, to) of the log of this number back from the store and hand them in as `leaves` (RULES A4); a question
   * about a log that is closed by then, or was cut, has no answer.
   */
  | { type: 'ask-leaves'; log: number; from: number; to: number }
  /** Read a page of keys and hand it in as `page` to the machine. */
  | { type: 'ask-page'; machine: string; prefix: string; after?: string; limit: number }
  /** POST `body` to a witness over HTTP, then hand in `posted`, with status 0 when no answer came. */
  | { type: 'ask-post'; machine: string; url: string; body: Uint8Array }
  /** Fetch, verify and store the ciphertext of a root, then hand in `fetched`. */
  | {
      type: 'ask-fetch'
      machine: string
      org: string
      agreement: string
      packet: string
      root: CID
      rootBytes: Uint8Array
    }
  /** Open a release and check the content it opens, then hand in `opened`. */
  | {
      type: 'ask-open'
      machine: string
      oneTime: string
      enc: Uint8Array
      ct: Uint8Array
      info: Uint8Array
      root: CID
      digest: Uint8Array
    }
  /** A partner asks for a record to be erased: look for what rests on it, and hand in the command `redact`. */
  | { type: 'ask-redact'; org: string; record: CID; reason: string }
  /** Own records were redacted by these signed words, and this store does not know it: look for them, and hand in `erase`. */
  | { type: 'ask-erase'; words: Uint8Array[] }
  /** Check what a rejection says by opening the release with the key that it discloses, then hand in `judged`. */
  | {
      type: 'ask-judge'
      machine: string
      receipt: Uint8Array
      oneTimePrivate: Uint8Array
      enc: Uint8Array
      ct: Uint8Array
      info: Uint8Array
      root: CID
      digest: Uint8Array
      reason: string
      block?: number
    }

export type Role = 'provider' | 'consumer'

/** Proofs of entries of one log, under one head. */
export interface ProofReply {
  note?: string
  /** Without a path where no head that may be shown covers the entry yet. */
  entries: { record: CID; entry: Uint8Array; salt?: Uint8Array; path?: Uint8Array[] }[]
  /** The words by which records among them were redacted. */
  redactions?: Uint8Array[]
  /** The first state entry after each of them. */
  states: { entry: Uint8Array; path: Uint8Array[] }[]
  /** Identity geneses of the witnesses that the log's owner names, as signed records. */
  witnesses: Uint8Array[]
  /** Identity events of the log's owner and of these witnesses. */
  events: Uint8Array[]
  /** Committees of the owner's logs: each record, the entry that names it, and the head by which it came into force. */
  committees?: ShownCommittees
  /** A newer head that is cosigned by keys that stand, and the way there from the head that was named. */
  renewal?: Renewal
  /** A record that was asked for is not under a signed head yet. */
  pending: boolean
}
