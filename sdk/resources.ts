/** What a daemon offers its programs, by noun: one function each for one route of the local API. */
import type { z } from 'zod'
import type {
  backedUp,
  backupRequest,
  CommitteeRequest,
  CommitteeView,
  Consent,
  DelegateRequest,
  Delivery,
  decision,
  invite,
  inviteRequest,
  joined,
  Keys,
  LogHeads,
  Mirroring,
  Offer,
  OfferRequest,
  offers,
  Partner,
  Proofs,
  Published,
  PublishRequest,
  RecordView,
  Request,
  RevokeRequest,
  RotateRequest,
  Transfer,
  usageRequest,
  Witnessing,
} from '../node/schema.ts'
import type {
  HandoverDraft,
  HandoverRequest,
  Juries,
  Jury,
  JuryRequest,
  OrderView,
  OwnerHistory,
  OwnerView,
  RegisterRequest,
} from '../node/schema-ownership.ts'
import { follow, POLL_MS } from './follow.ts'
import type { CallOptions, Http } from './http.ts'

export type Invite = z.infer<typeof invite>
export type Joined = z.infer<typeof joined>
export type Offers = z.infer<typeof offers>
export type Asset = z.infer<typeof import('../node/schema.ts').asset>
export type UsageRequest = z.input<typeof usageRequest>
type Decision = z.input<typeof decision>
type Page<T> = { items: T[]; next?: string }

const at = (...parts: string[]): string => `/v1/${parts.map(encodeURIComponent).join('/')}`

/** Every item of a list, page after page. */
async function* pages<T>(http: Http, path: string, options: CallOptions = {}): AsyncGenerator<T> {
  let after: string | undefined
  do {
    const { items, next }: Page<T> = await http.get(path, { ...options, query: { after } })
    yield* items
    after = next
  } while (after !== undefined)
}

export const partners = (http: Http) => ({
  list: (options?: CallOptions) => pages<Partner>(http, at('partners'), options),
  /** A ticket that pairs one other organisation with this one, until `expiresMs` (ms since 1970). */
  invite: (about: z.input<typeof inviteRequest>, options?: CallOptions) =>
    http.post<Invite>(at('invites'), about, options),
  join: (ticket: string, options?: CallOptions) => http.post<Joined>(at('join'), { ticket }, options),
  /** Names a partner as a witness of the own log. */
  witness: (partner: string, options?: CallOptions) =>
    http.post<Partner>(at('witnesses'), { partner }, options),
})

/** The keys of the own identity: what they are, and new ones in their place. */
export const keys = (http: Http) => ({
  get: (options?: CallOptions) => http.get<Keys>(at('keys'), options),
  rotate: (what: RotateRequest, options?: CallOptions) =>
    http.post<Keys>(at('keys', 'rotate'), what, options),
  delegate: (what: DelegateRequest, options?: CallOptions) =>
    http.post<Keys>(at('keys', 'delegate'), what, options),
  revoke: (what: RevokeRequest, options?: CallOptions) =>
    http.post<Keys>(at('keys', 'revoke'), what, options),
  /** Takes the own identity events that partners know and a home that was put back lacks. */
  adopt: (options?: CallOptions) => http.post<Keys>(at('keys', 'adopt'), {}, options),
})

/** The committee whose members promise and cosign the heads of the own log, and seats in those of partners. */
export const committee = (http: Http) => ({
  get: (options?: CallOptions) => http.get<CommitteeView>(at('committee'), options),
  /** Asks these partners to sit in it, in place of those who do. */
  create: (wish: CommitteeRequest, options?: CallOptions) =>
    http.post<CommitteeView>(at('committee'), wish, options),
  /** Takes the seat that a partner asks for, where a person decides. */
  sign: (partner: string, options?: CallOptions) =>
    http.post<CommitteeView>(at('committee', 'seats'), { partner }, options),
})

/** Witnessing logs of other kinds over HTTP (C2SP tlog-witness). */
export const witnessing = (http: Http) => ({
  get: (options?: CallOptions) => http.get<Witnessing>(at('witnessing'), options),
  /** Begins at `host:port`, or ends without one. */
  serve: (listen: string | undefined, options?: CallOptions) =>
    http.post<Witnessing>(at('witnessing'), { listen }, options),
  /** Enters a log by its origin and verifier key (`name+id+base64`). */
  accept: (origin: string, key: string, options?: CallOptions) =>
    http.post<Witnessing>(at('witnessing', 'logs'), { origin, key }, options),
  /** Lets any C2SP witness over HTTP cosign the own log too; it counts toward no quorum. */
  ask: (url: string, key: string, options?: CallOptions) =>
    http.post<Witnessing>(at('witnessing', 'asked'), { url, key }, options),
  /** Asks it no longer; `name` is that of its key. */
  drop: (name: string, options?: CallOptions) =>
    http.post<Witnessing>(at('witnessing', 'asked', 'remove'), { name }, options),
})

