/**
 * A store on a disk that forgets what is not durable when the power is cut. Nothing becomes durable before `flush()`, so
 * a test decides where in a group commit the cut falls.
 */
import { groupCommit, type ListOptions, type Operation, type Store } from '../node/store.ts'

export class LossyDisk {
  #durable = new Map<string, Uint8Array>()
  #pending: { operations: Operation[]; written: PromiseWithResolvers<void> } | undefined
  #epoch = 0

  /** A store over what is durable now. A store opened before a `cut` hangs: its process is gone. */
  open(onFailure: (error: Error) => void): Store {
    const epoch = this.#epoch
    return groupCommit(
      {
        get: key => this.#durable.get(key),
        batch: operations => (epoch === this.#epoch ? this.#queue(operations) : new Promise(() => {})),
        list: async (prefix, options) => this.#list(prefix, options),
        raw: async function* () {},
        close: async () => {},
      },
      onFailure,
    )
  }

  /** Whether a group waits for the disk. */
  get busy(): boolean {
    return this.#pending !== undefined
  }

  /** Makes the group that waits durable. */
  flush(): void {
    const pending = this.#pending
    this.#pending = undefined
    for (const { key, value } of pending?.operations ?? [])
      if (value === undefined) this.#durable.delete(key)
      else this.#durable.set(key, Uint8Array.from(value))
    pending?.written.resolve()
  }

  /** The write of the group that waits fails; nothing of it is stored. */
  fail(): void {
    this.#pending?.written.reject(new Error('input/output error'))
    this.#pending = undefined
  }

  /** The power goes: the group that waits is lost, and nobody who waited for it is told. */
  cut(): void {
    this.#pending = undefined
    this.#epoch += 1
  }

  #queue(operations: Operation[]): Promise<void> {
    this.#pending = { operations, written: Promise.withResolvers() }
    return this.#pending.written.promise
  }

  #list(prefix: string, { after, limit = Infinity, reverse = false }: ListOptions): [string, Uint8Array][] {
    const sign = reverse ? -1 : 1
    return [...this.#durable]
      .filter(([key]) => key.startsWith(prefix))
      .sort(([a], [b]) => sign * compare(a, b))
      .filter(([key]) => after === undefined || sign * compare(key, after) > 0)
      .slice(0, limit)
  }
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
