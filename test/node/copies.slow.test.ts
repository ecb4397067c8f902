/** Old stores and copies of a log's owner and of its members: no two heads that contradict each other are signed (RULES D1). */
import { cpSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import {
  eventuallyProblem,
  exchange,
  headOf,
  headsIn,
  logOf,
  problems,
  publish,
  putBack,
  type SignedHead,
  settled,
  withMembers,
} from './committees.ts'
import { eventually, TestDaemon } from './daemons.ts'

const test = suite('node/copies, slow')
const HOSTILE = join(import.meta.dirname, 'hostile-witness.ts')
const LIMIT_MS = 240_000

/** Of these homes at rest: every head of the owner's log lies in one tree. Returns how many heads there are. */
async function oneHistory(homes: TestDaemon[], org: string): Promise<SignedHead[]> {
  const found = await Promise.all(homes.map(home => headsIn(home, org)))
  const heads = found.flatMap(each => each.heads).sort((a, b) => b.size - a.size)
  const [newest] = heads
  assert.ok(newest)
  const tree = found.find(({ rootAt }) => rootAt(newest!.size) === newest!.root)
  assert.ok(tree, 'the newest head is of a tree that is here')
  for (const { size, root, home } of heads) assert.is(tree!.rootAt(size), root, `${size} in ${home}`)
  return heads
}

test(
  'a store that was put back signs no second head once it has a member: it only reads, until its entries come back from a mirror',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const { owner, members } = await withMembers(folder.path, undo, 1)
    const [member] = members as [TestDaemon]
    await owner.client.logs.mirror(member.ready.id)
    await owner.kill()
    const copy = join(folder.path, 'copy')
    cpSync(owner.home, copy, { recursive: true })
    const before = await owner.up().then(() => headOf(owner))
    await publish(owner, folder.path)
    await settled(owner, 1)
    const newest = (await headOf(owner))!
    assert.ok(newest.size > before!.size)
    await eventually('the mirror has it', async () => {
      const [mirrored] = (await member.client.logs.mirroring()).held
      return mirrored?.size === newest.size || undefined
    })
    await owner.kill()
    putBack(owner, copy)
    await owner.up()
    // Another entry in the place of the one that the member holds.
    await publish(owner, folder.path).catch(error => assert.is(error.code, 'RESTORED_BEHIND', String(error)))
    await eventuallyProblem(owner, 'RESTORED_BEHIND')
    assert.equal(await headOf(owner), before, 'no head after the one in the backup')
    await rejectsCode(publish(owner, folder.path), 'RESTORED_BEHIND')
    // The operator says that this is the only copy.
    const cli = (...args: string[]) => run(['--home', owner.home, '--json', ...args])
    fourLines(await run(['--home', owner.home, 'log', 'recover']), 2, 'INPUT_REQUIRED')
    const back = document(await cli('log', 'recover', '--yes'), 'waybill.recovered/1')
    assert.equal([back.from, back.size], [before!.size, newest.size])
    await settled(owner, 1)
    await exchange(owner, member, folder.path)
    await settled(owner, 1)
    assert.not.ok((await problems(owner)).includes('RESTORED_BEHIND'))
    fourLines(await run(['--home', owner.home, 'log', 'recover', '--yes']), 9, 'OUT_OF_ORDER')
    await owner.restart()
    await publish(owner, folder.path)
    await settled(owner, 1)
    await soundAtBoth(owner, member)
    const heads = await oneHistoryAtRest([owner, member], owner.ready.id)
    assert.ok(
      heads.some(each => each.size === newest.size && each.root === newest.root),
      'the very same head',
    )
    // The mirror keeps the successor too, from its first entry.
    for (const each of [member, owner]) await each.up()
    assert.is((await cli('log', 'succeed', '--yes')).code, 0)
    await publish(owner, folder.path)
    await settled(owner, 1)
    await soundAtBoth(owner, member)
  },
  LIMIT_MS,
)

/** Every entry, head and cosignature of a log, at home and at its mirror once that has all of it. */
async function soundAtBoth(owner: TestDaemon, mirror: TestDaemon): Promise<void> {
  const { size } = (await headOf(owner))!
  await eventually('the mirror follows', async () => {
    const [held] = (await mirror.client.logs.mirroring()).held
    return held?.size === size || undefined
  })
  for (const { home } of [owner, mirror]) {
    const audited = document(await run(['--home', home, '--json', 'audit', owner.name]), 'waybill.audit/1')
    assert.equal([audited.size, audited.faults], [size, []])
  }
}

