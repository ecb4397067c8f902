/** Committees of one to four partners, a store that is put back, and a copy of a home, with real daemons (RULES D1, D3). */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { parseCheckpoint } from '../../crypto/checkpoint.ts'
import { parseNote } from '../../crypto/note.ts'
import { isWaybillError } from '../../sdk/error.ts'
import { suite } from '../harness.ts'
import { eventually, pair, TestDaemon } from './daemons.ts'

const test = suite('node/committee, slow')

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'waybill-committee-'));
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

let count = 0
async function publish(daemon: TestDaemon, folder: string): Promise<void> {
  const path = join(folder, `file-${++count}`)
  writeFileSync(path, `content ${count}`)
  await daemon.client.packets.publish({ title: `file ${count}`, files: [{ path, name: 'a.txt' }] })
}

const logOf = async (daemon: TestDaemon) => (await daemon.client.status()).log
const seats = async (daemon: TestDaemon) => (await daemon.client.committee.get()).inForce?.n ?? 0

/** The log's newest head is final and covers everything. */
const settled = (daemon: TestDaemon, n: number) =>
  eventually(`a final head under a committee of ${n}`, async () => {
    const { final, headSize, size, position } = await logOf(daemon)
    return (final && headSize === size && (await seats(daemon)) === n && position) || undefined
  })

test('one, two, three and four partners: what a head is worth in words, and no head while too few are there', async () => {
  using folder = new Folder()
  await using all = new AsyncDisposableStack()
  const owner = all.use(await TestDaemon.start('Acme Steel', folder.path))
  const partners: TestDaemon[] = []
  assert.is((await logOf(owner)).final, false)
  const WORDS = [
    /^final, 1 of 1: dated by Bolt's word$/,
    /^final, 2 of 2: safe only if nobody lies$/,
    /^final, [23] of 3: safe only if nobody lies$/,
    /^final, [34] of 4: safe while at most 1 of 4 lie$/,
  ]
  for (const [i, name] of ['Bolt', 'Cole', 'Dunn', 'Eder'].entries()) {
    const partner = all.use(await TestDaemon.start(name, folder.path))
    await pair(owner, partner)
    partners.push(partner)
    await owner.client.partners.witness(partner.ready.id)
    await publish(owner, folder.path)
    assert.match(await settled(owner, i + 1), WORDS[i]!)
  }
  // q = 3 of 4: one may be away, two may not.
  await partners[0]!.kill()
  await publish(owner, folder.path)
  await settled(owner, 4)
  await partners[1]!.kill()
  const { headSize } = await logOf(owner)
  await publish(owner, folder.path)
  await new Promise(done => setTimeout(done, 6_000))
  const waiting = await logOf(owner)
  assert.is(waiting.headSize, headSize, 'no head is signed')
  assert.ok(waiting.size > headSize, 'and entries are made')
  await partners[1]!.up()
  await settled(owner, 4)
}, 280_000)

/** Sizes and roots of the heads that a daemon holds of its own log. */
async function headOf(daemon: TestDaemon): Promise<{ size: number; root: string } | undefined> {
  const { head } = await daemon.client.log({})
  if (!head) return undefined
  const { size, root } = parseCheckpoint(parseNote(head).body)
  return { size, root: Buffer.from(root).toString('hex') }
}

const isBehind = (daemon: TestDaemon) =>
  eventually('it finds that it is behind', async () => {
    const { problems } = await daemon.client.status()
    return problems.some(({ code }) => code === 'RESTORED_BEHIND') || undefined
  })

test('a store that was put back signs no second head once it has a member: it says so, and only reads', async () => {
  using folder = new Folder()
  await using all = new AsyncDisposableStack()
  const owner = all.use(await TestDaemon.start('Acme Steel', folder.path))
  const member = all.use(await TestDaemon.start('Bolt', folder.path))
  await pair(owner, member)
  await owner.client.partners.witness(member.ready.id)
  await settled(owner, 1)
  await owner.kill()
  const backup = join(folder.path, 'backup')
  cpSync(owner.home, backup, { recursive: true })
  const before = await owner.up().then(() => headOf(owner))
  await publish(owner, folder.path)
  await settled(owner, 1)
  const newest = (await headOf(owner))!
  assert.ok(newest.size > before!.size)
  await owner.kill()
  rmSync(owner.home, { recursive: true })
  cpSync(backup, owner.home, { recursive: true })
  await owner.up()
  // Another entry in the place of the one that the member holds.
  await publish(owner, folder.path).catch(error =>
    assert.ok(isWaybillError(error, 'RESTORED_BEHIND'), String(error)),
  )
  await isBehind(owner)
  assert.equal(await headOf(owner), before, 'no head after the one in the backup')
  let code = ''
  await publish(owner, folder.path).catch(error => {
    code = error.code
  })
  assert.is(code, 'RESTORED_BEHIND')
}, 120_000)

test('a copied home that runs beside the first signs nothing against it while the log has a member', async () => {
  using folder = new Folder()
  await using all = new AsyncDisposableStack()
  const owner = all.use(await TestDaemon.start('Acme Steel', folder.path))
  const member = all.use(await TestDaemon.start('Bolt', folder.path))
  await pair(owner, member)
  await owner.client.partners.witness(member.ready.id)
  await settled(owner, 1)
  await owner.kill()
  const twin = all.use(new TestDaemon('Twin', folder.path))
  cpSync(owner.home, twin.home, { recursive: true })
  await owner.up()
  const started = await twin.up().then(
    () => true,
    () => false,
  )
  const before = await headOf(owner)
  await publish(owner, folder.path)
  if (started) await publish(twin, folder.path).catch(() => {})
  await new Promise(done => setTimeout(done, 10_000))
  const heads = [await headOf(owner), started ? await headOf(twin) : before]
  const fresh = heads.filter(head => head!.size > before!.size)
  assert.ok(fresh.length <= 1, JSON.stringify(heads))
}, 120_000)

test.run()
