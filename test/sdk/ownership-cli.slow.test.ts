/** The commands about owners, between real daemons: from a committee to an agreement with the new owner, and what `verify` says. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Juries, OrderView } from '../../node/schema-ownership.ts'
import { suite, temporary } from '../harness.ts'
import { eventually, type TestDaemon } from '../node/daemons.ts'
import { mesh } from '../node/ownership-mesh.ts'
import { document, fourLines, type Run, run } from './run-cli.ts'

const test = suite('sdk/cli/ownership, slow')

const as = (daemon: TestDaemon, ...args: string[]): Promise<Run> => run(['--home', daemon.home, ...args])

/** What a command that succeeds answers. */
async function said<T>(daemon: TestDaemon, schema: string, ...args: string[]): Promise<T> {
  const ended = await as(daemon, '--json', '--yes', ...args)
  assert.is(ended.code, 0, `${args.join(' ')}: ${ended.stdout}${ended.stderr}`)
  return document(ended, schema) as T
}

const juries = (daemon: TestDaemon) =>
  said<Juries>(daemon, 'waybill.committees/1', 'committee', 'show', '--assets')

/** The committee of these, once each has signed. */
async function seated(by: TestDaemon, seats: TestDaemon[], ...more: string[]): Promise<string> {
  const names = seats.map(({ name }) => name)
  await said(by, 'waybill.committees/1', 'committee', 'create', '--assets', ...names, ...more)
  return eventually('all seats have signed', async () => {
    const { items } = await juries(by)
    return items.find(each => each.seats.every(({ name }) => names.includes(name)))?.id
  })
}

