/**
 * The story that tests of evidence begin with: Acme offers data, Bolt agrees and receives it, others witness both logs.
 * It runs in the in-memory world, and evidence is collected as a daemon collects it.
 */
import { utf8 } from '../../crypto/bytes.ts'
import type { CID } from '../../crypto/cid.ts'
import { collectConsent, collectDelivery, recordsOf } from '../../protocol/collect.ts'
import type { Answer } from '../../protocol/command.ts'
import { plainDigest } from '../../protocol/content.ts'
import type { ProofReply } from '../../protocol/event.ts'
import type { Evidence } from '../../protocol/evidence.ts'
import { formatEvidence } from '../../protocol/evidence-file.ts'
import { type Report, saltOf } from '../../protocol/judge.ts'
import { HANDLE, KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { Negotiation } from '../../protocol/negotiation-state.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import { PROFILE } from '../../protocol/policy.ts'
import { ownFirsts } from '../../protocol/shown-committees.ts'
import { readTrust, TRUST_SCHEMA, type Trust } from '../../protocol/trust.ts'
import { verify } from '../../protocol/verify.ts'
import type { VerifyOptions } from '../../protocol/verify-steps.ts'
import { judgeTitle } from '../../protocol/verify-title.ts'
import { type Member, START_MS, World } from './world.ts'

export interface StoryOptions {
  provider?: string
  consumer?: string
  witnesses?: string[]
  /** Makes the content, and so every id, another. */
  text?: string
  packets?: number
  /** When the keys of the parties end, and those of the witnesses. */
  untilMs?: number
  witnessUntilMs?: number
  /** The provider takes new keys before the exchange, so that evidence has an event; unless this is false. */
  rotates?: boolean
}

export interface Story {
  world: World
  acme: Member
  bolt: Member
  witnesses: Member[]
  agreement: CID
  packet: CID
  plain: Uint8Array
  /** Just after the last message. */
  asOfMs: number
  /** Of who has pinned the first committees of both logs. */
  trust: Trust
  /** Of who names the witnesses of both logs himself. */
  named: Trust
  evidence: Evidence
  bytes: Uint8Array
  consent: Evidence
}

type Of<T extends Answer['type']> = Extract<Answer, { type: T }>

export function story(options: StoryOptions = {}): Story {
  const { provider = 'Acme Steel', consumer = 'Bolt GmbH', witnesses: names = ['Cole Logistics'] } = options
  const world = new World()
  const [acme, bolt] = [world.add(provider, options.untilMs), world.add(consumer, options.untilMs)]
  const witnesses = names.map(name => world.add(name, options.witnessUntilMs))
  for (const party of [acme, bolt]) {
    for (const witness of witnesses) world.pair(party, witness)
    party.witnesses = witnesses.map(witness => witness.env.self.id)
  }
  world.pair(acme, bolt)
  world.run(1_000)
  if (options.rotates !== false) acme.delegate(['log', 'operation'], [], options.untilMs)
  world.run(10_000)
  // Their committees are in force by now, and each says so.
  acme.input({ type: 'connected', org: bolt.org })
  bolt.input({ type: 'connected', org: acme.org })
  world.run(1_000)
  const { agreement, packet, plain } = deliver(world, acme, bolt, options)
  const asOfMs = world.wallMs
  const trust = readTrust(pinnedTrust([acme, bolt, ...witnesses], [acme, bolt]))
  const named = readTrust(trustFile([acme, bolt, ...witnesses], witnesses, [acme, bolt]))
  const base = { world, acme, bolt, witnesses, agreement, packet, plain, asOfMs, trust, named }
  const evidence = collect(bolt, acme, { agreement, packet }, asOfMs)
  return {
    ...base,
    evidence,
    bytes: formatEvidence(evidence),
    consent: consentOf(bolt, acme, agreement, asOfMs),
  }
}

/** Publishes, offers, agrees and transfers once more between two that are paired. */
export function deliver(world: World, acme: Member, bolt: Member, options: StoryOptions = {}) {
  const texts = Array.from({ length: options.packets ?? 3 }, (_, i) =>
    utf8(`${options.text ?? 'hello'} ${i}`),
  )
  const packets = texts.map((bytes, i) => acme.draft(`file-${i}.txt`, bytes))
  const publish = {
    type: 'publish',
    title: 'energy',
    domain: 'production',
    level: 'general',
    packets,
  } as const
  const published = acme.input(publish) as Of<'published'>
  const permissions = [
    { action: 'analyse', constraints: [{ left: 'purpose', op: 'eq', right: 'benchmark' }] },
    { action: 'read', constraints: [{ left: 'purpose', op: 'isAnyOf', right: ['audit', 'benchmark'] }] },
  ]
  const policy = { profile: PROFILE, prohibitions: [], permissions }
  const { offer } = acme.input({
    type: 'offer',
    asset: published.asset,
    audience: [bolt.env.self.id],
    approval: 'person',
    untilMs: START_MS + 1e10,
    policy,
    price: { amount: 1_250, currency: 'EUR' },
    notice: 'for benchmarks only',
  }) as Of<'offered'>
  bolt.input({ type: 'catalog', org: acme.org })
  world.run(1_000)
  const request = { type: 'request', org: acme.org, offer, action: 'analyse', purpose: 'benchmark' } as const
  const { machine } = bolt.input(request) as Of<'machine'>
  world.run(3_000)
  const asked = acme.events.findLast(event => event.type === 'negotiation' && event.waitsFor) as {
    machine: string
  }
  acme.input({ type: 'decide', machine: asked.machine, approve: true })
  world.run(3_000)
  const agreement = decodeState<Negotiation>(bolt.store.get(machine)!).agreementId!
  bolt.input({ type: 'transfer', org: acme.org, agreement })
  world.run(10_000)
  const last = texts.length - 1
  return { agreement, packet: published.packets[last]!, plain: texts[last]! }
}

export function trustFile(identities: Member[], witnesses: Member[], logs: Member[]) {
  return {
    schema: TRUST_SCHEMA,
    identities: identities.map(({ org }) => ({ id: org })),
    committees: logs.map(({ org }) => ({ log: org, witnesses: witnesses.map(witness => witness.org) })),
  }
}

/** The trust file of who has pinned the first committees of these logs, where they have one. */
export const pinnedTrust = (identities: Member[], logs: Member[]) => ({
  ...trustFile(identities, [], []),
  committees: logs.map(log => {
    const first = ownFirsts({ self: { ...log.env.self, chain: log.chain }, get: log.env.get })
    return {
      log: log.org,
      witnesses: [],
      first: first.map(({ log, committee }) => ({ log: log.toString(), committee: committee.toString() })),
    }
  }),
})

/** The same of a story whose logs have gone on since. */
export const trustNow = ({ acme, bolt, witnesses }: Story): Trust =>
  readTrust(pinnedTrust([acme, bolt, ...witnesses], [acme, bolt]))

export const contextOf = ({ env, chain, store, witnesses }: Member) => ({
  self: { ...env.self, chain },
  get: env.get,
  slots: env.slots,
  witnesses,
  partner: (org: string) => {
    const stored = store.get(KEY.partner(org))
    return stored && decodePartner(stored)
  },
})

/** What `other` proves of its log to `own`, as the proofs dialogue brings it. */
export function ask(own: Member, other: Member, records: CID[]): ProofReply {
  const { id } = own.input({ type: 'proofs', org: other.org, records }) as Of<'reading'>
  own.world.run(1_000)
  return own.events.flatMap(event => (event.type === 'proofs' && event.id === id ? [event.reply] : []))[0]!
}

/** Delivery evidence at `own`, which may be the provider or the consumer. */
export function collect(
  own: Member,
  other: Member,
  about: { agreement: CID; packet: CID },
  asOfMs: number,
): Evidence {
  const context = contextOf(own)
  const theirs = ask(own, other, recordsOf(context, about))
  const root = decodeState<{ root: CID }>(own.store.get(KEY.delivery(about.agreement, about.packet))!).root
  const secret = own.secrets.get(HANDLE.content(root)) // it goes with a packet that is redacted
  const given = { theirs, asOfMs, ...(secret ? { salt: secret.slice(32) } : {}) }
  return collectDelivery(context, own.state.ledger, about, given)
}

export function consentOf(own: Member, other: Member, agreement: CID, asOfMs: number): Evidence {
  const context = contextOf(own)
  const theirs = ask(own, other, recordsOf(context, { agreement }))
  const history = [{ state: 'FINALIZED', at: asOfMs }]
  return collectConsent(context, own.state.ledger, { agreement }, { theirs, asOfMs, history })
}

/** Verifies as a caller with the content does: by the salt that the file brings. */
export function check(
  bytes: Uint8Array,
  { trust, asOfMs, plain }: Story,
  options: Partial<VerifyOptions> = {},
): Report {
  const salt = saltOf(bytes)
  const content = salt
    ? { content: { size: plain.length, digest: plainDigest(salt).update(plain).digest() } }
    : {}
  return verify(bytes, trust, { asOfMs, title: judgeTitle, ...content, ...options })
}

export const statusOf = (report: Report, id: string): string | undefined =>
  report.steps.find(step => step.id === id)?.status
export const detailOf = (report: Report, id: string): string | undefined =>
  report.steps.find(step => step.id === id)?.detail
/** Steps that failed, for messages. */
export const failedSteps = (report: Report): string[] =>
  report.steps.filter(step => step.status === 'failed').map(step => step.id)
