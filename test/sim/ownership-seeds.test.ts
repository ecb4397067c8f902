import * as assert from 'uvu/assert'
import { step } from '../../protocol/peer.ts'
import { simulateOwnership } from '../../sim/ownership-run.ts'
import { suite } from '../harness.ts'
import { runOwnership } from './ownership-seeds.suite.ts'

const test = suite('sim/ownership seeds')

test('assets are handed over and back through crashes and loss, and no version has two owners', () => {
  runOwnership({ first: 8, least: 2, most: 2, forMs: 0 })
})

test('a consumer that has a seat, and was told by the others as often as one may show, signs with its own word', () => {
  assert.not.ok(simulateOwnership(5090).violation) // 33 words, a message that is refused
})

test('one that was offered an asset, and is told by its owner how far that knows it, offers it to nobody', () => {
  assert.not.ok(simulateOwnership(7859).violation) // an offer to its writer, which is a breach
})

/** A participant that keeps nothing under such keys. */
const forgetting =
  (prefix: string): typeof step =>
  (state, input, now, env) => {
    const next = step(state, input, now, env)
    const writes = next.output.writes.filter(({ key }) => !key.startsWith(prefix))
    return { ...next, output: { ...next.output, writes } }
  }

test('a seat that does not keep its votes is found out', () => {
  assert.match(
    simulateOwnership(8, { step: forgetting('vote/') }).violation ?? 'nothing',
    /^promise 4 broken/,
  )
})

test('an owner that does not keep what it signed is found out', () => {
  const { violation = 'nothing' } = simulateOwnership(8, { step: forgetting('signed-order/') })
  assert.match(violation, /^promise 4 broken.* away twice/)
})

test.run()
