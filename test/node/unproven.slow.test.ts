/** Real daemons: a partner that answers questions for proofs with nothing, and with garbage, leaves evidence as it can be healed. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { openKeystore } from '../../node/keystore.ts'
import { encodeMessage, type MessageOf } from '../../protocol/message.ts'
import { verify } from '../../sdk/verify.ts'
import { suite, temporary } from '../harness.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'
import { HostilePartner } from './hostile-partner.ts'

const test = suite('unproven deliveries')

test('what does not verify is not kept, is shown, and gives way to what does', async () => {
  using folder = temporary()
  await using undo = new AsyncDisposableStack()
  const acme = undo.use(await TestDaemon.start('Acme Steel', folder.path))
  const bolt = undo.use(await TestDaemon.start('Bolt GmbH', folder.path))
  await pair(acme, bolt)
  const path = join(folder.path, 'energy.csv')
  writeFileSync(path, 'a,b\n')
  const published = await acme.client.packets.publish({ title: 'energy', files: [{ path, name: 'energy' }] })
  const { asset } = published
  const untilMs = Date.now() + 86_400_000
  const offer = { asset, untilMs, approval: 'policy' as const, allow: ['analyse'] }
  const { id } = await acme.client.offers.create(offer)
  await bolt.client.offers.list({ refresh: true })
  const { agreement } = await bolt.client.get(id, { action: 'analyse', purpose: 'test' })
  const keys = await openKeystore(join(bolt.home, 'keys'), undefined, { root: false })
  await bolt.kill()

  const evidence = async () => {
    const file = await acme.client.agreements.evidence(agreement, published.packets[0]!.id)
    return verify(file, await acme.client.trust())
  }
  const problem = async () =>
    (await acme.client.status()).problems.find(({ code }) => code === 'UNPROVEN')?.text
  {
    await using liar = await HostilePartner.under(keys.node, acme)
    let garbage: Pick<Reply, 'witnesses' | 'events'> = { witnesses: [], events: [] }
    const timer = setInterval(() => {
      for (const each of liar.heard.splice(0))
        if (each.t === 'proof/request')
          void liar.send(encodeMessage({ ...NOTHING, id: each.id, ...garbage })).catch(() => {})
    }, 20)
    undo.defer(() => clearInterval(timer))
    await liar.send(encodeMessage({ t: 'catalog/request', id: new Uint8Array(16) }))
    const open = await eventually('it is shown', problem, 60_000)
    assert.match(open, /^the log of Bolt GmbH does not prove 1 deliveries: its log does not show/)
    assert.is((await evidence()).verdict, 'inconclusive')
    garbage = { witnesses: [HASH], events: [HASH] }
    const why = async () => ((await problem())?.includes('does not verify') ? problem() : undefined)
    assert.match((await eventually('garbage is shown', why, 60_000))!, /identities: /)
    assert.is((await evidence()).verdict, 'inconclusive', 'it makes nothing false')
    clearInterval(timer)
  }
  await bolt.up()
  const isGone = async () => ((await problem()) === undefined ? true : undefined)
  await eventually('bolt proves it', isGone, 60_000)
  await bolt.kill()
  assert.is((await evidence()).verdict, 'verified', 'and it is kept')
}, 180_000)

const HASH = new Uint8Array(32).fill(7)
type Reply = MessageOf<'proof/reply'>
const NOTHING: Omit<Reply, 'id' | 'witnesses' | 'events'> = {
  t: 'proof/reply',
  entries: [],
  states: [],
  pending: false,
}

test.run()
