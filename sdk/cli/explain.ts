/** `waybill explain`: the error codes, as a page of documentation that is always at hand. */
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { codes, exitOf, MEANING, nextOf } from './exit.ts'

interface Row {
  code: string
  exit: number
  meaning: string
  next?: string
}

export async function explain(_cli: Cli, _options: object, code?: string): Promise<Answer> {
  if (code === undefined) return list()
  const known = code.toUpperCase()
  if (!codes().includes(known))
    throw new WaybillError('NOT_FOUND', `there is no code ${code}`, { hint: 'waybill explain' })
  return answer({
    schema: 'waybill.code/1',
    data: rowOf(known),
    text: ({ code, exit, meaning, next }) =>
      `${code}\n  exit  ${exit}: ${meaning}${next ? `\n  next  ${next}` : ''}`,
  })
}

function list(): Answer {
  return answer({
    schema: 'waybill.codes/1',
    data: { exits: MEANING, items: codes().map(rowOf) },
    text: ({ exits, items }) =>
      Object.entries(exits)
        .flatMap(([exit, meaning]) => [
          `exit ${exit}: ${meaning}`,
          ...items.filter(row => String(row.exit) === exit).map(row => `  ${row.code}`),
        ])
        .join('\n'),
  })
}

function rowOf(code: string): Row {
  const [exit, next] = [exitOf(code), nextOf(code)]
  return { code, exit, meaning: MEANING[exit]!, ...(next ? { next } : {}) }
}