test('committee, registration, hand-over, evidence, another committee, and an agreement with the new owner', async () => {
  using folder = temporary()
  await using all = new AsyncDisposableStack()
  const [acme, bolt, cole, dunn, eder, fink, gray] = (await mesh(7, folder.path, all)) as [
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
    TestDaemon,
  ]
  const path = (name: string) => join(folder.path, name)
  const seats = [cole, dunn, eder, fink]
  const config = join(fink.home, 'config.toml')
  writeFileSync(config, readFileSync(config, 'utf8').replace('seats = "auto"', 'seats = "person"'))
  await fink.restart()

  // Acme asks four partners; a person sits for one of them.
  const made = seated(acme, seats)
  await eventually('Fink is asked', async () => (await juries(fink)).seatsOffered[0])
  await said(fink, 'waybill.committees/1', 'committee', 'sign', 'Acme', '--assets')
  const jury = await made
  writeFileSync(path('press.csv'), 'time,bar\n2027-01-01T00:00Z,12.5\n')
  const { asset } = await said<{ asset: string }>(
    acme,
    'waybill.published/1',
    'publish',
    path('press.csv'),
    '--committee',
    jury,
  )
  const registered = await said<OrderView>(acme, 'waybill.handover/1', 'assets', 'register', asset)
  assert.equal([registered.version, registered.state], [0, 'CERTIFIED'])

  // The same content once more: what Acme opens of both convicts it, by a file that anybody checks.
  const again = await said<{ asset: string }>(
    acme,
    'waybill.published/1',
    'publish',
    path('press.csv'),
    '--title',
    'Another press',
    '--committee',
    jury,
  )
  await said(acme, 'waybill.handover/1', 'assets', 'register', again.asset)
  const opened = ['one.waybill', 'other.waybill'].map(path)
  for (const [i, each] of [asset, again.asset].entries())
    await said(acme, 'waybill.disclosed/1', 'assets', 'disclose', each, '-o', opened[i]!)
  const twice = path('twice.waybill')
  assert.is((await as(cole, 'verify', ...opened, '--twice', twice)).code, 0)
  const convicted = await as(dunn, 'verify', twice)
  assert.match(convicted.stdout, /VERIFIED {2}Acme registered one content twice/)
  const once = await as(dunn, 'verify', opened[0]!, opened[0]!, '--twice', path('none.waybill'))
  fourLines(once, 6, 'REGISTERED_ONCE')

  // Before it is offered a person reads what the votes are worth.
  const asked = await as(acme, '--no-input', 'handover', asset, 'Bolt')
  assert.match(asked.stderr, /votes on this: .*Byzantine: 3 of 4 vote, safe while at most 1/)
  const { id } = await said<OrderView>(acme, 'waybill.handover/1', 'handover', asset, 'Bolt')
  await eventually('Bolt is offered it', async () => {
    const { items } = await said<{ items: OrderView[] }>(bolt, 'waybill.handovers/1', 'handover')
    return items.find(each => each.id === id)
  })
  const weaker = await as(bolt, 'handover', 'accept', id)
  assert.is(weaker.code, 5)
  assert.match(weaker.stderr, /is not certified\n {2}why {3}MODE_WEAKER/)
  for (const { name } of seats) await said(bolt, 'waybill.certified/1', 'certify', name)
  await said(bolt, 'waybill.control/1', 'control', 'Acme', 'Cole')
  const kin = await as(bolt, 'handover', 'accept', id)
  assert.match(kin.stderr, /under the same control as .*, a party\n {2}why {3}MODE_WEAKER/)
  await said(bolt, 'waybill.control/1', 'control', 'Acme', '--off')
  assert.is((await said<OrderView>(bolt, 'waybill.handover/1', 'handover', 'accept', id)).version, 1)

  // Evidence: true by Bolt's trust, no proof to who certifies nobody, false once it is changed.
  const file = path('owner.waybill')
  await eventually('its seats say so', async () => {
    await said(bolt, 'waybill.owner/1', 'owner', asset, '-o', file, '--force')
    return (await as(bolt, 'verify', file)).code === 0 || undefined
  })
  const proven = await as(bolt, 'verify', file)
  assert.match(proven.stdout, /VERIFIED {2}Bolt owns version 1/)
  const unsure = await as(acme, 'verify', file)
  assert.is(unsure.code, 7)
  assert.match(unsure.stdout, /committee not trusted/)
  // A seat believes itself, and the others by its person's word; one hand's seats count as one.
  for (const { name } of [dunn, eder, fink]) await said(cole, 'waybill.certified/1', 'certify', name)
  const ofCole = await as(cole, 'verify', file)
  assert.is(ofCole.code, 0, ofCole.stdout)
  await said(cole, 'waybill.control/1', 'control', 'Cole', 'Dunn')
  const oneHand = await as(cole, 'verify', file)
  assert.is(oneHand.code, 7)
  assert.match(oneHand.stdout, /2 of its seats are under one control/)
  await said(cole, 'waybill.control/1', 'control', 'Dunn', '--off')
  assert.is((await as(cole, 'verify', file)).code, 0)
  const later = await as(bolt, 'verify', file, '--as-of', new Date(Date.now() + 3 * 86_400_000).toISOString())
  assert.is(later.code, 7)
  assert.match(later.stdout, /freshness unknown/)
  const changed = readFileSync(file)
  const at = changed.indexOf('agreements') + 'agreements'.length
  changed[at]! ^= 1 // whether running agreements go on
  writeFileSync(path('changed.waybill'), changed)
  assert.is((await as(bolt, 'verify', path('changed.waybill'))).code, 6)

  // Bolt lets others vote from then on.
  const next = await seated(bolt, [cole, dunn, eder, gray], '--replaces', jury)
  const reseated = await said<OrderView>(
    bolt,
    'waybill.handover/1',
    'assets',
    'reseat',
    asset,
    '--committee',
    next,
  )
  assert.equal([reseated.version, reseated.state], [2, 'CERTIFIED'])
  const { items } = await said<{ items: { owner: { name: string } }[] }>(
    bolt,
    'waybill.owner-history/1',
    'assets',
    'history',
    asset,
  )
  assert.equal(
    items.map(({ owner }) => owner.name),
    ['Acme', 'Bolt', 'Bolt'],
  )

  // The content passed to Bolt, which shares it; Acme may not any more.
  const terms = ['--to', 'Fink', '--purpose', 'benchmark', '--until', '90d', '--auto']
  fourLines(await as(acme, 'offer', asset, ...terms), 6, 'NOT_OWNER')
  const offer = await eventually('Bolt has the content', async () => {
    const ended = await as(bolt, '--json', 'offer', asset, ...terms)
    return ended.code === 0 ? (document(ended, 'waybill.offer/1') as { id: string }).id : undefined
  })
  const received = path('received.csv')
  const got = await as(fink, 'get', offer, '-o', received, '--purpose', 'benchmark')
  assert.is(got.code, 0, got.stderr)
  assert.equal(readFileSync(received), readFileSync(path('press.csv')))
  await said(bolt, 'waybill.certified/1', 'certify', 'Gray')
  const consented = await as(bolt, 'verify', received)
  assert.match(consented.stdout, /✓ title /, consented.stdout)
}, 240_000)

test.run()
