/** One point of a sweep, in a process of its own: a world that runs as it is told in JSON, and its figures in JSON. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ACTIVITIES } from './activity.ts'
import { figuresOf, storedBytes } from './answers.ts'
import { watchWorld } from './guard.ts'
import { readProfile } from './profile.ts'
import { latencyFrom } from './request.ts'
import type { Point, Reading } from './sweep.ts'
import { drawTopology } from './topology.ts'
import { World } from './world.ts'

const point = JSON.parse(process.argv[2]!) as Point
const { nodes, minutes, topology, workload, seed, seats, lossPpm, liarsPpm } = point
const began = performance.now()
const activity = ACTIVITIES[workload]!
const profile = readProfile(readFileSync(fileURLToPath(new URL('./profile.json', import.meta.url)), 'utf8'))
const latency = latencyFrom(point)
const world = new World({
  topology: drawTopology(topology, nodes, seed),
  minutes,
  seed,
  profile,
  signatures: 'charged',
  activity,
  seats,
  lossPpm,
  liarsPpm,
  ...(latency ? { latency: latency.of } : {}),
})
watchWorld(world.cluster, world.suspects)
world.setUp()
const storedBefore = storedBytes(world)
const before = { messages: world.cluster.messages, inputs: world.cluster.inputs }
const setUpAt = performance.now()
world.run()
const runMs = performance.now() - setUpAt
const figures = figuresOf({ world, activity, minutes, storedBefore, before, runMs })
const reading: Reading = {
  violation: world.cluster.violation ?? null,
  agreementsPerSecond: figures.agreementsPerSecond,
  packetsPerSecond: figures.packetsPerSecond,
  negotiationP50Ms: figures.latencyMs.negotiation?.p50 ?? null,
  negotiationP95Ms: figures.latencyMs.negotiation?.p95 ?? null,
  transferP95Ms: figures.latencyMs.transfer?.p95 ?? null,
  headFinalP50Ms: figures.headFinalMs?.p50 ?? null,
  headFinalP95Ms: figures.headFinalMs?.p95 ?? null,
  headsFinal: figures.headFinalMs?.n ?? 0,
  messagesMean: figures.messagesPerNode.mean,
  messagesMedian: figures.messagesPerNode.median,
  messagesP99: figures.messagesPerNode.p99,
  bytesMean: figures.bytesPerNode.mean,
  bytesMedian: figures.bytesPerNode.median,
  bytesP99: figures.bytesPerNode.p99,
  storageMedian: figures.storageGrowth.median,
  late: figures.late,
  bottleneck: figures.bottleneck,
  wallMs: Math.round(performance.now() - began),
}
console.log(JSON.stringify(reading))
