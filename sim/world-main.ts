/** The process of a run, started by launch.ts with the options as JSON: runs the world and says what came of it. */
import { writeFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { type Answers, figuresOf, storedBytes } from './answers.ts'
import { watchWorld } from './guard.ts'
import { byRegion } from './latency.ts'
import { LOOKUPS_AN_HOUR, type LookupFigures, lookUp, SAMPLE } from './lookups.ts'
import { ProgressBar } from './progress-bar.ts'
import { reportHtml } from './report.ts'
import { type Request, readRequest, type Typed } from './request.ts'
import { htmlOf, linesOf } from './summary.ts'
import { World } from './world.ts'

// Else all of a large heap is marked anew for each 64 MiB of arrays: of 5,000 participants a third of all work.
if (process.versions.v8.startsWith('13.')) setFlagsFromString('--external-memory-accounted-in-global-limit')

const request = readRequest(JSON.parse(process.argv[2]!) as Typed)
const bar = new ProgressBar(process.stderr)
const answers = request.activity ? await inWorld(request) : lookupsOnly(request)
bar.end()
if (request.report) writeFileSync(request.report, reportHtml(htmlOf(answers)))
if (request.json) console.log(JSON.stringify(answers))
else for (const line of linesOf(answers)) console.log(line)
process.exitCode = answers.violations.length > 0 ? 1 : 0

async function inWorld({ activity, ...asked }: Request): Promise<Answers> {
  const began = performance.now()
  const { minutes, seed, topology, profile, signatures } = asked
  const world = new World({
    topology,
    minutes,
    seed,
    profile,
    signatures,
    activity: activity!,
    ...(asked.latency ? { latency: asked.latency.of } : {}),
    progress: (phase, share) => bar.show(phase, share),
  })
  watchWorld(world.cluster, world.suspects)
  world.setUp()
  const storedBefore = storedBytes(world)
  const before = { messages: world.cluster.messages, inputs: world.cluster.inputs }
  const setUpAt = performance.now()
  world.run()
  const ranAt = performance.now()
  const figures = figuresOf({
    world,
    activity: activity!,
    minutes,
    storedBefore,
    before,
    runMs: ranAt - setUpAt,
  })
  const lookups = found(
    asked,
    Math.min(SAMPLE, Math.ceil((topology.participants.length * minutes * activity!.negotiations) / 60)),
  )
  const { violation } = world.cluster
  return {
    ...about(asked),
    said: [...world.said(), ...saidOf(asked)],
    traceHash: world.cluster.traceHash(),
    violations: violation ? [violation] : [],
    ...figures,
    setupMs: Math.round(setUpAt - began),
    wallMs: Math.round(performance.now() - began),
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
    lookups,
  }
}

/** In the order in which they are printed. */
function about({ minutes, seed, topology, topologyName, workload, signatures }: Omit<Request, 'activity'>) {
  const nodes = topology.participants.length
  return {
    schema: 'waybill.sim/1' as const,
    nodes,
    minutes,
    topology: topologyName,
    workload,
    seed,
    signatures,
  }
}

function saidOf({ latency }: Omit<Request, 'activity'>): string[] {
  return latency ? [latency.said] : []
}

function found(
  { topology, minutes, seed, profile, latency: measured }: Omit<Request, 'activity'>,
  count: number,
): LookupFigures {
  const latency = measured?.of ?? byRegion(topology.participants.map(({ region }) => region))
  const nodes = topology.participants.length
  return lookUp({
    nodes,
    count,
    minutes,
    seed,
    profile,
    latency,
    progress: share => bar.show('lookups', share),
  })
}

function lookupsOnly(asked: Request): Answers {
  const count = Math.ceil((asked.topology.participants.length * asked.minutes * LOOKUPS_AN_HOUR) / 60)
  const { traceHash, ...lookups } = found(asked, count)
  const { profile } = asked
  const none = { mean: 0, median: 0, p99: 0, smallest: 0 }
  return {
    ...about(asked),
    said: [
      `workload lookups, per participant and hour: ${LOOKUPS_AN_HOUR} records left and ${LOOKUPS_AN_HOUR} looked for, in the model of @libp2p/kad-dht`,
      `costs of ${profile.machine}, Node ${profile.node}, ${profile.date}`,
      ...saidOf(asked),
    ],
    traceHash,
    violations: [],
    messagesPerSecond: 0,
    eventsPerSecond: Math.round((lookups.events * 1_000) / Math.max(1, lookups.wallMs)),
    messages: 0,
    events: lookups.events,
    packetsPerSecond: 0,
    agreementsPerSecond: 0,
    handoversPerSecond: 0,
    refused: 0,
    late: 0,
    bytesPerNode: none,
    messagesPerNode: none,
    latencyMs: {},
    headFinalMs: null,
    storageGrowth: none,
    bottleneck: { name: 'nothing', share: 0 },
    work: {},
    setupMs: 0,
    wallMs: lookups.wallMs,
    peakRssBytes: process.resourceUsage().maxRSS * 1_024,
    forkDetectionMs: null,
    lookups,
  }
}
