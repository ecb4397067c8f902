/** The own log without what stands beyond its newest signed head (recovery.ts). */
import { u64 } from '../crypto/bytes.ts'
import {
  BUNDLE_ENTRIES,
  type KeptEntry,
  openRuns,
  RUN_ENTRIES,
  RunWriter,
  readEntries,
  runsOf,
} from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, loadLedger, TILE_HASHES } from './ledger.ts'
import type { Write } from './output.ts'

/** What was cut off, and the writes that do it; entries and hashes before the head stay as they are. */
export function cut(
  ledger: Ledger,
  get: (key: string) => Uint8Array | undefined,
): { ledger: Ledger; writes: Write[]; entries: KeptEntry[] } {
  const { size } = ledger.signed.range
  const end = ledger.tail.range.size
  const first = Math.floor(size / BUNDLE_ENTRIES)
  const base = first * BUNDLE_ENTRIES
  const writes: Write[] = []
  for (let bundle = first; bundle * BUNDLE_ENTRIES < end; bundle++) {
    const starts = runsOf(get, bundle) ?? openRuns(get, end)
    writes.push({ key: KEY.runs(bundle) }, ...starts.map(start => ({ key: KEY.run(start) })))
  }
  for (let [level, old, rest] = [0, end, size]; old > 0; level++) {
    ;[old, rest] = [Math.floor(old / TILE_HASHES), Math.floor(rest / TILE_HASHES)]
    for (let tile = rest; tile < old; tile++) writes.push({ key: KEY.tile(level, tile) })
    // The rows have roots of what is cut off: they are written anew with the next full tile.
    if (level === 0 && rest < old) writes.push({ key: KEY.rows })
  }
  const kept = [...readEntries(get, base, size)]
  const run = new RunWriter(
    new Uint8Array(0),
    kept.length,
    kept.reduce((sum, each) => sum + each.entry.length, 0),
  )
  for (const each of kept) run.add(each)
  if (kept.length >= RUN_ENTRIES) writes.push({ key: KEY.run(base), value: run.cut() })
  const tail = run.tail(size, ledger.signed.last)
  writes.push({ key: KEY.tail, value: tail, if: { equals: ledger.stored! } })
  writes.push({ key: KEY.stated, value: u64(size) })
  const written = new Map(writes.map(({ key, value }) => [key, value]))
  const entries = [...readEntries(get, size, end)]
  return { ledger: loadLedger(key => (written.has(key) ? written.get(key) : get(key))), writes, entries }
}
