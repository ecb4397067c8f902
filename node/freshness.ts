/** Asks the seats of an asset whether the version that is known here is the last (RULES E6). */
import type { Event } from '../protocol/event.ts'
import { freshBy } from '../protocol/freshness.ts'
import type { Owned } from '../protocol/ownership.ts'
import type { Node } from './daemon.ts'
import type * as schema from './schema-ownership.ts'

/** How long seats have to say it. */
const FRESH_MS = 3_000

export async function freshness(node: Node, owned: Owned): Promise<NonNullable<schema.OwnerView['fresh']>> {
  const { words, silent } = await askSeats(node, owned)
  const found = freshBy(words, owned)
  const why = new Map(silent.map(({ org, text }) => [org, text]))
  const seats = owned.committee.payload.seats.map(({ org }) => org)
  return {
    seats: (found?.orgs ?? []).map(org => node.views.nameOf(org)),
    ...(found ? { atMs: found.atMs } : {}),
    silent: seats
      .filter(org => why.has(org.toString()))
      .map(org => ({ ...node.views.nameOf(org), text: why.get(org.toString())! })),
  }
}

/** Words of seats, and what others said instead; some may not answer in time. */
export async function askSeats(
  node: Node,
  { asset, committee }: Owned,
): Promise<{ words: Uint8Array[]; silent: { org: string; text: string }[] }> {
  const { n } = committee.payload
  if (n === 0) return { words: [], silent: [] }
  const heard: Extract<Event, { type: 'fresh' }>[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  let asked: string | undefined
  // One answer of each seat: who answers again stands for nobody else.
  const said = () => [
    ...new Map(heard.filter(({ id }) => id === asked).map(each => [each.org, each])).values(),
  ]
  // An own seat has said it before the command has its answer.
  const listener = (event: Event) => {
    if (event.type === 'fresh') heard.push(event)
    if (said().length === n) resolve()
  }
  node.driver.on('event', listener)
  const timer = setTimeout(resolve, FRESH_MS)
  try {
    const { machine } = (await node.driver.submit({ type: 'fresh', asset })) as { machine: string }
    asked = machine.slice(machine.indexOf('/') + 1)
    if (said().length < n) await promise
  } finally {
    clearTimeout(timer)
    node.driver.off('event', listener)
  }
  const words = said().flatMap(({ fresh }) => fresh ?? [])
  const silent = said().filter(({ fresh }) => !fresh)
  return { words, silent: silent.map(({ org, text = '' }) => ({ org, text })) }
}
