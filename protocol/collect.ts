/**
 * Collecting evidence at either party of an agreement: what its own store holds, and what the other side proved of its log
 * (`proof/reply`). Nothing is checked here; verify.ts does that, with a trust file.
 */
import { toHex, utf8 } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { sha256 } from '../crypto/hash.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { type Agreement, agreement } from './agreement.ts'
import { packet } from './asset.ts'
import type { Delivery } from './delivery.ts'
import { proveRecord, proveStates } from './entry-proofs.ts'
import { ProtocolError } from './error.ts'
import type { ProofReply } from './event.ts'
import type { EntryPart, Evidence, PartName, StaplePart } from './evidence.ts'
import { bestHead } from './heads.ts'
import { type Chain, eventsOf } from './identity-chain.ts'
import { indexOf, keptRecord, placeIn, redactedOf } from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, lastState, logAt, logWith, provePresence } from './ledger.ts'
import { ZERO_HASH } from './log.ts'
import { type Context, decodeState } from './machine.ts'
import type { Negotiation } from './negotiation-state.ts'
import { encodeOwnership } from './ownership-evidence.ts'
import { formatProof, makeExtra } from './proof.ts'
import { opened } from './receipt.ts'
import { isStored, type RecordType, readRecord, type Stored } from './record.ts'
import { redaction } from './redaction.ts'
import { cosignersOf, endsSoon, renewal } from './renewal.ts'
import { committeesOf, everSeated, shownCommittees } from './shown-committees.ts'
import type { Staple } from './staple.ts'
import { linksOf, shownLinks } from './title.ts'

/** What collecting looks at: the home's store and identity, and its partners; a part of the context of a step. */
export type Reading = Pick<Context, 'self' | 'get' | 'slots' | 'partner' | 'witnesses'>

/** Parts that an entry can commit to. */
type Logged = Exclude<EntryPart['of'], 'state'>
type Parts = Evidence['parts']

/** Records of a part and their ids: what is in hand, and what to ask the other side to prove. */
interface Subject {
  provider: CID
  consumer: CID
  /** The consumer's nonce: the negotiation that led to the agreement. */
  negotiation: Uint8Array
  parts: Parts
  /** Ids of the records among the parts that a log commits to. */
  ids: Partial<Record<Logged, CID>>
  /** Words by which records of the subject were redacted here. */
  redacted: CID[]
}

/**
 * Evidence of the delivery of one packet under an agreement. `theirs` is what the other side proved, if it was asked;
 * `salt` that of the content's digest, if it is given away. Throws NOT_FOUND when there is no such delivery here,
 * OUT_OF_ORDER before it was opened, or when it was rejected.
 */
export function collectDelivery(
  home: Reading,
  ledger: Ledger,
  about: { agreement: CID; packet: CID },
  given: { theirs?: ProofReply; salt?: Uint8Array; asOfMs: number },
): Evidence {
  const subject = deliveryOf(home, about)
  if (given.salt) subject.parts.salt = given.salt
  const { provider, consumer } = subject
  const claim = { type: 'delivery', ...about, provider, consumer, asOf: given.asOfMs } as const
  return { claim, ...gather(home, ledger, subject, given) }
}

/**
 * Evidence of a consent: the agreement with both signatures, the offer and asset it rests on, and the entries that commit
 * to it. `history` is told, not proven. Throws NOT_FOUND when no such agreement is complete here.
 */
export function collectConsent(
  home: Reading,
  ledger: Ledger,
  about: { agreement: CID },
  given: { theirs?: ProofReply; asOfMs: number; history?: { state: string; at: number }[] },
): Evidence {
  const subject = consentOf(home, about.agreement)
  const { provider, consumer } = subject
  const claim = {
    type: 'consent',
    agreement: about.agreement,
    provider,
    consumer,
    asOf: given.asOfMs,
  } as const
  const history = given.history ? { history: given.history } : {}
  return { claim, ...gather(home, ledger, subject, given), ...history }
}

