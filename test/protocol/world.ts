/**
 * A driver without sockets, timers or files: participants on a virtual clock, a network that a test can bend, and content
 * in memory. It carries outputs out in their order, through the shipped protocol/.
 */
import { equal } from '../../crypto/bytes.ts'
import type { CID } from '../../crypto/cid.ts'
import { expand, sha256 } from '../../crypto/hash.ts'
import { keyFromSeed, type PrivateKey, thumbprint } from '../../crypto/key.ts'
import { seal } from '../../crypto/seal.ts'
import type { Answer, PacketDraft } from '../../protocol/command.ts'
import { decodeRoot } from '../../protocol/content.ts'
import { contextOf, type Env, ownChain, privateKey } from '../../protocol/context.ts'
import type { Opening } from '../../protocol/delivery.ts'
import { type Found, find } from '../../protocol/erasure.ts'
import type { Event } from '../../protocol/event.ts'
import { type Delegated, type IdentitySeeds, makeIdentity } from '../../protocol/identity.ts'
import { beginChain, type Chain, makeDelegate } from '../../protocol/identity-chain.ts'
import { readEntries } from '../../protocol/kept.ts'
import { HANDLE, KEY, slotOf } from '../../protocol/layout.ts'
import { DELEGATION_MS } from '../../protocol/limits.ts'
import { inStore, logNumber, writesInStore } from '../../protocol/log-number.ts'
import type { Context } from '../../protocol/machine.ts'
import { decodeMessage, encodeMessage, type Message } from '../../protocol/message.ts'
import type { Output } from '../../protocol/output.ts'
import { parseTicket } from '../../protocol/pairing.ts'
import { type Input, open, type PeerState, step } from '../../protocol/peer.ts'
import { isStored, readRecord } from '../../protocol/record.ts'
import { redaction } from '../../protocol/redaction.ts'
import { slotsOver } from '../../protocol/slots.ts'
import { SimBodyKeys } from '../../sim/body-keys.ts'
import { openRelease, type ReleaseOf, type Spoilt, sealContent } from '../../sim/content.ts'

export const START_MS = Date.UTC(2026, 0, 1)
type Loose<T> = T extends unknown ? Omit<T, 'seed'> : never

export interface Flight {
  from: Member
  to: Member
  frame: Uint8Array
  message: Message
}

export class Member {
  readonly store = new Map<string, Uint8Array>()
  readonly secrets = new Map<string, Uint8Array>()
  readonly deadlines = new Map<string, number>()
  readonly events: Event[] = []
  /** Ciphertext blocks by root, and the asks that no test has answered yet. */
  readonly content = new Map<string, Uint8Array[]>()
  readonly bodyKeys: SimBodyKeys
  readonly env: Env
  readonly seeds: IdentitySeeds
  readonly world: World
  state: PeerState
  up = true
  /** While false, what a step writes is durable and nothing of it leaves: the crash between commit and sending. */
  leaves = true
  #count = 0
  #life = 0

  /** `untilMs` ends the delegated keys. */
  constructor(world: World, name: string, untilMs: number = START_MS + DELEGATION_MS) {
    this.world = world
    const seed = sha256(new TextEncoder().encode(name))
    this.bodyKeys = new SimBodyKeys(seed)
    const roles = ['root', 'rootNext', 'admin', 'adminNext', 'log', 'operation', 'witness', 'node'] as const
    this.seeds = Object.fromEntries(roles.map(role => [role, expand(seed, role)])) as unknown as IdentitySeeds
    const made = makeIdentity(this.seeds, {
      name,
      nonce: expand(seed, 'nonce', 16),
      madeMs: START_MS,
      untilMs,
      retentionDays: 3650,
    })
    const { id, payload: identity, bytes: identityBytes } = made
    const chain = beginChain(made)
    const keys = { ...this.seeds, root: undefined } as unknown as Record<keyof Env['keys'], Uint8Array>
    this.env = {
      self: { id, org: id.toString(), identity, identityBytes, chain },
      get: key =>
        this.store.get(
          inStore(
            key,
            logNumber(each => this.store.get(each)),
          ),
        ),
      slots: slotsOver(this.bodyKeys),
      keys: Object.fromEntries(
        (['admin', 'log', 'operation', 'witness', 'node'] as const).map(role => [
          role,
          keyFromSeed(keys[role]),
        ]),
      ) as Env['keys'],
      seal: (handle, to, info, hpkeSeed) => {
        const secret = this.secrets.get(handle)
        return secret && seal(to, info, secret, hpkeSeed)
      },
      seatKey: handle => {
        const secret = this.secrets.get(handle)
        return secret && keyFromSeed(secret)
      },
      provenFrom: () => this.provenFrom,
      witnesses: () => this.witnesses,
      mirrors: () => this.mirrors,
      pad: world.pad,
      addresses: () => [`/ip4/127.0.0.1/tcp/1/p2p/${name}`],
      sits: () => this.sits,
    }
    this.state = open(this.env)
  }

