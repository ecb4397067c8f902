/** Syncs of a large file while it is still written: a single one at the end of 256 MiB took 130 ms in which nothing went on. */
const SYNC_BYTES = 16 * 2 ** 20

export class SyncAhead {
  readonly #sync: (done: (error?: Error | null) => void) => void
  #unsynced = 0
  #running: Promise<void> | undefined
  #failure: unknown

  constructor(sync: (done: (error?: Error | null) => void) => void) {
    this.#sync = sync
  }

  /** Counts what was written, and begins a sync when that is much and none is running. */
  wrote(bytes: number): void {
    this.#unsynced += bytes
    if (this.#running || this.#unsynced < SYNC_BYTES) return
    this.#unsynced = 0
    this.#running = new Promise(resolve => {
      this.#sync(error => {
        this.#failure ??= error ?? undefined
        this.#running = undefined
        resolve()
      })
    })
  }

  /** Waits for a sync that is running; throws what one of them failed with. What was written since is not synced. */
  async idle(): Promise<void> {
    await this.#running
    if (this.#failure) throw this.#failure
  }
}
