/**
 * The first entry of a log's successor says where the closed log ended (RULES D6): by it, a head of the successor vouches for
 * every head of the closed one that its end extends.
 */
import { equal, readU64 } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { leafHash, verifyConsistency } from '../crypto/merkle.ts'
import type { RenewalPart } from './evidence.ts'
import type { Chain } from './identity-chain.ts'
import { type Head, KIND, readEntry } from './log.ts'

type Tree = Pick<Head, 'size' | 'root'>

/** Where the log before this one ended, as the first entry of this one says; nothing where it says none. */
export function endIn(entryBytes: Uint8Array, log: CID): Tree | undefined {
  const entry = readEntry(entryBytes)
  if ('reason' in entry || entry.k !== KIND.genesis || !entry.x) return undefined
  const [own, root, padded] = entry.x
  const size = padded && readU64(padded, 24)
  return root && size && equal(own!, digestOf(log)) ? { size, root } : undefined
}

/** Whether a head is shown to hold all that an older one does: in one log, or through the first entries of its successors. */
export function isExtended(
  older: Head,
  newer: Head,
  { path, through }: Pick<RenewalPart, 'path' | 'through'>,
  { logs }: Pick<Chain, 'logs'>,
): boolean {
  let [at, way, log]: [Tree, Uint8Array[], number] = [older, path, older.log]
  // One way of saying that there is none.
  if (through?.length === 0) return false
  for (const next of through ?? []) {
    const named = logs[++log]
    const end = named && endIn(next.entry, named)
    if (!end || !follows(at, end, way)) return false
    // A tree of one entry: what extends it begins with that entry.
    at = { size: 1, root: leafHash(next.entry) }
    way = next.path
  }
  return newer.log === log && follows(at, newer, way)
}

const follows = (older: Tree, newer: Tree, path: Uint8Array[]): boolean =>
  newer.size === older.size
    ? path.length === 0 && equal(newer.root, older.root)
    : newer.size > older.size &&
      verifyConsistency({
        oldSize: older.size,
        oldRoot: older.root,
        size: newer.size,
        root: newer.root,
        path,
      })
