/** What the API and the status say of logs and identities that were forked, from the stores that know of them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { forkProblems, forkViews, saveForks } from '../../node/forks.ts'
import { questionsOf } from '../../node/status.ts'
import type { Store } from '../../node/store.ts'
import { Views } from '../../node/views.ts'
import { isClosed, proveFork, readFork } from '../../protocol/fork.ts'
import { readWatch } from '../../protocol/heads.ts'
import { makeDelegate } from '../../protocol/identity-chain.ts'
import { readKnownForks } from '../../protocol/known-forks.ts'
import { KEY } from '../../protocol/layout.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import { suite } from '../harness.ts'
import { rekeyed } from '../protocol/rekeyed.ts'
import { forgedHead, Story } from '../protocol/story.ts'
import type { Member } from '../protocol/world.ts'

const test = suite('node/forks')

/** As much of a node as the views look at. */
const nodeOf = ({ env, store }: Member) => ({
  env,
  views: {
    partner: (org: string) => {
      const stored = store.get(KEY.partner(org))
      return stored && decodePartner(stored)
    },
  },
})
const linesOf = (member: Member) => forkProblems(nodeOf(member)).map(({ code, text }) => `${code} ${text}`)

test('a log that is closed at one node only is shown there, without a file that would prove nothing', async () => {
  const { world, owner, bolt, cole } = rekeyed()
  assert.ok(isClosed(owner.org, bolt.env))
  const [shown, ...more] = forkViews(nodeOf(bolt))
  assert.equal(more, [])
  assert.equal(
    [shown?.of, shown?.org, shown?.here, shown?.proof, shown?.succeeded],
    ['log', owner.org, true, undefined, false],
  )
  const [line] = linesOf(bolt)
  assert.match(
    line ?? '',
    /^LOG_FORKED the log of .* has two histories from size \d+: it is closed at this node only/,
  )
  assert.equal(await savedBy(bolt), [])
  assert.equal(linesOf(cole), [])
  owner.succeed()
  world.run(10_000)
  assert.equal(
    forkViews(nodeOf(bolt)).map(({ succeeded, here }) => [succeeded, here]),
    [[true, true]],
  )
  assert.equal(linesOf(bolt), [])
})

test('a fork of a log and of an identity are shown with proofs that a verifier takes from the file', async () => {
  const { acme, bolt } = new Story().pair()
  const root = new Uint8Array(32).fill(9)
  const proof = proveFork(acme.env.self, forgedHead(acme, 9), forgedHead(acme, 9, root), { root, path: [] })!
  bolt.input({ type: 'fork', proof })
  const make = () =>
    makeDelegate(acme.chain, acme.key('admin'), { keys: { node: { key: acme.draw(), untilMs: 1 } } }, 1)
  const [one, other] = [make(), make()]
  acme.goOn(one)
  acme.world.run(1_000)
  acme.world.send(acme, bolt.org, { t: 'identity/events', events: [other] })
  acme.world.run(1_000)
  assert.equal(linesOf(bolt), [
    `LOG_FORKED the log of ${acme.env.self.identity.name} has two histories from size 9: it is closed`,
    `IDENTITY_FORKED the identity of ${acme.env.self.identity.name} has two events 1: somebody else may hold its keys`,
  ])
  const saved = await savedBy(bolt)
  assert.is(saved.length, 2)
  assert.ok(!('reason' in readFork(saved[0]!)))
  readKnownForks(saved)
})

test('a head that others were shown and its log does not prove is shown to a person after a minute', async () => {
  const { acme, bolt, cole, world } = new Story().pair()
  acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run(10_000)
  acme.input({ type: 'gossip', orgs: [bolt.org], about: [] })
  world.run(10_000)
  const { size } = readWatch(bolt.store.get(KEY.watch(acme.org)))!
  world.bend = (_message, from) => (from === acme ? 0 : 1)
  world.send(cole, bolt.org, { t: 'gossip/head', note: forgedHead(acme, size + 64) })
  world.run(10)
  const store = {
    get: (key: string) => bolt.store.get(key),
    list: async (prefix: string) => [...bolt.store].filter(([key]) => key.startsWith(prefix)),
  }
  const views = new Views(store as unknown as Store, bolt.env)
  assert.equal(await questionsOf(views, world.wallMs), [])
  const [question, ...more] = await questionsOf(views, world.wallMs + 60_000)
  assert.equal(more, [])
  assert.is(question?.code, 'HEAD_UNPROVEN')
  assert.match(question?.text ?? '', new RegExp(`a head of ${size + 64} entries of the log of Acme Steel`))
})

async function savedBy(member: Member): Promise<Uint8Array[]> {
  const home = await mkdtemp(join(tmpdir(), 'waybill-forks-'))
  try {
    await saveForks({ ...nodeOf(member), home })
    const { schema, proofs } = JSON.parse(await readFile(join(home, 'forks.json'), 'utf8'))
    assert.is(schema, 'waybill.forks/1')
    return proofs.map((each: string) => new Uint8Array(Buffer.from(each, 'base64')))
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

test.run()
