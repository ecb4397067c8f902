/**
 * A process that does what a small simulated mesh does, with real signatures, when it is told to, and says what CPU an input
 * of it took: shipped code with a heap as large as that of a daemon, and no daemon.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { useLibsodium } from '../crypto/libsodium.ts'
import { ACTIVITIES } from '../sim/activity.ts'
import { readProfile } from '../sim/profile.ts'
import { World } from '../sim/world.ts'

const PARTICIPANTS = 8
/** To each side in a ring: enough for committees of four. */
const NEIGHBOURS = 2
const WARM_MS = 2_000
const STEP_US = 1_000_000
/** Longer than anybody asks. */
const MINUTES = 1_000_000

useLibsodium() // as a node does
const participants = Array.from({ length: PARTICIPANTS }, (_, i) => ({
  name: `node ${i}`,
  region: 'Frankfurt' as const,
}))
const partners = participants.flatMap((_, i) =>
  Array.from({ length: NEIGHBOURS }, (_, n): [number, number] => {
    const j = (i + n + 1) % PARTICIPANTS
    return [Math.min(i, j), Math.max(i, j)]
  }),
)
const world = new World({
  topology: { participants, partners },
  minutes: MINUTES,
  seed: 1,
  profile: readProfile(readFileSync(join(import.meta.dirname, '../sim/profile.json'), 'utf8')),
  signatures: 'real',
  activity: ACTIVITIES.default!,
})
world.setUp()
world.acts.begin()
const { cluster } = world

function work(ms: number): { eachUs: number } {
  const [before, inputs] = [process.cpuUsage(), cluster.inputs]
  for (const until = performance.now() + ms; performance.now() < until; )
    cluster.run(cluster.timeline.nowUs + STEP_US)
  if (cluster.violation) throw new Error(cluster.violation)
  const { user, system } = process.cpuUsage(before)
  return { eachUs: (user + system) / (cluster.inputs - inputs) }
}

process.on('message', ({ ms }: { ms: number }) => process.send!(work(ms)))
process.on('disconnect', () => process.exit())
work(WARM_MS)
process.send!({})