  /** The identity as it stands here. */
  get chain(): Chain {
    return ownChain(this.env)
  }

  /** The key that stands for a role. */
  key(role: keyof Env['keys']): PrivateKey {
    return privateKey(this.chain, role, this.env)
  }

  #drawn = 0
  /** A key that may follow one that stands: drawn, or of a seed that was kept. */
  draw(seed?: Uint8Array): PrivateKey {
    const key = keyFromSeed(
      seed ?? expand(sha256(new TextEncoder().encode(this.org)), `drawn/${this.#drawn++}`),
    )
    this.env.drawn = [...(this.env.drawn ?? []), key]
    return key
  }

  /** Delegates new keys for these roles, revokes those that stood for others, and tells the partners. */
  delegate(
    roles: Delegated[],
    revoke: Delegated[] = [],
    untilMs: number = this.world.wallMs + DELEGATION_MS,
  ): void {
    const about = {
      keys: Object.fromEntries(roles.map(role => [role, { key: this.draw(), untilMs }])),
      revoke: revoke.map(role => thumbprint(this.key(role).public)),
    }
    this.goOn(makeDelegate(this.chain, this.key('admin'), about, this.world.wallMs))
  }

  /** Closes the own log and goes on with its successor. */
  succeed(): void {
    this.goOn(makeDelegate(this.chain, this.key('admin'), { succeeds: true }, this.world.wallMs))
  }

  /** Goes on with an event, and tells these; all partners unless it is given. */
  goOn(event: Uint8Array, told?: string[]): void {
    const orgs = this.world.members.map(({ org }) => org).filter(org => this.store.has(KEY.partner(org)))
    this.input({ type: 'identity', event, orgs: told ?? orgs })
  }

  /** What it knows of others, as its dialogues ask for it. */
  get knowing(): Pick<Context, 'self' | 'partner' | 'get'> {
    return contextOf(new Map(), new Uint8Array(32), { wallMs: this.world.wallMs, monoMs: 0 }, this.env)
  }

  witnesses: CID[] = []
  sits = true
  provenFrom = 0
  mirrors: CID[] = []
  get org(): string {
    return this.env.self.org
  }

