/**
 * How records and log entries lie in the store.
 *
 * A record lies under its id, sealed, behind the index of its newest log entry and its slot. Entries lie in runs: several in one value under
 * the index of the first, cut where a bundle of 256 ends (C2SP tlog-tiles), because one value of many entries costs a third
 * of as many values. Until there are 16 of them they wait in the value of the log's tail, which is written with every step
 * anyway. A full bundle gets a list of its runs, so that any entry of it is two reads away.
 */
import { concat, copyOf, readU64, u64, writeU64 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { KEY } from './layout.ts'
import { logNumber } from './log-number.ts'
import type { Write } from './output.ts'
import { NO_SLOT, type Slots } from './slots.ts'

type Get = (key: string) => Uint8Array | undefined
/** A store and the keys of the bodies in it. */
export interface Kept {
  get: Get
  slots: Slots
}

const INDEX_BYTES = 8
const SLOT_BYTES = 8
const DIGEST_BYTES = 32
/** Before a sealed body. */
const HEAD_BYTES = INDEX_BYTES + SLOT_BYTES
/** Slot, digest and the length of the entry, before each entry of a run. */
const ITEM_BYTES = SLOT_BYTES + DIGEST_BYTES + 2
/** In the value of the tail, behind the size and a leaf hash. */
const WAITING_AT = INDEX_BYTES + 32
const NOTHING = new Uint8Array(0)

/** As many entries become a run of their own; fewer wait for more. */
export const RUN_ENTRIES = 16
/** Entries a bundle holds. */
export const BUNDLE_ENTRIES = 256

/**
 * The value of a record: one more than the index of its newest entry, or 0 when it has none; its slot; its sealed bytes.
 * And the salt of an entry that commits to it.
 */
export function keepRecord(
  slots: Slots,
  bytes: Uint8Array,
  index?: number,
  value: Uint8Array = new Uint8Array(keptBytes(bytes)),
): { slot: number; salt: Uint8Array; value: Uint8Array } {
  const slot = slots.take()
  writeU64(value, 0, index === undefined ? 0 : index + 1)
  writeU64(value, INDEX_BYTES, slot)
  return { slot, salt: slots.seal(slot, bytes, value, HEAD_BYTES), value }
}

/** Length of the value of a record. */
export const keptBytes = (bytes: Uint8Array): number => HEAD_BYTES + bytes.length

/** A record that came from elsewhere and has no entry here; nothing is written when it is kept already. */
export const keepSeen = (kept: Kept, id: CID, bytes: Uint8Array): Write[] =>
  keptRecord(kept, id) || redactedOf(kept.get, id)
    ? []
    : [{ key: KEY.kept(id), value: keepRecord(kept.slots, bytes).value }]

/** The signed bytes of a record. */
export function keptRecord({ get, slots }: Kept, id: CID): Uint8Array | undefined {
  const value = get(KEY.kept(id))
  return value && slots.open(slotIn(value), value.subarray(HEAD_BYTES))
}

/** What is kept of a record that was redacted: by which word, whom it concerned, and of which asset it was. */
export interface Redacted {
  redaction: CID
  parties: CID[]
  asset?: CID
}

/** The value in the place of a redacted record. */
export const keepRedacted = (place: Place | undefined, redacted: Redacted): Uint8Array =>
  concat(
    u64(place ? placeOf(place.log, place.index) + 1 : 0),
    u64(NO_SLOT),
    encode(redacted as unknown as Value),
  )

export function redactedOf(get: Get, id: CID): Redacted | undefined {
  const value = get(KEY.kept(id))
  return value && slotIn(value) === NO_SLOT
    ? (decode(value.subarray(HEAD_BYTES)) as unknown as Redacted)
    : undefined
}

/** The value of a record whose newest entry is another one, or none. */
export function placedAt(value: Uint8Array, place: Place | undefined): Uint8Array {
  const placed = value.slice()
  writeU64(placed, 0, place ? placeOf(place.log, place.index) + 1 : 0)
  return placed
}

/** The slot of a stored record. */
export const slotIn = (value: Uint8Array): number => readU64(value, INDEX_BYTES)!

/** The index of the newest entry of the active log that commits to a record. */
export function indexOf(get: Get, id: CID): number | undefined {
  const place = placeIn(get, id)
  return place?.log === logNumber(get) ? place.index : undefined
}

/** Entries that one log has at most: the number of the log stands above them in the value of a record. */
const LOG_SPAN = 2 ** 40

/** The own log in which the newest entry of a record stands, by its number, and where in it. */
interface Place {
  log: number
  index: number
}

export function placeIn(get: Get, id: CID): Place | undefined {
  const value = get(KEY.kept(id))
  const next = value ? readU64(value)! : 0
  return next > 0 ? { log: Math.floor((next - 1) / LOG_SPAN), index: (next - 1) % LOG_SPAN } : undefined
}

/** What stands in the value of a record for an entry of the own log of this number. */
export const placeOf = (log: number, index: number): number => log * LOG_SPAN + index

/** An entry with the slot that its salt is of, and the digest of the id of the record that it commits to. */
export interface KeptEntry {
  slot: number
  of: Uint8Array
  entry: Uint8Array
}

/** Whether an entry commits to a record: padding and state entries are kept with zeros in its place. */
export const isOfRecord = ({ of }: KeptEntry): boolean => of.some(byte => byte !== 0)

/**
 * Writes runs one behind the other into one array, because each of more than 64 bytes costs a microsecond to make. Before
 * each there is room for what the value of the tail begins with, so that the last can wait in it.
 */
export class RunWriter {
  readonly #bytes: Uint8Array
  #start = 0
  #end = WAITING_AT

  /** Goes on with the entries that wait; for `count` more that take `entryBytes` together. */
  constructor(waiting: Uint8Array, count: number, entryBytes: number) {
    const runs = 3 + Math.floor(count / BUNDLE_ENTRIES) // one begun before, one cut short, one begun behind
    this.#bytes = new Uint8Array(waiting.length + count * ITEM_BYTES + entryBytes + runs * WAITING_AT)
    this.#bytes.set(waiting, this.#end)
    this.#end += waiting.length
  }

  get isEmpty(): boolean {
    return this.#end === this.#start + WAITING_AT
  }

  /** Where the next entry will stand: one that is written here need not be copied. */
  room(): Uint8Array {
    return this.#bytes.subarray(this.#end + ITEM_BYTES)
  }

  /** An entry, behind its slot, the digest of its record's id and its length. */
  add({ slot, of, entry }: KeptEntry): void {
    writeU64(this.#bytes, this.#end, slot)
    this.#bytes.set(of, this.#end + SLOT_BYTES)
    this.#end += ITEM_BYTES
    this.#bytes[this.#end - 2] = entry.length >> 8
    this.#bytes[this.#end - 1] = entry.length
    this.#bytes.set(entry, this.#end)
    this.#end += entry.length
  }

  /** The run that ends here. */
  cut(): Uint8Array {
    const run = this.#bytes.subarray(this.#start + WAITING_AT, this.#end)
    this.#start = this.#end
    this.#end += WAITING_AT
    return run
  }

  /** Where the log ends: its size, the leaf hash of its last entry, and the entries that wait to become a run. */
  tail(size: number, last: Uint8Array): Uint8Array {
    writeU64(this.#bytes, this.#start, size)
    this.#bytes.set(last, this.#start + INDEX_BYTES)
    return this.#bytes.subarray(this.#start, this.#end)
  }
}

export const readTail = (stored: Uint8Array): { size: number; last: Uint8Array; waiting: Uint8Array } => ({
  size: readU64(stored)!,
  last: stored.slice(INDEX_BYTES, WAITING_AT),
  waiting: stored.subarray(WAITING_AT),
})

/** The run that begins at `first`, waiting in the tail or stored: of what waits, the store would be searched in vain. */
function runAt(get: Get, first: number): Uint8Array | undefined {
  const stored = get(KEY.tail)
  const { size, waiting } = stored ? readTail(stored) : { size: 0, waiting: NOTHING }
  const waits = size - first <= RUN_ENTRIES && waiting.length > 0 && size - entriesIn(waiting) === first
  return waits ? waiting : get(KEY.run(first))
}

/** The entries from `from` up to `to`, or up to the first that is not there. */
export function* readEntries(get: Get, from: number, to: number): Generator<KeptEntry> {
  let at = runStart(get, from)
  while (at < to) {
    const run = runAt(get, at)
    if (!run) return
    for (let offset = 0; offset < run.length && at < to; at++) {
      const end = offset + ITEM_BYTES + (run[offset + ITEM_BYTES - 2]! << 8) + run[offset + ITEM_BYTES - 1]!
      if (at >= from) yield item(run, offset, end)
      offset = end
    }
  }
}

export function readEntryAt(get: Get, index: number): KeptEntry | undefined {
  return readEntries(get, index, index + 1).next().value ?? undefined
}

/** The first indexes of the runs of the bundle that holds `size`, as far as it is filled. */
export function openRuns(get: Get, size: number): number[] {
  const starts: number[] = []
  for (let at = size - (size % BUNDLE_ENTRIES); at < size; at += entriesIn(runAt(get, at)!)) starts.push(at)
  return starts
}

/** What stands under a full bundle: where each of its runs begins, a byte each. */
export const keepRuns = (starts: number[]): Uint8Array =>
  Uint8Array.from(starts, start => start % BUNDLE_ENTRIES)

/** Where the runs of a full bundle begin. */
export function runsOf(get: Get, bundle: number): number[] | undefined {
  const listed = get(KEY.runs(bundle))
  return listed && Array.from(listed, start => bundle * BUNDLE_ENTRIES + start)
}

/** The first index of the run that holds `index`; past the last run the index itself. */
function runStart(get: Get, index: number): number {
  const base = index - (index % BUNDLE_ENTRIES)
  if (index === base) return base
  const listed = get(KEY.runs(base / BUNDLE_ENTRIES))
  if (listed) return base + listed.findLast(start => base + start <= index)!
  let at = base
  for (let run = runAt(get, at); run; run = runAt(get, at)) {
    const next = at + entriesIn(run)
    if (next > index) return at
    at = next
  }
  return index
}

function entriesIn(run: Uint8Array): number {
  let count = 0
  for (let offset = 0; offset < run.length; count++)
    offset += ITEM_BYTES + (run[offset + ITEM_BYTES - 2]! << 8) + run[offset + ITEM_BYTES - 1]!
  return count
}

function item(run: Uint8Array, offset: number, end: number): KeptEntry {
  const of = offset + SLOT_BYTES
  return {
    slot: readU64(run, offset)!,
    of: run.slice(of, of + DIGEST_BYTES),
    entry: copyOf(run, offset + ITEM_BYTES, end),
  }
}
