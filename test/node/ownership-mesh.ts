/** Daemons that own assets and vote on them, for tests. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { OrderView } from '../../node/schema-ownership.ts'
import { calling, eventually, pair, TestDaemon } from './daemons.ts'

const NAMES = ['Acme', 'Bolt', 'Cole', 'Dunn', 'Eder', 'Fink', 'Gray']

/** So many organisations, each paired with each. */
export async function mesh(n: number, folder: string, all: AsyncDisposableStack): Promise<TestDaemon[]> {
  const daemons: TestDaemon[] = []
  for (const name of NAMES.slice(0, n)) {
    const daemon = all.use(await TestDaemon.start(name, folder))
    for (const other of daemons) await pair(other, daemon)
    daemons.push(daemon)
  }
  return daemons
}

export async function published(
  owner: TestDaemon,
  folder: string,
  name: string,
  committee: string,
): Promise<string> {
  const path = join(folder, name)
  writeFileSync(path, `content of ${name}`)
  const { asset } = await owner.client.packets.publish({ title: name, files: [{ path, name }], committee })
  return asset
}

/** A committee of these, once all have signed. */
export async function committee(by: TestDaemon, seats: TestDaemon[]): Promise<string> {
  const before = (await by.client.juries.get()).items.map(({ id }) => id)
  await by.client.juries.create({ partners: seats.map(({ name }) => name) })
  return eventually('a committee that all have signed', async () => {
    const { items } = await by.client.juries.get()
    return items.find(({ id }) => !before.includes(id))?.id
  })
}

export const inState = (
  daemon: TestDaemon,
  id: string,
  ...states: OrderView['state'][]
): Promise<OrderView> =>
  eventually(`${id} is ${states}`, async () => {
    const order = await calling(daemon, client => client.handovers.get(id)).catch(() => undefined)
    return order && states.includes(order.state) ? order : undefined
  })
