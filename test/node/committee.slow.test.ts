/** Committees of one to four partners, and what goes on while too few of them are there, with real daemons (RULES D1, D3). */
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { exchange, logOf, publish, settled } from './committees.ts'
import { pair, TestDaemon } from './daemons.ts'

const test = suite('node/committee, slow')
const WORDS = [
  /^final, 1 of 1: dated by Bolt's word$/,
  /^final, 2 of 2: safe only if nobody lies$/,
  /^final, [23] of 3: safe only if nobody lies$/,
  /^final, [34] of 4: safe while at most 1 of 4 lie$/,
]

test('one, two, three and four partners: what a head is worth in words; with too few no head, and agreements go on', async () => {
  using folder = temporary()
  await using all = new AsyncDisposableStack()
  const owner = all.use(await TestDaemon.start('Acme Steel', folder.path))
  const partners: TestDaemon[] = []
  assert.is((await logOf(owner)).final, false)
  for (const [i, name] of ['Bolt', 'Cole', 'Dunn', 'Eder'].entries()) {
    const partner = all.use(await TestDaemon.start(name, folder.path))
    await pair(owner, partner)
    partners.push(partner)
    await owner.client.partners.witness(partner.ready.id)
    await publish(owner, folder.path)
    assert.match(await settled(owner, i + 1), WORDS[i]!)
  }
  // What was there before the first of them has nobody who answers for it.
  const { entries } = await owner.client.log({ limit: 500 })
  const first = entries.findIndex(({ record }) => record?.type === 'committee/1')
  assert.ok(first > 0)
  for (const { index, position } of entries)
    assert.match(position, index < first ? `unwitnessed before size ${first}` : /^final, [34] of 4/)
  // q = 3 of 4: one may be away, two may not.
  const [bolt, cole, dunn] = partners as [TestDaemon, TestDaemon, TestDaemon]
  await bolt.kill()
  await publish(owner, folder.path)
  await settled(owner, 4)
  await cole.kill()
  const { headSize, size } = await logOf(owner)
  const { agreement } = await exchange(owner, dunn, folder.path)
  await new Promise(done => setTimeout(done, 5_000))
  const waiting = await logOf(owner)
  assert.is(waiting.headSize, headSize, 'no head is signed')
  assert.ok(waiting.size > size + 4, 'and the agreement, its receipts and the release are logged')
  const consents: string[] = []
  for await (const given of dunn.client.consents.list()) consents.push(given.agreement)
  assert.ok(consents.includes(agreement))
  await cole.up()
  await settled(owner, 4)
}, 280_000)

test.run()
