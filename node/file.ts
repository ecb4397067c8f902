/** Files that must survive a power cut: a temporary file, fsync, rename, fsync of the directory. */
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What marks a file that is not finished; whoever owns a directory may delete such files at start. */
const TEMPORARY = '.unfinished-'

const LOCK_MAKING_MS = 60_000

let counter = 0

/** A name beside `path` that no other writer uses. */
export function temporaryName(path: string): string {
  counter += 1
  return join(dirname(path), `${TEMPORARY}${process.pid}-${counter}-${basename(path)}`)
}

/** Whether a file of this name was left by a writer that did not finish. */
export function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY)
}

/** Deletes what writers left unfinished in these directories, as far as they exist. Only for whoever holds them alone. */
export async function sweepTemporary(...dirs: string[]): Promise<void> {
  for (const path of dirs)
    for (const name of await readdir(path).catch(() => []))
      if (isTemporary(name) && !(await isLockInMaking(join(path, name))))
        await rm(join(path, name), { recursive: true, force: true })
}

/** Of a home's files only the lock is ever written by those who do not hold it, within moments. */
async function isLockInMaking(path: string): Promise<boolean> {
  if (!path.endsWith('-lock')) return false
  const made = await stat(path).catch(() => undefined)
  return made !== undefined && Date.now() - made.mtimeMs < LOCK_MAKING_MS
}

/** Replaces the file at `path` with `bytes`: after a crash at any moment it holds either the old or the new content. */
export async function writeFileDurable(path: string, bytes: Uint8Array, mode = 0o600): Promise<void> {
  await replaceFile(path, bytes, mode)
  await syncDirectory(dirname(path))
}

/** As `writeFileDurable`, without the fsync of the directory: the caller makes one for several files. */
export async function replaceFile(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  const name = temporaryName(path)
  try {
    const file = await open(name, 'wx', mode)
    try {
      await writeAll(file, bytes, 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(name, path)
  } catch (error) {
    await rm(name, { force: true })
    throw error
  }
}

/** Writes all of `bytes` at `position` (bytes from the start of the file): one write may take fewer than asked. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0
  while (written < bytes.length) {
    const result = await file.write(bytes, written, bytes.length - written, position + written)
    written += result.bytesWritten
  }
}

/** Reads into `target` from `position` until it is full or the file ends; returns the number of bytes read. */
export async function readFully(file: FileHandle, target: Uint8Array, position: number): Promise<number> {
  let filled = 0
  while (filled < target.length) {
    const { bytesRead } = await file.read(target, filled, target.length - filled, position + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

/** Makes the names in a directory durable: a rename alone may be lost with the power. */
export async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Fsyncs of one directory, one for all who ask at the same time: each waits for a sync that began after its call, so
 * files published together share it.
 */
export class SharedSync {
  readonly #dir: string
  #running: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined

  constructor(dir: string) {
    this.#dir = dir
  }

  request(): Promise<void> {
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        this.#running = syncDirectory(this.#dir)
        return this.#running
      })
    return this.#next
  }
}
