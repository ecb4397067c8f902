/** A daemon of which only the local API is there: it holds what it is given to the schemas of node/, both ways. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import type { z } from 'zod'
import * as schema from '../../node/schema.ts'
import { temporary } from '../harness.ts'

export const TOKEN = 'token-of-the-fake'
export const ids = {
  org: 'bafyreiorgacme0000000000000000000000000000000000000acme0001',
  bolt: 'bafyreiorgbolt0000000000000000000000000000000000000bolt0001',
  asset: 'bafyreiasset00000000000000000000000000000000000000asset0001',
  offer: 'bafyreioffer00000000000000000000000000000000000000offer0001',
  agreement: 'bafyreiagree00000000000000000000000000000000000000agree0001',
  request: '00112233445566778899aabbccddeeff',
  transfer: 'ffeeddccbbaa99887766554433221100',
}
const bolt = { id: ids.bolt, name: 'Bolt GmbH' }
const acme = { id: ids.org, name: 'Acme Steel' }

export interface FakePacket {
  name: string
  content: Uint8Array
}

/** What a test may bend. */
export interface Fake {
  packets: FakePacket[]
  /** States that the request goes through, one for each time it is asked for. */
  states: Partial<schema.Request>[]
  /** Answers in place of the usual one, by `METHOD /path`. */
  problems: Record<string, Partial<schema.Problem>>
  raw: Record<string, { status: number; type: string; body: string }>
  deliveries: Partial<schema.Delivery>[]
  requests: schema.Request[]
  /** What was asked, as `METHOD /path?query body`. */
  calls: string[]
  title: string
}

export interface FakeDaemon extends AsyncDisposable {
  home: string
  url: string
  fake: Fake
}

export async function fakeDaemon(given: Partial<Fake> = {}): Promise<FakeDaemon> {
  const fake: Fake = {
    packets: [{ name: 'energy.csv', content: new TextEncoder().encode('a,b\n1,2\n') }],
    states: [
      { state: 'REQUESTED', waitsFor: 'their person' },
      { state: 'AGREED', waitsFor: 'their node' },
      { state: 'FINALIZED', waitsFor: 'nobody', agreement: ids.agreement },
    ],
    problems: {},
    raw: {},
    deliveries: [],
    requests: [],
    calls: [],
    title: 'energy',
    ...given,
  }
  const app = Fastify({ forceCloseConnections: true })
  guard(app, fake)
  routes(app, fake)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const dir = temporary()
  const home = join(dir.path, 'home')
  writeHome(home, url, process.pid)
  return {
    home,
    url,
    fake,
    async [Symbol.asyncDispose]() {
      await app.close()
      dir[Symbol.dispose]()
    },
  }
}

export function writeHome(home: string, url: string, pid: number): void {
  mkdirSync(home, { recursive: true })
  const api = { schema: 'waybill.api/1', url, pid, peer: '12D3KooW' }
  writeFileSync(join(home, 'api.json'), JSON.stringify(api), { mode: 0o600 })
  writeFileSync(join(home, 'token'), `${TOKEN}\n`, { mode: 0o600 })
}

function guard(app: FastifyInstance, fake: Fake): void {
  app.addHook('preHandler', async (request, reply) => {
    const path = request.url.split('?')[0]!
    const route = `${request.method} ${path}`
    fake.calls.push(
      `${request.method} ${request.url}${request.body ? ` ${JSON.stringify(request.body)}` : ''}`,
    )
    if (path !== '/healthz' && path !== '/readyz' && request.headers.authorization !== `Bearer ${TOKEN}`)
      return problem(reply, { status: 401, code: 'UNAUTHORIZED', detail: 'the token is wrong' })
    if (path === '/healthz' && request.headers.authorization) throw new Error('the token was shown')
    const raw = fake.raw[route]
    if (raw) return reply.code(raw.status).type(raw.type).send(raw.body)
    const bent = fake.problems[route]
    return bent ? problem(reply, bent) : undefined
  })
}

type Reply = { code(status: number): Reply; type(type: string): Reply; send(body: string): unknown }

function problem(reply: Reply, bent: Partial<schema.Problem>): unknown {
  const whole: schema.Problem = {
    type: 'about:blank',
    title: 'it went wrong',
    status: 400,
    code: 'X',
    detail: 'it went wrong',
    retryable: false,
    ...bent,
  }
  return reply
    .code(whole.status)
    .type('application/problem+json')
    .send(JSON.stringify(schema.problem.parse(whole)))
}

