/**
 * Fork proofs: two signed heads of one log that cannot both be of an append-only log. The shape is that of Go's checksum
 * database client: the older head, the newer one, the root that the newer tree has at the older size, and the consistency
 * proof that it has it. Anybody checks it from the file alone, and it shows nothing of what the log holds.
 *
 * A consistency proof that does not hold is no such thing: anybody can send a genuine head with a wrong path.
 */
import { equal, text, utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { verifyForConviction } from '../crypto/conviction.ts'
import { verifyConsistency } from '../crypto/merkle.ts'
import { ED25519_NOTE, formatNote, isLineOf, parseNote } from '../crypto/note.ts'
import { readDocument } from './document.ts'
import { ProtocolError } from './error.ts'
import { identityGenesis } from './identity.ts'
import { type Chain, eventsOf, shownChain } from './identity-chain.ts'
import { KEY } from './layout.ts'
import {
  MAX_EVENT_BYTES,
  MAX_FORK_BYTES,
  MAX_FORKS_TOLD,
  MAX_IDENTITY_EVENTS,
  MAX_NOTE_BYTES,
  MAX_PATH,
  MAX_RECORD_BYTES,
} from './limits.ts'
import { type Head, originOf, readHead } from './log.ts'
import { type Context, type Partner, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import { nothing, type Output, type Write } from './output.ts'
import { isStored, readRecord, type Unread } from './record.ts'
import { blob, bytes, type Infer, list, object, text as word } from './shape.ts'

const shape = object({
  t: word(32),
  /** Signed identity genesis of the log's organisation. */
  identity: blob(MAX_RECORD_BYTES),
  /** Its identity events, as far as the accuser knows them. */
  events: list(blob(MAX_EVENT_BYTES), MAX_IDENTITY_EVENTS),
  /** The two heads with the log's own signature alone; `older` is not larger than `newer`. */
  older: blob(MAX_NOTE_BYTES),
  newer: blob(MAX_NOTE_BYTES),
  /** Root of the newer tree at the size of the older one. */
  root: bytes(32),
  path: list(bytes(32), MAX_PATH),
})
export type ForkProof = Infer<typeof shape>

/** What a proof convicts: the log of an organisation, from the size at which it has two histories. */
export interface Fork {
  org: CID
  name: string
  /** Its identity, as far as the accuser shows it. */
  chain: Chain
  older: Head
  newer: Head
}

const TYPE = 'fork/1'
const REPLACE_MS = 3_600_000

/**
 * Checks a proof: what it convicts, or why it convicts nobody; of a version that is not known nobody here can tell. Nor does a
 * key that has ended convict, by the proof or by what is `known` of the identity: whoever got hold of it could close the log. But for `held`,
 * the head that the owner of the log itself showed here while its key stood: no other can have slipped that in.
 */
export function readFork(proof: Uint8Array, known?: Chain, held?: Uint8Array): Fork | Unread {
  const read = readProof(proof)
  if ('reason' in read) return read
  const told = shownChain(read.identity, read.events)
  if ('reason' in told) return told
  const chain = known && known.events.length > told.events.length ? known : told
  const [older, newer] = [read.older, read.newer].map(note =>
    readHead(note, chain, convicts, { closed: true }),
  )
  if (!older || 'reason' in older) return nothingIn(`the older head: ${older?.reason}`)
  if (!newer || 'reason' in newer) return nothingIn(`the newer head: ${newer?.reason}`)
  const body = held && parseNote(text(held)).body
  if ([older, newer].some(({ signer, note }) => signer.ended !== undefined && note.body !== body))
    return nothingIn('the log key that signed a head has ended')
  if (older.log !== newer.log) return nothingIn('the two heads are of two logs')
  if (!contradict(older, newer, read)) return nothingIn('the two heads do not contradict each other')
  const { id, payload } = told.genesis
  return { org: id, name: payload.name, chain, older, newer }
}

const readProof = (proof: Uint8Array): ForkProof | Unread => readDocument(proof, MAX_FORK_BYTES, TYPE, shape)

/** Why a proof convicts nobody. */
export const nothingIn = (reason: string): Unread => ({ ok: false, reason })

/** What to call it that a proof convicts nobody: of a version that is not known that cannot be said for ever. */
export const codeOf = ({ ok }: Unread): 'UNKNOWN_VERSION' | 'FORK_UNPROVEN' =>
  ok === 'unknown' ? 'UNKNOWN_VERSION' : 'FORK_UNPROVEN'

function contradict(older: Head, newer: Head, { root, path }: ForkProof): boolean {
  if (older.size === 0 || older.size > newer.size || equal(root, older.root)) return false
  if (older.size === newer.size) return equal(root, newer.root) && path.length === 0
  return verifyConsistency({ oldSize: older.size, oldRoot: root, size: newer.size, root: newer.root, path })
}

/** Makes the proof, or `undefined` when it would prove nothing. `root` and `path` are of the newer tree. */
export function proveFork(
  partner: Pick<Partner, 'id' | 'identity' | 'identityBytes' | 'chain'>,
  a: Uint8Array,
  b: Uint8Array,
  newerTree: { root: Uint8Array; path: Uint8Array[] },
  held?: Uint8Array,
): Uint8Array | undefined {
  const origin = originOf(partner.chain)
  const [older, newer] = [a, b].map(note => onlyLog(note, origin)) as [Uint8Array, Uint8Array]
  const events = eventsOf(partner.chain)
  const value = { t: TYPE, identity: partner.identityBytes, events, older, newer, ...newerTree }
  const proof = encode(value as unknown as Value)
  return 'reason' in readFork(proof, partner.chain, held) ? undefined : proof
}

/** A head without its cosignatures: who witnesses a log is nobody else's business. */
export function onlyLog(note: Uint8Array, origin: string): Uint8Array {
  const { body, lines } = parseNote(text(note))
  return utf8(formatNote({ body, lines: lines.filter(line => line.name === origin) }))
}

/** The signature of a log over a head, by the wider rule for convictions (RULES B4). */
const convicts: NonNullable<Parameters<typeof readHead>[2]> = (body, line, origin, key) =>
  isLineOf(line, origin, ED25519_NOTE, key) && verifyForConviction(key, utf8(body), line.signature)

/** Whether a log is proven to be forked: nothing of it is kept or cosigned any more. */
export const isClosed = (org: string, context: Pick<Context, 'get'>): boolean =>
  context.get(KEY.fork(org)) !== undefined

/** The proofs that are here, to be told. */
export const forksKnown = (context: Pick<Context, 'get'>): Uint8Array[] => toTell(closedLogs(context))

/** Every log that is closed here, also one whose proof convicts at this node only. */
export const closedLogs = (context: Pick<Context, 'get'>): Closed[] =>
  proofsKept(KEY.forks, KEY.fork, context)

/** Proofs of one kind: the list of whom there is one of, and where each lies. */
export function proofsKept(
  all: string,
  one: (org: string) => string,
  { get }: Pick<Context, 'get'>,
): Closed[] {
  const stored = get(all)
  const orgs = stored ? (decode(stored, stored.length) as string[]) : []
  return orgs.map(org => ({ org, ...readKept(get(one(org))!) }))
}

/** Those that others can check, as many of the newest as are told at once. */
export const toTell = (kept: Closed[]): Uint8Array[] =>
  kept
    .filter(({ alone }) => !alone)
    .slice(-MAX_FORKS_TOLD)
    .map(({ proof }) => proof)

export function isKept(key: string, proof: Uint8Array, { get }: Pick<Context, 'get'>): boolean {
  const stored = get(key)
  return stored !== undefined && equal(readKept(stored).proof, proof)
}

interface Kept {
  proof: Uint8Array
  /** Size of the older head: where the log has two histories at the latest. Of an identity the number of the event. */
  size: number
  at: number
  /** It convicts at this node only, by a head that nobody else knows to be from before its key ended. */
  alone?: true
}
interface Closed extends Kept {
  org: string
}
const readKept = (stored: Uint8Array): Kept => decode(stored, stored.length) as unknown as Kept

/** Keeps a proof and closes the log; nobody is told of one that others could not check. */
export function close(fork: Fork, proof: Uint8Array, context: Pick<Context, 'get' | 'now'>): Output {
  const org = fork.org.toString()
  const { older, newer } = fork
  const { size } = older
  const isAlone = [older, newer].some(({ signer }) => signer.ended !== undefined)
  const kept = { proof, size, ...(isAlone ? { alone: true as const } : {}) }
  const { writes, isNew } = keepProof({ one: KEY.fork(org), all: KEY.forks }, org, kept, context)
  return { ...nothing(), writes, events: isNew ? [{ type: 'forked', org, size }] : [] }
}

/**
 * Keeps a proof. All that agree on whom it convicts need not hold the same one: one is kept, and replaced by one of a smaller
 * size only, at most once an hour (RULES D4).
 */
export function keepProof(
  { one, all }: { one: string; all: string },
  org: string,
  found: Omit<Kept, 'at'>,
  { get, now }: Pick<Context, 'get' | 'now'>,
): { writes: Write[]; isNew: boolean } {
  const stored = get(one)
  const writes: Write[] = [{ key: one, value: encode({ ...found, at: now.wallMs }) }]
  if (stored) {
    const kept = readKept(stored)
    const isSmaller = found.size < kept.size && now.wallMs >= kept.at + REPLACE_MS
    const isBetter = kept.alone ? !found.alone : isSmaller && !found.alone
    return { writes: isBetter ? writes : [], isNew: false }
  }
  const known = get(all)
  const orgs = known ? (decode(known, known.length) as string[]) : []
  writes.push({ key: all, value: encode([...orgs, org]) })
  return { writes, isNew: true }
}

/** A proof that this home found: of a log of a partner, or of its own. Throws FORK_UNPROVEN, UNKNOWN_VERSION. */
export function found(proof: Uint8Array, context: Context): Output {
  const read = readProof(proof)
  if ('reason' in read) throw new ProtocolError(codeOf(read), read.reason)
  const org = accused(read)
  const known = org === context.self.org ? context.self.chain : org && context.partner(org)?.chain
  if (!known) throw new ProtocolError('FORK_UNPROVEN', 'it is of no log that is known here')
  const fork = readFork(proof, known)
  if ('reason' in fork) throw new ProtocolError(codeOf(fork), fork.reason)
  return isSucceeded(fork, known) ? nothing() : close(fork, proof, context)
}

/** A partner tells of a fork. Looked at only for a log that concerns this node, and only when it says something new. */
export function told(from: string, { proof }: MessageOf<'gossip/fork'>, context: Context): Output {
  const read = readProof(proof)
  if ('reason' in read) return read.ok === 'unknown' ? unproven(from, read) : nothing()
  const org = accused(read)
  if (org === undefined || (org !== context.self.org && !context.partner(org))) return nothing()
  if (isKept(KEY.fork(org), proof, context)) return nothing()
  const known = org === context.self.org ? context.self.chain : context.partner(org)!.chain
  const fork = readFork(proof, known)
  if ('reason' in fork) return unproven(from, fork)
  return isSucceeded(fork, known) ? nothing() : close(fork, proof, context)
}

/** The answer to who tells of a fork by what proves none. */
export const unproven = (from: string, unread: Unread): Output =>
  violation(from, 'gossip/fork', codeOf(unread), unread.reason).output

/** What is proven of a log that was closed says nothing of the one after it. */
const isSucceeded = ({ newer }: Fork, { logs }: Chain): boolean => newer.log < logs.length - 1

/** Whom a proof is about, before anything dear is done with it. */
export function accused({ identity }: { identity: Uint8Array }): string | undefined {
  const stored = readRecord(identityGenesis, identity)
  return isStored(stored) ? stored.id.toString() : undefined
}
