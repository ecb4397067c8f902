/** Files as people and hostile partners have them, through real daemons and the command line: a success, or why not. */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { join, relative } from 'node:path'
import * as assert from 'uvu/assert'
import { suite, temporary } from '../harness.ts'
import { pair, TestDaemon } from '../node/daemons.ts'
import { document, fourLines, run } from './run-cli.ts'

const test = suite('odd files')
const LIMIT_MS = 90_000
const DAY_MS = 86_400_000
const NOBODY = 65_534

const folder = temporary()
let acme: TestDaemon
let bolt: TestDaemon
test.before(async () => {
  // So that files can be unreadable: root may read all.
  const isRoot = process.getuid?.() === 0
  chmodSync(folder.path, 0o755)
  const home = join(folder.path, 'acme')
  mkdirSync(home, { mode: 0o700 })
  acme = new TestDaemon('Acme Steel', folder.path)
  if (isRoot) {
    chownSync(home, NOBODY, NOBODY)
    acme.uid = NOBODY
  }
  await acme.up()
  bolt = await TestDaemon.start('Bolt GmbH', folder.path)
  await pair(acme, bolt)
})
test.after(async () => {
  await acme?.[Symbol.asyncDispose]()
  await bolt?.[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

function made(name: string, content: string | Buffer): string {
  const path = join(folder.path, name)
  writeFileSync(path, content)
  return path
}

interface Got {
  name: string
  path: string
  evidence: string
}

/** Offers an asset to Bolt, who gets it into a folder. */
async function delivered(asset: string, to: string): Promise<Got[]> {
  const offer = await acme.client.offers.create({ asset, untilMs: Date.now() + DAY_MS, approval: 'policy' })
  await bolt.client.offers.list({ refresh: true })
  const got = await run(['--home', bolt.home, '--json', 'get', offer.id, '-o', `${to}/`])
  assert.is(got.code, 0, got.stdout + got.stderr)
  return (document(got, 'waybill.got/1') as unknown as { files: Got[] }).files
}

test(
  'odd names and odd contents arrive as they were',
  async () => {
    const contents: Record<string, string | Buffer> = {
      ' two  blanks .csv': 'a',
      '-dash.csv': 'b',
      '--home': 'c',
      '产线能耗.csv': '时间,千瓦时\n',
      'new\nline.csv': 'd',
      'bell\u0007 and \u202eturned.csv': 'e',
      'it\'s "quoted" $HOME;`x`.csv': 'f',
      [`${'ü'.repeat(120)}.csv`]: 'g',
      'empty.csv': '',
      'one-byte': Buffer.of(0),
      'utf16.csv': Buffer.from('\ufeffZeit;Wert\r\n', 'utf16le'),
      '.hidden': 'h',
      'x.waybill': 'not evidence',
    }
    const source = join(folder.path, 'source')
    mkdirSync(source)
    for (const [name, content] of Object.entries(contents)) writeFileSync(join(source, name), content)
    const published = await run(['--home', acme.home, '--json', 'publish', '--', ...Object.keys(contents)], {
      cwd: source,
    })
    assert.is(published.code, 0, published.stdout)
    const to = join(folder.path, 'received')
    const files = await delivered(document(published, 'waybill.published/1').asset as string, to)
    const expected = Object.values(contents).map(content => Buffer.from(content))
    assert.is(files.length, expected.length)
    for (const [i, { path }] of files.entries()) {
      assert.ok(readFileSync(path).equals(expected[i]!), path)
      assert.not.match(relative(to, path), /[\p{Cc}\p{Bidi_Control}/]/u)
    }
    const trust = made('trust.json', (await run(['--home', bolt.home, 'trust'])).stdout)
    const verified = await run(['verify', '--trust', trust, '--', ...files.map(({ path }) => path)])
    assert.is(verified.code, 0, verified.stderr)
  },
  LIMIT_MS,
)

test(
  'names that a hostile provider made stay inside the folder',
  async () => {
    const names = [
      '../../evil.csv',
      '/etc/passwd',
      '..',
      'a/../../b.csv',
      '..\\..\\c.csv',
      'd\n../e',
      '\u0000',
      'x/',
      '~/.ssh/f',
    ]
    const path = made('content.csv', 'content')
    const { asset } = await acme.client.packets.publish({
      title: '../title',
      files: names.map(name => ({ path, name })),
    })
    const parent = join(folder.path, 'parent')
    mkdirSync(parent)
    const files = await delivered(asset, join(parent, 'in'))
    assert.equal(readdirSync(parent), ['in'])
    assert.is(new Set(files.map(({ path }) => path)).size, names.length)
    for (const { path, evidence } of files) {
      assert.is(readFileSync(path, 'utf8'), 'content')
      assert.ok(existsSync(evidence))
      assert.not.match(relative(join(parent, 'in'), path), /\.\.|^\/|\p{Cc}/u)
    }
  },
  LIMIT_MS,
)

test(
  'what cannot be read, or is being written, says so and leaves nothing',
  async () => {
    const left = () => readdirSync(join(acme.home, 'content')).sort()
    const before = left()
    const publish = (...paths: string[]) => run(['--home', acme.home, 'publish', ...paths])
    const closed = made('closed.csv', 'secret')
    chmodSync(closed, 0)
    const [what] = fourLines(await publish(closed), 4, 'SOURCE_UNREADABLE')
    assert.match(what!, /^✗ closed\.csv: .*EACCES/)
    const good = made('good.csv', 'good')
    fourLines(await publish(good, closed), 4, 'SOURCE_UNREADABLE')
    fourLines(await publish(join(folder.path, 'none.csv')), 4, 'FILE_NOT_FOUND')
    if (existsSync('/proc/self/status')) fourLines(await publish('/proc/self/status'), 9, 'SOURCE_CHANGED')

    const growing = made('growing.csv', Buffer.alloc(16 * 2 ** 20))
    const timer = setInterval(() => appendFileSync(growing, 'more\n'), 1)
    const grown = await publish(growing).finally(() => clearInterval(timer))
    const [, , next] = fourLines(grown, 9, 'SOURCE_CHANGED')
    assert.match(next!, /when it is no longer being written/)
    assert.equal(left(), before, 'nothing of them stays')
    assert.is((await publish(growing)).code, 0)
  },
  LIMIT_MS,
)

test(
  'a name that is no text is refused by its path, and does not stop the others',
  async () => {
    if (process.platform !== 'linux') return // other systems do not let such a name be made
    const source = join(folder.path, 'latin1')
    mkdirSync(source)
    writeFileSync(Buffer.concat([Buffer.from(`${source}/Pr`), Buffer.of(0xfc), Buffer.from('f.csv')]), 'x')
    writeFileSync(join(source, 'good.csv'), 'y')
    const published = await run(['--home', acme.home, '--json', 'publish', '-r', source])
    assert.is(published.code, 0, published.stdout)
    const { packets } = document(published, 'waybill.published/1') as unknown as {
      packets: { name: string }[]
    }
    assert.equal(
      packets.map(({ name }) => name),
      ['good.csv'],
    )
    assert.match(published.stderr, /left out, .*Pr\ufffdf\.csv/)
  },
  LIMIT_MS,
)

test.run()
