/**
 * What each daemon of a ring does at the same time as all others, inside of its process: publish, put on offer, read the
 * neighbour's catalog, negotiate for each offer and fetch what was agreed on, one after the other.
 */
import { setTimeout } from 'node:timers/promises'
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
  | { do: 'publish'; path: string; warm: number }
  | { do: 'offer' }
  | { do: 'catalog'; org: string; offers: number }
  | { do: 'negotiate'; org: string; warm: number }
  | { do: 'transfer'; org: string; warm: number }
  | { do: 'window'; ms: number }
  | { do: 'rest'; ms: number }
export const isErrand = (order: { do: string }): order is Errand => Object.hasOwn(DO, order.do)

/** What was done in a window of time. */
export interface Done {
  /** How long each took that ended within it, ms. */
  each: number[]
  /** The CPU that this process took, and what of it the thread did that Node itself runs in. */
  cpuMs: number
  mainMs: number
  /** Deliveries whose proofs were gathered. */
  proven: number
  /** How many there are by now of what was asked for. */
  count: number
}
const NOTHING: Done = { each: [], cpuMs: 0, mainMs: 0, proven: 0, count: 0 }

const HOUR_MS = 3_600_000
/** More than is fetched while it counts. */
const MOST_OFFERS = 800
const assets: CID[] = []
const offers: CID[] = []
const agreements = new Map<string, CID>()
/** Goes on where the last window ended. */
const toFetch = agreements.values()
let [published, requested] = [0, 0]

export function run(node: Node, errand: Errand): Promise<Done> {
  return DO[errand.do](node, errand as never)
}

/** What goes on, one after the other, until a window has ended. */
interface Loop {
  each: number[]
  isOver: boolean
  ended: Promise<void>
}
let loop: Loop | undefined

/** Begins with the work; answers when it was done so often, and goes on. */
async function begin(warm: number, work: () => Promise<void>): Promise<Done> {
  const { promise: isWarm, resolve, reject } = Promise.withResolvers<void>()
  const begun: Loop = { each: [], isOver: false, ended: Promise.resolve() }
  const goOn = async () => {
    for (let turn = 0; !begun.isOver; turn++) {
      if (turn === warm) resolve()
      const beganMs = performance.now()
      await work()
      begun.each.push(performance.now() - beganMs)
    }
  }
  begun.ended = goOn()
  begun.ended.catch(reject)
  loop = begun
  await isWarm
  return NOTHING
}

async function cpuDuring(work: () => Promise<void>): Promise<Pick<Done, 'cpuMs' | 'mainMs'>> {
  const [before, main] = [process.cpuUsage(), process.threadCpuUsage()]
  await work()
  const ms = ({ user, system }: NodeJS.CpuUsage) => (user + system) / 1_000
  return { cpuMs: ms(process.cpuUsage(before)), mainMs: ms(process.threadCpuUsage(main)) }
}

type Of<Name extends Errand['do']> = Extract<Errand, { do: Name }>
const DO: { [Name in Errand['do']]: (node: Node, errand: Of<Name>) => Promise<Done> } = {
  /** The same content each time; its key is another. */
  publish: (node, { path, warm }) =>
    begin(warm, async () => {
      const files = [{ path, name: 'content' }]
      const title = `content ${published++}`
      const { asset } = await publish(node, { files, title, domain: 'production', level: 'general' })
      assets.push(parseCid(asset))
    }),
  offer: async (node, _errand) => {
    const untilMs = Date.now() + HOUR_MS
    const policy = {
      profile: PROFILE,
      prohibitions: [],
      permissions: [{ action: 'analyse', constraints: [] }],
    }
    assets.length = Math.min(assets.length, MOST_OFFERS)
    for (const asset of assets)
      await node.driver.submit({ type: 'offer', asset, audience: [], policy, approval: 'policy', untilMs })
    return { ...NOTHING, count: assets.length }
  },
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
    return NOTHING
  },
  /** Once for each offer, then again from the first; the first agreement on each counts. */
  negotiate: (node, { org, warm }) =>
    begin(warm, async () => {
      const offer = offers[requested++ % offers.length]!
      const request = { type: 'request', org, offer, action: 'analyse', purpose: 'benchmark' } as const
      const machine = await machineOf(node, request, 'negotiation', 'FINALIZED')
      const { agreementId } = decodeState<Negotiation>(node.store.get(machine)!)
      if (!agreements.has(offer.toString())) agreements.set(offer.toString(), agreementId!)
    }),
  transfer: (node, { org, warm }) =>
    begin(warm, async () => {
      const { value: agreement, done } = toFetch.next()
      if (done) throw new Error(`${agreements.size} transfers are all that there is to fetch`)
      await machineOf(node, { type: 'transfer', org, agreement }, 'transfer', 'COMPLETED')
    }),
  window: async (_node, { ms }) => {
    const { each } = loop!
    each.length = 0
    const cpu = await cpuDuring(() => setTimeout(ms))
    const done = { ...NOTHING, each: [...each], ...cpu }
    loop!.isOver = true
    await loop!.ended
    return done
  },
  rest: async (node, { ms }) => {
    const unproven = async () => (await node.store.list(KEY.allUnproven)).length
    const before = await unproven()
    const cpu = await cpuDuring(() => setTimeout(ms))
    return { ...NOTHING, ...cpu, proven: before - (await unproven()) }
  },
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
