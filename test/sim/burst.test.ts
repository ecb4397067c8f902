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

const span = { warm: 2, ms: 300 }
const load = { publish: span, negotiation: span, transfer: span }
const asked = [2, 6, 2].map(nodes => ({ nodes, load, stock: 8, bytes: 65_536, seed: 1, profile }))
const args = ['--import', sim('charge.ts'), sim('burst-main.ts'), JSON.stringify(asked)]
let bursts: Burst[] = []

test.before(async () => {
  bursts = JSON.parse((await promisify(execFile)(process.execPath, args)).stdout)
})

test('daemons that share two cores get no more done than these can, and wait for each other', () => {
  const [two, six, again] = bursts as [Burst, Burst, Burst]
  assert.equal(again, two)
  for (const kind of ['publish', 'negotiation', 'transfer'] as const) {
    // What ends in the window may have begun before.
    assert.ok(six[kind].perSecond <= (1.1 * 2_000) / six[kind].cpuMs, kind)
    assert.ok(six[kind].p50Ms > two[kind].p50Ms, kind)
    assert.ok(two[kind].p95Ms >= two[kind].p50Ms && two[kind].cpuMs > 0, kind)
  }
})

test('a delivery costs both sides its proofs afterwards: two judgements, and what is asked and answered for them', () => {
  const [{ proofMs }] = bursts as [Burst]
  const judgedMs = (2 * profile.work.proof.eachUs) / 1_000
  const { step, commit, receive } = profile.work
  const aroundMs = (30 * (step.eachUs + commit.eachUs + receive.eachUs)) / 1_000
  assert.ok(proofMs > judgedMs && proofMs < judgedMs + aroundMs, `${proofMs}`)
})

test.run()
