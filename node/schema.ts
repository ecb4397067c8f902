/**
 * The local API in one table: what each route takes and gives, as zod schemas. Server, client and CLI take their types
 * from here. Ids are the base32 text of CIDs; `…Ms` are ms since 1970; states are those of the Dataspace Protocol.
 */
import { z } from 'zod'

export const id = z.string().min(1).max(128)
export const name = z.string().max(512)
export const count = z.number().int().nonnegative()

/** In a query, where everything is text: a number that is none must not pass for another one. */
const wholeNumber = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'not a whole number')
  .transform(Number)
export const flag = z.enum(['true', 'false']).transform(text => text === 'true')
export const waitMs = wholeNumber.pipe(z.number().max(60_000)).default(0)

/** What went wrong: RFC 9457 problem details with a stable code, and what to do next. */
export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string(),
  /** The clause, the value asked and the value allowed, where a policy decided. */
  clause: z.string().optional(),
  asked: z.string().optional(),
  allowed: z.string().optional(),
  /** The command to run next. */
  hint: z.string().optional(),
  retryable: z.boolean(),
})
export type Problem = z.infer<typeof problem>

export const status = z.object({
  schema: z.literal('waybill.status/1'),
  id,
  name,
  peerId: z.string(),
  addresses: z.array(z.string()),
  home: z.string(),
  pid: count,
  version: z.string(),
  uptimeMs: count,
  partners: count,
  connected: count,
  log: z.object({ size: count, headSize: count, position: z.string(), final: z.boolean() }),
  witnesses: z.array(z.object({ id, name, cosignedSize: count, problem: z.string().optional() })),
  assets: count,
  offers: count,
  /** Requests that wait for a person here. */
  waiting: count,
  /** What needs attention, each with the command that mends it; empty when all is well. */
  problems: z.array(z.object({ code: z.string(), text: z.string(), hint: z.string().optional() })),
})
export type Status = z.infer<typeof status>

export const partner = z.object({
  id,
  name,
  connected: z.boolean(),
  pairedMs: count,
  addresses: z.array(z.string()),
  witnesses: z.array(id),
  isWitness: z.boolean(),
  /** Size of the newest head of its log that was seen here. */
  seenSize: count,
})
export type Partner = z.infer<typeof partner>

export const inviteRequest = z.strictObject({ for: name.default(''), expiresMs: count })
export const invite = z.object({ ticket: z.string(), expiresMs: count })
export const joinRequest = z.strictObject({ ticket: z.string().max(8192) })
export const joined = z.object({ id, name })
export const witnessRequest = z.strictObject({ partner: id })
/** Partners by id or name; `f` and `q` where the usual rule for so many is not meant. */
export const committeeRequest = z.strictObject({
  partners: z.array(name).min(1).max(32),
  f: count.optional(),
  q: count.optional(),
})
export type CommitteeRequest = z.infer<typeof committeeRequest>
export const org = z.object({ id, name })
const committeeRecord = z.object({ id, number: count, n: count, f: count, q: count, seats: z.array(org) })
export const committee = z.object({
  inForce: committeeRecord.optional(),
  /** Named by an entry, and not in force before all who must have cosigned it. */
  named: committeeRecord.extend({ entry: count }).optional(),
  asked: committeeRecord
    .extend({ signed: z.array(org), refused: z.array(org.extend({ text: z.string() })) })
    .optional(),
  /** Seats that do not promise or cosign, and why, as far as they said. */
  waits: z.array(org.extend({ text: z.string() })),
  /** Partners who ask for a seat in the committees of their logs, where a person decides here. */
  seatsOffered: z.array(org),
})
export type CommitteeView = z.infer<typeof committee>

/** `host:port`, `[v6]:port`; port 0 takes a free one. */
export const listenAddress = z
  .string()
  .max(256)
  .regex(/^([^\s:/]+|\[[0-9a-f:.]+\]):\d{1,5}$/, 'is no host:port')
  .refine(listen => Number(listen.slice(listen.lastIndexOf(':') + 1)) < 65_536, 'is no host:port')