/** Logs whose entries are here: the own one, and those that are mirrored for partners. */
export const logs = (http: Http) => ({
  mirroring: (options?: CallOptions) => http.get<Mirroring>(at('mirrors'), options),
  /** Lets a partner keep the entries of the own log. */
  mirror: (partner: string, options?: CallOptions) =>
    http.post<Mirroring>(at('mirrors'), { partner }, options),
  /** Lets anybody who reaches the HTTP witness read the entries of the own log, or nobody. */
  open: (open: boolean, options?: CallOptions) =>
    http.post<Mirroring>(at('mirrors', 'open'), { open }, options),
  /** Heads of a log, by its organisation, and the identities to check them with. */
  heads: (org: string, { after, ...options }: CallOptions & { after?: string | undefined } = {}) =>
    http.get<LogHeads>(at('logs', org, 'heads'), { ...options, query: { after } }),
  /** Proofs of records in the own log (C2SP tlog-proof, base64), under one head; `show` are those whose body goes in. */
  prove: (records: string[], show: string[] = [], options?: CallOptions) =>
    http.post<Proofs>(at('proofs'), { records, show }, options),
  /** A tile or bundle by its path in C2SP tlog-tiles. */
  tile: (org: string, path: string, options?: CallOptions) =>
    http.bytes(`${at('logs', org)}/${path}`, options),
})

export const packets = (http: Http) => ({
  /** Publishes files of the daemon's machine, by absolute path, as one asset; nobody sees it before it is offered. */
  publish: (what: PublishRequest, options?: CallOptions) =>
    http.post<Published>(at('packets'), what, options),
})

export const assets = (http: Http) => ({
  list: (options?: CallOptions) => pages<Asset>(http, at('assets'), options),
  /** Has who owns it certified, from version 0 on, by a committee of assets. */
  register: (id: string, about: RegisterRequest, options?: CallOptions) =>
    http.post<OrderView>(at('assets', id, 'register'), about, options),
  /** Lets another committee vote on it from here on, by the votes of the one in force; without one, no older key signs what follows. */
  reseat: (id: string, committee?: string, options?: CallOptions) =>
    http.post<OrderView>(at('assets', id, 'committee'), committee ? { committee } : {}, options),
  /** Who owns it by the chain that is here; with `fresh` the seats are asked whether that is the last. */
  owner: (id: string, { fresh, ...options }: CallOptions & { fresh?: boolean } = {}) =>
    http.get<OwnerView>(at('assets', id, 'owner'), { ...options, query: { fresh } }),
  history: (id: string, options?: CallOptions) =>
    http.get<OwnerHistory>(at('assets', id, 'history'), options),
  /** Evidence of who owns it, for anybody to verify offline. */
  evidence: (id: string, options?: CallOptions) => http.bytes(at('assets', id, 'ownership'), options),
  /** What an own registration is of: its salt and the digest of the content, for anybody to compare with another. */
  disclose: (id: string, options?: CallOptions) => http.bytes(at('assets', id, 'disclosure'), options),
})

const isSettled = ({ state }: OrderView): boolean =>
  ['CERTIFIED', 'FROZEN', 'DECLINED', 'WITHDRAWN'].includes(state)

/** Registrations and hand-overs on their way, and those that are over. */
export const handovers = (http: Http) => ({
  /** Offers an asset to a partner; nobody has signed anything yet. */
  offer: (what: HandoverRequest, options?: CallOptions) =>
    http.post<OrderView>(at('handovers'), what, options),
  /** What would be offered, and who would vote on it. */
  draft: (what: HandoverRequest, options?: CallOptions) =>
    http.post<HandoverDraft>(at('handovers'), { ...what, dryRun: true }, options),
  list: (options?: CallOptions) => pages<OrderView>(http, at('handovers'), options),
  get: (id: string, options?: CallOptions) => http.get<OrderView>(at('handovers', id), options),
  /** Signs it as the buyer; `mode` names a committee that is weaker than the rule of this home. */
  accept: (id: string, mode?: Jury['mode'], options?: CallOptions) =>
    http.post<OrderView>(at('handovers', id, 'accept'), mode ? { mode } : {}, options),
  decline: (id: string, reason: string, options?: CallOptions) =>
    http.post<OrderView>(at('handovers', id, 'decline'), { reason }, options),
  withdraw: (id: string, options?: CallOptions) =>
    http.post<OrderView>(at('handovers', id, 'withdraw'), {}, options),
  /** The order once it is certified, or never will be. */
  wait: (id: string, options: CallOptions = {}) =>
    follow<OrderView>({
      ask: last => http.get(at('handovers', id), { ...options, query: last ? { waitMs: POLL_MS } : {} }),
      isOver: isSettled,
      key: ({ state, votes }) => `${state} ${votes.length}`,
      onNews: undefined,
      signal: options.signal,
    }),
})

