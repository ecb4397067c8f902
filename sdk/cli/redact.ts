/** `waybill redact`: what a record says is destroyed, and whoever holds it is asked to do the same. */
import type { RecordView } from '../../node/schema.ts'
import { WaybillError } from '../error.ts'
import { confirm } from './ask.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { when } from './words.ts'

const OUTCOMES = {
  asked: 'asked, not answered yet',
  erased: 'erased',
  kept: 'kept',
  missing: 'does not hold it',
}

export async function redact(cli: Cli, options: { reason: string }, id: string): Promise<Answer> {
  const asked = `What ${id} says, its salt and its key are destroyed here for ever. Redact it?`
  if (!(await confirm(cli, asked)))
    throw new WaybillError('INTERRUPTED', 'not redacted', {
      hint: `waybill redact ${id} --reason '${options.reason}' --yes`,
    })
  await using waybill = await cli.connect()
  const record = await waybill.records.redact(id, options.reason, { signal: cli.signal })
  return answer({ schema: 'waybill.record/1', data: record, text: () => described(record) })
}

function described({ id, state, type, atMs, reason, holders }: RecordView): string {
  const what = `${state} at ${when(atMs!)}: ${type} ${id}, reason: ${reason}`
  const asked = holders.map(
    ({ name, outcome, text }) => `  ${name}: ${OUTCOMES[outcome]}${text ? `: ${text}` : ''}`,
  )
  return [what, 'copies already given away are asked for, not reached', ...asked].join('\n')
}