/** Ids to name in the request for the other side's proofs (command `proofs`): whose entries `collect…` would use. */
export function recordsOf(home: Reading, about: { agreement: CID; packet?: CID }): CID[] {
  const { agreement: id, packet: packetId } = about
  const { ids, consumer } = packetId
    ? deliveryOf(home, { agreement: id, packet: packetId })
    : consentOf(home, id)
  const { offer: _offer, packet: _packet, ...ofBoth } = ids
  // Offer and packet stand in the provider's log only.
  return Object.values(consumer.equals(home.self.id) ? ids : ofBoth)
}

/**
 * Proofs of single records, those of one log under one head; of those in `shown` with body and salt. Throws NOT_FOUND for a
 * record that is not logged here, or whose body is not here to be shown.
 */
export function collectProofs(home: Reading, ledger: Ledger, records: CID[], shown: CID[]): Uint8Array[] {
  const places = records.map(record => {
    const place = placeIn(home.get, record)
    if (!place) throw new ProtocolError('NOT_FOUND', `no entry commits to ${record} here`)
    return { record, ...place }
  })
  const made = new Map<CID, Uint8Array>()
  for (const number of new Set(places.map(({ log }) => log))) {
    const inLog = places.filter(({ log }) => log === number)
    const of = logAt(number, ledger, home)
    for (const [i, proof] of proofsIn(of.context, of.ledger, inLog, shown).entries())
      made.set(inLog[i]!.record, proof)
  }
  return records.map(record => made.get(record)!)
}

function proofsIn(
  home: Reading,
  ledger: Ledger,
  found: { record: CID; index: number }[],
  shown: CID[],
): Uint8Array[] {
  const head = bestHead(home, Math.max(0, ...found.map(each => each.index + 1)))
  if (!head) throw new ProtocolError('HEAD_BEHIND', 'no head covers these records yet')
  const { chain } = home.self
  const identified = (each: Chain) => ({ identity: each.genesis.bytes, events: eventsOf(each) })
  const witnesses = everSeated(home)
    .flatMap(id => home.partner(id)?.chain ?? [])
    .map(identified)
  const last = lastState(home.get, head.size)
  const state = last && { entry: last, path: provePresence(ledger, home.get, head.size - 1, head.size) }
  const committees = committeesOf(home, ledger)
  const position = { ...(state ? { state } : {}), ...(committees.length > 0 ? { committees } : {}) }
  return found.map(({ record, index }) => {
    const { entry, salt, path } = proveRecord({ record, index }, head.size, ledger, home)
    const isShown = shown.some(each => each.equals(record))
    const body = isShown ? keptRecord(home, record) : undefined
    if (isShown && !body) throw new ProtocolError('NOT_FOUND', `the body of ${record} is not here any more`)
    const about = { owner: identified(chain), witnesses, entry, ...position, ...(body ? { body, salt } : {}) }
    return formatProof({ extra: makeExtra(about), index, path: path!, note: head.note })
  })
}

function consentOf(home: Reading, agreementId: CID): Subject {
  const agreed = stored(agreement, agreementId, home)
  if (agreed?.signatures.length !== 2)
    throw new ProtocolError('NOT_FOUND', `there is no agreement ${agreementId} with both signatures here`)
  const { assigner: provider, assignee: consumer, offer, asset, assigneeNonce: negotiation } = agreed.payload
  const parts: Parts = { agreement: agreed.bytes }
  put(parts, 'offer', keptRecord(home, offer))
  put(parts, 'asset', assetOf(agreed.payload, home))
  if (agreed.payload.order) put(parts, 'title', titleFor(agreed.payload, home))
  put(parts, 'provider', identityOf(provider.toString(), home))
  put(parts, 'consumer', identityOf(consumer.toString(), home))
  const redacted = wordsFor([offer, asset], home)
  return { provider, consumer, negotiation, parts, ids: { offer, agreement: agreementId }, redacted }
}

/** Of a registered asset the record as its seats saw it: a catalog may show it signed by nobody. */
function assetOf({ asset, order }: Agreement, home: Reading): Uint8Array | undefined {
  const kept = keptRecord(home, asset)
  const [registered] = kept && order ? linksOf(home.get, asset, 0, 1) : []
  return registered?.asset ?? kept
}

