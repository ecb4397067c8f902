/**
 * Evidence as this home can give it: its own records and proofs, and the other side's proofs, asked for over the mesh. What
 * the other side gave is kept, so that evidence can be written again while it is away.
 */
import { text, utf8 } from '../crypto/bytes.ts'
import { decode, encode, type Value } from '../crypto/cbor.ts'
import { type CID, cidOf, parseCid } from '../crypto/cid.ts'
import { parseNote } from '../crypto/note.ts'
import { collectConsent, collectDelivery, collectProofs, recordsOf } from '../protocol/collect.ts'
import { strip } from '../protocol/erasure.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event, ProofReply } from '../protocol/event.ts'
import { formatEvidence } from '../protocol/evidence-file.ts'
import { bestHead } from '../protocol/heads.ts'
import { indexOf, redactedOf } from '../protocol/kept.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { HEAD_BEAT_MS } from '../protocol/limits.ts'
import { committeeOf } from '../protocol/trust.ts'
import { type Worth, withoutFalse, worthOf } from '../protocol/worth.ts'
import type { Node } from './daemon.ts'

/** How long evidence waits for heads and cosignatures before it is written as it is (RULES D3). */
const WAIT_MS = 2_000
const ASK_AGAIN_MS = 100
const ANSWER_MS = 1_000
/** After a delivery, when the beat has brought heads that are cosigned: nobody waits, so none is asked for. */
const FIRST_MS = HEAD_BEAT_MS * 1.5 + 500
const AGAIN_MS = 5_000
/** A partner that has not proven what was delivered after so long is a matter for somebody. */
const LATE_MS = 20_000

/** The evidence file of one delivered packet. */
export async function gatherDelivery(node: Node, agreementId: CID, packetId: CID): Promise<Uint8Array> {
  const { org, root } = node.views.delivery(agreementId, packetId)
  const handle = HANDLE.content(root)
  const sealed = node.store.get(KEY.secret(handle))
  if (!sealed && !redactedOf(node.env.get, packetId))
    throw Object.assign(new Error('the packet was not opened yet'), { code: 'OUT_OF_ORDER' })
  const salt = sealed ? { salt: node.openSecret(handle, sealed).slice(32) } : {}
  const about = { agreement: agreementId, packet: packetId }
  const theirs = await gathered(node, org, about)
  const given = { ...theirs, ...salt, asOfMs: Date.now() }
  const evidence = collectDelivery(node.reading(), node.driver.state.ledger, about, given)
  return formatEvidence(withoutFalse(evidence, org, node.reading(), given.asOfMs))
}

/** The consent receipt of an agreement, verifiable alone. */
export async function gatherConsent(node: Node, agreementId: CID): Promise<Uint8Array> {
  const { org } = await node.views.grant(agreementId.toString())
  const theirs = await gathered(node, org, { agreement: agreementId })
  const given = { ...theirs, asOfMs: Date.now(), history: await node.views.historyOf(agreementId) }
  const evidence = collectConsent(node.reading(), node.driver.state.ledger, { agreement: agreementId }, given)
  return formatEvidence(withoutFalse(evidence, org, node.reading(), given.asOfMs))
}

/** Proofs of single records of the own log under one head, which is made and cosigned meanwhile: at most 2 s. */
export async function gatherProofs(node: Node, records: CID[], shown: CID[]): Promise<Uint8Array[]> {
  const end = performance.now() + WAIT_MS
  while (!(await isSettled(node, records)) && performance.now() < end)
    await new Promise(resolve => setTimeout(resolve, ASK_AGAIN_MS))
  return collectProofs(node.reading(), node.driver.state.ledger, records, shown)
}

/** Heads that were waited for in vain: own and the other's size, by partner. While they stand, nobody waits again. */
const inVain = new WeakMap<Node, Map<string, string>>()

/**
 * The other side's proofs, and a wait for the cosignatures that both heads still lack: at most 2 s in all. While the other
 * side is away, what it gave before.
 */
