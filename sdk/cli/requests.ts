/** Commands about requests: list them, decide them. */
import type { Request } from '../../node/schema.ts'
import type { Waybill } from '../connect.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { table } from './table.ts'
import { ago, shortId, when } from './words.ts'

/** How long `approve` waits for the other node to sign, ms. */
const SIGN_MS = 10_000

const WAITS: Record<Request['waitsFor'], string> = {
  you: 'you',
  'their person': 'a person there',
  'their node': 'their node',
  nobody: '',
}

export async function requests(cli: Cli, _options: object, id?: string): Promise<Answer> {
  await using waybill = await cli.connect()
  if (id !== undefined) {
    const request = await waybill.requests.get(id, { signal: cli.signal })
    return answer({
      schema: 'waybill.request/1',
      data: request,
      text: shown => requestText(cli, shown),
      next: nextFor(request),
    })
  }
  const items: Request[] = []
  for await (const request of waybill.requests.list({ signal: cli.signal })) items.push(request)
  const waiting = items.find(({ waitsFor }) => waitsFor === 'you')
  return answer({
    schema: 'waybill.requests/1',
    data: { items },
    text: ({ items }) => listText(items),
    next: waiting && nextFor(waiting),
  })
}

const nextFor = ({ id, waitsFor }: Request): string | undefined => {
  const short = shortId('r', id)
  return waitsFor === 'you' ? `waybill approve ${short}   ·   waybill deny ${short}` : undefined
}

const listText = (items: Request[]): string =>
  table(
    ['REQUEST', 'PARTNER', 'ASKS', 'WHAT', 'ACTION', 'PURPOSE', 'STATE', 'WAITS FOR', 'ASKED'],
    items.map(({ id, role, partner, title, action, purpose, state, waitsFor, askedMs }) => [
      shortId('r', id),
      partner.name,
      role === 'provider' ? 'you' : 'them',
      title,
      action,
      purpose,
      state,
      WAITS[waitsFor],
      ago(askedMs),
    ]),
  )

function requestText(cli: Cli, request: Request): string {
  const { id, role, partner, title, action, purpose, state, waitsFor, history, agreement, refusal, offer } =
    request
  const [asker, asked] = role === 'provider' ? [partner.name, 'you'] : ['you', partner.name]
  return [
    `${cli.paint('bold', shortId('r', id))}  ${asker} asked ${asked} for "${title}"`,
    `  to        ${action}${purpose ? ` for ${purpose}` : ''}, on offer ${shortId('o', offer)}`,
    `  state     ${state}${WAITS[waitsFor] ? `, waits for ${WAITS[waitsFor]}` : ''}`,
    ...(agreement ? [`  agreement ${shortId('a', agreement)}`] : []),
    ...(refusal
      ? [`  refused   ${refusal.text} (${[refusal.code, refusal.clause].filter(Boolean).join(', ')})`]
      : []),
    ...history.map(({ state, at }) => `  ${when(at)}  ${state}`),
  ].join('\n')
}

export async function approve(cli: Cli, _options: object, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const approved = await waybill.requests.approve(id, {}, { signal: cli.signal })
  cli.progress(`waiting for the signature of ${approved.partner.name} …`)
  const request = await signedSoon(waybill, approved, cli.signal)
  return answer({
    schema: 'waybill.request/1',
    data: request,
    text: shown => approvedText(cli, shown),
    next: nextOf(request),
  })
}

function nextOf({ id, state }: Request): string {
  const short = shortId('r', id)
  if (state === 'FINALIZED') return 'waybill receipts'
  return state === 'AGREED'
    ? `waybill requests ${short}   ·   waybill withdraw ${short}`
    : `waybill requests ${short}`
}

/** The request once both have signed, or as it is when the partner's node is not there to sign. */
async function signedSoon(waybill: Waybill, approved: Request, signal: AbortSignal): Promise<Request> {
  let last = approved
  try {
    return await waybill.requests.wait(approved.id, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(SIGN_MS)]),
      onState: request => {
        last = request
      },
    })
  } catch (error) {
    if ((error as Error).name === 'TimeoutError') return last
    throw error
  }
}

function approvedText(cli: Cli, { partner, state, agreement, action, purpose, refusal }: Request): string {
  const use = `${action}${purpose ? ` for ${purpose}` : ''}`
  if (state === 'FINALIZED')
    return `${tick(cli)} agreement ${shortId('a', agreement ?? '')} signed by both: ${partner.name} may ${use}`
  if (state === 'TERMINATED')
    return `${cli.paint('fail', '✗')} ended: ${refusal?.text ?? 'the partner ended it'}`
  return `${tick(cli)} approved and signed here; it counts once ${partner.name} has signed too (${state})`
}

interface Decision {
  reason?: string
}

export async function deny(cli: Cli, { reason }: Decision, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const why = reason === undefined ? {} : { reason }
  const denied = await waybill.requests.deny(id, why, { signal: cli.signal })
  return endedAnswer(cli, denied, 'denied')
}

export async function withdraw(cli: Cli, { reason }: Decision, id: string): Promise<Answer> {
  await using waybill = await cli.connect()
  const why = reason === undefined ? {} : { reason }
  const withdrawn = await waybill.requests.withdraw(id, why, { signal: cli.signal })
  return endedAnswer(cli, withdrawn, 'withdrawn: a signature of theirs does not count any more')
}

const endedAnswer = (cli: Cli, request: Request, how: string): Answer =>
  answer({
    schema: 'waybill.request/1',
    data: request,
    text: ({ id, partner }) => `${tick(cli)} ${shortId('r', id)} ${how}; ${partner.name} is told`,
  })
