/** Evidence of real daemons outlives the key of its witness: by `waybill evidence renew`, and by itself where proofs are kept. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import type { Delivery } from '../../node/schema.ts'
import { suite, temporary } from '../harness.ts'
import { document, fourLines, run } from '../sdk/run-cli.ts'
import { eventually, Mesh, type TestDaemon } from './daemons.ts'
import { sources, tell } from './kill-story.ts'

const test = suite('renewal of evidence')
const LIMIT_MS = 180_000
const FINAL_MS = 60_000
/** The partner that changed its key is looked after in 15 s. */
const RENEWED_MS = 40_000

test(
  'a witness takes another key: old evidence is exit 7 until it is renewed, and what is kept is renewed by itself',
  async () => {
    using folder = temporary()
    await using mesh = await Mesh.start(folder.path)
    const { acme, bolt, cole } = mesh
    const agreement = await tell(mesh, sources(folder.path, 1), async () => {})
    const at = (name: string) => join(folder.path, name)
    const deliveries: Delivery[] = []
    for await (const each of bolt.client.agreements.deliveries(agreement)) deliveries.push(each)
    const packet = deliveries[0]!.packet.id
    const evidence = async () => bolt.client.agreements.evidence(agreement, packet)
    const verify = async (name: string) => {
      writeFileSync(at('trust.json'), JSON.stringify(await bolt.client.trust()))
      const args = ['--home', at('none'), 'verify', '--trust', at('trust.json'), '--json', '--require-final']
      const done = await run([...args, at(name)])
      return { code: done.code, steps: stepsOf(document(done, 'waybill.report/1')) }
    }
    await eventually(
      'final evidence',
      async () => {
        writeFileSync(at('old.waybill'), await evidence())
        return (await verify('old.waybill')).code === 0 || undefined
      },
      FINAL_MS,
    )

    await cole.client.keys.rotate({ roles: ['witness'] })
    for (const daemon of [acme, bolt]) await grow(daemon, at('trust.json'))
    // Who knows of the new key cannot tell any more what the old one was worth.
    const renewed = await run([
      '--home',
      bolt.home,
      'evidence',
      'renew',
      at('old.waybill'),
      '-o',
      at('new.waybill'),
    ])
    assert.is(renewed.code, 0, renewed.stdout + renewed.stderr)
    const { code, steps } = await verify('new.waybill')
    assert.is(code, 0, JSON.stringify(steps))
    for (const side of ['provider', 'consumer']) assert.match(steps.get(`${side} renewal`)!, /final, 1 of 1/)

    // Proofs that Bolt keeps of Acme's log are renewed while Acme is there; then it may go.
    await new Promise(done => setTimeout(done, RENEWED_MS))
    await acme.kill()
    writeFileSync(at('alone.waybill'), await evidence())
    const alone = await verify('alone.waybill')
    assert.is(alone.code, 0, JSON.stringify([...alone.steps]))
    assert.match(alone.steps.get('provider renewal') ?? [...alone.steps].join('\n'), /final, 1 of 1/)
    writeFileSync(at('none.waybill'), '{}')
    const again = await run([
      '--home',
      bolt.home,
      'evidence',
      'renew',
      at('none.waybill'),
      '-o',
      at('x.waybill'),
    ])
    fourLines(again, 6, 'EVIDENCE_MALFORMED')
  },
  LIMIT_MS,
)

const stepsOf = (report: Record<string, unknown>): Map<string, string> =>
  new Map((report.steps as { id: string; detail: string }[]).map(({ id, detail }) => [id, detail]))

/** Something new in the log, under a head that the witness has cosigned. */
async function grow({ client, name }: TestDaemon, path: string): Promise<void> {
  const { log } = await client.status()
  await client.packets.publish({ title: 'x', files: [{ path, name: 'x' }] })
  await eventually(
    `a new final head of ${name}`,
    async () => {
      const { log: now } = await client.status()
      return (now.final && now.headSize > log.headSize) || undefined
    },
    FINAL_MS,
  )
}

test.run()
