/** Partners of one log's owner, for tests of witnesses and committees. */
import { type Member, World } from './world.ts'

/** A log's owner and so many who are its partners, and know each other. */
export function mesh(n: number): { world: World; owner: Member; seats: Member[] } {
  const world = new World()
  const owner = world.add('Acme Steel')
  const seats = Array.from({ length: n }, (_, i) => world.add(`Seat ${i}`))
  for (const seat of seats) world.pair(owner, seat)
  world.run(10_000)
  return { world, owner, seats }
}
