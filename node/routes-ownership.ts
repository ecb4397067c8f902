/** What the local API answers about who owns an asset. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Node } from './daemon.ts'
import * as ownership from './ownership.ts'
import * as schema from './schema.ts'
import * as owners from './schema-ownership.ts'
import { until } from './until.ts'

const param = (request: FastifyRequest, name: string): string =>
  (request.params as Record<string, string>)[name]!

export function ownershipRoutes(app: FastifyInstance, node: Node): void {
  app.get('/v1/committees', () => ownership.juries(node))
  app.post('/v1/committees', request => ownership.createJury(node, owners.juryRequest.parse(request.body)))
  app.post('/v1/committees/seats', request =>
    ownership.sitFor(node, schema.witnessRequest.parse(request.body).partner),
  )
  app.post('/v1/certified', async request => {
    const { partner, certified } = owners.certifyRequest.parse(request.body)
    const { org } = await node.views.findPartner(partner)
    await node.settings.certify(org, certified)
    return node.views.trust(node.settings.seats)
  })
  app.post('/v1/control', async request => {
    const { orgs, control } = owners.controlRequest.parse(request.body)
    const ids = await Promise.all(orgs.map(each => node.views.findOrg(each)))
    await node.settings.control(ids.map(String), control)
    return node.views.trust(node.settings.seats)
  })

  app.post('/v1/assets/:id/register', request =>
    ownership.register(node, param(request, 'id'), owners.registerRequest.parse(request.body)),
  )
  app.post('/v1/assets/:id/committee', request =>
    ownership.reseat(node, param(request, 'id'), owners.reseatRequest.parse(request.body).committee),
  )
  app.get('/v1/assets/:id/owner', request => {
    const { fresh } = owners.ownerQuery.parse(request.query)
    return ownership.ownerOf(node, param(request, 'id'), fresh)
  })
  app.get('/v1/assets/:id/history', request => ownership.history(node, param(request, 'id')))
  app.get('/v1/assets/:id/disclosure', async (request, reply) =>
    reply
      .type('application/octet-stream')
      .send(Buffer.from(await ownership.disclosure(node, param(request, 'id')))),
  )
  app.get('/v1/assets/:id/ownership', async (request, reply) =>
    reply
      .type('application/octet-stream')
      .send(Buffer.from(await ownership.evidence(node, param(request, 'id')))),
  )

  app.post('/v1/handovers', request => ownership.handOver(node, owners.handoverRequest.parse(request.body)))
  app.get('/v1/handovers', async () => ({ items: await ownership.orders(node) }))
  app.get('/v1/handovers/:id', async request => {
    const { waitMs } = owners.orderQuery.parse(request.query)
    const order = await node.views.orderId(param(request, 'id'))
    const view = () => ownership.orderView(node, order)
    const before = view().state
    const moved = () => view().state !== before
    const isOver = () => ownership.isSettled(before)
    await until(node, waitMs, event => event.type === 'order' && moved(), isOver)
    return view()
  })
  app.post('/v1/handovers/:id/accept', request =>
    ownership.takeOver(node, param(request, 'id'), owners.takeOverRequest.parse(request.body ?? {}).mode),
  )
  app.post('/v1/handovers/:id/decline', request =>
    ownership.leave(
      node,
      param(request, 'id'),
      schema.decision.parse(request.body ?? {}).reason ?? 'declined',
    ),
  )
  app.post('/v1/handovers/:id/withdraw', request => ownership.takeBack(node, param(request, 'id')))
}
