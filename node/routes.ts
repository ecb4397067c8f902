/** What the local API answers, path by path. */
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { toBase64 } from '../crypto/bytes.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { decodeRoot } from '../protocol/content.ts'
import { ownChain, privateKey } from '../protocol/context.ts'
import { HANDLE, KEY } from '../protocol/layout.ts'
import { stockWitnesses } from '../protocol/stock.ts'
import { logKey, witnessKey } from '../protocol/tlog.ts'
import { ask, refreshCatalogs } from './ask.ts'
import { backup } from './backup.ts'
import { committeeView, createCommittee, takeSeat } from './committee.ts'
import type { Node } from './daemon.ts'
import { forkViews } from './forks.ts'
import { gatherConsent, gatherDelivery, gatherProofs } from './gather.ts'
import { adopt, delegate, keysView, revoke, rotate, succeed } from './keys.ts'
import { headsOf, mirroring, recoverLog, tileHere } from './logs.ts'
import { recordId, recordView, redact } from './redact.ts'
import { renewEvidence } from './renew.ts'
import { ownershipRoutes } from './routes-ownership.ts'
import * as schema from './schema.ts'
import { makeOffer, publish } from './share.ts'
import { statusOf } from './status.ts'
import { until } from './until.ts'

const PAGE = 500

type Params = Record<string, string>
const params = (request: FastifyRequest): Params => request.params as Params

