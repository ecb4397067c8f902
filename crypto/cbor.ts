/**
 * Strict DAG-CBOR: one `encode`, and one `decode` that refuses every byte string which `encode` would not write. So a
 * value has one encoding, and decoding then re-encoding gives the same bytes.
 *
 * The rules: RFC 8949 section 4.2.1 (shortest heads, definite lengths), the DAG-CBOR specification (string keys, no
 * duplicates, shorter keys first, then by bytes; tag 42 only) and three of our own: no floats, integers within
 * ±(2^53 - 1), at most 16 levels. One pass over the bytes holds all of them, in under half the time of a general
 * decoder followed by a comparison; the general decoder stands beside it in the tests.
 */
import { compare, utf8 } from './bytes.ts'
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
const TWO_32 = 2 ** 32

/**
 * The bytes of a value. Throws CBOR_FLOAT, CBOR_INTEGER_RANGE, CBOR_TOO_DEEP (also for a cycle), CID_UNSUPPORTED, and
 * CBOR_INVALID for what DAG-CBOR has no form for: `undefined`, bigint, class instances, lone surrogates.
 */
export function encode(value: Value): Uint8Array {
  const writer: Writer = { bytes: new Uint8Array(512), length: 0 }
  write(writer, value, 0)
  return writer.bytes.slice(0, writer.length)
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
  bytes: Uint8Array
  length: number
}

function write(w: Writer, value: Value, depth: number): void {
  if (typeof value === 'string') writeString(w, value)
  else if (typeof value === 'number') writeInteger(w, value)
  else if (value === null) writeByte(w, NULL)
  else if (typeof value === 'boolean') writeByte(w, value ? TRUE : FALSE)
  else if (value instanceof Uint8Array) writeBytes(w, BYTES, value)
  else if (Array.isArray(value)) writeArray(w, value, deeper(depth))
  else if (isMap(value)) writeMap(w, value, deeper(depth))
  else writeCid(w, value)
}

function writeInteger(w: Writer, n: number): void {
  if (!Number.isInteger(n)) throw new CryptoError('CBOR_FLOAT', `${n} is no integer`)
  if (!Number.isSafeInteger(n)) throw new CryptoError('CBOR_INTEGER_RANGE', `${n} is beyond 2^53 - 1`)
  if (n >= 0) writeHead(w, UINT, n)
  else writeHead(w, NEGINT, -1 - n)
}

function writeString(w: Writer, string: string): void {
  if (string.length < 64 && isAscii(string)) {
    writeHead(w, STRING, string.length)
    const at = reserve(w, string.length)
    for (let i = 0; i < string.length; i++) w.bytes[at + i] = string.charCodeAt(i)
  } else {
    if (!string.isWellFormed()) throw invalid('a string has a lone surrogate')
    writeBytes(w, STRING, utf8(string))
  }
}

function writeArray(w: Writer, array: Value[], depth: number): void {
  writeHead(w, ARRAY, array.length)
  for (let i = 0; i < array.length; i++) write(w, array[i]!, depth)
}

function writeMap(w: Writer, map: { [key: string]: Value }, depth: number): void {
  const keys = Object.keys(map).sort(compareKeys)
  writeHead(w, MAP, keys.length)
  for (const key of keys) {
    writeString(w, key)
    write(w, map[key]!, depth)
  }
}

function writeCid(w: Writer, value: unknown): void {
  const cid = asCid(value)
  if (!cid) throw refusal(value)
  writeHead(w, TAG, CID_TAG)
  writeHead(w, BYTES, cid.bytes.length + 1)
  writeByte(w, 0) // the identity multibase prefix, DAG-CBOR "Links"
  put(w, cid.bytes)
}

function writeBytes(w: Writer, major: number, bytes: Uint8Array): void {
  writeHead(w, major, bytes.length)
  put(w, bytes)
}

function put(w: Writer, bytes: Uint8Array): void {
  const at = reserve(w, bytes.length)
  w.bytes.set(bytes, at)
}

