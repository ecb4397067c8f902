/**
 * A backup of a home: one age file with all that a new disk needs but the content, which is large, and which its sources and
 * partners have. It is consistent while the daemon runs. Bodies lie in it as in the store, sealed, and the file of their keys
 * stands nowhere but inside of the encryption (RULES D7).
 *
 *     frame = length (4 bytes, big-endian) ‖ dag-cbor       about, files, rows …, body keys …, end
 */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { concat } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { passphraseRecipient } from './age.ts'
import { hasHome, paths } from './config.ts'
import type { Node } from './daemon.ts'
import { replaceFile, syncDirectory, temporaryName, writeAll, writeFileDurable } from './file.ts'
import { acquireHome } from './home.ts'
import { RESTORED } from './place.ts'
import { openStore } from './store.ts'

const FORMAT = 'waybill.backup/1'
const ROWS_BYTES = 65_536
const CHUNK_BYTES = 2 ** 20
const MAX_FRAME_BYTES = 2 ** 24

export class BackupError extends Error {
  override readonly name = 'BackupError'
  readonly code: 'BACKUP_DAMAGED' | 'BACKUP_KEY' | 'HOME_EXISTS' | 'FILE_EXISTS'
  constructor(code: BackupError['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** What a backup says of itself. */
export interface About {
  format: string
  org: string
  name: string
  /** Entries of the log. */
  size: number
  madeMs: number
}

type Frame =
  | { about: About }
  | { file: string; bytes: Uint8Array }
  | { rows: [string, Uint8Array][] }
  | { keys: Uint8Array }
  | { end: number }

/** Writes a backup for a recipient (`age1…`) or the holder of a passphrase. */
export async function backup(
  node: Node,
  path: string,
  to: { recipient: string } | { passphrase: string },
): Promise<About & { bytes: number }> {
  if (existsSync(path)) throw new BackupError('FILE_EXISTS', `${path} exists`)
  await node.driver.durable()
  const about: About = {
    format: FORMAT,
    org: node.env.self.org,
    name: node.env.self.identity.name,
    size: node.driver.state.ledger.tail.range.size,
    madeMs: Date.now(),
  }
  const { Encrypter } = await import('age-encryption')
  const encrypter = new Encrypter()
  encrypter.addRecipient('recipient' in to ? to.recipient : await passphraseRecipient(to.passphrase))
  const name = temporaryName(path)
  const file = await open(name, 'wx', 0o600)
  let bytes = 0
  try {
    const sealed = await encrypter.encrypt(ReadableStream.from(frames(node, about)))
    for await (const chunk of sealed) {
      await writeAll(file, chunk, bytes)
      bytes += chunk.length
    }
    await file.sync()
  } catch (error) {
    await rm(name, { force: true })
    throw error
  } finally {
    await file.close()
  }
  await rename(name, path)
  await syncDirectory(dirname(path))
  return { ...about, bytes }
}

async function* frames(node: Node, about: About): AsyncGenerator<Uint8Array> {
  const at = paths(node.home)
  yield framed({ about })
  for (const name of await readdir(at.keys))
    yield framed({ file: join('keys', name), bytes: await bytesOf(join(at.keys, name)) })
  for (const path of [at.identity, at.config])
    yield framed({ file: path.slice(node.home.length + 1), bytes: await bytesOf(path) })
  let [count, rows, size] = [0, [] as [string, Uint8Array][], 0]
  for await (const [key, value] of node.store.raw()) {
    rows.push([key, value])
    size += key.length + value.length
    count++
    if (size < ROWS_BYTES) continue
    yield framed({ rows })
    ;[rows, size] = [[], 0]
  }
  yield framed({ rows })
  // After the rows: what was redacted meanwhile is gone from here, whatever they hold.
  const keys = await open(at.bodyKeys, 'r')
  try {
    for (;;) {
      const { buffer, bytesRead } = await keys.read(new Uint8Array(CHUNK_BYTES), 0, CHUNK_BYTES)
      if (bytesRead === 0) break
      yield framed({ keys: buffer.subarray(0, bytesRead) })
    }
  } finally {
    await keys.close()
  }
  yield framed({ end: count })
}

const bytesOf = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path))

function framed(frame: Frame): Uint8Array {
  const bytes = encode(frame as unknown as Value)
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return concat(length, bytes)
}

/** Makes a home of a backup. The next start knows that it was restored, and says what that means. */
export async function restoreHome(
  home: string,
  path: string,
  key: { identity: string } | { passphrase: string },
): Promise<About> {
  if (hasHome(home)) throw new BackupError('HOME_EXISTS', `there is a home at ${home}`)
  using _lock = await acquireHome(home)
  const at = paths(home)
  if (existsSync(at.store)) throw new BackupError('HOME_EXISTS', `there is a store at ${home}`)
  const unfinished = temporaryName(at.store)
  let about: About | undefined
  const files: [string, Uint8Array][] = []
  let count = -1
  {
    const failures: Error[] = []
    await using store = await openStore(unfinished, {
      create: true,
      onFailure: error => failures.push(error),
    })
    const keys = await open(at.bodyKeys, 'wx', 0o600)
    let [rows, written] = [0, 0]
    try {
      for await (const frame of read(path, key)) {
        if ('about' in frame) about = frame.about
        else if ('file' in frame) files.push([frame.file, frame.bytes])
        else if ('rows' in frame) {
          store.commit(
            frame.rows.map(([name, value]) => ({ key: name, value })),
            () => {},
          )
          await store.idle()
          rows += frame.rows.length
        } else if ('keys' in frame) {
          await writeAll(keys, frame.keys, written)
          written += frame.keys.length
        } else count = frame.end
      }
      await keys.sync()
    } catch (error) {
      await rm(at.bodyKeys, { force: true })
      throw error
    } finally {
      await keys.close()
    }
    if (count !== rows || !about) throw new BackupError('BACKUP_DAMAGED', `${path} is not a whole backup`)
  }
  await rename(unfinished, at.store)
  await mkdir(at.keys, { recursive: true, mode: 0o700 })
  await writeFileDurable(join(home, 'begun'), new Uint8Array(0), 0o600)
  await writeFileDurable(join(home, RESTORED), randomBytes(8), 0o600)
  // The configuration comes last: with it the home exists.
  for (const [name, bytes] of files) {
    if (!/^(keys\/[\w.-]+|[\w.-]+)$/.test(name))
      throw new BackupError('BACKUP_DAMAGED', `${name} is no file of a home`)
    await replaceFile(join(home, name), bytes, 0o600)
  }
  await syncDirectory(at.keys)
  await syncDirectory(home)
  return about!
}

async function* read(
  path: string,
  key: { identity: string } | { passphrase: string },
): AsyncGenerator<Frame> {
  const { Decrypter } = await import('age-encryption')
  const decrypter = new Decrypter()
  if ('identity' in key) decrypter.addIdentity(key.identity)
  else decrypter.addPassphrase(key.passphrase)
  const file = await open(path, 'r')
  try {
    const plain = await decrypter
      .decrypt(ReadableStream.from(file.createReadStream({ autoClose: false })) as ReadableStream<Uint8Array>)
      .catch(error => {
        throw new BackupError('BACKUP_KEY', `${path} does not open: ${(error as Error).message}`)
      })
    yield* unframed(plain, path)
  } finally {
    await file.close()
  }
}

async function* unframed(plain: AsyncIterable<Uint8Array>, path: string): AsyncGenerator<Frame> {
  let rest: Uint8Array = new Uint8Array(0)
  try {
    for await (const chunk of plain) {
      rest = concat(rest, chunk)
      for (;;) {
        if (rest.length < 4) break
        const length = new DataView(rest.buffer, rest.byteOffset).getUint32(0)
        if (length > MAX_FRAME_BYTES) throw new Error('a frame is too long')
        if (rest.length < 4 + length) break
        yield decode(rest.slice(4, 4 + length), MAX_FRAME_BYTES) as unknown as Frame
        rest = rest.slice(4 + length)
      }
    }
  } catch (error) {
    throw new BackupError('BACKUP_DAMAGED', `${path}: ${(error as Error).message}`)
  }
  if (rest.length > 0) throw new BackupError('BACKUP_DAMAGED', `${path} ends in the middle`)
}
