/**
 * The HTTP side of witnessing (C2SP tlog-witness), for logs of other kinds: off until the operator says where it listens.
 * It answers anybody, so every request is bounded before it is read, and costs four signature checks at most.
 */
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Answer } from '../protocol/command.ts'
import { MAX_CHECKPOINT_REQUEST_BYTES } from '../protocol/limits.ts'
import type { Node } from './daemon.ts'
import { openLog } from './logs.ts'

const TEXT = 'text/plain; charset=utf-8'
const MAX_CONNECTIONS = 256
/** A client that is slower than this is cut off, ms. */
const REQUEST_MS = 10_000

export interface WitnessServer {
  url: string
  close(): Promise<void>
}

/**
 * Serves `POST /add-checkpoint` and `GET /<hash>/checkpoint`; of the own log, where it was opened, its tiles too (C2SP
 * tlog-tiles). Throws ADDRESS_IN_USE.
 */
export async function serveWitness(node: Node, listen: string): Promise<WitnessServer> {
  const { driver } = node
  const app = Fastify({
    bodyLimit: MAX_CHECKPOINT_REQUEST_BYTES,
    forceCloseConnections: true,
    requestTimeout: REQUEST_MS,
  })
  app.server.maxConnections = MAX_CONNECTIONS
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.setErrorHandler((error, _request, reply) => refuse(reply, error))
  app.post('/add-checkpoint', (request, reply) => {
    const body = request.body instanceof Uint8Array ? new Uint8Array(request.body) : new Uint8Array(0)
    return answer(reply, driver.submit({ type: 'checkpoint', body }))
  })
  app.get<{ Params: { hash: string } }>('/:hash/checkpoint', (request, reply) => {
    const { hash } = request.params
    const own = node.settings.isLogOpen ? openLog(node, hash, 'checkpoint') : undefined
    return own ? reply.type(TEXT).send(own) : answer(reply, driver.submit({ type: 'latest', hash }))
  })
  app.get<{ Params: { hash: string; '*': string } }>('/:hash/tile/*', (request, reply) => {
    const { hash, '*': path } = request.params
    const tile = node.settings.isLogOpen ? openLog(node, hash, `tile/${path}`) : undefined
    if (!tile) return reply.code(404).type(TEXT).send('no such tile\n')
    return reply.type('application/octet-stream').send(tile)
  })
  const url = await open(app, listen)
  return { url, close: () => app.close() }
}

async function open(app: FastifyInstance, listen: string): Promise<string> {
  const colon = listen.lastIndexOf(':')
  const host = listen.slice(0, colon).replace(/^\[|\]$/g, '')
  try {
    return await app.listen({ host, port: Number(listen.slice(colon + 1)) })
  } catch (error) {
    if ((error as { code?: string }).code !== 'EADDRINUSE') throw error
    throw Object.assign(new Error(`${listen} is in use by another program`), { code: 'ADDRESS_IN_USE' })
  }
}

/** What the core answered, once it is durable. */
async function answer(reply: FastifyReply, submitted: Promise<Answer | undefined>): Promise<FastifyReply> {
  const { status, contentType, body } = ((await submitted) as Extract<Answer, { type: 'reply' }>).reply
  return reply.code(status).header('content-type', contentType).send(body)
}

/** C2SP has no words for a witness that cannot decide now: 503, and the client comes again. */
function refuse(reply: FastifyReply, error: unknown): FastifyReply {
  const { statusCode = 503, message } = error as { statusCode?: number; message: string }
  return reply.code(statusCode).header('content-type', TEXT).send(`${message}\n`)
}
