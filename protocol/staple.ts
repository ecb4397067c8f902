/**
 * Staples (RULES C3): at signing, each side hands over its latest state entry under a head that its members cosigned in the
 * last ten minutes. Whoever holds the record can then show which keys counted, also when the signer's log is not at hand.
 */
import { text } from '../crypto/bytes.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { parseNote } from '../crypto/note.ts'
import { committeesShape } from './committee-record.ts'
import { bestHead } from './heads.ts'
import { type Chain, chainAt, cosignatureOf } from './identity-chain.ts'
import { readEntryAt } from './kept.ts'
import { type Ledger, provePresence } from './ledger.ts'
import { FRESH_MS, MAX_ENTRY_BYTES, MAX_NOTE_BYTES, MAX_PATH } from './limits.ts'
import { readEntry, readHead } from './log.ts'
import type { Context } from './machine.ts'
import { blob, bytes, type Infer, list, object } from './shape.ts'
import { committeesOf } from './shown-committees.ts'
import { readState } from './state.ts'

export const stapleShape = object({
  note: blob(MAX_NOTE_BYTES),
  entry: blob(MAX_ENTRY_BYTES),
  path: list(bytes(32), MAX_PATH),
  /** The committees of the log: without them nobody can say what its cosignatures are worth. */
  committees: committeesShape,
})
export type Staple = Infer<typeof stapleShape>

/** The own staple, if members have cosigned of late. */
export function makeStaple(ledger: Ledger, context: Context): Staple | undefined {
  const head = bestHead(context, 0)
  if (!head || !isFresh(head.note, context)) return undefined
  const index = head.size - 1
  const { entry } = readEntryAt(context.get, index)!
  const read = readEntry(entry)
  if ('reason' in read || 'reason' in readState(read)) return undefined
  const committees = committeesOf(context, ledger)
  const path = provePresence(ledger, context.get, index, head.size)
  return { note: head.note, entry, path, ...(committees.length > 0 ? { committees } : {}) }
}

function isFresh(noteBytes: Uint8Array, { witnesses, partner, now }: Context): boolean {
  const note = parseNote(text(noteBytes))
  return witnesses.some(id => {
    const chain = partner(id.toString())?.chain
    const cosigned = chain && cosignatureOf(chain, note)
    return cosigned && cosigned.timeS * 1_000 >= now.wallMs - FRESH_MS
  })
}

/** Whether a staple is of this log and of a state that is known here; who cosigned it is for a verifier to judge. */
export function isStapleOf(chain: Chain, { note, entry: entryBytes, path }: Staple): boolean {
  const head = readHead(note, chain)
  const entry = readEntry(entryBytes)
  if ('reason' in head || 'reason' in entry) return false
  const state = readState(entry)
  if ('reason' in state || !chainAt(chain, state.identity)) return false
  const { size, root } = head
  return verifyInclusion({ leaf: leafHash(entryBytes), index: entry.n, size, path, root })
}
