/** What the store holds, as the local API shows it. Reads only; ids may be given in full or by their last characters. */
import { fromHex, text, toHex } from '../crypto/bytes.ts'
import { type CID, cidFromDigest, parseCid } from '../crypto/cid.ts'
import { leafHash } from '../crypto/merkle.ts'
import { ED25519_NOTE, formatVerifierKey, parseNote } from '../crypto/note.ts'
import { decodeSigned, recordId } from '../crypto/statement.ts'
import { type Agreement, agreement, offer } from '../protocol/agreement.ts'
import { type Asset, asset, packet } from '../protocol/asset.ts'
import { readTotals } from '../protocol/command.ts'
import { inForce, unwitnessedBefore } from '../protocol/committee.ts'
import { type Env, ownChain } from '../protocol/context.ts'
import type { Delivery } from '../protocol/delivery.ts'
import { newestHead, readWatch } from '../protocol/heads.ts'
import { cosignatureOf, lastEnding } from '../protocol/identity-chain.ts'
import { isOfRecord, type KeptEntry, keptRecord, readEntries } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { type Entry, KIND, readEntry } from '../protocol/log.ts'
import { decodeState, type Partner } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { committeesTrusted } from '../protocol/own-trust.ts'
import type { SeatsTrusted } from '../protocol/ownership-trust.ts'
import { decodePartner } from '../protocol/pairing.ts'
import type { Constraint, Policy } from '../protocol/policy.ts'
import { isStored, type RecordType, readRecord, type Stored } from '../protocol/record.ts'
import { decodeForeign } from '../protocol/tlog.ts'
import type { Transfer } from '../protocol/transfer.ts'
import { committeeOf, positionWords, TRUST_SCHEMA, type TrustFile } from '../protocol/trust.ts'
import type { Submission } from '../protocol/witness.ts'
import type * as api from './schema.ts'
import type { Store } from './store.ts'

export class NotFound extends Error {
  override readonly name = 'NotFound'
  readonly code = 'NOT_FOUND'
}

/** Short forms are the last characters of an id behind a letter: `o-x7k2m4qa`. */
const SHORT = /^[a-z]-([a-z0-9]{4,})$/

export class Views {
  readonly #get: (key: string) => Uint8Array | undefined
  readonly #store: Store
  readonly #env: Env

  constructor(store: Store, env: Env) {
    this.#store = store
    this.#get = key => store.get(key)
    this.#env = env
  }

  // Records.

  record<P>(type: RecordType<P>, id: CID): Stored<P> | undefined {
    const stored = keptRecord(this.#env, id)
    const read = stored && readRecord(type, stored)
    return read && isStored(read) ? read : undefined
  }

  partner(org: string): Partner | undefined {
    const stored = this.#store.get(KEY.partner(org))
    return stored && decodePartner(stored)
  }

  nameOf(id: CID): { id: string; name: string } {
    const org = id.toString()
    return {
      id: org,
      name:
        org === this.#env.self.org ? this.#env.self.identity.name : (this.partner(org)?.name ?? 'unknown'),
    }
  }

