/** Finding providers in a mesh of many, by the model of sim/discovery.ts: who has something says so, and others look for it. */
import { Discovery, type Walk } from './discovery.ts'
import type { Latency } from './latency.ts'
import { type Spread, spreadOf } from './measures.ts'
import { Prng } from './prng.ts'
import type { Profile } from './profile.ts'
import { Trace } from './trace.ts'

const MINUTE_US = 60_000_000
/** Of each kind and participant, an hour, in the workload `lookups`. */
export const LOOKUPS_AN_HOUR = 2
/** Beside another workload a sample is enough. */
export const SAMPLE = 2_000

export interface LookupFigures {
  lookups: number
  /** Of those that were looked for, who was found, in parts of one. */
  found: number
  hops: Spread | null
  questions: Spread | null
  ms: Spread | null
  events: number
  wallMs: number
  traceHash: string
}

export interface LookupOptions {
  nodes: number
  count: number
  minutes: number
  seed: number
  profile: Profile
  latency: Latency
  progress?: (share: number) => void
}

/** So many records are left, and then each is looked for by somebody else; both spread over so many minutes. */
export function lookUp(options: LookupOptions): LookupFigures {
  const { nodes, count, minutes, seed, profile, latency, progress } = options
  const { step, receive, send, decode, encode, dial } = profile.work
  const serveUs = Math.ceil(
    [step, receive, send, decode, encode].reduce((sum, { eachUs }) => sum + eachUs, 0),
  )
  const began = performance.now()
  const model = new Discovery({ nodes, seed, serveUs, dialUs: dial.eachUs, delayUs: latency })
  const prng = new Prng(seed, 'lookups')
  const trace = new Trace()
  const walks: Walk[] = []
  let [found, ended] = [0, 0]
  const seen = (what: string, walk: Walk) => {
    trace.add([what, model.nowUs, walk.questions, walk.hops, walk.nearest])
    ended++
    if (ended % 1_000 === 0) progress?.(ended / (2 * count))
  }
  const halfUs = (minutes * MINUTE_US) / 2
  for (let i = 0; i < count; i++) {
    const key = model.randomKey()
    const [provider, seeker] = [prng.below(nodes), prng.below(nodes)]
    model.at(prng.below(halfUs), () => model.provide(provider, key, walk => seen('provide', walk)))
    model.at(halfUs + prng.below(halfUs), () =>
      model.find(seeker, key, walk => {
        seen('find', walk)
        walks.push(walk)
        if (seeker === provider || walk.providers.includes(provider)) found++
      }),
    )
  }
  model.run()
  const thousandth = (values: number[]) => spreadOf(values.map(value => value * 1_000))
  return {
    lookups: count,
    found: count === 0 ? 1 : found / count,
    hops: thousandth(walks.map(({ hops }) => hops)),
    questions: thousandth(walks.map(({ questions }) => questions)),
    ms: spreadOf(walks.map(({ us }) => us)),
    events: model.events,
    wallMs: Math.round(performance.now() - began),
    traceHash: trace.digest(),
  }
}