  /** One input through the peer, its output carried out in order. */
  input(input: Loose<Input>): Answer | undefined {
    const { wallMs, monoMs } = this.world
    const seed = sha256(
      this.env.keys.node.seed,
      new Uint8Array([this.#count >> 16, this.#count >> 8, this.#count++]),
    )
    const next = step(
      this.state,
      { ...input, seed } as Input,
      { wallMs: wallMs + this.skewMs, monoMs },
      this.env,
    )
    if (next.damaged) throw new Error(`damaged: ${next.damaged}`)
    this.state = next.state
    this.#carryOut(next.output)
    return next.answer
  }
  skewMs = 0

  #carryOut({ writes: asked, secrets, sends, events, deadlines }: Output): void {
    const writes = writesInStore(asked, key => this.store.get(key))
    for (const { key, if: condition } of writes) {
      const held = this.store.get(key)
      const holds = !condition || (condition === 'absent' ? !held : held && equal(held, condition.equals))
      if (!holds) throw new Error(`condition failed at ${key}`)
    }
    for (const { key, value } of writes) {
      if (value) this.store.set(key, value)
      else this.store.delete(key)
      if (key.startsWith(KEY.secrets) && !value) this.secrets.delete(key.slice(KEY.secrets.length))
      if (!key.startsWith(KEY.forgets)) continue
      this.bodyKeys.destroy(slotOf(key))
      this.store.delete(key)
    }
    for (const { handle, bytes } of secrets) this.secrets.set(handle, bytes)
    if (!this.leaves) return
    for (const { to, message } of sends) this.world.send(this, to, message)
    for (const { machine, atMs } of deadlines)
      atMs === Number.POSITIVE_INFINITY ? this.deadlines.delete(machine) : this.deadlines.set(machine, atMs)
    for (const event of events) {
      this.events.push(event)
      const life = this.#life
      this.world.later(() => life === this.#life && this.#answer(event))
    }
  }

  /** Does the work that a machine asks of its driver. */
  #answer(event: Event): void {
    if (!this.up) return
    switch (event.type) {
      case 'ask-leaves': {
        const { log, from, to } = event
        const entries = [...readEntries(this.env.get, from, to)].map(({ entry }) => entry)
        this.input({ type: 'leaves', log, from, entries })
        return
      }
      case 'ask-page': {
        const { machine, prefix, after, limit } = event
        const keys = [...this.store.keys()]
          .filter(key => key.startsWith(prefix) && key > (after ?? ''))
          .sort()
        const rows = keys.slice(0, limit).map(key => [key, this.store.get(key)!] as [string, Uint8Array])
        this.input({ type: 'page', machine, ...(after ? { after } : {}), rows, more: keys.length > limit })
        return
      }
      case 'ask-fetch': {
        const blocks = this.world.member(event.org).content.get(event.root.toString())
        if (blocks) this.content.set(event.root.toString(), blocks)
        const refusal = { code: 'NOT_FOUND', text: 'no such content' }
        this.input(
          blocks
            ? { type: 'fetched', machine: event.machine, ok: true }
            : { type: 'fetched', machine: event.machine, ok: false, refusal },
        )
        return
      }
      case 'ask-open': {
        const oneTime = this.secrets.get(event.oneTime)!
        const opening = this.#open(oneTime, event)
        this.input({ type: 'opened', machine: event.machine, opening })
        return
      }
      case 'ask-erase': {
        const redactions = event.words.flatMap(word => {
          const read = readRecord(redaction, word)
          return isStored(read) ? [{ word, ...this.found(read.payload.record) }] : []
        })
        this.input({ type: 'erase', redactions })
        return
      }
      case 'ask-redact': {
        const { org, record, reason } = event
        const found = { ...this.found(record), holders: [] }
        this.input({ type: 'redact', record, reason, ...found, asker: org })
        return
      }
      case 'ask-judge': {
        const opening = this.#open(event.oneTimePrivate, event)
        this.input({ type: 'judged', machine: event.machine, proven: !opening.ok, receipt: event.receipt })
        return
      }
    }
  }

  #open(oneTimePrivate: Uint8Array, ask: ReleaseOf): Opening {
    const root = decodeRoot(this.store.get(KEY.root(ask.root))!)
    const { opening, secret } = openRelease(oneTimePrivate, ask, root, this.content.get(ask.root.toString())!)
    if (secret) this.secrets.set(HANDLE.content(ask.root), secret)
    return opening
  }

  /** What only a search of the store finds for a redaction. */
  found(record: CID): Found {
    const rows = (prefix: string) => [...this.store].filter(([key]) => key.startsWith(prefix))
    const [grants, proofs, negotiations] = [KEY.grants, KEY.allProofs, KEY.negotiations].map(rows)
    const partners = rows(KEY.partners).map(([key]) => key.slice(KEY.partners.length))
    return find(record, { grants: grants!, proofs: proofs!, negotiations: negotiations!, partners }, this.env)
  }

  redact(record: CID, reason: string): void {
    this.input({ type: 'redact', record, reason, ...this.found(record) })
    this.world.run()
  }

  /** Seals content as an import does, and returns the draft of its packet. `spoilt` makes it wrong after the fact. */
  draft(name: string, bytes: Uint8Array, spoilt?: Spoilt): PacketDraft {
    const { draft, blocks, secret } = sealContent(name, bytes, spoilt)
    this.content.set(draft.root.toString(), blocks)
    this.secrets.set(HANDLE.content(draft.root), secret)
    return draft
  }

  /** Forgets what is only in memory, and starts again from the store. */
  restart(): void {
    this.up = true
    this.leaves = true
    this.#life++
    this.deadlines.clear()
    this.state = open(this.env)
    const machines = [...this.store.keys()]
      .filter(key => key.startsWith(KEY.opens))
      .map(key => key.slice(KEY.opens.length))
    for (const machine of [...machines, 'log']) this.input({ type: 'start', machine })
  }

  stateOf<S>(prefix: string, decode: (stored: Uint8Array) => S): S[] {
    return [...this.store].filter(([key]) => key.startsWith(prefix)).map(([, value]) => decode(value))
  }
}

