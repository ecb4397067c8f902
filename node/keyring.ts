/**
 * The keys of a running home as its identity goes on. New seeds are in their file, durably, before an event that names them
 * is made; which of the seeds there stands for what is read from the identity, so that a crash between the two loses nothing.
 */
import { randomBytes } from 'node:crypto'
import { equal, toHex } from '../crypto/bytes.ts'
import { keyFromSeed, type PrivateKey, thumbprint } from '../crypto/key.ts'
import { type Env, keyHere, ownChain, privateKey } from '../protocol/context.ts'
import { ProtocolError } from '../protocol/error.ts'
import { DELEGATED, type Delegated } from '../protocol/identity.ts'
import { type Chain, everStood, makeDelegate, makeRotate, standingOf } from '../protocol/identity-chain.ts'
import {
  type DailyKeys,
  type KeyFile,
  KeystoreError,
  readDailyKeys,
  readOfflineKeys,
  replaceKeys,
} from './keystore.ts'

const DAILY = ['admin', ...DELEGATED] as const
type Rotated = 'root' | 'admin'

export class Keyring {
  readonly #dir: string
  readonly #passphrase: string | undefined
  #file: KeyFile<keyof DailyKeys>
  /** One change at a time: each reads the identity that the one before left. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(dir: string, passphrase: string | undefined, file: KeyFile<keyof DailyKeys>) {
    this.#dir = dir
    this.#passphrase = passphrase
    this.#file = file
  }

  static async open(dir: string, passphrase?: string): Promise<Keyring> {
    return new Keyring(dir, passphrase, await readDailyKeys(dir, passphrase))
  }

  /** The key that seals secrets at rest. */
  get home(): Uint8Array {
    return this.#file.keys.home
  }

  /** The keys by role as the file has them. */
  get keys(): Env['keys'] {
    return Object.fromEntries(DAILY.map(role => [role, keyFromSeed(this.#file.keys[role])])) as Env['keys']
  }

  get drawn(): PrivateKey[] {
    return this.#file.drawn.map(keyFromSeed)
  }

  /** New keys for these roles, each until `untilMs`; `revoke` are thumbprints. `submit` continues the identity. */
  delegate(
    env: Env,
    about: { roles: Delegated[]; untilMs: number; revoke?: Uint8Array[]; succeeds?: boolean },
    submit: (event: Uint8Array) => Promise<unknown>,
  ): Promise<void> {
    return this.#alone(async () => {
      const { roles, untilMs, revoke = [], succeeds = false } = about
      const drawn = await this.#draw(env, roles.length)
      const keys = Object.fromEntries(roles.map((role, i) => [role, { key: drawn[i]!, untilMs }]))
      const chain = ownChain(env)
      await submit(
        makeDelegate(chain, privateKey(chain, 'admin', env), { keys, revoke, succeeds }, Date.now()),
      )
      await this.#settle(env)
    })
  }

  /**
   * Takes the own events that `known` has beyond the store: of keys that stand there and are lost with the newer home, each
   * gives way to a new one in the event that follows, and a log that was begun there to its successor.
   */
  adopt(
    env: Env,
    known: Chain,
    untilMs: number,
    submit: (event: Uint8Array | undefined) => Promise<unknown>,
  ): Promise<void> {
    return this.#alone(async () => {
      const succeeds = known.logs.length > ownChain(env).logs.length
      const lost = DELEGATED.filter(role => standingOf(known, role) && !keyHere(known, role, env))
      const drawn = await this.#draw(env, lost.length)
      const keys = Object.fromEntries(lost.map((role, i) => [role, { key: drawn[i]!, untilMs }]))
      const isWhole = lost.length === 0 && !succeeds
      const event = () => makeDelegate(known, privateKey(known, 'admin', env), { keys, succeeds }, Date.now())
      await submit(isWhole ? undefined : event())
      await this.#settle(env)
    })
  }

