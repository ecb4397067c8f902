/** The daemon from the command line: started, found running, stopped, and refused with the reason. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { temporary } from '../harness.ts'
import { document, fourLines, type Run, run, spawning } from './run-cli.ts'

const test = spawning('cli up')
const LOCAL = ['--api', '0', '--listen', '/ip4/127.0.0.1/tcp/0']

/** A home whose daemon, if one was left running, is stopped at the end of the scope. */
function home(): AsyncDisposable & {
  path: string
  run(...args: string[]): Promise<Run>
  up(...args: string[]): Promise<Run>
} {
  const dir = temporary()
  const path = join(dir.path, 'home')
  const own = (...args: string[]) => run(['--home', path, ...args])
  return {
    path,
    run: own,
    up: (...args) => own('up', '--detach', ...LOCAL, ...args),
    async [Symbol.asyncDispose]() {
      if (existsSync(join(path, 'api.json'))) await own('down')
      dir[Symbol.dispose]()
    },
  }
}

test('up --detach is ready when it returns, and down when it is gone', async () => {
  await using acme = home()
  const ready = document(await acme.up('--name', 'Acme Steel', '--json'), 'waybill.up/1')
  assert.equal([ready.name, ready.created, ready.home], ['Acme Steel', true, acme.path])
  const status = document(await acme.run('status', '--json'), 'waybill.status/1')
  assert.equal([status.id, status.pid], [ready.id, ready.pid])
  for (const file of ['daemon.log', 'token', 'api.json'])
    assert.is(statSync(join(acme.path, file)).mode & 0o077, 0, file)
  const second = fourLines(await acme.up(), 9, 'HOME_LOCKED')
  assert.match(second[0]!, new RegExp(`${acme.path} is in use by process ${ready.pid}`))
  assert.is(document(await acme.run('down', '--json'), 'waybill.down/1').pid, ready.pid)
  fourLines(await acme.run('down'), 3, 'DAEMON_UNREACHABLE')
  const again = document(await acme.up('--json'), 'waybill.up/1')
  assert.equal([again.id, again.created], [ready.id, false])
})

test('a new home needs a name', async () => {
  await using acme = home()
  assert.match(fourLines(await acme.up(), 2, 'HOME_MISSING')[2]!, /waybill up --name/)
  assert.is(document(await acme.run('up', '--json'), 'waybill.error/1').code, 'HOME_MISSING')
  fourLines(await acme.run('init'), 2, 'INPUT_REQUIRED')
})

test('init makes the home once; without a passphrase it says so', async () => {
  await using acme = home()
  const made = await acme.run('init', '--name', 'Acme Steel', '--json')
  assert.match(made.stderr, /the keys are not encrypted/)
  const { id } = document(made, 'waybill.init/1')
  const again = document(
    await acme.run('init', '--name', 'Acme Steel', '--unattended', '--json'),
    'waybill.init/1',
  )
  assert.equal([again.id, again.created], [id, false])
})

test('keys under a passphrase open with it and not without', async () => {
  await using acme = home()
  const file = `${acme.path}.passphrase`
  writeFileSync(file, 'correct horse\nsecond line\n')
  const made = await acme.run('init', '--name', 'Acme Steel', '--passphrase-file', file)
  assert.equal([made.code, made.stderr.includes('not encrypted')], [0, false])
  fourLines(await acme.up(), 2, 'KEYS_PASSPHRASE')
  assert.is((await acme.up('--passphrase-file', file)).code, 0)
  assert.not.match(readFileSync(join(acme.path, 'daemon.log'), 'utf8'), /correct horse/)
})

test('up in the foreground answers when it is ready and ends well on a signal', async () => {
  await using acme = home()
  let stdout = ''
  const ended = await run(['--home', acme.path, 'up', '--name', 'Acme Steel', '--json', ...LOCAL], {
    interruptWhen: () => stdout !== '',
    onStdout: text => {
      stdout += text
    },
  })
  assert.is(ended.code, 0, ended.stderr)
  document(ended, 'waybill.up/1')
  assert.not.ok(existsSync(join(acme.path, 'api.json')))
})

test.run()
