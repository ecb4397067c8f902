/** Hashes and Ed25519 by node:crypto: the fast back end. `backend.ts` says what each function promises. */
import {
  createHash as createNodeHash,
  createPrivateKey,
  createPublicKey,
  hash,
  type KeyObject,
  sign as nodeSign,
  verify as nodeVerify,
} from 'node:crypto'
import type { Backend, Hasher } from './backend.ts'
import { concat } from './bytes.ts'

/** DER before a raw Ed25519 key (RFC 8410): PKCS #8 for a seed, SPKI for a public key. */
const PKCS8_PREFIX = Uint8Array.from(Buffer.from('302e020100300506032b657004220420', 'hex'))
const SPKI_PREFIX = Uint8Array.from(Buffer.from('302a300506032b6570032100', 'hex'))

/** Public keys kept as KeyObjects: making one costs a quarter of a verification. About 1 KiB each. */
const MAX_PUBLIC_KEYS = 1024

/** By the bytes and not by the array, which its owner may change. */
const publicKeys = new Map<string, KeyObject>()
/** By the array, so that no copy of a seed outlives the seed. */
const privateKeys = new WeakMap<Uint8Array, KeyObject>()
/** The same of what was derived from it. */
const derived = new WeakMap<Uint8Array, Uint8Array>()

/** Equations that were found to hold, or were made to: a record comes by several ways. About 100 bytes each. */
const MAX_HELD = 8_192
/** By the SHA-256 of all that one is about; the oldest go first. */
const held = new Set<string>()

/** By way of a latin1 string (node calls it `binary`): 0.9 us where a Buffer costs 2.5 us (200 bytes in). */
export function sha256(bytes: Uint8Array, out: Uint8Array = new Uint8Array(32)): Uint8Array {
  const digest = hash('sha256', bytes, 'binary')
  for (let i = 0; i < 32; i++) out[i] = digest.charCodeAt(i)
  return out
}

/** Also by way of a string; from 100 bytes on, node's own copy of it is faster than a loop. */
export function shake256(bytes: Uint8Array, out: Uint8Array): void {
  const stream = hash('shake256', bytes, { outputEncoding: 'binary', outputLength: out.length })
  Buffer.from(out.buffer, out.byteOffset, out.length).write(stream, 'binary')
}

export function createHash(): Hasher {
  const inner = createNodeHash('sha256')
  const hasher: Hasher = {
    update(bytes) {
      inner.update(bytes)
      return this
    },
    digest: () => new Uint8Array(inner.digest()),
  }
  return hasher
}

export function equation(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  const question = questionOf(signature, message, publicKey)
  if (question === undefined) return false
  if (held.has(question)) return true
  try {
    if (!by.equation(signature, message, publicKey)) return false
  } catch {
    return false
  }
  holds(question)
  return true
}

type Signatures = Pick<Backend, 'equation' | 'sign'>
export const openssl: Signatures = {
  equation: (signature, message, publicKey) => nodeVerify(null, message, publicObject(publicKey), signature),
  sign: (seed, message) => new Uint8Array(nodeSign(null, message, privateObject(seed))),
}
let by = openssl
/** By what signatures are checked and made from here on; what others found to hold is forgotten. */
export const signaturesBy = (other: Signatures): void => {
  by = other
  held.clear()
}

/** Key and signature have one length, so that nothing else gives these bytes. */
const questionOf = (signature: Uint8Array, message: Uint8Array, key: Uint8Array): string | undefined =>
  key.length === 32 && signature.length === 64
    ? hash('sha256', concat(key, signature, message), 'binary')
    : undefined

function holds(question: string): void {
  if (held.size >= MAX_HELD) held.delete(held.values().next().value!)
  held.add(question)
}

export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = by.sign(seed, message)
  const key = derived.get(seed)
  if (key) holds(questionOf(signature, message, key)!)
  return signature
}

export function publicKey(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(privateObject(seed)).export({ format: 'der', type: 'spki' })
  const key = new Uint8Array(der.subarray(SPKI_PREFIX.length))
  derived.set(seed, new Uint8Array(key))
  return key
}

function publicObject(raw: Uint8Array): KeyObject {
  const name = String.fromCharCode.apply(null, raw as unknown as number[])
  const known = publicKeys.get(name)
  if (known) return known
  const made = createPublicKey({ key: Buffer.from(concat(SPKI_PREFIX, raw)), format: 'der', type: 'spki' })
  if (publicKeys.size >= MAX_PUBLIC_KEYS) publicKeys.delete(publicKeys.keys().next().value!)
  publicKeys.set(name, made)
  return made
}

function privateObject(seed: Uint8Array): KeyObject {
  const known = privateKeys.get(seed)
  if (known) return known
  const made = createPrivateKey({
    key: Buffer.from(concat(PKCS8_PREFIX, seed)),
    format: 'der',
    type: 'pkcs8',
  })
  privateKeys.set(seed, made)
  return made
}
