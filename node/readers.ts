import { type FileHandle, open, readFile } from 'node:fs/promises'
import { checkDigests, type Root } from '../protocol/content.ts'
import { ContentError } from './content-error.ts'
import { type ContentPaths, contentPaths } from './content-paths.ts'

/** Content files kept open for reading: one file handle and at most 2 MiB of digests each. */
const MAX_OPEN = 32

/** A content file open for reading, with its digests, which equal the tree in the root. */
export interface Reader {
  file: FileHandle
  digests: Uint8Array
}

/** A reader that stays open until it is given back. */
export interface Lease extends AsyncDisposable {
  reader: Reader
}

interface Entry {
  reader: Promise<Reader>
  users: number
  dropped: boolean
}

/** The readers used last; one that is put out while it reads is closed when it is done. */
export class Readers {
  readonly #dir: string
  readonly #open = new Map<string, Entry>()

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Throws CONTENT_MISSING, CONTENT_DAMAGED. */
  async lease(hex: string, root: Root): Promise<Lease> {
    const entry = this.#open.get(hex) ?? {
      reader: openReader(contentPaths(this.#dir, hex), root),
      users: 0,
      dropped: false,
    }
    this.#open.delete(hex)
    this.#open.set(hex, entry) // now the last of the map, which is in order of use
    entry.users += 1
    try {
      return { reader: await entry.reader, [Symbol.asyncDispose]: () => this.#giveBack(entry) }
    } catch (error) {
      if (this.#open.get(hex) === entry) this.#open.delete(hex)
      throw error
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

  async #giveBack(entry: Entry): Promise<void> {
    entry.users -= 1
    if (entry.dropped && entry.users === 0) await closeReader(entry.reader)
    const [oldest] = this.#open.keys()
    if (this.#open.size > MAX_OPEN) await this.forget(oldest!)
  }
}

async function openReader({ blocks, index }: ContentPaths, root: Root): Promise<Reader> {
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

async function closeReader(reader: Promise<Reader>): Promise<void> {
  await reader.then(
    ({ file }) => file.close(),
    () => {},
  )
}
