/** What the peer gives its machines to look at and to ask for, made of what the driver lends it. */
import { equal } from '../crypto/bytes.ts'
import { decode } from '../crypto/cbor.ts'
import type { CID } from '../crypto/cid.ts'
import { expand } from '../crypto/hash.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { signAgreed } from '../crypto/signing.ts'
import { ProtocolError } from './error.ts'
import { type Chain, keptChain, resolver, standingOf } from './identity-chain.ts'
import { KEY } from './layout.ts'
import type { Context, Partner } from './machine.ts'
import type { Now, Output } from './output.ts'
import { decodePartner } from './pairing.ts'
import type { KeyRole } from './record.ts'
import type { Slots } from './slots.ts'

/** What the driver lends the core: synchronous, and the same for the same store and keys. */
export interface Env {
  /** The own identity as it began; its events are in the store. */
  self: Context['self']
  get(key: string): Uint8Array | undefined
  slots: Slots
  /** The home's delegated keys and the admin key; the root is not among them. */
  keys: Record<Exclude<KeyRole, 'root'>, PrivateKey>
  /** Keys that were drawn to follow: each signs from the event on that names it. */
  drawn?: PrivateKey[]
  seal: Context['seal']
  /** A secret of 32 bytes as the driver keeps it, as a key. */
  seatKey: Context['seatKey']
  /** Own seats from this epoch on have all their votes in the store, as far as anything says. */
  provenFrom(): number
  witnesses(): CID[]
  mirrors(): CID[]
  addresses(): string[]
  sits(): boolean
  /** The size of each own head is a multiple of this; 1 pads nothing. */
  pad: number
}

/** Partners as decoded, beside the bytes that they were decoded from. */
export type KnownPartners = Map<string, { stored: Uint8Array; partner: Partner }>

/** What a step may look at and ask for. */
export function contextOf(known: KnownPartners, seed: Uint8Array, now: Now, env: Env): Context {
  const asked = new Map<string, Partner | undefined>()
  const partner = (org: string) => {
    const before = asked.get(org)
    if (before !== undefined || asked.has(org)) return before
    const found = partnerOf(known, env.get(KEY.partner(org)), org)
    asked.set(org, found)
    return found
  }
  const self = { ...env.self, chain: ownChain(env) }
  const key = (role: Exclude<KeyRole, 'root'>) => privateKey(self.chain, role, env)
  return new StepContext({
    env,
    self,
    now,
    get: env.get,
    partner,
    keys: resolver(org => (org.equals(self.id) ? self.chain : partner(org.toString())?.chain)),
    sign: (payload, role, kind) => signAgreed(payload, role, key(kind)),
    noteKey: key,
    random: (label, n) => expand(seed, label, n),
    staple: () => undefined, // the peer has the log
    late: new Set(), // the peer has that too
  })
}

type Given = Pick<
  Context,
  'self' | 'now' | 'get' | 'partner' | 'keys' | 'sign' | 'noteKey' | 'random' | 'staple' | 'late'
> & { env: Env }

/** All contexts have one shape: what is read of one of many shapes costs ten times as much. */
class StepContext implements Context {
  readonly env: Env
  self: Context['self']
  readonly now: Now
  get: Context['get']
  readonly partner: Context['partner']
  readonly keys: Context['keys']
  readonly sign: Context['sign']
  readonly noteKey: Context['noteKey']
  readonly random: Context['random']
  staple: Context['staple']
  late: Context['late']

  constructor(given: Given) {
    this.env = given.env
    this.self = given.self
    this.now = given.now
    this.get = given.get
    this.partner = given.partner
    this.keys = given.keys
    this.sign = given.sign
    this.noteKey = given.noteKey
    this.random = given.random
    this.staple = given.staple
    this.late = given.late
  }

  get slots() {
    return this.env.slots
  }
  get seal() {
    return this.env.seal
  }
  get seatKey() {
    return this.env.seatKey
  }
  get pad() {
    return this.env.pad
  }
  get provenFrom() {
    return this.get(KEY.seatsEnding) ? Number.POSITIVE_INFINITY : this.env.provenFrom()
  }
  get witnesses() {
    return this.env.witnesses()
  }
  get mirrors() {
    return this.env.mirrors()
  }
  get addresses() {
    return this.env.addresses() // libp2p takes its time to gather them
  }
  get sits() {
    return this.env.sits()
  }
}

/** The context with another identity, or another look at the store. */
export function having(context: Context, { self, get }: Partial<Pick<Context, 'self' | 'get'>>): Context {
  // Of a test: not a copy, which would ask for what the context gets only when it is asked.
  const next = context instanceof StepContext ? new StepContext(context) : (Object.create(context) as Context)
  if (self) next.self = self
  if (get) next.get = get
  return next
}

/** Chains as decoded, by the genesis; beside the events that they were decoded from. */
const chains = new WeakMap<Chain, { stored: Uint8Array; chain: Chain }>()

/** The own identity with the events that the store holds. */
export function ownChain({ self, get }: Pick<Env, 'self' | 'get'>): Chain {
  const stored = get(KEY.events)
  if (!stored) return self.chain
  const known = chains.get(self.chain)
  if (known && equal(known.stored, stored)) return known.chain
  const events = decode(stored, stored.length) as Uint8Array[]
  const chain = keptChain(self.chain.genesis, events)
  chains.set(self.chain, { stored, chain })
  return chain
}

/** The private key of the one that stands; a role whose key was revoked has none to sign with. */
export function privateKey(
  chain: Chain,
  role: Exclude<KeyRole, 'root'>,
  env: Pick<Env, 'keys' | 'drawn'>,
): PrivateKey {
  const key = keyHere(chain, role, env)
  if (!key) throw new ProtocolError('KEY_UNKNOWN', `there is no ${role} key here that stands`)
  return key
}

/** The same, where it is here. */
export function keyHere(
  chain: Chain,
  role: Exclude<KeyRole, 'root'>,
  { keys, drawn = [] }: Pick<Env, 'keys' | 'drawn'>,
): PrivateKey | undefined {
  const standing = standingOf(chain, role)
  return standing && [keys[role], ...drawn].find(each => equal(each.public, standing.key))
}

/** A partner as stored; decoding one costs a signature's worth of time, so it is done once per change. */
function partnerOf(
  partners: KnownPartners,
  stored: Uint8Array | undefined,
  org: string,
): Partner | undefined {
  if (!stored) return undefined
  const known = partners.get(org)
  if (known && equal(known.stored, stored)) return known.partner
  const partner = decodePartner(stored)
  partners.set(org, { stored, partner })
  return partner
}

/** The context with the writes of an output of the same step already visible. */
export function over(context: Context, output: Output): Context {
  if (output.writes.length === 0) return context
  const written = new Map<string, Uint8Array | undefined>()
  for (const { key, value } of output.writes) written.set(key, value)
  const get: Context['get'] = key => {
    const value = written.get(key)
    return value !== undefined || written.has(key) ? value : context.get(key)
  }
  return having(context, { get })
}