/**
 * A log that is proven to have two histories, or an identity with two events of one number; `proof` is the file that shows it
 * to anybody, in base64. `succeeded` once its organisation goes on with another log; `here` when it convicts at this node
 * only, and there is no file.
 */
export const fork = z.object({
  of: z.enum(['log', 'identity']),
  org: id,
  name,
  /** Of the two heads. */
  size: count.optional(),
  newerSize: count.optional(),
  /** Number of the two events. */
  event: count.optional(),
  succeeded: z.boolean(),
  here: z.literal(true).optional(),
  proof: z.string().optional(),
})
export type ForkView = z.infer<typeof fork>

/** An evidence file, in base64, whose cosigners' keys have ended or soon will. */
export const renewRequest = z.strictObject({ evidence: z.base64() })
export const renewed = z.object({
  evidence: z.string(),
  /** The two logs: whether a newer head of each is in the file now. */
  sides: z.array(z.object({ org: id, renewed: z.boolean() })),
})
export type Renewed = z.infer<typeof renewed>

/** Where to witness logs of other kinds; nothing ends it. */
export const witnessingRequest = z.strictObject({ listen: listenAddress.optional() })
export const acceptRequest = z.strictObject({ origin: z.string().max(1024), key: z.string().max(4096) })
/** A witness over HTTP that is to cosign the own log too, by its address and verifier key. */
export const askWitnessRequest = z.strictObject({ url: z.string().max(512), key: z.string().max(4096) })
export const dropWitnessRequest = z.strictObject({ name: z.string().max(1024) })
export const witnessing = z.object({
  /** The verifier key of our cosignatures, as clients of other logs take it. */
  key: z.string(),
  /** The verifier key of the own log, as other witnesses take it. */
  logKey: z.string(),
  url: z.string().optional(),
  logs: z.array(z.object({ origin: z.string(), keys: z.array(z.string()), size: count })),
  /** Witnesses over HTTP that cosign the own log; they count toward no quorum. */
  asked: z.array(
    z.object({ name: z.string(), url: z.string(), cosignedSize: count, problem: z.string().optional() }),
  ),
})
export type Witnessing = z.infer<typeof witnessing>

/** The log that goes on, and the one that was closed, by the ids of their geneses. */
export const succeeded = z.object({ number: count, log: id, closed: id })
export type Succeeded = z.infer<typeof succeeded>
/** Entries from `from` up to `size` came back from mirrors. */
export const recovered = z.object({ from: count, size: count })
export type Recovered = z.infer<typeof recovered>

const delegated = z.enum(['log', 'operation', 'witness', 'node'])
/** The own identity: its keys, the newest first. `epoch` and `endedAt` are numbers of events, 0 the genesis. */
export const keys = z.object({
  org: id,
  events: count,
  lastEvent: id,
  /** `root.age` lies in the home; it is safer elsewhere. */
  rootHere: z.boolean(),
  keys: z.array(
    z.object({
      role: z.string(),
      thumbprint: z.string(),
      epoch: count,
      state: z.enum(['stands', 'ended', 'revoked']),
      untilMs: count.optional(),
      endedAt: count.optional(),
    }),
  ),
})
export type Keys = z.infer<typeof keys>
export const rotateRequest = z.strictObject({
  roles: z
    .array(z.enum(['root', 'admin', 'log', 'operation', 'witness', 'node']))
    .min(1)
    .max(6),
  /** Directory of `root.age` on the daemon's machine; left out, the home's. */
  rootDir: z.string().max(4096).optional(),
})
export type RotateRequest = z.input<typeof rotateRequest>
export const delegateRequest = z.strictObject({
  roles: z.array(delegated).min(1).max(4),
  /** How long the new keys live. */
  forMs: count
    .positive()
    .max(100 * 366 * 86_400_000)
    .optional(),
})
export type DelegateRequest = z.input<typeof delegateRequest>
/** Roles, for the key that stands, or thumbprints from 8 digits on. */
export const revokeRequest = z.strictObject({ keys: z.array(z.string().max(64)).min(1).max(4) })
export type RevokeRequest = z.input<typeof revokeRequest>

