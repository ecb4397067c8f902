/** The keys of a home as its identity goes on: whatever is cut off between the files and the event, nothing is lost. */
import { randomBytes } from 'node:crypto'
import { readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { toHex } from '../../crypto/bytes.ts'
import { encode } from '../../crypto/cbor.ts'
import { Keyring, standing } from '../../node/keyring.ts'
import { createKeystore, readOfflineKeys } from '../../node/keystore.ts'
import { type Env, ownChain } from '../../protocol/context.ts'
import { makeIdentity } from '../../protocol/identity.ts'
import { beginChain, eventsOf, extendChain, isRefused, standingOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { rejectsCode, suite, temporary } from '../harness.ts'

const test = suite('keyring')
const ROLES = ['admin', 'log', 'operation', 'witness', 'node'] as const

/** A home of keys and an identity, opened anew at will. */
async function home(dir: string) {
  const { rootNext, adminNext, root, ...daily } = await createKeystore(
    dir,
    n => new Uint8Array(randomBytes(n)),
  )
  const about = { name: 'Acme', nonce: new Uint8Array(16), madeMs: 1, untilMs: 2, retentionDays: 1 }
  const genesis = makeIdentity({ ...daily, root: root!, rootNext: rootNext!, adminNext: adminNext! }, about)
  const chain = beginChain(genesis)
  const store = new Map<string, Uint8Array>()
  const self = {
    id: genesis.id,
    org: genesis.id.toString(),
    identity: genesis.payload,
    identityBytes: genesis.bytes,
    chain,
  }
  const open = async (): Promise<{ ring: Keyring; env: Env }> => {
    const ring = await Keyring.open(dir)
    const env = {
      self,
      get: (key: string) => store.get(key),
      keys: ring.keys,
      drawn: ring.drawn,
    } as unknown as Env
    env.keys = standing(ownChain(env), env)
    return { ring, env }
  }
  const submit = async (event: Uint8Array): Promise<void> => {
    const next = extendChain(ownChain({ self, get: key => store.get(key) }), event)
    if (isRefused(next)) throw Object.assign(new Error(next.reason), { code: next.code })
    store.set(KEY.events, encode(eventsOf(next)))
  }
  return { open, submit }
}

/** Every key that stands is here. */
const whole = (env: Env) => {
  for (const role of ROLES)
    assert.is(toHex(env.keys[role].public), toHex(standingOf(ownChain(env), role)!.key), role)
}
const cut = () => Promise.reject(Object.assign(new Error('cut'), { code: 'CUT' }))

for (const [when, cutOff] of [
  ['before the event', () => cut()],
  [
    'after the event',
    async (event: Uint8Array, submit: (event: Uint8Array) => Promise<void>) => submit(event).then(cut),
  ],
] as const)
  test(`a process that ends ${when} goes on with the keys that stand`, async () => {
    using dir = temporary()
    const { open, submit } = await home(dir.path)
    const change = (
      { ring, env }: Awaited<ReturnType<typeof open>>,
      by: (event: Uint8Array) => Promise<void>,
    ) => [
      () => ring.delegate(env, { roles: ['operation', 'node'], untilMs: 3 }, by),
      () => ring.rotate(env, { roles: ['admin'] }, by),
      () => ring.rotate(env, { roles: ['root', 'admin'] }, by),
    ]
    for (let i = 0; i < 3; i++) {
      const before = await open()
      await rejectsCode(change(before, event => cutOff(event, submit))[i]!(), 'CUT')
      const { env } = await open()
      whole(env)
      const again = await open()
      await change(again, submit)[i]!()
      whole(again.env)
      whole((await open()).env)
      assert.equal(again.env.drawn, [])
    }
    assert.equal((await readOfflineKeys(dir.path)).drawn, [])
    assert.equal(readdirSync(dir.path).sort(), ['keys.age', 'keys.identity', 'root.age', 'root.identity'])
  })

test('one change at a time, and each follows the one before', async () => {
  using dir = temporary()
  const { open, submit } = await home(dir.path)
  const { ring, env } = await open()
  await Promise.all(
    ROLES.slice(1).map(role => ring.delegate(env, { roles: [role as 'log'], untilMs: 3 }, submit)),
  )
  whole(env)
  assert.is(ownChain(env).events.length, 4)
})

test('a root key that is not here, or of another home, rotates nothing', async () => {
  using dir = temporary()
  using safe = temporary()
  using other = temporary()
  const { open, submit } = await home(dir.path)
  await createKeystore(other.path, n => new Uint8Array(randomBytes(n)))
  const { ring, env } = await open()
  await rejectsCode(ring.rotate(env, { roles: ['root'], rootDir: other.path }, submit), 'KEYS_DAMAGED')
  for (const name of ['root.age', 'root.identity']) renameSync(join(dir.path, name), join(safe.path, name))
  await rejectsCode(ring.rotate(env, { roles: ['root'] }, submit), 'KEYS_MISSING')
  await ring.rotate(env, { roles: ['root'], rootDir: safe.path }, submit)
  assert.is(ownChain(env).events.length, 1)
})

test.run()
