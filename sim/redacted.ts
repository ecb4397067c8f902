/** Promise 5: what was redacted is gone from the disk for good, and the entry that committed to it is proven as before. */
import type { CID } from '../crypto/cid.ts'
import { leafHash, rootOf, verifyInclusion } from '../crypto/merkle.ts'
import type { Event } from '../protocol/event.ts'
import { indexOf, keptRecord, readEntryAt, redactedOf } from '../protocol/kept.ts'
import { provePresence } from '../protocol/ledger.ts'
import type { Checker, Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'

export class RedactionChecker implements Checker {
  readonly #cluster: Cluster
  readonly #redacted = new Map<SimNode, CID[]>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  event(node: SimNode, event: Event): void {
    if (event.type !== 'redacted') return
    const all = this.#redacted.get(node) ?? []
    this.#redacted.set(node, [...all, event.record])
    this.#gone(node, event.record)
  }

  /** After every start, as after every head: the one that was redacted last stands for all. */
  opened(node: SimNode): void {
    for (const record of this.#redacted.get(node) ?? []) {
      this.#gone(node, record)
      this.#proven(node, record)
    }
  }

  released(node: SimNode): void {
    const last = this.#redacted.get(node)?.at(-1)
    if (last) this.#proven(node, last)
  }

  /** A backup knows nothing of what was redacted after it. */
  restored(node: SimNode): void {
    this.#redacted.delete(node)
  }

  #gone({ onDisk: get, env, name }: SimNode, record: CID): void {
    const isGone = redactedOf(get, record) && !keptRecord({ get, slots: env.slots }, record)
    if (!isGone) this.#cluster.report('promise 5', name, `${record} was redacted and is still there`)
  }

  #proven({ env, state, name }: SimNode, record: CID): void {
    const { ledger } = state
    const { range } = ledger.signed
    const index = indexOf(env.get, record)
    if (index === undefined || index >= range.size) return // in a log that is closed, or under no head yet
    const entry = readEntryAt(env.get, index)
    const path = provePresence(ledger, env.get, index, range.size)
    const proof = entry && { leaf: leafHash(entry.entry), index, size: range.size, path, root: rootOf(range) }
    if (!proof || !verifyInclusion(proof))
      this.#cluster.report('promise 5', name, `entry ${index} is not proven since ${record} was redacted`)
  }
}
