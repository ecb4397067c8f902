/**
 * The content files of a home: for each packet its ciphertext and the digests of its blocks, both named by the digest of
 * the content root.
 *
 *     content/<root>.blocks   ciphertext blocks with their tags, one behind the other; there only when complete
 *     content/<root>.index    their SHA-256 digests, 32 bytes each; equals the tree in the root
 *     content/<root>.part     the first blocks of content that is being received
 *
 * No byte of ciphertext leaves here before its digest was computed anew and equals the index (RULES F2).
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { equal, toHex } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { blockKey, keyCommitment, openBlock, sealBlock } from '../crypto/cipher.ts'
import { sha256 } from '../crypto/hash.ts'
import {
  blockSizeFor,
  checkDigests,
  cipherBlockSize,
  cipherOffset,
  DIGEST_BYTES,
  makeRoot,
  plainDigest,
  type Root,
  rootCid,
} from '../protocol/content.ts'
import { BlockWriter } from './block-writer.ts'
import { isTemporary, readFully, replaceFile, SharedSync, temporaryName } from './file.ts'
import { checkRoom } from './room.ts'

/** Content files kept open for reading: one file handle and at most 2 MiB of digests each. */
const MAX_OPEN = 32

export type ContentErrorCode =
  | 'NOT_A_FILE'
  | 'SOURCE_UNREADABLE'
  | 'SOURCE_CHANGED'
  | 'CONTENT_MISSING'
  | 'CONTENT_DAMAGED'
  | 'CONTENT_INCOMPLETE'
  | 'CONTENT_BUSY'
  | 'DIGESTS_MISSING'
  | 'DIGESTS_MISMATCH'
  | 'BLOCK_MISMATCH'
  | 'BLOCK_NOT_AUTHENTIC'
  | 'KEY_MISMATCH'

/** `block` is the index of the block that is wrong, where it is one block. */
export class ContentError extends Error {
  override readonly name = 'ContentError'
  readonly code: ContentErrorCode
  readonly block: number | undefined
  constructor(code: ContentErrorCode, message: string, block?: number, cause?: unknown) {
    super(message, { cause })
    this.code = code
    this.block = block
  }
}

/** What an import made. `size` in plain bytes; `digest` is the salted digest of the plain bytes. */
export interface Imported {
  root: Root
  rootCid: CID
  size: number
  digest: Uint8Array
}

/** The name of a root's files: its digest in hex. */
export function rootHex(root: Root): string {
  return toHex(digestOf(rootCid(root)))
}

/** Opens the content files of a home. Run `sweep` before anything is imported or received. */
export async function openContentFiles(home: string): Promise<ContentFiles> {
  const dir = join(home, 'content')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  await new SharedSync(home).request()
  return new ContentFiles(dir)
}

export class ContentFiles implements AsyncDisposable {
  readonly #dir: string
  readonly #names: SharedSync
  readonly #readers: Readers
  readonly #receiving = new Set<string>()

  constructor(dir: string) {
    this.#dir = dir
    this.#names = new SharedSync(dir)
    this.#readers = new Readers(dir)
  }

  /**
   * Seals a regular file into content, one block after another; the files are durable when it returns. The key must be
   * fresh, and is lost with an import that fails (RULES F2). Throws NOT_A_FILE, SOURCE_UNREADABLE, CONTENT_TOO_LARGE, DISK_FULL,
   * and SOURCE_CHANGED when the file was written to meanwhile. A file handle stays open.
   */
  async importFile(source: string | FileHandle, contentKey: Uint8Array, salt: Uint8Array): Promise<Imported> {
    const file = typeof source === 'string' ? await openSource(source) : source
    try {
      return await this.#import(await fileSource(file), contentKey, salt)
    } finally {
      if (file !== source) await file.close()
    }
  }

  /** As `importFile`, for bytes in memory. */
  importBytes(bytes: Uint8Array, contentKey: Uint8Array, salt: Uint8Array): Promise<Imported> {
    return this.#import(bytesSource(bytes), contentKey, salt)
  }

