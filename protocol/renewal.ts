/**
 * Renewal of evidence (RULES D6). A cosignature whose key has ended could be a forgery of later, unless a head that is final
 * under keys that stand is shown to extend what it cosigned. Each log's owner can show that of its own log, at any time; whoever
 * holds evidence asks for it before the keys under it end, or after.
 */
import { readU64, text, toHex, utf8 } from '../crypto/bytes.ts'
import { asCid, type CID } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { sha256 } from '../crypto/hash.ts'
import { type Note, parseNote } from '../crypto/note.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { cosigners } from './committee.ts'
import type { ShownCommittees } from './committee-record.ts'
import { ProtocolError } from './error.ts'
import type { ProofReply } from './event.ts'
import { type Evidence, type Found, PARTS, type ReadEvidence, type RenewalPart } from './evidence.ts'
import { cosignerName, identityGenesis, verifyIdentity } from './identity.ts'
import {
  beginChain,
  type Chain,
  everStood,
  extendChain,
  isRefused,
  readChain,
  standingOf,
} from './identity-chain.ts'
import { readEntryAt } from './kept.ts'
import { KEY } from './layout.ts'
import { type Ledger, lastState, loadLedger, proveExtension, provePresence } from './ledger.ts'
import { RENEW_BEFORE_MS } from './limits.ts'
import { type Head, readHead } from './log.ts'
import { closedLog, logNumber } from './log-number.ts'
import { type Context, decodeState } from './machine.ts'
import { isStored, readRecord } from './record.ts'
import { endIn, isExtended } from './successor.ts'
import type { Trust } from './trust.ts'
import { committeesOfOne } from './verify-committees.ts'
import { cosignedBy, wordsOf } from './verify-cosignatures.ts'
import { lastUnder } from './verify-rest.ts'

export type Renewal = Omit<RenewalPart, 'org'>

type Home = Pick<Context, 'self' | 'get' | 'partner' | 'witnesses'>

/** Names under which these organisations cosign with keys that stand for a while yet. */
function standing(chains: Chain[], nowMs: number): Set<string> {
  const names = chains.flatMap(chain => {
    const key = standingOf(chain, 'witness')
    const lasts = key && (key.until ?? Number.POSITIVE_INFINITY) > nowMs + RENEW_BEFORE_MS
    return lasts ? [cosignerName(chain.genesis.id.toString(), key.epoch)] : []
  })
  return new Set(names)
}

/** Identities of those who cosign the own heads. */
export const cosignersOf = (home: Home): Chain[] =>
  cosigners(home).flatMap(org => home.partner(org)?.chain ?? [])

/** Whether a cosignature under a head is by a key of these organisations that has ended, or soon will. */
export function endsSoon(note: Uint8Array, chains: Chain[], nowMs: number): boolean {
  const lasting = standing(chains, nowMs)
  const ever = new Set(
    chains.flatMap(chain =>
      everStood(chain, 'witness').map(({ epoch }) => cosignerName(chain.genesis.id.toString(), epoch)),
    ),
  )
  return parseNote(text(note)).lines.some(({ name }) => ever.has(name) && !lasting.has(name))
}

/**
 * The head from `size` on that has most cosignatures by keys that stand, and the way there: of the own log that is read, or,
 * where that is closed, of one that followed it.
 */
export function renewal(size: number, ledger: Ledger, home: Home, nowMs: number): Renewal | undefined {
  const isClosed = logNumber(home.get) < home.self.chain.logs.length - 1
  const later = isClosed ? throughNext(size, ledger, home, nowMs) : undefined
  return later ?? ofLog(size, ledger, home, nowMs)
}

/** By the log that followed: its first entry names the end of this one. */
function throughNext(size: number, ledger: Ledger, home: Home, nowMs: number): Renewal | undefined {
  const number = logNumber(home.get) + 1
  const get = closedLog(home.get, number)
  const entry = readEntryAt(get, 0)?.entry
  const end = entry && endIn(entry, home.self.chain.logs[number]!)
  if (size === 0 || !end || size > end.size) return undefined
  const next = Object.create(home, { get: { value: get } }) as Home
  const newer = renewal(1, loadLedger(get), next, nowMs)
  if (!newer) return undefined
  const through = [{ entry, path: newer.path }, ...(newer.through ?? [])]
  const { note, state } = newer
  const path = proveExtension(ledger, home.get, size, end.size)
  return { note, path, ...(state ? { state } : {}), through }
}

