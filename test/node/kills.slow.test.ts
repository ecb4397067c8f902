/** Kills at random moments, also in the middle of calls, while the exchange goes on. `SEED=n` repeats a run. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as assert from 'uvu/assert'
import { PAD_ENTRIES } from '../../protocol/limits.ts'
import { suite, temporary } from '../harness.ts'
import { Mesh, TestDaemon } from './daemons.ts'
import {
  assertKept,
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

const test = suite('kill -9 at random')
const STORIES = 5
const KILLS = 4
const LARGE_MIB = 32
const MAX_DELAY_MS = 600
const MAX_DOWN_MS = 400

interface Kill {
  daemon: TestDaemon
  point: Point
  delayMs: number
  downMs: number
}

const first = seedOf()
for (let story = 0; story < STORIES; story++)
  test(`story ${story + 1}: ${KILLS} kills`, async () => {
    const seed = first + story
    const roll = dice(seed)
    using folder = temporary()
    const files = sources(folder.path, LARGE_MIB)
    await using mesh = await Mesh.start(folder.path)
    const plan = Array.from({ length: KILLS }, () => ({
      daemon: pick(mesh.all, roll),
      point: pick(POINTS, roll),
      delayMs: Math.floor(roll() * MAX_DELAY_MS),
      downMs: Math.floor(roll() * MAX_DOWN_MS),
    }))
    console.log(`SEED=${seed} begins with this story:`)
    for (const { daemon, point, delayMs, downMs } of plan)
      console.log(`  ${daemon.name}: ${delayMs} ms after "${point}", away for ${downMs} ms`)
    const turns = new Map<TestDaemon, Promise<void>>()
    await tell(mesh, files, async point => {
      for (const kill of plan.filter(each => each.point === point)) {
        const turn = (turns.get(kill.daemon) ?? Promise.resolve()).then(() => killed(kill))
        turn.catch(() => {}) // told at the end
        turns.set(kill.daemon, turn)
      }
    })
    await Promise.all(turns.values())
    await assertWitnessed(mesh)
  }, 170_000)

/** What a first start makes, in its order. */
const MADE = [
  '.',
  'keys',
  'keys/keys.age',
  'identity.waybill-id',
  'token',
  'config.toml',
  'lock',
  'store/CURRENT',
  'content',
  'begun',
  'api.json',
]
test('a first start that is cut off anywhere is finished by the next', async () => {
  using folder = temporary()
  for (const [i, path] of MADE.entries()) {
    const daemon = new TestDaemon(`company-${i}`, folder.path)
    const starting = daemon.up().catch(() => {})
    const isThere = () => existsSync(join(daemon.home, path))
    while (!isThere() && daemon.running) await new Promise(setImmediate)
    await daemon.end('SIGKILL')
    await starting
    await daemon.up()
    // The log began once; its first head, on the beat, pads it.
    const { log } = await daemon.client.status()
    assert.ok(log.size === 1 || log.size === PAD_ENTRIES, `${path}: ${log.size} entries`)
    assert.ok(existsSync(join(daemon.home, 'begun')), path)
    await daemon.kill()
  }
}, 170_000)

async function killed({ daemon, delayMs, downMs }: Kill): Promise<void> {
  await sleep(delayMs)
  const before = await show(daemon)
  await daemon.kill()
  await sleep(downMs)
  await daemon.up()
  assertKept(before, await show(daemon), daemon.name)
}

test.run()
