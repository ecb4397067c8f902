/**
 * What must hold in every run, whatever the faults: the promises of GUARANTEES.md as far as their dialogues exist. The
 * checkers know the world only by what leaves the nodes and by what is on their disks, and keep their own books.
 */
import { equal, toHex } from '../crypto/bytes.ts'
import { agreement } from '../protocol/agreement.ts'
import { packet } from '../protocol/asset.ts'
import { decodeRoot } from '../protocol/content.ts'
import type { Event } from '../protocol/event.ts'
import { UNNAMED_KEY } from '../protocol/hearsay.ts'
import { keyOf } from '../protocol/identity.ts'
import { type Chain, everStood } from '../protocol/identity-chain.ts'
import { keptRecord, readEntries } from '../protocol/kept.ts'
import { KEY } from '../protocol/layout.ts'
import { closedLog, logNumber } from '../protocol/log-number.ts'
import { mirrorGet } from '../protocol/mirror.ts'
import type { Write } from '../protocol/output.ts'
import { decodePartner } from '../protocol/pairing.ts'
import { received, release } from '../protocol/receipt.ts'
import { isStored, type KeyResolver, readRecord, verifySignatures } from '../protocol/record.ts'
import type { Checker, Cluster, Leaving } from './cluster.ts'
import { DelegationChecker } from './delegations.ts'
import { HistoryChecker } from './history.ts'
import { HoldingsChecker } from './holdings.ts'
import type { SimNode } from './node.ts'
import { PromiseChecker } from './promises.ts'
import { RedactionChecker } from './redacted.ts'
import { SeenChecker } from './seen-heads.ts'
import type { Suspects } from './suspects.ts'
import { VoteChecker } from './votes.ts'

/** Puts all checkers into a cluster; what some of them count is for reports. */
export function watchOver(cluster: Cluster, suspects: Suspects): { votes: VoteChecker } {
  const votes = new VoteChecker(cluster)
  cluster.checkers.push(
    new ReleaseChecker(cluster),
    new DurabilityChecker(cluster),
    new HistoryChecker(cluster, suspects),
    new PromiseChecker(cluster),
    new SeenChecker(cluster, suspects),
    new DelegationChecker(cluster, suspects),
    votes,
    new RedactionChecker(cluster),
    new HoldingsChecker(cluster),
    new CourtesyChecker(cluster, suspects),
    new MirrorChecker(cluster, suspects),
    { broke: (node, why) => cluster.report('a sound node', node.name, why) },
  )
  return { votes }
}

