/**
 * What the people at the nodes do: pair, publish, offer, read catalogs, ask, decide, fetch, and ask for proofs. They look
 * at what is on the disk, so they go on after a crash where things stand, and ask again where nothing came.
 */
import { utf8 } from '../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import type { Answer, Command } from '../protocol/command.ts'
import type { Event } from '../protocol/event.ts'
import { isDue } from '../protocol/gossip.ts'
import { readWatch } from '../protocol/heads.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { GOSSIP_MS } from '../protocol/limits.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { type Policy, PROFILE } from '../protocol/policy.ts'
import type { Cluster } from './cluster.ts'
import { type SealedContent, type Spoilt, sealContent } from './content.ts'
import { type SimNode, START_MS } from './node.ts'
import type { Plan } from './plan.ts'
import { Prng } from './prng.ts'

const S_US = 1_000_000
const DAY_MS = 86_400_000
/** How long a person thinks between two looks at the node. */
const LOOK_S = [1, 10] as const
const GOSSIP_US = GOSSIP_MS * 1_000

/** What participants share on, in every run. */
export const POLICY: Policy = {
  profile: PROFILE,
  prohibitions: [],
  permissions: [{ action: 'analyse', constraints: [{ left: 'purpose', op: 'eq', right: 'benchmark' }] }],
}

/** What one person remembers. */
interface Desk {
  node: SimNode
  /** Tickets given out, by whom they are for. */
  tickets: Map<string, string>
  published: number
  requested: number
  fetched: Map<string, number>
  /** Assets without packets, to be redacted. */
  memos: CID[]
  /** A fork was found since the last round of gossip. */
  forked: boolean
}

export class Workload {
  readonly #cluster: Cluster
  readonly #plan: Plan
  readonly #prng: Prng
  readonly #desks: Desk[]
  /** Nothing new is begun any more. */
  closing = false

  constructor(cluster: Cluster, plan: Plan) {
    this.#cluster = cluster
    this.#plan = plan
    this.#prng = new Prng(plan.seed, 'workload')
    this.#desks = cluster.nodes.map(deskOf)
    for (const { node } of this.#desks) {
      node.witnesses = this.#chooseWitnesses(node)
      node.mirrors = node.witnesses.slice(0, 1)
    }
    cluster.checkers.push({
      event: (node, event) => {
        this.#hurry(node, event)
        this.#note(this.#desk(node), event)
      },
      // The store may not know them any more.
      restored: node => this.#desk(node).tickets.clear(),
    })
  }

  begin(): void {
    for (const desk of this.#desks) this.#begin(desk)
  }

  #begin(desk: Desk): void {
    this.#lookLater(desk)
    this.#gossipLater(desk)
  }

