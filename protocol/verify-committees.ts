/**
 * Who may make a head of a log final (RULES D2): its first committee, which the trust file pins, and those that followed. Each
 * is signed by every seat and named by an entry. The first counts by a head that all its seats have cosigned, a later one by
 * one with q of the old and q of the new. Which of them is in force at a head says the last entry under it.
 */
import { equal } from '../crypto/bytes.ts'
import { type CID, digestOf } from '../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { type Committee, committee, type ShownCommittees } from './committee-record.ts'
import type { CommitteePart } from './evidence.ts'
import { type Chain, everyKey } from './identity-chain.ts'
import { type Head, KIND, readEntry, readHead, ZERO_HASH } from './log.ts'
import { isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import { firstsOf } from './trust.ts'
import { type Asked, cosignature } from './verify-cosignatures.ts'
import type { Parties } from './verify-parties.ts'
import { type Later, type Outcome, type Rule, unestablished, worse } from './verify-steps.ts'

interface Shown {
  part: CommitteePart
  record: Stored<Committee>
}

/** A committee that is shown to have come into force. */
interface Link {
  record: Stored<Committee>
  /** The head by which it did. */
  head: Head
  /** Those of the one before cosigned it by keys that have ended since: who holds them now could have made this one. */
  isOld: boolean
}

export class Committees {
  readonly #asked: Asked
  readonly #parties: Pick<Parties, 'get' | 'isWhole'>
  readonly #shown: Shown[] = []
  readonly #read = new Map<string, Outcome<Link[]>>()

  constructor(asked: Asked, parties: Pick<Parties, 'get' | 'isWhole'>) {
    this.#asked = asked
    this.#parties = parties
  }

  /** Takes a committee of one of these organisations; why not, where it is none. */
  add(part: CommitteePart, orgs: CID[]): Outcome<true> {
    const record = readRecord(committee, part.record)
    if (!isStored(record)) return worse(record)
    const { org, log, number } = record.payload
    if (!orgs.some(each => each.equals(part.org)) || !org.equals(part.org))
      return { failed: 'it is of neither log' }
    if (this.#of(org, log).some(({ record: { payload } }) => payload.number === number))
      return { failed: `it is the second of number ${number}` }
    this.#shown.push({ part, record })
    return { value: true, detail: '' }
  }

  #of(org: CID, log: CID): Shown[] {
    return this.#shown.filter(({ record: { payload } }) => payload.org.equals(org) && payload.log.equals(log))
  }

  /** All that are shown of one organisation's logs. */
  all(org: CID): Outcome<true> | undefined {
    const shown = this.#shown.filter(({ part }) => part.org.equals(org))
    const chain = this.#parties.get(org.toString())
    if (shown.length === 0) return undefined
    if (!chain) return unestablished('the identity of its log')
    const stray = shown.find(({ record: { payload } }) => !chain.logs.some(log => log.equals(payload.log)))
    if (stray) {
      const reason = `committee ${stray.record.payload.number} is of no log of this organisation`
      return this.#parties.isWhole(org) ? { failed: reason } : { inconclusive: reason }
    }
    const words: string[] = []
    for (const log of chain.logs.keys()) {
      const links = this.#links(org, chain, log)
      if (!('value' in links)) return links
      const last = links.value.at(-1)
      if (last) words.push(wordsOf(last))
    }
    return { value: true, detail: words.join('; ') }
  }

  newest(org: CID): Rule['committee'] | undefined {
    const chain = this.#parties.get(org.toString())
    const links = chain && this.#links(org, chain, chain.logs.length - 1)
    return links && 'value' in links ? links.value.at(-1)?.record.payload : undefined
  }

  /** The committee in force at a head, by what the last entry under it names. */
  ruleAt(org: CID, head: Head, named: Uint8Array | undefined, isRenewed: boolean): Outcome<Rule> {
    const chain = this.#parties.get(org.toString())!
    const links = this.#links(org, chain, head.log)
    if (!('value' in links)) return unestablished('the committee of its log')
    const isPinned = firstsOf(this.#asked.trust, org).some(
      ({ log }) => log === chain.logs[head.log]!.toString(),
    )
    if (!isPinned) return NOBODY
    if (!named)
      return { inconclusive: 'the last entry under the head, which names its committee, is not shown' }
    const at = equal(named, ZERO_HASH)
      ? -1
      : links.value.findIndex(({ record }) => equal(digestOf(record.id), named))
    if (at < 0 && !equal(named, ZERO_HASH))
      return { inconclusive: 'the committee in force at the head is not in the evidence' }
    // What the entry names held when it was written: the next may have come into force by the head itself.
    const covered = links.value.filter(each => each.head.size <= head.size).length
    if (covered > at + 2) return { failed: 'its last entry names a committee that was not in force any more' }
    const inForce = links.value.slice(0, Math.max(at + 1, covered))
    const current = inForce.at(-1)
    if (!current) return NOBODY
    const unproven = isRenewed ? undefined : this.#unproven(inForce, head)
    if (unproven) return unproven
    const { n, f, q, seats } = current.record.payload
    return { value: { committee: { n, f, q }, members: seats.map(String) }, detail: '' }
  }

  /** A committee that followed by keys which have ended is one of old members only where these stand by the head. */
  #unproven(links: Link[], head: Head): Outcome<Rule> | undefined {
    for (const [i, { isOld }] of links.entries()) {
      if (!isOld) continue
      const before = links[i - 1]!.record.payload
      const count = this.#count(before.seats, head, false)
      if (!('value' in count)) return count
      if (count.value < before.q)
        return {
          inconclusive: `committee ${i} followed by keys of committee ${i - 1} that have ended: valid when made cannot be shown`,
        }
    }
    return undefined
  }

  #links(org: CID, chain: Chain, log: number): Outcome<Link[]> {
    const name = `${org}/${log}`
    const read = this.#read.get(name) ?? this.#follow(org, chain, log)
    this.#read.set(name, read)
    return read
  }

  #follow(org: CID, chain: Chain, log: number): Outcome<Link[]> {
    const links: Link[] = []
    const shown = this.#of(org, chain.logs[log]!).sort(
      (a, b) => a.record.payload.number - b.record.payload.number,
    )
    for (const each of shown) {
      const { number } = each.record.payload
      if (number !== links.length) return { inconclusive: `committee ${links.length} is not in the evidence` }
      const link = this.#link(each, chain, log, links.at(-1))
      if (!('value' in link))
        return 'failed' in link
          ? { failed: `committee ${number}: ${link.failed}` }
          : { inconclusive: `committee ${number}: ${link.inconclusive}` }
      links.push(link.value)
    }
    return { value: links, detail: '' }
  }

  #link({ part, record }: Shown, chain: Chain, log: number, before: Link | undefined): Outcome<Link> {
    const { org, prev, number } = record.payload
    const pin = firstsOf(this.#asked.trust, org).find(each => each.log === record.payload.log.toString())
    if (number === 0 && pin && pin.committee !== record.id.toString())
      return { failed: 'the trust file pins another first committee' }
    if (before && !prev?.equals(before.record.id)) return { failed: 'it does not follow the one before' }
    const isWhole = (each: CID) => this.#parties.isWhole(each)
    const keys = everyKey(each => this.#parties.get(each.toString()), isWhole)
    const verdict = verifySignatures(committee, record, keys)
    if (verdict.ok !== true) return worse(verdict)
    const head = readHead(part.note, chain, undefined, { revoked: true, closed: true })
    if ('reason' in head)
      return head.unknown && !isWhole(org) ? { inconclusive: head.reason } : { failed: head.reason }
    const wrong = head.log === log ? unnamed(part, record, head, before) : 'its head is of another log'
    return wrong ? { failed: wrong } : this.#inForce(record, head, before)
  }

  /** Whether a head has the cosignatures by which a committee comes into force. */
  #inForce(record: Stored<Committee>, head: Head, before: Link | undefined): Outcome<Link> {
    const { n, q, seats } = record.payload
    // That the first came into force is what the trust file says by pinning it: from where on, its seats' lines show.
    const own = this.#count(seats, head, true, !before)
    if (!('value' in own)) return own
    const need = before ? q : n
    if (own.value < need)
      return { inconclusive: `it is not shown to have come into force: ${own.value} of ${n} have cosigned` }
    if (!before) return { value: { record, head, isOld: false }, detail: '' }
    const { payload } = before.record
    const [ever, now] = [true, false].map(isRenewed => this.#count(payload.seats, head, isRenewed))
    if (!('value' in ever!)) return ever!
    if (ever.value < payload.q)
      return { inconclusive: `${ever.value} of ${payload.n} of the one before have cosigned` }
    return { value: { record, head, isOld: !('value' in now!) || now.value < payload.q }, detail: '' }
  }

  /** How many of these have cosigned a head; by keys that have ended where others vouch for it. */
  #count(seats: CID[], head: Head, isRenewed: boolean, isPinned = false): Outcome<number> {
    let count = 0
    for (const seat of seats.map(String)) {
      const one = cosignature(this.#asked, this.#parties.get(seat), seat, head, isRenewed)
      if (one && !('value' in one)) return one
      if (one && ('ms' in one.value || (isPinned && one.value.hasEnded))) count++
    }
    return { value: count, detail: '' }
  }
}

