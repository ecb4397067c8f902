/** Taking evidence apart and putting it together again, as somebody does who knows the format and holds no key. */
import { CarBufferReader } from '@ipld/car/buffer-reader'
import { concat, toHex } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { asCid, type CID, cidOf } from '../../crypto/cid.ts'
import { recordId } from '../../crypto/statement.ts'
import type { Evidence, PartName } from '../../protocol/evidence.ts'
import { RECORDS } from './mutations.ts'

export interface Block {
  cid: CID
  bytes: Uint8Array
}
type Tree = { [key: string]: Value }

/** Blocks of a file, read by a general CAR reader: the file is one for everybody. */
export function blocksOf(file: Uint8Array): Block[] {
  const reader = CarBufferReader.fromBytes(file)
  return (reader.blocks() as Block[]).map(({ cid, bytes }) => ({ cid: asCid(cid)!, bytes }))
}

/** A CAR file of these blocks, whatever they are. */
export function car(blocks: Block[], roots: CID[] = blocks.slice(0, 1).map(block => block.cid)): Uint8Array {
  const header = encode({ roots, version: 1 })
  const pieces = [header, ...blocks.map(({ cid, bytes }) => concat(cid.bytes, bytes))]
  return concat(...pieces.flatMap(piece => [varint(piece.length), piece]))
}

export function varint(n: number): Uint8Array {
  const bytes: number[] = []
  for (let rest = n; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Uint8Array.from([...bytes, rest])
    bytes.push((rest % 128) | 128)
  }
}

/** The file with another root block: same parts, other words about them. */
export function withRoot(
  file: Uint8Array,
  change: (root: Tree) => Value,
  blocks = blocksOf(file),
): Uint8Array {
  const [root, ...rest] = blocks
  const bytes = encode(change(decode(root!.bytes) as Tree))
  return car([{ cid: cidOf(bytes, 'dag-cbor'), bytes }, ...rest])
}

/** Where each block stands in a file: what it is, and its varint, CID and bytes. */
export function map(
  file: Uint8Array,
): { what: string; start: number; label: number; body: number; end: number }[] {
  const blocks = blocksOf(file)
  const root = decode(blocks[0]!.bytes) as { parts: Record<string, CID> } & Record<
    'witnesses' | 'events' | 'entries' | 'staples' | 'committees',
    CID[]
  >
  const names = new Map(Object.entries(root.parts).map(([name, cid]) => [cid.toString(), name]))
  for (const cid of root.witnesses) names.set(cid.toString(), 'witness')
  for (const cid of root.entries) names.set(cid.toString(), 'entry')
  for (const cid of root.events) names.set(cid.toString(), 'event')
  for (const cid of root.staples) names.set(cid.toString(), 'staple')
  for (const cid of root.committees) names.set(cid.toString(), 'committees')
  const header = encode({ roots: [blocks[0]!.cid], version: 1 })
  let at = varint(header.length).length + header.length
  const places = [{ what: 'header', start: 0, label: varint(header.length).length, body: at, end: at }]
  for (const [i, { cid, bytes }] of blocks.entries()) {
    const start = at
    const label = start + varint(36 + bytes.length).length
    at = label + 36 + bytes.length
    places.push({
      what: i === 0 ? 'claim' : names.get(cid.toString())!,
      start,
      label,
      body: label + 36,
      end: at,
    })
  }
  return places
}

/** A copy to change; bytes are shared and must be replaced whole. */
export const copy = (evidence: Evidence): Evidence => ({
  ...evidence,
  claim: { ...evidence.claim },
  parts: { ...evidence.parts },
  witnesses: [...evidence.witnesses],
  events: [...evidence.events],
  entries: evidence.entries.map(entry => ({ ...entry })),
  staples: evidence.staples.map(staple => ({ ...staple })),
})

/**
 * The evidence with one record replaced, and its id replaced wherever a record, the claim or an entry names it, until all
 * ids fit. Only signatures and the hashes of the logs can then tell.
 */
export function replaceRecord(evidence: Evidence, name: PartName, changed: Value): Evidence {
  const next = copy(evidence)
  let work: [PartName, Value][] = [[name, changed]]
  for (let round = 0; round < 16 && work.length > 0; round++) {
    const renamed = new Map<string, CID>()
    for (const [part, value] of work) {
      const before = idOf(next.parts[part]!)
      next.parts[part] = encode(value)
      const after = idOf(next.parts[part])
      if (before && after && !before.equals(after)) renamed.set(before.toString(), after)
    }
    if (renamed.size === 0) break
    next.claim = substitute(next.claim as unknown as Value, renamed) as unknown as Evidence['claim']
    next.entries = next.entries.map(
      entry => substitute(entry as unknown as Value, renamed) as unknown as typeof entry,
    )
    work = RECORDS.flatMap(part => {
      if (!next.parts[part]) return []
      const value = decode(next.parts[part])
      const linked = substitute(value, renamed)
      return toHex(encode(linked)) === toHex(next.parts[part]) ? [] : [[part, linked] as [PartName, Value]]
    })
  }
  return next
}

function idOf(bytes: Uint8Array): CID | undefined {
  const { p } = (decode(bytes) ?? {}) as { p?: { t: string } }
  return p && typeof p === 'object' ? recordId(p) : undefined
}

function substitute(value: Value, renamed: Map<string, CID>): Value {
  const link = asCid(value)
  if (link) return renamed.get(link.toString()) ?? link
  if (Array.isArray(value)) return value.map(each => substitute(each, renamed))
  if (value === null || typeof value !== 'object' || value instanceof Uint8Array) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [key, substitute(each as Value, renamed)]),
  )
}
