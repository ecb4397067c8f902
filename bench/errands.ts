/**
 * What each daemon of a ring does at the same time as all others, inside of its process: publish, put on offer, read the
 * neighbour's catalog, negotiate for each offer and fetch what was agreed on, one after the other.
 */
import { type CID, cidFromDigest, parseCid } from '../crypto/cid.ts'
import type { Node } from '../node/daemon.ts'
import { publish } from '../node/share.ts'
import type { Answer } from '../protocol/command.ts'
import type { Event } from '../protocol/event.ts'
import { KEY } from '../protocol/layout.ts'
import { decodeState } from '../protocol/machine.ts'
import type { Negotiation } from '../protocol/negotiation-state.ts'
import { PROFILE } from '../protocol/policy.ts'

export type Errand =
  | { do: 'publish'; paths: string[] }
  | { do: 'offer' }
  | { do: 'catalog'; org: string; offers: number }
  | { do: 'negotiate'; org: string; from: number; to: number }
  | { do: 'transfer'; org: string; from: number; to: number }
export const isErrand = (order: { do: string }): order is Errand =>
  ['publish', 'offer', 'catalog', 'negotiate', 'transfer'].includes(order.do)

/** When each began and ended, ms of the clock that all processes share, and the CPU that this process took meanwhile. */
export interface Done {
  each: [beganMs: number, endedMs: number][]
  cpuMs: number
}

const HOUR_MS = 3_600_000
const assets: CID[] = []
const offers: CID[] = []
const agreements: CID[] = []

export async function run(node: Node, errand: Errand): Promise<Done> {
  const before = process.cpuUsage()
  const each = await DO[errand.do](node, errand as never)
  const { user, system } = process.cpuUsage(before)
  return { each, cpuMs: (user + system) / 1_000 }
}

const clockMs = (): number => performance.timeOrigin + performance.now()

async function inTurn<T>(all: T[], work: (one: T) => Promise<void>): Promise<Done['each']> {
  const each: Done['each'] = []
  for (const one of all) {
    const beganMs = clockMs()
    await work(one)
    each.push([beganMs, clockMs()])
  }
  return each
}

type Of<Name extends Errand['do']> = Extract<Errand, { do: Name }>
const DO: { [Name in Errand['do']]: (node: Node, errand: Of<Name>) => Promise<Done['each']> } = {
  publish: (node, { paths }) =>
    inTurn(paths, async path => {
      const files = [{ path, name: 'content' }]
      const { asset } = await publish(node, { files, title: path, domain: 'production', level: 'general' })
      assets.push(parseCid(asset))
    }),
  offer: (node, _errand) =>
    inTurn(assets, async asset => {
      const untilMs = Date.now() + HOUR_MS
      const policy = {
        profile: PROFILE,
        prohibitions: [],
        permissions: [{ action: 'analyse', constraints: [] }],
      }
      await node.driver.submit({ type: 'offer', asset, audience: [], policy, approval: 'policy', untilMs })
    }),
  /** Pages until there are as many as there should be: a page that comes early is short. */
  catalog: async (node, { org, offers: wanted }) => {
    for (let tries = 0; offers.length < wanted; tries++) {
      if (tries > 100) throw new Error(`only ${offers.length} of ${wanted} offers of ${org} are seen`)
      await after(
        node,
        { type: 'catalog', org },
        event => event.type === 'catalog' && event.complete === true,
      )
      offers.splice(0, offers.length, ...(await seen(node, org)))
    }
    return []
  },
  negotiate: (node, { org, from, to }) =>
    inTurn(offers.slice(from, to), async offer => {
      const request = { type: 'request', org, offer, action: 'analyse', purpose: 'benchmark' } as const
      const machine = await machineOf(node, request, 'negotiation', 'FINALIZED')
      agreements.push(decodeState<Negotiation>(node.store.get(machine)!).agreementId!)
    }),
  transfer: (node, { org, from, to }) =>
    inTurn(agreements.slice(from, to), async agreement => {
      await machineOf(node, { type: 'transfer', org, agreement }, 'transfer', 'COMPLETED')
    }),
}

async function seen(node: Node, org: string): Promise<CID[]> {
  const rows = await node.store.list(`${KEY.seenOffers}${org}/`)
  return rows.map(([key]) =>
    cidFromDigest(Uint8Array.from(Buffer.from(key.split('/')[3]!, 'hex')), 'dag-cbor'),
  )
}

type Command = Parameters<Node['driver']['submit']>[0]

/** Submits and waits for an event that may come before the answer does. */
async function after(node: Node, command: Command, isIt: (event: Event) => boolean): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const listener = (event: Event) => {
    if (isIt(event)) resolve()
  }
  node.driver.on('event', listener)
  try {
    await node.driver.submit(command)
    await promise
  } finally {
    node.driver.off('event', listener)
  }
}

/** Starts a machine and waits until it is in that state. */
async function machineOf(
  node: Node,
  command: Command,
  type: 'negotiation' | 'transfer',
  state: string,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const ended = new Set<string>()
  let mine: string | undefined
  const listener = (event: Event) => {
    if (event.type !== type) return
    if (event.state === 'TERMINATED' && event.machine === mine) reject(new Error(`${mine} is TERMINATED`))
    if (event.state !== state) return
    ended.add(event.machine)
    if (event.machine === mine) resolve(mine)
  }
  node.driver.on('event', listener)
  try {
    const answer = (await node.driver.submit(command)) as Extract<Answer, { type: 'machine' }>
    mine = answer.machine
    if (ended.has(mine)) resolve(mine)
    return await promise
  } finally {
    node.driver.off('event', listener)
  }
}
