/** Asking for data, as the local API does: what partners offer, and a request for it. */
import type { z } from 'zod'
import { offer } from '../protocol/agreement.ts'
import type { Node } from './daemon.ts'
import type * as schema from './schema.ts'

/** How long a list of offers waits for the catalogs of connected partners. */
const CATALOG_MS = 3_000

/** Asks every connected partner for its catalog; names those that did not answer in time. */
export async function refreshCatalogs(node: Node): Promise<string[]> {
  const partners = await node.views.partners()
  const asked = await Promise.all(
    partners.map(async ({ org, name }) => {
      if (!node.partners.isConnected(org)) return name
      const { promise, resolve } = Promise.withResolvers<string | undefined>()
      let id = ''
      const listener = (event: { type: string; org?: string; id?: string; complete?: boolean }) => {
        if (event.type === 'catalog' && event.org === org && event.complete && event.id === id)
          resolve(undefined)
      }
      node.driver.on('event', listener)
      const timer = setTimeout(() => resolve(name), CATALOG_MS)
      id = ((await node.driver.submit({ type: 'catalog', org })) as { id: string }).id
      return promise.finally(() => {
        clearTimeout(timer)
        node.driver.off('event', listener)
      })
    }),
  )
  return asked.filter(name => name !== undefined)
}

/** Begins a negotiation; an action or purpose that is left out is the offer's, where it names exactly one. */
export async function ask(node: Node, body: z.infer<typeof schema.usageRequest>): Promise<schema.Request> {
  // An id that came by mail may be of an offer that was never listed here.
  const known = await node.views.offerId(body.offer).catch(() => refreshCatalogs(node).then(() => undefined))
  const id = known ?? (await node.views.offerId(body.offer))
  const offered = node.views.record(offer, id)!.payload
  const { permissions } = offered.policy
  const action = body.action ?? (permissions.length === 1 ? permissions[0]!.action : 'use')
  const purposes = permissions.flatMap(({ constraints }) =>
    constraints.flatMap(({ left, op, right }) => (left === 'purpose' && op === 'eq' ? [String(right)] : [])),
  )
  const purpose = body.purpose ?? (new Set(purposes).size === 1 ? purposes[0]! : 'unspecified')
  const org = offered.org.toString()
  const answer = await node.driver.submit({ type: 'request', org, offer: id, action, purpose })
  return node.views.requestView((answer as { machine: string }).machine)
}