/** RFC 8949 section 3: major type and argument, in the shortest form. */
function writeHead(w: Writer, major: number, n: number): void {
  const log = n < 24 ? -1 : n < 0x100 ? 0 : n < 0x10000 ? 1 : n < TWO_32 ? 2 : 3
  const width = log < 0 ? 0 : 1 << log
  const at = reserve(w, 1 + width)
  w.bytes[at] = (major << 5) | (log < 0 ? n : 24 + log)
  let rest = n
  for (let i = width; i > 0; i--) {
    w.bytes[at + i] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

function writeByte(w: Writer, byte: number): void {
  const at = reserve(w, 1)
  w.bytes[at] = byte
}

/** Makes room for `count` bytes and returns where they begin. Replaces `w.bytes`, so it comes before any use of it. */
function reserve(w: Writer, count: number): number {
  const at = w.length
  w.length += count
  if (w.length > w.bytes.length) {
    const larger = new Uint8Array(2 * w.length)
    larger.set(w.bytes.subarray(0, at))
    w.bytes = larger
  }
  return at
}

/** DAG-CBOR "Strictness": shorter keys first, then in the order of their bytes. */
function compareKeys(a: string, b: string): number {
  if (!isAscii(a) || !isAscii(b)) {
    const [bytesA, bytesB] = [keyBytes(a), keyBytes(b)]
    return bytesA.length - bytesB.length || compare(bytesA, bytesB)
  }
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

function keyBytes(key: string): Uint8Array {
  if (!key.isWellFormed()) throw invalid('a key has a lone surrogate')
  return utf8(key)
}

function isAscii(string: string): boolean {
  for (let i = 0; i < string.length; i++) if (string.charCodeAt(i) > 0x7f) return false
  return true
}

function refusal(value: unknown): CryptoError {
  const tag = Object.prototype.toString.call(value)
  if (tag === '[object CID]')
    return new CryptoError('CID_UNSUPPORTED', 'not a CIDv1, SHA-256, raw or dag-cbor')
  return invalid(`DAG-CBOR has no form for ${tag}`)
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
      return takeBytes(r).slice()
    case STRING:
      return readText(takeBytes(r))
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

function readArray(r: Reader, depth: number): Value[] {
  const count = readCount(r, 1)
  const array: Value[] = []
  for (let i = 0; i < count; i++) array.push(read(r, depth))
  return array
}

function readMap(r: Reader, depth: number): { [key: string]: Value } {
  const count = readCount(r, 2)
  const map: { [key: string]: Value } = {}
  let last: Uint8Array | undefined
  for (let i = 0; i < count; i++) {
    if (r.bytes[r.at]! >> 5 !== STRING) throw invalid('a map key is no string')
    const bytes = takeBytes(r)
    if (last) checkOrder(last, bytes)
    last = bytes
    setOwn(map, readText(bytes), read(r, depth))
  }
  return map
}

function checkOrder(last: Uint8Array, next: Uint8Array): void {
  const order = next.length - last.length || compare(next, last)
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
  const bytes = takeBytes(r)
  if (bytes[0] !== 0) throw new CryptoError('CID_UNSUPPORTED', 'a link does not begin with 0x00')
  return cidFromBytes(bytes.subarray(1))
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

function readText(bytes: Uint8Array): string {
  if (bytes.length < 24) {
    let string = ''
    let i = 0
    for (; i < bytes.length && bytes[i]! < 0x80; i++) string += String.fromCharCode(bytes[i]!)
    if (i === bytes.length) return string
  }
  return decodeUtf8(bytes)
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw invalid('a string is not UTF-8')
  }
}

/** A view of the bytes behind a head that says how many they are. */
function takeBytes(r: Reader): Uint8Array {
  const length = readHead(r)
  if (length > r.bytes.length - r.at) throw invalid('the bytes end within a string')
  r.at += length
  return r.bytes.subarray(r.at - length, r.at)
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
