/** A home's first day: keys, identity, log genesis and configuration, made once and in an order that a crash can repeat. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { useLibsodium } from '../crypto/libsodium.ts'
import { selfTest } from '../crypto/selftest.ts'
import { ProtocolError } from '../protocol/error.ts'
import { identityGenesis, makeIdentity } from '../protocol/identity.ts'
import { beginChain } from '../protocol/identity-chain.ts'
import { DELEGATION_MS, MAX_NAME_LENGTH } from '../protocol/limits.ts'
import type { Context } from '../protocol/machine.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { text } from '../protocol/shape.ts'
import { hasHome, paths, writeConfig } from './config.ts'
import { syncDirectory, temporaryName, writeFileDurable } from './file.ts'
import { createKeystore, type Keys, openKeystore } from './keystore.ts'
import { acquireLock, type Lock } from './lock.ts'

/** Bodies of a log are kept this long unless the genesis says otherwise, in days. */
const RETENTION_DAYS = 3_650

export class HomeError extends Error {
  override readonly name = 'HomeError'
  readonly code: 'HOME_MISSING' | 'HOME_DAMAGED' | 'HOME_RESTORED'

  constructor(code: HomeError['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface InitOptions {
  name: string
  passphrase?: string
  listen?: string[]
  apiPort?: number
}

/** Makes a home unless it is there. Throws HOME_LOCKED while another process makes it. */
export async function initHome(
  home: string,
  options: InitOptions,
): Promise<{ id: string; name: string; created: boolean }> {
  if (!useLibsodium()) selfTest()
  let created = false
  if (!hasHome(home)) {
    checkName(options.name)
    using _lock = await acquireHome(home)
    if (!hasHome(home)) {
      await makeHome(home, options)
      created = true
    }
  }
  const self = await readSelf(home)
  return { id: self.org, name: self.identity.name, created }
}

/** The lock of a home, whose folder is made if need be. */
export async function acquireHome(home: string): Promise<Lock> {
  await mkdir(home, { recursive: true, mode: 0o700 })
  return acquireLock(home)
}

/** A genesis with a name that no reader takes would leave a home that never opens. */
export function checkName(name: string): void {
  const bad = name === '' ? 'the name is empty' : text(MAX_NAME_LENGTH).check(name, 'the name')
  if (bad) throw new ProtocolError('MALFORMED', bad)
}

/**
 * Makes a home, or finishes one whose making was cut off. The configuration comes last: with it the home exists. The
 * caller holds the lock and has checked the name.
 */
export async function makeHome(home: string, options: InitOptions): Promise<void> {
  const at = paths(home)
  const keys = existsSync(at.keys)
    ? await openKeystore(at.keys, options.passphrase)
    : await newKeys(at.keys, options.passphrase)
  if (!existsSync(at.identity)) await writeFileDurable(at.identity, identityOf(keys, options.name), 0o600)
  await ensureToken(home)
  const { listen, apiPort } = options
  await writeConfig(home, {
    name: options.name,
    ...(listen ? { listen } : {}),
    ...(apiPort === undefined ? {} : { apiPort }),
  })
}

/** The token of the local API; one that was deleted is made anew, which locks out whoever has the old one. */
export async function ensureToken(home: string): Promise<void> {
  const path = paths(home).token
  if (existsSync(path)) return
  await writeFileDurable(path, new TextEncoder().encode(randomBytes(32).toString('base64url')), 0o600)
}

/** Draws the keys under another name: their folder is there whole or not at all. */
async function newKeys(dir: string, passphrase: string | undefined): Promise<Keys> {
  const unfinished = temporaryName(dir)
  const keys = await createKeystore(unfinished, n => randomBytes(n), passphrase)
  await rename(unfinished, dir)
  await syncDirectory(dirname(dir))
  return keys
}

function identityOf(keys: Keys, name: string): Uint8Array {
  const { root, rootNext, adminNext } = keys
  if (!root || !rootNext || !adminNext)
    throw new HomeError('HOME_DAMAGED', 'the root key of this unfinished home is not here')
  const madeMs = Date.now()
  const seeds = { ...keys, root, rootNext, adminNext }
  return makeIdentity(seeds, {
    name,
    nonce: randomBytes(16),
    madeMs,
    untilMs: madeMs + DELEGATION_MS,
    retentionDays: RETENTION_DAYS,
  }).bytes
}

/** The identity of a home, from its file. */
export async function readSelf(home: string): Promise<Context['self']> {
  const identityBytes = new Uint8Array(await readFile(paths(home).identity))
  const stored = readRecord(identityGenesis, identityBytes)
  if (!isStored(stored)) throw new HomeError('HOME_DAMAGED', `${paths(home).identity}: ${stored.reason}`)
  const { id, payload: identity } = stored
  return { id, org: id.toString(), identity, identityBytes, chain: beginChain(stored) }
}
