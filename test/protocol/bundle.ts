/** Taking evidence apart and putting it together again, as somebody does who knows the format and holds no key. */
import { CarBufferReader } from '@ipld/car/buffer-reader'
import { concat, toHex } from '../../crypto/bytes.ts'
import { decode, encode, type Value } from '../../crypto/cbor.ts'
import { asCid, type CID, cidOf } from '../../crypto/cid.ts'
import { recordId } from '../../crypto/statement.ts'
import { type Evidence, PARTS, type PartName } from '../../protocol/evidence.ts'

export interface Block {
  cid: CID
  bytes: Uint8Array
}
type Tree = { [key: string]: Value }

/** Parts that are records, whose ids other parts name. */
export const RECORDS = PARTS.filter(
  name => !['root', 'salt', 'providerHead', 'consumerHead'].includes(name),
) as PartName[]

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
  const root = decode(blocks[0]!.bytes) as { parts: Record<string, CID>; witnesses: CID[]; entries: CID[] }
  const names = new Map(Object.entries(root.parts).map(([name, cid]) => [cid.toString(), name]))
  for (const cid of root.witnesses) names.set(cid.toString(), 'witness')
  for (const cid of root.entries) names.set(cid.toString(), 'entry')
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
  entries: evidence.entries.map(entry => ({ ...entry })),
})

export interface Mutation {
  path: string
  value: Value
}

/** Every change of one place of a value: each field altered, left out and added to, lists cut, grown and turned. */
export function* mutations(value: Value, others: CID[] = [], path = ''): Generator<Mutation> {
  for (const [at, changed] of changes(value, others, path)) yield { path: at.trim(), value: changed }
}

function* changes(value: Value, others: CID[], path: string): Generator<[string, Value]> {
  const link = asCid(value)
  if (link) {
    yield [`${path} other digest`, cidOf(link.bytes, 'dag-cbor')]
    const other = others.find(each => !each.equals(link))
    if (other) yield [`${path} other link`, other]
  } else if (typeof value === 'number') {
    yield [`${path} + 1`, value + 1]
    if (value > 0) yield [`${path} = 0`, 0]
    yield [`${path} = -1`, -1]
  } else if (typeof value === 'string') {
    yield [`${path} longer`, `${value}x`]
    yield [`${path} empty`, '']
    if (/\/1$/.test(value)) yield [`${path} next version`, value.replace(/1$/, '2')]
  } else if (typeof value === 'boolean') yield [`${path} negated`, !value]
  else if (value instanceof Uint8Array) {
    for (const [i, why] of [
      [0, 'first'],
      [value.length - 1, 'last'],
    ] as const)
      yield [`${path} ${why} byte`, value.map((byte, at) => (at === i ? byte ^ 1 : byte))]
    yield [`${path} shorter`, value.slice(0, -1)]
    yield [`${path} longer`, concat(value, Uint8Array.of(0))]
  } else if (Array.isArray(value)) {
    if (value.length > 0) yield [`${path} without last`, value.slice(0, -1)]
    if (value.length > 0) yield [`${path} last twice`, [...value, value.at(-1)!]]
    if (value.length > 1) yield [`${path} turned`, value.toReversed()]
    for (const [i, each] of value.entries())
      for (const [at, changed] of changes(each, others, `${path}[${i}]`)) yield [at, value.with(i, changed)]
  } else if (value !== null) {
    yield [`${path} with more`, { ...(value as Tree), zz: 1 }]
    for (const [key, each] of Object.entries(value as Tree)) {
      const { [key]: _, ...rest } = value as Tree
      yield [`${path}.${key} left out`, rest]
      for (const [at, changed] of changes(each, others, `${path}.${key}`))
        yield [at, { ...(value as Tree), [key]: changed }]
    }
  }
}

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
