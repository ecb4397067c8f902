/**
 * Hashes and Ed25519 for a simulated world: those of crypto/backend-node.ts, charged to the meter. With charged signatures
 * a stand-in takes the place of Ed25519: SHA-256 over the public key and the message, which anybody could make. It is the
 * same in every run, refuses what was changed or is of another key, and costs what the profile says of the real one.
 *
 * No import of the product leads here: sim/charge.ts puts it under crypto/ in a process of its own.
 */
import { createPrivateKey, createPublicKey } from 'node:crypto'
import type { Hasher } from '../crypto/backend.ts'
import * as real from '../crypto/backend-node.ts'
import { concat, equal, utf8 } from '../crypto/bytes.ts'
import { meter } from './meter.ts'

const STAND_IN = utf8('waybill-sim/charged-signature\0')
const PKCS8_PREFIX = Uint8Array.from(Buffer.from('302e020100300506032b657004220420', 'hex'))
const KEY_BYTES = 32

export function sha256(bytes: Uint8Array, out?: Uint8Array): Uint8Array {
  meter.charge('hash', bytes.length)
  return real.sha256(bytes, out)
}

export function shake256(bytes: Uint8Array, out: Uint8Array): void {
  meter.charge('hash', bytes.length)
  real.shake256(bytes, out)
}

export function createHash(): Hasher {
  const inner = real.createHash()
  const hasher: Hasher = {
    update(bytes) {
      meter.charge('hash', bytes.length)
      inner.update(bytes)
      return hasher
    },
    digest: () => inner.digest(),
  }
  return hasher
}

export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  meter.charge('sign', message.length)
  const signature = meter.signatures === 'real' ? real.sign(seed, message) : standIn(publicOf(seed), message)
  holds(signature)
  return signature
}

export function equation(signature: Uint8Array, message: Uint8Array, key: Uint8Array): boolean {
  const isTrue =
    meter.signatures === 'real'
      ? real.equation(signature, message, key)
      : equal(signature, standIn(key, message))
  meter.charge(isTrue && isHeld(signature) ? 'hash' : 'verify', message.length)
  if (isTrue) holds(signature)
  return isTrue
}

/** As many as crypto/backend-node.ts keeps. */
const MAX_HELD = 8_192

/** An equation by the beginning of its signature, which is another for another key or message: 32 bits, which take no room of their own. */
const nameOf = (signature: Uint8Array): number =>
  signature.subarray(0, 4).reduce((sum, byte) => (sum << 8) | byte, 0)

const isHeld = (signature: Uint8Array): boolean => meter.held?.has(nameOf(signature)) ?? false

function holds(signature: Uint8Array): void {
  const { held } = meter
  if (!held || !meter.on) return
  if (held.size >= MAX_HELD) held.delete(held.values().next().value!)
  held.add(nameOf(signature))
}

export function publicKey(seed: Uint8Array): Uint8Array {
  meter.charge('sign')
  return meter.signatures === 'real' ? real.publicKey(seed) : publicOf(seed)
}

/** Public keys by the array of the seed, which every key keeps: a real one, for records are checked for it. */
const publicKeys = new WeakMap<Uint8Array, Uint8Array>()

function publicOf(seed: Uint8Array): Uint8Array {
  const known = publicKeys.get(seed)
  if (known) return known
  const key = createPrivateKey({ key: Buffer.from(concat(PKCS8_PREFIX, seed)), format: 'der', type: 'pkcs8' })
  const der = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const made = new Uint8Array(der.subarray(-KEY_BYTES))
  publicKeys.set(seed, made)
  return made
}

/** 64 bytes that have the form of a signature: both halves small enough, and the first of no point of small order. */
function standIn(key: Uint8Array, message: Uint8Array): Uint8Array {
  const signature = new Uint8Array(2 * KEY_BYTES)
  const digest = real.sha256(concat(STAND_IN, key, message))
  signature.set(digest)
  signature.set(digest, KEY_BYTES)
  signature[KEY_BYTES - 1]! &= 0x3f
  signature[2 * KEY_BYTES - 1]! &= 0x0f
  return signature
}
