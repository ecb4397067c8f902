/**
 * Nothing new is signed or believed under a key that is past its date, by the clock of whoever signs or believes: no own head,
 * no promise for one and no cosignature (RULES B3, C1).
 */
import { standingOf } from '../protocol/identity-chain.ts'
import { KEY } from '../protocol/layout.ts'
import type { Output, Write } from '../protocol/output.ts'
import { decodePartner } from '../protocol/pairing.ts'
import type { Checker, Cluster } from './cluster.ts'
import { isHead } from './history.ts'
import type { SimNode } from './node.ts'
import type { Suspects } from './suspects.ts'

export class DelegationChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects
  /** By what clock each output was made that is not released yet. */
  readonly #madeMs = new Map<SimNode, Map<number, number>>()

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  queued(node: SimNode, seq: number, writes: Write[]): void {
    const made = this.#madeMs.get(node) ?? new Map<number, number>()
    this.#madeMs.set(node, made)
    const { wallMs } = node.now()
    made.set(seq, wallMs)
    const signs = writes.some(({ key, value, if: once }) => value && once === 'absent' && isHead(key))
    const until = signs ? standingOf(node.chain, 'log')?.until : undefined
    if (until !== undefined && until <= wallMs)
      this.#cluster.report('a delegation', node.name, 'a head is signed with a key that has expired')
  }

  released(node: SimNode, seq: number, { sends }: Output): void {
    const wallMs = this.#madeMs.get(node)?.get(seq)
    this.#madeMs.get(node)?.delete(seq)
    if (wallMs === undefined) return
    for (const { to, message } of sends)
      if (message.t === 'promise/given' || message.t === 'witness/cosigned') this.#given(node, to, wallMs)
  }

  crashed(node: SimNode): void {
    this.#madeMs.delete(node)
  }

  /** By what the member itself knows of the log's key. */
  #given(member: SimNode, log: string, wallMs: number): void {
    const stored = member.onDisk(KEY.partner(log))
    const until = stored && standingOf(decodePartner(stored).chain, 'log')?.until
    if (until === undefined || until > wallMs || !this.#suspects.isSound(member.org, log)) return
    this.#cluster.report('a delegation', member.name, `a head of ${log} is taken whose key has expired`)
  }
}
