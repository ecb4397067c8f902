/** Logs whose entries are here, the own one and those that are mirrored, for who re-checks them: heads, tiles, bundles. */
import { text } from '../crypto/bytes.ts'
import { parseCid } from '../crypto/cid.ts'
import { ownChain } from '../protocol/context.ts'
import type { Event } from '../protocol/event.ts'
import { bestHead, bestShown, readWatch } from '../protocol/heads.ts'
import { eventsOf } from '../protocol/identity-chain.ts'
import { KEY } from '../protocol/layout.ts'
import { type Ledger, loadLedger } from '../protocol/ledger.ts'
import { originHash, originOf } from '../protocol/log.ts'
import { mirrored, mirrorGet } from '../protocol/mirror.ts'
import { parseTilePath, readTile } from '../protocol/tiles.ts'
import type { Node } from './daemon.ts'
import type * as api from './schema.ts'

const HEADS_PAGE = 1_000

/** A log as it lies here: the own one, or a mirror's copy. */
interface Here {
  get(key: string): Uint8Array | undefined
  ledger: Ledger
  /** The head under which its entries are given. */
  head: { size: number; note: Uint8Array }
}

function logHere(node: Node, org: string): Here | undefined {
  const { get } = node.env
  if (org === node.env.self.org) {
    const head = bestHead(node.reading(), 0)
    return head && { get, ledger: node.driver.state.ledger, head }
  }
  const number = numberOf(node, org)
  const head = mirrored(get, org, number)
  if (!head) return undefined
  const inside = mirrorGet(get, org, number)
  return { get: inside, ledger: loadLedger(inside), head }
}

/** Number of the active log of a partner. */
const numberOf = ({ views }: Node, org: string): number => (views.partner(org)?.chain.logs.length ?? 1) - 1

/** A tile or bundle by its path in C2SP tlog-tiles, as far as the newest head covers it. */
export function tileHere(node: Node, org: string, path: string): Uint8Array | undefined {
  const name = parseTilePath(path)
  const here = name && logHere(node, org)
  return here && readTile(here.ledger, here.get, name, here.head.size)
}

/** What anybody may read of the own log over HTTP, where the operator opened it: by the hash of its origin. */
export function openLog(node: Node, hash: string, path: string): Uint8Array | undefined {
  if (hash !== originHash(originOf(ownChain(node.env)))) return undefined
  const head = bestShown(node.reading())
  if (!head || path === 'checkpoint') return head?.note
  const name = parseTilePath(path)
  return name && readTile(node.driver.state.ledger, node.env.get, name, head.size)
}

/** Partners that keep the entries of the own log, and the logs whose entries are kept here. */
export async function mirroring(node: Node): Promise<api.Mirroring> {
  const rows = await node.store.list(KEY.mirrors)
  const orgs = new Set(rows.map(([key]) => key.slice(KEY.mirrors.length).split('/')[0]!))
  return {
    mirrors: node.settings.mirrors.map(org => node.views.nameOf(parseCid(org))),
    held: [...orgs].map(org => {
      const size = mirrored(node.env.get, org, numberOf(node, org))?.size ?? 0
      return { ...node.views.nameOf(parseCid(org)), size }
    }),
    isOpen: node.settings.isLogOpen,
  }
}

/** Every head of a log that is here, and what its signatures are checked with. */
export async function headsOf(node: Node, org: string, after: string | undefined): Promise<api.LogHeads> {
  const { env, store, views } = node
  const isOwn = org === env.self.org
  const chain = isOwn ? ownChain(env) : views.partner(org)?.chain
  if (!chain) throw Object.assign(new Error(`no log of ${org} is known here`), { code: 'NOT_FOUND' })
  const witnesses = isOwn ? env.witnesses() : views.partner(org)!.witnesses
  const chains = [chain, ...witnesses.flatMap(each => views.partner(each.toString())?.chain ?? [])]
  const page = isOwn ? await store.list(KEY.heads, { limit: HEADS_PAGE, ...(after ? { after } : {}) }) : []
  const notes = isOwn ? page.map(([, note]) => note) : seenOf(node, org)
  return {
    identities: chains.map(({ genesis, ...rest }) => ({
      identity: base64(genesis.bytes),
      events: eventsOf({ genesis, ...rest }).map(base64),
    })),
    heads: notes.map(text),
    size: logHere(node, org)?.head.size ?? 0,
    ...(page.length === HEADS_PAGE ? { next: page.at(-1)![0] } : {}),
  }
}

/** Heads of a partner's log: of the copy, the newest that was shown, and one that others were shown. */
function seenOf(node: Node, org: string): Uint8Array[] {
  const { get } = node.env
  const watch = readWatch(get(KEY.watch(org)))
  const notes = [mirrored(get, org, numberOf(node, org))?.note, watch?.note, watch?.rumour?.note]
  return notes.filter(note => note !== undefined)
}

/** How long a mirror has for its answer, from one bundle to the next. */
const MIRROR_MS = 15_000

/**
 * Takes the entries that this store lacks back from mirrors, on the operator's word that no other copy of it runs. Throws
 * TIMEOUT when no mirror has what the members hold.
 */
export async function recoverLog(node: Node): Promise<api.Recovered> {
  const before = node.driver.state.ledger.signed.range.size
  const size = () => node.driver.state.ledger.tail.range.size
  const { promise, resolve, reject } = Promise.withResolvers<api.Recovered>()
  const listener = (event: Event) => {
    if (event.type === 'recovered') resolve({ size: event.size, from: before })
  }
  node.driver.on('event', listener)
  let last = -1
  const timer = setInterval(() => {
    if (size() === last) reject(Object.assign(new Error(NO_MIRROR), { code: 'TIMEOUT' }))
    last = size()
  }, MIRROR_MS)
  try {
    await node.driver.submit({ type: 'recover' })
    const done = await promise
    await node.driver.takeUp()
    return done
  } finally {
    clearInterval(timer)
    node.driver.off('event', listener)
  }
}
const NO_MIRROR = 'no mirror that is here has the entries that the members of the committee hold'

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
