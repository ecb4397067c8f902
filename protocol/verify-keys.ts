/**
 * Whether the keys that signed still counted (RULES C3). A signature counts if its key is unrevoked in the state that the
 * signer's own log shows first after the record, or in a staple: its state at signing, handed over with the record. What is
 * shown must be dated by the log's members, or the party that profits presents the old state.
 */
import { equal } from '../crypto/bytes.ts'
import { thumbprint } from '../crypto/key.ts'
import { leafHash, verifyInclusion } from '../crypto/merkle.ts'
import { decodeSigned } from '../crypto/statement.ts'
import type { EntryPart, StaplePart } from './evidence.ts'
import { type Chain, chainAt, everStood, type Standing } from './identity-chain.ts'
import { STAPLE_MS } from './limits.ts'
import { type Head, readEntry, readHead } from './log.ts'
import { readState, type State } from './state.ts'
import { isWitnessed } from './trust.ts'
import {
  boundOf,
  type Cosigned,
  cosignedBy,
  type Dated,
  notFinalBefore,
  unseenOf,
} from './verify-cosignatures.ts'
import type { Parties } from './verify-parties.ts'
import { iso, type Outcome, type Question, type Side, type Steps, unestablished } from './verify-steps.ts'

/** What one log shows. */
export interface Shown {
  head?: Head
  cosigned?: Cosigned
  /** Indexes of the entries under the head, by part. */
  held: Map<EntryPart['of'], number>
  /** State entries under the head: where, from which entry on each is the first, and the event that it names. */
  states: (State & { index: number })[]
}

type Fault = { failed: string } | { inconclusive: string }
/** How a signature is shown to count. */
type Worth = 'dated' | 'staple' | 'word'

const ROLE = { provider: 'assigner', consumer: 'assignee' } as const

export class KeyStates {
  readonly #question: Question
  readonly #steps: Steps
  readonly #parties: Parties
  readonly #shown: Record<Side, Shown>
  /** States that were handed over at signing, and when members of the log dated them. */
  readonly #staples: Partial<Record<Side, { chain: Chain; by: Dated }>> = {}

  constructor(question: Question, steps: Steps, parties: Parties, shown: Record<Side, Shown>) {
    this.#question = question
    this.#steps = steps
    this.#parties = parties
    this.#shown = shown
  }