/** Among nodes that keep to the protocol nobody finds a breach of it, whatever the weather; but clocks may be wrong. */
export class CourtesyChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  event(node: SimNode, event: Event): void {
    const suspects = this.#suspects
    if (event.type === 'forked' && !suspects.has(event.org))
      this.#cluster.report('the protocol', node.name, `a sound log was closed: ${event.org}`)
    if (event.type === 'behind' && !suspects.mayStop(node.org, this.#cluster))
      this.#cluster.report('the protocol', node.name, 'a sound store was held to be behind')
    if (event.type !== 'violation') return
    const { code, org, text: said } = event
    const isClock =
      code === 'CLOCK_BEHIND' || (code === 'OUT_OF_ORDER' && said.includes(' with CLOCK_BEHIND: '))
    const isLie = !suspects.isSound(org, node.org) || !suspects.isSound(node.org, org)
    const isStopped =
      (code === 'RESTORED_BEHIND' || said.includes(' with RESTORED_BEHIND: ')) &&
      [org, node.org].some(each => suspects.mayStop(each, this.#cluster))
    // What is answered so is judged where it was found.
    const isEcho = code === 'OUT_OF_ORDER' && / with HEAD_(INVALID|BEHIND): /.test(said)
    const isOutrun = isEcho || this.#isOutrun(node, org, code, said)
    if (isOutrun || isClock || isLie || isStopped || suspects.has(org) || suspects.has(node.org)) return
    this.#cluster.report('the protocol', node.name, `found ${org} in breach of it: ${code}, ${said}`)
  }

  /** A head that overtook the event which names its key, or came after the one that ends its key or its log; none of somebody else. */
  #isOutrun(node: SimNode, org: string, code: string, said: string): boolean {
    const chainsOf = (each: string) => this.#cluster.copies(each).map(({ chain }) => chain)
    if (code === 'HEAD_BEHIND') return [org, node.org].some(each => chainsOf(each).some(hasEvents))
    if (code !== 'HEAD_INVALID' || said === UNNAMED_KEY) return false
    const { chain: known } = decodePartner(node.onDisk(KEY.partner(org))!)
    return (
      chainsOf(org).some(({ events }) => events.length > known.events.length) ||
      (known.logs.length > 1 && said.endsWith('of a log that was closed')) ||
      everStood(known, 'log').some(({ revoked }) => revoked !== undefined)
    )
  }
}

const hasEvents = ({ events }: Chain): boolean => events.length > 0

/** A mirror holds, on its disk, exactly the entries that its owner's disk has. */
class MirrorChecker implements Checker {
  readonly #cluster: Cluster
  readonly #suspects: Suspects

  constructor(cluster: Cluster, suspects: Suspects) {
    this.#cluster = cluster
    this.#suspects = suspects
  }

  event(node: SimNode, event: Event): void {
    if (event.type !== 'mirrored' || this.#suspects.has(event.org) || this.#suspects.has(node.org)) return
    const { org, size } = event
    const { chain } = decodePartner(node.onDisk(KEY.partner(org))!)
    const [number, owner] = [chain.logs.length - 1, this.#cluster.node(org)!]
    const own = number === logNumber(owner.onDisk) ? owner.onDisk : closedLog(owner.onDisk, number)
    const held = readEntries(mirrorGet(node.onDisk, org, number), 0, size)
    let at = 0
    for (const { entry } of readEntries(own, 0, size)) {
      const copy = held.next().value
      if (!copy || !equal(copy.entry, entry))
        this.#cluster.report('a mirror', node.name, `entry ${at} of ${org} is not what its owner has`)
      at++
    }
    if (at !== size || !held.next().done)
      this.#cluster.report('a mirror', node.name, `${at} entries of ${size}`)
  }
}

const keptBy = (node: SimNode) => ({ get: node.onDisk, slots: node.env.slots })

/** Promise 1: no content key leaves before both signatures, and the receipt for the ciphertext, are on the provider's disk. */
export class ReleaseChecker implements Checker {
  readonly #cluster: Cluster
  readonly #signed = new Set<string>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  sent({ from, to, message }: Leaving): void {
    if (message.t !== 'delivery/release') return
    const read = readRecord(release, message.release)
    if (!isStored(read)) {
      this.#cluster.report('promise 1', from.name, 'a release that cannot be read')
      return
    }
    const { agreement: id, receipt } = read.payload
    if (!keptRecord(keptBy(from), receipt))
      this.#cluster.report('promise 1', from.name, 'a key left before the receipt was durable')
    const grant = from.disk.get(KEY.grant(to, id))
    if (!grant || !this.#isWhole(grant, id.toString(), to))
      this.#cluster.report('promise 1', from.name, `a key left without both signatures under ${id}`)
  }

  #isWhole(grant: Uint8Array, id: string, assignee: string): boolean {
    const name = `${id} ${toHex(grant.subarray(-8))}`
    if (this.#signed.has(name)) return true
    const read = readRecord(agreement, grant)
    const keys: KeyResolver = (org, role) => {
      const node = this.#cluster.node(org.toString())
      return node && keyOf(node.env.self.identity, role)
    }
    const whole =
      isStored(read) &&
      read.id.toString() === id &&
      read.payload.assignee.toString() === assignee &&
      verifySignatures(agreement, read, keys).ok === true
    if (whole) this.#signed.add(name)
    return whole
  }
}

/** The writes of one key: the last that was acknowledged, and those that were queued after it. */
interface Versions {
  acknowledged: Uint8Array | undefined
  queued: { seq: number; value: Uint8Array | undefined }[]
}

/** Promise 2: nothing leaves before what it rests on is on the disk, and what left is on the disk after a crash. */
class DurabilityChecker implements Checker {
  readonly #cluster: Cluster
  readonly #books = new Map<SimNode, Map<string, Versions>>()
  readonly #outputs = new Map<SimNode, Map<number, string[]>>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  queued(node: SimNode, seq: number, writes: Write[]): void {
    const book = this.#book(node)
    for (const { key, value } of writes) {
      const versions = book.get(key)
      if (versions) versions.queued.push({ seq, value })
      else book.set(key, { acknowledged: node.disk.get(key), queued: [{ seq, value }] })
    }
    this.#outputs.get(node)!.set(
      seq,
      writes.map(({ key }) => key),
    )
  }

  released(node: SimNode, seq: number): void {
    const [book, outputs] = [this.#book(node), this.#outputs.get(node)!]
    for (const key of outputs.get(seq) ?? []) {
      const versions = book.get(key)!
      for (let next = versions.queued[0]; next && next.seq <= seq; next = versions.queued[0]) {
        versions.acknowledged = next.value
        versions.queued.shift()
      }
      this.#compare(node, key, versions, 'was acknowledged before it was on the disk')
    }
    outputs.delete(seq)
    for (const earlier of outputs.keys())
      if (earlier < seq) this.#cluster.report('promise 2', node.name, `output ${seq} overtook ${earlier}`)
  }

  opened(node: SimNode): void {
    for (const [key, versions] of this.#book(node)) this.#compare(node, key, versions, 'did not survive')
    this.restored(node)
  }

  restored(node: SimNode): void {
    this.#books.delete(node)
    this.#outputs.delete(node)
  }

  /** A receipt says that the ciphertext is here. */
  sent({ from, message }: Leaving): void {
    if (message.t !== 'delivery/received') return
    const receipt = readRecord(received, message.receipt)
    const stored = isStored(receipt) && keptRecord(keptBy(from), receipt.payload.packet)
    const described = stored && readRecord(packet, stored)
    const root = described && isStored(described) && from.disk.get(KEY.root(described.payload.root))
    const whole =
      root && this.#cluster.bulk(from).isWhole(described.payload.root, decodeRoot(root as Uint8Array).count)
    if (!whole) this.#cluster.report('promise 2', from.name, 'a receipt left before its content was durable')
  }

  #book(node: SimNode): Map<string, Versions> {
    const known = this.#books.get(node)
    if (known) return known
    const book = new Map<string, Versions>()
    this.#books.set(node, book)
    this.#outputs.set(node, new Map())
    return book
  }

  #compare(node: SimNode, key: string, { acknowledged, queued }: Versions, what: string): void {
    const value = node.disk.get(key)
    if (same(value, acknowledged) || queued.some(each => same(value, each.value))) return
    this.#cluster.report('promise 2', node.name, `${key} ${what}`)
  }
}

const same = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : equal(a, b)
