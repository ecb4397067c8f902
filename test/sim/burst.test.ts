import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import * as assert from 'uvu/assert'
import type { Burst } from '../../sim/burst.ts'
import { readProfile } from '../../sim/profile.ts'
import { suite } from '../harness.ts'

const test = suite('sim/burst')
const sim = (file: string) => join(import.meta.dirname, '..', '..', 'sim', file)
const profile = readProfile(readFileSync(sim('profile.json'), 'utf8'))

async function bursts(sizes: number[]): Promise<Burst[]> {
  const span = { warm: 2, ms: 500 }
  const load = { publish: span, negotiation: span, transfer: span }
  const asked = sizes.map(nodes => ({ nodes, load, stock: 24, bytes: 65_536, seed: 1, profile }))
  const args = ['--import', sim('charge.ts'), sim('burst-main.ts'), JSON.stringify(asked)]
  return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout)
}

test('daemons that share two cores get no more done than these can, and wait for each other', async () => {
  const [two, eight] = (await bursts([2, 8])) as [Burst, Burst]
  assert.equal((await bursts([2]))[0], two)
  for (const kind of ['publish', 'negotiation', 'transfer'] as const) {
    // What ends in the window may have begun before.
    assert.ok(eight[kind].perSecond <= (1.1 * 2_000) / eight[kind].cpuMs, kind)
    assert.ok(eight[kind].p50Ms > two[kind].p50Ms, kind)
    assert.ok(two[kind].p95Ms >= two[kind].p50Ms && two[kind].cpuMs > 0, kind)
  }
})

test('a delivery costs both sides its proofs afterwards: two judgements, and what is asked and answered for them', async () => {
  const [two] = (await bursts([2])) as [Burst]
  const judgedMs = (2 * profile.work.proof.eachUs) / 1_000
  assert.ok(two.proofMs > judgedMs && two.proofMs < 2 * judgedMs, String(two.proofMs))
})

test.run()
