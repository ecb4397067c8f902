/** The identity of real daemons: one with two events of a number, and one whose home was put back to before its events. */
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { utf8 } from '../../crypto/bytes.ts'
import { cidOf } from '../../crypto/cid.ts'
import { keyFromSeed } from '../../crypto/key.ts'
import { formatNote, formatVerifierKey, signNote } from '../../crypto/note.ts'
import { readSelf } from '../../node/home.ts'
import { openKeystore } from '../../node/keystore.ts'
import { makeDelegate } from '../../protocol/identity-chain.ts'
import { readKnownForks } from '../../protocol/known-forks.ts'
import { encodeMessage } from '../../protocol/message.ts'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { eventuallyProblem, exchange, problems, putBack } from './committees.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'
import { HostilePartner } from './hostile-partner.ts'

const test = suite('the identity of daemons')
const LONG_MS = 110_000

test(
  'a home that was put back to before its own events signs none, by the mark of its machine alone, and takes them back from a partner',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    await pair(acme, bolt)
    await acme.kill()
    const copy = join(dir.path, 'copy')
    cpSync(acme.home, copy, { recursive: true })
    await acme.up()
    const { lastEvent } = await acme.client.keys.rotate({ roles: ['operation'] })
    await eventually('Bolt is told', async () => (await acme.client.status()).connected === 1 || undefined)
    await exchange(acme, bolt, dir.path)
    for (const daemon of [acme, bolt]) await daemon.kill()

    putBack(acme, copy)
    await acme.up()
    assert.ok((await problems(acme)).includes('IDENTITY_BEHIND'), 'before it has met anybody')
    await rejectsCode(acme.client.keys.rotate({ roles: ['log'] }), 'IDENTITY_BEHIND')
    await rejectsCode(acme.client.succeed(), 'IDENTITY_BEHIND')
    const cli = (...args: string[]) => run(['--home', acme.home, '--json', ...args])
    fourLines(await run(['--home', acme.home, 'keys', 'adopt']), 2, 'INPUT_REQUIRED')
    assert.is(document(await cli('keys', 'adopt', '--yes'), 'waybill.error/1').code, 'NOT_FOUND')
    await bolt.up()
    const adopted = await eventually('Bolt tells', async () => {
      const { code, stdout } = await cli('keys', 'adopt', '--yes')
      return code === 0 ? JSON.parse(stdout) : undefined
    })
    // The key of the event that came back is lost with the newer home: another event gives it a successor.
    const { events, keys } = adopted.data ?? adopted
    assert.is(events, 2)
    assert.equal(
      keys
        .filter((each: { role: string }) => each.role === 'operation')
        .map((each: { state: string }) => each.state),
      ['stands', 'ended', 'ended'],
    )
    assert.is.not((await acme.client.keys.get()).lastEvent, lastEvent)
    assert.not.ok((await problems(acme)).includes('IDENTITY_BEHIND'))
    await acme.client.succeed()
    await exchange(acme, bolt, dir.path)
    assert.equal(await bolt.client.forks(), [])
  },
  LONG_MS,
)

test(
  'two events of one number are shown in the status, listed with their proof, and in the file that verifiers read',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    await pair(acme, bolt)
    await acme.client.keys.rotate({ roles: ['operation'] })
    await exchange(acme, bolt, dir.path)
    await acme.kill()
    const seeds = await openKeystore(join(acme.home, 'keys'), undefined, { root: false })
    const { chain } = await readSelf(acme.home)
    const key = keyFromSeed(new Uint8Array(32).fill(7))
    const about = { keys: { operation: { key, untilMs: Date.now() + 60_000 } } }
    const other = makeDelegate(chain, keyFromSeed(seeds.admin), about, Date.now())
    await using forger = await HostilePartner.under(seeds.node, bolt)
    await forger.send(encodeMessage({ t: 'identity/events', events: [other] }))
    await eventuallyProblem(bolt, 'IDENTITY_FORKED')
    const [fork, ...more] = await bolt.client.forks()
    assert.equal(more, [])
    assert.equal([fork?.of, fork?.org, fork?.event], ['identity', acme.ready.id, 1])
    const kept = await eventually('the file is written', async () => {
      const path = join(bolt.home, 'forks.json')
      if (!existsSync(path)) return
      const { proofs } = JSON.parse(readFileSync(path, 'utf8'))
      return proofs.length === 1 ? proofs : undefined
    })
    assert.equal(kept, [fork!.proof])
    readKnownForks(kept.map((each: string) => new Uint8Array(Buffer.from(each, 'base64'))))
    await bolt.restart()
    assert.ok((await problems(bolt)).includes('IDENTITY_FORKED'), 'after a kill too')
  },
  LONG_MS,
)

test(
  'over HTTP a witness whose key is past its date answers 503, and a log has no more witnesses than a committee seats',
  async () => {
    using dir = temporary()
    await using acme = await TestDaemon.start('Acme Steel', dir.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', dir.path)
    const origin = 'example.com/log'
    const key = keyFromSeed(new Uint8Array(32).fill(9))
    await acme.client.witnessing.accept(
      origin,
      formatVerifierKey({ name: origin, type: 1, publicKey: key.public }),
    )
    const { url } = await acme.client.witnessing.serve('127.0.0.1:0')
    const empty = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    const body = `${origin}\n0\n${empty}\n`
    const note = formatNote({ body, lines: [signNote(body, origin, key)] })
    const post = () =>
      fetch(`${url}/add-checkpoint`, { method: 'POST', body: Buffer.from(utf8(`old 0\n\n${note}`)) })
    const first = await post()
    assert.is(first.status, 200, await first.text())
    await acme.client.keys.delegate({ roles: ['witness'], forMs: 1_500 })
    await eventually('the key is past its date', async () => (await post()).status === 503 || undefined)
    assert.match(await (await post()).text(), /witness key/)
    await acme.client.keys.rotate({ roles: ['witness'] })
    assert.is((await post()).status, 200)

    await acme.kill()
    const path = join(acme.home, 'config.toml')
    const strangers = Array.from({ length: 32 }, (_, i) => cidOf(Uint8Array.of(i), 'dag-cbor').toString())
    const config = readFileSync(path, 'utf8').replace(/^witnesses = .*$/m, '')
    writeFileSync(path, `witnesses = ${JSON.stringify(strangers)}\n${config}`)
    await acme.up()
    await pair(acme, bolt)
    await rejectsCode(acme.client.partners.witness(bolt.ready.id), 'QUOTA_EXCEEDED')
  },
  LONG_MS,
)

test.run()
