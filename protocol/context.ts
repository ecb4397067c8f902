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
  /** Nothing says that the store is older than what ran here last. */
  current(): boolean
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
    if (!asked.has(org)) asked.set(org, partnerOf(known, env.get(KEY.partner(org)), org))
    return asked.get(org)
  }
  const self = { ...env.self, chain: ownChain(env) }
  const key = (role: Exclude<KeyRole, 'root'>) => privateKey(self.chain, role, env)
  return {
    self,
    now,
    get: env.get,
    slots: env.slots,
    partner,
    keys: resolver(org => (org.equals(self.id) ? self.chain : partner(org.toString())?.chain)),
    sign: (payload, role, kind) => signAgreed(payload, role, key(kind)),
    noteKey: key,
    seal: env.seal,
    seatKey: env.seatKey,
    pad: env.pad,
    random: (label, n) => expand(seed, label, n),
    staple: () => undefined, // the peer has the log
    late: new Set(), // the peer has that too
    get current() {
      return env.current()
    },
    get witnesses() {
      return env.witnesses()
    },
    get mirrors() {
      return env.mirrors()
    },
    get addresses() {
      return env.addresses() // libp2p takes its time to gather them
    },
    get sits() {
      return env.sits()
    },
  }
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
  const written = new Map(output.writes.map(write => [write.key, write.value]))
  // Not a copy: that would ask for what the context gets only when it is asked.
  const get: Context['get'] = key => (written.has(key) ? written.get(key) : context.get(key))
  return Object.create(context, { get: { value: get } }) as Context
}
