/** What one side can still do when the other is gone: take an approval back, and show evidence of what was delivered. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isWaybillError } from '../../sdk/error.ts'
import { verify } from '../../sdk/verify.ts'
import { suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { eventually, Mesh, pair, TestDaemon } from './daemons.ts'

const test = suite('when a partner is gone')
const LIMIT_MS = 100_000
const DAY_MS = 86_400_000
/** From a delivery to its proofs: heads, cosignatures, one question to the other side. */
const PROVEN_MS = 8_000

/** Publishes files of these sizes and offers them to every partner. */
async function offered(daemon: TestDaemon, folder: string, sizes: number[], approval: 'person' | 'policy') {
  const files = sizes.map((size, i) => {
    const path = join(folder, `${i}.bin`)
    writeFileSync(path, Buffer.alloc(size, i))
    return { path, name: `${i}.bin` }
  })
  const { asset } = await daemon.client.packets.publish({ title: 'x', files })
  return daemon.client.offers.create({ asset, untilMs: Date.now() + DAY_MS, approval })
}

test(
  'an approval is taken back while the other side has not signed, and not after',
  async () => {
    using folder = temporary()
    await using acme = await TestDaemon.start('Acme Steel', folder.path)
    await using bolt = await TestDaemon.start('Bolt GmbH', folder.path)
    await pair(acme, bolt)
    const offer = await offered(acme, folder.path, [10], 'person')
    await bolt.client.offers.list({ refresh: true })
    const { id } = await bolt.client.requests.create({ offer: offer.id })
    const isThere = () => acme.client.requests.get(id).catch(() => undefined)
    await eventually('the request is there', isThere)
    const withdraw = (...more: string[]) => run(['--home', acme.home, 'withdraw', id, ...more])
    const [what] = fourLines(await withdraw(), 9, 'OUT_OF_ORDER')
    assert.match(what!, /the request is REQUESTED, not AGREED/)

    await bolt.kill()
    assert.is((await acme.client.requests.approve(id)).state, 'AGREED')
    const taken = document(await withdraw('--reason', 'signed by mistake', '--json'), 'waybill.request/1')
    assert.is(taken.state, 'TERMINATED')
    await bolt.up()
    const ended = await eventually('the consumer is told', async () => {
      const request = await bolt.client.requests.get(id)
      return request.state === 'TERMINATED' ? request : undefined
    })
    assert.equal([ended.refusal?.code, ended.refusal?.text], ['WITHDRAWN', 'signed by mistake'])
    for await (const consent of bolt.client.consents.list()) assert.unreachable(consent.agreement)

    const second = await bolt.client.requests.create({ offer: offer.id })
    await eventually('the second request is there', () =>
      acme.client.requests.get(second.id).catch(() => undefined),
    )
    await acme.client.requests.approve(second.id)
    assert.is((await bolt.client.requests.wait(second.id)).state, 'FINALIZED')
    await acme.client.requests.wait(second.id)
    const late = await acme.client.requests.withdraw(second.id).catch(error => error)
    assert.ok(isWaybillError(late, 'OUT_OF_ORDER'), String(late))
  },
  LIMIT_MS,
)

test(
  'evidence of a delivery is whole on either side though nobody asked for it before the other was gone',
  async () => {
    using folder = temporary()
    await using mesh = await Mesh.start(folder.path)
    const { acme, bolt } = mesh
    const offer = await offered(acme, folder.path, [10, 300_000, 0], 'policy')
    await bolt.client.offers.list({ refresh: true })
    const { agreement, deliveries } = await bolt.client.get(offer.id)
    assert.is(deliveries.length, 3)
    await new Promise(over => setTimeout(over, PROVEN_MS))
    for (const [gone, here] of [
      [acme, bolt],
      [bolt, acme],
    ] as const) {
      await gone.kill()
      await here.restart() // nothing that is only remembered helps
      const trust = await here.client.trust()
      const files = await Promise.all([
        here.client.agreements.consentEvidence(agreement),
        ...deliveries.map(({ packet }) => here.client.agreements.evidence(agreement, packet.id)),
      ])
      for (const evidence of files) {
        const { verdict, steps } = await verify(evidence, trust, { requireFinal: true })
        assert.is(verdict, 'verified', `${here.name}: ${JSON.stringify(steps)}`)
      }
      await gone.up()
    }
  },
  LIMIT_MS,
)

test.run()