test(
  'owner and member both put back: the member signs nothing that it may have signed otherwise, and the log goes on as its next',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const { owner, members } = await withMembers(folder.path, undo, 1)
    const [member] = members as [TestDaemon]
    await member.client.committee.create({ partners: [owner.ready.id] })
    await settled(member, 1)
    await settled(owner, 1)
    const copies = [owner, member].map(daemon => [daemon, join(folder.path, `${daemon.name}-copy`)] as const)
    for (const [daemon] of copies) await daemon.kill()
    for (const [daemon, copy] of copies) cpSync(daemon.home, copy, { recursive: true })
    for (const [daemon] of copies) await daemon.up()
    const before = (await headOf(owner))!
    await publish(owner, folder.path)
    await settled(owner, 1)
    assert.ok((await headOf(owner))!.size > before.size)
    for (const [daemon] of copies) await daemon.kill()
    for (const [daemon, copy] of copies) putBack(daemon, copy)
    for (const [daemon] of copies) await daemon.up()
    for (const [daemon] of copies) await eventuallyProblem(daemon, 'RESTORED')
    // Nobody here remembers the head that was signed: only a member that knows what it forgot keeps it the only one.
    await publish(owner, folder.path)
    await eventually('the member says why it does not promise', async () => {
      const { witnesses } = await owner.client.status()
      return witnesses.some(({ problem }) => problem?.includes('put back')) || undefined
    })
    await new Promise(done => setTimeout(done, 5_000))
    assert.equal(await headOf(owner), before)
    assert.is((await run(['--home', owner.home, 'log', 'succeed', '--yes'])).code, 0)
    await settled(owner, 1)
    await oneHistoryAtRest([owner, member], owner.ready.id)
  },
  LIMIT_MS,
)

async function oneHistoryAtRest(homes: TestDaemon[], org: string): Promise<SignedHead[]> {
  for (const home of homes) if (home.running) await home.kill()
  return oneHistory(homes, org)
}

test(
  'one of four members put back: the log goes on with the others, and it promises again in the successor only',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const { owner, members } = await withMembers(folder.path, undo, 4)
    const [member] = members as [TestDaemon]
    await member.client.committee.create({ partners: [owner.ready.id] })
    await settled(member, 1)
    await member.kill()
    const copy = join(folder.path, 'copy')
    cpSync(member.home, copy, { recursive: true })
    await member.up()
    await publish(owner, folder.path)
    await eventually('it cosigns', () => cosignedNewest(owner, member))
    await member.kill()
    putBack(member, copy)
    await member.up()
    await eventuallyProblem(member, 'RESTORED')
    await publish(owner, folder.path)
    await settled(owner, 4)
    await eventually('it says why it does not sign', async () => {
      const found = (await owner.client.status()).witnesses.find(({ id }) => id === member.ready.id)
      return found?.problem?.includes('put back') || undefined
    })
    assert.is((await run(['--home', owner.home, 'log', 'succeed', '--yes'])).code, 0)
    await settled(owner, 4)
    await publish(owner, folder.path)
    await eventually('it promises and cosigns', () => cosignedNewest(owner, member))
    await oneHistoryAtRest([owner, ...members], owner.ready.id)
  },
  LIMIT_MS,
)

async function cosignedNewest(owner: TestDaemon, member: TestDaemon): Promise<true | undefined> {
  const { witnesses, log } = await owner.client.status()
  const found = witnesses.find(({ id }) => id === member.ready.id)!
  return (found.cosignedSize === log.size && found.problem === undefined && log.final) || undefined
}

test(
  'a home and its copy, both running among four members of which one lies: one history is signed',
  async () => {
    using folder = temporary()
    await using undo = new AsyncDisposableStack()
    const { owner, members } = await withMembers(folder.path, undo, 4, (member, i) => {
      if (i === 3) Object.assign(member, { program: HOSTILE, env: { WITNESS: 'lie' } })
    })
    await owner.kill()
    const twin = undo.use(new TestDaemon('Twin', folder.path))
    cpSync(owner.home, twin.home, { recursive: true })
    await owner.up()
    const before = (await headOf(owner))!
    await twin.up()
    for (const copy of [owner, twin])
      await eventually(`${copy.name} talks to members`, async () => {
        const { connected } = await copy.client.status()
        return connected > 0 || undefined
      })
    // Each logs what the other does not, for as long as it may, and asks for promises.
    for (let round = 0; round < 6; round++) {
      const done = await Promise.allSettled([owner, twin].map(copy => publish(copy, folder.path)))
      for (const each of done)
        if (each.status === 'rejected') assert.is(each.reason.code, 'RESTORED_BEHIND', String(each.reason))
      await new Promise(resolve => setTimeout(resolve, 1_500))
    }
    // Answers to the one may have gone to the other, which has the same keys: each hears once more what became of its log.
    for (const [copy, other] of [
      [twin, owner],
      [owner, twin],
    ] as const) {
      await other.kill()
      if (!copy.running) await copy.up()
      await eventually(`${copy.name} is told, or its log has grown`, async () => {
        const isTold = (await problems(copy)).includes('RESTORED_BEHIND')
        return isTold || (await headOf(copy))!.size > before.size || undefined
      })
      assert.ok((await logOf(copy)).size > before.size, `${copy.name} has entries that no other has`)
    }
    const heads = await oneHistoryAtRest([owner, twin, ...members], owner.ready.id)
    assert.ok(heads.some(({ home }) => home === twin.name) && heads.some(({ home }) => home === owner.name))
  },
  LIMIT_MS,
)

test.run()
