/**
 * The local API: HTTP on loopback with a bearer token, a check of `Host` against DNS rebinding, and problem details with
 * the codes of the core. It translates; every decision is the core's.
 */
import { timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import { toBase64 } from '../crypto/bytes.ts'
import { type CID, parseCid } from '../crypto/cid.ts'
import { CryptoError } from '../crypto/error.ts'
import { behind } from '../protocol/behind.ts'
import { RefusedError } from '../protocol/command.ts'
import { decodeRoot } from '../protocol/content.ts'
import { ownChain, privateKey } from '../protocol/context.ts'
import type { Event } from '../protocol/event.ts'
import { identityBehind } from '../protocol/introduction.ts'

import { HANDLE, KEY } from '../protocol/layout.ts'
import { readRestored } from '../protocol/restored.ts'
import { stockWitnesses } from '../protocol/stock.ts'
import { logKey, witnessKey } from '../protocol/tlog.ts'
import { ask, refreshCatalogs } from './ask.ts'
import { backup } from './backup.ts'
import { committeeView, createCommittee, takeSeat } from './committee.ts'
import { paths } from './config.ts'
import type { Node } from './daemon.ts'
import { gatherConsent, gatherDelivery, gatherProofs } from './gather.ts'
import { delegate, endingKeys, keysView, revoke, rotate, succeed } from './keys.ts'
import { headsOf, mirroring, tileHere } from './logs.ts'
import { recordView, redact } from './redact.ts'
import { renewEvidence } from './renew.ts'
import * as schema from './schema.ts'
import { makeOffer, publish } from './share.ts'

const VERSION = '0.0.1'
const USUAL_PORT = 4180
/** A request's body: 100,000 paths of a publish. */
const MAX_BODY_BYTES = 32 * 1024 * 1024
const PAGE = 500

/** HTTP status of a code; what is not here and not a bug is 400. */
const STATUS: Record<string, number> = {
  UNAUTHORIZED: 401,
  POLICY_DENIED: 403,
  NOT_ADMITTED: 403,
  TICKET_UNKNOWN: 403,
  TICKET_EXPIRED: 403,
  NOT_FOUND: 404,
  OFFER_UNKNOWN: 404,
  AGREEMENT_UNKNOWN: 404,
  CONTENT_MISSING: 404,
  OUT_OF_ORDER: 409,
  CONFLICT: 409,
  CLOCK_BEHIND: 409,
  QUOTA_EXCEEDED: 409,
  IN_FORCE: 409,
  NOT_REDACTABLE: 409,
  RESTORED_BEHIND: 409,
  RESTORED_UNWITNESSED: 409,
  FILE_EXISTS: 409,
  LOG_CLOSED: 403,
  EVENT_REPLAYED: 409,
  KEY_UNKNOWN: 404,
  KEYS_MISSING: 404,
  ADDRESS_IN_USE: 409,
  OFFER_EXPIRED: 410,
  AGREEMENT_ENDED: 410,
  SOURCE_CHANGED: 409,
  DISK_FULL: 507,
  ENOSPC: 507,
  CONTENT_TOO_LARGE: 413,
  WRONG_HOST: 421,
  CONTENT_DAMAGED: 500,
  STORE_FAILED: 500,
  STORE_INCONSISTENT: 500,
  STOPPED: 503,
  PEER_UNREACHABLE: 504,
  TIMEOUT: 504,
  TIMED_OUT: 504,
}
const RETRYABLE = new Set([
  'STOPPED',
  'PEER_UNREACHABLE',
  'TIMEOUT',
  'TIMED_OUT',
  'CONFLICT',
  'SOURCE_CHANGED',
  'DISK_FULL',
  'ENOSPC',
])

export interface Api {
  url: string
  close(): Promise<void>
}

/** Opens the API on 127.0.0.1. */
export async function serveApi(node: Node, port: number | undefined): Promise<Api> {
  const token = Buffer.from((await readFile(paths(node.home).token, 'utf8')).trim())
  const app = Fastify({
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
  })
  app.removeContentTypeParser('text/plain') // what a form of some web page can send
  app.addHook('onRequest', async request => guard(request, token))
  // Reads see what is queued: an answer waits until that is durable, like everything else that leaves (RULES A1).
  app.addHook('onSend', async (_request, reply) =>
    reply.statusCode < 400 ? node.driver.durable() : undefined,
  )
  app.setErrorHandler((error, _request, reply) => sendProblem(node, reply, error))
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      node,
      reply,
      Object.assign(new Error(`there is no ${request.method} ${request.url}`), { code: 'NOT_FOUND' }),
    ),
  )
  routes(app, node)
  const url = await listen(app, port)
  return { url, close: () => app.close() }
}