/** The steps of the asset up to the version that its seats called the last, with their words. */
function titleFor(
  { asset, assigner, assignee, assigneeNonce, ownerVersion }: Agreement,
  home: Reading,
): Uint8Array | undefined {
  const other = assigner.equals(home.self.id) ? assignee : assigner
  const stored = home.get(KEY.negotiation(other.toString(), assigneeNonce))
  const n = stored && decodeState<Negotiation>(stored)
  const { version, words } = n?.fresh ?? { version: ownerVersion, words: [] }
  const { links, identities } = shownLinks(home, asset, 0, version + 1)
  const asOf = n?.history.at(-1)?.at ?? 0
  return links.length > 0 ? encodeOwnership({ asset, links, identities, fresh: words, asOf }) : undefined
}

function deliveryOf(home: Reading, about: { agreement: CID; packet: CID }): Subject {
  const { provider, consumer, negotiation, parts, ids, redacted } = consentOf(home, about.agreement)
  redacted.push(...wordsFor([about.packet], home))
  const kept = home.get(KEY.delivery(about.agreement, about.packet))
  const described = stored(packet, about.packet, home)
  if (!kept || (!described && !redactedOf(home.get, about.packet)))
    throw new ProtocolError('NOT_FOUND', `packet ${about.packet} was not delivered under this agreement here`)
  const { receipt, release, second } = decodeState<Delivery>(kept)
  put(parts, 'packet', described?.bytes)
  put(parts, 'root', described && home.get(KEY.root(described.payload.root)))
  put(parts, 'received', receipt)
  put(parts, 'release', release)
  if (!second || !isStored(readRecord(opened, second)))
    throw new ProtocolError('OUT_OF_ORDER', `the packet was ${second ? 'rejected' : 'not opened yet'}`)
  parts.opened = second
  const receipts = (['received', 'release', 'opened'] as const).flatMap(name =>
    parts[name] ? [[name, recordId(decodeSigned(parts[name]).p)] as const] : [],
  )
  return {
    provider,
    consumer,
    negotiation,
    parts,
    ids: { ...ids, packet: about.packet, ...Object.fromEntries(receipts) },
    redacted,
  }
}

/** Heads, entries and witnesses of both logs beside the parts. */
function gather(
  home: Reading,
  ledger: Ledger,
  { provider, consumer, negotiation, parts, ids, redacted }: Subject,
  { theirs, asOfMs }: { theirs?: ProofReply; asOfMs: number },
): Omit<Evidence, 'claim'> {
  const own = home.self.id.equals(provider) ? 'provider' : 'consumer'
  const other = own === 'provider' ? 'consumer' : 'provider'
  const [ownId, otherId] = own === 'provider' ? [provider, consumer] : [consumer, provider]
  const mine = proveOwn(home, ledger, [...Object.values(ids), ...redacted], asOfMs)
  const all = { ...parts }
  put(all, `${own}Head`, mine.note)
  put(all, `${other}Head`, theirs?.note === undefined ? undefined : utf8(theirs.note))
  const entries = [
    ...mine.entries.map(each => entryPart(ownId, each, ids, redacted)),
    ...mine.states.map(each => statePart(ownId, each)),
    ...(theirs?.entries ?? []).map(each => entryPart(otherId, each, ids, idsOf(theirs?.redactions ?? []))),
    ...(theirs?.states ?? []).map(each => statePart(otherId, each)),
  ].flatMap(each => each ?? [])
  const witnesses = new Map<string, Uint8Array>()
  const seated = everSeated(home)
  const ownWitnesses = seated.flatMap(id => identityOf(id, home) ?? [])
  for (const bytes of [...ownWitnesses, ...(theirs?.witnesses ?? [])])
    witnesses.set(toHex(sha256(bytes)), bytes)
  for (const party of [all.provider, all.consumer]) if (party) witnesses.delete(toHex(sha256(party)))
  const chains = [
    home.self.chain,
    ...[otherId.toString(), ...seated].flatMap(id => home.partner(id)?.chain ?? []),
  ]
  const events = new Map<string, Uint8Array>()
  for (const each of [...chains.flatMap(eventsOf), ...(theirs?.events ?? [])])
    events.set(toHex(sha256(each)), each)
  const { own: mineThen, theirs: theirsThen } = staplesOf(home, negotiation, otherId)
  const staple = (org: CID, { committees: _, ...part }: Staple): StaplePart => ({ org, ...part })
  const committees = [
    ...shownCommittees(ledger, home).map(each => ({ org: ownId, ...each })),
    // Until it has proven anything, what it handed over when it signed is all there is.
    ...(theirs?.committees ?? theirsThen?.committees ?? []).map(each => ({ org: otherId, ...each })),
  ]
  const words = [...redacted.flatMap(id => keptRecord(home, id) ?? []), ...(theirs?.redactions ?? [])]
  return {
    parts: all,
    witnesses: [...witnesses.values()],
    events: [...events.values()],
    entries,
    staples: [
      ...(mineThen ? [staple(ownId, mineThen)] : []),
      ...(theirsThen ? [staple(otherId, theirsThen)] : []),
    ],
    renewals: [
      ...(mine.renewal ? [{ org: ownId, ...mine.renewal }] : []),
      ...(theirs?.renewal ? [{ org: otherId, ...theirs.renewal }] : []),
    ],
    ...(committees.length > 0 ? { committees } : {}),
    ...(words.length > 0 ? { redactions: words } : {}),
  }
}

