/** Waiting for news of the core, as long polls do. */
import type { Event } from '../protocol/event.ts'
import type { Node } from './daemon.ts'

/** Waits for an event that `fits`, unless `already` holds; at most `ms`. */
export function until(
  node: Node,
  ms: number,
  fits: (event: Event) => boolean,
  already: () => boolean,
): Promise<void> {
  if (ms === 0 || already()) return Promise.resolve()
  return new Promise(resolve => {
    const timer = setTimeout(done, ms)
    const listener = (event: Event) => {
      if (fits(event)) done()
    }
    node.driver.on('event', listener)
    function done() {
      clearTimeout(timer)
      node.driver.off('event', listener)
      resolve()
    }
  })
}
