/** Keys of real daemons: each kind rotated while running and while a partner is away, kept over kills, found again by all. */
import { mkdirSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('keys of daemons')
const LIMIT_MS = 90_000
const MET_MS = 60_000

const folder = temporary()
let acme: TestDaemon
let bolt: TestDaemon
test.before(async () => {
  acme = await TestDaemon.start('Acme Steel', folder.path)
  bolt = await TestDaemon.start('Bolt GmbH', folder.path)
  await pair(acme, bolt)
  await acme.client.partners.witness(bolt.ready.id)
})
test.after(async () => {
  await acme[Symbol.asyncDispose]()
  await bolt[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

const standing = async ({ client }: TestDaemon) => {
  const { keys } = await client.keys.get()
  return Object.fromEntries(keys.filter(({ state }) => state === 'stands').map(each => [each.role, each]))
}
const isFinal = async ({ client }: TestDaemon) => {
  const { log } = await client.status()
  return log.final && log.headSize === log.size ? log : undefined
}
/** Both see each other, and a new entry of Acme becomes final: every key of both was used. */
async function works(): Promise<void> {
  for (const daemon of [acme, bolt])
    await eventually(
      `${daemon.name} is connected`,
      async () => (await daemon.client.status()).connected === 1 || undefined,
      MET_MS,
    )
  const path = join(folder.path, 'acme', 'config.toml')
  await acme.client.packets.publish({ title: 'x', files: [{ path, name: 'x' }] })
  await eventually('the log is final', () => isFinal(acme), MET_MS)
}

test(
  'every kind of key is rotated while the daemons run, and each is used at once and after a kill',
  async () => {
    await works()
    const before = await standing(acme)
    const { peerId } = await acme.client.status()
    for (const daemon of [acme, bolt]) {
      await daemon.client.keys.rotate({ roles: ['log', 'operation', 'witness'] })
      await daemon.client.keys.rotate({ roles: ['root', 'admin', 'node'] })
    }
    const after = await standing(acme)
    for (const role of ['root', 'admin', 'log', 'operation', 'witness', 'node'])
      assert.not.equal(after[role]!.thumbprint, before[role]!.thumbprint, role)
    assert.not.equal((await acme.client.status()).peerId, peerId)
    await works()
    await acme.restart()
    await bolt.restart()
    assert.equal(await standing(acme), after)
    await works()
    assert.equal(readdirSync(join(acme.home, 'keys')).length, 4, 'nothing unfinished lies about')
  },
  LIMIT_MS,
)

test(
  'a node key that is rotated while the partner is away, and both while they are apart',
  async () => {
    await bolt.kill()
    await acme.client.keys.rotate({ roles: ['node'] })
    await acme.restart()
    await bolt.up()
    await works()
    // Now each rotates while the other is down: neither knows under which key the other will answer.
    await bolt.kill()
    await acme.client.keys.rotate({ roles: ['node'] })
    await acme.kill()
    await bolt.up()
    await bolt.client.keys.rotate({ roles: ['node'] })
    await acme.up()
    await works()
  },
  LIMIT_MS,
)

test(
  'delegate for a time, revoke, and a root key that lies elsewhere',
  async () => {
    const cli = (...args: string[]) => run(['--home', acme.home, 'keys', ...args])
    const { keys } = document(await cli('delegate', 'operation', '--for', '7d', '--json'), 'waybill.keys/1')
    const [newest] = keys as { role: string; state: string; untilMs: number }[]
    assert.equal([newest!.role, newest!.state], ['operation', 'stands'])
    assert.ok(Math.abs(newest!.untilMs - Date.now() - 7 * 86_400_000) < 60_000)
    const { problems } = await acme.client.status()
    assert.ok(
      problems.some(({ code, hint }) => code === 'KEY_ENDING' && hint === 'waybill keys rotate operation'),
    )
    const before = await standing(acme)
    fourLines(await cli('revoke', 'log'), 2, 'INPUT_REQUIRED')
    assert.is((await cli('revoke', 'log', '--yes')).code, 0)
    const revoked = (await acme.client.keys.get()).keys.find(
      each => each.thumbprint === before.log!.thumbprint,
    )
    assert.is(revoked!.state, 'revoked')
    fourLines(await cli('revoke', before.log!.thumbprint.slice(0, 12), '--yes'), 4, 'KEY_UNKNOWN')
    fourLines(await cli('revoke', 'root', '--yes'), 4, 'KEY_UNKNOWN')
    await works()
    const text = (await cli('show')).stdout
    assert.match(text, /log +[0-9a-f]{16} +event \d+ +revoked at event \d+/)
    assert.match(text, /root +[0-9a-f]{16} +event 2 +stands/)
    // Offline, and back from there.
    const safe = join(folder.path, 'safe')
    mkdirSync(safe)
    for (const name of ['root.age', 'root.identity'])
      renameSync(join(acme.home, 'keys', name), join(safe, name))
    fourLines(await cli('rotate', 'root'), 10, 'KEYS_MISSING')
    assert.is((await cli('rotate', 'root', '--root', safe)).code, 0)
    assert.not.equal((await standing(acme)).root!.thumbprint, before.root!.thumbprint)
    assert.is((await acme.client.keys.get()).rootHere, false)
    await rejectsCode(acme.client.keys.rotate({ roles: ['seat'] as never }), 'MALFORMED')
    await acme.restart()
    await works()
  },
  LIMIT_MS,
)

test.run()
