/** Commands about witnessing over HTTP: logs of other kinds here, and our log elsewhere. */
import type { Witnessing } from '../../node/schema.ts'
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'

export async function serve(cli: Cli, options: { off?: boolean }, listen?: string): Promise<Answer> {
  if ((listen === undefined) === !options.off)
    throw new WaybillError('USAGE', 'say where to listen, or --off', {
      hint: 'waybill witness serve 127.0.0.1:4190',
    })
  await using waybill = await cli.connect()
  return shown(await waybill.witnessing.serve(listen, { signal: cli.signal }))
}

export async function accept(cli: Cli, _options: object, origin: string, key: string): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.witnessing.accept(origin, key, { signal: cli.signal }))
}

export async function ask(cli: Cli, options: { off?: boolean }, whom: string, key?: string): Promise<Answer> {
  if ((key === undefined) === !options.off)
    throw new WaybillError('USAGE', 'say where the witness is and its key, or its name and --off', {
      hint: 'waybill witness ask https://witness.example KEY',
    })
  await using waybill = await cli.connect()
  const { witnessing } = waybill
  const { signal } = cli
  return shown(
    key === undefined ? await witnessing.drop(whom, { signal }) : await witnessing.ask(whom, key, { signal }),
  )
}

export async function show(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.witnessing.get({ signal: cli.signal }))
}

function shown(witnessing: Witnessing): Answer {
  return answer({
    schema: 'waybill.witnessing/1',
    data: witnessing,
    text: ({ url, key, logKey, logs, asked }) =>
      [
        `listens   ${url ?? 'no: waybill witness serve HOST:PORT'}`,
        `key       ${key}`,
        `our log   ${logKey}`,
        ...logs.map(({ origin, size }) => `log       ${origin}: cosigned ${size}`),
        ...asked.map(
          ({ name, cosignedSize, problem }) =>
            `asked     ${name}: cosigned ${cosignedSize} of our log${problem ? `; ${problem}` : ''}`,
        ),
      ].join('\n'),
    ...(witnessing.logs.length === 0 ? { next: 'waybill witness accept ORIGIN KEY' } : {}),
  })
}
