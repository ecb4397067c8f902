/** Mistakes that somebody could make in protocol/ or in a driver, each as a part in the place of a shipped one. */

import { text, toHex } from '../../crypto/bytes.ts'
import { encode, type Value } from '../../crypto/cbor.ts'
import { parseCheckpoint } from '../../crypto/checkpoint.ts'
import { EMPTY_ROOT } from '../../crypto/merkle.ts'
import { parseNote } from '../../crypto/note.ts'
import { quorums } from '../../protocol/committee.ts'
import { type Env, ownChain } from '../../protocol/context.ts'
import { readWatch } from '../../protocol/heads.ts'
import { standingOf } from '../../protocol/identity-chain.ts'
import { KEY } from '../../protocol/layout.ts'
import { originHash } from '../../protocol/log.ts'
import { decodeState, encodeState } from '../../protocol/machine.ts'
import type { Negotiation } from '../../protocol/negotiation-state.ts'
import { join, nothing, type Write } from '../../protocol/output.ts'
import { decodePartner } from '../../protocol/pairing.ts'
import { type Input, type PeerStep, step } from '../../protocol/peer.ts'
import type { Cosigned } from '../../protocol/witness.ts'
import type { Plant } from '../../sim/cluster.ts'
import type { Weather } from '../../sim/network.ts'
import type { DiskTimes } from '../../sim/node.ts'
import type { Plan } from '../../sim/plan.ts'

interface Mistake {
  plant: Plant
  /** What it takes for the mistake to show. */
  changes?: Partial<Plan>
  /** How the violation begins. */
  breaks: RegExp
}

/** The shipped step with its outputs changed. */
const after =
  (change: (next: PeerStep, input: Input) => PeerStep) =>
  (...[state, input, now, env]: Parameters<typeof step>): PeerStep =>
    change(step(state, input, now, env), input)

const withWrites = (next: PeerStep, writes: Write[]): PeerStep => ({
  ...next,
  output: { ...next.output, writes },
})

/** The log's owner signs what it read back as if it had no committee. */
function hasty(...[state, input, now, env]: Parameters<typeof step>): PeerStep {
  if (input.type !== 'leaves') return step(state, input, now, env)
  return step(state, input, now, { ...env, get: key => (key === KEY.seating ? undefined : env.get(key)) })
}

/** As of a log that was registered, and of which no head came. */
const NOTHING_HELD = encodeState({ size: 0, root: EMPTY_ROOT, first: EMPTY_ROOT })

/** The witness sees no earlier head of this log, and the log's owner is believed. */
function blind(...[state, input, now, env]: Parameters<typeof step>): PeerStep {
  if (input.type !== 'message') return step(state, input, now, env)
  const { from, message } = input
  if (message.t !== 'witness/add' && message.t !== 'promise/ask') return step(state, input, now, env)
  const forgets: Env = { ...env, get: key => (key === KEY.cosigned(from) ? NOTHING_HELD : env.get(key)) }
  const trusting = { ...input, message: { ...message, old: 0, path: [] } }
  const next = step(state, trusting, now, forgets)
  return withWrites(
    next,
    next.output.writes.map(({ if: _, ...write }) => write),
  )
}

/** A witness whose store was put back takes what it holds for all that it signed. */
const unmarked = (...[state, input, now, env]: Parameters<typeof step>): PeerStep =>
  step(state, input, now, { ...env, get: key => (key === KEY.putBack ? undefined : env.get(key)) })

/** The log's owner takes one promise fewer than the committee asks for. */
function early(...[state, input, now, env]: Parameters<typeof step>): PeerStep {
  const first = step(state, input, now, env)
  const { draft } = first.state.ledger
  if (input.type !== 'message' || input.message.t !== 'promise/given' || !draft) return first
  const written = new Map(first.output.writes.map(({ key, value }) => [key, value]))
  const seen: Env = { ...env, get: key => (written.has(key) ? written.get(key) : env.get(key)) }
  const due = quorums(seen.get, draft.tail.range.size)
  const has = (seat: string) => draft.given.includes(seat)
  const missing = due.flatMap(({ seats }) => seats).find(seat => !has(seat))
  if (!missing || due.some(({ seats, need }) => seats.filter(has).length < need - 1)) return first
  const second = step(first.state, { ...input, from: missing }, now, seen)
  return { ...second, output: join(first.output, second.output) }
}

