/** Where the records stand: their entries in the two logs, the heads over them, and what the cosignatures are worth. */
import { equal } from '../crypto/bytes.ts'
import { verifyCosignature } from '../crypto/checkpoint.ts'
import type { CID } from '../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import type { Claim, EntryPart } from './evidence.ts'
import { cosignerName, type Identity, keyOf } from './identity.ts'
import { beginChain } from './identity-chain.ts'
import { commitment, type Head, KIND, readEntry, readHead } from './log.ts'
import type { Stored } from './record.ts'
import { type Committee, committeeOf, positionWords, witnessesOf } from './trust.ts'
import type { Parties } from './verify-parties.ts'
import { iso, type Outcome, type Question, type Side, type Steps } from './verify-steps.ts'

/** Records that each side signs, by claim: its own log must show them. Of a consent, if it shows anything. */
const SIGNS: Record<Claim['type'], Record<Side, EntryPart['of'][]>> = {
  delivery: { provider: ['packet', 'agreement', 'release'], consumer: ['agreement', 'received', 'opened'] },
  consent: { provider: ['agreement'], consumer: ['agreement'] },
}

/** A cosignature that counts: whose it is, and when by the witness's clock. */
interface Dated {
  name: string
  ms: number
}

/** The two logs of one claim. */
export class Logs {
  readonly #question: Question
  readonly #steps: Steps
  readonly #parties: Parties

  constructor(question: Question, steps: Steps, parties: Parties) {
    this.#question = question
    this.#steps = steps
    this.#parties = parties
  }

  /** Every entry of the list is there, of one of the two logs, and the only one of its part in its log. */
  listed(): Outcome<true> {
    const { claim, entries } = this.#question.evidence
    const seen = new Set<string>()
    let missing: string | undefined
    for (const [i, each] of entries.entries()) {
      if ('broken' in each) return { failed: `entry ${i} of the list: ${each.broken}` }
      if ('missing' in each) {
        missing ??= `entry ${i} of the list is not in the evidence`
        continue
      }
      const { org, of } = each
      if (!org.equals(claim.provider) && !org.equals(claim.consumer))
        return { failed: `entry ${i} of the list is of neither party's log` }
      const name = `${org}/${of}`
      if (seen.has(name)) return { failed: `entry ${i} of the list is the second for ${of} in one log` }
      seen.add(name)
    }
    return missing
      ? { inconclusive: missing }
      : { value: true, detail: `${entries.length}, each of one party's log` }
  }

  /** The log of one side: its head, what it shows under it, and whether the keys that signed still counted. */
  log(side: Side, owner: Stored<Identity> | undefined): void {
    const { claim, entries } = this.#question.evidence
    const org = claim[side]
    const head = this.#head(side, owner)
    const own = entries.filter(each => 'org' in each && each.org.equals(org)) as EntryPart[]
    const signs = SIGNS[claim.type][side]
    // A consent stands on its two signatures; its entries are shown or not, but a head without one says nothing of it.
    const required = claim.type === 'delivery' || head ? signs : []
    for (const of of required)
      if (!own.some(each => each.of === of))
        this.#steps.judge(`${side} entry: ${of}`, () => ({ inconclusive: 'it is not in the evidence' }))
    const held = own.filter(each =>
      this.#steps.judge(`${side} entry: ${each.of}`, () => this.#entry(each, head)),
    )
    const times = head && this.#position(side, org, head)
    // The head dates what is under it, and nothing else.
    const dates = signs.every(of => held.some(each => each.of === of)) ? times : undefined
    if (owner) this.#keyState(side, owner, dates)
  }

