/**
 * The thread that does with blocks what costs: hashing, ciphering, reading and writing, one block after another and with
 * synchronous calls, which cost half of asynchronous ones and would hold up everything else on the main thread. Between
 * two blocks of a long job it takes others.
 */
import { fdatasync, readSync, writeSync } from 'node:fs'
import { setImmediate as othersToo } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { equal, giveBack } from '../crypto/bytes.ts'
import { blockKey, openBlock, sealBlock } from '../crypto/cipher.ts'
import { CryptoError } from '../crypto/error.ts'
import { sha256 } from '../crypto/hash.ts'
import {
  blockSizeFor,
  cipherBlockSize,
  cipherOffset,
  DIGEST_BYTES,
  digestAt,
  plainDigest,
  type Root,
} from '../protocol/content.ts'
import type { Answer, BlockJob, Failure } from './block-job.ts'
import { SyncAhead } from './sync-ahead.ts'

const CHANGED = { code: 'SOURCE_CHANGED' as const, message: 'the file was changed while it was read' }

type Job<T extends BlockJob['do']> = Extract<BlockJob, { do: T }>

parentPort!.on('message', async ({ id, job }: { id: number; job: BlockJob }) => {
  try {
    parentPort!.postMessage({ id, answer: await perform(job) })
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException
    parentPort!.postMessage({ id, failure: { message, code } satisfies Failure })
  }
})

function perform(job: BlockJob): Answer<BlockJob> | Promise<Answer<BlockJob>> {
  switch (job.do) {
    case 'read':
      return readWhole(job.fd, job.bytes, job.position) && equal(sha256(job.bytes), job.digest)
    case 'write':
      return write(job)
    case 'count':
      return count(job)
    case 'seal':
      return seal(job)
    case 'open':
      return open(job)
  }
}

function write({ fd, position, bytes, digest }: Job<'write'>): boolean {
  if (!equal(sha256(bytes), digest)) return false
  writeWhole(fd, bytes, position)
  return true
}

async function count({ fd, root, digests }: Job<'count'>): Promise<number> {
  const buffer = blockBuffer(root)
  let index = 0
  for (; index < root.count; index++) {
    const block = buffer.subarray(0, cipherBlockSize(root, index))
    if (!readWhole(fd, block, cipherOffset(root, index))) break
    if (!equal(sha256(block), digestAt(digests, index))) break
    await othersToo()
  }
  return index
}

async function seal({ source, size, fd, key: contentKey, salt }: Job<'seal'>): Promise<Answer<Job<'seal'>>> {
  const [key, hash, block] = [blockKey(contentKey), plainDigest(salt), blockSizeFor(size)]
  const read = typeof source === 'number' ? fileReader(source, Math.min(block, size)) : bytesReader(source)
  const digests = new Uint8Array(Math.ceil(size / block) * DIGEST_BYTES)
  const synced = new SyncAhead(done => fdatasync(fd, done))
  let written = 0
  for (let i = 0; i * block < size; i++) {
    const plain = read(i * block, Math.min(block, size - i * block))
    if (!(plain instanceof Uint8Array)) return plain
    hash.update(plain)
    const sealed = sealBlock(key, i, plain)
    digests.set(sha256(sealed), i * DIGEST_BYTES)
    writeWhole(fd, sealed, written)
    written += sealed.length
    synced.wrote(sealed.length)
    giveBack(sealed)
    await othersToo()
  }
  await synced.idle()
  return { digests, digest: hash.digest() }
}

/**
 * The tags alone tell whether a block is what was sealed; it is hashed only where its tag does not fit, to know whether
 * the disk is at fault or whoever sealed it.
 */
async function open(job: Job<'open'>): Promise<Answer<Job<'open'>>> {
  const { fd, root, digests } = job
  const [key, hash, buffer] = [blockKey(job.key), plainDigest(job.salt), blockBuffer(root)]
  for (let i = 0; i < root.count; i++) {
    const sealed = buffer.subarray(0, cipherBlockSize(root, i))
    if (!readWhole(fd, sealed, cipherOffset(root, i))) return { wrong: i, damaged: true }
    const plain = opened(() => openBlock(key, i, sealed))
    if (!plain) return { wrong: i, damaged: !equal(sha256(sealed), digestAt(digests, i)) }
    hash.update(plain)
    giveBack(plain)
    await othersToo()
  }
  return { digest: hash.digest() }
}

function opened(open: () => Uint8Array): Uint8Array | undefined {
  try {
    return open()
  } catch (error) {
    if (error instanceof CryptoError) return undefined
    throw error
  }
}

/** Reads into one buffer again and again. */
function fileReader(fd: number, size: number) {
  const buffer = Buffer.allocUnsafeSlow(size)
  return (position: number, length: number) => {
    const target = buffer.subarray(0, length)
    try {
      return readWhole(fd, target, position) ? target : CHANGED
    } catch (error) {
      const message = `the source cannot be read: ${(error as Error).message}`
      return { code: 'SOURCE_UNREADABLE' as const, message }
    }
  }
}

function bytesReader(bytes: Uint8Array) {
  return (position: number, length: number): Uint8Array => bytes.subarray(position, position + length)
}

function readWhole(fd: number, target: Uint8Array, position: number): boolean {
  for (let filled = 0; filled < target.length; ) {
    const bytes = readSync(fd, target, filled, target.length - filled, position + filled)
    if (bytes === 0) return false
    filled += bytes
  }
  return true
}

/** One write may take fewer bytes than asked. */
function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let written = 0; written < bytes.length; )
    written += writeSync(fd, bytes, written, bytes.length - written, position + written)
}

function blockBuffer(root: Root): Uint8Array {
  return Buffer.allocUnsafeSlow(root.count === 0 ? 0 : cipherBlockSize(root, 0))
}
