/**
 * Reading age files of one recipient (C2SP age-encryption.org/v1: X25519 and scrypt), over node:crypto.
 *
 * Files are written with the package age-encryption. They are read here because importing that package costs 190 ms,
 * a fifth of the time a daemon has for its start, and its scrypt 2.3 s on the main thread instead of 0.7 s beside it.
 * The tests hold both to the same verdict.
 */
import { createCipheriv, createDecipheriv, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { Recipient } from 'age-encryption'
import { x25519Public, x25519Shared } from '#sealing'
import { concat, utf8 } from '../crypto/bytes.ts'
import { hkdf, hmac } from '../crypto/hash.ts'

/** Work factor of passphrases, log2: the age tool's own default, 256 MiB. */
const SCRYPT_LOG_N = 18
/** Files asking for more are refused: 2^20 is 1 GiB. */
const MAX_SCRYPT_LOG_N = 20
const TAG_BYTES = 16
const NONCE_BYTES = 16
/** Bytes of plain text in one piece of the payload; longer files are not read here. */
const MAX_PLAIN_BYTES = 65_536
const SCRYPT_LABEL = 'age-encryption.org/v1/scrypt'
const X25519_LABEL = 'age-encryption.org/v1/X25519'
const NO_NONCE = new Uint8Array(12)
/** Eleven bytes of counter and the mark of the last piece. */
const LAST_CHUNK_NONCE = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)

/** `AGE_KEY`: the identity or passphrase does not fit. `AGE_DAMAGED`: not a file that its writer made. */
export class AgeError extends Error {
  override readonly name = 'AgeError'
  readonly code: 'AGE_KEY' | 'AGE_DAMAGED'
  constructor(code: 'AGE_KEY' | 'AGE_DAMAGED', message: string) {
    super(message)
    this.code = code
  }
}

/** Whether a file is encrypted with a passphrase. */
export function needsPassphrase(file: Uint8Array): boolean {
  return parseHeader(file).type === 'scrypt'
}

/** The content of an age file; `key` is the passphrase, or an identity `AGE-SECRET-KEY-1...`, as the file asks. */
export async function decryptAge(file: Uint8Array, key: string): Promise<Uint8Array> {
  const header = parseHeader(file)
  const wrapping = header.type === 'scrypt' ? await scryptKey(header, key) : x25519Key(header, key)
  const fileKey = open(wrapping, NO_NONCE, header.body)
  if (!fileKey) throw new AgeError('AGE_KEY', 'the key does not open the file')
  const mac = hmac(hkdf(fileKey, new Uint8Array(0), utf8('header'), 32), header.signed)
  if (header.mac.length !== mac.length || !timingSafeEqual(mac, header.mac))
    throw damaged('the header was changed')
  const nonce = header.payload.subarray(0, NONCE_BYTES)
  const plain = open(
    hkdf(fileKey, nonce, utf8('payload'), 32),
    LAST_CHUNK_NONCE,
    header.payload.subarray(NONCE_BYTES),
  )
  if (!plain) throw damaged('the content was changed or cut off')
  return plain
}

/** A recipient for the package's `Encrypter`: the holder of a passphrase. */
export async function passphraseRecipient(passphrase: string): Promise<Recipient> {
  const { Stanza } = await import('age-encryption')
  return {
    async wrapFileKey(fileKey) {
      const salt = randomBytes(16)
      const key = await derive(passphrase, salt, SCRYPT_LOG_N)
      return [new Stanza(['scrypt', toBase64(salt), `${SCRYPT_LOG_N}`], seal(key, NO_NONCE, fileKey))]
    },
  }
}

interface Header {
  type: 'X25519' | 'scrypt'
  args: string[]
  /** The wrapped file key, 32 bytes. */
  body: Uint8Array
  /** What the MAC covers: the header up to its three dashes. */
  signed: Uint8Array
  mac: Uint8Array
  /** Nonce and one sealed piece. */
  payload: Uint8Array
}

