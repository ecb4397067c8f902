/**
 * A participant's append-only log: a hash chain (`p`) and an RFC 6962 tree over the same entries, heads as C2SP
 * checkpoints. Business content stands in it as a salted commitment to the exact signed bytes (RULES B1).
 */
import { equal, text as text8, toHex, utf8 } from '../crypto/bytes.ts'
import { decode, type Value, writeUint } from '../crypto/cbor.ts'
import { type Checkpoint, formatCheckpoint, parseCheckpoint } from '../crypto/checkpoint.ts'
import { digestOf } from '../crypto/cid.ts'
import { ENTRY_COMMITMENT } from '../crypto/domain.ts'
import { CryptoError } from '../crypto/error.ts'
import { hmac, sha256 } from '../crypto/hash.ts'
import {
  appendLeaf,
  type CompactRange,
  emptyRange,
  leafHash,
  type NodeSink,
  rootOf,
} from '../crypto/merkle.ts'
import { type Note, parseNote, verifyNote } from '../crypto/note.ts'
import { type Chain, everStood, type Standing } from './identity-chain.ts'
import { MAX_ENTRY_BYTES } from './limits.ts'
import { bytes, type Infer, list, object, optional, uint } from './shape.ts'

/** Origin of a log in its checkpoints: of the active one, unless another number is given. */
export const originOf = ({ logs }: Pick<Chain, 'logs'>, number: number = logs.length - 1): string =>
  `waybill.log/${logs[number]!.toString()}`

/** How what is kept of a log is found: its origin can be any text. */
export const originHash = (origin: string): string => toHex(sha256(utf8(origin)))

/** Kinds of entry: 0 commits to a record, or pads; 8 opens the log, 9 says what holds at a head, 10 names a committee. */
export const KIND = { record: 0, genesis: 8, state: 9, committee: 10 } as const

export const entryShape = object({
  v: uint,
  n: uint,
  /** Leaf hash of entry n - 1; zeros for the first. */
  p: bytes(32),
  k: uint,
  /** Claimed time, ms since 1970; never orders anything. */
  t: uint,
  /** HMAC-SHA-256 of the signed bytes under a salt of 32 bytes. */
  c: bytes(32),
  x: optional(list(bytes(32), 8)),
})
export type Entry = Infer<typeof entryShape>

export const ZERO_HASH: Uint8Array = new Uint8Array(32)

/** Commitment of an entry to the stored bytes of a signed record, signatures included. */
export const commitment = (salt: Uint8Array, signedBytes: Uint8Array): Uint8Array =>
  hmac(salt, ENTRY_COMMITMENT, sha256(signedBytes))

/** Where the log stands: everything the next append needs, O(log n) in size. */
export interface LogTail {
  range: CompactRange
  /** Leaf hash of the last entry. */
  last: Uint8Array
}
export const emptyTail = (): LogTail => ({ range: emptyRange, last: ZERO_HASH })

interface About {
  kind: number
  timeMs: number
  c: Uint8Array
  control?: Uint8Array[] | undefined
}

export interface Appended {
  tail: LogTail
  entry: Uint8Array
  index: number
  leaf: Uint8Array
}

/** Appends one entry with the commitment `c`, written into `room`; `onNode` is told the hashes of the tree. */
export function append(
  tail: LogTail,
  { kind, timeMs, c, control }: About,
  onNode?: NodeSink,
  room?: Uint8Array,
): Appended {
  const fields = { v: 1, n: tail.range.size, p: tail.last, k: kind, t: timeMs, c }
  const entry = encodeEntry(control ? { ...fields, x: control } : fields, room)
  const leaf = leafHash(entry)
  return {
    tail: { range: appendLeaf(tail.range, leaf, onNode), last: leaf },
    entry,
    index: tail.range.size,
    leaf,
  }
}

/** Bytes of an entry's six fields at most: letters, two hashes and four integers. */
const FIELD_BYTES = 1 + 6 * 2 + 2 * 34 + 4 * 9
const [CONTROL_BYTES, HASH_BYTES] = [3, 34]

/** Bytes of an entry with this control data at most. */
export const entryBytes = ({ control }: { control?: Uint8Array[] | undefined }): number =>
  FIELD_BYTES + (control ? CONTROL_BYTES + control.length * HASH_BYTES : 0)

/**
 * The DAG-CBOR of an entry, written straight out: its fields are of one letter and always in this order, and the general
 * encoder costs ten times this.
 */
export function encodeEntry(
  { c, k, n, p, t, v, x }: Entry,
  out: Uint8Array = new Uint8Array(entryBytes({ control: x })),
): Uint8Array {
  out[0] = x ? 0xa7 : 0xa6
  let at = writeHash(out, writeKey(out, 1, 'c'), c)
  at = writeUint(out, writeKey(out, at, 'k'), k)
  at = writeUint(out, writeKey(out, at, 'n'), n)
  at = writeHash(out, writeKey(out, at, 'p'), p)
  at = writeUint(out, writeKey(out, at, 't'), t)
  at = writeUint(out, writeKey(out, at, 'v'), v)
  if (x) {
    at = writeKey(out, at, 'x')
    out[at++] = 0x80 + x.length
    for (const hash of x) at = writeHash(out, at, hash)
  }
  return out.subarray(0, at)
}

