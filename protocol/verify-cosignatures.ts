/** Which cosignatures on a head count: of organisations that the trust file names, by keys that have not ended (RULES D3, D6). */

import { verifyCosignature } from '../crypto/checkpoint.ts'
import type { CID } from '../crypto/cid.ts'
import { cosignerName } from './identity.ts'
import { type Chain, everStood, type Standing } from './identity-chain.ts'
import type { Head } from './log.ts'
import { type Committee, committeeOf, firstsOf, positionWords, type Trust, witnessesOf } from './trust.ts'
import type { Parties } from './verify-parties.ts'
import { iso, type Later, type Outcome, type Question, type Rule, UNLOADED } from './verify-steps.ts'

export type Asked = Pick<Question, 'trust' | 'options' | 'later'>

/** A cosignature that counts: whose it is, and when by the witness's clock. */
export interface Dated {
  name: string
  ms: number
}

export interface Cosigned {
  committee: Committee
  /** By time. */
  dated: Dated[]
  /** Why others do not count. */
  leftOut: string[]
  /** One of those was made by a key that has ended since: what it was worth when it was made cannot be shown. */
  hasEnded: boolean
}

/**
 * Those on a head of this organisation's log; `named` is the committee that the last entry under it names, and `isRenewed`
 * when a later head shows that it was no forgery (RULES D6).
 */
export function cosignedBy(
  question: Asked,
  parties: Pick<Parties, 'get'>,
  org: CID,
  head: Head,
  named: Uint8Array | undefined,
  isRenewed = false,
): Outcome<Cosigned> {
  const rule = ruleAt(question, org, head, named, isRenewed)
  if (!('value' in rule)) return rule
  const { committee, members } = rule.value
  const found: Cosigned = { committee, dated: [], leftOut: [], hasEnded: false }
  for (const witness of members) {
    const one = cosignature(question, parties.get(witness), witness, head, isRenewed)
    if (!one) continue
    if (!('value' in one)) return one
    if ('ms' in one.value) found.dated.push(one.value)
    else {
      found.leftOut.push(one.value.not)
      found.hasEnded ||= one.value.hasEnded
    }
  }
  found.dated.sort((a, b) => a.ms - b.ms)
  return { value: found, detail: '' }
}

/** Whose cosignatures count: of the committee in force where the first is pinned, else of those whom the trust file names. */
function ruleAt({ trust, later }: Asked, ...at: Parameters<Later['ruleAt']>): Outcome<Rule> {
  const [org] = at
  if (firstsOf(trust, org).length > 0) return later?.ruleAt(...at) ?? UNLOADED
  const members = witnessesOf(trust, org)
  return { value: { committee: committeeOf(members.length), members }, detail: '' }
}

/** When a head existed at the latest, by the clock of one correct member (RULES D5). */
export const boundOf = ({ committee, dated }: Cosigned): Dated | undefined => dated[committee.f]

export const wordsOf = ({ committee, dated }: Cosigned): ReturnType<typeof positionWords> =>
  positionWords(
    committee,
    dated.map(each => each.name),
  )

/** The bounds in words (RULES D5), by how many clocks: one of them is right. Nothing where too few have cosigned. */
export function boundWords(
  what: string,
  clocks: Dated[],
  bound: Dated | undefined,
  { n, f }: Committee,
): string[] {
  if (!bound) return []
  const names = clocks.map(each => each.name).join(', ')
  const by = f === 0 ? ` by ${bound.name}'s clock` : ` (${clocks.length} of ${n} clocks: ${names})`
  return [`${what} ${iso(bound.ms)}${by}`]
}

/**
 * What a head does not cover was not final before this: so many members had cosigned no larger one until then that the rest
 * are no quorum, even with f of them lying.
 */
export function notFinalBefore(what: string, { committee, dated }: Cosigned): string[] {
  const { n, f, q } = committee
  const clocks = dated.slice(q - n - f - 1)
  return boundWords(what, clocks, dated.at(q - n - f - 1), committee)
}

/** The cosignature of a witness, or why it does not count; `undefined` when the head has none of it. */
export function cosignature(
  { trust, options }: Pick<Question, 'trust' | 'options'>,
  chain: Chain | undefined,
  witness: string,
  head: Head,
  isRenewed: boolean,
): Outcome<Dated | { not: string; hasEnded: boolean }> | undefined {
  const lines = head.note.lines.filter(each => each.name.startsWith(`${witness}/`))
  const [line] = lines
  if (!line) return undefined
  if (!chain) return { inconclusive: `the identity of the witness ${witness} is not established` }
  const { name } = chain.genesis.payload
  const standing = everStood(chain, 'witness').find(each => cosignerName(witness, each.epoch) === line.name)
  if (!standing && Number(line.name.slice(witness.length + 1)) > chain.events.length)
    return {
      inconclusive: `the identity event of ${name} that ${line.name.slice(-12)} names is not in the evidence`,
    }
  const held =
    lines.length === 1 && standing && verifyCosignature(head.note.body, line, line.name, standing.key)
  if (!held) return { failed: `the cosignature of ${name} does not verify` }
  const ms = held.timeS * 1000
  const not = (why: string, hasEnded: boolean) => ({ value: { not: why, hasEnded }, detail: '' })
  if (ms > options.asOfMs + trust.clockSkewMs) return not(`${name} cosigned later, ${iso(ms)}`, false)
  const unseen = unseenOf(chain, trust)
  if (unseen) return not(unseen, true)
  const end = endOf(standing, isRenewed ? ms : options.asOfMs, isRenewed)
  if (end) return not(`the witness key of ${name} ${end}: valid when made cannot be shown`, true)
  return { value: { name, ms }, detail: '' }
}

/** Who presents evidence leaves out what ended a key: the trust file may know of it. */
export function unseenOf({ genesis, events }: Chain, { file }: Trust): string | undefined {
  const last = file.known?.find(({ id }) => id === genesis.id.toString())
  return last && events[last.n - 1]?.id.toString() !== last.event
    ? `identity event ${last.n} of ${genesis.payload.name}, which ended a key, is not in the evidence`
    : undefined
}

/**
 * How a key had ended when the question is asked. Under renewed evidence one that ended in order counts as it did, if it had
 * not ended when it says that it signed; one that was revoked may have been another's by then.
 */
function endOf({ until, ended, revoked }: Standing, atMs: number, isRenewed: boolean): string | undefined {
  if (revoked !== undefined) return `was revoked by event ${revoked}`
  if (!isRenewed && ended !== undefined) return `was replaced by event ${ended}`
  return until !== undefined && atMs > until ? `ended ${iso(until)}` : undefined
}
