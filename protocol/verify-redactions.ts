/** What was redacted: a part or a salt that is missing because one of the parties destroyed it, by its signed word. */
import type { CID } from '../crypto/cid.ts'
import { agreement } from './agreement.ts'
import type { EntryPart, PartName } from './evidence.ts'
import { isStored, readRecord, type Stored, verifySignatures } from './record.ts'
import { type Redaction, redaction } from './redaction.ts'
import type { Parties } from './verify-parties.ts'
import { iso, type Outcome, openPart, type Question, type Steps, worse } from './verify-steps.ts'

/** Parts that may be missing for it: what a party signed for the claim itself must be there. */
type Named = Extract<PartName, 'asset' | 'offer' | 'packet'>

export class Redactions {
  readonly #list: Stored<Redaction>[] = []
  /** Ids of these parts, as the claim and its agreement name them. */
  readonly #ids: Partial<Record<string, CID>>

  constructor(question: Question, steps: Steps, parties: Parties) {
    const { claim, redactions } = question.evidence
    this.#ids = { ...(claim.packet ? { packet: claim.packet } : {}), ...namedBy(question) }
    if (redactions.length > 0) steps.judge('redactions', () => this.#read(question, parties))
  }

  #read({ evidence }: Question, parties: Parties): Outcome<true> {
    for (const [i, found] of evidence.redactions.entries()) {
      const stored = openPart(found, redaction)
      if (!('value' in stored)) return stored
      const { org, record } = stored.value.payload
      const { provider, consumer } = evidence.claim
      if (!org.equals(provider) && !org.equals(consumer))
        return { failed: `redaction ${i} is of neither party` }
      if (!Object.values(this.#ids).some(id => id?.equals(record)))
        return { failed: `redaction ${i} is of no part of this claim` }
      if (this.by(org).some(each => each.payload.record.equals(record)))
        return { failed: `redaction ${i} is the second of one record by one party` }
      const verdict = verifySignatures(redaction, stored.value, parties.keys)
      if (verdict.ok !== true) return worse(verdict)
      this.#list.push(stored.value)
    }
    return { value: true, detail: this.#list.map(each => words(each)).join('; ') }
  }

  /** By one party. */
  by(org: CID): Stored<Redaction>[] {
    return this.#list.filter(each => each.payload.org.equals(org))
  }

  /** The id of a part, as the claim or its agreement names it. */
  id(name: Named): CID | undefined {
    return this.#ids[name]
  }

  /** Why a part, or at one party its salt, is not there: in words. */
  of(name: PartName | EntryPart['of'], org?: CID): string | undefined {
    const id = this.#ids[name]
    const found = this.#list.find(
      each => id?.equals(each.payload.record) && (!org || each.payload.org.equals(org)),
    )
    return found && words(found)
  }
}

function namedBy({ evidence }: Question): { asset?: CID; offer?: CID } {
  const found = evidence.part('agreement')
  const read = found.is === 'here' ? readRecord(agreement, found.bytes) : undefined
  if (!read || !isStored(read) || !read.id.equals(evidence.claim.agreement)) return {}
  return { asset: read.payload.asset, offer: read.payload.offer }
}

const words = ({ payload }: Stored<Redaction>): string =>
  `redacted: ${payload.reason} (${payload.type}, ${iso(payload.made)} by its own time)`
