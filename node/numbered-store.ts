/** The store of a home with the keys of the own log where the log of that number lies (protocol/log-number.ts). */
import { KEY } from '../protocol/layout.ts'
import { fromStore, inStore, logNumber, writesInStore } from '../protocol/log-number.ts'
import type { Write } from '../protocol/output.ts'
import type { ListOptions, Store } from './store.ts'

export class NumberedStore implements Store {
  readonly #inner: Store
  /** Of the active log, until a write may change it: every read asks for it. */
  #known: number | undefined

  constructor(inner: Store) {
    this.#inner = inner
  }

  get(key: string): Uint8Array | undefined {
    return this.#inner.get(inStore(key, this.#number()))
  }

  getDurable(key: string): Uint8Array | undefined {
    return this.#inner.getDurable(inStore(key, this.#number()))
  }

  commit(writes: Write[], release: () => void): boolean {
    if (writes.some(({ key }) => key === KEY.logNumber)) this.#known = undefined
    return this.#inner.commit(
      writesInStore(writes, key => this.#inner.get(key)),
      release,
    )
  }

  async list(prefix: string, options: ListOptions = {}): Promise<[string, Uint8Array][]> {
    const number = this.#number()
    const { after } = options
    const rows = await this.#inner.list(inStore(prefix, number), {
      ...options,
      ...(after === undefined ? {} : { after: inStore(after, number) }),
    })
    return rows.map(([key, value]) => [fromStore(key, number), value])
  }

  /** Of all logs, as it lies there. */
  raw(): AsyncIterable<[string, Uint8Array]> {
    return this.#inner.raw()
  }

  idle(): Promise<void> {
    return this.#inner.idle()
  }

  close(): Promise<void> {
    return this.#inner.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #number(): number {
    this.#known ??= logNumber(key => this.#inner.get(key))
    return this.#known
  }
}
