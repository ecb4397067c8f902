/** The store of a home with the keys of the own log where the log of that number lies (protocol/log-number.ts). */
import { fromStore, inStore, logNumber, writesInStore } from '../protocol/log-number.ts'
import type { Write } from '../protocol/output.ts'
import type { ListOptions, Store } from './store.ts'

export class NumberedStore implements Store {
  readonly #inner: Store

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
    return logNumber(key => this.#inner.get(key))
  }
}
