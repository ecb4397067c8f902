/** One real daemon: what its local API refuses, what its home holds, and how it starts and ends. */
import { execFile } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { rejectsCode, suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { pair, TestDaemon } from './daemons.ts'

const test = suite('daemon and its API')
const LIMIT_MS = 60_000
const MIB = 1024 * 1024
const LOCAL = ['--api', '0', '--listen', '/ip4/127.0.0.1/tcp/0']

const folder = temporary()
let acme: TestDaemon
let bolt: TestDaemon
test.before(async () => {
  acme = await TestDaemon.start('Acme Steel', folder.path)
  bolt = await TestDaemon.start('Bolt GmbH', folder.path)
})
test.after(async () => {
  await acme[Symbol.asyncDispose]()
  await bolt[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

interface Answer {
  status: number
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: an answer is a document of its own.
  body: any
}

const tokenOf = (daemon: TestDaemon): string => readFileSync(join(daemon.home, 'token'), 'utf8').trim()

/** A call as any program may make it; fetch would not let `host` be set. */
function call(
  method: string,
  path: string,
  { headers = {}, body }: { headers?: Record<string, string | undefined>; body?: string } = {},
): Promise<Answer> {
  const given = {
    authorization: `Bearer ${tokenOf(acme)}`,
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...headers,
  }
  const sent = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  return new Promise((resolve, reject) => {
    const request = httpRequest(acme.ready.api + path, { method, headers: sent as Record<string, string> })
    request.on('response', response => {
      let text = ''
      response.setEncoding('utf8').on('data', data => {
        text += data
      })
      response.on('end', () =>
        resolve({
          status: response.statusCode!,
          type: response.headers['content-type'] ?? '',
          body: JSON.parse(text),
        }),
      )
    })
    request.on('error', reject)
    request.end(body)
  })
}

function assertProblem({ status, type, body }: Answer, expected: number, code: string): void {
  assert.equal([status, body.code], [expected, code], JSON.stringify(body))
  assert.match(type, /^application\/problem\+json/)
  assert.equal(
    [body.status, body.title, typeof body.detail, typeof body.retryable],
    [expected, code, 'string', 'boolean'],
  )
}

test('without the token, or with another one, nothing is told', async () => {
  for (const authorization of [undefined, 'Bearer ', `Bearer ${tokenOf(bolt)}`, `Basic ${tokenOf(acme)}x`])
    for (const path of ['/v1/status', '/v1/nothing', '/'])
      assertProblem(await call('GET', path, { headers: { authorization } }), 401, 'UNAUTHORIZED')
  assertProblem(
    await call('POST', '/v1/stop', { headers: { authorization: undefined }, body: '{}' }),
    401,
    'UNAUTHORIZED',
  )
  assert.equal((await call('GET', '/healthz', { headers: { authorization: undefined } })).body, { ok: true })
})

test('a name that leads to this machine from elsewhere is refused, with and without the token', async () => {
  for (const host of [
    'evil.example',
    'evil.example:80',
    '127.0.0.1.evil.example',
    'localhost.evil.example:4180',
  ])
    for (const path of ['/v1/status', '/healthz'])
      assertProblem(await call('GET', path, { headers: { host } }), 421, 'WRONG_HOST')
  assert.is((await call('GET', '/v1/status', { headers: { host: 'localhost:1' } })).status, 200)
})

test('an unknown route, method or id is NOT_FOUND', async () => {
  for (const [method, path] of [
    ['GET', '/v1/nothing'],
    ['DELETE', '/v1/status'],
    ['GET', '/v1/requests/r-aaaaaaaa'],
    ['GET', `/v1/agreements/${'b'.repeat(59)}/evidence`],
    ['GET', '/v1/transfers/0'],
  ] as const)
    assertProblem(await call(method, path), 404, 'NOT_FOUND')
})

test('a malformed body is MALFORMED and names what is wrong', async () => {
  const offer = { asset: 's-aaaaaaaa', untilMs: Date.now() + 1_000 }
  const bodies: [string, unknown, RegExp][] = [
    ['/v1/invites', { for: 'Bolt', expiresMs: 1, who: 'x' }, /who/],
    ['/v1/invites', { for: 'Bolt', expiresMs: 'soon' }, /expiresMs/],
    ['/v1/invites', { for: 'Bolt', expiresMs: -1 }, /expiresMs/],
    ['/v1/invites', { for: 'Bolt' }, /expiresMs/],
    ['/v1/packets', { title: 'x', files: [] }, /files/],
    ['/v1/packets', { title: 'x', level: 'secret', files: [{ path: '/x', name: 'x' }] }, /level/],
    ['/v1/packets', { title: 'x'.repeat(513), files: [{ path: '/x', name: 'x' }] }, /title/],
    ['/v1/offers', { ...offer, allow: [] }, /allow/],
    ['/v1/offers', { ...offer, untilMs: 1.5 }, /untilMs/],
    ['/v1/requests', {}, /offer/],
    ['/v1/join', { ticket: 1 }, /ticket/],
    ['/v1/join', [], /./],
    ['/v1/join', null, /./],
  ]
  for (const [path, body, named] of bodies) {
    const answer = await call('POST', path, { body: JSON.stringify(body) })
    assertProblem(answer, 400, 'MALFORMED')
    assert.match(answer.body.detail, named, `${path} ${JSON.stringify(body)}`)
    assert.not.match(answer.body.detail, /\n/)
  }
  for (const body of ['', '{', '{"ticket":"wb1"', '\u0000'])
    assertProblem(await call('POST', '/v1/join', { body }), 400, 'MALFORMED')
  const plain = await call('POST', '/v1/join', { body: 'x', headers: { 'content-type': 'text/plain' } })
  assertProblem(plain, 415, 'MALFORMED')
})

test('a query that is not understood is MALFORMED, and never taken for another one', async () => {
  const id = 'r-aaaaaaaa'
  const queries: [path: string, named: RegExp][] = [
    ...['0', '-1', '1001', '1.5', '1e2', 'ten', '', ' 1', '0x10', '9'.repeat(16)].map(
      limit => [`/v1/log?limit=${encodeURIComponent(limit)}`, /limit/] as [string, RegExp],
    ),
    ['/v1/log?after=-1', /after/],
    ['/v1/log?after=x', /after/],
    ['/v1/log?limit=1&limit=2', /limit/],
    ['/v1/log?limits=1', /limits/],
    ['/v1/offers?own=yes', /own/],
    ['/v1/offers?refresh=1', /refresh/],
    [`/v1/requests/${id}?waitMs=forever`, /waitMs/],
    [`/v1/requests/${id}?waitMs=60001`, /waitMs/],
    [`/v1/transfers/${id}?waitMs=-1`, /waitMs/],
    [`/v1/agreements/${id}/deliveries?before=x`, /before/],
  ]
  for (const [path, named] of queries) {
    const answer = await call('GET', path)
    assertProblem(answer, 400, 'MALFORMED')
    assert.match(answer.body.detail, named, path)
  }
  for (const path of [
    '/v1/log?limit=1000&after=0',
    '/v1/log?after=99999',
    '/v1/offers?own=true&refresh=false',
  ])
    assert.is((await call('GET', path)).status, 200, path)
})

test('a body beyond the bound is refused, and the daemon goes on', async () => {
  const answer = await call('POST', '/v1/join', {
    headers: { 'content-length': String(33 * MIB) },
    body: '{',
  }).catch(error => error)
  if (answer instanceof Error) assert.match(answer.message, /ECONNRESET|EPIPE|socket hang up/)
  else assertProblem(answer, 413, 'MALFORMED')
  assert.is((await call('GET', '/v1/status')).status, 200)
})

test('a file that cannot be published says why', async () => {
  const publish = (path: string) =>
    acme.client.packets.publish({ title: 'x', files: [{ path, name: 'the file' }] })
  const missing = await rejectsCode(publish(join(folder.path, 'missing')), 'SOURCE_UNREADABLE')
  assert.match(missing.message, /^the file: /)
  await rejectsCode(publish(folder.path), 'NOT_A_FILE')
  const growing = join(folder.path, 'growing.csv')
  writeFileSync(growing, Buffer.alloc(8 * MIB))
  const timer = setInterval(() => appendFileSync(growing, 'more\n'), 1)
  try {
    await rejectsCode(publish(growing), 'SOURCE_CHANGED')
  } finally {
    clearInterval(timer)
  }
  const left = readdirSync(join(acme.home, 'content'))
  assert.equal(left, [], 'nothing of them stays')
  assert.is((await acme.client.status()).assets, 0)
})

test(
  'a second daemon on the same home ends with 9 and names the first',
  async () => {
    const second = await run(['--home', acme.home, 'up', ...LOCAL])
    const [what] = fourLines(second, 9, 'HOME_LOCKED')
    assert.match(what!, new RegExp(`process ${acme.ready.pid}\\b`))
    assert.is((await acme.client.status()).pid, acme.ready.pid)
  },
  LIMIT_MS,
)

test('a home is closed to others', () => {
  const open = readdirSync(acme.home, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() || entry.isDirectory())
    .map(entry => join(entry.parentPath, entry.name))
    // the database makes its files itself, in a folder that is closed
    .filter(path => !path.startsWith(join(acme.home, 'store', '/')))
    .filter(path => (statSync(path).mode & 0o077) !== 0)
  assert.equal(open, [])
  assert.is(statSync(acme.home).mode & 0o777, 0o700)
  for (const name of ['store', 'keys', 'content'])
    assert.is(statSync(join(acme.home, name)).mode & 0o777, 0o700)
  for (const name of ['token', 'api.json', 'config.toml'])
    assert.is(statSync(join(acme.home, name)).mode & 0o777, 0o600)
})

test(
  'it is ready soon and small at rest',
  async () => {
    await acme.restart()
    const rss = Number(/VmRSS:\s+(\d+) kB/.exec(statusFile(acme.ready.pid))?.[1] ?? 0) * 1024
    console.log(`ready in ${acme.readyMs.toFixed(0)} ms, idle RSS ${(rss / MIB).toFixed(0)} MiB`)
    assert.ok(acme.readyMs < 5_000, `${acme.readyMs} ms`)
    assert.ok(rss < 300 * MIB, `${rss} bytes`)
  },
  LIMIT_MS,
)

/** What Linux says of a process; nothing elsewhere. */
function statusFile(pid: number): string {
  const path = `/proc/${pid}/status`
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

test(
  'tickets: a wrong, an expired and a used one are told apart, by code and by exit code',
  async () => {
    const invite = (forMs: number) =>
      acme.client.partners.invite({ for: 'Bolt GmbH', expiresMs: Date.now() + forMs })
    const join = (ticket: string, home = bolt.home) => run(['--home', home, 'join', '--yes', ticket])
    for (const ms of [0, -1, -86_400_000]) await rejectsCode(invite(ms), 'MALFORMED')
    fourLines(await run(['--home', acme.home, 'invite', '--expires', '0']), 2, 'MALFORMED')
    const { ticket: late } = await invite(500)
    await new Promise(over => setTimeout(over, 600))
    fourLines(await join(late), 5, 'TICKET_EXPIRED')
    await rejectsCode(bolt.client.partners.join(late), 'TICKET_EXPIRED')
    await pair(acme, bolt)
    await using cole = await TestDaemon.start('Cole Logistics', folder.path)
    const { ticket } = await invite(60_000)
    assert.is((await join(ticket)).code, 0)
    assert.is((await join(ticket)).code, 0, 'the same partner may use it again')
    fourLines(await join(ticket, cole.home), 4, 'TICKET_UNKNOWN')
    fourLines(await join(`${ticket.slice(0, -1)}${ticket.endsWith('a') ? 'b' : 'a'}`), 2, 'TICKET_MALFORMED')
    assert.is((await cole.client.status()).partners, 0)
  },
  LIMIT_MS,
)

test(
  'SIGTERM ends it well within 10 s, also with a partner connected and a call under way',
  async () => {
    const { requests } = acme.client
    await rejectsCode(requests.get('r-aaaaaaaa'), 'NOT_FOUND')
    const { code, ms, stderr } = await acme.end('SIGTERM')
    assert.is(code, 0, stderr)
    assert.ok(ms < 10_000, `${ms} ms`)
    console.log(`stopped in ${ms.toFixed(0)} ms`)
    for (const name of ['api.json', 'lock']) assert.not.ok(existsSync(join(acme.home, name)), name)
    const { id, peerId } = { ...acme.ready, peerId: acme.ready.addresses[0]!.split('/').at(-1) }
    await acme.up()
    assert.equal([acme.ready.id, acme.ready.created], [id, false])
    assert.is(acme.ready.addresses[0]!.split('/').at(-1), peerId)
  },
  LIMIT_MS,
)

test(
  'down ends it, with exit 0 at both',
  async () => {
    const { pid } = acme.ready
    assert.is(document(await run(['--home', acme.home, '--json', 'down']), 'waybill.down/1').pid, pid)
    await acme.ended()
    assert.not.ok(existsSync(join(acme.home, 'api.json')))
    fourLines(await run(['--home', acme.home, 'status']), 3, 'DAEMON_UNREACHABLE')
  },
  LIMIT_MS,
)

test(
  'after kill -9 the stale files neither mislead a client nor stop a start',
  async () => {
    await acme.up()
    await acme.kill()
    assert.ok(existsSync(join(acme.home, 'api.json')) && existsSync(join(acme.home, 'lock')))
    const [what] = fourLines(await run(['--home', acme.home, 'status']), 3, 'DAEMON_UNREACHABLE')
    assert.match(what!, new RegExp(`process ${acme.ready.pid} has ended`))
    await acme.up()
  },
  LIMIT_MS,
)

test(
  'a configuration that is wrong is named by its key; its witnesses are listed',
  async () => {
    await acme.end('SIGTERM')
    const path = join(acme.home, 'config.toml')
    const good = readFileSync(path, 'utf8')
    for (const [bad, named] of [
      ['witneses = []', /witneses/],
      ['apiPort = "many"', /apiPort/],
      ['listen = 4101', /listen/],
      ['control = [["Bolt"]]', /control.*not the id/],
      ['name = ', /config\.toml/],
    ] as const) {
      writeFileSync(
        path,
        bad.startsWith('name') || bad.startsWith('witn')
          ? `${good}${bad}\n`
          : `name = "Acme Steel"\n${bad}\n`,
      )
      const [what] = fourLines(await run(['--home', acme.home, 'up', ...LOCAL]), 2, 'CONFIG_INVALID')
      assert.match(what!, named, bad)
    }
    writeFileSync(path, `name = "Acme Steel"\nwitnesses = ["${bolt.ready.id}"]\n`)
    await acme.up()
    const { witnesses } = await acme.client.status()
    assert.equal(
      witnesses.map(({ id, name }) => [id, name]),
      [[bolt.ready.id, 'Bolt GmbH']],
    )
  },
  LIMIT_MS,
)

test('the version is that of the package, wherever it is asked for', async () => {
  const { version } = await acme.client.status()
  assert.is(
    version,
    JSON.parse(readFileSync(join(import.meta.dirname, '..', '..', 'package.json'), 'utf8')).version,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [
    join(import.meta.dirname, '../../sdk/cli/main.ts'),
    '--version',
  ])
  assert.is(stdout.trim(), version)
})

test.run()
