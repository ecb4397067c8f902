/**
 * The private keys of a home, in two pairs of files (0600, in a folder of mode 0700):
 *
 *     keys.age   admin, log, operation, witness and node keys, and the key that seals secrets at rest
 *     root.age   the root key and the pre-committed next root and admin keys; may be moved offline
 *
 * Both are age files and open with the age tool. With a passphrase they are encrypted to it. Without one each is encrypted
 * to an identity of its own in a second file beside it (`keys.identity`, `root.identity`); that protects a copy of one
 * of the two files and nothing more. `root.*` needs nothing of `keys.*`, so that a moved root key outlives the home.
 */
import { constants } from 'node:fs'
import { access, mkdir, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Recipient } from 'age-encryption'
import { aesGcmOpen, aesGcmSeal, symmetricKey } from '#sealing'
import { concat, fromHex, text, toHex, utf8 } from '../crypto/bytes.ts'
import { HOME_SECRET } from '../crypto/domain.ts'
import { hkdf } from '../crypto/hash.ts'
import type { SymmetricKey } from '../crypto/sealing.ts'
import { AgeError, decryptAge, needsPassphrase, passphraseRecipient } from './age.ts'
import { replaceFile, syncDirectory } from './file.ts'

const FORMAT = 'waybill.keys/1'
const SEED_BYTES = 32
const NONCE_BYTES = 12
const MAX_FILE_BYTES = 16_384

const DAILY = ['admin', 'log', 'operation', 'witness', 'node', 'home'] as const
const OFFLINE = ['root', 'rootNext', 'adminNext'] as const

/** Ed25519 seeds of 32 bytes; `home` seals secrets at rest. */
export type DailyKeys = Record<(typeof DAILY)[number], Uint8Array>
/** Seeds of 32 bytes that only `init` and `rotate` need. */
export type RootKeys = Record<(typeof OFFLINE)[number], Uint8Array>
/** The keys of a home; those of the root are absent where `root.age` was moved away. */
export type Keys = DailyKeys & Partial<RootKeys>

export type KeystoreErrorCode =
  | 'KEYS_MISSING'
  | 'KEYS_EXIST'
  | 'KEYS_PERMISSIONS'
  | 'KEYS_PASSPHRASE'
  | 'KEYS_DAMAGED'
  | 'SECRET_DAMAGED'

/** `path` is the file, or the handle of the secret, that cannot be used. */
export class KeystoreError extends Error {
  override readonly name = 'KeystoreError'
  readonly code: KeystoreErrorCode
  readonly path: string
  constructor(code: KeystoreErrorCode, path: string, message: string) {
    super(`${path}: ${message}`)
    this.code = code
    this.path = path
  }
}

/** Draws and stores the keys of a new home. Refuses a folder that has some (KEYS_EXIST): they would be lost. */
export async function createKeystore(
  dir: string,
  randomBytes: (length: number) => Uint8Array,
  passphrase?: string,
): Promise<Keys> {
  const paths = { keys: join(dir, 'keys.age'), root: join(dir, 'root.age') }
  await mkdir(dir, { recursive: true, mode: 0o700 })
  for (const path of Object.values(paths))
    if (await exists(path)) throw new KeystoreError('KEYS_EXIST', path, 'there are keys already')
  const draw = (names: readonly string[]) => names.map(name => [name, randomBytes(SEED_BYTES)] as const)
  const daily = Object.fromEntries(draw(DAILY)) as DailyKeys
  const offline = Object.fromEntries(draw(OFFLINE)) as RootKeys
  await writeKeys(paths.root, offline, passphrase)
  await writeKeys(paths.keys, daily, passphrase)
  await syncDirectory(dir)
  await syncDirectory(dirname(dir))
  return { ...daily, ...offline }
}

/**
 * The keys of a home, in 10 ms without a passphrase; each of the two files takes 1.3 s with one, so a daemon, which does
 * not need the root key, passes `{ root: false }`. Throws KEYS_MISSING, KEYS_PERMISSIONS, KEYS_PASSPHRASE, KEYS_DAMAGED.
 */
