/** What an operator asks of the own node: each command is checked, becomes records and machines, and gets an answer. */
import { text as decodeText, readU64, toHex, utf8 } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import type { Payload } from '../crypto/statement.ts'
import { type Offer, offer } from './agreement.ts'
import { type Asset, asset, type Packet, packet } from './asset.ts'
import * as catalog from './catalog.ts'
import { decideOffer } from './decision.ts'
import { type AskingInput, type Outcome, type Redact, redact } from './erasure.ts'
import { ProtocolError } from './error.ts'
import { found } from './fork.ts'
import type { Chain } from './identity-chain.ts'
import { identityForkFound, isOfIdentity } from './identity-fork.ts'
import * as introduction from './introduction.ts'
import { keepSeen, keptRecord, readTail } from './kept.ts'
import { KEY } from './layout.ts'
import {
  AGREEMENT_ROOM_BYTES,
  CLOCK_SKEW_MS,
  MAX_PROOFS,
  MAX_RECORD_BYTES,
  MAX_STALE_MS,
  MAX_WORD_LENGTH,
} from './limits.ts'
import { KIND, logDigest } from './log.ts'
import { genesisAfter, logGenesis } from './log-genesis.ts'
import { type Context, decodeState, type Step, signed } from './machine.ts'
import type { HelloMessage, Refusal } from './message.ts'
import type { NegotiationInput } from './negotiation.ts'
import type { Negotiation } from './negotiation-state.ts'
import { sees } from './offered.ts'
import { nothing, type Output, type Write } from './output.ts'
import type { OwnershipCommand } from './owning.ts'
import * as pairing from './pairing.ts'
import type { Policy } from './policy.ts'
import { checkPayload, isStored, type RecordType, readRecord, type Stored } from './record.ts'
import { eraseAgain, type Restoring, restore } from './restored.ts'
import { object, text } from './shape.ts'
import * as stock from './stock.ts'
import { handedOver, linksOf, titleOf } from './title.ts'
import * as tlog from './tlog.ts'
import { grantOf, isOver, type Transfer, type TransferInput } from './transfer.ts'

/** A packet to be published, its content sealed and indexed by the driver already. */
export interface PacketDraft {
  name: string
  mediaType: string
  size: number
  root: CID
  rootBytes: Uint8Array
  digest: Uint8Array
}

export type Command =
  /** First of all: the log's genesis and its entry 0. */
  | { type: 'init' }
  | {
      type: 'publish'
      title: string
      domain: string
      level: Asset['classification']['level']
      packets: PacketDraft[]
      /** Who votes on it, where it is to be registered. */
      committee?: CID
    }
  | {
      type: 'offer'
      asset: CID
      audience: CID[]
      policy: Policy
      approval: Offer['approval']
      untilMs: number
      price?: { amount: number; currency: string }
      notice?: string
      /** Packets of an owner of before, whose content is here. */
      packets?: CID[]
    }
  | { type: 'request'; org: string; offer: CID; action: string; purpose: string }
  | { type: 'decide'; machine: string; approve: boolean; reason?: string }
  | { type: 'withdraw'; machine: string; reason: string }
  | { type: 'transfer'; org: string; agreement: CID }
  | ({ type: 'redact' } & Redact)
  /** The operator wants the entries that this store lacks back from mirrors: no other copy of it runs. */
  | { type: 'recover' }
  /** The driver found that the store was put back or copied. */
  | ({ type: 'restored' } & Restoring)
  /** Partners know of redactions of this home that its store does not know: what the driver found of them. */
  | ({ type: 'erase' } & Pick<Restoring, 'redactions'>)
  | { type: 'catalog'; org: string }
  /** `head` is the size of a head of theirs that is to be renewed. */
  | { type: 'proofs'; org: string; records: CID[]; head?: number; log?: CID }
  /** Tells these partners what they were not told yet of heads; at a connect, `about` whom else this node has as partners. */
  | { type: 'gossip'; orgs: string[]; about?: string[]; forks?: boolean }
  | { type: 'invite'; forWhom: string; expiresMs: number; node: Uint8Array }
  | { type: 'join'; ticket: pairing.Ticket }
  | { type: 'welcomed'; ticket: pairing.Ticket; hello: HelloMessage }
  /** Continues the own identity and tells these partners. */
  | ({ type: 'identity' } & introduction.GoingOn)
  /** What a node says to a partner that may not know its key, and what that one answered under a key of its own. */
  | { type: 'again' }
  | { type: 'known'; org: string; node: Uint8Array; hello: HelloMessage }
  /** Enters a log of another kind to be witnessed, by its origin and verifier key. */
  | { type: 'accept'; origin: string; key: string }
  /** Asks these partners to sit in the committee of the own log; `rule` where it is not the usual one for so many. */
  | { type: 'committee'; seats: CID[]; rule?: { f: number; q: number } }
  /** Takes the seat that a partner offers, where a person decides. */
  | { type: 'seat'; org: string }
  /** A proof that the operator found, of a log of a partner or the own one. */
  | { type: 'fork'; proof: Uint8Array }
  /** What came over HTTP for the witness: a checkpoint to cosign, or whether one was. */
  | { type: 'checkpoint'; body: Uint8Array }
  | { type: 'latest'; hash: string }
  /** Lets a witness over HTTP cosign the own log too, or no longer. */
  | { type: 'stock'; url: string; key: string }
  | { type: 'drop-stock'; name: string }
  | OwnershipCommand