  /** Staples first: each of one party, under a head of its log. */
  staples(): void {
    const { staples, claim } = this.#question.evidence
    const seen = new Set<Side>()
    for (const [i, each] of staples.entries()) {
      const at = `staple ${i} of the list`
      const side =
        'org' in each && (['provider', 'consumer'] as const).find(one => claim[one].equals(each.org))
      this.#steps.judge(side ? `${side} staple` : 'staples', () => {
        if ('broken' in each) return { failed: `${at}: ${each.broken}` }
        if ('missing' in each) return { inconclusive: `${at} is not in the evidence` }
        if (!side) return { failed: `${at} is of neither party` }
        if (seen.has(side)) return { failed: `${at} is the second of one party` }
        seen.add(side)
        return this.#staple(side, each)
      })
    }
  }

  #staple(side: Side, { org, note, entry: entryBytes, path }: StaplePart): Outcome<true> {
    const chain = this.#parties.believed(side)
    if (!chain) return unestablished('the identity of its log')
    const head = readHead(note, chain, undefined, { revoked: true, closed: true })
    if ('reason' in head)
      return head.unknown && !this.#parties.isWhole(org)
        ? { inconclusive: head.reason }
        : { failed: head.reason }
    const entry = readEntry(entryBytes)
    if ('reason' in entry) return entry.unknown ? { inconclusive: entry.reason } : { failed: entry.reason }
    const state = readState(entry)
    if ('reason' in state) return { failed: state.reason }
    const { size, root } = head
    if (!verifyInclusion({ leaf: leafHash(entryBytes), index: entry.n, size, path, root }))
      return { failed: `state entry ${entry.n} is not under its head` }
    const at = chainAt(chain, state.identity)
    if (!at) return { inconclusive: 'it names an identity event that is not in the evidence' }
    const named = entry.n === size - 1 ? state.committee : undefined
    const cosigned = cosignedBy(this.#question, this.#parties, org, head, named)
    if (!('value' in cosigned)) return cosigned
    const by = boundOf(cosigned.value)
    if (!by)
      return { value: true, detail: `identity event ${at.events.length}, dated by nobody: it shows nothing` }
    this.#staples[side] = { chain: at, by }
    // What was logged after this head was cosigned (RULES D5).
    const { held, head: shown } = this.#shown[side]
    const isLater = shown?.log === head.log && held.get('agreement')! >= size
    const before = isLater ? notFinalBefore('the agreement was not final before', cosigned.value) : []
    const detail = [`identity event ${at.events.length}, as of ${iso(by.ms)}`, ...before].join('; ')
    return { value: true, detail }
  }

  /** The keys by which one side signed these records. */
  side(side: Side, signs: EntryPart['of'][]): void {
    const chain = this.#parties.believed(side)
    if (!chain) return
    const signed = signs.flatMap(of => this.#signerOf(side, of, chain))
    this.#ended(
      side,
      chain,
      signed.map(({ standing }) => standing),
      signs,
    )
    this.#steps.judge(`${side} key state`, () => {
      if (signed.length < signs.length) return unestablished('who signed the records')
      const worths = new Set<Worth>()
      for (const { of, standing } of signed) {
        const worth = this.#worth(side, chain, of, standing)
        if (typeof worth !== 'string') return worth
        worths.add(worth)
      }
      return this.#words(worths, chain)
    })
  }

  #words(worths: Set<Worth>, chain: Chain): Outcome<true> {
    const isWord = worths.has('word')
    const detail = isWord
      ? "key state by the presenter's word: the log has no members"
      : `unrevoked when signed${worths.has('staple') ? ', by the state handed over then' : ''}`
    const unseen = isWord && unseenOf(chain, this.#question.trust)
    if (unseen) return { inconclusive: `${detail}; ${unseen}` }
    if (isWord && this.#question.options.requireFinal) return { inconclusive: detail }
    const { length } = chain.events
    return { value: true, detail: length > 0 ? `${detail}; ${length} identity events` : detail }
  }

  /** The operation key that made a side's signature on a record, whatever became of it. */
  #signerOf(side: Side, of: EntryPart['of'], chain: Chain): { of: EntryPart['of']; standing: Standing }[] {
    const found = of === 'state' || of === 'redaction' ? undefined : this.#question.evidence.part(of)
    if (found?.is !== 'here') return []
    const { s } = readable(found.bytes)
    const made = of === 'agreement' ? s.find(each => each.r === ROLE[side]) : s[0]
    const standing = made && everStood(chain, 'operation').find(each => equal(thumbprint(each.key), made.k))
    return standing ? [{ of, standing }] : []
  }

  #worth(side: Side, chain: Chain, of: EntryPart['of'], key: Standing): Worth | Fault {
    const { committee: isWitnessed, shown } = this.#log(side)
    const index = shown.held.get(of)
    const state =
      index === undefined ? undefined : shown.states.find(each => each.index > index && each.next <= index)
    if (state) {
      const at = chainAt(chain, state.identity)
      if (!at)
        return {
          inconclusive: `state entry ${state.index} names an identity event that is not in the evidence`,
        }
      const wrong = counts(at, key, `the ${of}, by state entry ${state.index}`)
      if (wrong) return wrong
      if (!isWitnessed) return 'word'
      if (shown.cosigned && boundOf(shown.cosigned)) return 'dated'
    }
    if (!isWitnessed && key.revoked === undefined) return 'word'
    const staple = this.#staples[side]
    if (staple && this.#existedMs(of) <= staple.by.ms + STAPLE_MS)
      return counts(staple.chain, key, `the ${of}, by the state handed over`) ?? 'staple'
    return { inconclusive: `key state at signing unproven: the ${of}` }
  }

  #log(side: Side): { committee: boolean; shown: Shown } {
    const { evidence, trust } = this.#question
    return { committee: isWitnessed(trust, evidence.claim[side]), shown: this.#shown[side] }
  }

  /** When a record existed at the latest, by either log's members; it exists when it is asked about. */
  #existedMs(of: EntryPart['of']): number {
    const bounds = (['provider', 'consumer'] as const).flatMap(side => {
      const { held, cosigned } = this.#shown[side]
      const bound = held.has(of) && cosigned ? boundOf(cosigned) : undefined
      return bound ? [bound.ms] : []
    })
    return Math.min(this.#question.options.asOfMs, ...bounds)
  }

  /** The keys must not have ended by themselves: by as-of, or by the time at which all that they signed existed. */
  #ended(side: Side, chain: Chain, operation: Standing[], signs: EntryPart['of'][]): void {
    const { head, cosigned, held } = this.#shown[side]
    const log = head ? [head.signer] : everStood(chain, 'log').slice(0, 1)
    const untils = [...operation, ...log].flatMap(each => each.until ?? [])
    this.#steps.judge(`${side} keys`, () => {
      if (untils.length === 0) return unestablished('who signed')
      const until = Math.min(...untils)
      if (this.#question.options.asOfMs <= until) return { value: true, detail: `until ${iso(until)}` }
      const existed = signs.every(of => held.has(of)) && cosigned ? boundOf(cosigned)?.ms : undefined
      if (existed !== undefined && existed <= until)
        return { value: true, detail: `ended ${iso(until)}; the entries existed by ${iso(existed)}` }
      return { inconclusive: `they ended ${iso(until)}: valid when made cannot be shown` }
    })
  }
}

/** Why a key is no good in a state of the identity. */
function counts(at: Chain, key: Standing, what: string): Fault | undefined {
  const then = everStood(at, 'operation').find(each => equal(each.key, key.key))
  if (!then) return { failed: `${what}: its key did not stand yet` }
  return then.revoked === undefined
    ? undefined
    : { failed: `${what}: its key had been revoked by event ${then.revoked}` }
}

function readable(signedBytes: Uint8Array): Pick<ReturnType<typeof decodeSigned>, 's'> {
  try {
    return decodeSigned(signedBytes)
  } catch {
    return { s: [] }
  }
}
