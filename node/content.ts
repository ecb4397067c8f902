/**
 * The content of a home: made from plain files, received from partners, and read for them. No byte of ciphertext leaves
 * here before its digest was computed anew and equals the index (RULES F2).
 */
import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { equal } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { blockKey, keyCommitment, openBlock } from '../crypto/cipher.ts'
import {
  blockSizeFor,
  cipherBlockSize,
  cipherOffset,
  digestAt,
  makeRoot,
  type Root,
  rootCid,
} from '../protocol/content.ts'
import { askBlocks, giveSlot, takeSlot } from './block-thread.ts'
import { BlockWriter } from './block-writer.ts'
import { ContentError } from './content-error.ts'
import { type ContentPaths, contentPaths, rootHex } from './content-paths.ts'
import { isTemporary, readFully, replaceFile, SharedSync, temporaryName } from './file.ts'
import { type Reader, Readers } from './readers.ts'
import { Receiver } from './receiver.ts'
import { checkRoom } from './room.ts'

/** Read before it is asked for, so that the disk and the network work at the same time: this much, or one block more. */
const READ_AHEAD_BYTES = 2 ** 20

/** What an import made. `size` in plain bytes; `digest` is the salted digest of the plain bytes. */
export interface Imported {
  root: Root
  rootCid: CID
  size: number
  digest: Uint8Array
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
    return this.#import({ bytes, size: bytes.length, check: async () => {} }, contentKey, salt)
  }

  /**
   * The ciphertext of the blocks from `from` on, each proven equal to the index. A block's memory is used again when the
   * next one is asked for. Throws CONTENT_MISSING, CONTENT_DAMAGED.
   */
  async *readBlocks(hex: string, root: Root, from = 0): AsyncGenerator<Uint8Array, void, undefined> {
    await using lease = await this.#readers.lease(hex, root)
    const atOnce = Math.max(2, READ_AHEAD_BYTES / root.block)
    const ahead: Promise<Uint8Array>[] = []
    try {
      for (let i = from, next = from; i < root.count; i += 1) {
        while (next < root.count && next - i < atOnce)
          ahead.push(handled(readChecked(lease.reader, root, next++)))
        const block = await ahead.shift()!
        yield block
        giveSlot(block)
      }
    } finally {
      await Promise.allSettled(ahead)
    }
  }

  /** The digests of all blocks, 32 bytes each, proven equal to the tree in the root. Throws CONTENT_MISSING, CONTENT_DAMAGED. */
  async readDigests(hex: string, root: Root): Promise<Uint8Array> {
    await using lease = await this.#readers.lease(hex, root)
    return lease.reader.digests
  }

  /** Plain blocks in order. Throws KEY_MISMATCH, BLOCK_NOT_AUTHENTIC with the block's index, CONTENT_*. */
  async *openContent(root: Root, contentKey: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    checkKey(root, contentKey)
    const key = blockKey(contentKey)
    let index = 0
    for await (const sealed of this.readBlocks(rootHex(root), root)) {
      yield openOrTell(() => openBlock(key, index, sealed), index)
      index += 1
    }
  }

  /** Opens all of the content and gives the salted digest of what is in it. Throws as `openContent`. */
  async checkContent(root: Root, contentKey: Uint8Array, salt: Uint8Array): Promise<Uint8Array> {
    checkKey(root, contentKey)
    await using lease = await this.#readers.lease(rootHex(root), root)
    const { file, digests } = lease.reader
    const answer = await askBlocks({ do: 'open', fd: file.fd, root, digests, key: contentKey, salt })
    if ('digest' in answer) return answer.digest
    throw answer.damaged ? damaged(answer.wrong) : notAuthentic(answer.wrong)
  }

  /** Whether all of the content is here. */
  async has(root: Root): Promise<boolean> {
    const { blocks } = contentPaths(this.#dir, rootHex(root))
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
      const paths = contentPaths(this.#dir, hex)
      const complete = await this.has(root)
      if (!complete) await this.#checkRoom(paths, root)
      return await Receiver.open(paths, root, this.#names, complete, release)
    } catch (error) {
      release()
      throw error
    }
  }

  /** Throws DISK_FULL unless what is missing fits. */
  async #checkRoom({ part }: ContentPaths, root: Root): Promise<void> {
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
    const { blocks, part, index } = contentPaths(this.#dir, hex)
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
    const { bytes, size } = source
    blockSizeFor(size) // refuse before anything is written
    await checkRoom(this.#dir, size)
    const writer = await BlockWriter.open(temporaryName(join(this.#dir, 'import')))
    try {
      const sealed = await writer.seal({ source: bytes, size, key: contentKey, salt })
      if ('code' in sealed) throw new ContentError(sealed.code, sealed.message)
      await source.check()
      await writer.finish()
      const root = makeRoot(size, sealed.digests, keyCommitment(contentKey))
      await this.#publish(writer.path, root, sealed.digests)
      return { root, rootCid: rootCid(root), size, digest: sealed.digest }
    } catch (error) {
      await writer.discard()
      throw error
    }
  }

  /** The name `.blocks` comes last: where it stands, the index does too. */
  async #publish(written: string, root: Root, digests: Uint8Array): Promise<void> {
    const { blocks, index } = contentPaths(this.#dir, rootHex(root))
    await replaceFile(index, digests, 0o600)
    await rename(written, blocks)
    await this.#names.request()
  }
}

/** Where the plain bytes of an import come from. */
interface Source {
  /** The descriptor of an open file, or bytes in memory. */
  bytes: number | Uint8Array
  /** Bytes. */
  size: number
  /** Throws SOURCE_CHANGED where the source is not what it was at the beginning. */
  check(): Promise<void>
}

/** Without O_NONBLOCK, opening a named pipe would wait for its writer. */
function openSource(path: string): Promise<FileHandle> {
  return open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch(unreadable)
}

function unreadable(error: Error): never {
  throw new ContentError('SOURCE_UNREADABLE', `the source cannot be read: ${error.message}`, undefined, error)
}

async function fileSource(file: FileHandle): Promise<Source> {
  const before = await file.stat({ bigint: true })
  if (!before.isFile()) throw new ContentError('NOT_A_FILE', 'only regular files can be published')
  const size = Number(before.size)
  const check = async () => {
    const after = await file.stat({ bigint: true })
    const isLonger = (await readFully(file, new Uint8Array(1), size).catch(unreadable)) > 0 // as files of /proc are
    if (isLonger || after.size !== before.size || after.mtimeNs !== before.mtimeNs)
      throw new ContentError('SOURCE_CHANGED', 'the file was changed while it was read')
  }
  return { bytes: file.fd, size, check }
}

/** A promise that is awaited later: until then its rejection is not unhandled. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}

async function readChecked({ file, digests }: Reader, root: Root, index: number): Promise<Uint8Array> {
  const slot = takeSlot(cipherBlockSize(root, index))
  const position = cipherOffset(root, index)
  const digest = digestAt(digests, index)
  const right = await askBlocks({ do: 'read', fd: file.fd, position, bytes: slot, digest })
  if (right) return slot
  giveSlot(slot)
  throw damaged(index)
}

function checkKey(root: Root, contentKey: Uint8Array): void {
  if (!equal(keyCommitment(contentKey), root.key))
    throw new ContentError('KEY_MISMATCH', 'this is not the key that the root commits to')
}

function openOrTell(open: () => Uint8Array, index: number): Uint8Array {
  try {
    return open()
  } catch (error) {
    throw notAuthentic(index, error)
  }
}

function damaged(index: number): ContentError {
  return new ContentError('CONTENT_DAMAGED', `block ${index} on this disk is not what was stored`, index)
}

function notAuthentic(index: number, cause?: unknown): ContentError {
  return new ContentError('BLOCK_NOT_AUTHENTIC', `block ${index} does not open`, index, cause)
}
