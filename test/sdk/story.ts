/** Evidence of one delivery and of its consent, made by three participants in memory. */

import { readU64 } from '../../crypto/bytes.ts'
import type { CID } from '../../crypto/cid.ts'
import { expand } from '../../crypto/hash.ts'
import { decodeSigned, recordId } from '../../crypto/statement.ts'
import type { Answer } from '../../protocol/command.ts'
import type { Delivery } from '../../protocol/delivery.ts'
import { type Claim, type EntryPart, formatEvidence, type PartName } from '../../protocol/evidence.ts'
import { newestHead } from '../../protocol/heads.ts'
import { HANDLE, KEY } from '../../protocol/layout.ts'
import { provePresence, readEntryAt } from '../../protocol/ledger.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Negotiation } from '../../protocol/negotiation.ts'
import { PROFILE } from '../../protocol/policy.ts'
import { TRUST_SCHEMA, type TrustFile } from '../../protocol/trust.ts'
import { type Member, START_MS, World } from '../protocol/world.ts'

export interface Story {
  content: Uint8Array
  delivery: Uint8Array
  consent: Uint8Array
  trust: TrustFile
  /** A time within the agreement. */
  asOfMs: number
}

/** Acme delivers one packet to Bolt; Cole witnesses both logs unless it is away. */
export function tellStory(options: { witnessed?: boolean; content?: Uint8Array } = {}): Story {
  const world = new World()
  const [acme, bolt, cole] = [world.add('Acme Steel'), world.add('Bolt GmbH'), world.add('Cole Logistics')]
  for (const member of [acme, bolt]) {
    world.pair(member, cole)
    member.witnesses = [cole.env.self.id]
  }
  cole.up = options.witnessed !== false
  world.pair(acme, bolt)
  world.run(1_000)
  const content = options.content ?? new TextEncoder().encode('time,kW\n0,17\n1,19\n')
  const agreement = agree(world, acme, bolt, content)
  bolt.input({ type: 'transfer', org: acme.org, agreement })
  world.run(10_000)
  const [delivery] = bolt.stateOf('delivery/', stored => decodeState<Delivery>(stored))
  if (delivery?.state !== 'DONE') throw new Error(`the delivery is ${delivery?.state}`)
  const witness = cole.env.self
  return {
    content,
    delivery: bundle(acme, bolt, delivery, 'delivery', [witness.identityBytes]),
    consent: bundle(acme, bolt, delivery, 'consent', [witness.identityBytes]),
    trust: trustOf([acme, bolt, cole], witness.org),
    asOfMs: START_MS + 60_000,
  }
}

function agree(world: World, acme: Member, bolt: Member, content: Uint8Array): CID {
  const packets = [acme.draft('energy.csv', content)]
  const about = { title: 'energy', domain: 'production', level: 'general' as const }
  const published = acme.input({ type: 'publish', ...about, packets }) as Extract<
    Answer,
    { type: 'published' }
  >
  const policy = { profile: PROFILE, prohibitions: [], permissions: [{ action: 'analyse', constraints: [] }] }
  const terms = {
    asset: published.asset,
    audience: [],
    approval: 'policy' as const,
    untilMs: START_MS + 1e10,
    policy,
  }
  const offered = acme.input({ type: 'offer', ...terms }) as Extract<Answer, { type: 'offered' }>
  bolt.input({ type: 'catalog', org: acme.org })
  world.run(1_000)
  const use = { action: 'analyse', purpose: 'benchmark' }
  const asked = bolt.input({ type: 'request', org: acme.org, offer: offered.offer, ...use })
  world.run(3_000)
  const { machine } = asked as Extract<Answer, { type: 'machine' }>
  return decodeState<Negotiation>(bolt.store.get(machine)!).agreementId!
}

function bundle(
  acme: Member,
  bolt: Member,
  delivery: Delivery,
  type: Claim['type'],
  witnesses: Uint8Array[],
): Uint8Array {
  const at = (member: Member, id: CID) => member.store.get(KEY.record(id))!
  const agreed = at(bolt, delivery.agreement)
  const { offer, asset } = decodeSigned(agreed).p as unknown as { offer: CID; asset: CID }
  const common: Partial<Record<PartName, Uint8Array>> = {
    provider: acme.env.self.identityBytes,
    consumer: bolt.env.self.identityBytes,
    asset: at(acme, asset),
    offer: at(acme, offer),
    agreement: agreed,
    providerHead: newestHead(acme.env.get)!.note,
    consumerHead: newestHead(bolt.env.get)!.note,
  }
  const delivered: Partial<Record<PartName, Uint8Array>> = {
    packet: at(acme, delivery.packet),
    root: acme.store.get(KEY.root(delivery.root))!,
    received: delivery.receipt!,
    release: delivery.release!,
    opened: delivery.second!,
    salt: bolt.secrets.get(HANDLE.content(delivery.root))!.slice(32),
  }
  const parts = type === 'delivery' ? { ...common, ...delivered } : common
  const entries = [
    ...entriesOf(acme, parts, type === 'delivery' ? ['packet', 'agreement', 'release'] : ['agreement']),
    ...entriesOf(bolt, parts, type === 'delivery' ? ['agreement', 'received', 'opened'] : ['agreement']),
  ]
  const claim: Claim = {
    type,
    agreement: delivery.agreement,
    ...(type === 'delivery' ? { packet: delivery.packet } : {}),
    provider: acme.env.self.id,
    consumer: bolt.env.self.id,
    asOf: START_MS + 60_000,
  }
  return formatEvidence({ claim, parts, witnesses, entries })
}

function entriesOf(
  member: Member,
  parts: Partial<Record<PartName, Uint8Array>>,
  of: EntryPart['of'][],
): EntryPart[] {
  const { size } = newestHead(member.env.get)!
  return of.map(name => {
    const index = readU64(member.store.get(KEY.at(recordId(decodeSigned(parts[name]!).p)))!)!
    const { salt, entry } = readEntryAt(member.env.get, index)!
    const path = provePresence(member.state.ledger, member.env.get, index, size)
    return { org: member.env.self.id, of: name, entry, salt, path }
  })
}

const trustOf = (members: Member[], witness: string): TrustFile => ({
  schema: TRUST_SCHEMA,
  identities: members.map(({ org, env }) => ({ id: org, name: env.self.identity.name })),
  committees: members
    .filter(({ org }) => org !== witness)
    .map(({ org }) => ({ log: org, witnesses: [witness] })),
})

/** Bytes that nobody can guess, and that are the same in each run. */
export const noise = (length: number): Uint8Array => {
  const seed = new Uint8Array(32)
  return Uint8Array.from({ length }, (_, i) => expand(seed, `noise ${Math.floor(i / 1024)}`, 1024)[i % 1024]!)
}
