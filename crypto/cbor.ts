/**
 * Strict DAG-CBOR: one `encode`, and one `decode` that refuses every byte string which `encode` would not write. So a
 * value has one encoding, and decoding then re-encoding gives the same bytes.
 *
 * The rules: RFC 8949 section 4.2.1 (shortest heads, definite lengths), the DAG-CBOR specification (string keys, no
 * duplicates, shorter keys first, then by bytes; tag 42 only) and three of our own: no floats, integers within
 * ±(2^53 - 1), at most 16 levels.
 *
 * Both are passes of our own: general libraries take what they should refuse, and cost several times as much. Signing
 * (signing.ts) and the tests hold both to cborg's bytes.
 */
import { compare, copyOf, utf8 } from './bytes.ts'
import { asCid, type CID, cidFromBytes } from './cid.ts'
import { CryptoError } from './error.ts'

export type Value = null | boolean | number | string | Uint8Array | CID | Value[] | { [key: string]: Value }

/** The largest record, in bytes. */
export const MAX_RECORD_BYTES = 65_536
/** Arrays and maps within each other. Bounds the recursion below. */
export const MAX_DEPTH = 16

const UINT = 0
const NEGINT = 1
const BYTES = 2
const STRING = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const CID_TAG = 42
const [FALSE, TRUE, NULL] = [0xf4, 0xf5, 0xf6]

/**
 * The bytes of a value. Throws CBOR_FLOAT, CBOR_INTEGER_RANGE, CBOR_TOO_DEEP (also for a cycle), CID_UNSUPPORTED, and
 * CBOR_INVALID for what DAG-CBOR has no form for: `undefined`, bigint, class instances, lone surrogates.
 */
export function encode(value: Value): Uint8Array {
  const w: Writer = { out: room, at: 0 }
  room = NO_ROOM // nobody else's meanwhile
  put(w, value, 0)
  if (w.out.length <= MAX_ROOM_BYTES) room = w.out
  return w.out.slice(0, w.at)
}

