/** Ownership between real daemons: what is said of a committee before a hand-over and afterwards, and kills in between. */
import * as assert from 'uvu/assert'
import type { OrderView } from '../../node/schema-ownership.ts'
import { isWaybillError } from '../../sdk/error.ts'
import { verifyOwnership } from '../../sdk/verify-ownership.ts'
import { suite, temporary } from '../harness.ts'
import { calling, eventually, type TestDaemon } from './daemons.ts'
import { committee, inState, mesh, published } from './ownership-mesh.ts'

const test = suite('node/ownership, slow')

const FACTS = [
  { n: 2, mode: 'none', words: /^nobody votes/, verdict: 'inconclusive', why: /nobody votes/ },
  {
    n: 3,
    mode: 'all',
    words: /^on the word of one alone/,
    verdict: 'inconclusive',
    why: /it has 1 of at least 4/,
  },
  {
    n: 4,
    mode: 'all',
    words: /^all 2 vote: safe while at most 1 of them lie/,
    verdict: 'inconclusive',
    why: /2 of at least 4/,
  },
  {
    n: 6,
    mode: 'byzantine',
    words: /^Byzantine: 3 of 4 vote, safe while at most 1/,
    verdict: 'verified',
    why: undefined,
  },
] as const

test('two, three, four and six organisations: what is said of the committee before, and the verdict afterwards', async () => {
  for (const { n, mode, words, verdict, why } of FACTS) {
    using folder = temporary()
    await using all = new AsyncDisposableStack()
    const daemons = await mesh(n, folder.path, all)
    const [acme, bolt, ...seats] = daemons as [TestDaemon, TestDaemon, ...TestDaemon[]]
    for (const seat of seats)
      for (const { client } of [acme, bolt]) await client.juries.certify(seat.name, true)
    const jury = await committee(acme, seats)
    const asset = await published(acme, folder.path, 'press 4', jury)
    const registered = await acme.client.assets.register(asset, {})
    await inState(acme, registered.id, 'CERTIFIED')
    const draft = await acme.client.handovers.draft({ asset, to: 'Bolt' })
    assert.is(draft.committee.mode, mode)
    assert.is(draft.content, true)
    assert.match(draft.committee.words, words)
    assert.is(draft.committee.words.includes('Byzantine'), draft.committee.f > 0 && mode === 'byzantine')
    const offered = await acme.client.handovers.offer({ asset, to: 'Bolt' })
    const seen = await inState(bolt, offered.id, 'OFFERED')
    assert.is(seen.doubt, undefined, 'all are partners of each other')
    assert.is(seen.weaker?.mode, verdict === 'verified' ? undefined : mode)
    if (seen.weaker) {
      const refusal = await bolt.client.handovers.accept(offered.id).catch(error => error)
      assert.ok(isWaybillError(refusal, 'MODE_WEAKER'))
    }
    await bolt.client.handovers.accept(offered.id, seen.weaker?.mode)
    const done = await inState(acme, offered.id, 'CERTIFIED')
    assert.is(done.votes.length >= done.committee.q, true)
    await inState(bolt, offered.id, 'CERTIFIED')
    const owner = await bolt.client.assets.owner(asset, { fresh: true })
    assert.equal([owner.owner.name, owner.version], ['Bolt', 1])
    assert.is(owner.fresh!.seats.length >= owner.committee.q, true)
    const evidence = await bolt.client.assets.evidence(asset)
    const report = verifyOwnership(evidence, await bolt.client.trust())
    assert.is(report.verdict, verdict, JSON.stringify(report.steps))
    const weak = report.steps.find(
      ({ status, id }) => status === 'inconclusive' && id.startsWith('committee'),
    )
    why ? assert.match(weak!.detail, why) : assert.is(weak, undefined)
    const doubts = draft.doubts.map(text => `committee not trusted: ${text}`)
    assert.equal(doubts, weak ? [weak.detail] : [], 'what was said before is what is found afterwards')
    // Whoever believes nobody is not told that it holds.
    const nobody = { schema: 'waybill.trust/1', identities: [], committees: [] }
    assert.is(verifyOwnership(evidence, nobody).verdict, 'inconclusive')
  }
}, 240_000)

test('six daemons under kill -9: no second certificate, no vote twice, every hand-over that was begun ends', async () => {
  using folder = temporary()
  await using all = new AsyncDisposableStack()
  const daemons = await mesh(6, folder.path, all)
  const [acme, bolt, ...seats] = daemons as [TestDaemon, TestDaemon, ...TestDaemon[]]
  for (const seat of seats) await bolt.client.juries.certify(seat.name, true)
  const jury = await committee(acme, seats)
  const orders: { asset: string; order: string }[] = []
  let over = false
  let kills = 0
  const killing = (async () => {
    for (let i = 0; !over; i++) {
      await new Promise(done => setTimeout(done, 400))
      await daemons[(i * 5) % daemons.length]!.restart()
      kills++
    }
  })()
  for (let i = 0; i < 60 && (i < 8 || kills < 8); i++) {
    const asset = await calling(acme, () => published(acme, folder.path, `press ${i}`, jury))
    const { id } = await calling(acme, client => client.assets.register(asset, {})).catch(() => ({ id: '' }))
    if (!id) continue
    await inState(acme, id, 'CERTIFIED')
    const offered = await calling(acme, client => client.handovers.offer({ asset, to: 'Bolt' })).catch(
      async () => {
        const found: OrderView[] = []
        for await (const each of acme.client.handovers.list()) found.push(each)
        return found.find(each => each.asset === asset && each.version === 1)
      },
    )
    if (!offered) continue
    orders.push({ asset, order: offered.id })
    await inState(bolt, offered.id, 'OFFERED', 'ACCEPTED', 'VOTING', 'CERTIFIED')
    await calling(bolt, client => client.handovers.accept(offered.id)).catch(error => {
      if (!isWaybillError(error, 'OUT_OF_ORDER')) throw error // it was taken, and the answer lost
    })
  }
  over = true
  await killing
  assert.ok(orders.length > 4, `${orders.length} were offered`)
  for (const { asset, order } of orders) {
    await inState(acme, order, 'CERTIFIED')
    await inState(bolt, order, 'CERTIFIED')
    for (const daemon of [acme, bolt])
      assert.equal((await daemon.client.assets.owner(asset)).order, order, 'one certificate of version 1')
    const fresh = await eventually('its seats say so', async () => {
      const view = await bolt.client.assets.owner(asset, { fresh: true })
      return view.fresh!.atMs === undefined ? undefined : view.fresh
    })
    assert.ok(fresh.seats.length >= 3)
  }
  for (const daemon of daemons) {
    const { problems } = await daemon.client.status()
    assert.not.ok(problems.some(({ code }) => code === 'ASSET_FROZEN'))
  }
  console.log(`${orders.length} hand-overs, ${kills} kills`)
}, 240_000)

test.run()
