/**
 * Strict DAG-CBOR: one `encode`, and one `decode` that refuses every byte string which `encode` would not write. So a
 * value has one encoding, and decoding then re-encoding gives the same bytes.
 *
 * The rules: RFC 8949 section 4.2.1 (shortest heads, definite lengths), the DAG-CBOR specification (string keys, no
 * duplicates, shorter keys first, then by bytes; tag 42 only) and three of our own: no floats, integers within
 * ±(2^53 - 1), at most 16 levels.
 *
 * `encode` is cborg behind a check of the rules. `decode` is a pass of our own: cborg's takes what it should refuse and
 * drops U+FEFF at the start of every string, so it needs a scan before it and a comparison of the bytes after it.
 * Together they cost three times this pass (1.2 KB agreement), and the tests hold this pass to cborg's bytes.
 */
import { encode as cborg, Token, Type } from 'cborg'
import { compare, concat } from './bytes.ts'
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
  check(value, 0)
  // A copy, because cborg's result can be a part of node's shared buffer pool.
  return new Uint8Array(cborg(value, { typeEncoders: { Object: linkOrMap } }))
}

/** Writes an unsigned integer into `out` at `at` and returns where it ends, for writers of fixed shapes. Throws RangeError. */
export function writeUint(out: Uint8Array, at: number, n: number): number {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is no unsigned safe integer`)
  const size = n < 24 ? 0 : n < 2 ** 8 ? 1 : n < 2 ** 16 ? 2 : n < 2 ** 32 ? 4 : 8
  out[at] = size === 0 ? n : 0x18 + Math.log2(size)
  for (let i = at + size, rest = n; i > at; i--, rest = Math.floor(rest / 256)) out[i] = rest % 256
  return at + 1 + size
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

/** Refuses what cborg would write in another way than DAG-CBOR, or not at all. */
function check(value: unknown, depth: number): void {
  if (typeof value === 'string') checkText(value)
  else if (typeof value === 'number') checkInteger(value)
  else if (Array.isArray(value)) checkItems(value, deeper(depth))
  else if (isMap(value)) checkEntries(value, deeper(depth))
  else if (value !== null && typeof value !== 'boolean' && !(value instanceof Uint8Array)) checkLink(value)
}

function checkText(string: string): void {
  if (!string.isWellFormed()) throw invalid('a string has a lone surrogate')
}

function checkInteger(n: number): void {
  if (!Number.isInteger(n)) throw new CryptoError('CBOR_FLOAT', `${n} is no integer`)
  if (!Number.isSafeInteger(n)) throw new CryptoError('CBOR_INTEGER_RANGE', `${n} is beyond 2^53 - 1`)
}

function checkItems(array: unknown[], depth: number): void {
  for (const item of array) check(item, depth)
}

function checkEntries(map: { [key: string]: Value }, depth: number): void {
  for (const key of Object.keys(map)) {
    checkText(key)
    check(map[key], depth)
  }
}

/** Its profile is checked by `linkOrMap`, which sees the same object again. */
function checkLink(value: unknown): void {
  const tag = Object.prototype.toString.call(value)
  if (tag !== '[object CID]') throw invalid(`DAG-CBOR has no form for ${tag}`)
}

/** What cborg calls for an object: the tokens of a link, or `null` so that it writes a map in its own way. */
function linkOrMap(value: object): Token[] | null {
  if (isMap(value)) return null
  const cid = asCid(value)
  if (!cid) throw new CryptoError('CID_UNSUPPORTED', 'not a CIDv1, SHA-256, raw or dag-cbor')
  // 0x00 is the identity multibase prefix, DAG-CBOR "Links".
  return [new Token(Type.tag, CID_TAG), new Token(Type.bytes, concat(Uint8Array.of(0), cid.bytes))]
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

/** Where the value that begins at `at` ends, in bytes that `decode` takes. */
export function endOf(bytes: Uint8Array, at: number): number {
  const r: Reader = { bytes, at }
  for (let values = 1; values > 0; values--) {
    const major = bytes[r.at]! >> 5
    if (major === BYTES || major === STRING) takeBytes(r)
    else if (major === ARRAY) values += readHead(r)
    else if (major === MAP) values += 2 * readHead(r)
    else if (readHead(r) === CID_TAG && major === TAG) values += 1
  }
  return r.at
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
