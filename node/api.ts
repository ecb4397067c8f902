/**
 * The local API: HTTP on loopback with a bearer token, a check of `Host` against DNS rebinding, and problem details with
 * the codes of the core. It translates; every decision is the core's.
 */
import { timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { z } from 'zod'
import { CryptoError } from '../crypto/error.ts'
import { RefusedError } from '../protocol/command.ts'
import { paths } from './config.ts'
import type { Node } from './daemon.ts'
import { routes } from './routes.ts'
import type * as schema from './schema.ts'

const USUAL_PORT = 4180
/** A request's body: 100,000 paths of a publish. */
const MAX_BODY_BYTES = 32 * 1024 * 1024

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
