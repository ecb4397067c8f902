import type { Answer } from '../../protocol/command.ts'
import type { Message } from '../../protocol/message.ts'
import { Cluster } from '../../sim/cluster.ts'
import { type DriverRig, driverSuite } from '../driver.suite.ts'
import { CALM, TIMES } from './plants.ts'

let seed = 0

driverSuite('of the simulator', async () => {
  const cluster = new Cluster({ seed: ++seed, weather: CALM, times: TIMES })
  const sent: Message[] = []
  cluster.checkers.push({ sent: ({ message }) => void sent.push(message) })
  const node = cluster.add('Acme Steel')
  const settle = async () => cluster.run(cluster.timeline.nowUs + 1_000_000)
  node.start()
  await settle()
  const rig: DriverRig = {
    env: node.env,
    submit: input => {
      const { promise, resolve, reject } = Promise.withResolvers<Answer | undefined>()
      node.submit(input, [], (answer, refused) => (refused ? reject(new Error(refused)) : resolve(answer)))
      return promise
    },
    sent,
    turn: async () => cluster.run(cluster.timeline.nowUs),
    settle,
    cut: async () => {
      node.crash()
      node.start()
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return rig
})