function ofLog(size: number, ledger: Ledger, home: Home, nowMs: number): Renewal | undefined {
  const stored = home.get(KEY.publicHead) ?? home.get(KEY.newestHead)
  const newest = stored ? readU64(stored)! : 0
  if (size === 0 || size > newest) return undefined
  const names = standing(cosignersOf(home), nowMs)
  const cosigned = cosigners(home).flatMap(org => {
    const stored = home.get(KEY.witness(org))
    return stored ? decodeState<{ size: number }>(stored).size : []
  })
  const heads = [...new Set([newest, ...cosigned])]
    .filter(each => each >= size && each <= newest)
    .flatMap(each => {
      const note = home.get(KEY.head(each))
      return note ? [{ size: each, note, worth: worthOf(parseNote(text(note)), names) }] : []
    })
    .sort((a, b) => b.worth - a.worth || b.size - a.size)
  const [best] = heads
  if (!best || best.worth === 0) return undefined
  const entry = lastState(home.get, best.size)
  const state = entry && { entry, path: provePresence(ledger, home.get, best.size - 1, best.size) }
  const path = proveExtension(ledger, home.get, size, best.size)
  return { note: best.note, path, ...(state ? { state } : {}) }
}

const worthOf = ({ lines }: Note, names: Set<string>): number =>
  lines.filter(({ name }) => names.has(name)).length

/** Identities as they were told with proofs: signed geneses, and events of whichever of them. */
export function chainsIn(identities: Uint8Array[], events: Uint8Array[]): Chain[] {
  return identities.flatMap(each => {
    const genesis = readRecord(identityGenesis, each)
    if (!isStored(genesis)) return []
    const own = events.filter(event => orgOf(event) === genesis.id.toString())
    const chain = readChain(genesis, own)
    return isRefused(chain) ? [] : [chain]
  })
}

/** Whether what a log's owner gives renews a head that is kept of its log: evidence with anything else would be false. */
export function renews(
  note: string,
  given: Pick<ProofReply, 'renewal' | 'witnesses' | 'events' | 'committees'>,
  owner: Chain,
  trust: Trust,
  asOfMs: number,
): boolean {
  const { renewal, witnesses, events } = given
  if (!renewal) return false
  const [older, newer] = [utf8(note), renewal.note].map(each =>
    readHead(each, owner, undefined, { closed: true, revoked: true }),
  ) as [ReturnType<typeof readHead>, ReturnType<typeof readHead>]
  if ('reason' in older || 'reason' in newer) return false
  return (
    isExtended(older, newer, renewal, owner) &&
    identitiesHold(owner, witnesses, events) &&
    isFinal(newer, given, owner, trust, asOfMs)
  )
}

/** Whether those who make a head final have cosigned it with keys that stand. */
function isFinal(
  head: Head,
  { renewal, witnesses, events, committees = [] }: Parameters<typeof renews>[1],
  owner: Chain,
  trust: Trust,
  asOfMs: number,
): boolean {
  const org = owner.genesis.id
  const chains = [owner, ...chainsIn(witnesses, events)]
  const get = (id: string) => chains.find(({ genesis }) => genesis.id.toString() === id)
  const parties = { get, isWhole: () => true }
  const asked = { trust, options: { asOfMs } }
  const later = committeesOfOne(asked, parties, org, committees)
  const named = lastUnder(head, renewal!)
  if (!('value' in later) || (named && 'failed' in named)) return false
  const cosigned = cosignedBy({ ...asked, later: later.value }, parties, org, head, named)
  return 'value' in cosigned && wordsOf(cosigned.value).final
}

