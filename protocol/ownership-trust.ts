/**
 * Which committees a verifier or buyer accepts (RULES E1): the seller must not choose the jury. By default their members are
 * certified, none of them is a party of the chain, and they stand at least one liar.
 */
import type { CID } from '../crypto/cid.ts'
import { type AssetCommittee, modeOf } from './asset-committee.ts'

export interface CommitteeRule {
  /** Organisations that count as certified. */
  certified: CID[]
  leastSeats: number
  leastFaulty: number
}
export const usualCommittees = (certified: CID[]): CommitteeRule => ({
  certified,
  leastSeats: 4,
  leastFaulty: 1,
})

/** Why a committee does not meet the rule; `parties` are all owners of the chain. */
export function whyUntrusted(
  committee: AssetCommittee,
  parties: CID[],
  { certified, leastSeats, leastFaulty }: CommitteeRule,
): string | undefined {
  const { n, f, seats } = committee
  if (n < leastSeats) return `it has ${n} of at least ${leastSeats} seats: ${modeOf(committee).words}`
  if (f < leastFaulty) return `it stands ${f} of at least ${leastFaulty} liars: ${modeOf(committee).words}`
  const party = seats.find(({ org }) => parties.some(each => each.equals(org)))
  if (party) return `${party.org} sits in it, and is a party`
  const stranger = seats.find(({ org }) => !certified.some(each => each.equals(org)))
  return stranger && `${stranger.org} sits in it, and is not certified`
}
