import { setImmediate } from 'node:timers'
import { Disk, type Medium, type Operation, VirtualStore } from '../../sim/store.ts'
import { type Rig, storeSuite } from '../store.suite.ts'

/** The simulated store with promises, on a disk that waits for the test. */
class Bench {
  readonly #disk = new Disk()
  #pending: { operations: Operation[]; done: (error?: Error) => void } | undefined
  #idle: ((error?: Error) => void)[] = []

  open(failures: Error[]): Rig['store'] {
    const medium: Medium = {
      disk: this.#disk,
      soon: work => void setImmediate(work),
      sync: (operations, done) => {
        this.#pending = { operations, done }
      },
    }
    const store = new VirtualStore(medium, error => {
      failures.push(error)
      for (const settle of this.#idle.splice(0)) settle(error)
    })
    return {
      get: key => store.get(key),
      commit: (writes, release) => store.commit(writes, release),
      list: async (prefix, options) => store.list(prefix, options),
      idle: () => this.#settled(store),
    }
  }

  flush(): void {
    const pending = this.#pending
    this.#pending = undefined
    if (!pending) return
    this.#disk.apply(pending.operations)
    pending.done()
  }

  fail(): void {
    this.#pending?.done(new Error('input/output error'))
  }

  cut(): void {
    this.#pending = undefined
  }

  async #settled(store: VirtualStore): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    store.commit([], resolve)
    this.#idle.push(error => (error ? reject(error) : resolve()))
    return promise
  }
}

storeSuite('in the simulator', async () => {
  const [bench, failures] = [new Bench(), [] as Error[]]
  const rig: Rig = {
    store: bench.open(failures),
    failures,
    flush: async () => bench.flush(),
    fail: async () => bench.fail(),
    cut: async () => {
      bench.cut()
      rig.store = bench.open(failures)
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return rig
})
