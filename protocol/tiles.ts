/**
 * A log as C2SP tlog-tiles has it: tiles of 256 hashes, every eighth level of the tree, and bundles of 256 entries, each
 * behind its length. What is not full yet is asked for with its width.
 *
 *     tile/0/x001/234          hashes of level 0 from leaf 1,234 * 256
 *     tile/entries/067.p/64    the first 64 entries of bundle 67
 */
import { concat } from '../crypto/bytes.ts'
import { BUNDLE_ENTRIES, readEntries } from './kept.ts'
import { hashesOf, type Ledger, TILE_HASHES } from './ledger.ts'

type Get = (key: string) => Uint8Array | undefined

export interface TileName {
  level: number | 'entries'
  index: number
  width: number
}

const PATH =
  /^tile\/(entries|[0-9]|[1-5][0-9]|6[0-3])\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/

/** What a path names; `undefined` when it names nothing. A name has one form only: no group of zeros in front. */
export function parseTilePath(path: string): TileName | undefined {
  const [, level, groups, part] = PATH.exec(path) ?? []
  if (!level || !groups) return undefined
  const [index, width] = [Number(groups.replaceAll(/[x/]/g, '')), part ? Number(part) : TILE_HASHES]
  if (groups.startsWith('x000') || (part && width >= TILE_HASHES)) return undefined
  return { level: level === 'entries' ? level : Number(level), index, width }
}

export function tilePath({ level, index, width }: TileName): string {
  const digits = String(index)
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.../g)!
  const name = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/')
  return `tile/${level}/${name}${width < TILE_HASHES ? `.p/${width}` : ''}`
}

/** The names of the bundles with the entries from `from` up to `to`; a log has the last one of them in parts only. */
export function* bundles(from: number, to: number): Generator<TileName> {
  for (let index = Math.floor(from / BUNDLE_ENTRIES); index * BUNDLE_ENTRIES < to; index++)
    yield { level: 'entries', index, width: Math.min(BUNDLE_ENTRIES, to - index * BUNDLE_ENTRIES) }
}

/** A tile or bundle of the tree of `size`, which is that of a head; `undefined` when the tree has no such. */
export function readTile(
  ledger: Ledger,
  get: Get,
  { level, index, width }: TileName,
  size: number,
): Uint8Array | undefined {
  const count = level === 'entries' ? size : Math.floor(size / TILE_HASHES ** level)
  const from = index * TILE_HASHES
  if (from + width > count) return undefined
  if (level !== 'entries') return hashesOf(ledger, get, level, index)?.slice(0, width * 32)
  const entries = [...readEntries(get, from, from + width)].map(({ entry }) => entry)
  return entries.length === width ? formatBundle(entries) : undefined
}

export const formatBundle = (entries: Uint8Array[]): Uint8Array =>
  concat(...entries.flatMap(entry => [Uint8Array.of(entry.length >> 8, entry.length), entry]))

/** The entries of a bundle, or `undefined` when it does not hold exactly so many. */
export function parseBundle(bundle: Uint8Array, count: number): Uint8Array[] | undefined {
  const entries: Uint8Array[] = []
  for (let at = 0; at < bundle.length; ) {
    const end = at + 2 + (bundle[at]! << 8) + (bundle[at + 1] ?? 0)
    if (end > bundle.length || entries.length === count) return undefined
    entries.push(bundle.slice(at + 2, end))
    at = end
  }
  return entries.length === count ? entries : undefined
}
