/** Seats whose store is not shown to be as new as their votes (RULES E3), as real daemons on a machine of their own each. */
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import * as assert from 'uvu/assert'
import { paths } from '../../node/config.ts'
import { openStore } from '../../node/store.ts'
import { KEY } from '../../protocol/layout.ts'
import { isWaybillError } from '../../sdk/error.ts'
import { suite, temporary } from '../harness.ts'
import { calling, eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('node/seats that lost votes, slow')
const LONG_MS = 110_000

/** A daemon with a state folder of its own. */
async function begin(name: string, folder: string): Promise<TestDaemon> {
  const daemon = new TestDaemon(name, folder)
  daemon.env = { XDG_STATE_HOME: join(folder, `${name} state`) }
  await daemon.up()
  return daemon
}
const markOf = (daemon: TestDaemon): string =>
  join(daemon.env.XDG_STATE_HOME!, 'waybill', daemon.ready.id, 'mark.json')

/** Starts it again after what happens to its mark. */
async function marked(daemon: TestDaemon, change: (path: string) => void): Promise<void> {
  await daemon.kill()
  change(markOf(daemon))
  await daemon.up()
}

test(
  'a seat without its mark abstains, and one behind its mark votes no more',
  async () => {
    using dir = temporary()
    await using acme = await begin('Acme', dir.path)
    await using bolt = await begin('Bolt', dir.path)
    await using cole = await begin('Cole', dir.path)
    await using dunn = await begin('Dunn', dir.path)
    for (const other of [bolt, cole, dunn]) await pair(acme, other)
    for (const seat of [cole, dunn]) await pair(bolt, seat)
    await acme.client.juries.create({ partners: ['Cole', 'Dunn'] })
    const jury = await eventually(
      'a committee',
      async () => (await acme.client.juries.get()).items.find(({ seats }) => seats.length === 2)?.id,
    )
    const path = join(dir.path, 'press.csv')
    writeFileSync(path, 'content')
    const registered = async (title: string) => {
      const files = [{ path, name: 'press.csv' }]
      const { asset } = await acme.client.packets.publish({ title, files, committee: jury! })
      const { id } = await acme.client.assets.register(asset, {})
      await eventually('both voted', async () =>
        (await acme.client.handovers.get(id)).state === 'CERTIFIED' ? true : undefined,
      )
      return asset
    }
    const [asset, second] = [await registered('press'), await registered('press 2')]
    // The marks are written soon after the votes.
    const votes = (seat: TestDaemon): { votes: number } => JSON.parse(readFileSync(markOf(seat), 'utf8'))
    for (const seat of [cole, dunn])
      await eventually('both votes in the mark', async () => (votes(seat).votes > 1 ? true : undefined))
    await marked(cole, rmSync)
    const order = await acme.client.handovers.offer({ asset, to: 'Bolt' })
    await eventually('the offer at the buyer', () =>
      calling(bolt, client => client.handovers.accept(order.id, 'all')).catch(() => undefined),
    )
    const names = (of: { name: string }[]) => of.map(({ name }) => name)
    const asked = await eventually('Cole refuses, and Dunn votes', async () => {
      const { refused, votes } = await acme.client.handovers.get(order.id)
      return refused.length > 0 && votes.length > 0 ? { refused, votes } : undefined
    })
    assert.equal(
      asked.refused.map(({ name, code }) => [name, code]),
      [['Cole', 'STORE_UNPROVEN']],
    )
    assert.equal(names(asked.votes), ['Dunn'])
    await eventually('its third vote in the mark', async () => (votes(dunn).votes > 2 ? true : undefined))
    await marked(dunn, mark => {
      const before = votes(dunn)
      writeFileSync(mark, JSON.stringify({ ...before, votes: before.votes + 1 }))
    })
    // The log of Dunn has no members, so that nothing is signed with its store at all.
    const { problems } = await dunn.client.status()
    assert.ok(problems.some(({ code }) => code === 'RESTORED_UNWITNESSED'))
    // What it lost it says; from there on nobody signs what both would have to vote on.
    const refusal = await eventually('Acme hears of it', async () => {
      const [committee] = (await acme.client.juries.get()).items
      if (!committee!.seats.some(({ lost }) => lost)) return undefined
      assert.match(committee!.words, '1 of 2 seats lost their votes, and 2 must vote')
      return await acme.client.handovers.offer({ asset: second, to: 'Bolt' }).catch(error => error)
    })
    assert.ok(isWaybillError(refusal, 'SEAT_LOST'))
    for (const each of [asset, second]) assert.is((await acme.client.assets.owner(each)).version, 0)

    // The way back: Cole's next seat, in another committee, votes, and goes on to after a restart.
    const unproven = await cole.client.status()
    assert.ok(unproven.problems.some(({ code, hint }) => code === 'SEATS_UNPROVEN' && /reseat/.test(hint!)))
    await acme.client.juries.create({ partners: ['Cole'], replaces: jury! })
    const next = await eventually(
      'a committee with a new seat',
      async () => (await acme.client.juries.get()).items.find(({ seats }) => seats.length === 1)?.id,
    )
    for (const name of ['one.csv', 'two.csv']) {
      const files = [{ path, name }]
      const made = await acme.client.packets.publish({ title: name, files, committee: next! })
      const { id } = await acme.client.assets.register(made.asset, {})
      await eventually('Cole voted', async () =>
        (await acme.client.handovers.get(id)).state === 'CERTIFIED' ? true : undefined,
      )
      await cole.restart()
    }
    const { problems: left } = await cole.client.status()
    assert.not.ok(
      left.some(({ code }) => code === 'SEATS_UNPROVEN'),
      'that seat is replaced',
    )
  },
  LONG_MS,
)

test(
  'a machine that was set back with its disk notices nothing; once a member says that its log went on, its seats end',
  async () => {
    using dir = temporary()
    await using acme = await begin('Acme', dir.path)
    await using cole = await begin('Cole', dir.path)
    await using dunn = await begin('Dunn', dir.path)
    await pair(acme, dunn)
    await pair(dunn, cole)
    await acme.client.juries.create({ partners: ['Dunn'] })
    const lost = async () => (await acme.client.juries.get()).items[0]?.seats[0]?.lost
    await eventually('a committee', async () => ((await lost()) === false ? true : undefined))
    await dunn.client.partners.witness(cole.ready.id)
    await eventually('a committee of the log', async () => {
      const { entries } = await dunn.client.log({ limit: 1_000 })
      const isFinal = entries.some(
        ({ record, position }) => record?.type === 'committee/1' && /final/.test(position),
      )
      return isFinal ? true : undefined
    })
    const saved = join(dir.path, 'saved')
    // All files but that whose inode is the place: a disk that is set back keeps it.
    const isKept = (path: string) => !['place', 'lock'].includes(basename(path))
    await dunn.end('SIGTERM')
    cpSync(dunn.home, saved, { recursive: true, filter: isKept })
    const mark = readFileSync(markOf(dunn))
    await dunn.up()
    const { headSize } = (await dunn.client.status()).log
    const publish = async (name: string) => {
      const path = join(dir.path, name)
      writeFileSync(path, name)
      await dunn.client.packets.publish({ title: name, files: [{ path, name }] })
    }
    await publish('one.csv')
    await eventually('another head', async () =>
      (await dunn.client.status()).log.headSize > headSize ? true : undefined,
    )
    await dunn.end('SIGTERM')
    for (const name of readdirSync(dunn.home).filter(isKept))
      rmSync(join(dunn.home, name), { recursive: true })
    cpSync(saved, dunn.home, { recursive: true })
    writeFileSync(markOf(dunn), mark)
    await dunn.up()
    const problems = async () => (await dunn.client.status()).problems.map(({ code }) => code)
    assert.not.ok((await problems()).includes('RESTORED'), 'nothing is noticed')
    await publish('two.csv').catch(() => {})
    await eventually('the member says so', async () =>
      (await problems()).includes('RESTORED_BEHIND') ? true : undefined,
    )
    // What ends seats and tickets at a start that notices it ends them now (protocol/restored.ts).
    await eventually('its seats end', async () =>
      (await problems()).includes('RESTORED') ? true : undefined,
    )
  },
  LONG_MS,
)

test(
  'a node that ended between what its members said and the end of its seats ends them at the next start',
  async () => {
    using dir = temporary()
    await using acme = await begin('Acme', dir.path)
    const problems = async () => (await acme.client.status()).problems.map(({ code }) => code)
    assert.not.ok((await problems()).includes('RESTORED_UNWITNESSED'))
    await acme.end('SIGTERM')
    {
      const onFailure = (error: Error) => assert.unreachable(String(error))
      await using store = await openStore(paths(acme.home).store, { create: false, onFailure })
      store.commit([{ key: KEY.seatsEnding, value: new Uint8Array() }], () => {})
      await store.idle()
    }
    await acme.up()
    assert.ok((await problems()).includes('RESTORED_UNWITNESSED'))
    await acme.end('SIGTERM')
    await using store = await openStore(paths(acme.home).store, { create: false, onFailure: () => {} })
    assert.is(store.get(KEY.seatsEnding), undefined)
  },
  LONG_MS,
)

test.run()
