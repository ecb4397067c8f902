/**
 * What each role receives of a log, recorded with real nodes on real sockets and disks, against the table of
 * protocol/README.md, section 15.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { text } from '../../crypto/bytes.ts'
import { Driver, type DriverInput } from '../../node/driver.ts'
import { type Daemon, runDaemon } from '../../node/index.ts'
import { PAD_ENTRIES } from '../../protocol/limits.ts'
import { readEntry } from '../../protocol/log.ts'
import { encodeMessage, type Message } from '../../protocol/message.ts'
import { parseBundle, tilePath } from '../../protocol/tiles.ts'
import { connect, type Waybill } from '../../sdk/connect.ts'
import { suite, temporary } from '../harness.ts'
import { ANY_PORT, eventually } from './daemons.ts'

const test = suite('node/roles')
const DAY_MS = 86_400_000
const TITLE = 'press shop, hall 7'

/** Questions about the log of who receives them, what is told of others' logs, and the identity's events. */
const NOT_OF_THE_LOG = new Set<Message['t']>([
  'head/ask',
  'gossip/head',
  'gossip/fork',
  'identity/events',
  'error',
])

interface Taken {
  by: string
  from: string
  message: Message
}

/** Every message that any node of this process takes in, as its core gets it. */
function recorded(): Taken[] & Disposable {
  const taken: Taken[] = []
  const { submit } = Driver.prototype
  Driver.prototype.submit = function (this: Driver, input: DriverInput, ...rest) {
    if (input.type === 'message')
      taken.push({ by: this.env.self.org, from: input.from, message: input.message })
    return submit.call(this, input, ...rest)
  }
  return Object.assign(taken, { [Symbol.dispose]: () => Object.assign(Driver.prototype, { submit }) })
}

class Node implements AsyncDisposable {
  readonly daemon: Daemon
  readonly client: Waybill

  constructor(daemon: Daemon, client: Waybill) {
    this.daemon = daemon
    this.client = client
  }

  static async start(name: string, folder: string): Promise<Node> {
    const home = join(folder, name)
    const options = { name, listen: [ANY_PORT], apiPort: 0, logLevel: 'silent' }
    return new Node(await runDaemon(home, options), await connect({ home }))
  }

  async pair(other: Node): Promise<void> {
    const { ticket } = await this.client.partners.invite({ for: 'x', expiresMs: Date.now() + 600_000 })
    await other.client.partners.join(ticket)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close()
    await this.daemon.stop()
  }
}

/** The rows of the table: a role, and the messages or paths that it gets. */
const spec = readFileSync(join(import.meta.dirname, '..', '..', 'protocol', 'README.md'), 'utf8')
function row(role: string): string[] {
  const [, cells] = new RegExp(`^\\| ${role} \\| ((?:\`[a-z/]+\`(?:, )?)+) \\|`, 'm').exec(spec) ?? []
  assert.ok(cells, `a row for ${role}`)
  return [...cells!.matchAll(/`([a-z/]+)`/g)].map(([, name]) => name!).sort()
}

test('witness, mirror and auditor receive of a log what the table says, and no body', async () => {
  using folder = temporary()
  using taken = recorded()
  await using acme = await Node.start('Acme', folder.path)
  await using bolt = await Node.start('Bolt', folder.path)
  await using cole = await Node.start('Cole', folder.path)
  await using dora = await Node.start('Dora', folder.path)
  for (const other of [bolt, cole, dora]) await acme.pair(other)
  await acme.client.partners.witness(cole.daemon.id)
  await acme.client.logs.mirror(dora.daemon.id)

  const path = join(folder.path, 'x.txt')
  writeFileSync(path, 'the content')
  const exchange = async () => {
    const { asset } = await acme.client.packets.publish({ title: TITLE, files: [{ path, name: 'x.txt' }] })
    const { id } = await acme.client.offers.create({
      asset,
      untilMs: Date.now() + DAY_MS,
      approval: 'policy',
    })
    await bolt.client.offers.list({ refresh: true })
    await bolt.client.get(id)
    const { size } = await eventually('a final head over all of it', async () => {
      const { log } = await acme.client.status()
      return log.headSize === log.size && log.final ? log : undefined
    })
    await eventually('the mirror has it', async () => {
      const [copy] = (await dora.client.logs.mirroring()).held
      return copy?.size === size ? true : undefined
    })
    return size
  }
  await exchange()
  const size = await exchange()

  const told = (role: Node) =>
    taken.filter(
      ({ by, from, message }) =>
        by === role.daemon.id && from === acme.daemon.id && !NOT_OF_THE_LOG.has(message.t),
    )
  const typesOf = (role: Node) => [...new Set(told(role).map(({ message }) => message.t))].sort()
  for (const [role, node] of [
    ['witness', cole],
    ['mirror', dora],
  ] as const) {
    const expected = row(role)
    await eventually(`all that a ${role} gets: ${expected} of ${typesOf(node)}`, async () =>
      expected.every(type => typesOf(node).includes(type as Message['t'])) ? true : undefined,
    )
    assert.equal(typesOf(node), expected, role)
  }

  // The auditor over HTTP.
  const { url } = await acme.client.witnessing.serve('127.0.0.1:0')
  await acme.client.logs.open(true)
  const { head } = await acme.client.log({ limit: 1 })
  const { originHash } = await import('../../protocol/log.ts')
  const at = `${url}/${originHash(head!.split('\n')[0]!)}`
  const served: Record<string, string> = {
    checkpoint: 'checkpoint',
    'tile/entries': tilePath({ level: 'entries', index: 0, width: Math.min(256, size) }),
    tile: tilePath({ level: 0, index: 0, width: Math.min(256, size) }),
  }
  assert.equal(Object.keys(served).sort(), row('auditor over HTTP'))
  const answers = await Promise.all(
    Object.values(served).map(async name => {
      const response = await fetch(`${at}/${name}`)
      assert.is(response.status, 200, name)
      return new Uint8Array(await response.arrayBuffer())
    }),
  )

  // Sizes are padded, and no frame has anything of a body.
  const all = [...told(cole), ...told(dora)].map(({ message }) => message)
  const notes = all.flatMap(message => ('note' in message && message.note ? [text(message.note)] : []))
  assert.ok(notes.length > 4)
  for (const note of [...notes, text(answers[0]!)]) assert.is(Number(note.split('\n')[1]) % PAD_ENTRIES, 0)
  const secrets = [TITLE, 'x.txt', bolt.daemon.id].map(secret => Buffer.from(secret))
  const frames = [...all.filter(({ t }) => t !== 'hello').map(encodeMessage), ...answers]
  for (const frame of frames)
    for (const secret of secrets) assert.not.ok(Buffer.from(frame).includes(secret), String(secret))
  const entries = parseBundle(answers[1]!, Math.min(256, size))!.map(readEntry)
  assert.ok(entries.every(entry => 'k' in entry))
}, 120_000)

test.run()
