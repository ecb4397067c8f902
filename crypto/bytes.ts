/** Bytes: joining, comparing, and the text forms that stand in records, notes and names. Runs in a browser too. */
import { CryptoError } from './error.ts'

const HEX_DIGITS = Array.from('0123456789abcdef', digit => digit.charCodeAt(0))
/** A call takes so many arguments safely. */
const MAX_HEX_BYTES = 4096
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const BASE64_DIGITS = Array.from(BASE64, digit => digit.charCodeAt(0))
const PADDING = '='.charCodeAt(0)
/** Without a remainder by 3, so that the texts of parts join to that of the whole. */
const MAX_BASE64_BYTES = 3_072
/** By the code of each digit; a map would cost three times as much. */
const BASE64_VALUE = Array.from({ length: 128 }, (_, code) => BASE64.indexOf(String.fromCharCode(code)))

const encoder = new TextEncoder()
/** `encodeInto` costs a fourth of `encode`; a unit of a string becomes three bytes at most. */
const SCRATCH_BYTES = 1_536
const scratch = new Uint8Array(SCRATCH_BYTES)
/** `ignoreBOM` keeps U+FEFF in the text; without it, text -> bytes -> text would lose it. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** An array of more than so many bytes has memory of its own beside it, which costs ten times as much to make. */
const SMALL_BYTES = 64
const POOLED_BYTES = 1_024
const POOL_BYTES = 8_192
let pool = new Uint8Array(0)
let pooled = 0

/** Zeros to be written to; a few small ones share their memory, so what is kept long wants a copy of its own. */
export function allocate(length: number): Uint8Array<ArrayBuffer> {
  if (length <= SMALL_BYTES || length > POOLED_BYTES) return new Uint8Array(length)
  return take(length)
}

function take(length: number): Uint8Array<ArrayBuffer> {
  if (pooled + length > pool.length) {
    pool = new Uint8Array(POOL_BYTES)
    pooled = 0
  }
  const bytes = pool.subarray(pooled, pooled + length)
  pooled += (length + 7) & ~7
  return bytes
}

/** The bytes from `from` to `end`, which nobody else writes to. */
export function copyOf(bytes: Uint8Array, from = 0, end: number = bytes.length): Uint8Array<ArrayBuffer> {
  const copy = allocate(end - from)
  if (copy.length > SMALL_BYTES) copy.set(bytes.subarray(from, end))
  else for (let i = 0; i < copy.length; i++) copy[i] = bytes[from + i]!
  return copy
}

/** All parts in one new array. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  let length = 0
  for (const part of parts) length += part.length
  const joined = allocate(length)
  let at = 0
  for (const part of parts) {
    joined.set(part, at)
    at += part.length
  }
  return joined
}

/** Not in constant time: for digests and signatures, which are public. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a === b) return true
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Lexical order of unsigned bytes; a prefix comes first. Negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let i = 0; i < shared; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Lower-case hex. From the codes of its digits: to join 32 short strings costs three times as much, and a garbage string each. */
export function toHex(bytes: Uint8Array): string {
  if (bytes.length > MAX_HEX_BYTES)
    return toHex(bytes.subarray(0, MAX_HEX_BYTES)) + toHex(bytes.subarray(MAX_HEX_BYTES))
  const codes = new Array<number>(2 * bytes.length)
  for (let i = 0; i < bytes.length; i++) {
    codes[2 * i] = HEX_DIGITS[bytes[i]! >> 4]!
    codes[2 * i + 1] = HEX_DIGITS[bytes[i]! & 15]!
  }
  return String.fromCharCode.apply(null, codes)
}

