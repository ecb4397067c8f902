/**
 * What work costs on a machine: measured by `calibrate`, and an input of a run like its seed. One stands in sim/profile.json;
 * the hash of a run covers the one that it was given.
 */
import { SimError } from './error.ts'

export const PROFILE_SCHEMA = 'waybill.sim-profile/1'

/** Of one operation: so much each time, and so much for each byte, us. */
export interface Cost {
  eachUs: number
  byteUs: number
}

/** Work that keeps a core of the host busy. */
export const WORK = [
  /** An input through `step`: the turn around it, and what none of the others names. */
  'step',
  'sign',
  'verify',
  /** SHA-256, also within HMAC and HKDF. */
  'hash',
  /** AES-GCM. */
  'seal',
  'open',
  /** One multiplication on Curve25519, of which sealing to a one-time key takes two and opening two. */
  'x25519',
  /** A message to bytes and back. */
  'encode',
  'decode',
  /** A group of writes handed to the store: bytes of keys and values. */
  'commit',
  /** A message through an open connection. */
  'send',
  'receive',
  /** Ciphertext through a stream of its own, at each side. */
  'stream',
  /** A connection made, at each side. */
  'dial',
  /** A request to the local API, answered. */
  'request',
  /** One of the turns in which a file is opened, written, read, named or closed; and each byte of it. */
  'file',
  /** What the other side proves of a delivery, judged. */
  'proof',
] as const
export type Work = (typeof WORK)[number]

export interface Profile {
  schema: typeof PROFILE_SCHEMA
  /** What it was measured on, with which Node, and when, for whoever reads a report. */
  machine: string
  node: string
  date: string
  /** Of a host: so many inputs are worked on at a time, one of each node. */
  cores: number
  /** So many nodes at work at the same time, and how often as long each takes then: they share cores and caches. */
  crowded: [nodes: number, times: number][]
  /** What part of the work of a node threads beside its own do: those of the compiler, the collector, the network. */
  beside: number
  work: Record<Work, Cost>
  /** How often as long as its cost says a piece of work takes, one of these as it comes: a sample of what was measured. */
  spread: number[]
  disk: {
    /** One sync, without the work of it, one of these as it comes, us. */
    syncUs: number[]
    bytesPerMs: number
  }
  /** Between two nodes of one host, one way. */
  loopback: {
    delayUs: number
    bytesPerMs: number
  }
}

const MOST_CORES = 4_096
/** Nodes that were measured together, and how often as long they took. */
const MOST_CROWDED = 10_000
const MOST_BESIDE = 0.9
/** Beyond this a cost is a mistake: an hour. */
const MOST_US = 3_600_000_000
const MOST_SAMPLES = 1_000
const MOST_BYTES_PER_MS = 1_000_000_000

/** A profile from its JSON. Throws PROFILE_INVALID, which says where. */
export function readProfile(text: string): Profile {
  const all = fields(parsed(text), 'the profile', [
    'schema',
    'machine',
    'node',
    'date',
    'cores',
    'crowded',
    'beside',
    'work',
    'spread',
    'disk',
    'loopback',
  ])
  if (all.schema !== PROFILE_SCHEMA) throw invalid(`schema: '${PROFILE_SCHEMA}' is expected`)
  const work = fields(all.work, 'work', [...WORK])
  const disk = fields(all.disk, 'disk', ['syncUs', 'bytesPerMs'])
  const loopback = fields(all.loopback, 'loopback', ['delayUs', 'bytesPerMs'])
  const { cores, beside } = all
  if (typeof cores !== 'number' || !Number.isSafeInteger(cores) || cores < 1 || cores > MOST_CORES)
    throw invalid(`cores: a whole number from 1 to ${MOST_CORES} is expected`)
  if (typeof beside !== 'number' || !(beside >= 0 && beside <= MOST_BESIDE))
    throw invalid(`beside: a number from 0 to ${MOST_BESIDE} is expected`)
  return {
    schema: PROFILE_SCHEMA,
    machine: words(all.machine, 'machine'),
    node: words(all.node, 'node'),
    date: words(all.date, 'date'),
    cores,
    crowded: readCrowded(all.crowded),
    beside,
    work: Object.fromEntries(WORK.map(name => [name, cost(work[name], `work.${name}`)])) as Profile['work'],
    spread: samples(all.spread, 'spread'),
    disk: {
      syncUs: samples(disk.syncUs, 'disk.syncUs'),
      bytesPerMs: rate(disk.bytesPerMs, 'disk.bytesPerMs'),
    },
    loopback: {
      delayUs: amount(loopback.delayUs, 'loopback.delayUs'),
      bytesPerMs: rate(loopback.bytesPerMs, 'loopback.bytesPerMs'),
    },
  }
}

function readCrowded(value: unknown): Profile['crowded'] {
  const isPair = (each: unknown): each is [number, number] =>
    Array.isArray(each) &&
    each.length === 2 &&
    each.every(n => typeof n === 'number' && n >= 1 && n <= MOST_CROWDED)
  const isCrowded =
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= MOST_SAMPLES &&
    value.every(isPair) &&
    value.every(([nodes], i) => i === 0 || nodes > value[i - 1]![0])
  if (!isCrowded)
    throw invalid(`crowded: pairs of numbers from 1 to ${MOST_CROWDED} are expected, with more nodes in each`)
  return value
}

function cost(value: unknown, at: string): Cost {
  const { eachUs, byteUs } = fields(value, at, ['eachUs', 'byteUs'])
  return { eachUs: amount(eachUs, `${at}.eachUs`), byteUs: amount(byteUs, `${at}.byteUs`) }
}

function amount(value: unknown, at: string): number {
  if (typeof value !== 'number' || !(value >= 0 && value <= MOST_US))
    throw invalid(`${at}: a number from 0 to ${MOST_US} is expected`)
  return value
}

function rate(value: unknown, at: string): number {
  if (typeof value !== 'number' || !(value > 0 && value <= MOST_BYTES_PER_MS))
    throw invalid(`${at}: a number above 0, to ${MOST_BYTES_PER_MS}, is expected`)
  return value
}

function samples(value: unknown, at: string): number[] {
  if (!Array.isArray(value) || value.length < 1 || value.length > MOST_SAMPLES)
    throw invalid(`${at}: a list of 1 to ${MOST_SAMPLES} numbers is expected`)
  return value.map((each, i) => amount(each, `${at}[${i}]`))
}

function words(value: unknown, at: string): string {
  if (typeof value !== 'string' || value === '') throw invalid(`${at}: a text is expected`)
  return value
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(`is no JSON: ${(error as Error).message}`)
  }
}

/** The object with these fields and no others. */
function fields<Name extends string>(value: unknown, at: string, names: Name[]): Record<Name, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${at}: an object is expected`)
  const unknown = Object.keys(value).find(name => !(names as string[]).includes(name))
  if (unknown !== undefined) throw invalid(`${at}: '${unknown}' is no field of it`)
  const missing = names.find(name => !Object.hasOwn(value, name))
  if (missing !== undefined) throw invalid(`${at}: '${missing}' is missing`)
  return value as Record<Name, unknown>
}

const invalid = (what: string) => new SimError('PROFILE_INVALID', what)