/**
 * What the committees of one organisation's logs say of its heads, where nothing is asked of another; or what is wrong with them.
 */
export function committeesOfOne(
  asked: Asked,
  parties: Pick<Parties, 'get' | 'isWhole'>,
  org: CID,
  parts: ShownCommittees,
): Outcome<Later> {
  const committees = new Committees(asked, parties)
  for (const part of parts) {
    const added = committees.add({ org, ...part }, [org])
    if (!('value' in added)) return added
  }
  const all = committees.all(org)
  if (all && !('value' in all)) return all
  return {
    value: {
      ruleAt: (...at) => committees.ruleAt(...at),
      newest: each => committees.newest(each),
      renewal: () => undefined,
    },
    detail: '',
  }
}

/** A log whose first committee is not in force yet, or not known. */
const NOBODY: Outcome<Rule> = { value: { committee: { n: 0, f: 0, q: 0 }, members: [] }, detail: '' }

/** What is wrong with the entry that names a committee. */
function unnamed(
  { entry: entryBytes, path }: CommitteePart,
  { id }: Stored<Committee>,
  { size, root }: Head,
  before: Link | undefined,
): string | undefined {
  const entry = readEntry(entryBytes)
  if ('reason' in entry) return entry.reason
  if (entry.k !== KIND.committee || entry.x?.length !== 1 || !equal(entry.x[0]!, digestOf(id)))
    return `entry ${entry.n} does not name it`
  if (before && entry.n < before.head.size) return 'it was named before the one before was in force'
  return verifyInclusion({ leaf: leafHash(entryBytes), index: entry.n, size, path, root })
    ? undefined
    : `entry ${entry.n} is not under its head`
}

function wordsOf({ record: { payload }, head }: Link): string {
  const { number, n, f, q } = payload
  return `committee ${number}, signed by all of its ${n}: ${q} make a head final, at most ${f} may lie; in force from size ${head.size}`
}