async function gathered(node: Node, org: string, about: About): Promise<{ theirs?: ProofReply }> {
  const records = recordsOf(node.reading(), about)
  const end = performance.now() + WAIT_MS
  const waited = inVain.get(node) ?? new Map<string, string>()
  inVain.set(node, waited)
  const key = proofsKey(org, records)
  let theirs = keptProofs(node, key)
  let isWhole = theirs !== undefined && judged(node, org, about, theirs).is === 'whole'
  for (;;) {
    const reply = await proofsOf(node, org, records)
    const worth = reply && judged(node, org, about, reply)
    if (reply && worth && (worth.is === 'whole' || (worth.is === 'open' && !isWhole))) {
      keepProofs(node, key, reply, isWhole)
      theirs = reply
      isWhole = worth.is === 'whole'
    }
    const given = theirs ? { theirs } : {}
    if ((await isSettled(node, records)) && isWhole) return given
    const heads = `${node.headSize()} ${theirs?.note?.split('\n')[1]}`
    if (waited.get(org) === heads) return given
    if (performance.now() >= end) {
      waited.set(org, heads)
      return given
    }
    await new Promise(resolve => setTimeout(resolve, ASK_AGAIN_MS))
  }
}

/** Whether these records stand under an own head that is cosigned. A head over what no head covers is made at once. */
async function isSettled(node: Node, records: CID[]): Promise<boolean> {
  const { get } = node.env
  const size = Math.max(0, ...records.map(id => (indexOf(get, id) ?? -1) + 1))
  const head = bestHead(node.reading(), size)
  if (!head) await node.driver.submit({ type: 'head' })
  return head !== undefined && isCosigned({ note: text(head.note), witnesses: node.settings.witnesses })
}

function keptProofs(node: Node, key: string): ProofReply | undefined {
  const kept = node.store.get(key)
  return kept && (decode(kept, kept.length) as unknown as ProofReply)
}

type About = Parameters<typeof worthOf>[2]

/** What proofs are worth: nothing on the word of who gives them. */
function judged(node: Node, org: string, about: About, reply: ProofReply): Worth {
  const worth = worthOf(reply, org, about, node.reading(), node.driver.state.ledger, Date.now())
  if (worth.is === 'broken')
    node.log.warn({ partner: org, why: worth.why }, 'what a partner proves does not verify')
  return worth
}

/** Keeps proofs, of whole ones the first and those under a committee that has grown since. */
function keepProofs(node: Node, key: string, reply: ProofReply, hasWhole = false): void {
  const kept = keptProofs(node, key)
  if (kept && hasWhole && kept.witnesses.length >= reply.witnesses.length) return
  // The salt of what was erased here does not come back with the proofs of others.
  const stripped = strip(reply, record => redactedOf(node.env.get, record) !== undefined)
  node.store.commit([{ key, value: encode(stripped as unknown as Value) }], () => {})
}

/**
 * Proofs of deliveries that are over, gathered while the other side is there: evidence must not depend on a partner who may
 * be gone when somebody asks for it. What is not proven yet is remembered over a restart.
 */
export class Gatherer {
  readonly #node: Node
  /** Partners, by the machine of a delivery with them. */
  readonly #unproven = new Map<string, string>()
  /** Why a partner's log does not prove them, and since when. */
  readonly #refused = new Map<string, { why: string; sinceMs: number }>()
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(node: Node) {
    this.#node = node
  }

