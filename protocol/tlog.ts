/**
 * A witness for logs of any kind, as C2SP tlog-witness has it over HTTP: an operator enters a log by origin and key, its
 * operator posts checkpoints with proofs, and gets cosignatures. Nothing of the log is read but sizes and roots.
 *
 *     POST add-checkpoint              404 origin not entered · 403 signature · 400 old > size, or malformed
 *       old 12                         409 another size is held: the body says which · 422 proof
 *       base64 hash, a line each       200 a cosignature line
 *       (empty line)
 *       checkpoint, signed
 *     GET <hex SHA-256 of the origin>/checkpoint     the newest checkpoint that was cosigned
 */
import { fromBase64, readU64, text, toHex, u64, utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { cosign, type ForeignCheckpoint, parseForeignCheckpoint } from '../crypto/checkpoint.ts'
import { CryptoError } from '../crypto/error.ts'
import { goodPublicKey } from '../crypto/key.ts'
import {
  ED25519_COSIGNATURE,
  ED25519_NOTE,
  formatLine,
  formatNote,
  formatVerifierKey,
  isLineOf,
  type Note,
  type NoteLine,
  parseNote,
  parseVerifierKey,
  type VerifierKey,
  verifyNote,
} from '../crypto/note.ts'
import { ProtocolError } from './error.ts'
import { type Chain, cosignerOf, isExpired, standingOf } from './identity-chain.ts'
import { KEY } from './layout.ts'
import { MAX_CHECKPOINT_BYTES, MAX_FOREIGN_LOGS, MAX_LOG_KEYS, MAX_PROOF_LINES } from './limits.ts'
import { originHash, originOf } from './log.ts'
import type { Context } from './machine.ts'
import { nothing, type Output, type Write } from './output.ts'
import { FOREIGN_LOST_TEXT, isForeignLost } from './put-back.ts'
import { EXPIRED_TEXT, extension } from './witness.ts'

/** A log that the operator entered, and the newest of its checkpoints that was cosigned. */
export interface ForeignLog {
  origin: string
  /** Keys that sign its checkpoints: several while one follows another. */
  keys: { name: string; key: Uint8Array }[]
  size: number
  /** Absent before the first checkpoint. */
  root?: Uint8Array
  note?: Uint8Array
}

/** What a witness answers over HTTP. */
export interface Reply {
  status: number
  contentType: string
  body: string
}

const HASH_BYTES = 32
const TEXT = 'text/plain; charset=utf-8'
const SIZE = 'text/x.tlog.size'

export const decodeForeign = (stored: Uint8Array): ForeignLog =>
  decode(stored, stored.length) as unknown as ForeignLog

/** The key under which this organisation cosigns, as stock clients take it. */
export function witnessKey(chain: Chain): string | undefined {
  const cosigner = cosignerOf(chain)
  return (
    cosigner && formatVerifierKey({ name: cosigner.name, type: ED25519_COSIGNATURE, publicKey: cosigner.key })
  )
}

/** The key that signs the heads of an organisation's log, as other witnesses take it. */
export function logKey(chain: Chain): string | undefined {
  const name = originOf(chain)
  const standing = standingOf(chain, 'log')
  return standing && formatVerifierKey({ name, type: ED25519_NOTE, publicKey: standing.key })
}

/**
 * Enters a log, or one more key of a log that is known. A log is never taken out again: a witness that forgot it could
 * cosign another history. Throws ProtocolError.
 */
export function accept(
  origin: string,
  verifierKey: string,
  context: Context,
): { output: Output; log: ForeignLog } {
  const { name, publicKey } = readKey(verifierKey)
  checkOrigin(origin)
  const key = KEY.foreign(originHash(origin))
  const before = context.get(key)
  const known: ForeignLog = before ? decodeForeign(before) : { origin, keys: [], size: 0 }
  const same = known.keys.some(each => each.name === name && toHex(each.key) === toHex(publicKey))
  if (same) return { output: nothing(), log: known }
  if (known.keys.length >= MAX_LOG_KEYS)
    throw new ProtocolError('QUOTA_EXCEEDED', `${origin} has ${MAX_LOG_KEYS} keys already`)
  const log = { ...known, keys: [...known.keys, { name, key: publicKey }] }
  const writes: Write[] = [{ key, value: encodeForeign(log), if: before ? { equals: before } : 'absent' }]
  if (!before) writes.push(counted(context))
  return { output: { ...nothing(), writes }, log }
}

function readKey(verifierKey: string): VerifierKey {
  try {
    const key = parseVerifierKey(verifierKey)
    if (key.type !== ED25519_NOTE)
      throw new ProtocolError(
        'KEY_INVALID',
        `a key of type ${key.type} does not sign checkpoints here: only Ed25519`,
      )
    if (!goodPublicKey(key.publicKey)) throw new ProtocolError('KEY_INVALID', 'this is no usable Ed25519 key')
    return key
  } catch (error) {
    if (error instanceof CryptoError) throw new ProtocolError('KEY_INVALID', error.message)
    throw error
  }
}

function checkOrigin(origin: string): void {
  try {
    parseForeignCheckpoint(`${origin}\n0\n${'A'.repeat(43)}=\n`)
  } catch {
    throw new ProtocolError('MALFORMED', 'an origin is one line of text')
  }
  if (origin.startsWith('waybill.log/'))
    throw new ProtocolError('MALFORMED', 'the log of an organisation comes by pairing: waybill invite')
}

/** One log more, under the cap that foreign logs have of their own (RULES D2). */
function counted(context: Context): Write {
  const stored = context.get(KEY.foreignCount)
  const count = stored ? readU64(stored)! : 0
  if (count >= MAX_FOREIGN_LOGS)
    throw new ProtocolError('QUOTA_EXCEEDED', `${MAX_FOREIGN_LOGS} foreign logs are entered already`)
  return { key: KEY.foreignCount, value: u64(count + 1), if: stored ? { equals: stored } : 'absent' }
}

const encodeForeign = (log: ForeignLog): Uint8Array => encode(log as unknown as Value)

/** `add-checkpoint`: checks, stores and cosigns in one act, or says why not. */
export function addCheckpoint(body: Uint8Array, context: Context): { output: Output; reply: Reply } {
  const request = readRequest(body)
  if (typeof request === 'string') return refuse(400, request)
  const { old, path, note, checkpoint } = request
  const key = KEY.foreign(originHash(checkpoint.origin))
  const before = context.get(key)
  if (!before) return refuse(404, 'the origin is not entered at this witness')
  const log = decodeForeign(before)
  const own = ownLines(note, log)
  if (!own) return refuse(403, 'no signature of a known key of this origin, or one that does not verify')
  if (isForeignLost(context)) return refuse(503, FOREIGN_LOST_TEXT)
  if (isExpired(context.self.chain, 'witness', context.now.wallMs)) return refuse(503, EXPIRED_TEXT)
  const wrong = extension({ size: log.size, root: log.root }, old, checkpoint, path)
  if (wrong?.status === 409)
    return { output: nothing(), reply: { status: 409, contentType: SIZE, body: `${log.size}\n` } }
  if (wrong) return refuse(wrong.status, wrong.why)
  const timeS = Math.floor(context.now.wallMs / 1000)
  const line = cosign(note.body, timeS, cosignerOf(context.self.chain)!.name, context.noteKey('witness'))
  const reply = { status: 200, contentType: TEXT, body: formatLine(line) }
  // The same again gets a new time and costs no write: anybody can send it.
  if (log.root && checkpoint.size === log.size) return { output: nothing(), reply }
  const kept = utf8(formatNote({ body: note.body, lines: [...own, line] }))
  const value = encodeForeign({ ...log, size: checkpoint.size, root: checkpoint.root, note: kept })
  const output = { ...nothing(), writes: [{ key, value, if: { equals: before } }] }
  return { output, reply }
}

/** The newest checkpoint that was cosigned for an origin, by its hash: for monitors. */
export function latest(hash: string, context: Context): Reply {
  const stored = /^[0-9a-f]{64}$/.test(hash) ? context.get(KEY.foreign(hash)) : undefined
  const note = stored && decodeForeign(stored).note
  return note
    ? { status: 200, contentType: TEXT, body: text(note) }
    : refuse(404, 'no checkpoint of this origin was cosigned here').reply
}

interface AddRequest {
  old: number
  path: Uint8Array[]
  note: Note
  checkpoint: ForeignCheckpoint
}

function readRequest(body: Uint8Array): AddRequest | string {
  try {
    const whole = text(body)
    const end = whole.indexOf('\n\n')
    if (end < 0) return 'no empty line before the checkpoint'
    const [first, ...proof] = whole.slice(0, end).split('\n')
    const old = /^old (0|[1-9][0-9]{0,15})$/.exec(first!)?.[1]
    if (old === undefined || !Number.isSafeInteger(Number(old)))
      return 'the first line is not "old" and a size'
    if (proof.length > MAX_PROOF_LINES) return `a proof has at most ${MAX_PROOF_LINES} lines`
    const path = proof.map(fromBase64)
    if (!path.every(hash => hash?.length === HASH_BYTES))
      return 'a line of the proof is not 32 bytes in base64'
    const note = parseNote(whole.slice(end + 2))
    if (note.body.length > MAX_CHECKPOINT_BYTES)
      return `a checkpoint of more than ${MAX_CHECKPOINT_BYTES} bytes`
    return {
      old: Number(old),
      path: path as Uint8Array[],
      note,
      checkpoint: parseForeignCheckpoint(note.body),
    }
  } catch (error) {
    if (error instanceof CryptoError) return error.message
    throw error
  }
}

/** The signatures by keys of the log: one a key at most, at least one, and none of them wrong; those of others are ignored. */
function ownLines(note: Note, log: ForeignLog): NoteLine[] | undefined {
  const own: NoteLine[] = []
  for (const { name, key } of log.keys) {
    const lines = note.lines.filter(line => isLineOf(line, name, ED25519_NOTE, key))
    if (lines.length > 1 || (lines[0] && !verifyNote(note.body, lines[0], name, key))) return undefined
    own.push(...lines)
  }
  return own.length > 0 ? own : undefined
}

function refuse(status: number, why: string): { output: Output; reply: Reply } {
  return { output: nothing(), reply: { status, contentType: TEXT, body: `${why}\n` } }
}
