/**
 * What is asked of the thread for blocks (block-worker.ts), and what it answers. Files are named by their descriptors,
 * which whoever asks keeps open until the answer; digests stand one behind the other, 32 bytes each. A job is copied to
 * the thread, and a view with all of the memory under it: what is small in it must not be a view of something large.
 */
import type { Root } from '../protocol/content.ts'

/** `bytes` of a job is shared memory: the thread fills it, or reads it. */
export type BlockJob =
  /** Fills `bytes` from the file; answers whether they are all there and what the digest says. */
  | { do: 'read'; fd: number; position: number; bytes: Uint8Array; digest: Uint8Array }
  /** Writes `bytes` if they are what the digest says; answers whether they are. */
  | { do: 'write'; fd: number; position: number; bytes: Uint8Array; digest: Uint8Array }
  /** Answers how many blocks from the first on are what the digests say. */
  | { do: 'count'; fd: number; root: Root; digests: Uint8Array }
  /** Seals the bytes of `source`, an open file or bytes in memory, into the file. */
  | { do: 'seal'; source: number | Uint8Array; size: number; fd: number; key: Uint8Array; salt: Uint8Array }
  /** Opens every block. */
  | { do: 'open'; fd: number; root: Root; digests: Uint8Array; key: Uint8Array; salt: Uint8Array }

export interface Answers {
  read: boolean
  write: boolean
  count: number
  /** Digests of all blocks, and the salted digest of the plain bytes, or what is wrong with the source. */
  seal:
    | { digests: Uint8Array; digest: Uint8Array }
    | { code: 'SOURCE_CHANGED' | 'SOURCE_UNREADABLE'; message: string }
  /** The salted digest of the plain bytes, or the first block that is wrong, and whether by this disk or by its key. */
  open: { digest: Uint8Array } | { wrong: number; damaged: boolean }
}

export type Answer<T extends BlockJob> = Answers[T['do']]

/** What is left of an error on its way between threads. */
export interface Failure {
  message: string
  code: string | undefined
}
