/** How weak a committee among those of an asset is, for a person who is to own it (RULES E1). */
import type { CID } from '../crypto/cid.ts'
import { type Mode, modeOf } from './asset-committee.ts'
import type { Context } from './machine.ts'
import { type Ordering, orderIn } from './ordering-state.ts'
import { type CommitteeRule, whyUntrusted } from './ownership-trust.ts'
import { linksOf, openCommittee } from './title.ts'

/** The committees of an asset, from its registration to after this order. */
function committeesOf(o: Pick<Ordering, 'asset' | 'version' | 'next'>, get: Context['get']) {
  const links = linksOf(get, o.asset, 0, o.version)
  const shown = links.flatMap(({ committee }) => (committee ? [openCommittee(committee)] : []))
  return o.next ? [...shown, openCommittee(o.next)] : shown
}

const MODES: Mode[] = ['none', 'majority', 'all', 'byzantine']

/** The weakest mode in which an asset was voted on, and why the rule of this node does not take it. */
export const weakness = (o: Ordering, rule: CommitteeRule, get: Context['get']) =>
  weakest(o, orderIn(o).parties, rule, get)

/** The same of what is not written yet; `others` become parties by it. */
export function weakest(
  o: Pick<Ordering, 'asset' | 'version' | 'next'>,
  others: CID[],
  rule: CommitteeRule,
  get: Context['get'],
): { mode: Mode; text: string } | undefined {
  const parties = new Set(
    linksOf(get, o.asset, 0, o.version).flatMap(({ order }) => orderIn({ order }).parties),
  )
  const all = [...parties, ...others]
  const weak = committeesOf(o, get).flatMap(({ payload }) => {
    const text = whyUntrusted(payload, all, rule)
    return text === undefined ? [] : [{ mode: modeOf(payload).mode, text }]
  })
  return weak.sort((a, b) => MODES.indexOf(a.mode) - MODES.indexOf(b.mode))[0]
}