export const mirroring = z.object({
  /** Partners that keep the entries of the own log. */
  mirrors: z.array(z.object({ id, name: z.string() })),
  /** Logs whose entries are kept here, up to a size. */
  held: z.array(z.object({ id, name: z.string(), size: count })),
  /** Anybody who reaches the HTTP witness may read the entries of the own log there. */
  isOpen: z.boolean(),
})
export type Mirroring = z.infer<typeof mirroring>
export const openRequest = z.strictObject({ open: z.boolean() })

export const headsQuery = z.strictObject({ after: z.string().max(64).optional() })
/** Heads of a log that are here, as signed notes, and the identities that their signatures are checked with: its owner's first. */
export const logHeads = z.object({
  identities: z.array(z.object({ identity: z.string(), events: z.array(z.string()) })),
  heads: z.array(z.string()),
  /** Entries that are here. */
  size: count,
  next: z.string().optional(),
})
export type LogHeads = z.infer<typeof logHeads>
export const proofsRequest = z.strictObject({
  records: z.array(id).min(1).max(16),
  /** Those of them whose body and salt go into the proof. */
  show: z.array(id).max(16).default([]),
})
/** A C2SP tlog-proof in base64 for each record, all under one head. */
export const proofs = z.object({ items: z.array(z.object({ record: id, proof: z.string() })) })
export type Proofs = z.infer<typeof proofs>
export const forkRequest = z.strictObject({ proof: z.base64() })

export const publishRequest = z.strictObject({
  title: name,
  domain: z.string().max(256).default('general'),
  level: z.enum(['general', 'important', 'core']).default('general'),
  /** Absolute paths on the daemon's machine; `name` is what the packet is called. */
  files: z
    .array(z.strictObject({ path: z.string(), name, mediaType: name.optional() }))
    .min(1)
    .max(100_000),
  /** The committee that is to vote on who owns it; an asset without one is never registered. */
  committee: id.optional(),
})
export type PublishRequest = z.input<typeof publishRequest>
export const packet = z.object({ id, name, mediaType: z.string(), size: count, root: id, packetSeq: count })
export type Packet = z.infer<typeof packet>
export const published = z.object({ asset: id, packets: z.array(packet), bytes: count })
export type Published = z.infer<typeof published>
export const asset = z.object({
  id,
  title: z.string(),
  domain: z.string(),
  level: z.string(),
  packets: count,
  bytes: count,
  madeMs: count,
})

export const offerRequest = z.strictObject({
  asset: id,
  /** Partners by id or name; empty means every partner. */
  to: z.array(name).default([]),
  allow: z.array(z.string().max(256)).min(1).default(['use']),
  purposes: z.array(z.string().max(256)).default([]),
  noRedistribution: z.boolean().default(false),
  untilMs: count,
  approval: z.enum(['person', 'policy']).default('person'),
  price: z.strictObject({ amount: count, currency: z.string().max(8) }).optional(),
  notice: name.optional(),
})
export type OfferRequest = z.input<typeof offerRequest>
export const offer = z.object({
  id,
  asset: id,
  title: z.string(),
  level: z.string(),
  provider: z.object({ id, name }),
  own: z.boolean(),
  /** The policy in words, one clause each. */
  terms: z.array(z.string()),
  packets: count,
  bytes: count,
  untilMs: count,
  approval: z.enum(['person', 'policy']),
  audience: z.array(id),
})
export type Offer = z.infer<typeof offer>
export const offersQuery = z.strictObject({ own: flag.optional(), refresh: flag.default(false) })
/** Offers, and the partners that could not be asked just now. */
export const offers = z.object({ items: z.array(offer), unreachable: z.array(name) })

