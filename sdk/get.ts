/** The main job in one call: ask for an offer, wait for both signatures, let the content come. */
import type { Delivery, Request, Transfer } from '../node/schema.ts'
import type { Waybill } from './connect.ts'
import { WaybillError } from './error.ts'
import type { CallOptions } from './http.ts'

export interface GetOptions extends CallOptions {
  /** Left out, they are those of the offer when it names exactly one. */
  purpose?: string | undefined
  action?: string | undefined
  onState?: ((request: Request) => void) | undefined
  onProgress?: ((transfer: Transfer) => void) | undefined
}

export interface Got {
  agreement: string
  /** What came and opened. */
  deliveries: Delivery[]
  /** What did not, each with its refusal. */
  failed: Delivery[]
}

/**
 * Goes on with a request or agreement for the same use where there is one, so that a call that was cut off can be
 * repeated. Throws the refusal's code when the provider denies, and the signal's reason when it aborts.
 */
export async function get(waybill: Waybill, offer: string, options: GetOptions = {}): Promise<Got> {
  const { signal, onState } = options
  const before = await findRequest(waybill, offer, options)
  const asked = before ?? (await ask(waybill, offer, options))
  const request = await waybill.requests.wait(asked.id, { signal, onState })
  const { agreement } = request
  if (request.state === 'TERMINATED' || !agreement)
    throw refused(request.refusal, `${request.partner.name} ended the request for "${request.title}"`)
  if (!before || !(await isComplete(waybill, agreement, offer, options)))
    await transferAll(waybill, agreement, options)
  return { agreement, ...(await sortDeliveries(waybill, agreement, options)) }
}

const ask = (waybill: Waybill, offer: string, { purpose, action, signal }: GetOptions): Promise<Request> =>
  waybill.requests.create(
    { offer, ...(purpose ? { purpose } : {}), ...(action ? { action } : {}) },
    { signal },
  )

/** The newest own request for this use that is under way, or whose agreement is in force. */
async function findRequest(
  waybill: Waybill,
  offer: string,
  options: GetOptions,
): Promise<Request | undefined> {
  const { purpose, action, signal } = options
  let found: Request | undefined
  for await (const request of waybill.requests.list({ signal })) {
    const isSame = request.role === 'consumer' && isId(request.offer, offer) && request.state !== 'TERMINATED'
    if (
      !isSame ||
      (purpose ?? request.purpose) !== request.purpose ||
      (action ?? request.action) !== request.action
    )
      continue
    if (!found || request.askedMs > found.askedMs) found = request
  }
  if (!found?.agreement || found.state !== 'FINALIZED') return found
  for await (const consent of waybill.consents.list({ signal }))
    if (consent.agreement === found.agreement) return consent.state === 'given' ? found : undefined
  return undefined
}

/** Whether `given` is this id, or its short form: a letter, a dash and the last eight characters. */
export function isId(id: string, given: string): boolean {
  const short = /^[a-z]-([a-z0-9]{8})$/.exec(given)
  return short ? id.endsWith(short[1]!) : id === given
}

/** Everything of the offer has come under this agreement before. */
async function isComplete(
  waybill: Waybill,
  agreement: string,
  offer: string,
  { signal }: GetOptions,
): Promise<boolean> {
  const { deliveries, failed } = await sortDeliveries(waybill, agreement, { signal })
  if (deliveries.length === 0 || failed.length > 0) return false
  const { items } = await waybill.offers.list({ own: false, refresh: false, signal })
  return items.find(each => isId(each.id, offer))?.packets === deliveries.length
}

async function transferAll(
  waybill: Waybill,
  agreement: string,
  { signal, onProgress }: GetOptions,
): Promise<void> {
  const { id } = await waybill.transfers.start(agreement, { signal })
  const transfer = await waybill.transfers.wait(id, { signal, onProgress })
  if (transfer.state === 'TERMINATED')
    throw refused(transfer.refusal, `${transfer.partner.name} ended the transfer`)
}

async function sortDeliveries(
  waybill: Waybill,
  agreement: string,
  { signal }: GetOptions,
): Promise<Pick<Got, 'deliveries' | 'failed'>> {
  const [deliveries, failed]: [Delivery[], Delivery[]] = [[], []]
  for await (const delivery of waybill.agreements.deliveries(agreement, { signal }))
    (isOpened(delivery) ? deliveries : failed).push(delivery)
  deliveries.sort((a, b) => a.packet.packetSeq - b.packet.packetSeq)
  return { deliveries, failed }
}

/** The content is here and is what its publisher signed. DONE is also the end of a rejection, so the receipt decides. */
export const isOpened = ({ state, receipts }: Delivery): boolean =>
  state === 'OPENED' || (state === 'DONE' && receipts.every(({ type }) => !type.startsWith('rejected')))

function refused(refusal: Request['refusal'], otherwise: string): WaybillError {
  if (!refusal) return new WaybillError('TERMINATED', otherwise)
  const { code, text, clause, asked, allowed, next } = refusal
  return new WaybillError(code, text, { clause, asked, allowed, hint: next })
}
