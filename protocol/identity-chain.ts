/**
 * The identity chain (RULES C1): numbered events after the genesis, each linked to the one before. `rotate/1` replaces the
 * root and admin keys by those that were committed to beforehand; `delegate/1` names log, operation, witness and node keys
 * and revokes some. A key stands once, for ever: one that ended never comes back. Two events of one number, both signed as
 * the chain asks, prove that an identity was forked.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { verifyCosignature } from '../crypto/checkpoint.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { type PrivateKey, thumbprint } from '../crypto/key.ts'
import type { Note } from '../crypto/note.ts'
import { encodeSigned, type Payload, type Signature, signRecord } from '../crypto/statement.ts'
import type { ProtocolCode } from './error.ts'
import {
  cosignerName,
  DELEGATED,
  type Delegated,
  delegation,
  type Identity,
  identityGenesis,
  isDelegated,
  publicKey,
  verifyIdentity,
} from './identity.ts'
import { MAX_EVENT_BYTES, MAX_IDENTITY_EVENTS } from './limits.ts'
import { logAfter } from './log-genesis.ts'
import {
  isStored,
  type KeyResolver,
  type KeyRole,
  type RecordType,
  readRecord,
  recordType,
  type Stored,
  type Unread,
  verifySignatures,
} from './record.ts'
import { bytes, type Infer, link, list, object, optional, text, uint } from './shape.ts'

const common = { t: text(32), org: link, n: uint, prev: link, made: uint }
/** A key and the thumbprint of the one that will follow it. */
const committed = optional(object({ key: publicKey, next: bytes(32) }))

const rotateShape = object({ ...common, root: committed, admin: committed })
export type Rotate = Infer<typeof rotateShape>
export const rotate = recordType({
  t: 'rotate/1',
  shape: rotateShape,
  signers: { root: { org: 'org', key: 'root' }, admin: { org: 'org', key: 'admin' } },
  rule: ({ root, admin }) => (root || admin ? undefined : 'rotate/1 names no key'),
})

const delegateShape = object({
  ...common,
  keys: object({
    log: optional(delegation),
    operation: optional(delegation),
    witness: optional(delegation),
    node: optional(delegation),
  }),
  /** Thumbprints of delegated keys that are no good from here on. */
  revoke: optional(list(bytes(32), DELEGATED.length)),
  /** Genesis of the log that is the active one from here on (RULES C2). */
  log: optional(link),
})
export type Delegate = Infer<typeof delegateShape>
export const delegate = recordType({
  t: 'delegate/1',
  shape: delegateShape,
  signers: Object.fromEntries(
    (['admin', ...DELEGATED] as const).map(key => [key, { org: 'org', key }]),
  ) as Record<'admin' | Delegated, { org: string; key: KeyRole }>,
  rule: ({ keys, revoke, log }) =>
    Object.keys(keys).length > 0 || revoke?.length || log ? undefined : 'delegate/1 changes nothing',
})

type IdentityEvent = Rotate | Delegate

/** A key that stood: from event `epoch` on, 0 being the genesis, until event `ended`. */
export interface Standing {
  role: KeyRole
  key: Uint8Array
  epoch: number
  /** When a delegated key ends by itself, ms since 1970. */
  until?: number
  /** Number of the event that put another in its place, or revoked it. */
  ended?: number
  /** Number of the event that revoked it. */
  revoked?: number
}

export interface Chain {
  genesis: Stored<Identity>
  events: Stored<IdentityEvent>[]
  /** Id of the last event; that of the genesis when there is none. */
  last: CID
  keys: Standing[]
  /** Thumbprints of the keys that follow. */
  rootNext: Uint8Array
  adminNext: Uint8Array
  /** Ids of its logs by their number; the last is the active one. */
  logs: CID[]
}

/** Why an event does not continue a chain. */
export interface Refused {
  code: Extract<
    ProtocolCode,
    | 'RECORD_INVALID'
    | 'SIGNATURE_INVALID'
    | 'UNKNOWN_VERSION'
    | 'EVENT_SKIPPED'
    | 'EVENT_UNLINKED'
    | 'EVENT_REPLAYED'
    | 'IDENTITY_FORKED'
    | 'KEY_UNCOMMITTED'
    | 'KEY_REUSED'
    | 'KEY_UNKNOWN'
    | 'QUOTA_EXCEEDED'
  >
  reason: string
}
const refused = (code: Refused['code'], reason: string): Refused => ({ code, reason })
export const isRefused = (step: object): step is Refused => 'code' in step && 'reason' in step

