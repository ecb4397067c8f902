/** Where the records stand: their entries in the two logs, the heads over them, and what the cosignatures are worth. */
import { equal, toHex } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import type { Claim, EntryPart, PartName } from './evidence.ts'
import type { Chain } from './identity-chain.ts'
import { commitment, type Head, KIND, readEntry, readHead } from './log.ts'
import { readState } from './state.ts'
import { committeeOf, positionWords, witnessesOf } from './trust.ts'
import { boundWords, type Cosigned, cosignedBy, wordsOf } from './verify-cosignatures.ts'
import { KeyStates, type Shown } from './verify-keys.ts'
import type { Parties } from './verify-parties.ts'
import type { Redactions } from './verify-redactions.ts'
import { MISSING, type Outcome, type Question, type Side, type Steps, unestablished } from './verify-steps.ts'

/** Records that each side signs, by claim: its own log must show them. Of a consent, if it shows anything. */
const SIGNS: Record<Claim['type'], Record<Side, EntryPart['of'][]>> = {
  delivery: { provider: ['packet', 'agreement', 'release'], consumer: ['agreement', 'received', 'opened'] },
  consent: { provider: ['agreement'], consumer: ['agreement'] },
}

/** The two logs of one claim. */
export class Logs {
  readonly #question: Question
  readonly #steps: Steps
  readonly #parties: Parties
  readonly #redactions: Redactions
  readonly #shown: Record<Side, Shown> = {
    provider: { held: new Map(), states: [] },
    consumer: { held: new Map(), states: [] },
  }

  constructor(question: Question, steps: Steps, parties: Parties, redactions: Redactions) {
    this.#question = question
    this.#steps = steps
    this.#parties = parties
    this.#redactions = redactions
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
      const { org, of, redaction } = each
      if ((of === 'redaction') !== (redaction !== undefined))
        return { failed: `entry ${i} of the list does not name what it commits to` }
      if (!org.equals(claim.provider) && !org.equals(claim.consumer))
        return { failed: `entry ${i} of the list is of neither party's log` }
      // State entries are many, each once; redactions one for each record.
      const what = of === 'state' ? toHex(each.entry) : (redaction ?? '')
      const name = `${org}/${of}/${what}`
      if (seen.has(name)) return { failed: `entry ${i} of the list is the second for ${of} in one log` }
      seen.add(name)
    }
    return missing
      ? { inconclusive: missing }
      : { value: true, detail: `${entries.length}, each of one party's log` }
  }

  /** The log of one side: its head, what it shows under it, and what the cosignatures are worth. */
  log(side: Side): void {
    const { claim, entries } = this.#question.evidence
    const org = claim[side]
    const shown = this.#shown[side]
    const head = this.#head(side, org, this.#parties.believed(side))
    const own = entries.filter(each => 'org' in each && each.org.equals(org)) as EntryPart[]
    const signs = SIGNS[claim.type][side]
    // A consent stands on its two signatures; its entries are shown or not, but a head without one says nothing of it.
    const required = claim.type === 'delivery' || head ? signs : []
    for (const of of required)
      if (!own.some(each => each.of === of)) this.#steps.judge(`${side} entry: ${of}`, () => MISSING)
    // A word that stands in no log could have been made for this evidence.
    for (const { id } of this.#redactions.by(org))
      if (!own.some(each => each.redaction?.equals(id)))
        this.#steps.judge(`${side} entry: redaction`, () => MISSING)
    for (const each of own) {
      if (each.of === 'state') this.#state(side, each, head, shown)
      else {
        const index = this.#steps.judge(`${side} entry: ${each.of}`, () => this.#entry(each, head))
        if (index !== undefined && each.path) shown.held.set(each.of, index)
      }
    }
    const waiting = own.filter(each => each.of !== 'state' && !each.path).length
    if (waiting > 0) this.#waiting(side, org, waiting)
    const renewed = this.#question.later?.renewal(side, head)
    if (!head) return
    shown.head = head
    const cosigned = this.#position(side, org, head, renewed)
    if (cosigned) shown.cosigned = cosigned
  }

  /** Entries that no head covers yet stand on the word of the log's owner (RULES D3). */
  #waiting(side: Side, org: CID, count: number): void {
    const { trust, later } = this.#question
    const committee = later?.newest(org) ?? committeeOf(witnessesOf(trust, org).length)
    const detail = `${positionWords(committee, []).words}; no head covers ${count} of the entries yet`
    this.#steps.judge(`${side} pending`, () =>
      this.#question.options.requireFinal
        ? { inconclusive: `not final: ${detail}` }
        : { value: true, detail },
    )
  }

  /** Whether the keys that signed still counted, once both logs have shown what they have. */
  keyStates(): void {
    const keys = new KeyStates(this.#question, this.#steps, this.#parties, this.#shown)
    keys.staples()
    // By which key a record was signed that was redacted went with it.
    const isHere = (of: EntryPart['of']) =>
      this.#question.evidence.part(of as PartName).is !== 'missing' || !this.#redactions.of(of)
    for (const side of ['provider', 'consumer'] as const)
      keys.side(side, SIGNS[this.#question.evidence.claim.type][side].filter(isHere))
  }

  #head(side: Side, org: CID, chain: Chain | undefined): Head | undefined {
    const found = this.#question.evidence.part(`${side}Head`)
    const { claim, entries } = this.#question.evidence
    const own = entries.filter(each => 'org' in each && each.org.equals(org)) as EntryPart[]
    const isWaiting = own.length > 0 && own.every(each => !each.path)
    const isOptional = (claim.type === 'consent' && !this.#question.options.requireFinal) || isWaiting
    if (isOptional && found.is === 'missing') {
      const why = isWaiting ? 'none covers the entries yet' : 'the agreement rests on its signatures'
      this.#steps.skip(`${side} head`, `not in the evidence: ${why}`)
      return undefined
    }
    return this.#steps.judge(`${side} head`, () => {
      if (found.is === 'missing') return MISSING
      if (found.is === 'broken') return { failed: found.reason }
      if (!chain) return unestablished('the identity of its log')
      const head = readHead(found.bytes, chain, undefined, { revoked: true, closed: true })
      if ('reason' in head)
        return head.unknown && !this.#parties.isWhole(org)
          ? { inconclusive: head.reason }
          : { failed: head.reason }
      return { value: head, detail: `size ${head.size}, signed by the log of ${chain.genesis.payload.name}` }
    })
  }

  /** A state entry under the head: which entries it is the first after, and which identity event it names. */
  #state(side: Side, part: EntryPart, head: Head | undefined, shown: Shown): void {
    this.#steps.judge(`${side} entry: state`, () => {
      const entry = readEntry(part.entry)
      if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
      const state = readState(entry)
      if ('reason' in state) return { failed: state.reason }
      if (!part.salt) return { inconclusive: 'its salt is not there' }
      if (part.salt.some(byte => byte !== 0)) return { failed: 'a state entry has no salt' }
      const { n } = entry
      if (!part.path) return { failed: 'a state entry is shown under a head' }
      const under = isUnder(part, n, head)
      if (!('value' in under)) return under
      shown.states.push({ index: n, ...state })
      return { value: true, detail: `entry ${n}, the first of its kind after entry ${state.next}` }
    })
  }

  #entry(part: EntryPart, head: Head | undefined): Outcome<number> {
    const committed = this.#committed(part)
    // Its salt went with the record at its own party; the record itself may be missing by the word of either.
    const gone = this.#redactions.of(part.of, part.salt ? undefined : part.org)
    if (!committed && !gone) return { inconclusive: 'what it commits to is not there' }
    if (!part.salt && !gone) return { inconclusive: 'its salt is not there' }
    const entry = readEntry(part.entry)
    if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
    const isShown = committed && part.salt
    if (isShown && !equal(entry.c, commitment(part.salt!, committed)))
      return { failed: 'it commits to other bytes' }
    const under = isUnder(part, entry.n, head)
    if (!('value' in under)) return under
    if (entry.k === KIND.genesis || entry.k === KIND.state)
      return { failed: `entry ${entry.n} is of kind ${entry.k}, which commits to no record of a claim` }
    if (entry.k !== KIND.record)
      return { inconclusive: `entry ${entry.n} is of kind ${entry.k}, which this version does not know here` }
    if (!isShown && !part.path)
      return { inconclusive: 'no head covers it, and what it commits to is not there' }
    const where = part.path ? `${part.path.length} hashes to the head` : 'not under a head yet'
    const what = isShown ? 'commits to these signed bytes' : `is under the head; ${gone}`
    return { value: entry.n, detail: `entry ${entry.n} ${what}, ${where}` }
  }

  /** The bytes that an entry should commit to, as far as they are there. */
  #committed({ of, org, redaction }: EntryPart): Uint8Array | undefined {
    if (of === 'redaction') return this.#redactions.by(org).find(each => redaction?.equals(each.id))?.bytes
    const found = this.#question.evidence.part(of as PartName)
    return found.is === 'here' ? found.bytes : undefined
  }

  /** What the position in the log is worth: cosignatures of the organisations that the trust file names (RULES D3). */
  #position(side: Side, org: CID, head: Head, renewed: Cosigned | undefined): Cosigned | undefined {
    return this.#steps.judge(`${side} position`, () => {
      const last = this.#shown[side].states.find(each => each.index === head.size - 1)
      const own = cosignedBy(this.#question, this.#parties, org, head, last?.committee, renewed !== undefined)
      if (!('value' in own)) return own
      const stands = wordsOf(own.value).final || !renewed
      const cosigned = stands ? own.value : renewed
      const { final, words } = wordsOf(cosigned)
      const { committee, dated, hasEnded } = cosigned
      const later = stands ? [] : ['by the later head']
      const existed = boundWords('existed by', dated.slice(0, committee.f + 1), dated[committee.f], committee)
      const detail = [words, ...later, ...existed, ...own.value.leftOut].join('; ')
      if (!final && hasEnded) return { inconclusive: detail }
      const forked = final
        ? undefined
        : this.#question.options.known?.tail(this.#parties.get(org.toString())!, head)
      if (forked) return { inconclusive: forked + detail }
      if (this.#question.options.requireFinal && !final) return { inconclusive: `not final: ${detail}` }
      return { value: cosigned, detail }
    })
  }
}

function isUnder({ entry, path }: EntryPart, index: number, head: Head | undefined): Outcome<true> {
  if (!path && head && index < head.size) return { failed: 'its way to the head was left out' }
  if (!path) return { value: true, detail: '' }
  if (!head) return unestablished('the head that covers it')
  const { size, root } = head
  return verifyInclusion({ leaf: leafHash(entry), index, size, path, root })
    ? { value: true, detail: '' }
    : { failed: `entry ${index} is not under the head` }
}
