/** Calls to the daemon's API over fetch: problem documents become errors, bodies become values or streams. */
import type { Problem } from '../node/schema.ts'
import { WaybillError } from './error.ts'

/** What every call takes last. */
export interface CallOptions {
  signal?: AbortSignal | undefined
}

type Query = Record<string, string | number | boolean | undefined>
interface Ask extends CallOptions {
  query?: Query
  body?: unknown
  accept?: string
}

export class Http {
  readonly url: string
  readonly #token: string
  readonly #closing = new AbortController()

  constructor(url: string, token: string) {
    this.url = url.replace(/\/+$/, '')
    this.#token = token
  }

  /** Ends the calls under way; later ones throw CLOSED. */
  close(): void {
    this.#closing.abort(new WaybillError('CLOSED', 'this connection was closed'))
  }

  get<T>(path: string, ask: Ask = {}): Promise<T> {
    return this.#json('GET', path, ask)
  }

  post<T>(path: string, body: unknown, options: CallOptions = {}): Promise<T> {
    return this.#json('POST', path, { ...options, body: body ?? {} })
  }

  async bytes(path: string, options: CallOptions = {}): Promise<Uint8Array> {
    const response = await this.#fetch('GET', path, { ...options, accept: '*/*' })
    return this.#reading(options.signal, async () => new Uint8Array(await response.arrayBuffer()))
  }

  /** The body piece by piece; a connection that breaks off throws, so that a whole body is told from a cut one. */
  async *stream(path: string, options: CallOptions = {}): AsyncGenerator<Uint8Array> {
    const response = await this.#fetch('GET', path, { ...options, accept: '*/*' })
    const reader = response.body?.getReader()
    if (!reader) return
    try {
      for (;;) {
        const { done, value } = await this.#reading(options.signal, () => reader.read())
        if (done) return
        yield value
      }
    } finally {
      await reader.cancel().catch(() => {})
    }
  }

  /** Throws DAEMON_UNREACHABLE unless a daemon answers. The token is not shown to it. */
  async probe(options: CallOptions = {}): Promise<void> {
    const response = await this.#send('GET', '/healthz', options, {})
    await response.body?.cancel()
    if (!response.ok) throw unreachable(this.url, `it answers ${response.status}`)
  }

  async #json<T>(method: string, path: string, ask: Ask): Promise<T> {
    const response = await this.#fetch(method, path, { accept: 'application/json', ...ask })
    const text = await this.#reading(ask.signal, () => response.text())
    try {
      return JSON.parse(text || 'null') as T
    } catch (cause) {
      throw new WaybillError('ANSWER_INVALID', `${this.url} answered something that is not JSON`, { cause })
    }
  }

  async #fetch(method: string, path: string, ask: Ask): Promise<Response> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.#token}`, accept: ask.accept! }
    if (ask.body !== undefined) headers['content-type'] = 'application/json'
    const response = await this.#send(method, path + queryText(ask.query), ask, headers)
    if (!response.ok) throw await this.#reading(ask.signal, () => problemOf(response))
    return response
  }

  #send(method: string, path: string, ask: Ask, headers: Record<string, string>): Promise<Response> {
    const body = ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }
    const signal = this.#signal(ask.signal)
    return this.#reading(ask.signal, () =>
      fetch(this.url + path, { method, headers, ...body, signal, redirect: 'error' }),
    )
  }

  #signal(signal: AbortSignal | undefined): AbortSignal {
    return signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal
  }

  /** What fetch throws says little: an abort becomes its reason, and the rest a daemon that does not answer. */
  async #reading<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#signal(signal).throwIfAborted()
      throw unreachable(this.url, causeOf(error), error)
    }
  }
}

function queryText(query: Query = {}): string {
  const given = new URLSearchParams()
  for (const [key, value] of Object.entries(query)) if (value !== undefined) given.set(key, String(value))
  return given.size === 0 ? '' : `?${given}`
}

async function problemOf(response: Response): Promise<WaybillError> {
  const text = await response.text()
  const { status } = response
  let problem: Partial<Problem> = {}
  try {
    problem = (JSON.parse(text) as Partial<Problem> | null) ?? {}
  } catch {
    // Not a problem document: the status has to do.
  }
  const { code, detail, title, hint, clause, asked, allowed, retryable } = problem
  const message = detail ?? title ?? `the daemon answered ${status}`
  if (typeof code !== 'string')
    return new WaybillError(status === 401 ? 'UNAUTHORIZED' : 'ANSWER_INVALID', message, { status })
  return new WaybillError(code, message, { hint, clause, asked, allowed, retryable, status })
}

function unreachable(url: string, why: string, cause?: unknown): WaybillError {
  return new WaybillError('DAEMON_UNREACHABLE', `no daemon answers at ${url}: ${why}`, {
    retryable: true,
    cause,
  })
}

function causeOf(error: unknown): string {
  const { cause, message } = error as { cause?: { code?: unknown; message?: unknown }; message?: unknown }
  return String(cause?.code ?? cause?.message ?? message)
}