export const usageRequest = z.strictObject({
  offer: id,
  action: z.string().max(256).optional(),
  purpose: z.string().max(256).optional(),
})
export const refusal = z.object({
  code: z.string(),
  text: z.string(),
  clause: z.string().optional(),
  asked: z.string().optional(),
  allowed: z.string().optional(),
  next: z.string().optional(),
})
/** Waits until the state is not `after` any more, at most `waitMs`. */
export const requestQuery = z.strictObject({ waitMs, after: z.string().max(32).optional() })
/** A negotiation, seen from either side. */
export const request = z.object({
  id,
  role: z.enum(['provider', 'consumer']),
  state: z.enum(['REQUESTED', 'AGREED', 'VERIFIED', 'FINALIZED', 'TERMINATED']),
  /** Who must act now: a person here, a person there, the other node, or nobody. */
  waitsFor: z.enum(['you', 'their person', 'their node', 'nobody']),
  partner: z.object({ id, name }),
  offer: id,
  title: z.string(),
  action: z.string(),
  purpose: z.string(),
  askedMs: count,
  agreement: id.optional(),
  refusal: refusal.optional(),
  history: z.array(z.object({ state: z.string(), at: count })),
})
export type Request = z.infer<typeof request>
export const decision = z.strictObject({ reason: name.optional() })

export const backupRequest = z.strictObject({
  /** Absolute path on the daemon's machine. */
  path: z.string(),
  recipient: z.string().max(2048).optional(),
  passphrase: z.string().min(1).max(1024).optional(),
})
export const backedUp = z.object({ org: id, name, size: count, madeMs: count, bytes: count })
export const redactRequest = z.strictObject({ reason: z.string().min(1).max(512) })
/** A record as it stands here, and who was asked to erase it too. */
export const record = z.object({
  id,
  state: z.enum(['present', 'redacted', 'missing']),
  type: z.string().optional(),
  atMs: count.optional(),
  reason: z.string().optional(),
  holders: z.array(
    z.object({
      id,
      name,
      outcome: z.enum(['asked', 'erased', 'kept', 'missing']),
      text: z.string().optional(),
    }),
  ),
})
export type RecordView = z.infer<typeof record>

export const transferQuery = z.strictObject({ waitMs })
export const transferRequest = z.strictObject({ agreement: id })
export const transfer = z.object({
  id,
  state: z.enum(['REQUESTED', 'STARTED', 'COMPLETED', 'TERMINATED']),
  partner: z.object({ id, name }),
  agreement: id,
  /** Packets over, packets begun and not over, packets that failed. */
  done: count,
  open: count,
  failed: count,
  bytes: count,
  /** Bytes of ciphertext that have come so far. */
  receivedBytes: count,
  refusal: refusal.optional(),
})
export type Transfer = z.infer<typeof transfer>

export const deliveriesQuery = z.strictObject({ after: z.string().max(128).optional() })
/** One packet under one agreement, at either side. */
export const delivery = z.object({
  agreement: id,
  packet,
  role: z.enum(['provider', 'consumer']),
  state: z.enum([
    'FETCHING',
    'RECEIVED',
    'OPENING',
    'OPENED',
    'REJECTED',
    'RELEASED',
    'DISPUTED',
    'DONE',
    'FAILED',
  ]),
  partner: z.object({ id, name }),
  /** Ids of the signed receipts so far. */
  receipts: z.array(z.object({ type: z.string(), id, atMs: count })),
  refusal: refusal.optional(),
})
export type Delivery = z.infer<typeof delivery>

/** A usage-consent receipt: an agreement with both signatures and its state. */
export const consent = z.object({
  agreement: id,
  role: z.enum(['provider', 'consumer']),
  partner: z.object({ id, name }),
  state: z.enum(['given', 'ended']),
  offer: id,
  asset: id,
  title: z.string(),
  action: z.string(),
  purpose: z.string(),
  fromMs: count,
  untilMs: count,
  terms: z.array(z.string()),
  history: z.array(z.object({ state: z.string(), at: count })),
})
export type Consent = z.infer<typeof consent>

export const logQuery = z.strictObject({
  after: wholeNumber.default(0),
  limit: wholeNumber.pipe(z.number().min(1).max(1_000)).default(100),
})
export const logEntry = z.object({
  index: count,
  kind: z.string(),
  /** Type and id of the record it commits to. */
  record: z.object({ type: z.string(), id }).optional(),
  timeMs: count,
  leaf: z.string(),
  position: z.string(),
})
export type LogEntry = z.infer<typeof logEntry>
export const log = z.object({
  size: count,
  head: z.string().optional(),
  entries: z.array(logEntry),
  next: count.optional(),
})

export const page = <T extends z.ZodType>(item: T) =>
  z.object({ items: z.array(item), next: z.string().optional() })