  async start(): Promise<void> {
    const { store, driver } = this.#node
    for (const [key, org] of await store.list(KEY.allUnproven))
      this.#unproven.set(key.slice(KEY.allUnproven.length), text(org))
    driver.on('event', event => this.#take(event))
    this.#later(FIRST_MS)
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #take(event: Event): void {
    if (event.type !== 'delivery' || event.state !== 'DONE') return
    const { machine, org } = event
    this.#unproven.set(machine, org)
    this.#node.store.commit([{ key: KEY.unproven(machine), value: utf8(org) }], () => {})
    this.#later(FIRST_MS)
  }

  #later(ms: number): void {
    if (this.#stopped || this.#timer || this.#unproven.size === 0) return
    this.#timer = setTimeout(() => void this.#round(), ms)
  }

  /** One delivery after another, and with each partner up to the first that its log does not prove yet. */
  async #round(): Promise<void> {
    const waiting = new Set<string>()
    for (const [machine, org] of this.#unproven) {
      if (this.#stopped) return
      if (waiting.has(org)) continue
      const why = await this.#gather(machine, org).catch(error => this.#failed(error))
      if (why === undefined) {
        this.#proven(machine)
        this.#refused.delete(org)
        continue
      }
      waiting.add(org)
      this.#refused.set(org, { why, sinceMs: this.#refused.get(org)?.sinceMs ?? Date.now() })
    }
    this.#timer = undefined
    this.#later(AGAIN_MS)
  }

  /** Why not. */
  async #gather(machine: string, org: string): Promise<string | undefined> {
    const node = this.#node
    if (!node.store.get(machine)) return undefined // it was redacted
    const delivery = node.driver.delivery(machine)
    const [agreement, packet] = [parseCid(delivery.agreement), parseCid(delivery.packet)]
    for (const about of [{ agreement }, { agreement, packet }]) {
      const records = recordsOf(node.reading(), about)
      const key = proofsKey(org, records)
      const kept = keptProofs(node, key)
      if (kept && judged(node, org, about, kept).is === 'whole') continue
      const reply = await proofsOf(node, org, records)
      if (!reply) return node.partners.isConnected(org) ? 'it does not answer' : 'it is away'
      const worth = judged(node, org, about, reply)
      if (worth.is === 'broken') return `what it answers does not verify: ${worth.why}`
      if (worth.is === 'open') return 'its log does not show them under a final head yet'
      keepProofs(node, key, reply)
    }
    return undefined
  }

  /** Partners whose logs do not prove what was delivered, for a while now. */
  unproven(): { org: string; count: number; why: string }[] {
    const late = Date.now() - LATE_MS
    return [...this.#refused].flatMap(([org, { why, sinceMs }]) => {
      const count = [...this.#unproven.values()].filter(each => each === org).length
      return sinceMs < late && count > 0 ? [{ org, count, why }] : []
    })
  }

  /** What can never be proven, such as a rejected packet, is not tried again. */
  #failed(error: Error): string | undefined {
    this.#node.log.debug({ error: String(error) }, 'a delivery is not proven')
    return error instanceof ProtocolError ? undefined : String(error)
  }

  #proven(machine: string): void {
    this.#unproven.delete(machine)
    if (!this.#stopped) this.#node.store.commit([{ key: KEY.unproven(machine) }], () => {})
  }
}

const proofsKey = (org: string, records: CID[]): string => KEY.proofs(org, cidOf(encode(records), 'dag-cbor'))

/** Whether a head has as many cosignatures of the witnesses named as make it final. */
function isCosigned({ note, witnesses }: { note?: string; witnesses: unknown[] }): boolean {
  if (!note) return false
  const { q } = committeeOf(witnesses.length)
  return parseNote(note).lines.length - 1 >= q
}

/** What a partner proves of these records, and of a newer head than this one. */
export async function proofsOf(
  node: Node,
  org: string,
  records: CID[],
  head?: { size: number; log: CID },
): Promise<ProofReply | undefined> {
  if (!node.partners.isConnected(org)) return undefined
  const { promise, resolve } = Promise.withResolvers<ProofReply | undefined>()
  let id = ''
  const listener = (event: Event) => {
    if (event.type === 'proofs' && event.org === org && event.id === id) resolve(event.reply)
  }
  node.driver.on('event', listener)
  const timer = setTimeout(() => resolve(undefined), ANSWER_MS)
  try {
    const ask = { type: 'proofs', org, records, ...(head ? { head: head.size, log: head.log } : {}) } as const
    id = ((await node.driver.submit(ask)) as { id: string }).id
    return await promise
  } finally {
    clearTimeout(timer)
    node.driver.off('event', listener)
  }
}
