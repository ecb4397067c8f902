/** Files that a partner named, written where they can do no harm: inside the chosen folder, whole or not at all. */
import { constants } from 'node:fs'
import { access, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, extname, join } from 'node:path'
import { syncDirectory, temporaryName } from '../../node/file.ts'
import { WaybillError } from '../error.ts'

/** What stands behind the name of content for its evidence. */
export const EVIDENCE = '.waybill'
/** Common file systems take 255 bytes; room stays for a number, `.waybill` and the mark of an unfinished file. */
const MAX_SEGMENT_BYTES = 180
const MAX_SEGMENTS = 32
// Control and direction characters, and what Windows refuses in a name.
const REFUSED = /[\p{Cc}\p{Bidi_Control}\u2028\u2029<>:"|?*]/gu
const DEVICES = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i

/** A relative path below the folder it will stand in, with `/` between its parts. */
export function safePath(name: string): string {
  const parts = name
    .normalize('NFC')
    .split(/[/\\]+/)
    .filter(part => part !== '' && !/^\.+$/.test(part.trim()))
    .map(safePart)
  return (parts.length > 0 ? parts.slice(-MAX_SEGMENTS) : ['packet']).join('/')
}

function safePart(part: string): string {
  const harmless = part
    .toWellFormed()
    .replace(REFUSED, '_')
    .replace(/[. ]+$/, '_')
  return cut(DEVICES.test(harmless) ? `_${harmless}` : harmless)
}

/** Shortened to its bytes, with its extension. */
function cut(part: string): string {
  if (Buffer.byteLength(part) <= MAX_SEGMENT_BYTES) return part
  const extension = Buffer.byteLength(extname(part)) <= 16 ? extname(part) : ''
  let stem = part.slice(0, part.length - extension.length)
  while (Buffer.byteLength(stem + extension) > MAX_SEGMENT_BYTES) stem = [...stem].slice(0, -1).join('')
  return stem + extension
}

/**
 * Safe paths for all names, in their order, so that no two files, nor a file and its evidence, nor a file and a folder
 * are one on a file system that ignores case: later ones get a number, and no folder where a file stands in its place.
 */
export function safePaths(names: string[]): string[] {
  const [files, folders] = [new Set<string>(), new Set<string>()]
  const fold = (path: string) => path.toLowerCase()
  const isFree = (path: string) =>
    [path, path + EVIDENCE].every(each => !files.has(fold(each)) && !folders.has(fold(each)))
  return names.map(name => {
    const safe = safePath(name)
    const isBelowFile = parents(safe).some(folder => files.has(fold(folder)))
    const wanted = isBelowFile ? safe.replaceAll('/', '_') : safe
    let path = wanted
    for (let i = 2; !isFree(path); i++) path = numbered(wanted, i)
    files.add(fold(path)).add(fold(path + EVIDENCE))
    for (const folder of parents(path)) folders.add(fold(folder))
    return path
  })
}

/** `a/b.csv` and 2 give `a/b-2.csv`. */
function numbered(path: string, i: number): string {
  const extension = extname(path)
  return `${path.slice(0, path.length - extension.length)}-${i}${extension}`
}

function parents(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('/'))
}

/** Throws FILE_EXISTS for a path that is taken, unless it may be overwritten. */
export async function checkFree(path: string, force: boolean): Promise<void> {
  const taken = await stat(path).catch(() => undefined)
  if (taken?.isDirectory())
    throw new WaybillError('FILE_EXISTS', `${path} is a directory`, { hint: `-o ${path}/` })
  if (taken && !force) throw new WaybillError('FILE_EXISTS', `${path} exists`)
}

/**
 * Writes pieces to a file beside `path` and renames it when all are durable. Returns the bytes written. `size` is how
 * many there must be (CONTENT_INCOMPLETE).
 */
export async function writeWhole(
  path: string,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: { force: boolean; size?: number; onBytes?: (bytes: number) => void },
): Promise<number> {
  await checkFree(path, options.force)
  await mkdir(dirname(path), { recursive: true })
  const name = temporaryName(path)
  let written = 0
  try {
    const file = await open(name, 'wx')
    try {
      for await (const piece of pieces) {
        await file.writeFile(piece)
        written += piece.length
        options.onBytes?.(piece.length)
      }
      if (options.size !== undefined && written !== options.size)
        throw new WaybillError('CONTENT_INCOMPLETE', `${written} of ${options.size} bytes came for ${path}`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(name, path)
    await syncDirectory(dirname(path))
  } catch (error) {
    await rm(name, { force: true })
    throw error
  }
  return written
}

export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false
}

/** Whether this process may write into the folder that a path will stand in, as far as it exists. */
export async function checkWritable(path: string): Promise<void> {
  const folder = dirname(join(path))
  if (await isDirectory(folder)) await access(folder, constants.W_OK)
}
