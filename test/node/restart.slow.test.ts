/** Real daemons that come and go: where they are found again, what a crash left, and two that start on one home at once. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { ANY_PORT, eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('restarts')
const LIMIT_MS = 100_000
/** A beat of gossip with its jitter, and the exchange that follows. */
const SEEN_MS = 30_000

const portOf = ({ ready }: TestDaemon): number => Number(/\/tcp\/(\d+)/.exec(ready.addresses[0]!)![1])

/** Another program on the port. */
async function occupy(port: number): Promise<Server> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
  return server
}

/** Starts it where the system likes, as it was started first, while another program has its port. */
async function moved(daemon: TestDaemon): Promise<void> {
  const before = portOf(daemon)
  await daemon.kill()
  const other = await occupy(before)
  daemon.listen = ANY_PORT
  await daemon.up()
  other.close()
  assert.is.not(portOf(daemon), before)
}

/** Whether both listen where they did, in one of three tries: in each a connection of another program may get a port of theirs. */
async function comeBack(first: TestDaemon, second: TestDaemon): Promise<boolean> {
  for (let i = 0; i < 3; i++) {
    const ports = [first, second].map(portOf)
    await Promise.all([first.kill(), second.kill()])
    for (const daemon of [second, first]) {
      daemon.listen = ANY_PORT
      await daemon.up()
    }
    if ([first, second].every((daemon, at) => portOf(daemon) === ports[at])) return true
  }
  return false
}

const isConnected = (daemon: TestDaemon) => async () => {
  for await (const partner of daemon.client.partners.list()) if (partner.connected) return true
  return undefined
}

test(
  'a daemon comes back on the port that it had; one that must move tells its partner; two that moved pair again',
  async () => {
    using folder = temporary()
    await using acme = await TestDaemon.start('Acme Steel', folder.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', folder.path)
    await pair(acme, bolt)
    assert.ok(await comeBack(acme, bolt), 'both stopped, both started in another order')
    await eventually('they are connected', isConnected(acme))

    await moved(acme)
    await eventually('the one that moved has dialled', isConnected(bolt))
    await bolt.restart()
    await eventually('its new address is known after another restart', isConnected(bolt))

    await bolt.kill()
    await moved(acme)
    const other = await occupy(portOf(bolt))
    bolt.listen = ANY_PORT
    await bolt.up()
    other.close()
    assert.is(await isConnected(bolt)(), undefined)
    await pair(acme, bolt)
    await eventually('a new ticket brings them together', isConnected(acme))
    for await (const { id } of bolt.client.partners.list()) assert.is(id, acme.ready.id)
  },
  LIMIT_MS,
)

test(
  'of several first starts on one empty home one makes it, and the others are told who',
  async () => {
    using folder = temporary()
    const home = join(folder.path, 'up')
    await using undo = new AsyncDisposableStack()
    undo.defer(async () => void (await run(['--home', home, 'down']))) // also when an assertion below fails
    const local = ['--api', '0', '--listen', ANY_PORT]
    const up = () => run(['--home', home, '--json', 'up', '--detach', '--name', 'Acme Steel', ...local])
    const ups = await Promise.all([up(), up(), up()])
    const [ready, ...others] = ups.sort((a, b) => a.code! - b.code!)
    assert.is(document(ready!, 'waybill.up/1').created, true)
    for (const other of others) {
      assert.is(other.code, 9, other.stdout)
      assert.is(document(other, 'waybill.error/1').code, 'HOME_LOCKED')
    }
    assert.is((await run(['--home', home, 'down'])).code, 0)

    const init = () =>
      run(['--home', join(folder.path, 'init'), '--json', 'init', '--name', 'A', '--unattended'])
    const inits = (await Promise.all([init(), init(), init()])).filter(({ code }) => code !== 9)
    const made = inits.map(each => document(each, 'waybill.init/1'))
    assert.is(made.filter(({ created }) => created).length, 1)
    assert.is(new Set(made.map(({ id }) => id)).size, 1)
  },
  LIMIT_MS,
)

test(
  'what writers left unfinished is swept when the home is opened, by nobody who does not hold it',
  async () => {
    using folder = temporary()
    await using acme = await TestDaemon.start('Acme Steel', folder.path)
    const left = ['trust.json', 'config.toml', 'keys/keys.age', 'content/import'].map(name => {
      const at = name.lastIndexOf('/') + 1
      return join(acme.home, `${name.slice(0, at)}.unfinished-1-1-${name.slice(at)}`)
    })
    const folderLeft = join(acme.home, '.unfinished-1-2-keys')
    mkdirSync(folderLeft)
    for (const path of [...left, join(folderLeft, 'keys.age')]) writeFileSync(path, 'half')
    fourLines(await run(['--home', acme.home, 'up', '--api', '0']), 9, 'HOME_LOCKED')
    assert.ok(left.every(existsSync))
    await acme.restart()
    const unfinished = readdirSync(acme.home, { recursive: true }).filter(name =>
      String(name).includes('.unfinished'),
    )
    assert.equal(unfinished, [])
  },
  LIMIT_MS,
)

test(
  'partners see how a log grows while they stay connected',
  async () => {
    using folder = temporary()
    await using acme = await TestDaemon.start('Acme Steel', folder.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', folder.path)
    await pair(acme, bolt)
    const path = join(folder.path, 'a.csv')
    writeFileSync(path, 'a,b\n')
    await acme.client.packets.publish({ title: 'x', files: [{ path, name: 'a.csv' }] })
    const { log } = await acme.client.status()
    assert.ok(log.size >= 3)
    // A head covers more than was logged: it is padded, and ends with a state entry.
    const seen = await eventually(
      'the grown log is seen',
      async () => {
        for await (const { seenSize } of bolt.client.partners.list())
          if (seenSize >= log.size) return seenSize
        return undefined
      },
      SEEN_MS,
    )
    assert.match((await run(['--home', bolt.home, 'partners'])).stdout, new RegExp(`Acme Steel .* ${seen} `))
    assert.not.match(readFileSync(join(acme.home, 'ports.json'), 'utf8'), /null/)
  },
  LIMIT_MS,
)

test.run()