/** Shows an answer that fits its schema, or fails the test's request with 500. */
const show = <T extends z.ZodType>(shape: T, value: z.input<T>): z.output<T> => shape.parse(value)

const fakeRequest = (more: Partial<schema.Request>): schema.Request => ({
  id: ids.request,
  role: 'consumer',
  state: 'REQUESTED',
  waitsFor: 'their node',
  partner: acme,
  offer: ids.offer,
  title: 'energy',
  action: 'analyse',
  purpose: 'benchmark',
  askedMs: 1_767_225_600_000,
  history: [{ state: 'REQUESTED', at: 1_767_225_600_000 }],
  ...more,
})

const packetId = (i: number): string =>
  `bafyreipacket${String(i).padStart(38, '0')}packet${String(i).padStart(2, '0')}`
const packetOf = ({ name, content }: FakePacket, i: number): schema.Packet => ({
  id: packetId(i),
  name,
  mediaType: 'text/csv',
  size: content.length,
  root: 'bafyreiroot',
  packetSeq: i,
})

function routes(app: FastifyInstance, fake: Fake): void {
  app.get('/healthz', () => ({ ok: true }))
  app.get('/readyz', () => ({ ok: true }))
  app.get('/v1/status', () => show(schema.status, fakeStatus()))
  app.get('/v1/trust', () => ({ schema: 'waybill.trust/1', identities: [acme], committees: [] }))
  const partner = {
    ...bolt,
    connected: true,
    pairedMs: 1,
    addresses: [],
    witnesses: [],
    isWitness: false,
    seenSize: 4,
  }
  app.get('/v1/partners', request => {
    // Two pages.
    const { after } = request.query as { after?: string }
    const second = { ...partner, id: `${ids.bolt}2`, name: 'Cole \u001b[31mLogistics\n\u202e' }
    return show(schema.page(schema.partner), after ? { items: [second] } : { items: [partner], next: 'more' })
  })
  app.post('/v1/invites', request => {
    const { expiresMs } = schema.inviteRequest.parse(request.body)
    return show(schema.invite, { ticket: 'wb1ticket', expiresMs })
  })
  app.post('/v1/join', request => {
    schema.joinRequest.parse(request.body)
    return show(schema.joined, acme)
  })
  app.post('/v1/witnesses', request => {
    schema.witnessRequest.parse(request.body)
    return show(schema.partner, { ...partner, isWitness: true })
  })
  app.post('/v1/packets', request => {
    const { files } = schema.publishRequest.parse(request.body)
    const packets = files.map(({ name }, i) => packetOf({ name, content: new Uint8Array(3) }, i))
    return show(schema.published, { asset: ids.asset, packets, bytes: 3 * files.length })
  })
  app.get('/v1/assets', () =>
    show(schema.page(schema.asset), {
      items: [
        {
          id: ids.asset,
          title: fake.title,
          domain: 'general',
          level: 'general',
          packets: 1,
          bytes: 8,
          madeMs: 1,
        },
      ],
    }),
  )
  app.post('/v1/offers', request => {
    const { untilMs, approval } = schema.offerRequest.parse(request.body)
    return show(schema.offer, { ...fakeOffer(fake), own: true, untilMs, approval })
  })
  app.get('/v1/offers', () => show(schema.offers, { items: [fakeOffer(fake)], unreachable: ['Dora AG'] }))
  exchange(app, fake)
  evidence(app, fake)
  app.get('/v1/log', request => {
    const { after = '0', limit = '100' } = request.query as Record<string, string>
    const entries = Array.from({ length: 50 }, (_, index) => ({
      index,
      kind: 'record',
      timeMs: index,
      leaf: 'ab'.repeat(32),
      position: 'recorded',
    }))
    return show(schema.log, {
      size: 50,
      entries: entries.slice(Number(after), Number(after) + Number(limit)),
    })
  })
  app.post('/v1/stop', (_request, reply) => reply.code(202).send({}))
}