  /** Somebody sits at each home, also at one that came up as a copy of another. */
  #desk(node: SimNode): Desk {
    const known = this.#desks.find(desk => desk.node === node)
    if (known) return known
    const desk = deskOf(node)
    this.#desks.push(desk)
    this.#begin(desk)
    return desk
  }

  /** Entries past the sizes that anybody saw of this log: only then its owner can be asked about them. */
  outgrow(org: string): void {
    const node = this.#cluster.node(org)!
    const seen = this.#cluster.nodes.map(({ disk }) => readWatch(disk.get(KEY.watch(org)))?.size ?? 0)
    for (let size = node.state.ledger.tail.range.size; size <= Math.max(...seen); size++)
      node.submit({ type: 'publish', title: `later ${size}`, domain: 'x', level: 'general', packets: [] })
  }

  #note(desk: Desk, event: Event): void {
    if (event.type === 'forked' || event.type === 'identity-forked') desk.forked = true
  }

  /** What the daemon does on its beat. */
  #gossipLater(desk: Desk): void {
    this.#cluster.timeline.after(GOSSIP_US + this.#prng.below(S_US), () => {
      if (!this.#cluster.nodes.includes(desk.node)) return
      this.#gossip(desk)
      this.#gossipLater(desk)
    })
  }

  #gossip(desk: Desk): void {
    const { node, forked } = desk
    if (!node.up) return
    const orgs = [...node.admitted]
    if (forked || isDue(node.state, orgs, node.env.get)) node.submit({ type: 'gossip', orgs, forks: forked })
    desk.forked = false
  }

  /** Everybody looks once more, whatever they were waiting for. */
  look(): void {
    for (const desk of this.#desks) this.#look(desk)
  }

  /** Some others, now and then nobody; of the first node as many as the plan says. */
  #chooseWitnesses(node: SimNode): CID[] {
    const others = this.#cluster.nodes.filter(other => other !== node)
    if (node.index === 0 && this.#plan.members > 0)
      return others.slice(-Math.min(this.#plan.members, others.length)).map(({ env }) => env.self.id)
    const chosen = others.filter(() => this.#prng.chance(500_000)).slice(0, this.#plan.witnesses)
    return chosen.map(({ env }) => env.self.id)
  }

  #lookLater(desk: Desk): void {
    this.#cluster.timeline.after(this.#prng.between(...LOOK_S) * S_US + this.#prng.below(S_US), () => {
      if (this.closing || !this.#cluster.nodes.includes(desk.node)) return
      this.#look(desk)
      this.#lookLater(desk)
    })
  }

  #look(desk: Desk): void {
    if (!desk.node.up) return
    this.#pair(desk)
    this.#decide(desk)
    this.#fetch(desk)
    if (this.closing) return
    if (desk.published < this.#plan.assets && this.#prng.chance(400_000)) this.#publish(desk)
    if (this.#plan.redacts && this.#prng.chance(200_000)) this.#memo(desk)
    const partners = [...desk.node.admitted]
    if (partners.length === 0) return
    const org = this.#prng.pick(partners)
    if (this.#prng.chance(300_000)) desk.node.submit({ type: 'catalog', org })
    if (desk.requested < this.#plan.requests) this.#request(desk)
    if (this.#prng.chance(100_000)) this.#prove(desk, org)
  }

  /** The one that was added earlier invites; a ticket is used again until the pairing is known on both sides. */
  #pair(desk: Desk): void {
    const { node, tickets } = desk
    for (const other of this.#cluster.nodes) {
      if (other.index <= node.index || other.org === node.org) continue
      if (other.admitted.has(node.org) && node.admitted.has(other.org)) continue
      const ticket = tickets.get(other.org)
      if (ticket) {
        this.#cluster.join(other, ticket)
        continue
      }
      const expiresMs = START_MS + DAY_MS
      const invite = {
        type: 'invite',
        forWhom: other.name,
        expiresMs,
        node: node.env.keys.node.public,
      } as const
      node.submit(invite, [], answer => {
        if (answer) tickets.set(other.org, (answer as Extract<Answer, { type: 'ticket' }>).ticket)
      })
    }
  }

  #publish(desk: Desk): void {
    const { node } = desk
    const number = desk.published++
    const contents = Array.from({ length: this.#prng.between(1, 2) }, (_, i) =>
      this.#content(node, number, i),
    )
    for (const content of contents) this.#cluster.exchange(node).keep(content)
    const command: Command = {
      type: 'publish',
      title: `energy ${number}`,
      domain: 'production',
      level: 'general',
      packets: contents.map(({ draft }) => draft),
    }
    const secrets = contents.map(({ draft, secret }) => ({
      handle: HANDLE.content(draft.root),
      bytes: secret,
    }))
    node.submit(command, secrets, answer => {
      if (answer) this.#offer(node, (answer as Extract<Answer, { type: 'published' }>).asset)
      else desk.published--
    })
  }

  /** Says something, and later takes it back. */
  #memo({ node, memos }: Desk): void {
    const record = memos.pop()
    if (record) {
      const about = { record, reason: 'personal data', under: [], beside: [], holders: [] }
      node.submit({ type: 'redact', ...about }, [], (_, refused) => {
        if (refused && refused !== 'OUT_OF_ORDER' && refused !== 'NOT_FOUND') memos.push(record)
      })
      return
    }
    const about = { title: 'who was on shift', domain: 'x', level: 'general', packets: [] } as const
    node.submit({ type: 'publish', ...about, packets: [] }, [], answer => {
      if (answer) memos.push((answer as Extract<Answer, { type: 'published' }>).asset)
    })
  }

  #content(node: SimNode, number: number, i: number): SealedContent {
    const spoilt = this.#plan.spoilt && this.#prng.chance(300_000)
    const kind = spoilt ? this.#prng.pick<Spoilt>(['key', 'block', 'digest']) : undefined
    return contentOf(`${node.name} ${number} ${i}`, this.#prng.chance(100_000), kind)
  }

  #offer(node: SimNode, asset: CID): void {
    const approval = this.#prng.chance(500_000) ? 'person' : 'policy'
    const untilMs = START_MS + 90 * DAY_MS
    node.submit({ type: 'offer', asset, audience: [], policy: POLICY, approval, untilMs })
  }

  #decide({ node }: Desk): void {
    for (const [machine, stored] of node.store.list(KEY.negotiations)) {
      const { role, state } = decodeState<Negotiation>(stored)
      if (role !== 'provider') continue
      if (state === 'REQUESTED' && (this.closing || this.#prng.chance(500_000)))
        node.submit({ type: 'decide', machine, approve: this.#prng.chance(900_000) })
      else if (state === 'AGREED' && !this.closing && this.#prng.chance(30_000))
        node.submit({ type: 'withdraw', machine, reason: 'a mistake' })
    }
  }

  #request(desk: Desk): void {
    const { node } = desk
    const seen = node.store.list(KEY.seenOffers)
    if (seen.length === 0) return
    const [, , org, hex] = this.#prng.pick(seen)[0].split('/') as [string, string, string, string]
    const offer = cidFromDigest(Uint8Array.from(Buffer.from(hex, 'hex')), 'dag-cbor')
    desk.requested++
    node.submit({ type: 'request', org, offer, action: 'analyse', purpose: 'benchmark' })
  }

  /** Fetches what is agreed; now and then once more, as somebody would who lost the files. */
  #fetch({ node, fetched }: Desk): void {
    for (const [, stored] of node.store.list(KEY.negotiations)) {
      const { role, state, org, agreementId: agreement } = decodeState<Negotiation>(stored)
      if (role !== 'consumer' || state !== 'FINALIZED' || !agreement) continue
      const times = fetched.get(agreement.toString()) ?? 0
      if (times > 0 && (this.closing || times > 2 || !this.#prng.chance(50_000))) continue
      fetched.set(agreement.toString(), times + 1)
      node.submit({ type: 'transfer', org, agreement }, [], answer => {
        if (!answer) fetched.set(agreement.toString(), times)
      })
    }
  }

  /** Some do not wait for the provider's last word: they hold both signatures. */
  #hurry(node: SimNode, event: Event): void {
    if (event.type !== 'negotiation' || event.state !== 'VERIFIED' || !this.#prng.chance(300_000)) return
    const { org, agreementId } = decodeState<Negotiation>(node.store.get(event.machine)!)
    node.submit({ type: 'transfer', org, agreement: agreementId! })
  }

  #prove({ node }: Desk, org: string): void {
    const agreed = node.store.list(KEY.negotiations).flatMap(([, stored]) => {
      const { org: partner, agreementId } = decodeState<Negotiation>(stored)
      return partner === org && agreementId ? [agreementId] : []
    })
    if (agreed.length > 0) node.submit({ type: 'proofs', org, records: agreed.slice(0, 4) })
  }
}

const deskOf = (node: SimNode): Desk => ({
  node,
  tickets: new Map(),
  published: 0,
  requested: 0,
  fetched: new Map(),
  memos: [],
  forked: false,
})

const contents = new Map<string, SealedContent>()

/** Content of a name, sealed once for all runs: small, or of two blocks. */
function contentOf(name: string, large: boolean, spoilt: Spoilt | undefined): SealedContent {
  const about = `${name} ${large} ${spoilt ?? ''}`
  const known = contents.get(about)
  if (known) return known
  const bytes = large ? new Uint8Array(300_000).fill(name.length) : utf8(`content of ${name}`)
  const sealed = sealContent(about, bytes, spoilt)
  contents.set(about, sealed)
  return sealed
}
