/** Of whom a run knows that they are not sound, so that nobody wonders at what comes of it. */
import { readSeating } from '../protocol/committee.ts'
import { committee } from '../protocol/committee-record.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import type { Cluster } from './cluster.ts'
import type { SimNode } from './node.ts'

export interface Rule {
  seats: string[]
  f: number
  q: number
}

export class Suspects {
  /** Organisations whose store was put back to an earlier state, or copied: their log may stop, or have two histories. */
  readonly putBack = new Set<string>()
  /** Those of them that noticed it: what they promised for others and forgot, they never promise otherwise. */
  readonly noticed = new Set<string>()
  /** Those whose store then knew no members: nobody keeps their log from forking. */
  readonly alone = new Set<string>()
  /** Those whose log key somebody else has. */
  readonly robbed = new Set<string>()
  /** Partners that send what no sound node would. */
  readonly hostile = new Set<string>()
  /** Members that lie, by the organisation that they lie to. */
  readonly liars = new Map<string, Set<string>>()
  /** A control counts on the members whatever they do: it is to see what comes of it. */
  readonly #isControl: boolean

  constructor(isControl: boolean) {
    this.#isControl = isControl
  }

  /** Whether what is said of an organisation, or by it, may be untrue. */
  has(org: string): boolean {
    return this.putBack.has(org) || this.robbed.has(org) || this.hostile.has(org)
  }

  /** Whether an organisation promises and cosigns for another as it should. */
  isSound(member: string, log: string): boolean {
    const isForgetful = this.putBack.has(member) && !this.noticed.has(member)
    return !isForgetful && !this.hostile.has(member) && !this.liars.get(log)?.has(member)
  }

  /** Whether the log had no members, or more of them than the rule bears are not sound. */
  mayFork(org: string, cluster: Cluster): boolean {
    return this.alone.has(org) || (!this.#isControl && this.#isBeyond(org, cluster))
  }

  /** Whether members may say that a store is behind. */
  mayStop(org: string, cluster: Cluster): boolean {
    return this.putBack.has(org) || this.hostile.has(org) || this.#isBeyond(org, cluster)
  }

  #isBeyond(org: string, cluster: Cluster): boolean {
    const rules = cluster.copies(org).flatMap(({ onDisk }) => rulesOf(onDisk))
    return rules.some(({ seats, f }) => seats.filter(seat => !this.isSound(seat, org)).length > f)
  }
}

/** The committees that a store names: the one in force, and the one that is to follow. Read here without committee.ts's own sums. */
export function rulesOf(get: (key: string) => Uint8Array | undefined): Rule[] {
  const { now, next } = readSeating(get)
  return [now, next?.record].flatMap(record => (record ? [ruleOf(record)] : []))
}

export function ruleOf(record: Uint8Array): Rule {
  const read = readRecord(committee, record)
  if (!isStored(read)) throw new Error(`a committee that does not read back: ${read.reason}`)
  const { seats, f, q } = read.payload
  return { seats: seats.map(String), f, q }
}

/** Whether a store knows of members who hold what its log has signed. */
export const hasMembers = (get: (key: string) => Uint8Array | undefined): boolean => rulesOf(get).length > 0

/** Whether so many members of a log can be reached from a node that its heads are promised. */
export function hasQuorum(node: SimNode, cluster: Cluster): boolean {
  return rulesOf(node.onDisk).every(({ seats, q }) => {
    const here = seats.filter(org => {
      const member = cluster.node(org)
      const [to, from] = [member?.index ?? 0, node.index]
      return member?.up && !cluster.network.isBlocked(from, to) && !cluster.network.isBlocked(to, from)
    })
    return here.length >= q
  })
}
