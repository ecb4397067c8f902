/**
 * Collecting evidence at either party of an agreement: what its own store holds, and what the other side proved of its log
 * (`proof/reply`). Nothing is checked here; verify.ts does that, with a trust file.
 */
import { readU64, toHex, utf8 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { sha256 } from '../crypto/hash.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { agreement } from './agreement.ts'
import { packet } from './asset.ts'
import type { Delivery } from './delivery.ts'
import { ProtocolError } from './error.ts'
import type { ProofReply } from './event.ts'
import type { EntryPart, Evidence, PartName } from './evidence.ts'
import { bestHead, proveRecord } from './heads.ts'
import { KEY } from './layout.ts'
import type { Ledger } from './ledger.ts'
import { type Context, decodeState } from './machine.ts'
import { opened } from './receipt.ts'
import { isStored, type RecordType, readRecord, type Stored } from './record.ts'

/** What collecting looks at: a part of the context of a step. */
export type CollectContext = Pick<Context, 'self' | 'get' | 'partner' | 'witnesses'>

/** Parts that an entry can commit to. */
type Logged = EntryPart['of']
type Parts = Evidence['parts']

/** Records of a part and their ids: what is in hand, and what to ask the other side to prove. */
interface Subject {
  provider: CID
  consumer: CID
  parts: Parts
  /** Ids of the records among the parts that a log commits to. */
  ids: Partial<Record<Logged, CID>>
}

/**
 * Evidence of the delivery of one packet under an agreement. `theirs` is what the other side proved, if it was asked;
 * `salt` that of the content's digest, if it is given away. Throws NOT_FOUND when there is no such delivery here.
 */
export function collectDelivery(
  context: CollectContext,
  ledger: Ledger,
  about: { agreement: CID; packet: CID },
  given: { theirs?: ProofReply; salt?: Uint8Array; asOfMs: number },
): Evidence {
  const subject = deliveryOf(context, about)
  if (given.salt) subject.parts.salt = given.salt
  const { provider, consumer } = subject
  const claim = { type: 'delivery', ...about, provider, consumer, asOf: given.asOfMs } as const
  return { claim, ...gather(context, ledger, subject, given.theirs) }
}

/**
 * Evidence of a consent: the agreement with both signatures, the offer and asset it rests on, and the entries that commit
 * to it. `history` is told, not proven. Throws NOT_FOUND when no such agreement is complete here.
 */
export function collectConsent(
  context: CollectContext,
  ledger: Ledger,
  about: { agreement: CID },
  given: { theirs?: ProofReply; asOfMs: number; history?: { state: string; at: number }[] },
): Evidence {
  const subject = consentOf(context, about.agreement)
  const { provider, consumer } = subject
  const claim = {
    type: 'consent',
    agreement: about.agreement,
    provider,
    consumer,
    asOf: given.asOfMs,
  } as const
  const history = given.history ? { history: given.history } : {}
  return { claim, ...gather(context, ledger, subject, given.theirs), ...history }
}

/** Ids to name in the request for the other side's proofs (command `proofs`): whose entries `collect…` would use. */
export function recordsOf(context: CollectContext, about: { agreement: CID; packet?: CID }): CID[] {
  const { agreement: id, packet: packetId } = about
  const { ids } = packetId ? deliveryOf(context, { agreement: id, packet: packetId }) : consentOf(context, id)
  return Object.values(ids)
}

function consentOf(context: CollectContext, agreementId: CID): Subject {
  const agreed = stored(agreement, agreementId, context)
  if (agreed?.signatures.length !== 2)
    throw new ProtocolError('NOT_FOUND', `there is no agreement ${agreementId} with both signatures here`)
  const { assigner: provider, assignee: consumer, offer, asset } = agreed.payload
  const parts: Parts = { agreement: agreed.bytes }
  put(parts, 'offer', context.get(KEY.record(offer)))
  put(parts, 'asset', context.get(KEY.record(asset)))
  put(parts, 'provider', identityOf(provider, context))
  put(parts, 'consumer', identityOf(consumer, context))
  return { provider, consumer, parts, ids: { offer, agreement: agreementId } }
}

function deliveryOf(context: CollectContext, about: { agreement: CID; packet: CID }): Subject {
  const { provider, consumer, parts, ids } = consentOf(context, about.agreement)
  const kept = context.get(KEY.delivery(about.agreement, about.packet))
  const described = stored(packet, about.packet, context)
  if (!kept || !described)
    throw new ProtocolError('NOT_FOUND', `packet ${about.packet} was not delivered under this agreement here`)
  const { receipt, release, second } = decodeState<Delivery>(kept)
  parts.packet = described.bytes
  put(parts, 'root', context.get(KEY.root(described.payload.root)))
  put(parts, 'received', receipt)
  put(parts, 'release', release)
  // A rejection is no delivery: it stays out, and the evidence is then inconclusive.
  if (second && isStored(readRecord(opened, second))) parts.opened = second
  const receipts = (['received', 'release', 'opened'] as const).flatMap(name =>
    parts[name] ? [[name, recordId(decodeSigned(parts[name]).p)] as const] : [],
  )
  return { provider, consumer, parts, ids: { ...ids, packet: about.packet, ...Object.fromEntries(receipts) } }
}

/** Heads, entries and witnesses of both logs beside the parts. */
function gather(
  context: CollectContext,
  ledger: Ledger,
  { provider, parts, ids, consumer }: Subject,
  theirs: ProofReply | undefined,
): Omit<Evidence, 'claim'> {
  const own = context.self.id.equals(provider) ? 'provider' : 'consumer'
  const other = own === 'provider' ? 'consumer' : 'provider'
  const [ownId, otherId] = own === 'provider' ? [provider, consumer] : [consumer, provider]
  const mine = proveOwn(context, ledger, ids)
  const all = { ...parts }
  put(all, `${own}Head`, mine?.note)
  put(all, `${other}Head`, theirs?.note === undefined ? undefined : utf8(theirs.note))
  const entries = [
    ...(mine?.entries ?? []).map(each => entryPart(ownId, each, ids)),
    ...(theirs?.note === undefined ? [] : theirs.entries.map(each => entryPart(otherId, each, ids))),
  ].flatMap(each => each ?? [])
  const witnesses = new Map<string, Uint8Array>()
  const ownWitnesses = context.witnesses.flatMap(id => identityOf(id, context) ?? [])
  for (const bytes of [...ownWitnesses, ...(theirs?.witnesses ?? [])])
    witnesses.set(toHex(sha256(bytes)), bytes)
  for (const party of [all.provider, all.consumer]) if (party) witnesses.delete(toHex(sha256(party)))
  return { parts: all, entries, witnesses: [...witnesses.values()] }
}

/** The own entries that commit to these records, under the head that is worth most. */
function proveOwn(context: CollectContext, ledger: Ledger, ids: Subject['ids']) {
  const found = Object.values(ids).flatMap(record => {
    const at = context.get(KEY.at(record))
    return at ? [{ record, index: readU64(at)! }] : []
  })
  const covered = bestHead(context, Math.max(0, ...found.map(each => each.index + 1)))
  const head = covered ?? bestHead(context, 0)
  if (!head) return undefined
  const under = found.filter(each => each.index < head.size)
  return { note: head.note, entries: under.map(each => proveRecord(each, head.size, ledger, context.get)) }
}

function entryPart(
  org: CID,
  { record, entry, salt, path }: ProofReply['entries'][number],
  ids: Subject['ids'],
): EntryPart | undefined {
  const [of] = Object.entries(ids).find(([, id]) => id.equals(record)) ?? []
  return of === undefined ? undefined : { org, of: of as Logged, entry, salt, path }
}

function identityOf(id: CID, context: CollectContext): Uint8Array | undefined {
  return id.equals(context.self.id)
    ? context.self.identityBytes
    : context.partner(id.toString())?.identityBytes
}

function stored<P>(type: RecordType<P>, id: CID, context: CollectContext): Stored<P> | undefined {
  const found = context.get(KEY.record(id))
  const read = found && readRecord(type, found)
  return read && isStored(read) ? read : undefined
}

function put(parts: Parts, name: PartName, bytes: Uint8Array | undefined): void {
  if (bytes) parts[name] = bytes
}
