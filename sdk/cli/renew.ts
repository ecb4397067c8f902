/** Evidence that outlives the keys under it. */
import { WaybillError } from '../error.ts'
import { type Answer, answer, type Cli } from './cli.ts'
import { tick } from './node.ts'
import { shellWord } from './partners.ts'
import { checkFree, writeWhole } from './targets.ts'
import { readEvidenceOf } from './verify.ts'

export async function renew(
  cli: Cli,
  options: { output: string; force?: boolean },
  file: string,
): Promise<Answer> {
  const force = options.force === true
  await checkFree(options.output, force)
  const { evidence: held } = await readEvidenceOf(file)
  await using waybill = await cli.connect()
  const { evidence, sides } = await waybill.renew(held, { signal: cli.signal })
  const names = new Map<string, string>()
  for await (const { id, name } of waybill.partners.list({ signal: cli.signal })) names.set(id, name)
  const nameOf = (org: string) => names.get(org) ?? 'this home'
  const left = sides.filter(each => !each.renewed).map(({ org }) => nameOf(org))
  if (left.length === sides.length)
    throw new WaybillError('NOTHING_TO_RENEW', 'neither log has a newer head at hand for this evidence', {
      hint: 'run it again when the partner is connected: waybill partners',
    })
  await writeWhole(options.output, [evidence], { force })
  if (left.length > 0)
    cli.warn(`not renewed: the log of ${left.join(' and ')}: no newer cosigned head of it is at hand`)
  return answer({
    schema: 'waybill.renewed/1',
    data: { path: options.output, sides },
    text: ({ path }) => `${tick(cli)} ${path}`,
    next: `waybill verify ${shellWord(options.output)}`,
  })
}