export type Answer =
  | { type: 'hello'; hello: HelloMessage }
  | { type: 'published'; asset: CID; packets: CID[] }
  | { type: 'offered'; offer: CID }
  | { type: 'machine'; machine: string }
  | { type: 'reading'; id: string }
  | { type: 'ticket'; ticket: string }
  | { type: 'redacted'; redaction?: CID; outcome: Outcome }
  | { type: 'joined'; org: string; name: string }
  | { type: 'accepted'; log: tlog.ForeignLog }
  | { type: 'reply'; reply: tlog.Reply }

interface Done extends Step<never> {
  answer?: Answer
  /** Machines that the command sets going, with the input for each. */
  machines?: { key: string; input: NegotiationInput | TransferInput | AskingInput }[]
  reading?: { org: string; step: catalog.CatalogStep }
  /** The own identity went on to this: the log is to say so. */
  chain?: Chain
  /** The records are of another kind than 0 in the log. */
  entry?: { kind: number; control: Uint8Array[] }
}

/** Throws ProtocolError, before anything has changed, for what cannot be done. */
export function command(
  input: Exclude<Command, { type: 'committee' | 'seat' | 'recover' | 'gossip' } | OwnershipCommand>,
  context: Context,
): Done {
  switch (input.type) {
    case 'init':
      return init(context)
    case 'publish':
      return publish(input, context)
    case 'offer':
      return makeOffer(input, context)
    case 'request':
      return request(input, context)
    case 'decide':
      return toMachine(input.machine, { ...input, type: 'decide' }, 'REQUESTED', context)
    case 'withdraw':
      return toMachine(input.machine, { type: 'withdraw', reason: input.reason }, 'AGREED', context)
    case 'transfer':
      return beginTransfer(input, context)
    case 'redact':
      return redact(input, context)
    case 'erase':
      return { output: eraseAgain(input.redactions, context), records: [] }
    case 'restored':
      return restore(input, context.get(KEY.tail) ? readTail(context.get(KEY.tail)!).size : 0, context)
    case 'catalog': {
      known(input.org, context)
      const id = context.random('catalog', 16)
      const step = catalog.begin(input.org, id)
      const answer: Answer = { type: 'reading', id: toHex(id) }
      return { output: step.output, records: [], reading: { org: input.org, step }, answer }
    }
    case 'proofs': {
      known(input.org, context)
      if (input.records.length > MAX_PROOFS)
        throw new ProtocolError('RECORD_INVALID', `more than ${MAX_PROOFS} records in one request`)
      const id = context.random('proofs', 16)
      const output = nothing()
      output.sends.push({
        to: input.org,
        message: {
          t: 'proof/request',
          id,
          records: input.records,
          ...(input.head ? { head: input.head } : {}),
          ...(input.log ? { log: input.log } : {}),
        },
      })
      return { output, records: [], answer: { type: 'reading', id: toHex(id) } }
    }
    case 'invite': {
      if (input.expiresMs <= context.now.wallMs)
        throw new ProtocolError('MALFORMED', 'expiresMs: a ticket cannot expire before it is made')
      const { output, ticket } = pairing.invite(input, context)
      return { output, records: [], answer: { type: 'ticket', ticket } }
    }
    case 'join':
      return join(input.ticket, context)
    case 'welcomed': {
      const { output, partner } = pairing.welcomed(input.ticket, input.hello, context)
      return { output, records: [], answer: { type: 'joined', org: partner.org, name: partner.name } }
    }
    case 'identity':
      return { ...introduction.goOn(input, context), records: [] }
    case 'again':
      return { output: nothing(), records: [], answer: { type: 'hello', hello: introduction.again(context) } }
    case 'known':
      return { output: introduction.known(input.org, input.hello, input.node, context), records: [] }
    case 'accept': {
      const { output, log } = tlog.accept(input.origin, input.key, context)
      return { output, records: [], answer: { type: 'accepted', log } }
    }
    case 'checkpoint': {
      const { output, reply } = tlog.addCheckpoint(input.body, context)
      return { output, records: [], answer: { type: 'reply', reply } }
    }
    case 'stock':
      return { output: stock.enter(input.url, input.key, context), records: [] }
    case 'drop-stock':
      return { output: stock.drop(input.name, context), records: [] }
    case 'fork':
      return { output: foundProof(input.proof, context), records: [] }
    case 'latest':
      return {
        output: nothing(),
        records: [],
        answer: { type: 'reply', reply: tlog.latest(input.hash, context) },
      }
  }
}

