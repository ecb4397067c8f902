/**
 * Log heads (C2SP tlog-checkpoint) and their cosignatures (C2SP tlog-cosignature, Ed25519 v1). A checkpoint is the body
 * of a signed note: origin, tree size in decimal, root in base64, a line each. It signs the size with the root, without
 * which an inclusion proof says little: one proof fits several sizes.
 */
import { concat, fromBase64, readU64, toBase64, u64, utf8 } from './bytes.ts'
import { CryptoError } from './error.ts'
import { type PrivateKey, sign, verify } from './key.ts'
import { ED25519_COSIGNATURE, isLineOf, type NoteLine, noteKeyId } from './note.ts'

export interface Checkpoint {
  /** The log's name, like `waybill.log/bafy…`; also the name of its key. */
  origin: string
  /** Number of leaves. */
  size: number
  /** RFC 6962 root, 32 bytes. */
  root: Uint8Array
}

/** A checkpoint of a foreign log, which may have further lines. */
export interface ForeignCheckpoint extends Checkpoint {
  extensions: string[]
}

const ROOT_BYTES = 32
const TIME_BYTES = 8
const SIGNATURE_BYTES = 64
const DECIMAL = /^(0|[1-9][0-9]{0,15})$/

/** The body to be signed. Throws CHECKPOINT_MALFORMED for what `parseCheckpoint` would refuse. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  const body = format({ ...checkpoint, extensions: [] })
  parseCheckpoint(body)
  return body
}

/**
 * A checkpoint of a Waybill log: exactly three lines. Throws CHECKPOINT_MALFORMED, also for extension lines: nobody can
 * audit them, and our origins have none.
 */
export function parseCheckpoint(body: string): Checkpoint {
  const { extensions, ...checkpoint } = parseForeignCheckpoint(body)
  if (extensions.length > 0) throw malformed('extension lines, which no Waybill log writes')
  return checkpoint
}

/** A checkpoint of any C2SP log, with the lines after the third. Throws CHECKPOINT_MALFORMED. */
export function parseForeignCheckpoint(body: string): ForeignCheckpoint {
  const [origin, size, base64, ...rest] = body.split('\n')
  if (base64 === undefined || rest.pop() !== '') throw malformed('not three lines, each with a newline')
  if (origin === undefined || !isLine(origin)) throw malformed('no origin')
  if (size === undefined || !DECIMAL.test(size) || !Number.isSafeInteger(Number(size)))
    throw malformed('the size is no decimal below 2^53')
  const root = fromBase64(base64)
  if (root?.length !== ROOT_BYTES) throw malformed('the root is not 32 bytes in base64')
  if (!rest.every(isLine)) throw malformed('an empty extension line')
  return { origin, size: Number(size), root, extensions: rest }
}

/**
 * A witness's word: "at `timeS`, in Unix seconds, this was the largest consistent head I had seen of this origin". The
 * name is not signed, so one key must not cosign under two. Throws CHECKPOINT_MALFORMED unless `body` is a checkpoint.
 */
export function cosign(body: string, timeS: number, name: string, key: PrivateKey): NoteLine {
  parseForeignCheckpoint(body)
  const signature = concat(u64(timeS), sign(key, cosignedMessage(body, timeS)))
  return { name, keyId: noteKeyId(name, ED25519_COSIGNATURE, key.public), signature }
}

/** The time that this name and key cosigned `body` at; `undefined` if they did not. Never throws. */
export function verifyCosignature(
  body: string,
  line: NoteLine,
  name: string,
  publicKey: Uint8Array,
): { timeS: number } | undefined {
  if (!isLineOf(line, name, ED25519_COSIGNATURE, publicKey) || !isCheckpoint(body)) return undefined
  if (line.signature.length !== TIME_BYTES + SIGNATURE_BYTES) return undefined
  const timeS = readU64(line.signature)
  if (timeS === undefined) return undefined
  const signature = line.signature.subarray(TIME_BYTES)
  return verify(publicKey, cosignedMessage(body, timeS), signature) ? { timeS } : undefined
}

function cosignedMessage(body: string, timeS: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timeS}\n${body}`)
}

function format({ origin, size, root, extensions }: ForeignCheckpoint): string {
  return [origin, size, toBase64(root), ...extensions, ''].join('\n')
}

function isCheckpoint(body: string): boolean {
  try {
    parseForeignCheckpoint(body)
    return true
  } catch {
    return false
  }
}

/** One line of text that a note can carry: not empty, no control characters, UTF-8. */
function isLine(line: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return line.isWellFormed() && /^[^\u0000-\u001f]+$/.test(line)
}

function malformed(why: string): CryptoError {
  return new CryptoError('CHECKPOINT_MALFORMED', why)
}
