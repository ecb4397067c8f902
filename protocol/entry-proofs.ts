/**
 * Proofs of entries of the own log, for whom a record concerns.
 *
 *     log's owner                                   whom a record concerns
 *                <-- proof/request {records} --
 *                -- proof/reply {note, entries} -->     heads.ts
 */
import { asCid, type CID } from '../crypto/cid.ts'
import { decodeSigned, type Payload } from '../crypto/statement.ts'
import type { ProofReply } from './event.ts'
import { readGrant } from './grant.ts'
import { bestHead, publicHead } from './heads.ts'
import { type Chain, eventsOf } from './identity-chain.ts'
import { indexOf, type Kept, keptRecord, readEntryAt, redactedOf } from './kept.ts'
import { firstState, type Ledger, lastState, logAt, logWith, provePresence } from './ledger.ts'
import { MAX_TOLD_EVENTS_BYTES } from './limits.ts'
import { type Context, type Step, stay } from './machine.ts'
import type { MessageOf } from './message.ts'
import { renewal } from './renewal.ts'
import { everSeated, shownCommittees } from './shown-committees.ts'

/** Asked for proofs: of what concerns the one who asks, and of the words by which it was redacted. */
export function answer(
  from: string,
  message: MessageOf<'proof/request'>,
  active: Ledger,
  now: Context,
): Step<never> {
  const { ledger, context } = logWith(message.records, active, now)
  const shown = publicHead(context.get)
  const found: { record: CID; index: number }[] = []
  const concerned = message.records.filter(each => concerns(from, each, message.records, context))
  // Where a record was redacted, the word for it is proven beside it.
  const words = concerned.flatMap(each => redactedOf(context.get, each)?.redaction ?? [])
  for (const record of [...concerned, ...words]) {
    const index = indexOf(context.get, record)
    if (index !== undefined) found.push({ record, index })
  }
  const covered = found.filter(({ index }) => shown && index < shown.size)
  const best = bestHead(context, Math.max(0, ...covered.map(each => each.index + 1)))
  const head = best && shown && best.size <= shown.size ? best : shown
  const entries = found.map(each => proveRecord(each, head?.size ?? 0, ledger, context))
  const pending = covered.length < concerned.length + words.length
  const step = stay<never>()
  const known = everSeated(context).flatMap(each => context.partner(each) ?? [])
  const committees = shownCommittees(active, now)
  const indexes = covered.map(each => each.index)
  const number = message.log ? now.self.chain.logs.findIndex(each => each.equals(message.log!)) : undefined
  const old = number === undefined ? { ledger, context } : number >= 0 && logAt(number, active, now)
  const newer = message.head && old && renewal(message.head, old.ledger, old.context, now.now.wallMs)
  step.output.sends.push({
    to: from,
    message: {
      t: 'proof/reply',
      id: message.id,
      entries,
      states: head ? proveStates(indexes, head.size, ledger, context.get) : [],
      witnesses: known.map(each => each.identityBytes),
      events: eventsToTell([context.self.chain, ...known.map(each => each.chain)]),
      pending,
      ...(head ? { note: head.note } : {}),
      ...(committees.length > 0 ? { committees } : {}),
      ...(newer ? { renewal: newer } : {}),
      ...(words.length > 0 ? { redactions: words.flatMap(each => keptRecord(context, each) ?? []) } : {}),
    },
  })
  return step
}

/** The first state entry after each of these entries, and the last under the head of `size`, with their way to it. */
export function proveStates(
  indexes: number[],
  size: number,
  ledger: Ledger,
  get: Context['get'],
): ProofReply['states'] {
  const found = new Map<number, Uint8Array>()
  for (const index of indexes) {
    const first = firstState(get, index, size)
    if (first) found.set(first.index, first.entry)
  }
  const last = lastState(get, size)
  if (last) found.set(size - 1, last)
  return [...found].map(([index, entry]) => ({ entry, path: provePresence(ledger, get, index, size) }))
}

/** Events of whole identities, as many as a message has room for; the first always fits. */
function eventsToTell(chains: Chain[]): Uint8Array[] {
  const told: Uint8Array[] = []
  let room = MAX_TOLD_EVENTS_BYTES
  for (const chain of chains) {
    const events = eventsOf(chain)
    room -= events.reduce((sum, each) => sum + each.length, 0)
    if (room >= 0) told.push(...events)
  }
  return told
}

/** The entry that commits to a record, its salt, and its way to the head of `size` if that covers it. */
export function proveRecord(
  { record, index }: { record: CID; index: number },
  size: number,
  ledger: Ledger,
  { get, slots }: Kept,
): ProofReply['entries'][number] {
  const { slot, entry } = readEntryAt(get, index)!
  const salt = redactedOf(get, record) ? undefined : slots.salt(slot)
  const path = index < size ? { path: provePresence(ledger, get, index, size) } : {}
  return { record, entry, ...(salt ? { salt } : {}), ...path }
}

/** Whether a record concerns an organisation: it is a party of it, or has an agreement here that covers it. */
function concerns(from: string, id: CID, asked: CID[], context: Context): boolean {
  const gone = redactedOf(context.get, id)
  const stored = keptRecord(context, id)
  if (!gone && !stored) return false
  const p: Partial<Payload> = stored ? decodeSigned(stored).p : {}
  const parties =
    gone?.parties ?? ['assigner', 'assignee', 'consumer', 'provider'].map(role => asCid(p[role]))
  if (parties.some(each => each?.toString() === from)) return true
  const asset = gone ? gone.asset : asCid(p.asset)
  return (
    asset !== undefined && asked.some(each => readGrant(from, each, context)?.payload.asset.equals(asset))
  )
}