/** Committees that vote on who owns assets, and whom this home takes for certified. */
export const juries = (http: Http) => ({
  get: (options?: CallOptions) => http.get<Juries>(at('committees'), options),
  create: (wish: JuryRequest, options?: CallOptions) => http.post<Juries>(at('committees'), wish, options),
  /** Takes the seats that a partner asks for, where a person decides. */
  sign: (partner: string, options?: CallOptions) =>
    http.post<Juries>(at('committees', 'seats'), { partner }, options),
  certify: (partner: string, certified: boolean, options?: CallOptions) =>
    http.post<object>(at('certified'), { partner, certified }, options),
  /** Takes these, partners or this home, for organisations that one hand controls, or no longer. */
  control: (orgs: string[], control: boolean, options?: CallOptions) =>
    http.post<object>(at('control'), { orgs, control }, options),
})

export const offersOf = (http: Http) => ({
  create: (terms: OfferRequest, options?: CallOptions) => http.post<Offer>(at('offers'), terms, options),
  /** Offers made here (`own`) or seen at partners; `refresh` asks the connected ones first. */
  list: ({ own, refresh, ...options }: CallOptions & { own?: boolean; refresh?: boolean } = {}) =>
    http.get<Offers>(at('offers'), { ...options, query: { own, refresh } }),
})

/** A negotiation that nobody will move any more. */
export const isOver = ({ state }: Request): boolean => state === 'FINALIZED' || state === 'TERMINATED'

export const requests = (http: Http) => ({
  create: (ask: UsageRequest, options?: CallOptions) => http.post<Request>(at('requests'), ask, options),
  get: (id: string, options?: CallOptions) => http.get<Request>(at('requests', id), options),
  list: (options?: CallOptions) => pages<Request>(http, at('requests'), options),
  approve: (id: string, why: Decision = {}, options?: CallOptions) =>
    http.post<Request>(at('requests', id, 'approve'), why, options),
  deny: (id: string, why: Decision = {}, options?: CallOptions) =>
    http.post<Request>(at('requests', id, 'deny'), why, options),
  withdraw: (id: string, why: Decision = {}, options?: CallOptions) =>
    http.post<Request>(at('requests', id, 'withdraw'), why, options),
  /** The request once it is FINALIZED or TERMINATED; `onState` hears of each change on the way. */
  wait: (
    id: string,
    { onState, ...options }: CallOptions & { onState?: ((request: Request) => void) | undefined } = {},
  ) =>
    follow<Request>({
      ask: last =>
        http.get(at('requests', id), {
          ...options,
          query: last ? { waitMs: POLL_MS, after: last.state } : {},
        }),
      isOver,
      key: request => `${request.state} ${request.waitsFor}`,
      onNews: onState,
      signal: options.signal,
    }),
})

export const records = (http: Http) => ({
  /** Whether a record is here, was redacted (when and why), or is missing. */
  get: (id: string, options?: CallOptions) => http.get<RecordView>(at('records', id), options),
  /** Destroys what the record says, with a logged reason; holders are asked to do the same. It cannot be undone. */
  redact: (id: string, reason: string, options?: CallOptions) =>
    http.post<RecordView>(at('records', id, 'redact'), { reason }, options),
})

/** A backup of the home in one file on the daemon's machine, for a recipient (`age1…`) or the holder of a passphrase. */
export const backup = (http: Http) => (to: z.input<typeof backupRequest>, options?: CallOptions) =>
  http.post<z.infer<typeof backedUp>>(at('backup'), to, options)

export const transfers = (http: Http) => ({
  start: (agreement: string, options?: CallOptions) =>
    http.post<Transfer>(at('transfers'), { agreement }, options),
  /** The transfer once it is COMPLETED or TERMINATED; `onProgress` hears of each change on the way. */
  wait: (
    id: string,
    {
      onProgress,
      ...options
    }: CallOptions & { onProgress?: ((transfer: Transfer) => void) | undefined } = {},
  ) =>
    follow<Transfer>({
      ask: last => http.get(at('transfers', id), { ...options, query: last ? { waitMs: POLL_MS } : {} }),
      isOver: ({ state }) => state === 'COMPLETED' || state === 'TERMINATED',
      key: ({ state, done, open, failed, receivedBytes }) =>
        [state, done, open, failed, receivedBytes].join(' '),
      onNews: onProgress,
      signal: options.signal,
    }),
})

export const agreements = (http: Http) => ({
  deliveries: (agreement: string, options?: CallOptions) =>
    pages<Delivery>(http, at('agreements', agreement, 'deliveries'), options),
  /** The plain content of a packet, piece by piece. */
  content: (agreement: string, packet: string, options?: CallOptions) =>
    http.stream(at('agreements', agreement, 'packets', packet, 'content'), options),
  /** Evidence of one delivery, for anybody to verify offline. */
  evidence: (agreement: string, packet: string, options?: CallOptions) =>
    http.bytes(at('agreements', agreement, 'packets', packet, 'evidence'), options),
  /** Evidence of the agreement alone: the usage-consent receipt. */
  consentEvidence: (agreement: string, options?: CallOptions) =>
    http.bytes(at('agreements', agreement, 'evidence'), options),
})

export const consents = (http: Http) => ({
  list: (options?: CallOptions) => pages<Consent>(http, at('consents'), options),
})
