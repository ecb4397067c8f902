/**
 * What each role receives of a log, recorded by daemons that are processes of their own, against the table of
 * protocol/README.md, section 15.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { text } from '../../crypto/bytes.ts'
import { PAD_ENTRIES } from '../../protocol/limits.ts'
import { originHash, readEntry } from '../../protocol/log.ts'
import { decodeMessage, encodeMessage, type Message } from '../../protocol/message.ts'
import { parseBundle, tilePath } from '../../protocol/tiles.ts'
import { suite, temporary } from '../harness.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('node/roles')
const RECORDING = join(import.meta.dirname, 'recording.ts')
const LIMIT_MS = 120_000
const DAY_MS = 86_400_000
const TITLE = 'press shop, hall 7'
const REASON = 'a person asked for it'

/** Questions about the log of who receives them, what is told of others' logs, and the identity's events. */
const NOT_OF_THE_LOG = new Set<Message['t']>([
  'head/ask',
  'gossip/logs',
  'gossip/head',
  'gossip/fork',
  'identity/events',
  'error',
])

/** A daemon that records. */
class Recorded extends TestDaemon {
  override readonly program: string = RECORDING

  constructor(name: string, folder: string) {
    super(name, folder)
    Object.assign(this.env, { RECORD: this.record })
  }

  get record(): string {
    return `${this.home}.record`
  }

  /** What it got of the log of another, in order. */
  got(from: TestDaemon): Message[] {
    const lines = existsSync(this.record) ? readFileSync(this.record, 'utf8').split('\n').slice(0, -1) : []
    return lines.flatMap(line => {
      const [org, hex] = line.split(' ') as [string, string]
      const message = decodeMessage(new Uint8Array(Buffer.from(hex, 'hex')))
      assert.ok(typeof message !== 'string', String(message))
      return org === from.ready.id && !NOT_OF_THE_LOG.has(message.t) ? message : []
    })
  }
}

/** The rows of the table: a role, and the messages or paths that it gets. */
const spec = readFileSync(join(import.meta.dirname, '..', '..', 'protocol', 'README.md'), 'utf8')
function row(role: string): string[] {
  const [, cells] = new RegExp(`^\\| ${role} \\| ((?:\`[a-z/]+\`(?:, )?)+) \\|`, 'm').exec(spec) ?? []
  assert.ok(cells, `a row for ${role}`)
  return [...cells!.matchAll(/`([a-z/]+)`/g)].map(([, name]) => name!).sort()
}

/** Waits for all that a role gets, and says that nothing else came. */
async function receives(role: string, got: () => Message[]): Promise<void> {
  const types = () => [...new Set(got().map(({ t }) => t))].sort()
  const expected = row(role)
  await eventually(`all that a ${role} gets: ${expected} of ${types()}`, async () =>
    expected.every(type => types().includes(type as Message['t'])) ? true : undefined,
  )
  assert.equal(types(), expected, role)
}

test(
  'witness, mirror, auditor and who is asked to redact receive of a log what the table says, and no body',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const [acme, bolt, cole, dora] = ['Acme', 'Bolt', 'Cole', 'Dora'].map(name =>
      undo.use(new Recorded(name, folder.path)),
    ) as [Recorded, Recorded, Recorded, Recorded]
    for (const each of [acme, bolt, cole, dora]) await each.up()
    for (const other of [bolt, cole, dora]) await pair(acme, other)
    await acme.client.partners.witness(cole.ready.id)
    await acme.client.logs.mirror(dora.ready.id)

    const path = join(folder.path, 'x.txt')
    writeFileSync(path, 'the content')
    const exchange = async () => {
      const { asset, packets } = await acme.client.packets.publish({
        title: TITLE,
        files: [{ path, name: 'x.txt' }],
      })
      const untilMs = Date.now() + DAY_MS
      const { id } = await acme.client.offers.create({ asset, untilMs, approval: 'policy' })
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
      return { size, offer: id, packet: packets[0]!.id }
    }
    await exchange()
    const { size, offer, packet } = await exchange()
    await receives('witness', () => cole.got(acme))
    await receives('mirror', () => dora.got(acme))

    // A packet is asked for where there is an agreement about it; witness and mirror learn nothing of that.
    const before = bolt.got(acme).length
    const asked = (daemon: Recorded) => daemon.got(acme).filter(({ t }) => t === 'redaction/ask')
    await acme.client.records.redact(packet, REASON)
    // As a consumer, Bolt exchanges proofs of its deliveries meanwhile.
    const since = () =>
      bolt
        .got(acme)
        .slice(before)
        .filter(({ t }) => !t.startsWith('proof/'))
    await receives('who is asked to redact', since)
    assert.equal(
      [bolt, cole, dora].map(each => asked(each).length),
      [1, 0, 0],
    )
    // An offer may lie with every partner.
    await acme.client.records.redact(offer, REASON)
    for (const each of [bolt, cole, dora])
      await eventually(`${each.name} is asked`, async () => asked(each).length > 0 || undefined)

    // The auditor over HTTP.
    const { url } = await acme.client.witnessing.serve('127.0.0.1:0')
    await acme.client.logs.open(true)
    const { head } = await acme.client.log({ limit: 1 })
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
    const all = [...cole.got(acme), ...dora.got(acme), ...asked(bolt)]
    const notes = all.flatMap(message => ('note' in message && message.note ? [text(message.note)] : []))
    assert.ok(notes.length > 4)
    for (const note of [...notes, text(answers[0]!)]) assert.is(Number(note.split('\n')[1]) % PAD_ENTRIES, 0)
    const secrets = [TITLE, 'x.txt', bolt.ready.id].map(secret => Buffer.from(secret))
    const frames = [...all.filter(({ t }) => t !== 'hello').map(encodeMessage), ...answers]
    for (const frame of frames)
      for (const secret of secrets) assert.not.ok(Buffer.from(frame).includes(secret), String(secret))
    const entries = parseBundle(answers[1]!, Math.min(256, size))!.map(readEntry)
    assert.ok(entries.every(entry => 'k' in entry))
  },
  LIMIT_MS,
)

test.run()
