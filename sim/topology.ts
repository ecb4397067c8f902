/**
 * Who trades with whom: the shapes of industries, drawn from a seed, or a file. Partners are those that pair, witness each
 * other's logs and exchange; nobody knows all others but in a small mesh.
 */
import { SimError } from './error.ts'
import { isRegion, REGION_NAMES, type Region } from './latency.ts'
import { Prng } from './prng.ts'

export interface Participant {
  name: string
  region: Region
}

export interface Topology {
  participants: Participant[]
  /** Pairs of indexes, the smaller first, in order. */
  partners: [number, number][]
}

export type Shape = 'automotive' | 'steel' | 'city' | 'random'
export const SHAPES: Record<Shape, (links: Links, prng: Prng) => void> = {
  automotive,
  steel,
  city,
  random,
}

/** Participants at most: beyond, only the extrapolation goes. */
export const MOST_PARTICIPANTS = 1_000_000

/** A topology of a shape: the same for the same seed. */
export function drawTopology(shape: Shape, count: number, seed: number): Topology {
  if (!Number.isSafeInteger(count) || count < 2 || count > MOST_PARTICIPANTS)
    throw invalid(`a mesh has 2 to ${MOST_PARTICIPANTS} participants, not ${count}`)
  const links = new Links(count)
  SHAPES[shape](links, new Prng(seed, `topology ${shape}`))
  return links.topology()
}

/** What grows while a topology is drawn. */
class Links {
  readonly participants: Participant[]
  readonly #partners: Set<number>[]

  constructor(count: number) {
    this.participants = Array.from({ length: count }, (_, i) => ({
      name: `participant ${i}`,
      region: 'Frankfurt',
    }))
    this.#partners = Array.from({ length: count }, () => new Set())
  }

  get count(): number {
    return this.participants.length
  }

  call(index: number, name: string, region: Region): void {
    this.participants[index] = { name, region }
  }

  regionOf(index: number): Region {
    return this.participants[index]!.region
  }

  add(a: number, b: number): void {
    if (a === b) return
    this.#partners[Math.min(a, b)]!.add(Math.max(a, b))
  }

  topology(): Topology {
    const partners = this.#partners.flatMap((all, from) =>
      [...all].sort((a, b) => a - b).map(to => [from, to] as [number, number]),
    )
    return { participants: this.participants, partners }
  }
}

/** Carmakers, and the share of each tier of suppliers below them in a million; the rest are the last tier. */
const TIERS_PPM = [4_000, 76_000, 270_000]
/** Customers that a supplier delivers to, and how often they are of its region. */
const CUSTOMERS = [1, 4] as const
const NEARBY_PPM = 700_000
const CAR_REGIONS: Region[] = [
  'Frankfurt',
  'Frankfurt',
  'Ireland',
  'N. Virginia',
  'Tokyo',
  'Seoul',
  'São Paulo',
]

/** Each supplier delivers to one to four of the tier above, most of them near; carmakers know each other. */
function automotive(links: Links, prng: Prng): void {
  const { count } = links
  const starts = [0]
  for (const ppm of TIERS_PPM)
    starts.push(Math.min(count, starts.at(-1)! + Math.max(1, Math.round((count * ppm) / 1e6))))
  starts.push(count)
  for (let tier = 0; tier + 1 < starts.length; tier++)
    for (let i = starts[tier]!; i < starts[tier + 1]!; i++) {
      links.call(i, tier === 0 ? `carmaker ${i}` : `tier ${tier} supplier ${i}`, prng.pick(CAR_REGIONS))
      if (tier === 0) {
        if (i > 0) links.add(i - 1, i)
        continue
      }
      const [from, to] = [starts[tier - 1]!, starts[tier]!]
      for (let n = prng.between(...CUSTOMERS); n > 0; n--) {
        let customer = prng.between(from, to - 1)
        if (prng.chance(NEARBY_PPM))
          for (let tries = 8; tries > 0 && links.regionOf(customer) !== links.regionOf(i); tries--)
            customer = prng.between(from, to - 1)
        links.add(customer, i)
      }
    }
}

/** Customers and haulers around a mill. */
const AROUND_A_MILL = 24
const SECOND_MILL_PPM = 300_000
const STEEL_REGIONS: Region[] = [
  'Frankfurt',
  'London',
  'Mumbai',
  'Seoul',
  'Tokyo',
  'N. Virginia',
  'São Paulo',
]