export function routes(app: FastifyInstance, node: Node): void {
  const { views, driver } = node
  app.get('/healthz', () => ({ ok: true }))
  app.get('/readyz', () => ({ ok: true }))
  ownershipRoutes(app, node)
  app.get('/v1/status', () => statusOf(node))
  app.get('/v1/trust', () => views.trust(node.settings.seats))

  app.get('/v1/partners', async () => ({
    items: (await views.partners()).map(each => partnerView(node, each.org)),
  }))
  app.post('/v1/invites', async request => {
    const { for: forWhom, expiresMs } = schema.inviteRequest.parse(request.body)
    const invite = {
      type: 'invite',
      forWhom,
      expiresMs,
      node: privateKey(ownChain(node.env), 'node', node.env).public,
    } as const
    const { ticket } = (await driver.submit(invite)) as { ticket: string }
    return { ticket, expiresMs }
  })
  app.post('/v1/join', request => node.partners.join(schema.joinRequest.parse(request.body).ticket))
  app.post('/v1/witnesses', async request => {
    const { org } = await views.findPartner(schema.witnessRequest.parse(request.body).partner)
    await node.settings.addWitness(org)
    return partnerView(node, org)
  })
  app.get('/v1/committee', () => committeeView(node))
  app.post('/v1/committee', request => createCommittee(node, schema.committeeRequest.parse(request.body)))
  app.post('/v1/committee/seats', request =>
    takeSeat(node, schema.witnessRequest.parse(request.body).partner),
  )
  app.get('/v1/witnessing', () => witnessing(node))
  app.post('/v1/witnessing', async request => {
    await node.settings.serveWitness(schema.witnessingRequest.parse(request.body).listen)
    return witnessing(node)
  })
  app.post('/v1/witnessing/logs', async request => {
    const { origin, key } = schema.acceptRequest.parse(request.body)
    await driver.submit({ type: 'accept', origin, key })
    return witnessing(node)
  })
  app.post('/v1/witnessing/asked', async request => {
    await driver.submit({ type: 'stock', ...schema.askWitnessRequest.parse(request.body) })
    return witnessing(node)
  })
  app.post('/v1/witnessing/asked/remove', async request => {
    await driver.submit({ type: 'drop-stock', ...schema.dropWitnessRequest.parse(request.body) })
    return witnessing(node)
  })

  app.get('/v1/keys', () => keysView(node))
  app.post('/v1/log/succeed', () => succeed(node))
  app.post('/v1/log/recover', () => recoverLog(node))
  app.post('/v1/keys/rotate', request => rotate(node, schema.rotateRequest.parse(request.body)))
  app.post('/v1/keys/adopt', () => adopt(node))
  app.post('/v1/keys/delegate', request => delegate(node, schema.delegateRequest.parse(request.body)))
  app.post('/v1/keys/revoke', request => revoke(node, schema.revokeRequest.parse(request.body)))

  app.post('/v1/packets', request => publish(node, schema.publishRequest.parse(request.body)))
  app.get('/v1/assets', async () => ({ items: await views.assets() }))
  app.post('/v1/offers', request => makeOffer(node, schema.offerRequest.parse(request.body)))
  app.get('/v1/offers', async request => {
    const { own, refresh } = schema.offersQuery.parse(request.query)
    const unreachable = refresh && !own ? await refreshCatalogs(node) : []
    return { items: await views.offers(own), unreachable }
  })

  app.post('/v1/requests', request => ask(node, schema.usageRequest.parse(request.body)))
  app.get('/v1/requests', async () => ({ items: await views.requests() }))
  app.get('/v1/requests/:id', async request => {
    const { waitMs, after } = schema.requestQuery.parse(request.query)
    const key = await views.negotiationKey(params(request).id!)
    const before = views.requestView(key)
    const view = () => views.requestView(key)
    const moved = () => view().state !== (after ?? before.state) || view().waitsFor !== before.waitsFor
    await until(node, waitMs, event => 'machine' in event && event.machine === key && moved(), moved)
    return view()
  })
  for (const act of ['approve', 'deny', 'withdraw'] as const)
    app.post(`/v1/requests/:id/${act}`, async request => {
      const { reason } = schema.decision.parse(request.body ?? {})
      const machine = await views.negotiationKey(params(request).id!)
      if (act === 'withdraw')
        await driver.submit({ type: 'withdraw', machine, reason: reason ?? 'withdrawn' })
      else
        await driver.submit({
          type: 'decide',
          machine,
          approve: act === 'approve',
          ...(reason ? { reason } : {}),
        })
      return views.requestView(machine)
    })

  app.post('/v1/backup', request => {
    const { path, recipient, passphrase } = schema.backupRequest.parse(request.body)
    if (recipient !== undefined) return backup(node, path, { recipient })
    if (passphrase !== undefined) return backup(node, path, { passphrase })
    throw Object.assign(new Error('a backup needs a recipient or a passphrase'), { code: 'MALFORMED' })
  })
  app.get('/v1/records/:id', request => recordView(node, params(request).id!))
  app.post('/v1/records/:id/redact', request =>
    redact(node, params(request).id!, schema.redactRequest.parse(request.body).reason),
  )

  app.post('/v1/transfers', async request => {
    const { org, stored } = await views.grant(schema.transferRequest.parse(request.body).agreement)
    const { machine } = (await driver.submit({ type: 'transfer', org, agreement: stored.id })) as {
      machine: string
    }
    return transferView(node, machine)
  })
  app.get('/v1/transfers/:id', async request => {
    const { waitMs } = schema.transferQuery.parse(request.query)
    const key = await views.transferKey(params(request).id!)
    const before = transferView(node, key)
    const moved = () => {
      const { state, done, receivedBytes } = transferView(node, key)
      return state !== before.state || done !== before.done || receivedBytes !== before.receivedBytes
    }
    const over = () => before.state === 'COMPLETED' || before.state === 'TERMINATED'
    await until(
      node,
      waitMs,
      event => (event.type === 'transfer' || event.type === 'delivery') && moved(),
      over,
    )
    return transferView(node, key)
  })

  app.get('/v1/agreements/:id/deliveries', async request => {
    const { after } = schema.deliveriesQuery.parse(request.query)
    const { stored } = await views.grant(params(request).id!)
    const { items, more } = await views.deliveries(stored.id, after, PAGE)
    const next = more ? { next: items.at(-1)![0] } : {}
    return { items: items.map(([, delivery]) => views.deliveryView(delivery)), ...next }
  })
  app.get('/v1/agreements/:id/packets/:packet/content', async (request, reply) => {
    const { agreementId, packetId } = await delivered(node, params(request))
    return sendContent(node, agreementId, packetId, reply)
  })
  app.get('/v1/agreements/:id/packets/:packet/evidence', async (request, reply) => {
    const { agreementId, packetId } = await delivered(node, params(request))
    return reply
      .type('application/vnd.ipld.car')
      .send(Buffer.from(await gatherDelivery(node, agreementId, packetId)))
  })
  app.get('/v1/agreements/:id/evidence', async (request, reply) => {
    const { stored } = await views.grant(params(request).id!)
    return reply.type('application/vnd.ipld.car').send(Buffer.from(await gatherConsent(node, stored.id)))
  })
  app.post('/v1/evidence/renew', async request => {
    const { evidence } = schema.renewRequest.parse(request.body)
    const { file, sides } = await renewEvidence(node, new Uint8Array(Buffer.from(evidence, 'base64')))
    return { evidence: Buffer.from(file).toString('base64'), sides }
  })
  app.get('/v1/consents', async () => ({ items: await views.consents(Date.now()) }))

  app.get('/v1/log', request => {
    const { after, limit } = schema.logQuery.parse(request.query)
    const { size } = driver.state.ledger.tail.range
    const head = node.headText()
    const next = after + limit < size ? { next: after + limit } : {}
    return { size, ...(head ? { head } : {}), entries: views.log(size, after, limit), ...next }
  })
  app.get('/v1/logs/:org/heads', request => {
    const { after } = schema.headsQuery.parse(request.query)
    return headsOf(node, params(request).org!, after)
  })
  app.get('/v1/logs/:org/tile/*', (request, reply) => {
    const { org, '*': path } = params(request)
    const tile = tileHere(node, org!, `tile/${path}`)
    if (!tile) throw Object.assign(new Error(`tile/${path} of this log is not here`), { code: 'NOT_FOUND' })
    return reply.type('application/octet-stream').send(tile)
  })
  app.post('/v1/proofs', async request => {
    const { records, show } = schema.proofsRequest.parse(request.body)
    const ids = await Promise.all(records.map(each => recordId(node, each)))
    const shown = await Promise.all(show.map(each => recordId(node, each)))
    const proofs = await gatherProofs(node, ids, shown)
    return { items: proofs.map((proof, i) => ({ record: ids[i]!.toString(), proof: toBase64(proof) })) }
  })
  app.get('/v1/mirrors', () => mirroring(node))
  app.post('/v1/mirrors', async request => {
    const { org } = await views.findPartner(schema.witnessRequest.parse(request.body).partner)
    await node.settings.addMirror(org)
    return mirroring(node)
  })
  app.post('/v1/mirrors/open', async request => {
    await node.settings.openLog(schema.openRequest.parse(request.body).open)
    return mirroring(node)
  })
  app.post('/v1/forks', async request => {
    const { proof } = schema.forkRequest.parse(request.body)
    await driver.submit({ type: 'fork', proof: new Uint8Array(Buffer.from(proof, 'base64')) })
    return { items: forkViews(node) }
  })
  app.get('/v1/forks', () => ({ items: forkViews(node) }))
  app.post('/v1/stop', (_request, reply) => {
    setImmediate(() => node.onStop())
    return reply.code(202).send({ stopping: true })
  })
}