/** A node that after a restart does not know, of what lies under a prefix, what `left` takes from it. */
function forgetful(prefix: string, left: (value: Uint8Array) => Uint8Array | undefined): typeof step {
  const since = new WeakMap<Env['self'], Set<string>>()
  return (state, input, now, env) => {
    if (input.type === 'start' && input.machine === 'log') since.set(env.self, new Set())
    const written = since.get(env.self) ?? new Set()
    const get = (key: string) => {
      const value = env.get(key)
      return value && key.startsWith(prefix) && !written.has(key) ? left(value) : value
    }
    const next = step(state, input, now, { ...env, get })
    const writes = next.output.writes.map(({ if: condition, ...write }) => {
      if (!write.key.startsWith(prefix)) return condition ? { ...write, if: condition } : write
      written.add(write.key)
      return write
    })
    return withWrites(next, writes)
  }
}

function withoutPromises(value: Uint8Array): Uint8Array {
  const { promised: _, ...rest } = decodeState<Cosigned>(value)
  return encodeState(rest)
}

/** A delegation is good whatever its date, the own one and that of whoever speaks. */
function dateless(...[state, input, now, env]: Parameters<typeof step>): PeerStep {
  const stored = input.type === 'message' ? env.get(KEY.partner(input.from)) : undefined
  const chains = [ownChain(env), ...(stored ? [decodePartner(stored).chain] : [])]
  const until = chains.flatMap(chain => standingOf(chain, 'log')?.until ?? [])
  return step(state, input, { ...now, wallMs: Math.min(now.wallMs, ...until.map(ms => ms - 1)) }, env)
}

/** A head is known again by its root, and its size believed: the signature is held to be of the root alone. */
function sizeless(): typeof step {
  const roots = new Map<string, string>()
  return (state, input, now, env) => {
    const next = step(state, input, now, env)
    if (input.type !== 'message' || !('note' in input.message) || !input.message.note) return next
    const { note } = input.message
    let head: ReturnType<typeof parseCheckpoint>
    try {
      head = parseCheckpoint(parseNote(text(note)).body)
    } catch {
      return next // no note at all
    }
    const { origin, size, root } = head
    const name = `${origin} ${toHex(root)}`
    if (input.message.t !== 'gossip/head') roots.set(name, origin)
    const org = env.get(KEY.origin(originHash(origin)))
    const seen = org && readWatch(env.get(KEY.watch(text(org))))
    if (!org || !seen || input.message.t !== 'gossip/head' || !roots.has(name) || size <= seen.size)
      return next
    const rumour = { size, root, note, atMs: now.wallMs }
    const value = encode({ ...seen, rumour } as unknown as Value)
    return withWrites(next, [...next.output.writes, { key: KEY.watch(text(org)), value }])
  }
}

/** Seats are given without a look at how many there are. */
function boundless(...[state, input, now, env]: Parameters<typeof step>): PeerStep {
  const get = (key: string) => (key.startsWith(KEY.seatsGiven('')) ? undefined : env.get(key))
  return step(state, input, now, { ...env, get })
}

/** The agreements that provider's machines have signed alone, as if both had. */
function halfGrants({ output }: PeerStep): Write[] {
  return output.writes.flatMap(({ key, value }) => {
    if (!key.startsWith(KEY.negotiations) || !value) return []
    const n = decodeState<Negotiation>(value)
    const half = n.role === 'provider' && n.state === 'AGREED'
    return half ? [{ key: KEY.grant(n.org, n.agreementId!), value: n.agreement! }] : []
  })
}

/** A medium whose every tenth group loses its last write. */
function forgetting(): NonNullable<Plant['medium']> {
  let groups = 0
  return sound => ({
    ...sound,
    sync: (operations, done) => sound.sync(++groups % 10 === 0 ? operations.slice(0, -1) : operations, done),
  })
}

export const CALM: Weather = {
  leastDelayUs: 200,
  mostDelayUs: 2_000,
  jitterUs: 1_000,
  lossPpm: 0,
  copyPpm: 0,
  disorderPpm: 0,
  bytesPerMs: 100_000,
}
export const TIMES: DiskTimes = { leastSyncUs: 100, mostSyncUs: 1_000, readUs: 100 }

/** A log with four members, whose home runs twice. */
export const TWINS: Partial<Plan> = { nodes: 6, members: 4, seated: true, twin: 'apart', restores: 'none' }

/** Nobody is put back, copied, robbed or lying. */
const SOUND: Partial<Plan> = {
  restores: 'none',
  twin: 'none',
  liars: 'none',
  robbed: false,
  reseats: false,
  skewMs: 0,
}

