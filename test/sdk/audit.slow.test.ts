/** `waybill audit` of a log that its owner serves in another history than it showed: exit 6, and a proof that convicts. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { keyFromSeed } from '../../crypto/key.ts'
import { formatNote, parseNote, signNote } from '../../crypto/note.ts'
import { openKeystore } from '../../node/keystore.ts'
import { readFork } from '../../protocol/fork.ts'
import { append, checkpointOf, emptyTail, KIND, readBack } from '../../protocol/log.ts'
import { formatBundle, parseBundle, tilePath } from '../../protocol/tiles.ts'
import { temporary } from '../harness.ts'
import { eventually, pair, TestDaemon } from '../node/daemons.ts'
import { document, fourLines, run, spawning } from './run-cli.ts'

const test = spawning('sdk/audit')

test('a log served in another history than was shown is found out, closed, and its proof convicts alone', async () => {
  using folder = temporary()
  await using acme = await TestDaemon.start('Acme Steel', folder.path)
  await using bolt = await TestDaemon.start('Bolt GmbH', folder.path)
  await pair(acme, bolt)
  const { head, size } = await eventually('Bolt has seen the newest head', async () => {
    const { size } = (await acme.client.status()).log
    for await (const { seenSize } of bolt.client.partners.list())
      if (seenSize === size) return { size, head: (await acme.client.log()).head! }
    return undefined
  })
  // Acme's entries but the last, and another one in its place, under the same key.
  const name = { level: 'entries', index: 0, width: size } as const
  const entries = parseBundle(await acme.client.logs.tile(acme.ready.id, tilePath(name)), size)!.slice(0, -1)
  const before = readBack(emptyTail(), entries)
  assert.not.ok('reason' in before)
  const about = { kind: KIND.record, timeMs: Date.now(), c: new Uint8Array(32).fill(7) }
  const { tail, entry } = append(before as Exclude<typeof before, { reason: string }>, about)
  const { log } = await openKeystore(join(acme.home, 'keys'), undefined, { root: false })
  const [origin] = parseNote(head).body.split('\n') as [string]
  const body = checkpointOf(origin, tail)
  const forged = formatNote({ body, lines: [signNote(body, origin, keyFromSeed(log))] })
  await using server = await serve({
    '/checkpoint': Buffer.from(forged),
    [`/${tilePath(name)}`]: Buffer.from(formatBundle([...entries, entry])),
  })

  const cli = (...args: string[]) => run(['--home', bolt.home, ...args])
  const proof = join(folder.path, 'acme.fork')
  const audited = await cli('--json', 'audit', acme.name, '--url', server.url, '-o', proof)
  assert.is(audited.code, 6, audited.stderr)
  const report = document(audited, 'waybill.audit/1')
  assert.equal(
    (report.faults as { code: string }[]).map(({ code }) => code),
    ['HEAD_INCONSISTENT'],
  )
  const fork = readFork(new Uint8Array(readFileSync(proof)))
  assert.ok(!('reason' in fork) && fork.org.toString() === acme.ready.id)
  const trust = ['--trust', join(bolt.home, 'trust.json')]
  const convicts = await run(['forks', '--check', proof, ...trust])
  assert.is(convicts.code, 0, convicts.stderr)
  assert.match(
    convicts.stdout,
    /Acme Steel.* signed by its (first )?log key.*, unless that was revoked in an event/,
  )
  const { items } = document(await cli('--json', 'forks'), 'waybill.forks/1')
  assert.equal(
    (items as { org: string }[]).map(({ org }) => org),
    [acme.ready.id],
  )
  // For people too, and not for a proof that was changed.
  assert.match((await cli('audit', acme.name, '--url', server.url)).stdout, /two histories/)
  const bytes = readFileSync(proof)
  bytes[bytes.length - 9]! ^= 1
  writeFileSync(proof, bytes)
  fourLines(await run(['forks', '--check', proof, ...trust]), 6, 'FORK_UNPROVEN')
})

async function serve(files: Record<string, Buffer>): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer((request, response) => {
    const file = files[request.url!]
    response.writeHead(file ? 200 : 404).end(file)
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise(done => server.close(done))
    },
  }
}

test.run()
