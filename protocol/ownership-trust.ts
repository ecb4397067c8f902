/**
 * Which committees a verifier or buyer accepts (RULES E1): the seller must not choose the jury. By default their members are
 * certified, none of them is a party of the chain, and they stand at least one liar.
 */
import { type CID, parseCid } from '../crypto/cid.ts'
import { type AssetCommittee, modeOf } from './asset-committee.ts'
import type { TrustFile } from './trust.ts'

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

/** What a trust file says of seats. */
export type SeatsTrusted = Pick<TrustFile, 'certified' | 'control'>

/** The rule of a verifier by its file, and of a node by what its person says: the same (RULES E1, E4). */
export const committeeRule = ({ certified = [], control = [] }: SeatsTrusted): CommitteeRule =>
  usualCommittees(
    certified.map(parseCid),
    control.map(group => group.map(parseCid)),
  )

/** Why a committee does not meet the rule; `parties` are all owners of the chain, `lost` so many seats that lost their votes. */
export function whyUntrusted(
  committee: AssetCommittee,
  parties: CID[],
  { certified, leastSeats, leastFaulty, control }: CommitteeRule,
  lost = 0,
): string | undefined {
  const { n, f, seats } = committee
  if (n < leastSeats) return `it has ${n} of at least ${leastSeats} seats: ${modeOf(committee).words}`
  const stands = Math.max(0, f - lost)
  if (stands < leastFaulty)
    return `it stands ${stands} of at least ${leastFaulty} liars: ${modeOf(committee, lost).words}`
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

/** Why these do not own an asset as several: one hand controls two of them, and signs for both. */
function whyOneHand(owners: CID[], { control }: CommitteeRule): string | undefined {
  const held = control.map(group => owners.filter(org => group.some(each => each.equals(org))))
  const twins = held.find(({ length }) => length > 1)
  return twins && `${twins.slice(0, 2).join(' and ')} own it together, and are under the same control`
}

/** Why these owners leave a chain undecided: `strange` says it of one, `joints` are all who owned it together, step by step. */
export function whyNotOwners(
  owners: CID[],
  joints: CID[][],
  strange: (org: CID) => string | undefined,
  rule: CommitteeRule,
): string | undefined {
  const each = owners.flatMap(org => strange(org) ?? [])
  return each[0] ?? joints.flatMap(together => whyOneHand(together, rule) ?? [])[0]
}