/** What this node witnesses of other kinds: where, under which key, which logs. */
const witnessing = async (node: Node): Promise<schema.Witnessing> => ({
  key: witnessKey(ownChain(node.env)) ?? '',
  logKey: logKey(ownChain(node.env)) ?? '',
  ...(node.settings.witnessServer ? { url: node.settings.witnessServer.url } : {}),
  logs: await node.views.foreignLogs(),
  asked: stockWitnesses(node.env).map(({ name, url, size, problem }) => ({
    name,
    url,
    cosignedSize: size,
    ...(problem ? { problem } : {}),
  })),
})

function partnerView(node: Node, org: string): schema.Partner {
  const { name, pairedMs, addresses, witnesses } = node.views.partner(org)!
  return {
    id: org,
    name,
    connected: node.partners.isConnected(org),
    pairedMs,
    addresses,
    witnesses: witnesses.map(String),
    isWitness: node.settings.witnesses.includes(org),
    seenSize: node.views.seenSize(org),
  }
}

const transferView = (node: Node, key: string): schema.Transfer => {
  const view = node.views.transferView(key, 0)
  return { ...view, receivedBytes: node.received.get(view.agreement) ?? 0 }
}

// Content.

async function delivered(node: Node, { id, packet }: Params): Promise<{ agreementId: CID; packetId: CID }> {
  const { stored } = await node.views.grant(id!)
  const { items } = packet!.startsWith('bafy')
    ? { items: [] }
    : await node.views.deliveries(stored.id, undefined, 100_000)
  const packetId = packet!.startsWith('bafy')
    ? parseCid(packet!)
    : node.views.packetId(
        packet!,
        items.map(([, each]) => each),
      )
  node.views.delivery(stored.id, packetId) // NOT_FOUND where it was not delivered
  return { agreementId: stored.id, packetId }
}

/** The plain content, deciphered as it is sent; only what was opened and found right is ever given out. */
async function sendContent(
  node: Node,
  agreementId: CID,
  packetId: CID,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { state, role, root: rootId } = node.views.delivery(agreementId, packetId)
  if (role === 'consumer' && state !== 'DONE' && state !== 'OPENED')
    throw Object.assign(new Error(`the packet is ${state}, not opened yet`), { code: 'OUT_OF_ORDER' })
  const root = decodeRoot(node.store.get(KEY.root(rootId))!)
  const sealed = node.store.get(KEY.secret(HANDLE.content(rootId)))
  if (!sealed) throw Object.assign(new Error('the key of this packet is not here'), { code: 'NOT_FOUND' })
  const key = node.openSecret(HANDLE.content(rootId), sealed).subarray(0, 32)
  const { name } = node.views.packetView(packetId)
  return reply
    .type('application/octet-stream')
    .header('content-length', root.size)
    .header('content-disposition', `attachment; filename*=UTF-8''${encodeURIComponent(basename(name))}`)
    .send(Readable.from(node.content.openContent(root, key)))
}
