/** The own log before a witness of another make: it cosigns over HTTP, and counts toward nothing. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { isWaybillError } from '../../sdk/error.ts'
import { suite } from '../harness.ts'
import { TestDaemon } from './daemons.ts'
import { ForeignWitness } from './stock-witness.ts'

const test = suite('node/stock-witness')
const WAIT_MS = 20_000

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + WAIT_MS
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`not within ${WAIT_MS} ms: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

const refused = (code: string) => (error: unknown) =>
  (isWaybillError(error) && error.code === code) || `${(error as Error).message} has not the code ${code}`

async function rejects(promise: Promise<unknown>, code: string): Promise<void> {
  const error = await promise.then(
    () => undefined,
    error => error,
  )
  assert.is(refused(code)(error), true)
}

test('a witness of another make cosigns, is caught up with after it was away, and counts toward nothing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'waybill-stock-'))
  try {
    await using witness = new ForeignWitness()
    const url = await witness.listen()
    await using daemon = await TestDaemon.start('Acme Steel', folder)
    const { witnessing } = daemon.client
    const file = join(folder, 'a.txt')
    await writeFile(file, 'one')
    const publish = () =>
      daemon.client.packets.publish({ title: 'a', files: [{ path: file, name: 'a.txt' }] })
    const asked = async () => (await daemon.client.witnessing.get()).asked[0]!

    const { logKey } = await witnessing.ask(url, witness.key)
    await until('it says that it does not know the origin', async () =>
      /^404: /.test((await asked()).problem ?? ''),
    )
    witness.enter(logKey)
    await until('it cosigned once it knew the log', async () => (await asked()).cosignedSize > 0)
    assert.is((await asked()).problem, undefined)

    await publish()
    const first = (await asked()).cosignedSize
    await until('the next head was cosigned too', async () => (await asked()).cosignedSize > first)
    assert.is(witness.sizeOf(logKey), (await asked()).cosignedSize)
    // The log's own signature and nobody else's: who its partners are is not for a stranger.
    for (const names of witness.seen) assert.equal(names, [logKey.split('+')[0]])

    const { log } = await daemon.client.status()
    assert.is(log.position, 'recorded, unwitnessed')
    assert.is(log.final, false)

    const before = (await asked()).cosignedSize
    await daemon.restart()
    await publish()
    const head = async () => (await daemon.client.status()).log.headSize
    await until('a restart lost nothing', async () => {
      const now = (await daemon.client.witnessing.get()).asked[0]!
      return now.cosignedSize === (await head()) && now.cosignedSize > before
    })
    assert.ok(witness.answered.filter(status => status === 200).length >= 3, `answered ${witness.answered}`)
    assert.equal((await daemon.client.witnessing.drop(witness.name)).asked, [])
    await rejects(daemon.client.witnessing.drop(witness.name), 'NOT_FOUND')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test.run()
