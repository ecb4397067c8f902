/** A log that is mirrored by a partner and read over HTTP, and its audit from each, over real processes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { tilePath } from '../../protocol/tiles.ts'
import { temporary } from '../harness.ts'
import { document, run, spawning } from '../sdk/run-cli.ts'
import { eventually, Mesh } from './daemons.ts'

const test = spawning('node/mirror')
const DAY_MS = 86_400_000

test('a mirror holds what its owner has; every audit says so, and finds what was changed', async () => {
  using folder = temporary()
  await using mesh = await Mesh.start(folder.path)
  const { acme, bolt, cole } = mesh
  const named = document(
    await run(['--home', acme.home, '--json', 'mirror', 'add', bolt.name]),
    'waybill.mirroring/1',
  )
  assert.equal(
    (named.mirrors as { id: string }[]).map(each => each.id),
    [bolt.ready.id],
  )
  const path = join(folder.path, 'x.txt')
  writeFileSync(path, 'x')
  const { asset } = await acme.client.packets.publish({
    title: 'secret title',
    files: [{ path, name: 'x.txt' }],
  })
  await acme.client.offers.create({ asset, untilMs: Date.now() + DAY_MS, approval: 'policy' })
  const { size } = await eventually('a cosigned head over all of it', async () => {
    const { log } = await acme.client.status()
    return log.headSize === log.size && log.final ? log : undefined
  })
  await eventually('the mirror has it', async () => {
    const [copy] = (await bolt.client.logs.mirroring()).held
    return copy?.size === size ? true : undefined
  })

  const audit = async (home: string, ...args: string[]) => run(['--home', home, '--json', 'audit', ...args])
  const own = document(await audit(acme.home), 'waybill.audit/1')
  const copy = document(await audit(bolt.home, acme.name), 'waybill.audit/1')
  const { url } = await acme.client.witnessing.serve('127.0.0.1:0')
  const hash = await hashOf(acme.client)
  const closed = await fetch(`${url}/${hash}/checkpoint`)
  assert.is(closed.status, 404, 'nothing is open before the operator opens it')
  await run(['--home', acme.home, 'mirror', 'open'])
  const open = document(await audit(bolt.home, acme.name, '--url', `${url}/${hash}`), 'waybill.audit/1')
  const found = document(await audit(bolt.home, acme.name, '--url', url!), 'waybill.audit/1')
  assert.is(found.root, open.root, 'the address of the witness is enough')
  for (const report of [own, copy, open]) {
    assert.equal([report.size, report.root, report.faults], [size, own.root, []])
    assert.ok((report.cosignatures as number) > 0)
  }
  assert.is((await audit(cole.home, acme.name)).code, 4, 'who is no mirror has nothing to audit')

  const [tile, none] = await Promise.all(
    [size, size + 1].map(width =>
      fetch(`${url}/${hash}/${tilePath({ level: 'entries', index: 0, width: Math.min(width, 256) })}`),
    ),
  )
  assert.is(tile!.status, 200)
  if (size < 256) assert.is(none!.status, 404, 'nothing past the checkpoint')
  const bytes = Buffer.from(await tile!.arrayBuffer())
  assert.not.ok(bytes.includes('secret title'))
  // Two entries proven under one head, one of them with its body; a stranger checks them with a trust file alone.
  const logged = (await acme.client.log()).entries.flatMap(({ record }) => (record ? [record.id] : []))
  const [first, second] = logged.slice(-2) as [string, string]
  const proofs = join(folder.path, 'proofs')
  // By the short id that `waybill log` shows.
  const short = `…${second.slice(-8)}`
  const made = document(
    await run(['--home', acme.home, '--json', 'prove', first, short, '--show', short, '-o', proofs]),
    'waybill.proofs/1',
  )
  assert.equal(
    (made.files as { shown: boolean }[]).map(({ shown }) => shown),
    [false, true],
  )
  for (const record of [first, second]) {
    const file = join(proofs, `${record}.tlog-proof`)
    const checked = await run([
      '--home',
      folder.path,
      '--json',
      'prove',
      '--check',
      file,
      '--trust',
      join(bolt.home, 'trust.json'),
    ])
    const report = document(checked, 'waybill.proof/1')
    assert.equal([checked.code, report.verdict], [0, 'verified'])
    assert.is((report.record as { id: string } | undefined)?.id, record === second ? second : undefined)
    writeFileSync(file, readFileSync(file, 'utf8').replace(/^index /m, 'index 1'))
    assert.is((await run(['prove', '--check', file, '--trust', join(bolt.home, 'trust.json')])).code, 6)
  }

  await run(['--home', acme.home, 'mirror', 'open', '--off'])
  assert.is((await fetch(`${url}/${hash}/checkpoint`)).status, 404)
}, 90_000)

async function hashOf(client: Mesh['acme']['client']): Promise<string> {
  const { head } = await client.log({ limit: 1 })
  const { originHash } = await import('../../protocol/log.ts')
  return originHash(head!.split('\n')[0]!)
}

test.run()
