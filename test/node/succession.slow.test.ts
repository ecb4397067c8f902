/** Real daemons: a branch shown to half the mesh, every correct node closes the log, and its organisation goes on with the next. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { formatCheckpoint, parseCheckpoint } from '../../crypto/checkpoint.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { openKeystore } from '../../node/keystore.ts'
import { readFork } from '../../protocol/fork.ts'
import { encodeMessage } from '../../protocol/message.ts'
import { verify } from '../../sdk/verify.ts'
import { suite, temporary } from '../harness.ts'
import { fourLines, run } from '../sdk/run-cli.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'
import { HostilePartner } from './hostile-partner.ts'

const test = suite('succession of daemons')
const LIMIT_MS = 180_000
const NAMES = ['Acme Steel', 'Bolt GmbH', 'Cole Logistics', 'Dora AG', 'Eve Oy']

test(
  'a log shown in two branches is closed by all, and goes on as the next one',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const daemons: TestDaemon[] = []
    for (const name of NAMES) daemons.push(undo.use(await TestDaemon.start(name, folder.path)))
    const [acme, bolt, ...others] = daemons as [TestDaemon, TestDaemon, ...TestDaemon[]]
    for (const [i, one] of daemons.entries()) for (const other of daemons.slice(i + 1)) await pair(one, other)
    for (const party of [acme, bolt])
      for (const witness of others) await party.client.partners.witness(witness.ready.id)
    const isFinal = async ({ client }: TestDaemon) => {
      const { log } = await client.status()
      return (log.final && log.headSize === log.size) || undefined
    }

    const exchange = async (title: string) => {
      const path = join(folder.path, `${title}.csv`)
      writeFileSync(path, `${title}\n`)
      const published = await acme.client.packets.publish({ title, files: [{ path, name: title }] })
      const { asset } = published
      const untilMs = Date.now() + 86_400_000
      const { id } = await acme.client.offers.create({
        asset,
        untilMs,
        approval: 'policy',
        allow: ['analyse'],
      })
      await bolt.client.offers.list({ refresh: true })
      const { agreement } = await bolt.client.get(id, { action: 'analyse', purpose: 'test' })
      for (const party of [acme, bolt]) await eventually('final', () => isFinal(party))
      return { agreement, packet: published.packets[0]!.id }
    }
    const evidenceOf = ({ agreement, packet }: Awaited<ReturnType<typeof exchange>>) =>
      bolt.client.agreements.evidence(agreement, packet)
    const judge = async (bytes: Uint8Array) =>
      (await verify(bytes, await bolt.client.trust(), { requireFinal: true })).verdict

    const before = await exchange('before')
    const file = await evidenceOf(before)
    assert.is(await judge(file), 'verified')

    // Acme's keys in other hands: another branch for half of its partners, under its own node key, while it is away.
    const { log } = await acme.client.status()
    for (const daemon of daemons.slice(1))
      await eventually(`${daemon.name} sees the newest head`, async () => {
        for await (const { id, seenSize } of daemon.client.partners.list())
          if (id === acme.ready.id) return seenSize === log.headSize || undefined
        return undefined
      })
    const { head } = await acme.client.log()
    const keys = await openKeystore(join(acme.home, 'keys'), undefined, { root: false })
    await acme.kill()
    const { body } = parseNote(head!)
    const { origin, size } = parseCheckpoint(body)
    const branch = formatCheckpoint({ origin, size, root: new Uint8Array(32).fill(7) })
    const note = utf8(formatNote({ body: branch, lines: [signNote(branch, origin, keyFromSeed(keys.log))] }))
    for (const half of others.slice(0, 2)) {
      await using forger = await HostilePartner.under(keys.node, half)
      await forger.send(encodeMessage({ t: 'head/show', note }))
      await eventually(
        'it is heard',
        async () => forger.heard.some(({ t }) => t === 'gossip/fork') || undefined,
      )
    }
    const closedBy = async ({ client }: TestDaemon) =>
      (await client.forks()).find(({ org }) => org === acme.ready.id)
    for (const daemon of daemons.slice(1))
      await eventually(`${daemon.name} closes it`, () => closedBy(daemon))
    await acme.up()
    const fork = await eventually('acme learns of it', () => closedBy(acme))
    const proof = readFork(new Uint8Array(Buffer.from(fork.proof!, 'base64')))
    assert.ok(!('reason' in proof) && proof.org.toString() === acme.ready.id, 'anybody can check it')
    const { problems } = await acme.client.status()
    assert.ok(problems.some(({ code, hint }) => code === 'LOG_FORKED' && hint === 'waybill log succeed'))

    // The operator goes on.
    const cli = (...args: string[]) => run(['--home', acme.home, 'log', 'succeed', ...args])
    fourLines(await cli(), 2, 'INPUT_REQUIRED')
    assert.is((await cli('--yes')).code, 0)
    const after = await exchange('after')
    assert.is(await judge(await evidenceOf(after)), 'verified')
    assert.ok(!(await acme.client.status()).problems.some(({ code }) => code === 'LOG_FORKED'))
    // What was final stays final: the file from before, and what both still prove of it.
    assert.is(await judge(file), 'verified')
    assert.is(await judge(await evidenceOf(before)), 'verified')
    for (const daemon of [acme, bolt]) await daemon.restart()
    assert.is(await judge(await evidenceOf(await exchange('later'))), 'verified')
  },
  LIMIT_MS,
)

test.run()
