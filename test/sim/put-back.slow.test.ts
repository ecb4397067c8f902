/**
 * What an operator does about a home that was put back or runs twice, on a mesh with loss and delay: entries come back from a
 * mirror, redactions from whom they were told, and of two copies that both begin the next log everybody learns.
 */
import * as assert from 'uvu/assert'
import type { CID } from '../../crypto/cid.ts'
import { isBehind } from '../../protocol/behind.ts'
import type { Answer } from '../../protocol/command.ts'
import { identityForksKnown, readIdentityFork } from '../../protocol/identity-fork.ts'
import { keptRecord, readEntries, redactedOf } from '../../protocol/kept.ts'
import { mirrorGet } from '../../protocol/mirror.ts'
import { Cluster } from '../../sim/cluster.ts'
import { foundOf } from '../../sim/erasing.ts'
import type { SimNode } from '../../sim/node.ts'
import { drawPlan } from '../../sim/plan.ts'
import { simulate } from '../../sim/run.ts'
import { Workload } from '../../sim/workload.ts'
import { suite } from '../harness.ts'
import { POLICY } from '../protocol/story.ts'

const test = suite('sim/put back')
const SEEDS = [1, 2, 3, 4]
const S_US = 1_000_000

/** A mesh of four that has exchanged something; the first has three members, and one of them mirrors its log. */
function story(seed: number) {
  const plan = { ...drawPlan(seed), nodes: 4, members: 3, witnesses: 0, seated: true, assets: 1, requests: 1 }
  const cluster = new Cluster({ seed, weather: plan.weather, times: plan.times, pad: plan.pad })
  for (const name of ['Acme', 'Bolt', 'Cole', 'Dunn']) cluster.add(name)
  const workload = new Workload(cluster, plan)
  const [acme, bolt, cole, dunn] = cluster.nodes as [SimNode, SimNode, SimNode, SimNode]
  acme.mirrors = [bolt.env.self.id]
  for (const node of cluster.nodes) node.start()
  workload.begin()
  const run = (s: number) => {
    for (let look = 0; look < s; look += 20) {
      workload.look()
      cluster.run(cluster.timeline.nowUs + Math.min(20, s - look) * S_US)
    }
  }
  run(200)
  return { cluster, acme, bolt, cole, dunn, run }
}

test('what was open when too many members said that a store is behind goes on under the next log', () => {
  const changes = { nodes: 8, members: 7, seated: true, assets: 1, requests: 1, faultyS: 37 } as const
  const liars = { liars: 'all it bears', notices: false, skewMs: 0, driftPpm: 0 } as const
  const { violation, succeeded } = simulate(31229, { changes: { ...changes, ...liars, calmS: 2249 } })
  assert.is(violation, undefined)
  assert.ok(succeeded > 0)
})

test('two copies of a home that both succeed fork their identity, and every partner has the proof', () => {
  for (const seed of SEEDS) {
    const { cluster, acme, bolt, cole, dunn, run } = story(seed)
    const twin = cluster.copy(acme, acme.disk.copy())
    acme.audience = new Set([bolt.org])
    twin.audience = new Set([cole.org, dunn.org])
    cluster.network.disconnectAll()
    twin.start()
    run(20)
    for (const copy of [acme, twin]) {
      copy.succeed()
      run(20)
    }
    for (const copy of [acme, twin]) copy.audience = undefined
    cluster.retire(seed % 2 === 0 ? acme : twin)
    cluster.network.disconnectAll()
    run(400)
    for (const node of [bolt, cole, dunn]) {
      const [proof] = identityForksKnown({ get: node.onDisk })
      const fork = proof && readIdentityFork(proof)
      assert.ok(fork && !('reason' in fork), `seed ${seed}: ${node.name} has no proof`)
      assert.equal([fork.org.toString(), fork.n, fork.isSuccession], [acme.org, 1, true])
    }
  }
}, 240_000)

test('a store that is behind gets its entries back from its mirror, byte for byte, and goes on', () => {
  for (const seed of SEEDS) {
    const { cluster, acme, bolt, run } = story(seed)
    const old = acme.disk.copy()
    acme.submit({ type: 'publish', title: 'later', domain: 'x', level: 'general', packets: [] })
    run(120)
    // What members promised and no mirror was given never comes back: only a successor helps then.
    for (let i = 0; i < 10 && acme.state.ledger.tail.range.size > acme.state.ledger.signed.range.size; i++)
      run(20)
    const { size } = acme.state.ledger.signed.range
    acme.crash()
    cluster.restore(acme, old)
    acme.start()
    run(60)
    acme.submit({ type: 'publish', title: 'after', domain: 'x', level: 'general', packets: [] })
    run(120)
    assert.ok(isBehind(acme.onDisk), `seed ${seed}: it is found behind`)
    // What was lost on the way is not sent again: the operator asks again.
    for (let i = 0; i < 10 && isBehind(acme.onDisk); i++) {
      acme.submit({ type: 'recover' })
      run(40)
    }
    assert.not.ok(isBehind(acme.onDisk), `seed ${seed}: it goes on`)
    acme.submit({ type: 'publish', title: 'and on', domain: 'x', level: 'general', packets: [] })
    run(200)
    assert.ok(acme.state.ledger.signed.range.size > size)
    const entries = (get: SimNode['onDisk']) => [...readEntries(get, 0, size)].map(({ entry }) => entry)
    assert.equal(entries(acme.onDisk), entries(mirrorGet(bolt.onDisk, acme.org, 0)), `seed ${seed}`)
  }
}, 240_000)

test('what was redacted after a backup is erased again by the word of a partner', () => {
  for (const seed of SEEDS) {
    const { cluster, acme, bolt, run } = story(seed)
    const about = { title: 'who was on shift', domain: 'x', level: 'general', packets: [] } as const
    let record: CID | undefined
    acme.submit({ type: 'publish', ...about, packets: [] }, [], answer => {
      record = (answer as Extract<Answer, { type: 'published' }>).asset
    })
    run(20)
    const untilMs = acme.now().wallMs + 90 * 86_400_000
    acme.submit({ type: 'offer', asset: record!, audience: [], policy: POLICY, approval: 'policy', untilMs })
    run(100)
    for (let i = 0; i < 10 && !keptRecord(bolt.env, record!); i++) {
      bolt.submit({ type: 'catalog', org: acme.org })
      run(40)
    }
    assert.ok(keptRecord(bolt.env, record!), `seed ${seed}: Bolt has seen it`)
    // With its body keys, as a backup has them.
    const old = cluster.copy(acme, acme.disk.copy())
    const holds = ({ onDisk: get, env }: SimNode) =>
      keptRecord({ get, slots: env.slots }, record!) !== undefined
    acme.submit({ type: 'redact', record: record!, reason: 'personal data', ...foundOf(acme, record!) })
    run(100)
    for (const node of [acme, bolt])
      assert.ok(redactedOf(node.onDisk, record!) && !holds(node), `seed ${seed}: ${node.name}`)
    cluster.retire(acme)
    assert.ok(holds(old), 'the backup has it')
    old.start()
    run(100)
    assert.ok(redactedOf(old.onDisk, record!) && !holds(old), `seed ${seed}: erased again`)
  }
}, 240_000)

test.run()
