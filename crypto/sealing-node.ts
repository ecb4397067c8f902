/** Ciphers by node:crypto: the fast back end. `sealing.ts` says what each function promises. */
import {
  createCipheriv,
  createDecipheriv,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type KeyObject,
} from 'node:crypto'
import { concat, giveBack } from './bytes.ts'
import { keyBits, type SymmetricKey, TAG_BYTES } from './sealing.ts'

/** DER before a raw X25519 key (RFC 8410): PKCS #8 and SPKI. */
const PKCS8_PREFIX = Uint8Array.from(Buffer.from('302e020100300506032b656e04220420', 'hex'))
const SPKI_PREFIX = Uint8Array.from(Buffer.from('302a300506032b656e032100', 'hex'))

/** A KeyObject: a raw key given to each call costs 20 us more of it. */
export function symmetricKey(raw: Uint8Array): SymmetricKey {
  return { bits: keyBits(raw), handle: createSecretKey(raw) }
}

export function aesGcmSeal(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  plain: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv(`aes-${key.bits}-gcm`, key.handle as KeyObject, nonce)
  if (aad.length > 0) cipher.setAAD(aad)
  const sealed = new Uint8Array(Buffer.allocUnsafeSlow(plain.length + TAG_BYTES).buffer)
  const bytes = cipher.update(plain) // GCM holds nothing back for `final`
  sealed.set(bytes)
  giveBack(bytes)
  cipher.final()
  sealed.set(cipher.getAuthTag(), plain.length)
  return sealed
}

export function aesGcmOpen(
  key: SymmetricKey,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const length = sealed.length - TAG_BYTES
  if (length < 0) return undefined
  const options = { authTagLength: TAG_BYTES }
  const decipher = createDecipheriv(`aes-${key.bits}-gcm`, key.handle as KeyObject, nonce, options)
  if (aad.length > 0) decipher.setAAD(aad)
  decipher.setAuthTag(sealed.subarray(length))
  const plain = decipher.update(sealed.subarray(0, length))
  try {
    decipher.final()
  } catch {
    return undefined
  }
  return new Uint8Array(plain.buffer, plain.byteOffset, plain.length)
}

export function x25519Public(privateKey: Uint8Array): Uint8Array {
  const der = createPublicKey(privateObject(privateKey)).export({ format: 'der', type: 'spki' })
  return new Uint8Array(der.subarray(SPKI_PREFIX.length))
}

export function x25519Shared(privateKey: Uint8Array, publicKey: Uint8Array): Uint8Array | undefined {
  const key = Buffer.from(concat(SPKI_PREFIX, publicKey))
  try {
    const other = createPublicKey({ key, format: 'der', type: 'spki' })
    const shared = diffieHellman({ privateKey: privateObject(privateKey), publicKey: other })
    return shared.some(byte => byte !== 0) ? new Uint8Array(shared) : undefined
  } catch {
    return undefined // OpenSSL refuses the all-zero result itself
  }
}

function privateObject(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.from(concat(PKCS8_PREFIX, raw)), format: 'der', type: 'pkcs8' })
}
