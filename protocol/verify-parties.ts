/** Who the parties of a claim and the witnesses of their logs are, and whether a verifier believes it. */
import { toHex } from '../crypto/bytes.ts'
import type { Found } from './evidence.ts'
import { type Identity, identityGenesis, verifyIdentity } from './identity.ts'
import type { Stored } from './record.ts'
import { isTrusted } from './trust.ts'
import { type Outcome, openPart, type Question, type Side, type Steps, short, worse } from './verify-steps.ts'

/** The identities of one verification, each judged as it is asked for. */
export class Parties {
  readonly #question: Question
  readonly #steps: Steps
  /** Every identity in the evidence that holds, trusted or not. */
  readonly #all = new Map<string, Stored<Identity>>()

  constructor(question: Question, steps: Steps) {
    this.#question = question
    this.#steps = steps
  }

  /** The identity of an organisation if it holds, trusted or not. */
  get(org: string): Stored<Identity> | undefined {
    return this.#all.get(org)
  }

  /** The identity of one party, if it holds and is believed. */
  party(side: Side): Stored<Identity> | undefined {
    const id = this.#question.evidence.claim[side]
    return this.#steps.judge(`${side} identity`, () => {
      const found = readIdentity(this.#question.evidence.part(side))
      if (!('value' in found)) return found
      if (!found.value.id.equals(id)) return { failed: 'it is not the identity that the claim names' }
      this.#all.set(id.toString(), found.value)
      const { name } = found.value.payload
      if (!isTrusted(this.#question.trust, id))
        return { inconclusive: `${name} ${short(id)} is not in the trust file` }
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
      this.#all.set(org, read.value)
    }
    const owners = new Map<string, string>()
    for (const [org, { payload }] of this.#all)
      for (const key of keysOf(payload)) {
        const owner = owners.get(key)
        if (owner)
          return { failed: `${this.#all.get(owner)!.payload.name} and ${payload.name} have a key in common` }
        owners.set(key, org)
      }
    if (missing[0]) return { inconclusive: missing[0] }
    return { value: true, detail: `${this.#all.size} organisations, no key stands in two` }
  }
}

function readIdentity(found: Found): Outcome<Stored<Identity>> {
  const stored = openPart(found, identityGenesis)
  if (!('value' in stored)) return stored
  const verdict = verifyIdentity(stored.value)
  return verdict.ok === true ? stored : worse(verdict)
}

/** Public keys that an identity has shown to hold, in hex. */
const keysOf = ({ root, admin, keys }: Identity): string[] =>
  [root, admin, ...Object.values(keys)].map(key => toHex(key.k))
