/**
 * Evidence: one CARv1 file (`*.waybill`) that holds a claim and every part it rests on. The only root is the first block;
 * it states the claim and links to each part by name, and nothing else may be in the file (RULES G1).
 *
 *     root   { t: evidence/1, claim: { type, agreement, packet?, provider, consumer, asOf }, parts, witnesses, events,
 *              entries, staples, renewals, history? }
 *     parts  { provider, consumer, asset, offer, agreement, title?, providerHead, consumerHead } and for a delivery
 *            { packet, root, received, release, opened, salt }
 *     event  an identity event of a party or a witness
 *     entry  { org, of, entry, salt, path }       one leaf, what it commits to, and its way to the head
 *     staple { org, note, entry, path }           a state entry under a head of its own, handed over at signing
 *     committee { org, record, entry, path, note }   a committee, the entry that names it, a head that its seats cosigned
 *     renewal { org, note, path, through }        a newer head of the same log or a successor, and its way there from the head shown
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { decode, encode } from '../crypto/cbor.ts'
import { type CID, type Codec, cidFromBytes, cidOf } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import {
  MAX_ENTRY_BYTES,
  MAX_EVIDENCE_BYTES,
  MAX_EVIDENCE_ENTRIES,
  MAX_EVIDENCE_EVENTS,
  MAX_EVIDENCE_WITNESSES,
  MAX_NOTE_BYTES,
  MAX_PATH,
  MAX_RECORD_BYTES,
  MAX_SHOWN_COMMITTEES,
  MAX_SUCCESSORS,
} from './limits.ts'
import {
  blob,
  bytes,
  type Infer,
  isPlain,
  link,
  list,
  object,
  oneOf,
  optional,
  type Shape,
  text,
  uint,
} from './shape.ts'

export const PARTS = [
  'provider',
  'consumer',
  'asset',
  'packet',
  'root',
  'offer',
  'agreement',
  'title',
  'received',
  'release',
  'opened',
  'salt',
  'providerHead',
  'consumerHead',
] as const
export type PartName = (typeof PARTS)[number]
/** Parts that only a delivery has: in evidence of a consent nothing would be said of them. */
export const DELIVERY_PARTS: readonly PartName[] = ['packet', 'root', 'received', 'release', 'opened', 'salt']

/** One of each party. */
const MAX_STAPLES = 2
const MAX_RENEWALS = 2
/** Of two organisations. */
const MAX_COMMITTEES = 2 * MAX_SHOWN_COMMITTEES

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

export const rootShape = object({
  t: text(32),
  claim,
  parts: object(Object.fromEntries(PARTS.map(name => [name, optional(link)]))),
  witnesses: list(link, MAX_EVIDENCE_WITNESSES),
  events: list(link, MAX_EVIDENCE_EVENTS),
  entries: list(link, MAX_EVIDENCE_ENTRIES),
  /** The words by which records were redacted, where parts or salts are missing for it. */
  redactions: optional(list(link, MAX_EVIDENCE_ENTRIES)),
  staples: list(link, MAX_STAPLES),
  renewals: list(link, MAX_RENEWALS),
  committees: optional(list(link, MAX_COMMITTEES)),
  /** States of a consent with their times, as the presenter tells them. */
  history: optional(list(object({ state: text(32), at: uint }), 32)),
})
export interface EvidenceRoot {
  t: string
  claim: Claim
  parts: Partial<Record<PartName, CID>>
  witnesses: CID[]
  events: CID[]
  entries: CID[]
  redactions?: CID[]
  staples: CID[]
  renewals: CID[]
  committees?: CID[]
  history?: { state: string; at: number }[]
}

export const entryPart = object({
  org: link,
  /** Name of the part that the entry commits to; a state entry commits to none. */
  of: oneOf('packet', 'offer', 'agreement', 'received', 'release', 'opened', 'state', 'redaction'),
  /** Id of the redaction that it commits to. */
  redaction: optional(link),
  entry: blob(MAX_ENTRY_BYTES),
  /** It went with the record, where that was redacted. */
  salt: optional(bytes(32)),
  /** Absent while no head covers the entry. */
  path: optional(list(bytes(32), MAX_PATH)),
})
export type EntryPart = Infer<typeof entryPart>

export const staplePart = object({
  org: link,
  note: blob(MAX_NOTE_BYTES),
  entry: blob(MAX_ENTRY_BYTES),
  path: list(bytes(32), MAX_PATH),
})
export type StaplePart = Infer<typeof staplePart>

/** A head of the log of `org` with cosignatures by keys that stand, and the consistency path to it from the head shown (RULES D6). */
export const renewalPart = object({
  org: link,
  note: blob(MAX_NOTE_BYTES),
  path: list(bytes(32), MAX_PATH),
  /** The last entry under the newer head: it names the committee. */
  state: optional(object({ entry: blob(MAX_ENTRY_BYTES), path: list(bytes(32), MAX_PATH) })),
  /** The first entries of the logs that followed: `path` leads to the end that the first names, each other path from one on. */
  through: optional(
    list(object({ entry: blob(MAX_ENTRY_BYTES), path: list(bytes(32), MAX_PATH) }), MAX_SUCCESSORS),
  ),
})
export type RenewalPart = Infer<typeof renewalPart>