export async function openKeystore(
  dir: string,
  passphrase?: string,
  options: { root?: boolean } = {},
): Promise<Keys> {
  const { keys: daily } = await readDailyKeys(dir, passphrase)
  return options.root === false ? daily : { ...daily, ...(await readRootKeys(dir, passphrase)) }
}

/** Nothing where one of the root's files was moved away. */
async function readRootKeys(dir: string, passphrase: string | undefined): Promise<Partial<RootKeys>> {
  try {
    return (await readOfflineKeys(dir, passphrase)).keys
  } catch (error) {
    if (error instanceof KeystoreError && error.code === 'KEYS_MISSING') return {}
    throw error
  }
}

/** The seeds of one of the two files, with those that were drawn to follow and may stand already. */
export interface KeyFile<K extends string> {
  keys: Record<K, Uint8Array>
  drawn: Uint8Array[]
}

export const readDailyKeys = (dir: string, passphrase?: string): Promise<KeyFile<keyof DailyKeys>> =>
  readKeys(join(dir, 'keys.age'), DAILY, passphrase)
export const readOfflineKeys = (dir: string, passphrase?: string): Promise<KeyFile<keyof RootKeys>> =>
  readKeys(join(dir, 'root.age'), OFFLINE, passphrase)

/** Replaces a file of keys durably, under the identity or passphrase that it has. */
export async function replaceKeys(
  dir: string,
  name: 'keys' | 'root',
  { keys, drawn }: KeyFile<string>,
  passphrase?: string,
): Promise<void> {
  const path = join(dir, `${name}.age`)
  const isLocked = needsPassphrase(await readPrivate(path))
  const key = isLocked ? passphrase : await readIdentity(identityPath(path))
  if (key === undefined) throw new KeystoreError('KEYS_PASSPHRASE', path, 'needs a passphrase')
  const { identityToRecipient } = await import('age-encryption')
  const recipient = isLocked ? passphraseRecipient(key) : identityToRecipient(key)
  await replaceFile(path, await sealed(keys, drawn, await recipient), 0o600)
  await syncDirectory(dir)
}

/**
 * A secret for the store: 12 random bytes, AES-256-GCM ciphertext and tag. The handle under which it is kept is
 * authenticated, so that no secret can be put in another's place. `random` is 12 fresh bytes.
 */
export function sealSecret(
  homeKey: Uint8Array,
  handle: string,
  bytes: Uint8Array,
  random: Uint8Array,
): Uint8Array {
  return concat(random, aesGcmSeal(secretKey(homeKey), random, utf8(handle), bytes))
}

/** The secret sealed under this handle; SECRET_DAMAGED for any other bytes, handle or home. */
export function openSecret(homeKey: Uint8Array, handle: string, sealed: Uint8Array): Uint8Array {
  const nonce = sealed.subarray(0, NONCE_BYTES)
  const bytes =
    nonce.length === NONCE_BYTES
      ? aesGcmOpen(secretKey(homeKey), nonce, utf8(handle), sealed.subarray(NONCE_BYTES))
      : undefined
  if (!bytes) throw new KeystoreError('SECRET_DAMAGED', handle, 'the secret does not open')
  return bytes
}

/** Deriving and importing the key costs more than sealing a small secret. */
const secretKeys = new WeakMap<Uint8Array, SymmetricKey>()

function secretKey(homeKey: Uint8Array): SymmetricKey {
  let key = secretKeys.get(homeKey)
  if (!key) {
    key = symmetricKey(hkdf(homeKey, new Uint8Array(0), HOME_SECRET, 32))
    secretKeys.set(homeKey, key)
  }
  return key
}

async function writeKeys(path: string, keys: Record<string, Uint8Array>, passphrase?: string): Promise<void> {
  if (passphrase !== undefined)
    return replaceFile(path, await sealed(keys, [], await passphraseRecipient(passphrase)), 0o600)
  const { generateX25519Identity, identityToRecipient } = await import('age-encryption')
  const identity = await generateX25519Identity()
  await replaceFile(identityPath(path), utf8(`${identity}\n`), 0o600)
  await replaceFile(path, await sealed(keys, [], await identityToRecipient(identity)), 0o600)
}

