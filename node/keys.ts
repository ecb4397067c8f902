/** What the API says of the own keys, and what an operator can do about them. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '../crypto/bytes.ts'
import { thumbprint } from '../crypto/key.ts'
import { keyHere, ownChain } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import { type Delegated, isDelegated } from '../protocol/identity.ts'
import type { Standing } from '../protocol/identity-chain.ts'
import { DELEGATION_MS } from '../protocol/limits.ts'
import { knownElsewhere } from '../protocol/missed-events.ts'
import { paths } from './config.ts'
import type { Node } from './daemon.ts'
import { findKey } from './keyring.ts'
import type * as schema from './schema.ts'

const DAY_MS = 86_400_000
/** A key that ends within this is a matter for somebody. */
const ENDING_MS = 30 * DAY_MS

export function keysView(node: Node): schema.Keys {
  const chain = ownChain(node.env)
  return {
    org: node.env.self.org,
    events: chain.events.length,
    lastEvent: chain.last.toString(),
    rootHere: existsSync(join(paths(node.home).keys, 'root.age')),
    keys: [...chain.keys].reverse().map(keyView),
  }
}

const keyView = ({ role, key, epoch, until, ended, revoked }: Standing): schema.Keys['keys'][number] => ({
  role,
  thumbprint: toHex(thumbprint(key)),
  epoch,
  state: revoked !== undefined ? 'revoked' : ended !== undefined ? 'ended' : 'stands',
  ...(until === undefined ? {} : { untilMs: until }),
  ...(ended === undefined ? {} : { endedAt: ended }),
})

/** Root and admin keys give way to those committed to; delegated keys to new ones. */
export async function rotate(node: Node, { roles, rootDir }: schema.RotateRequest): Promise<schema.Keys> {
  const committed = (['root', 'admin'] as const).filter(role => roles.includes(role))
  const submit = (event: Uint8Array) => node.goOn(event)
  if (committed.length > 0)
    await node.ring.rotate(node.env, { roles: committed, ...(rootDir ? { rootDir } : {}) }, submit)
  const delegated = roles.filter(isDelegated)
  return delegated.length > 0 ? delegate(node, { roles: delegated }) : keysView(node)
}

export async function delegate(
  node: Node,
  { roles, forMs = DELEGATION_MS }: { roles: Delegated[]; forMs?: number | undefined },
): Promise<schema.Keys> {
  const about = { roles: [...new Set(roles)], untilMs: Date.now() + forMs }
  await node.ring.delegate(node.env, about, event => node.goOn(event))
  return keysView(node)
}

/** Keys are revoked for good; those that stand get a successor in the same event, so that the node goes on. */
export async function revoke(node: Node, { keys }: schema.RevokeRequest): Promise<schema.Keys> {
  const found = keys.map(name => findKey(ownChain(node.env), name))
  const about = {
    roles: found.filter(({ stands }) => stands).map(({ role }) => role),
    untilMs: Date.now() + DELEGATION_MS,
    revoke: found.map(({ print }) => print),
  }
  await node.ring.delegate(node.env, about, event => node.goOn(event))
  return keysView(node)
}

/** Takes the own events that partners know and this store lacks: a newer home is lost, and with it keys that are replaced. */
export async function adopt(node: Node): Promise<schema.Keys> {
  const known = knownElsewhere(node.env.get, ownChain(node.env)) ?? ownChain(node.env)
  if (known.events.length > ownChain(node.env).events.length && !keyHere(known, 'admin', node.env))
    throw new ProtocolError('KEY_UNKNOWN', 'the admin key that stands is not here: restore a newer backup')
  const untilMs = Date.now() + DELEGATION_MS
  await node.ring.adopt(node.env, known, untilMs, event => node.goOn(event, true))
  return keysView(node)
}

/** Closes the own log and goes on with the next one; partners are told, and witness it as they did. */
export async function succeed(node: Node): Promise<schema.Succeeded> {
  await node.ring.delegate(node.env, { roles: [], untilMs: 0, succeeds: true }, event => node.goOn(event))
  await node.driver.takeUp() // asks the witnesses to sit for this log too, and goes on with what stood still
  const { logs } = ownChain(node.env)
  return { number: logs.length - 1, log: logs.at(-1)!.toString(), closed: logs.at(-2)!.toString() }
}

/** Keys that end soon, or have: what they sign then holds for nobody. */
export function endingKeys(node: Node): schema.Status['problems'] {
  const soon = Date.now() + ENDING_MS
  const ending = ownChain(node.env).keys.filter(
    ({ ended, until = Number.POSITIVE_INFINITY }) => ended === undefined && until < soon,
  )
  return ending.map(({ role, until }) => ({
    code: 'KEY_ENDING',
    text: `the ${role} key ${until! < Date.now() ? 'ended' : 'ends'} ${new Date(until!).toISOString()}`,
    hint: `waybill keys rotate ${role}`,
  }))
}