/** The own entries that commit to these records, under the head that is worth most as far as one covers them. */
function proveOwn(here: Reading, active: Ledger, ids: CID[], asOfMs: number) {
  const { ledger, context: home } = logWith(ids, active, here)
  const found = ids.flatMap(record => {
    const index = indexOf(home.get, record)
    return index === undefined ? [] : [{ record, index }]
  })
  const covered = bestHead(home, Math.max(0, ...found.map(each => each.index + 1)))
  const head = covered ?? bestHead(home, 0)
  const size = head?.size ?? 0
  const indexes = found.map(each => each.index).filter(index => index < size)
  return {
    note: head?.note,
    entries: found.map(each => proveRecord(each, size, ledger, home)),
    states: proveStates(indexes, size, ledger, home.get),
    renewal:
      head && endsSoon(head.note, cosignersOf(home), asOfMs)
        ? renewal(size, ledger, home, asOfMs)
        : undefined,
  }
}

function entryPart(
  org: CID,
  { record, entry, salt, path }: ProofReply['entries'][number],
  ids: Subject['ids'],
  redacted: CID[],
): EntryPart | undefined {
  const proof = { org, entry, ...(path ? { path } : {}), ...(salt ? { salt } : {}) }
  if (redacted.some(id => id.equals(record))) return { ...proof, of: 'redaction', redaction: record }
  const [of] = Object.entries(ids).find(([, id]) => id.equals(record)) ?? []
  return of === undefined ? undefined : { ...proof, of: of as Logged }
}

/** Ids of the words by which these records were redacted here. */
const wordsFor = (ids: CID[], home: Reading): CID[] =>
  ids.flatMap(id => redactedOf(home.get, id)?.redaction ?? [])

/** Ids of signed records; what cannot be read has none, and the verifier says so. */
const idsOf = (records: Uint8Array[]): CID[] =>
  records.flatMap(bytes => {
    const read = readRecord(redaction, bytes)
    return isStored(read) ? read.id : []
  })
const statePart = (org: CID, { entry, path }: ProofReply['states'][number]): EntryPart => ({
  org,
  of: 'state',
  entry,
  salt: ZERO_HASH,
  path,
})

/** What the two sides handed over when they signed the agreement. */
function staplesOf(home: Reading, id: Uint8Array, other: CID): NonNullable<Negotiation['staples']> {
  const stored = home.get(KEY.negotiation(other.toString(), id))
  return (stored && decodeState<Negotiation>(stored).staples) ?? {}
}

function identityOf(id: string, home: Reading): Uint8Array | undefined {
  return id === home.self.org ? home.self.identityBytes : home.partner(id)?.identityBytes
}

function stored<P>(type: RecordType<P>, id: CID, home: Reading): Stored<P> | undefined {
  const found = keptRecord(home, id)
  const read = found && readRecord(type, found)
  return read && isStored(read) ? read : undefined
}

function put(parts: Parts, name: PartName, bytes: Uint8Array | undefined): void {
  if (bytes) parts[name] = bytes
}