async function sealed(
  keys: Record<string, Uint8Array>,
  drawn: Uint8Array[],
  recipient: string | Recipient,
): Promise<Uint8Array> {
  const { Encrypter } = await import('age-encryption')
  const encrypter = new Encrypter()
  encrypter.addRecipient(recipient)
  const hex = Object.fromEntries(Object.entries(keys).map(([name, seed]) => [name, toHex(seed)]))
  const more = drawn.length > 0 ? { drawn: drawn.map(toHex) } : {}
  return encrypter.encrypt(JSON.stringify({ format: FORMAT, ...hex, ...more }))
}

async function readKeys<K extends string>(
  path: string,
  names: readonly K[],
  passphrase: string | undefined,
): Promise<KeyFile<K>> {
  const file = await readPrivate(path)
  try {
    const key = needsPassphrase(file) ? passphrase : await readIdentity(identityPath(path))
    if (key === undefined) throw new KeystoreError('KEYS_PASSPHRASE', path, 'needs a passphrase')
    return parseKeys(await decryptAge(file, key), path, names)
  } catch (error) {
    throw error instanceof AgeError ? fromAge(error, path, file) : error
  }
}

function fromAge(error: AgeError, path: string, file: Uint8Array): KeystoreError {
  const wrong = error.code === 'AGE_KEY' && needsPassphrase(file)
  if (wrong) return new KeystoreError('KEYS_PASSPHRASE', path, 'the passphrase is wrong')
  return new KeystoreError('KEYS_DAMAGED', path, error.message)
}

function parseKeys<K extends string>(plain: Uint8Array, path: string, names: readonly K[]): KeyFile<K> {
  const fields = parseJson(plain)
  if (fields?.format !== FORMAT)
    throw new KeystoreError('KEYS_DAMAGED', path, `is not of the format ${FORMAT}`)
  const seedOf = (value: unknown, name: string): Uint8Array => {
    const seed = fromHex(String(value))
    if (seed?.length !== SEED_BYTES) throw new KeystoreError('KEYS_DAMAGED', path, `has no ${name} key`)
    return seed
  }
  const keys = Object.fromEntries(names.map(name => [name, seedOf(fields[name], name)]))
  const { drawn = [] } = fields
  if (!Array.isArray(drawn)) throw new KeystoreError('KEYS_DAMAGED', path, 'has no list of drawn keys')
  return { keys: keys as Record<K, Uint8Array>, drawn: drawn.map(each => seedOf(each, 'drawn')) }
}

function parseJson(bytes: Uint8Array): Record<string, unknown> | null {
  try {
    return JSON.parse(text(bytes))
  } catch {
    return null
  }
}

/** The identity in a file as `age-keygen` writes it: comments and one line. */
async function readIdentity(path: string): Promise<string> {
  const lines = new TextDecoder().decode(await readPrivate(path)).split(/\r?\n/)
  return lines.find(line => line.startsWith('AGE-SECRET-KEY-')) ?? ''
}

/** A file that only its owner may read; KEYS_MISSING, KEYS_PERMISSIONS, KEYS_DAMAGED. */
async function readPrivate(path: string): Promise<Uint8Array> {
  const file = await open(path, 'r').catch(error => {
    if (error.code === 'ENOENT') throw new KeystoreError('KEYS_MISSING', path, 'there is no such file')
    if (error.code === 'EACCES') throw new KeystoreError('KEYS_PERMISSIONS', path, 'cannot be read')
    throw error
  })
  try {
    const { mode, size } = await file.stat()
    if ((mode & 0o077) !== 0 && process.platform !== 'win32')
      throw new KeystoreError('KEYS_PERMISSIONS', path, `others have access; run: chmod 600 '${path}'`)
    if (size > MAX_FILE_BYTES) throw new KeystoreError('KEYS_DAMAGED', path, `has ${size} bytes`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

function identityPath(path: string): string {
  return path.replace(/\.age$/, '.identity')
}

function exists(path: string): Promise<boolean> {
  return access(path, constants.F_OK).then(
    () => true,
    () => false,
  )
}