function exchange(app: FastifyInstance, fake: Fake): void {
  let step = 0
  const current = () => fakeRequest(fake.states[Math.min(step, fake.states.length - 1)]!)
  app.post('/v1/requests', request => {
    schema.usageRequest.parse(request.body)
    step = 0
    return show(schema.request, current())
  })
  app.get('/v1/requests', () => show(schema.page(schema.request), { items: fake.requests }))
  app.get('/v1/requests/:id', async request => {
    const { after, waitMs } = request.query as { after?: string; waitMs?: string }
    if (after !== undefined && step < fake.states.length - 1) step++
    else if (waitMs) await new Promise(resolve => setTimeout(resolve, 200))
    return show(schema.request, current())
  })
  for (const act of ['approve', 'deny', 'withdraw'])
    app.post(`/v1/requests/:id/${act}`, request => {
      schema.decision.parse(request.body)
      const made = act === 'deny' ? { state: 'TERMINATED' as const, waitsFor: 'nobody' as const } : current()
      return show(schema.request, fakeRequest({ ...made, role: 'provider', partner: bolt }))
    })
  let moves = 0
  const transfer = () => {
    const over = moves++ > 1
    const packets = fake.packets.length
    const counts = over ? { done: packets, open: 0 } : { done: 0, open: packets }
    return show(schema.transfer, {
      id: ids.transfer,
      state: over ? 'COMPLETED' : 'STARTED',
      partner: acme,
      agreement: ids.agreement,
      ...counts,
      failed: 0,
      bytes: 8,
      receivedBytes: over ? 8 : moves,
    })
  }
  app.post('/v1/transfers', request => {
    schema.transferRequest.parse(request.body)
    return transfer()
  })
  app.get('/v1/transfers/:id', transfer)
}

function evidence(app: FastifyInstance, fake: Fake): void {
  const at = '/v1/agreements/:agreement'
  app.get(`${at}/deliveries`, () =>
    show(schema.page(schema.delivery), { items: fake.packets.map((each, i) => deliveryOf(fake, each, i)) }),
  )
  app.get(`${at}/packets/:packet/content`, (request, reply) => {
    const { packet } = request.params as { packet: string }
    const found = fake.packets.find((_, i) => packetId(i) === packet)!
    return reply.type('application/octet-stream').send(Buffer.from(found.content))
  })
  app.get(`${at}/packets/:packet/evidence`, (_request, reply) =>
    reply.type('application/vnd.ipld.car').send(Buffer.from('evidence')),
  )
  app.get(`${at}/evidence`, (_request, reply) =>
    reply.type('application/vnd.ipld.car').send(Buffer.from('consent')),
  )
  app.get('/v1/consents', () => show(schema.page(schema.consent), { items: [fakeConsent(fake)] }))
}

function deliveryOf(fake: Fake, each: FakePacket, i: number): schema.Delivery {
  return {
    agreement: ids.agreement,
    packet: packetOf(each, i),
    role: 'consumer',
    state: 'DONE',
    partner: acme,
    receipts: [
      { type: 'received/1', id: 'r1', atMs: 1 },
      { type: 'opened/1', id: 'r2', atMs: 2 },
    ],
    ...fake.deliveries[i],
  }
}

const fakeConsent = (fake: Fake): schema.Consent => ({
  agreement: ids.agreement,
  role: 'consumer',
  partner: acme,
  state: 'given',
  offer: ids.offer,
  asset: ids.asset,
  title: fake.title,
  action: 'analyse',
  purpose: 'benchmark',
  fromMs: 1,
  untilMs: 1_830_384_000_000,
  terms: ['analyse for benchmark'],
  history: [],
})

const fakeOffer = (fake: Fake): schema.Offer => ({
  id: ids.offer,
  asset: ids.asset,
  title: fake.title,
  level: 'general',
  provider: acme,
  own: false,
  terms: ['analyse for benchmark'],
  packets: fake.packets.length,
  bytes: 8,
  untilMs: 1_830_384_000_000,
  approval: 'person',
  audience: [],
})

const fakeStatus = (): schema.Status => ({
  schema: 'waybill.status/1',
  ...acme,
  peerId: '12D3KooW',
  addresses: ['/ip4/127.0.0.1/tcp/4101'],
  home: '/tmp/x',
  pid: process.pid,
  version: '0.0.1',
  uptimeMs: 5_000,
  partners: 1,
  connected: 1,
  log: { size: 5, headSize: 5, position: 'recorded, unwitnessed', final: false },
  witnesses: [],
  assets: 1,
  offers: 1,
  waiting: 0,
  problems: [],
})
