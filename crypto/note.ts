/**
 * Signed notes (C2SP signed-note): a text and signature lines. The form of log heads, because stock witnesses and
 * clients read it.
 *
 *     example.com/log            \
 *     18                          > body: text that ends in a newline
 *     base64 root                /
 *                                  an empty line
 *     — example.com/log base64(4-byte key id ‖ signature)
 */
import { concat, equal, fromBase64, fromHex, toBase64, toHex, utf8 } from './bytes.ts'
import { CryptoError } from './error.ts'
import { sha256 } from './hash.ts'
import { type PrivateKey, sign, verify } from './key.ts'

export interface NoteLine {
  /** Of the key, as the signer calls itself; only an expected name counts. */
  name: string
  /** First 4 bytes of a hash over name and key: a hint, not an identity. */
  keyId: Uint8Array
  /** What follows the key id: 64 bytes for a plain note, 72 for a cosignature. */
  signature: Uint8Array
}

export interface Note {
  /** Ends in a newline. */
  body: string
  lines: NoteLine[]
}

/** A public key as people hand it around: `name+hex key id+base64(type ‖ key)`. */
export interface VerifierKey {
  name: string
  type: number
  publicKey: Uint8Array
}

/** Signature types of C2SP signed-note. */
export const ED25519_NOTE = 0x01
export const ED25519_COSIGNATURE = 0x04

/** C2SP allows refusing notes above a size of one's choice; a head has under 10 KiB with 64 cosignatures. */
export const MAX_NOTE_BYTES = 65_536
/** C2SP asks for at least 16. */
export const MAX_NOTE_LINES = 64
const KEY_ID_BYTES = 4
const DASH = '— '

/** Throws NOTE_MALFORMED for a text or lines that `parseNote` would refuse. */
export function formatNote({ body, lines }: Note): string {
  checkBody(body)
  if (lines.length === 0 || lines.length > MAX_NOTE_LINES) throw malformed(`${lines.length} signatures`)
  for (const { name, keyId, signature } of lines) {
    checkName(name)
    if (keyId.length !== KEY_ID_BYTES || signature.length === 0) throw malformed('a signature is too short')
  }
  const text = `${body}\n${lines.map(formatLine).join('')}`
  if (isTooLong(text)) throw malformed('too long')
  keep(text, { body, lines })
  return text
}

/** The parts of a note, nothing verified. Throws NOTE_MALFORMED. A note is read in several steps: the last ones are kept. */
export function parseNote(text: string): Note {
  const known = notes.get(text)
  if (known) return known
  const note = parse(text)
  keep(text, note)
  return note
}

function keep(text: string, note: Note): void {
  if (text.length > MAX_KEPT_LENGTH) return
  if (notes.size >= MAX_KEPT) notes.delete(notes.keys().next().value!)
  notes.set(text, note)
}

const MAX_KEPT = 256
/** A head with the cosignatures of 31 seats. */
const MAX_KEPT_LENGTH = 8_192
const notes = new Map<string, Note>()

function parse(text: string): Note {
  if (isTooLong(text)) throw malformed('too long')
  // The last empty line: a body may contain others.
  const end = text.lastIndexOf('\n\n')
  if (end < 0) throw malformed('no empty line before the signatures')
  const body = text.slice(0, end + 1)
  checkBody(body)
  return { body, lines: parseLines(text.slice(end + 2)) }
}

/** One signature line with its newline. */
export function formatLine({ name, keyId, signature }: NoteLine): string {
  return `${DASH}${name} ${toBase64(concat(keyId, signature))}\n`
}

/** Signature lines, at least one, as a witness answers them. Throws NOTE_MALFORMED. */
export function parseLines(text: string): NoteLine[] {
  if (text.length > MAX_NOTE_BYTES) throw malformed('too long')
  if (!text.endsWith('\n')) throw malformed('the last line has no newline')
  const lines = text.slice(0, -1).split('\n')
  if (lines.length > MAX_NOTE_LINES) throw malformed(`more than ${MAX_NOTE_LINES} signatures`)
  return lines.map(parseLine)
}

/** SHA-256(name ‖ 0x0A ‖ type ‖ key), the first 4 bytes. */
export function noteKeyId(name: string, type: number, publicKey: Uint8Array): Uint8Array {
  const known = keyIds.get(publicKey)
  if (known?.name === name && known.type === type) return known.id
  const id = sha256(utf8(name), Uint8Array.of(0x0a, type), publicKey).slice(0, KEY_ID_BYTES)
  keyIds.set(publicKey, { name, type, id })
  return id
}

