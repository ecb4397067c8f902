/**
 * Proofs that an identity was forked (RULES C1, C2): two events of one number that both continue what came before. Nobody but
 * the holder of its keys can make them, and whoever holds the proof can say so from the file alone. The first that a node
 * knew stays what it goes by; the proof is kept, told once to partners, and shown.
 */
import { compare, equal } from '../crypto/bytes.ts'
import { encode, type Value } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { isNamed, readDocument } from './document.ts'
import { ProtocolError } from './error.ts'
import {
  accused,
  codeOf,
  type Fork,
  isKept,
  keepProof,
  nothingIn,
  proofsKept,
  readFork,
  toTell,
  unproven,
} from './fork.ts'
import {
  type Chain,
  eventsOf,
  extendChain,
  isIdentityFork,
  isRefused,
  keptChain,
  numberOf,
  shownChain,
} from './identity-chain.ts'
import { KEY } from './layout.ts'
import { MAX_EVENT_BYTES, MAX_FORK_BYTES, MAX_IDENTITY_EVENTS, MAX_RECORD_BYTES } from './limits.ts'
import type { Context } from './machine.ts'
import { join, nothing, type Output } from './output.ts'
import type { Unread } from './record.ts'
import { blob, type Infer, list, object, text as word } from './shape.ts'

const event = blob(MAX_EVENT_BYTES)
const shape = object({
  t: word(32),
  /** Signed genesis of the identity, and its events before the two. */
  identity: blob(MAX_RECORD_BYTES),
  events: list(event, MAX_IDENTITY_EVENTS),
  /** The two events of one number, in the order of their bytes: one fork has one proof. */
  one: event,
  other: event,
})

type Proof = Infer<typeof shape>

const TYPE = 'identity-fork/1'

/** Whom a proof convicts, and of which number there are two events. */
export interface IdentityFork {
  org: CID
  name: string
  n: number
  /** Both name the next log: two successors of one log. */
  isSuccession: boolean
}

/** Checks a proof: whom it convicts, or why nobody; of a version that is not known nobody here can tell. */
export function readIdentityFork(proof: Uint8Array): IdentityFork | Unread {
  const read = readProof(proof)
  if ('reason' in read) return read
  const before = shownChain(read.identity, read.events)
  if ('reason' in before) return before
  if (compare(read.one, read.other) >= 0) return nothingIn('the two events are not in order')
  if (!isIdentityFork(before, read.one, read.other))
    return nothingIn('the two events are not both of one number')
  const logs = [read.one, read.other].map(each => (extendChain(before, each) as Chain).logs.length)
  const isSuccession = logs.every(each => each > before.logs.length)
  const { id, payload } = before.genesis
  return { org: id, name: payload.name, n: before.events.length + 1, isSuccession }
}

const readProof = (proof: Uint8Array): Proof | Unread => readDocument(proof, MAX_FORK_BYTES, TYPE, shape)

/** Whether a proof says that it is of an identity, and of no log. */
export const isOfIdentity = (proof: Uint8Array): boolean => isNamed(proof, MAX_FORK_BYTES, TYPE)

/** A proof of either kind. */
export const readEitherFork = (proof: Uint8Array): Fork | IdentityFork | Unread =>
  isOfIdentity(proof) ? readIdentityFork(proof) : readFork(proof)

/** The proof that what is told of an identity contradicts what is known of it; nothing where it does not. */
export function proveIdentityFork(known: Chain, told: Uint8Array[]): Uint8Array | undefined {
  for (const each of told) {
    const step = extendChain(known, each)
    if (!isRefused(step) || step.code !== 'IDENTITY_FORKED') continue
    // Both hold in the same place, so they have one number: that of the first that is not the same.
    const n = known.events.findIndex((_, i) => isIdentityFork(upTo(known, i), known.events[i]!.bytes, each))
    if (n < 0) continue
    const [one, other] = [known.events[n]!.bytes, each].sort(compare)
    const identity = known.genesis.bytes
    return encode({ t: TYPE, identity, events: eventsOf(known).slice(0, n), one, other } as unknown as Value)
  }
  return undefined
}

const upTo = ({ genesis, events }: Chain, n: number): Chain =>
  keptChain(
    genesis,
    events.slice(0, n).map(each => each.bytes),
  )

/** What is told contradicts what is known: the proof is kept. */
export function convict(known: Chain, told: Uint8Array[], context: Context): Output {
  const proof = proveIdentityFork(known, told)
  const fork = proof && readIdentityFork(proof)
  return fork && !('reason' in fork) ? keep(fork, proof, context) : nothing()
}

/**
 * The same of what a message tells of identities in passing: of each that is known here, and of whose fork there is no proof
 * yet, the first event that is another than the one of its number. So a message costs one check an identity.
 */
export function contradicted(told: Uint8Array[], context: Context): Output {
  const { self, get, partner } = context
  const seen = new Set<string>()
  const output = told.map(event => {
    const { org, n } = numberOf(event) ?? {}
    const name = String(org)
    const chain = name === self.org ? self.chain : partner(name)?.chain
    const held = n && chain?.events[n - 1]?.bytes
    if (!held || equal(held, event) || seen.has(name) || get(KEY.identityFork(name))) return nothing()
    seen.add(name)
    return convict(chain, [event], context)
  })
  return join(...output)
}

/** The proofs that are here, to be told. */
export const identityForksKnown = (context: Pick<Context, 'get'>): Uint8Array[] =>
  toTell(forkedIdentities(context))

/** Every identity that is proven to be forked. */
export const forkedIdentities = (context: Pick<Context, 'get'>): ReturnType<typeof proofsKept> =>
  proofsKept(KEY.identityForks, KEY.identityFork, context)

function keep({ org, n }: IdentityFork, proof: Uint8Array, context: Context): Output {
  const name = org.toString()
  const place = { one: KEY.identityFork(name), all: KEY.identityForks }
  const { writes, isNew } = keepProof(place, name, { proof, size: n }, context)
  return { ...nothing(), writes, events: isNew ? [{ type: 'identity-forked', org: name, n }] : [] }
}

/** A partner tells of a fork: looked at only when it says something new of somebody who is known here. */
export function identityForkTold(from: string, proof: Uint8Array, context: Context): Output {
  const read = readProof(proof)
  if ('reason' in read) return read.ok === 'unknown' ? unproven(from, read) : nothing()
  const org = accused(read)
  if (org === undefined || !isConcern(org, context) || isKept(KEY.identityFork(org), proof, context))
    return nothing()
  const fork = readIdentityFork(proof)
  return 'reason' in fork ? unproven(from, fork) : keep(fork, proof, context)
}

/** A proof that the operator found. Throws FORK_UNPROVEN, UNKNOWN_VERSION. */
export function identityForkFound(proof: Uint8Array, context: Context): Output {
  const fork = readIdentityFork(proof)
  if ('reason' in fork) throw new ProtocolError(codeOf(fork), fork.reason)
  if (!isConcern(fork.org.toString(), context))
    throw new ProtocolError('FORK_UNPROVEN', 'it is of no identity that is known here')
  return keep(fork, proof, context)
}

const isConcern = (org: string, { self, partner }: Context): boolean =>
  org === self.org || partner(org) !== undefined