  /** The root or admin key, or both, give way to those that were committed to, which lie in `root.age` of `rootDir`. */
  rotate(
    env: Env,
    about: { roles: Rotated[]; rootDir?: string },
    submit: (event: Uint8Array) => Promise<unknown>,
  ): Promise<void> {
    return this.#alone(async () => {
      const dir = about.rootDir ?? this.#dir
      const offline = await readOfflineKeys(dir, this.#passphrase)
      const held = [...Object.values(offline.keys), ...offline.drawn].map(keyFromSeed)
      const chain = ownChain(env)
      const next = {
        root: committed(held, chain.rootNext, dir),
        admin: committed(held, chain.adminNext, dir),
      }
      const fresh = { root: newKey(), admin: newKey() }
      const keys = Object.fromEntries(about.roles.map(role => [role, { key: next[role], next: fresh[role] }]))
      const drawn = about.roles.map(role => fresh[role].seed)
      await replaceKeys(dir, 'root', { ...offline, drawn: [...offline.drawn, ...drawn] }, this.#passphrase)
      if (about.roles.includes('admin')) await this.#keep(env, [next.admin])
      await submit(makeRotate(chain, keys, Date.now()))
      const now = ownChain(env)
      const all = [...held, ...Object.values(fresh)]
      const root = all.find(each => equal(each.public, standingOf(now, 'root')!.key)) ?? next.root
      const settled = {
        root: root.seed,
        rootNext: committed(all, now.rootNext, dir).seed,
        adminNext: committed(all, now.adminNext, dir).seed,
      }
      await replaceKeys(dir, 'root', { keys: settled, drawn: [] }, this.#passphrase)
      await this.#settle(env)
    })
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  async #draw(env: Env, count: number): Promise<PrivateKey[]> {
    const drawn = Array.from({ length: count }, newKey)
    if (count > 0) await this.#keep(env, drawn)
    return drawn
  }

  /** In the file first: an event must not name a key that a crash can lose. */
  async #keep(env: Env, keys: PrivateKey[]): Promise<void> {
    const drawn = [...this.#file.drawn, ...keys.map(each => each.seed)]
    await this.#replace({ ...this.#file, drawn })
    env.drawn = this.drawn
  }

  /** What stands goes under its role, what has ended out of the file. */
  async #settle(env: Env): Promise<void> {
    env.keys = standing(ownChain(env), env)
    const keys = Object.fromEntries(DAILY.map(role => [role, env.keys[role].seed]))
    await this.#replace({ keys: { ...this.#file.keys, ...keys }, drawn: [] })
    env.drawn = []
  }

  async #replace(file: KeyFile<keyof DailyKeys>): Promise<void> {
    await replaceKeys(this.#dir, 'keys', file, this.#passphrase)
    this.#file = file
  }
}

const newKey = (): PrivateKey => keyFromSeed(new Uint8Array(randomBytes(32)))

function committed(held: PrivateKey[], print: Uint8Array, dir: string): PrivateKey {
  const found = held.find(each => equal(thumbprint(each.public), print))
  if (!found)
    throw new KeystoreError('KEYS_DAMAGED', dir, 'root.age has not the keys that the identity waits for')
  return found
}

/** The keys that stand, of those that are here; a role whose key was revoked keeps the one it had, which signs nothing. */
export function standing(chain: Chain, env: Pick<Env, 'keys' | 'drawn'>): Env['keys'] {
  const pick = (role: (typeof DAILY)[number]) =>
    standingOf(chain, role) ? privateKey(chain, role, env) : env.keys[role]
  return Object.fromEntries(DAILY.map(role => [role, pick(role)])) as Env['keys']
}

/** A delegated key that an operator names: a role for the one that stands, or the first digits of a thumbprint. */
export function findKey(chain: Chain, name: string): { role: Delegated; print: Uint8Array; stands: boolean } {
  const all = DELEGATED.flatMap(role =>
    everStood(chain, role)
      .filter(each => each.revoked === undefined)
      .map(each => ({ role, print: thumbprint(each.key), stands: each.ended === undefined })),
  )
  const found = all.filter(
    ({ role, print, stands }) =>
      (role === name && stands) || (name.length >= 8 && toHex(print).startsWith(name)),
  )
  if (found.length !== 1)
    throw new ProtocolError('KEY_UNKNOWN', `there is no key '${name}' that can be revoked`)
  return found[0]!
}