/** Of each key the last one: a key has one name and type, and heads are looked at again and again. */
const keyIds = new WeakMap<Uint8Array, { name: string; type: number; id: Uint8Array }>()

/** Signs a body as `name`. Throws NOTE_MALFORMED for a body or name that no note can have. */
export function signNote(body: string, name: string, key: PrivateKey): NoteLine {
  checkBody(body)
  checkName(name)
  return { name, keyId: noteKeyId(name, ED25519_NOTE, key.public), signature: sign(key, utf8(body)) }
}

/** Whether `line` is the Ed25519 signature of this name and key over `body`, by the rule of key.ts. */
export function verifyNote(body: string, line: NoteLine, name: string, publicKey: Uint8Array): boolean {
  if (!isLineOf(line, name, ED25519_NOTE, publicKey) || !body.isWellFormed()) return false
  return verify(publicKey, utf8(body), line.signature)
}

/** Whether `line` claims to be of this name and key; its signature is not looked at. */
export function isLineOf(line: NoteLine, name: string, type: number, publicKey: Uint8Array): boolean {
  return line.name === name && isName(name) && equal(line.keyId, noteKeyId(name, type, publicKey))
}

/** Throws NOTE_MALFORMED for a name that no note can have. */
export function formatVerifierKey({ name, type, publicKey }: VerifierKey): string {
  checkName(name)
  const keyId = toHex(noteKeyId(name, type, publicKey))
  return `${name}+${keyId}+${toBase64(concat(Uint8Array.of(type), publicKey))}`
}

/** Of any type; an Ed25519 key has 32 bytes. Throws NOTE_MALFORMED, also when the key id is not that of the key. */
export function parseVerifierKey(text: string): VerifierKey {
  const [, name, id, base64] = /^([^+]{1,1024})\+([0-9a-f]{8})\+(.{1,8192})$/.exec(text) ?? []
  if (name === undefined || id === undefined || base64 === undefined) throw malformed('no verifier key')
  checkName(name)
  const data = fromBase64(base64)
  if (!data || data.length < 2) throw malformed('a verifier key is no base64')
  const [type, publicKey] = [data[0]!, data.slice(1)]
  if ((type === ED25519_NOTE || type === ED25519_COSIGNATURE) && publicKey.length !== 32)
    throw malformed('an Ed25519 key has 32 bytes')
  if (!equal(fromHex(id)!, noteKeyId(name, type, publicKey))) throw malformed('the key id is of another key')
  return { name, type, publicKey }
}

function parseLine(line: string): NoteLine {
  const space = line.indexOf(' ', DASH.length)
  if (!line.startsWith(DASH) || space < 0) throw malformed('a signature line has another form')
  const name = line.slice(DASH.length, space)
  checkName(name)
  const blob = fromBase64(line.slice(space + 1))
  if (!blob || blob.length <= KEY_ID_BYTES) throw malformed('a signature is no base64, or too short')
  return { name, keyId: blob.slice(0, KEY_ID_BYTES), signature: blob.slice(KEY_ID_BYTES) }
}

/** "The text MUST be valid UTF-8, MUST NOT contain ASCII control characters other than newline, MUST end in one". */
function checkBody(body: string): void {
  if (!body.endsWith('\n')) throw malformed('the text does not end in a newline')
  if (!body.isWellFormed()) throw malformed('the text is not UTF-8')
  for (let i = 0; i < body.length; i++)
    if (body.charCodeAt(i) < 0x20 && body[i] !== '\n') throw malformed('a control character')
}

function checkName(name: string): void {
  if (!isName(name)) throw malformed('no key name')
}

/** "MUST be non-empty, MUST NOT contain any Unicode spaces or plus". */
function isName(name: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return name.isWellFormed() && /^[^\s\u0085+\u0000-\u001f]+$/.test(name)
}

/** A unit of a text takes three bytes at most: only long ones are counted. */
function isTooLong(text: string): boolean {
  if (text.length > MAX_NOTE_BYTES) return true
  if (!text.isWellFormed()) throw malformed('the text is not UTF-8')
  return 3 * text.length > MAX_NOTE_BYTES && utf8(text).length > MAX_NOTE_BYTES
}

function malformed(why: string): CryptoError {
  return new CryptoError('NOTE_MALFORMED', why)
}