/** Of a log, or of an identity. */
const foundProof = (proof: Uint8Array, context: Context): Output =>
  isOfIdentity(proof) ? identityForkFound(proof, context) : found(proof, context)

function init(context: Context): Done {
  if (context.get(KEY.tail)) throw new ProtocolError('OUT_OF_ORDER', 'the log of this home has begun already')
  const { chain, identityBytes } = context.self
  const record = sign(logGenesis, genesisAfter(chain.genesis, []), 'admin', context, 'admin')
  const output: Output = { ...nothing(), writes: [{ key: KEY.identity, value: identityBytes, if: 'absent' }] }
  return { output, records: [record], entry: { kind: KIND.genesis, control: [logDigest(chain)] } }
}

function publish(input: Extract<Command, { type: 'publish' }>, context: Context): Done {
  const made = context.now.wallMs
  const { title, domain, level, committee } = input
  const payload: Asset = {
    t: 'asset/1',
    org: context.self.id,
    title,
    kind: 'set',
    classification: { domain, level },
    ownerVersion: 0,
    ...(committee ? { committee } : {}),
    made,
    nonce: context.random('asset', 16),
  }
  const described = sign(asset, payload, 'publisher', context)
  const packets = input.packets.map((draft, packetSeq) => describe(draft, packetSeq, described.id, context))
  const writes = packets.flatMap(({ id, payload }, seq) => [
    { key: KEY.packetOf(described.id, seq), value: digestOf(id) },
    { key: KEY.root(payload.root), value: input.packets[seq]!.rootBytes },
  ])
  const bytes = packets.reduce((sum, { payload }) => sum + payload.size, 0)
  writes.push({ key: KEY.assetTotals(described.id), value: catalog.totals(packets.length, bytes) })
  const answer: Answer = { type: 'published', asset: described.id, packets: packets.map(({ id }) => id) }
  return { output: { ...nothing(), writes }, records: [described, ...packets] as unknown as Stored[], answer }
}

function describe(draft: PacketDraft, packetSeq: number, assetId: CID, context: Context): Stored<Packet> {
  const { name, mediaType, size, root, digest } = draft
  const payload: Packet = {
    t: 'packet/1',
    org: context.self.id,
    asset: assetId,
    packetSeq,
    name,
    mediaType,
    size,
    root,
    digest,
    parents: [],
    made: context.now.wallMs,
  }
  return sign(packet, payload, 'publisher', context)
}

type MakeOffer = Extract<Command, { type: 'offer' }>

