/** Promise 4: no seat votes twice, none before its vote is on the disk, and no version has two certificates. */
import { equal } from '../crypto/bytes.ts'
import { isOrder, readOrder, voteIn } from '../protocol/handover.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Checker, Cluster, Leaving } from './cluster.ts'
import type { SimNode } from './node.ts'

export class VoteChecker implements Checker {
  readonly #cluster: Cluster
  readonly #votes = new Map<string, string>()
  readonly #certificates = new Map<string, string>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get certified(): number {
    return this.#certificates.size
  }

  sent({ from, message }: Leaving): void {
    if (message.t === 'vote/cast') this.#vote(from, message.vote)
    const links = 'links' in message ? message.links : undefined
    for (const link of links ?? []) {
      const order = readOrder(link.order)
      if (!isOrder(order)) continue
      const name = `${order.asset} ${order.version}`
      const known = this.#certificates.get(name)
      if (known !== undefined && known !== order.id.toString())
        this.#cluster.report('promise 4', from.name, `two certificates of version ${order.version}`)
      this.#certificates.set(name, order.id.toString())
    }
  }

  #vote(from: SimNode, bytes: Uint8Array): void {
    const vote = voteIn(bytes)!
    const choice = vote.choice.toString()
    const name = `${vote.org} ${vote.committee} ${vote.asset} ${vote.version}`
    const known = this.#votes.get(name)
    if (known !== undefined && known !== choice)
      this.#cluster.report('promise 4', from.name, `voted twice for version ${vote.version}`)
    this.#votes.set(name, choice)
    const stored = from.disk.get(KEY.vote(vote.committee, vote.asset, vote.version))
    const held = stored && decodeState<{ vote: Uint8Array }>(stored).vote
    if (!held || !equal(held, bytes))
      this.#cluster.report('promise 4', from.name, 'a vote left before it was on the disk')
  }
}
