import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { Decrypter } from 'age-encryption'
import * as assert from 'uvu/assert'
import {
  createKeystore,
  type Keys,
  type KeystoreError,
  openKeystore,
  openSecret,
  sealSecret,
} from '../../node/keystore.ts'
import { rejectsCode, sameBytes, suite, temporary, throwsCode } from '../harness.ts'

const test = suite('keystore')
const NAMES = [
  'admin',
  'adminNext',
  'home',
  'log',
  'node',
  'operation',
  'root',
  'rootNext',
  'witness',
] as const
const DAILY = ['admin', 'home', 'log', 'node', 'operation', 'witness']

test('what was created is opened again, and every key is of its own', async () => {
  using dir = temporary()
  const created = await createKeystore(join(dir.path, 'keys'), randomBytes)
  const opened = await openKeystore(join(dir.path, 'keys'))
  assert.equal(Object.keys(opened).sort(), [...NAMES])
  for (const name of NAMES) sameBytes(opened[name]!, created[name]!)
  assert.is(new Set(Object.values(opened).map(hex)).size, NAMES.length)
})

test('files are for their owner only, and nothing unfinished is left', async () => {
  using dir = temporary()
  const path = join(dir.path, 'keys')
  await createKeystore(path, randomBytes)
  assert.equal(readdirSync(path).sort(), ['keys.age', 'keys.identity', 'root.age', 'root.identity'])
  assert.is(statSync(path).mode & 0o777, 0o700)
  for (const name of readdirSync(path)) assert.is(statSync(join(path, name)).mode & 0o777, 0o600)
})

test('neither file of a pair alone holds a key', async () => {
  using dir = temporary()
  const keys = await createKeystore(dir.path, randomBytes)
  for (const name of readdirSync(dir.path)) {
    const text = readFileSync(join(dir.path, name), 'latin1')
    for (const seed of Object.values(keys)) assert.not.ok(text.includes(hex(seed)), name)
  }
})

test('the age tool opens the files', async () => {
  using dir = temporary()
  const keys = await createKeystore(dir.path, randomBytes)
  const decrypter = new Decrypter()
  decrypter.addIdentity(readFileSync(join(dir.path, 'keys.identity'), 'utf8').trim())
  const text = await decrypter.decrypt(readFileSync(join(dir.path, 'keys.age')), 'text')
  assert.is(JSON.parse(text).log, hex(keys.log))
})

test('the home works while the root key is elsewhere, and the root key without the home', async () => {
  using dir = temporary()
  using safe = temporary()
  const keys = await createKeystore(dir.path, randomBytes)
  assert.equal(Object.keys(await openKeystore(dir.path, undefined, { root: false })).sort(), DAILY)
  for (const name of ['root.age', 'root.identity']) {
    renameSync(join(dir.path, name), join(safe.path, name))
    const opened: Keys = await openKeystore(dir.path)
    assert.equal(Object.keys(opened).sort(), DAILY)
    assert.is(opened.root, undefined)
  }
  for (const name of ['root.age', 'root.identity']) renameSync(join(safe.path, name), join(dir.path, name))
  sameBytes((await openKeystore(dir.path)).root!, keys.root!)
})

test('with a passphrase there is no second file, and a wrong one is told', async () => {
  using dir = temporary()
  const created = await createKeystore(dir.path, randomBytes, 'correct horse')
  assert.equal(readdirSync(dir.path).sort(), ['keys.age', 'root.age'])
  sameBytes((await openKeystore(dir.path, 'correct horse')).rootNext!, created.rootNext!)
  await rejectsCode(openKeystore(dir.path, 'wrong horse'), 'KEYS_PASSPHRASE')
  await rejectsCode(openKeystore(dir.path), 'KEYS_PASSPHRASE')
})

test('existing keys are never overwritten, the root alone included', async () => {
  using dir = temporary()
  await createKeystore(dir.path, randomBytes)
  await rejectsCode(createKeystore(dir.path, randomBytes), 'KEYS_EXIST')
  rmSync(join(dir.path, 'keys.age'))
  await rejectsCode(createKeystore(dir.path, randomBytes), 'KEYS_EXIST')
})

test('each file is missing, open to others or damaged by name', async () => {
  for (const name of ['keys.age', 'keys.identity']) {
    using dir = temporary()
    await createKeystore(dir.path, randomBytes)
    const path = join(dir.path, name)
    const refused = async (code: string) => {
      const error = await rejectsCode(openKeystore(dir.path), code)
      assert.is(
        (error as unknown as KeystoreError).path.replace('identity', 'age'),
        join(dir.path, 'keys.age'),
      )
    }
    const bytes = readFileSync(path)
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(path, mode)
      await refused('KEYS_PERMISSIONS')
    }
    chmodSync(path, 0o600)
    for (const at of [3, 60, bytes.length - 2]) {
      writeFileSync(
        path,
        bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)),
      )
      await refused('KEYS_DAMAGED')
    }
    truncateSync(path, 0)
    await refused('KEYS_DAMAGED')
    writeFileSync(path, new Uint8Array(20_000))
    await refused('KEYS_DAMAGED')
    rmSync(path)
    await refused('KEYS_MISSING')
  }
})

test('opens within 30 ms without a passphrase', async () => {
  using dir = temporary()
  await createKeystore(dir.path, randomBytes)
  const times: number[] = []
  for (let i = 0; i < 10; i += 1) {
    const startMs = performance.now()
    await openKeystore(dir.path)
    times.push(performance.now() - startMs)
  }
  assert.ok(Math.min(...times) < 30, `${Math.min(...times)} ms`)
})

test('a secret opens under its handle and its home only', () => {
  const [home, random] = [randomBytes(32), randomBytes(12)]
  const secret = randomBytes(32)
  const sealed = sealSecret(home, 'release/1', secret, random)
  assert.is(sealed.length, 12 + 32 + 16)
  sameBytes(openSecret(home, 'release/1', sealed), secret)
  sameBytes(openSecret(Uint8Array.from(home), 'release/1', sealed), secret)
  throwsCode(() => openSecret(home, 'release/2', sealed), 'SECRET_DAMAGED')
  throwsCode(() => openSecret(randomBytes(32), 'release/1', sealed), 'SECRET_DAMAGED')
  for (let at = 0; at < sealed.length; at += 1) {
    const changed = sealed.map((byte, i) => (i === at ? byte ^ 1 : byte))
    throwsCode(() => openSecret(home, 'release/1', changed), 'SECRET_DAMAGED', `byte ${at}`)
    throwsCode(() => openSecret(home, 'release/1', sealed.subarray(0, at)), 'SECRET_DAMAGED', `cut at ${at}`)
  }
})

test.run()

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
