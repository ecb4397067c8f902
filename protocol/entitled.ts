/**
 * Whether the assigner of an agreement owns the asset (RULES E6), as the consumer finds out before it signs: the certified
 * steps come from the provider, and the seats of the committee in force say that there is none after them. Their words go
 * with the agreement, so that whoever holds it can show them.
 */
import type { CID } from '../crypto/cid.ts'
import type { Agreement } from './agreement.ts'
import { seatOf } from './asset-committee.ts'
import { freshBy, type Words } from './freshness.ts'
import { KEY } from './layout.ts'
import { FRESH_MS, MAX_SEATS } from './limits.ts'
import type { Context } from './machine.ts'
import type { Message, Refusal } from './message.ts'
import type { Write } from './output.ts'
import type { Owned } from './ownership.ts'
import { handedOver, titleOf } from './title.ts'
import { freshWord } from './voting.ts'

/** What seats have answered so far. */
export interface Heard {
  words: Uint8Array[]
  /** Those that do not say it. */
  denied: string[]
}

/** `isNamed`: the asset names a committee, so that an owner without an order would hide who owns it. */
type Of = Pick<Agreement, 'asset' | 'assigner' | 'ownerVersion'> & { order?: CID; isNamed?: boolean }
const claimed = ({ assigner, ...rest }: Of) => ({ ...rest, org: assigner })

/** What asks the provider for steps that are not known here. */
export function askedSteps(
  of: Omit<Of, 'assigner'>,
  provider: string,
  { get }: Pick<Context, 'get'>,
): { sends: { to: string; message: Message }[]; writes: Write[] } {
  const { asset, ownerVersion, order } = of
  const owned = titleOf(get, asset)
  if (!order || (owned && owned.version >= ownerVersion)) return { sends: [], writes: [] }
  const version = owned ? { version: owned.version } : {}
  return {
    sends: [{ to: provider, message: { t: 'owner/known', asset, ...version } }],
    writes: owned ? [] : [{ key: KEY.wanted(asset), value: new Uint8Array(0) }],
  }
}

export type Entitled =
  | { is: 'shown'; words?: Words }
  | { is: 'asked'; sends: { to: string; message: Message }[]; writes: Write[] }
  | { is: 'refused'; refusal: Refusal }

/** Whether what was heard is enough to sign an agreement; otherwise what to ask. `id` comes back with the answers. */
export function entitled(
  of: Of,
  { words, denied }: Heard,
  id: Uint8Array,
  provider: string,
  context: Context,
): Entitled {
  if (!of.order && !of.isNamed) return { is: 'shown' }
  if (!of.order) {
    const text = 'the asset names a committee, and the agreement no order by which its assigner owns it'
    return { is: 'refused', refusal: { code: 'OWNER_UNPROVEN', text } }
  }
  const steps = askedSteps(of, provider, context)
  if (steps.sends.length > 0) return { is: 'asked', ...steps }
  const wrong = handedOver(claimed(of), context.get)
  if (wrong) return { is: 'refused', refusal: wrong }
  const owned = titleOf(context.get, of.asset)!
  const { version, committee } = owned
  if (committee.payload.q === 0) return { is: 'shown' }
  const own = freshWord({ committee: committee.id, asset: of.asset, version }, context)
  // As many as may be shown: those of others may be that many already, as seats that are asked again answer again.
  const said = 'fresh' in own ? [...words.slice(1 - MAX_SEATS), own.fresh] : words
  if (freshOf(owned, said, context)) return { is: 'shown', words: { version, words: said } }
  return asking(owned, { words, denied }, id, context)
}

/** Whether q seats say that this version is the last, and said it of late. */
const freshOf = (owned: Owned, words: Uint8Array[], { now }: Context): boolean => {
  const found = freshBy(words, owned)
  return found !== undefined && Math.abs(now.wallMs - found.atMs) <= FRESH_MS
}

function asking(
  { asset, version, joint, committee }: Owned,
  { denied }: Heard,
  id: Uint8Array,
  context: Context,
): Entitled {
  const { seats, q } = committee.payload
  const others = seats.map(({ org }) => org).filter(each => !joint.owners.some(({ org }) => org.equals(each)))
  const reached = others.filter(org => org.equals(context.self.id) || context.partner(org.toString()))
  const willing = reached.filter(org => !denied.includes(org.toString()))
  if (willing.length < q) {
    const text =
      reached.length < q
        ? `${reached.length} of the ${q} seats that would say who owns the asset are partners of the consumer`
        : `too many seats do not say that version ${version} of the asset is the last`
    return { is: 'refused', refusal: { code: 'OWNER_UNPROVEN', text } }
  }
  const message: Message = { t: 'owner/ask', id, committee: committee.id, asset, version }
  const sends = willing
    .filter(org => !org.equals(context.self.id))
    .map(org => ({ to: org.toString(), message }))
  return { is: 'asked', sends, writes: [] }
}

/** A seat's answer; what is of nobody who sits there is ignored. */
export function heard(
  { words, denied }: Heard,
  from: string,
  fresh: Uint8Array | undefined,
  asset: CID,
  context: Context,
): Heard {
  const owned = titleOf(context.get, asset)
  const org = context.partner(from)?.id
  if (!owned || !org || !seatOf(owned.committee.payload, org)) return { words, denied }
  const others = denied.filter(each => each !== from)
  if (!fresh) return { words, denied: [...others, from] }
  return { words: [...words.slice(1 - MAX_SEATS), fresh], denied: others }
}

/** Words that the other side stapled, if they are what they should be. */
export function wordsOf(
  told: Words | undefined,
  asset: CID,
  { get }: Pick<Context, 'get'>,
): Words | undefined {
  const owned = titleOf(get, asset)
  return told && owned?.version === told.version && freshBy(told.words, owned) ? told : undefined
}
