/**
 * What the participants of a world do, how often: the workloads. Written down here, printed in every report, and nothing
 * that happens is anywhere else. All rates are of one participant.
 */
import { SimError } from './error.ts'
import { HOSTILITIES, type Hostility } from './hostile.ts'

/** How often each of these happens, an hour; each comes at the participant's own second of a minute, in minutes that chance names. */
export interface Rates {
  /** Content of `publishBytes` is published. */
  publishes: number
  /** Readings of `batchBytes` are published; a packet of its own each, until there are series. */
  batches: number
  /** A partner's catalog is read, its offer asked for, agreed on and fetched. */
  negotiations: number
  /** An asset that was registered is handed over to a partner, under a committee of four seats. */
  handovers: number
  /** Proofs of an agreement are asked of the partner that it is with. */
  audits: number
  /** The node is stopped, and started again after a minute. */
  restarts: number
  /** What a packet derives from is asked after, at partner after partner through five tiers. */
  recalls: number
}

export interface Activity extends Rates {
  name: string
  publishBytes: number
  batchBytes: number
  /** All negotiations of the run come in its middle minute, and with one provider in a hundred. */
  isFlash: boolean
  /** In the middle of the run somebody with the log key of one participant in a hundred shows half of its partners another head. */
  isRobbed: boolean
  /** What one participant in a hundred does to its partners all the time, beside its work; nothing where it is empty. */
  hostility: '' | Hostility
}

const NOTHING: Omit<Activity, 'name'> = {
  publishes: 0,
  batches: 0,
  negotiations: 0,
  handovers: 0,
  audits: 0,
  restarts: 0,
  recalls: 0,
  publishBytes: 65_536,
  batchBytes: 2_048,
  isFlash: false,
  isRobbed: false,
  hostility: '',
}

const DEFAULT: Activity = {
  ...NOTHING,
  name: 'default',
  publishes: 6,
  batches: 60,
  negotiations: 2,
  handovers: 0.1,
}

export const ACTIVITIES: Record<string, Activity> = {
  default: DEFAULT,
  telemetry: { ...NOTHING, name: 'telemetry', batches: 60, batchBytes: 16_384, negotiations: 0.5 },
  files: { ...NOTHING, name: 'files', publishes: 12, publishBytes: 16_777_216, negotiations: 6 },
  negotiations: { ...NOTHING, name: 'negotiations', negotiations: 30 },
  chains: { ...NOTHING, name: 'chains', handovers: 6 },
  audits: { ...DEFAULT, name: 'audits', negotiations: 6, audits: 30 },
  churn: { ...DEFAULT, name: 'churn', restarts: 2 },
  recall: { ...DEFAULT, name: 'recall', recalls: 0.1 },
  flash: { ...DEFAULT, name: 'flash', isFlash: true },
  theft: { ...DEFAULT, name: 'theft', isRobbed: true },
  forgery: { ...DEFAULT, name: 'forgery', hostility: 'forges' },
  replay: { ...DEFAULT, name: 'replay', hostility: 'replays' },
  flood: { ...DEFAULT, name: 'flood', hostility: 'floods' },
}

/** In a world of many nobody withholds: what is not given would only be late. */
const HOSTILE: ReadonlySet<Hostility> = new Set(HOSTILITIES.filter(each => each !== 'withholds'))

/** A participant has one moment a minute. */
const MOST_AN_HOUR = 60
const MOST_BYTES = 2 ** 30

/** A workload by its name, or from a file: `{ "name", and what differs from nothing at all }`. Throws WORKLOAD_INVALID. */
export function readActivity(text: string): Activity {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid(`is no JSON: ${(error as Error).message}`)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid('an object is expected')
  const activity = { ...NOTHING, name: '', ...(value as Record<string, unknown>) } as Activity
  for (const [field, given] of Object.entries(activity)) checkField(field, given)
  return activity
}

function checkField(field: string, given: unknown): void {
  if (field !== 'name' && !Object.hasOwn(NOTHING, field)) throw invalid(`'${field}' is no field of it`)
  if (field === 'name') {
    if (typeof given !== 'string' || given === '') throw invalid('name: a text is expected')
  } else if (field === 'hostility') {
    if (given !== '' && !HOSTILE.has(given as Hostility))
      throw invalid(`hostility: one of ${[...HOSTILE].join(', ')} is expected`)
  } else if (field.startsWith('is')) {
    if (typeof given !== 'boolean') throw invalid(`${field}: true or false is expected`)
  } else if (field.endsWith('Bytes')) {
    if (!Number.isSafeInteger(given) || (given as number) < 1 || (given as number) > MOST_BYTES)
      throw invalid(`${field}: a whole number from 1 to ${MOST_BYTES} is expected`)
  } else if (typeof given !== 'number' || !(given >= 0 && given <= MOST_AN_HOUR))
    throw invalid(`${field}: a number from 0 to ${MOST_AN_HOUR} an hour is expected`)
}

/** In words, for a report. */
export function wordsOf(activity: Activity): string {
  const { publishes, batches, negotiations, handovers, audits, restarts, recalls, isFlash } = activity
  const rates: [number, string][] = [
    [publishes, `publishes of ${activity.publishBytes} bytes`],
    [batches, `batches of readings of ${activity.batchBytes} bytes`],
    [
      negotiations,
      isFlash ? 'negotiations and transfers, all in the middle minute' : 'negotiations and transfers',
    ],
    [handovers, 'hand-overs'],
    [audits, 'audits of an agreement'],
    [restarts, 'restarts'],
    [recalls, 'recalls through five tiers'],
  ]
  const named = rates.filter(([rate]) => rate > 0).map(([rate, what]) => `${rate} ${what}`)
  return `workload ${activity.name}, per participant and hour: ${named.join(', ') || 'nothing'}${activity.isRobbed ? '; once, the log keys of one in a hundred are stolen' : ''}${activity.hostility ? `; one in a hundred ${activity.hostility}` : ''}`
}

const invalid = (what: string) => new SimError('WORKLOAD_INVALID', `the workload: ${what}`)
