/** Committees of assets as people read them: who votes, what that is worth, and what it costs when they disappear. */
import type { Juries, Jury } from '../../node/schema-ownership.ts'
import { type Answer, answer } from './cli.ts'
import { shortId } from './words.ts'

const names = (orgs: { name: string }[]): string => orgs.map(({ name }) => name).join(', ') || 'nobody'

/** Who votes, and what that is worth. */
export function juryWords({ seats, words }: Jury): string {
  const lost = seats.filter(each => each.lost)
  const gone = lost.length > 0 ? `; lost their votes: ${names(lost)}` : ''
  return `${names(seats)}; ${words}${gone}`
}

export function juryShown(view: Juries): Answer {
  const [first] = view.seatsOffered
  const [usable] = view.items
  const next = first
    ? `waybill committee sign '${first.name}' --assets`
    : usable && `waybill publish FILE --committee ${shortId('c', usable.id)}`
  return answer({
    schema: 'waybill.committees/1',
    data: view,
    text: ({ items, asked, seatsOffered }) =>
      [
        ...items.map(each => `${shortId('c', each.id)}  ${juryWords(each)}`),
        ...asked.map(
          ({ seats, signed, words }) => `asked       ${names(seats)}; signed by ${names(signed)}; ${words}`,
        ),
        ...asked.flatMap(({ refused }) => refused.map(({ name, text }) => `refused     ${name}: ${text}`)),
        ...seatsOffered.map(
          ({ name, n, q }) => `offered     a seat for assets of ${name}: ${q} of ${n} vote`,
        ),
        ...(items.length + asked.length + seatsOffered.length === 0 ? ['no committee votes on assets'] : []),
      ].join('\n'),
    ...(next ? { next } : {}),
  })
}