/** The chain of a genesis that was checked. */
export function beginChain(genesis: Stored<Identity>): Chain {
  const { root, admin, rootNext, adminNext, keys } = genesis.payload
  const standing: Standing[] = [
    { role: 'root', key: root.k, epoch: 0 },
    { role: 'admin', key: admin.k, epoch: 0 },
    ...DELEGATED.map(role => ({ role, key: keys[role].k, until: keys[role].until, epoch: 0 })),
  ]
  const logs = [logAfter(genesis, [])]
  return { genesis, events: [], last: genesis.id, keys: standing, rootNext, adminNext, logs }
}

/** The chain with one more event, or why it is none. Nothing is changed in the chain given. */
export function extendChain(chain: Chain, eventBytes: Uint8Array): Chain | Refused {
  const read = readEvent(eventBytes)
  if (isRefused(read)) return read
  const misplaced = place(chain, read)
  if (misplaced) return misplaced
  const wrong = check(chain, read)
  return wrong ?? applied(chain, read)
}

/** A chain whose events were checked before they were kept. */
export function keptChain(genesis: Stored<Identity>, events: Uint8Array[]): Chain {
  return events.reduce(
    (chain, each) => applied(chain, readEvent(each) as Stored<IdentityEvent>),
    beginChain(genesis),
  )
}

/** A genesis that was checked with all of its events; the first that does not continue refuses them. */
export function readChain(genesis: Stored<Identity>, events: Uint8Array[]): Chain | Refused {
  return further(beginChain(genesis), events)
}

/** The chain of an identity as a document shows it; else why it is none, or that the version of a part is not known. */
export function shownChain(identity: Uint8Array, events: Uint8Array[]): Chain | Unread {
  const genesis = readRecord(identityGenesis, identity)
  if (!isStored(genesis)) return genesis
  const verdict = verifyIdentity(genesis)
  if (verdict.ok !== true) return verdict
  const chain = readChain(genesis, events)
  if (!isRefused(chain)) return chain
  return { ok: chain.code === 'UNKNOWN_VERSION' ? 'unknown' : false, reason: chain.reason }
}

/** What somebody tells of an identity beside what is known of it: a longer chain, the same, or a contradiction. */
export function further(known: Chain, events: Uint8Array[]): Chain | Refused {
  let chain = known
  for (const [i, each] of events.entries()) {
    const held = chain.events[i]
    if (held && equal(held.bytes, each)) continue
    const next = extendChain(chain, each)
    if (isRefused(next)) {
      if (next.code !== 'EVENT_REPLAYED') return next
    } else chain = next
  }
  return chain
}

/** The chain as it was when the event with this digest was the last; `undefined` for one that is not in it. */
export function chainAt(chain: Chain, digest: Uint8Array): Chain | undefined {
  const { genesis, events } = chain
  if (equal(digestOf(genesis.id), digest)) return beginChain(genesis)
  const at = events.findIndex(({ id }) => equal(digestOf(id), digest))
  return at < 0 ? undefined : events.slice(0, at + 1).reduce(applied, beginChain(genesis))
}

/** The events of a chain as they are kept and told. */
export const eventsOf = (chain: Chain): Uint8Array[] => chain.events.map(each => each.bytes)

/** The key that stands for a role now, expired or not. */
export const standingOf = (chain: Chain, role: KeyRole): Standing | undefined =>
  chain.keys.find(each => each.role === role && each.ended === undefined)

/** Whether a delegated key is past the date that it was given: nothing new is signed with it. */
export const isPast = ({ until }: Pick<Standing, 'until'>, wallMs: number): boolean =>
  until !== undefined && until <= wallMs

/** The same of the key that stands for a role. */
export function isExpired(chain: Chain, role: KeyRole, wallMs: number): boolean {
  const standing = standingOf(chain, role)
  return standing !== undefined && isPast(standing, wallMs)
}

/** Every key that ever stood for a role, the newest first. */
export const everStood = (chain: Chain, role: KeyRole): Standing[] =>
  chain.keys.filter(each => each.role === role).reverse()

/** The key that a signature names, if it stood for the role and is not revoked. */
export const signerOf = (chain: Chain, role: KeyRole, named: Uint8Array): Standing | undefined =>
  everStood(chain, role).find(each => each.revoked === undefined && equal(thumbprint(each.key), named))

