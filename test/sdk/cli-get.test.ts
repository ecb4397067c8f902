/** `waybill get`, `receipts --export` and `export`: what is written, where, and what is not. */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Request } from '../../node/schema.ts'
import { safePath, safePaths } from '../../sdk/cli/targets.ts'
import { temporary } from '../harness.ts'
import { fakeDaemon, ids, TOKEN } from './fake-daemon.ts'
import { document, fourLines, run, spawning } from './run-cli.ts'

const test = spawning('cli get')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('writes the content and its evidence beside it', async () => {
  await using daemon = await fakeDaemon()
  using dir = temporary()
  const output = join(dir.path, 'new', 'energy.csv')
  const got = await run(['--home', daemon.home, 'get', 'o-ffer0001', '-o', output, '--purpose', 'benchmark'])
  assert.is(got.code, 0, got.stderr)
  assert.is(readFileSync(output, 'utf8'), 'a,b\n1,2\n')
  assert.is(readFileSync(`${output}.waybill`, 'utf8'), 'evidence')
  assert.equal(readdirSync(join(dir.path, 'new')).sort(), ['energy.csv', 'energy.csv.waybill'])
  assert.match(got.stdout, /under agreement a-gree0001/)
  assert.match(got.stderr, /next {2}waybill verify/)
  assert.ok(daemon.fake.calls.some(call => call.includes('waitMs=25000&after=REQUESTED')))
})

test('keeps what is there, unless it is told to overwrite', async () => {
  await using daemon = await fakeDaemon()
  using dir = temporary()
  const output = join(dir.path, 'energy.csv')
  writeFileSync(output, 'mine')
  const args = ['--home', daemon.home, 'get', 'o-ffer0001', '-o', output]
  fourLines(await run(args), 9, 'FILE_EXISTS')
  assert.is(readFileSync(output, 'utf8'), 'mine')
  assert.not.ok(daemon.fake.calls.some(call => call.startsWith('POST')))
  assert.is((await run([...args, '--force'])).code, 0)
  assert.is(readFileSync(output, 'utf8'), 'a,b\n1,2\n')
})

test('hostile names stay inside the folder', async () => {
  const names = [
    '../../evil.csv',
    '/etc/passwd',
    'a/../../b.csv',
    'x/y.csv',
    'X/Y.csv',
    'x',
    '..',
    'c:\\d\\e.csv',
    'x/y.csv.waybill',
    'l\u001b[2J\n.csv',
  ]
  const packets = names.map((name, i) => ({ name, content: bytes(`content ${i}`) }))
  await using daemon = await fakeDaemon({ packets })
  using dir = temporary()
  const folder = join(dir.path, 'in')
  const got = await run(['--home', daemon.home, '--json', 'get', 'o-ffer0001', '-o', `${folder}/`])
  assert.is(got.code, 0, got.stdout)
  const { files } = document(got, 'waybill.got/1') as { files: { path: string; evidence: string }[] }
  assert.is(files.length, names.length)
  assert.equal(readdirSync(dir.path), ['in'])
  for (const [i, { path, evidence }] of files.entries()) {
    assert.ok(path.startsWith(`${folder}/`) && !path.includes('..'), path)
    assert.is(readFileSync(path, 'utf8'), `content ${i}`)
    assert.is(readFileSync(evidence, 'utf8'), 'evidence')
  }
  assert.is(
    new Set(files.flatMap(({ path, evidence }) => [path.toLowerCase(), evidence.toLowerCase()])).size,
    2 * names.length,
  )
})

test('safe paths are relative, short, and one each', () => {
  const cases: [name: string, path: string][] = [
    ['a.csv', 'a.csv'],
    ['line 1/a.csv', 'line 1/a.csv'],
    ['../a.csv', 'a.csv'],
    ['/a//b/./c', 'a/b/c'],
    ['..\\..\\a', 'a'],
    ['. . /a', 'a'],
    ['...', 'packet'],
    ['', 'packet'],
    ['con.txt', '_con.txt'],
    ['a\u0000b\u202ec', 'a_b_c'],
    ['end. ', 'end_'],
    ['C:x', 'C_x'],
    ['\ud800', '\ufffd'],
  ]
  // A part of dots and spaces is no name on every system; one with letters is.
  for (const [name, path] of cases.filter(([name]) => name !== '. . /a'))
    assert.is(safePath(name), path, JSON.stringify(name))
  assert.ok(Buffer.byteLength(safePath(`${'ü'.repeat(500)}.csv`)) <= 180)
  assert.match(safePath(`${'ü'.repeat(500)}.csv`), /\.csv$/)
  assert.equal(safePaths(['a.csv', 'a.csv', 'A.csv', 'b', 'b/c', 'a.csv.waybill']), [
    'a.csv',
    'a-2.csv',
    'A-3.csv',
    'b',
    'b_c',
    'a.csv-2.waybill',
  ])
})

test('a link in the folder is replaced, not followed', async () => {
  await using daemon = await fakeDaemon({
    packets: [
      { name: 'a.csv', content: bytes('new') },
      { name: 'b.csv', content: bytes('new') },
    ],
  })
  using dir = temporary()
  const [folder, victim] = [join(dir.path, 'in'), join(dir.path, 'victim')]
  mkdirSync(folder)
  writeFileSync(victim, 'mine')
  symlinkSync(victim, join(folder, 'a.csv'))
  const got = await run(['--home', daemon.home, 'get', 'o-ffer0001', '-o', folder, '--force'])
  assert.is(got.code, 0, got.stderr)
  assert.is(readFileSync(victim, 'utf8'), 'mine')
  assert.is(readFileSync(join(folder, 'a.csv'), 'utf8'), 'new')
})

