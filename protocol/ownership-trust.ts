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
  /** Organisations that one hand controls, group by group (RULES E4). */
  control: CID[][]
}
export const usualCommittees = (certified: CID[], control: CID[][] = []): CommitteeRule => ({
  certified,
  control,
  leastSeats: 4,
  leastFaulty: 1,
})

/** Why a committee does not meet the rule; `parties` are all owners of the chain. */
export function whyUntrusted(
  committee: AssetCommittee,
  parties: CID[],
  { certified, leastSeats, leastFaulty, control }: CommitteeRule,
): string | undefined {
  const { n, f, seats } = committee
  if (n < leastSeats) return `it has ${n} of at least ${leastSeats} seats: ${modeOf(committee).words}`
  if (f < leastFaulty) return `it stands ${f} of at least ${leastFaulty} liars: ${modeOf(committee).words}`
  const party = seats.find(({ org }) => parties.some(each => each.equals(org)))
  if (party) return `${party.org} sits in it, and is a party`
  for (const group of control) {
    const seated = seats.filter(({ org }) => group.some(each => each.equals(org)))
    const kin = seated.length > 0 && parties.find(each => group.some(member => member.equals(each)))
    if (kin) return `${seated[0]!.org} sits in it, and is under the same control as ${kin}, a party`
    if (seated.length > f)
      return `${seated.length} of its seats are under one control, and it stands ${f} liars`
  }
  const stranger = seats.find(({ org }) => !certified.some(each => each.equals(org)))
  return stranger && `${stranger.org} sits in it, and is not certified`
}
