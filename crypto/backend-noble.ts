/** Hashes and Ed25519 by noble: the back end for browsers, and the cross-check. `backend.ts` says what each promises. */
import * as ed25519 from '@noble/ed25519'
import { sha256 as nobleSha256, sha512 } from '@noble/hashes/sha2.js'
import { shake256 as nobleShake256 } from '@noble/hashes/sha3.js'
import type { Hasher } from './backend.ts'
import { concat, equal } from './bytes.ts'

ed25519.hashes.sha512 = sha512

const { BASE, ZERO } = ed25519.Point
const L = ed25519.Point.CURVE().n

export function sha256(bytes: Uint8Array, out?: Uint8Array): Uint8Array {
  const digest = nobleSha256(bytes)
  out?.set(digest)
  return out ?? digest
}

export const shake256 = (bytes: Uint8Array, out: Uint8Array): void =>
  out.set(nobleShake256(bytes, { dkLen: out.length }))

export function createHash(): Hasher {
  const inner = nobleSha256.create()
  const hasher: Hasher = {
    update(bytes) {
      inner.update(bytes)
      return this
    },
    digest: () => inner.digest(),
  }
  return hasher
}

/** By points, because noble's own `verify` multiplies by the cofactor and so accepts more. */
export function equation(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean {
  const r = signature.subarray(0, 32)
  try {
    const a = ed25519.Point.fromBytes(publicKey, false)
    const s = littleEndian(signature.subarray(32))
    const k = littleEndian(sha512(concat(r, publicKey, message))) % L
    const sB = s === 0n ? ZERO : BASE.multiply(s, false)
    const kA = k === 0n ? ZERO : a.multiply(k, false)
    return equal(sB.subtract(kA).toBytes(), r)
  } catch {
    return false
  }
}

export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return ed25519.sign(message, seed)
}

export function publicKey(seed: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(seed)
}

function littleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${ed25519.etc.bytesToHex(bytes.toReversed())}`)
}
