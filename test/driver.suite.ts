/** The contract of a driver (RULES A1), run over both: nothing leaves before what it rests on, also what is sent again. */
import * as assert from 'uvu/assert'
import { toHex } from '../crypto/bytes.ts'
import type { CID } from '../crypto/cid.ts'
import type { Answer } from '../protocol/command.ts'
import { type Env, ownChain } from '../protocol/context.ts'
import { newestHead } from '../protocol/heads.ts'
import { makeDelegate } from '../protocol/identity-chain.ts'
import type { Message, MessageOf } from '../protocol/message.ts'
import { parseTicket } from '../protocol/pairing.ts'
import type { Input } from '../protocol/peer.ts'
import { type Suite, suite } from './harness.ts'
import { DAY_MS, POLICY } from './protocol/story.ts'
import { Member, World } from './protocol/world.ts'

type Loose<T> = T extends unknown ? Omit<T, 'seed'> : never

/** A driver under test on a disk that forgets. */
export interface DriverRig extends AsyncDisposable {
  env: Env
  /** Runs an input; the promise never settles if the power goes first. */
  submit(input: Loose<Input>): Promise<Answer | undefined>
  /** Everything that has left, in order, over all restarts. */
  sent: Message[]
  /** Lets what follows from the input happen, but nothing become durable. */
  turn(): Promise<void>
  /** Lets everything become durable. */
  settle(): Promise<void>
  /** Cuts the power and starts again. */
  cut(): Promise<void>
}

const ID = new Uint8Array(16).fill(7)

/** Registers and runs the contract. */
export function driverSuite(name: string, open: () => Promise<DriverRig>): void {
  const test = suite(`driver: ${name}`)
  retransmission(test, open)
  succession(test, open)
  test.run()
}

function retransmission(test: Suite, open: () => Promise<DriverRig>): void {
  test('an answer and its retransmission inside an open group leave together, when it is durable', async () => {
    await using rig = await open()
    const ask = await provide(rig)
    ask()
    await rig.turn()
    ask()
    await rig.turn()
    assert.equal(agreed(rig), [])
    await rig.settle()
    const [first, again] = agreed(rig)
    assert.ok(first && first === again, 'the same agreement twice')
  })

  test('a retransmission inside an open group, then a power cut: only one agreement ever leaves', async () => {
    await using rig = await open()
    const ask = await provide(rig)
    ask()
    await rig.turn()
    ask()
    await rig.turn()
    assert.equal(agreed(rig), [])
    await rig.cut()
    ask()
    await rig.settle()
    ask()
    await rig.settle()
    const all = agreed(rig)
    assert.ok(all.length > 0)
    assert.is(new Set(all).size, 1, 'what the next life signs contradicts nothing that left')
  })
}

/** What a head needs of the log before is read when the log that follows has begun. */
function succession(test: Suite, open: () => Promise<DriverRig>): void {
  for (const [what, between] of [
    ['in one group', async () => {}],
    ['while they are read', (rig: DriverRig) => rig.turn()],
  ] as const)
    test(`a log that is closed when its leaves are asked for, ${what}, damages nothing`, async () => {
      await using rig = await open()
      const publish = () =>
        rig.submit({ type: 'publish', title: 'x', domain: 'x', level: 'general', packets: [] })
      for (let i = 0; i < 3; i++) {
        void publish()
        await rig.settle()
      }
      const { admin } = rig.env.keys
      const event = makeDelegate(ownChain(rig.env), admin, { succeeds: true }, Date.now())
      void rig.submit({ type: 'tick', machine: 'log' })
      await between(rig)
      void rig.submit({ type: 'identity', event, orgs: [] })
      void rig.submit({ type: 'tick', machine: 'log' })
      await rig.settle()
      let published = false
      void publish().then(() => (published = true))
      await rig.settle()
      assert.ok(published, 'it goes on')
      assert.is(ownChain(rig.env).logs.length, 2)
      assert.ok(newestHead(rig.env.get), 'and signs heads')
    })
}

/** Pairs with Bolt and offers it something; the function returned hands over Bolt's request, the same each time. */
async function provide(rig: DriverRig): Promise<() => void> {
  const ask = async <T extends Answer['type']>(input: Loose<Input>) => {
    const answer = rig.submit(input)
    await rig.settle()
    return (await answer) as Extract<Answer, { type: T }>
  }
  const bolt = new Member(new World(), 'Bolt GmbH')
  const expiresMs = Date.now() + DAY_MS
  const node = rig.env.keys.node.public
  const invited = await ask<'ticket'>({ type: 'invite', forWhom: 'Bolt', expiresMs, node })
  const joined = bolt.input({ type: 'join', ticket: parseTicket(invited.ticket) })
  const { hello } = joined as Extract<Answer, { type: 'hello' }>
  await ask({ type: 'hello', node: bolt.env.keys.node.public, hello })
  const packets = [bolt.draft('a file', new TextEncoder().encode('content'))]
  const published = {
    type: 'publish',
    title: 'energy',
    domain: 'production',
    level: 'general',
    packets,
  } as const
  const { asset } = await ask<'published'>(published)
  const untilMs = Date.now() + 30 * DAY_MS
  const terms = { asset, audience: [], policy: POLICY, approval: 'policy', untilMs } as const
  const { offer } = await ask<'offered'>({ type: 'offer', ...terms, audience: [] })
  return () => void rig.submit({ type: 'message', from: bolt.org, message: request(offer, bolt.env.self.id) })
}

const request = (offer: CID, state: CID): MessageOf<'negotiation/request'> => ({
  t: 'negotiation/request',
  id: ID,
  offer,
  action: 'analyse',
  purpose: 'benchmark',
  state,
})

/** The agreements that left, in order. */
const agreed = ({ sent }: DriverRig): string[] =>
  sent.flatMap(message => (message.t === 'negotiation/agree' ? [toHex(message.agreement)] : []))
