/** Files to be published: which they are, what they are called, what kind they are. */
import { lstatSync, readdirSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path'
import { WaybillError } from '../error.ts'
import { usage } from './problem.ts'

/** As the API's `publishRequest` bounds them. */
const MAX_FILES = 100_000
const MAX_NAME_LENGTH = 512

export interface Source {
  /** Absolute. */
  path: string
  /** With `/` between folders, on every system. */
  name: string
  mediaType: string
}

/** The sources that these arguments name. `skipped` hears of links and special files within directories. */
export function findSources(args: string[], recursive: boolean, skipped: (path: string) => void): Source[] {
  const found = new Map<string, string>()
  for (const arg of args) {
    const path = resolve(arg)
    if (statOf(path, arg).isDirectory()) {
      if (!recursive)
        throw new WaybillError('NOT_A_FILE', `${arg} is a directory`, { hint: 'waybill publish --recursive' })
      for (const file of walk(path, skipped)) found.set(file, relative(path, file))
    } else found.set(path, basename(path))
  }
  if (found.size === 0) throw usage('there is no file in there')
  if (found.size > MAX_FILES)
    throw usage(`${found.size} files are more than ${MAX_FILES}`, 'publish them in parts')
  return [...distinct(found)].map(([path, name]) => {
    const shown = name.split(sep).join('/')
    if (shown.length > MAX_NAME_LENGTH)
      throw usage(`this name is longer than ${MAX_NAME_LENGTH} characters: ${shown}`)
    return { path, name: shown, mediaType: mediaTypeOf(path) }
  })
}

function statOf(path: string, arg: string): Stats {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (!stats) throw new WaybillError('FILE_NOT_FOUND', `there is no file ${arg}`)
  if (!stats.isFile() && !stats.isDirectory())
    throw new WaybillError('NOT_A_FILE', `${arg} is not a regular file`)
  return stats
}

/**
 * Regular files below a folder. Links are left out: they may lead anywhere, and in circles. So is what cannot be found
 * again by its name, because its bytes are not UTF-8.
 */
function* walk(folder: string, skipped: (path: string) => void): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const path = join(folder, entry.name)
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found?.isDirectory()) yield* walk(path, skipped)
    else if (found?.isFile()) yield path
    else skipped(path)
  }
}

/** Names by path; equal ones keep as many of their folders as tell them apart: `line1/a.csv`, `line2/a.csv`. */
function distinct(named: Map<string, string>): Map<string, string> {
  const result = new Map(named)
  for (;;) {
    const clashing = [...Map.groupBy(result, ([, name]) => name).values()]
      .filter(group => group.length > 1)
      .flat()
    if (clashing.length === 0) return result
    for (const [path, name] of clashing) result.set(path, longer(path, name))
  }
}

/** The name with one more folder of the path in front. Two paths differ, so that this comes to an end. */
function longer(path: string, name: string): string {
  const folder = path.slice(0, -name.length - sep.length)
  return folder && dirname(folder) !== folder ? join(basename(folder), name) : path.slice(1)
}

const MEDIA_TYPES: Record<string, string> = {
  '.cbor': 'application/cbor',
  '.csv': 'text/csv',
  '.gz': 'application/gzip',
  '.html': 'text/html',
  '.jpg': 'image/jpeg',
  '.json': 'application/json',
  '.jsonl': 'application/x-ndjson',
  '.md': 'text/markdown',
  '.ndjson': 'application/x-ndjson',
  '.parquet': 'application/vnd.apache.parquet',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.step': 'model/step',
  '.stl': 'model/stl',
  '.stp': 'model/step',
  '.svg': 'image/svg+xml',
  '.tsv': 'text/tab-separated-values',
  '.txt': 'text/plain',
  '.xlsx': 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
  '.xml': 'application/xml',
  '.yaml': 'application/yaml',
  '.zip': 'application/zip',
}

const mediaTypeOf = (path: string): string =>
  MEDIA_TYPES[extname(path).toLowerCase()] ?? 'application/octet-stream'
