/** An owner that changes its log key between two histories: one partner saw a head of each, the other of the second alone. */
import { type Member, mesh } from './world.ts'

export function rekeyed() {
  const { world, owner, seats } = mesh(2)
  const [bolt, cole] = seats as [Member, Member]
  const show = (title: string, ...orgs: string[]) => {
    owner.input({ type: 'publish', title, domain: 'x', level: 'general', packets: [] })
    world.run(10_000)
    owner.input({ type: 'gossip', orgs, about: [] })
    world.run(10_000)
  }
  const before = new Map(owner.store)
  show('one', bolt.org)
  owner.store.clear()
  for (const [key, value] of before) owner.store.set(key, value)
  owner.restart()
  owner.delegate(['log'])
  world.run(10_000)
  for (const title of ['another', 'and another']) show(title, bolt.org, cole.org)
  return { world, owner, bolt, cole }
}