  async partners(): Promise<Partner[]> {
    return (await this.#store.list(KEY.partners)).map(([, stored]) => decodePartner(stored))
  }

  /** A partner, or this home by its own name. */
  async findOrg(wanted: string): Promise<CID> {
    const { id, identity } = this.#env.self
    const isOwn = wanted === id.toString() || wanted.toLowerCase() === identity.name.toLowerCase()
    return isOwn ? id : (await this.findPartner(wanted)).id
  }

  /** A partner by id, or by name where only one has it. */
  async findPartner(wanted: string): Promise<Partner> {
    const partners = await this.partners()
    const found = partners.filter(
      each => each.org === wanted || each.name.toLowerCase() === wanted.toLowerCase(),
    )
    const near =
      found.length > 0
        ? found
        : partners.filter(each => each.name.toLowerCase().startsWith(wanted.toLowerCase()))
    if (near.length === 1) return near[0]!
    throw new NotFound(
      near.length === 0
        ? `no partner is called ${wanted}`
        : `${near.length} partners are called ${wanted}; use the id`,
    )
  }

  // Ids.

  /** The one key under these prefixes whose last part is or ends in what was asked for. */
  async #resolve(
    wanted: string,
    what: string,
    prefixes: string[],
    idOf: (key: string) => string,
  ): Promise<string> {
    const suffix = SHORT.exec(wanted)?.[1]
    const keys = (await Promise.all(prefixes.map(prefix => this.#store.list(prefix))))
      .flat()
      .map(([key]) => key)
    const found = new Set(
      keys
        .map(key => [key, idOf(key)] as const)
        .filter(([, id]) => id === wanted || (suffix && id.endsWith(suffix)))
        .map(([key]) => key),
    )
    const ids = new Map([...found].map(key => [idOf(key), key]))
    if (ids.size === 1) return [...ids.values()][0]!
    throw new NotFound(
      ids.size === 0
        ? `there is no ${what} ${wanted}`
        : `${ids.size} ${what}s end in ${wanted}; use the whole id`,
    )
  }

  async offerId(wanted: string): Promise<CID> {
    const key = await this.#resolve(wanted, 'offer', [KEY.ownOffers, KEY.seenOffers], lastCid)
    return parseCid(lastCid(key))
  }

  async assetId(wanted: string): Promise<CID> {
    return parseCid(lastCid(await this.#resolve(wanted, 'asset', [KEY.assets], lastCid)))
  }

  /** An agreement with its partner. */
  async grant(wanted: string): Promise<{ org: string; stored: Stored<Agreement> }> {
    const key = await this.#resolve(wanted, 'agreement', [KEY.grants], lastCid)
    const stored = readRecord(agreement, this.#store.get(key)!) as Stored<Agreement>
    return { org: key.split('/')[1]!, stored }
  }

  /** A committee of assets that all its seats have signed. */
  async juryId(wanted: string): Promise<CID> {
    return parseCid(lastCid(await this.#resolve(wanted, 'committee', [KEY.juries], lastCid)))
  }

  async orderId(wanted: string): Promise<CID> {
    return parseCid(lastCid(await this.#resolve(wanted, 'hand-over', [KEY.orders], lastCid)))
  }

  /** An asset whose ownership is known here. */
  async titleId(wanted: string): Promise<CID> {
    return parseCid(lastCid(await this.#resolve(wanted, 'registered asset', [KEY.titles], lastCid)))
  }

  negotiationKey(wanted: string): Promise<string> {
    return this.#resolve(wanted, 'request', [KEY.negotiations], last)
  }

  transferKey(wanted: string): Promise<string> {
    return this.#resolve(wanted, 'transfer', [KEY.transfers], last)
  }

  packetId(wanted: string, of: Delivery[]): CID {
    const suffix = SHORT.exec(wanted)?.[1]
    const found = of.filter(
      ({ packet: id }) => id.toString() === wanted || (suffix && id.toString().endsWith(suffix)),
    )
    if (found.length === 1) return found[0]!.packet
    throw new NotFound(`there is no packet ${wanted} under this agreement`)
  }

  // Views.

  async assets(): Promise<(typeof api.asset)['_output'][]> {
    const rows = await this.#store.list(KEY.assets)
    return rows.flatMap(([key, totals]) => {
      const stored = this.record(asset, parseCid(lastCid(key)))
      return stored?.payload.org.equals(this.#env.self.id) ? [assetView(stored, totals)] : []
    })
  }

  packetsOf(id: CID): Promise<[string, Uint8Array][]> {
    return this.#store.list(KEY.packetsOf(id))
  }

  packetView(id: CID): api.Packet {
    const { name, mediaType, size, root, packetSeq } = this.record(packet, id)!.payload
    return { id: id.toString(), name, mediaType, size, root: root.toString(), packetSeq }
  }

  async offers(own: boolean | undefined): Promise<api.Offer[]> {
    const mine =
      own === false ? [] : (await this.#store.list(KEY.ownOffers)).map(([key]) => parseCid(lastCid(key)))
    const seen =
      own === true ? [] : (await this.#store.list(KEY.seenOffers)).map(([key]) => parseCid(lastCid(key)))
    return [...mine, ...seen].flatMap(id => this.offerView(id) ?? [])
  }

  offerView(id: CID): api.Offer | undefined {
    const stored = this.record(offer, id)
    const described = stored && this.record(asset, stored.payload.asset)
    const totals = stored && this.#store.get(KEY.assetTotals(stored.payload.asset))
    if (!stored || !described || !totals) return undefined
    const { payload } = stored
    return {
      id: id.toString(),
      asset: payload.asset.toString(),
      title: described.payload.title,
      level: described.payload.classification.level,
      provider: this.nameOf(payload.org),
      own: payload.org.equals(this.#env.self.id),
      terms: this.#terms(payload.policy),
      ...readTotals(totals),
      untilMs: payload.until,
      approval: payload.approval,
      audience: payload.audience.map(String),
    }
  }

  #terms(policy: Policy): string[] {
    return policyWords(policy, org => this.#nameOfText(org))
  }

  #nameOfText(org: string): string {
    return org === this.#env.self.org ? this.#env.self.identity.name : (this.partner(org)?.name ?? org)
  }

  async requests(): Promise<api.Request[]> {
    const rows = await this.#store.list(KEY.negotiations)
    return rows.map(([key]) => this.requestView(key)).sort((a, b) => b.askedMs - a.askedMs)
  }

  requestView(key: string): api.Request {
    const n = decodeState<Negotiation>(this.#store.get(key)!)
    const stored = this.record(offer, n.offer)
    const described = stored && this.record(asset, stored.payload.asset)
    return {
      id: toHex(n.id),
      role: n.role,
      state: n.state,
      waitsFor: waitsFor(n),
      partner: this.nameOf(parseCid(n.org)),
      offer: n.offer.toString(),
      title: described?.payload.title ?? '',
      action: n.action,
      purpose: n.purpose,
      askedMs: n.askedMs,
      ...(n.agreementId ? { agreement: n.agreementId.toString() } : {}),
      ...(n.refusal ? { refusal: n.refusal } : {}),
      history: n.history,
    }
  }

  transferView(key: string, receivedBytes: number): api.Transfer {
    const t = decodeState<Transfer>(this.#store.get(key)!)
    const { state, done, open, failed, bytes } = t
    return {
      id: toHex(t.id),
      state,
      partner: this.nameOf(parseCid(t.org)),
      agreement: t.agreement.toString(),
      done,
      open,
      failed,
      bytes,
      receivedBytes,
      ...(t.refusal ? { refusal: t.refusal } : {}),
    }
  }

  async deliveries(
    of: CID,
    after?: string,
    limit = 500,
  ): Promise<{ items: [string, Delivery][]; more: boolean }> {
    const prefix = KEY.deliveriesOf(of)
    const rows = await this.#store.list(prefix, {
      limit: limit + 1,
      ...(after ? { after: prefix + after } : {}),
    })
    const items = rows
      .slice(0, limit)
      .map(([key, stored]) => [last(key), decodeState<Delivery>(stored)] as [string, Delivery])
    return { items, more: rows.length > limit }
  }

  delivery(agreementId: CID, packetId: CID): Delivery {
    const stored = this.#store.get(KEY.delivery(agreementId, packetId))
    if (!stored) throw new NotFound('this packet was not delivered under this agreement')
    return decodeState<Delivery>(stored)
  }

  deliveryView(d: Delivery): api.Delivery {
    const receipts = [d.receipt, d.release, d.second].flatMap(bytes => (bytes ? [decodeSigned(bytes).p] : []))
    return {
      agreement: d.agreement.toString(),
      packet: this.packetView(d.packet),
      role: d.role,
      state: d.state,
      partner: this.nameOf(parseCid(d.org)),
      receipts: receipts.map(p => ({ type: p.t, id: recordId(p).toString(), atMs: p.made as number })),
      ...(d.refusal ? { refusal: d.refusal } : {}),
    }
  }

  async historyOf(agreementId: CID): Promise<Negotiation['history']> {
    const rows = await this.#store.list(KEY.negotiations)
    return (
      rows.map(([, stored]) => decodeState<Negotiation>(stored)).find(n => n.agreementId?.equals(agreementId))
        ?.history ?? []
    )
  }

  async consents(wallMs: number): Promise<api.Consent[]> {
    const rows = await this.#store.list(KEY.grants)
    const negotiations = (await this.#store.list(KEY.negotiations)).map(([, stored]) =>
      decodeState<Negotiation>(stored),
    )
    return rows.map(([key, stored]) => {
      const { id, payload } = readRecord(agreement, stored) as Stored<Agreement>
      const history = negotiations.find(n => n.agreementId?.equals(id))?.history ?? []
      return {
        agreement: id.toString(),
        role: payload.assigner.equals(this.#env.self.id) ? 'provider' : 'consumer',
        partner: this.nameOf(parseCid(key.split('/')[1]!)),
        state: wallMs < payload.until ? 'given' : 'ended',
        offer: payload.offer.toString(),
        asset: payload.asset.toString(),
        title: this.record(asset, payload.asset)?.payload.title ?? '',
        action: payload.action,
        purpose: payload.purpose,
        fromMs: payload.from,
        untilMs: payload.until,
        terms: this.#terms(payload.policy),
        history,
      }
    })
  }

  // Log.

  /** What the newest head is worth, in the words of RULES D3, by its own witnesses. */
  position(): { words: string; final: boolean; headSize: number } {
    const head = newestHead(this.#get)
    if (!head) return { words: 'no head yet', final: false, headSize: 0 }
    const current = inForce(this.#get)?.payload
    const members = current?.seats ?? this.#env.witnesses()
    const note = parseNote(text(head.note))
    const names = members.flatMap(id => {
      const partner = this.partner(id.toString())
      return partner && cosignatureOf(partner.chain, note) ? [partner.name] : []
    })
    return { ...positionWords(current ?? committeeOf(members.length), names), headSize: head.size }
  }

  log(size: number, after: number, limit: number): api.LogEntry[] {
    const { words, headSize } = this.position()
    const before = unwitnessedBefore(this.#get)
    const positionOf = (index: number) =>
      index >= headSize ? 'recorded' : index < before ? `unwitnessed before size ${before}` : words
    const entries: api.LogEntry[] = []
    for (const kept of readEntries(this.#get, after, Math.min(size, after + limit))) {
      const { entry, of } = kept
      const read = readEntry(entry) as Entry
      entries.push({
        index: read.n,
        kind: kindOf(read, kept),
        timeMs: read.t,
        leaf: toHex(leafHash(entry)),
        position: positionOf(read.n),
        ...this.#committed(of),
      })
    }
    return entries
  }

  #committed(of: Uint8Array): Pick<api.LogEntry, 'record'> {
    const id = cidFromDigest(of, 'dag-cbor')
    const stored = keptRecord(this.#env, id)
    return stored ? { record: { type: decodeSigned(stored).p.t, id: id.toString() } } : {}
  }

  /** Partners that were asked to prove a head that others saw, and have not since before this time. */
  async openQuestions(beforeMs: number): Promise<{ org: string; size: number }[]> {
    return (await this.partners()).flatMap(({ org }) => {
      const rumour = readWatch(this.#get(KEY.watch(org)))?.rumour
      return rumour && rumour.atMs < beforeMs ? [{ org, size: rumour.size }] : []
    })
  }

  /** Logs of other kinds that an operator entered. */
  async foreignLogs(): Promise<api.Witnessing['logs']> {
    const rows = await this.#store.list(KEY.foreigns)
    return rows.map(([, value]) => {
      const { origin, keys, size } = decodeForeign(value)
      const named = keys.map(({ name, key }) =>
        formatVerifierKey({ name, type: ED25519_NOTE, publicKey: key }),
      )
      return { origin, keys: named, size }
    })
  }

  witnesses(): api.Status['witnesses'] {
    return this.#env.witnesses().map(id => {
      const stored = this.#store.get(KEY.witness(id.toString()))
      const submission = stored && decodeState<Submission>(stored)
      const problem = this.partner(id.toString())
        ? (submission?.stuck ?? submission?.waits)
        : 'not a partner of this home yet'
      return { ...this.nameOf(id), cosignedSize: submission?.size ?? 0, ...(problem ? { problem } : {}) }
    })
  }

  seenSize(org: string): number {
    return readWatch(this.#store.get(KEY.watch(org)))?.size ?? 0
  }

  /** The home's own trust: itself and its partners, and the committees of their logs. */
  async trust(seats: SeatsTrusted): Promise<TrustFile> {
    const { get } = this.#env
    const self = { ...this.#env.self, chain: ownChain(this.#env) }
    const home = { self, get, witnesses: this.#env.witnesses() }
    const partners = await this.partners()
    const known = [self, ...partners].flatMap(({ org, chain }) => {
      const last = lastEnding(chain)
      return last ? [{ id: org, ...last }] : []
    })
    return {
      schema: TRUST_SCHEMA,
      identities: [
        { id: self.org, name: self.identity.name },
        ...partners.map(({ org, name }) => ({ id: org, name })),
      ],
      committees: committeesTrusted(home, partners),
      ...seats,
      ...(known.length > 0 ? { known } : {}),
    }
  }
}

const last = (key: string): string => key.slice(key.lastIndexOf('/') + 1)
/** Keys end in the hex digest of an id. */
const lastCid = (key: string): string => cidFromDigest(fromHex(last(key))!, 'dag-cbor').toString()

function waitsFor(n: Negotiation): api.Request['waitsFor'] {
  if (n.state === 'FINALIZED' || n.state === 'TERMINATED') return 'nobody'
  if (n.state !== 'REQUESTED') return 'their node'
  return n.role === 'provider' ? 'you' : n.pending ? 'their person' : 'their node'
}

function assetView({ id, payload }: Stored<Asset>, totals: Uint8Array): (typeof api.asset)['_output'] {
  const { title, classification, made } = payload
  return { id: id.toString(), title, ...classification, ...readTotals(totals), madeMs: made }
}

/** A policy in words, one clause each; organisations by name, times as dates. */
function policyWords(policy: Policy, nameOf: (org: string) => string): string[] {
  const may = policy.permissions.map(({ action, constraints }) =>
    [`may ${action}`, ...constraints.map(each => words(each, nameOf))].join(' '),
  )
  return [...may, ...policy.prohibitions.map(({ action }) => `must not ${action}`)]
}

function words({ left, op, right }: Constraint, nameOf: (org: string) => string): string {
  const values = (Array.isArray(right) ? right : [right]).map(each => show(left, each, nameOf)).join(' or ')
  const isPlain = op === 'eq' || op === 'isAnyOf'
  if (left === 'purpose' && isPlain) return `for ${values}`
  if (left === 'recipient' && isPlain) return `if it is ${values}`
  if (left === 'dateTime' && (op === 'lt' || op === 'lteq')) return `until ${values}`
  return `where ${left} ${op} ${values}`
}

function show(left: string, value: string | number, nameOf: (org: string) => string): string {
  if (left === 'recipient') return nameOf(String(value))
  return left === 'dateTime' && typeof value === 'number' && value <= 8.64e15
    ? new Date(value).toISOString().slice(0, 10)
    : String(value)
}

/** Entries of kind 0 that commit to nothing that is here make sizes round. */
function kindOf({ k }: Entry, kept: KeptEntry): string {
  if (k === KIND.genesis) return 'genesis'
  if (k === KIND.state) return 'state'
  return isOfRecord(kept) ? 'record' : 'padding'
}
