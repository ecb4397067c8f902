/**
 * Evidence: one CARv1 file (`*.waybill`) that holds a claim and every part it rests on. The only root is a block that
 * states the claim and links to each part by name; nothing else may be in the file (RULES G1).
 *
 *     root   { t: evidence/1, claim: { type, agreement, packet, provider, consumer, asOf }, parts, witnesses, entries }
 *     parts  { provider, consumer, asset, packet, root, offer, agreement, received, release, opened, salt, heads }
 *     entry  { org, of, entry, salt, path }       one leaf, what it commits to, and its way to the head
 */
import { CarBufferReader } from '@ipld/car/buffer-reader'
import * as CarBufferWriter from '@ipld/car/buffer-writer'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { asCid, type CID, cidOf } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import {
  MAX_ENTRY_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_EVIDENCE_ENTRIES,
  MAX_PATH,
  MAX_WITNESSES,
} from './limits.ts'
import { blob, bytes, type Infer, link, list, object, oneOf, optional, text, uint } from './shape.ts'

export const PARTS = [
  'provider',
  'consumer',
  'asset',
  'packet',
  'root',
  'offer',
  'agreement',
  'received',
  'release',
  'opened',
  'salt',
  'providerHead',
  'consumerHead',
] as const
export type PartName = (typeof PARTS)[number]

const claim = object({
  type: oneOf('delivery', 'consent'),
  agreement: link,
  packet: optional(link),
  provider: link,
  consumer: link,
  /** The time that the presenter asks about, ms since 1970; no signature covers it. */
  asOf: uint,
})
export type Claim = Infer<typeof claim>

const rootShape = object({
  t: text(32),
  claim,
  parts: object(Object.fromEntries(PARTS.map(name => [name, optional(link)]))),
  witnesses: list(link, MAX_WITNESSES),
  entries: list(link, MAX_EVIDENCE_ENTRIES),
  /** States of a consent with their times, as the presenter tells them. */
  history: optional(list(object({ state: text(32), at: uint }), 32)),
})
interface EvidenceRoot {
  t: string
  claim: Claim
  parts: Partial<Record<PartName, CID>>
  witnesses: CID[]
  entries: CID[]
  history?: { state: string; at: number }[]
}

const entryPart = object({
  org: link,
  /** Name of the part that the entry commits to. */
  of: oneOf('packet', 'offer', 'agreement', 'received', 'release', 'opened'),
  entry: blob(MAX_ENTRY_BYTES),
  salt: bytes(32),
  path: list(bytes(32), MAX_PATH),
})
export type EntryPart = Infer<typeof entryPart>

/** What goes into an evidence file. Parts are the exact bytes that the log commits to. */
export interface Evidence {
  claim: Claim
  parts: Partial<Record<PartName, Uint8Array>>
  witnesses: Uint8Array[]
  entries: EntryPart[]
  history?: { state: string; at: number }[]
}

/** Parts that are not DAG-CBOR: a salt and the text of a head. */
const RAW: PartName[] = ['salt', 'providerHead', 'consumerHead']
const codecOf = (name: PartName) => (RAW.includes(name) ? 'raw' : 'dag-cbor')

/** The file's bytes: root block first, then the parts in the order of the table. */
export function formatEvidence(evidence: Evidence): Uint8Array {
  const blocks: { cid: CID; bytes: Uint8Array }[] = []
  const add = (blockBytes: Uint8Array, codec: 'raw' | 'dag-cbor'): CID => {
    const cid = cidOf(blockBytes, codec)
    if (!blocks.some(block => block.cid.equals(cid))) blocks.push({ cid, bytes: blockBytes })
    return cid
  }
  const named = PARTS.flatMap(name => (evidence.parts[name] ? [[name, evidence.parts[name]] as const] : []))
  const root: EvidenceRoot = {
    t: 'evidence/1',
    claim: evidence.claim,
    parts: Object.fromEntries(named.map(([name, part]) => [name, add(part, codecOf(name))])),
    witnesses: evidence.witnesses.map(each => add(each, 'dag-cbor')),
    entries: evidence.entries.map(each => add(encode(each as unknown as Value), 'dag-cbor')),
    ...(evidence.history ? { history: evidence.history } : {}),
  }
  const rootBytes = encode(root as unknown as Value)
  return writeCar([{ cid: cidOf(rootBytes, 'dag-cbor'), bytes: rootBytes }, ...blocks])
}

function writeCar(blocks: { cid: CID; bytes: Uint8Array }[]): Uint8Array {
  const roots = [blocks[0]!.cid]
  const size = blocks.reduce(
    (sum, block) => sum + CarBufferWriter.blockLength(block),
    CarBufferWriter.headerLength({ roots }),
  )
  const writer = CarBufferWriter.createWriter(new ArrayBuffer(size), { roots })
  for (const block of blocks) writer.write(block)
  return writer.close()
}

