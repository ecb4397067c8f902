/**
 * The first exchange as a test plays it: Acme publishes and offers, Bolt reads the catalog, asks, signs and fetches, Cole
 * cosigns the heads of both. Each step is asked again where an operator would; what must hold afterwards is in `check`.
 */
import * as assert from 'uvu/assert'
import { utf8 as encodeText, equal, text } from '../../crypto/bytes.ts'
import { formatCheckpoint } from '../../crypto/checkpoint.ts'
import { type CID, cidFromDigest } from '../../crypto/cid.ts'
import type { PrivateKey } from '../../crypto/key.ts'
import { rootOf } from '../../crypto/merkle.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { decodeSigned, encodeSigned, signRecord } from '../../crypto/statement.ts'
import type { Answer, Command } from '../../protocol/command.ts'
import type { Seating } from '../../protocol/committee.ts'
import * as delivery from '../../protocol/delivery.ts'
import { isAnswered } from '../../protocol/erasure.ts'
import type { ProtocolCode } from '../../protocol/error.ts'
import { newestHead, readWatch } from '../../protocol/heads.ts'
import { indexOf, keptRecord, readEntryAt, redactedOf } from '../../protocol/kept.ts'
import { KEY } from '../../protocol/layout.ts'
import {
  commitment,
  type Entry,
  emptyTail,
  KIND,
  originOf,
  readBack,
  readEntry,
  readHead,
  ZERO_HASH,
} from '../../protocol/log.ts'
import { decodeState } from '../../protocol/machine.ts'
import { encodeMessage, type Message, type MessageOf, type MessageType } from '../../protocol/message.ts'
import * as negotiation from '../../protocol/negotiation-state.ts'
import { type Policy, PROFILE } from '../../protocol/policy.ts'
import { readState } from '../../protocol/state.ts'
import * as transfer from '../../protocol/transfer.ts'
import type { Submission } from '../../protocol/witness.ts'
import { type Flight, type Member, START_MS, World } from './world.ts'

export const DAY_MS = 86_400_000
const utf8 = new TextEncoder()

export const POLICY: Policy = {
  profile: PROFILE,
  prohibitions: [],
  permissions: [{ action: 'analyse', constraints: [{ left: 'purpose', op: 'eq', right: 'benchmark' }] }],
}

export interface Options {
  packets: number
  approval: 'person' | 'policy'
  level: 'general' | 'important'
  policy: Policy
  audience: (of: { acme: Member; bolt: Member; cole: Member }) => CID[]
  untilMs: number
  spoil: 'key' | 'block' | 'digest'
}

/** Three organisations, paired and connected; nothing is shared yet. */
export class Story {
  readonly world: World = new World()
  readonly acme: Member
  readonly bolt: Member
  readonly cole: Member
  readonly options: Partial<Options>
  /** Codes of violations that the play is meant to cause. */
  expected: ProtocolCode[] = []
  offer: CID | undefined
  asset: CID | undefined
  machine = ''

  constructor(options: Partial<Options> = {}) {
    this.options = options
    const { world } = this
    this.acme = world.add('Acme Steel')
    this.bolt = world.add('Bolt GmbH')
    this.cole = world.add('Cole Logistics')
    this.acme.witnesses = [this.cole.env.self.id]
    this.bolt.witnesses = [this.cole.env.self.id]
    world.run(5_000)
  }

  pair(): this {
    const { world, acme, bolt, cole } = this
    world.pair(acme, cole)
    world.pair(bolt, cole)
    world.pair(acme, bolt)
    world.run(60_000)
    return this
  }

  publish(): this {
    const { packets = 2, level = 'general', spoil } = this.options
    const drafts = Array.from({ length: packets }, (_, i) =>
      this.acme.draft(`file-${i}`, utf8.encode(`content ${i}`), spoil),
    )
    const published = this.acme.input({
      type: 'publish',
      title: 'energy',
      domain: 'production',
      level,
      packets: drafts,
    })
    this.asset = (published as Extract<Answer, { type: 'published' }>).asset
    this.offer = this.makeOffer()
    this.world.run(60_000)
    return this
  }

  makeOffer(changes: Partial<Extract<Command, { type: 'offer' }>> = {}): CID {
    const { approval = 'person', policy = POLICY, audience, untilMs = START_MS + 365 * DAY_MS } = this.options
    const offered = this.acme.input({
      type: 'offer',
      asset: this.asset!,
      audience: audience?.(this) ?? [],
      policy,
      approval,
      untilMs,
      ...changes,
    })
    return (offered as Extract<Answer, { type: 'offered' }>).offer
  }

  /** Reads the catalog, twice if the first answer did not come; whether the offer is known then. */
  read(): boolean {
    const known = () => this.bolt.store.has(KEY.seenOffer(this.acme.org, this.offer!))
    for (let i = 0; i < 2 && !known(); i++) {
      this.bolt.input({ type: 'catalog', org: this.acme.org })
      this.world.run(60_000)
    }
    return known()
  }