  /** Ciphertext of one block, proven equal to the index. Throws CONTENT_MISSING, CONTENT_DAMAGED. */
  readBlock(hex: string, root: Root, index: number): Promise<Uint8Array> {
    return this.#readers.use(hex, root, reader => readChecked(reader, root, index))
  }

  /** The digests of all blocks, 32 bytes each, proven equal to the tree in the root. Throws CONTENT_MISSING, CONTENT_DAMAGED. */
  readDigests(hex: string, root: Root): Promise<Uint8Array> {
    return this.#readers.use(hex, root, async reader => reader.digests)
  }

  /** Plain blocks in order. Throws KEY_MISMATCH, BLOCK_NOT_AUTHENTIC with the block's index, CONTENT_*. */
  async *openContent(root: Root, contentKey: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    if (!equal(keyCommitment(contentKey), root.key))
      throw new ContentError('KEY_MISMATCH', 'this is not the key that the root commits to')
    const [hex, key] = [rootHex(root), blockKey(contentKey)]
    for (let i = 0; i < root.count; i += 1) {
      const sealed = await this.readBlock(hex, root, i)
      yield openOrTell(() => openBlock(key, i, sealed), i)
    }
  }

  /** Size in bytes and salted digest of the plain content, with one block in memory. Throws as `openContent`. */
  async checkContent(
    root: Root,
    contentKey: Uint8Array,
    salt: Uint8Array,
  ): Promise<{ size: number; digest: Uint8Array }> {
    const hash = plainDigest(salt)
    let size = 0
    for await (const block of this.openContent(root, contentKey)) {
      size += block.length
      hash.update(block)
    }
    return { size, digest: hash.digest() }
  }

