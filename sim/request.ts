/** What a run was asked for on the command line: read, checked and understood before anything is begun. */
import { randomInt } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { freemem, totalmem } from 'node:os'
import { basename, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ACTIVITIES, type Activity, readActivity } from './activity.ts'
import { SimError } from './error.ts'
import { byMatrix, type Latency } from './latency.ts'
import { LOOKUPS_AN_HOUR } from './lookups.ts'
import type { Signatures } from './meter.ts'
import { type Profile, readProfile } from './profile.ts'
import {
  drawTopology,
  MOST_PARTICIPANTS,
  readTopology,
  SHAPES,
  type Shape,
  type Topology,
} from './topology.ts'

/** The options of `npm run sim -- --nodes N` and `waybill sim`, as they were typed. */
export const OPTIONS = {
  nodes: { type: 'string' },
  minutes: { type: 'string' },
  topology: { type: 'string' },
  workload: { type: 'string' },
  seed: { type: 'string' },
  profile: { type: 'string' },
  latency: { type: 'string' },
  unit: { type: 'string' },
  signatures: { type: 'string' },
  json: { type: 'boolean' },
  report: { type: 'string' },
} as const
export type Typed = {
  [K in keyof typeof OPTIONS]?: (typeof OPTIONS)[K]['type'] extends 'boolean' ? boolean : string
}

/** Only lookups, in the model of discovery: nobody has a log. */
export const LOOKUPS = 'lookups'

export interface Request {
  minutes: number
  seed: number
  topologyName: string
  topology: Topology
  /** Nothing for lookups alone. */
  activity: Activity | undefined
  workload: string
  profile: Profile
  /** Measured ones, and in words which; by the regions of the participants where there are none. */
  latency: { of: Latency; said: string } | undefined
  signatures: Signatures
  json: boolean
  report: string | undefined
  /** What it will take, bytes. */
  memory: number
}

/** What the numbers of a latency matrix are, by what one way takes where a 1 stands, ms. */
const UNITS: Record<string, number> = { 'one-way-ms': 1, 'rtt-ms': 0.5, 'rtt-s': 500 }

const MINUTES = 10
const MOST_MINUTES = 7 * 24 * 60
/** Beyond this a mesh of full participants is only extrapolated. */
const MOST_FULL = 200_000
const MIB = 2 ** 20
const KIB = 2 ** 10
/** Measured: what a participant takes once it is set up, what each hour of what it does adds, and what all share. */
const BASE_BYTES = 600 * MIB
const PARTICIPANT_BYTES = 110 * KIB
const PUBLISH_BYTES = 4 * KIB
const NEGOTIATION_BYTES = 40 * KIB
const LOOKUP_NODE_BYTES = 200
/** Left to the rest of the machine. */
const SPARE = 0.05

/** Throws the codes of SimError. */
export function readRequest(typed: Typed): Request {
  const seed = typed.seed === undefined ? randomInt(2 ** 31) : whole('seed', typed.seed, 0, 2 ** 31)
  const minutes = typed.minutes === undefined ? MINUTES : whole('minutes', typed.minutes, 1, MOST_MINUTES)
  const [workload, topologyName] = [typed.workload ?? 'default', typed.topology ?? 'random']
  const isLookups = workload === LOOKUPS
  const activity = isLookups ? undefined : activityOf(workload)
  const most = isLookups ? MOST_PARTICIPANTS : MOST_FULL
  const isFile = !Object.hasOwn(SHAPES, topologyName)
  if (typed.nodes === undefined && !isFile) throw invalid('--nodes N is missing: how many participants?')
  const count = typed.nodes === undefined ? undefined : whole('nodes', typed.nodes, 2, most)
  const topology = isFile
    ? topologyFrom(topologyName, count, most)
    : drawTopology(topologyName as Shape, count!, seed)
  const { signatures = 'charged', report, json = false } = typed
  if (signatures !== 'charged' && signatures !== 'real')
    throw invalid(`--signatures ${signatures}: charged or real is expected`)
  if (report !== undefined && !existsSync(dirname(report)))
    throw invalid(`--report ${report}: there is no folder ${dirname(report)}`)
  const profile = profileFrom(typed.profile)
  const latency = latencyFrom(typed)
  const memory = memoryFor(topology.participants.length, minutes, activity)
  checkMemory(memory, topology.participants.length, minutes)
  return {
    minutes,
    seed,
    topologyName,
    topology,
    activity,
    workload,
    profile,
    latency,
    signatures,
    json,
    report,
    memory,
  }
}

