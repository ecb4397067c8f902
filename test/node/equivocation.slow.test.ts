/** An owner that sells one version twice, with real daemons: what it harms is its own asset. */
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { eventually, type TestDaemon } from './daemons.ts'
import { committee, inState, mesh, published } from './ownership-mesh.ts'

const test = suite('node/equivocation, slow')
const HOSTILE = join(import.meta.dirname, 'hostile-owner.ts')

test('an owner that sells twice freezes its own asset: everyone sees it with both orders, and nobody else is harmed', async () => {
  using folder = temporary()
  await using all = new AsyncDisposableStack()
  const daemons = await mesh(7, folder.path, all)
  const [acme, bolt, fink, ...seats] = daemons as [TestDaemon, TestDaemon, TestDaemon, ...TestDaemon[]]
  for (const seat of seats)
    for (const buyer of [bolt, fink]) await buyer.client.juries.certify(seat.name, true)
  const jury = await committee(acme, seats)
  const asset = await published(acme, folder.path, 'press 4', jury)
  await inState(acme, (await acme.client.assets.register(asset, {})).id, 'CERTIFIED')
  await acme.kill()
  acme.program = HOSTILE
  await acme.up()
  const buyers = [bolt, fink]
  const orders: string[] = []
  for (const { name } of buyers) orders.push((await acme.client.handovers.offer({ asset, to: name })).id)
  assert.not.equal(orders[0], orders[1])
  for (const [i, buyer] of buyers.entries()) await inState(buyer, orders[i]!, 'OFFERED')
  await Promise.all(buyers.map((buyer, i) => buyer.client.handovers.accept(orders[i]!)))
  // The buyers ask the seats themselves after a while, and learn what the others voted for.
  for (const daemon of daemons)
    await eventually(`${daemon.name} sees that it is frozen`, async () => {
      const { problems } = await daemon.client.status()
      return problems.some(({ code }) => code === 'ASSET_FROZEN') || undefined
    })
  for (const [i, buyer] of buyers.entries()) {
    await inState(buyer, orders[i]!, 'FROZEN')
    const { frozen, version } = await buyer.client.assets.owner(asset)
    assert.equal(
      frozen!.by.map(({ name }) => name),
      [acme.name],
    )
    assert.equal([...frozen!.orders].sort(), [...orders].sort(), 'both orders')
    assert.equal(frozen!.to.map(({ name }) => name).sort(), [bolt.name, fink.name].sort())
    assert.is(version, 0, 'nobody owns version 1')
  }
  // Another owner's asset under the same committee is handed over as ever.
  const other = await published(bolt, folder.path, 'press 5', jury)
  await inState(bolt, (await bolt.client.assets.register(other, {})).id, 'CERTIFIED')
  const { id } = await bolt.client.handovers.offer({ asset: other, to: fink.name })
  await inState(fink, id, 'OFFERED')
  await fink.client.handovers.accept(id)
  await inState(fink, id, 'CERTIFIED')
  assert.is((await fink.client.assets.owner(other)).owner.name, fink.name)
  assert.not.ok((await fink.client.assets.owner(other)).frozen)
}, 240_000)

test.run()
