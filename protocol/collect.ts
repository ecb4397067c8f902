/** Evidence from what a home holds and the proofs that the other side gave; works at either side of a delivery. */
import { readU64, utf8 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { type Agreement, agreement } from './agreement.ts'
import { packet } from './asset.ts'
import type { Delivery } from './delivery.ts'
import { ProtocolError } from './error.ts'
import type { ProofReply } from './event.ts'
import { type EntryPart, type Evidence, type PartName } from './evidence.ts'
import { newestHead } from './heads.ts'
import { KEY } from './layout.ts'
import { type Ledger, provePresence, readEntryAt } from './ledger.ts'
import { type Context, decodeState } from './machine.ts'
import type { Negotiation } from './negotiation.ts'
import { isStored, readRecord, type Stored } from './record.ts'

/** What collecting looks at: the home's store and identity, and its partners. */
export type Reading = Pick<Context, 'self' | 'get' | 'partner' | 'witnesses'>

type Named = { of: EntryPart['of']; id: CID; bytes: Uint8Array }

/** The records that the other side's log has to prove for a delivery. */
const REQUIRED = [['provider','packet'],['provider','agreement'],['provider','release'],['consumer','agreement'],['consumer','received'],['consumer','opened']].map(([side, of]) => ({ side, of }))

export function recordsOf(home: Reading, { agreement: agreementId, packet: packetId }: { agreement: CID; packet: CID }): CID[] {
  const { sides, records } = deliveryOf(home, agreementId, packetId)
  const theirSide = sides.own === 'provider' ? 'consumer' : 'provider'
  return records.filter(each => isRequired(theirSide, each.of)).map(each => each.id)
}

/** Evidence that a packet was delivered under an agreement. Throws NOT_FOUND, OUT_OF_ORDER before it was opened. */
export function collectDelivery(
  home: Reading,
  ledger: Ledger,
  { agreement: agreementId, packet: packetId }: { agreement: CID; packet: CID },
  { theirs, asOfMs, salt }: { theirs?: ProofReply; asOfMs: number; salt: Uint8Array },
): Evidence {
  const { agreed, sides, records, described } = deliveryOf(home, agreementId, packetId)
  const base = baseOf(home, agreed, sides, asOfMs)
  const parts: Evidence['parts'] = { ...base.parts, root: need(home, KEY.root(described.root)), salt }
  for (const { of, bytes } of records) parts[of] = bytes
  const claim = { ...base.claim, type: 'delivery' as const, packet: packetId }
  return withProofs({ ...base, claim, parts }, home, ledger, sides, records, theirs)
}

/** An agreement with both signatures and its state history, verifiable alone. */
export function collectConsent(
  home: Reading,
  ledger: Ledger,
  { agreement: agreementId }: { agreement: CID },
  { theirs, asOfMs, history }: { theirs?: ProofReply; asOfMs: number; history: Negotiation['history'] },
): Evidence {
  const agreed = grantOf(home, agreementId)
  const sides = sidesOf(home, agreed.payload)
  const base = baseOf(home, agreed, sides, asOfMs)
  const records: Named[] = [{ of: 'agreement', id: agreed.id, bytes: agreed.bytes }]
  return withProofs({ ...base, history }, home, ledger, sides, records, theirs)
}

interface Sides {
  own: 'provider' | 'consumer'
  /** The other organisation. */
  other: string
}

function deliveryOf(home: Reading, agreementId: CID, packetId: CID) {
  const agreed = grantOf(home, agreementId)
  const sides = sidesOf(home, agreed.payload)
  const d = decodeState<Delivery>(need(home, KEY.delivery(agreementId, packetId)))
  if (!d.receipt || !d.release || !d.second)
    throw new ProtocolError('OUT_OF_ORDER', 'the packet was not opened yet')
  const described = readRecord(packet, need(home, KEY.record(packetId)))
  if (!isStored(described)) throw new ProtocolError('RECORD_INVALID', described.reason)
  const records: Named[] = [
    { of: 'packet', id: described.id, bytes: described.bytes },
    { of: 'agreement', id: agreed.id, bytes: agreed.bytes },
    named('received', d.receipt),
    named('release', d.release),
    named('opened', d.second),
  ]
  return { agreed, sides, records, described: described.payload }
}

const named = (of: EntryPart['of'], bytes: Uint8Array): Named => ({ of, id: recordId(decodeSigned(bytes).p), bytes })

function grantOf(home: Reading, id: CID): Stored<Agreement> {
  const found = readRecord(agreement, need(home, KEY.record(id)))
  if (!isStored(found)) throw new ProtocolError('RECORD_INVALID', found.reason)
  return found
}

function sidesOf(home: Reading, agreed: Agreement): Sides {
  return agreed.assigner.equals(home.self.id)
    ? { own: 'provider', other: agreed.assignee.toString() }
    : { own: 'consumer', other: agreed.assigner.toString() }
}

function baseOf(home: Reading, agreed: Stored<Agreement>, sides: Sides, asOf: number): Evidence {
  const partner = home.partner(sides.other)
  if (!partner) throw new ProtocolError('NOT_FOUND', `${sides.other} is not a partner of this home`)
  const identities = sides.own === 'provider' ? [home.self, partner] : [partner, home.self]
  const { payload } = agreed
  return {
    claim: {
      type: 'consent',
      agreement: agreed.id,
      provider: payload.assigner,
      consumer: payload.assignee,
      asOf,
    },
    parts: {
      provider: identities[0]!.identityBytes,
      consumer: identities[1]!.identityBytes,
      asset: need(home, KEY.record(payload.asset)),
      offer: need(home, KEY.record(payload.offer)),
      agreement: agreed.bytes,
    },
    witnesses: [],
    entries: [],
  }
}

/** Adds both heads, the entries under them, and the identities of the witnesses that may have cosigned. */
function withProofs(
  evidence: Evidence,
  home: Reading,
  ledger: Ledger,
  sides: Sides,
  records: Named[],
  theirs: ProofReply | undefined,
): Evidence {
  const other = sides.own === 'provider' ? 'consumer' : 'provider'
  const own = newestHead(home.get)
  const parts = { ...evidence.parts }
  if (own) parts[`${sides.own}Head` satisfies PartName] = own.note
  if (theirs?.note) parts[`${other}Head` satisfies PartName] = utf8(theirs.note)
  const entries = [
    ...ownEntries(home, ledger, own?.size ?? 0, records.filter(each => isRequired(sides.own, each.of))),
    ...theirEntries(home, sides, records, theirs),
  ]
  const known = home.witnesses.flatMap(id => home.partner(id.toString())?.identityBytes ?? [])
  return { ...evidence, parts, entries, witnesses: distinct([...known, ...(theirs?.witnesses ?? [])]) }
}

function ownEntries(home: Reading, ledger: Ledger, size: number, records: Named[]): EntryPart[] {
  return records.flatMap(({ of, id }) => {
    const at = home.get(KEY.at(id))
    const index = at && readU64(at)!
    if (index === undefined || index >= size) return []
    const { entry, salt } = readEntryAt(home.get, index)!
    return [{ org: home.self.id, of, entry, salt, path: provePresence(ledger, home.get, index, size) }]
  })
}

function theirEntries(home: Reading, sides: Sides, records: Named[], theirs: ProofReply | undefined): EntryPart[] {
  const org = home.partner(sides.other)!.id
  return (theirs?.entries ?? []).flatMap(({ record, entry, salt, path }) => {
    const of = records.find(each => each.id.equals(record))?.of
    return of ? [{ org, of, entry, salt, path }] : []
  })
}

const isRequired = (side: 'provider' | 'consumer', of: EntryPart['of']): boolean =>
  REQUIRED.some(each => each.side === side && each.of === of)

function distinct(list: Uint8Array[]): Uint8Array[] {
  const ids = list.map(bytes => recordId(decodeSigned(bytes).p).toString())
  return list.filter((_, i) => ids.indexOf(ids[i]!) === i)
}

function need(home: Reading, key: string): Uint8Array {
  const found = home.get(key)
  if (!found) throw new ProtocolError('NOT_FOUND', `${key.split('/')[0]} is not in this home`)
  return found
}
