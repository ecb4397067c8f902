/** Who the parties of a claim and the witnesses of their logs are, which keys they ever had, and whether a verifier believes it. */
import { toHex } from '../crypto/bytes.ts'
import { asCid, type CID, digestOf } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { decodeSigned } from '../crypto/statement.ts'
import type { Found } from './evidence.ts'
import { type Identity, identityGenesis, verifyIdentity } from './identity.ts'
import { beginChain, type Chain, chainAt, everyKey, extendChain, isRefused } from './identity-chain.ts'
import { readEntry } from './log.ts'
import type { KeyResolver, Stored } from './record.ts'
import { readState } from './state.ts'
import { isTrusted } from './trust.ts'
import { type Outcome, openPart, type Question, type Side, type Steps, short, worse } from './verify-steps.ts'

/** The identities of one verification, each judged as it is asked for. */
export class Parties {
  readonly #question: Question
  readonly #steps: Steps
  /** Every identity in the evidence that holds, trusted or not, with its events. */
  readonly #all = new Map<string, Chain>()
  /** Those of the parties that are believed. */
  readonly #believed = new Set<string>()
  /** An event that the evidence names is not in it: nobody's events are known to be all there. */
  #isMissing = false

  constructor(question: Question, steps: Steps) {
    this.#question = question
    this.#steps = steps
  }

  /** The identity of an organisation with its events if it holds, trusted or not. */
  get(org: string): Chain | undefined {
    return this.#all.get(org)
  }

  /** The same of a party that the verifier believes. */
  believed(side: Side): Chain | undefined {
    const org = this.#question.evidence.claim[side].toString()
    return this.#believed.has(org) ? this.#all.get(org) : undefined
  }

  /** Keys of the parties that are believed. */
  get keys(): KeyResolver {
    const find = (org: CID) =>
      this.#believed.has(org.toString()) ? this.#all.get(org.toString()) : undefined
    return everyKey(find, org => this.isWhole(org))
  }

  /** The identity of one party, if it holds and is believed. */
  party(side: Side): void {
    const id = this.#question.evidence.claim[side]
    this.#steps.judge(`${side} identity`, () => {
      const found = readIdentity(this.#question.evidence.part(side))
      if (!('value' in found)) return found
      if (!found.value.id.equals(id)) return { failed: 'it is not the identity that the claim names' }
      this.#all.set(id.toString(), beginChain(found.value))
      const { name } = found.value.payload
      if (!isTrusted(this.#question.trust, id))
        return { inconclusive: `${name} ${short(id)} is not in the trust file` }
      this.#believed.add(id.toString())
      return {
        value: found.value,
        detail: `${name} ${short(id)}, every key signed for itself, in the trust file`,
      }
    })
  }

  /** The witnesses' identities; and over all identities each key stands once (RULES B3): a key cannot count for two. */
  witnesses(): Outcome<true> {
    const missing: string[] = []
    for (const [i, found] of this.#question.evidence.witnesses.entries()) {
      const read = readIdentity(found)
      if ('failed' in read) return { failed: `the identity of witness ${i}: ${read.failed}` }
      if (found.is === 'missing') missing.push(`the identity of witness ${i} is not in the evidence`)
      if (!('value' in read)) continue
      const org = read.value.id.toString()
      if (this.#all.has(org)) return { failed: `the identity of ${read.value.payload.name} is there twice` }
      this.#all.set(org, beginChain(read.value))
    }
    const events = this.#events()
    if ('failed' in events) return events
    const shared = this.#sharedKey()
    if (shared) return { failed: shared }
    if (missing[0]) return { inconclusive: missing[0] }
    if ('inconclusive' in events) return events
    return { value: true, detail: `${this.#all.size} organisations${events.detail}, no key stands in two` }
  }

  /** Every identity in the evidence that holds. */
  get all(): Iterable<Chain> {
    return this.#all.values()
  }

  /** Each event continues the identity that it names, in the order of the list. */
  #events(): Outcome<true> {
    let open: string | undefined
    const { events } = this.#question.evidence
    for (const [i, found] of events.entries()) {
      const at = `identity event ${i}`
      if (found.is === 'broken') return { failed: `${at}: ${found.reason}` }
      if (found.is === 'missing') {
        this.#isMissing = true
        open ??= `${at} is not in the evidence`
        continue
      }
      const org = orgOf(found.bytes)
      if (!org) return { failed: `${at} is none` }
      const chain = this.#all.get(org)
      const next = chain && extendChain(chain, found.bytes)
      if (!next) open ??= `the identity that ${at} continues is not in the evidence`
      else if (!isRefused(next)) this.#all.set(org, next)
      else if (next.code === 'UNKNOWN_VERSION' || (this.#isMissing && next.code === 'EVENT_SKIPPED'))
        open ??= `${at}: ${next.reason}`
      else return { failed: `${at}: ${next.reason}` }
    }
    if (open) return { inconclusive: open }
    return { value: true, detail: events.length > 0 ? ` with ${events.length} events` : '' }
  }

  #sharedKey(): string | undefined {
    const owners = new Map<string, Chain>()
    for (const chain of this.#all.values())
      for (const { key } of chain.keys) {
        const name = toHex(key)
        const owner = owners.get(name)
        if (owner && owner !== chain) return `${nameOf(owner)} and ${nameOf(chain)} have a key in common`
        owners.set(name, chain)
      }
    return undefined
  }

  /** Whether all events of a party that the rest of the evidence names are there: else a key may be unknown, not wrong. */
  isWhole(org: CID): boolean {
    const chain = this.#all.get(org.toString())
    if (!chain || this.#isMissing) return false
    return this.#named(org).every(digest => chainAt(chain, digest))
  }

  /** Digests of the events of a party that its state entries and the agreement name. */
  #named(org: CID): Uint8Array[] {
    const { entries, staples, claim, part } = this.#question.evidence
    const listed = [...entries.filter(each => 'of' in each && each.of === 'state'), ...staples]
    const states = listed.flatMap(each => {
      if (!('org' in each) || !each.org.equals(org)) return []
      const entry = readEntry(each.entry)
      const state = 'reason' in entry ? entry : readState(entry)
      return 'reason' in state ? [] : [state.identity]
    })
    const agreed = part('agreement')
    const field = org.equals(claim.provider) ? 'assignerState' : 'assigneeState'
    const named = agreed.is === 'here' ? asCid(payloadOf(agreed.bytes)?.[field]) : undefined
    return named ? [...states, digestOf(named)] : states
  }
}

const nameOf = (chain: Chain): string => chain.genesis.payload.name

function readIdentity(found: Found): Outcome<Stored<Identity>> {
  const stored = openPart(found, identityGenesis)
  if (!('value' in stored)) return stored
  const verdict = verifyIdentity(stored.value)
  return verdict.ok === true ? stored : worse(verdict)
}

const orgOf = (eventBytes: Uint8Array): string | undefined => asCid(payloadOf(eventBytes)?.org)?.toString()

function payloadOf(signedBytes: Uint8Array) {
  try {
    return decodeSigned(signedBytes).p
  } catch (error) {
    if (error instanceof CryptoError) return undefined
    throw error
  }
}