/** The bytes of lower-case hex; `undefined` for anything `toHex` would not write. */
export function fromHex(hex: string): Uint8Array | undefined {
  if (hex.length % 2 !== 0 || !/^[0-9a-f]*$/.test(hex)) return undefined
  const bytes = new Uint8Array(hex.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** UTF-8 of a string. Throws TEXT_INVALID on a lone surrogate, which has no UTF-8. */
export function utf8(string: string): Uint8Array {
  if (!string.isWellFormed()) throw new CryptoError('TEXT_INVALID', 'a lone surrogate has no UTF-8')
  if (string.length > SCRATCH_BYTES / 3) return encoder.encode(string)
  return copyOf(scratch, 0, encoder.encodeInto(string, scratch).written)
}

/** The string of UTF-8 bytes. Throws TEXT_INVALID where they are not UTF-8. */
export function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw new CryptoError('TEXT_INVALID', 'the bytes are not UTF-8')
  }
}

/** A non-negative safe integer as 8 bytes, most significant first. Throws RangeError outside of that range. */
export function u64(n: number): Uint8Array {
  const bytes = new Uint8Array(8)
  writeU64(bytes, 0, n)
  return bytes
}

/** The same into `out` at `at`: by halves, because shifts know 32 bits; a DataView costs more. */
export function writeU64(out: Uint8Array, at: number, n: number): void {
  if (!Number.isSafeInteger(n) || n < 0) throw new RangeError(`${n} is no unsigned safe integer`)
  writeU32(out, at, Math.floor(n / 2 ** 32))
  writeU32(out, at + 4, n >>> 0)
}

function writeU32(out: Uint8Array, at: number, n: number): void {
  out[at] = n >>> 24
  out[at + 1] = n >>> 16
  out[at + 2] = n >>> 8
  out[at + 3] = n
}

/** The integer in 8 bytes at `offset`; `undefined` past the end of `bytes` or above 2^53 - 1. */
export function readU64(bytes: Uint8Array, offset = 0): number | undefined {
  if (offset < 0 || offset + 8 > bytes.length) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, 8)
  const n = view.getUint32(0) * 2 ** 32 + view.getUint32(4)
  return Number.isSafeInteger(n) ? n : undefined
}

/** Standard base64 with padding (RFC 4648 section 4), the form in C2SP notes. From codes, as `toHex`. */
export function toBase64(bytes: Uint8Array): string {
  if (bytes.length > MAX_BASE64_BYTES)
    return toBase64(bytes.subarray(0, MAX_BASE64_BYTES)) + toBase64(bytes.subarray(MAX_BASE64_BYTES))
  const codes = new Array<number>(4 * Math.ceil(bytes.length / 3))
  let at = 0
  for (let i = 0; i < bytes.length; i += 3) {
    const [b, c] = [bytes[i + 1], bytes[i + 2]]
    const group = (bytes[i]! << 16) | ((b ?? 0) << 8) | (c ?? 0)
    codes[at++] = BASE64_DIGITS[group >> 18]!
    codes[at++] = BASE64_DIGITS[(group >> 12) & 63]!
    codes[at++] = b === undefined ? PADDING : BASE64_DIGITS[(group >> 6) & 63]!
    codes[at++] = c === undefined ? PADDING : BASE64_DIGITS[group & 63]!
  }
  return String.fromCharCode.apply(null, codes)
}

/** The bytes of padded base64; `undefined` for anything `toBase64` would not write (RFC 4648 section 3.5). */
export function fromBase64(base64: string): Uint8Array | undefined {
  if (base64.length % 4 !== 0) return undefined
  const padding = base64.endsWith('==') ? 2 : base64.endsWith('=') ? 1 : 0
  const bytes = allocate((base64.length / 4) * 3 - padding)
  let [group, bits, at] = [0, 0, 0]
  for (let i = 0; i < base64.length - padding; i++) {
    const value = BASE64_VALUE[base64.charCodeAt(i)] ?? -1
    if (value < 0) return undefined
    group = ((group << 6) | value) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = group >> bits
    }
  }
  const unused = group & ((1 << bits) - 1)
  return unused === 0 ? bytes : undefined
}

/**
 * Gives the memory of a large array back at once, if nothing else lies in it: a collector that sees few and small objects
 * lets 64 MiB of blocks gather. The array is empty afterwards.
 */
export function giveBack(bytes: Uint8Array): void {
  const { buffer, byteLength } = bytes
  if (byteLength === buffer.byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
