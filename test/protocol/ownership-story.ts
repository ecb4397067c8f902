/**
 * Ownership as a test plays it: Acme has a committee of its partners put together, registers an asset with it and hands it
 * over to Bolt; each seat is a participant with a store of its own.
 */
import * as assert from 'uvu/assert'
import { fromHex } from '../../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import type { Mode } from '../../protocol/asset-committee.ts'
import type { Answer } from '../../protocol/command.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodeState } from '../../protocol/machine.ts'
import type { MessageOf, MessageType } from '../../protocol/message.ts'
import { type Ordering, readOrdering } from '../../protocol/ordering-state.ts'
import { encodeOwnership, verifyOwnership } from '../../protocol/ownership-evidence.ts'
import type { isOver as isAssembled } from '../../protocol/seats.ts'
import { shownLinks, titleOf } from '../../protocol/title.ts'
import { readTrust } from '../../protocol/trust.ts'
import { type Member, World } from './world.ts'

const SEATS = ['Cole Logistics', 'Dunn Castings', 'Eder AG', 'Fink Tools', 'Gray Mills', 'Holm AB', 'Iris SA']
const PASSES = { agreements: true, duties: true, keys: true, blocks: true }
/** The last part of a key as an id. */
const lastId = (key: string): CID => cidFromDigest(fromHex(key.split('/').at(-1)!)!, 'dag-cbor')

export class Ownership {
  readonly world = new World()
  readonly acme: Member
  readonly bolt: Member
  readonly seats: Member[]
  jury!: CID
  asset!: CID
  order!: CID

  constructor(n = 4) {
    const { world } = this
    this.acme = world.add('Acme Steel')
    this.bolt = world.add('Bolt GmbH')
    this.seats = SEATS.slice(0, n).map(name => world.add(name))
    world.pair(this.acme, this.bolt)
    for (const seat of this.seats) {
      world.pair(this.acme, seat)
      world.pair(this.bolt, seat)
    }
    world.run(5_000)
  }

  /** The committee of these, once all have signed. */
  assemble(of: Member[] = this.seats, by: Member = this.acme, rule?: { f: number; q: number }): CID {
    const seats = of.map(({ env }) => env.self.id)
    const before = juries(by)
    by.input({ type: 'assemble', seats, ...(rule ? { rule } : {}) })
    this.world.run()
    return juries(by).find(each => !before.some(old => old.equals(each)))!
  }

  publish(title = 'press 4'): CID {
    const { acme, jury } = this
    const about = { title, domain: 'production', level: 'general', committee: jury } as const
    const made = acme.input({ type: 'publish', ...about, packets: [] })
    return (made as Extract<Answer, { type: 'published' }>).asset
  }

  begin(rule?: { f: number; q: number }): this {
    this.jury ??= this.assemble(this.seats, this.acme, rule)
    this.asset = this.publish()
    return this
  }

  register(ref = 'press 4'): this {
    if (!this.asset) this.begin()
    const content = new Uint8Array(32)
    this.order = ordered(
      this.acme.input({
        type: 'register',
        asset: this.asset,
        committee: this.jury,
        ref,
        content,
        title: 'made',
      }),
    )
    this.world.run()
    return this
  }

  offer(to: Member = this.bolt, by: Member = this.acme, next?: CID): this {
    this.order = ordered(
      by.input({
        type: 'hand-over',
        asset: this.asset,
        to: to.env.self.id,
        passes: PASSES,
        ...(next ? { next } : {}),
      }),
    )
    this.world.run()
    return this
  }

  accept(by: Member = this.bolt, mode?: Mode, ms?: number): this {
    const certified = this.seats.map(({ env }) => env.self.id)
    by.input({ type: 'take-over', order: this.order, certified, ...(mode ? { mode } : {}) })
    this.world.run(ms)
    return this
  }

  /** Registered and handed over to Bolt. */
  play(): this {
    return this.register().offer().accept()
  }

  at(member: Member): Ordering | undefined {
    return readOrdering(member.env.get, this.order)
  }

  state(member: Member): string {
    return this.at(member)?.state ?? 'none'
  }

  /** Who owns it as this one knows: version and name. */
  owner(member: Member): string {
    const owned = titleOf(member.env.get, this.asset)
    const name = this.world.members.find(({ env }) => owned && env.self.id.equals(owned.owner))?.env.self
      .identity
    return owned ? `${owned.version} ${name?.name}` : 'unknown'
  }

  owners(): string[] {
    return [this.acme, this.bolt, ...this.seats].map(each => this.owner(each))
  }

  sent<T extends MessageType>(type: T): MessageOf<T>[] {
    return this.world.wire.flatMap(({ message }) => (message.t === type ? [message as MessageOf<T>] : []))
  }

  /** Nobody broke a rule, but in the ways that a play means to. */
  check(expected: string[] = []): void {
    for (const { events, env } of this.world.members)
      for (const event of events)
        if (event.type === 'violation' && !expected.includes(event.code))
          throw new Error(`${env.self.identity.name}: ${event.code} ${event.text}`)
    assert.ok(true)
  }

  /** What somebody's evidence of the asset comes to, step by step. */
  steps(by: Member): string[] {
    const { links, identities } = shownLinks(by.knowing, this.asset, 0, 100)
    const file = encodeOwnership({ asset: this.asset, links, identities, fresh: [], asOf: 0 })
    const trust = readTrust({
      schema: 'waybill.trust/1',
      identities: this.world.members.map(({ org }) => ({ id: org })),
      committees: [],
      certified: this.seats.map(({ org }) => org),
    })
    return verifyOwnership(file, trust, this.world.wallMs).steps.map(({ id, status }) => `${id} ${status}`)
  }
}

export const ordered = (answer: Answer | undefined): CID =>
  lastId((answer as Extract<Answer, { type: 'machine' }>).machine)

export const juries = (member: Member): CID[] =>
  [...member.store.keys()].filter(key => key.startsWith(KEY.juries)).map(lastId)

export const assemblies = (member: Member) =>
  member.stateOf(KEY.assemblies, stored => decodeState<Parameters<typeof isAssembled>[0]>(stored))
