/** Writes a large file so that its last fsync is short: the data goes to the disk while more of it arrives. */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { writeAll } from './file.ts'

/** Bytes between two syncs. A single one at the end of 256 MiB took 130 ms in which nothing else went on. */
const SYNC_BYTES = 16 * 2 ** 20

export class BlockWriter {
  readonly path: string
  readonly #file: FileHandle
  #position: number
  #unsynced = 0
  #syncing: Promise<void> | undefined
  #failure: unknown

  private constructor(path: string, file: FileHandle, position: number) {
    this.path = path
    this.#file = file
    this.#position = position
  }

  /** Creates the file, or goes on in an existing one at `position`, in bytes; what lies behind is cut off. */
  static async open(path: string, position?: number): Promise<BlockWriter> {
    const file = await open(path, position === undefined ? 'wx' : 'r+', 0o600)
    if (position !== undefined) await file.truncate(position)
    return new BlockWriter(path, file, position ?? 0)
  }

  /** Writes behind what was appended before. An error here or in a sync also makes `finish` fail. */
  async append(bytes: Uint8Array): Promise<void> {
    const position = this.#position
    this.#position += bytes.length
    this.#unsynced += bytes.length
    try {
      await writeAll(this.#file, bytes, position)
    } catch (error) {
      this.#failure ??= error
      throw error
    }
    if (this.#unsynced >= SYNC_BYTES) this.#sync()
  }

  /** Closes the file; what was appended is durable, its name is not. */
  async finish(): Promise<void> {
    await this.#syncing
    if (this.#failure) throw this.#failure
    await this.#file.sync()
    await this.#file.close()
  }

  /** Closes the file as it is. */
  async close(): Promise<void> {
    await this.#syncing
    await this.#file.close()
  }

  /** Closes and deletes the file; may follow a failed `finish`. */
  async discard(): Promise<void> {
    await this.close().catch(() => {})
    await rm(this.path, { force: true })
  }

  #sync(): void {
    if (this.#syncing) return
    this.#unsynced = 0
    this.#syncing = this.#file
      .datasync()
      .catch(error => {
        this.#failure ??= error
      })
      .finally(() => {
        this.#syncing = undefined
      })
  }
}
