/** Redaction, backups, copies and old stores, with real daemons. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { restoreHome } from '../../node/backup.ts'
import { saidMoved } from '../../node/moved.ts'
import type { Waybill } from '../../sdk/connect.ts'
import { verify } from '../../sdk/verify.ts'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { fourLines, run } from '../sdk/run-cli.ts'
import { exchange } from './committees.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('redaction, backup and restore')
const LONG_MS = 110_000
const DAY_MS = 86_400_000
const PASSPHRASE = 'three words here'
const REASON = 'a person asked for it'
const until = (what: string, holds: () => Promise<boolean>) =>
  eventually(what, async () => ((await holds()) ? true : undefined), 40_000)
const problems = async (client: Waybill) => (await client.status()).problems.map(({ code }) => code)

/** Files under a folder that hold these bytes. */
const holding = (folder: string, wanted: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name))
    .filter(path => readFileSync(path).includes(wanted))

/** Publishes a file whose name nothing else has. */
async function publish({ client }: TestDaemon, folder: string, name: string) {
  const path = join(folder, name)
  writeFileSync(path, `content of ${name}`)
  const { asset, packets } = await client.packets.publish({
    title: `title of ${name}`,
    files: [{ path, name }],
  })
  return { asset, packet: packets[0]!.id }
}

/** A copy as `cp -a` makes it, in the place of the home. */
function putBack(home: string, copy: string): void {
  rmSync(home, { recursive: true, force: true })
  cpSync(copy, home, { recursive: true, preserveTimestamps: true })
  rmSync(join(home, 'lock'), { force: true })
}

test(
  'what was redacted is in no file of the home, after kill -9 and a restart too, and a restore brings nothing back',
  async () => {
    using dir = temporary()
    const [files, saved] = [join(dir.path, 'files'), join(dir.path, 'saved')]
    mkdirSync(files)
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    const { asset, packet } = await publish(acme, files, 'readings-7b1f.csv')
    const kept = await publish(acme, files, 'readings-kept.csv')
    const keys = () => readFileSync(join(acme.home, 'bodies.keys'))
    const before = keys()
    const path = join(dir.path, 'acme.backup')
    const made = await acme.client.backup({ path, passphrase: PASSPHRASE })
    assert.ok(made.size > 0 && holding(dir.path, 'readings-7b1f').every(each => each.startsWith(files)))
    const { holders } = await acme.client.records.redact(packet, REASON)
    assert.equal(holders, [])
    await acme.client.records.redact(asset, REASON)
    await acme.kill()
    await acme.up()
    const gone = await acme.client.records.get(packet)
    assert.equal([gone.state, gone.reason, gone.type], ['redacted', REASON, 'packet/1'])
    assert.is((await acme.client.records.get(kept.packet)).state, 'present')
    assert.equal(holding(acme.home, 'readings-7b1f'), [])
    // Of the slots that were filled before, those of the two records and of what belongs to them hold nothing any more.
    const now = keys()
    const slots = Array.from({ length: before.length / 32 }, (_, i) => [i * 32, i * 32 + 32] as const)
    const destroyed = slots.filter(([from, to]) => !before.subarray(from, to).equals(now.subarray(from, to)))
    assert.ok(destroyed.length >= 4, `${destroyed.length} slots: two records, the content key, the root`)
    for (const [from, to] of destroyed) {
      assert.ok(now.subarray(from, to).every(byte => byte === 0))
      assert.not.ok(now.includes(before.subarray(from, to)))
    }
    assert.is(readdirSync(join(acme.home, 'content')).filter(name => name.endsWith('.blocks')).length, 1)
    // A home made of the backup erases it again before it serves.
    await acme.end('SIGTERM')
    renameSync(acme.home, saved)
    await rejectsCode(restoreHome(acme.home, path, { passphrase: 'another' }), 'BACKUP_KEY')
    rmSync(acme.home, { recursive: true, force: true })
    const about = await restoreHome(acme.home, path, { passphrase: PASSPHRASE })
    assert.is(about.size, made.size)
    await rejectsCode(restoreHome(acme.home, path, { passphrase: PASSPHRASE }), 'HOME_EXISTS')
    await acme.up()
    assert.is((await acme.client.records.get(packet)).state, 'redacted')
    assert.is((await acme.client.records.get(asset)).state, 'redacted')
    assert.is((await acme.client.records.get(kept.packet)).state, 'present')
    const back = keys()
    const brought = destroyed.filter(([from, to]) => back.includes(before.subarray(from, to)))
    assert.ok(brought.length < destroyed.length - 1, 'the keys of both records are gone again')
    assert.ok((await problems(acme.client)).includes('RESTORED_UNWITNESSED'))
    await rejectsCode(publish(acme, files, 'later.csv'), 'RESTORED_UNWITNESSED')
  },
  LONG_MS,
)

