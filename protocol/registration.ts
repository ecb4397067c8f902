/**
 * Registration of a log with one who is to hold promises and cosign (RULES D2), both roles: before anything of the log is
 * held, its owner shows how it begins. From entry 0 on everything must extend.
 *
 *     log's owner                                            witness
 *                -- register {genesis, events, entry, salt} -->  of the identity's active log, and what entry 0 commits to
 *                <-- registered {log, size, root} --             what it holds: entry 0 at first
 *                <-- refused {log, refusal} --
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { leafHash } from '../crypto/merkle.ts'
import { isClosed } from './fork.ts'
import { type Chain, eventsOf } from './identity-chain.ts'
import { keptRecord, readEntryAt } from './kept.ts'
import { MAX_LOGS } from './limits.ts'
import { commitment, KIND, logDigest, readEntry, ZERO_HASH } from './log.ts'
import { logGenesis } from './log-genesis.ts'
import { type Context, type Step, say } from './machine.ts'
import type { Message, MessageOf, Refusal } from './message.ts'
import { isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import type { Cosigned } from './witness.ts'

// Owner.

/** How the own log begins; nothing before it has begun. */
export function register(context: Context): Message[] {
  const { chain } = context.self
  const genesis = keptRecord(context, chain.logs.at(-1)!)
  const first = readEntryAt(context.get, 0)
  if (!genesis || !first) return []
  const salt = context.slots.salt(first.slot)
  if (!salt) return []
  return [{ t: 'log/register', genesis, events: eventsOf(chain), entry: first.entry, salt }]
}

// Witness.

/** Takes a log in by its entry 0; the same again gets the same answer. */
export function registered(
  state: Cosigned | undefined,
  from: string,
  message: MessageOf<'log/register'>,
  context: Context,
): Step<Cosigned> {
  const { chain } = context.partner(from)!
  const told = readRecord(logGenesis, message.genesis)
  // A late one is of a log that is closed by now, and must not be taken for an answer about the next.
  const log = isStored(told) ? told.id : chain.logs.at(-1)!
  const leaf = leafHash(message.entry)
  const wrong = isClosed(from, context)
    ? refusal('LOG_CLOSED', 'this log is closed: it was forked')
    : unfit(state, message, leaf, chain, context)
  if (wrong) return say(state, from, { t: 'log/refused', log, refusal: wrong })
  const next: Cosigned = state ?? { size: 1, root: leaf, first: leaf }
  const { size, root } = next.promised?.at(-1) ?? next
  return say(next, from, { t: 'log/registered', log, size, root })
}

const refusal = (code: Refusal['code'], text: string): Refusal => ({ code, text })

/** Why this is not how the active log of an identity begins. */
function unfit(
  state: Cosigned | undefined,
  { genesis, entry, salt }: MessageOf<'log/register'>,
  leaf: Uint8Array,
  chain: Chain,
  context: Context,
): Refusal | undefined {
  const read = readRecord(logGenesis, genesis)
  if (!isStored(read)) return refusal('RECORD_INVALID', read.reason)
  if (!read.id.equals(chain.logs.at(-1)!))
    return refusal('RECORD_INVALID', 'it is not the active log of who asks')
  if (read.payload.number >= MAX_LOGS)
    return refusal('QUOTA_EXCEEDED', `an organisation has at most ${MAX_LOGS} logs here`)
  const verdict = verifySignatures(logGenesis, read, context.keys)
  if (verdict.ok !== true) return refusal('SIGNATURE_INVALID', verdict.reason)
  const reason = misbegun(entry, salt, read as unknown as Stored, chain)
  if (reason) return refusal('ENTRIES_INVALID', reason)
  return state && !equal(state.first, leaf)
    ? refusal(
        'LOG_REGISTERED',
        `this log is registered here with another entry 0, ${toHex(state.first).slice(0, 16)}…`,
      )
    : undefined
}

function misbegun(
  entryBytes: Uint8Array,
  salt: Uint8Array,
  genesis: Stored,
  chain: Chain,
): string | undefined {
  const entry = readEntry(entryBytes)
  if ('reason' in entry) return entry.reason
  if (entry.n !== 0 || !equal(entry.p, ZERO_HASH) || entry.k !== KIND.genesis)
    return 'it is not an entry that opens a log'
  const [named] = entry.x ?? []
  if (!named || !equal(named, logDigest(chain))) return 'the entry opens another log'
  return equal(entry.c, commitment(salt, genesis.bytes))
    ? undefined
    : 'the entry does not commit to the genesis of the log'
}
