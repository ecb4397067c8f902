/** A file of blocks that is being written: each block is checked before, and the data goes to the disk while more arrives. */
import { type FileHandle, open, rm } from 'node:fs/promises'
import type { Answer, BlockJob } from './block-job.ts'
import { askBlocks } from './block-thread.ts'
import { SyncAhead } from './sync-ahead.ts'

type SealJob = Extract<BlockJob, { do: 'seal' }>

export class BlockWriter {
  readonly path: string
  readonly #file: FileHandle
  readonly #synced: SyncAhead
  readonly #underWay = new Set<Promise<unknown>>()
  #failure: unknown

  private constructor(path: string, file: FileHandle) {
    this.path = path
    this.#file = file
    this.#synced = new SyncAhead(done => void file.datasync().then(() => done(), done))
  }

  /** Creates the file, or goes on in an existing one; what lies behind `length`, in bytes, is cut off. */
  static async open(path: string, length?: number): Promise<BlockWriter> {
    const file = await open(path, length === undefined ? 'wx' : 'r+', 0o600)
    if (length !== undefined) await file.truncate(length)
    return new BlockWriter(path, file)
  }

  /** Seals all that there is to seal. */
  seal(job: Pick<SealJob, 'source' | 'size' | 'key' | 'salt'>): Promise<Answer<SealJob>> {
    return this.#ask({ do: 'seal', fd: this.#file.fd, ...job })
  }

  /** Writes a slot's bytes if they are what the digest says: `false` if not. */
  async write(bytes: Uint8Array, position: number, digest: Uint8Array): Promise<boolean> {
    const written = await this.#ask({ do: 'write', fd: this.#file.fd, position, bytes, digest })
    if (written) this.#synced.wrote(bytes.length)
    return written
  }

  /** Closes the file; what was written is durable, its name is not. */
  async finish(): Promise<void> {
    await this.#idle()
    await this.#synced.idle()
    if (this.#failure) throw this.#failure
    await this.#file.sync()
    await this.#file.close()
  }

  /** Closes the file as it is. */
  async close(): Promise<void> {
    await this.#idle()
    await this.#synced.idle().catch(() => {})
    await this.#file.close()
  }

  /** Closes and deletes the file; may follow a failed `finish`. */
  async discard(): Promise<void> {
    await this.close().catch(() => {})
    await rm(this.path, { force: true })
  }

  /** An error also makes `finish` fail. */
  async #ask<T extends BlockJob>(job: T): Promise<Answer<T>> {
    const answer = askBlocks(job)
    this.#underWay.add(answer)
    try {
      return await answer
    } catch (error) {
      this.#failure ??= error
      throw error
    } finally {
      this.#underWay.delete(answer)
    }
  }

  /** The thread knows the file by its number, which after a close may be another file's. */
  async #idle(): Promise<void> {
    await Promise.allSettled([...this.#underWay])
  }
}
