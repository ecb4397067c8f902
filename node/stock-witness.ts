/** Posts heads of the own log to witnesses over HTTP, as the core asks, and hands in what they answer. */
import type { Ask, Event } from '../protocol/event.ts'
import { MAX_NOTE_BYTES } from '../protocol/limits.ts'
import type { Posted } from '../protocol/stock.ts'
import type { Driver } from './driver.ts'

/** A witness that is slower is asked again later, ms. */
const ANSWER_MS = 10_000

export class StockWitnesses {
  readonly #driver: Driver
  readonly #stopping = new AbortController()

  constructor(driver: Driver) {
    this.#driver = driver
    driver.on('event', event => this.#take(event))
  }

  stop(): void {
    this.#stopping.abort()
  }

  #take(event: Event): void {
    if (event.type === 'ask-post') void this.#post(event)
  }

  async #post({ machine, url, body }: Extract<Ask, { type: 'ask-post' }>): Promise<void> {
    const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(ANSWER_MS)])
    const answer = await post(url, body, signal)
    // A node that stops asks again when it starts.
    if (!this.#stopping.signal.aborted)
      await this.#driver.submit({ type: 'posted', machine, ...answer }).catch(() => {})
  }
}

async function post(url: string, body: Uint8Array, signal: AbortSignal): Promise<Posted> {
  try {
    const answer = await fetch(url, { method: 'POST', body: new Uint8Array(body), redirect: 'error', signal })
    const contentType = answer.headers.get('content-type') ?? ''
    return { status: answer.status, contentType, body: await bounded(answer) }
  } catch {
    return { status: 0, contentType: '', body: new Uint8Array(0) }
  }
}

/** No more of the answer than signature lines take: a witness is a stranger. Throws RangeError. */
async function bounded(answer: Response): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of answer.body ?? []) {
    length += part.length
    if (length > MAX_NOTE_BYTES) throw new RangeError('the answer is too long')
    parts.push(part)
  }
  return new Uint8Array(Buffer.concat(parts))
}