test('content that is cut leaves no file', async () => {
  await using daemon = await fakeDaemon()
  daemon.fake.raw[
    `GET /v1/agreements/${ids.agreement}/packets/bafyreipacket${'0'.repeat(38)}packet00/content`
  ] = {
    status: 200,
    type: 'application/octet-stream',
    body: 'a,b',
  }
  using dir = temporary()
  fourLines(
    await run(['--home', daemon.home, 'get', 'o-ffer0001', '-o', `${dir.path}/`]),
    9,
    'CONTENT_INCOMPLETE',
  )
  assert.equal(readdirSync(dir.path), [])
})

test('waits as long as it is told, and goes on with the same request later', async () => {
  await using daemon = await fakeDaemon({ states: [{ state: 'REQUESTED', waitsFor: 'their person' }] })
  using dir = temporary()
  const args = ['--home', daemon.home, 'get', 'o-ffer0001', '-o', `${dir.path}/`]
  const late = fourLines(await run([...args, '--wait', '1s']), 8, 'TIMED_OUT')
  assert.match(late[0]!, /r-ccddeeff: Acme Steel has not answered .* after 1s/)
  assert.is(daemon.fake.calls.filter(call => call.startsWith('POST /v1/requests')).length, 1)
  const headers = { authorization: `Bearer ${TOKEN}` }
  const open = await fetch(`${daemon.url}/v1/requests/x`, { headers })
  daemon.fake.requests.push((await open.json()) as Request)
  daemon.fake.states = [{ state: 'FINALIZED', waitsFor: 'nobody', agreement: ids.agreement }]
  assert.is((await run(args)).code, 0)
  assert.is(daemon.fake.calls.filter(call => call.startsWith('POST /v1/requests')).length, 1)
})

test('a denial names its clause; a failed delivery names its packet', async () => {
  const refusal = { code: 'DENIED_BY_PERSON', text: 'not this quarter', next: 'talk to Acme' }
  await using denied = await fakeDaemon({ states: [{ state: 'TERMINATED', waitsFor: 'nobody', refusal }] })
  using dir = temporary()
  const lines = fourLines(
    await run(['--home', denied.home, 'get', 'o-ffer0001', '-o', `${dir.path}/`]),
    5,
    'DENIED_BY_PERSON',
  )
  assert.equal([lines[0], lines[2]], ['✗ not this quarter', '  next  talk to Acme'])
  const packets = [
    { name: 'a.csv', content: bytes('a') },
    { name: 'b.csv', content: bytes('b') },
  ]
  const rejected = [{ type: 'rejected/1', id: 'r', atMs: 1 }]
  await using failing = await fakeDaemon({ packets, deliveries: [{}, { receipts: rejected }] })
  const failed = fourLines(
    await run(['--home', failing.home, 'get', 'o-ffer0001', '-o', `${dir.path}/`]),
    10,
    'DELIVERY_FAILED',
  )
  assert.match(failed[0]!, /1 of 2 packets did not come, the first: b\.csv/)
  assert.equal([existsSync(join(dir.path, 'a.csv')), existsSync(join(dir.path, 'b.csv'))], [true, false])
})

test('an interrupt ends it with 130', async () => {
  await using daemon = await fakeDaemon({ states: [{ state: 'REQUESTED', waitsFor: 'their person' }] })
  using dir = temporary()
  const ended = run(['--home', daemon.home, 'get', 'o-ffer0001', '-o', `${dir.path}/`, '--json'], {
    interruptWhen: () => daemon.fake.calls.some(call => call.includes('waitMs')),
  })
  const result = await ended
  assert.is(result.code, 130, result.stdout + result.stderr)
  assert.is(document(result, 'waybill.error/1').code, 'INTERRUPTED')
})

test('receipts and evidence are exported on either side', async () => {
  await using daemon = await fakeDaemon()
  using dir = temporary()
  const home = ['--home', daemon.home]
  const both = await run([...home, 'receipts', '--export', join(dir.path, 'all'), '--json'])
  assert.is(both.code, 0, both.stdout)
  const { files } = document(both, 'waybill.exports/1') as { files: { path: string }[] }
  assert.equal(
    files.map(({ path }) => path),
    [
      join(dir.path, 'all', 'a-gree0001-consent.waybill'),
      join(dir.path, 'all', 'a-gree0001', 'energy.csv.waybill'),
    ],
  )
  const one = join(dir.path, 'one.waybill')
  assert.is((await run([...home, 'receipts', '--consents', '--export', one])).code, 0)
  assert.is(readFileSync(one, 'utf8'), 'consent')
  fourLines(await run([...home, 'receipts', '--export', one, '--force']), 2, 'USAGE')
  const again = join(dir.path, 'again.waybill')
  assert.is((await run([...home, 'export', 'a-gree0001', 'p-packet00', '-o', again])).code, 0)
  assert.is(readFileSync(again, 'utf8'), 'evidence')
  fourLines(await run([...home, 'export', 'a-gree0001', '-o', again]), 9, 'FILE_EXISTS')
})

test.run()
