import { open, readFile, rename, rm } from 'node:fs/promises'
import { checkDigests, cipherBlockSize, cipherOffset, digestAt, type Root } from '../protocol/content.ts'
import { askBlocks, giveSlot, isSlot, takeSlot } from './block-thread.ts'
import { BlockWriter } from './block-writer.ts'
import { ContentError } from './content-error.ts'
import type { ContentPaths } from './content-paths.ts'
import { replaceFile, type SharedSync } from './file.ts'

/** Content that arrives block by block, in order. Ends with `finish`, `suspend` or `abort`. */
export class Receiver {
  readonly root: Root
  /** The first block that is not here; equals `root.count` when all are. */
  next = 0
  /** The first block that was not given to `put`: those between were, and are not written yet. */
  #given = 0
  readonly #paths: ContentPaths
  readonly #names: SharedSync
  readonly #release: () => void
  #digests: Uint8Array | undefined
  /** Absent when the content was complete from the start, and when the receiver has ended. */
  #writer: BlockWriter | undefined

  private constructor(paths: ContentPaths, root: Root, names: SharedSync, release: () => void) {
    this.#paths = paths
    this.root = root
    this.#names = names
    this.#release = release
  }

  /** For `ContentFiles.receive`. */
  static async open(
    paths: ContentPaths,
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
    receiver.#given = receiver.next
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

  /** Memory to fill with the next block and to give to `put`; any other array that is put is copied. */
  slot(): Uint8Array {
    return takeSlot(cipherBlockSize(this.root, this.#given))
  }

  /**
   * Takes the next block; resolves when it was checked and written, and need not be waited for before the one behind is
   * put. Throws DIGESTS_MISSING, BLOCK_MISMATCH, also for blocks behind one that is wrong; another try may follow.
   */
  async put(block: Uint8Array): Promise<void> {
    const index = this.#given
    if (!this.#digests) throw new ContentError('DIGESTS_MISSING', 'the digests come before the blocks')
    if (index >= this.root.count || !this.#writer)
      throw new ContentError('BLOCK_MISMATCH', 'no block is missing', index)
    if (block.length !== cipherBlockSize(this.root, index)) throw mismatch(index)
    this.#given += 1
    const written = await this.#write(index, block).catch(error => {
      this.#given = this.next
      throw error
    })
    if (written && index === this.next) this.next += 1
    else {
      this.#given = this.next
      throw mismatch(index)
    }
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

  async #write(index: number, block: Uint8Array): Promise<boolean> {
    const slot = isSlot(block) ? block : takeSlot(block.length)
    if (slot !== block) slot.set(block)
    try {
      return await this.#writer!.write(slot, cipherOffset(this.root, index), digestAt(this.#digests!, index))
    } finally {
      giveSlot(slot)
    }
  }

  /** Counts the blocks of an earlier receiver that are whole, and goes on behind them. */
  async #resume(): Promise<void> {
    const [root, digests] = [this.root, this.#digests]
    await using file = await open(this.#paths.part, 'a+', 0o600)
    if (digests) this.next = await askBlocks({ do: 'count', fd: file.fd, root, digests })
    this.#writer = await BlockWriter.open(this.#paths.part, cipherOffset(root, this.next))
  }
}

function mismatch(index: number): ContentError {
  return new ContentError('BLOCK_MISMATCH', `block ${index} is not the one in the index`, index)
}