export const committeeFields = {
  record: blob(MAX_RECORD_BYTES),
  entry: blob(MAX_ENTRY_BYTES),
  path: list(bytes(32), MAX_PATH),
  note: blob(MAX_NOTE_BYTES),
}
/** A committee of a log of `org`: its record, the entry that names it, and the head by which it came into force (RULES D2). */
export const committeePart = object({ org: link, ...committeeFields })
export type CommitteePart = Infer<typeof committeePart>

/** What goes into an evidence file. Parts are the exact bytes that the log commits to. */
export interface Evidence {
  claim: Claim
  parts: Partial<Record<PartName, Uint8Array>>
  witnesses: Uint8Array[]
  events: Uint8Array[]
  entries: EntryPart[]
  redactions?: Uint8Array[]
  staples: StaplePart[]
  renewals: RenewalPart[]
  committees?: CommitteePart[]
  history?: { state: string; at: number }[]
}

/** Parts that are not DAG-CBOR: a salt and the text of a head. */
const RAW: PartName[] = ['salt', 'providerHead', 'consumerHead']
export const codecOf = (name: PartName): Codec => (RAW.includes(name) ? 'raw' : 'dag-cbor')

/** CARv1, section "Header": DAG-CBOR of one root. */
const headerOf = (root: CID): Uint8Array => encode({ roots: [root], version: 1 })

/** A part as found: its bytes, or that it is not there, or that what is there is not it. */
export type Found = { is: 'here'; bytes: Uint8Array } | { is: 'missing' } | { is: 'broken'; reason: string }

/** What a list names: a part of its shape, or why there is none. */
export type Listed<T> = T | { missing: true } | { broken: string }

export interface ReadEvidence {
  claim: Claim
  part(name: PartName): Found
  /** Parts that the root names, whether or not they are there. */
  named: PartName[]
  witnesses: Found[]
  events: Found[]
  entries: Listed<EntryPart>[]
  staples: Listed<StaplePart>[]
  renewals: Listed<RenewalPart>[]
  committees: Listed<CommitteePart>[]
  redactions: Found[]
  history: { state: string; at: number }[]
  /** Blocks that no part names, or that stand in the file twice. */
  stray: string[]
}

/** Opens an evidence file; says why when it cannot be one. Nothing in it is believed yet. Never throws. */
export function readEvidence(fileBytes: Uint8Array): ReadEvidence | { broken: string } | { unknown: string } {
  const blocks = readCar(fileBytes)
  if ('broken' in blocks) return blocks
  const parsed = parse<EvidenceRoot>(rootShape, blocks.root)
  if (!('value' in parsed)) return parsed
  const { value } = parsed
  const parts = new Map(
    PARTS.map(name => {
      const cid = value.parts[name]
      return [name, cid ? blocks.find(cid, codecOf(name)) : ({ is: 'missing' } as const)]
    }),
  )
  const witnesses = value.witnesses.map(cid => blocks.find(cid, 'dag-cbor'))
  const events = value.events.map(cid => blocks.find(cid, 'dag-cbor'))
  const listed = <T>(shape: Shape<T>, cids: CID[] = []) =>
    cids.map(cid => readListed(shape, blocks.find(cid, 'dag-cbor')))
  const entries = listed<EntryPart>(entryPart, value.entries)
  const staples = listed<StaplePart>(staplePart, value.staples)
  const renewals = listed<RenewalPart>(renewalPart, value.renewals)
  const committees = listed<CommitteePart>(committeePart, value.committees)
  return {
    claim: value.claim,
    part: name => parts.get(name)!,
    named: PARTS.filter(name => value.parts[name]),
    witnesses,
    events,
    entries,
    redactions: (value.redactions ?? []).map(cid => blocks.find(cid, 'dag-cbor')),
    staples,
    renewals,
    committees,
    history: value.history ?? [],
    stray: blocks.stray(),
  }
}

function readListed<T>(shape: Shape<T>, found: Found): Listed<T> {
  if (found.is === 'missing') return { missing: true }
  if (found.is === 'broken') return { broken: found.reason }
  const parsed = parse<T>(shape, found.bytes)
  return 'value' in parsed ? parsed.value : { broken: 'broken' in parsed ? parsed.broken : parsed.unknown }
}

function parse<T>(
  shape: Shape<unknown>,
  blockBytes: Uint8Array,
): { value: T } | { broken: string } | { unknown: string } {
  try {
    const value = decode(blockBytes)
    const type = isPlain(value) ? value.t : undefined
    if (shape === rootShape && type !== 'evidence/1')
      return typeof type === 'string' && /^evidence\/[1-9][0-9]{0,3}$/.test(type)
        ? { unknown: `${type} is not known to this version` }
        : { broken: 'the root is not evidence' }
    const reason = shape.check(value, 'evidence')
    return reason ? { broken: reason } : { value: value as unknown as T }
  } catch (error) {
    if (error instanceof CryptoError) return { broken: error.message }
    throw error
  }
}

