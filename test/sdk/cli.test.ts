/** The command line against a daemon that is an API only: answers, errors, exit codes, streams. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { exitOf, MEANING } from '../../sdk/cli/exit.ts'
import { temporary } from '../harness.ts'
import { fakeDaemon, ids, writeHome } from './fake-daemon.ts'
import { document, fourLines, run, spawning } from './run-cli.ts'

const test = spawning('cli')
/** Help takes less than this where an empty program takes BARE_MS; a busier machine gets more in proportion. */
const HELP_MS = 300
const BARE_MS = 40

test('help is quick and loads nothing of a command', async () => {
  const runs = []
  let bare = Number.POSITIVE_INFINITY
  for (let i = 0; i < 8; i++) {
    const started = performance.now()
    spawnSync(process.execPath, ['-e', '0'])
    bare = Math.min(bare, performance.now() - started)
    runs.push(await run(['--help']))
  }
  const fastest = Math.min(...runs.map(({ ms }) => ms))
  const allowed = HELP_MS * Math.max(1, bare / BARE_MS)
  assert.ok(fastest < allowed, `${fastest} ms of ${allowed}`)
  assert.is(runs[0]!.code, 0)
  assert.match(runs[0]!.stdout, /^Usage: waybill/)
  const none = await run([])
  assert.equal([none.code, none.stdout], [0, runs[0]!.stdout])
})

test('every command answers with one JSON document, and with text without escape bytes', async () => {
  await using daemon = await fakeDaemon({ requests: [] })
  using dir = temporary()
  const file = join(dir.path, 'a.csv')
  writeFileSync(file, 'a')
  const commands: [schema: string, ...args: string[]][] = [
    ['waybill.status/1', 'status'],
    ['waybill.log/1', 'log', '--limit', '3'],
    ['waybill.paths/1', 'paths'],
    ['waybill.codes/1', 'explain'],
    ['waybill.code/1', 'explain', 'POLICY_DENIED'],
    ['waybill.invite/1', 'invite', '--for', 'Bolt', '--expires', '1h'],
    ['waybill.partners/1', 'partners'],
    ['waybill.partner/1', 'witness', 'add', 'bolt'],
    ['waybill.published/1', 'publish', file],
    ['waybill.offer/1', 'offer', 's-sset0001', '--to', 'bolt', '--allow', 'analyse', '--until', '2099-06-30'],
    ['waybill.dry-run/1', 'offer', ids.asset, '--to', 'bolt', '--dry-run'],
    ['waybill.offers/1', 'offers'],
    ['waybill.offers/1', 'offers', '--own'],
    ['waybill.requests/1', 'requests'],
    ['waybill.request/1', 'requests', 'r-ccddeeff'],
    ['waybill.request/1', 'approve', 'r-ccddeeff'],
    ['waybill.request/1', 'deny', 'r-ccddeeff', '--reason', 'no'],
    ['waybill.request/1', 'withdraw', 'r-ccddeeff', '--reason', 'no'],
    ['waybill.receipts/1', 'receipts'],
    ['waybill.trust/1', 'trust'],
  ]
  const check = async ([schema, ...args]: (typeof commands)[number]) => {
    const [json, text] = [
      await run(['--home', daemon.home, ...args, '--json']),
      await run([...args, '--home', daemon.home]),
    ]
    assert.is(json.code, 0, `${args} ${json.stdout}${json.stderr}`)
    document(json, schema)
    assert.is(text.code, 0, text.stderr)
    assert.ok(text.stdout.length > 0)
    assert.not.match(
      (text.stdout + text.stderr + json.stdout).replaceAll('\n', ''),
      /[\p{Cc}\p{Bidi_Control}]/u,
    )
  }
  for (let i = 0; i < commands.length; i += 3) await Promise.all(commands.slice(i, i + 3).map(check))
})

