/** Several owners by the commands, between real daemons: who signs, what is said of it before, and what `verify` says afterwards. */
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { OrderView, OwnerHistory } from '../../node/schema-ownership.ts'
import { suite, temporary } from '../harness.ts'
import { eventually, type TestDaemon } from '../node/daemons.ts'
import { committee, inState, mesh, published } from '../node/ownership-mesh.ts'
import { document, fourLines, type Run, run } from './run-cli.ts'

const test = suite('sdk/cli/joint owners, slow')

const as = (daemon: TestDaemon, ...args: string[]): Promise<Run> => run(['--home', daemon.home, ...args])
const yes = (daemon: TestDaemon, ...args: string[]): Promise<Run> => as(daemon, '--json', '--yes', ...args)

const orderOf = (ended: Run): OrderView => {
  assert.is(ended.code, 0, ended.stderr)
  return document(ended, 'waybill.handover/1') as OrderView
}

/** The order of a version that waits for this one. */
const waiting = (daemon: TestDaemon, version: number): Promise<string> =>
  eventually(`${daemon.name} is asked`, async () => {
    const { items } = document(await yes(daemon, 'handover'), 'waybill.handovers/1') as { items: OrderView[] }
    return items.find(each => each.version === version && each.state === 'OFFERED')?.id
  })

test('three register together, two of them hand it over while the third is away, and one alone does not', async () => {
  using folder = temporary()
  await using all = new AsyncDisposableStack()
  const [acme, bolt, cole, dunn, eder] = (await mesh(5, folder.path, all)) as [
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
  ]
  const jury = await committee(acme, [dunn])
  const asset = await published(acme, folder.path, 'press 4', jury)
  const others = ['--with', 'Bolt', 'Cole', '--needs']
  fourLines(await as(acme, 'assets', 'register', asset, ...others, '1'), 2, 'USAGE')
  const registering = as(acme, '--yes', 'assets', 'register', asset, ...others, '2')
  const first = await waiting(bolt, 0)
  const weak = await as(bolt, 'handover', 'accept', first)
  assert.is(weak.code, 5)
  assert.match(weak.stderr, /MODE_WEAKER/)
  assert.match(weak.stderr, /is of (Acme|Bolt|Cole) and /)
  assert.match(weak.stderr, /any 2 of 3 owners sign .* if more than 1 disappear.* one who signs two orders/)
  const agree = async (owner: TestDaemon) =>
    orderOf(await yes(owner, 'handover', 'accept', await waiting(owner, 0), '--mode', 'all'))
  await Promise.all([bolt, cole].map(agree))
  const registered = await registering
  assert.is(registered.code, 0)
  assert.match(registered.stderr, /any 2 of 3 owners sign/)
  for (const owner of [acme, bolt]) await inState(owner, first, 'CERTIFIED')
  const opened = join(folder.path, 'opened.waybill')
  assert.is((await yes(acme, 'assets', 'disclose', asset, '-o', opened)).code, 0)
  assert.match((await as(bolt, 'verify', opened)).stdout, /VERIFIED {2}Acme registered/)

  // Bolt, which is not named by itself, writes the hand-over; with Eder's signature alone it is nobody's.
  const before = join(folder.path, 'before.waybill')
  assert.is((await yes(bolt, 'owner', asset, '-o', before)).code, 0)
  assert.match((await as(bolt, 'verify', before)).stdout, /\(2 of them sign\) own version 0/)
  // That one hand controls two owners, is said before a hand-over and by `verify` alike.
  const oneHand = /own it together, and are under the same control/
  assert.is((await yes(bolt, 'control', 'Acme', 'Eder')).code, 0)
  const twins = await as(bolt, '--no-input', 'handover', asset, 'Eder', '--with', 'Acme')
  assert.match(twins.stderr, oneHand)
  assert.is((await yes(bolt, 'control', 'Eder', '--off')).code, 0)
  assert.is((await yes(bolt, 'control', 'Acme', 'Cole')).code, 0)
  assert.match((await as(bolt, 'verify', before)).stdout, oneHand)
  assert.is((await yes(bolt, 'control', 'Acme', '--off')).code, 0)
  await cole.kill()
  const asked = await as(bolt, '--no-input', 'handover', asset, 'Eder')
  assert.match(asked.stderr, /2 of its 3 owners must sign it/)
  assert.match(asked.stderr, /votes on this: Dunn; on the word of one alone/)
  assert.match(asked.stderr, /not trusted by this home: it has 1 of at least 4 seats/)
  assert.not.match(asked.stderr, oneHand)
  assert.match(
    asked.stderr,
    /content is not at this home, and does not pass with it; .* go on under Acme/,
    'Acme has it',
  )
  const { id } = orderOf(await yes(bolt, 'handover', asset, 'Eder'))
  const taking = yes(eder, 'handover', 'accept', await waiting(eder, 1), '--mode', 'all')
  await eventually('Eder has signed', async () => {
    const { parties } = await bolt.client.handovers.get(id)
    return parties.find(({ name }) => name === 'Eder')?.signed || undefined
  })
  assert.is((await bolt.client.handovers.get(id)).state, 'OFFERED')
  assert.is((await dunn.client.assets.owner(asset)).version, 0)
  orderOf(await yes(acme, 'handover', 'accept', await waiting(acme, 1)))
  assert.is(orderOf(await taking).version, 1)
  await inState(eder, id, 'CERTIFIED')
  const file = join(folder.path, 'owner.waybill')
  assert.is((await yes(eder, 'owner', asset, '-o', file)).code, 0)
  const proven = await as(eder, 'verify', file)
  assert.is(proven.code, 7, 'one seat is no committee to be trusted')
  assert.match(proven.stdout, /Eder owns version 1/)
  assert.match(proven.stdout, /on the word of one alone/)

  // What Eder registers as bought it has bought: by this order, and not by one by which another did.
  await inState(bolt, id, 'CERTIFIED')
  const again = await published(eder, folder.path, 'press 4 again', jury)
  const bought = orderOf(await yes(eder, 'assets', 'register', again, '--bought', id))
  assert.is(bought.state, 'CERTIFIED')
  const { items } = document(
    await yes(eder, 'assets', 'history', again),
    'waybill.owner-history/1',
  ) as OwnerHistory
  assert.equal(
    items.map(({ bought }) => [bought?.order, bought?.of.name]),
    [[id, 'Bolt']],
  )
  const told = join(folder.path, 'bought.waybill')
  assert.is((await yes(eder, 'owner', again, '-o', told)).code, 0)
  const verified = (await as(eder, 'verify', told)).stdout
  assert.match(verified, /bought of .* by hand-over 1 of /)
  assert.match(verified, /committee of the purchase/)
  const gave = await published(bolt, folder.path, 'press 5', jury)
  fourLines(await as(bolt, 'assets', 'register', gave, '--bought', id), 6, 'CERTIFICATE_INVALID')
  const made = await published(eder, folder.path, 'press 6', jury)
  fourLines(await as(eder, 'assets', 'register', made, '--bought', bought.id), 6, 'CERTIFICATE_INVALID')
}, 240_000)

test.run()