/** A port that the operator named is that or an error; the usual one gives way to a free one. */
async function listen(app: FastifyInstance, port: number | undefined): Promise<string> {
  try {
    return await app.listen({ host: '127.0.0.1', port: port ?? USUAL_PORT })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EADDRINUSE') throw error
    if (port === undefined) return app.listen({ host: '127.0.0.1', port: 0 })
    throw Object.assign(new Error(`port ${port} of the local API is in use by another program`), {
      code: 'ADDRESS_IN_USE',
    })
  }
}

async function guard(request: FastifyRequest, token: Buffer): Promise<void> {
  const host = request.headers.host?.replace(/:\d+$/, '')
  if (host !== '127.0.0.1' && host !== 'localhost')
    throw Object.assign(new Error('this API answers to 127.0.0.1 and localhost only'), { code: 'WRONG_HOST' })
  if (request.url === '/healthz' || request.url === '/readyz') return
  const given = Buffer.from(request.headers.authorization?.replace(/^Bearer /, '') ?? '')
  if (given.length !== token.length || !timingSafeEqual(given, token))
    throw Object.assign(new Error('the token of this home is missing or wrong'), { code: 'UNAUTHORIZED' })
}

function sendProblem(node: Node, reply: FastifyReply, error: unknown): FastifyReply {
  const { code, status } = codeOf(error)
  const detail = error instanceof z.ZodError ? firstIssue(error) : (error as Error).message
  if (status === 500) node.log.error({ error: String((error as Error).stack) }, 'request failed')
  const refusal = error instanceof RefusedError ? error.refusal : undefined
  const problem: schema.Problem = {
    type: `urn:waybill:error:${code}`,
    title: code,
    status,
    code,
    detail,
    retryable: RETRYABLE.has(code),
    ...(refusal?.clause ? { clause: refusal.clause } : {}),
    ...(refusal?.asked ? { asked: refusal.asked } : {}),
    ...(refusal?.allowed ? { allowed: refusal.allowed } : {}),
    ...(refusal?.next ? { hint: refusal.next } : {}),
  }
  return reply.code(status).type('application/problem+json').send(JSON.stringify(problem))
}

/** The first thing that is wrong with a body, and where. */
function firstIssue({ issues: [issue] }: z.ZodError): string {
  const path = issue!.path.join('.')
  return path ? `${path}: ${issue!.message}` : issue!.message
}

function codeOf(error: unknown): { code: string; status: number } {
  if (error instanceof z.ZodError) return { code: 'MALFORMED', status: 400 }
  if (error instanceof CryptoError) return { code: 'MALFORMED', status: 400 }
  const { code, statusCode } = error as { code?: string; statusCode?: number }
  if (typeof code !== 'string') return { code: 'INTERNAL', status: statusCode ?? 500 }
  if (code.startsWith('FST_')) return { code: 'MALFORMED', status: statusCode ?? 400 }
  return { code, status: STATUS[code] ?? (/^[A-Z]+_[A-Z_]+$|^MALFORMED$/.test(code) ? 400 : 500) }
}

type Params = Record<string, string>
const params = (request: FastifyRequest): Params => request.params as Params