  /** Whether all of the content is here. */
  async has(root: Root): Promise<boolean> {
    const { blocks } = paths(this.#dir, rootHex(root))
    const size = await stat(blocks).then(
      file => file.size,
      () => undefined,
    )
    return size === cipherOffset(root, root.count)
  }

  /**
   * Takes up the receiving of content where it stood, also after a crash: what is there already is verified anew, 1 s for
   * a gigabyte. One receiver for each root at a time (CONTENT_BUSY).
   */
  async receive(root: Root): Promise<Receiver> {
    const hex = rootHex(root)
    if (this.#receiving.has(hex)) throw new ContentError('CONTENT_BUSY', `${hex} is being received`)
    this.#receiving.add(hex)
    const release = () => this.#receiving.delete(hex)
    try {
      const complete = await this.has(root)
      if (!complete) await this.#checkRoom(paths(this.#dir, hex), root)
      return await Receiver.open(paths(this.#dir, hex), root, this.#names, complete, release)
    } catch (error) {
      release()
      throw error
    }
  }

  /** Throws DISK_FULL unless what is missing fits. */
  async #checkRoom({ part }: Paths, root: Root): Promise<void> {
    const here = await stat(part).then(
      ({ size }) => size,
      () => 0,
    )
    await checkRoom(this.#dir, cipherOffset(root, root.count) - here)
  }

  /** Deletes the content, received in full or in part, if there is any. Throws CONTENT_BUSY while it is received. */
  async remove(hex: string): Promise<void> {
    if (this.#receiving.has(hex)) throw new ContentError('CONTENT_BUSY', `${hex} is being received`)
    await this.#readers.forget(hex)
    const { blocks, part, index } = paths(this.#dir, hex)
    for (const path of [blocks, part, index]) await rm(path, { force: true })
    await this.#names.request()
  }

  /**
   * At start, before any import: deletes what a crash left unfinished, and complete content whose record was never
   * committed, which `isKnown` tells by the digest of the root. Parts that can be resumed stay.
   */
  async sweep(isKnown: (hex: string) => boolean = () => true): Promise<void> {
    const names = new Set(await readdir(this.#dir))
    const isOrphan = (name: string) => {
      const hex = basename(name, '.index')
      return hex !== name && !names.has(`${hex}.blocks`) && !names.has(`${hex}.part`)
    }
    const isLost = (name: string) => !isKnown(name.slice(0, name.lastIndexOf('.')))
    for (const name of names)
      if (isTemporary(name) || isOrphan(name) || isLost(name)) await rm(join(this.#dir, name))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#readers.close()
  }

  async #import(source: Source, contentKey: Uint8Array, salt: Uint8Array): Promise<Imported> {
    blockSizeFor(source.size) // refuse before anything is written
    await checkRoom(this.#dir, source.size)
    const writer = await BlockWriter.open(temporaryName(join(this.#dir, 'import')))
    try {
      const { digests, digest } = await sealAll(source, contentKey, salt, writer)
      await source.check()
      await writer.finish()
      const root = makeRoot(source.size, digests, keyCommitment(contentKey))
      await this.#publish(writer.path, root, digests)
      return { root, rootCid: rootCid(root), size: source.size, digest }
    } catch (error) {
      await writer.discard()
      throw error
    }
  }

  /** The name `.blocks` comes last: where it stands, the index does too. */
  async #publish(written: string, root: Root, digests: Uint8Array): Promise<void> {
    const { blocks, index } = paths(this.#dir, rootHex(root))
    await replaceFile(index, digests, 0o600)
    await rename(written, blocks)
    await this.#names.request()
  }
}

interface Paths {
  blocks: string
  index: string
  part: string
}

function paths(dir: string, hex: string): Paths {
  return {
    blocks: join(dir, `${hex}.blocks`),
    index: join(dir, `${hex}.index`),
    part: join(dir, `${hex}.part`),
  }
}

/** Where the plain bytes of an import come from. */
interface Source {
  /** Bytes. */
  size: number
  /** The bytes from `position`, exactly `length`; they are overwritten by the next but one call. */
  read(position: number, length: number): Promise<Uint8Array>
  /** Throws SOURCE_CHANGED where the source is not what it was at the beginning. */
  check(): Promise<void>
}

function bytesSource(bytes: Uint8Array): Source {
  return {
    size: bytes.length,
    read: async (position, length) => bytes.subarray(position, position + length),
    check: async () => {},
  }
}

/** Without O_NONBLOCK, opening a named pipe would wait for its writer. */
function openSource(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(unreadable)
}

async function fileSource(file: FileHandle): Promise<Source> {
  const before = await file.stat({ bigint: true })
  if (!before.isFile()) throw new ContentError('NOT_A_FILE', 'only regular files can be published')
  const size = Number(before.size)
  const buffers = [0, 1].map(() => Buffer.allocUnsafeSlow(Math.min(size, blockSizeFor(size))))
  let turn = 0
  const changed = () => new ContentError('SOURCE_CHANGED', 'the file was changed while it was read')
  return {
    size,
    read: async (position, length) => {
      turn = 1 - turn
      const target = buffers[turn]!.subarray(0, length)
      if ((await readFully(file, target, position).catch(unreadable)) < length) throw changed()
      return target
    },
    check: async () => {
      const after = await file.stat({ bigint: true })
      const isLonger = (await readFully(file, new Uint8Array(1), size).catch(unreadable)) > 0 // as files of /proc are
      if (isLonger || after.size !== before.size || after.mtimeNs !== before.mtimeNs) throw changed()
    },
  }
}

function unreadable(error: Error): never {
  throw new ContentError('SOURCE_UNREADABLE', `the source cannot be read: ${error.message}`, undefined, error)
}

/** Seals block after block; the next one is read and the last one written meanwhile. */
async function sealAll(
  source: Source,
  contentKey: Uint8Array,
  salt: Uint8Array,
  writer: BlockWriter,
): Promise<{ digests: Uint8Array; digest: Uint8Array }> {
  const [key, hash] = [blockKey(contentKey), plainDigest(salt)]
  const block = blockSizeFor(source.size)
  const count = Math.ceil(source.size / block)
  const digests = new Uint8Array(count * DIGEST_BYTES)
  const read = (i: number) => handled(source.read(i * block, Math.min(block, source.size - i * block)))
  let next = count > 0 ? read(0) : undefined
  let written: Promise<void> | undefined
  for (let i = 0; i < count; i += 1) {
    const plain = await next!
    next = i + 1 < count ? read(i + 1) : undefined
    hash.update(plain)
    const sealed = sealBlock(key, i, plain)
    digests.set(sha256(sealed), i * DIGEST_BYTES)
    await written
    written = handled(writer.append(sealed))
  }
  await written
  return { digests, digest: hash.digest() }
}

/** A promise that is awaited later: until then its rejection is not unhandled. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

function openOrTell(open: () => Uint8Array, index: number): Uint8Array {
  try {
    return open()
  } catch (error) {
    throw new ContentError('BLOCK_NOT_AUTHENTIC', `block ${index} does not open`, index, error)
  }
}

/** A content file open for reading, with its digests, which equal the tree in the root. */
interface Reader {
  file: FileHandle
  digests: Uint8Array
}

async function openReader({ blocks, index }: Paths, root: Root): Promise<Reader> {
  const missing = (error: Error) => {
    throw new ContentError('CONTENT_MISSING', 'the content is not here', undefined, error)
  }
  const file = await open(blocks, 'r').catch(missing)
  try {
    const digests = await readFile(index).catch(missing)
    if (!checkDigests(root, digests))
      throw new ContentError('CONTENT_DAMAGED', `${index} is not the root's index`)
    return { file, digests }
  } catch (error) {
    await file.close()
    throw error
  }
}

async function readChecked({ file, digests }: Reader, root: Root, index: number): Promise<Uint8Array> {
  const block = new Uint8Array(Buffer.allocUnsafeSlow(cipherBlockSize(root, index)).buffer)
  const length = await readFully(file, block, cipherOffset(root, index))
  if (length < block.length || !matches(block, digests, index))
    throw new ContentError('CONTENT_DAMAGED', `block ${index} on this disk is not what was stored`, index)
  return block
}

function matches(block: Uint8Array, digests: Uint8Array, index: number): boolean {
  return equal(sha256(block), digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES))
}

/** The readers used last; one that is put out while it reads is closed when it is done. */
class Readers {
  readonly #dir: string
  readonly #open = new Map<string, { reader: Promise<Reader>; users: number; dropped: boolean }>()

  constructor(dir: string) {
    this.#dir = dir
  }

  async use<T>(hex: string, root: Root, body: (reader: Reader) => Promise<T>): Promise<T> {
    const entry = this.#open.get(hex) ?? {
      reader: openReader(paths(this.#dir, hex), root),
      users: 0,
      dropped: false,
    }
    this.#open.delete(hex)
    this.#open.set(hex, entry) // now the last of the map, which is in order of use
    entry.users += 1
    try {
      const reader = await entry.reader.catch(error => {
        this.#open.delete(hex)
        throw error
      })
      return await body(reader)
    } finally {
      entry.users -= 1
      if (entry.dropped && entry.users === 0) await closeReader(entry.reader)
      const [oldest] = this.#open.keys()
      if (this.#open.size > MAX_OPEN) await this.forget(oldest!)
    }
  }

  /** Closes the reader of a root, at the latest when it is not used any more. */
  async forget(hex: string): Promise<void> {
    const entry = this.#open.get(hex)
    this.#open.delete(hex)
    if (!entry) return
    entry.dropped = true
    if (entry.users === 0) await closeReader(entry.reader)
  }

  async close(): Promise<void> {
    for (const hex of [...this.#open.keys()]) await this.forget(hex)
  }
}

async function closeReader(reader: Promise<Reader>): Promise<void> {
  await reader.then(
    ({ file }) => file.close(),
    () => {},
  )
}

/** Content that arrives block by block, in order. Ends with `finish`, `suspend` or `abort`. */
export class Receiver {
  readonly root: Root
  /** The first block that is not here; equals `root.count` when all are. */
  next = 0
  readonly #paths: Paths
  readonly #names: SharedSync
  readonly #release: () => void
  #digests: Uint8Array | undefined
  /** Absent when the content was complete from the start, and when the receiver has ended. */
  #writer: BlockWriter | undefined

  private constructor(paths: Paths, root: Root, names: SharedSync, release: () => void) {
    this.#paths = paths
    this.root = root
    this.#names = names
    this.#release = release
  }

  /** For `ContentFiles.receive`. */
  static async open(
    paths: Paths,
    root: Root,
    names: SharedSync,
    complete: boolean,
    release: () => void,
  ): Promise<Receiver> {
    const receiver = new Receiver(paths, root, names, release)
    const digests = await readFile(paths.index).catch(() => undefined)
    if (digests && checkDigests(root, digests)) receiver.#digests = new Uint8Array(digests)
    if (complete && receiver.#digests) receiver.next = root.count
    else await receiver.#resume()
    if (root.count === 0 && !receiver.#digests) await receiver.putDigests(new Uint8Array(0))
    return receiver
  }

  /** The digests of all blocks, 32 bytes each, once they are known; they are kept over a restart. */
  get digests(): Uint8Array | undefined {
    return this.#digests
  }

  /** Takes the digests of all blocks if they are those of the root: DIGESTS_MISMATCH. */
  async putDigests(digests: Uint8Array): Promise<void> {
    if (!checkDigests(this.root, digests))
      throw new ContentError('DIGESTS_MISMATCH', "these are not the digests of the root's blocks")
    if (this.#digests) return
    await replaceFile(this.#paths.index, digests, 0o600)
    this.#digests = Uint8Array.from(digests)
  }

  /** Takes block `next`. Throws DIGESTS_MISSING, BLOCK_MISMATCH; another try may follow. */
  async put(block: Uint8Array): Promise<void> {
    const index = this.next
    if (!this.#digests) throw new ContentError('DIGESTS_MISSING', 'the digests come before the blocks')
    if (index >= this.root.count || !this.#writer)
      throw new ContentError('BLOCK_MISMATCH', 'no block is missing', index)
    if (block.length !== cipherBlockSize(this.root, index) || !matches(block, this.#digests, index))
      throw new ContentError('BLOCK_MISMATCH', `block ${index} is not the one in the index`, index)
    this.next += 1
    await this.#writer.append(block)
  }

  /** The content is durable and can be read. Throws CONTENT_INCOMPLETE while blocks are missing. */
  async finish(): Promise<void> {
    if (this.next < this.root.count)
      throw new ContentError('CONTENT_INCOMPLETE', `${this.next} of ${this.root.count} blocks are here`)
    if (this.#writer) {
      await this.#writer.finish()
      this.#writer = undefined
      await rename(this.#paths.part, this.#paths.blocks)
      await this.#names.request()
    }
    this.#release()
  }

  /** Stops; what is here stays, and the next receiver of this root goes on from it. */
  async suspend(): Promise<void> {
    await this.#writer?.close()
    this.#writer = undefined
    this.#release()
  }

  /** Stops and deletes what was received. */
  async abort(): Promise<void> {
    if (this.#writer) {
      await this.#writer.discard()
      await rm(this.#paths.index, { force: true })
    }
    this.#writer = undefined
    this.#release()
  }

  /** Counts the blocks of an earlier receiver that are whole, and goes on behind them. */
  async #resume(): Promise<void> {
    const file = await open(this.#paths.part, 'a+', 0o600)
    try {
      this.next = this.#digests ? await countWhole({ file, digests: this.#digests }, this.root) : 0
    } finally {
      await file.close()
    }
    this.#writer = await BlockWriter.open(this.#paths.part, cipherOffset(this.root, this.next))
  }
}

/** How many blocks from the first on are what the digests say. */
async function countWhole({ file, digests }: Reader, root: Root): Promise<number> {
  const buffer = Buffer.allocUnsafeSlow(root.count === 0 ? 0 : cipherBlockSize(root, 0))
  let index = 0
  for (; index < root.count; index += 1) {
    const block = buffer.subarray(0, cipherBlockSize(root, index))
    const length = await readFully(file, block, cipherOffset(root, index))
    if (length < block.length || !matches(block, digests, index)) break
  }
  return index
}