/**
 * Keys of the organisations that are known. What a replaced key signed still holds, for records travel long after they
 * were signed; a revoked one signs nothing any more.
 */
export const resolver =
  (find: (org: CID) => Chain | undefined): KeyResolver =>
  (org, role, named) => {
    const chain = find(org)
    return chain && (signerOf(chain, role, named) ?? standingOf(chain, role))?.key
  }

/**
 * Keys as evidence names them: every one that ever stood, for what a revoked key is worth is a question of its own. Where
 * events are missing, a key that is not known is unknown, not wrong.
 */
export const everyKey =
  (find: (org: CID) => Chain | undefined, isWhole: (org: CID) => boolean): KeyResolver =>
  (org, role, named) => {
    const chain = find(org)
    if (!chain) return undefined
    const stood = everStood(chain, role)
    const found = stood.find(each => equal(thumbprint(each.key), named))
    return found?.key ?? (isWhole(org) ? stood[0]?.key : undefined)
  }

/** Whether `node` is the libp2p key of this identity now. */
export function isNodeKey(chain: Chain, node: Uint8Array): boolean {
  const standing = standingOf(chain, 'node')
  return standing !== undefined && equal(standing.key, node)
}

/** The name and key under which an organisation cosigns now. */
export function cosignerOf(chain: Chain): { name: string; key: Uint8Array } | undefined {
  const standing = standingOf(chain, 'witness')
  return standing && { name: cosignerName(chain.genesis.id.toString(), standing.epoch), key: standing.key }
}

/** Every name under which an organisation has cosigned. */
export const cosignerNames = (chain: Chain): string[] =>
  everStood(chain, 'witness').map(each => cosignerName(chain.genesis.id.toString(), each.epoch))

/** The cosignature of an organisation in a note, by whichever of its keys that is not revoked. */
export function cosignatureOf(chain: Chain, note: Note): { standing: Standing; timeS: number } | undefined {
  for (const standing of everStood(chain, 'witness')) {
    const name = cosignerName(chain.genesis.id.toString(), standing.epoch)
    const line = note.lines.find(each => each.name === name)
    const held =
      line && standing.revoked === undefined && verifyCosignature(note.body, line, name, standing.key)
    if (held) return { standing, timeS: held.timeS }
  }
  return undefined
}

/** Two events of one number that both continue the chain before it: nobody but the holder of its keys can make them. */
export function isIdentityFork(before: Chain, a: Uint8Array, b: Uint8Array): boolean {
  const [one, other] = [extendChain(before, a), extendChain(before, b)]
  return !isRefused(one) && !isRefused(other) && !one.last.equals(other.last)
}

/** Whose event this says to be, and of which number. */
export function numberOf(eventBytes: Uint8Array): { org: CID; n: number } | undefined {
  const event = readEvent(eventBytes)
  return isRefused(event) ? undefined : event.payload
}

function readEvent(eventBytes: Uint8Array): Stored<IdentityEvent> | Refused {
  if (eventBytes.length > MAX_EVENT_BYTES)
    return refused('RECORD_INVALID', `an event of ${eventBytes.length} bytes`)
  const read = readRecord<IdentityEvent>(rotate as RecordType<IdentityEvent>, eventBytes)
  const event = isStored(read)
    ? read
    : readRecord<IdentityEvent>(delegate as RecordType<IdentityEvent>, eventBytes)
  if (isStored(event)) return event
  const unknown = [read, event].find(each => !isStored(each) && each.ok === 'unknown') as { reason: string }
  if (unknown) return refused('UNKNOWN_VERSION', unknown.reason)
  const isRotate = !isStored(read) && !read.reason.includes('is not rotate/1')
  return refused('RECORD_INVALID', isRotate ? read.reason : event.reason)
}

/** Whether an event stands where it says: of this organisation, the next number, linked to the last. */
function place(chain: Chain, event: Stored<IdentityEvent>): Refused | undefined {
  const { payload, id } = event
  const next = chain.events.length + 1
  if (!payload.org.equals(chain.genesis.id))
    return refused('RECORD_INVALID', 'the event is of another organisation')
  if (payload.n > next) return refused('EVENT_SKIPPED', `event ${payload.n} comes after ${next - 1}`)
  if (payload.n < next) return earlier(chain, event)
  if (!payload.prev.equals(chain.last))
    return refused('EVENT_UNLINKED', `event ${payload.n} does not follow the last one known`)
  return next > MAX_IDENTITY_EVENTS
    ? refused('QUOTA_EXCEEDED', `an identity has at most ${MAX_IDENTITY_EVENTS} events; ${id} is one more`)
    : undefined
}

