/**
 * Whose cosignatures this home counts: of its own log and its partners' those by the committees that follow from the first one,
 * which was pinned (RULES D2). Whom a partner only says to be its witnesses is nobody to this home, for it could name anybody.
 */
import type { Context, Partner } from './machine.ts'
import type { SeatsTrusted } from './ownership-trust.ts'
import { ownFirsts } from './shown-committees.ts'
import type { TrustFile } from './trust.ts'

type Committees = TrustFile['committees']

/** Of whom this home believes that they vote on assets: those that its person takes for certified, and then itself too (RULES E1). */
export const seatsTrusted = (self: string, { certified, control }: Required<SeatsTrusted>): SeatsTrusted => ({
  ...(certified.length > 0 ? { certified: [self, ...certified.filter(each => each !== self)] } : {}),
  ...(control.length > 0 ? { control } : {}),
})

export const committeesTrusted = (
  home: Pick<Context, 'self' | 'get' | 'witnesses'>,
  partners: Pick<Partner, 'org' | 'firsts'>[],
): Committees => [
  { log: home.self.org, ...pinned(ownFirsts(home), home.witnesses.map(String)) },
  ...partners.map(({ org, firsts }) => ({ log: org, ...pinned(firsts, []) })),
]

function pinned(firsts: Partner['firsts'], witnesses: string[]): Omit<Committees[number], 'log'> {
  if (firsts.length === 0) return { witnesses }
  const first = firsts.map(({ log, committee }) => ({ log: log.toString(), committee: committee.toString() }))
  return { witnesses: [], first }
}