  request(asks: { action?: string; purpose?: string } = {}): this {
    const asked = this.bolt.input({
      type: 'request',
      org: this.acme.org,
      offer: this.offer!,
      action: 'analyse',
      purpose: 'benchmark',
      ...asks,
    })
    this.machine = (asked as Extract<Answer, { type: 'machine' }>).machine
    return this
  }

  decide(approve = true): this {
    const [key, n] = this.provided() ?? []
    if (key && n?.state === 'REQUESTED') this.acme.input({ type: 'decide', machine: key, approve })
    return this
  }

  /** Pairs, publishes, and comes to an agreement where the messages let it. */
  agree(): this {
    this.pair().publish()
    if (!this.read()) return this
    this.request().world.run(60_000)
    this.decide().world.run(60_000)
    return this
  }

  get agreement(): CID | undefined {
    return this.asked()?.agreementId
  }

  transfer(): this {
    this.bolt.input({ type: 'transfer', org: this.acme.org, agreement: this.agreement! })
    this.world.run(120_000)
    return this
  }

  /** Asks for proofs of the agreement and meets again, so that new heads are shown. */
  prove(): this {
    const proven = () => this.bolt.events.some(event => event.type === 'proofs')
    for (let i = 0; i < 2 && !proven(); i++) {
      this.bolt.input({ type: 'proofs', org: this.acme.org, records: [this.agreement!] })
      this.world.run(60_000)
    }
    for (let i = 0; i < 2; i++) {
      this.acme.input({ type: 'connected', org: this.bolt.org })
      this.world.run(60_000)
    }
    return this
  }

  /** The whole exchange, as far as the messages let it come. */
  play(): this {
    this.agree()
    return this.asked()?.agreement ? this.transfer().prove() : this
  }

  // What became of it.

  asked(): negotiation.Negotiation | undefined {
    const stored = this.bolt.store.get(this.machine)
    return stored && decodeState<negotiation.Negotiation>(stored)
  }

  provided(): [string, negotiation.Negotiation] | undefined {
    const found = [...this.acme.store].find(([key]) => key.startsWith(KEY.negotiations))
    return found && [found[0], decodeState<negotiation.Negotiation>(found[1])]
  }

  /** States of the negotiation at consumer and provider; `-` where nobody knows of it. */
  negotiation(): string {
    return `${this.asked()?.state ?? '-'} ${this.provided()?.[1].state ?? '-'}`
  }

  transfers(): string {
    const of = (member: Member) =>
      member.stateOf(KEY.transfers, stored => decodeState<transfer.Transfer>(stored).state).join() || '-'
    return `${of(this.bolt)} ${of(this.acme)}`
  }

  /** The states that the deliveries are in, each once. */
  deliveries(): string {
    const of = (member: Member) =>
      [...new Set(member.stateOf(KEY.deliveries, stored => decodeState<delivery.Delivery>(stored).state))]
        .sort()
        .join() || '-'
    return `${of(this.bolt)} ${of(this.acme)}`
  }

  sent<T extends MessageType>(type: T): MessageOf<T>[] {
    return this.world.wire
      .map(({ message }) => message)
      .filter(message => message.t === type) as MessageOf<T>[]
  }

  /** Everything reached its end. */
  complete(): void {
    const { acme, bolt } = this
    assert.is(this.negotiation(), 'FINALIZED FINALIZED')
    assert.is(this.transfers(), 'COMPLETED COMPLETED')
    assert.is(this.deliveries(), 'DONE DONE')
    const { packets = 2 } = this.options
    const [done] = bolt.stateOf(KEY.transfers, stored => decodeState<transfer.Transfer>(stored))
    assert.equal([done!.open, done!.done, done!.failed], [0, packets, 0])
    for (const member of [acme, bolt]) {
      const { ledger } = member.state
      assert.is(ledger.signed.range.size, ledger.tail.range.size, 'every entry is under a head')
      assert.is(parseNote(text(newestHead(member.env.get)!.note)).lines.length, 2, 'and the head is cosigned')
    }
    const reply = bolt.events.find(event => event.type === 'proofs')
    assert.is(reply?.reply.entries.length, 1)
    const watch = readWatch(bolt.store.get(KEY.watch(acme.org)))
    assert.is(watch?.size, acme.state.ledger.signed.range.size)
    this.check()
  }

  /** No damage, wherever it ended. */
  check(): void {
    for (const member of this.world.members) {
      checkLog(member)
      checkMachines(member)
      const violations = member.events.flatMap(event => (event.type === 'violation' ? [event] : []))
      const unexpected = violations.filter(({ code }) => !this.expected.includes(code))
      assert.equal(unexpected, [], `${member.env.self.identity.name} saw a violation`)
    }
    for (const member of [this.acme, this.bolt]) {
      const grants = member.stateOf(KEY.grants, stored => stored)
      for (const grant of grants) assert.is(entriesOf(member, grant), 1, 'one entry for the agreement')
    }
    const open = [...this.acme.store.keys()].some(key => key.startsWith(KEY.grants))
    const released = this.world.wire.some(({ message }) => message.t === 'delivery/release')
    assert.ok(open || !released, 'no key leaves without an agreement')
  }
}

