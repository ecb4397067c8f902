/** Following something at the daemon until it is over: long polls, one after the other. */

/** How long one poll may wait at the daemon, ms: below the idle timeouts of proxies and of fetch. */
export const POLL_MS = 25_000
/** A daemon that answers without news sooner than this is not asked again before this time has passed, ms. */
const PAUSE_MS = 300

interface Follow<T> {
  /** Asks for the state, or for one that differs from the last. */
  ask(last: T | undefined): Promise<T>
  isOver(state: T): boolean
  /** What must differ for a state to be news. */
  key(state: T): string
  onNews?: ((state: T) => void) | undefined
  signal?: AbortSignal | undefined
}

/** The state in which it is over. Each state that is news is told once. */
export async function follow<T>({ ask, isOver, key, onNews, signal }: Follow<T>): Promise<T> {
  let last: T | undefined
  for (;;) {
    const askedMs = Date.now()
    const state = await ask(last)
    if (last === undefined || key(state) !== key(last)) onNews?.(state)
    else await pause(PAUSE_MS - (Date.now() - askedMs), signal)
    if (isOver(state)) return state
    last = state
  }
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (ms <= 0) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal!.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