export class World {
  /** Most tests count entries, so nothing is padded. */
  pad = 1
  wallMs = START_MS
  monoMs = 0
  readonly members: Member[] = []
  /** What becomes of a message: how often it arrives; 0 drops it. */
  bend: (message: Message, from: Member, to: Member) => number = () => 1
  /** How long a message is under way, ms. */
  delay: (message: Message) => number = () => 0
  /** Asked before a message is handed over; what it returns is done instead. */
  intercept: (flight: Flight) => (() => void) | undefined = () => undefined
  /** Every message that was sent, in order. */
  readonly wire: Flight[] = []
  #queue: (() => void)[] = []
  #timed: { atMs: number; work: () => void }[] = []

  add(name: string, untilMs?: number): Member {
    const member = new Member(this, name, untilMs)
    this.members.push(member)
    member.input({ type: 'init' })
    return member
  }

  member(org: string): Member {
    return this.members.find(member => member.org === org)!
  }

  pair(inviter: Member, joiner: Member): void {
    const node = inviter.key('node').public
    const invited = inviter.input({ type: 'invite', forWhom: 'x', expiresMs: this.wallMs + 3_600_000, node })
    const ticket = parseTicket((invited as Extract<Answer, { type: 'ticket' }>).ticket)
    const hello = joiner.input({ type: 'join', ticket }) as Extract<Answer, { type: 'hello' }>
    const reply = inviter.input({ type: 'hello', node: joiner.key('node').public, hello: hello.hello })
    joiner.input({ type: 'welcomed', ticket, hello: (reply as Extract<Answer, { type: 'hello' }>).hello })
    inviter.input({ type: 'connected', org: joiner.org })
    joiner.input({ type: 'connected', org: inviter.org })
  }

  later(work: () => void): void {
    this.#queue.push(work)
  }

  send(from: Member, org: string, message: Message): void {
    const to = this.members.find(member => member.org === org)
    if (!to) return
    const frame = encodeMessage(message)
    this.wire.push({ from, to, frame, message })
    for (let i = this.bend(message, from, to); i > 0; i--) this.deliver({ from, to, frame, message })
  }

  deliver(flight: Flight): void {
    const work = () => (this.intercept(flight) ?? (() => this.hand(flight)))()
    const delayMs = this.delay(flight.message)
    if (delayMs > 0) this.#timed.push({ atMs: this.monoMs + delayMs, work })
    else this.later(work)
  }

  hand({ from, to, frame }: Flight): void {
    const message = decodeMessage(frame)
    if (typeof message === 'string') throw new Error(`refused: ${message}`)
    if (to.up) to.input({ type: 'message', from: from.org, message })
  }

  /** Runs until nothing is under way and no timer is due within `ms`. */
  run(ms = 60_000): void {
    const end = this.monoMs + ms
    for (let i = 0; i < 1_000_000; i++) {
      const work = this.#queue.shift()
      if (work) {
        work()
        continue
      }
      const due = this.#next()
      const atMs = Math.max(this.monoMs, Math.min(due?.atMs ?? end, end))
      this.wallMs += atMs - this.monoMs
      this.monoMs = atMs
      if (!due || due.atMs > end) return
      due.work()
    }
    throw new Error('the world does not come to rest')
  }

  /** The timer or the message that is due first. */
  #next(): { atMs: number; work: () => void } | undefined {
    const timers = this.members
      .filter(member => member.up)
      .flatMap(member =>
        [...member.deadlines].map(([machine, atMs]) => ({
          atMs,
          work: () => {
            member.deadlines.delete(machine)
            member.input({ type: 'tick', machine })
          },
        })),
      )
    const flights = this.#timed.map(({ atMs, work }) => ({
      atMs,
      work: () => {
        this.#timed = this.#timed.filter(each => each.work !== work)
        work()
      },
    }))
    return [...timers, ...flights].sort((a, b) => a.atMs - b.atMs)[0]
  }
}

/** A log's owner and so many who are its partners, and know each other. */
export function mesh(n: number): { world: World; owner: Member; seats: Member[] } {
  const world = new World()
  const owner = world.add('Acme Steel')
  const seats = Array.from({ length: n }, (_, i) => world.add(`Seat ${i}`))
  for (const seat of seats) world.pair(owner, seat)
  world.run(10_000)
  return { world, owner, seats }
}