export const MISTAKES: Record<string, Mistake> = {
  'sends before it writes': {
    plant: {
      medium: sound => ({
        ...sound,
        sync: (operations, done) => {
          done()
          sound.sync(operations, () => {})
        },
      }),
    },
    breaks: /^promise 2/,
  },
  'loses a write that it called durable': { plant: { medium: forgetting() }, breaks: /^promise 2/ },
  'takes an agreement for signed by both once it has signed': {
    plant: { step: after(next => withWrites(next, [...next.output.writes, ...halfGrants(next)])) },
    changes: { weather: { ...CALM, lossPpm: 150_000 } },
    breaks: /^promise 1/,
  },
  'checks no consistency before it promises and cosigns': {
    plant: { step: blind },
    changes: { restores: 'somebody' },
    breaks: /^promise 3/,
  },
  'forgets what it promised at a restart': {
    plant: { step: forgetful('cosigned/', withoutPromises) },
    changes: { ...TWINS, crashS: 4, redacts: false, hostile: 'none' },
    breaks: /^promise 3 .*contradicts/,
  },
  'takes one promise too few for a quorum': {
    plant: { step: early },
    changes: TWINS,
    breaks: /^promise 3 .* promises of /,
  },
  'forgets what it promised and cosigned': {
    plant: {
      step: after(next =>
        withWrites(
          next,
          // That the log was registered is kept.
          next.output.writes.filter(
            ({ key, if: condition }) => !key.startsWith('cosigned/') || condition === 'absent',
          ),
        ),
      ),
    },
    changes: { restores: 'somebody' },
    breaks: /^promise 3/,
  },
  'takes up nothing after a restart': {
    plant: {
      step: (...[state, input, now, env]: Parameters<typeof step>) =>
        input.type === 'start' ? { state, output: nothing() } : step(state, input, now, env),
    },
    changes: { crashS: 5 },
    breaks: /^progress/,
  },
  'sends nothing twice': {
    plant: {
      step: (...[state, input, now, env]: Parameters<typeof step>) =>
        input.type === 'tick' && input.machine !== 'log'
          ? { state, output: nothing() }
          : step(state, input, now, env),
    },
    breaks: /^progress/,
  },
  'does not hold two heads of a log against each other': {
    plant: {
      step: after(next =>
        withWrites(
          next,
          next.output.writes.filter(({ key }) => !key.startsWith('fork')),
        ),
      ),
    },
    changes: { restores: 'somebody', seated: false },
    breaks: /^progress .* as open/,
  },
  'signs a head before it is promised': {
    plant: { step: hasty },
    changes: { restores: 'somebody', seated: true },
    breaks: /^promise 3 .* promises of /,
  },
  'promises on after its store was put back': {
    plant: { step: unmarked },
    changes: {
      restores: 'both',
      members: 1,
      witnesses: 0,
      seated: true,
      notices: true,
      twin: 'none',
      liars: 'none',
      robbed: false,
      reseats: false,
      silent: false,
      spoilt: false,
      calmS: 3_600,
      assets: 3,
      requests: 6,
    },
    breaks: /^promise 3 .* cosigned /,
  },
  'takes a delegation for good whatever its date': {
    plant: { step: dateless },
    changes: { ...SOUND, expires: true, seated: true, members: 2 },
    breaks: /^a delegation .* expired/,
  },
  'believes a size that was not signed': {
    plant: { step: sizeless() },
    changes: { ...SOUND, hostile: 'forges' },
    breaks: /^promise 3 .* never signed/,
  },
  'keeps what it redacted': {
    plant: {
      step: after((next, { type }) => (type === 'redact' ? withWrites(next, []) : next)),
    },
    changes: { ...SOUND, redacts: true },
    breaks: /^promise 5 .* still there/,
  },
  'gives a partner as many seats as it asks for': {
    plant: { step: boundless },
    changes: { ...SOUND, hostile: 'floods', seated: true },
    breaks: /^promise 7 /,
  },
}

/** Mistakes in what seats do, found in runs of ownership. */
export const OWNERSHIP_MISTAKES: Record<string, Mistake> = {
  'votes again after a restart': {
    plant: { step: forgetful('vote/', () => undefined) },
    changes: {
      restores: 'the first',
      crashS: 0,
      cutS: 0,
      faultyS: 40,
      weather: { ...CALM, mostDelayUs: 300_000 },
      times: TIMES,
    },
    breaks: /^promise 4 .* voted twice/,
  },
}
