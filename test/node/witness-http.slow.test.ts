/** The HTTP witness against a log and client in shell that were written from the C2SP text alone, over real processes. */
import { execFile, execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import { suite } from '../harness.ts'
import { TestDaemon } from './daemons.ts'

const test = suite('node/witness-http')
const CLIENT = join(import.meta.dirname, 'tlog-client.sh')
const ORIGIN = 'example.com/shell-log'
const run = promisify(execFile)

const missing = ['curl', 'openssl', 'bash'].filter(tool => {
  try {
    execFileSync('which', [tool], { stdio: 'ignore' })
    return false
  } catch {
    return true
  }
})
const withTools = (title: string, body: () => Promise<void>) =>
  missing.length > 0 ? test.skip(title, `no ${missing.join(' and no ')}`) : test(title, body)

withTools('a client in curl and shell gets 200, 400, 403, 404, 409 and 422 where C2SP says so', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-witness-'))
  try {
    await using daemon = await TestDaemon.start('Cole Logistics', folder)
    const client = async (mode: string, ...args: string[]) =>
      (await run('bash', [CLIENT, mode, folder, ORIGIN, ...args], { timeout: 60_000 })).stdout.trim()
    const vkey = await client('key')
    await daemon.client.witnessing.accept(ORIGIN, vkey)
    const { url, key } = await daemon.client.witnessing.serve('127.0.0.1:0')
    const said = (await client('run', url!, key)).split('\n')
    const cosigned = said.filter(line => line.includes('cosignature'))
    for (const line of cosigned) assert.match(line, /-cosignature good [0-5]$/)
    assert.is(cosigned.length, 4)
    assert.equal(
      said.filter(line => !line.includes('cosignature')),
      [
        'unknown 404',
        'first 200',
        'second 200',
        'again 200',
        'behind 409',
        'behind-type text/x.tlog.size',
        'behind-held 2',
        'greater 400',
        'forged 403',
        'wrong-proof 422',
        'forked 422',
        'third 200',
        'malformed 400',
        'too-long 413',
        'monitor 200',
        'monitored the third',
      ],
    )
    const { logs } = await daemon.client.witnessing.get()
    assert.equal(logs, [{ origin: ORIGIN, keys: [vkey], size: 3 }])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

withTools('what was cosigned is held after a kill, and the server comes back where it was', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-witness-'))
  try {
    await using daemon = await TestDaemon.start('Cole Logistics', folder)
    const client = async (mode: string, ...args: string[]) =>
      (await run('bash', [CLIENT, mode, folder, ORIGIN, ...args], { timeout: 60_000 })).stdout.trim()
    await daemon.client.witnessing.accept(ORIGIN, await client('key'))
    const port = new URL((await daemon.client.witnessing.serve('127.0.0.1:0')).url!).port
    const { url, key } = await daemon.client.witnessing.serve(`127.0.0.1:${port}`)
    await client('run', url!, key)
    await daemon.kill()
    await daemon.up()
    const again = await daemon.client.witnessing.get()
    assert.is(again.url, url)
    assert.is(again.logs[0]!.size, 3)
    assert.match(await client('run', url!, key), /^first 409$/m)
    const off = await daemon.client.witnessing.serve(undefined)
    assert.is(off.url, undefined)
    await fetch(`${url}/add-checkpoint`, { method: 'POST', body: 'old 0\n' }).then(
      () => assert.unreachable('nothing listens any more'),
      error => assert.is((error as Error).message, 'fetch failed'),
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test.run()