/** The header in exactly the form that writers give it, with one stanza; AGE_DAMAGED for any other. */
function parseHeader(file: Uint8Array): Header {
  const head = Buffer.from(file.subarray(0, 512)).toString('latin1')
  const match =
    /^(age-encryption\.org\/v1\n-> (X25519|scrypt) ([!-~]+(?: [!-~]+)*)\n([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n/.exec(
      head,
    )
  if (!match) throw damaged('not an age file for one passphrase or one X25519 key')
  const payload = file.subarray(match[0].length)
  if (payload.length < NONCE_BYTES + TAG_BYTES || payload.length > NONCE_BYTES + MAX_PLAIN_BYTES + TAG_BYTES)
    throw damaged(`${payload.length} bytes of payload`)
  const body = fromBase64(match[4]!)
  if (body.length !== 32) throw damaged('a wrong file key')
  return {
    type: match[2] as Header['type'],
    args: match[3]!.split(' '),
    body,
    signed: file.subarray(0, match[1]!.length),
    mac: fromBase64(match[5]!),
    payload,
  }
}

async function scryptKey({ args }: Header, passphrase: string): Promise<Uint8Array> {
  const [salt, factor] = [fromBase64(args[0] ?? ''), args[1] ?? '']
  if (args.length !== 2 || salt.length !== 16 || !/^[1-9][0-9]?$/.test(factor))
    throw damaged('a wrong scrypt line')
  if (Number(factor) > MAX_SCRYPT_LOG_N) throw damaged(`scrypt work factor ${factor}`)
  return derive(passphrase, salt, Number(factor))
}

function derive(passphrase: string, salt: Uint8Array, logN: number): Promise<Uint8Array> {
  const N = 2 ** logN
  // 128 * N * r bytes are needed; node's own limit is 32 MiB.
  const options = { N, r: 8, p: 1, maxmem: 128 * N * 8 + 2 ** 20 }
  const run = promisify<string, Uint8Array, number, typeof options, Uint8Array>(scrypt)
  return run(passphrase, concat(utf8(SCRYPT_LABEL), salt), 32, options)
}

function x25519Key({ args }: Header, identity: string): Uint8Array {
  const share = fromBase64(args[0] ?? '')
  if (args.length !== 1 || share.length !== 32) throw damaged('a wrong X25519 line')
  const privateKey = identityBytes(identity)
  const shared = x25519Shared(privateKey, share)
  if (!shared) throw damaged('a share of small order')
  return hkdf(shared, concat(share, x25519Public(privateKey)), utf8(X25519_LABEL), 32)
}

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const IDENTITY = /^AGE-SECRET-KEY-1([AC-HJ-NP-Z02-9]{58})$/
const IDENTITY_PREFIX = 'age-secret-key-'

/** The 32 bytes of an X25519 identity: Bech32 (BIP 173) with its checksum. Throws AGE_KEY. */
function identityBytes(identity: string): Uint8Array {
  const words = Array.from(IDENTITY.exec(identity)?.[1]?.toLowerCase() ?? '', char => BECH32.indexOf(char))
  const prefix = Array.from(IDENTITY_PREFIX, char => char.charCodeAt(0))
  const expanded = [...prefix.map(code => code >> 5), 0, ...prefix.map(code => code & 31), ...words]
  if (words.length === 0 || polymod(expanded) !== 1) throw new AgeError('AGE_KEY', 'not an X25519 identity')
  const bytes = new Uint8Array(32)
  let [group, bits, at] = [0, 0, 0]
  for (const word of words.slice(0, -6)) {
    group = ((group << 5) | word) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = group >> bits
    }
  }
  return bytes
}

/** The checksum polynomial of BIP 173. */
function polymod(values: number[]): number {
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]
  let sum = 1
  for (const value of values) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ value
    for (const [i, term] of generator.entries()) if ((top >> i) & 1) sum ^= term
  }
  return sum
}

function seal(key: Uint8Array, nonce: Uint8Array, plain: Uint8Array): Uint8Array {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
  return concat(cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

/** The plain bytes, or undefined where the tag does not fit. */
function open(key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES))
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES))
  try {
    decipher.final()
    return new Uint8Array(plain)
  } catch {
    return undefined
  }
}

/** Base64 without padding; nothing for any other text, so that its length is then wrong. */
function fromBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  return toBase64(bytes) === text ? new Uint8Array(bytes) : new Uint8Array(0)
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

function damaged(message: string): AgeError {
  return new AgeError('AGE_DAMAGED', message)
}