test(
  'a log without members that was restored goes on as its successor, by the command line from backup to exchange',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    await pair(acme, bolt)
    await exchange(acme, bolt, dir.path)
    const cli = (...args: string[]) => run(['--home', acme.home, ...args])
    const { generateIdentity, identityToRecipient } = await import('age-encryption')
    const identity = await generateIdentity()
    const [file, key] = [join(dir.path, 'acme.backup'), join(dir.path, 'key.txt')]
    writeFileSync(key, `# created by hand\n${identity}\n`)
    const made = await cli('backup', file, '--recipient', await identityToRecipient(identity))
    assert.is(made.code, 0, made.stderr)
    await exchange(acme, bolt, dir.path)
    await until('a head', async () => {
      const { headSize, size } = (await acme.client.status()).log
      return headSize === size
    })
    await acme.end('SIGTERM')
    rmSync(acme.home, { recursive: true })
    writeFileSync(`${key}2`, `${await generateIdentity()}\n`)
    fourLines(await cli('restore', file, '--identity', `${key}2`), 2, 'BACKUP_KEY')
    rmSync(acme.home, { recursive: true, force: true })
    const restored = await cli('restore', file, '--identity', key)
    assert.is(restored.code, 0, restored.stderr)
    assert.match(restored.stdout, /without members it never goes on here/)
    await acme.up()
    assert.ok((await problems(acme.client)).includes('RESTORED_UNWITNESSED'))
    await rejectsCode(publish(acme, dir.path, 'one.csv'), 'RESTORED_UNWITNESSED')
    assert.is((await cli('log', 'succeed', '--yes')).code, 0)
    assert.not.ok((await problems(acme.client)).some(code => code.startsWith('RESTORED')))
    // The partner knew more of the log than the backup; it follows the successor, and both exchange under it.
    const { agreement, packet } = await exchange(acme, bolt, dir.path)
    const evidence = await bolt.client.agreements.evidence(agreement, packet)
    assert.is((await verify(evidence, await bolt.client.trust())).verdict, 'verified')
    await acme.restart()
    await exchange(acme, bolt, dir.path)
    assert.not.ok((await problems(acme.client)).some(code => code.startsWith('RESTORED')))
  },
  LONG_MS,
)

test(
  'a backup from before a redaction, restored on another machine: a holder that was asked says so, and it is erased again',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    await pair(acme, bolt)
    const { packet } = await exchange(acme, bolt, dir.path)
    const { packet: other } = await exchange(acme, bolt, dir.path)
    const path = join(dir.path, 'acme.backup')
    await acme.client.backup({ path, passphrase: PASSPHRASE })
    const before = readFileSync(join(acme.home, 'bodies.keys'))
    await acme.client.records.redact(packet, REASON)
    await until('Bolt has answered', async () =>
      (await acme.client.records.get(packet)).holders.every(({ outcome }) => outcome === 'kept'),
    )
    await acme.end('SIGTERM')
    const now = readFileSync(join(acme.home, 'bodies.keys'))
    rmSync(acme.home, { recursive: true })
    // Nothing of this machine is on the other.
    Object.assign(acme.env, { XDG_STATE_HOME: join(dir.path, 'other-machine') })
    await restoreHome(acme.home, path, { passphrase: PASSPHRASE })
    await acme.up()
    await until(
      'it is erased again',
      async () => (await acme.client.records.get(packet)).state === 'redacted',
    )
    assert.is((await acme.client.records.get(packet)).reason, REASON)
    assert.is((await acme.client.records.get(other)).state, 'present')
    const back = readFileSync(join(acme.home, 'bodies.keys'))
    const destroyed = Array.from({ length: before.length / 32 }, (_, i) =>
      before.subarray(i * 32, i * 32 + 32),
    ).filter(
      (key, i) => key.some(byte => byte !== 0) && now.subarray(i * 32, i * 32 + 32).every(byte => byte === 0),
    )
    assert.ok(
      destroyed.length > 0 && destroyed.some(key => !back.includes(key)),
      'a key of its body is gone again',
    )
  },
  LONG_MS,
)