function makeOffer(input: MakeOffer, context: Context): Done {
  const owned = titleOf(context.get, input.asset)
  const described = read(asset, input.asset, context) ?? titled(input.asset, context)
  const isOwn = owned?.owner.equals(context.self.id) ?? described?.payload.org.equals(context.self.id)
  if (described && owned && !isOwn && described.payload.org.equals(context.self.id))
    throw new ProtocolError('NOT_OWNER', `${owned.owner} owns the asset since version ${owned.since}`)
  if (!described || !isOwn)
    throw new ProtocolError('NOT_FOUND', `there is no asset ${input.asset} of this home`)
  if (described.payload.committee && !owned)
    throw new ProtocolError('OUT_OF_ORDER', 'the asset names a committee: have it registered first')
  if (described.payload.classification.level === 'core')
    throw new ProtocolError('POLICY_DENIED', 'data classified core is never offered outside')
  const made = context.now.wallMs
  const payload: Offer = {
    t: 'offer/1',
    org: context.self.id,
    asset: input.asset,
    ownerVersion: owned?.version ?? described.payload.ownerVersion,
    ...(owned ? { order: owned.order } : {}),
    audience: input.audience,
    policy: input.policy,
    approval: input.approval,
    from: made - CLOCK_SKEW_MS,
    until: input.untilMs,
    maxStaleMs: MAX_STALE_MS,
    revocation: { by: ['assigner'], reasons: ['any'], noticeMs: 0 },
    made,
    nonce: context.random('offer', 16),
    ...(input.price ? { price: input.price } : {}),
    ...(input.notice ? { notice: input.notice } : {}),
  }
  const record = sign(offer, payload, 'provider', context)
  if (record.bytes.length > MAX_RECORD_BYTES - AGREEMENT_ROOM_BYTES)
    throw new ProtocolError('RECORD_INVALID', 'the offer is too long for an agreement to copy it')
  const packets = republish(input, context)
  const writes: Write[] = [
    { key: KEY.ownOffer(made, record.id), value: digestOf(record.id) },
    ...keepSeen(context, described.id, described.bytes),
  ]
  for (const { id, payload } of packets)
    writes.push({ key: KEY.packetOf(input.asset, payload.packetSeq), value: digestOf(id) })
  if (packets.length > 0) {
    const bytes = packets.reduce((sum, { payload }) => sum + payload.size, 0)
    writes.push({ key: KEY.assetTotals(input.asset), value: catalog.totals(packets.length, bytes) })
  }
  return {
    output: { ...nothing(), writes },
    records: [...packets, record] as unknown as Stored[],
    answer: { type: 'offered', offer: record.id },
  }
}

/** The record of an asset as its registration shows it. */
function titled(id: CID, { get }: Context): Stored<Asset> | undefined {
  const [link] = linksOf(get, id, 0, 1)
  const found = link?.asset && readRecord(asset, link.asset)
  return found && isStored(found) ? found : undefined
}

/** A new owner publishes the packets of the one before as its own: the same content, under its own name and log. */
function republish({ asset: id, packets = [] }: MakeOffer, context: Context): Stored<Packet>[] {
  return packets.flatMap(each => {
    const held = read(packet, each, context)
    if (!held?.payload.asset.equals(id) || held.payload.org.equals(context.self.id)) return []
    const { prev: _, ...payload } = held.payload
    const own = { ...payload, org: context.self.id, parents: [each], made: context.now.wallMs }
    return [sign(packet, own, 'publisher', context)]
  })
}

const asked = object({ action: text(MAX_WORD_LENGTH), purpose: text(MAX_WORD_LENGTH) })

/** The consumer decides first, by the same rules: what the offer denies is not asked for. */
function request(input: Extract<Command, { type: 'request' }>, context: Context): Done {
  const partner = known(input.org, context)
  const words = { action: input.action, purpose: input.purpose }
  const unfit = asked.check(words, 'request')
  if (unfit) throw new ProtocolError('RECORD_INVALID', unfit)
  const stored = context.get(KEY.seenOffer(input.org, input.offer))
  const offered = stored && readRecord(offer, stored)
  if (!offered || !isStored(offered) || !sees(offered.payload, context.self.org))
    throw new ProtocolError('OFFER_UNKNOWN', `${partner.name} has no offer ${input.offer} for you`)
  const passed = handedOver(offered.payload, context.get)
  if (passed) throw new ProtocolError(passed.code, passed.text)
  const level = read(asset, offered.payload.asset, context)?.payload.classification.level ?? 'core'
  const decision = decideOffer(offered.payload, level, input, context.self.org, context.now.wallMs)
  if (typeof decision === 'object') throw new RefusedError(decision)
  const id = context.random('negotiation', 16)
  const key = KEY.negotiation(input.org, id)
  const { org, action, purpose } = input
  const machine = { key, input: { type: 'request', id, org, offer: input.offer, action, purpose } as const }
  return { output: nothing(), records: [], machines: [machine], answer: { type: 'machine', machine: key } }
}

