import { setImmediate as nextTurn } from 'node:timers/promises'
import { Driver } from '../../node/driver.ts'
import { NumberedStore } from '../../node/numbered-store.ts'
import type { Store } from '../../node/store.ts'
import type { Env } from '../../protocol/context.ts'
import type { Message } from '../../protocol/message.ts'
import { type DriverRig, driverSuite } from '../driver.suite.ts'
import { LossyDisk } from '../lossy-store.ts'
import { Member, World } from '../protocol/world.ts'

driverSuite('of a node', async () => {
  const disk = new LossyDisk()
  const sent: Message[] = []
  const lent = new Member(new World(), 'Acme Steel').env
  const fail = (error: Error) => {
    throw error
  }
  const open = () => {
    const store: Store = new NumberedStore(disk.open(fail))
    const env: Env = { ...lent, get: key => store.get(key) }
    const homeKey = new Uint8Array(32)
    const send = (_org: string, message: Message) => void sent.push(message)
    return { store, driver: new Driver({ store, env, homeKey, send, onFatal: fail, onBug: fail }) }
  }
  let { store, driver } = open()
  const settle = async () => {
    for (let i = 0; i < 20 || disk.busy; i++) {
      await nextTurn()
      disk.flush()
    }
  }
  const begun = driver.submit({ type: 'init' })
  await settle()
  await begun
  const rig: DriverRig = {
    env: driver.env,
    submit: input => driver.submit(input),
    sent,
    turn: () => nextTurn(),
    settle,
    cut: async () => {
      driver.stop()
      disk.cut()
      ;({ store, driver } = open())
      void driver.start()
      await settle()
    },
    [Symbol.asyncDispose]: async () => {
      driver.stop()
      await settle()
      await store.close()
    },
  }
  return rig
})