/** A head of a member's log as its key would sign it, whatever it says. */
export function forgedHead(
  { env }: Member,
  size: number,
  root: Uint8Array = new Uint8Array(32).fill(7),
): Uint8Array {
  const origin = originOf(env.self.chain)
  const body = formatCheckpoint({ origin, size, root })
  return encodeText(formatNote({ body, lines: [signNote(body, origin, env.keys.log)] }))
}

/** Every entry chains on, commits to its record, and stands under the newest head that was signed. */
export function checkLog(member: Member): void {
  const { ledger } = member.state
  const entries = Array.from({ length: ledger.tail.range.size }, (_, i) => readEntryAt(member.env.get, i)!)
  const bytes = entries.map(({ entry }) => entry)
  const tail = readBack(emptyTail(), bytes)
  assert.ok('range' in tail, 'the log reads back')
  assert.ok(equal(rootOf(tail.range), rootOf(ledger.tail.range)))
  let stated = 0
  for (const [index, { slot, of, entry }] of entries.entries()) {
    const read = readEntry(entry) as Entry
    if (read.k === KIND.state) {
      const state = readState(read)
      assert.is('next' in state && state.next, stated, 'it names the one before')
      stated = index + 1
      assert.is(stated % member.env.pad, 0)
    } else if (redactedOf(member.env.get, idOf(of))) {
      assert.is(member.env.slots.salt(slot), undefined, 'the salt went with the record')
    } else if (!equal(of, ZERO_HASH)) {
      assert.is(indexOf(member.env.get, idOf(of)), index, 'one entry for each record')
      const record = keptRecord(member.env, idOf(of))!
      const salt = member.env.slots.salt(slot)!
      assert.ok(equal(commitment(salt, record), read.c), 'it commits to the bytes that are here')
    } else assert.not.ok(equal(read.c, ZERO_HASH), 'padding looks like a commitment')
  }
  for (const [key, note] of member.store) {
    if (!key.startsWith('head/')) continue
    const head = readHead(note, member.chain)
    assert.ok('root' in head)
    assert.is((readEntry(bytes[head.size - 1]!) as Entry).k, KIND.state, 'a head ends with what holds there')
    const at = readBack(emptyTail(), bytes.slice(0, head.size))
    assert.ok('range' in at && equal(rootOf(at.range), head.root), 'a head is of this log')
  }
}

const idOf = (digest: Uint8Array) => cidFromDigest(digest, 'dag-cbor')

/** How many entries of a log commit to these bytes. */
export function entriesOf(member: Member, record: Uint8Array): number {
  let count = 0
  for (let i = 0; i < member.state.ledger.tail.range.size; i++) {
    const { slot, entry } = readEntryAt(member.env.get, i)!
    const read = readEntry(entry)
    const salt = member.env.slots.salt(slot)
    if (salt && 'c' in read && equal(read.c, commitment(salt, record))) count++
  }
  return count
}

/** A machine has its `open/` marker exactly while it is not over, and no timer afterwards. */
export function checkMachines(member: Member): void {
  const kinds: [string, (stored: Uint8Array) => boolean][] = [
    [KEY.negotiations, stored => negotiation.isOver(decodeState(stored))],
    [KEY.transfers, stored => transfer.isOver(decodeState(stored))],
    [KEY.deliveries, stored => delivery.isOver(decodeState(stored))],
    [KEY.redactions, stored => isAnswered(decodeState(stored))],
    [KEY.seating, stored => decodeState<Seating>(stored).asked === undefined],
    ['witness/', stored => decodeState<Submission>(stored).sentSize === undefined],
  ]
  const open: string[] = []
  for (const [key, stored] of member.store) {
    const kind = kinds.find(([prefix]) => key.startsWith(prefix))
    if (!kind) continue
    if (!kind[1](stored)) open.push(KEY.open(key))
    else assert.not.ok(member.deadlines.has(key), `${key} is over and has a timer`)
  }
  const marked = [...member.store.keys()].filter(key => key.startsWith(KEY.opens))
  assert.equal(marked.sort(), open.sort(), 'markers of open machines')
}

/** Hands over another message in place of each one of a type. */
export function alter<T extends MessageType>(
  { world }: Story,
  type: T,
  change: (message: MessageOf<T>, flight: Flight) => Message,
): void {
  world.intercept = flight => {
    if (flight.message.t !== type) return undefined
    const frame = encodeMessage(change(flight.message as MessageOf<T>, flight))
    return () => world.hand({ ...flight, frame })
  }
}

/** A record signed again, its payload changed. */
export function resign(
  record: Uint8Array,
  change: object,
  ...by: [role: string, key: PrivateKey][]
): Uint8Array {
  const { p } = decodeSigned(record)
  const payload = { ...p, ...change } as typeof p
  return encodeSigned({ p: payload, s: by.map(([role, key]) => signRecord(payload, role, key)) })
}

/** Codes of the violations that a member has seen, in order. */
export const codes = (member: Member): string[] =>
  member.events.flatMap(event => (event.type === 'violation' ? [event.code] : []))