/** Writes an unsigned integer into `out` at `at` and returns where it ends, for writers of fixed shapes. Throws RangeError. */
export function writeUint(out: Uint8Array, at: number, n: number): number {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is no unsigned safe integer`)
  return writeHead(out, at, UINT, n)
}

/**
 * The value of exactly these bytes. Throws CBOR_TOO_LARGE above `maxBytes`, CBOR_NOT_CANONICAL for another encoding of
 * a value than `encode` writes, the codes of `encode`, and CBOR_INVALID for the rest. Bytes in the value are copies.
 */
export function decode(bytes: Uint8Array, maxBytes: number = MAX_RECORD_BYTES): Value {
  if (!(bytes instanceof Uint8Array)) throw invalid('not bytes')
  if (bytes.length > maxBytes)
    throw new CryptoError('CBOR_TOO_LARGE', `${bytes.length} bytes, the limit is ${maxBytes}`)
  // A Buffer's `slice` shares memory, a Uint8Array's copies.
  const plain = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  const reader: Reader = { bytes: plain, at: 0 }
  const value = read(reader, 0)
  if (reader.at !== bytes.length) throw invalid('bytes follow the value')
  return value
}

/** Whether a value is a map: not a list, bytes or a link. An instance of a class, like a Date, has no form here. */
export function isMap(value: unknown): value is { [key: string]: Value } {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

interface Writer {
  out: Uint8Array<ArrayBuffer>
  at: number
}

/** Where values are written before they are copied out, and what is kept of it for the next: most are small. */
const ROOM_BYTES = 4_096
const MAX_ROOM_BYTES = 65_536
const NO_ROOM = new Uint8Array(0)
let room = NO_ROOM
const HEAD_BYTES = 9
/** A string of so many units is written unit by unit, as long as they are ASCII. */
const SHORT = 64

/** Room for so many bytes more. */
function reserve(w: Writer, bytes: number): void {
  if (w.at + bytes <= w.out.length) return
  const larger = new Uint8Array(Math.max(ROOM_BYTES, 2 * w.out.length, w.at + bytes))
  larger.set(w.out.subarray(0, w.at))
  w.out = larger
}

function put(w: Writer, value: unknown, depth: number): void {
  if (typeof value === 'string') putText(w, value)
  else if (typeof value === 'number') putInteger(w, value)
  else if (typeof value === 'boolean') putByte(w, value ? TRUE : FALSE)
  else if (value === null) putByte(w, NULL)
  else if (value instanceof Uint8Array) putBytes(w, BYTES, value)
  else if (Array.isArray(value)) {
    const inner = deeper(depth)
    putHead(w, ARRAY, value.length)
    for (const item of value) put(w, item, inner)
  } else if (isMap(value)) putMap(w, value, deeper(depth))
  else putLink(w, value)
}

function putByte(w: Writer, byte: number): void {
  reserve(w, 1)
  w.out[w.at++] = byte
}

function putHead(w: Writer, major: number, n: number): void {
  reserve(w, HEAD_BYTES)
  w.at = writeHead(w.out, w.at, major, n)
}

/** RFC 8949 section 3: the shortest head. */
function writeHead(out: Uint8Array, at: number, major: number, n: number): number {
  const minor = n < 24 ? n : n < 2 ** 8 ? 24 : n < 2 ** 16 ? 25 : n < 2 ** 32 ? 26 : 27
  const size = minor < 24 ? 0 : 1 << (minor - 24)
  out[at] = (major << 5) | minor
  for (let i = at + size, rest = n; i > at; i--, rest = Math.floor(rest / 256)) out[i] = rest % 256
  return at + 1 + size
}

function putInteger(w: Writer, n: number): void {
  if (!Number.isInteger(n)) throw new CryptoError('CBOR_FLOAT', `${n} is no integer`)
  integer(n)
  if (n < 0) putHead(w, NEGINT, -1 - n)
  else putHead(w, UINT, n)
}

function putBytes(w: Writer, major: number, bytes: Uint8Array): void {
  reserve(w, HEAD_BYTES + bytes.length)
  w.at = writeHead(w.out, w.at, major, bytes.length)
  w.out.set(bytes, w.at)
  w.at += bytes.length
}

function putText(w: Writer, text: string): void {
  const { length } = text
  if (length > SHORT || !isAscii(text)) putBytes(w, STRING, textBytes(text))
  else {
    reserve(w, HEAD_BYTES + length)
    w.at = writeHead(w.out, w.at, STRING, length)
    for (let i = 0; i < length; i++) w.out[w.at++] = text.charCodeAt(i)
  }
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return false
  return true
}

function textBytes(text: string): Uint8Array {
  if (!text.isWellFormed()) throw invalid('a string has a lone surrogate')
  return utf8(text)
}

function putMap(w: Writer, map: { [key: string]: Value }, depth: number): void {
  const keys = Object.keys(map)
  sort(keys, keys.every(isAscii) ? inOrder : (a, b) => bytesInOrder(textBytes(a), textBytes(b)))
  putHead(w, MAP, keys.length)
  for (const key of keys) {
    putText(w, key)
    put(w, map[key], depth)
  }
}

/** By insertion where there are few, as in records: `sort` costs three times that. */
function sort(keys: string[], order: (a: string, b: string) => number): void {
  if (keys.length > FEW_KEYS) keys.sort(order)
  else
    for (let i = 1; i < keys.length; i++) {
      const key = keys[i]!
      let at = i
      for (; at > 0 && order(keys[at - 1]!, key) > 0; at--) keys[at] = keys[at - 1]!
      keys[at] = key
    }
}
const FEW_KEYS = 24

/** Shorter keys first, then by bytes. */
const inOrder = (a: string, b: string): number => a.length - b.length || (a < b ? -1 : 1)
const bytesInOrder = (a: Uint8Array, b: Uint8Array): number => a.length - b.length || compare(a, b)

function putLink(w: Writer, value: unknown): void {
  const tag = Object.prototype.toString.call(value)
  if (tag !== '[object CID]') throw invalid(`DAG-CBOR has no form for ${tag}`)
  const cid = asCid(value)
  if (!cid) throw new CryptoError('CID_UNSUPPORTED', 'not a CIDv1, SHA-256, raw or dag-cbor')
  putHead(w, TAG, CID_TAG)
  // 0x00 is the identity multibase prefix, DAG-CBOR "Links".
  putHead(w, BYTES, 1 + cid.bytes.length)
  putByte(w, 0)
  reserve(w, cid.bytes.length)
  w.out.set(cid.bytes, w.at)
  w.at += cid.bytes.length
}

interface Reader {
  bytes: Uint8Array
  at: number
}

function read(r: Reader, depth: number): Value {
  const initial = r.bytes[r.at]
  if (initial === undefined) throw invalid('the bytes end within a value')
  switch (initial >> 5) {
    case UINT:
      return integer(readHead(r))
    case NEGINT:
      return integer(-1 - readHead(r))
    case BYTES:
      return readBytes(r)
    case STRING:
      return readText(r, takeLength(r))
    case ARRAY:
      return readArray(r, deeper(depth))
    case MAP:
      return readMap(r, deeper(depth))
    case TAG:
      return readCid(r)
    default:
      return readSimple(r, initial)
  }
}

function readBytes(r: Reader): Uint8Array {
  const from = takeString(r)
  return copyOf(r.bytes, from, r.at)
}

function readArray(r: Reader, depth: number): Value[] {
  const count = readCount(r, 1)
  const array: Value[] = []
  for (let i = 0; i < count; i++) array.push(read(r, depth))
  return array
}

function readMap(r: Reader, depth: number): { [key: string]: Value } {
  const count = readCount(r, 2)
  const map: { [key: string]: Value } = {}
  let [last, lastLength] = [0, -1]
  for (let i = 0; i < count; i++) {
    if (r.bytes[r.at]! >> 5 !== STRING) throw invalid('a map key is no string')
    const length = takeLength(r)
    const { at } = r
    if (lastLength >= 0) checkOrder(length - lastLength || compareAt(r.bytes, at, last, length))
    last = at
    lastLength = length
    setOwn(map, readText(r, length), read(r, depth))
  }
  return map
}

/** Of two stretches of one length. */
function compareAt(bytes: Uint8Array, a: number, b: number, length: number): number {
  for (let i = 0; i < length; i++) if (bytes[a + i] !== bytes[b + i]) return bytes[a + i]! - bytes[b + i]!
  return 0
}

/** Of a key to the one before it. */
function checkOrder(order: number): void {
  if (order === 0) throw invalid('a map key stands twice')
  if (order < 0) throw notCanonical('map keys are out of order')
}

/** Assigning `__proto__` would set the prototype. */
function setOwn(map: { [key: string]: Value }, key: string, value: Value): void {
  if (key === '__proto__')
    Object.defineProperty(map, key, { value, enumerable: true, writable: true, configurable: true })
  else map[key] = value
}

function readCid(r: Reader): CID {
  const tag = readHead(r)
  if (tag !== CID_TAG) throw invalid(`tag ${tag} has no meaning in DAG-CBOR`)
  if (r.bytes[r.at]! >> 5 !== BYTES) throw invalid('tag 42 does not stand before bytes')
  const from = takeString(r)
  if (from === r.at || r.bytes[from] !== 0)
    throw new CryptoError('CID_UNSUPPORTED', 'a link does not begin with 0x00')
  return cidFromBytes(r.bytes.subarray(from + 1, r.at))
}

function readSimple(r: Reader, initial: number): boolean | null {
  r.at++
  if (initial === FALSE) return false
  if (initial === TRUE) return true
  if (initial === NULL) return null
  const minor = initial & 31
  if (minor >= 25 && minor <= 27) throw new CryptoError('CBOR_FLOAT', 'floats do not stand in records')
  throw invalid(`0x${initial.toString(16)} has no meaning in DAG-CBOR`)
}

/** Short texts that were read, each at the place that its bytes give: names of fields come again and again. */
const known: string[] = new Array(1_024).fill('')
const KNOWN_LENGTH = 24

function readText(r: Reader, length: number): string {
  const { bytes, at } = r
  r.at += length
  if (length > KNOWN_LENGTH) return decodeUtf8(bytes.subarray(at, r.at))
  let place = length
  for (let i = at; i < r.at; i++) place = (place * 31 + bytes[i]!) & 0x3ffffff
  place &= known.length - 1
  const held = known[place]!
  if (isText(held, bytes, at, length)) return held
  const text = decodeUtf8(bytes.subarray(at, r.at))
  known[place] = text
  return text
}

/** Whether these bytes are of this text, which is so only of ASCII. */
function isText(text: string, bytes: Uint8Array, at: number, length: number): boolean {
  if (text.length !== length) return false
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit !== bytes[at + i] || unit >= 0x80) return false
  }
  return true
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw invalid('a string is not UTF-8')
  }
}

/** Where the value that begins at `at` ends, in bytes that `decode` takes. */
export function endOf(bytes: Uint8Array, at: number): number {
  const r: Reader = { bytes, at }
  for (let values = 1; values > 0; values--) {
    const major = bytes[r.at]! >> 5
    if (major === BYTES || major === STRING) takeString(r)
    else if (major === ARRAY) values += readHead(r)
    else if (major === MAP) values += 2 * readHead(r)
    else if (readHead(r) === CID_TAG && major === TAG) values += 1
  }
  return r.at
}

/** Passes over a string, which ends at `r.at` then; returns where it begins. */
function takeString(r: Reader): number {
  const length = takeLength(r)
  r.at += length
  return r.at - length
}

/** How many bytes a string has that begins here; they are there. */
function takeLength(r: Reader): number {
  const length = readHead(r)
  if (length > r.bytes.length - r.at) throw invalid('the bytes end within a string')
  return length
}

/** A number of items; each takes at least `minBytes`, so that a short input cannot claim many. */
function readCount(r: Reader, minBytes: number): number {
  const count = readHead(r)
  if (count * minBytes > r.bytes.length - r.at) throw invalid('the bytes end within an array or map')
  return count
}

/** The argument of the head at `r.at`, RFC 8949 section 3; above 2^53 it is not exact, and every caller refuses it. */
function readHead(r: Reader): number {
  const minor = r.bytes[r.at++]! & 31
  if (minor < 24) return minor
  if (minor === 31) throw notCanonical('an indefinite length')
  if (minor > 27) throw invalid('a reserved head')
  const width = 1 << (minor - 24)
  if (width > r.bytes.length - r.at) throw invalid('the bytes end within a head')
  let n = 0
  for (let i = 0; i < width; i++) n = n * 256 + r.bytes[r.at++]!
  const least = width === 1 ? 24 : 2 ** (4 * width)
  if (n < least) throw notCanonical('a head that is not the shortest')
  return n
}

function integer(n: number): number {
  if (!Number.isSafeInteger(n)) throw new CryptoError('CBOR_INTEGER_RANGE', 'an integer beyond 2^53 - 1')
  return n
}

function deeper(depth: number): number {
  if (depth === MAX_DEPTH) throw new CryptoError('CBOR_TOO_DEEP', `more than ${MAX_DEPTH} levels`)
  return depth + 1
}

function invalid(why: string): CryptoError {
  return new CryptoError('CBOR_INVALID', why)
}

function notCanonical(why: string): CryptoError {
  return new CryptoError('CBOR_NOT_CANONICAL', why)
}