  #head(side: Side, owner: Stored<Identity> | undefined): Head | undefined {
    const found = this.#question.evidence.part(`${side}Head`)
    const isOptional =
      this.#question.evidence.claim.type === 'consent' && !this.#question.options.requireFinal
    if (isOptional && found.is === 'missing') {
      this.#steps.skip(`${side} head`, 'not in the evidence: the agreement rests on its signatures')
      return undefined
    }
    return this.#steps.judge(`${side} head`, () => {
      if (found.is === 'missing') return { inconclusive: 'it is not in the evidence' }
      if (found.is === 'broken') return { failed: found.reason }
      if (!owner) return { inconclusive: 'the identity of its log is not established' }
      const head = readHead(found.bytes, beginChain(owner))
      if ('reason' in head) return { failed: head.reason }
      return { value: head, detail: `size ${head.size}, signed by the log of ${owner.payload.name}` }
    })
  }

  #entry(part: EntryPart, head: Head | undefined): Outcome<true> {
    const committed = this.#question.evidence.part(part.of)
    if (committed.is !== 'here') return { inconclusive: 'what it commits to is not there' }
    const entry = readEntry(part.entry)
    if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
    if (!equal(entry.c, commitment(part.salt, committed.bytes)))
      return { failed: 'it commits to other bytes' }
    if (!head) return { inconclusive: 'the head that covers it is not established' }
    const proof = {
      leaf: leafHash(part.entry),
      index: entry.n,
      size: head.size,
      path: part.path,
      root: head.root,
    }
    if (!verifyInclusion(proof)) return { failed: `entry ${entry.n} is not under the head` }
    if (entry.k === KIND.genesis || entry.k === KIND.state)
      return { failed: `entry ${entry.n} is of kind ${entry.k}, which commits to no record of a claim` }
    if (entry.k !== KIND.record)
      return { inconclusive: `entry ${entry.n} is of kind ${entry.k}, which this version does not know here` }
    return {
      value: true,
      detail: `entry ${entry.n} commits to these signed bytes, ${part.path.length} hashes to the head`,
    }
  }

  /** What the position in the log is worth: cosignatures of the organisations that the trust file names (RULES D3). */
  #position(side: Side, org: CID, head: Head): Dated[] | undefined {
    const members = witnessesOf(this.#question.trust, org)
    const committee = committeeOf(members.length)
    return this.#steps.judge(`${side} position`, () => {
      const dated: Dated[] = []
      const leftOut: string[] = []
      for (const witness of members) {
        const cosigned = this.#cosigned(witness, head)
        if (!cosigned) continue
        if (!('value' in cosigned)) return cosigned
        if ('ms' in cosigned.value) dated.push(cosigned.value)
        else leftOut.push(cosigned.value.not)
      }
      dated.sort((a, b) => a.ms - b.ms)
      const { final, words } = positionWords(
        committee,
        dated.map(each => each.name),
      )
      const detail = [words, ...existedBy(committee, dated), ...leftOut].join('; ')
      if (this.#question.options.requireFinal && !final) return { inconclusive: `not final: ${detail}` }
      return { value: dated, detail }
    })
  }

  /** The cosignature of a witness, or why it does not count (RULES D6); `undefined` when the head has none of it. */
  #cosigned(witness: string, head: Head): Outcome<Dated | { not: string }> | undefined {
    const name = cosignerName(witness)
    const lines = head.note.lines.filter(each => each.name === name)
    if (lines.length === 0) return undefined
    const identity = this.#parties.get(witness)
    if (!identity) return { inconclusive: `the identity of the witness ${witness} is not established` }
    const { payload } = identity
    const cosigned =
      lines.length === 1 && verifyCosignature(head.note.body, lines[0]!, name, keyOf(payload, 'witness'))
    if (!cosigned) return { failed: `the cosignature of ${payload.name} does not verify` }
    const { asOfMs } = this.#question.options
    const ms = cosigned.timeS * 1000
    if (ms > asOfMs + this.#question.trust.clockSkewMs)
      return { value: { not: `${payload.name} cosigned later, ${iso(ms)}` }, detail: '' }
    const { until } = payload.keys.witness
    if (asOfMs > until)
      return { value: { not: `the witness key of ${payload.name} ended ${iso(until)}` }, detail: '' }
    return { value: { name: payload.name, ms }, detail: '' }
  }

  /**
   * The keys that signed must not have ended: by as-of, or by the time at which the entries provably existed, the
   * (f + 1)-th smallest cosignature time. In this version a key state is the identity genesis.
   */
  #keyState(side: Side, { payload }: Stored<Identity>, dated: Dated[] = []): void {
    const until = Math.min(payload.keys.operation.until, payload.keys.log.until)
    const { f } = committeeOf(witnessesOf(this.#question.trust, this.#question.evidence.claim[side]).length)
    const existed = dated[f]?.ms
    this.#steps.judge(`${side} keys`, () => {
      if (this.#question.options.asOfMs <= until)
        return { value: true, detail: `those of the identity genesis, until ${iso(until)}` }
      if (existed !== undefined && existed <= until)
        return { value: true, detail: `ended ${iso(until)}; the entries existed by ${iso(existed)}` }
      return { inconclusive: `they ended ${iso(until)}: valid when made cannot be shown` }
    })
  }
}

/** The bound in words (RULES D5): f + 1 clocks, of which one is right. `dated` goes by time. */
function existedBy({ n, f }: Committee, dated: Dated[]): string[] {
  const bound = dated[f]
  if (!bound) return []
  const by = iso(bound.ms)
  if (f === 0) return [`existed by ${by} by ${bound.name}'s clock`]
  const names = dated.slice(0, f + 1).map(each => each.name)
  return [`existed by ${by} (${f + 1} of ${n} clocks: ${names.join(', ')})`]
}