/** A refusal that an own rule gave, with its clause. */
export class RefusedError extends ProtocolError {
  readonly refusal: Refusal

  constructor(refusal: Refusal) {
    super(refusal.code as ProtocolError['code'], refusal.text)
    this.refusal = refusal
  }
}

function toMachine(machine: string, input: NegotiationInput, state: string, context: Context): Done {
  const stored = machine.startsWith('negotiation/') ? context.get(machine) : undefined
  const n = stored && decodeState<Negotiation>(stored)
  if (n?.role !== 'provider') throw new ProtocolError('NOT_FOUND', 'there is no such request')
  if (n.state !== state) throw new ProtocolError('OUT_OF_ORDER', `the request is ${n.state}, not ${state}`)
  return {
    output: nothing(),
    records: [],
    machines: [{ key: machine, input }],
    answer: { type: 'machine', machine },
  }
}

function beginTransfer(input: Extract<Command, { type: 'transfer' }>, context: Context): Done {
  const granted = grantOf(input.org, input.agreement, context)
  if (!granted?.assignee.equals(context.self.id))
    throw new ProtocolError(
      'AGREEMENT_UNKNOWN',
      `there is no agreement ${input.agreement} for data of ${input.org}`,
    )
  const under = KEY.transferOf(input.agreement)
  const newest = context.get(under)
  const running = newest && context.get(decodeText(newest))
  if (running && !isOver(decodeState<Transfer>(running)))
    return { output: nothing(), records: [], answer: { type: 'machine', machine: decodeText(newest) } }
  const id = context.random('transfer', 16)
  const key = KEY.transfer(input.org, id)
  const begin = { type: 'begin', id, org: input.org, agreement: input.agreement } as const
  return {
    output: { ...nothing(), writes: [{ key: under, value: utf8(key) }] },
    records: [],
    machines: [{ key, input: begin }],
    answer: { type: 'machine', machine: key },
  }
}

function join(ticket: pairing.Ticket, context: Context): Done {
  if (ticket.org.equals(context.self.id))
    throw new ProtocolError('TICKET_MALFORMED', 'this is a ticket of your own')
  if (context.now.wallMs > ticket.expires)
    throw new ProtocolError(
      'TICKET_EXPIRED',
      `the ticket expired at ${new Date(ticket.expires).toISOString()}`,
    )
  return {
    output: nothing(),
    records: [],
    answer: { type: 'hello', hello: pairing.joining(ticket, context) },
  }
}

function known(org: string, context: Context) {
  const partner = context.partner(org)
  if (!partner) throw new ProtocolError('NOT_FOUND', `${org} is not a partner of this home`)
  return partner
}

/** Signs a record of the own home; what the operator gave may not fit its shape. */
function sign<P extends Payload>(
  type: RecordType<P>,
  payload: P,
  role: string,
  context: Context,
  key: 'operation' | 'admin' = 'operation',
): Stored<P> {
  const verdict = checkPayload(type, payload)
  if (verdict.ok !== true) throw new ProtocolError('RECORD_INVALID', verdict.reason)
  try {
    return signed(payload, [context.sign(payload, role, key)])
  } catch (error) {
    if (error instanceof CryptoError) throw new ProtocolError('RECORD_INVALID', error.message)
    throw error
  }
}

function read<P>(type: RecordType<P>, id: CID, context: Context): Stored<P> | undefined {
  const stored = keptRecord(context, id)
  const found = stored && readRecord(type, stored)
  return found && isStored(found) ? found : undefined
}

/** Packets and bytes of an asset, as the store holds them. */
export const readTotals = (stored: Uint8Array): { packets: number; bytes: number } => ({
  packets: readU64(stored)!,
  bytes: readU64(stored, 8)!,
})