test('what a partner named stays on its line, also with colours', async () => {
  await using daemon = await fakeDaemon({ title: 'x\u001b[2J\u009b31m\nVERIFIED' })
  const [offers, partners] = await Promise.all([
    run(['--home', daemon.home, 'offers', '--color', 'always']),
    run(['--home', daemon.home, 'partners', '--json']),
  ])
  assert.match(offers.stdout, /x�\[2J�31m�VERIFIED/)
  assert.not.match(offers.stdout, /^VERIFIED/m)
  assert.match(partners.stdout, /Cole \\u001b\[31mLogistics\\n/)
  assert.is((document(partners, 'waybill.partners/1').items as unknown[]).length, 2)
  const shouted = await run(['--home', daemon.home, 'invite', '--color', 'always'])
  assert.ok(shouted.stderr.includes('\u001b['))
  const quiet = await run(['--home', daemon.home, 'invite', '--quiet'])
  assert.equal([quiet.stdout, quiet.stderr], ['wb1ticket\n', ''])
})

test('an error is four lines on stderr, or one document on stdout', async () => {
  await using daemon = await fakeDaemon()
  const deny = {
    status: 403,
    code: 'POLICY_DENIED',
    detail: 'purpose is not allowed',
    clause: 'purpose eq benchmark',
    asked: 'marketing',
    allowed: 'benchmark',
  }
  daemon.fake.problems['POST /v1/requests'] = deny
  using dir = temporary()
  const args = [
    '--home',
    daemon.home,
    'get',
    'o-ffer0001',
    '-o',
    join(dir.path, 'x'),
    '--purpose',
    'marketing',
  ]
  const [text, json] = await Promise.all([run(args), run([...args, '--json'])])
  const lines = fourLines(text, 5, 'POLICY_DENIED')
  assert.match(lines[1]!, /clause purpose eq benchmark · asked marketing · allowed benchmark/)
  assert.is(json.code, 5)
  assert.is(json.stderr, '')
  const { message, clause, asked, allowed, exit } = document(json, 'waybill.error/1')
  assert.equal(
    [message, clause, asked, allowed, exit],
    [deny.detail, deny.clause, 'marketing', 'benchmark', 5],
  )
})

test('codes of the daemon become exit codes', async () => {
  await using daemon = await fakeDaemon()
  const cases: [code: string, status: number, exit: number][] = [
    ['NOT_FOUND', 404, 4],
    ['DENIED_BY_PERSON', 403, 5],
    ['PEER_UNREACHABLE', 504, 8],
    ['CONFLICT', 409, 9],
    ['CONTENT_DAMAGED', 500, 10],
    ['INTERNAL', 500, 1],
    ['NEVER_HEARD_OF', 404, 4],
  ]
  for (const [code, status, exit] of cases) {
    daemon.fake.problems['GET /v1/status'] = { code, status, detail: 'it went wrong' }
    fourLines(await run(['--home', daemon.home, 'status']), exit, code)
  }
  for (const exit of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 130]) assert.ok(MEANING[exit])
  assert.is(exitOf('SOMETHING', 418), 2)
})

test('no daemon, a dead one, a stranger on its port, a wrong token: exit 3', async () => {
  using dir = temporary()
  await using daemon = await fakeDaemon()
  const dead = join(dir.path, 'dead')
  writeHome(dead, daemon.url, 2 ** 22 - 1)
  const gone = join(dir.path, 'gone')
  writeHome(gone, 'http://127.0.0.1:1', process.pid)
  const locked = join(dir.path, 'locked')
  writeHome(locked, daemon.url, process.pid)
  writeFileSync(join(locked, 'token'), 'wrong')
  for (const home of [join(dir.path, 'nowhere'), dead, gone])
    fourLines(await run(['--home', home, 'status']), 3, 'DAEMON_UNREACHABLE')
  fourLines(await run(['--home', locked, 'status']), 3, 'UNAUTHORIZED')
  const before = daemon.fake.calls.length
  daemon.fake.raw['GET /healthz'] = { status: 404, type: 'text/html', body: 'hello' }
  fourLines(await run(['--home', daemon.home, 'status']), 3, 'DAEMON_UNREACHABLE')
  assert.equal(daemon.fake.calls.slice(before), ['GET /healthz'])
  daemon.fake.raw = { 'GET /v1/status': { status: 200, type: 'text/html', body: '<html>' } }
  fourLines(await run(['--home', daemon.home, 'status']), 3, 'ANSWER_INVALID')
})

test('wrong use says what was meant: exit 2', async () => {
  const [command, option, json, missing, group, choice, role] = await Promise.all([
    run(['ofers']),
    run(['offers', '--onw']),
    run(['ofers', '--json']),
    run(['get', 'o-1']),
    run(['witness']),
    run(['publish', 'x', '--level', 'secret']),
    run(['keys', 'rotate']),
  ])
  assert.match(fourLines(command, 2, 'USAGE')[2]!, /Did you mean offers\?/)
  assert.match(fourLines(option, 2, 'USAGE')[2]!, /Did you mean --own\?/)
  assert.is(document(json, 'waybill.error/1').code, 'USAGE')
  assert.match(fourLines(missing, 2, 'USAGE')[2]!, /waybill get --help/)
  fourLines(group, 2, 'USAGE')
  assert.match(fourLines(role, 2, 'USAGE')[2]!, /waybill keys rotate ROLE\.\.\. \(root, admin, log, /)
  fourLines(choice, 2, 'USAGE')
})

test('a ticket is read before anybody is asked', async () => {
  using dir = temporary()
  const cut = await run(['--home', dir.path, 'join', 'wb1aebag'])
  assert.match(fourLines(cut, 2, 'TICKET_MALFORMED')[0]!, /this is not a whole ticket/)
  const other = await run(['--home', dir.path, 'join', 'hello', '--yes'])
  assert.match(fourLines(other, 2, 'TICKET_MALFORMED')[0]!, /does not begin with wb1/)
})

test('dates and durations that are none are wrong use', async () => {
  await using daemon = await fakeDaemon()
  const home = ['--home', daemon.home]
  const wrong = [
    ['offer', 'a', '--until', '2027-06-31'],
    ['offer', 'a', '--until', '2020-01-01'],
    ['invite', '--expires', 'soon'],
    ['get', 'o', '-o', '/tmp/', '--wait', '5'],
    ['log', '--limit', '0'],
    ['up', '--api', '99999'],
  ]
  for (const result of await Promise.all(wrong.map(args => run([...home, ...args]))))
    fourLines(result, 2, 'USAGE')
  const offered = await run([
    ...home,
    'offer',
    'a',
    '--until',
    '2099-06-30',
    '--no-redistribution',
    '--auto',
    '--purpose',
    'a',
    'b',
    '--json',
  ])
  assert.is(offered.code, 0, offered.stdout)
  const body = JSON.parse(
    daemon.fake.calls.find(call => call.startsWith('POST /v1/offers'))!.slice('POST /v1/offers '.length),
  )
  const { untilMs, noRedistribution, approval, purposes, allow } = body
  assert.is(new Date(untilMs).toISOString(), '2099-07-01T00:00:00.000Z')
  assert.equal([noRedistribution, approval, purposes, allow], [true, 'policy', ['a', 'b'], ['use']])
})

test('publish names files by what tells them apart', async () => {
  await using daemon = await fakeDaemon()
  using dir = temporary()
  for (const folder of ['x/line1', 'y/line1', 'line2/deep'])
    mkdirSync(join(dir.path, folder), { recursive: true })
  for (const file of ['x/line1/a.csv', 'y/line1/a.csv', 'line2/deep/b.json', '-x.csv'])
    writeFileSync(join(dir.path, file), file)
  symlinkSync('/etc/passwd', join(dir.path, 'line2', 'link'))
  const published = async (...args: string[]) => {
    const result = await run(['--home', daemon.home, '--json', 'publish', ...args], { cwd: dir.path })
    assert.is(result.code, 0, result.stdout + result.stderr)
    const { files, title } = JSON.parse(daemon.fake.calls.at(-1)!.slice('POST /v1/packets '.length))
    return { title, names: files.map(({ name }: { name: string }) => name), files, stderr: result.stderr }
  }
  const same = await published('x/line1/a.csv', 'y/line1/a.csv', 'x/line1/a.csv')
  assert.equal(same.names, ['x/line1/a.csv', 'y/line1/a.csv'])
  assert.is(same.title, 'x/line1/a.csv and 1 more')
  assert.is(same.files[0].path, join(dir.path, 'x/line1/a.csv'))
  const folder = await published('-r', 'line2', '--title', 'T')
  assert.equal([folder.title, folder.names], ['T', ['deep/b.json']])
  assert.match(folder.stderr, /left out, not a regular file: .*link/)
  assert.is(folder.files[0].mediaType, 'application/json')
  const dashed = await published('--', '-x.csv')
  assert.equal(dashed.names, ['-x.csv'])
  const refused = await run(['--home', daemon.home, 'publish', 'line2'], { cwd: dir.path })
  assert.match(fourLines(refused, 2, 'NOT_A_FILE')[2]!, /--recursive/)
  fourLines(await run(['--home', daemon.home, 'publish', 'none.csv'], { cwd: dir.path }), 4, 'FILE_NOT_FOUND')
})

test('the log shows its newest entries', async () => {
  await using daemon = await fakeDaemon()
  const { entries } = document(
    await run(['--home', daemon.home, 'log', '--limit', '3', '--json']),
    'waybill.log/1',
  )
  assert.equal(
    (entries as { index: number }[]).map(({ index }) => index),
    [47, 48, 49],
  )
})

test('the home is that of the option, of WAYBILL_HOME, or of XDG', async () => {
  using dir = temporary()
  const homeOf = async (args: string[], env: NodeJS.ProcessEnv) =>
    document(await run(['paths', '--json', ...args], { env, cwd: dir.path }), 'waybill.paths/1').home
  const env = { WAYBILL_HOME: join(dir.path, 'env'), XDG_DATA_HOME: join(dir.path, 'xdg') }
  assert.is(await homeOf(['--home', './own'], env), join(dir.path, 'own'))
  assert.is(await homeOf([], env), join(dir.path, 'env'))
  assert.is(await homeOf([], { ...env, WAYBILL_HOME: '' }), join(dir.path, 'xdg', 'waybill', 'default'))
})

test.run()
