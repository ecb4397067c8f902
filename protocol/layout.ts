/** Where things stand in the store: every key of the database is built here. */
import { toHex } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'

/** 16 decimal digits, so that the order of keys is the order of numbers. */
const padded = (n: number): string => String(n).padStart(16, '0')
const hex = (id: CID): string => toHex(digestOf(id))

export const KEY = {
  identity: 'identity',
  /** Events of the own identity, in their order. */
  events: 'identity-events',
  clock: 'clock',
  /** A record by its id, as `kept.ts` lays it out. */
  kept: (id: CID): string => `record/${hex(id)}`,
  /**
   * Entries of the own log that one step appended, by the index of the first. What else a start reads has names that follow
   * these, so that it lies with the newest of them in one table.
   */
  run: (first: number): string => `log/run/${padded(first)}`,
  /** Where the runs of a full bundle of 256 entries begin. */
  runs: (bundle: number): string => `runs/${padded(bundle)}`,
  /** Number of the active own log, once the first is closed. */
  logNumber: 'logs',
  tail: 'log/tail',
  tile: (level: number, index: number): string => `tile/${level}/${padded(index)}`,
  /** For a start: the hashes of the range over all full tiles, and those of the open tiles above the leaves, level after level. */
  rows: 'log/start',
  /** A signed head of the own log with the cosignatures that have come. */
  head: (size: number): string => `head/${padded(size)}`,
  heads: 'head/',
  newestHead: 'log/signed',
  /** The newest own head that anybody may see: where the log has a committee, one that is final (RULES D1). */
  publicHead: 'log/public',
  /** The own committee: in force, named, proposed. */
  seating: 'committee',
  /** Our seat in the committee of a partner's log. */
  seat: (org: string): string => `seat/${org}`,
  seats: 'seat/',
  /** What members hold that the own log does not have. */
  behind: 'behind',
  /** How far entries have come back from mirrors. */
  recovery: 'log/recovery',
  /** Size of the own log up to and with its newest state entry. */
  stated: 'log/stated',
  partner: (org: string): string => `partner/${org}`,
  partners: 'partner/',
  ticket: (secretDigest: Uint8Array): string => `ticket/${toHex(secretDigest)}`,
  tickets: 'ticket/',
  /** Own offers in the order they were made, and offers seen at partners. */
  ownOffer: (madeMs: number, id: CID): string => `offer/own/${padded(madeMs)}/${hex(id)}`,
  ownOffers: 'offer/own/',
  seenOffer: (org: string, id: CID): string => `offer/seen/${org}/${hex(id)}`,
  seenOffers: 'offer/seen/',
  /** Packets of an asset in their order; the value is the packet's id. */
  packetOf: (asset: CID, seq: number): string => `packet/${hex(asset)}/${padded(seq)}`,
  packetsOf: (asset: CID): string => `packet/${hex(asset)}/`,
  /** Totals of an asset: packets and bytes. */
  assetTotals: (asset: CID): string => `asset/${hex(asset)}`,
  assets: 'asset/',
  /** Header block of a content root. */
  root: (root: CID): string => `root/${hex(root)}`,
  roots: 'root/',
  /** Complete agreements by the organisation they are with and the asset: what may be asked for. */
  grant: (org: string, agreement: CID): string => `grant/${org}/${hex(agreement)}`,
  grants: 'grant/',
  /** A machine that has not ended; found again at start. */
  open: (machine: string): string => `open/${machine}`,
  opens: 'open/',
  negotiation: (org: string, id: Uint8Array): string => `negotiation/${org}/${toHex(id)}`,
  negotiations: 'negotiation/',
  transfer: (org: string, id: Uint8Array): string => `transfer/${org}/${toHex(id)}`,
  transfers: 'transfer/',
  /** The newest transfer under an agreement: there is one at a time. */
  transferOf: (agreement: CID): string => `transfer-of/${hex(agreement)}`,
  delivery: (agreement: CID, packet: CID): string => `delivery/${hex(agreement)}/${hex(packet)}`,
  deliveries: 'delivery/',
  deliveriesOf: (agreement: CID): string => `delivery/${hex(agreement)}/`,
  /** What a partner has proven of records in its log; `of` is the id of their list. */
  proofs: (org: string, of: CID): string => `proofs/${org}/${hex(of)}`,
  allProofs: 'proofs/',
  /** A delivery that is over and not proven by the other side's log yet; the value is the partner. */
  unproven: (machine: string): string => `unproven/${machine}`,
  allUnproven: 'unproven/',
  /** The store was put back or copied. */
  restored: 'log/restored',
  /** A holder that was asked to erase a record. */
  redaction: (org: string, record: CID): string => `redaction/${org}/${hex(record)}`,
  redactions: 'redaction/',
  /** Signed words of a partner by which it asked for records to be erased. */
  words: (org: string): string => `words/${org}`,
  catalog: (org: string): string => `catalog/${org}`,
  /** What we hold of a partner's log: newest head seen, and newest head cosigned. */
  watch: (org: string): string => `watch/${org}`,
  /** The proof that a log was forked: it is closed. And the organisations that there is one of. */
  fork: (org: string): string => `fork/${org}`,
  forks: 'forks',
  /** The same of identities. */
  identityFork: (org: string): string => `identity-fork/${org}`,
  identityForks: 'identity-forks',
  /** The events of the own identity that a partner knows and this store does not. */
  identityBehind: 'identity-behind',
  /** The organisation of a log, by the hash of its origin. */
  origin: (hash: string): string => `origin/${hash}`,
  /** The newest head of a partner's log of this number that we mirror, and the prefix under which all lie as own ones would. */
  mirror: (org: string, log: number): string => (log === 0 ? `mirror/${org}` : `mirror/${org}/${log}`),
  mirrors: 'mirror/',
  mirrored: (org: string): string => `mirrored/${org}/`,
  /** What we cosigned of a partner's log. */
  cosigned: (org: string): string => `cosigned/${org}`,
  /** The store was put back: what it promised and cosigned since is not known (put-back.ts). */
  putBack: 'put-back',
  /** A log of another kind that we witness, by the hash of its origin, and how many there are. */
  foreign: (hash: string): string => `foreign/${hash}`,
  foreigns: 'foreign/',
  foreignCount: 'foreign-count',
  /** Witnesses over HTTP that are asked to cosign the own log. */
  stocks: 'stocks',
  /** The one vote of an own seat for a version of an asset's ownership. */
  vote: (committee: CID, asset: CID, version: number): string =>
    `vote/${hex(committee)}/${hex(asset)}/${padded(version)}`,
  /** A name that an owner has registered an asset under, and how many there are; of an own name which asset. */
  registered: (committee: CID, owner: CID, name: string): string =>
    `registered/${hex(committee)}/${hex(owner)}/${name}`,
  registrations: (committee: CID, owner: CID): string => `registrations/${hex(committee)}/${hex(owner)}`,
  /** An asset's committee that is being put together here; what was given to whom for a seat; an own seat; one that was lost. */
  assembling: (id: Uint8Array): string => `assembling/${toHex(id)}`,
  assemblies: 'assembling/',
  given: (org: string, id: Uint8Array): string => `given/${org}/${toHex(id)}`,
  givens: 'given/',
  sitting: (committee: CID): string => `sitting/${hex(committee)}`,
  sittings: 'sitting/',
  lostSeat: (committee: CID, org: string): string => `lost-seat/${hex(committee)}/${org}`,
  /** How many of a partner are kept of committees that are not known here. */
  lostUnknown: (org: string): string => `lost-unknown/${org}`,
  ownLost: 'lost-seats',
  seatEpoch: 'seat-epoch',
  /** The store was found to be behind, and its seats have not ended one by one: until then none of them votes. */
  seatsEnding: 'seats-ending',
  /** How often all seats have ended: a store of before lacks the last time. */
  seatsEnded: 'seats-ended',
  seatsGiven: (org: string): string => `seats-given/${org}`,
  /** A committee of assets with all of its signatures. */
  jury: (committee: CID): string => `jury/${hex(committee)}`,
  juries: 'jury/',
  /** Where the ownership of an asset stands, its certified steps, and how many assets a partner told of. */
  title: (asset: CID): string => `title/${hex(asset)}`,
  titles: 'title/',
  step: (asset: CID, version: number): string => `step/${hex(asset)}/${padded(version)}`,
  titlesOf: (org: string): string => `titles-of/${org}`,
  /** The identity of an organisation that is no partner, as it was shown with a step or a committee that is kept. */
  shown: (org: CID): string => `shown/${hex(org)}`,
  /** The steps of an asset that is offered here are wanted. */
  wanted: (asset: CID): string => `wanted/${hex(asset)}`,
  /** The negotiation for which seats are asked whether a version is the last, by the id that they answer with. */
  freshFor: (id: Uint8Array): string => `fresh-for/${toHex(id)}`,
  /** Two orders of one version, signed by the owner; and the assets that there are some of. */
  frozen: (asset: CID): string => `frozen/${hex(asset)}`,
  frozens: 'frozen/',
  /** An order on its way, and the one that this node signed for a version as its owner. */
  order: (order: CID): string => `order/${hex(order)}`,
  orders: 'order/',
  /** The newest offer of a version that this owner made to this node. */
  offered: (asset: CID, version: number, org: string): string =>
    `offered/${hex(asset)}/${padded(version)}/${org}`,
  signedOrder: (asset: CID, version: number): string => `signed-order/${hex(asset)}/${padded(version)}`,
  /** How many votes this node has cast, and how many its log says. */
  votes: 'votes',
  /** Our submission of heads to a witness. */
  witness: (org: string): string => `witness/${org}`,
  /** A secret, sealed by the driver, by its handle. */
  secret: (handle: string): string => `secret/${handle}`,
  secrets: 'secret/',
  /** The driver destroys the key in this slot as soon as the mark is durable, and then takes the mark away (RULES D7). */
  forget: (slot: number): string => `forget/${padded(slot)}`,
  forgets: 'forget/',
} as const

/** The slot of a mark under `forget/`. */
export const slotOf = (key: string): number => Number(key.slice(KEY.forgets.length))

/** Handles of secrets. */
export const HANDLE = {
  /** The salt of a registration's commitment to the content. */
  registered: (asset: CID): string => `registered/${hex(asset)}`,
  vote: (org: string, id: Uint8Array): string => `vote/${org}/${toHex(id)}`,
  content: (root: CID): string => `content/${hex(root)}`,
  oneTime: (agreement: CID, packet: CID): string => `one-time/${hex(agreement)}/${hex(packet)}`,
} as const