/** An event of a number that is taken: the same one again, or the second of a fork. */
function earlier(chain: Chain, { payload, id, bytes: eventBytes }: Stored<IdentityEvent>): Refused {
  const { n } = payload
  if (n === 0) return refused('RECORD_INVALID', 'events are numbered from 1')
  const known = chain.events[n - 1]!
  if (known.id.equals(id)) return refused('EVENT_REPLAYED', `event ${n} is known already`)
  const before = keptChain(chain.genesis, eventsOf(chain).slice(0, n - 1))
  return isIdentityFork(before, known.bytes, eventBytes)
    ? refused('IDENTITY_FORKED', `there are two events ${n} of ${chain.genesis.payload.name}`)
    : refused('EVENT_REPLAYED', `event ${n} is taken, and this one does not hold in its place`)
}

function check(chain: Chain, event: Stored<IdentityEvent>): Refused | undefined {
  const { payload } = event
  const wrong = isRotation(payload)
    ? uncommitted(chain, payload)
    : (unlinked(chain, payload) ?? unknownKey(chain, payload))
  if (wrong) return wrong
  const used = reused(chain, payload)
  if (used) return used
  const roles = rolesOf(payload)
  const verdict = verifySignatures<IdentityEvent>(typeOf(payload), event, signersOf(chain, payload), roles)
  return verdict.ok === true ? undefined : refused('SIGNATURE_INVALID', verdict.reason)
}

const isRotation = (payload: IdentityEvent): payload is Rotate => payload.t === rotate.t
const typeOf = (payload: IdentityEvent) =>
  (isRotation(payload) ? rotate : delegate) as RecordType<IdentityEvent>

/** A rotation is signed by the key that was committed to; under a new root the admin key is free. */
function uncommitted({ rootNext, adminNext }: Chain, { root, admin }: Rotate): Refused | undefined {
  const [held, next] = root ? [root, rootNext] : [admin!, adminNext]
  return equal(thumbprint(held.key.k), next)
    ? undefined
    : refused('KEY_UNCOMMITTED', `the new ${root ? 'root' : 'admin'} key is not the one committed to`)
}

/** A log that is named is the one behind the active one: a successor has no freedom either. */
function unlinked({ genesis, logs }: Chain, { log }: Delegate): Refused | undefined {
  return !log || log.equals(logAfter(genesis, logs))
    ? undefined
    : refused('EVENT_UNLINKED', 'the log named is not the successor of the active one')
}

/** What is revoked is a delegated key that stood and is not revoked yet. */
function unknownKey(chain: Chain, { revoke = [] }: Delegate): Refused | undefined {
  const names = new Set(revoke.map(toHex))
  if (names.size < revoke.length) return refused('KEY_UNKNOWN', 'a key is revoked twice')
  const open = chain.keys.filter(each => isDelegated(each.role) && each.revoked === undefined)
  for (const each of open) names.delete(toHex(thumbprint(each.key)))
  return names.size === 0
    ? undefined
    : refused('KEY_UNKNOWN', `there is no key ${[...names][0]!.slice(0, 16)}… to revoke`)
}

/** A key stands once (RULES B3), also one that is only committed to. */
function reused(chain: Chain, payload: IdentityEvent): Refused | undefined {
  const taken = new Set(chain.keys.map(each => toHex(thumbprint(each.key))))
  const fresh = (print: Uint8Array) => {
    const name = toHex(print)
    return taken.size < taken.add(name).size
  }
  const named = Object.values(namedIn(payload)).map(key => thumbprint(key.k))
  const next = isRotation(payload)
    ? [payload.root?.next ?? chain.rootNext, payload.admin?.next ?? chain.adminNext]
    : [chain.rootNext, chain.adminNext]
  return [...named, ...next].every(fresh) ? undefined : refused('KEY_REUSED', 'a key stands twice')
}

/** The public keys that an event brings, by role. */
function namedIn(payload: IdentityEvent): Partial<Record<KeyRole, { k: Uint8Array; until?: number }>> {
  if (!isRotation(payload)) return payload.keys
  const { root, admin } = payload
  return { ...(root ? { root: root.key } : {}), ...(admin ? { admin: admin.key } : {}) }
}