/** Mills in a ring, each with a cluster around it; some work with a second one. */
function steel(links: Links, prng: Prng): void {
  const mills = Math.max(1, Math.round(links.count / (AROUND_A_MILL + 1)))
  for (let i = 0; i < mills; i++) {
    links.call(i, `mill ${i}`, prng.pick(STEEL_REGIONS))
    links.add(i, (i + 1) % mills)
  }
  for (let i = mills; i < links.count; i++) {
    const mill = (i - mills) % mills
    links.call(i, `works ${i}`, links.regionOf(mill))
    links.add(mill, i)
    if (prng.chance(SECOND_MILL_PPM)) links.add(prng.below(mills), i)
    else if (i > mills * 2) links.add(i - mills, i) // a neighbour at the same mill
  }
}

/** Firms of one trade, who share data with each other. */
const OF_A_TRADE = 30
const COLLEAGUES = 3

/** One region; the city itself knows a firm of each trade, and firms know others of their trade and a few beyond it. */
function city(links: Links, prng: Prng): void {
  links.call(0, 'the city', 'Frankfurt')
  for (let i = 1; i < links.count; i++) {
    links.call(i, `firm ${i}`, 'Frankfurt')
    const trade = Math.floor((i - 1) / OF_A_TRADE) * OF_A_TRADE + 1
    const last = Math.min(trade + OF_A_TRADE, links.count) - 1
    if (i === trade) links.add(0, i)
    else links.add(i - 1, i)
    for (let n = 1; n < COLLEAGUES; n++) links.add(i, prng.between(trade, last))
    if (prng.chance(100_000)) links.add(i, prng.below(links.count))
  }
}

const ANY = 3

/** Everybody with three others, wherever they are; nobody is cut off. */
function random(links: Links, prng: Prng): void {
  for (let i = 0; i < links.count; i++) {
    links.call(i, `participant ${i}`, prng.pick(REGION_NAMES))
    if (i > 0) links.add(prng.below(i), i)
    for (let n = 1; n < Math.min(ANY, links.count - 1); n++) links.add(i, prng.below(links.count))
  }
}

/**
 * A topology from a file: `{ "participants": [{ "name", "region" }], "partners": [[0, 1]] }`; a region may be left out.
 * Throws TOPOLOGY_INVALID, which says where.
 */
export function readTopology(text: string): Topology {
  const { participants, partners, ...rest } = fields(parsed(text), 'the topology')
  nothingElse(rest, 'the topology')
  if (!Array.isArray(participants) || participants.length < 2 || participants.length > MOST_PARTICIPANTS)
    throw invalid(`participants: a list of 2 to ${MOST_PARTICIPANTS} is expected`)
  if (!Array.isArray(partners)) throw invalid('partners: a list of pairs is expected')
  const links = new Links(participants.length)
  const names = new Set<string>()
  for (const [i, each] of participants.entries()) {
    const at = `participants[${i}]`
    const { name, region = 'Frankfurt', ...more } = fields(each, at)
    nothingElse(more, at)
    if (typeof name !== 'string' || name === '') throw invalid(`${at}.name: a text is expected`)
    if (names.has(name)) throw invalid(`${at}.name: '${name}' stands there twice`)
    if (!isRegion(region)) throw invalid(`${at}.region: one of ${REGION_NAMES.join(', ')} is expected`)
    names.add(name)
    links.call(i, name, region)
  }
  for (const [i, pair] of partners.entries()) {
    if (!isPair(pair, participants.length))
      throw invalid(`partners[${i}]: two indexes below ${participants.length} are expected`)
    if (pair[0] === pair[1]) throw invalid(`partners[${i}]: nobody is a partner of its own`)
    links.add(pair[0], pair[1])
  }
  return links.topology()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw invalid(`is no JSON: ${(error as Error).message}`)
  }
}

function fields(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(`${at}: an object is expected`)
  return value as Record<string, unknown>
}

function nothingElse(rest: Record<string, unknown>, at: string): void {
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw invalid(`${at}: '${unknown}' is no field of it`)
}

const isPair = (value: unknown, below: number): value is [number, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  value.every(each => Number.isSafeInteger(each) && each >= 0 && each < below)

const invalid = (what: string) => new SimError('TOPOLOGY_INVALID', what)
