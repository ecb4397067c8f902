/**
 * Evidence of an agreement over a registered asset shows that its assigner owned it (RULES E6): the chain of certified steps,
 * and words of the seats, no older than the agreement allows, that there was none after them. Apart from verify.ts, so that
 * evidence of other agreements loads nothing of it.
 */
import { FRESH_MS } from './limits.ts'
import { judgeOwnership, keysOfAsset, readOwnershipFile } from './ownership-evidence.ts'
import { iso, MISSING, type Outcome, type Question, type Title, worse } from './verify-steps.ts'

export function judgeTitle({ evidence, trust }: Question): Outcome<Title> {
  const found = evidence.part('title')
  if (found.is === 'missing') return MISSING
  if (found.is === 'broken') return { failed: found.reason }
  const { steps, walked } = judgeOwnership(found.bytes, trust)
  for (const status of ['failed', 'inconclusive'] as const) {
    const wrong = steps.find(step => step.status === status)
    if (wrong) return { [status]: `${wrong.id}: ${wrong.detail}` } as { failed: string }
  }
  const { owned, orders, keys, freshMs } = walked!
  const { asset, owner, version, since } = owned
  const unlike: Title['unlike'] = agreed => {
    if (!agreed.asset.equals(asset)) return { failed: 'the owner that is shown is of another asset' }
    if (!agreed.assigner.equals(owner) || agreed.ownerVersion < since || agreed.ownerVersion > version)
      return { failed: `the assigner does not own the asset: version ${version} is of ${owner}` }
    if (!orders[agreed.ownerVersion]?.equals(agreed.order!))
      return { failed: `it names another order than the one that made version ${agreed.ownerVersion}` }
    return freshMs! + FRESH_MS + trust.clockSkewMs < agreed.from
      ? { inconclusive: `that its assigner owned the asset was said at ${iso(freshMs!)}, too long before it` }
      : undefined
  }
  const detail = `${owner} owns version ${version}, and none was after it at ${iso(freshMs!)}`
  return { value: { keys, unlike }, detail }
}

/** The same, taken for true by who looks only at what else the evidence says. */
export function takenTitle({ evidence }: Question): Outcome<Title> {
  const found = evidence.part('title')
  if (found.is !== 'here') return MISSING
  const read = readOwnershipFile(found.bytes)
  return 'reason' in read
    ? worse(read)
    : { value: { keys: keysOfAsset(read), unlike: () => undefined }, detail: 'taken' }
}
