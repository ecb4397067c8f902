/** Files of the evidence story: what a stranger is handed to verify. */
import { formatEvidence } from '../../protocol/evidence-file.ts'
import type { TrustFile } from '../../protocol/trust.ts'
import { story } from '../protocol/evidence-story.ts'

export interface Handed {
  content: Uint8Array
  delivery: Uint8Array
  consent: Uint8Array
  trust: TrustFile
  /** A time within the agreement. */
  asOfMs: number
}

/** Acme delivered to Bolt. The trust file names Cole as witness of both logs, whether or not Cole cosigned. */
export function tellStory({ witnessed = true } = {}): Handed {
  const witnessedStory = story()
  const told = witnessed ? witnessedStory : story({ witnesses: [] })
  const names = new Map(
    [...witnessedStory.world.members].map(({ org, env }) => [org, env.self.identity.name]),
  )
  const { file } = witnessed ? witnessedStory.trust : witnessedStory.named
  const identities = file.identities.map(({ id }) => ({ id, name: names.get(id)! }))
  return {
    content: told.plain,
    delivery: told.bytes,
    consent: formatEvidence(told.consent),
    trust: { ...file, identities },
    asOfMs: told.asOfMs,
  }
}
