/**
 * What a node does after a delivery while nobody waits: it asks the other side to prove what its log has of it, and judges the
 * answer, as node/gather.ts does, which has the same pauses. The verifier does not run here; what it takes is charged.
 */
import { encode, type Value } from '../crypto/cbor.ts'
import { type CID, cidOf } from '../crypto/cid.ts'
import { recordsOf } from '../protocol/collect.ts'
import type { Delivery } from '../protocol/delivery.ts'
import { ProtocolError } from '../protocol/error.ts'
import type { Event, ProofReply } from '../protocol/event.ts'
import { KEY } from '../protocol/layout.ts'
import { HEAD_BEAT_MS } from '../protocol/limits.ts'
import { decodeState } from '../protocol/machine.ts'
import { meter } from './meter.ts'
import type { SimNode } from './node.ts'

const FIRST_US = (HEAD_BEAT_MS * 1.5 + 500) * 1_000
const AGAIN_US = 5_000_000
const ANSWER_US = 1_000_000

type Of<T extends Event['type']> = Extract<Event, { type: T }>

export class Gatherer {
  /** Partners, by the machine of a delivery with them. */
  readonly #unproven = new Map<string, string>()
  readonly #node: SimNode
  #waits = false
  #asked: { id: string; org: string; told(reply?: ProofReply): void } | undefined

  constructor(node: SimNode) {
    this.#node = node
  }

  /** Deliveries that are not proven. */
  get left(): number {
    return this.#unproven.size
  }

  take(event: Event): void {
    if (event.type === 'delivery') this.#note(event)
    else if (event.type === 'proofs' && event.id === this.#asked?.id) this.#asked.told(event.reply)
  }

  crash(): void {
    this.#waits = false
    this.#asked = undefined
    if (this.left > 0) this.#later(FIRST_US)
  }

  #note({ machine, org, state }: Of<'delivery'>): void {
    if (state !== 'DONE') return
    this.#unproven.set(machine, org)
    this.#node.keep({ key: KEY.unproven(machine), value: encode(org) })
    this.#later(FIRST_US)
  }

  #later(us: number): void {
    if (this.#waits || this.left === 0) return
    this.#waits = true
    this.#node.later(us, () => this.#round([...this.#unproven], new Set()))
  }

  /** One delivery after another, and with each partner up to the first that its log does not prove yet. */
  #round(left: [machine: string, org: string][], waiting: Set<string>): void {
    const [first, ...others] = left
    if (!first) {
      this.#waits = false
      this.#later(AGAIN_US)
      return
    }
    const [machine, org] = first
    const next = (isProven: boolean) => {
      if (!isProven) waiting.add(org)
      else if (this.#unproven.delete(machine)) this.#node.keep({ key: KEY.unproven(machine) })
      this.#round(others, waiting)
    }
    if (waiting.has(org)) this.#round(others, waiting)
    else this.#gather(machine, org, next)
  }

  #gather(machine: string, org: string, told: (isProven: boolean) => void): void {
    const node = this.#node
    const stored = node.store.get(machine)
    if (!stored) {
      told(true)
      return
    }
    const { agreement, packet } = decodeState<Delivery>(stored)
    this.#prove(org, { agreement }, isProven => {
      if (isProven) this.#prove(org, { agreement, packet }, told)
      else told(false)
    })
  }

  /** Asks for proofs of what an agreement or a delivery rests on, unless they are here. */
  #prove(org: string, about: { agreement: CID; packet?: CID }, told: (isProven: boolean) => void): void {
    const node = this.#node
    node.work(() => {
      const records = this.#records(about)
      if (!records) return told(true)
      const key = KEY.proofs(org, cidOf(encode(records), 'dag-cbor'))
      if (node.store.get(key)) {
        told(true)
        return
      }
      this.#ask(org, records, reply =>
        node.work(() => {
          if (!reply) return told(false)
          meter.charge('proof')
          if (reply.pending) return told(false)
          node.keep({ key, value: encode(reply as unknown as Value) })
          told(true)
        }),
      )
    })
  }

  /** Nothing where it was erased: it can never be proven. */
  #records(about: { agreement: CID; packet?: CID }): CID[] | undefined {
    try {
      return recordsOf(this.#node.reading(), about)
    } catch (error) {
      if (error instanceof ProtocolError) return undefined
      throw error
    }
  }

  #ask(org: string, records: CID[], told: (reply?: ProofReply) => void): void {
    const node = this.#node
    const asked = { id: '', org, told: (_reply?: ProofReply) => {} }
    asked.told = reply => {
      if (this.#asked !== asked) return
      this.#asked = undefined
      told(reply)
    }
    this.#asked = asked
    node.later(ANSWER_US, () => asked.told())
    node.submit({ type: 'proofs', org, records }, [], answer => {
      if (answer?.type === 'reading') asked.id = answer.id
      else asked.told()
    })
  }
}
