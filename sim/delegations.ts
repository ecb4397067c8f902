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

/** By organisation: when its log key ends, ms since 1970. */
type Untils = ReadonlyMap<string, number | undefined>

const untilOf = ([key, stored]: [string, Uint8Array]): [string, number | undefined] => [
  key.slice(KEY.partners.length),
  standingOf(decodePartner(stored).chain, 'log')?.until,
]

export class DelegationChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects
  /** When each output was made that is not released yet, and when the log keys ended that were known then. */
  readonly #made = new Map<SimNode, Map<number, { wallMs: number; untils: Untils }>>()
  /** Of each node, under queued writes. */
  readonly #untils = new Map<SimNode, Untils>()

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  queued(node: SimNode, seq: number, writes: Write[]): void {
    const made = this.#made.get(node) ?? new Map()
    this.#made.set(node, made)
    const { wallMs } = node.now()
    made.set(seq, { wallMs, untils: this.#learn(node, writes) })
    const signs = writes.some(({ key, value, if: once }) => value && once === 'absent' && isHead(key))
    const until = signs ? standingOf(node.chain, 'log')?.until : undefined
    if (until !== undefined && until <= wallMs)
      this.#cluster.report('a delegation', node.name, 'a head is signed with a key that has expired')
  }

  released(node: SimNode, seq: number, { sends }: Output): void {
    const made = this.#made.get(node)?.get(seq)
    this.#made.get(node)?.delete(seq)
    if (!made) return
    for (const { to, message } of sends) {
      const isTaken = message.t === 'promise/given' || message.t === 'witness/cosigned'
      if (isTaken) this.#given(node, to, made.wallMs, made.untils.get(to))
    }
  }

  crashed(node: SimNode): void {
    this.#made.delete(node)
    this.#untils.delete(node)
  }

  /** A later event may be on the disk by the time an answer leaves: it says nothing of a key that stood when it was made. */
  #learn(node: SimNode, writes: Write[]): Untils {
    const known = this.#untils.get(node) ?? new Map(node.disk.list(KEY.partners).map(untilOf))
    const news = writes.flatMap(({ key, value }) =>
      value && key.startsWith(KEY.partners) ? [untilOf([key, value])] : [],
    )
    const untils = news.length > 0 ? new Map([...known, ...news]) : known
    this.#untils.set(node, untils)
    return untils
  }

  /** By what the member itself knows of the log's key. */
  #given(member: SimNode, log: string, wallMs: number, until: number | undefined): void {
    if (until === undefined || until > wallMs || !this.#suspects.isSound(member.org, log)) return
    this.#cluster.report('a delegation', member.name, `a head of ${log} is taken whose key has expired`)
  }
}