function writeKey(out: Uint8Array, at: number, letter: string): number {
  out[at] = 0x61
  out[at + 1] = letter.charCodeAt(0)
  return at + 2
}

function writeHash(out: Uint8Array, at: number, hash: Uint8Array): number {
  out[at] = 0x58
  out[at + 1] = hash.length
  out.set(hash, at + 2)
  return at + HASH_BYTES
}

/** Reads an entry: canonical, closed shape, version 1; returns why not otherwise. */
export function readEntry(entryBytes: Uint8Array): Entry | { reason: string; unknown?: true } {
  try {
    const value: Value = decode(entryBytes, MAX_ENTRY_BYTES)
    const version = (value as { v?: Value } | null)?.v
    if (typeof version === 'number' && version !== 1)
      return { reason: `entry version ${version}`, unknown: true }
    const reason = entryShape.check(value, 'entry')
    return reason ? { reason } : (value as Entry)
  } catch (error) {
    if (error instanceof CryptoError) return { reason: error.message }
    throw error
  }
}

/** Digest of the id of the active log, as entry 0 names it. */
export const logDigest = ({ logs }: Chain): Uint8Array => digestOf(logs.at(-1)!)

/** Leaves read back from the store must continue the chain and give the root that is to be signed (RULES A4). */
export function readBack(from: LogTail, entries: Uint8Array[]): LogTail | { reason: string } {
  let tail = from
  for (const entryBytes of entries) {
    if (!continues(tail, entryBytes)) {
      const entry = readEntry(entryBytes)
      if ('reason' in entry) return entry
      return { reason: `entry ${entry.n} breaks the chain` }
    }
    const leaf = leafHash(entryBytes)
    tail = { range: appendLeaf(tail.range, leaf), last: leaf }
  }
  return tail
}

/** Where the kind and the number of an entry stand: behind the head of the map, `c` and a hash, and `k`. */
const KIND_AT = 1 + 2 + HASH_BYTES + 2
const NUMBER_AT = KIND_AT + 1 + 2
const numberRoom = new Uint8Array(9)

/** Whether an entry has the number and the hash that follow from where the log stood: without reading all of it. */
function continues({ range, last }: LogTail, entry: Uint8Array): boolean {
  const length = writeUint(numberRoom, 0, range.size)
  for (let i = 0; i < length; i++) if (entry[NUMBER_AT + i] !== numberRoom[i]) return false
  const at = NUMBER_AT + length + 2 + (HASH_BYTES - last.length)
  return equal(entry.subarray(at, at + last.length), last) && isEntry(entry)
}

/** The form that every entry of a Waybill log has. */
const isEntry = (entry: Uint8Array): boolean =>
  (entry[0] === 0xa6 || entry[0] === 0xa7) &&
  entry[1] === 0x61 &&
  entry[2] === 0x63 &&
  entry.length <= MAX_ENTRY_BYTES

/** The text of the checkpoint of a log at its tail. */
export const checkpointOf = (origin: string, tail: LogTail): string =>
  formatCheckpoint({ origin, size: tail.range.size, root: rootOf(tail.range) })

export interface Head extends Checkpoint {
  note: Note
  /** The log key that signed it; it may have ended since. */
  signer: Standing
  /** Number of the log; smaller than that of the active one where the log is closed. */
  log: number
}

/**
 * Reads a signed head of an organisation's log and checks the log's own signature, with the rule of key.ts or another. The
 * key may have been replaced, not revoked unless such a key `counts` too: what it is worth is for the caller to say.
 */
export function readHead(
  noteBytes: Uint8Array,
  chain: Chain,
  verify: typeof verifyNote = verifyNote,
  counts: { revoked?: boolean; closed?: boolean } = {},
): Head | { reason: string; unknown?: true } {
  try {
    const note = parseNote(text8(noteBytes))
    const checkpoint = parseCheckpoint(note.body)
    const { origin } = checkpoint
    const log = chain.logs.findLastIndex((_, number) => originOf(chain, number) === origin)
    if (log < 0) return { reason: `origin ${origin} is of no log of this organisation` }
    if (!counts.closed && log < chain.logs.length - 1)
      return { reason: `origin ${origin} is of a log that was closed` }
    const own = note.lines.filter(line => line.name === origin)
    if (own.length !== 1) return { reason: 'the head does not carry exactly one signature of its log' }
    const signer = everStood(chain, 'log')
      .filter(each => counts.revoked || each.revoked === undefined)
      .find(each => verify(note.body, own[0]!, origin, each.key))
    // By a key that is not known here, or by none.
    if (!signer) return { reason: 'the signature of the log does not verify', unknown: true }
    return { ...checkpoint, note, signer, log }
  } catch (error) {
    if (error instanceof CryptoError) return { reason: error.message }
    throw error
  }
}
