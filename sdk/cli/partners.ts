/** Commands about partners: tickets, pairing, witnesses. */

import { WaybillError } from '../error.ts'
import { confirm } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { parseSpan, shortOrg, when } from './words.ts'

export async function invite(cli: Cli, options: { for: string; expires: string }): Promise<Answer> {
  const expiresMs = Date.now() + parseSpan(options.expires, '--expires')
  await using waybill = await cli.connect()
  const made = await waybill.partners.invite({ for: options.for, expiresMs }, { signal: cli.signal })
  return answer({
    schema: 'waybill.invite/1',
    data: { ...made, for: options.for },
    text: ({ ticket }) => ticket,
    next: `works once, until ${when(made.expiresMs)}; they run: waybill join TICKET`,
  })
}

export async function join(cli: Cli, _options: object, ticket: string): Promise<Answer> {
  const { parseTicket } = await import('../../protocol/pairing.ts')
  const { org, expires } = parseTicket(ticket)
  if (expires < Date.now())
    throw new WaybillError('TICKET_EXPIRED', `this ticket expired at ${when(expires)}`)
  const asked = `This ticket is of the organisation ${org}. Compare the last characters with your partner. Pair?`
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'not paired', { hint: 'waybill join TICKET --yes' })
  await using waybill = await cli.connect()
  const joined = await waybill.partners.join(ticket, { signal: cli.signal })
  return answer({
    schema: 'waybill.joined/1',
    data: joined,
    text: ({ id, name }) => `${tick(cli)} paired with ${name}  ${id}`,
    next: `waybill offers   ·   waybill witness add ${shellWord(joined.name)}`,
  })
}

export async function partners(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  const items = []
  for await (const partner of waybill.partners.list({ signal: cli.signal })) items.push(partner)
  const { table } = await import('./table.ts')
  return answer({
    schema: 'waybill.partners/1',
    data: { items },
    text: ({ items }) =>
      table(
        ['PARTNER', 'ID', 'STATE', 'WITNESS', 'LOG SEEN', 'SINCE'],
        items.map(({ name, id, connected, isWitness, seenSize, pairedMs }) => [
          name,
          shortOrg(id),
          connected ? 'connected' : 'offline',
          isWitness ? 'yes' : 'no',
          String(seenSize),
          when(pairedMs),
        ]),
      ),
    ...(items.length === 0 ? { next: 'waybill invite   ·   waybill join TICKET' } : {}),
  })
}

export async function addWitness(cli: Cli, _options: object, partner: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const named = await waybill.partners.witness(partner, { signal: cli.signal })
  return answer({
    schema: 'waybill.partner/1',
    data: named,
    text: ({ name }) => `${tick(cli)} ${name} witnesses your log from its next head on`,
    next: 'waybill log',
  })
}

/** A word as a shell takes it, for commands that are shown to be copied. */
export const shellWord = (text: string): string =>
  /^[\w./:@=+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
