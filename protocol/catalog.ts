/**
 * Catalog, both roles: a consumer reads a provider's offers page by page; each sees only what is for it.
 *
 *     consumer                                   provider
 *                -- request {id, after} -->      reads a page of its own offers, leaves out what is not for the asker
 *                <-- page {items, next} --
 */
import { equal, readU64, toHex, u64 } from '../crypto/bytes.ts'
import { type CID, cidFromDigest } from '../crypto/cid.ts'
import { thumbprint } from '../crypto/key.ts'
import { decodeSigned } from '../crypto/statement.ts'
import { offer } from './agreement.ts'
import { asset } from './asset.ts'
import { everStood } from './identity-chain.ts'
import { keepSeen, keptRecord, redactedOf } from './kept.ts'
import { KEY } from './layout.ts'
import { MAX_PAGE, PAGE_BYTES } from './limits.ts'
import { type Context, type Step, stay, violation } from './machine.ts'
import type { MessageOf } from './message.ts'
import { sees } from './offered.ts'
import { isStored, readRecord, verifySignatures } from './record.ts'

/** A request for the catalog of a partner that is under way, at either side. Nothing of it survives a restart. */
export interface Reading {
  id: Uint8Array
  count: number
  /** Where the page that was asked for last begins; absent for the first. */
  after?: string
  complete?: true
}

export type CatalogStep = Step<Reading>

/** Asks a partner for its first page. */
export function begin(org: string, id: Uint8Array): CatalogStep {
  const step = stay<Reading>({ id, count: 0 })
  step.output.sends.push({ to: org, message: { t: 'catalog/request', id } })
  return step
}

/** The place of a page: the key of an own offer without its prefix. */
const AFTER = /^[0-9]{16}\/[0-9a-f]{64}$/

/** Provider: asks the driver for a page of own offers. */
export function asked(from: string, message: MessageOf<'catalog/request'>): CatalogStep {
  if (message.after !== undefined && !AFTER.test(message.after))
    return violation(from, message.t, 'MALFORMED', 'this is not a page of a catalog')
  const step = stay<Reading>()
  const after = message.after && `${KEY.ownOffers}${message.after}`
  step.output.events.push({
    type: 'ask-page',
    machine: `catalog/${from}/${toHex(message.id)}`,
    prefix: KEY.ownOffers,
    limit: MAX_PAGE,
    ...(after ? { after } : {}),
  })
  return step
}

/** Provider: sends the page. */
export function page(
  from: string,
  id: Uint8Array,
  rows: [string, Uint8Array][],
  more: boolean,
  context: Context,
): CatalogStep {
  const items: MessageOf<'catalog/page'>['items'] = []
  let [size, last, cut] = [0, '', false]
  for (const [key, digest] of rows) {
    const item = describe(from, cidFromDigest(digest, 'dag-cbor'), context)
    cut = item !== undefined && items.length > 0 && size + item.offer.length + item.asset.length > PAGE_BYTES
    if (cut) break
    last = key.slice(KEY.ownOffers.length)
    if (!item) continue
    size += item.offer.length + item.asset.length
    items.push(item)
  }
  const step = stay<Reading>()
  const next = (cut || more) && last ? { next: last } : {}
  step.output.sends.push({ to: from, message: { t: 'catalog/page', id, items, ...next } })
  return step
}

function describe(from: string, id: CID, context: Context) {
  const offerBytes = keptRecord(context, id)
  const read = offerBytes && readRecord(offer, offerBytes)
  if (!offerBytes || !read || !isStored(read) || !sees(read.payload, from)) return undefined
  if (context.now.wallMs >= read.payload.until) return undefined
  const assetBytes = keptRecord(context, read.payload.asset)
  const totals = context.get(KEY.assetTotals(read.payload.asset))
  if (!assetBytes || !totals) return undefined
  // Who reads a record that a key signed which is revoked takes the whole page for false.
  const signed = read.payload.order ? [offerBytes] : [offerBytes, assetBytes]
  if (!signed.every(each => holds(each, context))) return undefined
  return { offer: offerBytes, asset: assetBytes, packets: readU64(totals)!, bytes: readU64(totals, 8)! }
}

/** Whether no key signed it that was revoked since. */
function holds(record: Uint8Array, { self }: Context): boolean {
  const revoked = everStood(self.chain, 'operation').filter(each => each.revoked !== undefined)
  if (revoked.length === 0) return true
  const { s } = decodeSigned(record)
  return !s.some(({ k }) => revoked.some(({ key }) => equal(thumbprint(key), k)))
}

/** Consumer: checks a page, keeps the offers, asks for the next. */
export function received(
  state: Reading | undefined,
  from: string,
  message: MessageOf<'catalog/page'>,
  context: Context,
): CatalogStep {
  if (!state || toHex(state.id) !== toHex(message.id)) return stay(state)
  // A page says where it ends, not where it begins: one that does not lead further is a repeat.
  const further = message.next === undefined || message.next > (state.after ?? '')
  if (state.complete || !further) return stay(state)
  const { after: _, ...rest } = state
  const count = state.count + message.items.length
  const step = stay<Reading>({
    ...rest,
    count,
    ...(message.next ? { after: message.next } : { complete: true }),
  })
  for (const item of message.items) {
    const [read, described] = [readRecord(offer, item.offer), readRecord(asset, item.asset)]
    const fits =
      isStored(read) &&
      isStored(described) &&
      read.payload.org.toString() === from &&
      described.id.equals(read.payload.asset) &&
      verifySignatures(offer, read, context.keys).ok === true &&
      (read.payload.order
        ? true // who published it may be a stranger here: its steps show it before anything is signed
        : described.payload.ownerVersion === read.payload.ownerVersion &&
          described.payload.org.equals(read.payload.org) &&
          verifySignatures(asset, described, context.keys).ok === true)
    if (!fits) return violation(from, message.t, 'RECORD_INVALID', 'an offer of the catalog does not verify')
    if (redactedOf(context.get, read.id)) continue // what was erased here does not come back by itself
    step.output.writes.push(
      { key: KEY.seenOffer(from, read.id), value: item.offer },
      ...keepSeen(context, read.id, item.offer),
      ...keepSeen(context, described.id, item.asset),
      { key: KEY.assetTotals(described.id), value: totals(item.packets, item.bytes) },
    )
  }
  const id = toHex(message.id)
  if (message.next)
    step.output.sends.push({
      to: from,
      message: { t: 'catalog/request', id: message.id, after: message.next },
    })
  step.output.events.push({
    type: 'catalog',
    org: from,
    id,
    count: step.state!.count,
    complete: !message.next,
  })
  return step
}

/** Packets and bytes of an asset, 8 bytes each. */
export function totals(packets: number, bytes: number): Uint8Array {
  const value = new Uint8Array(16)
  value.set(u64(packets))
  value.set(u64(bytes), 8)
  return value
}