function routes(app: FastifyInstance, node: Node): void {
  const { views, driver } = node
  app.get('/healthz', () => ({ ok: true }))
  app.get('/readyz', () => ({ ok: true }))
  app.get('/v1/status', () => statusOf(node))
  app.get('/v1/trust', () => views.trust())

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
  app.post('/v1/join', request => node.join(schema.joinRequest.parse(request.body).ticket))
  app.post('/v1/witnesses', async request => {
    const { org } = await views.findPartner(schema.witnessRequest.parse(request.body).partner)
    await node.addWitness(org)
    return partnerView(node, org)
  })
  app.get('/v1/committee', () => committeeView(node))
  app.post('/v1/committee', request => createCommittee(node, schema.committeeRequest.parse(request.body)))
  app.post('/v1/committee/seats', request =>
    takeSeat(node, schema.witnessRequest.parse(request.body).partner),
  )
  app.get('/v1/witnessing', () => witnessing(node))
  app.post('/v1/witnessing', async request => {
    await node.serveWitness(schema.witnessingRequest.parse(request.body).listen)
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
  app.post('/v1/keys/rotate', request => rotate(node, schema.rotateRequest.parse(request.body)))
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
    const proofs = await gatherProofs(node, records.map(parseCid), show.map(parseCid))
    return { items: proofs.map((proof, i) => ({ record: records[i], proof: toBase64(proof) })) }
  })
  app.get('/v1/mirrors', () => mirroring(node))
  app.post('/v1/mirrors', async request => {
    const { org } = await views.findPartner(schema.witnessRequest.parse(request.body).partner)
    await node.addMirror(org)
    return mirroring(node)
  })
  app.post('/v1/mirrors/open', async request => {
    await node.openLog(schema.openRequest.parse(request.body).open)
    return mirroring(node)
  })
  app.post('/v1/forks', async request => {
    const { proof } = schema.forkRequest.parse(request.body)
    await driver.submit({ type: 'fork', proof: new Uint8Array(Buffer.from(proof, 'base64')) })
    return { items: views.forks() }
  })
  app.get('/v1/forks', () => ({ items: views.forks() }))
  app.post('/v1/stop', (_request, reply) => {
    setImmediate(() => node.onStop())
    return reply.code(202).send({ stopping: true })
  })
}

/** Waits for an event that `fits`, unless `already` holds; at most `ms`. */
function until(
  node: Node,
  ms: number,
  fits: (event: Event) => boolean,
  already: () => boolean,
): Promise<void> {
  if (ms === 0 || already()) return Promise.resolve()
  return new Promise(resolve => {
    const timer = setTimeout(done, ms)
    const listener = (event: Event) => {
      if (fits(event)) done()
    }
    node.driver.on('event', listener)
    function done() {
      clearTimeout(timer)
      node.driver.off('event', listener)
      resolve()
    }
  })
}

async function statusOf(node: Node): Promise<schema.Status> {
  const { views, env, network, driver } = node
  const { words, final, headSize } = views.position()
  const requests = await views.requests()
  const partners = await views.partners()
  const witnesses = views.witnesses()
  return {
    schema: 'waybill.status/1',
    id: env.self.org,
    name: env.self.identity.name,
    peerId: network.peerId,
    addresses: network.addresses(),
    home: node.home,
    pid: process.pid,
    version: VERSION,
    uptimeMs: Date.now() - node.startedMs,
    partners: partners.length,
    connected: network.connected().length,
    log: { size: driver.state.ledger.tail.range.size, headSize, position: words, final },
    witnesses,
    assets: (await views.assets()).length,
    offers: (await views.offers(true)).length,
    waiting: requests.filter(request => request.waitsFor === 'you').length,
    problems: problemsOf(node, witnesses),
  }
}

/** What this node witnesses of other kinds: where, under which key, which logs. */
const witnessing = async (node: Node): Promise<schema.Witnessing> => ({
  key: witnessKey(ownChain(node.env)) ?? '',
  logKey: logKey(ownChain(node.env)) ?? '',
  ...(node.witnessServer ? { url: node.witnessServer.url } : {}),
  logs: await node.views.foreignLogs(),
  asked: stockWitnesses(node.env).map(({ name, url, size, problem }) => ({
    name,
    url,
    cosignedSize: size,
    ...(problem ? { problem } : {}),
  })),
})