/** Each key signs itself in; a delegation also needs the admin key that stands. */
function rolesOf(payload: IdentityEvent): string[] {
  const named = namedIn(payload)
  const order = Object.keys(typeOf(payload).signers) as KeyRole[]
  return order.filter(role => named[role] || (role === 'admin' && !isRotation(payload)))
}

const signersOf =
  (chain: Chain, payload: IdentityEvent): KeyResolver =>
  (_org, role) =>
    namedIn(payload)[role]?.k ?? standingOf(chain, role)?.key

function applied(chain: Chain, event: Stored<IdentityEvent>): Chain {
  const { payload } = event
  const { n } = payload
  const named = namedIn(payload)
  const revoked = new Set(isRotation(payload) ? [] : (payload.revoke ?? []).map(toHex))
  const keys = chain.keys.map(each => {
    const isRevoked = isDelegated(each.role) && revoked.has(toHex(thumbprint(each.key)))
    if (!isRevoked && (each.ended !== undefined || !named[each.role])) return each
    return { ...each, ended: each.ended ?? n, ...(isRevoked ? { revoked: n } : {}) }
  })
  for (const [role, { k, until }] of Object.entries(named))
    keys.push({ role: role as KeyRole, key: k, epoch: n, ...(until === undefined ? {} : { until }) })
  const { root, admin } = isRotation(payload) ? payload : {}
  const log = isRotation(payload) ? undefined : payload.log
  return {
    genesis: chain.genesis,
    events: [...chain.events, event],
    last: event.id,
    keys,
    rootNext: root?.next ?? chain.rootNext,
    adminNext: admin?.next ?? chain.adminNext,
    logs: log ? [...chain.logs, log] : chain.logs,
  }
}

// Making events.

/** A rotation, signed by the keys that it names; each with the key whose thumbprint is committed to next. */
export function makeRotate(
  chain: Chain,
  keys: Partial<Record<'root' | 'admin', { key: PrivateKey; next: PrivateKey }>>,
  madeMs: number,
): Uint8Array {
  const named = Object.entries(keys).map(([role, { key, next }]) => [
    role,
    { key: { a: 1, k: key.public }, next: thumbprint(next.public) },
  ])
  const payload = { ...nextOf(chain, 'rotate/1', madeMs), ...Object.fromEntries(named) }
  return sealed(
    payload,
    (['root', 'admin'] as const).flatMap(role => {
      const held = keys[role]
      return held ? [signRecord(payload, role, held.key)] : []
    }),
  )
}

/** A delegation, signed by the admin key and by each key delegated in it. */
export function makeDelegate(
  chain: Chain,
  admin: PrivateKey,
  about: {
    keys?: Partial<Record<Delegated, { key: PrivateKey; untilMs: number }>>
    revoke?: Uint8Array[]
    /** The active log is closed, and its successor goes on. */
    succeeds?: boolean
  },
  madeMs: number,
): Uint8Array {
  const named = DELEGATED.flatMap(role => {
    const held = about.keys?.[role]
    return held ? [{ role, ...held }] : []
  })
  const keys = named.map(({ role, key, untilMs }) => [role, { a: 1, k: key.public, until: untilMs }])
  const payload = {
    ...nextOf(chain, 'delegate/1', madeMs),
    keys: Object.fromEntries(keys),
    ...(about.revoke?.length ? { revoke: about.revoke } : {}),
    ...(about.succeeds ? { log: logAfter(chain.genesis, chain.logs) } : {}),
  }
  return sealed(payload, [
    signRecord(payload, 'admin', admin),
    ...named.map(({ role, key }) => signRecord(payload, role, key)),
  ])
}

const nextOf = (chain: Chain, t: string, made: number): Payload => ({
  t,
  org: chain.genesis.id,
  n: chain.events.length + 1,
  prev: chain.last,
  made,
})

const sealed = (p: Payload, s: Signature[]): Uint8Array => encodeSigned({ p, s })

/** The last event that ended a key which signs records, logs or cosignatures; nothing when none did. */
export function lastEnding({ keys, events }: Chain): { n: number; event: string } | undefined {
  const n = Math.max(
    0,
    ...keys.map(({ role, ended, revoked }) => (role === 'node' ? 0 : (revoked ?? ended ?? 0))),
  )
  const event = events[n - 1]?.id.toString()
  return event === undefined ? undefined : { n, event }
}