/** A part as found: its bytes, or that it is not there, or that what is there is not it. */
export type Found = { is: 'here'; bytes: Uint8Array } | { is: 'missing' } | { is: 'broken'; reason: string }

export interface ReadEvidence {
  claim: Claim
  part(name: PartName): Found
  witnesses: Found[]
  entries: (EntryPart | { missing: true } | { broken: string })[]
  history: { state: string; at: number }[]
  /** Blocks that no part names, or that are not what they say. */
  stray: string[]
}

/** Opens an evidence file; says why when it cannot be one. Nothing in it is believed yet. */
export function readEvidence(
  fileBytes: Uint8Array,
): ReadEvidence | { broken: string } | { missing: string } | { unknown: string } {
  if (fileBytes.length > MAX_EVIDENCE_BYTES)
    return { broken: `it is longer than ${MAX_EVIDENCE_BYTES} bytes` }
  const car = readCar(fileBytes)
  if ('broken' in car) return car
  const { root, blocks } = car
  const rootFound = blocks.find(root)
  if (rootFound.is === 'missing') return { missing: 'the claim is not in the file' }
  if (rootFound.is === 'broken') return { broken: `the claim: ${rootFound.reason}` }
  const parsed = parse<EvidenceRoot>(rootShape, rootFound.bytes)
  if ('broken' in parsed) return parsed
  if ('unknown' in parsed) return parsed
  const { value } = parsed
  const entries = value.entries.map(cid => readEntryPart(blocks.find(cid)))
  const parts = new Map(
    PARTS.map(name => [
      name,
      value.parts[name] ? blocks.find(value.parts[name]) : ({ is: 'missing' } as const),
    ]),
  )
  const witnesses = value.witnesses.map(cid => blocks.find(cid))
  return {
    claim: value.claim,
    part: name => parts.get(name)!,
    witnesses,
    entries,
    history: value.history ?? [],
    stray: blocks.stray(),
  }
}

function readEntryPart(found: Found): ReadEvidence['entries'][number] {
  if (found.is === 'missing') return { missing: true }
  if (found.is === 'broken') return { broken: found.reason }
  const parsed = parse<EntryPart>(entryPart, found.bytes)
  return 'value' in parsed ? parsed.value : { broken: 'broken' in parsed ? parsed.broken : parsed.unknown }
}

function parse<T>(
  shape: { check(value: Value, at: string): string | undefined },
  blockBytes: Uint8Array,
): { value: T } | { broken: string } | { unknown: string } {
  try {
    const value = decode(blockBytes)
    const type = (value as { t?: Value } | null)?.t
    if (typeof type === 'string' && /^evidence\/[0-9]+$/.test(type) && type !== 'evidence/1')
      return { unknown: `${type} is not known to this version` }
    if (shape === rootShape && type !== 'evidence/1') return { broken: 'the root is not evidence' }
    const reason = shape.check(value, 'evidence')
    return reason ? { broken: reason } : { value: value as unknown as T }
  } catch (error) {
    if (error instanceof CryptoError) return { broken: error.message }
    throw error
  }
}

interface Blocks {
  find(cid: CID): Found
  stray(): string[]
}

/** Readers of CAR do not check hashes; here a block counts only under the CID of its own bytes. */
function readCar(fileBytes: Uint8Array): { root: CID; blocks: Blocks } | { broken: string } {
  try {
    const reader = CarBufferReader.fromBytes(fileBytes)
    const roots = reader.getRoots()
    const root = roots.length === 1 ? asCid(roots[0]) : undefined
    if (!root) return { broken: 'it does not have exactly one root' }
    return { root, blocks: index(reader.blocks() as { cid: CID; bytes: Uint8Array }[]) }
  } catch (error) {
    return { broken: `it is not a CAR file: ${(error as Error).message}`.slice(0, 300) }
  }
}

function index(list: { cid: CID; bytes: Uint8Array }[]): Blocks {
  const labelled = new Map<string, Found>()
  const misnamed = new Map<string, string>()
  for (const { cid, bytes: blockBytes } of list) {
    const label = cid.toString()
    const known = asCid(cid)
    const actual = known && cidOf(blockBytes, known.code === 0x55 ? 'raw' : 'dag-cbor').toString()
    if (actual === label && !labelled.has(label)) labelled.set(label, { is: 'here', bytes: blockBytes })
    else if (actual !== label) {
      labelled.set(label, { is: 'broken', reason: 'its bytes do not hash to its id' })
      for (const codec of ['raw', 'dag-cbor'] as const)
        misnamed.set(cidOf(blockBytes, codec).toString(), label)
    }
  }
  const used = new Set<string>()
  return {
    find(cid) {
      const label = cid.toString()
      used.add(label)
      const found = labelled.get(label)
      if (found) return found
      const under = misnamed.get(label)
      if (!under) return { is: 'missing' }
      used.add(under)
      return { is: 'broken', reason: 'it stands under another id' }
    },
    stray: () => [...labelled.keys()].filter(label => !used.has(label)),
  }
}
