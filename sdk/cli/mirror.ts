/** Commands about copies of logs: partners that keep ours, and those that we keep. */
import type { Mirroring } from '../../node/schema.ts'
import { type Answer, answer, type Cli } from './cli.ts'

export async function add(cli: Cli, _options: object, partner: string): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.logs.mirror(partner, { signal: cli.signal }))
}

export async function open(cli: Cli, options: { off?: boolean }): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.logs.open(!options.off, { signal: cli.signal }))
}

export async function show(cli: Cli): Promise<Answer> {
  await using waybill = await cli.connect()
  return shown(await waybill.logs.mirroring({ signal: cli.signal }))
}

function shown(mirroring: Mirroring): Answer {
  return answer({
    schema: 'waybill.mirroring/1',
    data: mirroring,
    text: ({ mirrors, held, isOpen }) =>
      [
        ...mirrors.map(({ name }) => `mirror    ${name} keeps the entries of your log`),
        ...held.map(({ name, size }) => `held      ${size} entries of the log of ${name}`),
        `open      ${isOpen ? 'who reaches your witness over HTTP may read its entries: waybill audit YOUR_NAME --url ADDRESS' : 'no'}`,
      ].join('\n'),
    ...(mirroring.mirrors.length === 0 ? { next: 'waybill mirror add PARTNER' } : {}),
  })
}