function activityOf(name: string): Activity {
  if (Object.hasOwn(ACTIVITIES, name)) return ACTIVITIES[name]!
  const known = [...Object.keys(ACTIVITIES), LOOKUPS].join(', ')
  return readActivity(fileAt(name, '--workload', `none of ${known}, and no file`))
}

function topologyFrom(path: string, count: number | undefined, most: number): Topology {
  const known = Object.keys(SHAPES).join(', ')
  const topology = readTopology(fileAt(path, '--topology', `none of ${known}, and no file`))
  const there = topology.participants.length
  if (count !== undefined && count !== there)
    throw invalid(`--nodes ${count}: the topology of ${path} has ${there} participants`)
  if (there > most) throw invalid(`--topology ${path}: ${there} participants are more than ${most}`)
  return topology
}

/** The profile that was named, or the one of the repo. Throws the codes of SimError. */
export function profileFrom(path: string | undefined): Profile {
  const file = path ?? fileURLToPath(new URL('./profile.json', import.meta.url))
  return readProfile(fileAt(file, '--profile', 'no file'))
}

/** The latencies of a file that was named. Throws REQUEST_INVALID and LATENCY_INVALID. */
export function latencyFrom({
  latency,
  unit = 'one-way-ms',
}: Pick<Typed, 'latency' | 'unit'>): Request['latency'] {
  const oneWayMs = Object.hasOwn(UNITS, unit) ? UNITS[unit]! : undefined
  if (oneWayMs === undefined) throw invalid(`--unit ${unit}: one of ${Object.keys(UNITS).join(', ')}`)
  if (latency === undefined) return undefined
  const of = byMatrix(fileAt(latency, '--latency', 'no file'), oneWayMs)
  return { of, said: `latencies of ${basename(latency)}, which are ${unit}; those of a region are not used` }
}

function fileAt(path: string, option: string, otherwise: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw invalid(`${option} ${path}: ${code === 'ENOENT' ? otherwise : `cannot be read (${code})`}`)
  }
}

function whole(name: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isSafeInteger(number) && number >= least && number <= most) return number
  throw invalid(`--${name} ${text}: a whole number from ${least} to ${most} is expected`)
}

/** What a run will take, from what smaller ones took; generous rather than not. */
function memoryFor(nodes: number, minutes: number, activity: Activity | undefined): number {
  if (!activity) return BASE_BYTES + nodes * (LOOKUP_NODE_BYTES + (minutes * LOOKUPS_AN_HOUR * KIB) / 60)
  const hours = minutes / 60
  const { publishes, batches, negotiations, handovers } = activity
  const anHour = (publishes + batches) * PUBLISH_BYTES + (negotiations + 4 * handovers) * NEGOTIATION_BYTES
  return BASE_BYTES + nodes * (PARTICIPANT_BYTES + hours * anHour)
}

function checkMemory(needed: number, nodes: number, minutes: number): void {
  const there = Math.max(freemem(), availableMemory()) - SPARE * totalmem()
  if (needed <= there) return
  const gib = (bytes: number) => (bytes / 2 ** 30).toFixed(1)
  throw new SimError(
    'MEMORY_SHORT',
    `${nodes} participants for ${minutes} minutes take about ${gib(needed)} GiB, and ${gib(there)} GiB can be had: ask for fewer, or for less time`,
  )
}

/** Free memory, and what the system would give back. */
function availableMemory(): number {
  const constrained = process.availableMemory()
  return Number.isFinite(constrained) ? constrained : 0
}

const invalid = (what: string) => new SimError('REQUEST_INVALID', what)
