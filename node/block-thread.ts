/** The thread for blocks (block-worker.ts) as the main thread sees it, and the shared memory in which blocks go to and fro. */
import { Worker } from 'node:worker_threads'
import { TAG_BYTES } from '../crypto/sealing.ts'
import { BLOCK_SIZES } from '../protocol/limits.ts'
import type { Answer, BlockJob, Failure } from './block-job.ts'

/** Its young objects stay within the processor's cache; 2 MiB is the least that V8 takes. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 2 }
/** Slots that nobody uses at the moment are kept up to this much: four transfers of usual blocks. */
const MAX_SPARE_BYTES = 16 * 2 ** 20

interface Waiting {
  resolve(answer: unknown): void
  reject(error: Error): void
}

const waiting = new Map<number, Waiting>()
let lastId = 0
let running: Worker | undefined

/** Asks the thread; one serves the whole process, from the first question on. Rejects with errors of the file system. */
export function askBlocks<T extends BlockJob>(job: T): Promise<Answer<T>> {
  running ??= start()
  if (waiting.size === 0) running.ref()
  const id = ++lastId
  running.postMessage({ id, job })
  return new Promise((resolve, reject) => waiting.set(id, { resolve: resolve as Waiting['resolve'], reject }))
}

function start(): Worker {
  const worker = new Worker(new URL('./block-worker.ts', import.meta.url), {
    resourceLimits: RESOURCE_LIMITS,
  })
  worker.on('message', ({ id, answer, failure }: { id: number; answer: unknown; failure?: Failure }) => {
    const { resolve, reject } = waiting.get(id)!
    waiting.delete(id)
    if (waiting.size === 0) worker.unref()
    if (failure) reject(Object.assign(new Error(failure.message), { code: failure.code }))
    else resolve(answer)
  })
  worker.on('error', error => lost(worker, error))
  worker.on('exit', () => lost(worker, new Error('the thread for blocks ended')))
  return worker
}

/** A thread that failed takes what it was asked with it; the next question starts another. */
function lost(worker: Worker, error: Error): void {
  if (running !== worker) return
  running = undefined
  const all = [...waiting.values()]
  waiting.clear()
  for (const { reject } of all) reject(error)
}

/** Shared memory for one block each, by the block sizes that there are. */
const sizes = BLOCK_SIZES.map(size => ({
  bytes: size + TAG_BYTES,
  spare: [] as SharedArrayBuffer[],
}))
let spareBytes = 0

/** A slot for a sealed block of this length. What is in it is left from an earlier use. */
export function takeSlot(length: number): Uint8Array {
  const { bytes, spare } = sizes.find(size => length <= size.bytes)!
  const buffer = spare.pop()
  if (buffer) spareBytes -= bytes
  return new Uint8Array(buffer ?? new SharedArrayBuffer(bytes), 0, length)
}

/** Gives back a slot that neither thread looks at any more. */
export function giveSlot(slot: Uint8Array): void {
  const size = sizes.find(({ bytes }) => bytes === slot.buffer.byteLength)!
  if (spareBytes + size.bytes > MAX_SPARE_BYTES) return
  spareBytes += size.bytes
  size.spare.push(slot.buffer as SharedArrayBuffer)
}

/** Whether these bytes are a slot of `takeSlot`. */
export function isSlot(bytes: Uint8Array): boolean {
  return bytes.buffer instanceof SharedArrayBuffer
}
