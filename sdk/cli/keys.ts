/** Commands about the own keys: what they are, new ones in their place, and the end of those that are in other hands. */
import { resolve } from 'node:path'
import type { DelegateRequest, Keys, RotateRequest } from '../../node/schema.ts'
import { WaybillError } from '../error.ts'
import { confirm } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { parseSpan, when } from './words.ts'

const PRINT = 16

export async function show(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.keys.get({ signal: cli.signal }))
}

export async function rotate(cli: Cli, options: { root?: string }, roles: string[]): Promise<Answer> {
  const rootDir = options.root === undefined ? {} : { rootDir: resolve(options.root) }
  const what = { roles: roles as RotateRequest['roles'], ...rootDir }
  await using waybill = await cli.connect()
  return shown(await waybill.keys.rotate(what, { signal: cli.signal }))
}

export async function delegate(cli: Cli, options: { for: string }, roles: string[]): Promise<Answer> {
  const what = { roles: roles as DelegateRequest['roles'], forMs: parseSpan(options.for, '--for') }
  await using waybill = await cli.connect()
  return shown(await waybill.keys.delegate(what, { signal: cli.signal }))
}

export async function revoke(cli: Cli, _options: object, keys: string[]): Promise<Answer> {
  const asked = `A revoked key is no good for ever: what it signed and the log does not show yet is void. Revoke ${keys.join(', ')}?`
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'not revoked', {
      hint: `waybill keys revoke ${keys.join(' ')} --yes`,
    })
  await using waybill = await cli.connect()
  return shown(await waybill.keys.revoke({ keys }, { signal: cli.signal }))
}

export async function adopt(cli: Cli): Promise<Answer> {
  const asked =
    'A second copy of this home that runs would go on with the same identity. Is there none, and shall its events come back?'
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'nothing was changed', { hint: 'waybill keys adopt --yes' })
  await using waybill = await cli.connect()
  return shown(await waybill.keys.adopt({ signal: cli.signal }))
}

export async function succeed(cli: Cli): Promise<Answer> {
  const asked =
    'What is not final in the log loses its place and date; what is final stays. Close it and begin the next?'
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'the log goes on', { hint: 'waybill log succeed --yes' })
  await using waybill = await cli.connect()
  return answer({
    schema: 'waybill.succeeded/1',
    data: await waybill.succeed({ signal: cli.signal }),
    text: ({ number, log, closed }) => `log ${number} goes on: ${log}\nclosed: ${closed}`,
    next: 'waybill status',
  })
}

export async function recover(cli: Cli): Promise<Answer> {
  const asked =
    'A second copy of this home that runs would go on with the same log. Is there none, and shall the entries come back?'
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'nothing was changed', { hint: 'waybill log recover --yes' })
  await using waybill = await cli.connect()
  return answer({
    schema: 'waybill.recovered/1',
    data: await waybill.recover({ signal: cli.signal }),
    text: ({ from, size }) =>
      `entries ${from} to ${size - 1} are back, and the log goes on; what they commit to is gone with the home that was lost`,
    next: 'waybill status',
  })
}

async function shown(keys: Keys): Promise<Answer> {
  const { table } = await import('./table.ts')
  const rows = keys.keys.map(({ role, thumbprint, epoch, state, untilMs, endedAt }) => [
    role,
    thumbprint.slice(0, PRINT),
    epoch === 0 ? 'genesis' : `event ${epoch}`,
    endedAt === undefined ? state : `${state} at event ${endedAt}`,
    untilMs === undefined ? '' : when(untilMs),
  ])
  return answer({
    schema: 'waybill.keys/1',
    data: keys,
    text: () => table(['KEY', 'THUMBPRINT', 'SINCE', 'STATE', 'UNTIL'], rows),
    ...(keys.rootHere ? { next: 'move root.age and root.identity out of the home: waybill paths' } : {}),
  })
}
