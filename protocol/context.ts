/** What the peer gives its machines to look at and to ask for, made of what the driver lends it. */
import { equal } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { expand } from '../crypto/hash.ts'
import type { PrivateKey } from '../crypto/key.ts'
import { signRecord } from '../crypto/statement.ts'
import { type Identity, keyOf } from './identity.ts'
import { KEY } from './layout.ts'
import type { Context, Partner } from './machine.ts'
import type { Now, Output } from './output.ts'
import { decodePartner } from './pairing.ts'
import type { KeyRole } from './record.ts'

/** What the driver lends the core: synchronous, and the same for the same store and keys. */
export interface Env {
  self: Context['self']
  get(key: string): Uint8Array | undefined
  /** The home's delegated keys and the admin key; the root is not among them. */
  keys: Record<Exclude<KeyRole, 'root'>, PrivateKey>
  seal: Context['seal']
  witnesses(): CID[]
  addresses(): string[]
  sits(): boolean
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
  const identityOf = (org: CID): Identity | undefined =>
    org.equals(env.self.id) ? env.self.identity : partner(org.toString())?.identity
  return {
    self: env.self,
    now,
    get: env.get,
    partner,
    keys: (org, role) => {
      const identity = identityOf(org)
      return identity && keyOf(identity, role)
    },
    sign: (payload, role, key) => signRecord(payload, role, env.keys[key]),
    noteKey: key => env.keys[key],
    seal: env.seal,
    random: (label, n) => expand(seed, label, n),
    get witnesses() {
      return env.witnesses()
    },
    get addresses() {
      return env.addresses() // libp2p takes its time to gather them
    },
    get sits() {
      return env.sits()
    },
  }
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
