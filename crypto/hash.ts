/** SHA-256 and what is built on it: HMAC, HKDF, and the expansion of a step's seed. */
import { createHash, sha256 as digest, shake256 } from '#backend'
import type { Hasher } from './backend.ts'
import { utf8 } from './bytes.ts'
import { EXPAND } from './domain.ts'

export type { Hasher } from './backend.ts'

const DIGEST_BYTES = 32
const BLOCK_BYTES = 64
/** RFC 5869 section 2.3: the counter is one byte. */
const MAX_HKDF_BYTES = 255 * DIGEST_BYTES
/** What one step may draw under one label, in bytes. */
const MAX_EXPAND_BYTES = 65_536

/** What most hashes are over fits here: arrays of more than 64 bytes are dear to make. */
const scratch = new Uint8Array(1024)
/** What the outer hash of an HMAC is over, and in it the inner one. */
const outer = scratch.subarray(0, BLOCK_BYTES + DIGEST_BYTES)
const inner = outer.subarray(BLOCK_BYTES)

/** SHA-256 over the parts in order: 32 bytes. */
export function sha256(...parts: Uint8Array[]): Uint8Array {
  return parts.length === 1 ? digest(parts[0]!) : digest(joined(parts, 0))
}

/** The parts behind `at` bytes, for use before the next call. */
function joined(parts: Uint8Array[], at: number): Uint8Array {
  let length = at
  for (const part of parts) length += part.length
  const out = length <= scratch.length ? scratch.subarray(0, length) : new Uint8Array(length)
  let end = at
  for (const part of parts) {
    out.set(part, end)
    end += part.length
  }
  return out
}

/** SHA-256 over bytes that arrive piece by piece. */
export function hasher(): Hasher {
  return createHash()
}

/**
 * HMAC-SHA-256 over the parts in order (RFC 2104): 32 bytes. By hand over two hashes, 4 us: the HMAC object of
 * node:crypto costs 21 to 34 us with a fresh key, the largest single cost of a log append.
 */
export function hmac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  const short = key.length > BLOCK_BYTES ? digest(key) : key
  digest(padded(joined(parts, BLOCK_BYTES), short, 0x36), inner)
  return digest(padded(outer, short, 0x5c))
}

/** Puts the key, padded to a block, before what follows it. */
function padded(bytes: Uint8Array, key: Uint8Array, pad: number): Uint8Array {
  bytes.fill(pad, 0, BLOCK_BYTES)
  for (let i = 0; i < key.length; i++) bytes[i] = key[i]! ^ pad
  return bytes
}

/** HKDF-SHA-256 (RFC 5869): `length` bytes. Throws RangeError above 8,160 bytes. */
export function hkdf(ikm: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  return hkdfExpand(hkdfExtract(salt, ikm), info, length)
}

/** RFC 5869 section 2.2: a pseudorandom key of 32 bytes. */
export function hkdfExtract(salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return hmac(salt, ikm)
}

/** RFC 5869 section 2.3: `length` bytes. Throws RangeError above 8,160 bytes. */
export function hkdfExpand(prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  checkLength(length, MAX_HKDF_BYTES)
  const out = new Uint8Array(Math.ceil(length / DIGEST_BYTES) * DIGEST_BYTES)
  let block = new Uint8Array(0)
  for (let i = 0; i * DIGEST_BYTES < length; i++) {
    block = new Uint8Array(hmac(prk, block, info, Uint8Array.of(i + 1)))
    out.set(block, i * DIGEST_BYTES)
  }
  return out.slice(0, length)
}

/**
 * `n` bytes of the randomness of one step: HMAC(seed, tag ‖ label ‖ counter), blocks joined. Every nonce, salt and
 * one-time key of a step comes from its one 32-byte seed under a label of its own, so that a step is a function.
 * Throws RangeError above 64 KiB.
 */
export function expand(seed: Uint8Array, label: string, n = 32): Uint8Array {
  checkLength(n, MAX_EXPAND_BYTES)
  const name = utf8(label)
  const out = new Uint8Array(Math.ceil(n / DIGEST_BYTES) * DIGEST_BYTES)
  for (let i = 0; i * DIGEST_BYTES < n; i++)
    // The counter has a fixed width and stands last, so that no label runs into it.
    out.set(hmac(seed, EXPAND, name, Uint8Array.of(i >> 8, i & 0xff)), i * DIGEST_BYTES)
  return out.slice(0, n)
}

/** `n` bytes from a seed that has one use: SHAKE256 (FIPS 202), many of them for the price of a few hashes. */
export function stretch(seed: Uint8Array, n: number): Uint8Array {
  checkLength(n, MAX_EXPAND_BYTES)
  const out = new Uint8Array(n)
  if (n > 0) shake256(seed, out)
  return out
}

function checkLength(length: number, max: number): void {
  if (!Number.isSafeInteger(length) || length < 0 || length > max)
    throw new RangeError(`${length} is no length between 0 and ${max}`)
}