function problemsOf(node: Node, witnesses: schema.Status['witnesses']): schema.Status['problems'] {
  const stuck = witnesses
    .filter(each => each.problem)
    .map(each => ({ code: 'WITNESS', text: `${each.name}: ${each.problem}` }))
  const lone = witnesses.length === 0
  const hint = 'waybill witness add PARTNER'
  const none = lone ? [{ code: 'UNWITNESSED', text: 'no partner witnesses this log', hint }] : []
  return [
    ...behindOf(node),
    ...restoredOf(node),
    ...stuck,
    ...none,
    ...forksOf(node),
    ...identityOf(node),
    ...endingKeys(node),
    ...node.problems,
  ]
}

function forksOf(node: Node): schema.Status['problems'] {
  return node.views.forks().flatMap(({ of, name, org, size, event, succeeded }) => {
    const isOwn = org === node.env.self.org
    const whose = isOwn ? 'this home' : name
    if (of === 'identity')
      return {
        code: 'IDENTITY_FORKED',
        text: `the identity of ${whose} has two events ${event}: somebody else may hold its keys`,
        hint: 'waybill forks',
      }
    return succeeded
      ? []
      : {
          code: 'LOG_FORKED',
          text: `the log of ${whose} has two histories from size ${size}: it is closed`,
          hint: isOwn ? 'waybill log succeed' : 'waybill forks',
        }
  })
}

/** Partners go by events of this identity that the store does not have. */
function identityOf(node: Node): schema.Status['problems'] {
  const known = identityBehind(node.env.get)
  const { events } = ownChain(node.env)
  if (known === undefined || known <= events.length) return []
  const text = `partners know ${known} events of this identity, and this store has ${events.length}: its keys are left as they are`
  return [{ code: 'IDENTITY_BEHIND', text, hint: 'waybill restore a newer backup' }]
}

/** The store was put back or copied: what that means, until members have confirmed it or for ever (RULES D1). */
function restoredOf(node: Node): schema.Status['problems'] {
  const restored = readRestored(key => node.store.get(key))
  if (!restored) return []
  const { why, size, witnessed, atMs } = restored
  const how = {
    restored: 'was restored from a backup',
    copied: 'is a copy of the home that ran here, or was moved',
    older: 'has fewer entries than this machine has seen of its log',
  }[why]
  const at = `${new Date(atMs).toISOString().slice(0, 16)}Z`
  const text = `noticed ${at}: this store ${how}, at ${size} entries; tickets that were out are void`
  if (witnessed)
    return [{ code: 'RESTORED', text: `${text}; the log goes on as the members of its committee promise it` }]
  return [
    {
      code: 'RESTORED_UNWITNESSED',
      text: `${text}; no members hold this log, so it never goes on in this store: it only reads`,
      hint: 'waybill log succeed; or start the home that this is a copy of; if it was only moved: waybill restore --moved',
    },
  ]
}

/** Members of the committee hold heads that this store does not have: it only reads (RULES D1). */
function behindOf(node: Node): schema.Status['problems'] {
  const found = behind(key => node.store.get(key))
  if (!found) return []
  const who = found.orgs.map(org => node.views.partner(org)?.name ?? org).join(', ')
  const size = node.driver.state.ledger.tail.range.size
  const text = `${who} hold this log at ${found.size} entries, this store has ${size} or others: it was put back or copied, and signs nothing any more`
  return [
    {
      code: 'RESTORED_BEHIND',
      text,
      hint: 'stop this node and start the newer home; where it is lost: waybill log succeed',
    },
  ]
}

function partnerView(node: Node, org: string): schema.Partner {
  const { name, pairedMs, addresses, witnesses } = node.views.partner(org)!
  return {
    id: org,
    name,
    connected: node.isConnected(org),
    pairedMs,
    addresses,
    witnesses: witnesses.map(String),
    isWitness: node.witnesses.includes(org),
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