/** Whether every identity is signed and every event continues one of them, or that of the log's owner. */
function identitiesHold(owner: Chain, identities: Uint8Array[], events: Uint8Array[]): boolean {
  const chains = new Map([[owner.genesis.id.toString(), beginChain(owner.genesis)]])
  for (const each of identities) {
    const genesis = readRecord(identityGenesis, each)
    if (!isStored(genesis) || verifyIdentity(genesis).ok !== true) return false
    chains.set(genesis.id.toString(), beginChain(genesis))
  }
  return events.every(event => {
    const org = orgOf(event)
    const next = org && chains.get(org) ? extendChain(chains.get(org)!, event) : undefined
    if (!org || !next || isRefused(next)) return false
    chains.set(org, next)
    return true
  })
}

function orgOf(event: Uint8Array): string | undefined {
  try {
    return asCid(decodeSigned(event).p.org)?.toString()
  } catch (error) {
    if (error instanceof CryptoError) return undefined
    throw error
  }
}

/** Size and origin of the head of a side in evidence; nothing when it shows none. */
export function headIn(evidence: ReadEvidence, side: 'provider' | 'consumer'): HeadAt | undefined {
  const found = evidence.part(`${side}Head`)
  return found.is === 'here' ? headAt(found.bytes) : undefined
}

export interface HeadAt {
  origin: string
  size: number
}

export function headAt(note: Uint8Array): HeadAt | undefined {
  const [origin, size] = text(note).split('\n')
  return Number.isSafeInteger(Number(size)) ? { origin: origin!, size: Number(size) } : undefined
}

/** What the owner of one of the two logs gave to renew evidence, or this home itself. */
export interface Given {
  org: CID
  renewal: Renewal
  /** Signed identities of those who cosigned, and the events of their identities and the owner's. */
  witnesses: Uint8Array[]
  events: Uint8Array[]
  committees?: ShownCommittees
}

/** The evidence with newer heads in it, in place of earlier ones. Throws EVIDENCE_MALFORMED for what is not whole. */
export function renewed(read: ReadEvidence, given: Given[]): Evidence {
  const kept = listed(read.renewals).filter(each => !given.some(({ org }) => org.equals(each.org)))
  const parties = [bytesOf(read.part('provider')), bytesOf(read.part('consumer'))].map(hash)
  const witnesses = distinct([...read.witnesses.map(bytesOf), ...given.flatMap(each => each.witnesses)])
  return {
    claim: read.claim,
    parts: Object.fromEntries(
      PARTS.flatMap(name => {
        const found = read.part(name)
        return found.is === 'missing' ? [] : [[name, bytesOf(found)]]
      }),
    ),
    witnesses: witnesses.filter(each => !parties.includes(hash(each))),
    events: distinct([...read.events.map(bytesOf), ...given.flatMap(each => each.events)]),
    entries: listed(read.entries),
    ...(read.redactions.length > 0 ? { redactions: read.redactions.map(bytesOf) } : {}),
    staples: listed(read.staples),
    renewals: [...kept, ...given.map(({ org, renewal }) => ({ org, ...renewal }))],
    ...committeesWith(read, given),
    ...(read.history.length > 0 ? { history: read.history } : {}),
  }
}

/** The committees of each party's logs: as its owner shows them now, else as they were. */
function committeesWith(read: ReadEvidence, given: Given[]): Pick<Evidence, 'committees'> {
  const told = given.filter(({ committees }) => committees)
  const kept = listed(read.committees).filter(each => !told.some(({ org }) => org.equals(each.org)))
  const all = [
    ...kept,
    ...told.flatMap(({ org, committees = [] }) => committees.map(each => ({ org, ...each }))),
  ]
  return all.length > 0 ? { committees: all } : {}
}

const hash = (bytes: Uint8Array): string => toHex(sha256(bytes))

const distinct = (all: Uint8Array[]): Uint8Array[] => [
  ...new Map(all.map(each => [hash(each), each])).values(),
]

function bytesOf(found: Found): Uint8Array {
  if (found.is === 'here') return found.bytes
  throw new ProtocolError('EVIDENCE_MALFORMED', 'a part that the evidence names is not in it')
}

function listed<T extends object>(all: (T | { missing: true } | { broken: string })[]): T[] {
  return all.map(each => {
    if ('missing' in each || 'broken' in each)
      throw new ProtocolError('EVIDENCE_MALFORMED', 'a part that the evidence names is not in it')
    return each as T
  })
}
