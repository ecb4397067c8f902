/** A home's first day: keys, identity, log genesis and configuration, made once and in an order that a crash can repeat. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { keyFromSeed } from '../crypto/key.ts'
import { selfTest } from '../crypto/selftest.ts'
import { ProtocolError } from '../protocol/error.ts'
import { identityGenesis, makeIdentity } from '../protocol/identity.ts'
import { DELEGATION_MS, MAX_NAME_LENGTH } from '../protocol/limits.ts'
import type { Context } from '../protocol/machine.ts'
import type { Env } from '../protocol/peer.ts'
import { isStored, readRecord } from '../protocol/record.ts'
import { text } from '../protocol/shape.ts'
import { hasHome, paths, writeConfig } from './config.ts'
import { writeFileDurable } from './file.ts'
import { createKeystore, type Keys, openKeystore } from './keystore.ts'

/** Bodies of a log are kept this long unless the genesis says otherwise, in days. */
const RETENTION_DAYS = 3_650

export class HomeError extends Error {
  override readonly name = 'HomeError'
  readonly code: 'HOME_MISSING' | 'HOME_DAMAGED'

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

/** Makes a home, or finishes one whose making was cut off. The configuration comes last: with it the home exists. */
export async function initHome(
  home: string,
  options: InitOptions,
): Promise<{ id: string; name: string; created: boolean }> {
  selfTest()
  if (hasHome(home)) {
    const self = await readSelf(home)
    return { id: self.org, name: self.identity.name, created: false }
  }
  // Before anything is written: a genesis with a name that no reader takes would leave a home that never opens.
  const bad =
    options.name === '' ? 'the name is empty' : text(MAX_NAME_LENGTH).check(options.name, 'the name')
  if (bad) throw new ProtocolError('MALFORMED', bad)
  await mkdir(home, { recursive: true, mode: 0o700 })
  const at = paths(home)
  const begun = existsSync(join(at.keys, 'keys.age'))
  // Without it nothing was ever signed or sealed: what a cut-off start left of the other keys is of no use.
  if (!begun && !existsSync(at.identity) && !existsSync(at.store))
    await rm(at.keys, { recursive: true, force: true })
  const keys = begun
    ? await openKeystore(at.keys, options.passphrase)
    : await createKeystore(at.keys, n => randomBytes(n), options.passphrase)
  if (!existsSync(at.identity)) await writeFileDurable(at.identity, identityOf(keys, options.name), 0o600)
  await writeFileDurable(at.token, new TextEncoder().encode(randomBytes(32).toString('base64url')), 0o600)
  const { listen, apiPort } = options
  await writeConfig(home, {
    name: options.name,
    ...(listen ? { listen } : {}),
    ...(apiPort === undefined ? {} : { apiPort }),
  })
  const self = await readSelf(home)
  return { id: self.org, name: self.identity.name, created: true }
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
  return { id: stored.id, org: stored.id.toString(), identity: stored.payload, identityBytes }
}

/** The keys that a running node signs with; the root is not among them. */
export function signingKeys(keys: Keys): Env['keys'] {
  const { admin, log, operation, witness, node } = keys
  return {
    admin: keyFromSeed(admin),
    log: keyFromSeed(log),
    operation: keyFromSeed(operation),
    witness: keyFromSeed(witness),
    node: keyFromSeed(node),
  }
}