test(
  'a backup is readable by nobody else, and one that was cut makes no home',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    const path = join(dir.path, 'b')
    await acme.client.backup({ path, passphrase: PASSPHRASE })
    await rejectsCode(acme.client.backup({ path, passphrase: PASSPHRASE }), 'FILE_EXISTS')
    await rejectsCode(acme.client.backup({ path: `${path}2` }), 'MALFORMED')
    const bytes = readFileSync(path)
    const keys = readFileSync(join(acme.home, 'bodies.keys'))
    for (let at = 32; at < keys.length; at += 32) assert.not.ok(bytes.includes(keys.subarray(at, at + 32)))
    writeFileSync(`${path}3`, bytes.subarray(0, bytes.length - 40))
    await rejectsCode(
      restoreHome(join(dir.path, 'new'), `${path}3`, { passphrase: PASSPHRASE }),
      'BACKUP_DAMAGED',
    )
  },
  LONG_MS,
)

test(
  'restarts and a move raise no alarm; a copy in the place of the home and an old store do',
  async () => {
    using dir = temporary()
    const [files, copy, old] = ['files', 'copy', 'old'].map(name => join(dir.path, name)) as [
      string,
      string,
      string,
    ]
    mkdirSync(files)
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await acme.end('SIGTERM')
    cpSync(acme.home, old, { recursive: true })
    await acme.up()
    await publish(acme, files, 'one.csv')
    await until('a head', async () => (await acme.client.status()).log.headSize > 1)
    await acme.kill()
    await acme.up()
    await acme.end('SIGTERM')
    await acme.up()
    assert.not.ok((await problems(acme.client)).some(code => code.startsWith('RESTORED')))
    // Moved within the disk: the same files under another name.
    await acme.end('SIGTERM')
    renameSync(acme.home, copy)
    renameSync(copy, acme.home)
    await acme.up()
    assert.not.ok((await problems(acme.client)).some(code => code.startsWith('RESTORED')))
    // Moved to another disk, as cp and rm do it: a copy, until the operator gives his word.
    await acme.end('SIGTERM')
    cpSync(acme.home, copy, { recursive: true })
    putBack(acme.home, copy)
    await acme.up()
    assert.ok((await problems(acme.client)).includes('RESTORED_UNWITNESSED'))
    await rejectsCode(publish(acme, files, 'two.csv'), 'RESTORED_UNWITNESSED')
    await acme.end('SIGTERM')
    await saidMoved(acme.home)
    await acme.up()
    assert.not.ok((await problems(acme.client)).some(code => code.startsWith('RESTORED')))
    await publish(acme, files, 'two.csv')
    await acme.end('SIGTERM')
    // An old copy put back: fewer entries than this machine has seen, whatever anybody says.
    putBack(acme.home, old)
    await acme.up()
    assert.ok((await problems(acme.client)).includes('RESTORED_UNWITNESSED'))
    await acme.end('SIGTERM')
    await rejectsCode(saidMoved(acme.home), 'HOME_RESTORED')
  },
  LONG_MS,
)

test(
  'an old store with a member only reads once the member says so, and its tickets are void',
  async () => {
    using dir = temporary()
    const [files, old] = [join(dir.path, 'files'), join(dir.path, 'old')]
    mkdirSync(files)
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using cole = await TestDaemon.start('Cole Logistics', dir.path)
    await pair(acme, cole)
    await acme.client.partners.witness(cole.ready.id)
    await until('a committee in force', async () => {
      const { entries } = await acme.client.log({ limit: 1_000 })
      return entries.some(({ record, position }) => record?.type === 'committee/1' && /final/.test(position))
    })
    const { ticket } = await acme.client.partners.invite({ for: 'Bolt', expiresMs: Date.now() + DAY_MS })
    await acme.end('SIGTERM')
    cpSync(acme.home, old, { recursive: true })
    await acme.up()
    const { headSize } = (await acme.client.status()).log
    await publish(acme, files, 'one.csv')
    await until('another head', async () => (await acme.client.status()).log.headSize > headSize)
    await acme.end('SIGTERM')
    putBack(acme.home, old)
    await cole.end('SIGTERM')
    await acme.up()
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    await rejectsCode(bolt.client.partners.join(ticket), 'TICKET_UNKNOWN')
    const noticed = await problems(acme.client)
    assert.equal([noticed.includes('RESTORED'), noticed.includes('RESTORED_BEHIND')], [true, false])
    // Nothing needs to be logged for it.
    await cole.up()
    await until('the member says so', async () => (await problems(acme.client)).includes('RESTORED_BEHIND'))
    await rejectsCode(publish(acme, files, 'three.csv'), 'RESTORED_BEHIND')
  },
  LONG_MS,
)

test.run()