interface Blocks {
  /** Bytes of the block that the header names. */
  root: Uint8Array
  find(cid: CID, codec: Codec): Found
  stray(): string[]
}

interface Section {
  /** The 36 bytes that stand before the block as its CID, in hex. */
  label: string
  bytes: Uint8Array
}

const CID_BYTES = 36
const CODE: Record<Codec, number> = { 'dag-cbor': 0x71, raw: 0x55 }
/** A root, the parts and what each list names. */
const MAX_BLOCKS =
  1 +
  PARTS.length +
  MAX_EVIDENCE_WITNESSES +
  MAX_EVIDENCE_EVENTS +
  2 * MAX_EVIDENCE_ENTRIES +
  MAX_STAPLES +
  MAX_RENEWALS +
  MAX_COMMITTEES

/**
 * Reads CARv1 as `formatEvidence` writes it, and nothing else: one root, which is the first block, shortest varints, 36
 * bytes of CID before each block. General readers take more than one form of the same file, and check no hash.
 */
function readCar(fileBytes: Uint8Array): Blocks | { broken: string } {
  if (fileBytes.length > MAX_EVIDENCE_BYTES)
    return { broken: `it is longer than ${MAX_EVIDENCE_BYTES} bytes` }
  const pieces = split(fileBytes)
  if (!pieces) return { broken: 'it is not a whole CAR file' }
  const [header, ...rest] = pieces
  if (rest.length > MAX_BLOCKS) return { broken: `it has more than ${MAX_BLOCKS} blocks` }
  const [first] = rest
  if (!header || !first) return { broken: 'it has no claim' }
  if (rest.some(piece => piece.length < CID_BYTES)) return { broken: 'a block has no id' }
  let root: CID
  try {
    root = cidFromBytes(first.subarray(0, CID_BYTES))
  } catch {
    return { broken: 'the first block has no id' }
  }
  if (!equal(header, headerOf(root))) return { broken: 'its header does not name its first block alone' }
  const sections = rest.map(piece => ({
    label: toHex(piece.subarray(0, CID_BYTES)),
    bytes: piece.slice(CID_BYTES),
  }))
  if (!equal(cidOf(sections[0]!.bytes, 'dag-cbor').bytes, root.bytes))
    return { broken: 'the claim: its bytes do not hash to its id' }
  return { root: sections[0]!.bytes, ...index(sections) }
}

/** The pieces between the lengths of a CAR file, the header first; `undefined` when it does not end with one. */
function split(fileBytes: Uint8Array): Uint8Array[] | undefined {
  const pieces: Uint8Array[] = []
  let at = 0
  while (at < fileBytes.length) {
    let [length, scale, byte] = [0, 1, 0x80]
    while (byte >= 0x80) {
      if (at >= fileBytes.length || scale > MAX_EVIDENCE_BYTES) return undefined
      byte = fileBytes[at++]!
      length += (byte & 0x7f) * scale
      scale *= 0x80
    }
    const isShortest = byte !== 0 || scale === 0x80
    if (!isShortest || length === 0 || length > fileBytes.length - at || pieces.length > MAX_BLOCKS + 1)
      return undefined
    pieces.push(fileBytes.subarray(at, at + length))
    at += length
  }
  return pieces
}

/** A block counts only under the CID of its own bytes; one that stands under another is found, as broken, by either. */
function index(sections: Section[]): Omit<Blocks, 'root'> {
  const here = new Map<string, Uint8Array>()
  const broken = new Map<string, { label: string; reason: string }>()
  const stray = new Set<string>()
  for (const [i, section] of sections.entries()) {
    const { label, bytes: blockBytes } = section
    const actual = (['raw', 'dag-cbor'] as const).map(codec => toHex(cidOf(blockBytes, codec).bytes))
    if (i > 0) stray.add(label)
    if (here.has(label) || broken.has(label)) stray.add(`${label} twice`)
    else if (actual.includes(label)) here.set(label, blockBytes)
    else {
      broken.set(label, { label, reason: 'its bytes do not hash to its id' })
      for (const each of actual)
        if (!broken.has(each)) broken.set(each, { label, reason: 'it stands under another id' })
    }
  }
  return {
    find(cid, codec) {
      const label = toHex(cid.bytes)
      const [found, wrong] = [here.get(label), broken.get(label)]
      stray.delete(label)
      if (!found && wrong) stray.delete(wrong.label)
      if (cid.code !== CODE[codec]) return { is: 'broken', reason: `it is not linked to as ${codec}` }
      if (found) return { is: 'here', bytes: found }
      return wrong ? { is: 'broken', reason: wrong.reason } : { is: 'missing' }
    },
    stray: () => [...stray],
  }
}
