/** `kill -9` of each of the three, once, in the middle of an exchange. `SEED=n` repeats a run. */
import { suite, temporary } from '../harness.ts'
import { Mesh, type TestDaemon } from './daemons.ts'
import {
  assertKept,
  assertLasting,
  assertWitnessed,
  dice,
  POINTS,
  type Point,
  pick,
  seedOf,
  show,
  sources,
  tell,
} from './kill-story.ts'

const test = suite('kill -9')
const LARGE_MIB = 16

test('provider, consumer and witness lose nothing that was answered, and the exchange goes on', async () => {
  const seed = seedOf()
  const roll = dice(seed)
  using folder = temporary()
  const files = sources(folder.path, LARGE_MIB)
  await using mesh = await Mesh.start(folder.path)
  const plan = mesh.all.map(daemon => ({ daemon, point: pick(POINTS, roll) }))
  console.log(`SEED=${seed}: ${plan.map(({ daemon, point }) => `${daemon.name} ${point}`).join(', ')}`)
  const agreement = await tell(mesh, files, async (point: Point) => {
    for (const each of plan) if (each.point === point) await killed(each.daemon)
  })
  await assertWitnessed(mesh)
  await assertLasting(mesh, agreement)
}, 110_000)

async function killed(daemon: TestDaemon): Promise<void> {
  const before = await show(daemon)
  await daemon.restart()
  assertKept(before, await show(daemon), daemon.name)
}

test.run()
