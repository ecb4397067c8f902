/** What an operator is told of seats that keep a committee from counting. */
import * as assert from 'uvu/assert'
import { namedProblems, silentSeats } from '../../node/committee.ts'
import { inForce } from '../../protocol/committee.ts'
import { suite } from '../harness.ts'
import { Story } from '../protocol/story.ts'
import type { Member } from '../protocol/world.ts'

const test = suite('node/committee')

const nodeOf = ({ env }: Member, connected: Member[]) => ({
  env,
  views: { nameOf: (id: { toString(): string }) => ({ id: id.toString(), name: 'Cole' }) },
  partners: { isConnected: (org: string) => connected.some(each => each.org === org) },
})

test('a first committee that a seat does not cosign is named with who is silent, and why, until it counts', () => {
  const story = new Story()
  const { acme, cole, world } = story
  world.bend = (message, from) => (from === cole && message.t.startsWith('promise/') ? 0 : 1)
  story.pair()
  assert.is(inForce(acme.env.get), undefined)
  assert.equal(silentSeats(nodeOf(acme, [cole])), [
    { id: cole.org, name: 'Cole', text: 'has not cosigned yet' },
  ])
  assert.equal(namedProblems(nodeOf(acme, [cole])), [], 'who is here will')
  assert.equal(
    silentSeats(nodeOf(acme, [])).map(({ text }) => text),
    ['is away'],
  )
  const [problem, ...more] = namedProblems(nodeOf(acme, []))
  assert.equal(more, [])
  assert.ok(problem?.code === 'COMMITTEE_WAITS')
  assert.match(
    problem.text,
    /counts when all of its seats have cosigned it, and no head is signed before; silent: Cole/,
  )
  assert.match(problem.hint!, /waybill log succeed/)
  world.bend = () => 1
  world.run(600_000)
  assert.ok(inForce(acme.env.get))
  assert.equal(silentSeats(nodeOf(acme, [])), [])
})

test('a seat whose store was put back says so, in the words of who lost it', () => {
  const story = new Story()
  const { acme, bolt, cole, world } = story
  cole.witnesses = [bolt.env.self.id]
  story.pair()
  cole.input({ type: 'restored', why: 'copied', tickets: [], seats: [], redactions: [] })
  acme.input({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
  world.run(60_000)
  const [silent] = silentSeats(nodeOf(acme, [cole]))
  assert.match(silent?.text ?? '', /the store of this witness was put back: .* only in a successor/)
})

test.run()
